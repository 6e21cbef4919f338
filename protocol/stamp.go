package protocol

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"qianzhi/gateway/pay"
)

// Take says what of a moment a business field holds.
type Take uint8

// What is taken of a moment. Business dates are YYYYMMDD, times hhmmss, months
// YYYYMM.
const (
	TakeDate Take = iota
	TakeTime
	TakeMonth
)

// A layout is how a moment is written: letters that stand for a digit each, and
// other characters that stand for themselves (for lone letters see tight). Y year, M month, D day, h hour,
// m minute, s second, f fraction of a second; a z or Z at the end stands for a
// zone, which is written +0800 or +08:00 and read in either form, as +08 or as
// the letter Z. Two words stand for numbers since 1970.
const (
	layoutUnix   = "unix"    // seconds
	layoutMillis = "unix-ms" // milliseconds
)

// CheckLayout reports a layout that cannot be read or lacks what is taken.
func CheckLayout(layout string, take Take) error {
	if layout == layoutUnix || layout == layoutMillis {
		return nil
	}
	count := [256]int{}
	for i := 0; i < len(layout); i++ {
		ch := layout[i]
		if count[ch]++; letter(ch) && count[ch] > 1 && layout[i-1] != ch {
			return fmt.Errorf("date: the letters %c stand apart in %q", ch, layout)
		}
		if (ch == 'z' || ch == 'Z') && i != len(layout)-1 {
			return fmt.Errorf("date: the zone is the last letter, in %q it is not", layout)
		}
	}
	for i, ch := range "MDhms" {
		if i = strings.IndexRune(layout, ch); i < 0 || count[ch] == 2 || count[ch] == 1 && legible(layout, i) {
			continue
		}
		return fmt.Errorf("date: want two letters %c, or one with something behind it that is no digit, got %q", ch, layout)
	}
	need := [...]string{TakeDate: "MD", TakeTime: "hm", TakeMonth: "YM"}[take]
	switch {
	case count['Y'] != 0 && count['Y'] != 2 && count['Y'] != 4:
		return fmt.Errorf("date: want two or four letters Y, got %q", layout)
	case count[need[0]] == 0 || count[need[1]] == 0:
		return fmt.Errorf("date: want letters %c and %c, such as %s, got %q", need[0], need[1],
			[...]string{TakeDate: "YYYYMMDD or MMDDhhmmss", TakeTime: "hhmmss or YYYY-MM-DD hh:mm:ss", TakeMonth: "YYYYMM or YYYY-MM"}[take], layout)
	case count['Z']+count['z'] > 0 && (count['Y'] == 0 || count['M'] == 0 || count['D'] == 0 || count['h'] == 0):
		return fmt.Errorf("date: a zone needs date and time, got %q", layout)
	}
	return nil
}

func letter(ch byte) bool { return strings.IndexByte("YMDhmsfzZ", ch) >= 0 }

// joint reports whether a layout holds both date and time.
func joint(layout string) bool {
	return layout == layoutUnix || layout == layoutMillis || strings.IndexByte(layout, 'h') >= 0 && strings.IndexByte(layout, 'D') >= 0
}

// stamp is what was read of a moment.
type stamp struct {
	years                                  int // digits of the year
	year, month, day, hour, minute, second int
}

// stampIn reads what is taken of a moment. now gives the year to dates that
// have none, and its location is where a moment with a zone is told.
func stampIn(layout, val string, take Take, now time.Time) (string, error) {
	if layout == layoutUnix || layout == layoutMillis {
		return epochIn(layout, val, take, now)
	}
	out, err := lettersIn(layout, val, take, now)
	if err != nil && loose(layout) {
		layout, val = tight(layout, val)
		return lettersIn(layout, val, take, now)
	}
	return out, err
}

func lettersIn(layout, val string, take Take, now time.Time) (string, error) {
	var s stamp
	rest, err := s.read(layout, val)
	if err != nil {
		return "", err
	}
	if rest != "" {
		return s.zoned(rest, take, now)
	}
	return s.take(take, now)
}

// read reads the letters of a layout, and returns what stands in the place of
// the zone.
func (s *stamp) read(layout, val string) (zone string, err error) {
	if n := len(layout) - 1; n >= 0 && layout[n]|0x20 == 'z' {
		if len(val) <= n {
			return "", errConv
		}
		layout, val, zone = layout[:n], val[:n], val[n:]
	}
	if len(val) != len(layout) {
		return "", errConv
	}
	for i := 0; i < len(layout); i++ {
		to := s.part(layout[i])
		if to == nil && layout[i] != 'f' {
			if layout[i] != val[i] {
				return "", errConv
			}
			continue
		}
		if val[i] < '0' || val[i] > '9' {
			return "", errConv
		}
		if to != nil {
			*to = *to*10 + int(val[i]-'0')
		}
	}
	return zone, nil
}

// part returns the number that a letter is a digit of, nil for other characters.
func (s *stamp) part(ch byte) *int {
	switch ch {
	case 'Y':
		s.years++
		return &s.year
	case 'M':
		return &s.month
	case 'D':
		return &s.day
	case 'h':
		return &s.hour
	case 'm':
		return &s.minute
	case 's':
		return &s.second
	}
	return nil
}

func (s *stamp) take(take Take, now time.Time) (string, error) {
	if s.hour > 23 || s.minute > 59 || s.second > 59 {
		return "", errConv
	}
	if s.years == 2 {
		s.year += 2000
	}
	switch {
	case take == TakeTime:
		return string(appendClock(nil, s.hour, s.minute, s.second)), nil
	case take == TakeMonth:
		month, err := dateText(pay.Day(s.year*10000 + s.month*100 + 1))
		return month[:min(6, len(month))], err
	case s.years == 0:
		return nearest(pay.Day(s.month*100+s.day), now)
	}
	return dateText(pay.Day(s.year*10000 + s.month*100 + s.day))
}

// zoned is take for a moment that says its zone.
func (s *stamp) zoned(zone string, take Take, now time.Time) (string, error) {
	east, ok := zoneIn(zone)
	if s.years == 2 {
		s.year += 2000
	}
	if _, err := dateText(pay.Day(s.year*10000 + s.month*100 + s.day)); err != nil || !ok || s.hour > 23 || s.minute > 59 || s.second > 59 {
		return "", errConv
	}
	at := time.Date(s.year, time.Month(s.month), s.day, s.hour, s.minute, s.second, 0, time.UTC).Add(-east).In(now.Location())
	return takeOf(at, take)
}

// takeOf returns what is taken of a moment in its location.
func takeOf(at time.Time, take Take) (string, error) {
	switch take {
	case TakeTime:
		return string(appendTime(nil, at)), nil
	case TakeMonth:
		return dayDigits(pay.DayOf(at))[:6], nil
	}
	return dateText(pay.DayOf(at))
}

// zoneIn reads a zone as how far it is east of UTC.
func zoneIn(zone string) (time.Duration, bool) {
	if zone == "Z" {
		return 0, true
	}
	digits := zone[1:]
	if len(digits) == 5 && digits[2] == ':' {
		digits = digits[:2] + digits[3:]
	}
	if len(digits) == 2 {
		digits += "00"
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || len(digits) != 4 || zone[0] != '+' && zone[0] != '-' || n%100 > 59 || n > 1459 {
		return 0, false
	}
	east := time.Duration(n/100)*time.Hour + time.Duration(n%100)*time.Minute
	if zone[0] == '-' {
		east = -east
	}
	return east, true
}

// latest is the last second that a number since 1970 may name: the end of 9999.
const latest = 253402300799

func epochIn(layout, val string, take Take, now time.Time) (string, error) {
	n, err := strconv.ParseUint(val, 10, 63)
	if layout == layoutMillis {
		n /= 1000
	}
	if err != nil || n > latest {
		return "", errConv
	}
	return takeOf(time.Unix(int64(n), 0).In(now.Location()), take)
}

// moment is a date and a time in business form, and where they are told.
type moment struct {
	date, clock string // YYYYMMDD, hhmmss; empty where the layout has none
	in          *time.Location
}

// momentOf is what a business value says of a moment. A time may be written
// with its date, as in texts for people.
func momentOf(take Take, val string) (m moment, ok bool) {
	switch {
	case take == TakeDate:
		m.date, ok = val, len(val) == 8
	case take == TakeMonth:
		m.date, ok = val+"01", len(val) == 6
	case len(val) == len("2006-01-02 15:04:05"):
		m.date, m.clock, ok = val[:4]+val[5:7]+val[8:10], val[11:13]+val[14:16]+val[17:], true
	default:
		m.clock, ok = val, len(val) == 6
	}
	return m, ok
}

// append appends a moment in a layout. It reports false, with nothing that is
// to be used appended, when it does not fit.
func (m *moment) append(dst []byte, layout string) ([]byte, bool) {
	if layout == layoutUnix || layout == layoutMillis {
		return m.appendEpoch(dst, layout)
	}
	if loose(layout) {
		wide, _ := tight(layout, "")
		out, ok := m.appendLetters(dst, wide)
		if !ok {
			return dst, false
		}
		return slack(out, len(dst), layout), true
	}
	return m.appendLetters(dst, layout)
}

func (m *moment) appendLetters(dst []byte, layout string) ([]byte, bool) {
	at := len(dst)
	zone := byte(0)
	if n := len(layout) - 1; n >= 0 && layout[n]|0x20 == 'z' {
		zone, layout = layout[n], layout[:n]
	}
	dst = append(dst, layout...)
	year, month, day, hour, minute, second := 4, 6, 8, 2, 4, 6 // where what is left of each ends; a short part is its last digits
	ok := true
	digit := func(from string, end *int, least int) byte {
		if *end--; *end < least || *end >= len(from) {
			ok = false
			return '0'
		}
		return from[*end]
	}
	for i := len(dst) - 1; i >= at; i-- {
		switch dst[i] {
		case 'Y':
			dst[i] = digit(m.date, &year, 0)
		case 'M':
			dst[i] = digit(m.date, &month, 4)
		case 'D':
			dst[i] = digit(m.date, &day, 6)
		case 'h':
			dst[i] = digit(m.clock, &hour, 0)
		case 'm':
			dst[i] = digit(m.clock, &minute, 2)
		case 's':
			dst[i] = digit(m.clock, &second, 4)
		case 'f':
			dst[i] = '0'
		}
	}
	if !ok {
		return dst[:at], false
	}
	if zone == 0 {
		return dst, true
	}
	t, ok := m.time()
	switch _, east := t.Zone(); {
	case !ok:
		return dst[:at], false
	case zone == 'z':
		return t.AppendFormat(dst, "-0700"), true
	case east == 0:
		return append(dst, 'Z'), true
	}
	return t.AppendFormat(dst, "-07:00"), true
}

func (m *moment) appendEpoch(dst []byte, layout string) ([]byte, bool) {
	t, ok := m.time()
	if !ok || t.Unix() < 0 {
		return dst, false
	}
	if layout == layoutMillis {
		return strconv.AppendInt(dst, t.UnixMilli(), 10), true
	}
	return strconv.AppendInt(dst, t.Unix(), 10), true
}

func (m *moment) time() (time.Time, bool) {
	t, err := time.ParseInLocation("20060102150405", m.date+m.clock, m.in)
	return t, err == nil
}

var errConv = errors.New("value does not fit")

func appendTime(dst []byte, at time.Time) []byte {
	h, m, s := at.Clock()
	return appendClock(dst, h, m, s)
}

func appendClock(dst []byte, h, m, s int) []byte {
	return append(dst, '0'+byte(h/10), '0'+byte(h%10), '0'+byte(m/10), '0'+byte(m%10), '0'+byte(s/10), '0'+byte(s%10))
}

// nearest gives MMDD the year that puts it closest to now.
func nearest(mmdd pay.Day, now time.Time) (string, error) {
	best, today := pay.Day(0), pay.DayOf(now)
	if d := pay.Day(now.Year()*10000) + mmdd; d.Valid() && abs(d.Sub(today)) < halfYear {
		return dateText(d)
	}
	for y := now.Year() - 1; y <= now.Year()+1; y++ {
		d := pay.Day(y*10000) + mmdd
		if d.Valid() && (best == 0 || abs(d.Sub(today)) < abs(best.Sub(today))) {
			best = d
		}
	}
	return dateText(best)
}

// halfYear is a number of days so short that no other year is nearer.
const halfYear = 182

// dateText writes a day as YYYYMMDD if there is such a day.
func dateText(d pay.Day) (string, error) {
	if !d.Valid() {
		return "", errConv
	}
	return dayDigits(d), nil
}

func dayDigits(d pay.Day) string {
	var b [8]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i], d = '0'+byte(d%10), d/10
	}
	return string(b[:])
}

func abs(n int) int { return max(n, -n) }
