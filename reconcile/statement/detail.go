package statement

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/reconcile"
)

// Detail is one line with everything that its columns say.
type Detail struct {
	reconcile.Line
	Values map[string]string // by column, without padding, in UTF-8
	places map[string]int64  // byte in the file, by column
}

// Wrong locates what a column of the line has: line, byte and field.
func (d *Detail) Wrong(column, want, got string) error {
	at, ok := d.places[column]
	if !ok {
		at = d.At
	}
	return &protocol.Error{Class: protocol.ClassField, Path: "第" + itoa(d.Row) + "行 " + column, Offset: int(at), Want: want, Got: got}
}

// Details reads a whole file of the given day as Read does, and with it every
// column of head and lines. The error names line, byte and field.
func (s *Spec) Details(b []byte, day pay.Day, p reconcile.Party) (head map[string]string, lines []Detail, err error) {
	t, err := s.Table(bytes.NewReader(b), int64(len(b)), day, p)
	if err == nil {
		err = t.details(func(w *worker, row []byte, l reconcile.Line) {
			d := Detail{Line: l, Values: w.columns(s.prog.line, row), places: make(map[string]int64, len(s.prog.line.cols))}
			for i := range s.prog.line.cols {
				d.places[s.prog.line.cols[i].Name] = l.At + int64(w.cells[i][0])
			}
			lines = append(lines, d)
		})
	}
	if err == nil {
		head, err = t.headValues()
	}
	var r *reconcile.Refusal
	if errors.As(err, &r) {
		err = r.Err
	}
	if err != nil {
		return nil, nil, err
	}
	return head, lines, nil
}

// columns are the values of a line that was split.
func (w *worker) columns(l *layout, row []byte) map[string]string {
	out := make(map[string]string, len(l.cols))
	for i := range l.cols {
		c := &l.cols[i]
		out[c.Name] = string(w.text(1, w.value(c, row, i)))
	}
	return out
}

// headValues are the columns of the lines before the first payment.
func (t *Table) headValues() (map[string]string, error) {
	out, w, at := map[string]string{}, t.worker(0), t.start()
	for n := 1; n <= t.heads; n++ {
		row, next, err := t.lineAt(at)
		if err != nil {
			return nil, t.located(err)
		}
		for i := range t.spec.prog.recs {
			r := &t.spec.prog.recs[i]
			if r.at != n || r.l == nil || r.Role == "skip" {
				continue
			}
			if m := w.split(r.l, row); m != nil {
				return nil, t.located(shift(m, at))
			}
			for name, v := range w.columns(r.l, row) {
				out[name] = v
			}
		}
		at = next
	}
	return out, nil
}

// start is where the first line begins: behind a byte order mark.
func (t *Table) start() int64 {
	mark := make([]byte, 3)
	if n, _ := t.r.ReadAt(mark, 0); bytes.Equal(mark[:n], []byte("\xEF\xBB\xBF")) {
		return 3
	}
	return 0
}

// Pages cuts a whole file into pages of n lines each, without head and tail and
// in UTF-8, as answers to a 对明细账 carry them.
func (s *Spec) Pages(b []byte, n int) ([]string, error) {
	if s.LineEnd == "none" || s.prog.free {
		return nil, ErrPages
	}
	b = bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))
	text, err := s.set.Read(nil, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Encoding, err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) < s.prog.heads+s.prog.tails {
		return nil, errors.New("file without head or tail")
	}
	lines = lines[s.prog.heads : len(lines)-s.prog.tails]
	var pages []string
	for len(lines) > 0 {
		k := min(n, len(lines))
		pages = append(pages, strings.TrimRight(strings.Join(lines[:k], ""), "\r\n"))
		lines = lines[k:]
	}
	return pages, nil
}

// Has reports whether the lines have a column.
func (s *Spec) Has(column string) bool {
	for i := range s.prog.line.cols {
		if s.prog.line.cols[i].Name == column {
			return true
		}
	}
	return false
}

// ErrPages reports a specification whose lines cannot stand in an answer.
var ErrPages = errors.New("lines without line ends, or in groups, cannot be sent in pages")
