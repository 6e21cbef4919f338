package fml

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

func sides(tb testing.TB, file string) map[string]protocol.Codec {
	tb.Helper()
	b, err := os.ReadFile(root + file)
	if err != nil {
		tb.Fatal(err)
	}
	var link struct {
		FML struct{ Request, Reply Spec } `yaml:"fml"`
	}
	if err := yaml.Unmarshal(b, &link); err != nil {
		tb.Fatal(err)
	}
	out := map[string]protocol.Codec{}
	for name, s := range map[string]*Spec{"request": &link.FML.Request, "reply": &link.FML.Reply} {
		if out[name], err = New(s); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
	return out
}

func TestGolden(t *testing.T) {
	for name, link := range map[string]string{"tuxedo-fml": "testdata/links/tuxedo-fml.yaml", "kiosk-socket": "conf/links/kiosk-socket.yaml"} {
		t.Run(name, func(t *testing.T) {
			wiretest.Run(t, wiretest.Load(t, root+"testdata/wire/"+name, text.GBK), sides(t, link))
		})
	}
}

// The ids are those of the vendors' own headers.
func TestTable(t *testing.T) {
	table, err := ParseTable(`
# comment
$/* to the header */
TA_ATTRIBUTE 6000 long
TA_CLASS	6002	string	-	class
*base 20000
CONS_NO 2 string
#define RCV_AMT	((FLDID32)33574436)	/* number: 20004 type: long */
#define CONS_NO ((FLDID32)167792162)
#define LIMIT 5000 more
#ifndef X
`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]ID{"TA_ATTRIBUTE": 33560432, "TA_CLASS": 167778162, "CONS_NO": 167792162, "RCV_AMT": 33574436} {
		if got, ok := table.Lookup(name); !ok || got != want {
			t.Errorf("%s: got %d, %v, want %d", name, got, ok, want)
		}
	}
	for _, k := range []struct{ table, want string }{
		{"A 1", "line 1: want name"},
		{"\nA x long", "line 2: A: want a number"},
		{"A 1 decimal", "not supported"},
		{"A 0 long", "want 1 to 33554431"},
		{"*base 33554431\nA 1 long", "want 1 to 33554431"},
		{"*base", "*base"},
		{"*base -5", "*base"},
		{"1A 5 long", "no field name"},
		{"A-B 5 long", "no field name"},
		{"A 1 long\nA 2 long", "two ids"},
		{"A 1 long\nB 1 long", "has the id of A"},
		{"#define A ((FLDID32)4294967295)", "type 127"},
	} {
		if _, err := ParseTable(k.table); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%q: got %v, want %q", k.table, err, k.want)
		}
	}
}

func build(c protocol.Codec, pairs ...string) *protocol.Record {
	rec := new(protocol.Record)
	rec.Reset(c.Layout())
	group := -1
	for i := 0; i < len(pairs); i += 2 {
		id, ok := c.Layout().Lookup(pairs[i])
		switch {
		case !ok:
			panic(pairs[i])
		case c.Layout().Fields[id].Group:
			group = rec.Put(id, -1, nil)
		case strings.Contains(pairs[i], "."):
			rec.PutString(id, group, pairs[i+1])
		default:
			rec.PutString(id, -1, pairs[i+1])
		}
	}
	return rec
}

func TestAppend(t *testing.T) {
	c := sides(t, "testdata/links/tuxedo-fml.yaml")["request"]
	key := []string{"CHANNEL_SEQNO", "1", "CHANNEL_DATE", "2"}
	const tail = "CHANNEL_DATE\t2\n"
	for _, k := range []struct {
		pairs []string
		want  string
	}{
		{nil, "CHANNEL_SEQNO\t1\n" + tail},
		{[]string{"RCV_AMT", "-00012", "BATCH", "", "FLAG", `\`}, "RCV_AMT\t-12\nFLAG\t\\\\\nCHANNEL_SEQNO\t1\n" + tail},
		{[]string{"bills", "", "bills.BILL_ID", "a", "bills.YM", "1", "bills", "", "bills.BILL_ID", "b"},
			"YM\t1\nCHANNEL_SEQNO\t1\nBILL_ID\ta\nBILL_ID\tb\n" + tail},
	} {
		got, err := c.Append([]byte("<"), build(c, append(key[:4:4], k.pairs...)...))
		if err != nil || string(got) != "<"+k.want {
			t.Errorf("%q: got %q, %v, want %q", k.pairs, got, err, k.want)
			continue
		}
		wiretest.Laws(t, c, got[1:], true)
	}
	many := []string{}
	for range 100 {
		many = append(many, "bills", "", "bills.BILL_ID", "x")
	}
	for _, k := range []struct {
		pairs []string
		path  string
		want  string
	}{
		{[]string{"RCV_AMT", "1.5"}, "RCV_AMT", "64 bits"},
		{[]string{"RCV_AMT", "9223372036854775808"}, "RCV_AMT", "64 bits"},
		{[]string{"BATCH", "-32769"}, "BATCH", "-32768"},
		{[]string{"FLAG", "张"}, "FLAG", "one printable"},
		{[]string{"CONS_NO", "0512\x0012345"}, "CONS_NO", "got 10 bytes"},
		{[]string{"CONS_NO", "😀"}, "CONS_NO", "characters of gbk"},
		{[]string{"bills", "", "bills.BILL_ID", "a", "bills", "", "bills.BILL_ID", "b", "bills.YM", "1"}, "bills[0].YM", "a value"},
		{[]string{"bills", "", "bills.BILL_ID", "a", "bills", ""}, "bills[1].BILL_ID", "a value"},
		{many, "bills", "at most 99"},
	} {
		_, err := c.Append(nil, build(c, append(key[:4:4], k.pairs...)...))
		var e *protocol.Error
		if !errors.As(err, &e) || e.Path != k.path || !strings.Contains(e.Error(), k.want) {
			t.Errorf("%.60q: got %v, want %s %q", k.pairs, err, k.path, k.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, k := range []struct {
		t    Type
		v    string
		want bool
	}{
		{Short, "32767", true}, {Short, "32768", false}, {Short, "-32768", true}, {Short, "-32769", false}, {Short, "0", true},
		{Short, "-0", false}, {Short, "00", false}, {Short, "", false}, {Short, "-", false}, {Short, "+1", false}, {Short, " 1", false},
		{Long, "9223372036854775807", true}, {Long, "9223372036854775808", false}, {Long, "-9223372036854775808", true},
		{Long, "-9223372036854775809", false}, {Long, "99999999999999999999", false}, {Long, "1.0", false},
		{Double, "0.528300", true}, {Double, "-12.5", true}, {Double, "12", true}, {Double, "12.", false}, {Double, ".5", false},
		{Double, "1e5", false}, {Double, "01.5", false}, {Double, "1.2.3", false}, {Double, "nan", false}, {Double, "", false},
		{Char, "A", true}, {Char, "AB", false}, {Char, "", false}, {Char, "\t", false},
	} {
		if got := fits(k.t, []byte(k.v)); got != k.want {
			t.Errorf("%v %q: got %v, want %v", k.t, k.v, got, k.want)
		}
	}
}

func TestSpecRefused(t *testing.T) {
	const top = "encoding: gbk\ntable: |\n  A 1 long\n  B 2 string\n"
	for _, k := range []struct{ spec, want string }{
		{"encoding: x", "encoding"},
		{"encoding: gbk\nextra: maybe", "extra"},
		{"encoding: gbk\ntable: A", "table line 1"},
		{top + "fields: [{name: C}]", "not in the field table"},
		{top + "fields: [{name: A, mask: x}]", "mask"},
		{top + "fields: [{name: A, max: 2}]", "belong to a loop"},
		{top + "  C 3 fml32\nfields: [{name: C}]", "has fields"},
		{top + "  C 3 fml32\nfields: [{name: C, max: 2, required: true, fields: [{name: A}]}]", "does not repeat"},
		{top + "  C 3 fml32\nfields: [{name: C, fields: [{name: A}, {name: A}]}]", "twice"},
		{top + "  C 3 fml32\nfields: [{name: C, fields: [{loop: l, max: 2, fields: [{name: A}]}]}]", "or a buffer"},
		{top + "  C 3 fml32\n  D 4 fml32\nfields: [{name: C, fields: [{name: D, fields: [{name: A}]}]}]", "within a buffer"},
		{top + "  C 3 fml32\nfields: [{loop: l, max: 2, fields: [{name: C, fields: [{name: A}]}]}]", "its own max"},
		{top + "  C 3 view32\n", "not supported"},
		{top + "fields: [{name: A}, {name: A}]", "twice"},
		{top + "fields: [{loop: l, fields: [{name: A}]}]", "max"},
		{top + "fields: [{loop: l, max: 2}]", "fields"},
		{top + "fields: [{loop: l, max: 2, fields: [{loop: m, max: 2, fields: [{name: A}]}]}]", "within a loop"},
		{top + "fields: [{loop: l, max: 2, fields: [{name: A}]}, {loop: l, max: 2, fields: [{name: B}]}]", "twice"},
		{top + "fields: [{loop: l, max: 2, fields: [{name: A}]}, {name: A}]", "twice"},
	} {
		var spec Spec
		dec := yaml.NewDecoder(strings.NewReader(k.spec))
		dec.KnownFields(true)
		err := dec.Decode(&spec)
		if err == nil {
			_, err = New(&spec)
		}
		if err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s\ngot %v, want %q", k.spec, err, k.want)
		}
	}
}

func FuzzFML(f *testing.F) {
	s := sides(f, "testdata/links/tuxedo-fml.yaml")
	codecs := []protocol.Codec{s["request"], s["reply"], buffers(f)}
	f.Add(byte(2), []byte(withBuffers))
	cases := wiretest.Load(f, root+"testdata/wire/tuxedo-fml", text.GBK)
	for i, side := range []string{"request", "reply"} {
		for _, b := range wiretest.Bodies(cases, side) {
			f.Add(byte(i), b)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		wiretest.Laws(t, codecs[int(which)%len(codecs)], body, false)
	})
}

func FuzzTable(f *testing.F) {
	f.Add("*base 20000\nA 1 long - x\n#define B ((FLDID32)33574436)\n")
	f.Fuzz(func(t *testing.T, s string) {
		table, err := ParseTable(s)
		if err != nil {
			return
		}
		for name, id := range table.ids {
			if parseType(id.Type().String()) == unknown || table.names[id] != name {
				t.Fatalf("%s: id %d, %v", name, id, id.Type())
			}
		}
	})
}

// Records drawn from the spec are read back as they were written.
func TestRecordsRoundTrip(t *testing.T) {
	c := sides(t, "testdata/links/tuxedo-fml.yaml")["request"]
	rapid.Check(t, func(t *rapid.T) {
		val := rapid.StringOfN(rapid.SampledFrom([]rune("ab\\\t\n张繺|\x7f ")), 1, 6, -1)
		pairs := []string{"CHANNEL_SEQNO", val.Draw(t, "seq"), "CHANNEL_DATE", "20260131", "CONS_NO", val.Draw(t, "no"),
			"RCV_AMT", rapid.StringMatching(`[1-9][0-9]{0,17}`).Draw(t, "amt"), "MAC_DATA", string(rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "mac"))}
		for range rapid.IntRange(0, 5).Draw(t, "bills") {
			pairs = append(pairs, "bills", "", "bills.BILL_ID", val.Draw(t, "id"), "bills.YM", "202512", "bills.BILL_AMT", "-5")
		}
		rec := build(c, pairs...)
		want := strings.Join(wiretest.Lines(rec), "\n")
		body, err := c.Append(nil, rec)
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range body {
			if ch >= 0x7F {
				t.Fatalf("not ASCII: %q", body)
			}
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

func golden(tb testing.TB, name string) (protocol.Codec, []byte) {
	for _, k := range wiretest.Load(tb, root+"testdata/wire/tuxedo-fml", text.GBK) {
		if k.Name == name {
			return sides(tb, "testdata/links/tuxedo-fml.yaml")[k.Side], k.Body
		}
	}
	tb.Fatalf("no golden message %s", name)
	return nil, nil
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets under the race detector")
	}
	for _, name := range []string{"pay", "pay-99-bills", "reply"} {
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
		}); n >= 1 { // a collection may empty the pool
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkIndexPay(b *testing.B)    { benchIndex(b, "pay") }
func BenchmarkIndexPay99(b *testing.B)  { benchIndex(b, "pay-99-bills") }
func BenchmarkAppendPay(b *testing.B)   { benchAppend(b, "pay") }
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
