package specdoc

import (
	"bytes"
	"encoding/hex"
	"encoding/xml"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

func shipped(t *testing.T) []*spec.Link {
	t.Helper()
	names, err := fs.Glob(conf.Files, "links/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []*spec.Link
	for _, name := range names {
		l, err := spec.Load(name, conf.Files.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

func written(t *testing.T, l *spec.Link, o Options) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, l, o); err != nil {
		t.Fatalf("%s: %v", l.ID, err)
	}
	return out.String()
}

// TestEveryShippedLink writes all documents twice: the same bytes, every
// transaction and response code in them, tables of even width.
func TestEveryShippedLink(t *testing.T) {
	for _, l := range shipped(t) {
		for _, o := range []Options{{}, {English: true}, {HTML: true}, {English: true, HTML: true}} {
			text := written(t, l, o)
			if again := written(t, l, o); again != text {
				t.Errorf("%s: %+v: two writings differ", l.ID, o)
			}
			for _, m := range l.Messages {
				if !strings.Contains(text, m.Name) {
					t.Errorf("%s: %+v: no %s", l.ID, o, m.Name)
				}
			}
			for _, c := range l.Codes {
				if !strings.Contains(text, c.Wire) {
					t.Errorf("%s: %+v: no code %s", l.ID, o, c.Wire)
				}
			}
			if o.HTML {
				wellFormed(t, l.ID, text)
			} else {
				even(t, l.ID, text)
			}
		}
	}
}

func wellFormed(t *testing.T, id, text string) {
	t.Helper()
	dec := xml.NewDecoder(strings.NewReader(strings.Replace(strings.TrimPrefix(text, "<!DOCTYPE html>"), `<meta charset="utf-8">`, "", 1)))
	for {
		_, err := dec.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Errorf("%s: %v", id, err)
			return
		}
	}
}

func even(t *testing.T, id, text string) {
	t.Helper()
	width := 0
	for _, line := range strings.Split(text, "\n") {
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if !strings.HasPrefix(line, "|") {
			width = 0
			continue
		}
		if width == 0 {
			width = n
		}
		if n != width {
			t.Errorf("%s: a table of %d columns has %q", id, width-1, line)
		}
	}
}

// TestExamplesAreReal reads the bytes of every example back.
func TestExamplesAreReal(t *testing.T) {
	for _, l := range shipped(t) {
		d, err := l.Assemble(spec.Parts{})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, block := range strings.Split(written(t, l, Options{}), "```") {
			var wire []byte
			for _, m := range regexp.MustCompile(`(?m)^\d{4}  ((?:[0-9A-F]{2} )+)`).FindAllStringSubmatch(block, -1) {
				b, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
				if err != nil {
					t.Fatal(err)
				}
				wire = append(wire, b...)
			}
			if len(wire) == 0 {
				continue
			}
			side := &d.Request
			if found++; found%2 == 0 {
				side = &d.Reply
			}
			f, n, err := side.Framer.Next(wire)
			if err != nil || n != len(wire) {
				t.Errorf("%s: example %d: %d of %d bytes, %v", l.ID, found, n, len(wire), err)
				continue
			}
			if err := side.Codec.Index(f, new(protocol.Record)); err != nil {
				t.Errorf("%s: example %d: %v", l.ID, found, err)
			}
		}
		if found != 2*len(l.Messages) {
			t.Errorf("%s: %d examples of %d transactions", l.ID, found, len(l.Messages))
		}
	}
}

// TestOffsets holds the table of a fixed-length transaction to what the bank's
// document would say.
func TestOffsets(t *testing.T) {
	l, err := spec.Load("links/bank-fixed.yaml", conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	text := written(t, l, Options{})
	for _, line := range []string{
		"| 0 | txn | n | 4 | M | 交易码 | = 1002 |",
		"| 50 | account | x | 12 | M | 户号 | 户号 |",
		"| 62 | amount | n | 12 | M | 金额(分) | 金额, 分 |",
		"| 76 | bills | 循环 | bill_count 次, 至多 99 | O |  | 账单, 逐笔重复 |",
		"| +16 | bills.month | n | 6 | M | 电费年月 | 电费年月 |",
		"| 98 | 未知 | 结果未知,请查询 |",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
}
