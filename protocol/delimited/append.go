package delimited

import (
	"fmt"
	"strconv"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// writer appends the fields of a record to dst.
type writer struct {
	*dialect
	dst   []byte
	start int  // of the body in dst
	begun bool // a field of this line was written
	rec   *protocol.Record
	class protocol.Class
}

// Append writes the record: the header, and the body that its values choose.
// Fields without a node are written empty, counts are computed, and fields
// that the chosen body does not have are left out.
func (c *codec) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	if rec.Layout() != c.layout {
		return dst, &protocol.Error{Class: protocol.ClassField, Offset: -1, Want: "a record of this layout", Got: "another one"}
	}
	b, err := c.choose(rec)
	if err != nil {
		err.(*protocol.Error).Offset = -1
		return dst, err
	}
	w := writer{dialect: &c.dialect, dst: dst, start: len(dst), rec: rec, class: protocol.ClassHeader}
	if err := w.cells(b.header, -1); err != nil {
		return dst, err
	}
	w.class = protocol.ClassField
	if err := w.cells(b.cells, -1); err != nil {
		return dst, err
	}
	if w.end {
		w.dst = append(w.dst, w.whole...)
	}
	if w.last {
		w.dst = append(w.dst, w.line...)
	}
	return w.dst, nil
}

// cells writes the fields of one scope. An optional field is left out when
// neither it nor anything behind it on the line is in the record.
func (w *writer) cells(cells []cell, parent int) error {
	for i := range cells {
		x := &cells[i]
		var err error
		switch {
		case x.optional && !w.present(cells[i:]):
		case x.loop != nil:
			err = w.loop(x, parent)
		default:
			err = w.cell(x, parent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) present(cells []cell) bool {
	for i := range cells {
		x := &cells[i]
		if x.loop != nil { // of lines, or to the end: it keeps the place of what is before it
			return !x.loop.lines && w.next(x.id, -1, 0) >= 0
		}
		if w.rec.Find(x.id) >= 0 || x.counts && w.next(x.group, -1, 0) >= 0 {
			return true
		}
	}
	return false
}

func (w *writer) cell(x *cell, parent int) error {
	at := w.rec.Find(x.id)
	if parent >= 0 {
		at = w.rec.Child(parent, x.id)
	}
	if w.begun {
		w.dst = append(w.dst, w.whole...)
	}
	w.begun = true
	if x.counts {
		return w.count(x, parent, at)
	}
	var val []byte
	if at >= 0 {
		val = w.rec.Value(at)
	}
	if len(val) == 0 && x.required {
		return w.fail(x.name, "a value", "none", "")
	}
	dst, err := x.col.Append(w.dst, val)
	if err != nil {
		m := err.(*text.Misfit)
		return w.fail(x.name, m.Want, shown(x.mask, val), m.Hint)
	}
	if !w.wrote(x, dst, at) {
		return w.fail(x.name, "a text that no separator can be seen in", shown(x.mask, val), "texts for people may be changed with cut: true")
	}
	return nil
}

// count writes how many entries the loop has, whatever the record says.
func (w *writer) count(x *cell, parent, at int) error {
	var number [20]byte
	n := 0
	for g := w.next(x.group, parent, 0); g >= 0; g = w.next(x.group, parent, g+1) {
		n++
	}
	dst, err := x.col.Append(w.dst, strconv.AppendInt(number[:0], int64(n), 10))
	if err != nil {
		return w.fail(x.name, err.(*text.Misfit).Want, strconv.Itoa(n), "")
	}
	w.wrote(x, dst, at)
	return nil
}

// wrote takes the field that was appended, quotes it if need be and notes its
// span at node at. Without quotes a separator in the field is replaced if the
// field allows it; else wrote returns false.
func (w *writer) wrote(x *cell, dst []byte, at int) bool {
	from := len(w.dst)
	field := dst[from:]
	switch {
	case w.quote == quoteAlways || w.quote == quoteNeeded && w.special(field):
		dst = text.Quote(dst, from)
		from++
		if at >= 0 {
			w.rec.Span(at, from-w.start, len(dst)-1-from)
		}
		w.dst = dst
		return true
	case w.quote == quoteNone:
		for i := w.split(field); i < len(field); i += w.split(field[i:]) {
			if !x.lossy {
				return false
			}
			field[i] = '?'
		}
		if w.runs(field) {
			if !x.lossy {
				return false
			}
			field[len(field)-1] = '?'
		}
	}
	if at >= 0 {
		w.rec.Span(at, from-w.start, len(dst)-from)
	}
	w.dst = dst
	return true
}

func (w *writer) fail(path, want, got, hint string) error {
	return &protocol.Error{Class: w.class, Path: path, Offset: len(w.dst) - w.start, Want: want, Got: got, Hint: hint}
}

// next returns the first node of a group at or after node i, -1 when there is
// none in the scope of the parent.
func (w *writer) next(id uint16, parent, i int) int {
	nodes := w.rec.Nodes()
	for i = max(i, parent+1); i < len(nodes); i++ {
		at := int(nodes[i].Parent) - 1
		if at < parent {
			return -1
		}
		if at == parent && nodes[i].ID == id {
			return i
		}
	}
	return -1
}

func (w *writer) loop(x *cell, parent int) error {
	l, n := x.loop, 0
	for g := w.next(x.id, parent, 0); g >= 0; g = w.next(x.id, parent, g+1) {
		if n >= l.max {
			return w.fail(x.name, fmt.Sprintf("at most %d entries", l.max), "more", "")
		}
		from := len(w.dst)
		if l.lines {
			if w.end {
				w.dst = append(w.dst, w.whole...)
			}
			w.dst = append(w.dst, w.line...)
			w.begun, from = false, len(w.dst)
		}
		if err := w.cells(l.cells, g); err != nil {
			e := err.(*protocol.Error)
			e.Path = fmt.Sprintf("%s[%d].%s", x.name, n, e.Path)
			return e
		}
		w.rec.Span(g, from-w.start, len(w.dst)-from)
		n++
	}
	return nil
}
