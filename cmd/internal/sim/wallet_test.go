package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// purses is the e-wallet: a handler with books of its own that survives every
// crash of the gateway. A charge waits until its customer agrees, who may never
// do so; what became of it is asked for, and told by the wallet itself.
type purses struct {
	w    *world
	r    *rand.Rand
	back givings

	mu     sync.Mutex
	orders map[string]*order // by our serial
	told   int
	wrong  []string
}

type order struct {
	amount  pay.Amount
	waiting bool
	paid    bool
	went    pay.Amount // back on 退货
}

func newPurses(w *world) *purses {
	return &purses{w: w, r: rand.New(rand.NewPCG(w.o.seed, 30)), orders: map[string]*order{}, back: newGivings(true)}
}

// Do answers one request.
func (p *purses) Do(_ context.Context, req *pay.Request) pay.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	if req.Op == pay.Pay {
		return p.charge(req)
	}
	if req.Op == pay.Status && req.Original.Kind == pay.KindRefund {
		return p.back.status(req)
	}
	o := p.orders[req.Original.Serial]
	switch {
	case o == nil && req.Op == pay.Reverse:
		p.orders[req.Original.Serial] = &order{}
		return pay.Answer(pay.Approved, pay.CodeNoEffect)
	case o == nil:
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case req.Op == pay.Status:
		return o.answer()
	case req.Op == pay.Refund:
		return p.back.give(req, o.amount, &o.went, o.paid)
	}
	was := *o
	o.waiting, o.paid = false, false
	if was.paid {
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: o.amount}
	}
	return pay.Answer(pay.Approved, pay.CodeNoEffect)
}

func (o *order) answer() pay.Reply {
	switch {
	case o.waiting:
		return pay.Answer(pay.Unknown, pay.CodeInProgress)
	case o.paid && o.went < o.amount:
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: o.amount, Serial: "W1"}
	}
	return pay.Answer(pay.Declined, pay.CodeReversed)
}

func (p *purses) charge(req *pay.Request) pay.Reply {
	serial := req.Ref.Serial
	if o := p.orders[serial]; o != nil {
		if !o.waiting && !o.paid {
			return pay.Answer(pay.Declined, pay.CodeTombstone)
		}
		return o.answer()
	}
	o := &order{amount: req.Amount, waiting: true}
	p.orders[serial] = o
	agrees := time.Duration(p.r.Int64N(int64(4*hostTimeout))) + time.Millisecond
	never := p.r.IntN(10) == 0
	go func() {
		time.Sleep(agrees)
		p.mu.Lock()
		open := o.waiting
		o.waiting, o.paid = false, open && !never
		result := map[bool]string{true: "approved", false: "declined"}[o.paid]
		p.mu.Unlock()
		if open {
			p.tell(serial, req.Amount, result)
		}
	}()
	return o.answer()
}

// tell repeats an outcome until the gateway has taken it, or for long enough.
func (p *purses) tell(serial string, amount pay.Amount, result string) {
	for range 20 {
		p.mu.Lock()
		p.told++
		n := p.told
		p.mu.Unlock()
		fate := p.w.purseBack.draw()
		for range fate.at {
			d := p.w.process()
			if d == nil || d.dead.Load() {
				continue
			}
			rep := d.engine.Do(context.Background(), &pay.Request{Op: pay.Outcome, Ref: pay.Ref{Serial: fmt.Sprint("N", n)}, Amount: amount, Via: &pay.Via{Link: "notify"},
				Original: &pay.Ref{Kind: pay.KindPay, Serial: serial}, More: []pay.Field{{ID: pay.FOutcome, Val: result}, {ID: pay.FReference, Val: "W1"}}})
			if rep.Verdict == pay.Approved && len(p.w.purseThere.draw().at) > 0 {
				return
			}
		}
		time.Sleep(30 * time.Second)
	}
}

// effects returns how often a charge counts.
func (p *purses) effects(serial string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.orders[serial]; o != nil && o.paid && o.went < o.amount {
		return 1
	}
	return 0
}

// given returns what was given back of a charge on 退货.
func (p *purses) given(serial string) pay.Amount {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.orders[serial]; o != nil {
		return o.went
	}
	return 0
}

// purseLink is the gateway's way to the wallet: each call on a connection of its
// own, through the weather.
type purseLink struct{ d *daemon }

// Do implements gateway.Adapter.
func (l purseLink) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	w := l.d.w
	got := make(chan pay.Reply, 4)
	for _, delay := range w.purseThere.draw().at {
		go func() {
			time.Sleep(delay)
			rep := w.purses.Do(context.Background(), req)
			for _, back := range w.purseBack.draw().at {
				time.Sleep(back)
				select {
				case got <- rep:
				default:
				}
			}
		}()
	}
	select {
	case rep := <-got:
		if !l.d.dead.Load() {
			return rep, nil
		}
	case <-ctx.Done():
	}
	return pay.Reply{}, &pay.Fault{Sent: true, Err: errSilence}
}

// wallet is the host as the gateway knows it.
func (d *daemon) wallet() *gateway.Host {
	return &gateway.Host{ID: "wallet", Adapter: d.w.o.purses(purseLink{d}), Ops: []pay.Op{pay.Pay, pay.Status, pay.Reverse, pay.Refund}, Timeout: 2 * hostTimeout, LateWindow: d.w.o.lateWindow, Poll: time.Second,
		Status: true, Dedupe: true, UndoTells: true, UndoMarks: true, UndoDays: 1, RefundDays: 30}
}
