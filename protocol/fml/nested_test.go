package fml

import (
	"errors"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"qianzhi/protocol"
	"qianzhi/protocol/wiretest"
)

// buffers is a spec with a buffer that stands once and one that repeats.
func buffers(tb testing.TB) protocol.Codec {
	tb.Helper()
	var s Spec
	if err := yaml.Unmarshal([]byte(`
encoding: gb18030
table: |
  *base 20000
  ACCT  1 string
  AMT   2 long
  NOTE  3 string
  HEAD  4 fml32
  BILL  5 fml32
fields:
  - {name: ACCT, required: true}
  - {name: HEAD, required: true, fields: [{name: NOTE, required: true}, {name: AMT}]}
  - {name: BILL, max: 3, fields: [{name: AMT, required: true}, {name: NOTE, mask: name}]}
`), &s); err != nil {
		tb.Fatal(err)
	}
	c, err := New(&s)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

const withBuffers = "ACCT\t1\nHEAD\t\n\tNOTE\tx\n\nBILL\t\n\tAMT\t5\n\tNOTE\t\\d5\\c5\n\nBILL\t\n\tAMT\t7\n\n"

func TestBuffers(t *testing.T) {
	c := buffers(t)
	wiretest.Laws(t, c, []byte(withBuffers), true)
	var rec protocol.Record
	if err := c.Index(protocol.Frame{Body: []byte(withBuffers)}, &rec); err != nil {
		t.Fatal(err)
	}
	want := []string{`ACCT "1"`, `HEAD.NOTE "x"`, `BILL[0].AMT "5"`, `BILL[0].NOTE "张"`, `BILL[1].AMT "7"`}
	if got := wiretest.Lines(&rec); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for i, n := range rec.Nodes() {
		if at := int(n.From); n.Size > 0 && rec.Layout().Fields[n.ID].Name == "BILL.AMT" && withBuffers[at:at+1] != string(rec.Value(i)) {
			t.Errorf("%q stands elsewhere than %d", rec.Value(i), at)
		}
	}
}

func TestBuffersRefused(t *testing.T) {
	c := buffers(t)
	const head = "ACCT\t1\nHEAD\t\n\tNOTE\tx\n\n"
	for _, k := range []struct {
		body, path string
		at         int
	}{
		{"ACCT\t1\n", "HEAD", 7},
		{"ACCT\t1\nHEAD\t\n\n", "HEAD.NOTE", 13},
		{"ACCT\t1\nHEAD\tx\n\n", "HEAD", 12},
		{"ACCT\t1\nHEAD\t\n\tNOTE\tx\n", "HEAD", 21},
		{"ACCT\t1\nHEAD\t\n\tNOTE\tx", "HEAD", 20},
		{"ACCT\t1\nHEAD\t\n\tNOTE\tx\nBILL\t\n", "HEAD", 21},
		{head + "BILL\t\n\tAMT\t5x\n\n", "BILL[0].AMT", len(head) + 11},
		{head + "BILL\t\n\tAMT\t5\n\nBILL\t\n\tNOTE\ta\n\n", "BILL[1].AMT", len(head) + 28},
		{head + "BILL\t\n\tAMT\t5\n\tAMT\t5\n\n", "BILL[0].AMT", len(head) + 14},
		{head + "BILL\t\n\tACCT\t5\n\n", "", len(head) + 7},
		{head + "BILL\t\n\t\tAMT\t5\n\n", "", len(head) + 7},
		{head + "BILL\t\n\t\n\n", "", len(head) + 7},
		{head + "\tAMT\t5\n", "", len(head)},
		{head + "\n" + head, "", len(head) + 1},
	} {
		err := c.Index(protocol.Frame{Body: []byte(k.body)}, new(protocol.Record))
		var e *protocol.Error
		if !errors.As(err, &e) || e.Path != k.path || e.Offset != k.at {
			t.Errorf("%q: got %v, want %s at %d", k.body, err, k.path, k.at)
		}
		wiretest.Laws(t, c, []byte(k.body), false)
	}
	many := []byte(head)
	for range 4 {
		many = append(many, "BILL\t\n\tAMT\t5\n\n"...)
	}
	if err := c.Index(protocol.Frame{Body: many}, new(protocol.Record)); err == nil {
		t.Error("four of three buffers were read")
	}
	rec := build(c, "ACCT", "1", "HEAD.NOTE", "x")
	for range 4 {
		g, _ := c.Layout().Lookup("BILL")
		rec.Put(g, -1, nil)
	}
	if _, err := c.Append(nil, rec); err == nil {
		t.Error("four of three buffers were written")
	}
}

// Buffers that nobody wants are passed over whole.
func TestOtherBuffers(t *testing.T) {
	c, err := New(&Spec{Encoding: "gbk", Extra: "ignore", Table: "A 1 long", Fields: []Field{{Name: "A"}}})
	if err != nil {
		t.Fatal(err)
	}
	var rec protocol.Record
	if err := c.Index(protocol.Frame{Body: []byte("X\t\n\tY\t1\n\tZ\t\n\t\tA\t3\n\t\n\nA\t2\n")}, &rec); err != nil {
		t.Fatal(err)
	}
	if got := rec.Nodes(); len(got) != 1 || string(rec.Value(0)) != "2" {
		t.Errorf("got %q", wiretest.Lines(&rec))
	}
}
