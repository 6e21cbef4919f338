package gm

import (
	"bytes"
	"crypto/hmac"
	"hash"
	"sync"

	"github.com/emmansun/gmsm/sm3"
)

// NewSM3 returns a new SM3 (GB/T 32905), 32 bytes. It serves one goroutine.
func NewSM3() hash.Hash { return sm3.New() }

// SumSM3 returns the SM3 of data.
func SumSM3(data []byte) [32]byte { return sm3.Sum(data) }

// HMACSM3 returns HMAC-SM3 (GB/T 15852.2, RFC 2104) of the parts of data one
// after another. Whoever has the key for longer uses HMAC.
func HMACSM3(key []byte, data ...[]byte) [32]byte { return NewHMAC(key).Sum(data...) }

// HMAC computes HMAC-SM3 under one key. It is safe for concurrent use.
type HMAC struct{ states sync.Pool }

type hmacState struct {
	hash.Hash
	sum [32]byte
}

// NewHMAC prepares the key, which is copied. Its length is the caller's care;
// 32 bytes are right.
func NewHMAC(key []byte) *HMAC {
	key = bytes.Clone(key)
	return &HMAC{states: sync.Pool{New: func() any { return &hmacState{Hash: hmac.New(sm3.New, key)} }}}
}

// Sum returns the code of the parts of data one after another. The parts are
// not told apart: where that matters, their lengths belong into them.
func (h *HMAC) Sum(data ...[]byte) [32]byte {
	s := h.states.Get().(*hmacState)
	defer h.states.Put(s)
	s.Reset()
	for _, d := range data {
		s.Write(d)
	}
	s.Hash.Sum(s.sum[:0])
	return s.sum
}
