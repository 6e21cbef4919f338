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
	for k == classANS && len(b) >= 8 && k.misses(binary.LittleEndian.Uint64(b)) == 0 {
		b = b[8:]
	}
	all := k
	for _, c := range b {
		all &= classes[c]
	}
	return all != 0
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

// copy copies n characters to the beginning of dst, which has text.Slack bytes
// more than that; src begins with them and may go on. It reports whether all
// belong to the class, sometimes false for a track that has a D.
func (k class) copy(dst, src []byte, n int) bool {
	var bad uint64
	for ; n > 8 && len(src) >= 8 && len(dst) >= 8; n -= 8 {
		v := binary.LittleEndian.Uint64(src)
		if k == classANS {
			bad |= control(v)
		} else {
			bad |= k.misses(v)
		}
		binary.LittleEndian.PutUint64(dst, v)
		dst, src = dst[8:], src[8:]
	}
	v := text.Word(src)
	binary.LittleEndian.PutUint64(dst, v)
	mask := uint64(1)<<(8*uint(n)) - 1
	if k == classANS {
		return bad|control(v)&mask == 0
	}
	return bad|k.misses(v)&mask == 0
}

// each has a one in every byte, high the high bit.
const each, high = 0x0101010101010101, 0x80 * 0x0101010101010101

// control marks which of eight bytes are not from 20 to 7E.
func control(v uint64) uint64 {
	return (v | (v&^high + each) | ^((v | high) - ' '*each)) & high
}

// misses marks which of eight bytes do not belong to the class.
func (k class) misses(v uint64) uint64 {
	low := v &^ high
	var has uint64
	switch k {
	case classANS:
		return control(v)
	case classN:
		has = within(low, '0', '9')
	case classZ:
		has = within(low, '0', '?')
	case classAN:
		has = within(low, '0', '9') | within(low|' '*each, 'a', 'z') | within(low, ' ', ' ')
	default:
		has = within(low|' '*each, 'a', 'z') | within(low, ' ', ' ')
	}
	return (v | ^has) & high
}

// within sets the high bit of each byte of v, all below 80, that is from lo to
// hi.
func within(v uint64, lo, hi uint64) uint64 {
	return (v + (0x80-lo)*each) &^ (v + (0x7F-hi)*each)
}
