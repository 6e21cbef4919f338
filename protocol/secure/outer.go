package secure

import (
	"errors"
	"fmt"
	"time"

	"qianzhi/protocol"
)

// OuterOptions say where things stand in an outer document whose one field is
// the encrypted body: the form in which many banks send XML or JSON. Its
// signature covers what is on the wire, so this is encrypt, then sign; sign,
// then encrypt is the signature of the body within.
type OuterOptions struct {
	Data      string            `yaml:"data"`      // required: field that holds the encrypted body
	Key       string            `yaml:"key"`       // field that holds the key of a digital envelope; empty: it stands in front of the data
	Signature *SignatureOptions `yaml:"signature"` // of the outer document, by the sender or answerer of the envelope
}

// Check reports the first setting that cannot work.
func (o *OuterOptions) Check() error {
	if o.Data == "" {
		return errors.New("data: missing")
	}
	if o.Signature != nil {
		if err := o.Signature.Check(); err != nil {
			return fmt.Errorf("signature: %w", err)
		}
	}
	return nil
}

// Constant is a field of an outer document with a fixed value, which is written
// and demanded.
type Constant struct{ Field, Value string }

// Outer is an Envelope for one direction of a link: the body, encrypted, in a
// field of an outer document. It is safe for concurrent use.
type Outer struct {
	codec protocol.Codec
	box   *box
	auth  *Signature // nil: not signed
	data  place
	key   place
	apart bool // the digital envelope has a field of its own
	set   []struct {
		place
		value string
	}
}

// OuterParts are what an Outer needs beside its options.
type OuterParts struct {
	Codec            protocol.Codec // of the outer document
	Escaped          bool           // it writes values with percent signs
	Cipher           CipherOptions
	Set              []Constant
	Keys             Keys
	Sender, Receiver string // roles of this direction
	Now              func() time.Time
}

// NewOuter builds the Envelope of one direction.
func NewOuter(o OuterOptions, p OuterParts) (*Outer, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	l := p.Codec.Layout()
	out := &Outer{codec: p.Codec, apart: o.Key != ""}
	var err error
	if out.box, err = newBox(p.Cipher, p.Keys, p.Receiver, true); err != nil {
		return nil, err
	}
	if out.apart && p.Cipher.Wrap == "" || out.box.enc == encRaw {
		return nil, errors.New("an outer document wants text, and a key field only with wrap")
	}
	if out.data, err = newPlace(l, o.Data, 0); err != nil {
		return nil, err
	}
	if out.key, err = newPlace(l, o.Key, 0); err != nil {
		return nil, err
	}
	for _, c := range p.Set {
		at, err := newPlace(l, c.Field, 0)
		if err != nil {
			return nil, err
		}
		out.set = append(out.set, struct {
			place
			value string
		}{at, c.Value})
	}
	if o.Signature == nil {
		return out, nil
	}
	if out.auth, err = NewSignature(*o.Signature, l, p.Keys, p.Sender, p.Now); err == nil && p.Escaped {
		out.auth.Escaped()
	}
	return out, err
}

// Seal encrypts the body, writes the outer document around it, signs that and
// appends it to dst.
func (o *Outer) Seal(dst []byte, f *protocol.Frame) ([]byte, error) {
	k, wrapped := o.box.shared, []byte(nil)
	var err error
	if k == nil {
		if k, wrapped, err = o.box.fresh(); err != nil {
			return nil, err
		}
	}
	sealed, err := o.box.seal(k, f.Body)
	if err != nil {
		return nil, err
	}
	rec := new(protocol.Record)
	rec.Reset(o.codec.Layout())
	for i := range o.set {
		o.set[i].reserve(rec, o.set[i].value)
	}
	if o.apart {
		o.key.reserve(rec, string(o.box.enc.encode(nil, wrapped)))
		wrapped = nil
	}
	o.data.reserve(rec, string(o.box.enc.encode(nil, append(wrapped, sealed...))))
	if o.auth == nil {
		return o.codec.Append(dst, rec)
	}
	o.auth.Reserve(rec)
	body, err := o.codec.Append(nil, rec)
	if err != nil {
		return nil, err
	}
	outer := protocol.Frame{Head: f.Head, Body: body}
	dst, err = o.auth.Sign(dst, &outer, rec)
	f.Head = outer.Head
	return dst, err
}

// Open reads the outer document, checks its signature before it decrypts
// anything, and appends the inner body to dst. A message whose nonce was seen
// before is refused like a forged one: its content is not looked at.
func (o *Outer) Open(dst []byte, f *protocol.Frame) ([]byte, error) {
	rec := new(protocol.Record)
	if err := o.codec.Index(*f, rec); err != nil {
		return nil, err
	}
	if o.auth != nil {
		err := o.auth.Verify(*f, rec)
		if errors.Is(err, protocol.ErrReplayed) {
			return nil, authError("a nonce that was not seen before", "one that was", "")
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range o.set {
		if o.set[i].get(f, rec) != o.set[i].value {
			return nil, &protocol.Error{Class: protocol.ClassField, Path: o.set[i].name, Offset: -1, Want: o.set[i].value, Got: "another value"}
		}
	}
	plain, err := o.inner(f, rec)
	if err != nil {
		return nil, err
	}
	return append(dst, plain...), nil
}

func (o *Outer) inner(f *protocol.Frame, rec *protocol.Record) ([]byte, error) {
	sealed, err := o.box.enc.decode([]byte(o.data.get(f, rec)))
	if err != nil {
		return nil, err
	}
	k := o.box.shared
	if k == nil {
		wrapped := []byte(nil)
		if o.apart {
			wrapped, err = o.box.enc.decode([]byte(o.key.get(f, rec)))
		} else {
			wrapped, sealed, err = o.box.split(sealed)
		}
		if err != nil {
			return nil, err
		}
		if k, err = o.box.unwrap(wrapped); err != nil {
			return nil, err
		}
	}
	return o.box.open(k, sealed)
}
