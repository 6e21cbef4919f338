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
	for k == classANS && len(b) >= 8 && control(binary.LittleEndian.Uint64(b))&high == 0 {
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

// each has a one in every byte, high the high bit.
const each, high = 0x0101010101010101, 0x80 * 0x0101010101010101

// copy copies the n characters at from in src to at in dst, which goes on for
// text.Slack bytes behind them. It reports whether all belong to the class,
// which is not classA.
func (k class) copy(dst []byte, at int, src []byte, from, n int) bool {
	var bad uint64
	for ; n >= 8; n -= 8 {
		v := binary.LittleEndian.Uint64(src[from : from+8])
		binary.LittleEndian.PutUint64(dst[at:at+8], v)
		if k == classANS {
			bad |= control(v)
		} else if !digits(v) {
			bad |= k.misses(v)
		}
		from, at = from+8, at+8
	}
	if n > 0 {
		v, behind := text.Word(src, from), (64-8*uint(n))&63 // bits behind the last one, which do not count
		binary.LittleEndian.PutUint64(dst[at:at+8], v)
		if v <<= behind; k == classANS {
			bad |= control(v) >> behind
		} else if !digits(v | '0'*each>>(64-behind)) {
			bad |= k.misses(v) >> behind
		}
	}
	return bad&high == 0
}

// digits reports whether eight bytes are digits, as most texts are that may be
// letters.
func digits(v uint64) bool {
	v ^= '0' * each
	return (v|(v+6*each))&(0xF0*each) == 0
}

// control sets the high bit of each byte of v that is not from 20 to 7E, and
// other bits; it may do so for a byte behind such a one too.
func control(v uint64) uint64 {
	return v | (v + each) | ^(v<<1 | v<<2)
}

// misses marks in the same way which bytes do not belong to the class.
func (k class) misses(v uint64) uint64 {
	low := v &^ high
	var has uint64
	switch k {
	case classANS:
		return control(v)
	case classN:
		has = within(low, '0', '9')
	case classZ:
		has = within(low, '0', '?') | within(low, 'D', 'D')
	case classAN:
		has = within(low, '0', '9') | within(low|' '*each, 'a', 'z') | within(low, ' ', ' ')
	default:
		has = within(low|' '*each, 'a', 'z') | within(low, ' ', ' ')
	}
	return v | ^has
}

// within sets the high bit of each byte of v, all below 80, that is from lo to
// hi.
func within(v uint64, lo, hi uint64) uint64 {
	return (v + (0x80-lo)*each) &^ (v + (0x7F-hi)*each)
}
