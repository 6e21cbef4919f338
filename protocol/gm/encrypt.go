package gm

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	fast "github.com/emmansun/gmsm/sm2"
	tjfoc "github.com/tjfoc/gmsm/sm2"
)

// ErrDecrypt is returned for every ciphertext that cannot be decrypted. It
// never says why: the reason helps only an attacker.
var ErrDecrypt = errors.New("gm: ciphertext cannot be decrypted")

// ciphertext is SM2Cipher of GM/T 0009: C1 as two integers, C3, C2.
type ciphertext struct {
	X, Y *big.Int
	Hash []byte // SM3, 32 bytes
	Text []byte // as long as the plaintext
}

// Encrypt encrypts msg (GB/T 32918.4) and returns the DER of C1, C3, C2. SM2 is
// for keys and other short secrets: msg must not be empty and should be short.
func (p *PublicKey) Encrypt(msg []byte) ([]byte, error) {
	if len(msg) == 0 {
		return nil, errors.New("gm: encrypt: the message is empty")
	}
	out, err := tjfoc.EncryptAsn1(&p.key, msg, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("gm: encrypt: %w", err)
	}
	return out, nil
}

// Decrypt is the reverse of Encrypt. The only error is ErrDecrypt; there is no
// plaintext beside it.
func (p *PrivateKey) Decrypt(der []byte) ([]byte, error) { return p.DecryptAs(FormASN1, der) }

// CipherForm is how an SM2 ciphertext is written down.
type CipherForm string

// The forms of an SM2 ciphertext. C1 is a point, C3 the SM3 of 32 bytes, C2 as
// long as the plaintext. Those that are not DER begin with 04 before C1 unless
// they are bare; all but C1C2C3 are of the present standard.
const (
	FormASN1       CipherForm = "asn1"        // DER of GM/T 0009
	FormC1C3C2     CipherForm = "c1c3c2"      // GB/T 32918.4
	FormC1C2C3     CipherForm = "c1c2c3"      // before 2012
	FormBareC1C3C2 CipherForm = "bare-c1c3c2" // without the 04, as some libraries write it
	FormBareC1C2C3 CipherForm = "bare-c1c2c3"
)

// Known reports whether the form is one of those above.
func (c CipherForm) Known() bool {
	switch c {
	case FormASN1, FormC1C3C2, FormC1C2C3, FormBareC1C3C2, FormBareC1C2C3:
		return true
	}
	return false
}

// bare reports whether C1 has no 04 before it; old, whether C2 precedes C3.
func (c CipherForm) bare() bool { return c == FormBareC1C3C2 || c == FormBareC1C2C3 }
func (c CipherForm) old() bool  { return c == FormC1C2C3 || c == FormBareC1C2C3 }

// Overhead is how many bytes longer a ciphertext of the form is than its
// plaintext; 0 for ASN.1, whose length varies but can be read from its start.
func (c CipherForm) Overhead() int {
	switch {
	case c == FormASN1:
		return 0
	case c.bare():
		return 2*coordinate + digestSize
	}
	return 1 + 2*coordinate + digestSize
}

// digestSize is the length of an SM3 in bytes.
const digestSize = 32

// EncryptAs is Encrypt with the ciphertext in the named form.
func (p *PublicKey) EncryptAs(form CipherForm, msg []byte) ([]byte, error) {
	der, err := p.Encrypt(msg)
	if err != nil || form == FormASN1 {
		return der, err
	}
	if !form.Known() {
		return nil, fmt.Errorf("gm: encrypt: unknown form %q", string(form))
	}
	flat, err := flatten(der)
	if err != nil {
		return nil, err
	}
	c1, c3, c2 := flat[:1+2*coordinate], flat[1+2*coordinate:][:digestSize], flat[1+2*coordinate+digestSize:]
	if form.bare() {
		c1 = c1[1:]
	}
	if form.old() {
		c3, c2 = c2, c3
	}
	return slices.Concat(c1, c3, c2), nil
}

// DecryptAs is the reverse of EncryptAs, as strict as Decrypt is.
func (p *PrivateKey) DecryptAs(form CipherForm, sealed []byte) ([]byte, error) {
	return guarded(ErrDecrypt, func() ([]byte, error) {
		flat, err := form.flat(sealed)
		if err != nil {
			return nil, ErrDecrypt
		}
		plain, err := tjfoc.Decrypt(&p.key, flat, tjfoc.C1C3C2)
		if err != nil {
			return nil, ErrDecrypt // plain holds unproven bytes here
		}
		return plain, nil
	})
}

// flat checks all that can be checked without the private key and returns
// 04||C1||C3||C2.
func (c CipherForm) flat(sealed []byte) ([]byte, error) {
	if c == FormASN1 {
		return flatten(sealed)
	}
	n := len(sealed) - c.Overhead()
	if !c.Known() || n < 1 || !c.bare() && sealed[0] != 4 {
		return nil, ErrDecrypt
	}
	if !c.bare() {
		sealed = sealed[1:]
	}
	c1, c3, c2 := sealed[:2*coordinate], sealed[2*coordinate:][:digestSize], sealed[2*coordinate+digestSize:]
	if c.old() {
		c2, c3 = sealed[2*coordinate:][:n], sealed[2*coordinate+n:]
	}
	x, y := new(big.Int).SetBytes(c1[:coordinate]), new(big.Int).SetBytes(c1[coordinate:])
	return flattened(ciphertext{X: x, Y: y, Hash: c3, Text: c2})
}

// flatten is flat for DER.
func flatten(der []byte) ([]byte, error) {
	var c ciphertext
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		return nil, ErrDecrypt
	}
	again, err := asn1.Marshal(c)
	if err != nil || !bytes.Equal(again, der) {
		return nil, ErrDecrypt
	}
	return flattened(c)
}

func flattened(c ciphertext) ([]byte, error) {
	if len(c.Hash) != digestSize || len(c.Text) == 0 || c.X.Sign() < 0 || c.Y.Sign() < 0 || !fast.P256().IsOnCurve(c.X, c.Y) {
		return nil, ErrDecrypt
	}
	out := make([]byte, 1+2*coordinate, 1+2*coordinate+len(c.Hash)+len(c.Text))
	out[0] = 4
	c.X.FillBytes(out[1 : 1+coordinate])
	c.Y.FillBytes(out[1+coordinate:])
	return append(append(out, c.Hash...), c.Text...), nil
}
