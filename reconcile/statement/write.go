package statement

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Row is one line to be written: its values by column and its effect.
type Row struct {
	Effect reconcile.Effect
	Word   string // the effect in the specification's words; needed for a journal's pending reversal, whose letter is the MIS's posting
	Amount pay.Amount
	Out    bool
	Values map[string]string
}

// ErrGroups reports a specification whose groups or void lines cannot be made up
// from rows.
var ErrGroups = errors.New("files with groups or void lines are read, not written")

// Write writes a whole file of the day, with its totals.
func (s *Spec) Write(day pay.Day, rows []Row) ([]byte, error) { return s.WriteWith(day, nil, rows) }

// WriteWith writes a whole file whose head and tail hold values by column
// beside the totals, for example the number of a batch.
func (s *Spec) WriteWith(day pay.Day, frame map[string]string, rows []Row) ([]byte, error) {
	if s.prog.free || s.prog.voids {
		return nil, ErrGroups
	}
	w := writer{s: s, day: day, values: frame, sums: sums{accs: make([]int64, len(s.prog.accs))}}
	for i := range rows {
		if err := w.count(&rows[i]); err != nil {
			return nil, err
		}
	}
	if len(rows) == 0 && (s.Empty == "" || s.Empty == "never") {
		return nil, errors.New("empty: the file may not be without lines")
	}
	w.sums.lines = int64(len(rows) + s.prog.heads + s.prog.tails)
	for n := 1; n <= s.prog.heads; n++ {
		w.frame(n)
	}
	for i := range rows {
		w.line(s.prog.line, &rows[i])
	}
	for n := s.prog.tails; n > 0; n-- {
		w.frame(-n)
	}
	if w.err != nil {
		return nil, w.err
	}
	if s.Encoding == "utf-8-bom" {
		return append([]byte("\xEF\xBB\xBF"), w.out...), nil
	}
	return w.out, nil
}

// Whole makes a file of lines that are written already, in UTF-8 and one to a
// line, and of what their sender claims of those that count. The file claims it
// on, so that reading it proves the lines.
func (s *Spec) Whole(day pay.Day, count int64, sum pay.Amount, lines string) ([]byte, error) {
	if s.prog.free {
		return nil, ErrGroups
	}
	w := writer{s: s, day: day, sums: sums{accs: make([]int64, len(s.prog.accs))}}
	for i := range s.prog.accs {
		a := &s.prog.accs[i]
		switch {
		case a.Of == colCount && a.Effect == "effective" && a.Direction == "":
			w.sums.accs[i] = count
		case (a.Of == colSum || a.Of == "net") && a.Effect == "effective" && a.Direction == "":
			w.sums.accs[i] = int64(sum)
		default:
			return nil, ErrClaims
		}
	}
	for n := 1; n <= s.prog.heads; n++ {
		w.frame(n)
	}
	for line := range strings.Lines(lines) {
		w.put(strings.TrimRight(line, "\r\n"))
		w.end()
	}
	for n := s.prog.tails; n > 0; n-- {
		w.frame(-n)
	}
	if s.Encoding == "utf-8-bom" {
		w.out = append([]byte("\xEF\xBB\xBF"), w.out...)
	}
	return w.out, w.err
}

// ErrClaims reports totals that nobody gives beside lines alone.
var ErrClaims = errors.New("only count and sum of the lines that count may be claimed")

type writer struct {
	s      *Spec
	day    pay.Day
	values map[string]string // of head and tail
	sums   sums
	out    []byte
	err    error
}

// count adds a row to the totals.
func (w *writer) count(r *Row) error {
	for i := range w.s.prog.accs {
		a := &w.s.prog.accs[i]
		if a.Effect != "any" && a.Effect != r.word() || a.Direction == "in" && r.Out || a.Direction == "out" && !r.Out {
			continue
		}
		sign := int64(1)
		if r.Out && a.Of == "net" {
			sign = -1
		}
		switch a.Of {
		case colCount:
			w.sums.accs[i]++
		case colSum, "net":
			w.sums.accs[i] += sign * int64(r.Amount)
		case "hash":
			v, ok := digitsSum([]byte(r.Values[a.Field]), a.mod)
			if !ok {
				return fmt.Errorf("column %s: want digits for the hash total", a.Field)
			}
			if w.sums.accs[i] += v; a.mod > 1 {
				w.sums.accs[i] %= a.mod
			}
		}
	}
	return nil
}

// frame writes the header or trailer at a place, or the names of the columns.
func (w *writer) frame(at int) {
	for i := range w.s.prog.recs {
		r := &w.s.prog.recs[i]
		switch {
		case r.at != at:
		case r.l == nil:
			names := make([]string, len(w.s.prog.line.cols))
			for i := range w.s.prog.line.cols {
				names[i] = w.s.prog.line.cols[i].Name
			}
			w.put(strings.Join(names, w.s.Delimiter))
			w.end()
			return
		default:
			w.line(r.l, &Row{Values: w.values})
			return
		}
	}
}

func (w *writer) line(l *layout, r *Row) {
	n := 0
	for i := range l.cols {
		c := &l.cols[i]
		v := w.value(l, i, r)
		if c.Optional && v == "" {
			continue
		}
		if n++; n > 1 {
			w.out = append(w.out, w.s.Delimiter...)
		}
		w.cell(c, v)
	}
	if w.s.Trailing {
		w.out = append(w.out, w.s.Delimiter...)
	}
	w.end()
}

func (w *writer) end() {
	switch w.s.LineEnd {
	case "crlf":
		w.out = append(w.out, '\r', '\n')
	case "none":
	default:
		w.out = append(w.out, '\n')
	}
}

// value is what a column says, before it is padded.
func (w *writer) value(l *layout, i int, r *Row) string {
	c := &l.cols[i]
	switch {
	case c.Total != nil:
		a := 0
		for _, cl := range l.claims {
			if cl.col == i {
				a = cl.acc
			}
		}
		v := w.sums.accs[a]
		if c.Total.Of == "lines" {
			v = w.sums.lines
		}
		if c.Type == kindAmount {
			return c.writeAmount(pay.Amount(v))
		}
		return strconv.FormatInt(v, 10)
	case c.Const != "":
		return c.Const
	case c.use == useAmount:
		v := c.writeAmount(r.Amount)
		if r.Out && c.Sign {
			v = "-" + v
		}
		return v
	case c.Type == kindDate && r.Values[c.Name] == "":
		return c.form.write(w.day, r.Values[colTime])
	case c.use == useTime && c.form != nil:
		return c.form.write(w.day, r.Values[c.Name])
	case c.use == useStatus && r.Values[c.Name] != "":
		return r.Values[c.Name] // a finer word than the effect
	case c.use == useStatus:
		return wireOf(w.s.Status, r)
	case c.use == useDirection:
		for _, st := range w.s.Direction {
			if (st.Effect == "out") == r.Out {
				return st.Wire
			}
		}
	}
	return r.Values[c.Name]
}

// word is the row's effect in the words of totals.
func (r *Row) word() string {
	switch r.Word {
	case "":
		return wordOf(r.Effect)
	case "success":
		return "effective"
	case "reversed":
		return "undone"
	case "effective", "undone":
		return r.Word
	}
	return "none"
}

// wireOf is how a status is written: by its own word where the list has it.
func wireOf(list []Status, r *Row) string {
	for _, st := range list {
		if own, ok := journalEffects[st.Effect]; r.Word == st.Effect || ok && r.Word == "" && own == r.Effect && st.Effect != "pending" {
			return st.Wire
		}
	}
	for _, st := range list {
		if st.Effect == r.word() {
			return st.Wire
		}
	}
	return ""
}

func (c *column) writeAmount(a pay.Amount) string {
	v := strconv.FormatInt(int64(a), 10)
	switch c.Unit {
	case "yuan":
		v = a.Yuan()
	case "li":
		v = strconv.FormatInt(int64(a)*10, 10)
	}
	if c.Thousands != "" {
		v = grouped(v, c.Thousands)
	}
	return v
}

// cell writes a value in its width.
func (w *writer) cell(c *column, v string) {
	if !utf8.ValidString(v) || strings.ContainsAny(v, "\r\n") {
		w.fail(c, "value contains a line end or is no text")
		return
	}
	if w.s.Quoted && (strings.Contains(v, w.s.Delimiter) || strings.Contains(v, `"`)) {
		v = `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
	} else if w.s.Delimiter != "" && strings.Contains(v, w.s.Delimiter) {
		w.fail(c, "value contains the delimiter or a line end")
		return
	}
	b, err := w.s.set.Append(nil, []byte(c.Strip+v))
	if err != nil {
		w.fail(c, "value has a character that "+w.s.Encoding+" lacks")
		return
	}
	fill := c.Width - len(b)
	switch {
	case c.Width > 0 && fill < 0:
		w.fail(c, fmt.Sprintf("value takes %d bytes of %d", len(b), c.Width))
		return
	case c.right:
		for range max(0, fill) {
			w.out = append(w.out, c.pad)
		}
		w.out = append(w.out, b...)
		return
	}
	w.out = append(w.out, b...)
	for range max(0, fill) {
		w.out = append(w.out, c.pad)
	}
}

func (w *writer) put(s string) {
	b, err := w.s.set.Append(nil, []byte(s))
	if err != nil && w.err == nil {
		w.err = err
	}
	w.out = append(w.out, b...)
}

func (w *writer) fail(c *column, why string) {
	if w.err == nil {
		w.err = fmt.Errorf("column %s: %s", c.Name, why)
	}
}
