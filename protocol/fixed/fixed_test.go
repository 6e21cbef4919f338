package fixed

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

const root = "../../"

// sides compiles both directions of a link file.
func sides(tb testing.TB, file string) map[string]protocol.Codec {
	tb.Helper()
	b, err := os.ReadFile(root + file)
	if err != nil {
		tb.Fatal(err)
	}
	var link struct {
		Fixed struct{ Request, Reply Spec }
	}
	if err := yaml.Unmarshal(b, &link); err != nil {
		tb.Fatal(err)
	}
	out := map[string]protocol.Codec{}
	for name, s := range map[string]*Spec{"request": &link.Fixed.Request, "reply": &link.Fixed.Reply} {
		if out[name], err = New(s); err != nil {
			tb.Fatalf("%s: %s: %v", file, name, err)
		}
	}
	return out
}

// compile reads a spec from YAML text.
func compile(tb testing.TB, s string) protocol.Codec {
	tb.Helper()
	c, err := parse(s)
	if err != nil {
		tb.Fatalf("%v\n%s", err, s)
	}
	return c
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

func TestGolden(t *testing.T) {
	for _, link := range []struct{ name, file string }{
		{"bank-fixed", "conf/links/bank-fixed.yaml"},
		{"e2-fixed", "testdata/links/e2-fixed.yaml"},
	} {
		t.Run(link.name, func(t *testing.T) {
			wiretest.Run(t, wiretest.Load(t, root+"testdata/wire/"+link.name, text.GB18030), sides(t, link.file))
		})
	}
}

// build fills a record: "name", "value" pairs; a name with a dot goes into the
// group that was put last.
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

// A reply is filled by a mapping in its own order, with values that were not
// made for this wire, and must come out all the same.
func TestAppendFromMapping(t *testing.T) {
	c := sides(t, "conf/links/bank-fixed.yaml")["reply"]
	long := strings.Repeat("系统繁忙请稍后再试", 10)
	rec := build(c, "code", "00", "text", long, "amount", "30150", "name", "张三", "account", "0512000123",
		"serial", "42", "txn", "1001", "bills", "", "bills.amount", "10050", "bills.id", "YS1", "bills.month", "202512")
	got, err := c.Append(nil, rec)
	if err != nil {
		t.Fatal(err)
	}
	gbk := func(s string, width int) string {
		b, err := text.GB18030.Append(nil, []byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + strings.Repeat(" ", width-len(b))
	}
	want := "1001" + "42          " + "00" + gbk(long[:90], 60) + "0512000123  " + gbk("张三", 40) + strings.Repeat(" ", 80) +
		"000000030150" + "01" + "YS1             " + "202512" + "000000010050" + strings.Repeat("0", 24)
	if string(got) != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	for i, n := range rec.Nodes() {
		if n.Size == 0 {
			t.Errorf("%s has no span", c.Layout().Fields[rec.Nodes()[i].ID].Name)
		}
	}
}

func TestAppendFallsBackByCode(t *testing.T) {
	c := sides(t, "conf/links/bank-fixed.yaml")["reply"]
	for _, code := range []string{"98", "03"} {
		got, err := c.Append(nil, build(c, "txn", "1002", "code", code, "amount", "100", "serial", "1"))
		if err != nil || len(got) != 78 {
			t.Errorf("code %s: got %d bytes, %v, want the header alone", code, len(got), err)
		}
	}
	if got, err := c.Append(nil, build(c, "txn", "1002", "code", "00", "amount", "100")); err != nil || len(got) != 78+60 {
		t.Errorf("code 00: got %d bytes, %v, want 138", len(got), err)
	}
}

func TestAppendRefuses(t *testing.T) {
	c := compile(t, `
encoding: gbk
header: [{name: txn, len: 2, type: n}, {name: serial, len: 4, type: x, required: true}, {name: track, len: 4, type: x, mask: never}]
pick: txn
bodies:
  - when: ["01"]
    fields:
      - {name: n, len: 1, type: n}
      - {loop: bills, count: n, max: 20, fields: [{name: id, len: 2, type: x}]}
  - {when: ["02"], only_if: {field: serial, values: ["A"]}, fields: []}
`)
	ten := []string{"txn", "01", "serial", "1"}
	for range 10 {
		ten = append(ten, "bills", "", "bills.id", "x")
	}
	for _, k := range []struct {
		pairs []string
		class protocol.Class
		path  string
		want  string
	}{
		{nil, protocol.ClassHeader, "txn", "chooses"},
		{[]string{"txn", "09"}, protocol.ClassHeader, "txn", "one of 01, 02"},
		{[]string{"txn", "02"}, protocol.ClassHeader, "txn", "only_if"},
		{[]string{"txn", "01"}, protocol.ClassHeader, "serial", "a value"},
		{[]string{"txn", "01", "serial", "12345"}, protocol.ClassHeader, "serial", "at most 4 bytes"},
		{[]string{"txn", "01", "serial", "1", "track", "123456"}, protocol.ClassHeader, "track", "got 6 bytes"},
		{[]string{"txn", "01", "serial", "1", "bills", "", "bills.id", "abc"}, protocol.ClassField, "bills[0].id", `got "abc"`},
		{ten, protocol.ClassField, "n", "at most 1 bytes"},
	} {
		dst := []byte("before")
		got, err := c.Append(dst, build(c, k.pairs...))
		var e *protocol.Error
		if !errors.As(err, &e) || e.Class != k.class || e.Path != k.path || !strings.Contains(e.Error(), k.want) {
			t.Errorf("%q: got %v, want %s %s %q", k.pairs, err, k.class, k.path, k.want)
		}
		if !bytes.Equal(got, dst) {
			t.Errorf("%q: got %q, want the bytes before", k.pairs, got)
		}
	}
	var other protocol.Record
	other.Reset(protocol.NewLayout(nil))
	if _, err := c.Append(nil, &other); err == nil {
		t.Error("a record of another layout was written")
	}
}

func TestRedact(t *testing.T) {
	c := compile(t, `
encoding: gbk
header: [{name: a, len: 2, type: x}, {name: pin, len: 4, type: b, mask: never}, {name: z, len: 2, type: x}]
`)
	body := []byte("ab\x01\x02\x03\x04yz")
	var rec protocol.Record
	if err := c.Index(protocol.Frame{Body: body}, &rec); err != nil {
		t.Fatal(err)
	}
	rec.Redact(body)
	if string(body) != "ab****yz" {
		t.Errorf("got %q", body)
	}
}

// The shapes of loops and of optional tails, both ways.
func TestLoopsAndTails(t *testing.T) {
	loop := func(s string) string {
		return "encoding: ascii\nheader: [{name: k, len: 1, type: n}, {name: c, len: 2, type: n}]\nbodies:\n- fields:\n" + s
	}
	rest := loop("  - {loop: l, rest: true, max: 3, fields: [{name: a, len: 1, type: x}, {name: b, len: 1, type: n}]}\n")
	room := loop("  - {loop: l, times: 3, fields: [{name: a, len: 1, type: x}, {name: b, len: 1, type: n}]}\n  - {name: z, len: 1, type: x}\n")
	counted := loop("  - {loop: l, times: 3, count: c, fields: [{name: a, len: 1, type: x}, {name: b, len: 1, type: n}]}\n")
	nested := loop("  - {loop: l, count: c, max: 9, fields: [{name: n, len: 1, type: n}, {loop: m, count: n, max: 9, fields: [{name: a, len: 1, type: x}]}]}\n")
	tail := loop("  - {name: a, len: 2, type: x}\n  - {name: b, len: 2, type: x, optional: true}\n  - {name: d, len: 2, type: n, optional: true}\n")
	for _, k := range []struct{ spec, body, want string }{
		{rest, "100", "k=1 c=00"},
		{rest, "100x1y2", "k=1 c=00 l[0].a=x l[0].b=1 l[1].a=y l[1].b=2"},
		{rest, "100x1y", "error l[1].b at 6"},
		{rest, "100x1y2z3w4", "error l at 9"},
		{room, "100x1 0 0z", "k=1 c=00 l[0].a=x l[0].b=1 z=z"},
		{room, "100 0x1 0z", "k=1 c=00 l[0].b=0 l[1].a=x l[1].b=1 z=z"},
		{room, "100 0 0 0z", "k=1 c=00 z=z"},
		{room, "100x1y2z3z", "k=1 c=00 l[0].a=x l[0].b=1 l[1].a=y l[1].b=2 l[2].a=z l[2].b=3 z=z"},
		{room, "100x1 0", "error l[2].a at 7"},
		{counted, "102 0x1 0", "k=1 c=02 l[0].b=0 l[1].a=x l[1].b=1"},
		{counted, "101x1y2 0", "error l at 5"},
		{counted, "104x1y2z3w4", "error c at 1"},
		{counted, "101x1 0", "error l at 7"},
		{nested, "1022ab0", "k=1 c=02 l[0].n=2 l[0].m[0].a=a l[0].m[1].a=b l[1].n=0"},
		{nested, "1012a", "error l[0].m[1].a at 5"},
		{tail, "100AB", "k=1 c=00 a=AB"},
		{tail, "100ABCD", "k=1 c=00 a=AB b=CD"},
		{tail, "100AB  ", "k=1 c=00 a=AB b="},
		{tail, "100AB  07", "k=1 c=00 a=AB b= d=07"},
		{tail, "100ABC", "error b at 5"},
		{tail, "100ABCD075", "error  at 9"},
	} {
		c := compile(t, k.spec)
		wiretest.Laws(t, c, []byte(k.body), true)
		var rec protocol.Record
		err := c.Index(protocol.Frame{Body: []byte(k.body)}, &rec)
		got := strings.ReplaceAll(strings.ReplaceAll(strings.Join(wiretest.Lines(&rec), " "), `"`, ""), " ", "=")
		want := strings.ReplaceAll(k.want, " ", "=")
		if err == nil {
			// Lines writes "path value"; both became "=".
			if got != want {
				t.Errorf("%q: got %s, want %s", k.body, got, want)
			}
			continue
		}
		e := err.(*protocol.Error)
		if text := strings.ReplaceAll("error "+e.Path+" at "+strconv.Itoa(e.Offset), " ", "="); text != want {
			t.Errorf("%q: got %s (%v), want %s", k.body, text, err, want)
		}
	}
}

func TestSpecRefused(t *testing.T) {
	for _, k := range []struct{ spec, want string }{
		{"encoding: big5", "encoding"},
		{"encoding: gbk\nheader: [{len: 2, type: n}]", "want a name"},
		{"encoding: gbk\nheader: [{name: a, type: n}]", "len"},
		{"encoding: gbk\nheader: [{name: a, len: 2, type: q}]", "type"},
		{"encoding: gbk\nheader: [{name: a, len: 2, type: n, mask: secret}]", "mask"},
		{"encoding: gbk\nheader: [{name: a, len: 2, type: n}, {name: a, len: 2, type: n}]", "twice"},
		{"encoding: gbk\nheader: [{loop: a, times: 2, fields: [{name: b, len: 1, type: n}]}]", "header"},
		{"encoding: gbk\nheader: [{name: a, len: 2, type: n, count: b}]", "belong to a loop"},
		{"encoding: gbk\npick: a", "pick"},
		{"encoding: gbk\nbodies: [{when: [a]}]", "needs pick"},
		{"encoding: gbk\nbodies: [{only_if: {field: a, values: [b]}}]", "only_if"},
		{"encoding: gbk\nheader: [{name: a, len: 1, type: n}]\nbodies: [{only_if: {field: a}}]", "values"},
		{"encoding: gbk\nheader: [{name: a, len: 1, type: n}]\nbodies: [{fields: [{name: a, len: 1, type: n}]}]", "twice"},
		{"encoding: gbk\nbodies: [{fields: [{name: a, len: 1, type: n, optional: true}, {name: b, len: 1, type: n}]}]", "optional"},
		{"encoding: gbk\nbodies: [{fields: [{loop: l, rest: true, max: 2, fields: [{name: b, len: 1, type: n}]}, {name: c, len: 1, type: n}]}]", "last field"},
		{"encoding: gbk\nbodies: [{fields: [{loop: l, rest: true, fields: [{name: b, len: 1, type: n}]}]}]", "max"},
		{"encoding: gbk\nbodies: [{fields: [{loop: l, max: 2, fields: [{name: b, len: 1, type: n}]}]}]", "rest alone"},
		{"encoding: gbk\nbodies: [{fields: [{loop: l, count: n, max: 2, fields: [{name: b, len: 1, type: n}]}]}]", "no field"},
		{"encoding: gbk\nbodies: [{fields: [{name: n, len: 1, type: x}, {loop: l, count: n, max: 2, fields: [{name: b, len: 1, type: n}]}]}]", "type n"},
		{"encoding: gbk\nbodies: [{fields: [{loop: l, times: 2}]}]", "fields"},
		{"encoding: gbk\nbodies: [{fields: [{name: a, len: 1, type: x}]}, {fields: [{name: a, len: 1, type: x, mask: card}]}]", "differs"},
	} {
		if _, err := parse(k.spec); err == nil || !strings.Contains(err.Error(), k.want) {
			t.Errorf("%s\ngot %v, want %q", k.spec, err, k.want)
		}
	}
}
