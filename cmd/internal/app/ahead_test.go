package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// early reads what was last told of the running day, and how many items.
func early(t *testing.T, a *App, day pay.Day) (text string, items []reconcile.Item) {
	t.Helper()
	dir := filepath.Join(a.plan.Config.Reports(), "ahead", day.String(), "BANK301", "latest")
	b, err := os.ReadFile(filepath.Join(dir, "report.txt"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "items.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if items, err = reconcile.ReadRecords(list); err != nil {
		t.Fatal(err)
	}
	return string(b), items
}

// TestRunningDay compares the running day every ten minutes: what is young is
// left out, what is old and apart is told, and nothing of it is a verdict.
func TestRunningDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := prepare(t, install(t, "# mis_query: mis", "mis_query: mis"))
		l := &lister{pages: []pay.Reply{sheet(0, 0, 0)}}
		p.hosts["mis"].Adapter = l
		p.links, p.mis, p.ends, p.Config.Admin.Socket = nil, nil, nil, ""
		a, err := p.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer stop(t, a)
		until(eve, "09:05")
		if text, items := early(t, a, eve); len(items) != 0 || !strings.HasPrefix(text, "预对账 2000-01-01  渠道 BANK301  截至 09:00:00  待查 0 笔") {
			t.Errorf("nothing yet: %s", text)
		}
		l.say(sheet(1, 100, 1, eve.String()+"|20000101010000009999|YX1|fixed|0512000001|100|P")) // we know nothing of it
		until(eve, "09:11")
		text, items := early(t, a, eve)
		if len(items) != 1 || items[0].Serial() != "20000101010000009999" || strings.Contains(text, "结论 不平") || !strings.HasSuffix(text, "预对账 END\n") {
			t.Errorf("%d items: %s", len(items), text)
		}
		if _, err := os.Stat(filepath.Join(a.plan.Config.Reports(), eve.String())); !os.IsNotExist(err) {
			t.Errorf("the day has a report before it is over: %v", err)
		}
		if names, err := filepath.Glob(filepath.Join(a.plan.Config.Reports(), "ahead", "*", "*", "r*")); err != nil || len(names) != 1 {
			t.Errorf("%v are kept, %v", names, err)
		}
		l.say(sheet(0, 0, 0))
		arrive(t, a, bankSpec, eve, charge("000000000001")) // a part of the day's file
		until(eve, "09:21")
		if text, items := early(t, a, eve); len(items) != 1 || items[0].Lines[reconcile.Bank] == nil {
			t.Errorf("%d items: %s", len(items), text)
		}
		until(eve.Add(1), "00:11")
		if _, err := os.Stat(filepath.Join(a.plan.Config.Reports(), "ahead", eve.String())); !os.IsNotExist(err) {
			t.Errorf("the day is over, its comparison is not: %v", err)
		}
	})
}

// TestYoungPaymentsAreLeftOut pays where the MIS does not answer: only after the
// interval it is told that the MIS has nothing of it.
func TestYoungPaymentsAreLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, serial := doubtful(t, "# mis_query: mis", "mis_query: mis")
		defer stop(t, a)
		at := time.Now()
		for len(sofar(t, a)) == 0 {
			time.Sleep(time.Minute)
			if time.Since(at) > time.Hour {
				t.Fatal("never told")
			}
		}
		if age := time.Since(at); age < 10*time.Minute || age > 25*time.Minute {
			t.Errorf("told after %s", age)
		}
		if items := sofar(t, a); items[0].Serial() != serial {
			t.Errorf("%+v", items)
		}
	})
}

// sofar are the items so far; none before the first comparison.
func sofar(t *testing.T, a *App) []reconcile.Item {
	t.Helper()
	if _, err := os.Stat(filepath.Join(a.plan.Config.Reports(), "ahead", eve.String())); os.IsNotExist(err) {
		return nil
	}
	_, items := early(t, a, eve)
	return items
}

// TestNoComparison: 0s turns it off, and without anybody who can tell there is
// nothing to compare with.
func TestNoComparison(t *testing.T) {
	for _, changes := range [][]string{{"ahead: 10m", "ahead: 0s", "# mis_query: mis", "mis_query: mis"}, nil} {
		synctest.Test(t, func(t *testing.T) {
			a := clockwork(t, install(t, changes...))
			defer stop(t, a)
			until(eve, "12:00")
			if names, err := filepath.Glob(filepath.Join(a.plan.Config.Reports(), "ahead", "2*")); err != nil || len(names) != 0 {
				t.Errorf("%v, %v", names, err)
			}
		})
	}
}
