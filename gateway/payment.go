package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"qianzhi/gateway/pay"
)

// pay answers one payment: identity, the product's legs in order, judgement.
func (e *Engine) pay(ctx context.Context, req *pay.Request) pay.Reply {
	if !e.flights.enter(ctx, req.Ref) {
		return pay.Answer(pay.Unknown, pay.CodeInProgress)
	}
	defer e.flights.leave(req.Ref)
	route, refusal := e.admit(req)
	if route != nil {
		defer route.leave()
	}
	in := pay.Intent{Req: req, Block: req.Via.Funds == pay.Untaken, Known: req.Via.Replayed}
	switch {
	case refusal == pay.CodeOK:
		in.Legs = route.Legs
	case refusal == pay.CodeBusy:
		in.Known = true // a repeat is answered even where nothing new may start
	case req.Via.Funds == pay.Untaken:
		in.Refuse = refusal
	default:
		in.Legs = []pay.LegKind{pay.LegPost}
	}
	ctx = context.WithoutCancel(ctx) // what Begin writes must be known here, however long it takes
	if e.refused.has(req.Ref) {
		return pay.Answer(pay.Declined, pay.CodeNotAccepted)
	}
	entry, seen, err := e.o.Journal.Begin(ctx, &in)
	if err != nil {
		return e.unwritable(req, err)
	}
	switch seen {
	case pay.SeenNew:
		switch {
		case refusal == pay.CodeOK:
			return e.run(ctx, &entry, route)
		case req.Via.Funds == pay.Taken:
			return e.refuse(ctx, &entry, refusal)
		}
		return e.answer(&entry)
	case pay.SeenSame:
		return e.answer(&entry)
	case pay.SeenNothing:
		return pay.Answer(pay.Unknown, nonFinal(refusal))
	}
	return e.known(&entry, req, seen)
}

// nonFinal is the answer to a message that may not start anything but whose
// key is new: a replayed one, or one that came while the route was full.
func nonFinal(refusal pay.Code) pay.Code {
	if refusal == pay.CodeBusy {
		return pay.CodeBusy
	}
	return pay.CodeReplayed
}

// admit finds the route and takes a place on it, or says why not. The Limit
// the channel found, if any, comes first.
func (e *Engine) admit(req *pay.Request) (*Route, pay.Code) {
	if req.Via.Refuse != pay.CodeUnknown {
		return nil, req.Via.Refuse
	}
	route := e.o.Routes.Find(req)
	if route == nil {
		return nil, pay.CodeNoRoute
	}
	if !route.enter() {
		return nil, pay.CodeBusy
	}
	return route, pay.CodeOK
}

// known answers keys that stand in the way of a payment.
func (e *Engine) known(there *pay.Entry, req *pay.Request, seen pay.Seen) pay.Reply {
	switch seen {
	case pay.SeenOther:
		e.o.Log.Error("serial used with other content", "event", "QZ320", "link", req.Via.Link, "first", there.ID.Serial(e.o.Node))
		return pay.Answer(pay.Declined, pay.CodeDuplicate)
	case pay.SeenTombstone:
		return pay.Answer(pay.Declined, pay.CodeTombstone)
	case pay.SeenBlocked:
		rep := pay.Answer(pay.Declined, pay.CodeBlocked)
		rep.More = []pay.Field{{ID: pay.FSenderTime, Val: there.At.Format("2006-01-02 15:04:05")}}
		return rep
	case pay.SeenExpired:
		e.note(context.Background(), pay.EvQuery, req, pay.CodeExpired, true)
		if req.Via.Funds == pay.Taken {
			return pay.Answer(pay.Unknown, pay.CodeExpired)
		}
		return pay.Answer(pay.Declined, pay.CodeExpired)
	}
	return pay.Answer(pay.Unknown, pay.CodeUnknown)
}

// unwritable answers a payment that the journal could not take. Where the
// customer's money is still with the customer a proved refusal is definite.
func (e *Engine) unwritable(req *pay.Request, err error) pay.Reply {
	e.o.Log.Error("journal refused a payment", "event", "QZ200", "link", req.Via.Link, "err", err)
	if errors.Is(err, pay.ErrUnwritable) && req.Via.Funds == pay.Untaken && e.refused.add(req.Ref) {
		return pay.Answer(pay.Declined, pay.CodeNotAccepted)
	}
	return pay.Answer(pay.Unknown, pay.CodeUnknown)
}

// refuse parks an authentic payment that cannot go anywhere although the
// sender has already taken the money.
func (e *Engine) refuse(ctx context.Context, p *pay.Entry, why pay.Code) pay.Reply {
	return e.settle(ctx, p, outcome{leg: pay.LegRefused, code: why, verdict: pay.Declined})
}

// run drives the legs of a new payment and answers it.
func (e *Engine) run(ctx context.Context, p *pay.Entry, route *Route) pay.Reply {
	defer func() {
		if cause := recover(); cause != nil {
			e.doubts.Add(p.ID, e.o.Now().Add(e.gap(0))) // its marker is durable, its outcome is not known
			panic(cause)
		}
	}()
	return e.settle(ctx, p, e.post(ctx, p, route.Host))
}

// outcome is what one call to a host proved.
type outcome struct {
	leg     pay.LegState
	verdict pay.Verdict
	code    pay.Code
	host    string // the host's serial
}

// post sends the payment to the host under our own key.
func (e *Engine) post(ctx context.Context, p *pay.Entry, h *Host) outcome {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	rep, err := h.Adapter.Do(ctx, e.hostRequest(p, pay.Pay))
	var f *pay.Fault
	switch {
	case errors.As(err, &f) && !f.Sent && p.Req.Via.Funds == pay.Untaken:
		return outcome{leg: pay.LegRefused, verdict: pay.Declined, code: pay.CodeUnreachable}
	case err != nil:
		e.o.Log.Warn("posting without answer", "event", "QZ311", "host", h.ID, "payment", p.ID.Serial(e.o.Node), "err", err)
		return outcome{leg: pay.LegUnknown}
	case rep.Verdict == pay.Approved && rep.Amount != p.Req.Amount:
		e.o.Log.Error("host confirmed another amount", "event", "QZ321", "host", h.ID, "payment", p.ID.Serial(e.o.Node))
		return outcome{leg: pay.LegUnknown, code: pay.CodeAmount, host: rep.Serial}
	case rep.Verdict == pay.Approved:
		return outcome{leg: pay.LegDone, verdict: pay.Approved, code: pay.CodeOK, host: rep.Serial}
	case rep.Verdict == pay.Declined:
		return outcome{leg: pay.LegRefused, verdict: pay.Declined, code: rep.Code, host: rep.Serial}
	}
	return outcome{leg: pay.LegUnknown, code: rep.Code, host: rep.Serial}
}

// hostRequest is the payment as the host sees it: our serial is the key, so a
// repeat and a reversal carry the same one.
func (e *Engine) hostRequest(p *pay.Entry, op pay.Op) *pay.Request {
	serial := p.ID.Serial(e.o.Node)
	r := &pay.Request{Op: op, Day: p.ID.Day, Biller: p.Req.Biller, Account: p.Req.Account, Amount: p.Req.Amount,
		Bills: p.Req.Bills, Ref: pay.Ref{Kind: op.Kind(), Serial: serial}}
	if op != pay.Pay {
		r.Original = &pay.Ref{Kind: pay.KindPay, Serial: serial}
	}
	r.More = []pay.Field{{ID: pay.FChannel, Val: p.Req.Via.Link}}
	return r
}

// settle makes the outcome durable and answers. When another event came first
// (a reversal was wanted meanwhile) the payment is read again and judged anew.
func (e *Engine) settle(ctx context.Context, p *pay.Entry, o outcome) pay.Reply {
	for {
		evs := e.judge(p, o)
		err := e.o.Journal.Append(ctx, p.ID, p.N, evs...)
		if err == nil {
			if err = fold(p, evs); err == nil {
				break
			}
		}
		if !errors.Is(err, pay.ErrMoved) {
			return e.unsettled(p, err)
		}
		again, err := e.o.Journal.Get(ctx, p.ID)
		if err != nil {
			return e.unsettled(p, err)
		}
		*p = again
		if p.State != pay.Sent {
			return e.answer(p)
		}
	}
	if p.State.Open() {
		e.doubts.Add(p.ID, p.Due)
	}
	return e.answer(p)
}

// unsettled keeps a payment whose result could not be written: the resolver
// asks the host again when the journal writes again.
func (e *Engine) unsettled(p *pay.Entry, err error) pay.Reply {
	e.o.Log.Error("result not durable", "event", "QZ201", "payment", p.ID.Serial(e.o.Node), "err", err)
	e.doubts.Add(p.ID, e.o.Now().Add(e.gap(0)))
	rep := pay.Answer(pay.Unknown, pay.CodeInProgress)
	rep.Serial = p.ID.Serial(e.o.Node)
	return rep
}

// fold brings the entry in memory to where the journal is.
func fold(p *pay.Entry, evs []pay.Event) error {
	for i := range evs {
		evs[i].N = p.N + 1
		if err := p.Apply(&evs[i]); err != nil {
			return err
		}
	}
	return nil
}

// judge turns the outcome of a payment's leg into events. It decides nothing
// that is not proved.
func (e *Engine) judge(p *pay.Entry, o outcome) []pay.Event {
	now := e.o.Now()
	res := pay.Event{Kind: pay.EvResult, At: now, LegIs: o.leg, Code: o.code, Host: o.host}
	switch {
	case o.leg == pay.LegDone && !p.Wanted:
		res.State = pay.Succ
	case o.leg == pay.LegDone, o.leg == pay.LegUnknown && p.Wanted:
		res.State, res.Due = pay.Revp, now
	case o.leg == pay.LegUnknown:
		res.State, res.Attempt, res.Due = pay.Unkn, p.Attempt, now.Add(e.gap(p.Attempt))
	case p.Wanted || p.Req.Via.Funds == pay.Untaken:
		res.State = pay.Fail
	case p.State == pay.Sent:
		res.State = pay.Unkn
		return []pay.Event{res, e.park(now, o.code)}
	default:
		park := e.park(now, o.code)
		park.LegIs = o.leg
		return []pay.Event{park}
	}
	return []pay.Event{res}
}

// park hands the payment to a person, with an owner and a due time.
func (e *Engine) park(now time.Time, why pay.Code) pay.Event {
	return pay.Event{Kind: pay.EvState, At: now, State: pay.Susp, Code: why, Due: now.Add(e.o.Policy.ParkFor),
		Note: fmt.Sprintf("挂账 原因=%s 责任人=%s", why.Chinese(), e.o.Policy.Owner)}
}

// gap is how long to wait before try n, counted from 0.
func (e *Engine) gap(n uint16) time.Duration {
	gaps := e.o.Policy.Gaps
	return gaps[min(int(n), len(gaps)-1)]
}
