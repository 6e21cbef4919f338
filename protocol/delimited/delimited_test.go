package delimited

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

const root = "../../"

func sides(tb testing.TB, file string) map[string]protocol.Codec {
	tb.Helper()
	b, err := os.ReadFile(root + file)
	if err != nil {
		tb.Fatal(err)
	}
	var link struct {
		Delimited struct{ Request, Reply Spec }
	}
	if err := yaml.Unmarshal(b, &link); err != nil {
		tb.Fatal(err)
	}
	out := map[string]protocol.Codec{}
	for name, s := range map[string]*Spec{"request": &link.Delimited.Request, "reply": &link.Delimited.Reply} {
		if out[name], err = New(s); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	return out
}

func parse(s string) (protocol.Codec, error) {
	dec := yaml.NewDecoder(strings.NewReader(s))
	dec.KnownFields(true)
	var spec Spec
	if err := dec.Decode(&spec); err != nil {
		return nil, err
	}
	return New(&spec)
}

func compile(tb testing.TB, s string) protocol.Codec {
	tb.Helper()
	c, err := parse(s)
	if err != nil {
		tb.Fatalf("%v\n%s", err, s)
	}
	return c
}

func TestGolden(t *testing.T) {
	for name, link := range map[string]string{"string-delimited": "testdata/links/string-delimited.yaml", "bank-delimited": "conf/links/bank-delimited.yaml"} {
		t.Run(name, func(t *testing.T) {
			wiretest.Run(t, wiretest.Load(t, root+"testdata/wire/"+name, text.GBK), sides(t, link))
		})
	}
}

const csv = `
encoding: gb18030
separator: ","
quote: needed
line: crlf
header: [{name: kind, type: a, max: 1}, {name: n, type: n, max: 2}]
pick: kind
bodies:
  - when: [L]
    fields:
      - {loop: l, count: n, max: 20, lines: true, fields: [{name: a, type: x}, {name: c, type: n, max: 1}, {loop: m, count: c, max: 3, fields: [{name: b, type: x}]}]}
      - {loop: r, rest: true, max: 4, lines: true, fields: [{name: z, type: x, len: 4}]}
  - when: [T]
    fields: [{name: a, type: x, required: true}, {name: b, type: x, optional: true}, {name: d, type: n, sign: minus, optional: true}]
  - {fields: [{loop: i, rest: true, max: 3, fields: [{name: a, type: x}, {name: b, type: x}]}]}
`

// variants of the same spec in every way of writing lines.
func variants(tb testing.TB) []protocol.Codec {
	var out []protocol.Codec
	for _, quote := range []string{"none", "needed", "always"} {
		for _, more := range []string{"", "end: true", "last: true", "end: true\nlast: true"} {
			s := strings.Replace(csv, "quote: needed", "quote: "+quote+"\n"+more, 1)
			out = append(out, compile(tb, s), compile(tb, strings.Replace(strings.Replace(s, "crlf", "lf", 1), `","`, `"|"`, 1)),
				compile(tb, strings.Replace(s, `","`, `"||"`, 1)), compile(tb, strings.Replace(s, `","`, `"|+|"`, 1)))
		}
	}
	return out
}

func TestQuotesLoopsAndTails(t *testing.T) {
	needed, always := csv, strings.Replace(csv, "needed", "always", 1)
	for _, k := range []struct{ spec, body, want string }{
		{needed, `T,0,"a,b",c`, `kind "T" n "0" a "a,b" b "c"`},
		{needed, `T,0,"say ""hi"" 张",,-5`, `kind "T" n "0" a "say \"hi\" 张" b "" d "-5"`},
		{needed, `T,0,a`, `kind "T" n "0" a "a"`},
		{needed, `T,0,a,`, `kind "T" n "0" a "a" b ""`},
		{needed, `T,0,"ab"`, "error a at 4"},
		{needed, `T,0,a"b`, "error a at 5"},
		{needed, `T,0,"a,b"c`, "error a at 9"},
		{needed, `T,0,"a,b`, "error a at 8"},
		{needed, `T,0,""`, "error a at 4"},
		{needed, `T,0,`, "error a at 4"},
		{needed, `T,0`, "error a at 3"},
		{always, `"T","0","a","","7"`, `kind "T" n "0" a "a" b "" d "7"`},
		{always, `"T","0","a""b"`, `kind "T" n "0" a "a\"b"`},
		{always, `"T","0",a`, "error a at 8"},
		{always, `"T","x"`, "error n at 5"},
		{always, `"T","0","a""` + "\x01" + `"`, "error a at 12"},
		{needed, "L,2\r\nx,0\r\ny,2,p,q\r\nAB  \r\n    ", `kind "L" n "2" l[0].a "x" l[0].c "0" l[1].a "y" l[1].c "2" l[1].m[0].b "p" l[1].m[1].b "q" r[0].z "AB" r[1]`},
		{needed, "L,0", `kind "L" n "0"`},
		{needed, "L,1\r\nx,0\r\n", "error r[0].z at 10"},
		{needed, "L,2\r\nx,0", "error l[1] at 8"},
		{needed, "L,1\nx,0", "error n at 2"},
		{needed, "L,21", "error n at 2"},
		{needed, "L,1\r\nx,0\r\n1\r\n", "error r[0].z at 11"},
		{needed, "X,0,1,2,,", `kind "X" n "0" i[0].a "1" i[0].b "2" i[1]`},
		{needed, "X,0,1,2,3", "error i[1].b at 9"},
		{needed, "X,0,1,2,3,4,5,6,7,8", "error i at 15"},
	} {
		c := compile(t, k.spec)
		wire, err := text.GB18030.Append(nil, []byte(k.body))
		if err != nil {
			t.Fatal(err)
		}
		wiretest.Laws(t, c, wire, true)
		var rec protocol.Record
		err = c.Index(protocol.Frame{Body: wire}, &rec)
		var e *protocol.Error
		got := strings.Join(wiretest.Lines(&rec), " ")
		if errors.As(err, &e) {
			got = strings.TrimSuffix(strings.SplitN(strings.TrimPrefix(e.Error(), "header "), ":", 2)[0], ":")
			got = "error " + strings.TrimPrefix(got, "field ")
		}
		if got != k.want {
			t.Errorf("%q: got %s (%v), want %s", k.body, got, err, k.want)
		}
	}
}

// A separator of several characters ends a field where it first fits. What a
// field ends with must not be taken for the separator behind it.
func TestLongSeparators(t *testing.T) {
	bars, plus := strings.Replace(csv, `","`, `"||"`, 1), strings.Replace(csv, `","`, `"|+|"`, 1)
	none := strings.Replace(bars, "needed", "none", 1)
	for _, k := range []struct{ spec, body, want string }{
		{bars, "T||0||a|b||c", `kind "T" n "0" a "a|b" b "c"`},
		{bars, "T||0||||c", "error a at 6"},
		{bars, "T||0|||a||c", `kind "T" n "0" a "|a" b "c"`},
		{bars, "T||0||a||c|", "error b at 9"}, // would not be what it is if something followed
		{bars, `T||0||a||"c|"`, `kind "T" n "0" a "a" b "c|"`},
		{bars, `T||0||"a||b"||c`, `kind "T" n "0" a "a||b" b "c"`},
		{bars, `T||0||"a|b"||c`, "error a at 6"}, // needs no quotes
		{bars, `T||0||"a"|c`, "error a at 9"},
		{bars, "T||0||a|", "error a at 6"},
		{bars, "T|0", "error kind at 0"},
		{none, "T||0||a||c|", "error b at 9"},
		{none, "X||0||a|||||b", "error i[1].b at 13"},
		{plus, "T|+|0|+|a|b+|+|c|", `kind "T" n "0" a "a|b+" b "c|"`},
		{plus, "T|+|0|+|a|+|c|+", "error b at 12"},
		{plus, `T|+|0|+|a|+|"c|+"`, `kind "T" n "0" a "a" b "c|+"`},
		{plus, "T|+|0|+|\xD6\x7C|+|c", `kind "T" n "0" a "謡" b "c"`},
		{bars, "T||0||a||\xD6\x7C", `kind "T" n "0" a "a" b "謡"`}, // its second byte is no tail
	} {
		c := compile(t, k.spec)
		wiretest.Laws(t, c, []byte(k.body), true)
		var rec protocol.Record
		err := c.Index(protocol.Frame{Body: []byte(k.body)}, &rec)
		got := strings.Join(wiretest.Lines(&rec), " ")
		var e *protocol.Error
		if errors.As(err, &e) {
			got = "error " + e.Path + " at " + strconv.Itoa(e.Offset)
		}
		if got != k.want {
			t.Errorf("%q: got %s (%v), want %s", k.body, got, err, k.want)
		}
	}
}

// Without quotes a text for people loses what looks like a separator, any other
// value is refused.
func TestLongSeparatorsInTexts(t *testing.T) {
	for _, k := range []struct{ sep, val, want string }{
		{"||", "a||b", "a?|b"}, {"||", "a|", "a?"}, {"||", "|||", "???"}, {"||", "a|b", "a|b"}, {"||", "|a", "|a"},
		{"|+|", "|+|", "?+|"}, {"|+|", "a|+", "a|?"}, {"|+|", "a|", "a|"}, {"|", "a|", "a?"},
	} {
		for _, cut := range []string{"true", "false"} {
			c := compile(t, "encoding: gbk\nseparator: '"+k.sep+"'\nheader: [{name: a, type: x, cut: "+cut+"}, {name: b, type: x}]")
			var rec protocol.Record
			rec.Reset(c.Layout())
			rec.PutString(0, -1, k.val)
			rec.PutString(1, -1, "z")
			got, err := c.Append(nil, &rec)
			if cut == "false" && k.val != k.want {
				var e *protocol.Error
				if !errors.As(err, &e) || e.Path != "a" {
					t.Errorf("%q between %q: got %q, %v; want it refused", k.val, k.sep, got, err)
				}
				continue
			}
			if want := k.want + k.sep + "z"; err != nil || string(got) != want {
				t.Errorf("%q between %q: got %q, %v; want %q", k.val, k.sep, got, err, want)
			}
		}
	}
}

func TestAppendReplacesSeparators(t *testing.T) {
	c := sides(t, "testdata/links/string-delimited.yaml")["reply"]
	var rec protocol.Record
	rec.Reset(c.Layout())
	put := func(name, val string) {
		id, ok := c.Layout().Lookup(name)
		if !ok {
			t.Fatal(name)
		}
		rec.PutString(id, -1, val)
	}
	put("text", "a|b\n张")
	put("code", "000001")
	got, err := c.Append(nil, &rec)
	if want := "000001|a?b?\xD5\xC5||\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	put("serial", "a|b")
	var e *protocol.Error
	if _, err := c.Append(nil, &rec); !errors.As(err, &e) || e.Path != "serial" || e.Class != protocol.ClassHeader {
		t.Errorf("got %v, want a refusal of serial", err)
	}
}

func TestSpecRefused(t *testing.T) {
	const top = "encoding: gbk\nseparator: '|'\n"
	for _, k := range []struct{ spec, want string }{
		{"encoding: x", "encoding"},
		{"encoding: gbk", "separator"},
		{"encoding: gbk\nseparator: '\"'", "separator"},
		{"encoding: gbk\nseparator: '1'", "separator"},
		{"encoding: gbk\nseparator: '?'", "separator"},
		{"encoding: gbk\nseparator: '|1|'", "separator"},
		{"encoding: gbk\nseparator: '|||||'", "separator"},
		{"encoding: gbk\nseparator: '|\"|'", "separator"},
		{"encoding: gbk\nseparator: '、'", "separator"},
		{"encoding: gbk\nseparator: '||'\nheader: [{name: a, type: x, len: 1, pad: '|'}]", "pad"},
		{top + "quote: maybe", "quote"},
		{top + "line: cr", "line"},
		{top + "last: true", "last"},
		{top, "header"},
		{top + "header: [{name: a, type: b, len: 2}]", "raw"},
		{top + "header: [{name: a, type: x, pad: '0'}]", "need len"},
		{top + "header: [{name: a, type: x, len: 3, pad: '|'}]", "pad"},
		{top + "header: [{name: a, type: x, len: 3, max: 4}]", "not both"},
		{top + "header: [{name: a, type: x}]\nbodies: [{fields: [{loop: l, rest: true, count: a, max: 2, fields: [{name: b, type: x}]}]}]", "count or rest"},
		{top + "header: [{name: a, type: x}]\nbodies: [{fields: [{loop: l, rest: true, lines: true, max: 2, fields: [{name: b, type: x}]}]}]", "needs line"},
		{top + "header: [{name: a, type: x}]\nbodies: [{fields: [{loop: l, rest: true, max: 2, fields: [{name: b, type: x}]}, {name: c, type: x}]}]", "loop to the end"},
		{top + "header: [{name: a, type: x}]\nbodies: [{fields: [{name: b, type: x, optional: true}, {name: c, type: x}]}]", "optional"},
		{top + "header: [{name: a, type: x}]\nbodies: [{fields: [{name: a, type: x}]}]", "twice"},
	} {
		if _, err := parse(k.spec); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s\ngot %v, want %q", k.spec, err, k.want)
		}
	}
}

func FuzzDelimited(f *testing.F) {
	codecs := variants(f)
	s := sides(f, "testdata/links/string-delimited.yaml")
	for _, side := range []string{"request", "reply"} {
		for _, b := range wiretest.Bodies(wiretest.Load(f, root+"testdata/wire/string-delimited", text.GBK), side) {
			f.Add(byte(len(codecs)), b)
		}
		codecs = append(codecs, s[side])
	}
	f.Add(byte(16), []byte("L,2\r\nx,0\r\n\"a,\"\"\",2,p,q\r\nAB  \r\n    "))
	f.Add(byte(1), []byte("T|0|\xD6\x7C|b|-5"))
	f.Add(byte(18), []byte("T||0||\xD6\x7C||b|||-5"))
	f.Add(byte(19), []byte("X|+|0|+|a|+b|+|c|"))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		wiretest.Laws(t, codecs[int(which)%len(codecs)], body, true)
	})
}

// Records of any texts are read back as they were written, in every variant
// that can write them.
func TestRecordsRoundTrip(t *testing.T) {
	all := variants(t)
	written := 0
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(all).Draw(t, "codec")
		val := rapid.StringOfN(rapid.SampledFrom([]rune(`ab,|+"张謡 `)), 1, 5, -1)
		var rec protocol.Record
		rec.Reset(c.Layout())
		put := func(group int, name, val string) int {
			id, _ := c.Layout().Lookup(name)
			return rec.PutString(id, group, val)
		}
		put(-1, "kind", "L")
		n := rapid.IntRange(0, 12).Draw(t, "n")
		put(-1, "n", strconv.Itoa(n))
		for range n {
			g := put(-1, "l", "")
			put(g, "l.a", val.Draw(t, "a"))
			put(g, "l.c", "1")
			m := put(g, "l.m", "")
			put(m, "l.m.b", val.Draw(t, "b"))
		}
		want := strings.Join(wiretest.Lines(&rec), "\n")
		body, err := c.Append(nil, &rec)
		if err != nil {
			return // a separator that may not be quoted
		}
		written++
		var got protocol.Record
		if err := c.Index(protocol.Frame{Body: body}, &got); err != nil {
			t.Fatalf("%v\n%q", err, body)
		}
		if lines := strings.Join(wiretest.Lines(&got), "\n"); lines != want {
			t.Fatalf("got\n%s\nwant\n%s", lines, want)
		}
		wiretest.Laws(t, c, body, true)
	})
	if written < 10 {
		t.Errorf("only %d records were written", written)
	}
}

func golden(tb testing.TB, name string) (protocol.Codec, []byte) {
	for _, k := range wiretest.Load(tb, root+"testdata/wire/string-delimited", text.GBK) {
		if k.Name == name {
			return sides(tb, "testdata/links/string-delimited.yaml")[k.Side], k.Body
		}
	}
	tb.Fatalf("no golden message %s", name)
	return nil, nil
}

func TestNoAllocations(t *testing.T) {
	type sample struct {
		c    protocol.Codec
		body []byte
	}
	var samples []sample
	for _, name := range []string{"pay-2-bills", "pay-99-bills", "reply-query"} {
		c, body := golden(t, name)
		samples = append(samples, sample{c, body})
	}
	samples = append(samples, sample{compile(t, csv), []byte(`T,0,"a,b ""c""",x,-5`)})
	for _, s := range samples {
		var rec protocol.Record
		dst := make([]byte, 0, 2*len(s.body))
		if n := testing.AllocsPerRun(100, func() {
			if err := s.c.Index(protocol.Frame{Body: s.body}, &rec); err != nil {
				t.Fatal(err)
			}
			if _, err := s.c.Append(dst, &rec); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%.40q: got %v allocations, want 0", s.body, n)
		}
	}
}

func BenchmarkIndexPay2(b *testing.B)   { benchIndex(b, "pay-2-bills") }
func BenchmarkIndexPay99(b *testing.B)  { benchIndex(b, "pay-99-bills") }
func BenchmarkAppendPay2(b *testing.B)  { benchAppend(b, "pay-2-bills") }
func BenchmarkAppendPay99(b *testing.B) { benchAppend(b, "pay-99-bills") }

func benchIndex(b *testing.B, name string) {
	c, body := golden(b, name)
	var rec protocol.Record
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Index(protocol.Frame{Body: body}, &rec); err != nil {
			b.Fatal(err)
		}
	}
}

func benchAppend(b *testing.B, name string) {
	c, body := golden(b, name)
	var rec protocol.Record
	if err := c.Index(protocol.Frame{Body: body}, &rec); err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, 2*len(body))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Append(dst, &rec); err != nil {
			b.Fatal(err)
		}
	}
}
