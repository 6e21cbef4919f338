package spec

import (
	"errors"
	"fmt"

	"qianzhi/protocol"
	"qianzhi/protocol/markup"
	"qianzhi/protocol/secure"
)

// checkProofs reports settings of auth and envelope that cannot work, whatever
// the keys.
func (l *Link) checkProofs() error {
	if err := l.Auth.check(); err != nil {
		return fmt.Errorf("auth%w", err)
	}
	if s := l.Auth.Signature; s != nil && s.Field != "" && s.Format == "der" && (l.ISO8583 != nil || l.Fixed != nil) {
		return errors.New("auth.signature.format: der varies in length, which a field with a length cannot take; want raw")
	}
	if err := l.Envelope.check(); err != nil {
		return fmt.Errorf("envelope%w", err)
	}
	return nil
}

// checked is a group of options with the key it stands under.
type checked struct {
	key string
	set bool
	o   interface{ Check() error }
}

// first returns the first error of those that are set, behind its key.
func first(all ...checked) error {
	for _, c := range all {
		if !c.set {
			continue
		}
		if err := c.o.Check(); err != nil {
			return fmt.Errorf(".%s: %w", c.key, err)
		}
	}
	return nil
}

func (a *Auth) check() error {
	switch {
	case a.Signature != nil && a.MAC != nil:
		return errors.New(": want signature or mac, not both")
	case a.Signature != nil && (a.Sender == "" || a.Answerer == ""):
		return errors.New(": sender and answerer are needed")
	}
	return first(checked{"signature", a.Signature != nil, a.Signature}, checked{"mac", a.MAC != nil, a.MAC}, checked{"hidden", a.Hidden != nil, a.Hidden})
}

func (e *Envelope) check() error {
	n := 0
	for _, set := range []bool{e.Seal != nil, e.Session != nil, e.Cipher != nil} {
		if set {
			n++
		}
	}
	switch {
	case n > 1:
		return errors.New(": want one of seal, session and cipher")
	case n == 1 && (e.Sender == "" || e.Answerer == ""):
		return errors.New(": sender and answerer are needed")
	case e.Outer != nil && e.Cipher == nil:
		return errors.New(": outer needs cipher")
	}
	return first(checked{"seal", e.Seal != nil, e.Seal}, checked{"session", e.Session != nil, e.Session},
		checked{"cipher", e.Cipher != nil, e.Cipher}, checked{"outer", e.Outer != nil, e.Outer})
}

// Check reports the first setting that cannot work.
func (o *Outer) Check() error {
	n := 0
	for _, p := range []*Pair[markup.Spec]{o.JSON, o.XML, o.KV} {
		if p != nil {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("want exactly one of json, xml, kv, got %d", n)
	}
	options := o.options()
	return options.Check()
}

func (o *Outer) options() secure.OuterOptions {
	return secure.OuterOptions{Data: o.Data, Key: o.Key, Signature: o.Signature}
}

// codecs builds the codecs of the outer documents of both directions.
func (o *Outer) codecs() (request, reply protocol.Codec, err error) {
	name, p := "json", o.JSON
	switch {
	case o.XML != nil:
		name, p = "xml", o.XML
	case o.KV != nil:
		name, p = "kv", o.KV
	}
	var d protocol.Dialect
	err = pair(&d, p, named(name))
	return d.Request.Codec, d.Reply.Codec, err
}

func (l *Link) proofs(d *protocol.Dialect, p Parts) error {
	for _, s := range []struct {
		side          *protocol.Side
		auth          string // role that signs this direction
		sender, other string // of the envelope
		reply         bool
	}{{&d.Request, l.Auth.Sender, l.Envelope.Sender, l.Envelope.Answerer, false}, {&d.Reply, l.Auth.Answerer, l.Envelope.Answerer, l.Envelope.Sender, true}} {
		var err error
		if s.side.Auth, err = l.Auth.build(s.side.Codec.Layout(), s.auth, escapes(l.KV, s.reply), p); err != nil {
			return fmt.Errorf("auth: %w", err)
		}
		if s.side.Envelope, err = l.Envelope.build(s.sender, s.other, s.reply, p); err != nil {
			return fmt.Errorf("envelope: %w", err)
		}
	}
	return nil
}

// escapes reports whether one direction of a layout of pairs writes values with
// percent signs.
func escapes(kv *Pair[markup.Spec], reply bool) bool {
	if kv == nil {
		return false
	}
	s := &kv.Request
	if reply {
		s = &kv.Reply
	}
	return s.Escape != "" && s.Escape != "none"
}

// build returns the Auth of one direction, nil for none.
func (a *Auth) build(layout *protocol.Layout, role string, escaped bool, p Parts) (auth protocol.Auth, err error) {
	switch {
	case a.Signature != nil:
		var s *secure.Signature
		if s, err = secure.NewSignature(*a.Signature, layout, p.Keys, role, p.Now); err == nil && escaped {
			s.Escaped()
		}
		auth = s
	case a.MAC != nil:
		auth, err = secure.NewMAC(*a.MAC, layout, p.Keys, p.Sessions)
	}
	if err != nil || a.Hidden == nil {
		return auth, err
	}
	return secure.NewHidden(*a.Hidden, layout, p.Keys, auth)
}

// build returns the Envelope of one direction, nil for none.
func (e *Envelope) build(sender, receiver string, reply bool, p Parts) (protocol.Envelope, error) {
	switch {
	case e.Seal != nil:
		return secure.NewSeal(*e.Seal, p.Keys, sender)
	case e.Session != nil:
		return secure.NewSession(*e.Session, p.Keys, sender, receiver, p.Now)
	case e.Outer != nil:
		return e.outer(sender, receiver, reply, p)
	case e.Cipher != nil:
		return secure.NewCipher(*e.Cipher, p.Keys, receiver)
	}
	return nil, nil
}

func (e *Envelope) outer(sender, receiver string, reply bool, p Parts) (protocol.Envelope, error) {
	codec, answer, err := e.Outer.codecs()
	if err != nil {
		return nil, err
	}
	if reply {
		codec = answer
	}
	parts := secure.OuterParts{Codec: codec, Escaped: escapes(e.Outer.KV, reply), Cipher: *e.Cipher, Keys: p.Keys, Sender: sender, Receiver: receiver, Now: p.Now}
	for _, c := range e.Outer.Set {
		parts.Set = append(parts.Set, secure.Constant{Field: c.Key, Value: c.Val})
	}
	return secure.NewOuter(e.Outer.options(), parts)
}
