package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
)

// The refusals of a correction that nobody has looked at in person.
var (
	// ErrEarly reports that something of the payment may still be on its way.
	ErrEarly = errors.New("仍在迟到期内")
	// ErrNotOwed reports that the customer no longer owes exactly the amount.
	ErrNotOwed = errors.New("该户号已不欠该笔金额")
	// ErrLongAgo reports that the host's window for a return is over, or too
	// short for one without a person.
	ErrLongAgo = errors.New("已过或不足自动返销的撤销期")
)

// returnDays is how long a host must take returns, in accounting days, before
// one is made without a person.
const returnDays = 3

// Confirm looks, before a correction that no person has looked at, whether the
// hosts see now what the files say, and whether it is still safe: nothing of
// the payment is on its way; a posting is made only of what is still owed and a
// return only within the host's window and the payment's month. Nothing is
// changed. A host that cannot be asked confirms nothing and contradicts
// nothing.
func (e *Engine) Confirm(ctx context.Context, id pay.ID, fix Fix) error {
	ctx = context.WithoutCancel(ctx)
	p, err := e.o.Journal.Get(ctx, id)
	if err != nil {
		return err
	}
	steps := e.o.Routes.steps(&p)
	switch {
	case p.State == pay.Sent || p.State == pay.Jrnl:
		return ErrInFlight
	case steps == nil || p.Undoes() || p.Repairs():
		return fmt.Errorf("%w: 路由已变", ErrNotFit)
	}
	for k := range p.Legs {
		if err := e.agreed(ctx, &p, k, steps[k].Host, fix); err != nil {
			return err
		}
	}
	switch fix {
	case FixPost:
		return e.owed(ctx, &p)
	case FixReturn:
		return e.returnable(&p, steps)
	}
	return nil
}

// agreed asks the host of leg k, where it can be asked, whether it sees what a
// correction takes for granted.
func (e *Engine) agreed(ctx context.Context, p *pay.Entry, k int, h *Host, fix Fix) error {
	if !e.past(p, h) {
		return fmt.Errorf("%w: %s", ErrEarly, h.ID)
	}
	if !h.Status || fix == FixReverse { // a reversal says nothing of what is there
		return nil
	}
	rep := e.put(ctx, h, e.statusRequest(p, k, h))
	undone := rep.Verdict != pay.Unknown && rep.Code == pay.CodeReversed
	absent := rep.Verdict == pay.Declined && rep.Code == pay.CodeOriginal
	there := rep.Verdict == pay.Approved && !undone && rep.Amount == p.Req.Amount
	posting := p.Legs[k].Kind == pay.LegPost
	ok := false
	switch fix {
	case FixSucceed:
		ok = there
	case FixFail:
		ok = absent || rep.Verdict == pay.Declined && !undone
	case FixUndone:
		ok = undone || absent
	case FixPost:
		ok = posting && absent || !posting && there
	case FixReturn:
		ok = posting && there || !posting && (undone || absent)
	}
	if !ok {
		return fmt.Errorf("%w: %s 答 %s", ErrUnproved, h.ID, rep.Code.Chinese())
	}
	return nil
}

// owed asks whether the payment's bills are still open for exactly its amount.
func (e *Engine) owed(ctx context.Context, p *pay.Entry) error {
	rep := e.ask(ctx, &pay.Request{Op: pay.Query, Day: p.ID.Day, Biller: p.Req.Biller, Account: p.Req.Account, Via: p.Req.Via,
		Ref: pay.Ref{Kind: pay.Query.Kind(), Serial: p.ID.Serial(e.o.Node)}, More: []pay.Field{{ID: pay.FChannel, Val: p.Req.Via.Link}}})
	switch {
	case rep.Verdict == pay.Unknown:
		return fmt.Errorf("%w: 欠费查询无应答", ErrUnproved)
	case rep.Verdict != pay.Approved || !covers(rep.Bills, p.Req):
		return ErrNotOwed
	}
	return nil
}

// covers reports whether open bills, the oldest first, are those that a payment
// names, or have a beginning of exactly its amount.
func covers(open []pay.Bill, req *pay.Request) bool {
	var sum pay.Amount
	if len(req.Bills) > 0 {
		for i := range req.Bills {
			at := slices.IndexFunc(open, func(b pay.Bill) bool { return b.ID == req.Bills[i].ID })
			if at < 0 {
				return false
			}
			sum += open[at].Amount
		}
		return sum == req.Amount
	}
	for i := range open {
		if sum += open[i].Amount; sum >= req.Amount {
			break
		}
	}
	return sum == req.Amount
}

// returnable reports whether the host takes returns long enough that one may be
// made without a person, today and in the payment's month.
func (e *Engine) returnable(p *pay.Entry, steps []Step) error {
	today := e.o.Today()
	for _, s := range steps {
		if s.Kind == pay.LegPost && (s.Host.UndoDays < returnDays || today > p.ID.Day.Add(s.Host.UndoDays) || today/100 != p.ID.Day/100) {
			return fmt.Errorf("%w: %s", ErrLongAgo, s.Host.ID)
		}
	}
	return nil
}
