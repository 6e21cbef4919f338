package markup

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

func TestGoldenXML(t *testing.T) {
	for name, link := range map[string]string{"water-xml": "testdata/links/water-xml.yaml", "bank-xml": "conf/links/bank-xml.yaml"} {
		t.Run(name, func(t *testing.T) {
			wiretest.Run(t, wiretest.Load(t, root+"testdata/wire/"+name, text.GBK), sides(t, link, "xml"))
		})
	}
}

func TestGoldenKV(t *testing.T) {
	wiretest.Run(t, wiretest.Load(t, root+"testdata/wire/query-kv", text.GBK), sides(t, "testdata/links/query-kv.yaml", "kv"))
}

const everyXML = `
format: xml
root: p:r
namespaces: [{prefix: p, uri: "u:p"}, {prefix: "", uri: "u:d"}]
fields:
  - {name: "@v"}
  - {name: a, required: true}
  - {name: h.s, mask: name}
  - {name: "h.s.@x"}
  - {name: "h.s.@p:y", type: number}
  - {name: h.n, type: number}
  - {name: p:h.b, type: bool}
  - loop: l
    max: 4
    fields:
      - {name: "@k"}
      - {name: y.z, type: decimal}
      - {loop: m, max: 3, fields: [{name: t}]}
`

func TestXMLAppend(t *testing.T) {
	const open = `<?xml version="1.0" encoding="UTF-8"?><p:r xmlns:p="u:p" xmlns="u:d"`
	c := compile(t, everyXML)
	for _, k := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"a", "1"}, `><a>1</a>`},
		{[]string{"h.n", "007", "a", "<&>\"'\r\n\t张", "@v", "<\"\n"}, ` v="&lt;&quot;&#10;"><a>&lt;&amp;&gt;"'&#13;` + "\n\t" + `张</a><h><n>7</n></h>`},
		{[]string{"a", "1", "h.s", ""}, `><a>1</a><h><s></s></h>`},
		{[]string{"a", "1", "h.s", "q", "h.s.@p:y", "5"}, `><a>1</a><h><s p:y="5">q</s></h>`},
		{[]string{"a", "1", "h.n", ""}, `><a>1</a>`},
		{[]string{"a", "1", "l", "", "l.@k", "1", "l", "", "l.y.z", "-1.50"}, `><a>1</a><l k="1"></l><l><y><z>-1.50</z></y></l>`},
	} {
		got, err := c.Append([]byte("<<"), build(c, k.pairs...))
		if want := "<<" + open + k.want + "</p:r>"; err != nil || string(got) != want {
			t.Errorf("%q: got %s, %v\nwant %s", k.pairs, got, err, want)
			continue
		}
		wiretest.Laws(t, c, got[2:], true)
	}
	for _, k := range []struct {
		pairs []string
		path  string
		want  string
	}{
		{nil, "a", "a value"},
		{[]string{"a", "\x01"}, "a", "control"},
		{[]string{"a", "1", "h.n", "x"}, "h.n", "whole"},
		{[]string{"a", "1", "h.s.@p:y", "1.5"}, "h.s.@p:y", "whole"},
		{[]string{"a", "1", "h.s", "秘密\xff"}, "h.s", "got 7 bytes"},
		{[]string{"a", "1", "l", "", "l", "", "l.y.z", "1e5"}, "l[1].y.z", "exponent"},
		{[]string{"a", "1", "l", "", "l", "", "l", "", "l", "", "l", ""}, "l", "at most 4"},
	} {
		_, err := c.Append(nil, build(c, k.pairs...))
		var e *protocol.Error
		if !errors.As(err, &e) || e.Path != k.path || !strings.Contains(e.Error(), k.want) {
			t.Errorf("%q: got %v, want %s %q", k.pairs, err, k.path, k.want)
		}
	}
}

// What the encoding of the wire lacks is written as a reference.
func TestXMLAppendGBK(t *testing.T) {
	c := compile(t, "format: xml\nencoding: gbk\nroot: r\nfields: [{name: a}]")
	got, err := c.Append(nil, build(c, "a", "张😀"))
	if want := "<?xml version=\"1.0\" encoding=\"GBK\"?><r><a>\xD5\xC5&#128512;</a></r>"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	wiretest.Laws(t, c, got, true)
}

func TestXMLReads(t *testing.T) {
	strict := compile(t, everyXML)
	loose := compile(t, strings.Replace(everyXML, "format: xml", "format: xml\nextra: ignore\ndepth: 6\nmax_bytes: 600", 1))
	for _, k := range []struct {
		c    protocol.Codec
		body string
		want string // part of the error, or the values
	}{
		{strict, `<r xmlns="u:p" ><a xmlns="u:d">1</a></r>`, `a "1"`},
		{strict, `<q:r xmlns:q="u:p"><a xmlns="u:d" xmlns:z="u:d"><![CDATA[]]]]><![CDATA[>]]></a></q:r>`, `a "]]>"`},
		{strict, `<r xmlns="u:p"><d:l xmlns:d="u:d"/><a>1</a></r>`, "an element of the spec"},
		{strict, `<r xmlns="u:p" xmlns:d="u:d"><d:a>1</d:a><d:h><d:s x="&#9;&lt;` + "\n" + `" b:y="12" xmlns:b="u:p"/></d:h></r>`, `a "1" h.s.@x "\t< " h.s.@p:y "12" h.s ""`},
		{strict, `<r xmlns="u:p" xmlns="u:d"/>`, "each prefix once"},
		{strict, `<r xmlns="u:p" xmlns:x=""/>`, "plain namespace"},
		{strict, `<r xmlns="u:q"/>`, "the element p:r"},
		{strict, `<r xmlns="u:p" xmlns:d="u:d"><d:a>1</d:a><d:l/><d:h/><d:l/></r>`, "entries of a loop together"},
		{strict, `<r xmlns="u:p" v="1"xml:lang="zh"/>`, `">" or a space`},
		{strict, `<r xmlns="u:p" xml:lang="zh"/>`, "attribute of the spec"},
		{strict, `<r xmlns="u:p"><a xmlns="u:d">&#0;</a></r>`, "character reference"},
		{strict, `<r xmlns="u:p"><a xmlns="u:d">&#xD800;</a></r>`, "character reference"},
		{strict, `<r xmlns="u:p"><a xmlns="u:d">&#x110000;</a></r>`, "character reference"},
		{strict, `<r xmlns="u:p"><a xmlns="u:d">` + "\x01" + `</a></r>`, "control"},
		{strict, `<r xmlns="u:p"><a xmlns="u:d">1<b/></a></r>`, "closing tag"},
		{strict, `<r xmlns="u:p"><!-- a -- b --></r>`, `behind "--"`},
		{strict, `<r xmlns="u:p" v=1/>`, "quotes"},
		{strict, `<r xmlns="u:p" v="<"/>`, "closing quote"},
		{strict, ` <?xml version="1.0"?><r/>`, "a name"},
		{strict, `<?xml version="1.1"?><r/>`, "version 1.0"},
		{strict, "\xEF\xBB\xBF<r xmlns='u:p' xmlns:d='u:d'><d:a>1</d:a></r>", `a "1"`},
		{loose, `<r xmlns="u:p" o="1" xmlns:d="u:d"><x y="&lt;">t<z/><w>u</w></x><d:a>1</d:a><x/></r>`, `a "1"`},
		{loose, `<r xmlns="u:p"><x><x><x><x><x><x><x/></x></x></x></x></x></x></r>`, "levels"},
		{loose, `<r xmlns="u:p"><x><y></x></y></r>`, "closing tag"},
		{loose, `<r xmlns="u:p">` + strings.Repeat(" ", 600), "at most 600 bytes"},
	} {
		wiretest.Laws(t, k.c, []byte(k.body), false)
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
}

func TestXMLRedact(t *testing.T) {
	c := sides(t, "testdata/links/water-xml.yaml", "xml")["request"]
	body := []byte(`<root xmlns:w="urn:water:1"><head><txn>1</txn><serial>2</serial><date>3</date></head><w:body><pin><![CDATA[123456]]></pin></w:body></root>`)
	var rec protocol.Record
	if err := c.Index(protocol.Frame{Body: body}, &rec); err != nil {
		t.Fatal(err)
	}
	rec.Redact(body)
	if strings.Contains(string(body), "123456") || !strings.Contains(string(body), "<pin>***") {
		t.Errorf("got %s", body)
	}
}

func TestXMLAndKVSpecRefused(t *testing.T) {
	for _, k := range []struct{ spec, want string }{
		{"format: xml", "root"},
		{"format: xml\nroot: r\nseparator: '|'", "not for xml"},
		{"format: xml\nroot: r\nencoding: ascii", "encoding"},
		{"format: xml\nroot: x:r", "not among"},
		{"format: xml\nroot: '@r'", "attribute"},
		{"format: xml\nroot: '1r'", "no name"},
		{"format: xml\nroot: r\nfields: [{name: '@a.b'}]", "attribute"},
		{"format: xml\nroot: r\nfields: [{name: a}, {name: a.b}]", "not elements"},
		{"format: xml\nroot: r\nfields: [{name: 'a=b'}]", "no name"},
		{"format: xml\nroot: r\nnamespaces: [{prefix: p, uri: u}, {prefix: q, uri: u}]\nfields: [{name: 'p:a'}, {name: 'q:a'}]", "same name"},
		{"format: xml\nroot: r\nnamespaces: [{prefix: p, uri: u}, {prefix: p, uri: v}]", "namespaces"},
		{"format: kv\nroot: r", "not for kv"},
		{"format: kv\nescape: base64", "escape"},
		{"format: kv\nseparator: '=='", "separator"},
		{"format: kv\nseparator: '='", "assign"},
		{"format: kv\nassign: '|'", "assign"},
		{"format: kv\nfields: [{name: a.b}]", "no nesting"},
		{"format: kv\nfields: [{name: a=b}]", "separator"},
	} {
		if _, err := parse(k.spec); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s\ngot %v, want %q", k.spec, err, k.want)
		}
	}
}

func FuzzXML(f *testing.F) {
	s := sides(f, "testdata/links/water-xml.yaml", "xml")
	codecs := []protocol.Codec{s["request"], s["reply"], compile(f, everyXML),
		compile(f, strings.Replace(everyXML, "format: xml", "format: xml\nextra: ignore", 1))}
	cases := wiretest.Load(f, root+"testdata/wire/water-xml", text.GBK)
	for i, side := range []string{"request", "reply"} {
		for _, b := range wiretest.Bodies(cases, side) {
			f.Add(byte(i), b)
		}
	}
	f.Add(byte(2), []byte(`<q:r xmlns:q="u:p" v="1" xmlns="u:d"><a>1</a><h><s x="" q:y="7">é&#233;</s><n/></h><l k="&quot;"><y><z>0.10</z></y><m><t/></m></l></q:r>`))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		wiretest.Laws(t, codecs[int(which)%len(codecs)], body, false)
	})
}

func FuzzKV(f *testing.F) {
	s := sides(f, "testdata/links/query-kv.yaml", "kv")
	codecs := []protocol.Codec{s["request"], s["reply"],
		compile(f, "format: kv\nextra: ignore\nescape: percent\nfields: [{name: a, required: true}, {name: b, type: decimal}, {name: c, type: bool}]"),
		compile(f, "format: kv\nseparator: \"\\n\"\nfields: [{name: a}, {name: 户名}]")}
	for i, spec := range marksSpecs {
		codecs = append(codecs, compile(f, spec))
		f.Add(byte(4+i), []byte([]string{"a=>1||b=>2", "a: 1\r\nb: 2\r\n", `a="x,""y",b=z`, `a="1"|b=""`, "a=x\\||n=1", "a=1\\~|~2~|~"}[i]))
	}
	cases := wiretest.Load(f, root+"testdata/wire/query-kv", text.GBK)
	for i, side := range []string{"request", "reply"} {
		for _, b := range wiretest.Bodies(cases, side) {
			f.Add(byte(i), b)
		}
	}
	f.Add(byte(2), []byte("a=%41&b=-0.50&c=true&d"))
	f.Add(byte(3), []byte("户名=张三\na="))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		wiretest.Laws(t, codecs[int(which)%len(codecs)], body, false)
	})
}

// Records drawn from the spec are read back as they were written.
func TestXMLRoundTrip(t *testing.T) {
	for _, encoding := range []string{"utf-8", "gbk", "gb18030"} {
		c := compile(t, strings.Replace(everyXML, "format: xml", "format: xml\nencoding: "+encoding, 1))
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.StringOfN(rapid.SampledFrom([]rune("a<>&\"']\r\n\t张😀 \u2028")), 1, 6, -1)
			pairs := []string{"@v", text.Draw(t, "v"), "a", text.Draw(t, "a")}
			if rapid.Bool().Draw(t, "h") {
				pairs = append(pairs, "h.s.@x", text.Draw(t, "x"), "h.s.@p:y", "12", "h.s", text.Draw(t, "s"), "h.n", "-5")
			}
			for range rapid.IntRange(0, 4).Draw(t, "l") {
				pairs = append(pairs, "l", "", "l.@k", text.Draw(t, "k"), "l.y.z", "1.50")
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
}

func TestXMLAndKVNoAllocations(t *testing.T) {
	for _, name := range []string{"pay", "pay-99-bills", "reply-query"} {
		noAllocations(t, "water-xml", "xml", name, text.GBK)
	}
	for _, name := range []string{"pay", "reply"} {
		noAllocations(t, "query-kv", "kv", name, text.GBK)
	}
}

func BenchmarkXMLIndexPay(b *testing.B) { benchIndex(b, "water-xml", "xml", "pay", text.GBK) }
func BenchmarkXMLIndexPay99(b *testing.B) {
	benchIndex(b, "water-xml", "xml", "pay-99-bills", text.GBK)
}
func BenchmarkXMLAppendPay(b *testing.B) { benchAppend(b, "water-xml", "xml", "pay", text.GBK) }
func BenchmarkXMLAppendPay99(b *testing.B) {
	benchAppend(b, "water-xml", "xml", "pay-99-bills", text.GBK)
}
func BenchmarkKVIndex(b *testing.B)  { benchIndex(b, "query-kv", "kv", "pay", text.GBK) }
func BenchmarkKVAppend(b *testing.B) { benchAppend(b, "query-kv", "kv", "pay", text.GBK) }
