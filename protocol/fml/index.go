package fml

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

func fail(path string, at int, want, got, hint string) *protocol.Error {
	return &protocol.Error{Class: protocol.ClassField, Path: path, Offset: at, Want: want, Got: got, Hint: hint}
}

// shown is what of a value an error may show.
func shown(m pay.Mask, v []byte) string {
	if m != pay.Public {
		return fmt.Sprintf("%d bytes", len(v))
	}
	if len(v) > 48 {
		return fmt.Sprintf("%q…", v[:48])
	}
	return fmt.Sprintf("%q", v)
}

// scratch holds where the occurrences of each field stand. The fields of a
// buffer are ordered by id, the entries of a loop are not, so a body is read
// in two steps.
type scratch struct {
	places []place
	chains []chain // by field
}

// place is one value on the wire.
type place struct {
	from, to int
	next     int // place of the field's next occurrence, -1 at the end
}

// chain is the occurrences of one field; they are only valid with n > 0.
type chain struct{ first, last, n int }

// Index reads a body into rec. Groups have no span: their fields stand apart.
func (c *codec) Index(f protocol.Frame, rec *protocol.Record) error {
	rec.Reset(c.layout)
	if len(f.Body) > c.max {
		return fail("", c.max, fmt.Sprintf("at most %d bytes", c.max), strconv.Itoa(len(f.Body)), "")
	}
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	s.reset()
	if err := c.lines(f.Body, 0, 0, s); err != nil {
		return err
	}
	for i := 0; i < len(c.fields); {
		if l := c.fields[i].loop; l >= 0 {
			if err := c.entries(&c.loops[l], f.Body, s, rec); err != nil {
				return err
			}
			i = c.loops[l].to
			continue
		}
		read := c.buffers
		if c.fields[i].inner == nil {
			read = c.single
		}
		if err := read(i, f.Body, s, rec); err != nil {
			return err
		}
		i++
	}
	return nil
}

// single takes a field at the top into the record.
func (c *codec) single(i int, b []byte, s *scratch, rec *protocol.Record) error {
	return c.occurrence(i, b, s, rec, -1)
}

func (s *scratch) reset() {
	s.places = s.places[:0]
	clear(s.chains)
}

// put notes a value of field i.
func (s *scratch) put(i int, p place) {
	ch, n := &s.chains[i], len(s.places)
	s.places = append(s.places, p)
	if ch.n > 0 {
		s.places[ch.last].next = n
	} else {
		ch.first = n
	}
	ch.last = n
	ch.n++
}

// take returns the next value of field i, which must have one.
func (s *scratch) take(i int) place {
	ch := &s.chains[i]
	p := s.places[ch.first]
	ch.first = p.next
	ch.n--
	return p
}

// lines finds the values from at to the end of b. Each line begins with so
// many tabs.
func (c *codec) lines(b []byte, at, tabs int, s *scratch) error {
	for at < len(b) {
		at += tabs // which stand there, or the buffer would have ended
		end := bytes.IndexByte(b[at:], '\n')
		switch {
		case end < 0:
			return fail("", len(b), "a line feed behind the last value", "the end of the body", "")
		case end == 0 && at+1 == len(b) && tabs == 0:
			return nil
		case end == 0:
			return fail("", at+1-tabs, "the end of the body behind an empty line", fmt.Sprintf("%d more bytes", len(b)-at-1+tabs), "")
		}
		tab := bytes.IndexByte(b[at:at+end], '\t')
		if tab <= 0 {
			return fail("", at, "a name, a tab and a value", fmt.Sprintf("%d bytes", end), "")
		}
		name := b[at : at+tab]
		i := c.find(name)
		behind := at + end + 1
		switch {
		case bytes.IndexByte([]byte("+-=#"), name[0]) >= 0:
			return fail("", at, "a field name", fmt.Sprintf("%q", name[0]), "flags and comments are refused")
		case i < 0 && !c.extra:
			return fail("", at, "a field of the spec", fmt.Sprintf("%.32q", name), "extra: ignore passes over such fields")
		case i < 0 && tab+1 == end && behind < len(b) && b[behind] == '\t': // a buffer
			var err error
			if _, behind, err = inside(string(name), b, behind); err != nil {
				return err
			}
		case i >= 0:
			x, p := &c.fields[i], place{at + tab + 1, at + end, -1}
			if s.chains[i].n == x.max {
				return fail(x.path, at, fmt.Sprintf("at most %d occurrences", x.max), "more", "")
			}
			if x.inner != nil {
				if p.from != p.to {
					return fail(x.path, p.from, "a buffer, which begins on the next line", "a value", "")
				}
				var err error
				p.from = behind
				if p.to, behind, err = inside(x.path, b, behind); err != nil {
					return err
				}
			}
			s.put(i, p)
		}
		at = behind
	}
	return nil
}

// find returns the number of the field with the name, or with the id that
// stands for a name, -1 when there is none.
func (c *codec) find(name []byte) int {
	lo, hi := 0, len(c.byName)
	for lo < hi {
		mid := (lo + hi) / 2
		if c.fields[c.byName[mid]].name < string(name) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(c.byName) && c.fields[c.byName[lo]].name == string(name) {
		return c.byName[lo]
	}
	if ch := name[0]; ch != '(' && (ch < '0' || ch > '9') || len(name) > 32 {
		return -1
	}
	if id, ok := parseID(string(name)); ok {
		for i := range c.fields {
			if c.fields[i].fid == id {
				return i
			}
		}
	}
	return -1
}

// entries makes groups of the n-th occurrences of a loop's fields.
func (c *codec) entries(l *loop, b []byte, s *scratch, rec *protocol.Record) error {
	n := 0
	for i := l.from; i < l.to; i++ {
		n = max(n, s.chains[i].n)
	}
	for e := range n {
		g := rec.Put(l.id, -1, nil)
		if g < 0 {
			return fail(l.name, -1, "fewer fields in one message", "", "")
		}
		for i := l.from; i < l.to; i++ {
			if err := c.occurrence(i, b, s, rec, g); err != nil {
				return inEntry(err, l.name, e)
			}
		}
	}
	return nil
}

// inEntry puts the number of the entry into the path of an error.
func inEntry(err error, name string, e int) error {
	if pe := err.(*protocol.Error); strings.HasPrefix(pe.Path, name) {
		pe.Path = fmt.Sprintf("%s[%d]%s", name, e, pe.Path[len(name):])
	}
	return err
}

// occurrence takes the next occurrence of the field into the record.
func (c *codec) occurrence(i int, b []byte, s *scratch, rec *protocol.Record, parent int) error {
	x, ch := &c.fields[i], &s.chains[i]
	if ch.n == 0 {
		if x.required {
			return fail(x.path, len(b), "the required field", "none", "")
		}
		return nil
	}
	p := s.take(i)
	arena, err := c.read(x, rec.Grow(), b, p)
	if err != nil {
		return err
	}
	if x.required && len(arena) == len(rec.Grow()) {
		return fail(x.path, p.from, "a value", "none", "")
	}
	n := rec.Keep(arena, x.id, parent)
	if n < 0 {
		return fail(x.path, p.from, "fewer fields in one message", "", "")
	}
	rec.Span(n, p.from, p.to-p.from)
	return nil
}

// read appends the value of a field to the arena.
func (c *codec) read(x *field, arena, b []byte, p place) ([]byte, error) {
	old := len(arena)
	arena, bad := unescape(arena, b[p.from:p.to])
	if bad >= 0 {
		return nil, fail(x.path, p.from+bad, `an escape of two hex digits, or \\`, shown(x.mask, b[p.from:p.to]), "control characters are escaped too")
	}
	val := arena[old:]
	switch x.fid.Type() {
	case Carray:
		return arena, nil
	case String:
		if i := bytes.IndexByte(val, 0); i >= 0 {
			return nil, fail(x.path, p.from+escaped(b[p.from:p.to], i), "a string without zero bytes", shown(x.mask, val), "")
		}
		read := len(arena)
		arena, err := c.charset.Read(arena, val)
		if err != nil {
			i := escaped(b[p.from:p.to], int(err.(text.BadChar)))
			return nil, fail(x.path, p.from+i, "a character of "+c.charset.String(), shown(x.mask, val), "")
		}
		return append(arena[:old], arena[read:]...), nil
	}
	if !fits(x.fid.Type(), val) {
		return nil, fail(x.path, p.from, wants(x.fid.Type()), shown(x.mask, val), "")
	}
	return arena, nil
}

// unescape appends the bytes that a printed value stands for, or returns the
// offset of the first byte that cannot stand there.
func unescape(dst, v []byte) ([]byte, int) {
	for i := 0; i < len(v); i++ {
		ch := v[i]
		switch {
		case ch < ' ' || ch == 0x7F:
			return dst, i
		case ch != '\\':
		case i+1 < len(v) && v[i+1] == '\\':
			i++
		case i+2 < len(v) && nibble(v[i+1]) < 16 && nibble(v[i+2]) < 16:
			ch = nibble(v[i+1])<<4 | nibble(v[i+2])
			i += 2
		default:
			return dst, i
		}
		dst = append(dst, ch)
	}
	return dst, -1
}

// escaped returns where byte n of the value stands in its printed form.
func escaped(v []byte, n int) int {
	i := 0
	for ; n > 0; n-- {
		switch {
		case v[i] == '\\' && v[i+1] == '\\':
			i += 2
		case v[i] == '\\':
			i += 3
		default:
			i++
		}
	}
	return i
}

func nibble(ch byte) byte {
	switch {
	case ch >= '0' && ch <= '9':
		return ch - '0'
	case ch|0x20 >= 'a' && ch|0x20 <= 'f':
		return ch | 0x20 - 'a' + 10
	}
	return 0xFF
}

func wants(t Type) string {
	switch t {
	case Short:
		return "a whole number from -32768 to 32767"
	case Long:
		return "a whole number of 64 bits"
	case Char:
		return "one printable character of ASCII"
	}
	return "a decimal number without exponent"
}

// fits reports whether v is a value of the type as a monitor prints it: no
// plus sign, no zeros in front, within the range.
func fits(t Type, v []byte) bool {
	switch t {
	case Char:
		return len(v) == 1 && v[0] >= ' ' && v[0] < 0x7F
	case Short, Long:
		return whole(v, t)
	}
	n := 0
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	for n < len(v) && v[n] >= '0' && v[n] <= '9' {
		n++
	}
	if n == 0 || n > 1 && v[0] == '0' || n+1 == len(v) {
		return false
	}
	for i := n; i < len(v); i++ {
		if (i > n || v[i] != '.') && (i == n || v[i] < '0' || v[i] > '9') {
			return false
		}
	}
	return true
}

func whole(v []byte, t Type) bool {
	d, limit := v, uint64(1<<63-1)
	if t == Short {
		limit = 1<<15 - 1
	}
	if len(v) > 0 && v[0] == '-' {
		d = v[1:]
		limit++
	}
	n, ok := text.ReadUint(d)
	return ok && n <= limit && (len(d) == 1 || d[0] != '0') && (len(v) == len(d) || n > 0)
}
