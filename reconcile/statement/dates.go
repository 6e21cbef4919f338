package statement

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"qianzhi/gateway/pay"
)

// dateForms are the ways to write a date, the first by default. A form without
// a year is of the business day's.
var dateForms = []string{"YYYYMMDD", "YYMMDD", "MMDD", "YYYY-MM-DD", "YYYY/MM/DD"}

// timeForms are the ways to write a time. A form with a date in front has the
// time at its end.
var timeForms = []string{"HHMMSS", "HH:MM:SS", "HHMM", "YYYYMMDDHHMMSS", "YYYY-MM-DD HH:MM:SS"}

func formatFits(c *column) error {
	switch {
	case c.Type == kindDate && c.Format == "":
		c.Format = dateForms[0]
	case c.Type == kindTime && c.Format == "":
		return nil // either with colons or without
	case c.Type != kindDate && c.Type != kindTime && c.Format != "":
		return fmt.Errorf("%s: format: only of a date or time", c.Name)
	}
	forms := dateForms
	if c.Type == kindTime {
		forms = timeForms
	}
	if c.Type != kindDate && c.Type != kindTime {
		return nil
	}
	for _, f := range forms {
		if f == c.Format {
			return nil
		}
	}
	return fmt.Errorf("%s: format: want one of %s, got %q", c.Name, strings.Join(forms, ", "), c.Format)
}

var errDate = errors.New("not a date")

// readDate reads a date of the column's form.
func readDate(form string, v []byte, day pay.Day) (pay.Day, error) {
	if len(v) != len(form) {
		return 0, errDate
	}
	year := day.String()[:4]
	full := make([]byte, 0, 8)
	switch form {
	case "MMDD":
		full = append(append(full, year...), v...)
		d, err := pay.ParseDay(string(full))
		// Around the turn of the year the file's other lines are of the other year.
		if err == nil && d > day.Add(180) {
			return pay.ParseDay(fmt.Sprintf("%04d%s", int(day)/10000-1, v))
		}
		if err == nil && d < day.Add(-180) {
			return pay.ParseDay(fmt.Sprintf("%04d%s", int(day)/10000+1, v))
		}
		return d, err
	case "YYMMDD":
		full = append(append(full, year[:2]...), v...)
	default:
		for i, f := range []byte(form) {
			switch {
			case f >= 'A' && f <= 'Z':
				full = append(full, v[i])
			case v[i] != f:
				return 0, errDate
			}
		}
	}
	return pay.ParseDay(string(full))
}

// writeDate is readDate's other side.
func writeDate(form string, day pay.Day) string {
	s := day.String()
	return strings.NewReplacer("YYYY", s[:4], "YY", s[2:4], "MM", s[4:6], "DD", s[6:]).Replace(form)
}

// readTime returns HH:MM:SS, or false when the value is no time.
func readTime(v []byte) (t [8]byte, ok bool) {
	if len(v) > 8 { // a date in front
		v = v[len(v)-8:]
		if v[2] != ':' {
			v = v[2:]
		}
	}
	if len(v) == 6 && number6(v) {
		return [8]byte{v[0], v[1], ':', v[2], v[3], ':', v[4], v[5]}, true
	}
	d := make([]byte, 0, 8)
	for _, c := range v {
		if c >= '0' && c <= '9' {
			d = append(d, c)
		} else if c != ':' {
			return t, false
		}
	}
	if len(d) == 4 {
		d = append(d, '0', '0')
	}
	if len(d) != 6 || d[0] > '2' || d[0] == '2' && d[1] > '3' || d[2] > '5' || d[4] > '5' {
		return t, false
	}
	return [8]byte{d[0], d[1], ':', d[2], d[3], ':', d[4], d[5]}, true
}

// number6 reports whether six bytes are a time's digits.
func number6(v []byte) bool {
	hour := v[0]-'0' < 2 && v[1]-'0' < 10 || v[0] == '2' && v[1]-'0' < 4
	return hour && v[2]-'0' < 6 && v[3]-'0' < 10 && v[4]-'0' < 6 && v[5]-'0' < 10
}

// writeTime writes HH:MM:SS in the column's form.
func writeTime(form, v string) string {
	if form == "" || len(v) != 8 {
		return v
	}
	return strings.NewReplacer("HH", v[:2], "MM", v[3:5], "SS", v[6:]).Replace(form)
}

// pattern is a file name with the day in it: {day}, or {day:FORM} in another
// form, and * for what cannot be known.
type pattern struct {
	before, form, after string
}

func newPattern(name string) (*pattern, error) {
	i := strings.Index(name, "{day")
	j := strings.IndexByte(name[max(i, 0):], '}')
	if i < 0 || j < 0 || strings.Contains(name, "/") {
		return nil, errors.New("must contain {day}, and no folder")
	}
	p := &pattern{before: name[:i], form: dateForms[0], after: name[i+j+1:]}
	if in := name[i+4 : i+j]; in != "" {
		p.form = strings.TrimPrefix(in, ":")
		found := false
		for _, f := range dateForms {
			found = found || f == p.form
		}
		if !found || p.form == in {
			return nil, fmt.Errorf("{day:…}: want one of %s", strings.Join(dateForms, ", "))
		}
	}
	return p, nil
}

// File returns the file's name for a day; where the name has a *, the pattern
// of its name.
func (s *Spec) File(day pay.Day) string {
	p := s.pattern
	return p.before + writeDate(p.form, day) + p.after
}

// Find returns the day's files in a folder, in the order of their names.
func (s *Spec) Find(dir string, day pay.Day) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, s.File(day)))
}

// DayOf reads the day out of a file's name.
func (s *Spec) DayOf(name string, near pay.Day) (pay.Day, bool) {
	p, base := s.pattern, filepath.Base(name)
	for i := range len(base) {
		if i+len(p.form) > len(base) {
			break
		}
		head, err := filepath.Match(p.before, base[:i])
		tail, err2 := filepath.Match(p.after, base[i+len(p.form):])
		if err != nil || err2 != nil || !head || !tail {
			continue
		}
		if d, err := readDate(p.form, []byte(base[i:i+len(p.form)]), near); err == nil {
			return d, true
		}
	}
	return 0, false
}
