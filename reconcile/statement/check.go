package statement

import (
	"encoding/binary"
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
	plain := l.plainWords(row)
	for _, i := range l.raw {
		if plain && l.cols[i].inPayment() {
			continue
		}
		c := w.cells[i]
		if at := badChar(w.t.set, row[c[0]:c[1]]); at >= 0 {
			return &misfit{at: int64(c[0]) + int64(at), field: l.cols[i].Name, want: strings.ToUpper(w.t.set.String()), got: "other bytes"}
		}
	}
	return nil
}

// word is eight bytes of a fixed line that are looked at together; mask has the
// top bits of those that matter.
type word struct {
	at   int
	mask uint64
}

const ones, tops = 0x0101010101010101, 0x8080808080808080

// inPayment reports whether a text column is part of a payment, and so is
// mostly plain: digits and letters.
func (c *column) inPayment() bool {
	return c.part > 0 || c.use != useNone && c.use != useHost
}

// cover lays words over the text columns that are part of a payment.
func (l *layout) cover() {
	if l.width < 8 {
		return
	}
	need := make([]bool, l.width)
	for _, i := range l.raw {
		if c := &l.cols[i]; c.inPayment() {
			for at := c.at; at < c.at+c.Width; at++ {
				need[at] = true
			}
		}
	}
	for at := 0; at < l.width; {
		if !need[at] {
			at++
			continue
		}
		w := word{at: min(at, l.width-8)}
		for i := range 8 {
			if need[w.at+i] {
				w.mask |= 0x80 << (8 * i)
			}
		}
		l.plain = append(l.plain, w)
		at = w.at + 8
	}
}

// plainWords reports whether the text columns that are part of a payment are
// all bytes from 20 to 7E. It may report false of a line that is.
func (l *layout) plainWords(row []byte) bool {
	odd := uint64(0)
	for _, w := range l.plain {
		v := binary.LittleEndian.Uint64(row[w.at:])
		odd |= unplain(v) & w.mask
	}
	return odd == 0 && len(l.plain) > 0
}

// unplain has the top bits of those of eight bytes that are not from 20 to 7E,
// and maybe of some behind them. A tab is none of them, and is looked at more
// closely.
func unplain(v uint64) uint64 { return (v | (v - ones*0x20) | (v + ones)) & tops }

func plainWord(v uint64) bool { return unplain(v) == 0 }

// hanzi reports whether eight bytes are all from A1 to FE: four characters of
// GB 2312.
func hanzi(v uint64) bool {
	low := v &^ tops
	return v&(low+ones*0x5F)&^(low+ones)&tops == tops
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
			if i += 2; i+8 <= len(b) && hanzi(binary.LittleEndian.Uint64(b[i:])) {
				i += 8
			}
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
			if _, ok := w.clockOf(c, v); !ok {
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
		m.field = first(m.field, r.Role)
		return nil, w.at(m, at, line)
	}
	if m := w.characters(r.l, row); m != nil {
		return nil, w.at(m, at, line)
	}
	c := &claimed{l: r.l, at: at, line: line, level: r.Level}
	for i := range r.l.cols {
		col := &r.l.cols[i]
		v := w.value(col, row, i)
		switch {
		case col.Name == colDay && col.Total == nil && r.Level == 1:
			if m, ok := col.form.read(w.text(1, v), w.t.day); !ok || m.day != w.t.day {
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
