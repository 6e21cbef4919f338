package bench

import (
	"bytes"
	"math/bits"
	"strconv"
	"testing"

	"github.com/moov-io/iso8583"

	"qianzhi/protocol"
)

// form is one way to write the message.
type form struct {
	name  string
	bytes []byte
	codec protocol.Codec
	spec  *iso8583.MessageSpec
}

func forms(tb testing.TB) []form {
	tb.Helper()
	bcd, ascii := message(tb)
	return []form{{"BCD", bcd, ours(tb, "sale.yaml"), peer(false)}, {"ASCII", ascii, ours(tb, "sale-ascii.yaml"), peer(true)}}
}

// TestSameBytes holds that both sides read all values of the same bytes and
// write the same bytes from them.
func TestSameBytes(t *testing.T) {
	for _, f := range forms(t) {
		var rec protocol.Record
		if err := f.codec.Index(protocol.Frame{Body: f.bytes}, &rec); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		out, err := f.codec.Append(nil, &rec)
		if err != nil || !bytes.Equal(out, f.bytes) {
			t.Fatalf("%s: wrote %X, %v\nwant  %X", f.name, out, err, f.bytes)
		}
		m := iso8583.NewMessage(f.spec)
		if err := m.Unpack(f.bytes); err != nil {
			t.Fatalf("%s: peer: %v", f.name, err)
		}
		for i := range fields {
			want := fields[i].val
			if got, err := m.GetBytes(fields[i].n); err != nil || string(got) != want {
				t.Errorf("%s: peer reads field %d as %q, %v; want %q", f.name, fields[i].n, got, err, want)
			}
			if got := value(&rec, fields[i].n); got != want {
				t.Errorf("%s: we read field %d as %q, want %q", f.name, fields[i].n, got, want)
			}
		}
		for what, m := range map[string]*iso8583.Message{"read": m, "set": filled(t, f.spec)} {
			if out, err := m.Pack(); err != nil || !bytes.Equal(out, f.bytes) {
				t.Errorf("%s: peer writes what was %s as %X, %v\nwant  %X", f.name, what, out, err, f.bytes)
			}
		}
	}
}

// value returns a field's value, of field 60 in BCD its parts together.
func value(rec *protocol.Record, n int) string {
	name, out := strconv.Itoa(n), ""
	for i, node := range rec.Nodes() {
		if got := rec.Layout().Fields[node.ID].Name; got == name || len(got) > len(name) && got[:len(name)+1] == name+"." {
			out += string(rec.Value(i))
		}
	}
	return out
}

func BenchmarkOursUnpack(b *testing.B) {
	for _, f := range forms(b) {
		b.Run(f.name, func(b *testing.B) {
			rec, frame := new(protocol.Record), protocol.Frame{Body: f.bytes}
			b.ReportAllocs()
			for b.Loop() {
				if err := f.codec.Index(frame, rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOursPack(b *testing.B) {
	for _, f := range forms(b) {
		b.Run(f.name, func(b *testing.B) {
			rec, out := new(protocol.Record), make([]byte, 0, 1024)
			if err := f.codec.Index(protocol.Frame{Body: f.bytes}, rec); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.codec.Append(out, rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPeerMoovUnpack(b *testing.B) {
	for _, f := range forms(b) {
		b.Run(f.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := iso8583.NewMessage(f.spec).Unpack(f.bytes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPeerMoovPack writes a message whose fields were set before: the
// peer's best case.
func BenchmarkPeerMoovPack(b *testing.B) {
	for _, f := range forms(b) {
		b.Run(f.name, func(b *testing.B) {
			m := filled(b, f.spec)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Pack(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPeerMoovSetPack sets the fields too, as our records are made anew
// for every reply.
func BenchmarkPeerMoovSetPack(b *testing.B) {
	for _, f := range forms(b) {
		b.Run(f.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := filled(b, f.spec).Pack(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFloor finds where each field of the BCD message stands, with every
// length checked: what any decoder has to do at the least.
func BenchmarkFloor(b *testing.B) {
	msg, _ := message(b)
	var at [65][2]uint16
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
