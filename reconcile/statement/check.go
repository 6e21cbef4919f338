package statement

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"qianzhi/protocol/text"
)

// characters refuses bytes that are no characters of the file's encoding, and
// control characters.
func (w *worker) characters(l *layout, row []byte) *misfit {
	if w.t.spec.Delimiter != "" {
		if at := badChar(w.t.set, row); at >= 0 {
			return &misfit{at: int64(at), want: strings.ToUpper(w.t.set.String()), got: "other bytes"}
		}
		return nil
	}
	var touched uint64 // columns with bytes other than plain characters
	n := 0
	for ; n+8 <= l.width; n += 8 {
		if !plainWord(binary.LittleEndian.Uint64(row[n:])) {
			touched |= l.words[n/8]
		}
	}
	if n < l.width {
		touched |= l.words[n/8]
	}
	for ; touched != 0; touched &= touched - 1 {
		from := bits.TrailingZeros64(touched)
		to := from + 1
		if from == 63 {
			to = len(l.raw)
		}
		for _, i := range l.raw[from:to] {
			c := w.cells[i]
			if at := badChar(w.t.set, row[c[0]:c[1]]); at >= 0 {
				return &misfit{at: int64(c[0]) + int64(at), field: l.cols[i].Name, want: strings.ToUpper(w.t.set.String()), got: "other bytes"}
			}
		}
	}
	return nil
}

// plainWord reports whether eight bytes are all from 20 to 7E. A tab is none
// of them, and is looked at more closely.
func plainWord(v uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	control := (v - ones*0x20) &^ v
	del := v ^ ones*0x7F
	del = (del - ones) &^ del
	return (v|control|del)&tops == 0
}

// kinds of bytes in GBK and GB18030.
const (
	leadByte  = 1
	trailByte = 2
	digitByte = 4
	badByte   = 8
)

// gbBytes says what each byte may be.
var gbBytes = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c < 0x20 && c != '\t' || c == 0x7F:
			t[c] = badByte
		case c == 0x80 || c == 0xFF:
			t[c] = badByte
		}
		if c >= 0x81 && c <= 0xFE {
			t[c] |= leadByte
		}
		if c >= 0x40 && c <= 0xFE && c != 0x7F {
			t[c] |= trailByte
		}
		if c >= '0' && c <= '9' {
			t[c] |= digitByte
		}
	}
	t[0x80] |= trailByte
	return t
}()

// badChar returns where the first sequence stands that is no character, -1
// when there is none.
func badChar(set text.Charset, b []byte) int {
	if set == text.UTF8 {
		for i := 0; i < len(b); {
			if i+8 <= len(b) && plainWord(binary.LittleEndian.Uint64(b[i:])) {
				i += 8
				continue
			}
			if c := b[i]; c < utf8.RuneSelf {
				if c < 0x20 && c != '\t' || c == 0x7F {
					return i
				}
				i++
				continue
			}
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return i
			}
			i += n
		}
		return -1
	}
	for i := 0; i < len(b); {
		k := gbBytes[b[i]]
		switch {
		case k&leadByte != 0 && i+1 < len(b) && gbBytes[b[i+1]]&trailByte != 0:
			i += 2
		case k&(badByte|leadByte) == 0:
			if i++; i+8 <= len(b) && plainWord(binary.LittleEndian.Uint64(b[i:])) {
				i += 8
			}
		case k&leadByte != 0 && set == text.GB18030 && i+3 < len(b) && gbBytes[b[i+1]]&digitByte != 0 && gbBytes[b[i+2]]&leadByte != 0 && gbBytes[b[i+3]]&digitByte != 0:
			i += 4
		default:
			return i
		}
	}
	return -1
}

// rest checks what the payment itself does not need.
func (w *worker) rest(l *layout, row []byte) *misfit {
	for _, i := range l.checked {
		c := &l.cols[i]
		v := w.got[c.use]
		if c.use == useNone {
			v = w.value(c, row, i)
		}
		switch {
		case c.use == useAccount && len(v) == 0:
			return w.wrong(c, i, "a customer number", "nothing")
		case c.Required && len(v) == 0:
			return w.wrong(c, i, "a value", "nothing")
		case c.Const != "" && string(w.text(1, v)) != c.Const:
			return w.wrong(c, i, strconv.Quote(c.Const), "other text")
		case c.use == useTime && len(v) > 0:
			if _, ok := readTime(v); !ok {
				return w.wrong(c, i, "a time", "other text")
			}
		case c.Type == kindDigits && c.Total == nil && !digits(v):
			return w.wrong(c, i, "digits", "other text")
		}
	}
	return nil
}

func digits(v []byte) bool {
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// add adds a line to the totals.
func (w *worker) add(l *layout, row []byte) *misfit {
	w.sums.lines++
	for i := range w.t.spec.prog.accs {
		a := &w.t.spec.prog.accs[i]
		if !a.any && (a.Effect != "any" && a.Effect != w.effectWord() || a.Direction == "in" && w.print.Out || a.Direction == "out" && !w.print.Out) {
			continue
		}
		switch a.Of {
		case colCount:
			w.sums.accs[i]++
		case colSum:
			w.sums.accs[i] += int64(w.print.Amount)
		case "net":
			if w.print.Out {
				w.sums.accs[i] -= int64(w.print.Amount)
			} else {
				w.sums.accs[i] += int64(w.print.Amount)
			}
		}
	}
	for _, i := range l.hashed {
		c := &l.cols[i]
		for _, n := range c.accs {
			a := &w.t.spec.prog.accs[n]
			if a.Effect != "any" && a.Effect != w.effectWord() {
				continue
			}
			v, ok := digitsSum(w.value(c, row, i), a.mod)
			if !ok {
				return w.wrong(c, i, "digits for the hash total", "other text")
			}
			if w.sums.accs[n] += v; a.mod > 1 {
				w.sums.accs[n] %= a.mod
			}
		}
	}
	return nil
}

// effectWord is the line's effect in the words of totals.
func (w *worker) effectWord() string {
	switch w.word {
	case "success":
		return "effective"
	case "reversed":
		return "undone"
	case "effective", "undone", wordVoid:
		return w.word
	}
	return "none"
}

// claimed holds a header's or trailer's columns against the totals. The
// columns were read when the line was met.
type claimed struct {
	l      *layout
	at     int64
	line   int
	level  int
	values []int64 // by claim
	from   sums    // what had been added up when the group began
}

// read reads the values that a header or trailer claims, and checks its day.
func (w *worker) read(r *rec, row []byte, at int64, line int) (*claimed, error) {
	if m := w.split(r.l, row); m != nil {
		m.field = first(m.field, r.role)
		return nil, w.at(m, at, line)
	}
	if m := w.characters(r.l, row); m != nil {
		return nil, w.at(m, at, line)
	}
	c := &claimed{l: r.l, at: at, line: line, level: r.level}
	for i := range r.l.cols {
		col := &r.l.cols[i]
		v := w.value(col, row, i)
		switch {
		case col.Name == colDay && col.Total == nil && r.level == 1:
			if d, err := readDate(col.Format, v, w.t.day); err != nil || d != w.t.day {
				return nil, w.at(w.wrong(col, i, w.t.day.String(), strconv.Quote(string(w.text(1, v)))), at, line)
			}
		case col.Const != "" && string(w.text(1, v)) != col.Const:
			return nil, w.at(w.wrong(col, i, strconv.Quote(col.Const), "other text"), at, line)
		case col.Total == nil:
		case col.Type == kindAmount:
			a, negative, err := readAmount(col, v)
			if err != nil {
				return nil, w.at(w.wrong(col, i, "an amount in "+col.Unit, "other text"), at, line)
			}
			if negative {
				a = -a
			}
			c.values = append(c.values, int64(a))
		default:
			n, ok := digitsSum(v, 0)
			if !ok || len(v) == 0 {
				return nil, w.at(w.wrong(col, i, "a number", "other text"), at, line)
			}
			c.values = append(c.values, n)
		}
	}
	return c, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (w *worker) at(m *misfit, at int64, line int) *misfit {
	m.at += at
	m.line = line
	return m
}

// hold compares what was claimed with what has been added up since.
func (w *worker) hold(c *claimed, have *sums) *misfit {
	for i, cl := range c.l.claims {
		a := &w.t.spec.prog.accs[cl.acc]
		got := have.accs[cl.acc] - c.from.at(cl.acc)
		if a.Of == "lines" {
			got = have.lines - c.from.lines
		}
		if a.mod > 1 {
			got = ((got % a.mod) + a.mod) % a.mod
		}
		if got == c.values[i] {
			continue
		}
		col := &c.l.cols[cl.col]
		show := func(v int64) string {
			if a.Of == "sum" || a.Of == "net" {
				return yuan(v) + " 元"
			}
			return strconv.FormatInt(v, 10)
		}
		return &misfit{at: c.at, line: c.line, field: col.Name, want: show(c.values[i]) + " (as claimed)", got: show(got) + " in the lines"}
	}
	return nil
}

func (s *sums) at(i int) int64 {
	if s.accs == nil {
		return 0
	}
	return s.accs[i]
}
