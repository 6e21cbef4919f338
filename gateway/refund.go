package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
)

// A 退货 may give back part of a payment, and several may follow one another up to
// its amount. Each is a payment of its own that names the one before it, so that
// the sum is what the journal says and nothing that is counted beside it. The
// original stays SUCC until all of it is given back.

// maxRefunds is how many 退货 of one payment are looked at.
const maxRefunds = 64

var errRefunds = errors.New("too many 退货 of one payment")

// refunded adds up what was given back of a payment.
func (e *Engine) refunded(ctx context.Context, orig *pay.Entry) (sum pay.Amount, err error) {
	serial := orig.Child
	for range maxRefunds {
		id, ok := pay.ParseSerial(serial, e.o.Node)
		if !ok {
			return sum, nil
		}
		child, err := e.o.Journal.Get(ctx, id)
		if err != nil {
			return 0, err
		}
		if child.State == pay.Succ || child.State == pay.Reco {
			sum += given(&child, orig)
		}
		serial = child.Child
	}
	return sum, errRefunds
}

// given is what a 撤销 or 退货 gives back; one that names no amount, the whole.
func given(child, orig *pay.Entry) pay.Amount {
	if child.Req.Amount == 0 {
		return orig.Req.Amount
	}
	return child.Req.Amount
}

// amounts returns why a 撤销 or 退货 cannot give back what it says, CodeUnknown if
// it can: a 撤销 is about the whole, and so is a 退货 that a host can only carry
// out by reversing.
func (e *Engine) amounts(ctx context.Context, orig *pay.Entry, req *pay.Request) pay.Code {
	sum, err := e.refunded(ctx, orig)
	whole := sum == 0 && (req.Amount == 0 || req.Amount == orig.Req.Amount)
	switch {
	case err != nil:
		e.o.Log.Error("refunds not added up", "event", "QZ223", "payment", orig.ID.Serial(e.o.Node), "err", err)
		return pay.CodeBusy
	case whole:
		return pay.CodeUnknown
	case req.Op != pay.Refund || req.Amount <= 0 || req.Amount > orig.Req.Amount-sum:
		return pay.CodeAmount
	}
	for _, s := range e.o.Routes.steps(orig) {
		if !s.Host.refunds() {
			return pay.CodeNotAllowed
		}
	}
	return pay.CodeUnknown
}

// refunds reports whether the host knows 退货 as messages of their own, each
// under its own serial; else it takes a payment back whole.
func (h *Host) refunds() bool { return slices.Contains(h.Ops, pay.Refund) }

// returned is what a 撤销 or 退货 that is done makes of its original, or nothing
// where it has happened already.
func (e *Engine) returned(ctx context.Context, orig, child *pay.Entry) ([]pay.Event, error) {
	if orig.State != pay.Succ {
		return nil, nil
	}
	sum, err := e.refunded(ctx, orig)
	if err != nil {
		return nil, err
	}
	sum += given(child, orig)
	ev := pay.Event{Kind: pay.EvState, At: e.o.Now(), State: pay.Revd, Code: pay.CodeReversed, Note: child.Req.Op.Chinese() + " " + child.ID.Serial(e.o.Node)}
	if sum < orig.Req.Amount {
		ev.State, ev.Code = pay.Succ, orig.Code
		ev.Note = fmt.Sprintf("%s %s 元, 累计 %s 元", ev.Note, child.Req.Amount.Yuan(), sum.Yuan())
		if orig.Note == ev.Note {
			return nil, nil
		}
	}
	return []pay.Event{ev}, nil
}
