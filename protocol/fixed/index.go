package fixed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// choose returns the first body that fits the header values in rec.
func (c *codec) choose(rec *protocol.Record) (*body, error) {
	var key []byte
	at := -1
	if c.picks {
		n := rec.Find(c.pick)
		if n < 0 {
			return nil, &protocol.Error{Class: protocol.ClassHeader, Path: c.layout.Fields[c.pick].Name, Offset: -1,
				Want: "the value that chooses the body", Got: "nothing"}
		}
		key, at = rec.Value(n), int(rec.Nodes()[n].From)
	}
	for i := range c.bodies {
		b := &c.bodies[i]
		if len(b.when) > 0 && !among(b.when, key) {
			continue
		}
		if b.values == nil {
			return b, nil
		}
		if v, _ := rec.Get(b.onlyIf); among(b.values, v) {
			return b, nil
		}
	}
	e := &protocol.Error{Class: protocol.ClassHeader, Offset: at, Want: "values that one of the bodies fits"}
	if c.picks {
		e.Path, e.Want = c.layout.Fields[c.pick].Name, "one of "+strings.Join(c.keys(), ", ")
		e.Got = shown(c.layout.Fields[c.pick].Mask, key)
		if slices.Contains(c.keys(), string(key)) {
			e.Hint = "each body for this value has an only_if that does not hold"
		}
	}
	return nil, e
}

func (c *codec) keys() []string {
	var out []string
	for i := range c.bodies {
		for _, w := range c.bodies[i].when {
			if !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

func among(list []string, v []byte) bool {
	for i := range list {
		if list[i] == string(v) {
			return true
		}
	}
	return false
}

// shown is what of a value an error may show.
func shown(m pay.Mask, v []byte) string {
	if m != pay.Public {
		return fmt.Sprintf("%d bytes", len(v))
	}
	for _, b := range v {
		if b < ' ' || b >= 0x7F {
			return protocol.Hex(v, 24)
		}
	}
	if len(v) > 48 {
		return fmt.Sprintf("%q…", v[:48])
	}
	return fmt.Sprintf("%q", v)
}

// reader walks a body from its start to its end.
type reader struct {
	body  []byte
	at    int
	rec   *protocol.Record
	class protocol.Class
	head  int // where the header ends, once it was read
}

// Index reads a body into rec.
func (c *codec) Index(f protocol.Frame, rec *protocol.Record) error {
	rec.Reset(c.layout)
	r := reader{body: f.Body, rec: rec, class: protocol.ClassHeader}
	if err := r.cells(c.header, -1); err != nil {
		return err
	}
	b, err := c.choose(rec)
	if err != nil {
		return err
	}
	// A header cell is only known to count entries once the body is chosen.
	for i := range b.header {
		if err := r.counter(&b.header[i]); err != nil {
			return err
		}
	}
	r.class, r.head = protocol.ClassField, r.at
	if err := r.cells(b.cells, -1); err != nil {
		return err
	}
	if r.at < len(r.body) {
		return r.fail("", r.at, fmt.Sprintf("the end of a body of %d bytes", r.at), fmt.Sprintf("%d bytes", len(r.body)),
			"bytes that no field takes; compare the widths and the chosen body with the interface document")
	}
	return nil
}

func (r *reader) fail(path string, at int, want, got, hint string) error {
	return &protocol.Error{Class: r.class, Path: path, Offset: at, Want: want, Got: got, Hint: hint}
}

func (r *reader) cells(cells []cell, parent int) error {
	for i := range cells {
		x := &cells[i]
		var err error
		switch {
		case x.optional && r.at == len(r.body): // the rest is optional too, or a loop of none
		case x.loop != nil:
			err = r.loop(x, parent)
		default:
			err = r.cell(x, parent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) cell(x *cell, parent int) error {
	w := x.col.Width()
	if left := len(r.body) - r.at; left < w {
		return r.fail(x.name, r.at, fmt.Sprintf("%d bytes", w), fmt.Sprintf("%d, the body ends", left), "")
	}
	wire := r.body[r.at : r.at+w]
	arena := r.rec.Grow()
	val, err := x.col.Read(arena, wire)
	if err != nil {
		m := err.(*text.Misfit)
		return r.fail(x.name, r.at+m.Offset, m.Want, shown(x.mask, wire), m.Hint)
	}
	if len(val) == len(arena) {
		if x.required {
			return r.fail(x.name, r.at, "a value", "none", "")
		}
		if !x.optional { // an optional one keeps an empty node: blank is not absent
			r.at += w
			return nil
		}
	}
	n := r.rec.Keep(val, x.id, parent)
	if n < 0 {
		return r.full(x)
	}
	r.rec.Span(n, r.at, w)
	r.at += w
	return r.countIn(x, n)
}

func (r *reader) full(x *cell) error {
	return r.fail(x.name, r.at, "fewer fields in one message", "", "")
}

// counter checks a header cell that turned out to count entries.
func (r *reader) counter(x *cell) error {
	if !x.counts {
		return nil
	}
	n := r.rec.Find(x.id)
	if n < 0 {
		return r.fail(x.name, -1, "a count", "none", "")
	}
	return r.countIn(x, n)
}

// countIn refuses a count that Append would write in another way.
func (r *reader) countIn(x *cell, n int) error {
	v := r.rec.Value(n)
	if !x.counts || x.col.Zeros() || v[0] != '0' || len(v) == 1 {
		return nil
	}
	return r.fail(x.name, int(r.rec.Nodes()[n].From), "a count without leading zeros", shown(x.mask, v), "")
}

func (r *reader) loop(x *cell, parent int) error {
	l := x.loop
	n, err := r.entries(x, parent)
	if err != nil {
		return err
	}
	for i := 0; i < n || n < 0 && r.at < len(r.body); i++ {
		if i >= l.max {
			return r.fail(x.name, r.at, fmt.Sprintf("at most %d entries", l.max), "more", "")
		}
		g := r.rec.Put(x.id, parent, nil)
		if g < 0 {
			return r.full(x)
		}
		from := r.at
		if err := r.cells(l.cells, g); err != nil {
			e := err.(*protocol.Error)
			e.Path = fmt.Sprintf("%s[%d].%s", x.name, i, e.Path)
			return e
		}
		r.rec.Span(g, from, r.at-from)
	}
	return r.spare(x, n)
}

// entries returns how many entries follow, -1 when they go on to the end.
func (r *reader) entries(x *cell, parent int) (int, error) {
	l := x.loop
	if l.counted {
		at := r.rec.Find(l.count)
		if parent >= 0 {
			at = r.rec.Child(parent, l.count)
		}
		n := 0
		if at < 0 {
			return 0, nil // an optional count that is absent
		}
		for _, d := range r.rec.Value(at) {
			if n = n*10 + int(d-'0'); n <= l.max {
				continue
			}
			from := int(r.rec.Nodes()[at].From)
			if from < r.head {
				r.class = protocol.ClassHeader
			}
			return 0, r.fail(l.counter, from, fmt.Sprintf("at most %d entries", l.max), "more", "")
		}
		return n, nil
	}
	if l.times == 0 {
		return -1, nil
	}
	// Room without a count: what is blank at its end is not an entry.
	n := l.times
	for n > 0 && r.at+n*l.constant <= len(r.body) && bytes.Equal(r.body[r.at+(n-1)*l.constant:r.at+n*l.constant], l.spare) {
		n--
	}
	return n, nil
}

// spare passes over the room that n entries left.
func (r *reader) spare(x *cell, n int) error {
	l := x.loop
	for i := max(n, 0); i < l.times; i++ {
		end := r.at + l.constant
		if end > len(r.body) {
			return r.fail(x.name, r.at, fmt.Sprintf("room for %d entries", l.times), "the end of the body", "")
		}
		if !bytes.Equal(r.body[r.at:end], l.spare) {
			return r.fail(x.name, r.at, "an entry without values behind the last one", "other bytes", "")
		}
		r.at = end
	}
	return nil
}
