package fml

import (
	"fmt"
	"strconv"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

type writer struct {
	c     *codec
	dst   []byte
	start int
	rec   *protocol.Record
}

// Append writes the record, fields in the order of their ids as a monitor
// prints them.
func (c *codec) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	if rec.Layout() != c.layout {
		return dst, fail("", -1, "a record of this layout", "another one", "")
	}
	for i := range c.loops {
		l := &c.loops[i]
		if groups(rec, l.id) > l.max {
			return dst, fail(l.name, -1, fmt.Sprintf("at most %d entries", l.max), "more", "")
		}
	}
	w := writer{c: c, dst: dst, start: len(dst), rec: rec}
	for _, i := range c.byID {
		x := &c.fields[i]
		var err error
		if x.inner != nil {
			err = w.buffers(x)
		} else if x.loop >= 0 {
			err = w.occurrences(x, &c.loops[x.loop])
		} else {
			err = w.line(x, rec.Find(x.id), false)
		}
		if err != nil {
			return dst, err
		}
	}
	if c.blank {
		w.dst = append(w.dst, '\n')
	}
	if n := len(w.dst) - w.start; n > c.max {
		return dst, fail("", -1, fmt.Sprintf("at most %d bytes", c.max), strconv.Itoa(n), "")
	}
	return w.dst, nil
}

// next returns the first entry of a loop at or after record node i, -1 when
// there is none.
func next(rec *protocol.Record, id uint16, i int) int {
	nodes := rec.Nodes()
	for ; i < len(nodes); i++ {
		if nodes[i].ID == id && nodes[i].Parent == 0 {
			return i
		}
	}
	return -1
}

func groups(rec *protocol.Record, id uint16) int {
	n := 0
	for g := next(rec, id, 0); g >= 0; g = next(rec, id, g+1) {
		n++
	}
	return n
}

// occurrences writes a field of a loop once for each entry, up to the last
// entry that has it: an occurrence is known by its place alone.
func (w *writer) occurrences(x *field, l *loop) error {
	last := -1
	for g := next(w.rec, l.id, 0); g >= 0; g = next(w.rec, l.id, g+1) {
		if w.rec.Child(g, x.id) >= 0 || x.required {
			last = g
		}
	}
	e := 0
	for g := next(w.rec, l.id, 0); g >= 0 && g <= last; g = next(w.rec, l.id, g+1) {
		if err := w.line(x, w.rec.Child(g, x.id), true); err != nil {
			return inEntry(err, l.name, e)
		}
		e++
	}
	return nil
}

// line writes one occurrence. An absent one is only written when it has to
// keep the place of an entry.
func (w *writer) line(x *field, at int, place bool) error {
	var val []byte
	if at >= 0 {
		val = w.rec.Value(at)
	}
	t := x.fid.Type()
	switch {
	case len(val) == 0 && (x.required || place && t != String && t != Carray):
		return fail(x.path, len(w.dst)-w.start, "a value", "none", "")
	case at < 0 && !place, len(val) == 0 && t != String && t != Carray:
		return nil
	}
	w.dst = append(append(w.dst, x.name...), '\t')
	from := len(w.dst)
	if err := w.value(x, t, val); err != nil {
		err.Offset = from - w.start
		return err
	}
	if at >= 0 {
		w.rec.Span(at, from-w.start, len(w.dst)-from)
	}
	w.dst = append(w.dst, '\n')
	return nil
}

func (w *writer) value(x *field, t Type, val []byte) *protocol.Error {
	from := len(w.dst)
	switch t {
	case Carray:
		w.dst = append(w.dst, val...)
	case String:
		var err error
		if w.dst, err = w.c.charset.Append(w.dst, val); err != nil {
			return fail(x.path, -1, "characters of "+w.c.charset.String(), shown(x.mask, val), "")
		}
		for _, ch := range val {
			if ch == 0 {
				return fail(x.path, -1, "a string without zero bytes", shown(x.mask, val), "")
			}
		}
	default:
		if t != Char {
			w.dst, val = plain(w.dst, val)
		}
		w.dst = append(w.dst, val...)
		if !fits(t, w.dst[from:]) {
			return fail(x.path, -1, wants(t), shown(x.mask, val), "")
		}
	}
	w.dst = escape(w.dst, from)
	return nil
}

// plain drops the zeros in front of a number, which fixed-length peers have,
// after it has appended the sign to dst.
func plain(dst, v []byte) ([]byte, []byte) {
	if v[0] == '-' {
		dst, v = append(dst, '-'), v[1:]
	}
	for len(v) > 1 && v[0] == '0' && text.IsDigits(v[1:2]) {
		v = v[1:]
	}
	return dst, v
}

// escape escapes what dst holds from byte from on.
func escape(dst []byte, from int) []byte {
	const hex = "0123456789abcdef"
	i, more := len(dst), 0
	for _, ch := range dst[from:] {
		switch {
		case ch == '\\':
			more++
		case ch < ' ' || ch >= 0x7F:
			more += 2
		}
	}
	if more == 0 {
		return dst
	}
	for range more {
		dst = append(dst, 0)
	}
	to := len(dst)
	for i--; i >= from; i-- {
		switch ch := dst[i]; {
		case ch == '\\':
			to -= 2
			dst[to], dst[to+1] = '\\', '\\'
		case ch < ' ' || ch >= 0x7F:
			to -= 3
			dst[to], dst[to+1], dst[to+2] = '\\', hex[ch>>4], hex[ch&15]
		default:
			to--
			dst[to] = ch
		}
	}
	return dst
}
