package iso8583

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/wiretest"
)

// What is written from a record is read back as that record, with the spans
// that were noted, and written again as the same bytes.
func TestAppendThenIndex(t *testing.T) {
	for link := range links {
		c := codecOf(t, link).(*codec)
		t.Run(link, rapid.MakeCheck(func(t *rapid.T) {
			rec := draw(t, c)
			out, err := c.Append(nil, rec)
			if err != nil {
				t.Fatalf("Append: %v\n%q", err, wiretest.Lines(rec))
			}
			var again protocol.Record
			if err := c.Index(protocol.Frame{Body: out}, &again); err != nil {
				t.Fatalf("Index: %v\n%X\n%q", err, out, wiretest.Lines(rec))
			}
			if got, want := wiretest.Lines(&again), wiretest.Lines(rec); !slices.Equal(got, want) {
				t.Fatalf("got %q\nwant %q", got, want)
			}
			wiretest.Laws(t, c, out, true)
		}))
	}
}

// Fields are written in the order of the map, whatever the order they were put
// in.
func TestAppendAnyOrder(t *testing.T) {
	c := codecOf(t, "pos-cup").(*codec)
	rapid.Check(t, func(t *rapid.T) {
		rec := draw(t, c)
		want, err := c.Append(nil, rec)
		if err != nil {
			t.Fatal(err)
		}
		order := rapid.Permutation(bitsOf(c, rec)).Draw(t, "order")
		got, err := c.Append(nil, ordered(c, rec, order))
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("order %d: %v\ngot %X\nwant %X", order, err, got, want)
		}
	})
}

// numberOf returns the field that a layout id belongs to, 0 for the message
// type.
func numberOf(c *codec, id uint16) int {
	return c.sets[id].first()
}

// bitsOf lists the fields in rec, 0 for the message type.
func bitsOf(c *codec, rec *protocol.Record) []int {
	var out []int
	for _, n := range rec.Nodes() {
		if b := numberOf(c, n.ID); !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// Every message that is cut, and every one with a changed byte, is refused with
// a place or accepted whole.
func TestDamaged(t *testing.T) {
	for link := range links {
		if link == "all-iso8583" {
			continue
		}
		c := codecOf(t, link)
		for _, k := range golden(t, link) {
			for n := range k.Body {
				wiretest.Laws(t, c, k.Body[:n], true)
				for _, x := range []byte{0x01, 0x0F, 0x80, 0xFF} {
					b := slices.Clone(k.Body)
					b[n] ^= x
					wiretest.Laws(t, c, b, true)
				}
			}
		}
	}
}

func FuzzPOS(f *testing.F)       { fuzz(f, "pos-cup") }
func FuzzCUPS(f *testing.F)      { fuzz(f, "cups-host") }
func FuzzGuangzhou(f *testing.F) { fuzz(f, "gz-iso8583") }
func FuzzAll(f *testing.F)       { fuzz(f, "all-iso8583") }

func fuzz(f *testing.F, link string) {
	c := codecOf(f, link).(*codec)
	if link == "all-iso8583" {
		gen := rapid.Custom(func(t *rapid.T) []byte {
			out, err := c.Append(nil, draw(t, c))
			if err != nil {
				t.Fatal(err)
			}
			return out
		})
		for seed := range 30 {
			f.Add(gen.Example(seed))
		}
	} else {
		for _, b := range wiretest.Bodies(golden(f, link), "request") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		wiretest.Laws(t, c, b, true)
		sameReading(t, c, b)
	})
}
