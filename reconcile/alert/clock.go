// Package alert tells people and programs how the night goes: hooks, a webhook
// and e-mail at what happens, a ladder of hours at what does not, figures for
// monitoring and signs of life. Whatever fails here is logged and never changes
// a verdict.
package alert

import (
	"fmt"
	"time"

	"qianzhi/gateway/pay"
)

// Clock is a time of day, written HH:MM, in minutes from midnight.
type Clock int

// UnmarshalText reads HH:MM.
func (c *Clock) UnmarshalText(b []byte) error {
	t, err := time.Parse("15:04", string(b))
	if err != nil {
		return fmt.Errorf("want HH:MM between 00:00 and 23:59, got %q", b)
	}
	*c = Clock(t.Hour()*60 + t.Minute())
	return nil
}

// String returns HH:MM.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60) }

// On returns the moment of the day at which it is that time.
func (c Clock) On(day pay.Day, loc *time.Location) time.Time {
	y, m, d := day.Start(loc).Date()
	return time.Date(y, m, d, int(c)/60, int(c)%60, 0, 0, loc)
}
