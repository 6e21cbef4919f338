package secure

import (
	"crypto/cipher"
	"errors"
	"fmt"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// SealOptions wrap the whole body: an SM2 signature of the sender behind it,
// the two encrypted with SM4-GCM. On the wire: nonce 12, ciphertext, tag 16.
type SealOptions struct {
	Key    string `yaml:"key"`     // role of the shared SM4 key
	UserID string `yaml:"user_id"` // user id of the signature; GM/T 0009: 1234567812345678
}

// Check reports the first setting that cannot work.
func (o *SealOptions) Check() error {
	if o.Key == "" || o.UserID == "" {
		return errors.New("key and user_id are needed")
	}
	return nil
}

// Seal is an Envelope for one direction of a link. It is safe for concurrent
// use.
type Seal struct {
	id     []byte
	aead   cipher.AEAD
	nonces *gm.NonceSource
	sign   *gm.PrivateKey  // nil at the end that only opens
	verify []*gm.PublicKey // the present one first
	aad    []byte
}

// NewSeal builds the Envelope of the direction signed by role. The direction
// is part of what is authenticated: a request never opens as a reply.
func NewSeal(o SealOptions, keys Keys, role string) (*Seal, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	key, err := keys.SM4(o.Key)
	if err != nil {
		return nil, err
	}
	pub, err := keys.believed(role)
	if err != nil {
		return nil, err
	}
	aead, err := gm.NewGCM(key)
	if err != nil {
		return nil, err
	}
	nonces, err := gm.NewNonceSource()
	if err != nil {
		return nil, err
	}
	priv, _ := keys.Private(role)
	return &Seal{id: []byte(o.UserID), aead: aead, nonces: nonces, sign: priv, verify: pub, aad: []byte("qianzhi/1 " + role)}, nil
}

const (
	nonceSize = 12
	rawSize   = 64
)

// Open decrypts the body, checks the signature and appends the inner body.
func (s *Seal) Open(dst []byte, f *protocol.Frame) ([]byte, error) {
	if len(f.Body) < nonceSize+16+rawSize {
		return nil, authError("a sealed body", fmt.Sprintf("%d bytes", len(f.Body)), "")
	}
	plain, err := s.aead.Open(nil, f.Body[:nonceSize], f.Body[nonceSize:], s.aad)
	if err != nil {
		return nil, authError("a body sealed under the shared key", "one that does not open", "check the key and the direction")
	}
	body, sig := plain[:len(plain)-rawSize], plain[len(plain)-rawSize:]
	if err := anyOf(s.verify, func(k *gm.PublicKey) error { return k.VerifyRaw(s.id, body, sig) }); err != nil {
		return nil, authError("a valid SM2 signature", "one that does not verify", "check the sender's key and user id")
	}
	return append(dst, body...), nil
}

// Seal signs and encrypts the body and appends the result.
func (s *Seal) Seal(dst []byte, f *protocol.Frame) ([]byte, error) {
	if s.sign == nil {
		return nil, errors.New("no private key for this direction")
	}
	sig, err := s.sign.SignRaw(s.id, f.Body)
	if err != nil {
		return nil, err
	}
	nonce, err := s.nonces.Next()
	if err != nil {
		return nil, err
	}
	plain := make([]byte, 0, len(f.Body)+rawSize)
	plain = append(append(plain, f.Body...), sig...)
	dst = append(dst, nonce[:]...)
	return s.aead.Seal(dst, nonce[:], plain, s.aad), nil
}
