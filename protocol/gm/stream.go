package gm

import (
	"encoding/asn1"
	"io"
	"math/big"
)

// SumReader returns the SM3 of everything that r gives.
func SumReader(r io.Reader) (sum [32]byte, err error) {
	h := NewSM3()
	if _, err := io.Copy(h, r); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}

// digestReader is digest of everything that r gives.
func (p *PublicKey) digestReader(id []byte, r io.Reader) ([]byte, error) {
	z, err := p.z(id)
	if err != nil {
		return nil, err
	}
	h := NewSM3()
	h.Write(z[:])
	if _, err := io.Copy(h, r); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// SignReader is Sign for a message that is read as it goes, of any length.
func (p *PrivateKey) SignReader(id []byte, r io.Reader) ([]byte, error) {
	e, err := p.public.digestReader(id, r)
	if err != nil {
		return nil, err
	}
	sig, err := p.signDigest(e)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(sig)
}

// VerifyReader is Verify for a message that is read as it goes. Nothing of the
// message is to be believed before it returns nil. Errors of r come back as
// they are.
func (p *PublicKey) VerifyReader(id []byte, r io.Reader, sig []byte) error {
	rs, err := decodeSignature(sig)
	if err != nil {
		return err
	}
	e, err := p.digestReader(id, r)
	if err != nil {
		return err
	}
	return p.verifyDigest(e, rs)
}

// RawSignature turns the DER of a signature into r||s of RawSize bytes.
func RawSignature(der []byte) ([]byte, error) {
	sig, err := decodeSignature(der)
	if err != nil {
		return nil, err
	}
	if !inOrder(sig.R) || !inOrder(sig.S) {
		return nil, ErrSignature
	}
	out := make([]byte, RawSize)
	sig.R.FillBytes(out[:coordinate])
	sig.S.FillBytes(out[coordinate:])
	return out, nil
}

// DERSignature turns r||s of RawSize bytes into DER.
func DERSignature(raw []byte) ([]byte, error) {
	if len(raw) != RawSize {
		return nil, ErrSignature
	}
	return asn1.Marshal(signature{R: new(big.Int).SetBytes(raw[:coordinate]), S: new(big.Int).SetBytes(raw[coordinate:])})
}
