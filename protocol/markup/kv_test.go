package markup

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/wiretest"
)

// marksSpecs are ways to keep pairs, and names and values, apart.
var marksSpecs = []string{
	"format: kv\nencoding: gbk\nseparator: '||'\nassign: '=>'\nfields: [{name: a}, {name: b}, {name: n, type: decimal}]",
	"format: kv\nencoding: gb18030\nseparator: \"\\r\\n\"\nassign: ': '\nend: true\nfields: [{name: a}, {name: b}, {name: n, type: decimal}]",
	"format: kv\nencoding: gbk\nseparator: ','\nquote: needed\nfields: [{name: a}, {name: b}, {name: n, type: decimal}]",
	"format: kv\nencoding: gbk\nseparator: '|'\nquote: always\nextra: ignore\nfields: [{name: a}, {name: b}, {name: n, type: decimal}]",
	"format: kv\nencoding: gb18030\nseparator: '|'\nescape: backslash\nfields: [{name: a}, {name: b}, {name: n, type: decimal}]",
	"format: kv\nseparator: '~|~'\nescape: backslash\nend: true\nfields: [{name: a}, {name: b}, {name: n, type: decimal}]",
}

func TestKVMarks(t *testing.T) {
	for _, k := range []struct {
		spec       int
		body, want string // values, or a part of the error
	}{
		{0, "a=>1||b=>2", `a "1" b "2"`},
		{0, "a=>||b=>x|y", `a "" b "x|y"`},
		{0, "a=>1|||b=>2", "a name of the spec"},
		{0, "a=>1|", "does not end as a separator begins"},
		{0, "a=1||b=>2", `a name and "=>"`},
		{1, "a: \xC5\xDC|\r\nb: 1:2\r\n", `a "跑|" b "1:2"`},
		{1, "a: 1\r\nb: 2", "behind the last pair"},
		{2, `a="x,y",b=z`, `a "x,y" b "z"`},
		{2, `a="say ""hi""",b="",n="1.50"`, `a "say \"hi\"" b "" n "1.50"`},
		{2, `a="x,y`, "closing quote"},
		{2, `a="x"y,b=1`, "behind the closing quote"},
		{2, `a=x"y,b=1`, "in double quotes"},
		{2, "a=\"x\"\"\x01\"", "no control characters"},
		{3, `a="1"|z="|"|b="2"`, `a "1" b "2"`},
		{3, `a=1`, "in double quotes"},
		{4, "a=x\\|y\\\\|b=\xD5\x5C|n=1", `a "x|y\\" b "誠" n "1"`},
		{4, "a=x\\", "a mark behind the backslash"},
		{4, "a=x\\n", "a mark behind the backslash"},
		{5, "a=1\\~|~2~|~b=~~|~", `a "1~|~2" b "~"`},
	} {
		c := compile(t, marksSpecs[k.spec])
		wiretest.Laws(t, c, []byte(k.body), false)
		var rec protocol.Record
		got := ""
		if err := c.Index(protocol.Frame{Body: []byte(k.body)}, &rec); err != nil {
			got = err.Error()
		} else {
			got = strings.Join(wiretest.Lines(&rec), " ")
		}
		if !strings.Contains(got, k.want) {
			t.Errorf("%s\ngot %s, want %s", k.body, got, k.want)
		}
	}
}

// Values with whatever the marks are made of are read back as they were
// written, or refused.
func TestKVMarksRoundTrip(t *testing.T) {
	for _, spec := range marksSpecs {
		c := compile(t, spec)
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.StringOfN(rapid.SampledFrom([]rune("a|=>,:\"\\~ 张誠丯")), 0, 6, -1)
			rec := build(c, "a", text.Draw(t, "a"), "b", text.Draw(t, "b"), "n", "-0.50")
			want := strings.Join(wiretest.Lines(rec), "\n")
			body, err := c.Append(nil, rec)
			if err != nil && strings.Contains(spec, "quote") || err != nil && strings.Contains(spec, "escape") {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			var got protocol.Record
			if err := c.Index(protocol.Frame{Body: body}, &got); err != nil {
				t.Fatalf("%v\n%q", err, body)
			}
			if lines := strings.Join(wiretest.Lines(&got), "\n"); lines != want {
				t.Fatalf("%q\ngot\n%s\nwant\n%s", body, lines, want)
			}
			wiretest.Laws(t, c, body, true)
		})
	}
}

func TestKVMarksRefused(t *testing.T) {
	for _, k := range []struct{ spec, want string }{
		{"format: kv\nseparator: '-----'", "separator: want 1 to 4"},
		{"format: kv\nseparator: '1'", "separator"},
		{"format: kv\nseparator: '\"'", "separator"},
		{"format: kv\nseparator: '.'\nescape: percent", "not escaped"},
		{"format: kv\nassign: ab", "assign"},
		{"format: kv\nquote: both", "quote"},
		{"format: kv\nquote: needed\nescape: percent", "not together"},
		{"format: json\nquote: needed", "not for json"},
		{"format: xml\nroot: r\nquote: needed", "not for xml"},
	} {
		if _, err := parse(k.spec); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s\ngot %v, want %q", k.spec, err, k.want)
		}
	}
}

// A loop whose entries are values: arrays of texts and numbers, elements with
// text and attributes.
func TestEntriesThatAreValues(t *testing.T) {
	json := compile(t, "format: json\nfields: [{loop: ids, max: 3, fields: [{name: '.', required: true}]}, {loop: h.sums, max: 9, fields: [{name: '.', type: decimal}]}]")
	xml := compile(t, "format: xml\nroot: r\nfields: [{loop: l.m, max: 3, fields: [{name: '@id'}, {name: '.', type: decimal, required: true}]}, {loop: t, max: 2, fields: [{name: '.'}]}]")
	for _, k := range []struct {
		c          protocol.Codec
		body, want string
		exact      bool
	}{
		{json, `{"ids":["a","b"],"h":{"sums":[1,-2.50]}}`, `ids[0].. "a" ids[1].. "b" h.sums[0].. "1" h.sums[1].. "-2.50"`, true},
		{json, `{"ids":[]}`, ``, false},
		{json, `{"ids":["a",null]}`, "ids[1]", false},
		{json, `{"ids":[""]}`, "want a value", false},
		{json, `{"ids":["a","b","c","d"]}`, "at most 3 entries", false},
		{json, `{"ids":[{"a":1}]}`, "want a string", false},
		{xml, `<?xml version="1.0" encoding="UTF-8"?><r><l><m id="1">2.50</m><m>3</m></l><t></t><t>x&lt;y</t></r>`, `l.m[0].@id "1" l.m[0].. "2.50" l.m[1].. "3" t[0].. "" t[1].. "x<y"`, true},
		{xml, `<r><l><m id="1"/></l></r>`, "l.m[0]", false},
		{xml, `<r><l><m>1<x/></m></l></r>`, "closing tag", false},
	} {
		wiretest.Laws(t, k.c, []byte(k.body), k.exact)
		var rec protocol.Record
		got := ""
		if err := k.c.Index(protocol.Frame{Body: []byte(k.body)}, &rec); err != nil {
			got = err.Error()
		} else {
			got = strings.Join(wiretest.Lines(&rec), " ")
		}
		if !strings.Contains(got, k.want) {
			t.Errorf("%s\ngot %s, want %s", k.body, got, k.want)
		}
	}
	for _, k := range []struct{ spec, want string }{
		{"format: json\nfields: [{name: '.'}]", "no name"},
		{"format: json\nfields: [{loop: l, max: 1, fields: [{name: '.'}, {name: x}]}]", "cannot have members"},
		{"format: json\nfields: [{loop: l, max: 1, fields: [{name: '.'}, {name: '.'}]}]", "no name"},
		{"format: xml\nroot: r\nfields: [{loop: l, max: 1, fields: [{name: '.'}, {name: x}]}]", "not elements"},
	} {
		if _, err := parse(k.spec); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s\ngot %v, want %q", k.spec, err, k.want)
		}
	}
}
