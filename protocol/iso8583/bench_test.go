package iso8583

import (
	"bytes"
	"encoding/hex"
	"math/bits"
	"strings"
	"sync"
	"testing"

	"qianzhi/protocol"
)

// bench0200 is a sale of 204 bytes: fields 2, 3, 4, 11, 12, 13, 22, 25, 35,
// 37, 41, 42, 48 (58 characters), 49, 60, 62, 64.
func bench0200(tb testing.TB) []byte {
	tb.Helper()
	parts := []string{
		"0200", "7038048028C18015",
		"16" + "6225000000000014", "000000", "000000012345", "000123", "101500", "1124", "0210", "00",
		"37" + strings.Repeat("6225000000000014", 2) + "123450",
		hex.EncodeToString([]byte("123456789012" + "60120001" + "301051249000001")),
		"0058" + hex.EncodeToString([]byte(strings.Repeat("0123456789 ", 6)[:58])),
		hex.EncodeToString([]byte("156")),
		"0013" + "22000001000500",
		"0028" + strings.Repeat("A5", 28),
		hex.EncodeToString([]byte("E5805ECB")),
	}
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil || len(b) != 204 {
		tb.Fatalf("benchmark message: %d bytes, %v", len(b), err)
	}
	return b
}

// benchSpec is the table of the message above, as a link file would have it.
func benchSpec() *Spec {
	n := func(name string, size int) Field { return Field{Name: name, Type: "n", Len: size, Mask: "public"} }
	return &Spec{Fields: []Field{
		{Name: "2", Type: "n", Var: "LL", Len: 19, AnyPad: true},
		n("3", 6), n("4", 12), n("11", 6), n("12", 6), n("13", 4),
		{Name: "22", Type: "n", Len: 3, Align: "left"}, n("25", 2),
		{Name: "35", Type: "z", Var: "LL", Len: 37, AnyPad: true},
		{Name: "37", Type: "an", Len: 12}, {Name: "41", Type: "ans", Len: 8}, {Name: "42", Type: "ans", Len: 15},
		{Name: "48", Type: "ans", Var: "LLL", Len: 512}, {Name: "49", Type: "an", Len: 3},
		{Name: "60", Type: "n", Var: "LLL", Len: 17, AnyPad: true, Parts: &Parts{Kind: "positional", Rest: true},
			Fields: []Field{n("1", 2), n("2", 6), n("3", 3), n("4", 1), n("5", 1), n("6", 1), n("7", 3)}},
		{Name: "62", Type: "b", Var: "LLL", Len: 999}, {Name: "64", Type: "b", Len: 8},
	}, Messages: []Message{{MTI: []string{"0200"}, Must: []int{3, 11, 41, 42}}}}
}

func BenchmarkDecode0200(b *testing.B) {
	msg, c, rec := bench0200(b), compiled(b, benchSpec()), new(protocol.Record)
	f := protocol.Frame{Body: msg}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Index(f, rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend0200(b *testing.B) {
	msg, c, rec := bench0200(b), compiled(b, benchSpec()), new(protocol.Record)
	if err := c.Index(protocol.Frame{Body: msg}, rec); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = c.Append(out[:0], rec); err != nil {
			b.Fatal(err)
		}
	}
	if string(out) != string(msg) {
		b.Fatalf("got %X, want %X", out, msg)
	}
}

// shapes are sales with notes of 1 to 200 characters: more than there is room
// for plans.
func shapes(tb testing.TB) (out [][]byte) {
	msg := bench0200(tb)
	at := bytes.Index(msg, []byte("0123456789 0123")) // of the note, whose length of 58 stands before
	for n := 1; n <= 200; n++ {
		b := append(bytes.Clone(msg[:at-2]), byte(n/100), toBCD[n%100])
		out = append(out, append(append(b, bytes.Repeat([]byte("x"), n)...), msg[at+58:]...))
	}
	return out
}

func BenchmarkDecodeShapes(b *testing.B) {
	c, rec, list := compiled(b, benchSpec()), new(protocol.Record), shapes(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := c.Index(protocol.Frame{Body: list[i%len(list)]}, rec); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendPut writes the sale from values that were put one by one, as
// a mapping does, and not from where reading left them.
func BenchmarkAppendPut(b *testing.B) {
	c, read, rec := compiled(b, benchSpec()), new(protocol.Record), new(protocol.Record)
	msg := bench0200(b)
	if err := c.Index(protocol.Frame{Body: msg}, read); err != nil {
		b.Fatal(err)
	}
	rec.Reset(c.Layout())
	for i, n := range read.Nodes() {
		rec.Put(n.ID, -1, read.Value(i))
	}
	out := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = c.Append(out[:0], rec); err != nil {
			b.Fatal(err)
		}
	}
	if string(out) != string(msg) {
		b.Fatalf("got %X, want %X", out, msg)
	}
}

// TestShapesTogether reads and writes many shapes from many goroutines: plans
// come and go under them.
func TestShapesTogether(t *testing.T) {
	c, list := compiled(t, benchSpec()), shapes(t)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			rec := new(protocol.Record)
			for i := range 2000 {
				msg := list[(i*7+g*50)%len(list)]
				if err := c.Index(protocol.Frame{Body: msg}, rec); err != nil {
					t.Error(err)
					return
				}
				if out, err := c.Append(nil, rec); err != nil || !bytes.Equal(out, msg) {
					t.Errorf("wrote %X, %v", out, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkFloor0200 finds only where each field of the same message stands,
// with every length checked: what any decoder has to do at the least.
func BenchmarkFloor0200(b *testing.B) {
	msg := bench0200(b)
	var at [65][2]uint16
	b.ReportAllocs()
	for b.Loop() {
		if !floor(msg, &at) {
			b.Fatal("floor refused the message")
		}
	}
}

// floorSizes are bytes of fixed fields, and -1 or -2 for fields with one or two
// bytes of length that counts digits, -3 for two bytes that count bytes.
var floorSizes = [65]int8{2: -1, 3: 3, 4: 6, 11: 3, 12: 3, 13: 2, 22: 2, 25: 1, 35: -1, 37: 12, 41: 8, 42: 15, 48: -3, 49: 3, 60: -2, 62: -3, 64: 8}

func floor(b []byte, at *[65][2]uint16) bool {
	if len(b) < 10 {
		return false
	}
	var m uint64
	for _, c := range b[2:10] {
		m = m<<8 | uint64(c)
	}
	pos := 10
	for m != 0 {
		n := bits.LeadingZeros64(m) + 1
		m &^= 1 << (64 - n)
		size := int(floorSizes[n])
		if size <= 0 {
			head := 1
			if size < -1 {
				head = 2
			}
			if size == 0 || len(b)-pos < head {
				return false
			}
			count := 0
			for _, c := range b[pos : pos+head] {
				count = count*100 + int(c>>4)*10 + int(c&15)
			}
			pos += head
			if size > -3 {
				count = (count + 1) / 2
			}
			size = count
		}
		if len(b)-pos < size {
			return false
		}
		at[n] = [2]uint16{uint16(pos), uint16(size)}
		pos += size
	}
	return pos == len(b)
}

// compiled compiles a description.
func compiled(tb testing.TB, s *Spec) protocol.Codec {
	tb.Helper()
	c, err := New(s)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}
