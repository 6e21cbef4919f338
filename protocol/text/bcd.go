package text

import "encoding/binary"

// Set is an alphabet whose characters are written two to a byte.
type Set struct {
	name  string
	pairs [256]uint16 // byte to two characters, the first in the low half
	half  [256]byte   // character to nibble
	over  uint64      // in each byte, what carries a nibble outside the alphabet into the high half
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
		v = (v<<4 | v>>8) & 0x00FF00FF00FF00FF
		v = (v | v>>8) & 0x0000FFFF0000FFFF
		dst = binary.LittleEndian.AppendUint32(dst, uint32(v|v>>16))
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
		v := uint64(binary.LittleEndian.Uint32(packed))
		v = (v | v<<16) & 0x0000FFFF0000FFFF
		v = (v | v<<8) & 0x00FF00FF00FF00FF
		v = (v>>4 | v<<8) & (0x0F * each)
		if (v+s.over)&(0xF0*each) != 0 {
			return dst[:at], false
		}
		dst = binary.LittleEndian.AppendUint64(dst, v|'0'*each)
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
