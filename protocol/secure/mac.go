package secure

import (
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// MACOptions place a message authentication code in a field of the body. The
// code covers the body from its first byte to the byte before the field.
type MACOptions struct {
	Field     string   `yaml:"field"`     // for example "64"
	Algorithm string   `yaml:"algorithm"` // one of sm4-cup (8 hex characters), sm4-cbc (8 bytes)
	Terminal  []string `yaml:"terminal"`  // fields that name the terminal, for example 41 and 42
	Type      string   `yaml:"type"`      // field that names the message type, for example MTI
	Without   []string `yaml:"without"`   // message types that carry no code
	Master    string   `yaml:"master"`    // role of the SM4 key that protects the work keys
}

// Check reports the first setting that cannot work.
func (o *MACOptions) Check() error {
	switch {
	case o.Field == "" || o.Type == "" || o.Master == "":
		return errors.New("field, type and master are needed")
	case len(o.Terminal) != 1 && len(o.Terminal) != 2:
		return errors.New("terminal: want one field, or two for terminal and merchant")
	case o.Algorithm != "sm4-cup" && o.Algorithm != "sm4-cbc":
		return fmt.Errorf("algorithm: want sm4-cup or sm4-cbc, got %q", o.Algorithm)
	}
	return nil
}

// Sessions holds the work keys that terminals agreed at sign-on. One value is
// shared by both directions of a link's end. It is safe for concurrent use.
type Sessions struct {
	mu    sync.RWMutex
	by    map[string]session
	limit int
}

// session keeps the key before the last sign-on for messages already on their
// way.
type session struct{ now, before cipher.Block }

// NewSessions builds a table for at most limit terminals.
func NewSessions(limit int) *Sessions { return &Sessions{by: map[string]session{}, limit: limit} }

func (s *Sessions) get(terminal string) (session, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.by[terminal]
	return k, ok
}

func (s *Sessions) put(terminal string, key cipher.Block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.by[terminal]
	if !ok && len(s.by) >= s.limit {
		return errors.New("too many terminals signed on")
	}
	s.by[terminal] = session{now: key, before: old.now}
	return nil
}

// MAC is an Auth for one direction of a link.
type MAC struct {
	o        MACOptions
	master   cipher.Block
	sessions *Sessions
	field    uint16
	typ      uint16
	terminal []uint16
}

// NewMAC builds the Auth for records of the layout.
func NewMAC(o MACOptions, l *protocol.Layout, keys Keys, sessions *Sessions) (*MAC, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	key, err := keys.SM4(o.Master)
	if err != nil {
		return nil, err
	}
	block, err := gm.NewSM4(key)
	if err != nil {
		return nil, err
	}
	m := &MAC{o: o, master: block, sessions: sessions}
	ids := make([]uint16, 0, 4)
	for _, name := range append([]string{o.Field, o.Type}, o.Terminal...) {
		id, ok := l.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("mac: no field %q in the layout", name)
		}
		ids = append(ids, id)
	}
	m.field, m.typ, m.terminal = ids[0], ids[1], ids[2:]
	return m, nil
}

func (m *MAC) exempt(rec *protocol.Record) bool {
	t, _ := rec.Get(m.typ)
	return slices.Contains(m.o.Without, string(t))
}

func (m *MAC) name(rec *protocol.Record) string {
	var b strings.Builder
	for _, id := range m.terminal {
		v, _ := rec.Get(id)
		b.Write(v)
		b.WriteByte(0)
	}
	return b.String()
}

// Verify checks the code with the terminal's present key, then with the one
// before.
func (m *MAC) Verify(f protocol.Frame, rec *protocol.Record) error {
	if m.exempt(rec) {
		return nil
	}
	i := rec.Find(m.field)
	if i < 0 {
		return &protocol.Error{Class: protocol.ClassAuth, Path: m.o.Field, Offset: -1, Want: "a MAC", Got: "none"}
	}
	k, ok := m.sessions.get(m.name(rec))
	if !ok {
		return protocol.ErrSignOn
	}
	n := rec.Nodes()[i]
	got := f.Body[n.From : n.From+n.Size]
	if gm.EqualMAC(got, m.code(k.now, f.Body[:n.From])) || k.before != nil && gm.EqualMAC(got, m.code(k.before, f.Body[:n.From])) {
		return nil
	}
	return &protocol.Error{Class: protocol.ClassAuth, Path: m.o.Field, Offset: int(n.From), Want: "the MAC of the message", Got: "another",
		Hint: "sign on again if the keys are out of step"}
}

// Reserve makes room for the code, unless the message type carries none.
func (m *MAC) Reserve(rec *protocol.Record) {
	if !m.exempt(rec) && rec.Find(m.field) < 0 {
		rec.Put(m.field, -1, make([]byte, 8))
	}
}

// Sign fills the code into the place that Reserve made.
func (m *MAC) Sign(dst []byte, f *protocol.Frame, rec *protocol.Record) ([]byte, error) {
	dst = append(dst, f.Body...)
	if m.exempt(rec) {
		return dst, nil
	}
	i := rec.Find(m.field)
	if i < 0 {
		return nil, &protocol.Error{Class: protocol.ClassAuth, Path: m.o.Field, Offset: -1, Want: "room for the MAC", Got: "none"}
	}
	k, ok := m.sessions.get(m.name(rec))
	if !ok {
		return dst, nil // refusing a stranger: there is no key to sign with
	}
	n := rec.Nodes()[i]
	copy(dst[n.From:n.From+n.Size], m.code(k.now, dst[:n.From]))
	return dst, nil
}

func (m *MAC) code(k cipher.Block, data []byte) []byte {
	if m.o.Algorithm == "sm4-cbc" {
		c := gm.MACCBC(k, data)
		return c[:8]
	}
	c := gm.MACCup(k, data)
	return c[:]
}

// workKeys is the layout of the issued keys: PIN key and MAC key, each under
// the master key in ECB mode, each followed by four bytes of zeros encrypted
// under it.
const workKeys = 2 * (16 + 4)

// Issue makes a PIN key and a MAC key for the terminal that signed on and adds
// them to the reply.
func (m *MAC) Issue(req *pay.Request, rep *pay.Reply) error {
	out := make([]byte, 0, workKeys)
	var mak cipher.Block
	for range 2 {
		key := make([]byte, 16)
		if _, err := rand.Read(key); err != nil {
			return err
		}
		block, err := gm.NewSM4(key)
		if err != nil {
			return err
		}
		wrapped := make([]byte, 16)
		m.master.Encrypt(wrapped, key)
		out = append(append(out, wrapped...), checkValue(block)...)
		mak = block
	}
	rep.More = append(rep.More, pay.Field{ID: pay.FWorkKeys, Val: string(out)})
	return m.sessions.put(m.terminalOf(req), mak)
}

// Accept takes the work keys from an approved sign-on reply; it is the
// terminal's side of Issue.
func (m *MAC) Accept(req *pay.Request, rep *pay.Reply) error {
	in := []byte(pay.Find(rep.More, pay.FWorkKeys))
	if len(in) != workKeys {
		return fmt.Errorf("work keys: want %d bytes, got %d", workKeys, len(in))
	}
	key := make([]byte, 16)
	m.master.Decrypt(key, in[20:36])
	block, err := gm.NewSM4(key)
	if err != nil {
		return err
	}
	if !gm.EqualMAC(checkValue(block), in[36:40]) {
		return errors.New("work keys: check value differs")
	}
	return m.sessions.put(m.terminalOf(req), block)
}

// terminalOf names the terminal as name does, from the business message: the
// first field is the terminal, the second, if any, the merchant.
func (m *MAC) terminalOf(req *pay.Request) string {
	name := pay.Find(req.More, pay.FTerminal) + "\x00"
	if len(m.terminal) > 1 {
		name += pay.Find(req.More, pay.FMerchant) + "\x00"
	}
	return name
}

func checkValue(k cipher.Block) []byte {
	out := make([]byte, 16)
	k.Encrypt(out, make([]byte, 16))
	return out[:4]
}
