package reconcile

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
	"unsafe"

	"qianzhi/gateway/pay"
)

// Slot is a field's place among the keys of a Hasher.
type Slot uint8

// The slots.
const (
	SlotSerial Slot = iota
	SlotKey
	SlotAccount
	SlotTerminal
	SlotDay
	SlotDirection
	SlotLink
	SlotAmount
	slots
)

// key is what one field is hashed with: two words for each of the two hashes.
type key struct{ x0, x1, y0, y1 uint64 }

// Hasher makes the fingerprints of one run. Its two 64-bit hashes are keyed
// apart, with keys that are drawn anew for each run, so that nobody can write
// a file whose differences cancel. A field's hash is folded multiplication of
// its bytes with the field's keys; a line's is the folded square of the sum of
// its fields, so that swapping fields between lines shows.
type Hasher struct {
	keys [slots]key
	seal key
}

// NewHasher draws the keys of a run.
func NewHasher() *Hasher {
	var b [(int(slots) + 1) * 32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	h := new(Hasher)
	at := 0
	word := func() uint64 {
		v := binary.LittleEndian.Uint64(b[at:])
		at += 8
		return v | 1
	}
	for i := range h.keys {
		h.keys[i] = key{word(), word(), word(), word()}
	}
	h.seal = key{word(), word(), word(), word()}
	return h
}

// spread takes a length apart over all bits of a key: texts of different
// lengths share bytes, not keys.
const spread = 0x9E3779B97F4A7C15

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Text hashes a field's bytes.
func (h *Hasher) Text(s Slot, b []byte) (x, y uint64) {
	k := &h.keys[s]
	n := len(b)
	var lo, hi uint64
	switch {
	case n > 32:
		return h.long(k, b)
	case n > 16:
		m := uint64(n) * spread
		x, y = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		x, y = fold(x^k.x0, y^(k.x1+m)), fold(x^k.y0, y^(k.y1+m))
		lo, hi = binary.LittleEndian.Uint64(b[n-16:]), binary.LittleEndian.Uint64(b[n-8:])
		return fold(lo^x, hi^k.y0), fold(lo^y, hi^k.x0)
	case n >= 8:
		lo, hi = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		lo, hi = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		lo = uint64(b[0])<<16 | uint64(b[n/2])<<8 | uint64(b[n-1])
	}
	m := uint64(n) * spread
	return fold(lo^k.x0, hi^(k.x1+m)), fold(lo^k.y0, hi^(k.y1+m))
}

func (h *Hasher) long(k *key, b []byte) (x, y uint64) {
	n := len(b)
	m := uint64(n) * spread
	x, y = k.x1+m, k.y1+m
	for len(b) > 16 {
		lo, hi := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		x, y = fold(lo^k.x0, hi^x), fold(lo^k.y0, hi^y)
		b = b[16:]
	}
	if len(b) >= 8 {
		lo, hi := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[len(b)-8:])
		return fold(lo^k.y1^k.x0, hi^x), fold(lo^k.x1^k.y0, hi^y)
	}
	var last [8]byte
	copy(last[:], b)
	lo := binary.LittleEndian.Uint64(last[:])
	return fold(lo^k.y1^k.x0, x^k.x1), fold(lo^k.x1^k.y0, y^k.y1)
}

// Number hashes a field's value.
func (h *Hasher) Number(s Slot, v uint64) (x, y uint64) {
	k := &h.keys[s]
	return fold(v^k.x0, v^k.x1), fold(v^k.y0, v^k.y1)
}

// Seal makes the line's fingerprints of the sums of its fields'.
func (h *Hasher) Seal(x, y uint64) (uint64, uint64) {
	return fold(x^h.seal.x0, bits.RotateLeft64(x, 32)^h.seal.x1), fold(y^h.seal.y0, bits.RotateLeft64(y, 32)^h.seal.y1)
}

// bytesOf looks at a text without copying it; nobody writes to the slice.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// Keys begins a line's prints with its join keys. It reports whether the line
// takes part in any comparison.
func (s *Scan) Keys(p *Print, serial, key string) bool {
	return s.KeyBytes(p, bytesOf(serial), bytesOf(key))
}

// KeyBytes is Keys for who has bytes.
func (s *Scan) KeyBytes(p *Print, serial, key []byte) bool {
	for _, i := range s.on {
		q := &p.Pair[i]
		switch on := s.rules[i].On; {
		case on == HasSerial && len(serial) > 0:
			q.X, q.Y = s.Hash.Text(SlotSerial, serial)
		case on == HasKey && len(key) > 0:
			q.X, q.Y = s.Hash.Text(SlotKey, key)
		default:
			*q = Pair{}
			continue
		}
		q.Key = q.X | 1
	}
	return len(s.on) > 0
}

// Compared adds what is compared beside the keys and seals the prints. A text
// that enters no comparison may be nil.
func (s *Scan) Compared(p *Print, account, terminal, link []byte, day pay.Day) {
	if s.apart {
		s.comparedApart(p, account, terminal, link, day)
		return
	}
	x, y := s.money(p)
	if s.all&HasAccount != 0 {
		u, v := s.Hash.Text(SlotAccount, account)
		x, y = x+u, y+v
	}
	if s.all&HasTerminal != 0 {
		u, v := s.Hash.Text(SlotTerminal, terminal)
		x, y = x+u, y+v
	}
	if s.all&HasLink != 0 {
		u, v := s.Hash.Text(SlotLink, link)
		x, y = x+u, y+v
	}
	if s.all&HasDay != 0 {
		u, v := s.Hash.Number(SlotDay, uint64(day))
		x, y = x+u, y+v
	}
	s.seal(p, x, y)
}

func (s *Scan) comparedApart(p *Print, account, terminal, link []byte, day pay.Day) {
	x, y := s.Hash.Text(SlotAccount, account)
	s.add(p, HasAccount, x, y)
	x, y = s.Hash.Text(SlotTerminal, terminal)
	s.add(p, HasTerminal, x, y)
	x, y = s.Hash.Text(SlotLink, link)
	s.add(p, HasLink, x, y)
	x, y = s.Hash.Number(SlotDay, uint64(day))
	s.add(p, HasDay, x, y)
	x, y = s.money(p)
	s.seal(p, x, y)
}

// add adds a field's hash to the comparisons that it enters.
func (s *Scan) add(p *Print, f Fields, x, y uint64) {
	for _, i := range s.on {
		if s.rules[i].Fields&f != 0 {
			p.Pair[i].X += x
			p.Pair[i].Y += y
		}
	}
}

// money hashes amount and direction.
func (s *Scan) money(p *Print) (x, y uint64) {
	x, y = s.Hash.Number(SlotAmount, uint64(p.Amount))
	if p.Out {
		u, v := s.Hash.Number(SlotDirection, 1)
		x, y = x+u, y+v
	}
	return x, y
}

func (s *Scan) seal(p *Print, x, y uint64) {
	for _, i := range s.on {
		q := &p.Pair[i]
		q.X, q.Y = s.Hash.Seal(q.X+x, q.Y+y)
	}
}

// rest finishes the prints of a line in memory.
func (s *Scan) rest(p *Print, l *Line) {
	s.Compared(p, bytesOf(l.Account), bytesOf(l.Terminal), bytesOf(l.Link), l.Day)
}
