package secure

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// SignatureOptions place an SM2 signature beside the body, in head values.
type SignatureOptions struct {
	Signed   []string      `yaml:"signed"`   // what is signed, in order, joined by line feeds; each one of timestamp, nonce, path, body
	Format   string        `yaml:"format"`   // one of raw (64 bytes), der
	Encoding string        `yaml:"encoding"` // one of base64, hex
	UserID   string        `yaml:"user_id"`  // user id of the signature; GM/T 0009: 1234567812345678
	Window   time.Duration `yaml:"window"`   // how far the sender's clock may be off
	Nonces   int           `yaml:"nonces"`   // once-only values remembered within the window
}

// Check reports the first setting that cannot work.
func (o *SignatureOptions) Check() error {
	for _, p := range o.Signed {
		if !slices.Contains([]string{"timestamp", "nonce", "path", "body"}, p) {
			return fmt.Errorf("signed: unknown part %q", p)
		}
	}
	switch {
	case !slices.Contains(o.Signed, "body"):
		return errors.New("signed: must contain body")
	case o.Format != "raw" && o.Format != "der":
		return fmt.Errorf("format: want raw or der, got %q", o.Format)
	case o.Encoding != "base64" && o.Encoding != "hex":
		return fmt.Errorf("encoding: want base64 or hex, got %q", o.Encoding)
	case o.UserID == "":
		return errors.New("user_id: missing; the usual one is " + gm.DefaultID)
	case o.Window <= 0 || o.Nonces <= 0:
		return errors.New("window and nonces must be positive")
	}
	return nil
}

// Signature is an Auth for one direction of a link. It is safe for concurrent
// use.
type Signature struct {
	o      SignatureOptions
	sign   *gm.PrivateKey // nil at the end that only checks
	verify *gm.PublicKey
	now    func() time.Time
	seen   nonces
}

// NewSignature builds the Auth of the direction signed by role.
func NewSignature(o SignatureOptions, keys Keys, role string, now func() time.Time) (*Signature, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	pub, err := keys.Public(role)
	if err != nil {
		return nil, err
	}
	priv, _ := keys.Private(role)
	return &Signature{o: o, sign: priv, verify: pub, now: now, seen: nonces{at: map[string]time.Time{}}}, nil
}

func authError(want, got, hint string) error {
	return &protocol.Error{Class: protocol.ClassAuth, Offset: -1, Want: want, Got: got, Hint: hint}
}

// Verify checks signature, time and nonce. A nonce seen before is
// protocol.ErrReplayed, but only of a message whose signature is right.
func (s *Signature) Verify(f protocol.Frame, _ *protocol.Record) error {
	at, err := strconv.ParseInt(f.Get(protocol.HeadTimestamp), 10, 64)
	if err != nil {
		return authError("a timestamp in milliseconds", "other text", "")
	}
	sig, err := s.decode(f.Get(protocol.HeadSignature))
	if err != nil {
		return err
	}
	msg := s.message(&f)
	if s.o.Format == "raw" {
		err = s.verify.VerifyRaw([]byte(s.o.UserID), msg, sig)
	} else {
		err = s.verify.Verify([]byte(s.o.UserID), msg, sig)
	}
	if err != nil {
		return authError("a valid SM2 signature", "one that does not verify", "check key, user id, format and the order of the signed parts")
	}
	now := s.now()
	if off := now.Sub(time.UnixMilli(at)); off > s.o.Window || off < -s.o.Window {
		return authError("a timestamp within "+s.o.Window.String(), "one off by "+off.Round(time.Second).String(), "check the sender's clock")
	}
	nonce := f.Get(protocol.HeadNonce)
	if len(nonce) < 8 || len(nonce) > 64 {
		return authError("a nonce of 8 to 64 characters", strconv.Itoa(len(nonce))+" characters", "")
	}
	return s.seen.check(nonce, now, s.o.Window, s.o.Nonces)
}

func (s *Signature) decode(text string) ([]byte, error) {
	var sig []byte
	var err error
	if s.o.Encoding == "hex" {
		sig, err = hex.DecodeString(text)
	} else {
		sig, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil || len(sig) == 0 || len(sig) > 80 {
		return nil, authError("a signature in "+s.o.Encoding, strconv.Itoa(len(text))+" characters", "")
	}
	return sig, nil
}

func (s *Signature) message(f *protocol.Frame) []byte {
	msg := make([]byte, 0, len(f.Body)+128)
	for i, p := range s.o.Signed {
		if i > 0 {
			msg = append(msg, '\n')
		}
		switch p {
		case "timestamp":
			msg = append(msg, f.Get(protocol.HeadTimestamp)...)
		case "nonce":
			msg = append(msg, f.Get(protocol.HeadNonce)...)
		case "path":
			msg = append(msg, f.Get(protocol.HeadPath)...)
		case "body":
			msg = append(msg, f.Body...)
		}
	}
	return msg
}

// Sign sets timestamp, nonce and signature and returns the body unchanged.
func (s *Signature) Sign(dst []byte, f *protocol.Frame, _ *protocol.Record) ([]byte, error) {
	if s.sign == nil {
		return nil, errors.New("no private key for this direction")
	}
	var nonce [12]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	f.Set(protocol.HeadTimestamp, strconv.FormatInt(s.now().UnixMilli(), 10))
	f.Set(protocol.HeadNonce, hex.EncodeToString(nonce[:]))
	msg := s.message(f)
	var sig []byte
	var err error
	if s.o.Format == "raw" {
		sig, err = s.sign.SignRaw([]byte(s.o.UserID), msg)
	} else {
		sig, err = s.sign.Sign([]byte(s.o.UserID), msg)
	}
	if err != nil {
		return nil, err
	}
	if s.o.Encoding == "hex" {
		f.Set(protocol.HeadSignature, hex.EncodeToString(sig))
	} else {
		f.Set(protocol.HeadSignature, base64.StdEncoding.EncodeToString(sig))
	}
	return append(dst, f.Body...), nil
}

// nonces remembers once-only values for the window in which their timestamps
// are accepted, which is twice the window wide.
type nonces struct {
	mu   sync.Mutex
	at   map[string]time.Time
	next time.Time // of the next sweep
}

func (n *nonces) check(nonce string, now time.Time, window time.Duration, limit int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.After(n.next) {
		for k, t := range n.at {
			if now.Sub(t) > 2*window {
				delete(n.at, k)
			}
		}
		n.next = now.Add(window / 4)
	}
	if _, ok := n.at[nonce]; ok {
		return protocol.ErrReplayed
	}
	if len(n.at) >= limit {
		return authError("fewer messages within the window", "the limit", "raise nonces or slow the sender down")
	}
	n.at[nonce] = now
	return nil
}
