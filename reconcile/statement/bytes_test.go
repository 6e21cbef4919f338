package statement

import (
	"encoding/binary"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestEightBytes holds what looks at eight bytes together against what looks at
// one after another.
func TestEightBytes(t *testing.T) {
	edge := []byte{0x00, 0x1F, 0x20, 0x21, 0x2F, 0x30, 0x39, 0x3A, 0x7E, 0x7F, 0x80, 0x81, 0xA0, 0xA1, 0xFE, 0xFF}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(edge), rapid.ByteRange('0', '9'), rapid.ByteRange(0xA1, 0xFE), rapid.Byte()), 8, 8).Draw(t, "bytes")
		all := func(from, to byte) bool {
			for _, c := range b {
				if c < from || c > to {
					return false
				}
			}
			return true
		}
		v := binary.LittleEndian.Uint64(b)
		if got := plainWord(v); got != all(0x20, 0x7E) {
			t.Fatalf("plain %v: %X", got, b)
		}
		if got := hanzi(v); got != all(0xA1, 0xFE) {
			t.Fatalf("hanzi %v: %X", got, b)
		}
		for i := range b {
			if (b[i] < 0x20 || b[i] > 0x7E) && unplain(v)&(0x80<<(8*i)) == 0 {
				t.Fatalf("byte %d of %X is taken for plain", i, b)
			}
		}
		if _, ok := digits8(v); ok != all('0', '9') {
			t.Fatalf("digits %v: %X", ok, b)
		}
	})
}

func TestNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.ByteRange('0', '9'), 0, 17).Draw(t, "digits")
		if len(b) > 0 && rapid.Bool().Draw(t, "spoilt") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.SampledFrom([]byte{'/', ':', ' ', 0, 0xFF}).Draw(t, "with")
		}
		want, err := strconv.ParseUint(string(b), 10, 64)
		got, ok := number(b)
		if fits := err == nil && len(b) <= 15; ok != fits || ok && got != want {
			t.Fatalf("%q: %d %v, want %d %v", b, got, ok, want, err)
		}
	})
}
