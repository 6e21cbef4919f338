package spec

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

// charsets are those of the links of the tests whose text lines are not GB18030.
var charsets = map[string]text.Charset{"heat-xml": text.UTF8, "mobile-json": text.UTF8}

// TestGoldenOfWholeLinks reads the golden messages of every link of the tests
// that is a whole one, as it was assembled from YAML alone.
func TestGoldenOfWholeLinks(t *testing.T) {
	folders, err := filepath.Glob("../../testdata/wire/*")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, dir := range folders {
		name := filepath.Base(dir)
		l, err := Load("../../testdata/links/"+name+".yaml", os.ReadFile)
		if err != nil {
			continue // a table for codec tests, or a link that ships: its codec has a test
		}
		d, err := l.Assemble(Parts{})
		if err != nil {
			t.Fatal(err)
		}
		charset, ok := charsets[name]
		if !ok {
			charset = text.GB18030
		}
		cases := wiretest.Load(t, dir, charset)
		t.Run(name, func(t *testing.T) {
			wiretest.Run(t, cases, map[string]protocol.Codec{"request": d.Request.Codec, "reply": d.Reply.Codec})
		})
		read += len(cases)
		t.Run(name+" damaged", func(t *testing.T) {
			for _, k := range cases {
				damage(t, d, &k)
			}
		})
	}
	if read < 30 {
		t.Errorf("only %d messages", read)
	}
}

// damage reads a golden message cut at every byte and with every byte changed,
// of a long message at some 500 of them:
// it is refused with a place or accepted whole, and a request that is accepted
// is a business message or refused by a field of it.
func damage(t *testing.T, d *protocol.Dialect, k *wiretest.Case) {
	c, rec := d.Request.Codec, new(protocol.Record)
	if k.Side == "reply" {
		c = d.Reply.Codec
	}
	try := func(body []byte) {
		wiretest.Laws(t, c, body, false)
		if k.Side == "reply" {
			return
		}
		_, err := d.ReadRequest(&protocol.Frame{Body: body}, rec, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
		var e *protocol.Error
		if err != nil && (!errors.As(err, &e) || e.Want == "" || e.Offset < -1 || e.Offset > len(body)) {
			t.Fatalf("%s: %q: no place or reason in %#v", k.Name, body, err)
		}
	}
	for n := 0; n < len(k.Body); n += 1 + len(k.Body)/500 {
		try(k.Body[:n])
		for _, x := range []byte{0x01, 0x0F, 0x80, 0xFF} {
			b := slices.Clone(k.Body)
			b[n] ^= x
			try(b)
		}
	}
}
