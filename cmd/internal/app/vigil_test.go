package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
	"qianzhi/reconcile/statement"
)

const eve = pay.Day(20000101) // clocks in a bubble begin at 08:00 of it

// nightfall lets a clockwork pass its first night run, which finds no files.
func nightfall(t *testing.T, changes ...string) *App {
	t.Helper()
	a := clockwork(t, install(t, changes...))
	until(eve.Add(1), "02:01")
	return a
}

// until sleeps to a time of a day.
func until(day pay.Day, hhmm string) {
	t, err := time.ParseInLocation("20060102 15:04", day.String()+" "+hhmm, time.FixedZone("", 8*3600))
	if err != nil {
		panic(err)
	}
	time.Sleep(time.Until(t))
	synctest.Wait()
}

// arrive puts a check file with rows into the inbox.
func arrive(t *testing.T, a *App, spec string, day pay.Day, rows ...statement.Row) string {
	t.Helper()
	s := a.plan.specs[spec]
	b, err := s.Write(day, rows)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(a.plan.Config.data("inbox"), s.File(day))
	if err := replace(name, b); err != nil {
		t.Fatal(err)
	}
	return name
}

// latest reads the latest version of a day.
func latest(t *testing.T, a *App, day pay.Day) (s reconcile.Summary) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(a.homeOf(day, "BANK301"), "latest", "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func expect(t *testing.T, a *App, when string, version int, verdict string) {
	t.Helper()
	if s := latest(t, a, eve); s.Version != version || s.Verdict != verdict {
		t.Errorf("%s: r%d %s (%s), want r%d %s", when, s.Version, s.Verdict, s.Why, version, verdict)
	}
}

const (
	misSpec  = "statements/mis-lines.yaml"
	bankSpec = "statements/bank-lines.yaml"
)

// charge is a bank's line that our journal does not have.
func charge(serial string) statement.Row {
	return statement.Row{Effect: reconcile.Charged, Amount: 100, Values: map[string]string{"channel": "fixed", "terminal": "T1", "batch": "000001",
		"sender_date": eve.String(), "serial": serial, "account": "0512000001", "name": "X", "sender_time": "101112"}}
}

// sign has somebody sign the latest version.
func sign(t *testing.T, a *App, day pay.Day) {
	t.Helper()
	table, err := desk.Lay(a.homeOf(day, "BANK301"))
	if err != nil {
		t.Fatal(err)
	}
	e := desk.Entry{N: 1, At: "2000-01-02T07:00:00+08:00", Kind: desk.Sign, By: "li", Person: "B001", Version: table.Summary.Version, Manifest: table.Manifest}
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	e.Hash = hex.EncodeToString(sum[:])
	if b, err = json.Marshal(e); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(table.Home, "desk.jsonl"), append(b, '\n'), 0o640); err != nil {
		t.Fatal(err)
	}
}

// TestLateFilesAreTaken has the files come one by one after the run, and one
// again with other lines: each makes a version by itself, and nothing else does.
func TestLateFilesAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := nightfall(t)
		defer stop(t, a)
		expect(t, a, "02:01", 1, "未齐")
		until(20000102, "03:01")
		if n := runs(t, a, eve.String()); n != 1 {
			t.Errorf("%d runs without a file, want 1", n)
		}
		arrive(t, a, misSpec, eve)
		until(20000102, "03:06")
		expect(t, a, "MIS is here", 2, "未齐")
		arrive(t, a, bankSpec, eve)
		until(20000102, "03:11")
		expect(t, a, "both are here", 3, "平")
		until(20000102, "05:00")
		arrive(t, a, bankSpec, eve, charge("000000000001"))
		until(20000102, "05:06")
		expect(t, a, "the bank sent another", 4, "不平")
		if a.reconciling(eve) {
			t.Error("the day is locked between runs")
		}
		until(20000103, "00:30")
		if n := runs(t, a, eve.String()); n != 4 {
			t.Errorf("%d runs, want 4", n)
		}
	})
}

// TestGrowingFileIsLeft writes a file slowly: it is not judged before it has
// stayed as it is.
func TestGrowingFileIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := nightfall(t)
		defer stop(t, a)
		name := filepath.Join(a.plan.Config.data("inbox"), "MIS_20000101.txt")
		text := "20000101|0|0\n"
		until(20000102, "02:04")
		for n := range len(text) {
			if err := os.WriteFile(name, []byte(text[:n+1]), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(9 * time.Second)
			if v := latest(t, a, eve).Version; v != 1 {
				t.Fatalf("r%d of %q", v, text[:n+1])
			}
		}
		until(20000102, "02:11")
		expect(t, a, "the file is whole", 2, "未齐")
	})
}

// TestOverdue passes the limits: the run says so once, and makes no version.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := nightfall(t, "bank: statements/bank-lines.yaml", "bank: statements/bank-lines.yaml\n      bank_due: \"07:00\"")
		defer stop(t, a)
		late := func() int {
			b, err := os.ReadFile(filepath.Join(a.plan.Config.Reports(), "live.log"))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Count(string(b), "QZ131 "+reconcile.MIS.String()+" 逾限") + 10*strings.Count(string(b), "QZ131 "+reconcile.Bank.String()+" 逾限")
		}
		for _, c := range []struct {
			at   string
			want int
		}{{"05:59", 0}, {"06:01", 1}, {"06:59", 1}, {"07:01", 12}, {"11:59", 12}} {
			until(20000102, c.at)
			if n := late(); n != c.want {
				t.Errorf("%s: lines of overdue files %d, want %d", c.at, n, c.want)
			}
		}
		expect(t, a, "12:00", 1, "未齐")
	})
}

// TestVigilEnds has files come when nobody waits for them: after the first
// signature, and after the cut-off. They are taken by hand.
func TestVigilEnds(t *testing.T) {
	for _, c := range []struct {
		name, at, later string
		signed          bool
	}{{"signed", "07:00", "07:30", true}, {"cut-off", "12:01", "23:00", false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := nightfall(t)
				defer stop(t, a)
				until(20000102, c.at)
				if c.signed {
					sign(t, a, eve)
				}
				arrive(t, a, misSpec, eve)
				until(20000102, c.later)
				expect(t, a, "nobody waits", 1, "未齐")
				if _, err := a.Reconcile(t.Context(), eve); err != nil {
					t.Fatal(err)
				}
				expect(t, a, "by hand", 2, "未齐")
			})
		})
	}
}

// TestVigilOutlivesTheProcess is down when a file comes.
func TestVigilOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := install(t)
		a := clockwork(t, file)
		until(20000102, "02:01")
		stop(t, a)
		arrive(t, a, misSpec, eve)
		until(20000102, "04:00")
		a = clockwork(t, file)
		defer stop(t, a)
		until(20000102, "04:06")
		expect(t, a, "after the restart", 2, "未齐")
	})
}

// TestFailedRunIsRepeated holds the lock of the reports at two.
func TestFailedRunIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := clockwork(t, install(t))
		defer stop(t, a)
		until(20000102, "01:59")
		lock := filepath.Join(a.plan.Config.Reports(), "lock")
		if err := os.MkdirAll(lock, 0o700); err != nil { // a folder cannot be locked
			t.Fatal(err)
		}
		until(20000102, "02:04")
		if n := runs(t, a, eve.String()); n != 0 {
			t.Fatalf("%d runs", n)
		}
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		until(20000102, "02:06")
		expect(t, a, "after the lock", 1, "未齐")
	})
}

// TestStartIsNotMissedWhileBusy has something else be under way at two: the run
// is due when that is over, not a day later.
func TestStartIsNotMissedWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := clockwork(t, install(t))
		until(20000102, "01:50")
		stop(t, a) // the scheduler no longer looks
		until(20000102, "02:03")
		if at := a.agenda().at; at.Format("20060102 15:04") != "20000102 02:00" {
			t.Errorf("next is due at %s", at)
		}
	})
}
