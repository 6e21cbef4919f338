package alert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

const (
	due     = pay.Day(20261120)
	morning = pay.Day(20261121)
)

// shipped is the ladder of the shipped configuration.
func shipped(t *testing.T) Ladder {
	t.Helper()
	b, err := conf.Files.ReadFile("qianzhi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Alerts Options }
	if err := yaml.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if err := file.Alerts.Check(); err != nil {
		t.Fatal(err)
	}
	return file.Alerts.Ladder
}

func clockOf(t *testing.T, s string) time.Time {
	t.Helper()
	var c Clock
	if err := c.UnmarshalText([]byte(s)); err != nil {
		t.Fatal(err)
	}
	return c.On(morning, time.UTC)
}

// ran is a channel that was reconciled.
func ran(v reconcile.Verdict, codes ...string) *Facts {
	f := &Facts{Due: due, Morning: morning, Before: -1}
	f.Channel, f.Day, f.Line = "B1", due, "结论 "+v.String()
	f.Summary = reconcile.Summary{Exit: v.Exit(), Verdict: v.String(), Codes: map[string]int{}}
	for _, c := range codes {
		f.Summary.Codes[c]++
	}
	return f
}

func TestLadder(t *testing.T) {
	l := shipped(t)
	none := func() *Facts {
		f := ran(0)
		f.Day = due.Add(-1)
		return f
	}
	with := func(f *Facts, change func(*Facts)) *Facts {
		change(f)
		return f
	}
	late := func(f *Facts) { f.Summary.Inputs = []reconcile.SummaryInput{{Party: "银行", State: "逾限"}} }
	for _, c := range []struct {
		name, at string
		f        *Facts
		want     string
	}{
		{"no run yet", "02:04", none(), ""},
		{"no run", "02:05", none(), "not-started@page"},
		{"under way", "02:05", with(none(), func(f *Facts) { f.Running = true }), ""},
		{"no run, at eight", "08:00", none(), "not-started@page unsigned@remind unsigned@page"},
		{"in doubt, early", "02:29", with(ran(0), func(f *Facts) { f.Unknown, f.Before = 5, 5 }), ""},
		{"in doubt", "02:30", with(ran(0), func(f *Facts) { f.Unknown, f.Before = 5, 5 }), "unknown@warn"},
		{"in doubt, more", "02:30", with(ran(0), func(f *Facts) { f.Unknown, f.Before = 6, 5 }), "unknown@warn"},
		{"in doubt, fewer", "02:30", with(ran(0), func(f *Facts) { f.Unknown, f.Before = 4, 5 }), ""},
		{"in doubt, since when", "02:30", with(ran(0), func(f *Facts) { f.Unknown = 4 }), ""},
		{"in doubt by day", "08:00", with(ran(0), func(f *Facts) { f.Unknown, f.Before, f.Signed = 5, 5, 1 }), ""},
		{"nothing in doubt", "02:30", with(ran(0), func(f *Facts) { f.Before = 0 }), ""},
		{"file missing", "05:00", ran(reconcile.Incomplete), ""},
		{"file overdue", "06:00", with(ran(reconcile.Incomplete), late), "overdue@warn"},
		{"file missing for long", "07:30", with(ran(reconcile.Incomplete), late), "overdue@warn incomplete@page unsigned@remind"},
		{"file refused for long", "07:30", with(ran(reconcile.Refused), func(f *Facts) { f.Signed = 1 }), "incomplete@page"},
		{"unsigned", "07:29", ran(0), ""},
		{"unsigned still", "07:30", ran(0), "unsigned@remind"},
		{"unsigned at eight", "08:00", ran(0), "unsigned@remind unsigned@page"},
		{"signed", "08:00", with(ran(0), func(f *Facts) { f.Signed = 1 }), ""},
		{"wrong customer", "02:01", ran(reconcile.Unbalanced, "LG-1", "ID-1"), "items@page"},
		{"our amount", "02:01", ran(reconcile.Unbalanced, "AM-1"), "items@page"},
		{"our serial twice", "02:01", ran(reconcile.Broken, "DU-3"), "items@page broken@page"},
		{"ordinary difference", "02:01", ran(reconcile.Unbalanced, "LG-1", "AM-3"), ""},
		{"bridge", "02:01", ran(reconcile.Broken), "broken@page"},
	} {
		var got []string
		for _, r := range l.reasons(c.f, clockOf(t, c.at)) {
			got = append(got, r.name)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
}

// TestOneAlarm follows a morning on which nobody signs.
func TestOneAlarm(t *testing.T) {
	root := t.TempDir()
	w := &Watchman{Root: root, Ladder: shipped(t), Repeat: time.Hour}
	f := ran(reconcile.Incomplete)
	look := func(at, want string) {
		t.Helper()
		out, err := w.Look(f, clockOf(t, at))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range out {
			got = append(got, string(m.Level)+" "+m.Text)
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("%s: got %q, want %q", at, s, want)
		}
	}
	look("06:00", "")
	f.Summary.Inputs = []reconcile.SummaryInput{{Party: "银行", State: "逾限"}}
	look("06:01", "warn 结论 未齐  告警: 对账文件逾限")
	look("06:02", "")
	look("07:00", "")
	look("07:01", "warn 结论 未齐  告警: 对账文件逾限") // an hour later
	look("07:30", "page 结论 未齐  告警: 对账文件逾限, 对账文件未齐或拒收, 尚未签核")
	w = &Watchman{Root: root, Ladder: shipped(t), Repeat: time.Hour} // a restart says nothing twice
	look("07:31", "")
	if err := Acknowledge(root, due, "B1", "li", clockOf(t, "07:40")); err != nil {
		t.Fatal(err)
	}
	look("07:59", "")
	look("08:00", "page 结论 未齐  告警: 尚未签核") // not what was acknowledged
	look("09:00", "page 结论 未齐  告警: 尚未签核")
	f.Signed = 1
	look("09:01", "info 结论 未齐  已签")
	look("11:00", "")
	f.Signed = 2
	look("11:01", "info 结论 未齐  已复核")
	f.Due, f.Morning = due.Add(1), morning.Add(1)
	if out, err := w.Look(f, clockOf(t, "02:04").AddDate(0, 0, 1)); err != nil || len(out) != 0 {
		t.Errorf("the next day begins with %v, %v", out, err)
	}
	out, err := w.Look(f, clockOf(t, "02:05").AddDate(0, 0, 1))
	if err != nil || len(out) != 1 || out[0].Text != "结论 无  对账日 20261121  渠道 B1  告警: 对账未启动" || out[0].Day != "20261121" || len(out[0].Result) != 0 {
		t.Errorf("not started: %+v, %v", out, err)
	}
}

func TestAcknowledgeNothing(t *testing.T) {
	root := t.TempDir()
	if err := Acknowledge(root, due, "B1", "li", time.Now()); !errors.Is(err, ErrQuiet) {
		t.Errorf("got %v", err)
	}
	w := &Watchman{Root: root, Ladder: shipped(t), Repeat: time.Hour}
	if _, err := w.Look(ran(reconcile.Broken), clockOf(t, "02:01")); err != nil {
		t.Fatal(err)
	}
	for day, channel := range map[pay.Day]string{due.Add(1): "B1", due: "B2"} {
		if err := Acknowledge(root, day, channel, "li", time.Now()); !errors.Is(err, ErrQuiet) {
			t.Errorf("%s %s: got %v", day, channel, err)
		}
	}
	if err := Acknowledge(root, due, "B1", "li", time.Now()); err != nil {
		t.Error(err)
	}
}

// TestTornNotesAlarm finds what it wrote damaged: the error is told, and the
// alarm is given.
func TestTornNotesAlarm(t *testing.T) {
	root := t.TempDir()
	home := filepath.Join(root, due.String(), "B1")
	if err := os.MkdirAll(home, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(root, toldFile), filepath.Join(home, ackFile)} {
		if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &Watchman{Root: root, Ladder: shipped(t), Repeat: time.Hour}
	out, err := w.Look(ran(reconcile.Broken), clockOf(t, "02:01"))
	if err == nil || len(out) != 1 || out[0].Level != Page {
		t.Errorf("got %v, %v", out, err)
	}
}

// TestEvents tells of runs one after another.
func TestEvents(t *testing.T) {
	home := t.TempDir()
	version := func(name, verdict string) {
		t.Helper()
		dir := filepath.Join(home, name)
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		for f, text := range map[string]string{"report.txt": "====\n结论 " + verdict + "\n", "result.json": `{"verdict":"` + verdict + `","at":"2026-11-21T02:00:00Z"}`} {
			if err := os.WriteFile(filepath.Join(dir, f), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	version("r1", "未齐")
	version("r2", "拒收")
	version("r3", "拒收")
	in := func(s reconcile.SourceState) []reconcile.Input {
		return []reconcile.Input{{Party: reconcile.Bank, State: s}}
	}
	for _, c := range []struct {
		r    reconcile.Result
		want string
	}{
		{reconcile.Result{Version: 1, Verdict: reconcile.Incomplete, Inputs: in(reconcile.Expected)}, "verdict-changed run-finished 结论 未齐"},
		{reconcile.Result{Version: 1, Verdict: reconcile.Incomplete, Inputs: in(reconcile.Overdue), Same: true}, "overdue run-finished 结论 未齐"},
		{reconcile.Result{Version: 2, Verdict: reconcile.Refused, Inputs: in(reconcile.Rejected)}, "file-rejected verdict-changed run-finished 结论 拒收"},
		{reconcile.Result{Version: 3, Verdict: reconcile.Refused, Inputs: in(reconcile.Rejected)}, "file-rejected run-finished 结论 拒收"},
		{reconcile.Result{Version: 3, Verdict: reconcile.Refused, Inputs: in(reconcile.Rejected), Same: true}, "run-finished 结论 拒收"},
	} {
		c.r.Day, c.r.Channel = due, "B1"
		out, err := Events(&c.r, home, "1")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range out {
			got = append(got, string(m.Event))
			if m.Exit != c.r.Verdict.Exit() || !strings.Contains(string(m.Result), `"channel":"B1"`) || !strings.HasPrefix(m.ID, string(m.Event)+"/20261120/B1/r") {
				t.Errorf("%+v", m)
			}
		}
		if s := strings.Join(got, " ") + " " + out[0].Text; s != c.want {
			t.Errorf("r%d: got %s, want %s", c.r.Version, s, c.want)
		}
	}
}
