package statement

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"qianzhi/gateway/pay"
)

// form is how a date or a time is written: YYYY or YY, MM, DD, HH, MM once more
// for minutes, SS; M, D and H have no leading zero; what else stands in it
// stands in the value. A date without a year is of the business day's.
type form struct {
	tokens []token
	has    [formParts]bool
}

// token is one part of a form, or text between parts.
type token struct {
	part   part
	digits int // 0: one or two
	text   string
}

type part uint8

const (
	partYear part = iota
	partMonth
	partDay
	partHour
	partMinute
	partSecond
	formParts
	partText // between the others
)

var formTexts = []struct {
	text string
	part part
	n    int
}{{"YYYY", partYear, 4}, {"YY", partYear, 2}, {"MM", partMonth, 2}, {"M", partMonth, 0}, {"DD", partDay, 2}, {"D", partDay, 0}, {"HH", partHour, 2}, {"H", partHour, 0}, {"SS", partSecond, 2}}

// newForm takes the text of a form apart.
func newForm(text string) (*form, error) {
	f := &form{}
	for text != "" {
		t := token{part: partText, text: text[:1]}
		for _, p := range formTexts {
			if strings.HasPrefix(text, p.text) {
				t = token{part: p.part, digits: p.n, text: p.text}
				break
			}
		}
		if t.part == partMonth && (f.has[partHour] || f.has[partMonth]) {
			t.part = partMinute
		}
		if t.part < formParts {
			if f.has[t.part] {
				return nil, fmt.Errorf("%q stands twice", t.text)
			}
			f.has[t.part] = true
		}
		f.tokens, text = append(f.tokens, t), text[len(t.text):]
	}
	if !f.date() && !f.clock() {
		return nil, errors.New("want MM and DD of a date, HH and MM of a time, or both")
	}
	return f, nil
}

// date and clock report whether the form has them.
func (f *form) date() bool  { return f.has[partMonth] && f.has[partDay] }
func (f *form) clock() bool { return f.has[partHour] && f.has[partMinute] }

// fixed reports whether all values have one length.
func (f *form) fixed() bool {
	for _, t := range f.tokens {
		if t.part != partText && t.digits == 0 {
			return false
		}
	}
	return true
}

// moment is what a value says: a day where the form has a date, HH:MM:SS where
// it has a time.
type moment struct {
	day  pay.Day
	time string
}

// read reads a value in UTF-8; near is the file's business day.
func (f *form) read(v []byte, near pay.Day) (m moment, ok bool) {
	var n [formParts]int
	for _, t := range f.tokens {
		if t.part == partText {
			if v, ok = bytes.CutPrefix(v, []byte(t.text)); !ok {
				return m, false
			}
			continue
		}
		if n[t.part], v, ok = leading(v, t.digits); !ok {
			return m, false
		}
	}
	if len(v) > 0 || n[partHour] > 23 || n[partMinute] > 59 || n[partSecond] > 59 {
		return m, false
	}
	if f.clock() {
		m.time = fmt.Sprintf("%02d:%02d:%02d", n[partHour], n[partMinute], n[partSecond])
	}
	if f.date() {
		m.day, ok = f.dayOf(n, near)
	}
	return m, ok
}

// leading cuts digits off: so many, or one or two.
func leading(v []byte, digits int) (n int, rest []byte, ok bool) {
	i := 0
	for i < len(v) && v[i] >= '0' && v[i] <= '9' && (i < digits || digits == 0 && i < 2) {
		n, i = n*10+int(v[i]-'0'), i+1
	}
	return n, v[i:], i == digits || digits == 0 && i > 0
}

// dayOf finds the day. Without a year it is the one nearest to the business day:
// around the turn of the year a file's other lines are of the other year.
func (f *form) dayOf(n [formParts]int, near pay.Day) (best pay.Day, ok bool) {
	y := int(near) / 10000
	years := []int{y, y - 1, y + 1}
	switch {
	case f.has[partYear] && n[partYear] < 100:
		years = []int{y/100*100 + n[partYear]}
	case f.has[partYear]:
		years = []int{n[partYear]}
	}
	for _, y := range years {
		d, err := pay.ParseDay(fmt.Sprintf("%04d%02d%02d", y, n[partMonth], n[partDay]))
		if err == nil && (!ok || apart(d, near) < apart(best, near)) {
			best, ok = d, true
		}
	}
	return best, ok
}

func apart(a, b pay.Day) int { return max(a.Sub(b), b.Sub(a)) }

// write writes a day and a time, HH:MM:SS; without one it is midnight.
func (f *form) write(d pay.Day, at string) string {
	if len(at) != 8 {
		at = "00:00:00"
	}
	s := d.String()
	values := [formParts]string{s[:4], s[4:6], s[6:], at[:2], at[3:5], at[6:]}
	var b strings.Builder
	for _, t := range f.tokens {
		switch {
		case t.part == partText:
			b.WriteString(t.text)
		case t.digits == 0:
			b.WriteString(strings.TrimPrefix(values[t.part], "0"))
		default:
			b.WriteString(values[t.part][len(values[t.part])-t.digits:])
		}
	}
	return b.String()
}

// formed compiles the column's form.
func (c *column) formed() (err error) {
	switch {
	case c.Type != kindDate && c.Type != kindTime && c.Format != "":
		return fmt.Errorf("%s: format: only of a date or time", c.Name)
	case c.Type == kindDate && c.Format == "":
		c.Format = "YYYYMMDD"
	case c.Type != kindDate && c.Format == "":
		return nil // a time has colons or none
	}
	if c.form, err = newForm(c.Format); err != nil {
		return fmt.Errorf("%s: format %q: %w", c.Name, c.Format, err)
	}
	if c.Type == kindDate && !c.form.date() || c.Type == kindTime && !c.form.clock() {
		return fmt.Errorf("%s: format %q: want a %s", c.Name, c.Format, c.Type)
	}
	return nil
}

// clockOf reads a time column; a date in front of it is left out.
func (w *worker) clockOf(c *column, v []byte) (string, bool) {
	if c.form != nil {
		m, ok := c.form.read(w.text(1, v), w.t.day)
		return m.time, ok
	}
	t, ok := readTime(v)
	return string(t[:]), ok
}
