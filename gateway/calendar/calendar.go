// Package calendar says which accounting day a moment belongs to, when the day
// is cut, on which days banks work, and when a recurring job or a parked payment
// is due. It holds no clock.
package calendar

import (
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"qianzhi/gateway/pay"
)

// Options is the calendar section of the configuration.
type Options struct {
	Zone string `yaml:"zone"` // IANA name, for example Asia/Shanghai
	Cut  string `yaml:"cut"`  // HH:MM at which the next accounting day begins; 24:00 is midnight

	// Holidays is the file of public holidays and make-up working days; whoever
	// opens files gives it to With. Empty: Monday to Friday are working days.
	Holidays string `yaml:"holidays"`
}

// Check reports the first setting that cannot work.
func (o *Options) Check() error {
	_, err := New(*o)
	return err
}

// Calendar is immutable and safe for concurrent use.
type Calendar struct {
	loc      *time.Location
	cut      time.Duration // before midnight, 0 when the day ends at 24:00
	holidays Holidays
}

// New builds a calendar.
func New(o Options) (*Calendar, error) {
	if o.Zone == "" {
		return nil, errors.New("zone: missing, for example Asia/Shanghai")
	}
	loc, err := time.LoadLocation(o.Zone)
	if err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	var h, m int
	if _, err := fmt.Sscanf(o.Cut, "%2d:%2d", &h, &m); err != nil || len(o.Cut) != 5 || h > 24 || m > 59 || h == 24 && m > 0 || h < 12 {
		return nil, fmt.Errorf("cut: want HH:MM between 12:00 and 24:00, got %q", o.Cut)
	}
	return &Calendar{loc: loc, cut: 24*time.Hour - time.Duration(h)*time.Hour - time.Duration(m)*time.Minute}, nil
}

// Location returns the zone in which days are counted.
func (c *Calendar) Location() *time.Location { return c.loc }

// Day returns the accounting day by schedule at the moment t.
func (c *Calendar) Day(t time.Time) pay.Day {
	t = t.In(c.loc)
	d := pay.DayOf(t)
	if !t.Before(c.End(d)) {
		return d.Add(1)
	}
	return d
}

// End returns the first moment that no longer belongs to the day.
func (c *Calendar) End(d pay.Day) time.Time {
	next := d.Add(1).Start(c.loc)
	if c.cut == 0 {
		return next
	}
	h := 24*time.Hour - c.cut
	return time.Date(int(d/10000), time.Month(d/100%100), int(d%100), int(h/time.Hour), int(h%time.Hour/time.Minute), 0, 0, c.loc)
}

// Cron is a recurring moment in local time.
type Cron struct {
	s   cron.Schedule
	loc *time.Location
}

// ParseCron reads a standard five-field cron expression.
func (c *Calendar) ParseCron(expr string) (*Cron, error) {
	s, err := cron.ParseStandard(expr)
	if err != nil {
		return nil, fmt.Errorf("cron %q: %w", expr, err)
	}
	return &Cron{s: s, loc: c.loc}, nil
}

// Next returns the first moment after t at which the job is due.
func (c *Cron) Next(t time.Time) time.Time { return c.s.Next(t.In(c.loc)) }

// Last returns the latest due moment that is not after t and lies within
// back, and whether there is one.
func (c *Cron) Last(t time.Time, back time.Duration) (time.Time, bool) {
	var last time.Time
	for at := c.Next(t.Add(-back)); !at.IsZero() && !at.After(t); at = c.Next(at) {
		last = at
	}
	return last, !last.IsZero()
}
