package gateway

import (
	"context"
	"errors"

	"qianzhi/gateway/pay"
)

// cancel answers a 撤销 (返销) or 退货: a payment of its own that undoes a
// confirmed one, what was done last first. The original stays SUCC until it is
// done.
func (e *Engine) cancel(ctx context.Context, req *pay.Request) pay.Reply {
	if req.Original == nil {
		return pay.Answer(pay.Declined, pay.CodeFormat)
	}
	for _, ref := range []pay.Ref{req.Ref, *req.Original} {
		if !e.flights.enter(ctx, ref) {
			return pay.Answer(pay.Unknown, pay.CodeInProgress)
		}
		defer e.flights.leave(ref)
	}
	ctx = context.WithoutCancel(ctx)
	orig, found, err := e.o.Journal.Find(ctx, *req.Original)
	if err != nil {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	in := pay.Intent{Req: req, Known: req.Via.Replayed, Refuse: pay.CodeOriginal}
	var steps []Step
	if found {
		in.Of, in.Refuse = orig.ID, e.cancellable(ctx, &orig, req)
		in.Req = whole(req, &orig)
		if steps = e.o.Routes.undoSteps(&orig); steps == nil && in.Refuse == pay.CodeUnknown {
			in.Refuse = pay.CodeNoRoute
		}
	}
	if in.Refuse == pay.CodeBusy {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	if in.Refuse == pay.CodeUnknown {
		in.Legs = kinds(steps)
	}
	return e.beginCancel(ctx, &in, &orig, steps)
}

// whole is the request with what it leaves out because its original says it:
// hosts and check files want to hear of the customer and the amount.
func whole(req *pay.Request, orig *pay.Entry) *pay.Request {
	r := *req
	if r.Account == "" {
		r.Account = orig.Req.Account
	}
	if r.Biller == "" {
		r.Biller = orig.Req.Biller
	}
	if r.Amount == 0 {
		r.Amount = orig.Req.Amount
	}
	return &r
}

func (e *Engine) beginCancel(ctx context.Context, in *pay.Intent, orig *pay.Entry, steps []Step) pay.Reply {
	entry, seen, err := e.o.Journal.Begin(ctx, in)
	switch {
	case err != nil:
		e.o.Log.Error("journal refused a cancellation", "event", "QZ202", "link", in.Req.Via.Link, "err", err)
		return pay.Answer(pay.Unknown, pay.CodeUnknown)
	case seen == pay.SeenNew && in.Refuse == pay.CodeUnknown:
		if err := e.bind(ctx, &entry, orig); err != nil {
			return e.unsettled(&entry, err)
		}
		return e.run(ctx, &entry, steps, 0)
	case seen == pay.SeenNew, seen == pay.SeenSame:
		return e.answer(&entry)
	case seen == pay.SeenNothing:
		return pay.Answer(pay.Unknown, pay.CodeReplayed)
	}
	return e.known(&entry, in.Req, seen)
}

// bind tells a 撤销 or 退货 which one came before it, and then the original which
// payment undoes it.
func (e *Engine) bind(ctx context.Context, child, orig *pay.Entry) error {
	if orig.Child != "" && child.Child == "" {
		if err := e.record(ctx, child, e.acts(orig.Child)); err != nil {
			return err
		}
	}
	return e.o.Journal.Append(ctx, orig.ID, orig.N, e.acts(child.ID.Serial(e.o.Node)))
}

func (e *Engine) acts(serial string) pay.Event {
	return pay.Event{Kind: pay.EvWanted, At: e.o.Now(), Host: serial}
}

// cancellable returns why the original cannot be undone by the request,
// CodeUnknown when it can: it must be confirmed, not undone and not being
// undone, of the same customer and amount, and within the hosts' windows.
func (e *Engine) cancellable(ctx context.Context, orig *pay.Entry, req *pay.Request) pay.Code {
	switch {
	case orig.Undoes():
		return pay.CodeOriginal
	case orig.State == pay.Revd:
		return pay.CodeReversed
	case e.o.Reconciling(orig.ID.Day):
		return pay.CodeReconciling
	case req.Account != "" && req.Account != orig.Req.Account:
		return pay.CodeOriginal
	case req.Amount != orig.Req.Amount && req.Amount != 0 && req.Op != pay.Refund:
		return pay.CodeAmount
	case orig.State.Open() || e.childOpen(ctx, orig):
		return pay.CodeBlocked
	case orig.State != pay.Succ:
		return pay.CodeOriginal
	case req.Op == pay.Cancel && orig.ID.Day != e.o.Today():
		return pay.CodeWindow
	}
	for i, s := range e.o.Routes.steps(orig) {
		if orig.Legs[i].State.Effect() && !s.Host.within(req.Op, orig.ID.Day, e.o.Today()) {
			return pay.CodeWindow
		}
	}
	return e.amounts(ctx, orig, req)
}

// childOpen reports whether a 撤销 or 退货 of the payment is not decided.
func (e *Engine) childOpen(ctx context.Context, orig *pay.Entry) bool {
	id, ok := pay.ParseSerial(orig.Child, e.o.Node)
	if !ok {
		return false
	}
	child, err := e.o.Journal.Get(ctx, id)
	return err != nil || child.State != pay.Fail && child.State != pay.Succ
}

// relate writes down which payment undoes the original, where a stop came in
// between.
func (e *Engine) relate(ctx context.Context, child *pay.Entry) error {
	orig, err := e.o.Journal.Get(ctx, child.Original)
	if err != nil || orig.Child == child.ID.Serial(e.o.Node) {
		return err
	}
	return e.bind(ctx, child, &orig)
}

// finish ends a 撤销 or 退货 all of whose legs are done: the original is told, and
// is REVD if nothing of it is left, before the child is SUCC, so that a stop in between leaves something to do.
func (e *Engine) finish(ctx context.Context, child *pay.Entry) error {
	if err := e.tellOriginal(ctx, child); err != nil {
		return err
	}
	return e.record(ctx, child, pay.Event{Kind: pay.EvState, At: e.o.Now(), State: pay.Succ, Code: pay.CodeOK})
}

// tellOriginal writes down at the original what a 撤销 or 退货 made of it.
func (e *Engine) tellOriginal(ctx context.Context, child *pay.Entry) error {
	for range maxRetold {
		orig, err := e.o.Journal.Get(ctx, child.Original)
		if err != nil {
			return err
		}
		evs, err := e.returned(ctx, &orig, child)
		if err == nil && len(evs) > 0 {
			err = e.o.Journal.Append(ctx, orig.ID, orig.N, evs...)
		}
		if !errors.Is(err, pay.ErrMoved) {
			return err
		}
	}
	return pay.ErrMoved
}

// done reports whether every leg is done.
func done(p *pay.Entry) bool {
	for i := range p.Legs {
		if p.Legs[i].State != pay.LegDone {
			return false
		}
	}
	return true
}
