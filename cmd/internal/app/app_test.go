package app

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/conf"
	"qianzhi/protocol/gm"
)

// install writes the shipped configuration, specifications and fresh keys into
// a folder, with changes to the configuration's text.
func install(t *testing.T, changes ...string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, b []byte) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"qianzhi.yaml", "links/pos-cup.yaml", "links/bank-fixed.yaml", "links/bank-http.yaml", "links/mis.yaml",
		"calendar/cn.yaml", "statements/bank-lines.yaml", "statements/mis-lines.yaml"} {
		b, err := conf.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "qianzhi.yaml" {
			text := string(b)
			for i := 0; i+1 < len(changes); i += 2 {
				if !strings.Contains(text, changes[i]) {
					t.Fatalf("shipped configuration has no %q", changes[i])
				}
				text = strings.ReplaceAll(text, changes[i], changes[i+1])
			}
			b = []byte(text)
		}
		write(name, b)
	}
	for _, name := range []string{"gateway", "journal", "mis", "bank"} {
		k, err := gm.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		priv, err := gm.MarshalPrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		pub, err := gm.MarshalPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		write("keys/"+name+".key", priv)
		write("keys/"+name+".pub", pub)
	}
	for i, name := range []string{"terminal-master", "mis-session", "journal-seal", "journal-index"} {
		write("keys/"+name+".sm4", []byte(hex.EncodeToString([]byte(strings.Repeat(string(rune('a'+i)), 16)))+"\n"))
	}
	return filepath.Join(dir, "qianzhi.yaml")
}

func prepare(t *testing.T, file string) *Plan {
	t.Helper()
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Prepare(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestShippedConfiguration loads everything that ships as serve would.
func TestShippedConfiguration(t *testing.T) {
	p := prepare(t, install(t))
	if len(p.links) != 3 || p.mis == nil || len(p.hosts) != 1 || len(p.routes) != 1 || len(p.specs) != 2 {
		t.Errorf("got %d links, %d hosts, %d routes, %d statements", len(p.links), len(p.hosts), len(p.routes), len(p.specs))
	}
}

func TestPatience(t *testing.T) {
	c, err := Load(install(t, "timeout: 10s", "timeout: 29s"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Prepare(c, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "timeouts.channel 30s must be longer than the 31s") {
		t.Errorf("got %v", err)
	}
}

func TestRoutesAreChecked(t *testing.T) {
	for _, change := range [][3]string{{"{leg: post, host: mis}", "{leg: gift, host: mis}", `routes[0].legs[0].leg: unknown leg "gift"`},
		{"host: mis}", "host: sim}", `routes[0].legs[0].host: no host "sim"`}, {"links: []", "links: [moon]", `routes[0].links: unknown link "moon"`},
		{"links: [pos, fixed, http]", "links: [pos, moon]", `reconcile.channels[0].links: unknown link "moon"`},
		{"bank: statements/bank-lines.yaml", "bank: statements/absent.yaml", `reconcile.channels[0].bank: open`}} {
		c, err := Load(install(t, change[0], change[1]))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Prepare(c, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), change[2]) {
			t.Errorf("%s: got %v, want %s", change[1], err, change[2])
		}
	}
}

// clockwork is the part of the daemon that lives by the clock: journal, engine
// and scheduler, without doors, so that it runs in a bubble.
func clockwork(t *testing.T, file string) *App {
	t.Helper()
	p := prepare(t, file)
	p.links, p.mis, p.ends, p.Config.Admin.Socket = nil, nil, nil, "" // real sockets do not wait in a bubble
	a, err := p.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func stop(t *testing.T, a *App) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// runs counts the lines of live.log that say a run ended.
func runs(t *testing.T, a *App, day string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(a.plan.Config.Reports(), "live.log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	n := 0
	for _, l := range strings.Split(string(b), "\n") {
		if strings.Contains(l, "QZ900") && strings.Contains(l, "日="+day) {
			n++
		}
	}
	return n
}

// TestNight lets days pass: the day is cut at midnight and reconciled at two,
// once each, and once more when the files that never come are overdue.
func TestNight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := clockwork(t, install(t)) // the clock stands at 2000-01-01 08:00 in Shanghai
		defer stop(t, a)
		if d := a.Journal().Day(); d != 20000101 {
			t.Fatalf("day %s", d)
		}
		time.Sleep(16*time.Hour + time.Second)
		if d := a.Journal().Day(); d != 20000102 {
			t.Errorf("after midnight the day is %s", d)
		}
		time.Sleep(time.Hour + 59*time.Minute)
		if n := runs(t, a, "20000101"); n != 0 {
			t.Errorf("%d runs before two", n)
		}
		time.Sleep(time.Minute)
		if n := runs(t, a, "20000101"); n != 1 {
			t.Errorf("%d runs after two, want 1", n)
		}
		time.Sleep(48 * time.Hour)
		for d, want := range map[string]int{"20000101": 2, "20000102": 2, "20000103": 1} { // at six the files are overdue
			if n := runs(t, a, d); n != want {
				t.Errorf("%s: %d runs, want %d", d, n, want)
			}
		}
	})
}

// TestCatchUp is down at midnight and at two: the start cuts the day and makes
// up for the missed run, once.
func TestCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := install(t)
		stop(t, clockwork(t, file))
		time.Sleep(30 * time.Hour) // 14:00 of the next day
		for range 2 {
			a := clockwork(t, file)
			synctest.Wait()
			if d := a.Journal().Day(); d != 20000102 {
				t.Errorf("day %s", d)
			}
			if n := runs(t, a, "20000101"); n != 1 {
				t.Errorf("%d runs, want 1", n)
			}
			stop(t, a)
		}
	})
}

// TestOrders has people cut and reconcile while the schedule goes on.
func TestOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := clockwork(t, install(t))
		defer stop(t, a)
		if err := a.Cut(t.Context(), 20000102); err != nil {
			t.Fatal(err)
		}
		if err := a.Cut(t.Context(), 20000102); err == nil {
			t.Error("cut twice to one day")
		}
		res, err := a.Reconcile(t.Context(), 20000101)
		if err != nil || len(res) != 1 || res[0].Verdict.Exit() != 3 {
			t.Errorf("got %+v, %v; want one result without its files", res, err)
		}
		time.Sleep(16*time.Hour + time.Minute) // the schedule finds the day cut already
		if d := a.Journal().Day(); d != 20000102 {
			t.Errorf("day %s", d)
		}
	})
}

func TestStackStopsInReverse(t *testing.T) {
	s := newStack(slog.New(slog.DiscardHandler))
	var order []string
	for _, name := range []string{"a", "b", "c"} {
		s.push(task{name: name, run: func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, name)
			return nil
		}})
	}
	if err := s.close(time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, ""); got != "cba" {
		t.Errorf("stopped in the order %s", got)
	}
}

// TestGroupsStopTogether has two listeners each wait for the other to be told.
func TestGroupsStopTogether(t *testing.T) {
	s := newStack(slog.New(slog.DiscardHandler))
	var told sync.WaitGroup
	told.Add(2)
	below := false
	s.push(task{name: "below", run: func(ctx context.Context) error { <-ctx.Done(); below = true; return nil }})
	for range 2 {
		s.push(task{name: "link", group: "links", run: func(ctx context.Context) error {
			<-ctx.Done()
			told.Done()
			told.Wait()
			if below {
				return errors.New("what is below was stopped first")
			}
			return nil
		}})
	}
	if err := s.close(time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestStackNamesWhatDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStack(slog.New(slog.DiscardHandler))
		hung := make(chan struct{})
		s.push(task{name: "hung", run: func(context.Context) error { <-hung; return nil }})
		if err := s.close(time.Minute); err == nil || !strings.Contains(err.Error(), "hung did not stop within 1m0s") {
			t.Errorf("got %v", err)
		}
		close(hung)
	})
}
