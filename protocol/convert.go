package protocol

import (
	"cmp"
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
	Unit  Unit
	Date  string      // layout of the wire in letters: YYYYMMDD, MMDDhhmmss, YYYY-MM-DDThh:mm:ssZ; see CheckLayout
	Take  Take        // with Date: what of it the value is
	Tail  int         // on the way out only the last Tail characters are kept
	Dict  [][2]string // wire value, business value; a value not listed is refused
	Other string      // of Dict: business value of what is not listed; "" for none. It is only read
}

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
		return stampIn(c.Date, val, c.Take, now)
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
		return pay.ParseYuan(decimals(val))
	case UnitLi:
		return pay.ParseLi(val)
	}
	return pay.ParseFen(val)
}

// decimals gives an amount two decimals where a program has printed it as a
// number of another width that is the same: 100.5, 100.500000.
func decimals(val string) string {
	n := strings.IndexByte(val, '.')
	if n < 1 || n == len(val)-3 {
		return val
	}
	for len(val) > n+3 && val[len(val)-1] == '0' {
		val = val[:len(val)-1]
	}
	if n == len(val)-2 {
		val += "0"
	}
	return val
}

// midnight is the time of a date that has none.
const midnight = "000000"

// Out turns a business value into a wire value. A date in a layout with a time
// is written as midnight; what belongs to a moment of a message is not written
// by Out.
func (c *Conv) Out(val string) (string, error) {
	switch {
	case c.Unit == UnitYuan:
		a, err := pay.ParseFen(val)
		return a.Yuan(), err
	case c.Unit == UnitLi:
		return val + "0", nil
	case c.Date != "":
		m, ok := momentOf(c.Take, val)
		if m.in = time.UTC; m.clock == "" {
			m.clock = midnight
		}
		out, fits := m.append(nil, c.Date)
		if !ok || !fits {
			return "", errConv
		}
		return string(out), nil
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
