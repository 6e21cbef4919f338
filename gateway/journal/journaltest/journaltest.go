// Package journaltest is the contract of the journal, run against every store:
// identity, days, recovery from failures, proof. A store passes when Run does.
package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// Make opens the store that keeps its logs in dir. It is called again with the
// same dir after every restart.
type Make func(t testing.TB, dir string) journal.Store

// Run runs the whole contract.
func Run(t *testing.T, make Make) {
	for name, tests := range map[string]map[string]func(*testing.T, *Bench){
		"identity": identityTests, "days": dayTests, "failures": failureTests, "proof": proofTests, "load": loadTests, "search": searchTests,
	} {
		for test, f := range tests {
			t.Run(name+"/"+test, func(t *testing.T) { f(t, NewBench(t, make)) })
		}
	}
	t.Run("property", func(t *testing.T) { property(t, make) })
}

// Today is the day on which a Bench begins.
const Today pay.Day = 20261124

// Bench is a journal with everything that belongs to it. Its clock moves a
// millisecond each time it is read.
type Bench struct {
	*journal.Journal
	T       testing.TB
	Options journal.Options
	Store   journal.Store

	make   Make
	clock  clock
	cancel context.CancelFunc
	done   chan error
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	return c.at
}

// step moves the clock, backwards for negative d.
func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// signer is one key for all benches: making one takes longer than a test.
var signer = sync.OnceValues(gm.GenerateKey)

// NewBench opens a new journal, which runs until the test ends.
func NewBench(t testing.TB, make Make) *Bench {
	b := newBench(t, make, t.TempDir())
	t.Cleanup(b.stopped)
	return b
}

func newBench(t testing.TB, make Make, dir string) *Bench {
	t.Helper()
	key, err := signer()
	if err != nil {
		t.Fatal(err)
	}
	b := &Bench{T: t, make: make, clock: clock{at: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}}
	b.Options = journal.Options{Dir: dir, Node: 1, DupDays: 2, MaxPending: 10000, KEK: []byte("0123456789abcdef"),
		IndexKey: []byte("fedcba9876543210"), Signer: key, Now: b.clock.now, SnapRows: 7, SegmentRows: 3}
	b.Store = make(t, dir)
	b.Start()
	return b
}

// Start opens the journal and runs it.
func (b *Bench) Start() {
	b.T.Helper()
	j, err := journal.Open(b.T.Context(), b.Store, b.Options, Today)
	if err != nil {
		b.T.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.Journal, b.cancel, b.done = j, cancel, make(chan error, 1)
	go func() { b.done <- j.Run(ctx) }()
}

// Stop ends the journal in good order.
func (b *Bench) Stop() {
	b.T.Helper()
	b.cancel()
	if err := <-b.done; err != nil {
		b.T.Fatalf("run: %v", err)
	}
	b.done = nil
}

// Restart stops the journal and opens it again with a new store.
func (b *Bench) Restart() {
	b.T.Helper()
	b.Stop()
	b.Store = b.make(b.T, b.Options.Dir)
	b.Start()
}

func (b *Bench) stopped() {
	if b.done != nil {
		b.cancel()
		<-b.done
	}
}

// cut cuts to the day n days on.
func (b *Bench) cut(n int) {
	b.T.Helper()
	if err := b.Cut(b.T.Context(), b.Day().Add(n)); err != nil {
		b.T.Fatalf("cut: %v", err)
	}
}

// sale is a payment of 100 yuan with the given serial.
func sale(serial string) *pay.Request {
	return &pay.Request{Ref: pay.Ref{Institution: "0102", Kind: pay.KindPay, Scope: "T1/000001", Serial: serial}, Op: pay.Pay,
		Biller: "32401", Account: "320000" + serial, Amount: 10000,
		Bills: []pay.Bill{{ID: "B" + serial, Month: "202610", Amount: 10000, Principal: 9900, Penalty: 100}},
		More:  []pay.Field{{ID: pay.FTerminal, Val: "T1"}, {ID: pay.FPAN, Val: "6222021234567890123"}, {ID: pay.FName, Val: "张三"}},
		Via:   &pay.Via{Link: "pos", Peer: "10.0.0.1:4000", Funds: pay.Untaken, Raw: []byte("raw " + serial), Digest: [32]byte{1, 2, 3}}}
}

// reversal is the 冲正 of a sale, under the sale's own serial.
func reversal(of *pay.Request) *pay.Request {
	ref := of.Ref
	ref.Kind = pay.KindReverse
	orig := of.Ref
	return &pay.Request{Ref: ref, Op: pay.Reverse, Biller: of.Biller, Account: of.Account, Amount: of.Amount, Original: &orig, Via: of.Via}
}

var post = []pay.LegKind{pay.LegPost}

func intent(req *pay.Request) *pay.Intent {
	in := &pay.Intent{Req: req, Legs: post}
	if req.Op == pay.Reverse {
		in.Legs = nil
	}
	return in
}

// begin begins and wants a finding.
func (b *Bench) begin(in *pay.Intent, want pay.Seen) pay.Entry {
	b.T.Helper()
	e, seen, err := b.Begin(b.T.Context(), in)
	if err != nil || seen != want {
		b.T.Fatalf("begin %s: got seen %d, error %v, want seen %d", in.Req.Ref.Serial, seen, err, want)
	}
	return e
}

// new begins a sale.
func (b *Bench) new(serial string) pay.Entry {
	b.T.Helper()
	return b.begin(intent(sale(serial)), pay.SeenNew)
}

// add appends events behind the entry and folds them into it.
func (b *Bench) add(e *pay.Entry, evs ...pay.Event) {
	b.T.Helper()
	if err := b.Append(b.T.Context(), e.ID, e.N, evs...); err != nil {
		b.T.Fatalf("append to %v: %v", e.ID, err)
	}
	*e = b.get(e.ID)
}

func (b *Bench) get(id pay.ID) pay.Entry {
	b.T.Helper()
	e, err := b.Get(b.T.Context(), id)
	if err != nil {
		b.T.Fatalf("get %v: %v", id, err)
	}
	return e
}

func (b *Bench) open() []pay.Entry {
	b.T.Helper()
	var all []pay.Entry
	if err := b.OpenEntries(b.T.Context(), func(e pay.Entry) bool { all = append(all, e); return true }); err != nil {
		b.T.Fatalf("open entries: %v", err)
	}
	return all
}

// lines returns the payments of a day as of a freeze, by name.
func (b *Bench) lines(day pay.Day, freeze uint64) map[pay.ID]pay.Entry {
	b.T.Helper()
	all := map[pay.ID]pay.Entry{}
	err := b.Lines(b.T.Context(), day, freeze, func(e *pay.Entry) bool {
		if _, twice := all[e.ID]; twice {
			b.T.Errorf("lines of %s: %v twice", day, e.ID)
		}
		all[e.ID] = *e
		return true
	})
	if err != nil {
		b.T.Fatalf("lines of %s: %v", day, err)
	}
	return all
}

func (b *Bench) freeze(day pay.Day) uint64 {
	b.T.Helper()
	at, err := b.Freeze(b.T.Context(), day)
	if err != nil {
		b.T.Fatalf("freeze %s: %v", day, err)
	}
	return at
}

// verify proves every log.
func (b *Bench) verify() {
	b.T.Helper()
	days, err := b.Store.Days(b.T.Context())
	if err != nil {
		b.T.Fatal(err)
	}
	for _, d := range days {
		if _, err := b.Verify(b.T.Context(), d); err != nil {
			b.T.Errorf("verify %s: %v", d, err)
		}
	}
}

// Outcomes of a leg, as events.
var (
	succeeded = pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone, Code: pay.CodeOK, Host: "MIS1"}
	refused   = pay.Event{Kind: pay.EvResult, State: pay.Fail, LegIs: pay.LegRefused, Code: pay.CodeNothingOwed}
	unknown   = pay.Event{Kind: pay.EvResult, State: pay.Unkn, LegIs: pay.LegUnknown}
	reversing = pay.Event{Kind: pay.EvState, State: pay.Revp}
	reversed  = pay.Event{Kind: pay.EvResult, State: pay.Revd, LegIs: pay.LegUndone, Code: pay.CodeReversed}
	parked    = pay.Event{Kind: pay.EvState, State: pay.Susp, Note: "挂账"}
)

// same compares two entries, times by instant.
func same(a, b *pay.Entry) error {
	x, y := *a, *b
	x.Req, y.Req = nil, nil
	if s, u := fmt.Sprintf("%+v", x), fmt.Sprintf("%+v", y); s != u {
		return fmt.Errorf("%s\nis not %s", s, u)
	}
	if s, u := describe(a.Req), describe(b.Req); s != u {
		return fmt.Errorf("%s\nis not %s", s, u)
	}
	return nil
}

func describe(r *pay.Request) string {
	q := *r
	via, orig := "", ""
	if q.Via != nil {
		via = fmt.Sprintf("%+v", *q.Via)
	}
	if q.Original != nil {
		orig = fmt.Sprintf("%+v", *q.Original)
	}
	q.Via, q.Original = nil, nil
	return fmt.Sprintf("%+v %s %s", q, via, orig)
}

// isBroken returns the finding of Verify.
func isBroken(err error) *journal.Broken {
	var b *journal.Broken
	if errors.As(err, &b) {
		return b
	}
	return nil
}
