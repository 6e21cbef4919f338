package gm

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
)

// NonceSize is the length in bytes of a GCM nonce.
const NonceSize = 12

// counterSize leaves a prefix of 56 random bits, so that a thousand sources
// under one key (every start of either end makes one) share a prefix with a
// chance below 1 in 10^10, and a counter that lasts 34 years at 1000 a second.
const counterSize = 5

// NonceSource gives the GCM nonces of one key and direction: a random prefix of
// seven bytes, then a strictly increasing counter of five (the deterministic
// construction of NIST SP 800-38D, section 8.2.1, with a random fixed field).
// It is safe for concurrent use.
type NonceSource struct {
	prefix [NonceSize - counterSize]byte
	used   atomic.Uint64
}

// ErrNonces is returned when a source has no nonce left: the key must change.
var ErrNonces = errors.New("gm: nonces are used up")

// NewNonceSource draws a prefix from the system's random source.
func NewNonceSource() (*NonceSource, error) {
	s := new(NonceSource)
	if _, err := rand.Read(s.prefix[:]); err != nil {
		return nil, fmt.Errorf("gm: nonces: %w", err)
	}
	return s, nil
}

// Next returns a nonce that no earlier call returned.
func (s *NonceSource) Next() ([NonceSize]byte, error) {
	n := s.used.Add(1) - 1
	if n >= 1<<(8*counterSize) {
		return [NonceSize]byte{}, ErrNonces
	}
	var out [NonceSize]byte
	binary.BigEndian.PutUint64(out[NonceSize-8:], n)
	copy(out[:], s.prefix[:])
	return out, nil
}
