package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/frame"
)

const day = pay.Day(20261120)

// books are a journal and the utility's system in one.
type books struct {
	mu      sync.Mutex
	rows    []*pay.Entry // of the day, one row each
	owed    map[string]pay.Amount
	cut     map[string]bool
	fault   error
	follows int
}

func (b *books) Changes(_ context.Context, from Position, yield func(Position, *pay.Entry) bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.follows++
	for i, e := range b.rows {
		if at := (Position{day, uint64(i + 1)}); at.Row > from.Row && !yield(at, e) {
			break
		}
	}
	return b.fault
}

func (b *books) Get(_ context.Context, id pay.ID) (pay.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rows[id.Row-1].Clone(), nil
}

func (b *books) Do(_ context.Context, req *pay.Request) (pay.Reply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil {
		return pay.Reply{}, b.fault
	}
	supply := pay.Field{ID: pay.FState, Val: map[bool]string{true: "停电", false: "正常"}[b.cut[req.Account]]}
	if a := b.owed[req.Account]; a > 0 {
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: a, More: []pay.Field{supply}}, nil
	}
	return pay.Reply{Verdict: pay.Declined, Code: pay.CodeNothingOwed, More: []pay.Field{supply}}, nil
}

func (b *books) paid(account string, state pay.State) *pay.Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := &pay.Entry{ID: pay.ID{Day: day, Row: uint64(len(b.rows) + 1)}, State: state, Changed: start,
		Req: &pay.Request{Op: pay.Pay, Biller: "0512", Account: account, Amount: 10050}}
	b.rows = append(b.rows, e)
	return e
}

var start = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// hook is the utility's web service.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	keys   []string
	bodies []Notice
	answer func(n int, w http.ResponseWriter) // of the n-th delivery, from 1
}

func newHook(t *testing.T) *hook {
	h := &hook{answer: func(int, http.ResponseWriter) {}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		var n Notice
		if err != nil || json.Unmarshal(b, &n) != nil || r.Header.Get("X-Sign") != fmt.Sprint(len(b)) {
			t.Errorf("body %q, signature %q, %v", b, r.Header.Get("X-Sign"), err)
		}
		h.mu.Lock()
		h.keys, h.bodies = append(h.keys, r.Header.Get("Idempotency-Key")), append(h.bodies, n)
		times := len(h.keys)
		h.mu.Unlock()
		h.answer(times, w)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) got() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.keys, " ")
}

// world is a notifier with a clock that stands still.
type world struct {
	*Notifier
	o   Options
	now time.Time
}

func newWorld(t *testing.T, b *books, targets ...Target) *world {
	t.Helper()
	w := &world{now: start}
	for i := range targets {
		x := &targets[i]
		if x.Kind == "" {
			x.Kind = "reconnect"
		}
		x.Timeout, x.Gaps, x.Expire = 10*time.Second, []time.Duration{time.Minute, time.Hour}, 72*time.Hour
	}
	w.o = Options{File: filepath.Join(t.TempDir(), "notify.db"), Node: 1, Source: b, Start: Position{Log: day}, Targets: targets, Poll: time.Millisecond,
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)}
	w.open(t)
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) open(t *testing.T) {
	t.Helper()
	n, err := Open(t.Context(), w.o)
	if err != nil {
		t.Fatal(err)
	}
	w.Notifier = n
}

// crash opens the outbox again as the next process does.
func (w *world) crash(t *testing.T) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w.open(t)
}

func (w *world) round(t *testing.T) {
	t.Helper()
	if err := errors.Join(w.Follow(t.Context()), w.Deliver(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func (w *world) stats(t *testing.T, want string) {
	t.Helper()
	s, err := w.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, x := range s {
		got += fmt.Sprintf("%s waits %d told %d dropped %d lost %d;", x.Target, x.Waiting, x.Told, x.Dropped, x.Lost)
	}
	if got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

func reconnect(b *books, h *hook) Target {
	r := &Reconnect{Node: 1, Books: b, MIS: b, Field: pay.FState, Values: []string{"停电"}}
	return Target{ID: "utility", Pick: Posted("0512"), Judge: r.Judge,
		Sender: NewWebhook(h.URL, http.DefaultTransport, func(b []byte) (string, string, error) { return "X-Sign", fmt.Sprint(len(b)), nil })}
}

func newBooks() *books { return &books{owed: map[string]pay.Amount{}, cut: map[string]bool{}} }

func TestReconnectIsToldOnce(t *testing.T) {
	b, h := newBooks(), newHook(t)
	w := newWorld(t, b, reconnect(b, h))
	b.cut["A"], b.cut["B"], b.owed["B"] = true, true, 1
	b.paid("A", pay.Succ) // cut off, owes nothing
	b.paid("B", pay.Succ) // still owes
	b.paid("C", pay.Succ) // not cut off
	b.paid("D", pay.Fail)
	b.paid("E", pay.Succ).Req.Biller = "0519" // another utility's
	b.rows = append(b.rows, nil)              // a row of no payment
	for range 3 {
		w.round(t)
		w.crash(t)
	}
	if got := h.got(); got != "reconnect-20261120010000000001" {
		t.Errorf("told %s", got)
	}
	if n := h.bodies[0]; n.Account != "A" || n.Amount != 10050 || n.Day != "20261120" || n.Biller != "0512" || !n.At.Equal(start) {
		t.Errorf("got %+v", n)
	}
	w.stats(t, "utility waits 0 told 1 dropped 2 lost 0;")
	if info, err := os.Stat(w.o.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What is not acknowledged is told again under the same key, also by the next
// process.
func TestToldUntilAcknowledged(t *testing.T) {
	b, h := newBooks(), newHook(t)
	w := newWorld(t, b, reconnect(b, h))
	b.cut["A"] = true
	b.paid("A", pay.Succ)
	h.answer = func(n int, rw http.ResponseWriter) {
		switch n {
		case 1:
			rw.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			rw.Header().Set("Location", "/elsewhere")
			rw.WriteHeader(http.StatusFound)
		case 3: // received, but the answer is lost
			nc, _, _ := http.NewResponseController(rw).Hijack()
			nc.Close()
		}
	}
	w.round(t)
	for i, wait := range []time.Duration{time.Minute, time.Hour, time.Hour, time.Hour} {
		due, before := w.now.Add(wait), h.got()
		w.now = due.Add(-1)
		w.round(t)
		if h.got() != before {
			t.Errorf("try %d came early", i+2)
		}
		w.now = due
		w.crash(t)
		w.round(t)
	}
	if got := strings.Fields(h.got()); len(got) != 4 || got[0] != got[3] {
		t.Errorf("told %v", got)
	}
	w.stats(t, "utility waits 0 told 1 dropped 0 lost 0;")
}

// A utility that cannot be asked holds its notice back, and a payment that was
// undone meanwhile is not told.
func TestJudgedWhenTold(t *testing.T) {
	b, h := newBooks(), newHook(t)
	w := newWorld(t, b, reconnect(b, h))
	b.cut["A"], b.cut["B"] = true, true
	b.paid("A", pay.Succ)
	undone := b.paid("B", pay.Succ)
	if err := w.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.fault = &pay.Fault{Code: pay.CodeUnreachable, Err: io.EOF}
	if err := w.Deliver(t.Context()); err != nil || h.got() != "" {
		t.Errorf("told %s, %v", h.got(), err)
	}
	b.fault = nil
	undone.State = pay.Revd
	w.now = w.now.Add(time.Minute)
	w.round(t)
	w.stats(t, "utility waits 0 told 1 dropped 1 lost 0;")
}

func TestGivenUpIsCounted(t *testing.T) {
	b, h := newBooks(), newHook(t)
	w := newWorld(t, b, reconnect(b, h))
	h.answer = func(_ int, rw http.ResponseWriter) { rw.WriteHeader(http.StatusInternalServerError) }
	b.cut["A"] = true
	b.paid("A", pay.Succ)
	w.round(t)
	w.now = w.now.Add(73 * time.Hour)
	w.round(t)
	if got := strings.Fields(h.got()); len(got) != 1 {
		t.Errorf("told %v", got)
	}
	w.stats(t, "utility waits 0 told 0 dropped 0 lost 1;")
}

// refuses counts and fails.
type refuses struct{ n int }

func (r *refuses) Send(context.Context, string, []byte) error { r.n++; return errors.New("no") }

// A receiver that is down keeps nobody else waiting, and alerts take the same
// way.
func TestTargetsAreApart(t *testing.T) {
	b, h := newBooks(), newHook(t)
	down := &refuses{}
	up := reconnect(b, h)
	up.Judge = nil
	w := newWorld(t, b, Target{ID: "down", Pick: Posted(), Sender: down}, up, Target{ID: "duty", Kind: "alert", Sender: up.Sender})
	for range 3 * atOnce {
		b.paid("A", pay.Succ)
	}
	w.round(t)
	for range 2 {
		if err := w.Tell(t.Context(), "duty", Notice{Kind: "alert", Key: "disk-1", Text: "磁盘将满", At: start}); err != nil {
			t.Fatal(err)
		}
	}
	w.round(t)
	w.stats(t, "down waits 192 told 0 dropped 0 lost 0;utility waits 0 told 192 dropped 0 lost 0;duty waits 0 told 1 dropped 0 lost 0;")
	if down.n != 192 {
		t.Errorf("%d tries", down.n)
	}
	for target, key := range map[string]string{"nobody": "x", "duty": ""} {
		if err := w.Tell(t.Context(), target, Notice{Kind: "alert", Key: key}); err == nil {
			t.Errorf("took a notice %q for %s", key, target)
		}
	}
}

// A journal that fails in the middle moves nothing.
func TestPositionMovesWithItsNotices(t *testing.T) {
	b, h := newBooks(), newHook(t)
	w := newWorld(t, b, reconnect(b, h))
	for range batch + 10 {
		b.paid("A", pay.Succ)
	}
	b.fault = errors.New("disk")
	if err := w.Follow(t.Context()); err == nil {
		t.Error("no error")
	}
	if p, err := w.box.position(t.Context()); p.Row != 0 || err != nil {
		t.Errorf("the position moved to %v, %v", p, err)
	}
	b.fault = nil
	if err := w.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := w.box.position(t.Context()); p.Row != batch+10 || err != nil {
		t.Errorf("the position is %v, %v", p, err)
	}
	w.stats(t, fmt.Sprintf("utility waits %d told 0 dropped 0 lost 0;", batch+10))
}

func TestRunDeliversAndEnds(t *testing.T) {
	b, h := newBooks(), newHook(t)
	heard := make(chan struct{}, 10)
	h.answer = func(int, http.ResponseWriter) { heard <- struct{}{} }
	w := newWorld(t, b, reconnect(b, h))
	b.cut["A"] = true
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	b.paid("A", pay.Succ)
	select {
	case <-heard:
	case <-time.After(20 * time.Second):
		t.Error("not told")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSocket(t *testing.T) {
	f, err := frame.New(frame.Options{Length: frame.Length{Kind: "ascii", Bytes: 6, Counts: "body"}, Max: 4096})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		answer string
		want   error
	}{{"000008{\"0000\"}", nil}, {"000008{\"9999\"}", ErrNoAck}, {"000008{\"00", io.EOF}, {"xx", io.EOF}, {"", io.EOF}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan string, 1)
		go func() {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			b := make([]byte, 10)
			io.ReadFull(nc, b)
			got <- string(b)
			for i := range c.answer { // a byte at a time
				nc.Write([]byte{c.answer[i]})
			}
		}()
		s := &Socket{Framer: f, Ack: "0000", Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", ln.Addr().String())
		}}
		err = s.Send(t.Context(), "k", []byte("body"))
		if b := <-got; b != "000004body" {
			t.Errorf("sent %q", b)
		}
		if (c.want == nil) != (err == nil) || c.want == ErrNoAck && !errors.Is(err, ErrNoAck) {
			t.Errorf("%q: got %v, want %v", c.answer, err, c.want)
		}
		ln.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	near, far := net.Pipe()
	defer far.Close()
	go func() { io.ReadFull(far, make([]byte, 10)); cancel() }()
	s := &Socket{Framer: f, Dial: func(context.Context) (net.Conn, error) { return near, nil }}
	if err := s.Send(ctx, "k", []byte("body")); err == nil {
		t.Error("silence is an acknowledgement")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Target{ID: "a", Kind: "k", Sender: &refuses{}, Timeout: 1, Gaps: []time.Duration{1}, Expire: 1}
	bad := good
	bad.Gaps = []time.Duration{0}
	for _, targets := range [][]Target{{{}}, {good, good}, {bad}} {
		o := Options{File: filepath.Join(t.TempDir(), "x"), Source: newBooks(), Poll: 1, Now: time.Now, Log: slog.New(slog.DiscardHandler), Targets: targets}
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("took %+v", targets)
		}
	}
	if _, err := Open(t.Context(), Options{}); err == nil {
		t.Error("took nothing")
	}
}
