package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// TestMorning installs a program for each event and follows a morning through
// what they are told.
func TestMorning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := install(t)
		dir := filepath.Join(filepath.Dir(file), "hooks.d")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		said := filepath.Join(dir, "said")
		for _, e := range []string{"file-rejected", "run-finished", "verdict-changed", "signed", "overdue", "alarm"} {
			text := "#!/bin/sh\necho \"$QIANZHI_EVENT $1 $QIANZHI_LEVEL\" >> " + said + "\ncat > " + dir + "/$QIANZHI_EVENT.json\n[ $QIANZHI_EVENT != run-finished ]\n"
			if err := os.WriteFile(filepath.Join(dir, e), []byte(text), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		a := clockwork(t, file)
		defer stop(t, a)
		lock := filepath.Join(a.plan.Config.Reports(), "lock")
		check := func(day pay.Day, at string, want ...string) {
			t.Helper()
			until(day, at)
			b, err := os.ReadFile(said)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			_ = os.Remove(said)
			if got := strings.TrimSpace(strings.ReplaceAll(string(b), "\n", ", ")); got != strings.TrimSpace(strings.Join(append(want, ""), ", ")) {
				t.Errorf("%s: told %q, want %q", at, got, want)
			}
		}
		check(20000102, "01:59")
		check(20000102, "02:02", "verdict-changed 3 info", "run-finished 3 info")
		check(20000102, "05:59")
		check(20000102, "06:02", "overdue 3 warn", "run-finished 3 info", "alarm 3 warn")
		arrive(t, a, misSpec, eve)
		if err := os.WriteFile(filepath.Join(a.plan.Config.data("inbox"), "DZ_20000101.txt"), []byte("20000101|1|1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(20000102, "06:12", "file-rejected 4 warn", "verdict-changed 4 info", "run-finished 4 info")
		arrive(t, a, bankSpec, eve)
		check(20000102, "06:22", "verdict-changed 0 info", "run-finished 0 info") // and that its program failed changed nothing
		var s reconcile.Summary
		b, err := os.ReadFile(filepath.Join(dir, "verdict-changed.json"))
		if err == nil {
			err = json.Unmarshal(b, &s)
		}
		if err != nil || s.Verdict != "平" || s.Version != 3 || s.Channel != "BANK301" {
			t.Errorf("the program read %+v, %v", s, err)
		}
		check(20000102, "07:29")
		check(20000102, "07:32", "alarm 0 remind")
		check(20000102, "08:02", "alarm 0 page")
		check(20000102, "09:02", "alarm 0 page")
		sign(t, a, eve)
		check(20000102, "09:04", "signed 0 info")
		check(20000102, "23:00")
		_ = os.Remove(lock)
		if err := os.Mkdir(lock, 0o700); err != nil { // a folder cannot be locked: no run begins
			t.Fatal(err)
		}
		check(20000103, "02:04")
		check(20000103, "02:07", "alarm 3 page")
	})
}
