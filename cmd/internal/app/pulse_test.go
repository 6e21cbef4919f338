package app

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// metrics reads the figures that are written beside the reports, by series.
func metrics(t *testing.T, a *App) map[string]string {
	t.Helper()
	b, err := os.ReadFile(a.plan.Config.data("recon", "metrics.prom"))
	if err != nil {
		t.Fatal(err)
	}
	m, helped := map[string]string{}, map[string]bool{}
	for _, l := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		if name, ok := strings.CutPrefix(l, "# HELP "); ok {
			name, _, _ = strings.Cut(name, " ")
			if helped[name] {
				t.Errorf("%s is told in two places", name)
			}
			helped[name] = true
		}
		if strings.HasPrefix(l, "#") {
			continue
		}
		at := strings.LastIndexByte(l, ' ')
		m[l[:at]] = l[at+1:]
	}
	return m
}

// TestFigures follows the figures of a morning.
func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := install(t)
		a := clockwork(t, file)
		synctest.Wait()
		if m := metrics(t, a); m["recon_unknown_payments"] != "0" || m["recon_verdict"] != "" {
			t.Errorf("before any run: %v", m)
		}
		check := func(when string, want map[string]string) {
			t.Helper()
			m := metrics(t, a)
			for name, v := range want {
				if !strings.HasSuffix(name, "}") && !strings.Contains(name, "_total") {
					name += `{channel="BANK301"}`
				}
				if m[name] != v {
					t.Errorf("%s: %s is %q, want %s", when, name, m[name], v)
				}
			}
		}
		until(20000102, "02:02")
		check("nothing is here", map[string]string{"recon_business_day": "20000101", "recon_verdict": "3", "recon_last_flat_timestamp_seconds": "0",
			"recon_signed": "0", `recon_source_state{channel="BANK301",source="银行"}`: "0", "recon_missed_start_total": "0",
			"recon_run_finished_timestamp_seconds": "946749600"})
		until(20000102, "06:02")
		check("overdue", map[string]string{"recon_verdict": "3", `recon_source_state{channel="BANK301",source="银行"}`: "5"})
		arrive(t, a, misSpec, eve)
		arrive(t, a, bankSpec, eve)
		until(20000102, "06:12")
		check("flat", map[string]string{"recon_verdict": "0", `recon_source_state{channel="BANK301",source="银行"}`: "4", "recon_version": "2"})
		flat := metrics(t, a)[`recon_last_flat_timestamp_seconds{channel="BANK301"}`]
		if flat != metrics(t, a)[`recon_run_finished_timestamp_seconds{channel="BANK301"}`] || flat == "0" {
			t.Errorf("last flat at %s", flat)
		}
		arrive(t, a, bankSpec, eve, charge("000000000001"))
		until(20000102, "06:22")
		check("apart", map[string]string{"recon_verdict": "1", `recon_open_items{channel="BANK301",code="LG-6"}`: "1",
			`recon_open_fen{channel="BANK301",kind="long"}`: "100", `recon_open_fen{channel="BANK301",kind="short"}`: "0", "recon_carry_items": "0",
			`recon_rows{channel="BANK301",party="bank"}`: "1", "recon_last_flat_timestamp_seconds": flat})
		sign(t, a, eve)
		until(20000102, "06:24")
		check("signed", map[string]string{"recon_signed": "1"})
		stop(t, a)
		until(20000103, "05:00")
		a = clockwork(t, file)
		defer stop(t, a)
		until(20000103, "05:01")
		check("missed", map[string]string{"recon_missed_start_total": "1", "recon_business_day": "20000102"})
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := clockwork(t, install(t))
		defer stop(t, a)
		for range 3 {
			time.Sleep(time.Minute)
			synctest.Wait()
			b, err := os.ReadFile(a.plan.Config.data("recon", "heartbeat"))
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, strings.TrimSpace(string(b)))
			if err != nil || time.Since(at) > time.Second {
				t.Errorf("the heart beat %s ago, %v", time.Since(at), err)
			}
		}
	})
}

// TestServiceManager starts with a socket of a process manager and hears that
// the daemon is ready, and again and again that it lives.
func TestServiceManager(t *testing.T) {
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "200000")
	a := clockwork(t, install(t))
	defer stop(t, a)
	heard := map[string]int{}
	for heard["READY=1"] == 0 || heard["WATCHDOG=1"] < 3 {
		b := make([]byte, 100)
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("heard %v, then %v", heard, err)
		}
		heard[string(b[:n])]++
	}
}
