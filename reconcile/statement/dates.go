package statement

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"qianzhi/gateway/pay"
)

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

// pattern is a file name with the day in it: {day}, or {day:FORM} in another
// form, and * for what cannot be known.
type pattern struct {
	before, after string
	form          *form
}

func newPattern(name string) (*pattern, error) {
	i := strings.Index(name, "{day")
	j := strings.IndexByte(name[max(i, 0):], '}')
	if i < 0 || j < 0 || strings.Contains(name, "/") {
		return nil, errors.New("must contain {day}, and no folder")
	}
	in := strings.TrimPrefix(name[i+4:i+j], ":")
	if in == "" {
		in = "YYYYMMDD"
	} else if name[i+4] != ':' {
		return nil, errors.New("want {day} or {day:FORM}")
	}
	f, err := newForm(in)
	if err != nil || !f.date() || f.clock() || !f.fixed() {
		return nil, fmt.Errorf("{day:%s}: want a date such as YYYYMMDD, YYMMDD, MMDD or YYYY-MM-DD", in)
	}
	return &pattern{before: name[:i], form: f, after: name[i+j+1:]}, nil
}

// File returns the file's name for a day; where the name has a *, the pattern
// of its name.
func (s *Spec) File(day pay.Day) string {
	p := s.pattern
	return p.before + p.form.write(day, "") + p.after
}

// Find returns the day's files in a folder, in the order of their names.
func (s *Spec) Find(dir string, day pay.Day) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, s.File(day)))
}

// DayOf reads the day out of a file's name.
func (s *Spec) DayOf(name string, near pay.Day) (pay.Day, bool) {
	p, base := s.pattern, filepath.Base(name)
	width := len(p.form.write(near, ""))
	for i := range max(0, len(base)-width+1) {
		head, err := filepath.Match(p.before, base[:i])
		tail, err2 := filepath.Match(p.after, base[i+width:])
		if err != nil || err2 != nil || !head || !tail {
			continue
		}
		if m, ok := p.form.read([]byte(base[i:i+width]), near); ok {
			return m.day, true
		}
	}
	return 0, false
}
