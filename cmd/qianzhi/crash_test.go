package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/load"
	"qianzhi/gateway/pay"
)

// program starts the real command line in a process of its own.
func program(t *testing.T, out io.Writer, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Args[0] = "qianzhi"
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// acks reads the acknowledgements that the bank's side wrote down. A last line
// that the kill cut short was not written before it counted.
func acks(t *testing.T, dir string) []load.Ack {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "acks.jsonl"))
	if err != nil {
		return nil
	}
	var all []load.Ack
	for s := bufio.NewScanner(bytes.NewReader(b[:bytes.LastIndexByte(b, '\n')+1])); s.Scan(); {
		var a load.Ack
		if err := json.Unmarshal(s.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// TestKill kills the demo with SIGKILL at random moments and starts the daemon
// on what is left: nothing that was acknowledged is missing from journal or
// MIS, nothing is posted twice, nothing stays open; with a MIS that
// deduplicates and with one that does not.
func TestKill(t *testing.T) {
	for _, dedupe := range []bool{true, false} {
		for range 3 {
			seed := rand.Uint64()
			t.Run(fmt.Sprintf("dedupe=%v/seed=%d", dedupe, seed), func(t *testing.T) {
				t.Parallel()
				killOnce(t, seed, dedupe)
			})
		}
	}
}

func killOnce(t *testing.T, seed uint64, dedupe bool) {
	dir := filepath.Join(t.TempDir(), "demo")
	demo := program(t, io.Discard, "demo", "--dir", dir, "--seed", fmt.Sprint(seed), "--dedupe="+fmt.Sprint(dedupe), "--products=false")
	at := rand.New(rand.NewPCG(seed, 9)).IntN(400) + 1
	Until(t, time.Minute, "acknowledgements", func() bool { return len(acks(t, dir)) >= at })
	if err := demo.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = demo.Wait() // killed
	told := acks(t, dir)

	c, err := app.Load(filepath.Join(dir, "qianzhi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := app.Prepare(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	a, err := plan.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	Until(t, time.Minute, "everything settled", func() bool {
		open := 0
		err := a.Journal().OpenEntries(t.Context(), func(pay.Entry) bool { open++; return true })
		return err == nil && open == 0
	})
	compare(t, a, told)
}

// story is the payments of one side by what makes them one and the same.
type story map[string]pay.Entry

func compare(t *testing.T, a *app.App, told []load.Ack) {
	t.Helper()
	ctx := t.Context()
	last := a.Journal().Day()
	var ours pay.Amount
	entries := story{}
	for d := last.Add(-2); d <= last; d = d.Add(1) {
		if !a.Journal().Has(d) {
			continue
		}
		err := a.Journal().Lines(ctx, d, ^uint64(0), func(e *pay.Entry) bool {
			entries[e.Req.Via.Link+"/"+pay.Find(e.Req.More, pay.FTerminal)+"/"+e.Req.Ref.Serial] = e.Clone()
			if n := len(e.Legs); n > 0 && e.Legs[n-1].Kind == pay.LegPost && e.State == pay.Succ { // 公共支付 is not posted
				ours += e.Req.Amount
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var theirs pay.Amount
	effects := map[string]int{}
	for d := last.Add(-2); d <= last.Add(1); d = d.Add(1) {
		err := a.Ledger().Day(ctx, d, func(p mis.Posted) bool {
			if !p.Returned {
				effects[p.Serial]++
				theirs += p.Amount
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, ack := range told {
		e, ok := entries[ack.Link+"/"+ack.Terminal+"/"+ack.Serial]
		want := pay.Succ
		if ack.Reversed {
			want = pay.Revd
		}
		if !ok || e.State != want || e.Req.Amount != ack.Amount || e.ID.Day != ack.Day {
			t.Errorf("acknowledged %+v, the journal has %v %s %+v", ack, ok, e.State, e.ID)
		}
		if n := effects[e.ID.Serial(1)]; (n == 1) == ack.Reversed {
			t.Errorf("acknowledged %+v has %d effects at the MIS", ack, n)
		}
	}
	for serial, n := range effects {
		if n > 1 {
			t.Errorf("payment %s was posted %d times", serial, n)
		}
	}
	if ours != theirs {
		t.Errorf("the journal says %s, the MIS says %s", ours.Yuan(), theirs.Yuan())
	}
	t.Logf("%d acknowledgements, %d payments, %s yuan", len(told), len(entries), ours.Yuan())
}

// TestServeStopsOnSIGTERM runs serve on a demo's folder and ends it politely.
func TestServeStopsOnSIGTERM(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	var out strings.Builder
	if err := program(t, &out, "demo", "--dir", dir, "--seed", "5", "--messages", "200", "--products=false", "--exit").Wait(); err != nil {
		t.Fatalf("demo: %v\n%s", err, out.String())
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	serve := program(t, w, "serve", "--config", filepath.Join(dir, "qianzhi.yaml"))
	w.Close()
	lines := bufio.NewScanner(r)
	for serving := 0; serving < 3 && lines.Scan(); {
		if strings.Contains(lines.Text(), "serving") {
			serving++
		}
	}
	second := program(t, io.Discard, "serve", "--config", filepath.Join(dir, "qianzhi.yaml"))
	if err := second.Wait(); err == nil {
		t.Error("a second daemon started on the same folder")
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, r)
	if err := serve.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
}
