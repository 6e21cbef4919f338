package peer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// Wallet is a simulated e-wallet over a ledger: a charge waits until its customer
// has agreed, is asked for meanwhile, and its outcome is told by the wallet
// itself. It is safe for concurrent use.
type Wallet struct {
	*Ledger
	Agrees time.Duration // after which the customer agrees; 0: at once
	Pause  func(ctx context.Context, d time.Duration) error
	Tell   func(ctx context.Context, req *pay.Request) error // takes a 结果通知; nil: none is told
	Note   func(line string)

	mu      sync.Mutex
	waiting map[string]bool // by serial
	told    int
}

// maxTold is how often a wallet tells an outcome that is not acknowledged.
const maxTold = 8

// Do answers one request. The outcome of a charge is told when ctx lasts that
// long: it is that of the wallet, not of the request.
func (w *Wallet) Do(ctx context.Context, req *pay.Request) pay.Reply {
	w.mu.Lock()
	defer w.mu.Unlock()
	about := req.Ref.Serial
	if req.Original != nil {
		about = req.Original.Serial
	}
	switch {
	case w.waiting[about] && (req.Op == pay.Pay || req.Op == pay.Status):
		return pay.Answer(pay.Unknown, pay.CodeInProgress)
	case req.Op == pay.Reverse:
		delete(w.waiting, about) // the order is closed, whoever agrees later
	case req.Op == pay.Pay && w.Agrees > 0 && !w.known(req):
		if w.waiting == nil {
			w.waiting = map[string]bool{}
		}
		w.waiting[about] = true
		go w.agreed(context.WithoutCancel(ctx), req)
		return pay.Answer(pay.Unknown, pay.CodeInProgress)
	}
	return w.Ledger.Do(ctx, req)
}

// known reports whether the ledger has the charge, or has closed it.
func (w *Wallet) known(req *pay.Request) bool {
	w.Ledger.mu.Lock()
	defer w.Ledger.mu.Unlock()
	return w.payments[key{req.Ref.Scope, req.Ref.Serial}] != nil
}

// charge takes the money of a customer who has agreed, unless the order was
// closed meanwhile.
func (w *Wallet) charge(ctx context.Context, req *pay.Request) (pay.Reply, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.waiting[req.Ref.Serial] {
		return pay.Reply{}, false
	}
	delete(w.waiting, req.Ref.Serial)
	return w.Ledger.Do(ctx, req), true
}

// agreed charges once the customer has agreed, and tells of it.
func (w *Wallet) agreed(ctx context.Context, req *pay.Request) {
	if w.Pause(ctx, w.Agrees) != nil {
		return
	}
	rep, open := w.charge(ctx, req)
	if !open || w.Tell == nil {
		return
	}
	for range maxTold {
		if err := w.Tell(ctx, w.notice(req, &rep)); err == nil {
			return
		} else if w.Note != nil {
			w.Note("结果通知: " + err.Error())
		}
		if w.Pause(ctx, w.Agrees) != nil {
			return
		}
	}
}

// notice is what is told of a charge.
func (w *Wallet) notice(req *pay.Request, rep *pay.Reply) *pay.Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told++
	result := "declined"
	if rep.Verdict == pay.Approved {
		result = "approved"
	}
	return &pay.Request{Op: pay.Outcome, Ref: pay.Ref{Serial: fmt.Sprintf("N%011d", w.told)}, Amount: req.Amount, Original: &pay.Ref{Kind: pay.KindPay, Serial: req.Ref.Serial},
		More: []pay.Field{{ID: pay.FOutcome, Val: result}, {ID: pay.FReference, Val: rep.Serial}, {ID: pay.FLocalDate, Val: pay.Find(req.More, pay.FLocalDate)}}}
}
