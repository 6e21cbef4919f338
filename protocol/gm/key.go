package gm

import (
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"sync/atomic"

	fast "github.com/emmansun/gmsm/sm2"
	tjfoc "github.com/tjfoc/gmsm/sm2"
)

// DefaultID is the user id of GM/T 0009, for parties that agreed on no other.
// No function of this package assumes it.
const DefaultID = "1234567812345678"

// coordinate is the width in bytes of a coordinate, a private key, r and s.
const coordinate = 32

// Curve names an implementation of the SM2 curve.
type Curve string

// The implementations of the curve. Both give the same results.
const (
	Assembly Curve = "asm"    // emmansun/gmsm; what keys use unless told otherwise
	Native   Curve = "native" // tjfoc/gmsm, 10 to 20 times slower
)

func (c Curve) arithmetic() (elliptic.Curve, error) {
	switch c {
	case Assembly:
		return fast.P256(), nil
	case Native:
		return tjfoc.P256Sm2(), nil
	}
	return nil, fmt.Errorf("gm: curve: want %s or %s, got %q", Assembly, Native, string(c))
}

// PublicKey is an SM2 public key: a point known to lie on the curve.
type PublicKey struct {
	key   tjfoc.PublicKey
	usual [32]byte                // Z of DefaultID
	other atomic.Pointer[userSum] // Z of the other id used last
}

// userSum is Z of GB/T 32918.2, section 5.5: the SM3 of user id, curve and key.
type userSum struct {
	id string
	z  [32]byte
}

// newPublicKey is the only maker of public keys; x and y may be nil.
func newPublicKey(x, y *big.Int, c elliptic.Curve) (*PublicKey, error) {
	tjfoc.P256Sm2() // ZA reads a variable that this call sets
	if x == nil || y == nil || !fast.P256().IsOnCurve(x, y) {
		return nil, errors.New("gm: public key is not a point of the SM2 curve")
	}
	p := &PublicKey{key: tjfoc.PublicKey{Curve: c, X: x, Y: y}}
	z, err := tjfoc.ZA(&p.key, []byte(DefaultID))
	if err != nil {
		return nil, err
	}
	p.usual = [32]byte(z)
	return p, nil
}

// On returns the key on the named implementation of the curve.
func (p *PublicKey) On(c Curve) (*PublicKey, error) {
	arithmetic, err := c.arithmetic()
	if err != nil {
		return nil, err
	}
	return newPublicKey(p.key.X, p.key.Y, arithmetic)
}

// point is the key as 04||X||Y, 65 bytes.
func (p *PublicKey) point() []byte {
	b := make([]byte, 1+2*coordinate)
	b[0] = 4
	p.key.X.FillBytes(b[1 : 1+coordinate])
	p.key.Y.FillBytes(b[1+coordinate:])
	return b
}

// z returns Z for the user id. An empty id is a user id like any other.
func (p *PublicKey) z(id []byte) ([32]byte, error) {
	if string(id) == DefaultID {
		return p.usual, nil
	}
	if last := p.other.Load(); last != nil && last.id == string(id) {
		return last.z, nil
	}
	z, err := tjfoc.ZA(&p.key, id)
	if err != nil {
		return [32]byte{}, fmt.Errorf("gm: user id of %d bytes: want fewer than 8192", len(id))
	}
	next := &userSum{id: string(id), z: [32]byte(z)}
	p.other.Store(next)
	return next.z, nil
}

// digest returns e of GB/T 32918.2: SM3(Z || msg).
func (p *PublicKey) digest(id, msg []byte) ([]byte, error) {
	z, err := p.z(id)
	if err != nil {
		return nil, err
	}
	h := NewSM3()
	h.Write(z[:])
	h.Write(msg)
	return h.Sum(nil), nil
}

// PrivateKey is an SM2 private key in [1, n-2] with its public key. It prints
// as its kind only.
type PrivateKey struct {
	key    tjfoc.PrivateKey
	hedged *fast.PrivateKey // the same key, for signatures with an empty id
	public *PublicKey
}

var errPrivateKey = errors.New("gm: private key is not in [1, n-2]")

// newPrivateKey is the only maker of private keys.
func newPrivateKey(d *big.Int, c elliptic.Curve) (*PrivateKey, error) {
	if d.Sign() <= 0 || d.BitLen() > 8*coordinate {
		return nil, errPrivateKey
	}
	hedged, err := fast.NewPrivateKeyFromInt(d)
	if err != nil {
		return nil, errPrivateKey
	}
	public, err := newPublicKey(hedged.X, hedged.Y, c)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{key: tjfoc.PrivateKey{PublicKey: public.key, D: d}, hedged: hedged, public: public}, nil
}

// GenerateKey makes a key from the system's random source.
func GenerateKey() (*PrivateKey, error) {
	k, err := tjfoc.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("gm: %w", err)
	}
	return newPrivateKey(k.D, fast.P256())
}

// On returns the key on the named implementation of the curve.
func (p *PrivateKey) On(c Curve) (*PrivateKey, error) {
	arithmetic, err := c.arithmetic()
	if err != nil {
		return nil, err
	}
	return newPrivateKey(p.key.D, arithmetic)
}

// Public returns the public half, the same one at every call.
func (p *PrivateKey) Public() *PublicKey { return p.public }

// Format writes the kind of the key, whatever the verb: a key never reaches a
// log.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "SM2 private key") }
