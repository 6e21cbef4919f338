package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
)

// boss takes orders and remembers them.
type boss struct {
	mu    sync.Mutex
	cuts  []pay.Day
	notes []string
	acts  []access.Act
	err   error
	deaf  error // of the record

	settled pay.Day
}

func (b *boss) Note(_ context.Context, text string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = append(b.notes, text)
	return b.err
}

func (b *boss) Cut(_ context.Context, next pay.Day) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cuts = append(b.cuts, next)
	return b.err
}

func (b *boss) Apply(_ context.Context, _ pay.Day, channel, item string) (string, error) {
	return channel + item, b.err
}

func (b *boss) Reconcile(context.Context, pay.Day) ([]Run, error) {
	return []Run{{Channel: "B1", Verdict: "平"}}, b.err
}

func (b *boss) Settle(_ context.Context, day pay.Day) ([]Settled, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled = day
	return []Settled{{Host: "posp", Terminal: "60129001", Outcome: "对账平", Balanced: true}}, b.err
}

// Record takes the acts of the same person.
func (b *boss) Record(_ context.Context, a access.Act) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acts = append(b.acts, a)
	return b.deaf
}

type bench struct {
	t      *testing.T
	s      *Server
	boss   boss
	socket string
	mu     sync.Mutex
	status Status
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, socket: filepath.Join(t.TempDir(), "admin.sock")}
	var err error
	b.s, err = New(Options{Socket: b.socket, Listen: "127.0.0.1:0", Control: &b.boss, Audit: &b.boss, Log: slog.New(slog.DiscardHandler),
		Status:  func() Status { b.mu.Lock(); defer b.mu.Unlock(); return b.status },
		Waiting: func(context.Context) ([]Waiting, error) { return nil, nil },
		Samples: func() []Sample {
			return []Sample{{Name: "qianzhi_test_total", Help: "of this test", Counter: true, Value: 7, Labels: [][2]string{{"link", "pos"}}}}
		}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// call asks over the unix socket, or over the loopback address.
func (b *bench) call(unix bool, method, path, body string) (int, string) {
	b.t.Helper()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	host := b.s.Addr()
	if unix {
		host = "daemon"
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", b.socket)
		}
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	res, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestHealth(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		problems []Problem
		want     int
	}{{nil, 200}, {[]Problem{{Part: "host mis", Text: "未连接"}}, 200}, {[]Problem{{Part: "journal", Text: "流水不可写", Fatal: true}}, 503}} {
		b.mu.Lock()
		b.status.Problems = c.problems
		b.mu.Unlock()
		for _, unix := range []bool{true, false} {
			code, text := b.call(unix, http.MethodGet, "/healthz", "")
			if code != c.want || len(c.problems) > 0 && !strings.Contains(text, c.problems[0].Text) {
				t.Errorf("%v: got %d %s", c.problems, code, text)
			}
		}
	}
	b.mu.Lock()
	b.status.Problems = nil
	b.mu.Unlock()
	b.s.Drain()
	if code, _ := b.call(false, http.MethodGet, "/readyz", ""); code != 503 {
		t.Errorf("ready while draining: %d", code)
	}
	if code, _ := b.call(false, http.MethodGet, "/healthz", ""); code != 200 {
		t.Errorf("not healthy while draining: %d", code)
	}
}

func TestMetrics(t *testing.T) {
	b := newBench(t)
	if code, text := b.call(false, http.MethodGet, "/metrics", ""); code != 200 || !strings.Contains(text, `qianzhi_test_total{link="pos"} 7`) {
		t.Errorf("got %d %s", code, text)
	}
}

func TestOrders(t *testing.T) {
	b := newBench(t)
	if code, text := b.call(true, http.MethodPost, "/v1/day/cut", `{"day":"20261121"}`); code != 200 || len(b.boss.cuts) != 1 || b.boss.cuts[0] != 20261121 {
		t.Errorf("got %d %s, %v", code, text, b.boss.cuts)
	}
	if code, text := b.call(true, http.MethodPost, "/v1/recon/run", `{"day":"20261120"}`); code != 200 || !strings.Contains(text, "平") {
		t.Errorf("got %d %s", code, text)
	}
	for _, bad := range []string{"", "{", `{"day":"2026112"}`, `{"day":"20261121","by":"me"}`, `{"day":"20261399"}`} {
		if code, _ := b.call(true, http.MethodPost, "/v1/day/cut", bad); code != http.StatusBadRequest {
			t.Errorf("%q: got %d", bad, code)
		}
	}
	if code, _ := b.call(true, http.MethodPost, "/v1/day/cut", `{"day":"`+strings.Repeat(" ", maxBody)+`"}`); code != http.StatusBadRequest {
		t.Errorf("a body beyond the limit: got %d", code)
	}
	if code, text := b.call(true, http.MethodPost, "/v1/journal/note", `{"text":"导出原文"}`); code != 200 || len(b.boss.notes) != 1 || b.boss.notes[0] != "导出原文" {
		t.Errorf("got %d %s, %v", code, text, b.boss.notes)
	}
	if code, _ := b.call(true, http.MethodPost, "/v1/journal/note", `{"text":""}`); code != http.StatusBadRequest {
		t.Errorf("an empty note: got %d", code)
	}
	if n := len(b.boss.acts); n != 2 || b.boss.acts[0].What != "day.cut" || b.boss.acts[0].By != fmt.Sprintf("os:%d", os.Getuid()) {
		t.Errorf("recorded %+v", b.boss.acts)
	}
	b.boss.deaf = errors.New("journal is full")
	if code, text := b.call(true, http.MethodPost, "/v1/day/cut", `{"day":"20261122"}`); code != http.StatusServiceUnavailable || len(b.boss.cuts) != 1 {
		t.Errorf("an order that could not be recorded: got %d %s, %v", code, text, b.boss.cuts)
	}
	b.boss.deaf = nil
	b.boss.err = errors.New("20261121 is running")
	if code, text := b.call(true, http.MethodPost, "/v1/day/cut", `{"day":"20261121"}`); code != http.StatusConflict || !strings.Contains(text, "is running") {
		t.Errorf("got %d %s", code, text)
	}
	if a := b.boss.acts[len(b.boss.acts)-1]; a.Failed != "20261121 is running" {
		t.Errorf("a failure is recorded as %+v", a)
	}
}

// TestOrdersAreForTheSocketOnly asks the loopback address, which any user of
// the machine can reach.
func TestOrdersAreForTheSocketOnly(t *testing.T) {
	b := newBench(t)
	for _, c := range [][2]string{{http.MethodPost, "/v1/day/cut"}, {http.MethodPost, "/v1/recon/run"}, {http.MethodGet, "/v1/status"}} {
		if code, _ := b.call(false, c[0], c[1], `{"day":"20261121"}`); code != http.StatusNotFound {
			t.Errorf("%s: got %d", c[1], code)
		}
	}
	info, err := os.Stat(b.socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v, %v", info.Mode(), err)
	}
	if len(b.boss.cuts) != 0 {
		t.Error("an order was taken")
	}
}

func TestOnlyLoopback(t *testing.T) {
	o := Options{Socket: filepath.Join(t.TempDir(), "s"), Control: &boss{}, Audit: &boss{}, Status: func() Status { return Status{} }, Samples: func() []Sample { return nil },
		Waiting: func(context.Context) ([]Waiting, error) { return nil, nil },
		Log:     slog.New(slog.DiscardHandler)}
	for _, addr := range []string{"0.0.0.0:0", ":7090", "10.0.0.1:7090", "example.com:1", "nonsense"} {
		o.Listen = addr
		if _, err := New(o); err == nil {
			t.Errorf("%s accepted", addr)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("built without parts")
	}
}
