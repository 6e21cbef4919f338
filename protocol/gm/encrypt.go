package gm

import (
	"bytes"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

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
func (p *PrivateKey) Decrypt(der []byte) ([]byte, error) {
	return guarded(ErrDecrypt, func() ([]byte, error) {
		flat, err := flatten(der)
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

// flatten checks all that can be checked without the private key and returns
// 04||C1||C3||C2.
func flatten(der []byte) ([]byte, error) {
	var c ciphertext
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		return nil, ErrDecrypt
	}
	again, err := asn1.Marshal(c)
	if err != nil || !bytes.Equal(again, der) {
		return nil, ErrDecrypt
	}
	if len(c.Hash) != 32 || len(c.Text) == 0 || !fast.P256().IsOnCurve(c.X, c.Y) {
		return nil, ErrDecrypt
	}
	out := make([]byte, 1+2*coordinate, 1+2*coordinate+len(c.Hash)+len(c.Text))
	out[0] = 4
	c.X.FillBytes(out[1 : 1+coordinate])
	c.Y.FillBytes(out[1+coordinate:])
	return append(append(out, c.Hash...), c.Text...), nil
}
