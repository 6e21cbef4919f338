package wiretest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"qianzhi/protocol"
)

// Failer is what the laws need of a testing.TB or a rapid.T.
type Failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Laws holds a codec to what every codec promises for any body: a refusal is
// an Error whose offset lies in the body; what is accepted is written back,
// and reading that gives the same record; the record is bounded by the body.
// With exact the bytes written are those that were read.
func Laws(tb Failer, c protocol.Codec, body []byte, exact bool) {
	tb.Helper()
	var rec, again protocol.Record
	before := slices.Clone(body)
	err := c.Index(protocol.Frame{Body: body}, &rec)
	if !bytes.Equal(before, body) {
		tb.Fatal("Index changed the body")
	}
	// A text of n bytes in GBK is at most 1.5n in UTF-8, and each value or
	// entry of one value takes a byte of the wire at least.
	if len(rec.Arena()) > 2*len(body)+64 || len(rec.Nodes()) > 2*len(body)+1 {
		tb.Fatalf("a body of %d bytes made %d nodes and %d bytes", len(body), len(rec.Nodes()), len(rec.Arena()))
	}
	if err != nil {
		located(tb, err, len(body))
		return
	}
	inside(tb, &rec, len(body))
	values := sorted(&rec, false)
	out, err := c.Append([]byte("before"), &rec)
	if err != nil {
		tb.Fatalf("Append of what Index accepted: %v\n%q", err, body)
	}
	out, ok := bytes.CutPrefix(out, []byte("before"))
	if !ok {
		tb.Fatal("Append changed what stood before")
	}
	inside(tb, &rec, len(out))
	if exact && !bytes.Equal(out, body) {
		tb.Fatalf("wrote\n%q\nread\n%q", out, body)
	}
	if err := c.Index(protocol.Frame{Body: out}, &again); err != nil {
		tb.Fatalf("Index of what Append wrote: %v\n%q", err, out)
	}
	if got := sorted(&again, false); !slices.Equal(got, values) {
		tb.Fatalf("read again\n%q\nfirst\n%q", got, values)
	}
	if noted, read := sorted(&rec, true), sorted(&again, true); !slices.Equal(noted, read) {
		tb.Fatalf("Append noted spans\n%q\nIndex\n%q", noted, read)
	}
	second, err := c.Append(nil, &again)
	if err != nil || !bytes.Equal(second, out) {
		tb.Fatalf("second writing: %v\n%q\nfirst\n%q", err, second, out)
	}
}

// sorted lists the nodes without regard to their order, which formats with
// names leave to the writer.
func sorted(rec *protocol.Record, spans bool) []string {
	out := paths(rec)
	for i, n := range rec.Nodes() {
		out[i] += fmt.Sprintf(" %q", rec.Value(i))
		if spans {
			out[i] += fmt.Sprintf(" %d+%d", n.From, n.Size)
		}
	}
	slices.Sort(out)
	return out
}

func located(tb Failer, err error, size int) {
	tb.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) {
		tb.Fatalf("got %T, want *protocol.Error: %v", err, err)
	}
	if e.Offset < -1 || e.Offset > size || e.Want == "" || e.Class == "" {
		tb.Fatalf("error without place or reason in a body of %d bytes: %#v", size, e)
	}
	if !utf8.ValidString(e.Error()) {
		tb.Fatalf("error is not text: %q", e.Error())
	}
}

// inside checks that spans lie in the body and values are text where they
// should be.
func inside(tb Failer, rec *protocol.Record, size int) {
	tb.Helper()
	for i, n := range rec.Nodes() {
		f := rec.Layout().Fields[n.ID]
		if int(n.From)+int(n.Size) > size {
			tb.Fatalf("%s: span %d+%d of %d bytes", f.Name, n.From, n.Size, size)
		}
		if !f.Bytes && !utf8.Valid(rec.Value(i)) {
			tb.Fatalf("%s: value is not UTF-8", f.Name)
		}
	}
}
