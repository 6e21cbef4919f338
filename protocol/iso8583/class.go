package iso8583

import "encoding/binary"

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
	for k == classANS && len(b) >= 8 && printable(binary.LittleEndian.Uint64(b)) {
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

// printable reports whether each of eight bytes is from 20 to 7E.
func printable(v uint64) bool {
	const each, high = 0x0101010101010101, 0x80 * 0x0101010101010101
	return (v|(v+each))&high == 0 && ((v|high)-0x20*each)&high == high
}
