package secure

import (
	"errors"
	"slices"

	"qianzhi/protocol/gm"
)

// proof makes and checks the bytes of a signature or keyed digest.
type proof interface {
	size() int // of what make returns, in bytes; the most if it varies
	make(msg []byte) ([]byte, error)
	check(msg, sig []byte) error
}

func newProof(o *SignatureOptions, keys Keys, role string, secret []byte) (proof, error) {
	switch o.Algorithm {
	case "hmac-sm3":
		return hmacProof{gm.NewHMAC(secret)}, nil
	case "sm3":
		return digestProof{secret}, nil
	}
	pub, err := keys.believed(role)
	if err != nil {
		return nil, err
	}
	priv, _ := keys.Private(role)
	return sm2Proof{sign: priv, verify: pub, id: []byte(o.UserID), der: o.Format == "der"}, nil
}

// errProof says no more than that: which step failed is of no use to the
// sender.
var errProof = authError("a valid signature", "one that does not verify", "check key, user id, format and the order of the signed parts")

// sm2Proof is a signature with SM2 and SM3.
type sm2Proof struct {
	sign   *gm.PrivateKey  // nil at the end that only checks
	verify []*gm.PublicKey // the present one first
	id     []byte
	der    bool
}

func (p sm2Proof) size() int {
	if p.der {
		return gm.RawSize + 8
	}
	return gm.RawSize
}

func (p sm2Proof) make(msg []byte) ([]byte, error) {
	switch {
	case p.sign == nil:
		return nil, errors.New("no private key for this direction")
	case p.der:
		return p.sign.Sign(p.id, msg)
	}
	return p.sign.SignRaw(p.id, msg)
}

func (p sm2Proof) check(msg, sig []byte) error {
	verify := (*gm.PublicKey).VerifyRaw
	if p.der {
		verify = (*gm.PublicKey).Verify
	}
	if err := anyOf(p.verify, func(k *gm.PublicKey) error { return verify(k, p.id, msg, sig) }); err != nil {
		return errProof
	}
	return nil
}

// hmacProof is HMAC-SM3 under a shared secret.
type hmacProof struct{ mac *gm.HMAC }

func (p hmacProof) size() int { return 32 }

func (p hmacProof) make(msg []byte) ([]byte, error) {
	sum := p.mac.Sum(msg)
	return sum[:], nil
}

func (p hmacProof) check(msg, sig []byte) error {
	if sum := p.mac.Sum(msg); !gm.EqualMAC(sum[:], sig) {
		return errProof
	}
	return nil
}

// digestProof is the SM3 of the message and a shared secret behind it, as some
// banks have it. A new link takes hmacProof.
type digestProof struct{ secret []byte }

func (p digestProof) size() int { return 32 }

func (p digestProof) make(msg []byte) ([]byte, error) {
	sum := gm.SumSM3(slices.Concat(msg, p.secret))
	return sum[:], nil
}

func (p digestProof) check(msg, sig []byte) error {
	if sum := gm.SumSM3(slices.Concat(msg, p.secret)); !gm.EqualMAC(sum[:], sig) {
		return errProof
	}
	return nil
}
