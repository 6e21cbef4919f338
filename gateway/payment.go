package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	in := pay.Intent{Req: req, Block: req.Via.Funds == pay.Untaken && req.Op == pay.Pay && (route == nil || !route.Advance), Known: req.Via.Replayed}
	switch {
	case refusal == pay.CodeOK:
		in.Legs = kinds(route.Steps)
	case refusal == pay.CodeBusy:
		in.Known = true // a repeat is answered even where nothing new may start
	case req.Via.Funds == pay.Untaken:
		in.Refuse = refusal
	default:
		in.Legs = []pay.LegKind{pay.LegPost}
	}
	ctx = context.WithoutCancel(ctx) // what Begin writes must be known here, however long it takes
	if e.o.Refused.Refused(req.Ref) {
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
			return e.run(ctx, &entry, route.Steps, 0)
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

func kinds(steps []Step) []pay.LegKind {
	ks := make([]pay.LegKind, len(steps))
	for i := range steps {
		ks[i] = steps[i].Kind
	}
	return ks
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
	switch {
	case route.Max > 0 && req.Amount > route.Max:
		return nil, pay.CodeLimit
	case !route.enter():
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
	if errors.Is(err, pay.ErrUnwritable) && req.Via.Funds == pay.Untaken {
		if err := e.o.Refused.Refuse(req.Ref); err == nil {
			return pay.Answer(pay.Declined, pay.CodeNotAccepted)
		}
	}
	return pay.Answer(pay.Unknown, pay.CodeUnknown)
}

// refuse parks an authentic payment that cannot go anywhere although the
// sender has already taken the money.
func (e *Engine) refuse(ctx context.Context, p *pay.Entry, why pay.Code) pay.Reply {
	rep, _ := e.settle(ctx, p, outcome{is: pay.LegRefused, code: why})
	return rep
}

// run drives the legs of a payment from leg k on and answers it. The marker of
// leg k is durable.
func (e *Engine) run(ctx context.Context, p *pay.Entry, steps []Step, k int) pay.Reply {
	defer func() {
		if cause := recover(); cause != nil {
			e.doubts.Add(p.ID, e.o.Now().Add(e.gap(0))) // its marker is durable, its outcome is not known
			panic(cause)
		}
	}()
	var more []pay.Field
	for {
		o := e.call(ctx, p, k, steps[k].Host)
		more = append(more, o.more...)
		rep, next := e.settle(ctx, p, o)
		if next < 0 {
			e.catchUp(ctx, p.ID)
			rep.More = append(rep.More, told(more)...)
			return rep
		}
		k = next
	}
}

// told keeps what hosts said that the sender may hear: data for the meter card,
// the balance, the authorisation, the issuer's answer to the chip.
func told(more []pay.Field) []pay.Field {
	var out []pay.Field
	for _, f := range more {
		switch f.ID {
		case pay.FCardData, pay.FPurchaseCount, pay.FBalance, pay.FReference, pay.FAuthCode, pay.FHostDate, pay.FAdvance, pay.FChip:
			out = append(out, f)
		}
	}
	return out
}

// settle makes the outcome of a leg durable and answers; it returns the leg that
// is to be sent next, whose marker is durable, or -1. When another event came
// first (a reversal was wanted meanwhile) the payment is read again and judged
// anew.
func (e *Engine) settle(ctx context.Context, p *pay.Entry, o outcome) (pay.Reply, int) {
	for {
		evs := e.judge(p, o)
		err := e.o.Journal.Append(ctx, p.ID, p.N, evs...)
		if err == nil {
			if err = fold(p, evs); err == nil {
				break
			}
		}
		if !errors.Is(err, pay.ErrMoved) {
			return e.unsettled(p, err), -1
		}
		again, err := e.o.Journal.Get(ctx, p.ID)
		if err != nil {
			return e.unsettled(p, err), -1
		}
		*p = again
		if p.State != pay.Sent {
			return e.answer(p), -1
		}
	}
	if p.Undoes() && p.State.Open() && done(p) {
		if err := e.finish(ctx, p); err != nil {
			return e.unsettled(p, err), -1
		}
	}
	next := p.Leg(pay.LegSent)
	if p.State.Open() && next < 0 {
		e.doubts.Add(p.ID, p.Due)
	}
	return e.answer(p), next
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

// park hands the payment to a person, with an owner and a due time.
func (e *Engine) park(now time.Time, why pay.Code) pay.Event {
	return pay.Event{Kind: pay.EvState, At: now, State: pay.Susp, Code: why, Due: e.o.Policy.Due(now),
		Note: fmt.Sprintf("挂账 原因=%s 责任人=%s", why.Chinese(), e.o.Policy.Owner)}
}

// Waits says of a payment that is not decided who owes the decision, a person or
// the gateway itself, and why it is not decided.
func Waits(p *pay.Entry) (owner, reason string) {
	owner, reason = "前置自动处理", p.Code.Chinese()
	if p.Code == pay.CodeUnknown {
		reason = p.State.Chinese()
	}
	if p.State != pay.Susp {
		return owner, reason
	}
	for _, part := range strings.Fields(p.Note) { // as park writes it
		if v, ok := strings.CutPrefix(part, "责任人="); ok {
			owner = v
		}
		if v, ok := strings.CutPrefix(part, "原因="); ok {
			reason = v
		}
	}
	return owner, reason
}

// gap is how long to wait before try n, counted from 0.
func (e *Engine) gap(n uint16) time.Duration {
	gaps := e.o.Policy.Gaps
	return gaps[min(int(n), len(gaps)-1)]
}
