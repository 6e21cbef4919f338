package statement

import (
	"errors"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Some banks list a 撤销 as a line of its own that names the line which it takes
// back. Such a line is read as that payment, undone; the line that it names is
// then left out. Which lines are taken back is found in a reading before all
// others, because a void may stand before or after its original. One whose
// original is not in the file stands for it all the same.

const wordVoid = "void"

// original checks that voids can name what they take back.
func (p *program) original(has map[string]int) error {
	void := func(s Status) bool { return s.Effect == wordVoid }
	p.voids = slices.ContainsFunc(p.s.Status, void) || slices.ContainsFunc(p.s.Direction, void)
	switch want := max(1, len(p.s.Key)); {
	case !p.voids && len(p.s.Original) > 0:
		return errors.New("no status or direction is void")
	case !p.voids:
		return nil
	case len(p.s.Original) != want:
		return fmt.Errorf("want %d columns that name what a void takes back, got %d", want, len(p.s.Original))
	case len(p.s.Key) == 0 && has[colReference]+has[colKey] == 0:
		return errors.New("lines without key or reference cannot be named")
	}
	for _, f := range p.s.Original {
		if has[f] == 0 {
			return fmt.Errorf("no column %q", f)
		}
	}
	return nil
}

// gather reads which lines are taken back, once. What does not fit is left to
// the scan proper, which says where the first such line is.
func (t *Table) gather() error {
	if !t.spec.prog.voids || t.voided != nil {
		return nil
	}
	w := t.worker(0)
	w.gather = map[string]pay.Amount{}
	var err error
	if t.spec.prog.free {
		err = t.each(func(row []byte, at int64) error { return t.one(w, &reconcile.Scan{}, row, at) })
	} else {
		from := reconcile.NewBlocks(t.r, t.from, t.to, t.stride)
		for len(t.bufs) == 0 {
			t.bufs = append(t.bufs, nil)
		}
		t.blocks(from, w, &reconcile.Scan{})
		err = from.Err()
	}
	var m *misfit
	if errors.As(err, &m) {
		err = nil
	}
	t.voided = w.gather
	return err
}

// each yields the payments' lines of a file whose lines are told by their text.
func (t *Table) each(yield func(row []byte, at int64) error) error {
	for at := t.from; at < t.to; {
		row, next, err := t.lineAt(at)
		if err != nil {
			return err
		}
		if r := t.kind(row); r == nil || r.Role == "line" {
			if err := yield(row, at); err != nil {
				return err
			}
		}
		at = next
	}
	return nil
}

// isVoid reports whether the line at hand takes another back.
func (w *worker) isVoid(l *layout) bool {
	word, dir := "effective", ""
	if l.by[useStatus] > 0 {
		if st := findWire(w.t.status, w.got[useStatus]); st != nil {
			word = st.word
		}
	}
	if l.by[useDirection] > 0 {
		if st := findWire(w.t.direction, w.got[useDirection]); st != nil {
			dir = st.word
		}
	}
	return word == wordVoid || word == "effective" && dir == wordVoid
}

// takesBack gives a void the name of its original.
func (w *worker) takesBack() {
	name := w.joined(w.orig[:len(w.t.spec.Original)])
	w.serial, w.name = nil, name
	if len(w.t.spec.Key) == 0 && w.t.tells&reconcile.HasKey == 0 {
		w.serial, w.name = name, nil
	}
}

// names is what a line is known by to voids.
func (w *worker) names() []byte {
	if len(w.name) > 0 {
		return w.name
	}
	return w.serial
}

// gathered notes what a void takes back.
func (w *worker) gathered(l *layout, void bool) error {
	if !void {
		return nil
	}
	if m := w.money(l); m != nil {
		return m
	}
	w.gather[string(w.names())] = w.print.Amount
	return nil
}

// taken leaves a line out that a void takes back, and makes the void stand for
// it. A void takes the whole amount back.
func (w *worker) taken(l *layout, void bool) *misfit {
	switch {
	case !w.t.spec.prog.voids:
	case void && len(w.names()) == 0:
		i := slices.IndexFunc(l.cols, func(c column) bool { return c.orig > 0 })
		return w.wrong(&l.cols[i], i, "the original of the void", "nothing")
	case void:
		w.print.Out = false
	case w.word == "effective":
		amount, gone := w.t.voided[string(w.names())]
		if gone && amount != w.print.Amount {
			i := l.by[useAmount] - 1
			return w.wrong(&l.cols[i], i, amount.Yuan()+" 元, which its void takes back", w.print.Amount.Yuan()+" 元")
		}
		if gone {
			w.print.Effect = reconcile.Absent
		}
	}
	return nil
}
