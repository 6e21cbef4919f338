package app

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"qianzhi/adapters/mis"
	client "qianzhi/cmd/internal/control"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
)

// page collects a log.
type page struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *page) has(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.b.String(), text)
}

// house is the whole daemon on loopback with a bank at its fixed link.
type house struct {
	t    *testing.T
	file string
	log  page
	app  *App
	bank *peer.Conn
	owe  []mis.Customer
	n    int
	step atomic.Int64 // nanoseconds by which the wall clock was set
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, file: install(t, "127.0.0.1:7001", "127.0.0.1:0", "127.0.0.1:7002", "127.0.0.1:0", "127.0.0.1:7003", "127.0.0.1:0",
		"127.0.0.1:7100", free(t), `listen: ""`, "listen: "+free(t), "late_window: 30m", "late_window: 10s", "gaps: [1s,", "gaps: [50ms,")}
	h.start()
	t.Cleanup(h.stop)
	var err error
	if h.owe, err = h.app.Ledger().Seed(t.Context(), rand.New(rand.NewPCG(1, 1)), 50); err != nil {
		t.Fatal(err)
	}
	return h
}

// free is a loopback address that nobody listens on.
func free(t *testing.T) string {
	ln := bankListener(t)
	ln.Close()
	return ln.Addr().String()
}

func (h *house) start() {
	h.t.Helper()
	c, err := Load(h.file)
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := Prepare(c, slog.New(slog.NewTextHandler(&h.log, nil)))
	if err != nil {
		h.t.Fatal(err)
	}
	p.wall = func() time.Time { return time.Now().Add(time.Duration(h.step.Load())) }
	if h.app, err = p.Start(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	h.bank = peer.Dial(p.links[1].dialect, h.app.Addr("fixed"))
}

func (h *house) stop() {
	if h.app == nil {
		return
	}
	if err := h.bank.Close(); err != nil {
		h.t.Error(err)
	}
	if err := h.app.Close(); err != nil {
		h.t.Error(err)
	}
	h.app = nil
}

// until waits for a condition that the daemon brings about.
func (h *house) until(what string, cond func() bool) {
	h.t.Helper()
	end := time.NewTimer(30 * time.Second)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-end.C:
			h.t.Fatalf("%s: not within 30 s; %+v", what, h.app.Status().Problems)
		}
	}
}

func (h *house) request(op pay.Op) *pay.Request {
	h.n++
	return &pay.Request{Op: op, Day: pay.DayOf(time.Now()), Ref: pay.Ref{Kind: op.Kind(), Serial: fmt.Sprintf("%012d", h.n)}, More: []pay.Field{
		{ID: pay.FSenderTime, Val: "101010"}, {ID: pay.FBranch, Val: "512001"}, {ID: pay.FOperator, Val: "K1"}}}
}

// sale pays everything that customer i owes.
func (h *house) sale(i int) *pay.Request {
	r := h.request(pay.Pay)
	r.Account, r.Bills = h.owe[i].Account, h.owe[i].Bills
	for _, b := range r.Bills {
		r.Amount += b.Amount
	}
	return r
}

func (h *house) ask(r *pay.Request) (pay.Reply, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), 3*time.Second)
	defer cancel()
	return h.bank.Do(ctx, r, peer.Sound)
}

// paid repeats a payment until it is approved.
func (h *house) paid(r *pay.Request) {
	h.t.Helper()
	h.until("payment "+r.Ref.Serial, func() bool {
		rep, err := h.ask(r)
		if err == nil && rep.Verdict == pay.Declined {
			h.t.Fatalf("%s: %s", r.Ref.Serial, rep.Code)
		}
		return err == nil && rep.Verdict == pay.Approved
	})
}

// get reads a page of the loopback door.
func (h *house) get(path string) (int, string) {
	res, err := (&http.Client{Timeout: 5 * time.Second}).Get("http://" + h.app.admin.Addr() + path)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// trouble takes the daemon through something wrong with its disk: while it lasts
// the payment is not refused finally, health, metrics and log say what is the
// matter, and when it is over everything goes on by itself, with nothing lost.
func (h *house) trouble(begin, end func(log string)) {
	t := h.t
	t.Helper()
	first, second := h.sale(0), h.sale(1)
	h.paid(first)
	if code, text := h.get("/healthz"); code != http.StatusOK {
		t.Fatalf("before: %d %s", code, text)
	}
	log := filepath.Join(h.app.plan.Config.data("journal"), h.app.Journal().Day().String()+".db")
	begin(log)
	told := make(chan pay.Reply, 1)
	go func() {
		rep, _ := h.ask(second) // no answer is an answer too
		told <- rep
	}()
	h.until("health", func() bool {
		code, text := h.get("/healthz")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "流水不可写")
	})
	h.until("metrics", func() bool {
		_, text := h.get("/metrics")
		return strings.Contains(text, "\nqianzhi_up 0\n") && strings.Contains(text, "\nqianzhi_journal_writable 0\n")
	})
	h.until("log", func() bool { return h.log.has("event=QZ205") })
	if rep := <-told; rep.Verdict != pay.Unknown {
		t.Errorf("told %s %s while the journal cannot be written", rep.Verdict, rep.Code)
	}
	end(log)
	h.until("recovery", func() bool {
		code, _ := h.get("/healthz")
		return code == http.StatusOK && h.log.has("event=QZ206")
	})
	h.paid(second)
	h.paid(first) // a repeat
	if _, text := h.get("/metrics"); !strings.Contains(text, "\nqianzhi_up 1\n") {
		t.Errorf("metrics after it: %s", text)
	}
	h.stop()
	h.start()
	h.paid(second)
	if _, err := h.app.Journal().Verify(t.Context(), h.app.Journal().Day()); err != nil {
		t.Error(err)
	}
	h.once(first, second)
}

// once wants each payment posted exactly once.
func (h *house) once(sales ...*pay.Request) {
	h.t.Helper()
	posted := map[string]int{}
	if err := h.app.Ledger().Day(h.t.Context(), h.app.Journal().Day(), func(p mis.Posted) bool { posted[p.Account]++; return true }); err != nil {
		h.t.Error(err)
	}
	for _, s := range sales {
		if posted[s.Account] != 1 {
			h.t.Errorf("%s: posted %d times", s.Ref.Serial, posted[s.Account])
		}
	}
}

// TestDaemonOnAFullDisk lets no file of the process grow.
func TestDaemonOnAFullDisk(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var whole syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &whole); err != nil {
		t.Fatal(err)
	}
	limit := func(l syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
	}
	h := newHouse(t)
	defer limit(whole)
	grow := func(bytes int, wait bool) error {
		return h.app.Journal().Note(t.Context(), &pay.Note{Kind: pay.EvAdmin, Text: strings.Repeat("x", bytes)}, wait)
	}
	for range 4 { // so that the log is larger than the limit, and other files, the test tool's among them, are not
		if err := grow(3<<20, true); err != nil {
			t.Fatal(err)
		}
	}
	h.trouble(func(string) {
		limit(syscall.Rlimit{Cur: 8 << 20, Max: whole.Max})
		h.until("a commit that fails", func() bool { return grow(256<<10, false) != nil })
	}, func(string) { limit(whole) })
}

// TestDaemonOnALockedDatabase has somebody else hold the write lock of the log.
func TestDaemonOnALockedDatabase(t *testing.T) {
	var other *sql.DB
	var lock *sql.Tx
	newHouse(t).trouble(func(log string) {
		var err error
		if other, err = sql.Open("sqlite3", log+"?_txlock=immediate"); err == nil {
			lock, err = other.Begin()
		}
		if err != nil {
			t.Fatal(err)
		}
	}, func(string) {
		if err := errors.Join(lock.Rollback(), other.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDaemonOnACorruptTail changes the last row of the log between two runs, as
// a torn write does: it is cut off and kept aside, the payment that it belonged
// to is settled anew, and everybody can see what happened.
func TestDaemonOnACorruptTail(t *testing.T) {
	h := newHouse(t)
	first, last := h.sale(0), h.sale(1)
	h.paid(first)
	h.paid(last)
	day, dir := h.app.Journal().Day(), h.app.plan.Config.data("journal")
	h.stop()
	if err := os.Remove(filepath.Join(dir, day.String()+".sig")); err != nil { // they were written after the row
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", filepath.Join(dir, day.String()+".db"))
	if err == nil {
		_, err = db.Exec("UPDATE event SET body = x'00' WHERE row = (SELECT max(row) FROM event)")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	h.start()
	code, text := h.get("/healthz")
	if code != http.StatusOK || !strings.Contains(text, "尾部损坏") || !h.log.has("event=QZ204") {
		t.Errorf("health %d %s", code, text)
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, day.String()+"*damaged*")); len(aside) == 0 {
		t.Error("nothing was kept aside")
	}
	h.paid(last)
	h.paid(first)
	h.paid(h.sale(2))
	if _, err := h.app.Journal().Verify(t.Context(), day); err != nil {
		t.Error(err)
	}
}

// TestDaemonWhoseClockIsSet sets the clock back an hour under the daemon, once
// within a day and once to before the day was cut, and starts it again on that
// clock: payments go on in the day that is open, repeats are known, rows stay in
// order, and everybody is told until the clock has caught up.
func TestDaemonWhoseClockIsSet(t *testing.T) {
	for name, at := range map[string]time.Duration{"by day": 12*time.Hour + 30*time.Minute, "over midnight": 30 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			now := h.app.plan.now()
			y, m, d := now.Date()
			ahead := time.Date(y, m, d+1, 0, 0, 0, 0, now.Location()).Add(at).Sub(now)
			h.step.Store(int64(ahead))
			h.until("the cut", func() bool { return h.app.Journal().Day() == pay.DayOf(now.Add(ahead)) })
			h.setBack(ahead)
		})
	}
}

func (h *house) setBack(ahead time.Duration) {
	day := h.app.Journal().Day()
	first, second, third := h.sale(0), h.sale(1), h.sale(2)
	h.paid(first)
	h.step.Store(int64(ahead - time.Hour))
	h.paid(second)
	told := func() bool {
		code, text := h.get("/healthz")
		return code == http.StatusOK && strings.Contains(text, "系统时钟比最后一行流水慢")
	}
	h.until("health", told)
	h.until("log", func() bool { return h.log.has("event=QZ207") })
	h.stop()
	h.start()
	h.until("health after a start", told)
	h.paid(third)
	h.paid(second)
	h.paid(first)
	h.step.Store(int64(ahead))
	h.paid(h.sale(3)) // the first row behind the clock again
	h.until("recovery", func() bool { return !told() && h.log.has("event=QZ208") })
	if d := h.app.Journal().Day(); d != day {
		h.t.Errorf("the day is %s, it was %s", d, day)
	}
	if _, err := h.app.Journal().Verify(h.t.Context(), day); err != nil {
		h.t.Error(err)
	}
	h.once(first, second, third)
}

// TestNoteBesideTheDaemon has the command line leave its note in the journal of
// the daemon that runs, and open no journal of its own.
func TestNoteBesideTheDaemon(t *testing.T) {
	h := newHouse(t)
	c := client.New(h.app.plan.Config.Socket())
	if err := c.Note(t.Context(), "导出原文"); err != nil {
		t.Fatal(err)
	}
	rd, err := sqlite.New(h.app.plan.Config.data("journal")).Reader(t.Context(), h.app.Journal().Day())
	if err != nil {
		t.Fatal(err)
	}
	notes := 0
	if err := rd.Read(t.Context(), journal.Range{Narrow: true}, func(r *journal.Row) bool {
		if r.Kind == pay.EvAdmin {
			notes++
		}
		return true
	}); err != nil || notes != 1 {
		t.Errorf("%d notes, %v", notes, err)
	}
	if err := rd.Close(); err != nil {
		t.Error(err)
	}
	st, err := c.Status(t.Context())
	if err != nil || st.Phase != "trading" || st.Next <= st.Day || st.CutAt.Before(time.Now()) {
		t.Errorf("%+v %v", st, err)
	}
}

// TestJournalProblems says each thing that may be wrong, and only the one that
// stops payments is fatal.
func TestJournalProblems(t *testing.T) {
	for _, c := range []struct {
		s    journal.Stats
		want string
	}{
		{journal.Stats{}, "[]"}, {journal.Stats{ClockBehind: time.Millisecond, IndexLag: 8191}, "[]"},
		{journal.Stats{Down: true, LastError: "disk full"}, "[{journal 流水不可写: disk full true}]"},
		{journal.Stats{ClockBehind: time.Hour}, "[{journal 系统时钟比最后一行流水慢 1h0m0s false}]"},
		{journal.Stats{Unindexed: 2}, "[{journal 2 个已日切的流水尚无索引, 查找较慢 false}]"},
		{journal.Stats{IndexLag: lagging + 1}, "[{journal 今日流水有 524289 行尚未索引, 查找较慢 false}]"},
	} {
		if got := fmt.Sprint(append([]admin.Problem{}, journalProblems(c.s)...)); got != c.want {
			t.Errorf("%+v: %s, want %s", c.s, got, c.want)
		}
	}
}
