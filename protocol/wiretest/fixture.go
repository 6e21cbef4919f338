// Package wiretest checks codecs against golden messages and against the laws
// that every codec keeps. Only tests import it.
//
// A golden message is a text file of lines, each a keyword and its operands;
// "#" starts a comment. The bytes of the message are what the byte lines give,
// one after the other:
//
//	side request          which codec of the link reads it
//	text "张三"            a Go string, in the charset of the link
//	cell 10 "张三"         the same, filled with blanks on the right to 10 bytes
//	zero 12 "300"         the same, filled with zeros on the left
//	hex D5C5 C8FD         bytes
//	repeat 99 … end       the lines between, so often; {i} is the number, two digits
//	field bills[0].id "x" a value that must be read, in order; no other may be
//	error field bills[1].amount 130 digits
//	                      instead of fields: class, path ("-" for none), offset
//	                      and a part of what was wanted
//	form                  the byte lines after it are what Append writes when
//	                      that differs from what was read
package wiretest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// Case is one golden message.
type Case struct {
	Name   string
	Side   string
	Body   []byte
	Form   []byte // what Append writes, nil: Body
	Fields []string
	Err    *protocol.Error // Want holds a part of the real one
}

// Load reads all golden messages of a folder.
func Load(tb testing.TB, dir string, c text.Charset) []Case {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no golden messages in %s: %v", dir, err)
	}
	cases := make([]Case, 0, len(files))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		k, err := parse(string(b), c)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		k.Name = strings.TrimSuffix(filepath.Base(name), ".txt")
		cases = append(cases, *k)
	}
	return cases
}

// Bodies returns the messages of one side, to seed a fuzz target.
func Bodies(cases []Case, side string) [][]byte {
	var out [][]byte
	for _, k := range cases {
		if k.Side == side {
			out = append(out, k.Body)
		}
	}
	return out
}

func parse(s string, c text.Charset) (*Case, error) {
	lines, err := expand(strings.Split(s, "\n"))
	if err != nil {
		return nil, err
	}
	k := &Case{Side: "request"}
	to := &k.Body
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "side":
			k.Side = rest
		case "field":
			k.Fields = append(k.Fields, rest)
		case "error":
			k.Err, err = parseError(rest)
		case "form":
			to = &k.Form
			*to = []byte{}
		default:
			*to, err = appendBytes(*to, word, rest, c)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	return k, nil
}

// expand drops comments and writes out the repeated lines.
func expand(lines []string) ([]string, error) {
	var out, block []string
	times := 0
	for _, line := range lines {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#':
		case word == "repeat":
			n, err := strconv.Atoi(rest)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%q: want a number", line)
			}
			times, block = n, nil
		case word == "end":
			for i := range times {
				for _, b := range block {
					out = append(out, strings.ReplaceAll(b, "{i}", fmt.Sprintf("%02d", i)))
				}
			}
			times = 0
		case times > 0:
			block = append(block, line)
		default:
			out = append(out, line)
		}
	}
	return out, nil
}

func appendBytes(dst []byte, word, rest string, c text.Charset) ([]byte, error) {
	width := 0
	switch word {
	case "hex":
		b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
		return append(dst, b...), err
	case "cell", "zero":
		n, tail, _ := strings.Cut(rest, " ")
		var err error
		if width, err = strconv.Atoi(n); err != nil {
			return dst, err
		}
		rest = tail
	case "text":
	default:
		return dst, errors.New("unknown keyword")
	}
	s, err := strconv.Unquote(strings.TrimSpace(rest))
	if err != nil {
		return dst, err
	}
	b, err := c.Append(nil, []byte(s))
	if err != nil || width > 0 && len(b) > width {
		return dst, fmt.Errorf("%d bytes do not fit: %w", len(b), err)
	}
	fill := max(width-len(b), 0)
	if word == "zero" {
		return append(append(dst, strings.Repeat("0", fill)...), b...), nil
	}
	return append(append(dst, b...), strings.Repeat(" ", fill)...), nil
}

func parseError(s string) (*protocol.Error, error) {
	f := strings.SplitN(s, " ", 4)
	if len(f) != 4 {
		return nil, errors.New("want class, path, offset and a part of the text")
	}
	at, err := strconv.Atoi(f[2])
	e := &protocol.Error{Class: protocol.Class(f[0]), Path: f[1], Offset: at, Want: f[3]}
	if e.Path == "-" {
		e.Path = ""
	}
	return e, err
}

// Run reads every golden message, compares values or error, and writes the
// record back.
func Run(t *testing.T, cases []Case, sides map[string]protocol.Codec) {
	t.Helper()
	for _, k := range cases {
		t.Run(k.Name, func(t *testing.T) {
			c := sides[k.Side]
			if c == nil {
				t.Fatalf("no side %q", k.Side)
			}
			var rec protocol.Record
			err := c.Index(protocol.Frame{Body: k.Body}, &rec)
			if k.Err != nil {
				sameError(t, err, k.Err)
				return
			}
			if err != nil {
				t.Fatalf("field class: Index: %v", err)
			}
			if got := Lines(&rec); strings.Join(got, "\n") != strings.Join(k.Fields, "\n") {
				t.Errorf("field class: Index: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(k.Fields, "\n"))
			}
			want := k.Form
			if want == nil {
				want = k.Body
			}
			got, err := c.Append(nil, &rec)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("field class: Append: got %v\n%q\nwant\n%q", err, got, want)
			}
		})
	}
}

func sameError(t *testing.T, err error, want *protocol.Error) {
	t.Helper()
	var e *protocol.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	if e.Class != want.Class || e.Path != want.Path || e.Offset != want.Offset || !strings.Contains(e.Error(), want.Want) {
		t.Errorf("got error %v\nwant %v", e, want)
	}
}

// Lines writes a record as one line for each value, path and quoted value, in
// the order of its nodes; a group shows by the numbers in the paths below it,
// and alone when it is empty.
func Lines(rec *protocol.Record) []string {
	var out []string
	nodes := rec.Nodes()
	for i, path := range paths(rec) {
		switch {
		case !rec.Layout().Fields[nodes[i].ID].Group:
			out = append(out, fmt.Sprintf("%s %q", path, rec.Value(i)))
		case i+1 == len(nodes) || int(nodes[i+1].Parent) != i+1:
			out = append(out, path)
		}
	}
	return out
}

// paths names every node, with the numbers of the entries.
func paths(rec *protocol.Record) []string {
	layout, nodes := rec.Layout(), rec.Nodes()
	out := make([]string, len(nodes))
	seen := map[string]int{}
	for i, n := range nodes {
		f := layout.Fields[n.ID]
		out[i] = f.Name
		if n.Parent > 0 {
			p := int(n.Parent) - 1
			out[i] = out[p] + strings.TrimPrefix(f.Name, layout.Fields[nodes[p].ID].Name)
		}
		if f.Group {
			at := seen[out[i]]
			seen[out[i]]++
			out[i] = fmt.Sprintf("%s[%d]", out[i], at)
		}
	}
	return out
}
