package gateway

import (
	"context"
	"errors"

	"qianzhi/gateway/pay"
)

// reverse answers a 冲正. The reversal or its tombstone is durable before
// anything is said; a repeat acts again on the original's present state.
func (e *Engine) reverse(ctx context.Context, req *pay.Request) pay.Reply {
	if req.Original == nil {
		return pay.Answer(pay.Declined, pay.CodeFormat)
	}
	in := pay.Intent{Req: req, Known: req.Via.Replayed}
	ctx = context.WithoutCancel(ctx)
	entry, seen, err := e.o.Journal.Begin(ctx, &in)
	if err != nil {
		e.o.Log.Error("journal refused a reversal", "event", "QZ202", "link", req.Via.Link, "err", err)
		return pay.Answer(pay.Unknown, pay.CodeUnknown)
	}
	switch seen {
	case pay.SeenNew, pay.SeenSame:
	case pay.SeenOther:
		return pay.Answer(pay.Declined, pay.CodeDuplicate)
	case pay.SeenExpired:
		return pay.Answer(pay.Unknown, pay.CodeExpired)
	default:
		return pay.Answer(pay.Unknown, pay.CodeReplayed)
	}
	if entry.Original.IsZero() {
		return pay.Answer(pay.Approved, pay.CodeNoEffect)
	}
	return e.undoOf(ctx, entry.Original, req)
}

// undoOf acts on the original; when another event comes in between it looks
// again, a bounded number of times.
func (e *Engine) undoOf(ctx context.Context, id pay.ID, req *pay.Request) pay.Reply {
	for range 8 {
		orig, err := e.o.Journal.Get(ctx, id)
		if err != nil {
			break
		}
		rep, err := e.undo(ctx, &orig, req)
		if err == nil {
			return rep
		}
		if !errors.Is(err, pay.ErrMoved) {
			e.o.Log.Error("reversal not durable", "event", "QZ203", "payment", id.Serial(e.o.Node), "err", err)
			break
		}
	}
	return pay.Answer(pay.Unknown, pay.CodeUnknown)
}

// undo decides by the original's state: already reversed comes before the
// comparison of amounts, so that a repeat never meets an error.
func (e *Engine) undo(ctx context.Context, orig *pay.Entry, req *pay.Request) (pay.Reply, error) {
	if orig.State == pay.Revd {
		return pay.Answer(pay.Approved, pay.CodeReversed), nil
	}
	if req.Amount != 0 && req.Amount != orig.Req.Amount {
		return pay.Answer(pay.Declined, pay.CodeAmount), nil
	}
	if req.Account != "" && req.Account != orig.Req.Account {
		return pay.Answer(pay.Declined, pay.CodeOriginal), nil
	}
	switch orig.State {
	case pay.Fail:
		return pay.Answer(pay.Approved, pay.CodeNoEffect), nil
	case pay.Sent, pay.Jrnl:
		return e.want(ctx, orig)
	case pay.Unkn, pay.Succ:
		return e.begin(ctx, orig)
	case pay.Revp:
		return pay.Answer(pay.Unknown, pay.CodeInProgress), nil
	case pay.Susp:
		return e.release(ctx, orig)
	}
	return pay.Answer(pay.Declined, pay.CodeWindow), nil
}

// want records that the payment under way must be undone when its leg answers.
func (e *Engine) want(ctx context.Context, orig *pay.Entry) (pay.Reply, error) {
	rep := pay.Answer(pay.Unknown, pay.CodeInProgress)
	if orig.Wanted {
		return rep, nil
	}
	return rep, e.o.Journal.Append(ctx, orig.ID, orig.N, pay.Event{Kind: pay.EvWanted, At: e.o.Now()})
}

// begin makes the duty to reverse durable and tries at once.
func (e *Engine) begin(ctx context.Context, orig *pay.Entry) (pay.Reply, error) {
	h := e.host(orig)
	now := e.o.Now()
	if h == nil || e.o.Today().Sub(orig.ID.Day) > h.UndoDays {
		park := e.park(now, pay.CodeWindow)
		if err := e.o.Journal.Append(ctx, orig.ID, orig.N, park); err != nil {
			return pay.Reply{}, err
		}
		return pay.Answer(pay.Unknown, pay.CodeParked), nil
	}
	ev := pay.Event{Kind: pay.EvState, At: now, State: pay.Revp, Due: now.Add(h.Timeout + e.gap(0))}
	if err := e.o.Journal.Append(ctx, orig.ID, orig.N, ev); err != nil {
		return pay.Reply{}, err
	}
	if err := fold(orig, []pay.Event{ev}); err != nil {
		return pay.Reply{}, err
	}
	e.doubts.Add(orig.ID, orig.Due)
	return e.backOut(ctx, orig, h)
}

// release ends a parked payment of which no leg has effect: the sender has
// taken its money back.
func (e *Engine) release(ctx context.Context, orig *pay.Entry) (pay.Reply, error) {
	for i := range orig.Legs {
		if orig.Legs[i].State.Effect() {
			return pay.Answer(pay.Unknown, pay.CodeParked), nil
		}
	}
	ev := pay.Event{Kind: pay.EvState, At: e.o.Now(), State: pay.Fail, Code: pay.CodeReversed, Note: "发起方冲正,无腿生效"}
	if err := e.o.Journal.Append(ctx, orig.ID, orig.N, ev); err != nil {
		return pay.Reply{}, err
	}
	return pay.Answer(pay.Approved, pay.CodeNoEffect), nil
}

// backOut sends one 返销 for a payment that is REVP and records what came of
// it. Only a proof ends the duty: the host's confirmation, or its statement
// that there is nothing to undo once the posting can no longer arrive.
func (e *Engine) backOut(ctx context.Context, p *pay.Entry, h *Host) (pay.Reply, error) {
	call, cancel := context.WithTimeout(ctx, h.Timeout)
	rep, err := h.Adapter.Do(call, e.hostRequest(p, pay.Reverse))
	cancel()
	now := e.o.Now()
	ev := pay.Event{Kind: pay.EvAttempt, At: now, State: pay.Revp, Attempt: p.Attempt + 1, Due: now.Add(e.gap(p.Attempt))}
	switch {
	case err != nil || rep.Verdict == pay.Unknown:
	case rep.Verdict == pay.Declined:
		ev = e.park(now, rep.Code)
	case e.undone(p, h, rep.Code):
		ev = pay.Event{Kind: pay.EvResult, At: now, State: pay.Revd, LegIs: pay.LegUndone, Code: pay.CodeReversed, Host: rep.Serial}
	}
	if ev.State == pay.Revp && ev.Attempt >= e.o.Policy.Tries {
		ev = e.park(now, pay.CodeUnknown)
	}
	if err := e.o.Journal.Append(ctx, p.ID, p.N, ev); err != nil {
		return pay.Reply{}, err
	}
	switch ev.State {
	case pay.Revd:
		return pay.Answer(pay.Approved, pay.CodeOK), nil
	case pay.Revp:
		e.doubts.Add(p.ID, ev.Due)
		return pay.Answer(pay.Unknown, pay.CodeInProgress), nil
	}
	return pay.Answer(pay.Unknown, pay.CodeParked), nil
}

// undone reports whether the host's approval of a reversal is final. "Nothing
// to undo" is final only when the posting was confirmed before, or cannot
// arrive any more, or would be refused if it did.
func (e *Engine) undone(p *pay.Entry, h *Host, code pay.Code) bool {
	return code != pay.CodeNoEffect || h.UndoMarks || p.Legs[0].State == pay.LegDone || e.doubts.late(p.ID, h.LateWindow)
}

// host finds the counterparty of a payment.
func (e *Engine) host(p *pay.Entry) *Host {
	if r := e.o.Routes.Find(p.Req); r != nil {
		return r.Host
	}
	return nil
}
