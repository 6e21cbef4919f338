package text

import (
	"encoding/binary"
	"math/bits"
)

// Set is an alphabet whose characters are written two to a byte.
type Set struct {
	name  string
	pairs [256]uint16 // byte to two characters, the first in the low half
	half  [256]byte   // character to nibble
	over  uint64      // in each byte, what carries a nibble outside the alphabet into the high half
	tens  uint64      // the highest bit of each nibble, where ten and above are not in the alphabet
}

// each has a one in every byte.
const each = 0x0101010101010101

// foreign marks what is not in the alphabet, in both tables: no character of
// an alphabet has the high bit and no nibble the high half.
const (
	foreignPair = 0x8080
	foreignHalf = 0x80
)

// Decimal returns the alphabet of BCD: the digits 0 to 9.
func Decimal() *Set { return &decimal }

// Track returns the alphabet of magnetic tracks, 30 to 3F: a nibble of D is
// the separator '='. Tracks that are encrypted use all sixteen.
func Track() *Set { return &track }

var (
	decimal = newSet("digits", 10)
	track   = newSet("track characters", 16)
)

func newSet(name string, size int) Set {
	s := Set{name: name, over: uint64(16-size) * each}
	if size == 10 {
		s.tens = 0x88 * each
	}
	for c := range s.half {
		s.half[c] = foreignHalf
	}
	for n := range size {
		s.half['0'+n] = byte(n)
	}
	for b := range s.pairs {
		s.pairs[b] = foreignPair
		if hi, lo := b>>4, b&15; hi < size && lo < size {
			s.pairs[b] = uint16('0'+hi) | uint16('0'+lo)<<8
		}
	}
	return s
}

// String names the characters of the alphabet.
func (s *Set) String() string { return s.name }

// AppendPacked appends an even number of characters two to a byte. It reports
// false, with dst as it was, when one is not in the alphabet. chars may stand
// behind dst in its own memory: writing stays behind reading.
func (s *Set) AppendPacked(dst, chars []byte) ([]byte, bool) {
	at := len(dst)
	var bad byte
	for len(chars) >= 8 {
		v := binary.LittleEndian.Uint64(chars) ^ '0'*each
		if (v|(v+s.over))&(0xF0*each) != 0 {
			return dst[:at], false
		}
		dst = binary.LittleEndian.AppendUint32(dst, squeeze(v))
		chars = chars[8:]
	}
	for len(chars) >= 2 {
		hi, lo := s.half[chars[0]], s.half[chars[1]]
		bad |= hi | lo
		dst = append(dst, hi<<4|lo)
		chars = chars[2:]
	}
	if bad&foreignHalf != 0 || len(chars) != 0 {
		return dst[:at], false
	}
	return dst, true
}

// ReadPacked appends the two characters of each byte of packed. It reports
// false, with dst as it was, when a nibble is not in the alphabet.
func (s *Set) ReadPacked(dst, packed []byte) ([]byte, bool) {
	at := len(dst)
	for len(packed) >= 4 {
		v := spread(binary.LittleEndian.Uint32(packed))
		if (v+s.over)&foreign != 0 {
			return dst[:at], false
		}
		dst = binary.LittleEndian.AppendUint64(dst, v)
		packed = packed[4:]
	}
	var bad uint16
	for _, b := range packed {
		p := s.pairs[b]
		bad |= p
		dst = append(dst, byte(p), byte(p>>8))
	}
	if bad&foreignPair != 0 {
		return dst[:at], false
	}
	return dst, true
}

// Slack is how much room Unpack and Pack need behind what they write, in bytes.
const Slack = 16

// Unpack writes the n characters that packed begins with to dst, which goes on
// for Slack bytes behind them. It reports whether all are there and in the
// alphabet.
func (s *Set) Unpack(dst, packed []byte, n int) bool {
	var bad uint64
	for n >= 16 && len(packed) >= 8 && len(dst) >= 16 {
		v := binary.LittleEndian.Uint64(packed)
		bad |= v & (v<<1 | v<<2)
		binary.LittleEndian.PutUint64(dst, spread(uint32(v)))
		binary.LittleEndian.PutUint64(dst[8:], spread(uint32(v>>32)))
		packed, dst, n = packed[8:], dst[16:], n-16
	}
	if n > 0 {
		if n >= 16 || len(dst) < 16 {
			return false
		}
		v, odd := Word(packed), uint(n)&1
		binary.LittleEndian.PutUint64(dst, spread(uint32(v)))
		if n > 8 {
			binary.LittleEndian.PutUint64(dst[8:], spread(uint32(v>>32)))
		}
		v &^= 15 * uint64(odd) << (4 * (uint(n) - 1) & 63) // what is behind the last one does not count
		v <<= (64 - 4*(uint(n)+odd)) & 63
		bad |= v & (v<<1 | v<<2)
	}
	return bad&s.tens == 0
}

// Pack writes the n characters that chars begins with two to a byte to dst,
// which goes on for Slack bytes behind them. The free nibble of an odd number
// is 0. It reports whether all are there and in the alphabet.
func (s *Set) Pack(dst, chars []byte, n int) bool {
	bad, over := uint64(0), s.over
	for n >= 16 && len(chars) >= 16 && len(dst) >= 8 {
		v, w := binary.LittleEndian.Uint64(chars)^'0'*each, binary.LittleEndian.Uint64(chars[8:])^'0'*each
		bad |= v | (v + over) | w | (w + over)
		binary.LittleEndian.PutUint64(dst, uint64(squeeze(v))|uint64(squeeze(w))<<32)
		chars, dst, n = chars[16:], dst[8:], n-16
	}
	if n == 0 {
		return bad&(0xF0*each) == 0
	}
	if n >= 16 || len(chars) < n || len(dst) < 8 {
		return false
	}
	v, w := Word(chars)^'0'*each, uint64(0)
	if n > 8 {
		w = (Word(chars[8:]) ^ '0'*each) & (1<<(8*uint(n-8)&63) - 1)
	} else if n < 8 {
		v &= 1<<(8*uint(n)&63) - 1
	}
	bad |= v | (v + over) | w | (w + over)
	binary.LittleEndian.PutUint64(dst, uint64(squeeze(v))|uint64(squeeze(w))<<32)
	return bad&(0xF0*each) == 0
}

// spread returns the eight characters of four bytes, the first one the lowest.
func spread(packed uint32) uint64 {
	v := uint64(packed)
	v = (v | v<<16) & 0x0000FFFF0000FFFF
	v = (v | v<<8) & 0x00FF00FF00FF00FF
	return (v>>4|v<<8)&(0x0F*each) | '0'*each
}

// squeeze packs eight nibbles that stand in a byte each.
func squeeze(v uint64) uint32 {
	v = (v<<4 | v>>8) & 0x00FF00FF00FF00FF
	v = (v | v>>8) & 0x0000FFFF0000FFFF
	return uint32(v | v>>16)
}

// foreign has the bit that a character from 30 to 3F gets when the over of an
// alphabet is added to one that is not in it.
const foreign = 0x40 * each

// Word returns the eight bytes that b begins with, the first one as the lowest
// and zeros where b is shorter.
func Word(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return lastWord(b)
}

func lastWord(b []byte) (v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}

// Odd says where an odd number of characters leaves a nibble free, and what
// fills it.
type Odd struct {
	Right bool // characters end at the last nibble, the first one is free
	Pad   byte // 0 to 15
}

// AppendBCD appends characters two to a byte; an odd one is padded as o says.
// It reports false, with dst as it was, when one is not in the alphabet.
func (s *Set) AppendBCD(dst, chars []byte, o Odd) ([]byte, bool) {
	n := len(chars)
	if n&1 == 0 {
		return s.AppendPacked(dst, chars)
	}
	at, alone := len(dst), chars[n-1]
	if o.Right {
		alone, chars = chars[0], chars[1:]
		dst = append(dst, o.Pad<<4|s.half[alone]&15)
	} else {
		chars = chars[:n-1]
	}
	dst, ok := s.AppendPacked(dst, chars)
	if !o.Right {
		dst = append(dst, s.half[alone]<<4|o.Pad)
	}
	if !ok || s.half[alone] == foreignHalf {
		return dst[:at], false
	}
	return dst, true
}

// ReadBCD appends n characters from the (n+1)/2 bytes of packed and returns
// the nibble that an odd n leaves free, which is o.Pad for an even one. It
// reports false, with dst as it was, when a nibble is not in the alphabet.
func (s *Set) ReadBCD(dst, packed []byte, n int, o Odd) (chars []byte, pad byte, ok bool) {
	if n&1 == 0 {
		chars, ok = s.ReadPacked(dst, packed)
		return chars, o.Pad, ok
	}
	at, last := len(dst), len(packed)-1
	if o.Right {
		p := s.pairs[packed[0]&15]
		dst = append(dst, byte(p>>8))
		dst, ok = s.ReadPacked(dst, packed[1:])
		if !ok || p&foreignPair != 0 {
			return dst[:at], 0, false
		}
		return dst, packed[0] >> 4, true
	}
	dst, ok = s.ReadPacked(dst, packed[:last])
	p := s.pairs[packed[last]>>4]
	if !ok || p&foreignPair != 0 {
		return dst[:at], 0, false
	}
	return append(dst, byte(p>>8)), packed[last] & 15, true
}

// AppendHex appends v as sixteen hex digits in upper case.
func AppendHex(dst []byte, v uint64) []byte {
	for _, half := range [2]uint32{uint32(v >> 32), uint32(v)} {
		dst = binary.LittleEndian.AppendUint64(dst, hexDigits(spread(bits.ReverseBytes32(half))^'0'*each))
	}
	return dst
}

// hexDigits writes eight nibbles that stand in a byte each.
func hexDigits(n uint64) uint64 { return n + '0'*each + ('A'-'9'-1)*((n+6*each)>>4&each) }

// ReadHex reads the sixteen hex digits that b is. It reports false for
// anything else, also for digits in lower case, which would not be written
// back.
func ReadHex(b []byte) (v uint64, ok bool) {
	for ok = len(b) == 16; ok && len(b) > 0; b = b[8:] {
		word := binary.LittleEndian.Uint64(b)
		n := word&(0x0F*each) + 9*(word>>6&each)
		v, ok = v<<32|uint64(bits.ReverseBytes32(squeeze(n))), n&(0xF0*each) == 0 && hexDigits(n) == word
	}
	return v, ok
}
