package pay

import (
	"fmt"
	"strconv"
	"time"
)

// Day is a calendar or accounting day written as YYYYMMDD, without a time
// zone: the zone belongs to whoever cut the day. Zero means no day.
type Day uint32

// DayOf returns the day on which t falls in t's own location.
func DayOf(t time.Time) Day {
	y, m, d := t.Date()
	return Day(y*10000 + int(m)*100 + d)
}

// ParseDay reads exactly eight digits that form an existing date.
func ParseDay(s string) (Day, error) {
	if len(s) != 8 {
		return 0, fmt.Errorf("day: want YYYYMMDD, got %d characters", len(s))
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("day: want YYYYMMDD, got a character that is no digit")
	}
	d := Day(n)
	if !d.Valid() {
		return 0, fmt.Errorf("day: %s is not in the calendar", s)
	}
	return d, nil
}

// Valid reports whether the day exists in the Gregorian calendar.
func (d Day) Valid() bool { return d >= 10000101 && DayOf(d.time()) == d }

// Add returns the day n days later, earlier for negative n.
func (d Day) Add(n int) Day { return DayOf(d.time().AddDate(0, 0, n)) }

// Sub returns the number of days from e to d.
func (d Day) Sub(e Day) int { return int(d.time().Sub(e.time()) / (24 * time.Hour)) }

// Start returns the first instant of the day in loc, which is not always
// midnight: zones with daylight saving may begin a day later.
func (d Day) Start(loc *time.Location) time.Time {
	return time.Date(int(d/10000), time.Month(d/100%100), int(d%100), 0, 0, 0, 0, loc)
}

// String writes the day as YYYYMMDD.
func (d Day) String() string { return fmt.Sprintf("%08d", uint32(d)) }

func (d Day) time() time.Time { return d.Start(time.UTC) }
