package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/gateway"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

const today = pay.Day(20000101) // where a bubble's clock starts

// wire is the network between the gateway and the real ledger of the embedded
// MIS. It loses and holds back what a test tells it to.
type wire struct {
	ledger gateway.Handler

	mu           sync.Mutex
	loseRequests int           // of postings
	loseReplies  int           // of postings
	refuse       pay.Code      // postings are declined with this
	deaf         bool          // nothing arrives at all
	unreachable  bool          // and that is known at once
	hold         chan struct{} // replies to postings wait for it
	explode      bool
	calls        map[pay.Op]int
}

func (w *wire) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	w.mu.Lock()
	w.calls[req.Op]++
	posting := req.Op == pay.Pay
	lostRequest := w.deaf || posting && w.loseRequests > 0
	lostReply := posting && !lostRequest && w.loseReplies > 0
	if lostRequest && posting {
		w.loseRequests--
	}
	if lostReply {
		w.loseReplies--
	}
	refuse, hold, unreachable, explode := w.refuse, w.hold, w.unreachable, w.explode
	w.mu.Unlock()
	switch {
	case explode:
		panic("adapter bug")
	case unreachable:
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnreachable, Err: errors.New("refused")}
	case posting && refuse != pay.CodeUnknown:
		return pay.Answer(pay.Declined, refuse), nil
	case lostRequest:
		return silence(ctx)
	}
	rep := w.ledger.Do(ctx, req)
	if posting && hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return silence(ctx)
		}
	}
	if lostReply {
		return silence(ctx)
	}
	return rep, nil
}

func silence(ctx context.Context) (pay.Reply, error) {
	<-ctx.Done()
	return pay.Reply{}, &pay.Fault{Sent: true, Err: ctx.Err()}
}

func (w *wire) set(f func(*wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

func (w *wire) count(op pay.Op) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[op]
}

// world is a gateway with its real journal and the real ledger behind it.
type world struct {
	t         *testing.T
	dir       string
	signer    *gm.PrivateKey
	ledger    *mis.Ledger
	wire      *wire
	customers []mis.Customer
	host      *gateway.Host
	policy    gateway.Policy

	journal *journal.Journal
	engine  *gateway.Engine
	route   *gateway.Route
	beside  gateway.Routes // routes beside route, from the next start on
	locked  pay.Day        // under reconciliation
	steps   []gateway.Step // of route, from the next start on; nil: a posting
	stop    func()
}

func newWorld(t *testing.T, dedupe bool) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), policy: gateway.Policy{Gaps: []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, time.Minute},
		Tries: 8, Due: func(now time.Time) time.Time { return now.Add(time.Hour) }, Owner: "值班", Workers: 4}}
	var err error
	if w.signer, err = gm.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	if w.ledger, err = mis.Open(mis.Options{File: filepath.Join(t.TempDir(), "mis.db"), Dedupe: dedupe, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	if w.customers, err = w.ledger.Seed(context.Background(), rand.New(rand.NewPCG(1, 1)), 10); err != nil {
		t.Fatal(err)
	}
	w.wire = &wire{ledger: w.ledger, calls: map[pay.Op]int{}}
	w.host = &gateway.Host{ID: "mis", Adapter: w.wire, Timeout: 10 * time.Second, LateWindow: time.Minute, Status: true, Dedupe: dedupe, UndoMarks: true, UndoTells: true}
	w.start()
	return w
}

// start opens the journal, recovers and runs, as the daemon does.
func (w *world) start() {
	w.t.Helper()
	key := make([]byte, 16)
	j, err := journal.Open(context.Background(), sqlite.New(w.dir), journal.Options{Dir: w.dir, Node: 1, DupDays: 2, MaxPending: 1000, KEK: key, IndexKey: key,
		Signer: w.signer, Now: time.Now}, today)
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = j
	w.route = &gateway.Route{ID: "all", Prefix: "0512", Steps: []gateway.Step{{Kind: pay.LegPost, Host: w.host}}, Ask: w.host, InFlight: 4}
	if w.steps != nil {
		w.route.Steps = w.steps
	}
	w.engine = gateway.New(gateway.Options{Journal: j, Batches: j, Refused: j, Routes: append(gateway.Routes{w.route}, w.beside...), Node: 1, Today: j.Day, Now: time.Now, Reconciling: func(d pay.Day) bool { return d == w.locked },
		Log: slog.New(slog.DiscardHandler), Policy: w.policy})
	ctx, cancel := context.WithCancel(context.Background())
	jctx, jcancel := context.WithCancel(context.Background())
	var engine, book sync.WaitGroup
	book.Go(func() {
		if err := j.Run(jctx); err != nil {
			w.t.Error(err)
		}
	})
	var open []pay.Entry
	if err := j.OpenEntries(ctx, func(e pay.Entry) bool { open = append(open, e); return true }); err != nil {
		w.t.Fatal(err)
	}
	if err := w.engine.Resolver().Recover(ctx, open); err != nil {
		w.t.Fatal(err)
	}
	engine.Go(func() {
		if err := w.engine.Resolver().Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	w.stop = sync.OnceFunc(func() {
		cancel()
		engine.Wait()
		jcancel()
		book.Wait()
	})
}

func (w *world) close() {
	w.stop()
	if err := w.ledger.Close(); err != nil {
		w.t.Error(err)
	}
}

// restart stops everything and starts on the same files.
func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

func owed(c mis.Customer) (a pay.Amount) {
	for _, b := range c.Bills {
		a += b.Amount
	}
	return a
}

// sale is a payment of everything customer i owes, as the link named by funds
// would deliver it.
func (w *world) sale(serial string, i int, funds pay.Funds) *pay.Request {
	c := w.customers[i]
	return &pay.Request{Ref: pay.Ref{Institution: "301", Kind: pay.KindPay, Scope: "T1", Serial: serial}, Op: pay.Pay, Account: c.Account, Amount: owed(c),
		Bills: c.Bills, Via: &pay.Via{Link: "pos", Funds: funds, At: time.Now()}}
}

// undo is the reversal of a sale; like a terminal's it carries its serial.
func undo(sale *pay.Request) *pay.Request {
	orig := sale.Ref
	r := &pay.Request{Ref: sale.Ref, Op: pay.Reverse, Account: sale.Account, Amount: sale.Amount, Original: &orig, Via: sale.Via}
	r.Ref.Kind = pay.KindReverse
	return r
}

func status(sale *pay.Request) *pay.Request {
	orig := sale.Ref
	return &pay.Request{Ref: pay.Ref{Institution: "301", Serial: "Q" + sale.Ref.Serial}, Op: pay.Status, Original: &orig, Via: sale.Via}
}

func (w *world) do(req *pay.Request) pay.Reply {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return w.engine.Do(ctx, req)
}

func (w *world) expect(req *pay.Request, v pay.Verdict, c pay.Code) pay.Reply {
	w.t.Helper()
	rep := w.do(req)
	if rep.Verdict != v || rep.Code != c {
		w.t.Errorf("%s %s: got %s/%s, want %s/%s", req.Op, req.Ref.Serial, rep.Verdict, rep.Code, v, c)
	}
	return rep
}

// entry reads the payment as the journal has it.
func (w *world) entry(req *pay.Request) pay.Entry {
	w.t.Helper()
	e, ok, err := w.journal.Find(context.Background(), req.Ref)
	if err != nil || !ok {
		w.t.Fatalf("payment %s: found %v, %v", req.Ref.Serial, ok, err)
	}
	return e
}

func (w *world) state(req *pay.Request, want pay.State) {
	w.t.Helper()
	if got := w.entry(req).State; got != want {
		w.t.Errorf("%s is %s, want %s", req.Ref.Serial, got, want)
	}
}

// effects returns how many payments of the account count at the MIS.
func (w *world) effects(req *pay.Request) int {
	w.t.Helper()
	n := 0
	for _, d := range []pay.Day{today, today.Add(1)} {
		err := w.ledger.Day(context.Background(), d, func(p mis.Posted) bool {
			if p.Account == req.Account && !p.Returned {
				n++
			}
			return true
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return n
}

func (w *world) posted(req *pay.Request, want int) {
	w.t.Helper()
	if got := w.effects(req); got != want {
		w.t.Errorf("%s: %d effects at the MIS, want %d", req.Ref.Serial, got, want)
	}
}
