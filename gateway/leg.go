package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"qianzhi/gateway/pay"
)

// outcome is what one call to a host proved of a leg.
type outcome struct {
	leg  int
	is   pay.LegState
	code pay.Code
	host string // the host's serial
	more []pay.Field
}

// call sends leg k to its host under our own key and, where an answer may be
// pending, asks for it while the sender waits.
func (e *Engine) call(ctx context.Context, p *pay.Entry, k int, h *Host) outcome {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	rep, err := h.Adapter.Do(ctx, e.legRequest(p, k, h))
	o := e.proved(p, k, h, rep, err)
	for o.is == pay.LegUnknown && h.Poll > 0 && !p.Undoes() && wait(ctx, h.Poll) {
		rep, err = h.Adapter.Do(ctx, e.statusRequest(p, k, h))
		if asked := e.proved(p, k, h, rep, err); rep.Code != pay.CodeOriginal && err == nil {
			o = asked
		}
	}
	return o
}

// wait reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// proved says what an answer, or its absence, proves of a leg.
func (e *Engine) proved(p *pay.Entry, k int, h *Host, rep pay.Reply, err error) outcome {
	var f *pay.Fault
	o := outcome{leg: k, is: pay.LegUnknown, code: rep.Code, host: rep.Serial}
	switch {
	case errors.As(err, &f) && !f.Sent && !p.Taken():
		return outcome{leg: k, is: pay.LegRefused, code: pay.CodeUnreachable}
	case err != nil:
		e.o.Log.Warn("leg without answer", "event", "QZ311", "host", h.ID, "payment", p.ID.Serial(e.o.Node), "err", err)
		return outcome{leg: k, is: pay.LegUnknown, code: doubted(f)}
	case rep.Code == pay.CodeReversed && !p.Undoes(): // the resolver finds out by whom
	case rep.Verdict == pay.Approved && !p.Undoes() && rep.Amount != p.Req.Amount:
		e.o.Log.Error("host confirmed another amount", "event", "QZ321", "host", h.ID, "payment", p.ID.Serial(e.o.Node))
		o.code = pay.CodeAmount
	case rep.Verdict == pay.Approved && p.Undoes() && rep.Code == pay.CodeNoEffect:
		o.is = pay.LegRefused // a confirmed payment cannot have had no effect: a person looks
	case rep.Verdict == pay.Approved:
		o.is, o.more = pay.LegDone, rep.More
		if !p.Undoes() {
			o.code = pay.CodeOK
		}
	case rep.Verdict == pay.Declined:
		o.is = pay.LegRefused
	}
	return o
}

// doubted says why there is no outcome: an answer came that could not be
// believed, or none.
func doubted(f *pay.Fault) pay.Code {
	if f != nil && f.Code == pay.CodeAuth {
		return pay.CodeAuth
	}
	return pay.CodeUnknown
}

// legRequest is leg k as its host sees it. Our serial is the key, so a repeat
// carries the same one.
func (e *Engine) legRequest(p *pay.Entry, k int, h *Host) *pay.Request {
	op := pay.Pay
	switch {
	case p.Undoes():
		op = h.undo(p.Req.Op)
	case p.Legs[k].Kind == pay.LegCard, p.Req.Op == pay.CardPay && slices.Contains(h.Ops, pay.CardPay):
		op = pay.CardPay
	case p.Legs[k].Kind == pay.LegPost && e.o.Routes.advance(p):
		op = pay.Advance
	}
	r := e.hostRequest(p, op)
	if p.Undoes() {
		r.Original = &pay.Ref{Kind: pay.KindPay, Serial: p.Original.Serial(e.o.Node)}
	}
	for i := range k {
		if p.Legs[i].Host != "" && p.Legs[i].State == pay.LegDone {
			r.More = append(r.More, pay.Field{ID: pay.FBankSerial, Val: p.Legs[i].Host})
		}
	}
	return e.sender(p, k, r)
}

// statusRequest asks what became of leg k; of a 撤销 or 退货, whether the payment
// is undone, unless its host knows a 退货 by its own serial.
func (e *Engine) statusRequest(p *pay.Entry, k int, h *Host) *pay.Request {
	r := e.hostRequest(p, pay.Status)
	r.Original = &pay.Ref{Kind: pay.KindPay, Serial: r.Ref.Serial}
	switch {
	case p.Req.Op == pay.Refund && h.refunds():
		r.Original.Kind = pay.KindRefund
	case p.Undoes():
		r.Original.Serial = p.Original.Serial(e.o.Node)
	}
	return e.about(p, k, r)
}

// undoRequest takes leg k back, under the same key however often it is sent.
func (e *Engine) undoRequest(p *pay.Entry, k int) *pay.Request {
	r := e.hostRequest(p, pay.Reverse)
	r.Original = &pay.Ref{Kind: pay.KindPay, Serial: p.ID.Serial(e.o.Node)}
	r.More = append(r.More, pay.Field{ID: pay.FReason, Val: reason(&p.Legs[k])})
	return e.about(p, k, r)
}

// reason is why a leg is reversed, as UnionPay terminals say it in field 39 of a
// 0400.
func reason(l *pay.Leg) string {
	switch {
	case l.State == pay.LegDone:
		return "06" // a later leg failed, or the sender asked
	case l.Code == pay.CodeAuth:
		return "A0" // the MAC of the reply was wrong
	case l.Code == pay.CodeInterrupted:
		return "96" // our own fault came between
	}
	return "98" // no reply in time
}

// about adds what the host said of leg k.
func (e *Engine) about(p *pay.Entry, k int, r *pay.Request) *pay.Request {
	if p.Legs[k].Host != "" {
		r.More = append(r.More, pay.Field{ID: pay.FReference, Val: p.Legs[k].Host})
	}
	return e.sender(p, k, r)
}

// sender adds what a bank or card system must know of the sender: card, PIN
// block, terminal, purchase count, and the time under which the message is
// known there. The marketing system is told none of it.
func (e *Engine) sender(p *pay.Entry, k int, r *pay.Request) *pay.Request {
	if p.Legs[k].Kind != pay.LegPost {
		r.More = append(r.More, p.Req.More...)
		r.More = append(r.More, pay.Field{ID: pay.FLocalDate, Val: p.At.Format("20060102")}, pay.Field{ID: pay.FLocalTime, Val: p.At.Format("150405")})
	}
	return r
}

// hostRequest is what every message to a host about a payment says.
func (e *Engine) hostRequest(p *pay.Entry, op pay.Op) *pay.Request {
	key := p.ID
	if p.Repairs() {
		key = p.Original // the host knows the payment by it, if it does
	}
	return &pay.Request{Op: op, Day: p.ID.Day, Biller: p.Req.Biller, Account: p.Req.Account, Amount: p.Req.Amount, Bills: p.Req.Bills,
		Ref:  pay.Ref{Kind: op.Kind(), Serial: key.Serial(e.o.Node)},
		More: []pay.Field{{ID: pay.FChannel, Val: p.Req.Via.Link}}}
}

// judge turns what is known of one leg into events, and with them into what the
// gateway does next. It decides nothing that is not proved.
func (e *Engine) judge(p *pay.Entry, o outcome) []pay.Event {
	now := e.o.Now()
	res := pay.Event{Kind: pay.EvResult, At: now, Leg: uint8(o.leg), LegIs: o.is, Code: o.code, Host: o.host}
	rest := o.leg+1 < len(p.Legs)
	switch {
	case o.is == pay.LegDone && p.Wanted, o.is == pay.LegUnknown && p.Wanted:
		res.State, res.Due = pay.Revp, now
	case o.is == pay.LegDone && rest && p.State == pay.Sent:
		res.State = pay.Sent
		return []pay.Event{res, e.marker(o.leg+1, 0)}
	case o.is == pay.LegDone && rest && (p.Taken() || p.Undoes()), o.is == pay.LegDone && p.Undoes():
		res.State, res.Due = open(p.State), now // the resolver goes on
	case o.is == pay.LegDone && rest:
		res.State, res.Due = pay.Revp, now // whoever waited for the rest has gone
	case o.is == pay.LegDone:
		res.State = pay.Succ
	case o.is == pay.LegUnknown && e.untold(p, o.leg):
		res.State, res.Due = pay.Revp, now // taken back before the card is charged again
	case o.is == pay.LegUnknown:
		res.State, res.Attempt, res.Due = pay.Unkn, p.Attempt, now.Add(e.gap(p.Attempt))
	default:
		return e.declined(p, o, res)
	}
	return []pay.Event{res}
}

// untold reports whether leg k is a charge of which nobody can tell what became
// of it.
func (e *Engine) untold(p *pay.Entry, k int) bool {
	if p.Legs[k].Kind != pay.LegCharge || p.Undoes() {
		return false
	}
	steps := e.o.Routes.steps(p)
	return steps != nil && !steps[k].Host.Status
}

// open is the state in which a payment with work left is kept.
func open(s pay.State) pay.State {
	if s == pay.Sent {
		return pay.Sent
	}
	return pay.Unkn
}

// declined judges a definite refusal of a leg.
func (e *Engine) declined(p *pay.Entry, o outcome, res pay.Event) []pay.Event {
	now := res.At
	switch effect := p.Effect(o.leg); {
	case effect && !p.Undoes() && (p.Wanted || !p.Taken()):
		res.State, res.Due = pay.Revp, now
	case !effect && (p.Wanted || !p.Taken()):
		res.State = pay.Fail
	case p.State == pay.Sent:
		res.State = pay.Unkn
		return []pay.Event{res, e.park(now, o.code)}
	default:
		park := e.park(now, o.code)
		park.Leg, park.LegIs = res.Leg, o.is
		return []pay.Event{park}
	}
	return []pay.Event{res}
}

// marker is durable before the bytes of leg k leave.
func (e *Engine) marker(k int, attempt uint16) pay.Event {
	return pay.Event{Kind: pay.EvMarker, At: e.o.Now(), State: pay.Sent, Leg: uint8(k), LegIs: pay.LegSent, Attempt: attempt}
}
