package iso8583

import "qianzhi/protocol/text"

// manner is how values stand on the wire and in the arena: the class of those
// that are the same in both, or one of the others.
type manner uint8

const (
	packedN    manner = 1 << (5 + iota) // digits two to a byte, the first one in the high half
	packedZ                             // the same with track characters
	packedR                             // digits two to a byte, the last one in the low half, the free nibble 0
	plainBytes manner = 0               // bytes
)

// read makes the n units that src begins with a value at dst, which goes on
// for text.Slack bytes behind it; pad is the free nibble of an odd number of
// digits. It reports whether all are there and of the manner.
func (m manner) read(dst, src []byte, n int, pad byte) bool {
	if m < packedN {
		return (m == plainBytes || class(m).holds(src[:n])) && copy(dst, src[:n]) == n
	}
	switch m {
	case packedR:
		if n&1 != 0 {
			c := src[0] // the free nibble is 0, and so is the first half
			if dst[0] = c + '0'; c > 9 {
				return false
			}
			dst, src = dst[1:], src[1:]
		}
		return text.Decimal().Unpack(dst, src, n&^1)
	case packedZ:
		return text.Track().Unpack(dst, src, n) && (n&1 == 0 || src[n/2]&15 == pad)
	}
	return text.Decimal().Unpack(dst, src, n) && (n&1 == 0 || src[n/2]&15 == pad)
}

// write is read the other way round.
func (m manner) write(dst, src []byte, n int, pad byte) bool {
	if m < packedN {
		return (m == plainBytes || class(m).holds(src[:n])) && copy(dst, src[:n]) == n
	}
	set := text.Decimal()
	switch m {
	case packedZ:
		set = text.Track()
	case packedR:
		if n&1 != 0 {
			if dst[0] = src[0] - '0'; dst[0] > 9 {
				return false
			}
			dst, src = dst[1:], src[1:]
		}
		n &^= 1
	}
	if !set.Pack(dst, src, n) {
		return false
	}
	if n&1 != 0 {
		dst[n/2] |= pad
	}
	return true
}

// set returns the alphabet of digits two to a byte that begin in the high half,
// nil for other manners.
func (m manner) set() *text.Set {
	switch m {
	case packedN:
		return text.Decimal()
	case packedZ:
		return text.Track()
	}
	return nil
}
