package spec

import (
	"os"
	"slices"
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// TestAliasesAreMerged: a variant that says something a second time by an alias
// adds to its base there as it does the first time. A card reader's 撤销 and 退货
// name the customer as pos-cup's do.
func TestAliasesAreMerged(t *testing.T) {
	l, err := Load("links/kiosk-pos.yaml", conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(Parts{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range d.Map.Messages {
		if m.Op != pay.Pay && m.Op != pay.Cancel && m.Op != pay.Refund {
			continue
		}
		for _, f := range []pay.FieldID{pay.FAccount, pay.FSenderTime, pay.FPAN} {
			if !slices.ContainsFunc(m.Request.Moves, func(mv protocol.Move) bool { return mv.Field == f }) {
				t.Errorf("%s carries no %s", m.Name, f)
			}
		}
	}
}

// TestMergeKeys: "<<" is written out, what stands beside it goes before, and so
// does the first of several names.
func TestMergeKeys(t *testing.T) {
	plain, err := os.ReadFile("../../testdata/links/rural-fixed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(plain), "messages:")
	for _, tc := range []struct{ messages, want string }{
		{`[{name: a, op: query, request: {when: {txn: "2001"}, map: &m {serial: &s serial, date: date}},
		   reply: {when: {txn: "2001"}, map: {<<: *m, text: *s}}}]`, "serial=serial date=date text=serial"},
		{`[{name: a, op: query, request: {when: {txn: "2001"}, map: &m {serial: one, date: date}},
		   reply: {when: {txn: "2001"}, map: {text: two, <<: [&n {serial: three}, *m]}}}]`, "text=two serial=three date=date"},
		{`[{name: a, op: query, request: {when: {txn: "2001"}, map: &m {serial: one}},
		   reply: &r {when: {txn: "2001"}, map: {<<: *m, date: two}}},
		  {name: b, op: query, request: {when: {txn: "2001"}, map: &m {serial: one}}, reply: {<<: *r, when: {txn: "9"}}}]`, "date=two serial=one"},
	} {
		n, err := document("a.yaml", []byte(head+"messages: "+tc.messages+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		var l struct {
			Messages []Message `yaml:"messages"`
		}
		if err := n.Decode(&l); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, mv := range l.Messages[len(l.Messages)-1].Reply.Map {
			got = append(got, mv.Field+"="+mv.At)
		}
		want := strings.Fields(tc.want)
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s:\ngot %v", tc.messages, got)
		}
	}
	for _, bad := range []string{"id: a\nframe: {<<: 7}\n", "id: &a x\nframe: {<<: [*a]}\n", "a: &m {b: 1, <<: *m}\n"} {
		if _, err := Parse("a.yaml", []byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "a.yaml:") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
