package gateway

import (
	"context"
	"errors"

	"qianzhi/gateway/pay"
)

// Late takes the answer to a posting that came after its caller had given up.
// It is proof like any other: what it proves is written down, and where it
// contradicts what was decided meanwhile a person gets the payment. serial is
// ours, as the host sent it back.
func (e *Engine) Late(ctx context.Context, serial string, rep pay.Reply) {
	id, ours := pay.ParseSerial(serial, e.o.Node)
	if !ours || rep.Verdict == pay.Unknown {
		return
	}
	for range maxRetold {
		p, err := e.o.Journal.Get(ctx, id)
		if err != nil {
			e.o.Log.Error("late answer to an unknown payment", "event", "QZ313", "payment", serial, "err", err)
			return
		}
		evs := e.retold(&p, &rep)
		if len(evs) == 0 {
			return
		}
		err = e.doubts.append(ctx, &p, evs...)
		if err == nil {
			e.o.Log.Warn("late answer changed a payment", "event", "QZ314", "payment", serial, "from", p.State.String(), "verdict", rep.Verdict.String())
			return
		}
		if !errors.Is(err, pay.ErrMoved) {
			e.o.Log.Error("late answer not durable", "event", "QZ203", "payment", serial, "err", err)
			return
		}
	}
}

// maxRetold is how often a payment is looked at again that moves while a late
// answer is being judged.
const maxRetold = 8

// retold is what a late answer changes, by the payment's state. A payment that
// is still SENT has its caller, or the resolver, to hear the answer. A refusal
// proves something only where the posting was sent once: a payment whose money
// is taken may have been posted again under its key.
func (e *Engine) retold(p *pay.Entry, rep *pay.Reply) []pay.Event {
	now := e.o.Now()
	approved := rep.Verdict == pay.Approved && rep.Amount == p.Req.Amount
	done := outcome{leg: pay.LegDone, verdict: pay.Approved, code: pay.CodeOK, host: rep.Serial}
	refused := rep.Verdict == pay.Declined && p.Req.Via.Funds == pay.Untaken
	switch {
	case len(p.Legs) != 1 || rep.Verdict == pay.Approved && !approved:
		return nil
	case p.State == pay.Unkn && approved:
		return e.judge(p, done)
	case p.State == pay.Unkn && refused:
		return e.judge(p, outcome{leg: pay.LegRefused, code: rep.Code})
	case p.State == pay.Susp && approved && p.Legs[0].State == pay.LegUnknown && !p.Wanted:
		return []pay.Event{{Kind: pay.EvResult, At: now, State: pay.Succ, LegIs: pay.LegDone, Code: pay.CodeOK, Host: rep.Serial, Note: "迟到应答证实成功"}}
	case p.State == pay.Fail && approved && p.Legs[0].State != pay.LegIdle, p.State == pay.Succ && refused:
		park := e.park(now, pay.CodeUnknown)
		park.Note += " 迟到应答与已定结果矛盾"
		return []pay.Event{park}
	}
	return nil // REVP goes on reversing, REVD was undone after the posting, SUCC knows it
}
