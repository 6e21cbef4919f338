package protocol

import (
	"errors"
	"strconv"
	"strings"
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
	Unit Unit
	Date string      // layout of the wire in letters: YYYYMMDD, YYMMDD, MMDD, YYYY-MM-DD
	Tail int         // on the way out only the last Tail characters are kept
	Dict [][2]string // wire value, business value; a value not listed is refused
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
		var a pay.Amount
		var err error
		switch c.Unit {
		case UnitYuan:
			a, err = pay.ParseYuan(val)
		case UnitLi:
			a, err = pay.ParseLi(val)
		default:
			a, err = pay.ParseFen(val)
		}
		return fen(a), err
	case c.Date != "":
		return dateIn(c.Date, val, now)
	}
	for i := range c.Dict {
		if c.Dict[i][0] == val {
			return c.Dict[i][1], nil
		}
	}
	if c.Dict != nil {
		return "", errConv
	}
	return val, nil
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
	var year, month, day strings.Builder
	for i := 0; i < len(layout); i++ {
		switch layout[i] {
		case 'Y':
			year.WriteByte(val[i])
		case 'M':
			month.WriteByte(val[i])
		case 'D':
			day.WriteByte(val[i])
		default:
			if layout[i] != val[i] {
				return "", errConv
			}
		}
	}
	switch year.Len() {
	case 4:
		d, err := pay.ParseDay(year.String() + month.String() + day.String())
		return d.String(), err
	case 2:
		d, err := pay.ParseDay("20" + year.String() + month.String() + day.String())
		return d.String(), err
	}
	return nearest(month.String()+day.String(), now)
}

// nearest gives MMDD the year that puts it closest to now.
func nearest(mmdd string, now time.Time) (string, error) {
	best, today := pay.Day(0), pay.DayOf(now)
	for y := now.Year() - 1; y <= now.Year()+1; y++ {
		d, err := pay.ParseDay(strconv.Itoa(y) + mmdd)
		if err != nil {
			continue
		}
		if best == 0 || abs(d.Sub(today)) < abs(best.Sub(today)) {
			best = d
		}
	}
	if best == 0 {
		return "", errConv
	}
	return best.String(), nil
}

func abs(n int) int { return max(n, -n) }

func dateOut(layout, val string) (string, error) {
	if len(val) != 8 {
		return "", errConv
	}
	out := []byte(layout)
	parts := map[byte]string{'Y': val[:4], 'M': val[4:6], 'D': val[6:]}
	for _, c := range []byte("YMD") {
		n := strings.Count(layout, string(c))
		if n > len(parts[c]) {
			return "", errConv
		}
		digits := parts[c][len(parts[c])-n:]
		for i := range out {
			if layout[i] == c {
				out[i], digits = digits[0], digits[1:]
			}
		}
	}
	return string(out), nil
}
