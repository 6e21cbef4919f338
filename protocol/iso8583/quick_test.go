package iso8583

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/wiretest"
)

// sameReading holds that ops and descriptions read a body alike.
func sameReading(tb wiretest.Failer, c *codec, body []byte) {
	tb.Helper()
	var quick, slow protocol.Record
	got, want := c.Index(protocol.Frame{Body: body}, &quick), c.index(body, &slow, true)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		tb.Fatalf("got %v\nwant %v\n%X", got, want, body)
	}
	if got != nil {
		if len(quick.Nodes()) != 0 || quick.Find(c.mti.id) >= 0 {
			tb.Fatalf("a refused message left values in the record: %X", body)
		}
		return
	}
	if a, b := wiretest.Lines(&quick), wiretest.Lines(&slow); !slices.Equal(a, b) {
		tb.Fatalf("got %q\nwant %q\n%X", a, b, body)
	}
	// Ops leave gaps between values in the arena, of no more than the wire has.
	if len(quick.Arena()) > 2*len(body) {
		tb.Fatalf("%d bytes for %X", len(quick.Arena()), body)
	}
	if !slices.EqualFunc(quick.Nodes(), slow.Nodes(), func(a, b protocol.Node) bool {
		a.At = b.At
		return a == b
	}) {
		tb.Fatalf("got %+v\nwant %+v\n%X", quick.Nodes(), slow.Nodes(), body)
	}
	for i, n := range quick.Nodes() {
		if n.Parent == 0 && quick.Find(n.ID) > i {
			tb.Fatalf("node %d is not found", i)
		}
	}
}

// sameWriting holds that ops and descriptions write a record alike.
func sameWriting(tb wiretest.Failer, c *codec, rec *protocol.Record) {
	tb.Helper()
	mti, err := c.typeOf(rec)
	if err != nil {
		return
	}
	w := writer{rec: rec, nodes: rec.Nodes(), arena: rec.Arena()}
	has, want := c.slow(&w)
	if want == nil {
		want = c.obey(binary.BigEndian.Uint32(mti), has)
	}
	nodes := slices.Clone(rec.Nodes())
	out, got := c.Append(nil, rec)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		tb.Fatalf("got %v\nwant %v\n%q", got, want, wiretest.Lines(rec))
	}
	if got == nil && (!bytes.Equal(out, w.out) || !slices.Equal(rec.Nodes(), nodes)) {
		tb.Fatalf("got %X %+v\nwant %X %+v\n%q", out, rec.Nodes(), w.out, nodes, wiretest.Lines(rec))
	}
}

func TestOpsReadAsDescriptions(t *testing.T) {
	for link := range links {
		if link == "all-iso8583" {
			continue
		}
		c := codecOf(t, link).(*codec)
		for _, k := range golden(t, link) {
			sameReading(t, c, k.Body)
			for n := range k.Body {
				sameReading(t, c, k.Body[:n])
				for _, x := range []byte{0x0F, 0x80, 0xA0} {
					b := slices.Clone(k.Body)
					b[n] ^= x
					sameReading(t, c, b)
				}
			}
		}
	}
}

func TestOpsWriteAsDescriptions(t *testing.T) {
	for link := range links {
		c := codecOf(t, link).(*codec)
		t.Run(link, rapid.MakeCheck(func(t *rapid.T) {
			rec := draw(t, c)
			sameWriting(t, c, rec)
			// The same values in another order, one of them another one.
			var mixed protocol.Record
			mixed.Reset(c.layout)
			order := rapid.Permutation(rec.Nodes()).Draw(t, "order")
			spoilt := rapid.IntRange(-1, len(order)-1).Draw(t, "spoilt")
			for i, n := range order {
				val := slices.Clone(rec.Arena()[n.At : n.At+n.Len])
				if i == spoilt {
					val = rapid.SampledFrom([][]byte{nil, val[:len(val)/2], append(val, '0'), []byte("A"), []byte("\xff"), []byte("户")}).Draw(t, "value")
				}
				if !c.layout.Fields[n.ID].Group && n.Parent == 0 {
					mixed.Put(n.ID, -1, val)
				}
			}
			sameWriting(t, c, &mixed)
		}))
	}
}

func TestLettersAreNoDigits(t *testing.T) {
	c := specOf(t, `{mti: ascii, fields: [{name: "14", type: a, len: 10}, {name: "15", type: a, var: LL, len: 20, length: ascii}]}`)
	for _, body := range []string{"0000000001", "abcdefghi1", "1bcdefghij"} {
		err := c.Index(protocol.Frame{Body: append(append([]byte("0200"), unhexed("0004000000000000")...), body...)}, new(protocol.Record))
		wantError(t, err, protocol.ClassField, "14", "10 letters")
		_, err = c.Append(nil, record(c, "MTI", "0200", "15", body))
		wantError(t, err, protocol.ClassField, "15", "0 to 20 letters")
	}
}
