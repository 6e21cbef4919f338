package secure

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// MACOptions place a message authentication code in a field of the body. The
// code covers the body from its first byte to the byte before the field.
type MACOptions struct {
	Field     string    `yaml:"field"`     // for example "64"
	Algorithm string    `yaml:"algorithm"` // one of cup-ecb, x9.9, x9.19, xor-x9.19 (blocks combined by XOR, then x9.19), sm4-cup, sm4-cbc, sm4-cmac, hmac-sm3; the first four with DES keys, the others with SM4 keys
	Size      int       `yaml:"size"`      // bytes of the code, the first ones; 0: 8; cup-ecb and sm4-cup have always 8
	Form      string    `yaml:"form"`      // one of raw (default), hex (capital digits, two for a byte); cup-ecb and sm4-cup are hex digits already
	Terminal  []string  `yaml:"terminal"`  // fields that name the terminal, for example 41 and 42
	Type      string    `yaml:"type"`      // field that names the message type, for example MTI
	Without   []string  `yaml:"without"`   // message types that carry no code
	Master    string    `yaml:"master"`    // role of the key that protects the work keys: SM4, or a DES key of 16 bytes
	Keys      []WorkKey `yaml:"keys"`      // the work keys that a sign-on hands out, in order; default: pik and mak of 16 bytes
	PIN       string    `yaml:"pin"`       // how PIN blocks are made up before they are encrypted: one of pan (default: ISO 9564-1 format 0), plain (the same without card number), iso-4; only where PINs are translated
}

// Check reports the first setting that cannot work.
func (o *MACOptions) Check() error {
	a, known := algorithmOf(o.Algorithm)
	switch {
	case o.Field == "" || o.Type == "" || o.Master == "":
		return errors.New("field, type and master are needed")
	case len(o.Terminal) != 1 && len(o.Terminal) != 2:
		return errors.New("terminal: want one field, or two for terminal and merchant")
	case !known:
		return fmt.Errorf("algorithm: want cup-ecb, x9.9, x9.19, xor-x9.19, sm4-cup, sm4-cbc, sm4-cmac or hmac-sm3, got %q", o.Algorithm)
	case o.Form != "" && o.Form != "raw" && o.Form != "hex" || o.Form != "" && a.hex:
		return fmt.Errorf("form: want raw or hex, and none with cup-ecb and sm4-cup, got %q", o.Form)
	case o.Size != 0 && (o.Size < 4 || o.Size > a.full || a.hex):
		return fmt.Errorf("size: want 4 to %d, and none with cup-ecb and sm4-cup, got %d", a.full, o.Size)
	}
	switch PINFormat(o.PIN) {
	case "", PINPAN, PINPlain, PINISO4:
	default:
		return fmt.Errorf("pin: want pan, plain or iso-4, got %q", o.PIN)
	}
	_, err := newKeyLayout(o.Keys, a.des)
	return err
}

// MAC is an Auth for one direction of a link.
type MAC struct {
	o        MACOptions
	size     int // of the code in the field, bytes
	chest    keyChest
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
	a, _ := algorithmOf(o.Algorithm)
	master, err := keys.SM4(o.Master)
	if err != nil {
		return nil, err
	}
	block, err := blockOf(a.des, master)
	if err != nil {
		return nil, err
	}
	layout, err := newKeyLayout(o.Keys, a.des)
	if err != nil {
		return nil, err
	}
	m := &MAC{o: o, size: o.width(), sessions: sessions,
		chest: keyChest{layout: layout, des: a.des, name: keys.Roles[o.Master], master: block, make: a.make}}
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

// width is what the code takes in the field, in bytes.
func (o *MACOptions) width() int {
	n := o.Size
	if n == 0 {
		n = 8
	}
	if o.Form == "hex" {
		n *= 2
	}
	return n
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
	if behind(rec, m.field) {
		return &protocol.Error{Class: protocol.ClassAuth, Path: m.o.Field, Offset: -1, Want: "the MAC as the last field", Got: "fields behind it"}
	}
	n := rec.Nodes()[i]
	got := f.Body[n.From : n.From+n.Size]
	if m.matches(k.now, f.Body[:n.From], got) || k.before != nil && m.matches(k.before, f.Body[:n.From], got) {
		return nil
	}
	return &protocol.Error{Class: protocol.ClassAuth, Path: m.o.Field, Offset: int(n.From), Want: "the MAC of the message", Got: "another",
		Hint: "sign on again if the keys are out of step"}
}

// Reserve makes room for the code, unless the message type carries none.
func (m *MAC) Reserve(rec *protocol.Record) {
	if !m.exempt(rec) && rec.Find(m.field) < 0 {
		rec.Put(m.field, -1, make([]byte, m.size))
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
	if int(n.Size) != m.size {
		return nil, &protocol.Error{Class: protocol.ClassAuth, Path: m.o.Field, Offset: int(n.From), Want: fmt.Sprintf("room for %d bytes", m.size),
			Got: fmt.Sprintf("%d", n.Size), Hint: "size and form of the MAC do not fit the field"}
	}
	code := k.now(dst[:n.From])
	m.write(dst[n.From:n.From+n.Size], &code)
	return dst, nil
}

// write puts the code into the field as the link wants it.
func (m *MAC) write(to []byte, code *fullCode) {
	if m.o.Form != "hex" {
		copy(to, code[:m.size])
		return
	}
	copy(to, strings.ToUpper(hex.EncodeToString(code[:m.size/2])))
}

func (m *MAC) matches(k coder, data, got []byte) bool {
	var buf [2 * len(fullCode{})]byte
	code := k(data)
	m.write(buf[:m.size], &code)
	return gm.EqualMAC(got, buf[:m.size])
}

// Issue makes new work keys for the terminal that signed on and adds them to
// the reply.
func (m *MAC) Issue(req *pay.Request, rep *pay.Reply) error {
	wire, s, err := m.chest.issue()
	if err != nil {
		return err
	}
	rep.More = append(rep.More, pay.Field{ID: pay.FWorkKeys, Val: string(wire)})
	return m.sessions.put(m.terminalOf(req), s)
}

// Accept takes the work keys from an approved sign-on reply; it is the
// terminal's side of Issue. Nothing changes unless the check value of every key
// is right.
func (m *MAC) Accept(req *pay.Request, rep *pay.Reply) error {
	s, err := m.chest.accept([]byte(pay.Find(rep.More, pay.FWorkKeys)))
	if err != nil {
		return err
	}
	return m.sessions.put(m.terminalOf(req), s)
}

// PINKey returns the PIN key of the terminal that a message of this link names,
// wrapped as it was issued; false if it has not signed on or got none. It is
// for RelayPIN.
func (m *MAC) PINKey(req *pay.Request) (PINKey, bool) {
	s, _ := m.sessions.get(m.terminalOf(req))
	k := PINKey{WrappedKey: s.pik, Format: PINFormat(m.o.PIN)}
	if k.Format == "" {
		k.Format = PINPAN
	}
	return k, s.pik.Bytes != ""
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
