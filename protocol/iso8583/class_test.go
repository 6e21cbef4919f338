package iso8583

import (
	"bytes"
	"testing"
)

// Each byte is judged, in the eights that are looked at together as well as in
// what remains.
func TestClasses(t *testing.T) {
	for name, in := range map[class]func(byte) bool{
		classN:   func(c byte) bool { return c >= '0' && c <= '9' },
		classZ:   func(c byte) bool { return c >= '0' && c <= '?' || c == 'D' },
		classA:   func(c byte) bool { return c == ' ' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' },
		classAN:  func(c byte) bool { return classN.holds([]byte{c}) || classA.holds([]byte{c}) },
		classANS: func(c byte) bool { return c >= 0x20 && c <= 0x7E },
	} {
		if !name.holds(nil) {
			t.Errorf("%s: nothing is refused", classNames[name])
		}
		for c := range 256 {
			for _, size := range []int{1, 8, 9, 17} {
				for at := range size {
					b := bytes.Repeat([]byte("D"), size)
					if name == classN {
						b = bytes.Repeat([]byte("5"), size)
					}
					if b[at] = byte(c); name.holds(b) != in(byte(c)) {
						t.Fatalf("%s: byte %02X at %d of %d", classNames[name], c, at, size)
					}
				}
			}
		}
	}
}
