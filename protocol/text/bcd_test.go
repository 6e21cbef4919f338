package text

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestUint(t *testing.T) {
	for _, tc := range []struct {
		v     uint64
		width int
		want  string
		ok    bool
	}{{0, 0, "", true}, {0, 1, "0", true}, {7, 3, "007", true}, {999, 3, "999", true}, {1000, 3, "", false}, {1, 0, "", false},
		{1<<64 - 1, 20, "18446744073709551615", true}} {
		got, ok := AppendUint([]byte("x"), tc.v, tc.width)
		if string(got) != "x"+tc.want || ok != tc.ok {
			t.Errorf("AppendUint(%d, %d): got %q, %t", tc.v, tc.width, got, ok)
		}
	}
	for s, want := range map[string]bool{"": false, "0": true, "+1": false, "-1": false, " 1": false, "1 ": false, "１": false,
		"9999999999999999999": true, "00000000000000000001": false} {
		if _, ok := ReadUint([]byte(s)); ok != want {
			t.Errorf("ReadUint(%q): got %t", s, ok)
		}
	}
	if !IsDigits([]byte("0123456789")) || IsDigits([]byte("12/4")) || IsDigits([]byte("12:4")) {
		t.Error("IsDigits")
	}
}

func TestBinary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size, little := rapid.IntRange(1, 8).Draw(t, "size"), rapid.Bool().Draw(t, "little")
		v := rapid.Uint64().Draw(t, "v")
		b, ok := AppendBinary(nil, v, size, little)
		if fits := size == 8 || v>>(8*size) == 0; ok != fits {
			t.Fatalf("got %t, want %t", ok, fits)
		}
		if got, read := ReadBinary(b, little); ok && (!read || got != v || len(b) != size) {
			t.Fatalf("got %d, %t from %X", got, read, b)
		}
	})
	if b, _ := AppendBinary(nil, 0x0102, 4, false); !bytes.Equal(b, []byte{0, 0, 1, 2}) {
		t.Errorf("got %X", b)
	}
	if _, ok := ReadBinary(make([]byte, 9), false); ok {
		t.Error("nine bytes were read")
	}
}

func TestBCD(t *testing.T) {
	for _, tc := range []struct {
		set   *Set
		odd   Odd
		chars string
		want  []byte
	}{
		{Decimal(), Odd{}, "1234", []byte{0x12, 0x34}},
		{Decimal(), Odd{}, "123", []byte{0x12, 0x30}},
		{Decimal(), Odd{Pad: 15}, "123", []byte{0x12, 0x3F}},
		{Decimal(), Odd{Right: true}, "123", []byte{0x01, 0x23}},
		{Decimal(), Odd{Right: true, Pad: 15}, "1", []byte{0xF1}},
		{Decimal(), Odd{}, "", nil},
		{Decimal(), Odd{}, "12345678901234567", []byte{0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0x70}},
		{Track(), Odd{}, "62250=4912", []byte{0x62, 0x25, 0x0D, 0x49, 0x12}},
	} {
		got, ok := tc.set.AppendBCD([]byte{9}, []byte(tc.chars), tc.odd)
		if !ok || !bytes.Equal(got[1:], tc.want) {
			t.Errorf("%q: got %X, %t, want %X", tc.chars, got, ok, tc.want)
		}
		back, pad, ok := tc.set.ReadBCD([]byte("x"), tc.want, len(tc.chars), tc.odd)
		if !ok || string(back) != "x"+tc.chars || pad != tc.odd.Pad {
			t.Errorf("%X: got %q, %X, %t", tc.want, back, pad, ok)
		}
	}
}

// Each nibble and each character is judged, in the eights that are packed
// together as well as in what remains.
func TestBCDIsStrict(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8, 9, 16, 17, 21} {
		for at := range n {
			for c := range 256 {
				chars := bytes.Repeat([]byte("5"), n)
				chars[at] = byte(c)
				for _, o := range []Odd{{}, {Right: true}} {
					if got, ok := Decimal().AppendBCD(nil, chars, o); ok != IsDigits(chars) || !ok && len(got) != 0 {
						t.Fatalf("digits %q %+v: got %X, %t", chars, o, got, ok)
					}
					if _, ok := Track().AppendBCD(nil, chars, o); ok != (c >= '0' && c <= '?') {
						t.Fatalf("track %q %+v: got %t", chars, o, ok)
					}
				}
			}
		}
	}
	for size := 1; size < 11; size++ {
		for at := range size {
			for c := range 256 {
				packed := bytes.Repeat([]byte{0x55}, size)
				packed[at] = byte(c)
				want := c>>4 < 10 && c&15 < 10
				got, ok := Decimal().ReadPacked([]byte("x"), packed)
				if ok != want || !ok && string(got) != "x" {
					t.Fatalf("%X: got %q, %t", packed, got, ok)
				}
				for _, o := range []Odd{{}, {Right: true}} {
					free := o.Right && at == 0 || !o.Right && at == size-1
					used := c >> 4
					if o.Right {
						used = c & 15
					}
					if _, _, ok := Decimal().ReadBCD(nil, packed, 2*size-1, o); ok != want && (!free || ok != (used < 10)) {
						t.Fatalf("%X %+v: got %t", packed, o, ok)
					}
				}
			}
		}
	}
}

// Packing in place, behind what is being read, gives the same bytes.
func TestBCDInPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chars := rapid.SliceOfN(rapid.ByteRange('0', '?'), 0, 40).Draw(t, "chars")
		o := Odd{Right: rapid.Bool().Draw(t, "right"), Pad: rapid.ByteRange(0, 15).Draw(t, "pad")}
		want, ok := Track().AppendBCD([]byte("head"), chars, o)
		buf := append([]byte("head"), chars...)
		got, same := Track().AppendBCD(buf[:4], buf[4:], o)
		if ok != same || !bytes.Equal(got, want) {
			t.Fatalf("got %X, want %X", got, want)
		}
		back, pad, ok := Track().ReadBCD(nil, got[4:], len(chars), o)
		if !ok || !bytes.Equal(back, chars) || pad != o.Pad {
			t.Fatalf("got %q, %X, %t", back, pad, ok)
		}
	})
}

func TestHex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64().Draw(t, "v")
		b := AppendHex([]byte("x"), v)
		if want := fmt.Sprintf("x%016X", v); string(b) != want {
			t.Fatalf("got %s, want %s", b, want)
		}
		if got, ok := ReadHex(b[1:]); !ok || got != v {
			t.Fatalf("got %X, %t from %s", got, ok, b)
		}
		i, c := rapid.IntRange(1, 16).Draw(t, "i"), rapid.Byte().Draw(t, "c")
		b[i] = c
		if _, ok := ReadHex(b[1:]); ok != (c >= '0' && c <= '9' || c >= 'A' && c <= 'F') {
			t.Fatalf("got %t from %q", ok, b)
		}
	})
	if _, ok := ReadHex([]byte("0123456789ABCDE")); ok {
		t.Error("15 digits were read")
	}
}
