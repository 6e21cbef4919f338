package statement

import (
	"bytes"
	"errors"
	"io"
	"os"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/reconcile"
)

// Table is a statement file as a reconcile.Table. The first Scan checks every
// line and the totals; a file that does not fit is refused by it, with the
// first line, byte and field.
type Table struct {
	spec      *Spec
	r         io.ReaderAt
	file      io.Closer
	size      int64
	party     reconcile.Party
	day       pay.Day
	today     []byte // as the lines write it
	set       text.Charset
	usual     reconcile.Effect
	status    []wired
	direction []wired
	tells     reconcile.Fields
	from, to  int64      // the lines between heads and tails
	heads     int        // lines before from
	claims    []*claimed // of heads and tails
	fast      *straightLine
	stride    int64 // of lines that are all alike; 0: they are not
	verified  bool
	voided    map[string]pay.Amount // what voids take back, by key; nil: not read yet
	bufs      [][]byte              // of the workers, from scan to scan
	count     int
	seen      place // of the line counted last
}

type place struct {
	at   int64
	line int
}

// Open makes a table of a file. Header and trailer are read and checked.
func (s *Spec) Open(name string, day pay.Day, p reconcile.Party) (*Table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	t, err := s.Table(f, st.Size(), day, p)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	t.file = f
	return t, nil
}

// Table makes a table of bytes that can be read anywhere.
func (s *Spec) Table(r io.ReaderAt, size int64, day pay.Day, p reconcile.Party) (*Table, error) {
	t := &Table{spec: s, r: r, size: size, party: p, day: day, set: s.set, usual: effectFor("effective", p)}
	l := s.prog.line
	if i := l.by[useDay]; i > 0 {
		if c := &l.cols[i-1]; !c.form.clock() {
			t.today = []byte(c.form.write(day, "")) // in ASCII it is as the lines have it
		}
	}
	t.tells = s.prog.tells()
	if err := t.frame(); err != nil {
		return nil, t.located(err)
	}
	return t, nil
}

// tells says what the lines of the specification tell.
func (p *program) tells() reconcile.Fields {
	f := reconcile.Fields(0)
	for u, field := range map[use]reconcile.Fields{useSerial: reconcile.HasSerial, useAccount: reconcile.HasAccount, useTerminal: reconcile.HasTerminal,
		useDay: reconcile.HasDay, useLink: reconcile.HasLink, useTime: reconcile.HasTime} {
		if p.line.by[u] > 0 {
			f |= field
		}
	}
	if i := p.line.by[useDay]; i > 0 && p.line.cols[i-1].form.clock() {
		f |= reconcile.HasTime
	}
	if p.hasKey {
		f |= reconcile.HasKey
	}
	if p.hasDir {
		f |= reconcile.HasDirection
	}
	return f
}

// Close closes the file that Open opened.
func (t *Table) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

// Declares implements reconcile.Table.
func (t *Table) Declares() reconcile.Fields { return t.tells }

// frame reads the lines at the beginning and at the end.
func (t *Table) frame() error {
	s := t.spec
	if err := t.encoding(); err != nil {
		return err
	}
	var err error
	if t.status, t.direction, err = s.prog.wires(t.party, t.set); err != nil {
		return err
	}
	if t.to, err = t.end(); err != nil {
		return err
	}
	w := t.worker(0)
	for n := 1; n <= s.prog.heads; n++ {
		row, next, err := t.lineAt(t.from)
		if err != nil {
			return err
		}
		if next == t.from {
			return &misfit{at: t.from, line: n, want: "a header line", got: "the end of the file"}
		}
		if err := t.head(w, n, row, n); err != nil {
			return err
		}
		t.from, t.heads = next, n
	}
	for n := 1; n <= s.prog.tails; n++ {
		at, row, err := t.lineBefore(t.to)
		if err != nil {
			return err
		}
		if at < t.from {
			return &misfit{at: t.size, want: "a trailer line", got: "the end of the file"}
		}
		if err := t.tail(w, n, row, at); err != nil {
			return err
		}
		t.to = at
	}
	t.straight()
	return nil
}

// end is where the last line ends: lines without anything and a Ctrl-Z behind
// it, as editors and transfers leave them, are none of the file's.
func (t *Table) end() (int64, error) {
	const most = 256
	to := t.size
	if t.spec.LineEnd == "none" {
		return to, nil
	}
	b := make([]byte, min(most, to-t.from))
	if _, err := t.r.ReadAt(b, to-int64(len(b))); whole(err) != nil {
		return 0, err
	}
	last := bytes.TrimRight(b, "\r\n\x1A")
	if rest := b[len(last):]; len(rest) > 0 {
		keep := len(rest) - len(bytes.TrimLeft(rest, "\r"))
		if keep < len(rest) && rest[keep] == '\n' {
			keep++
		}
		if len(last) == 0 && int64(len(b)) == t.size-t.from {
			keep = 0 // there is no line
		}
		to -= int64(len(rest) - keep)
	}
	return to, nil
}

func (t *Table) head(w *worker, n int, row []byte, line int) error {
	for i := range t.spec.prog.recs {
		if r := &t.spec.prog.recs[i]; r.at == n && r.l != nil && r.Role != "skip" {
			c, err := w.read(r, row, t.from, line)
			if err != nil {
				return err
			}
			t.claims = append(t.claims, c)
		}
	}
	return nil
}

func (t *Table) tail(w *worker, n int, row []byte, at int64) error {
	for i := range t.spec.prog.recs {
		if r := &t.spec.prog.recs[i]; r.at == -n && r.Role != "skip" {
			c, err := w.read(r, row, at, 0)
			if err != nil {
				return err
			}
			t.claims = append(t.claims, c)
		}
	}
	return nil
}

// encoding settles the marks and the choice of an encoding by the file's bytes.
func (t *Table) encoding() error {
	head := make([]byte, 3)
	n, err := t.r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	bom := bytes.Equal(head[:n], []byte("\xEF\xBB\xBF"))
	switch {
	case bom && (t.spec.Encoding == "utf-8-bom" || t.spec.Encoding == "auto"):
		t.from = 3
	case t.spec.Encoding == "utf-8-bom":
		return &misfit{line: 1, want: "a byte order mark", got: "none"}
	case t.spec.Encoding == "auto":
		good, err := t.utf8()
		if err != nil {
			return err
		}
		if !good {
			t.set = text.GB18030
		}
	}
	return nil
}

// utf8 reports whether the whole file is UTF-8.
func (t *Table) utf8() (bool, error) {
	buf := make([]byte, 256<<10)
	for at := int64(0); at < t.size; {
		n, err := t.r.ReadAt(buf[:min(int64(len(buf)), t.size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		b := buf[:n]
		if at+int64(n) < t.size { // whole lines
			if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
				b = b[:i+1]
			}
		}
		if len(b) == 0 || !validUTF8(b) {
			return false, nil
		}
		at += int64(len(b))
	}
	return true, nil
}

// lineAt returns the line that begins at a byte, and where the next one does.
func (t *Table) lineAt(at int64) ([]byte, int64, error) {
	if t.spec.LineEnd == "none" {
		n := min(int64(t.spec.prog.line.width), t.size-at)
		buf := make([]byte, n)
		_, err := t.r.ReadAt(buf, at)
		return buf, at + n, whole(err)
	}
	buf := make([]byte, min(int64(t.spec.MaxLine)+2, t.size-at))
	if _, err := t.r.ReadAt(buf, at); whole(err) != nil {
		return nil, at, err
	}
	i := bytes.IndexByte(buf, '\n')
	if i < 0 && len(buf) > t.spec.MaxLine {
		return nil, at, t.long(at)
	}
	if i < 0 {
		return trimEnd(buf), at + int64(len(buf)), nil
	}
	row := trimEnd(buf[:i])
	if len(row) > t.spec.MaxLine {
		return nil, at, t.long(at)
	}
	return row, at + int64(i) + 1, nil
}

// lineBefore returns the last line before a byte.
func (t *Table) lineBefore(end int64) (int64, []byte, error) {
	from := max(t.from, end-int64(t.spec.MaxLine)-3)
	if t.spec.LineEnd == "none" {
		from = max(t.from, end-int64(t.spec.prog.line.width))
	}
	buf := make([]byte, max(0, end-from))
	if _, err := t.r.ReadAt(buf, from); whole(err) != nil {
		return 0, nil, err
	}
	if t.spec.LineEnd == "none" || len(buf) == 0 {
		return end - int64(max(1, len(buf))), buf, nil
	}
	row := bytes.TrimSuffix(buf, []byte{'\n'})
	i := bytes.LastIndexByte(row, '\n')
	if i < 0 && from > t.from {
		return 0, nil, t.long(from)
	}
	return from + int64(i) + 1, trimEnd(row[i+1:]), nil
}

func (t *Table) long(at int64) error {
	return &misfit{at: at, want: "at most " + itoa(t.spec.MaxLine) + " bytes", got: "more"}
}

// whole leaves out the end of the file as an error.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func trimEnd(b []byte) []byte { return bytes.TrimSuffix(b, []byte{'\r'}) }

// straight finds out whether the lines are all of one width with one line end,
// so that they can be cut without looking for their ends.
func (t *Table) straight() {
	if t.spec.Delimiter != "" || t.spec.prog.free || t.spec.Extra || t.to <= t.from {
		return
	}
	width := int64(t.spec.prog.line.width)
	if t.spec.LineEnd != "none" {
		_, next, err := t.lineAt(t.from)
		if err != nil || next-t.from <= width || next-t.from > width+2 {
			return
		}
		width = next - t.from
	}
	if (t.to-t.from)%width == 0 {
		if t.stride = width; !t.spec.prog.voids {
			t.fast = t.straightLine()
		}
	}
}

// located turns a misfit into the error that people read.
func (t *Table) located(err error) error {
	var m *misfit
	if !errors.As(err, &m) {
		return err
	}
	if m.line == 0 {
		m.line = t.number(m.at)
	}
	field := "第" + itoa(m.line) + "行 " + m.field
	return &reconcile.Refusal{Party: t.party, Err: &protocol.Error{Class: protocol.ClassField, Path: field, Offset: int(m.at), Want: m.want, Got: m.got}}
}

// number returns the line that a byte stands in, from 1. Asked in ascending
// order it reads the file once.
func (t *Table) number(at int64) int {
	if t.stride > 0 && at >= t.from && at < t.to {
		return t.heads + int((at-t.from)/t.stride) + 1
	}
	if t.spec.LineEnd == "none" {
		return int(at/int64(t.spec.prog.line.width)) + 1
	}
	if at < t.seen.at || t.seen.line == 0 {
		t.seen = place{0, 1}
	}
	buf := make([]byte, 64<<10)
	for t.seen.at < at {
		n, err := t.r.ReadAt(buf[:min(int64(len(buf)), at-t.seen.at)], t.seen.at)
		t.seen.line += bytes.Count(buf[:n], []byte{'\n'})
		t.seen.at += int64(n)
		if err != nil || n == 0 {
			break
		}
	}
	return t.seen.line
}
