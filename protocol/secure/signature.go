package secure

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// SignatureOptions place a signature, or a digest with a shared secret, in head
// values beside the body or in a field of it.
type SignatureOptions struct {
	Algorithm string        `yaml:"algorithm"` // one of sm2 (default), hmac-sm3 (under the secret of secret), sm3 (of the signed text and the secret behind it)
	Signed    []string      `yaml:"signed"`    // what is signed, in order: timestamp, nonce, path; body (with blank in the place of a field); before (the body up to the field); pairs (fields as name=value, sorted); field:NAME (the value of one field, such as an encrypted body)
	Join      string        `yaml:"join"`      // between the signed parts: one of lf (default: a line feed), amp (&), none
	Pairs     PairsOptions  `yaml:"pairs"`     // signed: pairs
	Field     string        `yaml:"field"`     // field of the body that holds the signature; empty: the head value signature
	Blank     string        `yaml:"blank"`     // what is signed in the place of that field: an agreed text, zeros, or empty
	Secret    string        `yaml:"secret"`    // role of the shared secret: a text, or an SM4 key
	Format    string        `yaml:"format"`    // sm2: one of raw (64 bytes: r and s), der (only where the field has no length of its own)
	Encoding  string        `yaml:"encoding"`  // required: one of base64, hex (small digits), hex-upper
	UserID    string        `yaml:"user_id"`   // sm2: user id of the signature; GM/T 0009: 1234567812345678
	Timestamp string        `yaml:"timestamp"` // field of the body that holds the sender's time; empty: the head value timestamp, if window is set
	Nonce     string        `yaml:"nonce"`     // field of the body that holds the once-only value; empty: the head value nonce, if window is set
	Clock     string        `yaml:"clock"`     // how the time is written: one of ms (default: milliseconds since 1970), s (seconds), datetime (YYYYMMDDhhmmss)
	Window    time.Duration `yaml:"window"`    // how far the sender's clock may be off; 0: messages carry neither time nor nonce, and only their serials tell repeats
	Nonces    int           `yaml:"nonces"`    // once-only values remembered within the window
}

// PairsOptions say how fields are joined to a text: sorted by name in byte
// order, name=value, with & between them. Fields that are absent or empty are
// left out, and so is the signature itself.
type PairsOptions struct {
	Skip    []string `yaml:"skip"`     // fields that are not signed
	KeyName string   `yaml:"key_name"` // when set, &name=secret follows, with the secret of the signature
}

// Check reports the first setting that cannot work.
func (o *SignatureOptions) Check() error {
	for _, p := range o.Signed {
		if !slices.Contains([]string{"timestamp", "nonce", "path", "body", "before", "pairs"}, p) && !strings.HasPrefix(p, "field:") {
			return fmt.Errorf("signed: unknown part %q", p)
		}
	}
	sm2 := o.Algorithm == "" || o.Algorithm == "sm2"
	switch {
	case !o.covers():
		return errors.New("signed: must contain body, before, pairs or a field")
	case slices.Contains(o.Signed, "before") && o.Field == "":
		return errors.New("signed: before needs field")
	case !sm2 && o.Algorithm != "hmac-sm3" && o.Algorithm != "sm3":
		return fmt.Errorf("algorithm: want sm2, hmac-sm3 or sm3, got %q", o.Algorithm)
	case sm2 && o.Format != "raw" && o.Format != "der":
		return fmt.Errorf("format: want raw or der, got %q", o.Format)
	case sm2 && o.UserID == "":
		return errors.New("user_id: missing; the usual one is " + gm.DefaultID)
	case !sm2 && (o.Format != "" || o.UserID != ""):
		return errors.New("format: only for sm2, and so is user_id")
	case (o.Secret == "") != (sm2 && o.Pairs.KeyName == ""):
		return errors.New("secret: needed with hmac-sm3, sm3 and pairs.key_name, and only then")
	case !slices.Contains([]string{"", "lf", "amp", "none"}, o.Join):
		return fmt.Errorf("join: want lf, amp or none, got %q", o.Join)
	case !slices.Contains([]string{"", "ms", "s", "datetime"}, o.Clock):
		return fmt.Errorf("clock: want ms, s or datetime, got %q", o.Clock)
	}
	if err := encoding(o.Encoding).check(false); err != nil {
		return err
	}
	return o.checkFresh()
}

// covers reports whether anything of the body is signed.
func (o *SignatureOptions) covers() bool {
	return slices.ContainsFunc(o.Signed, func(p string) bool {
		return p == "body" || p == "before" || p == "pairs" || strings.HasPrefix(p, "field:")
	})
}

// checkFresh refuses a time or nonce that nobody looks at, and a window whose
// time and nonce are not signed.
func (o *SignatureOptions) checkFresh() error {
	for _, p := range []struct{ part, field string }{{"timestamp", o.Timestamp}, {"nonce", o.Nonce}} {
		part := slices.Contains(o.Signed, p.part)
		whole := p.field != "" && (slices.Contains(o.Signed, "body") || slices.Contains(o.Signed, "before") ||
			slices.Contains(o.Signed, "pairs") && !slices.Contains(o.Pairs.Skip, p.field))
		switch {
		case o.Window <= 0 && (part || p.field != ""):
			return errors.New("window and nonces must be positive where a timestamp and a nonce are signed")
		case o.Window > 0 && !part && !whole:
			return fmt.Errorf("signed: with a window %s must be signed", p.part)
		}
	}
	if (o.Window > 0) != (o.Nonces > 0) || o.Window < 0 {
		return errors.New("window and nonces go together and must be positive")
	}
	return nil
}

// Signature is an Auth for one direction of a link. It is safe for concurrent
// use.
type Signature struct {
	o      SignatureOptions
	proof  proof
	enc    encoding
	at     places
	now    func() time.Time
	seen   nonces
	secret []byte // of pairs.key_name
}

// NewSignature builds the Auth of the direction signed by role, for records of
// the layout.
func NewSignature(o SignatureOptions, l *protocol.Layout, keys Keys, role string, now func() time.Time) (*Signature, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Signature{o: o, enc: encoding(o.Encoding), now: now, seen: nonces{at: map[string]time.Time{}}}
	var err error
	if s.at, err = newPlaces(&o, l); err != nil {
		return nil, err
	}
	if o.Secret != "" {
		if s.secret, err = keys.Secret(o.Secret); err != nil {
			return nil, err
		}
	}
	s.proof, err = newProof(&o, keys, role, s.secret)
	return s, err
}

// Escaped makes the signature stand in the body with percent signs (RFC 3986)
// in the place of + / and =, as bodies of name=value pairs may want it. It is
// called before the first use.
func (s *Signature) Escaped() *Signature {
	s.at.signature.escaped = true
	return s
}

func authError(want, got, hint string) error {
	return &protocol.Error{Class: protocol.ClassAuth, Offset: -1, Want: want, Got: got, Hint: hint}
}

// Verify checks signature, time and nonce. A nonce seen before is
// protocol.ErrReplayed, but only of a message whose signature is right.
func (s *Signature) Verify(f protocol.Frame, rec *protocol.Record) error {
	sig, err := s.enc.decode([]byte(s.at.signature.get(&f, rec)))
	if err != nil {
		return err
	}
	if len(sig) == 0 || len(sig) > 80 {
		return authError("a signature in "+s.o.Encoding, strconv.Itoa(len(sig))+" bytes", "")
	}
	if err := s.proof.check(s.message(&f, rec), sig); err != nil {
		return err
	}
	if s.ambiguous(rec) {
		return authError("a signature that covers the fields as they are", "one that could be of other fields", "")
	}
	if s.o.Window == 0 {
		return nil
	}
	return s.fresh(&f, rec)
}

// fresh checks time and nonce of a message whose signature is right.
func (s *Signature) fresh(f *protocol.Frame, rec *protocol.Record) error {
	now := s.now()
	at, err := s.parseTime(s.at.timestamp.get(f, rec), now.Location())
	if err != nil {
		return authError("a timestamp", "other text", "clock says how it is written")
	}
	if off := now.Sub(at); off > s.o.Window || off < -s.o.Window {
		return authError("a timestamp within "+s.o.Window.String(), "one off by "+off.Round(time.Second).String(), "check the sender's clock")
	}
	nonce := s.at.nonce.get(f, rec)
	if len(nonce) < 8 || len(nonce) > 64 {
		return authError("a nonce of 8 to 64 characters", strconv.Itoa(len(nonce))+" characters", "")
	}
	return s.seen.check(nonce, now, s.o.Window, s.o.Nonces)
}

const dateTime = "20060102150405"

func (s *Signature) parseTime(text string, zone *time.Location) (time.Time, error) {
	if s.o.Clock == "datetime" {
		return time.ParseInLocation(dateTime, text, zone)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if s.o.Clock == "s" {
		return time.Unix(n, 0), err
	}
	return time.UnixMilli(n), err
}

func (s *Signature) formatTime(t time.Time) string {
	switch s.o.Clock {
	case "datetime":
		return t.Format(dateTime)
	case "s":
		return strconv.FormatInt(t.Unix(), 10)
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}

// Reserve puts time and nonce into the body, where they stand there, and makes
// room for the signature.
func (s *Signature) Reserve(rec *protocol.Record) {
	if s.o.Window > 0 {
		s.at.timestamp.reserve(rec, s.formatTime(s.now()))
		s.at.nonce.reserve(rec, newNonce())
	}
	s.at.signature.reserve(rec, strings.Repeat("0", s.enc.size(s.proof.size())))
}

// newNonce draws a once-only value of 24 hex digits. The system's random source
// does not fail.
func newNonce() string {
	var nonce [12]byte
	_, _ = rand.Read(nonce[:])
	return hex.EncodeToString(nonce[:])
}

// Sign sets time, nonce and signature beside the body, or the signature in the
// place that Reserve made, and appends the body to dst.
func (s *Signature) Sign(dst []byte, f *protocol.Frame, rec *protocol.Record) ([]byte, error) {
	if s.o.Window > 0 {
		s.at.timestamp.set(f, s.formatTime(s.now()))
		s.at.nonce.set(f, newNonce())
	}
	if s.ambiguous(rec) {
		return nil, authError("fields that can be signed", "a value that reads as several, or fields behind the signature", "")
	}
	raw, err := s.proof.make(s.message(f, rec))
	if err != nil {
		return nil, err
	}
	sig := s.enc.encode(make([]byte, 0, 160), raw)
	if !s.at.signature.inBody {
		s.at.signature.set(f, string(sig))
		return append(dst, f.Body...), nil
	}
	return s.at.signature.splice(dst, f.Body, rec, sig)
}
