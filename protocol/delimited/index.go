package delimited

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
	var keys []string
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
		for i := range c.bodies {
			keys = append(keys, c.bodies[i].when...)
		}
		slices.Sort(keys)
		e.Path, e.Want = c.layout.Fields[c.pick].Name, "one of "+strings.Join(slices.Compact(keys), ", ")
		e.Got = shown(c.layout.Fields[c.pick].Mask, key)
		if slices.Contains(keys, string(key)) {
			e.Hint = "each body for this value has an only_if that does not hold"
		}
	}
	return nil, e
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

// split returns the length of the field that starts b: up to the separator, a
// line end or the end of b. In the charsets of GB18030 it goes character by
// character where a separator could be the second byte of one; bytes that are
// no character are left to the column to refuse.
func (d *dialect) split(b []byte) int {
	for i := 0; i < len(b); {
		switch {
		case b[i] == d.sep && d.here(b[i:]) || d.line != "" && b[i] == d.line[0]:
			return i
		case b[i] < 0x80 || d.sep < 0x30:
			i++
		default:
			i += max(1, d.charset.Char(b[i:]))
		}
	}
	return len(b)
}

// here reports whether b, which starts as a separator does, starts with one.
func (d *dialect) here(b []byte) bool {
	return len(d.whole) == 1 || len(b) >= len(d.whole) && string(b[:len(d.whole)]) == d.whole
}

// torn reports whether a reader would find another end for the field than the
// one before the separator behind it.
func (d *dialect) torn(field []byte) bool { return d.split(field) < len(field) || d.runs(field) }

// runs reports whether the end of a field would be taken for the beginning of
// the separator behind it.
func (d *dialect) runs(field []byte) bool {
	for _, tail := range d.tails {
		if at := len(field) - len(tail); at >= 0 && string(field[at:]) == tail && d.begins(field, at) {
			return true
		}
	}
	return false
}

// begins reports whether a character begins at byte at, which looks like ASCII.
func (d *dialect) begins(b []byte, at int) bool {
	i := 0
	for i < at {
		if b[i] < 0x80 {
			i++
		} else {
			i += max(1, d.charset.Char(b[i:]))
		}
	}
	return i == at
}

// special reports whether a field must be quoted.
func (d *dialect) special(cell []byte) bool {
	return bytes.IndexByte(cell, '"') >= 0 || d.torn(cell)
}

// reader walks a body from its start to its end.
type reader struct {
	*dialect
	body  []byte
	at    int
	begun bool // a field of this line was read
	head  int  // where the header ends, once it was read
	rec   *protocol.Record
	class protocol.Class
}

// Index reads a body into rec.
func (c *codec) Index(f protocol.Frame, rec *protocol.Record) error {
	rec.Reset(c.layout)
	r := reader{dialect: &c.dialect, body: f.Body, rec: rec, class: protocol.ClassHeader}
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
	if r.end && !r.accept(c.whole) || r.last && !r.accept(r.line) || r.at < len(r.body) {
		return r.fail("", r.at, "the end of the message", r.inHand(), "there may be more fields than the chosen body has")
	}
	return nil
}

func (r *reader) fail(path string, at int, want, got, hint string) error {
	return &protocol.Error{Class: r.class, Path: path, Offset: at, Want: want, Got: got, Hint: hint}
}

func (r *reader) inHand() string {
	if r.at == len(r.body) {
		return "the end of the body"
	}
	return fmt.Sprintf("%d more bytes", len(r.body)-r.at)
}

func (r *reader) accept(s string) bool {
	if len(r.body)-r.at < len(s) || string(r.body[r.at:r.at+len(s)]) != s {
		return false
	}
	r.at += len(s)
	return true
}

// more reports whether another field follows on this line.
func (r *reader) more() bool {
	if !r.begun {
		return true
	}
	if !r.separated() {
		return false
	}
	next := r.at + len(r.whole)
	return !r.end || next < len(r.body) && (r.line == "" || r.body[next] != r.line[0])
}

// separated reports whether a separator comes next.
func (r *reader) separated() bool {
	return r.at < len(r.body) && r.body[r.at] == r.sep && r.here(r.body[r.at:])
}

// newline goes to the next line and reports whether there is one.
func (r *reader) newline() bool {
	from := r.at
	if (!r.end || r.accept(r.whole)) && r.accept(r.line) && (!r.last || r.at < len(r.body)) {
		r.begun = false
		return true
	}
	r.at = from
	return false
}

func (r *reader) cells(cells []cell, parent int) error {
	for i := range cells {
		x := &cells[i]
		var err error
		switch {
		case x.optional && !r.more(): // the rest of the line is optional too
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
	if !r.more() {
		return r.fail(x.name, r.at, "a separator and a field", r.inHand(), "")
	}
	if r.begun {
		r.at += len(r.whole)
	}
	r.begun = true
	arena := r.rec.Grow()
	old := len(arena)
	read := r.bare
	if r.quote == quoteAlways || r.quote == quoteNeeded && r.at < len(r.body) && r.body[r.at] == '"' {
		read = r.quoted
	}
	val, from, size, err := read(x, arena)
	if err != nil {
		return err
	}
	if len(val) == old {
		if x.required {
			return r.fail(x.name, from, "a value", "none", "")
		}
		if !x.optional { // an optional one keeps an empty node: empty is not absent
			return nil
		}
	}
	n := r.rec.Keep(val, x.id, parent)
	if n < 0 {
		return r.fail(x.name, from, "fewer fields in one message", "", "")
	}
	r.rec.Span(n, from, size)
	return r.countIn(x, n)
}

// bare reads the field in hand, which has no quotes. It returns the grown
// arena and where on the wire the value stands.
func (r *reader) bare(x *cell, arena []byte) (val []byte, from, size int, err error) {
	from = r.at
	size = r.split(r.body[from:])
	wire := r.body[from : from+size]
	r.at += size
	if r.quote == quoteNeeded {
		if i := bytes.IndexByte(wire, '"'); i >= 0 {
			return nil, 0, 0, r.fail(x.name, from+i, "quotes around a field that holds one", shown(x.mask, wire), "")
		}
	}
	if r.tails != nil && !r.separated() && r.runs(wire) {
		return nil, 0, 0, r.fail(x.name, from, "a text that does not end as a separator begins", shown(x.mask, wire), "")
	}
	if val, err = r.column(x, arena, wire); err != nil {
		m := err.(*text.Misfit)
		return nil, 0, 0, r.fail(x.name, from+m.Offset, m.Want, shown(x.mask, wire), m.Hint)
	}
	return val, from, size, nil
}

// quoted is bare for a field between quotes; the quotes around it are not part
// of its place.
func (r *reader) quoted(x *cell, arena []byte) (val []byte, from, size int, err error) {
	if !r.accept(`"`) {
		return nil, 0, 0, r.fail(x.name, r.at, "a field in double quotes", r.inHand(), "")
	}
	from = r.at
	scratch := arena // behind the arena's values, to be overwritten by this one
	for {
		i := bytes.IndexByte(r.body[r.at:], '"')
		if i < 0 {
			return nil, 0, 0, r.fail(x.name, len(r.body), "the closing quote", "the end of the body", "")
		}
		scratch = append(scratch, r.body[r.at:r.at+i]...)
		if r.at += i + 1; !r.accept(`"`) {
			break
		}
		scratch = append(scratch, '"')
	}
	size = r.at - 1 - from
	if r.at < len(r.body) && r.split(r.body[r.at:]) != 0 {
		return nil, 0, 0, r.fail(x.name, r.at, "a separator behind the closing quote", r.inHand(), "")
	}
	wire := scratch[len(arena):]
	if r.quote == quoteNeeded && !r.special(wire) {
		return nil, 0, 0, r.fail(x.name, from-1, "quotes only where they are needed", shown(x.mask, wire),
			"a link that quotes every field has quote: always")
	}
	if val, err = r.column(x, scratch, wire); err != nil {
		m := err.(*text.Misfit)
		return nil, 0, 0, r.fail(x.name, r.unquoted(from, m.Offset), m.Want, shown(x.mask, wire), m.Hint)
	}
	return append(val[:len(arena)], val[len(scratch):]...), from, size, nil
}

// unquoted returns where byte n of a quoted field stands in the body.
func (r *reader) unquoted(from, n int) int {
	for ; n > 0; n-- {
		if r.body[from] == '"' {
			from++
		}
		from++
	}
	return from
}

func (r *reader) column(x *cell, arena, wire []byte) ([]byte, error) {
	if w := x.col.Width(); w > 0 && len(wire) != w {
		return nil, &text.Misfit{Offset: min(w, len(wire)), Want: fmt.Sprintf("%d bytes", w)}
	}
	return x.col.Read(arena, wire)
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
	if !x.counts || x.col.Width() > 0 && x.col.Zeros() || v[0] != '0' || len(v) == 1 {
		return nil
	}
	return r.fail(x.name, int(r.rec.Nodes()[n].From), "a count without leading zeros", shown(x.mask, v), "a count with zeros has a len")
}

func (r *reader) loop(x *cell, parent int) error {
	l := x.loop
	n, err := r.entries(x, parent)
	if err != nil {
		return err
	}
	for i := 0; i < n || n < 0; i++ {
		switch {
		case l.lines && !r.newline():
			if n < 0 {
				return nil
			}
			return r.fail(fmt.Sprintf("%s[%d]", x.name, i), r.at, "a line for the entry", r.inHand(), "")
		case !l.lines && n < 0 && !r.more():
			return nil
		case i >= l.max:
			return r.fail(x.name, r.at, fmt.Sprintf("at most %d entries", l.max), "more", "")
		}
		g := r.rec.Put(x.id, parent, nil)
		if g < 0 {
			return r.fail(x.name, r.at, "fewer fields in one message", "", "")
		}
		from := r.at
		if err := r.cells(l.cells, g); err != nil {
			e := err.(*protocol.Error)
			e.Path = fmt.Sprintf("%s[%d].%s", x.name, i, e.Path)
			return e
		}
		r.rec.Span(g, from, r.at-from)
	}
	return nil
}

// entries returns how many entries follow, -1 when they go on to the end.
func (r *reader) entries(x *cell, parent int) (int, error) {
	l := x.loop
	if !l.counted {
		return -1, nil
	}
	at := r.rec.Find(l.count)
	if parent >= 0 {
		at = r.rec.Child(parent, l.count)
	}
	if at < 0 {
		return 0, nil // an optional count that is absent
	}
	n := 0
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
