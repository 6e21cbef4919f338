package statement

import (
	"bytes"
	"errors"
	"strconv"
	"sync"
	"unicode/utf8"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

const blockSize = 1 << 18 // bytes read at a time by each worker

func itoa(n int) string       { return strconv.Itoa(n) }
func yuan(fen int64) string   { return pay.Amount(fen).Yuan() }
func validUTF8(b []byte) bool { return utf8.Valid(b) }

func (t *Table) worker(n int) *worker {
	k := len(t.spec.prog.accs)
	return &worker{t: t, n: n, sums: sums{accs: make([]int64, k, k+32)}} // no two workers' totals in one cache line
}

// Scan implements reconcile.Table.
func (t *Table) Scan(s *reconcile.Scan) error {
	err := t.gather()
	switch {
	case err != nil:
	case t.spec.prog.free:
		err = t.inOrder(s)
	case s.Workers < 2 || t.to-t.from < 2*blockSize:
		err = t.parallel(s, 1)
	default:
		var m *misfit
		if err = t.parallel(s, s.Workers); errors.As(err, &m) && m.line == 0 {
			first := *s // another line may be the first that does not fit
			first.Row = func(int, *reconcile.Print) {}
			err = t.parallel(&first, 1)
		}
	}
	if err != nil {
		return t.located(err)
	}
	t.verified = true
	return nil
}

func (t *Table) parallel(s *reconcile.Scan, n int) error {
	from := reconcile.NewBlocks(t.r, t.from, t.to, t.stride)
	for len(t.bufs) < n {
		t.bufs = append(t.bufs, nil)
	}
	all := make([]*worker, n)
	var wg sync.WaitGroup
	for i := range all {
		all[i] = t.worker(i)
		all[i].verify = !t.verified
		wg.Go(func() { t.blocks(from, all[i], s) })
	}
	wg.Wait()
	if err := from.Err(); err != nil {
		return err
	}
	if t.verified {
		return nil
	}
	whole := sums{accs: make([]int64, len(t.spec.prog.accs))}
	for _, w := range all {
		whole.lines += w.sums.lines
		for i, v := range w.sums.accs {
			whole.accs[i] += v
		}
	}
	return t.prove(all[0], &whole, 0)
}

// prove holds what head and tail claim against the lines; more are the headers
// and trailers among them.
func (t *Table) prove(w *worker, have *sums, more int64) error {
	t.count = int(have.lines)
	have.lines += more + int64(t.spec.prog.heads+t.spec.prog.tails)
	for _, c := range t.claims {
		if m := w.hold(c, have); m != nil {
			return m
		}
	}
	if t.count == 0 && (t.spec.Empty == "" || t.spec.Empty == "never") {
		return &misfit{at: t.from, line: 1, want: "at least one line", got: "none"}
	}
	return nil
}

// blocks reads one block after another until the file ends or an error is met.
func (t *Table) blocks(from *reconcile.Blocks, w *worker, s *reconcile.Scan) {
	size := int64(max(blockSize, 2*(t.spec.MaxLine+2)))
	if t.stride > 0 {
		size = max(1, blockSize/t.stride) * t.stride
	}
	buf := t.bufs[w.n]
	if size = min(size, t.to-t.from); int64(len(buf)) < size {
		buf = make([]byte, size)
		t.bufs[w.n] = buf
	}
	for {
		b, at, err := from.Next(buf[:size])
		switch {
		case errors.Is(err, reconcile.ErrLongLine):
			err = t.long(at)
		case err == nil && len(b) > 0:
			err = t.lines(w, s, b, at)
		}
		if err != nil {
			from.Fail(err)
		}
		if err != nil || len(b) == 0 {
			return
		}
	}
}

// lines reads the lines of a block.
func (t *Table) lines(w *worker, s *reconcile.Scan, b []byte, at int64) error {
	if t.stride > 0 {
		return t.straightLines(w, s, b, at)
	}
	for len(b) > 0 {
		row, n := b, len(b)
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			row, n = b[:i], i+1
		}
		if err := t.one(w, s, trimEnd(row), at); err != nil {
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// straightLines cuts lines of one width.
func (t *Table) straightLines(w *worker, s *reconcile.Scan, b []byte, at int64) error {
	width, stride := t.spec.prog.line.width, int(t.stride)
	for ; len(b) >= stride; b, at = b[stride:], at+int64(stride) {
		switch stride - width {
		case 1:
			if b[width] != '\n' {
				return t.misaligned(b[:stride], at)
			}
		case 2:
			if b[width] != '\r' || b[width+1] != '\n' {
				return t.misaligned(b[:stride], at)
			}
		}
		if err := t.one(w, s, b[:width:width], at); err != nil {
			return err
		}
	}
	return nil
}

// misaligned is a line that is not as wide as the others.
func (t *Table) misaligned(b []byte, at int64) error {
	n := bytes.IndexByte(b, '\n')
	if n < 0 {
		return &misfit{at: at, want: itoa(t.spec.prog.line.width) + " bytes", got: "more"}
	}
	return &misfit{at: at, want: itoa(t.spec.prog.line.width) + " bytes", got: itoa(len(trimEnd(b[:n])))}
}

// one reads one payment's line.
func (t *Table) one(w *worker, s *reconcile.Scan, row []byte, at int64) error {
	if t.fast != nil && len(s.Links) == 0 {
		wanted, unsure := w.fast(t.fast, row, s)
		if wanted && !unsure {
			w.hand(s, at)
		}
		if !unsure {
			return nil
		}
	}
	if len(row) > t.spec.MaxLine {
		return t.long(at)
	}
	wanted, err := w.line(row, s)
	if err != nil {
		return shift(err, at)
	}
	if wanted {
		w.hand(s, at)
	}
	return nil
}

// hand hands the print on. The first scan reads every line to its end, and asks
// only then whether it is wanted.
func (w *worker) hand(s *reconcile.Scan, at int64) {
	if w.verify && s.Want != nil && !s.Want(w.n, &w.print) {
		return
	}
	w.print.At = at
	s.Row(w.n, &w.print)
}

// shift moves a misfit from its place in the line to its place in the file.
func shift(err error, at int64) error {
	var m *misfit
	if errors.As(err, &m) {
		m.at += at
	}
	return err
}

// inOrder reads a file whose lines are told by their text, with the totals of
// its groups.
func (t *Table) inOrder(s *reconcile.Scan) error {
	w := t.worker(0)
	w.verify = !t.verified
	g := &groups{t: t, w: w}
	for at := t.from; at < t.to; {
		row, next, err := t.lineAt(at)
		if err != nil {
			return err
		}
		next = min(next, t.to)
		r := t.kind(row)
		switch {
		case r == nil && len(row) == 0:
			err = &misfit{want: "a line", got: "nothing"}
		case r == nil:
			err = t.one(w, s, row, at)
		case r.Role == "line":
			err = t.one(w, s, row, at)
		case w.verify && r.Role != "skip":
			err = g.meet(r, row, at)
		}
		if err != nil {
			return err
		}
		at = next
	}
	if t.verified {
		return nil
	}
	if m := g.close(1); m != nil {
		return m
	}
	return t.prove(w, &sums{accs: w.sums.accs, lines: w.sums.lines}, g.lines)
}

// kind tells a line by its text; nil is a payment's.
func (t *Table) kind(row []byte) *rec {
	for i := range t.spec.prog.recs {
		r := &t.spec.prog.recs[i]
		if r.at == 0 && (len(r.prefix) > 0 || r.Length > 0) && r.begins(row) && (r.Length == 0 || len(row) == r.Length) {
			return r
		}
	}
	return nil
}

// begins reports whether a line begins with what tells the kind.
func (r *rec) begins(row []byte) bool {
	for _, p := range r.prefix {
		if bytes.HasPrefix(row, p) {
			return true
		}
	}
	return len(r.prefix) == 0
}

// groups are the groups that are open while a file is read.
type groups struct {
	t     *Table
	w     *worker
	heads [maxLevel + 1]*claimed
	start [maxLevel + 1]sums
	lines int64 // headers and trailers so far
}

func (g *groups) now() sums {
	return sums{accs: append([]int64(nil), g.w.sums.accs...), lines: g.w.sums.lines + g.lines}
}

// meet takes a header or trailer.
func (g *groups) meet(r *rec, row []byte, at int64) error {
	c, err := g.w.read(r, row, at, 0)
	if err != nil {
		return err
	}
	if r.Role == "header" {
		if m := g.close(r.Level); m != nil {
			return m
		}
		now := g.now()
		g.lines++
		for l := r.Level; l <= maxLevel; l++ {
			g.start[l] = now
		}
		c.from = now
		g.heads[r.Level] = c
		return nil
	}
	if m := g.close(r.Level + 1); m != nil {
		return m
	}
	g.lines++
	c.from = g.start[r.Level]
	now := g.now()
	if m := g.w.hold(c, &now); m != nil {
		return m
	}
	if m := g.close(r.Level); m != nil {
		return m
	}
	for l := r.Level; l <= maxLevel; l++ {
		g.start[l] = now
	}
	return nil
}

// close holds the headers of open groups against their lines.
func (g *groups) close(level int) error {
	now := g.now()
	for l := maxLevel; l >= level && l > 0; l-- {
		if c := g.heads[l]; c != nil {
			if m := g.w.hold(c, &now); m != nil {
				return m
			}
			g.heads[l] = nil
		}
	}
	return nil
}
