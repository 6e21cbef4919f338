package spec

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

// terminals is the shipped link of POS terminals and one of its payments.
func terminals(tb testing.TB) (*protocol.Dialect, []byte) {
	tb.Helper()
	l, err := Load("links/pos-cup.yaml", conf.Files.ReadFile)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := l.Assemble(Parts{})
	if err != nil {
		tb.Fatal(err)
	}
	cases := wiretest.Load(tb, "../../testdata/wire/pos-cup", text.GB18030)
	i := slices.IndexFunc(cases, func(k wiretest.Case) bool { return k.Name == "pay" })
	return d, cases[i].Body
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// BenchmarkRequest0200 is what the gateway does to a payment's bytes before it
// asks anyone: frame body to business message.
func BenchmarkRequest0200(b *testing.B) {
	d, body := terminals(b)
	rec := new(protocol.Record)
	b.ReportAllocs()
	for b.Loop() {
		f := protocol.Frame{Body: body}
		if a, err := d.ReadRequest(&f, rec, noon); err != nil || a.Request.Amount != 30150 {
			b.Fatal(a, err)
		}
	}
}

// BenchmarkReply0210 is what it does to the answer: business message to frame
// body.
func BenchmarkReply0210(b *testing.B) {
	d, body := terminals(b)
	ask, rec := new(protocol.Record), new(protocol.Record)
	a, err := d.ReadRequest(&protocol.Frame{Body: body}, ask, noon)
	if err != nil {
		b.Fatal(err)
	}
	rep := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: 30150, Serial: "202611240000000000000128",
		More: []pay.Field{{ID: pay.FDay, Val: "20261124"}}}
	var f protocol.Frame
	b.ReportAllocs()
	for b.Loop() {
		if f, err = d.AppendReply(a, &rep, rec); err != nil {
			b.Fatal(err)
		}
	}
	if !bytes.Contains(f.Body, []byte("156")) {
		b.Fatalf("%X", f.Body)
	}
}

// A request is its own memory, one text and one scope.
func TestRequestAllocations(t *testing.T) {
	d, body := terminals(t)
	f, rec := protocol.Frame{Body: body}, new(protocol.Record)
	a, err := d.ReadRequest(&f, rec, noon)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Map.Request(a.Message, &f, rec, noon); err != nil {
			t.Fatal(err)
		}
	}); n > 3 {
		t.Errorf("%g allocations for a request, want at most 3", n)
	}
}
