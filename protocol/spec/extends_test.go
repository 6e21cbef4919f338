package spec

import (
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
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
