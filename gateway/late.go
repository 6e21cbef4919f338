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
	_ = e.late(ctx, host, serial, rep) // it is logged
}

// late reports an error where the answer belongs to nothing, or what it changes
// could not be written.
func (e *Engine) late(ctx context.Context, host, serial string, rep pay.Reply) error {
	id, ours := pay.ParseSerial(serial, e.o.Node)
	switch {
	case !ours:
		return errNotOurs
	case rep.Verdict == pay.Unknown:
		return nil
	}
	for range maxRetold {
		p, err := e.o.Journal.Get(ctx, id)
		if err != nil {
			e.o.Log.Error("late answer to an unknown payment", "event", "QZ313", "payment", serial, "err", err)
			return err
		}
		if k, _ := e.legOf(&p, host); k < 0 && !p.Undoes() {
			return errNotOurs
		}
		if p.State == pay.Sent && e.heard.keep(id, lateAnswer{host, rep}) {
			continue // it may have moved before the answer was kept
		}
		if p.State != pay.Sent {
			e.heard.take(id) // here it is judged
		}
		evs := e.retold(&p, host, &rep)
		if len(evs) == 0 {
			return nil
		}
		err = e.doubts.append(ctx, &p, evs...)
		if err == nil {
			e.o.Log.Warn("late answer changed a payment", "event", "QZ314", "payment", serial, "host", host, "from", p.State.String(), "verdict", rep.Verdict.String())
			return nil
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
		e.Late(ctx, l.host, id.Serial(e.o.Node), l.rep)
	}
}

// lateAnswer is an answer that nobody waited for any more.
type lateAnswer struct {
	host string
	rep  pay.Reply
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

// retold is what a late answer changes, by the payment's state. A refusal
// proves something only where the leg was sent once: a payment whose money is
// taken may have been sent again under its key.
func (e *Engine) retold(p *pay.Entry, host string, rep *pay.Reply) []pay.Event {
	k, h := e.legOf(p, host)
	switch {
	case k < 0:
		return nil
	case rep.Verdict == pay.Approved && rep.Amount != p.Req.Amount:
		e.o.Log.Error("late answer confirms another amount", "event", "QZ321", "host", host, "payment", p.ID.Serial(e.o.Node))
		return nil
	}
	leg := &p.Legs[k]
	approved := rep.Verdict == pay.Approved
	refused := rep.Verdict == pay.Declined && p.Req.Via.Funds == pay.Untaken
	res := pay.Event{Kind: pay.EvResult, At: e.o.Now(), State: p.State, Leg: uint8(k), LegIs: pay.LegDone, Code: pay.CodeOK, Host: rep.Serial,
		Attempt: p.Attempt, Due: p.Due, Note: "迟到应答"}
	switch {
	case p.State == pay.Unkn && leg.State == pay.LegUnknown && approved:
		return e.judge(p, outcome{leg: k, is: pay.LegDone, code: pay.CodeOK, host: rep.Serial})
	case p.State == pay.Unkn && leg.State == pay.LegUnknown && refused:
		return e.judge(p, outcome{leg: k, is: pay.LegRefused, code: rep.Code})
	case p.State == pay.Revp && leg.State == pay.LegUnknown && approved:
		res.Attempt++           // a reversal under way overtook it, and counts
		return []pay.Event{res} // known to have effect now; it goes on being undone
	case p.State == pay.Susp && leg.State == pay.LegUnknown && approved:
		if res.Code = p.Code; !p.Wanted && p.Leg(pay.LegIdle) < 0 && p.Leg(pay.LegRefused) < 0 && p.Leg(pay.LegUndone) < 0 {
			res.State, res.Code, res.Note = pay.Succ, pay.CodeOK, "迟到应答证实成功"
		}
		return []pay.Event{res}
	case p.State == pay.Fail && approved && leg.State != pay.LegIdle, p.State == pay.Succ && refused,
		p.State == pay.Revd && approved && leg.State == pay.LegUndone && leg.Code == pay.CodeNoEffect && !h.UndoMarks,
		p.State == pay.Revd && approved && leg.State == pay.LegRefused:
		park := e.park(res.At, pay.CodeUnknown)
		park.Note += " 迟到应答与已定结果矛盾"
		return []pay.Event{park}
	}
	// SUCC knows it. A leg whose undoing was confirmed, or at a host that refuses
	// what was undone before it came, was done before that.
	return nil
}

// legOf returns the leg that went to the host: one in doubt, else the last that
// was sent there, -1 when there is none or the payment is a 撤销 or 退货, whose
// answers are asked for again; and the host.
func (e *Engine) legOf(p *pay.Entry, host string) (k int, h *Host) {
	k = -1
	if p.Undoes() {
		return k, nil
	}
	for i, s := range e.o.Routes.steps(p) {
		if s.Host.ID != host || p.Legs[i].State == pay.LegIdle {
			continue
		}
		if k, h = i, s.Host; p.Legs[i].State == pay.LegUnknown {
			break
		}
	}
	return k, h
}
