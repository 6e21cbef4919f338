package iso8583

import (
	"fmt"
	"slices"
)

// hexCase is how a link writes bytes as hex digits, and which digits it reads.
type hexCase struct {
	name   string
	digits string
	value  [256]byte // of a digit, 255 of what is none
}

const (
	upperDigits = "0123456789ABCDEF"
	lowerDigits = "0123456789abcdef"
)

// The cases of hex digits.
var (
	upperHex = newCase("upper-case hex", upperDigits, upperDigits)
	lowerHex = newCase("lower-case hex", lowerDigits, lowerDigits)
	anyHex   = newCase("hex", upperDigits, upperDigits+"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+lowerDigits[10:])
)

// newCase builds a case that writes digits and reads those of readable, whose
// places tell their values modulo 16; zeros are none.
func newCase(name, digits, readable string) *hexCase {
	h := &hexCase{name: name, digits: digits}
	for c := range h.value {
		h.value[c] = 255
	}
	for n := range len(readable) {
		if readable[n] != 0 {
			h.value[readable[n]] = byte(n % 16)
		}
	}
	return h
}

// parseCase finds the case that a link file names.
func parseCase(s string) (*hexCase, error) {
	i := slices.Index([]string{"", "upper", "lower", "any"}, s)
	if i < 0 {
		return nil, fmt.Errorf("hex: want upper, lower or any, got %q", s)
	}
	return []*hexCase{upperHex, upperHex, lowerHex, anyHex}[i], nil
}

// String names the digits for errors.
func (h *hexCase) String() string { return h.name }

// read reads the bytes that src has in hex. It reports false unless src is
// digits of the case, two for each byte of dst.
func (h *hexCase) read(dst, src []byte) bool {
	var bad byte
	for i := 0; i < len(dst) && 2*i+1 < len(src); i++ {
		hi, lo := h.value[src[2*i]], h.value[src[2*i+1]]
		bad |= hi | lo
		dst[i] = hi<<4 | lo&15
	}
	return bad < 16 && len(src) == 2*len(dst)
}

// append appends b in hex.
func (h *hexCase) append(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, h.digits[c>>4], h.digits[c&15])
	}
	return dst
}
