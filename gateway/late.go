package gateway

import (
	"context"
	"errors"
	"sync"

	"qianzhi/gateway/pay"
)

// Late takes the answer to a leg that came after its caller had given up. It is
// proof like any other: what it proves is written down, and where it contradicts
// what was decided meanwhile a person gets the payment. serial is ours, as the
// host sent it back.
func (e *Engine) Late(ctx context.Context, host, serial string, rep pay.Reply) {
	_ = e.late(ctx, serial, lateAnswer{host, rep, false}) // it is logged
}

// LateUndo is Late for the answer to what a 撤销 or 退货 asked for; serial is its
// own. That to a 冲正, which is repeated until it is answered, proves nothing new.
func (e *Engine) LateUndo(ctx context.Context, host, serial string, rep pay.Reply) {
	_ = e.late(ctx, serial, lateAnswer{host, rep, true}) // it is logged
}

// late reports an error where the answer belongs to nothing, or what it changes
// could not be written.
func (e *Engine) late(ctx context.Context, serial string, l lateAnswer) error {
	id, ours := pay.ParseSerial(serial, e.o.Node)
	switch {
	case !ours:
		return errNotOurs
	case l.rep.Verdict == pay.Unknown:
		return nil
	}
	for range maxRetold {
		p, err := e.o.Journal.Get(ctx, id)
		if err != nil {
			e.o.Log.Error("late answer to an unknown payment", "event", "QZ313", "payment", serial, "err", err)
			return err
		}
		k, h := e.legOf(ctx, &p, l.host)
		if k < 0 || p.Undoes() != l.undo {
			return errNotOurs
		}
		if p.State == pay.Sent && e.heard.keep(id, l) {
			continue // it may have moved before the answer was kept
		}
		if p.State != pay.Sent {
			e.heard.take(id) // here it is judged
		}
		evs := e.retold(&p, k, h, &l.rep)
		if len(evs) == 0 {
			return nil
		}
		from := p.State
		if err = e.doubts.append(ctx, &p, evs...); err == nil {
			e.o.Log.Warn("late answer changed a payment", "event", "QZ314", "payment", serial, "host", l.host, "from", from.String(), "verdict", l.rep.Verdict.String())
			return e.concluded(ctx, &p, evs)
		}
		if !errors.Is(err, pay.ErrMoved) {
			e.o.Log.Error("late answer not durable", "event", "QZ203", "payment", serial, "err", err)
			return err
		}
	}
	return pay.ErrMoved
}

var errNotOurs = errors.New("no payment of ours")

// maxRetold is how often a payment is looked at again that moves while a late
// answer is being judged.
const maxRetold = 8

// catchUp takes the answers that came while whoever had given up on them was
// still writing that down.
func (e *Engine) catchUp(ctx context.Context, id pay.ID) {
	for _, l := range e.heard.take(id) {
		_ = e.late(ctx, id.Serial(e.o.Node), l) // it is logged
	}
}

// lateAnswer is an answer that nobody waited for any more.
type lateAnswer struct {
	host string
	rep  pay.Reply
	undo bool // to a 撤销 or 退货
}

// overheard keeps late answers to payments that are still SENT until their leg
// is judged.
type overheard struct {
	mu sync.Mutex
	by map[pay.ID][]lateAnswer
}

const maxOverheard = 1024 // payments

// keep reports whether the answer is new and was kept.
func (o *overheard) keep(id pay.ID, l lateAnswer) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, there := range o.by[id] {
		if there.host == l.host && there.rep.Verdict == l.rep.Verdict {
			return false
		}
	}
	if len(o.by) >= maxOverheard {
		return false // the resolver asks
	}
	o.by[id] = append(o.by[id], l)
	return true
}

func (o *overheard) take(id pay.ID) []lateAnswer {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.by[id]
	delete(o.by, id)
	return kept
}

// retold is what a late answer to leg k changes, by the payment's state. A refusal
// proves something only where the leg was sent once: a payment whose money is
// taken, or what undoes one, may have been sent again under its key.
func (e *Engine) retold(p *pay.Entry, k int, h *Host, rep *pay.Reply) []pay.Event {
	leg := &p.Legs[k]
	approved := rep.Verdict == pay.Approved
	refused := rep.Verdict == pay.Declined && (p.Req.Via.Funds == pay.Untaken && !p.Undoes() || sentOnce(p))
	res := pay.Event{Kind: pay.EvResult, At: e.o.Now(), State: p.State, Leg: uint8(k), LegIs: pay.LegDone, Code: pay.CodeOK, Host: rep.Serial,
		Attempt: p.Attempt, Due: p.Due, Note: "迟到应答"}
	switch {
	case approved && rep.Amount != p.Req.Amount && (rep.Amount != 0 || !p.Undoes()):
		e.o.Log.Error("late answer confirms another amount", "event", "QZ321", "host", h.ID, "payment", p.ID.Serial(e.o.Node))
	case approved && p.Undoes() && rep.Code == pay.CodeNoEffect: // nothing was undone
	case p.State == pay.Unkn && leg.State == pay.LegUnknown && approved:
		return e.judge(p, outcome{leg: k, is: pay.LegDone, code: pay.CodeOK, host: rep.Serial})
	case p.State == pay.Unkn && leg.State == pay.LegUnknown && refused:
		return e.judge(p, outcome{leg: k, is: pay.LegRefused, code: rep.Code})
	case p.State == pay.Revp && approved && (leg.State == pay.LegUnknown || leg.State == pay.LegRefused || nothingUndone(leg, h)):
		res.Attempt++           // a reversal under way overtook it, and counts
		return []pay.Event{res} // known to have effect now; it goes on being undone
	case p.State == pay.Susp && approved && leg.State == pay.LegUnknown && leg.Code != pay.CodeContrary:
		return []pay.Event{confirmed(p, res)}
	case p.State == pay.Susp && approved && leg.State == pay.LegRefused:
		park := e.contradicted(p) // and what may have effect is not let go of
		park.Leg, park.LegIs, park.Due = res.Leg, pay.LegUnknown, p.Due
		return []pay.Event{park}
	case p.State == pay.Fail && approved && leg.State != pay.LegIdle, p.State == pay.Succ && refused, p.State == pay.Unkn && leg.State == pay.LegDone && refused,
		p.State == pay.Revd && approved && (leg.State == pay.LegRefused || nothingUndone(leg, h)):
		return []pay.Event{e.contradicted(p)}
	}
	// SUCC knows it. A leg whose undoing was confirmed, or at a host that refuses
	// what was undone before it came, was done before that.
	return nil
}

// concluded ends a parked 撤销 or 退货 whose last leg a late answer has confirmed.
func (e *Engine) concluded(ctx context.Context, p *pay.Entry, evs []pay.Event) error {
	if err := fold(p, evs); err != nil || !p.Undoes() || p.State != pay.Susp || evs[0].LegIs != pay.LegDone || !done(p) {
		return err
	}
	return e.finish(ctx, p)
}

// confirmed is what an approval makes of a parked payment: a success where that is
// all there is to it.
func confirmed(p *pay.Entry, res pay.Event) pay.Event {
	res.Code, res.Note = p.Code, p.Note+" 迟到应答" // who owes the decision stays in it
	if !p.Wanted && !p.Undoes() && p.Leg(pay.LegIdle) < 0 && p.Leg(pay.LegRefused) < 0 && p.Leg(pay.LegUndone) < 0 {
		res.State, res.Code, res.Note = pay.Succ, pay.CodeOK, "迟到应答证实成功"
	}
	return res
}

// contradicted gives a payment to a person because of what its host said.
func (e *Engine) contradicted(p *pay.Entry) pay.Event {
	park := e.park(e.o.Now(), pay.CodeContrary)
	park.Attempt = p.Attempt
	park.Note += " 迟到应答与已定结果矛盾"
	return park
}

// nothingUndone reports whether the leg's host said that there was nothing to
// undo, and would still take it.
func nothingUndone(l *pay.Leg, h *Host) bool {
	return l.State == pay.LegUndone && l.Code == pay.CodeNoEffect && !h.UndoMarks
}

// sentOnce reports whether the payment consists of one leg that left once: its
// marker is that of Begin.
func sentOnce(p *pay.Entry) bool { return len(p.Legs) == 1 && p.Marked.Equal(p.At) }

// legOf returns the leg that went to the host: one in doubt, else the last that
// was sent there, -1 when there is none; and the host.
func (e *Engine) legOf(ctx context.Context, p *pay.Entry, host string) (k int, h *Host) {
	k = -1
	steps, err := e.steps(ctx, p)
	if err != nil {
		return k, nil
	}
	for i, s := range steps {
		if s.Host.ID != host || p.Legs[i].State == pay.LegIdle {
			continue
		}
		if k, h = i, s.Host; p.Legs[i].State == pay.LegUnknown {
			break
		}
	}
	return k, h
}
