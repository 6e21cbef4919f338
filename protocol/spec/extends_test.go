package spec

import (
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/fixed"
)

// shelf is a folder of link files in memory, over those that ship.
type shelf map[string]string

func (s shelf) open(name string) ([]byte, error) {
	if text, ok := s[name]; ok {
		return []byte(text), nil
	}
	return conf.Files.ReadFile(name)
}

func TestVariantIsAFewLines(t *testing.T) {
	l, err := Load("links/my-bank.yaml", shelf{"links/my-bank.yaml": `
extends: bank-fixed.yaml
id: my-bank
frame: {length: {bytes: 4}}
identity: {institution: "302"}
limits: {max_amount: "1000.00"}
allow: [query, pay]
codes:
  - {code: no-customer, wire: "X3"}
  - {code: nothing-owed, wire: "06", remove: true}
  - {code: amount, wire: "64", text: 金额与账单不符}
messages:
  - {name: 签到, remove: true}
  - name: 缴费
    request: {map: {biller: bank}}
`}.open)
	if err != nil {
		t.Fatal(err)
	}
	base, err := Load("links/bank-fixed.yaml", shelf{}.open)
	if err != nil {
		t.Fatal(err)
	}
	if l.ID != "my-bank" || l.Frame.Length.Bytes != 4 || l.Frame.Length.Kind != "ascii" || l.Frame.Max != base.Frame.Max {
		t.Errorf("frame %+v", l.Frame)
	}
	if l.Identity.Institution != "302" || l.Identity.SerialScope != base.Identity.SerialScope || l.MaxAmount() != 100000 || len(l.Allow) != 2 {
		t.Errorf("identity %+v, limits %+v, allow %v", l.Identity, l.Limits, l.Allow)
	}
	if len(l.Messages) != len(base.Messages)-1 || len(l.Codes) != len(base.Codes) {
		t.Errorf("%d messages and %d codes; the base has %d and %d", len(l.Messages), len(l.Codes), len(base.Messages), len(base.Codes))
	}
	d, err := l.Assemble(Parts{})
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[pay.Code]string{pay.CodeNoCustomer: "X3 无此用户", pay.CodeAmount: "64 金额与账单不符", pay.CodeOK: "00 成功"} {
		rep := pay.Answer(code.Verdict(), code)
		wire, text, _ := d.Map.Code(&rep)
		if got := wire + " " + text; got != want {
			t.Errorf("%s is written %q, want %q", code, got, want)
		}
	}
	if v, c := d.Map.Meaning("03"); v != pay.Declined || c != pay.CodeNoCustomer {
		t.Errorf("the base's code 03 means %s/%s", v, c)
	}
	if v, _ := d.Map.Meaning("06"); v != pay.Unknown {
		t.Errorf("the removed code 06 means %s, want unknown", v)
	}
}

func TestReplaceTakesAListWhole(t *testing.T) {
	l, err := Load("v.yaml", shelf{"v.yaml": "extends: links/bank-fixed.yaml\ncodes: !replace\n  - {code: ok, wire: A}\n"}.open)
	if err != nil || len(l.Codes) != 1 || l.Codes[0].Wire != "A" {
		t.Errorf("got %+v, %v", l, err)
	}
}

func TestExtendsErrorsAreLocated(t *testing.T) {
	deep := shelf{}
	for i := range 12 {
		deep[fmt.Sprintf("d%d.yaml", i)] = fmt.Sprintf("id: x\nextends: d%d.yaml\n", i+1)
	}
	for _, c := range []struct {
		name  string
		files shelf
		want  []string
	}{
		{"itself", shelf{"a.yaml": "extends: a.yaml\n"}, []string{"a.yaml:1: extends:", "more than 8"}},
		{"too deep", func() shelf { deep["a.yaml"] = "extends: d0.yaml\n"; return deep }(), []string{"a.yaml:1: extends:", "more than 8"}},
		{"absent", shelf{"a.yaml": "id: x\nextends: b.yaml\n"}, []string{"a.yaml:2: extends:", fs.ErrNotExist.Error()}},
		{"not a name", shelf{"a.yaml": "extends: [b]\n"}, []string{"a.yaml:1: extends: want the name"}},
		{"error in the base", shelf{"a.yaml": "extends: b.yaml\n", "b.yaml": "id: b\nfoo: 1\n"}, []string{"a.yaml:1: extends: b.yaml:2: foo: unknown key"}},
		{"error in the variant", shelf{"a.yaml": "extends: links/mis.yaml\nfoo: 1\n"}, []string{"a.yaml:2: foo: unknown key"}},
		{"unresolved", shelf{"a.yaml": ""}, []string{"a.yaml: empty"}},
	} {
		_, err := Load("a.yaml", c.files.open)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", c.name, err, want)
			}
		}
	}
}

// TestShippedLinksAssemble builds both ends of everything that ships.
func TestShippedLinksAssemble(t *testing.T) {
	names, err := fs.Glob(conf.Files, "links/*.yaml")
	if err != nil || len(names) < 4 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		l, err := Load(name, conf.Files.ReadFile)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := l.Assemble(Parts{}); err != nil {
			t.Error(err)
		}
	}
}

// TestEveryCodeCanBeSaid holds that a link with a response code has an answer
// for each verdict of each code: nothing the gateway says may be lost.
func TestEveryCodeCanBeSaid(t *testing.T) {
	for _, name := range []string{"links/pos-cup.yaml", "links/bank-fixed.yaml", "links/bank-http.yaml", "links/mis.yaml",
		"links/cups-host.yaml", "links/bank-delimited.yaml", "links/bank-xml.yaml", "links/kiosk-socket.yaml"} {
		l, err := Load(name, conf.Files.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Assemble(Parts{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range pay.Codes() {
			for _, v := range []pay.Verdict{pay.Unknown, pay.Approved, pay.Declined} {
				rep := pay.Answer(v, c)
				wire, text, ok := d.Map.Code(&rep)
				if !ok || wire == "" || text == "" {
					t.Errorf("%s: %s/%s is written %q %q", name, v, c, wire, text)
					continue
				}
				if got, _ := d.Map.Meaning(wire); got != v {
					t.Errorf("%s: %s/%s is written %q, which the sender reads as %s", name, v, c, wire, got)
				}
			}
		}
	}
}

// TestMergedIsTheSameLink shows every shipped link, and a variant, as one file
// that reads as the same link.
func TestMergedIsTheSameLink(t *testing.T) {
	files := shelf{"links/v.yaml": "extends: kiosk-socket.yaml\nid: v\nfml: {request: {encoding: utf-8}}\ncodes: [{code: format, wire: \"200001\", remove: true}]\n"}
	names, err := fs.Glob(conf.Files, "links/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "links/v.yaml") {
		want, err := Load(name, files.open)
		if err != nil {
			t.Fatal(err)
		}
		text, err := Merged(name, files.open)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(name, text)
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		for _, l := range []*Link{got, want} {
			forgetLines(l)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: another link", name)
		}
	}
}

// forgetLines drops what two files with the same content differ in.
func forgetLines(l *Link) {
	lines := func(ms Moves) {
		for i := range ms {
			ms[i].Line = 0
		}
	}
	l.root = nil
	for i := range l.HTTP.Headers {
		l.HTTP.Headers[i].Line = 0
	}
	for i := range l.Messages {
		for _, d := range []*Direction{&l.Messages[i].Request, &l.Messages[i].Reply} {
			for j := range d.When {
				d.When[j].Line = 0
			}
			lines(d.Map)
			lines(d.Maybe)
			if d.Bills != nil {
				lines(d.Bills.Map)
				lines(d.Bills.Maybe)
				for j := range d.Bills.Set {
					d.Bills.Set[j].Line = 0
				}
			}
		}
	}
}

// TestVariantOfBodies changes one body of a fixed-length base and leaves the
// others, and puts fields where they belong.
func TestVariantOfBodies(t *testing.T) {
	files := shelf{"links/v.yaml": `
extends: bank-fixed.yaml
id: v
fixed:
  request:
    header:
      - {name: desk, len: 6, type: x, after: serial, title: 柜员}
    bodies:
      - when: ["1001"]
        fields:
          - {name: kind, len: 1, type: n, title: 用户类别}
`, "links/w.yaml": `
extends: v.yaml
id: w
fixed:
  request:
    header:
      - {name: node, len: 2, type: x, after: serial}
      - {name: zone, len: 2, type: x, after: serial}
      - {name: desk, after: txn, len: 8}
    bodies:
      - {when: ["1004"], remove: true}
messages:
  - {name: 查询交易结果, remove: true}
`}
	base, err := Load("links/bank-fixed.yaml", files.open)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Load("links/v.yaml", files.open)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(v.Fixed.Request.Bodies), len(base.Fixed.Request.Bodies); got != want {
		t.Errorf("%d bodies, the base has %d", got, want)
	}
	at := slices.IndexFunc(v.Fixed.Request.Bodies, func(b fixed.Body) bool { return slices.Contains(b.When, "1001") })
	if fields := v.Fixed.Request.Bodies[at].Fields; fields[len(fields)-1].Name != "kind" || len(fields) != len(base.Fixed.Request.Bodies[at].Fields)+1 {
		t.Errorf("the body of 1001: %+v", fields)
	}
	w, err := Load("links/w.yaml", files.open)
	if err != nil {
		t.Fatal(err)
	}
	names := func(l *Link) (out string) {
		for _, f := range l.Fixed.Request.Header {
			out += f.Name + " "
		}
		return out
	}
	if got, want := names(v), strings.Replace(names(base), " serial ", " serial desk ", 1); got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	if got, want := names(w), strings.Replace(strings.Replace(names(base), " serial ", " serial node zone ", 1), "txn ", "txn desk ", 1); got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	if len(w.Fixed.Request.Bodies) != len(base.Fixed.Request.Bodies)-1 {
		t.Errorf("%d bodies", len(w.Fixed.Request.Bodies))
	}
}

// TestErrorsHaveLines breaks links in places that only the codecs, the framing
// or the checks look at: the line is that of what is wrong, never one of a file
// that the link extends.
func TestErrorsHaveLines(t *testing.T) {
	small, err := os.ReadFile("../../testdata/links/string-delimited.yaml")
	if err != nil {
		t.Fatal(err)
	}
	whole := string(small)
	line := func(text, part string) string {
		at := strings.Index(text, part)
		if at < 0 {
			t.Fatalf("no %q", part)
		}
		return fmt.Sprintf("%d", 1+strings.Count(text[:at], "\n"))
	}
	for _, c := range []struct{ old, new, at, want string }{
		{"len: 3, title: 交易码", "len: 3, pad: ab, title: 交易码", "pad: ab", "delimited: request: header: txn: pad"},
		{"max: 20, title: 应收标识}\n              - {name: month", "type: q, max: 20, title: 应收标识}\n              - {name: month", "type: q", ""},
		{"count: bill_count", "count: bills_count", "count: bills_count", "no field \"bills_count\""},
		{"counts: all", "counts: most", "counts: most", "frame: length: counts"},
		{"institution: \"306\"", "institution: \"\"", "institution:", "identity.institution: missing"},
		{"pick: code", "pick: coda", "pick: coda", "no header field"},
		{"channel: 30s", "channel: 90s", "timeouts:", "0 < channel < terminal"},
		{"{at: amount, unit: yuan}}\n      maybe: {branch: branch, operator: teller, name", "{at: amount, date: YYYYMMDD}}\n      maybe: {branch: branch, operator: teller, name", "date: YYYYMMDD", "is no date"},
		{"sender_date: date, account: account, amount", "sender_date: {at: date, date: YYMD}, account: account, amount", "date: YYMD", "two letters M"},
	} {
		text := strings.Replace(whole, c.old, c.new, 1)
		if text == whole {
			t.Fatalf("%q is not there", c.old)
		}
		l, err := Load("x.yaml", shelf{"x.yaml": text}.open)
		if err == nil {
			_, err = l.Assemble(Parts{})
		}
		if err == nil || !strings.HasPrefix(err.Error(), "x.yaml:"+line(text, c.at)+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\ngot %v, want line %s and %q", c.new, err, line(text, c.at), c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"extends: links/bank-fixed.yaml\nid: v\nframe: {length: {bytes: 11}}\n", "v.yaml:3: frame: length: bytes"},
		{"extends: links/bank-fixed.yaml\nid: v\nfixed:\n  request:\n    header:\n      - {name: serial, type: y}\n", "v.yaml:6: fixed: request: header: serial: type"},
		{"extends: links/bank-fixed.yaml\nid: v\nfixed:\n  request:\n    bodies:\n      - when: [\"1001\"]\n        fields:\n          - {name: x, len: 0}\n", "v.yaml:8: fixed: request: bodies[0]: x: len"},
		{"extends: links/bank-fixed.yaml\nid: v\nfixed:\n  request:\n    header:\n      - {name: x, len: 1, type: x, after: moon}\n", "v.yaml:6: after: no entry \"moon\""},
		{"extends: links/bank-xml.yaml\nid: v\nxml:\n  request:\n    fields:\n      - {name: body.x.y, type: float}\n", "v.yaml:6: xml: request: body.x.y: type"},
		{"extends: links/pos-cup.yaml\nid: v\niso8583:\n  fields:\n    - name: \"60\"\n      fields:\n        - {name: \"9\", type: b, len: 3}\n", "v.yaml:7: iso8583: fields: 60: "},
		{"extends: links/bank-fixed.yaml\nid: v\nmessages:\n  - name: 缴费\n    request: {map: {account: nowhere}}\n", "v.yaml:5: nowhere: no such field"},
	} {
		l, err := Load("v.yaml", shelf{"v.yaml": c.text}.open)
		if err == nil {
			_, err = l.Assemble(Parts{})
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s\ngot %v, want %s", c.text, err, c.want)
		}
	}
}

// TestEchoUnderAnotherName gives a value of the request back under the name
// that the reply has for it.
func TestEchoUnderAnotherName(t *testing.T) {
	small, err := os.ReadFile("../../testdata/links/string-delimited.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(small), "echo: [serial]\n      map: {code: code, text: text, local_date: date, account: account}\n      maybe: {name: name}\n      bills",
		"echo: [{account: branch}, serial]\n      map: {code: code, text: text, local_date: date}\n      maybe: {name: name}\n      bills", 1)
	l, err := Load("x.yaml", shelf{"x.yaml": text}.open)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(Parts{})
	if err != nil {
		t.Fatal(err)
	}
	rec, out := new(protocol.Record), new(protocol.Record)
	f := protocol.Frame{Body: []byte("5101|T1|42|20261125|001|0512000001|")}
	asked, err := d.ReadRequest(&f, rec, ExampleTime())
	if err != nil {
		t.Fatal(err)
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	reply, err := d.AppendReply(asked, &rep, out)
	if err != nil || !strings.Contains(string(reply.Body), "|42|5101|") {
		t.Errorf("got %q, %v", reply.Body, err)
	}
	for bad, want := range map[string]string{"[{account: moon}]": "moon: no such field", "{account: branch}": "echo: want a list", "[{account: [a]}]": "want a field of the request"} {
		l, err := Load("x.yaml", shelf{"x.yaml": strings.Replace(text, "[{account: branch}, serial]", bad, 1)}.open)
		if err == nil {
			_, err = l.Assemble(Parts{})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bad, err, want)
		}
	}
}
