package markup

import (
	"errors"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

const root = "../../"

// sides compiles both directions of a link file's section.
func sides(tb testing.TB, file, section string) map[string]protocol.Codec {
	tb.Helper()
	b, err := os.ReadFile(root + file)
	if err != nil {
		tb.Fatal(err)
	}
	var link map[string]yaml.Node
	var pair struct{ Request, Reply Spec }
	if err := yaml.Unmarshal(b, &link); err != nil {
		tb.Fatal(err)
	}
	node := link[section]
	if err := node.Decode(&pair); err != nil {
		tb.Fatal(err)
	}
	out := map[string]protocol.Codec{}
	for name, s := range map[string]*Spec{"request": &pair.Request, "reply": &pair.Reply} {
		if out[name], err = New(s); err != nil {
			tb.Fatalf("%s: %s: %v", file, name, err)
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

// build fills a record: "name", "value" pairs; a group's name opens an entry,
// and names below it go there.
func build(c protocol.Codec, pairs ...string) *protocol.Record {
	rec := new(protocol.Record)
	rec.Reset(c.Layout())
	group, prefix := -1, ""
	for i := 0; i < len(pairs); i += 2 {
		id, ok := c.Layout().Lookup(pairs[i])
		switch {
		case !ok:
			panic(pairs[i])
		case c.Layout().Fields[id].Group:
			group, prefix = rec.Put(id, -1, nil), pairs[i]+"."
		case group >= 0 && strings.HasPrefix(pairs[i], prefix):
			rec.PutString(id, group, pairs[i+1])
		default:
			rec.PutString(id, -1, pairs[i+1])
		}
	}
	return rec
}

func TestGoldenJSON(t *testing.T) {
	for _, link := range []string{"bank-http", "mis"} {
		t.Run(link, func(t *testing.T) {
			wiretest.Run(t, wiretest.Load(t, root+"testdata/wire/"+link, text.UTF8), sides(t, "conf/links/"+link+".yaml", "json"))
		})
	}
}

const everyJSON = `
format: json
fields:
  - {name: a, required: true}
  - {name: h.s, mask: name}
  - {name: h.n, type: number}
  - {name: h.deep.d, type: decimal}
  - {name: h.deep.b, type: bool}
  - loop: h.l
    max: 4
    fields:
      - {name: x, required: true}
      - {name: y.z, type: number}
      - {loop: m, max: 3, fields: [{name: k}]}
  - {loop: must, max: 2, required: true, fields: [{name: t}]}
  - {name: tail}
`

func TestJSONAppend(t *testing.T) {
	c := compile(t, everyJSON)
	for _, k := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"tail", "z", "a", "1"}, `{"a":"1","must":[],"tail":"z"}`},
		{[]string{"a", "1", "h.n", "000123", "h.deep.d", "-00.50"}, `{"a":"1","h":{"n":123,"deep":{"d":-0.50}},"must":[]}`},
		{[]string{"a", "\"\\\b\f\n\r\t\x01/张\x7f"}, `{"a":"\"\\\b\f\n\r\t\u0001/张` + "\x7f" + `","must":[]}`},
		{[]string{"a", "1", "h.n", "", "h.s", ""}, `{"a":"1","h":{"s":""},"must":[]}`},
		{[]string{"h.l", "", "h.l.y.z", "5", "h.l.x", "p", "h.l", "", "h.l.x", "q", "must", "", "a", "1"},
			`{"a":"1","h":{"l":[{"x":"p","y":{"z":5}},{"x":"q"}]},"must":[{}]}`},
	} {
		rec := build(c, k.pairs...)
		got, err := c.Append([]byte("<"), rec)
		if err != nil || string(got) != "<"+k.want {
			t.Errorf("%q: got %s, %v\nwant %s", k.pairs, got, err, k.want)
			continue
		}
		wiretest.Laws(t, c, got[1:], true)
	}
	for _, k := range []struct {
		pairs []string
		path  string
		want  string
	}{
		{nil, "a", "a value"},
		{[]string{"a", ""}, "a", "a value"},
		{[]string{"a", "\xff"}, "a", "UTF-8"},
		{[]string{"a", "1", "h.n", "1.5"}, "h.n", "whole"},
		{[]string{"a", "1", "h.n", "--5"}, "h.n", "whole"},
		{[]string{"a", "1", "h.n", "+5"}, "h.n", "whole"},
		{[]string{"a", "1", "h.deep.d", "1."}, "h.deep.d", "number"},
		{[]string{"a", "1", "h.deep.b", "yes"}, "h.deep.b", "true or false"},
		{[]string{"a", "1", "h.s", "秘密\x00"}, "h.s", "got 7 bytes"},
		{[]string{"a", "1", "h.l", "", "h.l.x", "1", "h.l", "", "h.l.y.z", "1"}, "h.l[1].x", "a value"},
		{[]string{"a", "1", "must", "", "must", "", "must", ""}, "must", "at most 2"},
	} {
		_, err := c.Append(nil, build(c, k.pairs...))
		var e *protocol.Error
		if !errors.As(err, &e) || e.Path != k.path || !strings.Contains(e.Error(), k.want) {
			t.Errorf("%q: got %v, want %s %q", k.pairs, err, k.path, k.want)
		}
	}
}

func TestJSONLimits(t *testing.T) {
	c := compile(t, "format: json\nextra: ignore\ndepth: 4\nmax_bytes: 100\nfields: [{name: a}]")
	for _, k := range []struct {
		body string
		want string
	}{
		{`{"x":[{"y":[1,-2.5e+7,null,true,"\n"]}],"a":"1","z":{}}`, ""},
		{`{"x":[[[[1]]]]}`, "levels"},
		{`{"x":1e}`, "exponent"},
		{`{"x":[1,]}`, "a value"},
		{`{"x":{"y" 1}}`, `":"`},
		{`{"x":{1:1}}`, "a string"},
		{`{"x":tru}`, "a value"},
		{`{"x":01}`, "a value"},
		{strings.Repeat(" ", 101), "at most 100 bytes"},
		{`{"a":"1","a":null}`, "each name once"},
	} {
		wiretest.Laws(t, c, []byte(k.body), false)
		var rec protocol.Record
		err := c.Index(protocol.Frame{Body: []byte(k.body)}, &rec)
		if k.want == "" && err != nil || k.want != "" && (err == nil || !strings.Contains(err.Error(), k.want)) {
			t.Errorf("%s: got %v, want %q", k.body, err, k.want)
		}
	}
}

func TestJSONRedact(t *testing.T) {
	c := compile(t, "format: json\nfields: [{name: a}, {name: card.pin, mask: never}, {name: n, type: number, mask: never}]")
	body := []byte(`{"a":"x","card":{"pin":"12\u003456"},"n":42}`)
	var rec protocol.Record
	if err := c.Index(protocol.Frame{Body: body}, &rec); err != nil {
		t.Fatal(err)
	}
	rec.Redact(body)
	if want := `{"a":"x","card":{"pin":"**********"},"n":**}`; string(body) != want {
		t.Errorf("got %s, want %s", body, want)
	}
}

func TestSpecRefused(t *testing.T) {
	for _, k := range []struct{ spec, want string }{
		{"format: toml", "format"},
		{"format: json\nextra: maybe", "extra"},
		{"format: json\nencoding: gbk", "utf-8"},
		{"format: json\nroot: a", "not for json"},
		{"format: json\nfields: [{type: string}]", "name or a loop"},
		{"format: json\nfields: [{name: a, type: float}]", "type"},
		{"format: json\nfields: [{name: a, mask: secret}]", "mask"},
		{"format: json\nfields: [{name: a}, {name: a}]", "twice"},
		{"format: json\nfields: [{name: a..b}]", "no name"},
		{"format: json\nfields: [{name: a}, {name: a.b}]", "members"},
		{"format: json\nfields: [{name: a.b}, {name: a}]", "members"},
		{"format: json\nfields: [{name: a, max: 3}]", "belong to a loop"},
		{"format: json\nfields: [{loop: a, fields: [{name: b}]}]", "max"},
		{"format: json\nfields: [{loop: a, max: 2}]", "fields"},
		{"format: json\nfields: [{loop: a, max: 2, type: number, fields: [{name: b}]}]", "a loop has only"},
		{"format: json\nfields: [{name: a.b}, {loop: a, max: 2, fields: [{name: c}]}]", "stands before"},
		{"format: json\nfields: [{loop: a, max: 2, fields: [{name: c}]}, {name: a.b}]", "is a loop"},
		{"format: json\ndepth: 2\nfields: [{name: a.b.c}]", "depth"},
	} {
		if _, err := parse(k.spec); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s\ngot %v, want %q", k.spec, err, k.want)
		}
	}
}

func FuzzJSON(f *testing.F) {
	codecs := []protocol.Codec{compile(f, everyJSON), compile(f, strings.Replace(everyJSON, "json", "json\nextra: ignore", 1))}
	for _, link := range []string{"bank-http", "mis"} {
		s := sides(f, "conf/links/"+link+".yaml", "json")
		for _, side := range []string{"request", "reply"} {
			for _, b := range wiretest.Bodies(wiretest.Load(f, root+"testdata/wire/"+link, text.UTF8), side) {
				f.Add(byte(len(codecs)), b)
			}
			codecs = append(codecs, s[side])
		}
	}
	f.Add(byte(0), []byte(`{"a":"1","h":{"s":"\u00e9","n":-5,"deep":{"d":0.10,"b":true},"l":[{"x":"1","y":{"z":1},"m":[{"k":""}]}]},"must":[{}]}`))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		wiretest.Laws(t, codecs[int(which)%len(codecs)], body, false)
	})
}

// Records drawn from the spec are read back as they were written, in the form
// that is written.
func TestJSONRoundTrip(t *testing.T) {
	c := compile(t, everyJSON)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune("a\"\\/\n\t\x01张😀 \u2028")), 1, 6, -1)
		whole := rapid.StringMatching(`-?(0|[1-9][0-9]{0,24})`)
		pairs := []string{"a", text.Draw(t, "a")}
		if rapid.Bool().Draw(t, "h") {
			pairs = append(pairs, "h.s", text.Draw(t, "s"), "h.n", whole.Draw(t, "n"), "h.deep.d", whole.Draw(t, "d")+".50", "h.deep.b", "false")
		}
		for range rapid.IntRange(0, 4).Draw(t, "l") {
			pairs = append(pairs, "h.l", "", "h.l.x", text.Draw(t, "x"), "h.l.y.z", whole.Draw(t, "z"))
		}
		for range rapid.IntRange(0, 2).Draw(t, "must") {
			pairs = append(pairs, "must", "", "must.t", text.Draw(t, "t"))
		}
		rec := build(c, pairs...)
		want := strings.Join(wiretest.Lines(rec), "\n")
		body, err := c.Append(nil, rec)
		if err != nil {
			t.Fatal(err)
		}
		var got protocol.Record
		if err := c.Index(protocol.Frame{Body: body}, &got); err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
		if lines := strings.Join(wiretest.Lines(&got), "\n"); lines != want {
			t.Fatalf("got\n%s\nwant\n%s", lines, want)
		}
		wiretest.Laws(t, c, body, true)
	})
}

func TestJSONNoAllocations(t *testing.T) {
	for _, name := range []string{"pay-1-bill", "pay-99-bills", "reply-query"} {
		noAllocations(t, "bank-http", "json", name, text.UTF8)
	}
}

func noAllocations(t *testing.T, link, section, name string, charset text.Charset) {
	t.Helper()
	c, body := golden(t, link, section, name, charset)
	var rec protocol.Record
	dst := make([]byte, 0, 2*len(body))
	if n := testing.AllocsPerRun(100, func() {
		if err := c.Index(protocol.Frame{Body: body}, &rec); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Append(dst, &rec); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%s: got %v allocations, want 0", name, n)
	}
}

func golden(tb testing.TB, link, section, name string, charset text.Charset) (protocol.Codec, []byte) {
	tb.Helper()
	file := "conf/links/" + link + ".yaml"
	if _, err := os.Stat(root + file); err != nil {
		file = "testdata/links/" + link + ".yaml"
	}
	for _, k := range wiretest.Load(tb, root+"testdata/wire/"+link, charset) {
		if k.Name == name {
			return sides(tb, file, section)[k.Side], k.Body
		}
	}
	tb.Fatalf("no golden message %s", name)
	return nil, nil
}

func BenchmarkJSONIndexPay1(b *testing.B) {
	benchIndex(b, "bank-http", "json", "pay-1-bill", text.UTF8)
}
func BenchmarkJSONIndexPay99(b *testing.B) {
	benchIndex(b, "bank-http", "json", "pay-99-bills", text.UTF8)
}
func BenchmarkJSONIndexReply(b *testing.B) {
	benchIndex(b, "bank-http", "json", "reply-query", text.UTF8)
}
func BenchmarkJSONAppendPay1(b *testing.B) {
	benchAppend(b, "bank-http", "json", "pay-1-bill", text.UTF8)
}
func BenchmarkJSONAppendPay99(b *testing.B) {
	benchAppend(b, "bank-http", "json", "pay-99-bills", text.UTF8)
}
func BenchmarkJSONAppendReply(b *testing.B) {
	benchAppend(b, "bank-http", "json", "reply-query", text.UTF8)
}

func benchIndex(b *testing.B, link, section, name string, charset text.Charset) {
	c, body := golden(b, link, section, name, charset)
	var rec protocol.Record
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Index(protocol.Frame{Body: body}, &rec); err != nil {
			b.Fatal(err)
		}
	}
}

func benchAppend(b *testing.B, link, section, name string, charset text.Charset) {
	c, body := golden(b, link, section, name, charset)
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
