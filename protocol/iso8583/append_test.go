package iso8583

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"qianzhi/protocol"
)

func unhexed(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// Values come from a mapping that does not know widths: numbers get zeros,
// texts blanks, and the order does not matter.
func TestAppendFromMapping(t *testing.T) {
	c := codecOf(t, "pos-cup")
	rec := record(c, "64", "12345678", "60.3", "0", "4", "30150", "41", "601", "MTI", "0200", "11", "128", "60.1", "22", "42", "301",
		"3", "0", "60.2", "1")
	got, err := c.Append([]byte("x"), rec)
	want := append([]byte("x"), unhexed("0200 3020000000C00011 000000 000000030150 000128"+
		hex.EncodeToString([]byte("601     301            "))+"0011 220000010000 3132333435363738")...)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\ngot  %X\nwant %X", err, got, want)
	}
	id, _ := c.Layout().Lookup("64")
	if n := rec.Nodes()[rec.Find(id)]; n.From != 53 || n.Size != 8 {
		t.Errorf("span of 64: got %d+%d, want 53+8", n.From, n.Size)
	}
}

// A host that knows no name still gets its address to the right place.
func TestMissingTextIsBlank(t *testing.T) {
	c := specOf(t, `{fields: [{name: "62", var: LL, len: 99, parts: {kind: positional}, fields: [{name: a, type: ans, len: 3}, {name: b, type: ans, len: 2}]}]}`)
	got, err := c.Append(nil, record(c, "MTI", "0210", "62.b", "x"))
	if want := unhexed("0210 0000000000000004 05 2020207820"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\ngot  %X\nwant %X", err, got, want)
	}
}

// What has no place on the wire is refused, never dropped.
func TestAppendRefuses(t *testing.T) {
	c := specOf(t, `
fields:
  - {name: "2", type: n, var: LL, len: 19, any_pad: true}
  - {name: "3", type: n, len: 6, mask: public}
  - {name: "4", type: x, len: 8}
  - {name: "5", type: n, var: L, len: 4, counts: bytes}
  - {name: "9", type: b, var: LL, len: 9}
  - {name: "10", type: ans, var: LL, len: 9}
  - {name: "41", type: an, len: 8}
  - {name: "55", var: LLL, len: 99, parts: {kind: ber}, fields: [{name: "9A", type: n, min: 6, len: 6}]}
  - {name: "59", var: LLL, len: 99, parts: {kind: tlv, tag: 2, size: 2, loose: true}, fields: [{name: AA, type: b}]}
  - {name: "60", type: n, var: LLL, len: 9, parts: {kind: positional, rest: true}, fields: [{name: "1", type: n, len: 2}, {name: "2", type: n, len: 6}]}
  - {name: "61", var: LL, len: 9, parts: {kind: positional}, fields: [{name: "1", type: n, len: 2}, {name: "2", type: n, len: 2}]}
  - {name: "62", type: b, var: LL, len: 9, cases: [{when: {"3": ["000001"]}, as: {name: t, type: ans, var: LL, len: 9}}]}
  - {name: "63", var: LL, len: 40, parts: {kind: positional, rest: true}, fields: [{name: a, type: ans, len: 2}, {name: b, type: ans, var: rest, len: 9}]}
messages: [{mti: ["0800"], must: [3]}]
`)
	for _, tc := range []struct {
		pairs      []string
		path, want string
	}{
		{[]string{"3", "1", "3", "2"}, "3", "each once"},
		{[]string{"3", "1234567"}, "3", "6 digits"},
		{[]string{"3", "12a"}, "3", "6 digits"},
		{[]string{"2", "1", "2.pad", "0"}, "2.pad", "other than the usual"},
		{[]string{"2", "12", "2.pad", "1"}, "2.pad", "each once"},
		{[]string{"2", strings.Repeat("1", 20)}, "2", "0 to 19 digits"},
		{[]string{"4", "+00000001"}, "4", "after C or D"},
		{[]string{"4", "C1"}, "4", "after C or D"},
		{[]string{"5", "123"}, "5", "tells its digits"},
		{[]string{"9", "1234567890"}, "9", "0 to 9 bytes"},
		{[]string{"10", "a\nb"}, "10", "printable"},
		{[]string{"10", "\xff"}, "10", "printable"},
		{[]string{"41", "12345678X"}, "41", "8 letters and digits"},
		{[]string{"41", "户"}, "41", "8 letters and digits"},
		{[]string{"55.9A", "26013"}, "55.9A", "6 to 6 digits"},
		{[]string{"55.other", "\x9A\x03\x26\x01\x31"}, "55.other", "not in the link file"},
		{[]string{"55.other", "\xC1\x05a"}, "55.other", "not in the link file"},
		{[]string{"55.other", "\xC1\x00\xC2\x00"}, "55.other", "not in the link file"},
		{[]string{"59.other", "AA01x"}, "59.other", "not in the link file"},
		{[]string{"59.AA", "x", "59.other", "loose"}, "59.other", "not in the link file"},
		{[]string{"60.2", "1"}, "60.2", "left out"},
		{[]string{"60.1", "1", "60.other", "123456"}, "60.other", "what remains"},
		{[]string{"60.1", "1", "60.other", ""}, "60.other", "what remains"},
		{[]string{"60.1", "123"}, "60", "parts of digits"},
		{[]string{"60.1", "x"}, "60", "parts of digits"},
		{[]string{"61.2", "1"}, "61.1", "a value"},
		{[]string{"62.t", "x"}, "62", "a value for this form"},
		{[]string{"3", "000001", "62", "x"}, "62.t", "a value for this form"},
		{[]string{"3", "000001", "62", "x", "62.t", "y"}, "62", "each once"},
		{[]string{"63.a", "x", "63.other", "y"}, "63.other", "what remains"},
		{[]string{"63.a", "x", "63.b", ""}, "63.b", "1 to 9"},
	} {
		_, err := c.Append(nil, record(c, append([]string{"MTI", "0200"}, tc.pairs...)...))
		wantError(t, err, protocol.ClassField, tc.path, tc.want)
	}
	_, err := c.Append(nil, record(c, "3", "1"))
	wantError(t, err, protocol.ClassHeader, "MTI", "none")
	for _, mti := range []string{"", "08", "080", "08000"} {
		_, err = c.Append(nil, record(c, "MTI", mti, "3", "1"))
		wantError(t, err, protocol.ClassHeader, "MTI", "4 digits")
	}
	_, err = c.Append(nil, record(c, "MTI", "0800"))
	wantError(t, err, protocol.ClassField, "3", "must carry")
	_, err = c.Append(nil, record(benchCodec(t), "MTI", "0800"))
	wantError(t, err, protocol.ClassHeader, "", "this layout")
}

func benchCodec(t *testing.T) protocol.Codec { return compiled(t, benchSpec()) }

// A record that is used again costs nothing.
func TestNoAllocations(t *testing.T) {
	c := codecOf(t, "pos-cup")
	for _, k := range golden(t, "pos-cup") {
		if k.Err != nil {
			continue
		}
		rec, out := new(protocol.Record), make([]byte, 0, 1024)
		again := func() {
			if err := c.Index(protocol.Frame{Body: k.Body}, rec); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Append(out, rec); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 * seldom { // until there is a plan for it
			again()
		}
		if n := testing.AllocsPerRun(10, again); n != 0 {
			t.Errorf("%s: %g allocations", k.Name, n)
		}
	}
}

// Numbers of nodes and bytes are bounded by the message, also where each byte
// makes a value.
func TestManyValues(t *testing.T) {
	c := specOf(t, `{length: binary, fields: [{name: "55", var: LLLLLL, len: 999999, parts: {kind: ber}}]}`)
	body := append(unhexed("0200 0000000000000200 00FFFF"), make([]byte, 0xFFFF)...)
	wantError(t, c.Index(protocol.Frame{Body: body}, new(protocol.Record)), protocol.ClassField, "55.other", "fewer fields")
}
