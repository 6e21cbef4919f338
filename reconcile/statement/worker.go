package statement

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/text"
	"qianzhi/reconcile"
)

// misfit is where and why a line does not fit.
type misfit struct {
	at        int64 // byte in the file
	line      int   // 0: found from at
	field     string
	want, got string
}

func (m *misfit) Error() string { return m.field + ": want " + m.want + ", got " + m.got }

const maxParts = 16

// worker reads the lines of one goroutine. Nothing in it grows with the file.
type worker struct {
	t      *Table
	n      int
	cells  [][2]int32 // of the line at hand
	parts  [maxParts][]byte
	key    []byte
	conv   [4][]byte
	got    [useHost + 1][]byte // values by use
	print  reconcile.Print
	word   string
	day    pay.Day
	clock  string // that the column of the day tells as well
	sums   sums
	verify bool

	orig   [maxParts][]byte
	serial []byte // of the line, or of what it takes back
	name   []byte // its key, the same
	gather map[string]pay.Amount
}

// sums are the totals of a file or group as they grow.
type sums struct {
	accs  []int64
	lines int64
}

// split finds the columns of a line.
func (w *worker) split(l *layout, row []byte) *misfit {
	s := w.t.spec
	if s.Delimiter == "" {
		if len(row) != l.width && (!s.Extra || len(row) < l.width) {
			return &misfit{want: fmt.Sprintf("%d bytes", l.width), got: strconv.Itoa(len(row))}
		}
		w.cells = l.static
		return nil
	}
	w.cells = w.cells[:0]
	d := l.delimiter
	plain := !s.Quoted && (w.t.set == text.UTF8 || d[0] < 0x40 || ascii(row))
	for at := 0; ; {
		n := -1
		switch {
		case !plain:
			n = w.end(row[at:], d)
		case len(d) == 1:
			n = bytes.IndexByte(row[at:], d[0])
		default:
			n = bytes.Index(row[at:], d)
		}
		if n < 0 {
			w.cells = append(w.cells, [2]int32{int32(at), int32(len(row))})
			break
		}
		w.cells = append(w.cells, [2]int32{int32(at), int32(at + n)})
		at += n + len(d)
		if s.Trailing && at == len(row) {
			return w.fit(l)
		}
	}
	if s.Trailing {
		return &misfit{at: int64(len(row)), want: "a delimiter at the end", got: "none"}
	}
	return w.fit(l)
}

// end finds the delimiter after a column: not in quotes, not within a character
// of two bytes.
func (w *worker) end(b, d []byte) int {
	quoted := w.t.spec.Quoted && len(b) > 0 && b[0] == '"'
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted:
			quoted = c != '"' || i == 0
		case c == '"' && w.t.spec.Quoted && i > 0 && b[i-1] == '"':
			quoted = true // a quote within quotes is doubled
		case c == d[0] && bytes.HasPrefix(b[i:], d):
			return i
		case c >= 0x81 && w.t.set != text.UTF8:
			i++ // a trail byte may look like the delimiter
		}
	}
	return -1
}

// fit holds the number of columns against the layout.
func (w *worker) fit(l *layout) *misfit {
	n, want := len(w.cells), len(l.cols)
	switch {
	case n == want || n > want && w.t.spec.Extra:
	case n == want-1 && l.optional >= 0:
		w.cells = append(w.cells, [2]int32{})
		copy(w.cells[l.optional+1:], w.cells[l.optional:])
		w.cells[l.optional][1] = w.cells[l.optional][0]
	default:
		return &misfit{want: fmt.Sprintf("%d columns", want), got: strconv.Itoa(n)}
	}
	for i := range l.cols {
		if c := &l.cols[i]; c.Width > 0 && int(w.cells[i][1]-w.cells[i][0]) != c.Width && i != l.optional {
			return &misfit{at: int64(w.cells[i][0]), field: c.Name, want: fmt.Sprintf("%d bytes", c.Width), got: strconv.Itoa(int(w.cells[i][1] - w.cells[i][0]))}
		}
	}
	return nil
}

// value is a column without its padding.
func (w *worker) value(c *column, row []byte, i int) []byte {
	b := row[w.cells[i][0]:w.cells[i][1]]
	if w.t.spec.Quoted && len(b) > 1 && b[0] == '"' && b[len(b)-1] == '"' {
		b = bytes.ReplaceAll(b[1:len(b)-1], []byte(`""`), []byte(`"`))
	}
	if len(b) == 0 {
		return b
	}
	if c.pad != ' ' {
		if c.right {
			for len(b) > 1 && b[0] == c.pad {
				b = b[1:]
			}
		} else {
			for len(b) > 1 && b[len(b)-1] == c.pad {
				b = b[:len(b)-1]
			}
		}
	}
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	for _, s := range c.strip {
		if rest, ok := bytes.CutPrefix(b, s); ok {
			b = rest
			break
		}
	}
	if c.Zeros {
		for len(b) > 1 && b[0] == '0' {
			b = b[1:]
		}
	}
	return b
}

// wrong locates what a column has.
func (w *worker) wrong(c *column, i int, want, got string) *misfit {
	return &misfit{at: int64(w.cells[i][0]), field: c.Name, want: want, got: got}
}

// line reads a payment's line. It reports false when the scan does not want it.
func (w *worker) line(row []byte, s *reconcile.Scan) (bool, error) {
	l := w.t.spec.prog.line
	if m := w.split(l, row); m != nil {
		return false, m
	}
	if w.verify {
		if m := w.characters(l, row); m != nil {
			return false, m
		}
	}
	for _, i := range l.used {
		c := &l.cols[i]
		v := row[w.cells[i][0]:w.cells[i][1]]
		if n := len(v); !c.simple || n == 0 || v[0] <= ' ' || v[n-1] <= ' ' {
			v = w.value(c, row, i)
		}
		if c.part > 0 {
			w.parts[c.part-1] = v
		}
		if c.orig > 0 {
			w.orig[c.orig-1] = v
		}
		w.got[c.use] = v
	}
	w.serial, w.name = w.text(0, w.got[useSerial]), w.wholeKey()
	void := w.t.spec.prog.voids && w.isVoid(l)
	if void {
		w.takesBack()
	}
	if w.gather != nil {
		return false, w.gathered(l, void)
	}
	if !s.KeyBytes(&w.print, w.serial, w.name) && !w.verify || s.Want != nil && !w.verify && !s.Want(w.n, &w.print) {
		return false, nil
	}
	if m := w.money(l); m != nil {
		return false, m
	}
	if m := w.date(l); m != nil {
		return false, m
	}
	if w.verify {
		if m := w.rest(l, row); m != nil {
			return false, m
		}
		if m := w.add(l, row); m != nil {
			return false, m
		}
	}
	if m := w.taken(l, void); m != nil {
		return false, m
	}
	if w.print.Effect == reconcile.Absent || len(s.Links) > 0 && !s.Takes(string(w.text(1, w.got[useLink]))) {
		return false, nil
	}
	w.hash(s)
	return true, nil
}

// hash adds what is compared to the prints.
func (w *worker) hash(s *reconcile.Scan) {
	if s.Hash != nil {
		s.Compared(&w.print, w.text(1, w.got[useAccount]), w.text(2, w.got[useTerminal]), w.text(3, w.got[useLink]), w.day)
	}
}

// wholeKey joins the parts of the key as the journal does.
func (w *worker) wholeKey() []byte {
	if len(w.t.spec.Key) == 0 {
		return w.text(2, w.got[useKey])
	}
	return w.joined(w.parts[:len(w.t.spec.Key)])
}

// joined makes a key of its parts.
func (w *worker) joined(parts [][]byte) []byte {
	if len(parts) == 1 {
		return w.text(2, parts[0])
	}
	w.key = w.key[:0]
	for i := range parts {
		if i > 0 {
			w.key = append(w.key, '/')
		}
		w.key = append(w.key, w.text(3, parts[i])...)
	}
	return w.key
}

// text is a value in UTF-8.
func (w *worker) text(i int, v []byte) []byte {
	if w.t.set == text.UTF8 || ascii(v) {
		return v
	}
	out, err := w.t.set.Read(w.conv[i][:0], v)
	if err != nil {
		return v // checked on the first reading
	}
	w.conv[i] = out
	return out
}

// ascii reports whether all bytes are below 80.
func ascii(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	var v byte
	for _, c := range b {
		v |= c
	}
	return v < 0x80
}

// money reads amount, status and direction into the print.
func (w *worker) money(l *layout) *misfit {
	p := &w.print
	p.Out, p.Effect, w.word = false, w.t.usual, "effective"
	if i := l.by[useAmount] - 1; i >= 0 {
		c := &l.cols[i]
		a, negative, err := readAmount(c, w.got[useAmount])
		if err != nil {
			return w.wrong(c, i, "an amount in "+c.Unit, "other text")
		}
		p.Amount, p.Out = a, negative
	}
	if i := l.by[useStatus] - 1; i >= 0 {
		st := findWire(w.t.status, w.got[useStatus])
		if st == nil {
			return w.wrong(&l.cols[i], i, "a status of the list", strconv.Quote(string(w.text(1, w.got[useStatus]))))
		}
		p.Effect, w.word = st.effect, st.word
	}
	if i := l.by[useDirection] - 1; i >= 0 {
		st := findWire(w.t.direction, w.got[useDirection])
		if st == nil {
			return w.wrong(&l.cols[i], i, "a direction of the list", strconv.Quote(string(w.text(1, w.got[useDirection]))))
		}
		p.Out = p.Out != st.out
		switch {
		case st.word != wordVoid:
		case w.word == "effective":
			p.Effect, w.word = effectFor(wordVoid, w.t.party), wordVoid
		default:
			p.Effect = reconcile.Absent // a void that failed, or was taken back itself
		}
	}
	return nil
}

// date reads the line's business day.
func (w *worker) date(l *layout) *misfit {
	i := l.by[useDay] - 1
	if w.day = w.t.day; i < 0 || bytes.Equal(w.got[useDay], w.t.today) {
		return nil
	}
	m, ok := l.cols[i].form.read(w.text(1, w.got[useDay]), w.t.day)
	if !ok {
		return w.wrong(&l.cols[i], i, l.cols[i].Format, "other text")
	}
	w.day, w.clock = m.day, m.time
	return nil
}

var errAmount = errors.New("not an amount")

// readAmount reads an amount in the column's unit.
func readAmount(c *column, v []byte) (pay.Amount, bool, error) {
	negative := false
	if c.Sign && len(v) > 1 {
		switch {
		case v[0] == '-' || v[0] == '+':
			negative, v = v[0] == '-', v[1:]
		case v[len(v)-1] == '-' || v[len(v)-1] == '+':
			negative, v = v[len(v)-1] == '-', v[:len(v)-1]
		}
	}
	if c.Thousands != "" {
		var ok bool
		if v, ok = ungrouped(v, c.Thousands[0]); !ok {
			return 0, false, errAmount
		}
	}
	if c.Unit == "fen" {
		a, ok := number(v)
		if !ok || a > uint64(pay.MaxAmount) {
			return 0, false, errAmount
		}
		return pay.Amount(a), negative, nil
	}
	if c.Unit == "li" {
		a, err := pay.ParseLi(string(v))
		return a, negative, err
	}
	point := bytes.IndexByte(v, '.')
	whole, cents := v, []byte(nil)
	if point >= 0 {
		whole, cents = v[:point], v[point+1:]
		if len(cents) != 1 && len(cents) != 2 {
			return 0, false, errAmount
		}
	}
	a, ok := number(whole)
	b, ok2 := uint64(0), true
	if cents != nil {
		b, ok2 = number(cents)
	}
	if len(cents) == 1 {
		b *= 10
	}
	if !ok || !ok2 || a > uint64(pay.MaxAmount)/100 {
		return 0, false, errAmount
	}
	return pay.Amount(a*100 + b), negative, nil
}

// ungrouped takes the signs between thousands out of a copy. They stand before
// every three digits of the whole part, or not at all.
func ungrouped(v []byte, sign byte) ([]byte, bool) {
	whole, rest := v, []byte(nil)
	if i := bytes.IndexByte(v, '.'); i >= 0 {
		whole, rest = v[:i], v[i:]
	}
	groups := bytes.Split(whole, []byte{sign})
	for i, g := range groups {
		if len(groups) > 1 && (len(g) > 3 || len(g) < 3 && i > 0 || len(g) == 0) {
			return nil, false
		}
	}
	return append(bytes.Join(groups, nil), rest...), bytes.IndexByte(rest, sign) < 0
}

// grouped is the other side of ungrouped.
func grouped(v string, sign string) string {
	whole, rest, point := strings.Cut(v, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + sign + whole[i:]
	}
	if point {
		rest = "." + rest
	}
	return whole + rest
}

// number reads 1 to 15 digits, eight at a time.
func number(b []byte) (uint64, bool) {
	n := len(b)
	switch {
	case n > 15 || n == 0:
		return 0, false
	case n < 8:
		var v uint64
		for _, c := range b {
			if c -= '0'; c > 9 {
				return 0, false
			}
			v = v*10 + uint64(c)
		}
		return v, true
	}
	low, ok := digits8(binary.LittleEndian.Uint64(b[n-8:]))
	if n == 8 || !ok {
		return low, ok
	}
	free := uint(8 * (16 - n)) // zeros in front of what is left of it
	high, ok := digits8(binary.LittleEndian.Uint64(b)<<free | 0x3030303030303030>>(64-free))
	return high*1e8 + low, ok
}

// digits8 reads eight digits, the first in the lowest byte.
func digits8(d uint64) (uint64, bool) {
	d ^= 0x3030303030303030
	if (d|(d+0x7676767676767676))&tops != 0 {
		return 0, false
	}
	d = d*10 + d>>8 // pairs in bytes 0, 2, 4, 6
	return ((d&0x000000ff000000ff)*(100+1000000<<32) + (d>>16&0x000000ff000000ff)*(1+10000<<32)) >> 32, true
}

// digitsSum adds a value of digits to a hash total.
func digitsSum(v []byte, mod int64) (int64, bool) {
	var n uint64
	for _, c := range v {
		if c -= '0'; c > 9 {
			return 0, false
		}
		hi, lo := bits.Mul64(n, 10)
		if hi != 0 {
			return 0, false
		}
		n = lo + uint64(c)
		if mod > 1 {
			n %= uint64(mod)
		}
	}
	return int64(n), true
}
