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

// RawSize is the length in bytes of a signature in the form r||s.
const RawSize = 2 * coordinate

// maxSignature is the longest DER of two 256-bit integers.
const maxSignature = 2 + 2*(2+1+coordinate)

// ErrSignature is returned, alone or wrapped, for a signature that does not
// verify, whatever the reason.
var ErrSignature = errors.New("gm: signature does not verify")

// signature is SM2Signature of GM/T 0009.
type signature struct{ R, S *big.Int }

// decodeSignature accepts DER only: what was read, written again, must give
// the same bytes, so a signature has one encoding and no bytes behind it.
func decodeSignature(der []byte) (signature, error) {
	var sig signature
	if len(der) <= maxSignature {
		if _, err := asn1.Unmarshal(der, &sig); err == nil {
			if again, err := asn1.Marshal(sig); err == nil && bytes.Equal(again, der) {
				return sig, nil
			}
		}
	}
	return signature{}, fmt.Errorf("%w: %d bytes are not the DER of two integers", ErrSignature, len(der))
}

// Sign signs msg for the user id with SM3 (GB/T 32918.2) and returns the DER of
// r and s, at most 72 bytes. The id is taken as it is, an empty one too.
func (p *PrivateKey) Sign(id, msg []byte) ([]byte, error) {
	sig, err := p.sign(id, msg)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(sig)
}

// SignRaw is Sign with the signature as r||s of RawSize bytes.
func (p *PrivateKey) SignRaw(id, msg []byte) ([]byte, error) {
	sig, err := p.sign(id, msg)
	if err != nil {
		return nil, err
	}
	out := make([]byte, RawSize)
	sig.R.FillBytes(out[:coordinate])
	sig.S.FillBytes(out[coordinate:])
	return out, nil
}

// sign takes the one library for all ids but the empty one, which that library
// would replace with the default, and the other for the empty one.
func (p *PrivateKey) sign(id, msg []byte) (signature, error) {
	if len(id) > 0 {
		r, s, err := tjfoc.Sm2Sign(&p.key, msg, id, rand.Reader)
		if err != nil {
			return signature{}, fmt.Errorf("gm: signing for a user id of %d bytes: %w", len(id), err)
		}
		return signature{R: r, S: s}, nil
	}
	e, err := p.public.digest(nil, msg)
	if err != nil {
		return signature{}, err
	}
	return p.signDigest(e)
}

func (p *PrivateKey) signDigest(e []byte) (signature, error) {
	der, err := fast.SignASN1(rand.Reader, p.hedged, e, nil)
	if err != nil {
		return signature{}, fmt.Errorf("gm: signing: %w", err)
	}
	return decodeSignature(der)
}

// Verify checks a signature in DER. The error is or wraps ErrSignature, unless
// the id is too long to be one.
func (p *PublicKey) Verify(id, msg, sig []byte) error {
	rs, err := decodeSignature(sig)
	if err != nil {
		return err
	}
	return p.verify(id, msg, rs)
}

// VerifyRaw is Verify for the form r||s of RawSize bytes.
func (p *PublicKey) VerifyRaw(id, msg, sig []byte) error {
	if len(sig) != RawSize {
		return fmt.Errorf("%w: want %d bytes, got %d", ErrSignature, RawSize, len(sig))
	}
	r, s := new(big.Int).SetBytes(sig[:coordinate]), new(big.Int).SetBytes(sig[coordinate:])
	return p.verify(id, msg, signature{R: r, S: s})
}

func (p *PublicKey) verify(id, msg []byte, sig signature) error {
	e, err := p.digest(id, msg)
	if err != nil {
		return err
	}
	return p.verifyDigest(e, sig)
}

func (p *PublicKey) verifyDigest(e []byte, sig signature) error {
	if !inOrder(sig.R) || !inOrder(sig.S) {
		return fmt.Errorf("%w: r or s is not in [1, n-1]", ErrSignature)
	}
	good, err := guarded(ErrSignature, func() (bool, error) { return verifies(&p.key, e, sig), nil })
	if err != nil || !good {
		return ErrSignature
	}
	return nil
}

// combiner is a curve that computes [a]G + [b](x, y) at once.
type combiner interface {
	CombinedMult(x, y *big.Int, a, b []byte) (*big.Int, *big.Int)
}

// verifies is steps B5 to B7 of GB/T 32918.2, section 7.1, for r and s in
// [1, n-1]. The library would compute the two points one by one, at a quarter
// more.
func verifies(key *tjfoc.PublicKey, e []byte, sig signature) bool {
	c, ok := key.Curve.(combiner)
	if !ok {
		return tjfoc.Verify(key, e, sig.R, sig.S)
	}
	n := key.Curve.Params().N
	t := new(big.Int).Add(sig.R, sig.S)
	if t.Mod(t, n).Sign() == 0 {
		return false
	}
	x, y := c.CombinedMult(key.X, key.Y, sig.S.Bytes(), t.Bytes())
	if x.Sign() == 0 && y.Sign() == 0 {
		return false
	}
	x.Add(x, new(big.Int).SetBytes(e))
	return x.Mod(x, n).Cmp(sig.R) == 0
}

// inOrder reports whether v is in [1, n-1].
func inOrder(v *big.Int) bool {
	return v.Sign() > 0 && v.Cmp(fast.P256().Params().N) < 0
}
