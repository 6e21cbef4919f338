package protocol

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

var shanghai = time.FixedZone("CST", 8*3600)

func TestStampsAreTakenApart(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, shanghai)
	for _, c := range [][4]string{ // layout, wire, date, time
		{"YYYYMMDDhhmmss", "20261125143059", "20261125", "143059"},
		{"YYMMDDhhmm", "2611251430", "20261125", "143000"},
		{"MMDDhhmmss", "1231235959", "20261231", "235959"},
		{"YYYY-MM-DD hh:mm:ss", "2026-11-25 14:30:59", "20261125", "143059"},
		{"YYYY年MM月DD日 hh时mm分", "2026年11月25日 14时30分", "20261125", "143000"},
		{"YYYY-MM-DDThh:mm:ss.fff", "2026-11-25T14:30:59.987", "20261125", "143059"},
		{"YYYY-MM-DDThh:mm:ssZ", "2026-11-25T14:30:59+08:00", "20261125", "143059"},
		{"YYYY-MM-DDThh:mm:ssZ", "2026-11-25T17:30:59Z", "20261126", "013059"},
		{"YYYY-MM-DDThh:mm:ssz", "2026-11-25T00:30:59-0330", "20261125", "120059"},
		{"YYYYMMDDhhmmssz", "20261125143059+08", "20261125", "143059"},
		{"hh:mm:ss DD/MM/YYYY", "14:30:59 25/11/2026", "20261125", "143059"},
		{"YYYY/M/D h:m:s", "2026/1/5 9:08:7", "20260105", "090807"},
		{"YYYY/M/D h:m:s", "2026/11/25 14:30:59", "20261125", "143059"},
		{"YYYY年M月D日hh时mm分", "2026年9月25日14时30分", "20260925", "143000"},
		{"YYYY-M-DTh:mm:sZ", "2026-9-25T14:30:5+08:00", "20260925", "143005"},
		{"YYYY-M-DTh:mm:sZ", "2026-11-5T9:30:59+08:00", "20261105", "093059"},
		{"MDDhhmmss", "105090807", "20270105", "090807"},
		{"MDDhhmmss", "1125090807", "20261125", "090807"},
		{"unix", "1795588259", "20261125", "143059"},
		{"unix-ms", "1795588259123", "20261125", "143059"},
	} {
		for take, want := range map[Take]string{TakeDate: c[2], TakeTime: c[3], TakeMonth: c[2][:6]} {
			if take == TakeMonth && !strings.Contains(c[0], "YY") {
				continue
			}
			conv := Conv{Date: c[0], Take: take}
			if err := CheckLayout(c[0], take); err != nil {
				t.Error(err)
			}
			if got, err := conv.In(c[1], now); err != nil || got != want {
				t.Errorf("%s: %q has %q, %v; want %q", c[0], c[1], got, err, want)
			}
		}
	}
	for _, c := range [][2]string{
		{"YYYYMMDDhhmmss", "20261125243059"}, {"YYYYMMDDhhmmss", "20261125146059"}, {"YYYYMMDDhhmmss", "20261125145960"}, {"YYYYMMDDhhmmss", "20260230143059"},
		{"YYYYMMDDhhmmss", "2026112514305"}, {"YYYYMMDDhhmmss", "202611251430591"}, {"YYYYMMDDhhmmss", "2026112514305x"},
		{"YYYY-MM-DDThh:mm:ssZ", "2026-11-25T14:30:59"}, {"YYYY-MM-DDThh:mm:ssZ", "2026-11-25T14:30:59+8"}, {"YYYY-MM-DDThh:mm:ssZ", "2026-11-25T14:30:59 08:00"},
		{"YYYY-MM-DDThh:mm:ssZ", "2026-11-25T14:30:59+15:00"}, {"YYYY-MM-DDThh:mm:ssZ", "2026-02-30T14:30:59Z"}, {"unix", "-1"}, {"unix", "1e9"}, {"unix", ""}, {"unix-ms", "99999999999999999"},
		{"YYYY/M/D h:mm", "2026/1/5 123:08"}, {"YYYY/M/D h:mm", "2026//5 12:08"}, {"YYYY/M/D h:mm", "2026/1/ 12:08"}, {"YYYY/M/D h:mm", "2026/1/5 12:8"}, {"YYYY/M/D h:mm", "2026/1/5 12:081"},
		{"YYYY/M/D h:mm", ""}, {"YYYY/M/D h:mm", "2026"}, {"MDDhhmmss", ""}, {"MDDhhmmss", "05090807"}, {"MDDhhmmss", "12345678901"}, {"MDDhhmmss", "1x5090807"}, {"YYYY-M-DTh:mm:sZ", "2026-9-25T14:30:5"},
	} {
		for _, take := range []Take{TakeDate, TakeTime} {
			if take == TakeTime && (c[1] == "20260230143059" || c[1] == "05090807") { // the time alone is good
				continue
			}
			if got, err := (&Conv{Date: c[0], Take: take}).In(c[1], now); err == nil {
				t.Errorf("%s: %q was read as %q", c[0], c[1], got)
			}
		}
	}
}

func TestLayoutsThatCannotWork(t *testing.T) {
	for _, c := range []struct {
		layout string
		take   Take
		want   string
	}{
		{"YYYYMMDD", TakeTime, "letters h and m"}, {"hhmmss", TakeDate, "letters M and D"}, {"MMDD", TakeMonth, "letters Y and M"},
		{"foo", TakeDate, "letters M and D"}, {"YYYMMDD", TakeDate, "two or four"}, {"YYYYMD", TakeDate, "two letters M"}, {"hmm YYYY-MM-DD", TakeDate, "two letters h"}, {"MDD hh:mm", TakeDate, "two letters M"}, {"hmms", TakeTime, "two letters h"}, {"YYMMDDYY", TakeDate, "stand apart"},
		{"YYYYMMDDZ", TakeDate, "needs date and time"}, {"Zhhmm", TakeTime, "last letter"}, {"", TakeDate, "letters M and D"},
	} {
		if err := CheckLayout(c.layout, c.take); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.layout, err, c.want)
		}
	}
}

// TestMomentsThereAndBack writes any moment in each layout that holds both of
// its halves, and reads them again.
func TestMomentsThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(946771200, 4102358400).Draw(t, "at"), 0).In(rapid.SampledFrom([]*time.Location{time.UTC, shanghai, time.FixedZone("", -12600)}).Draw(t, "zone"))
		layout := rapid.SampledFrom([]string{"YYYYMMDDhhmmss", "YYMMDDhhmmss", "YYYY-MM-DDThh:mm:ssZ", "YYYY-MM-DDThh:mm:ss.ffz", "YYYY/M/D h:m:s", "YYYY-M-DTh:m:sZ", "unix", "unix-ms"}).Draw(t, "layout")
		m := moment{date: pay.DayOf(at).String(), clock: at.Format("150405"), in: at.Location()}
		wire, ok := m.append(nil, layout)
		if !ok {
			t.Fatalf("%s does not write %+v", layout, m)
		}
		now := at.AddDate(0, 0, 3)
		for take, want := range map[Take]string{TakeDate: m.date, TakeTime: m.clock, TakeMonth: m.date[:6]} {
			if got, err := stampIn(layout, string(wire), take, now); err != nil || got != want {
				t.Fatalf("%s: %q has %q, %v; want %q", layout, wire, got, err, want)
			}
		}
	})
}

func TestMonthsAndTimes(t *testing.T) {
	for _, c := range []struct {
		layout, wire, val string
		take              Take
	}{
		{"YYYY-MM", "2026-01", "202601", TakeMonth}, {"YYYY年MM月", "2026年12月", "202612", TakeMonth}, {"YYMM", "2602", "202602", TakeMonth},
		{"hh:mm:ss", "09:08:07", "090807", TakeTime}, {"hhmm", "0908", "090800", TakeTime}, {"hmmss", "90807", "090807", TakeTime}, {"hmmss", "0", "000000", TakeTime},
		{"hmmss", "807", "000807", TakeTime}, {"hmmss", "143059", "143059", TakeTime}, {"h:mm", "0:05", "000500", TakeTime}, {"YYYY-M", "2026-1", "202601", TakeMonth}, {"YYYY-M", "2026-12", "202612", TakeMonth},
		{"YYYY/M/D", "2026/1/31", "20260131", TakeDate}, {"D.M.YYYY", "1.12.2026", "20261201", TakeDate}, {"YYYYMMDDhhmmss", "20261125000000", "20261125", TakeDate},
	} {
		conv := Conv{Date: c.layout, Take: c.take}
		if got, err := conv.In(c.wire, time.Time{}); err != nil || got != c.val {
			t.Errorf("%s reads %q as %q, %v", c.layout, c.wire, got, err)
		}
		if got, err := conv.Out(c.val); err != nil || got != c.wire {
			t.Errorf("%s writes %q as %q, %v", c.layout, c.val, got, err)
		}
	}
	for _, bad := range []string{"2026-13", "2026-00", "2026-1", "202601"} {
		if got, err := (&Conv{Date: "YYYY-MM", Take: TakeMonth}).In(bad, time.Time{}); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
	if got, err := (&Conv{Date: "hhmmss", Take: TakeTime}).Out("2026-11-25 14:30:59"); err != nil || got != "143059" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestAnyLayout writes moments in any layout that is accepted, and reads them
// and any text: what is written is read as what it was.
func TestAnyLayout(t *testing.T) {
	letters := [][]string{{"YYYY", "YY", ""}, {"MM", "M"}, {"DD", "D"}, {"hh", "h", ""}, {"mm", "m"}, {"ss", "s", ""}, {"f", "fff", ""}}
	between := []string{"", "/", "-", " ", "T", "年", "1", ""}
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		layout := ""
		for _, forms := range rapid.Permutation(letters).Draw(t, "order") {
			layout += rapid.SampledFrom(forms).Draw(t, "letter") + rapid.SampledFrom(between).Draw(t, "between")
		}
		layout += rapid.SampledFrom([]string{"", "", "z", "Z"}).Draw(t, "zone")
		take := rapid.SampledFrom([]Take{TakeDate, TakeTime, TakeMonth}).Draw(t, "take")
		if CheckLayout(layout, take) != nil {
			return
		}
		now := time.Date(2026, 6, 30, 12, 0, 0, 0, shanghai)
		if got, err := stampIn(layout, rapid.StringMatching(`[0-9/: T+Z-]{0,20}`).Draw(t, "text"), take, now); err == nil && len(got) != [...]int{8, 6, 6}[take] {
			t.Fatalf("%s: read %q", layout, got)
		}
		at := now.Add(time.Duration(rapid.IntRange(-100*24*3600, 100*24*3600).Draw(t, "off")) * time.Second)
		m := moment{date: pay.DayOf(at).String(), clock: at.Format("150405"), in: shanghai}
		wire, ok := m.append([]byte("x"), layout)
		if !ok {
			t.Fatalf("%s does not write %+v", layout, m)
		}
		want := [...]string{TakeDate: m.date, TakeTime: m.clock, TakeMonth: m.date[:6]}[take]
		if take == TakeTime && !strings.Contains(layout, "s") {
			want = want[:4] + "00"
		}
		got, err := stampIn(layout, string(wire[1:]), take, now)
		if err != nil || got != want {
			t.Fatalf("%s: %q has %q, %v; want %q", layout, wire[1:], got, err, want)
		}
		read++
	})
	if read == 0 {
		t.Error("no layout was tried")
	}
}
