package protocol

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

func at(s string) time.Time {
	t, err := time.Parse("20060102", s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestAmountUnits(t *testing.T) {
	for _, c := range []struct {
		unit     Unit
		wire, in string // in is digits of fen, empty where the wire is refused
		out      string // what fen is written as, when it differs from wire
	}{
		{UnitFen, "000000010050", "10050", "10050"}, {UnitFen, "0", "0", ""}, {UnitFen, "1x", "", ""}, {UnitFen, "", "", ""}, {UnitFen, "-5", "", ""},
		{UnitYuan, "100.50", "10050", ""}, {UnitYuan, "100", "10000", "100.00"}, {UnitYuan, "0.01", "1", ""}, {UnitYuan, "100.505", "", ""},
		{UnitYuan, "100.5", "10050", "100.50"}, {UnitYuan, "100.500000", "10050", "100.50"}, {UnitYuan, "0.010", "1", "0.01"}, {UnitYuan, "100.", "", ""}, {UnitYuan, "100.5000001", "", ""},
		{UnitYuan, "1e3", "", ""}, {UnitYuan, ".5", "", ""}, {UnitYuan, "99999999999.00", "", ""},
		{UnitLi, "100500", "10050", ""}, {UnitLi, "100501", "", ""}, {UnitLi, "5", "", ""},
	} {
		conv := Conv{Unit: c.unit}
		got, err := conv.In(c.wire, time.Time{})
		if (err == nil) != (c.in != "") || err == nil && got != c.in {
			t.Errorf("unit %d reads %q as %q, %v; want %q", c.unit, c.wire, got, err, c.in)
		}
		if c.in == "" {
			continue
		}
		want := c.out
		if want == "" {
			want = c.wire
		}
		if got, err := conv.Out(c.in); err != nil || got != want {
			t.Errorf("unit %d writes %s as %q, %v; want %q", c.unit, c.in, got, err, want)
		}
	}
}

// TestDatesThereAndBack writes any day in each shape that has a year and reads
// it again.
func TestDatesThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		day := pay.DayOf(at("20000101")).Add(rapid.IntRange(0, 36000).Draw(t, "day"))
		for _, layout := range []string{"YYYYMMDD", "YYMMDD", "YYYY-MM-DD", "DD/MM/YYYY", "YYYY.MM.DD"} {
			conv := Conv{Date: layout}
			wire, err := conv.Out(day.String())
			if err != nil || len(wire) != len(layout) {
				t.Fatalf("%s writes %s as %q, %v", layout, day, wire, err)
			}
			if got, err := conv.In(wire, time.Time{}); err != nil || got != day.String() {
				t.Fatalf("%s reads %q as %q, %v; want %s", layout, wire, got, err, day)
			}
		}
	})
}

func TestDateWithoutYearIsTheNearest(t *testing.T) {
	conv := Conv{Date: "MMDD"}
	for _, c := range [][3]string{
		{"20261231", "0101", "20270101"}, {"20270101", "1231", "20261231"}, {"20260615", "0614", "20260614"}, {"20260715", "1231", "20261231"}, {"20260615", "1231", "20251231"},
		{"20280301", "0229", "20280229"}, {"20270301", "0229", "20280229"}, {"20260710", "0110", "20260110"},
	} {
		if got, err := conv.In(c[1], at(c[0])); err != nil || got != c[2] {
			t.Errorf("on %s, %s is %s, %v; want %s", c[0], c[1], got, err, c[2])
		}
	}
	for _, bad := range []string{"1301", "0230", "0000", "115", "11050", "ab01", ""} {
		if got, err := conv.In(bad, at("20260615")); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
	for _, bad := range []string{"20261305", "2026-11-5", "2026/11/05"} {
		if got, err := (&Conv{Date: "YYYY-MM-DD"}).In(bad, time.Time{}); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
}

func TestValueList(t *testing.T) {
	conv := Conv{Dict: [][2]string{{"0", "open"}, {"1", "closed"}}}
	if got, err := conv.In("1", time.Time{}); err != nil || got != "closed" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := conv.Out("open"); err != nil || got != "0" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := conv.In("2", time.Time{}); err == nil {
		t.Error("a value that is not listed was read")
	}
	if _, err := conv.Out("ajar"); err == nil {
		t.Error("a value that is not listed was written")
	}
}

// What is not listed is read as Other, which is never written for it.
func TestValueListWithOther(t *testing.T) {
	conv := Conv{Dict: [][2]string{{"0", "open"}, {"1", "closed"}}, Other: "unsure"}
	for in, want := range map[string]string{"0": "open", "1": "closed", "2": "unsure", "": "unsure", "open": "unsure"} {
		if got, err := conv.In(in, time.Time{}); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
	if got, err := conv.Out("unsure"); err == nil {
		t.Errorf("written as %q", got)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	conv := Conv{Tail: 4}
	for in, want := range map[string]string{"123456": "3456", "12": "12", "": ""} {
		if got, err := conv.Out(in); err != nil || got != want {
			t.Errorf("%q is written %q, %v; want %q", in, got, err, want)
		}
	}
}
