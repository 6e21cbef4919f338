package bench

import (
	"testing"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"
)

// lengths are those of the tables in sale.yaml and sale-ascii.yaml; kind is
// the kind of a BCD value: digits, digits of an odd number, or bytes.
var lengths = []struct {
	n, length, prefix int
	kind              byte
}{
	{2, 19, 2, 'n'}, {3, 6, 0, 'n'}, {4, 12, 0, 'n'}, {11, 6, 0, 'n'}, {12, 6, 0, 'n'}, {13, 4, 0, 'n'}, {22, 3, 0, 'o'}, {25, 2, 0, 'n'},
	{35, 37, 2, 'o'}, {37, 12, 0, 'a'}, {41, 8, 0, 'a'}, {42, 15, 0, 'a'}, {48, 512, 3, 'a'}, {49, 3, 0, 'a'}, {60, 17, 3, 'o'},
	{62, 999, 3, 'b'}, {64, 8, 0, 'b'},
}

// peer writes the same table for moov-io.
func peer(ascii bool) *iso8583.MessageSpec {
	text, digits, odd, all := encoding.ASCII, encoding.Encoder(encoding.BCD), encoding.Encoder(encoding.LBCD), prefix.BCD
	bitmap := field.Spec{Length: 8, Enc: encoding.Binary, Pref: prefix.Binary.Fixed}
	if ascii {
		digits, odd, all = text, text, prefix.ASCII
		bitmap = field.Spec{Length: 8, Enc: encoding.BytesToASCIIHex, Pref: prefix.Hex.Fixed}
	}
	s := &iso8583.MessageSpec{Fields: map[int]field.Field{
		0: field.NewString(&field.Spec{Length: 4, Enc: digits, Pref: all.Fixed}),
		1: field.NewBitmap(&bitmap),
	}}
	for _, l := range lengths {
		spec := &field.Spec{Length: l.length, Enc: text, Pref: map[int]prefix.Prefixer{0: all.Fixed, 2: all.LL, 3: all.LLL}[l.prefix]}
		switch l.kind {
		case 'n':
			spec.Enc = digits
		case 'o':
			spec.Enc = odd
		case 'b':
			if !ascii {
				spec.Enc = encoding.Binary
				s.Fields[l.n] = field.NewBinary(spec)
				continue
			}
		}
		s.Fields[l.n] = field.NewString(spec)
	}
	return s
}

// filled is a message of the peer with all fields set.
func filled(tb testing.TB, s *iso8583.MessageSpec) *iso8583.Message {
	tb.Helper()
	m := iso8583.NewMessage(s)
	set(tb, m)
	return m
}

func set(tb testing.TB, m *iso8583.Message) {
	m.MTI("0200")
	for i := range fields {
		if err := m.Field(fields[i].n, fields[i].val); err != nil {
			tb.Fatal(err)
		}
	}
}
