package statement

import (
	"bytes"
	"errors"
	"sort"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Line implements reconcile.Table: it reads one payment's line in full.
func (t *Table) Line(at int64) (reconcile.Line, error) {
	row, _, err := t.lineAt(at)
	if err != nil {
		return reconcile.Line{}, t.located(err)
	}
	w := t.worker(0)
	w.verify = true // all columns are read
	if _, err := w.line(row, &reconcile.Scan{}); err != nil {
		return reconcile.Line{}, t.located(shift(err, at))
	}
	l := w.full(row)
	l.At, l.Row = at, t.number(at)
	return l, nil
}

// full is the line that a worker has just read.
func (w *worker) full(row []byte) reconcile.Line {
	l := reconcile.Line{Serial: string(w.serial), Key: string(w.name), Host: string(w.text(1, w.got[useHost])),
		Account: string(w.text(1, w.got[useAccount])), Terminal: string(w.text(1, w.got[useTerminal])), Link: string(w.text(1, w.got[useLink])),
		Amount: w.print.Amount, Out: w.print.Out, Effect: w.print.Effect, Mark: mark(row)}
	if w.t.tells&reconcile.HasDay != 0 {
		l.Day = w.day
	}
	prog := w.t.spec.prog.line
	if i := prog.by[useTime]; i > 0 {
		if t, ok := w.clockOf(&prog.cols[i-1], w.got[useTime]); ok {
			l.Time = t
		}
	} else if prog.by[useDay] > 0 {
		l.Time = w.clock
	}
	return l
}

// mark is FNV-1a over a line's bytes.
func mark(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return max(1, h)
}

// Count returns the number of payment lines, once they were all read.
func (t *Table) Count() int { return t.count }

// Empty reports whether there are no lines between head and tail.
func (t *Table) Empty() bool { return t.to <= t.from }

// Checks names what proves the file, for reports.
func (s *Spec) Checks() string {
	text := ""
	if s.Unproved {
		text = "无控制数"
	}
	if len(s.prog.accs) > 0 {
		text = "控制数相符"
	}
	for _, c := range []struct {
		has  bool
		word string
	}{{s.Checksum != nil, "校验和相符"}, {s.Signature != nil, "验签"}} {
		if c.has {
			if text != "" {
				text += " "
			}
			text += c.word
		}
	}
	return text
}

// All reads every line, those that count as none among them.
func (t *Table) All() ([]reconcile.Line, error) {
	var lines []reconcile.Line
	err := t.details(func(w *worker, row []byte, l reconcile.Line) { lines = append(lines, l) })
	sort.SliceStable(lines, func(a, b int) bool { return lines[a].At < lines[b].At })
	return lines, err
}

// details checks the whole file and then reads every line in full. The row is the
// receiver's during the call, split into its columns.
func (t *Table) details(do func(w *worker, row []byte, l reconcile.Line)) error {
	w := t.worker(0)
	s := &reconcile.Scan{Hash: reconcile.NewHasher(), Workers: 1}
	s.Row = func(int, *reconcile.Print) {}
	if err := t.Scan(s); err != nil {
		return err
	}
	w.verify = true
	for at := t.from; at < t.to; {
		row, next, err := t.lineAt(at)
		if err != nil {
			return t.located(err)
		}
		if r := t.kind(row); r == nil || r.Role == "line" {
			if _, err := w.line(row, s); err != nil {
				return t.located(shift(err, at))
			}
			l := w.full(row)
			l.At, l.Row = at, t.number(at)
			do(w, row, l)
		}
		at = next
	}
	return nil
}

// Read reads a whole file of the given day. What the file claims of its lines
// must hold; the error names line, byte and field.
func (s *Spec) Read(b []byte, day pay.Day, p reconcile.Party) ([]reconcile.Line, error) {
	t, err := s.Table(bytes.NewReader(b), int64(len(b)), day, p)
	if err == nil {
		var lines []reconcile.Line
		if lines, err = t.All(); err == nil {
			return lines, nil
		}
	}
	var r *reconcile.Refusal
	if errors.As(err, &r) {
		return nil, r.Err
	}
	return nil, err
}

// Lines returns about how many lines the file has.
func (t *Table) Lines() int {
	if t.stride > 0 {
		return int((t.to - t.from) / t.stride)
	}
	return int((t.to - t.from) / 64)
}
