package calendar

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"qianzhi/gateway/pay"
)

// Holidays are the days on which banks do not work although it is a weekday,
// and those on which they do although it is not. The zero value knows none.
type Holidays struct {
	years map[int]bool
	off   map[pay.Day]string // name of the holiday
	work  map[pay.Day]bool
}

// holidayFile is the form in which holidays are written down.
type holidayFile struct {
	Years []struct {
		Year   int    `yaml:"year"`
		Source string `yaml:"source"` // the publication
		Off    []struct {
			Name string `yaml:"name"`
			From string `yaml:"from"` // YYYY-MM-DD, both included
			To   string `yaml:"to"`
		} `yaml:"off"`
		Work []string `yaml:"work"`
	} `yaml:"years"`
}

// longestHoliday bounds a span, so that a wrong year is noticed.
const longestHoliday = 31

// ParseHolidays reads a holiday file; name is used in errors.
func ParseHolidays(name string, b []byte) (Holidays, error) {
	h := Holidays{years: map[int]bool{}, off: map[pay.Day]string{}, work: map[pay.Day]bool{}}
	var f holidayFile
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		return h, fmt.Errorf("%s: %w", name, err)
	}
	for _, y := range f.Years {
		wrong := func(format string, a ...any) (Holidays, error) {
			return Holidays{}, fmt.Errorf("%s: year %d: %s", name, y.Year, fmt.Sprintf(format, a...))
		}
		if y.Source == "" || h.years[y.Year] {
			return wrong("stands twice, or has no source")
		}
		h.years[y.Year] = true
		for _, s := range y.Off {
			from, to := dated(s.From, y.Year), dated(s.To, y.Year)
			if s.Name == "" || from == 0 || to < from || to.Sub(from) >= longestHoliday {
				return wrong("off: want a name and two dates of the year, got %q %q to %q", s.Name, s.From, s.To)
			}
			for day := from; day <= to; day = day.Add(1) {
				h.off[day] = s.Name
			}
		}
		for _, s := range y.Work {
			day := dated(s, y.Year)
			if day == 0 || !weekend(day) {
				return wrong("work: want a Saturday or Sunday of the year, got %q", s)
			}
			h.work[day] = true
		}
	}
	for day := range h.work {
		if h.off[day] != "" {
			return Holidays{}, fmt.Errorf("%s: %s is a day off and a working day", name, day)
		}
	}
	return h, nil
}

// dated reads a date of a year, or of the December before it; 0 for anything
// else.
func dated(s string, year int) pay.Day {
	day, err := pay.ParseDay(strings.ReplaceAll(s, "-", ""))
	if y := int(day / 10000); err != nil || len(s) != len(time.DateOnly) || y != year && (y != year-1 || day/100%100 != 12) {
		return 0
	}
	return day
}

func weekend(d pay.Day) bool {
	w := d.Start(time.UTC).Weekday()
	return w == time.Saturday || w == time.Sunday
}

// With returns the calendar with holidays.
func (c *Calendar) With(h Holidays) *Calendar {
	with := *c
	with.holidays = h
	return &with
}

// Knows reports whether the holidays of the day's year are known.
func (c *Calendar) Knows(d pay.Day) bool { return c.holidays.years[int(d/10000)] }

// IsWorkday reports whether banks work on a day.
func (c *Calendar) IsWorkday(d pay.Day) bool {
	return c.holidays.work[d] || !weekend(d) && c.holidays.off[d] == ""
}

// Holiday returns the name of the holiday that a day belongs to, "" for none.
func (c *Calendar) Holiday(d pay.Day) string { return c.holidays.off[d] }

// NextWorkday returns the first day after d on which banks work.
func (c *Calendar) NextWorkday(d pay.Day) pay.Day {
	for d = d.Add(1); !c.IsWorkday(d); {
		d = d.Add(1)
	}
	return d
}

// Due returns when something is due that may take as long as given: never on a
// day on which nobody works, but at the same time of the next working day.
func (c *Calendar) Due(from time.Time, wait time.Duration) time.Time {
	t := from.Add(wait).In(c.loc)
	if day := pay.DayOf(t); !c.IsWorkday(day) {
		return t.AddDate(0, 0, c.NextWorkday(day).Sub(day))
	}
	return t
}
