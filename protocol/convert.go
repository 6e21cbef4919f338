package protocol

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"qianzhi/gateway/pay"
)

// Unit says how an amount is written on the wire.
type Unit uint8

// The units of amounts. UnitNone is for values that are no amounts.
const (
	UnitNone Unit = iota
	UnitFen       // 分, digits
	UnitYuan      // 元, two decimals
	UnitLi        // 厘, digits
)

// Conv is how one value changes between the wire and the business message,
// where amounts are digits of fen and dates are YYYYMMDD. The zero Conv changes
// nothing.
type Conv struct {
	Unit  Unit
	Date  string      // layout of the wire in letters: YYYYMMDD, YYMMDD, MMDD, YYYY-MM-DD
	Tail  int         // on the way out only the last Tail characters are kept
	Dict  [][2]string // wire value, business value; a value not listed is refused
	Other string      // of Dict: business value of what is not listed; "" for none. It is only read
}

var errConv = errors.New("value does not fit")

// Want says in words what the wire should hold.
func (c *Conv) Want(id pay.FieldID) string {
	switch {
	case c.Unit == UnitYuan:
		return id.String() + " in yuan"
	case c.Unit == UnitFen:
		return id.String() + " in fen"
	case c.Unit == UnitLi:
		return id.String() + " in li"
	case c.Date != "":
		return id.String() + " as " + c.Date
	case c.Dict != nil:
		return id.String() + " from its value list"
	}
	return id.String()
}

// In turns a wire value into a business value. now gives the year to dates
// that have none: the one that puts them nearest to today.
func (c *Conv) In(val string, now time.Time) (string, error) {
	switch {
	case c.Unit != UnitNone:
		a, err := c.amount(val)
		return fen(a), err
	case c.Date != "":
		return dateIn(c.Date, val, now)
	}
	for i := range c.Dict {
		if c.Dict[i][0] == val {
			return c.Dict[i][1], nil
		}
	}
	if c.Dict != nil && c.Other == "" {
		return "", errConv
	}
	return cmp.Or(c.Other, val), nil
}

// amount reads an amount in the unit of the wire.
func (c *Conv) amount(val string) (pay.Amount, error) {
	switch c.Unit {
	case UnitYuan:
		return pay.ParseYuan(val)
	case UnitLi:
		return pay.ParseLi(val)
	}
	return pay.ParseFen(val)
}

// Out turns a business value into a wire value.
func (c *Conv) Out(val string) (string, error) {
	switch {
	case c.Unit == UnitYuan:
		a, err := pay.ParseFen(val)
		return a.Yuan(), err
	case c.Unit == UnitLi:
		return val + "0", nil
	case c.Date != "":
		return dateOut(c.Date, val)
	}
	for i := range c.Dict {
		if c.Dict[i][1] == val {
			return c.Dict[i][0], nil
		}
	}
	if c.Dict != nil {
		return "", errConv
	}
	if c.Tail > 0 && len(val) > c.Tail {
		return val[len(val)-c.Tail:], nil
	}
	return val, nil
}

func fen(a pay.Amount) string { return strconv.FormatInt(int64(a), 10) }

func dateIn(layout, val string, now time.Time) (string, error) {
	if len(val) != len(layout) {
		return "", errConv
	}
	var year, month, day, years int
	for i := 0; i < len(layout); i++ {
		var to *int
		switch layout[i] {
		case 'Y':
			to, years = &year, years+1
		case 'M':
			to = &month
		case 'D':
			to = &day
		default:
			if layout[i] != val[i] {
				return "", errConv
			}
			continue
		}
		if val[i] < '0' || val[i] > '9' {
			return "", errConv
		}
		*to = *to*10 + int(val[i]-'0')
	}
	mmdd := pay.Day(month*100 + day)
	switch years {
	case 4:
		return dateText(pay.Day(year*10000) + mmdd)
	case 2:
		return dateText(pay.Day(20000000+year*10000) + mmdd)
	}
	return nearest(mmdd, now)
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

func dateOut(layout, val string) (string, error) {
	var buf [16]byte
	out, ok := appendDate(buf[:0], layout, val)
	if !ok {
		return "", errConv
	}
	return string(out), nil
}

// appendDate appends a date of YYYYMMDD in a layout. It reports false, with
// nothing that is to be used appended, when it does not fit.
func appendDate(dst []byte, layout, val string) ([]byte, bool) {
	if len(val) != 8 {
		return dst, false
	}
	at := len(dst)
	dst = append(dst, layout...)
	year, month, day := 4, 6, 8 // where what is left of each ends
	for i := len(dst) - 1; i >= at; i-- {
		switch dst[i] { // a short part is its last digits
		case 'Y':
			year--
			dst[i] = val[max(year, 0)]
		case 'M':
			month--
			dst[i] = val[max(month, 0)]
		case 'D':
			day--
			dst[i] = val[max(day, 0)]
		}
	}
	return dst, year >= 0 && month >= 4 && day >= 6
}
