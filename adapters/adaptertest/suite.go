// Package adaptertest holds every adapter to one contract: what it may conclude
// from an answer, and from none. The counterparty is real at the socket; what
// goes wrong on the way is done by a proxy to the bytes of a connection.
package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/pay"
)

// Adapter is what is tested. Do works while Run runs.
type Adapter interface {
	Do(ctx context.Context, req *pay.Request) (pay.Reply, error)
	Run(ctx context.Context) error
}

// Subject is an adapter with its counterparty.
type Subject struct {
	// Serve is the far side: it answers payments of Good and Bad until ctx ends.
	// Nil: Target is used.
	Serve func(ctx context.Context, ln net.Listener, books *Books) error
	// Target is the address of a far side that runs already.
	Target string
	// New builds the adapter, which dials addr; late takes late answers.
	New func(addr string, late func(pay.Op, pay.Reply)) (Adapter, error)
	// Count returns how often a payment was executed; nil: the books do.
	Count func(serial string) int
	// Hits tells the reply that a fault befalls among all that arrive; nil: the
	// first.
	Hits func(reply []byte) bool
	// Tamper changes a reply so that its proof no longer fits; nil: the last bit.
	Tamper func(reply []byte)
	// Dress adds to a payment what the counterparty needs to see; nil: nothing.
	Dress func(req *pay.Request)
	// Skip names the cases that cannot apply, with the reason.
	Skip map[string]string
}

// bench is one case at work.
type bench struct {
	t     *testing.T
	a     Adapter
	p     *Proxy
	books *Books
	count func(string) int
	dress func(*pay.Request)
	late  chan lateReply
	n     int
}

type lateReply struct {
	op  pay.Op
	rep pay.Reply
}

// Cases are the names of the contract's cases.
func Cases() []string {
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

var cases = []struct {
	name string
	run  func(*bench)
}{
	{"approve", approve}, {"decline", decline}, {"slow", slow}, {"late answer", lateAnswer}, {"cut before send", cutBefore},
	{"cut after send", cutAfter}, {"garbage", garbage}, {"wrong MAC", wrongMAC}, {"duplicate answer", duplicate},
	{"out of order", outOfOrder}, {"two segments", segments}, {"reconnect", reconnect},
}

// Run runs the contract.
func Run(t *testing.T, s Subject) {
	for name, why := range s.Skip {
		if !slices.Contains(Cases(), name) || why == "" {
			t.Errorf("skip: %q: want a case and a reason", name)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if why := s.Skip[c.name]; why != "" {
				t.Skipf("cannot apply: %s", why)
			}
			c.run(start(t, &s))
		})
	}
}

// start brings up far side, proxy and adapter until the case ends.
func start(t *testing.T, s *Subject) *bench {
	t.Helper()
	b := &bench{t: t, books: NewBooks(), late: make(chan lateReply, 100), dress: s.Dress}
	if b.count = s.Count; b.count == nil {
		b.count = b.books.Count
	}
	target := s.Target
	if s.Serve != nil {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		target = ln.Addr().String()
		running(t, func(ctx context.Context) error { return s.Serve(ctx, ln, b.books) })
	}
	var err error
	if b.p, err = NewProxy(target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.p.Stop)
	if s.Hits != nil {
		b.p.hits = s.Hits
	}
	if s.Tamper != nil {
		b.p.tamper = s.Tamper
	}
	if b.a, err = s.New(b.p.Addr(), func(op pay.Op, rep pay.Reply) { b.late <- lateReply{op, rep} }); err != nil {
		t.Fatal(err)
	}
	running(t, b.a.Run)
	return b
}

// running runs what runs until the test ends.
func running(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

const (
	patient   = 20 * time.Second       // for what must come
	impatient = 500 * time.Millisecond // for what must not
)

// sale is a payment that no other is like.
func (b *bench) sale(account string) *pay.Request {
	b.n++
	req := &pay.Request{Op: pay.Pay, Day: 20261120, Account: account, Amount: 10050 + pay.Amount(b.n),
		Ref:   pay.Ref{Kind: pay.KindPay, Serial: fmt.Sprintf("%s01%010d", time.Now().Format("20060102"), time.Now().UnixNano()%1e9*10+int64(b.n))},
		Bills: []pay.Bill{{ID: "B1"}}, More: []pay.Field{{ID: pay.FChannel, Val: "pos"}}}
	if b.dress != nil {
		b.dress(req)
	}
	return req
}

func (b *bench) ask(req *pay.Request, within time.Duration) (pay.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	rep, err := b.a.Do(ctx, req)
	var f *pay.Fault
	if err != nil && !errors.As(err, &f) {
		b.t.Fatalf("%v is no fault", err)
	}
	return rep, err
}

// good asks for a payment that is to be approved and checks the answer.
func (b *bench) good() {
	b.t.Helper()
	req := b.sale(Good)
	rep, err := b.ask(req, patient)
	b.approved(req, rep, err)
}

func (b *bench) approved(req *pay.Request, rep pay.Reply, err error) {
	b.t.Helper()
	if err != nil || rep.Verdict != pay.Approved || rep.Amount != req.Amount || b.count(req.Ref.Serial) != 1 {
		b.t.Errorf("%s: got %+v, %v, executed %d times", req.Ref.Serial, rep, err, b.count(req.Ref.Serial))
	}
}

// doubt asks for a payment that is executed without its answer being believed.
func (b *bench) doubt(f Fault) *pay.Request {
	b.t.Helper()
	req := b.sale(Good)
	b.p.Next(f)
	rep, err := b.ask(req, impatient)
	var fault *pay.Fault
	if !errors.As(err, &fault) || !fault.Sent {
		b.t.Errorf("got %+v, %v: want a fault that says the request may have been sent", rep, err)
	}
	return req
}

// eventually asks for payments until one is approved: connections may be on
// their way out.
func (b *bench) eventually() {
	b.t.Helper()
	for range 200 {
		req := b.sale(Good)
		rep, err := b.ask(req, patient)
		if err == nil {
			b.approved(req, rep, err)
			return
		}
		b.honest(req, err)
	}
	b.t.Error("never connected again")
}

// honest checks that what is called not sent was not executed.
func (b *bench) honest(req *pay.Request, err error) (sent bool) {
	b.t.Helper()
	var f *pay.Fault
	if errors.As(err, &f); !f.Sent && b.count(req.Ref.Serial) != 0 {
		b.t.Errorf("%s: %v, but it was executed", req.Ref.Serial, err)
	}
	return f.Sent
}

func approve(b *bench) { b.good(); b.good() }

func decline(b *bench) {
	req := b.sale(Bad)
	if rep, err := b.ask(req, patient); err != nil || rep.Verdict != pay.Declined || rep.Code != pay.CodeNoCustomer {
		b.t.Errorf("got %+v, %v", rep, err)
	}
	b.good()
}

func slow(b *bench) {
	b.good()
	b.doubt(Hold)
	b.p.Release()
	b.eventually()
}

func lateAnswer(b *bench) {
	b.good()
	req := b.doubt(Hold)
	b.p.Release()
	select {
	case l := <-b.late:
		if l.rep.Verdict != pay.Approved || l.rep.Amount != req.Amount {
			b.t.Errorf("late answer %+v", l)
		}
	case <-time.After(patient):
		b.t.Error("the late answer was lost")
	}
}

func cutBefore(b *bench) {
	b.good()
	b.p.Stop()
	for i := 0; ; i++ {
		req := b.sale(Good)
		_, err := b.ask(req, impatient)
		if err == nil || b.count(req.Ref.Serial) != 0 || i == 20 {
			b.t.Errorf("got %v, executed %d times: want a fault that says nothing was sent", err, b.count(req.Ref.Serial))
			break
		}
		if !b.honest(req, err) {
			break
		}
	}
	if err := b.p.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.eventually()
}

func cutAfter(b *bench) {
	b.good()
	req := b.doubt(Cut)
	if n := b.count(req.Ref.Serial); n != 1 {
		b.t.Errorf("executed %d times", n)
	}
	b.eventually()
}

func garbage(b *bench)  { b.good(); b.doubt(Garbage); b.eventually() }
func wrongMAC(b *bench) { b.good(); b.doubt(Tamper); b.eventually() }

func duplicate(b *bench) {
	b.good()
	b.p.Next(Twice)
	b.good()
	b.eventually() // the surplus answer is nobody's
	b.good()
}

func segments(b *bench) {
	for range 3 {
		b.p.Next(Trickle)
		b.good()
	}
}

func outOfOrder(b *bench) {
	b.good()
	b.books.Swap()
	var wg sync.WaitGroup
	for range 2 {
		req := b.sale(Good)
		wg.Go(func() {
			rep, err := b.ask(req, patient)
			b.approved(req, rep, err)
		})
	}
	wg.Wait()
}

func reconnect(b *bench) {
	for range 3 {
		b.eventually()
		b.p.Kill()
	}
	b.eventually()
}
