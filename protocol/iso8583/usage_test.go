package iso8583

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"qianzhi/protocol"
	"qianzhi/protocol/wiretest"
)

// Field 48 is what field 60.3 behind it says, over fields of all lengths.
const later = `
fields:
  - name: "48"
    type: n
    var: LLL
    len: 99
    cases:
      - {when: {MTI: ["0320"], "60.3": ["202"], "63": []}, as: {name: both, type: n, var: LLL, len: 4}}
      - {when: {MTI: ["0320"], "60.3": ["202", "207"]}, as: {name: total, type: n, var: LLL, len: 4}}
      - when: {MTI: ["0320"]}
        as: {name: list, var: LLL, counts: nibbles, len: 9, parts: {kind: positional}, fields: [{name: n, type: n, len: 2}, {name: rest, type: b, var: rest, len: 9}]}
  - {name: "49", type: an, len: 3}
  - {name: "54", type: ans, var: LL, length: binary, len: 40}
  - {name: "55", type: b, code: hex, var: LL, len: 9}
  - {name: "57", type: x, len: 7}
  - {name: "60", type: n, var: LLL, len: 17, any_pad: true, parts: {kind: positional, rest: true}, fields: [{name: "1", type: n, len: 2}, {name: "2", type: n, len: 6}, {name: "3", type: n, len: 3}]}
  - {name: "63", type: ans, var: LLL, len: 9}
`

// TestLaterValueChooses reads and writes forms that only a later field tells
// apart; the record keeps the order of the wire.
func TestLaterValueChooses(t *testing.T) {
	c := specOf(t, later)
	const between = "313536" + "02 4142" + "02 41354135" + "43 12345670"
	for _, tc := range []struct{ wire, want string }{
		{"0320 0000000000018690 0004 0012" + between + "0011 00000001202F", `48.total "0012"`},
		{"0320 0000000000018692 0004 0012" + between + "0011 00000001202F 0001 41", `48.both "0012"`},
		{"0320 0000000000018690 0006 021234" + between + "0011 000000012010", `48.list.n "02"`},
		{"0320 0000000000018680 0004 0212" + between, `48.list.n "02"`},
		{"0500 0000000000018690 0004 0012" + between + "0011 000000012020", `48 "0012"`},
	} {
		wire := unspaced(t, tc.wire)
		for _, times := range []int{1, 2, 3} { // as it is read first, and by its plan
			var rec protocol.Record
			if err := c.Index(protocol.Frame{Body: wire}, &rec); err != nil {
				t.Fatalf("%s, time %d: %v", tc.wire, times, err)
			}
			if got := wiretest.Lines(&rec); !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, "field "+tc.want) || strings.HasPrefix(l, tc.want) }) {
				t.Errorf("%s: %q, want %s", tc.wire, got, tc.want)
			}
			if got, err := c.Append(nil, &rec); err != nil || !bytes.Equal(got, wire) {
				t.Errorf("%s: written as %X, %v", tc.wire, got, err)
			}
		}
		wiretest.Laws(t, c, wire, true)
	}
}

// TestLaterValueMissing tells what is wrong at its own place, also where a value
// was looked for behind it.
func TestLaterValueMissing(t *testing.T) {
	c := specOf(t, later)
	for _, tc := range []struct {
		wire, path string
		offset     int
	}{
		{"0320 0000000000018010 0004 0012 31353", "49", 14},
		{"0320 0000000000010010 0004 0012 0099 00", "60", 14},
		{"0320 0000000000010010 0004 0012 0011 000000A12020", "60", 19},
		{"0320 0000000000010010 0006 001234 0011 000000012020", "48.total", 10},
		{"0320 0000000000010010 0400 00", "48.list", 12},
	} {
		var rec protocol.Record
		err := c.Index(protocol.Frame{Body: unspaced(t, tc.wire)}, &rec)
		var at *protocol.Error
		if !errors.As(err, &at) || at.Path != tc.path || at.Offset != tc.offset {
			t.Errorf("%s: %v, want field %s at byte %d", tc.wire, err, tc.path, tc.offset)
		}
	}
}

func unspaced(t *testing.T, s string) []byte {
	t.Helper()
	s = strings.ReplaceAll(s, " ", "")
	b, err := hex.DecodeString(s[:len(s)&^1])
	if err != nil {
		t.Fatal(err)
	}
	return b
}
