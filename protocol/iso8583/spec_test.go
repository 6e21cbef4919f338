package iso8583

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

func parseSpec(s string) (protocol.Codec, error) {
	dec := yaml.NewDecoder(strings.NewReader(s))
	dec.KnownFields(true)
	var spec Spec
	if err := dec.Decode(&spec); err != nil {
		return nil, err
	}
	return New(&spec)
}

func specOf(tb testing.TB, s string) protocol.Codec {
	tb.Helper()
	c, err := parseSpec(s)
	if err != nil {
		tb.Fatalf("%v\n%s", err, s)
	}
	return c
}

// Descriptions that cannot work are refused, and the error names the place.
func TestSpecErrors(t *testing.T) {
	for _, tc := range []struct{ spec, want string }{
		{`mti: ebcdic`, "mti: code: want bcd or ascii"},
		{`bitmap: {code: text}`, "bitmap.code"},
		{`bitmap: {form: "192"}`, "bitmap.form"},
		{`hex: mixed`, "hex: want upper, lower or any"},
		{`charset: big5`, "charset"},
		{`fields: [{name: "1", type: n, len: 3}]`, "no bit of the map"},
		{`fields: [{name: "65", type: n, len: 3}]`, "no bit of the map"},
		{`fields: [{name: "02", type: n, len: 3}]`, "no bit of the map"},
		{`fields: [{name: "2", type: n, len: 3}, {name: "2", type: n, len: 3}]`, "2 stands twice"},
		{`fields: [{name: "2", len: 3}]`, "2: type: missing"},
		{`fields: [{name: "2", type: q, len: 3}]`, "2: type: want"},
		{`fields: [{name: "2", type: n}]`, "2: len"},
		{`fields: [{name: "2", type: n, len: 3, min: 4, var: L}]`, "2: len"},
		{`fields: [{name: "2", type: n, len: 100, var: LL}]`, "100 does not fit LL"},
		{`fields: [{name: "2", type: n, len: 3, var: XX}]`, "var: want L to LLLLLL"},
		{`fields: [{name: "2", type: n, len: 3, var: LL, length: text}]`, "length: want"},
		{`fields: [{name: "2", type: n, len: 3, var: LL, counts: words}]`, "counts: want"},
		{`fields: [{name: "2", type: n, len: 3, counts: bytes}]`, "need var"},
		{`fields: [{name: "2", type: n, len: 3, var: rest}]`, "var: rest is for"},
		{`fields: [{name: "2", type: n, len: 3, code: hex}]`, "code: want bcd or ascii"},
		{`fields: [{name: "2", type: b, len: 3, code: bcd}]`, "code: want binary or hex"},
		{`fields: [{name: "2", type: n, len: 3, align: middle}]`, "align: want"},
		{`fields: [{name: "2", type: n, len: 3, pad: "1"}]`, "pad: want 0 or F"},
		{`fields: [{name: "2", type: ans, len: 3, pad: "0"}]`, "pad: for bcd only"},
		{`fields: [{name: "2", type: ans, len: 3, any_pad: true}]`, "any_pad: for bcd only"},
		{`fields: [{name: "2", type: n, len: 3, mask: secret}]`, "mask: want"},
		{`fields: [{name: "2", len: 9, parts: {kind: heap}}]`, "parts.kind: want"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}}]`, "fields: none"},
		{`fields: [{name: "2", type: ans, len: 9, parts: {kind: ber}}]`, "a value with parts has none"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional, loose: true}, fields: [{name: a, type: n, len: 2}]}]`, "loose for tlv and ber"},
		{`fields: [{name: "2", len: 9, parts: {kind: tlv, tag: 9, size: 3}}]`, "tag 1 to 4"},
		{`fields: [{name: "2", len: 9, parts: {kind: tlv, tag: 2, size: 3}, fields: [{name: ABC, type: n, len: 2}]}]`, "tag of 2 printable characters"},
		{`fields: [{name: "2", len: 9, parts: {kind: ber}, fields: [{name: "9f02", type: b}]}]`, "upper-case hex"},
		{`fields: [{name: "2", len: 9, parts: {kind: ber}, fields: [{name: "9F", type: b}]}]`, "upper-case hex"},
		{`fields: [{name: "2", len: 9, parts: {kind: ber}, fields: [{name: "9A", type: b, var: LL}]}]`, "the length stands after the tag"},
		{`fields: [{name: "2", len: 9, parts: {kind: bitmap, map: 17}, fields: [{name: "1", type: b, len: 1}]}]`, "parts.map"},
		{`fields: [{name: "2", len: 9, parts: {kind: bitmap, map: 1}, fields: [{name: "9", type: b, len: 1}]}]`, "bits in order"},
		{`fields: [{name: "2", type: n, len: 9, parts: {kind: positional}, fields: [{name: a, type: ans, len: 2}]}]`, "parts of a value of digits"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}, fields: [{name: a, loop: [{name: b, type: n, len: 2}]}]}]`, "loop: max is needed"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}, fields: [{name: a, max: 2, loop: [{name: b, type: n, len: 2, var: rest}]}]}]`, "parts of a loop have a length"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}, fields: [{name: a, max: 2, loop: [{name: b, len: 2, parts: {kind: ber}}]}]}]`, "neither parts"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}, fields: [{name: a, max: 2, loop: [{name: b, type: n, len: 2, cases: [{when: {MTI: []}, as: {type: n, len: 1}}]}]}]}]`, "cases: not for parts of a loop"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}, fields: [{name: a, max: 2, count: n, loop: [{name: b, type: n, len: 2}]}]}]`, "no part \"n\" before the loop"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}, fields: [{name: n, type: ans, len: 2}, {name: a, max: 2, count: n, loop: [{name: b, type: n, len: 2}]}]}]`, "n must be of type n"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}, fields: [{name: n, type: n, len: 2}, {name: a, max: 2, count: n, loop: [{name: b, type: n, len: 2}]}, {name: c, max: 2, count: n, loop: [{name: b, type: n, len: 2}]}]}]`, "count one loop"},
		{`fields: [{name: "2", len: 9, parts: {kind: tlv, tag: 1, tag_code: bcd, size: 1}, fields: [{name: "2A", type: n, len: 2}]}]`, "a tag of 1 bytes of digits"},
		{`fields: [{name: "2", len: 9, parts: {kind: tlv, tag: 2, tag_code: binary, size: 1}, fields: [{name: "ff01", type: n, len: 2}]}]`, "a tag of 2 bytes"},
		{`fields: [{name: "2", len: 9, parts: {kind: tlv, tag: 2, tag_code: hex, size: 1}, fields: [{name: "FF01", type: n, len: 2}]}]`, "parts.tag_code"},
		{`fields: [{name: "2", len: 9, parts: {kind: ber}, fields: [{name: "70", parts: {kind: ber}, fields: [{name: "5A", type: b}]}, {name: "70", parts: {kind: ber}, fields: [{name: "5B", type: b}]}]}]`, "stands twice"},
		{`fields: [{name: "2", len: 9, parts: {kind: positional}, fields: [{name: a, max: 2, loop: [{name: b, type: n, len: 2}]}, {name: c, type: n, len: 2}]}]`, "nothing follows it"},
		{`fields: [{name: "2", type: n, len: 3, cases: [{as: {type: n, len: 2}}]}]`, "when: missing"},
		{`fields: [{name: "2", type: n, len: 3, cases: [{when: {"3": []}, as: {name: x, type: n, len: 2}}]}, {name: "3", type: n, len: 2}]`, "all forms of field 2 have the same length"},
		{`fields: [{name: "2", type: n, len: 3, cases: [{when: {"4": []}, as: {name: x, type: n, len: 4}}]}, {name: "3", type: n, len: 2}]`, "no value of another field"},
		{`fields: [{name: "2", type: n, len: 3, cases: [{when: {"2": []}, as: {name: x, type: n, len: 4}}]}]`, "no value of another field"},
		{`fields: [{name: "2", type: n, len: 3, cases: [{when: {"3": []}, as: {name: x, type: n, len: 4}}]}, {name: "3", type: n, len: 2, cases: [{when: {MTI: ["0200"]}, as: {name: x, type: n, len: 1}}]}]`, "has cases of its own"},
		{`fields: [{name: "2", type: n, len: 3, cases: [{when: {"4": []}, as: {name: x, type: n, len: 4}}]}, {name: "3", type: n, len: 2, cases: [{when: {MTI: ["0200"]}, as: {name: x, type: n, len: 4}}]}, {name: "4", type: n, len: 2}]`, "all forms of field 3"},
		{`fields: [{name: "2", len: 4, parts: {kind: positional}, fields: [{name: a, type: n, len: 4, cases: [{when: {"3": []}, as: {name: x, type: b, len: 2}}]}]}, {name: "3", type: n, len: 2}]`, "cannot choose a part"},
		{`fields: [{name: "2", type: n, len: 3, cases: [{when: {MTI: []}, as: {type: n, len: 2}}]}]`, "two fields are named 2"},
		{`messages: [{mti: ["020"]}]`, "messages: mti"},
		{`messages: [{mti: ["0200"], must: [9]}]`, "messages: no field 9"},
		{`field: []`, "field field not found"},
	} {
		_, err := parseSpec(tc.spec)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.spec, err, tc.want)
		}
	}
}

// A mask that nobody chose hides everything; a chosen one covers the parts.
func TestMasksFailClosed(t *testing.T) {
	c := specOf(t, `
fields:
  - {name: "3", type: n, len: 6}
  - {name: "60", type: n, var: LLL, len: 9, mask: public, parts: {kind: positional, rest: true}, fields: [{name: "1", type: n, len: 2}, {name: "2", type: n, len: 2, mask: account}]}
  - {name: "55", var: LLL, len: 99, parts: {kind: ber}}
`)
	for name, want := range map[string]pay.Mask{"MTI": pay.Public, "3": pay.Never, "60.1": pay.Public, "60.2": pay.Account,
		"60.other": pay.Public, "55.other": pay.Never} {
		id, ok := c.Layout().Lookup(name)
		if got := c.Layout().Fields[id].Mask; !ok || got != want {
			t.Errorf("%s: got mask %d (%t), want %d", name, got, ok, want)
		}
	}
}

// An error of a secret field does not show what was wrong with it.
func TestErrorsAreMasked(t *testing.T) {
	c := specOf(t, `{fields: [{name: "2", type: n, var: LL, len: 19, mask: card}]}`)
	err := c.Index(protocol.Frame{Body: unhexed("0200 4000000000000000 16 62250000000000AB")}, new(protocol.Record))
	if err == nil || strings.Contains(err.Error(), "6225") {
		t.Errorf("got %v", err)
	}
	rec := record(c, "MTI", "0200", "2", "62250000000000xx")
	if _, err = c.Append(nil, rec); err == nil || strings.Contains(err.Error(), "0000") {
		t.Errorf("got %v", err)
	}
}

// record fills a record with name and value pairs.
func record(c protocol.Codec, pairs ...string) *protocol.Record {
	rec := new(protocol.Record)
	rec.Reset(c.Layout())
	for i := 0; i < len(pairs); i += 2 {
		id, ok := c.Layout().Lookup(pairs[i])
		if !ok {
			panic(pairs[i])
		}
		rec.PutString(id, -1, pairs[i+1])
	}
	return rec
}

func wantError(t *testing.T, err error, class protocol.Class, path, want string) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) || e.Class != class || e.Path != path || !strings.Contains(e.Error(), want) {
		t.Errorf("got %v\nwant %s %s: %s", err, class, path, want)
	}
}
