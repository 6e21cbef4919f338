package calendar

import (
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

func shipped(t testing.TB) *Calendar {
	t.Helper()
	b, err := os.ReadFile("../../conf/calendar/cn.yaml")
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseHolidays("cn.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	return mustNew(t, "Asia/Shanghai", "24:00").With(h)
}

// TestShippedHolidays counts the days off as the publications count them, and
// looks at the days where a rule of the week alone is wrong.
func TestShippedHolidays(t *testing.T) {
	c := shipped(t)
	for year, want := range map[int]int{2025: 28, 2026: 33} {
		got := 0
		for d := pay.Day(year*10000 + 101); int(d/10000) == year; d = d.Add(1) {
			if c.Holiday(d) != "" {
				got++
			}
		}
		if got != want {
			t.Errorf("%d: %d days off, want %d", year, got, want)
		}
	}
	for day, want := range map[pay.Day]bool{
		20250126: true, 20250127: true, 20250128: false, 20250204: false, 20250205: true, 20250208: true, 20250209: false, 20251008: false, 20251011: true,
		20260102: false, 20260104: true, 20260214: true, 20260223: false, 20260224: true, 20260228: true, 20260301: false, 20260509: true, 20260920: true,
		20261007: false, 20261008: true, 20261010: true, 20261125: true, 20261128: false,
	} {
		if got := c.IsWorkday(day); got != want {
			t.Errorf("%s: working day %v, want %v", day, got, want)
		}
	}
	for from, want := range map[pay.Day]pay.Day{20260213: 20260214, 20260214: 20260224, 20261125: 20261126, 20261127: 20261130, 20260930: 20261008, 20261009: 20261010} {
		if got := c.NextWorkday(from); got != want {
			t.Errorf("after %s: %s, want %s", from, got, want)
		}
	}
	if c.Knows(20271001) || !c.Knows(20261001) {
		t.Error("the years that are known are wrong")
	}
}

func TestDueWaitsForAWorkday(t *testing.T) {
	c := shipped(t)
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, c.Location())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, x := range [][2]string{
		{"2026-11-24 09:30", "2026-11-25 09:30"}, {"2026-11-27 09:30", "2026-11-30 09:30"}, {"2026-02-13 23:00", "2026-02-14 23:00"},
		{"2026-02-14 08:00", "2026-02-24 08:00"}, {"2026-10-09 10:00", "2026-10-10 10:00"},
	} {
		if got := c.Due(at(x[0]), 24*time.Hour); !got.Equal(at(x[1])) {
			t.Errorf("a day after %s: %s, want %s", x[0], got, x[1])
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		from := time.Unix(rapid.Int64Range(1.7e9, 1.9e9).Draw(t, "from"), 0)
		wait := time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "wait"))
		due := c.Due(from, wait)
		if due.Before(from.Add(wait)) || !c.IsWorkday(pay.DayOf(due)) || due.Sub(from.Add(wait)) > 12*24*time.Hour {
			t.Fatalf("%s after %s is due %s", wait, from, due)
		}
	})
}

func TestHolidayFilesAreChecked(t *testing.T) {
	for _, s := range []string{
		"years: [{year: 2026, off: []}]",
		"years: [{year: 2026, source: x}, {year: 2026, source: x}]",
		"years: [{year: 2026, source: x, off: [{name: a, from: 2027-01-01, to: 2027-01-01}]}]",
		"years: [{year: 2026, source: x, off: [{name: a, from: 2026-02-02, to: 2026-02-01}]}]",
		"years: [{year: 2026, source: x, off: [{name: a, from: 2026-02-30, to: 2026-03-01}]}]",
		"years: [{year: 2026, source: x, off: [{name: a, from: 2026-01-01, to: 2026-10-01}]}]",
		"years: [{year: 2026, source: x, work: [2026-11-25]}]",
		"years: [{year: 2026, source: x, off: [{name: a, from: 2026-11-28, to: 2026-11-29}], work: [2026-11-28]}]",
		"years: [{year: 2026, source: x, holidays: []}]",
		"years: 7",
	} {
		if _, err := ParseHolidays("h.yaml", []byte(s)); err == nil || !strings.HasPrefix(err.Error(), "h.yaml: ") {
			t.Errorf("%s: %v", s, err)
		}
	}
	early := "years: [{year: 2026, source: x, off: [{name: a, from: 2025-12-31, to: 2026-01-01}]}]"
	if h, err := ParseHolidays("h.yaml", []byte(early)); err != nil || h.off[20251231] != "a" {
		t.Error(err)
	}
}
