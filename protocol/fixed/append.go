package fixed

import (
	"fmt"
	"strconv"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// writer appends the cells of a record to dst.
type writer struct {
	dst   []byte
	start int // of the body in dst
	rec   *protocol.Record
	class protocol.Class
}

// Append writes the record: the header, and the body that its values choose.
// Fields without a node are written as cells without a value, counts are
// computed, and fields that the chosen body does not have are left out.
func (c *codec) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	if rec.Layout() != c.layout {
		return dst, &protocol.Error{Class: protocol.ClassField, Offset: -1, Want: "a record of this layout", Got: "another one"}
	}
	b, err := c.choose(rec)
	if err != nil {
		err.(*protocol.Error).Offset = -1
		return dst, err
	}
	w := writer{dst: dst, start: len(dst), rec: rec, class: protocol.ClassHeader}
	if err := w.cells(b.header, -1); err != nil {
		return dst, err
	}
	w.class = protocol.ClassField
	if err := w.cells(b.cells[:w.present(b.cells)], -1); err != nil {
		return dst, err
	}
	return w.dst, nil
}

// present returns how many cells are written: the optional ones at the end
// that have no node are not.
func (w *writer) present(cells []cell) int {
	n := len(cells)
	for n > 0 {
		x := &cells[n-1]
		switch {
		case x.loop != nil && (x.loop.times > 0 || w.next(x.id, -1, 0) >= 0):
			return n
		case x.loop == nil && (!x.optional || w.rec.Find(x.id) >= 0):
			return n
		}
		n--
	}
	return n
}

func (w *writer) cells(cells []cell, parent int) error {
	for i := range cells {
		x := &cells[i]
		var err error
		if x.loop != nil {
			err = w.loop(x, parent)
		} else {
			err = w.cell(x, parent)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) cell(x *cell, parent int) error {
	at := w.rec.Find(x.id)
	if parent >= 0 {
		at = w.rec.Child(parent, x.id)
	}
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
	w.wrote(dst, at)
	return nil
}

// count writes how many entries the loop has, whatever the record says.
func (w *writer) count(x *cell, parent, at int) error {
	var number [20]byte
	n := w.groups(x.group, parent)
	dst, err := x.col.Append(w.dst, strconv.AppendInt(number[:0], int64(n), 10))
	if err != nil {
		return w.fail(x.name, err.(*text.Misfit).Want, strconv.Itoa(n), "")
	}
	w.wrote(dst, at)
	return nil
}

// wrote takes the cell that was appended, and notes its span at node at.
func (w *writer) wrote(dst []byte, at int) {
	if at >= 0 {
		w.rec.Span(at, len(w.dst)-w.start, len(dst)-len(w.dst))
	}
	w.dst = dst
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

func (w *writer) groups(id uint16, parent int) int {
	n := 0
	for g := w.next(id, parent, 0); g >= 0; g = w.next(id, parent, g+1) {
		n++
	}
	return n
}

func (w *writer) loop(x *cell, parent int) error {
	l, n := x.loop, 0
	for g := w.next(x.id, parent, 0); g >= 0; g = w.next(x.id, parent, g+1) {
		if n >= l.max {
			return w.fail(x.name, fmt.Sprintf("at most %d entries", l.max), "more", "")
		}
		from := len(w.dst)
		if err := w.cells(l.cells, g); err != nil {
			e := err.(*protocol.Error)
			e.Path = fmt.Sprintf("%s[%d].%s", x.name, n, e.Path)
			return e
		}
		w.rec.Span(g, from-w.start, len(w.dst)-from)
		n++
	}
	for ; n < l.times; n++ {
		w.dst = append(w.dst, l.spare...)
	}
	return nil
}
