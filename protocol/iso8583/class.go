package iso8583

import (
	"encoding/binary"

	"qianzhi/protocol/text"
)

// class is a set of characters, as one bit of classes.
type class uint8

// The classes of ISO 8583. The track class has all sixteen characters, and D
// for links that write the separator so.
const (
	classN class = 1 << iota
	classZ
	classA
	classAN
	classANS
)

var classNames = map[class]string{classN: "digits", classZ: "track characters", classA: "letters", classAN: "letters and digits",
	classANS: "printable characters"}

// classes tells the sets that each byte belongs to.
var classes = newClasses()

func newClasses() (t [256]class) {
	for c := range t {
		switch {
		case c >= '0' && c <= '9':
			t[c] = classN | classZ | classAN
		case c >= ':' && c <= '?':
			t[c] = classZ
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == ' ':
			t[c] = classA | classAN
		}
		if c == 'D' {
			t[c] |= classZ
		}
		if c >= ' ' && c < 0x7F {
			t[c] |= classANS
		}
	}
	return t
}

// holds reports whether every byte belongs to the class.
func (k class) holds(b []byte) bool {
	switch k {
	case classANS:
		return printable(b)
	case classN:
		return within(b, 6*each)
	case classZ:
		if within(b, 0) {
			return true
		}
	case classAN: // most are digits
		if within(b, 6*each) {
			return true
		}
	}
	all := k
	for _, c := range b {
		all &= classes[c]
	}
	return all != 0
}

// printable reports whether every byte is from 20 to 7E.
func printable(b []byte) bool {
	var bad uint64
	for len(b) > 16 {
		bad |= control(binary.LittleEndian.Uint64(b)) | control(binary.LittleEndian.Uint64(b[8:]))
		b = b[16:]
	}
	if len(b) >= 8 { // the last eight may be some of the first ones too
		bad |= control(binary.LittleEndian.Uint64(b)) | control(binary.LittleEndian.Uint64(b[len(b)-8:]))
		return bad&high == 0
	}
	all := classANS
	for _, c := range b {
		all &= classes[c]
	}
	return all != 0 && bad&high == 0
}

// within reports whether every byte is from 30 to 3F less the over of one byte.
func within(b []byte, over uint64) bool {
	var bad uint64
	for len(b) > 16 {
		v, w := binary.LittleEndian.Uint64(b)^'0'*each, binary.LittleEndian.Uint64(b[8:])^'0'*each
		bad |= v | (v + over) | w | (w + over)
		b = b[16:]
	}
	if len(b) >= 8 {
		v, w := binary.LittleEndian.Uint64(b)^'0'*each, binary.LittleEndian.Uint64(b[len(b)-8:])^'0'*each
		bad |= v | (v + over) | w | (w + over)
		b = nil
	}
	for _, c := range b {
		v := uint64(c ^ '0')
		bad |= v | (v + over&15)
	}
	return bad&(0xF0*each) == 0
}

// copyPrintable copies the n bytes that src begins with to dst, which goes on for
// text.Slack bytes behind them, and reports whether they are printable.
func copyPrintable(dst, src []byte, n int) bool {
	var bad uint64
	for n > 16 && len(src) > 16 && len(dst) > 16 {
		v, w := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		binary.LittleEndian.PutUint64(dst, v)
		binary.LittleEndian.PutUint64(dst[8:], w)
		bad |= control(v) | control(w)
		src, dst, n = src[16:], dst[16:], n-16
	}
	if n > 8 && len(src) > 8 && len(dst) > 8 {
		v := binary.LittleEndian.Uint64(src)
		binary.LittleEndian.PutUint64(dst, v)
		bad |= control(v)
		src, dst, n = src[8:], dst[8:], n-8
	}
	if n > 0 {
		if n > 8 || len(src) < n || len(dst) < 8 {
			return false
		}
		v := text.Word(src)
		binary.LittleEndian.PutUint64(dst, v)
		ours := ^uint64(0) >> ((64 - 8*uint(n)) & 63)
		bad |= control(v&ours | blanks&^ours)
	}
	return bad&high == 0
}

// copyWithin is copyPrintable for bytes from 30 to 3F less the over of one byte.
func copyWithin(dst, src []byte, n int, over uint64) bool {
	var bad uint64
	for n > 16 && len(src) > 16 && len(dst) > 16 {
		v, w := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
		binary.LittleEndian.PutUint64(dst, v)
		binary.LittleEndian.PutUint64(dst[8:], w)
		v, w = v^'0'*each, w^'0'*each
		bad |= v | (v + over) | w | (w + over)
		src, dst, n = src[16:], dst[16:], n-16
	}
	if n > 8 && len(src) > 8 && len(dst) > 8 {
		v := binary.LittleEndian.Uint64(src)
		binary.LittleEndian.PutUint64(dst, v)
		v ^= '0' * each
		bad |= v | (v + over)
		src, dst, n = src[8:], dst[8:], n-8
	}
	if n > 0 {
		if n > 8 || len(src) < n || len(dst) < 8 {
			return false
		}
		v := text.Word(src)
		binary.LittleEndian.PutUint64(dst, v)
		v = (v ^ '0'*each) & (^uint64(0) >> ((64 - 8*uint(n)) & 63))
		bad |= v | (v + over)
	}
	return bad&(0xF0*each) == 0
}

// plain reports whether b has no control character; what else it holds is for
// the charset to say.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7F {
			return false
		}
	}
	return true
}

// over tells within and its like how far the class goes, or for classes with
// more what most of their values are within.
func (k class) over() uint64 {
	if k == classZ {
		return 0
	}
	return 6 * each
}

// each has a one in every byte, high the high bit.
const each, high = 0x0101010101010101, 0x80 * 0x0101010101010101

// control sets the high bit of each byte of v that is not from 20 to 7E, and
// other bits; it may do so for a byte behind such a one too.
func control(v uint64) uint64 {
	return v | (v + each) | ^(v<<1 | v<<2)
}
