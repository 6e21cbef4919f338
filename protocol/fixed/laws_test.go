package fixed

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

// everything is a spec with every shape of field and loop.
const everything = `
encoding: gb18030
header:
  - {name: txn, len: 1, type: n}
  - {name: c, len: 2, type: n, pad: " "}
  - {name: code, len: 2, type: x}
pick: txn
bodies:
  - when: ["1"]
    fields:
      - {name: name, len: 9, type: x, mask: name}
      - {name: right, len: 5, type: an, align: right, pad: "0"}
      - {name: money, len: 8, type: d, decimals: 2, sign: always}
      - {name: day, len: 8, type: n, blank: true}
      - {name: raw, len: 3, type: b}
      - {loop: l, count: c, max: 12, fields: [{name: a, len: 3, type: ans}, {name: n, len: 1, type: n}, {loop: m, count: n, max: 4, fields: [{name: b, len: 4, type: x}]}]}
      - {name: x, len: 3, type: x, optional: true}
      - {name: y, len: 4, type: n, sign: minus, pad: " ", optional: true}
  - when: ["2"]
    only_if: {field: code, values: ["00"]}
    fields:
      - {loop: t, times: 3, fields: [{name: a, len: 2, type: a}, {name: n, len: 2, type: n}]}
      - {loop: r, rest: true, max: 5, fields: [{name: a, len: 2, type: x, required: true}]}
  - {}
`

func FuzzFixed(f *testing.F) {
	codecs := []protocol.Codec{compile(f, everything)}
	for _, link := range []string{"conf/links/bank-fixed.yaml", "testdata/links/e2-fixed.yaml"} {
		s := sides(f, link)
		codecs = append(codecs, s["request"], s["reply"])
	}
	for i, link := range []string{"bank-fixed", "e2-fixed"} {
		cases := wiretest.Load(f, root+"testdata/wire/"+link, text.GB18030)
		for j, side := range []string{"request", "reply"} {
			for _, b := range wiretest.Bodies(cases, side) {
				f.Add(byte(1+2*i+j), b)
			}
		}
	}
	f.Add(byte(0), []byte("1 100\xD5\xC5       00A12+0012.50        abcx  0 07"))
	f.Add(byte(0), []byte("2 000AB01  00  00XYZ "))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		wiretest.Laws(t, codecs[int(which)%len(codecs)], body, true)
	})
}

// Bodies drawn close to what the spec wants are accepted often enough to prove
// that Append gives the same bytes.
func TestBodiesAreCanonical(t *testing.T) {
	c := compile(t, everything)
	good := 0
	rapid.Check(t, func(t *rapid.T) {
		digits := func(n int) string { return rapid.StringMatching("[0-9]{"+strconv.Itoa(n)+"}").Draw(t, "digits") }
		cell := func(set string, n int) string {
			return string(rapid.SliceOfN(rapid.SampledFrom([]byte(set)), n, n).Draw(t, "cell"))
		}
		var b strings.Builder
		n := rapid.IntRange(0, 13).Draw(t, "n")
		txn := rapid.SampledFrom([]string{"1", "1", "1", "2", "3"}).Draw(t, "txn")
		count := strconv.Itoa(n)
		b.WriteString(txn + rapid.SampledFrom([]string{" ", "0"}).Draw(t, "pad")[:max(0, 2-len(count))] + count + "00")
		switch txn {
		case "1":
			b.WriteString(rapid.SampledFrom([]string{"\xD5\xC5\xC8\xFD     ", "\x81\x30\x81\x30 \xC5\xC5  ", "         "}).Draw(t, "name"))
			b.WriteString(cell("0A", 5) + cell("+-", 1) + digits(4) + "." + digits(2))
			b.WriteString(rapid.SampledFrom([]string{"        ", "20260131"}).Draw(t, "day") + cell("\x00 9\xFF", 3))
			for range n {
				m := rapid.IntRange(0, 4).Draw(t, "m")
				b.WriteString(cell("ab ", 3) + strconv.Itoa(m))
				for range m {
					b.WriteString(rapid.SampledFrom([]string{"\xD5\xC5  ", "   z", "    "}).Draw(t, "b"))
				}
			}
			b.WriteString(rapid.SampledFrom([]string{"", "   ", "xy ", "     -1", "   0012", "abc    "}).Draw(t, "tail"))
		case "2":
			for range 3 {
				b.WriteString(rapid.SampledFrom([]string{"  00", "CN01", "  07"}).Draw(t, "t"))
			}
			b.WriteString(cell("xy ", 2*rapid.IntRange(0, 6).Draw(t, "r")))
		}
		wiretest.Laws(t, c, []byte(b.String()), true)
		var rec protocol.Record
		if c.Index(protocol.Frame{Body: []byte(b.String())}, &rec) == nil {
			good++
		}
	})
	if good < 10 {
		t.Errorf("only %d bodies were accepted", good)
	}
}

// Records drawn from the values that a column can hold are read back as they
// were written.
func TestRecordsRoundTrip(t *testing.T) {
	c := compile(t, everything)
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, vals ...string) string { return rapid.SampledFrom(vals).Draw(t, name) }
		pairs := []string{"txn", "1"}
		n := rapid.IntRange(0, 12).Draw(t, "n")
		pairs = append(pairs, "c", strconv.Itoa(n))
		set := func(name, val string) {
			if val != "" {
				pairs = append(pairs, name, val)
			}
		}
		set("code", pick("code", "", "00", "P1"))
		set("name", pick("name", "", "张三", "€uro", "a b", "\U00020000"))
		set("right", pick("right", "", "A1", "A0000"))
		set("money", pick("money", "0012.34", "-0000.01"))
		set("day", pick("day", "", "20260131"))
		set("raw", pick("raw", "abc", "\x00\x00\x00"))
		for range n {
			pairs = append(pairs, "l", "")
			set("l.a", pick("a", "", "x", "x y"))
			pairs = append(pairs, "l.n", "0")
		}
		if x := pick("x", "", "abc"); x != "" {
			set("x", x)
			set("y", pick("y", "", "-12", "0099"))
		}
		rec := build(c, pairs...)
		want := wiretest.Lines(rec)
		body, err := c.Append(nil, rec)
		if err != nil {
			t.Fatal(err)
		}
		var got protocol.Record
		if err := c.Index(protocol.Frame{Body: body}, &got); err != nil {
			t.Fatalf("%v\n%q", err, body)
		}
		if !slices.Equal(wiretest.Lines(&got), want) {
			t.Fatalf("got\n%q\nwant\n%q", wiretest.Lines(&got), want)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	for _, name := range []string{"pay-1-bill", "pay-99-bills", "reply-query"} {
		c, body := golden(t, name)
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
}

func golden(tb testing.TB, name string) (protocol.Codec, []byte) {
	for _, k := range wiretest.Load(tb, root+"testdata/wire/bank-fixed", text.GB18030) {
		if k.Name == name {
			return sides(tb, "conf/links/bank-fixed.yaml")[k.Side], k.Body
		}
	}
	tb.Fatalf("no golden message %s", name)
	return nil, nil
}

func BenchmarkIndexPay1(b *testing.B)   { benchIndex(b, "pay-1-bill") }
func BenchmarkIndexPay99(b *testing.B)  { benchIndex(b, "pay-99-bills") }
func BenchmarkIndexReply(b *testing.B)  { benchIndex(b, "reply-query") }
func BenchmarkAppendPay1(b *testing.B)  { benchAppend(b, "pay-1-bill") }
func BenchmarkAppendPay99(b *testing.B) { benchAppend(b, "pay-99-bills") }
func BenchmarkAppendReply(b *testing.B) { benchAppend(b, "reply-query") }

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
