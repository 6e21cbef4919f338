package secure

import (
	"errors"
	"fmt"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// HiddenOptions encrypt single fields of a body, each by itself, with a shared
// key. Whether the proof of the message covers ciphertext or plaintext follows
// from what it signs: the body, and the fields, hold ciphertext.
type HiddenOptions struct {
	Fields []string      `yaml:"fields"` // required: fields of requests and replies; a direction that has not got one passes over it
	Cipher CipherOptions `yaml:"cipher"` // required: how; wrap is not for fields
}

// Check reports the first setting that cannot work.
func (o *HiddenOptions) Check() error {
	if len(o.Fields) == 0 {
		return errors.New("fields: none")
	}
	if err := o.Cipher.Check(); err != nil {
		return fmt.Errorf("cipher: %w", err)
	}
	if o.Cipher.Wrap != "" {
		return errors.New("cipher: fields want a shared key")
	}
	return nil
}

// Hidden is an Auth for one direction of a link: it encrypts fields before the
// inner Auth proves the message, and decrypts them after it was verified. It is
// safe for concurrent use.
type Hidden struct {
	inner  protocol.Auth // nil: messages are not proved
	box    *box
	fields map[uint16]string
}

// NewHidden builds the Auth for records of the layout around another one, which
// may be nil.
func NewHidden(o HiddenOptions, l *protocol.Layout, keys Keys, inner protocol.Auth) (*Hidden, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	b, err := newBox(o.Cipher, keys, "", true)
	if err != nil {
		return nil, err
	}
	h := &Hidden{inner: inner, box: b, fields: map[uint16]string{}}
	for _, name := range o.Fields {
		if id, ok := l.Lookup(name); ok && !l.Fields[id].Group {
			h.fields[id] = name
		}
	}
	return h, nil
}

// Reserve encrypts the fields, then lets the inner Auth make room.
func (h *Hidden) Reserve(rec *protocol.Record) {
	for i := range rec.Nodes() {
		if _, ok := h.fields[rec.Nodes()[i].ID]; !ok || len(rec.Value(i)) == 0 {
			continue
		}
		sealed, err := h.box.seal(h.box.shared, rec.Value(i))
		if err != nil { // the key is used up: an empty value, never one in clear
			sealed = nil
		}
		replace(rec, i, h.box.enc.encode(nil, sealed))
	}
	if r, ok := h.inner.(protocol.Reserver); ok {
		r.Reserve(rec)
	}
}

// replace gives a node another value.
func replace(rec *protocol.Record, i int, val []byte) {
	arena := rec.Grow()
	at := len(arena)
	rec.Return(append(arena, val...), rec.Nodes())
	n := &rec.Nodes()[i]
	n.At, n.Len = uint32(at), uint32(len(val))
}

// Sign lets the inner Auth sign.
func (h *Hidden) Sign(dst []byte, f *protocol.Frame, rec *protocol.Record) ([]byte, error) {
	if h.inner == nil {
		return append(dst, f.Body...), nil
	}
	return h.inner.Sign(dst, f, rec)
}

// Verify lets the inner Auth verify, then decrypts the fields.
func (h *Hidden) Verify(f protocol.Frame, rec *protocol.Record) error {
	var proved error
	if h.inner != nil {
		if proved = h.inner.Verify(f, rec); proved != nil && !errors.Is(proved, protocol.ErrReplayed) {
			return proved
		}
	}
	for i := range rec.Nodes() {
		name, ok := h.fields[rec.Nodes()[i].ID]
		if !ok || len(rec.Value(i)) == 0 {
			continue
		}
		plain, err := h.open(rec.Value(i))
		if err != nil {
			return &protocol.Error{Class: protocol.ClassAuth, Path: name, Offset: int(rec.Nodes()[i].From), Want: "a value under the agreed key",
				Got: "one that does not open", Hint: "check key, mode, padding and encoding"}
		}
		replace(rec, i, plain)
	}
	return proved
}

func (h *Hidden) open(text []byte) ([]byte, error) {
	sealed, err := h.box.enc.decode(text)
	if err != nil {
		return nil, err
	}
	return h.box.open(h.box.shared, sealed)
}

// Issue lets the inner Auth hand out keys, if it does.
func (h *Hidden) Issue(req *pay.Request, rep *pay.Reply) error {
	if issuer, ok := h.inner.(protocol.Issuer); ok {
		return issuer.Issue(req, rep)
	}
	return nil
}

// Accept lets the inner Auth take keys, if it does.
func (h *Hidden) Accept(req *pay.Request, rep *pay.Reply) error {
	if m, ok := h.inner.(*MAC); ok {
		return m.Accept(req, rep)
	}
	return nil
}
