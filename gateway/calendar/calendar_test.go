package calendar

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

func mustNew(t testing.TB, zone, cut string) *Calendar {
	t.Helper()
	c, err := New(Options{Zone: zone, Cut: cut})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDay(t *testing.T) {
	cst := mustNew(t, "Asia/Shanghai", "24:00")
	early := mustNew(t, "Asia/Shanghai", "23:00")
	for _, c := range []struct {
		cal  *Calendar
		at   string
		want pay.Day
	}{
		{cst, "2026-11-24T23:59:59.999999999+08:00", 20261124},
		{cst, "2026-11-25T00:00:00+08:00", 20261125},
		{cst, "2026-11-24T16:00:00Z", 20261125},
		{early, "2026-11-24T22:59:59+08:00", 20261124},
		{early, "2026-11-24T23:00:00+08:00", 20261125},
		{early, "2026-12-31T23:00:00+08:00", 20270101},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.cal.Day(at); got != c.want {
			t.Errorf("%s: got %s, want %s", c.at, got, c.want)
		}
	}
}

func TestDaysTileTime(t *testing.T) {
	for _, zone := range []string{"Asia/Shanghai", "America/New_York", "UTC"} {
		cal := mustNew(t, zone, "23:30")
		rapid.Check(t, func(t *rapid.T) {
			at := time.Unix(rapid.Int64Range(1.6e9, 2e9).Draw(t, "at"), 0)
			d := cal.Day(at)
			if !at.Before(cal.End(d)) || at.Before(cal.End(d.Add(-1))) {
				t.Fatalf("%s is in %s, which ends %s after the one before ended %s", at, d, cal.End(d), cal.End(d.Add(-1)))
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, o := range []Options{{}, {Zone: "Asia/Nowhere", Cut: "24:00"}, {Zone: "UTC"}, {Zone: "UTC", Cut: "25:00"}, {Zone: "UTC", Cut: "24:01"}, {Zone: "UTC", Cut: "7:00"},
		{Zone: "UTC", Cut: "03:00"}, {Zone: "UTC", Cut: "23:60"}} {
		if err := o.Check(); err == nil {
			t.Errorf("%+v: accepted", o)
		}
	}
}

func TestCronLastFindsOneMissedStart(t *testing.T) {
	cal := mustNew(t, "Asia/Shanghai", "24:00")
	c, err := cal.ParseCron("0 2 * * *")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, cal.Location())
	last, ok := c.Last(now, 48*time.Hour)
	if want := time.Date(2026, 11, 24, 2, 0, 0, 0, cal.Location()); !ok || !last.Equal(want) {
		t.Errorf("last due: got %s %t, want %s", last, ok, want)
	}
	if _, ok := c.Last(now, time.Hour); ok {
		t.Error("found a due moment in an hour that has none")
	}
	if _, err := cal.ParseCron("99 2 * * *"); err == nil {
		t.Error("minute 99 accepted")
	}
}
