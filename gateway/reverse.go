package gateway

import (
	"context"
	"errors"
	"time"

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
	if orig.State == pay.Revd && !orig.Undoes() {
		return pay.Answer(pay.Approved, pay.CodeReversed), nil
	}
	if req.Amount != 0 && req.Amount != orig.Req.Amount {
		return pay.Answer(pay.Declined, pay.CodeAmount), nil
	}
	if req.Account != "" && req.Account != orig.Req.Account {
		return pay.Answer(pay.Declined, pay.CodeOriginal), nil
	}
	switch {
	case orig.State == pay.Fail:
		return pay.Answer(pay.Approved, pay.CodeNoEffect), nil
	case e.o.Reconciling(orig.ID.Day):
		return pay.Answer(pay.Declined, pay.CodeReconciling), nil
	case orig.Undoes() && orig.State.Open():
		return pay.Answer(pay.Unknown, pay.CodeInProgress), nil
	case orig.Undoes():
		return pay.Answer(pay.Declined, pay.CodeWindow), nil // what it undid is not done again
	case e.childOpen(ctx, orig):
		return pay.Answer(pay.Unknown, pay.CodeInProgress), nil
	case orig.Child != "":
		if sum, err := e.refunded(ctx, orig); err != nil || sum > 0 { // part of it is given back, and the whole cannot be any more
			return pay.Answer(pay.Declined, pay.CodeWindow), err
		}
	}
	switch orig.State {
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
	steps := e.o.Routes.steps(orig)
	now := e.o.Now()
	if !e.undoable(orig, steps) {
		park := e.park(now, pay.CodeWindow)
		if err := e.o.Journal.Append(ctx, orig.ID, orig.N, park); err != nil {
			return pay.Reply{}, err
		}
		return pay.Answer(pay.Unknown, pay.CodeParked), nil
	}
	longest := time.Duration(0)
	for _, s := range steps {
		longest += s.Host.Timeout
	}
	ev := pay.Event{Kind: pay.EvState, At: now, State: pay.Revp, Due: now.Add(longest + e.gap(0))}
	if err := e.o.Journal.Append(ctx, orig.ID, orig.N, ev); err != nil {
		return pay.Reply{}, err
	}
	if err := fold(orig, []pay.Event{ev}); err != nil {
		return pay.Reply{}, err
	}
	e.doubts.Add(orig.ID, orig.Due)
	return e.backOut(ctx, orig, steps)
}

// undoable reports whether every leg that has or may have effect can still be
// undone at its host.
func (e *Engine) undoable(p *pay.Entry, steps []Step) bool {
	if steps == nil {
		return false
	}
	for i := range p.Legs {
		if p.Legs[i].State.Effect() && !steps[i].Host.within(pay.Reverse, p.ID.Day, e.o.Today()) {
			return false
		}
	}
	return true
}

// release ends a parked payment of which no leg has effect: the sender has
// taken its money back.
func (e *Engine) release(ctx context.Context, orig *pay.Entry) (pay.Reply, error) {
	if orig.Effect(-1) {
		return pay.Answer(pay.Unknown, pay.CodeParked), nil
	}
	ev := pay.Event{Kind: pay.EvState, At: e.o.Now(), State: pay.Fail, Code: pay.CodeReversed, Note: "发起方冲正,无腿生效"}
	if err := e.o.Journal.Append(ctx, orig.ID, orig.N, ev); err != nil {
		return pay.Reply{}, err
	}
	return pay.Answer(pay.Approved, pay.CodeNoEffect), nil
}

// backOut takes back every leg of a payment that is REVP, what was done last
// first, and records what came of it. Only a proof ends the duty for a leg: the
// host's confirmation, or its statement that there is nothing to undo once the
// request can no longer arrive. The legs do not wait for each other.
func (e *Engine) backOut(ctx context.Context, p *pay.Entry, steps []Step) (pay.Reply, error) {
	early := false
	for k := len(p.Legs) - 1; k >= 0; k-- {
		if !p.Legs[k].State.Effect() {
			continue
		}
		rep, err := e.backOutLeg(ctx, p, k, steps[k].Host)
		if err != nil || rep.Code == pay.CodeParked {
			return rep, err
		}
		early = early || rep.Code == pay.CodeInProgress
	}
	now, tried := e.o.Now(), e.tried(p, early)
	switch {
	case p.State == pay.Revd:
		return pay.Answer(pay.Approved, pay.CodeOK), nil
	case tried >= e.o.Policy.Tries:
		park := e.park(now, pay.CodeUnknown)
		park.Attempt = tried
		return pay.Answer(pay.Unknown, pay.CodeParked), e.record(ctx, p, park)
	}
	ev := pay.Event{Kind: pay.EvAttempt, At: now, State: pay.Revp, Attempt: tried, Due: now.Add(e.gap(p.Attempt))}
	if !p.Effect(-1) { // no leg had effect after all
		ev = pay.Event{Kind: pay.EvState, At: now, State: pay.Revd, Code: pay.CodeReversed}
	}
	if err := e.record(ctx, p, ev); err != nil {
		return pay.Reply{}, err
	}
	if p.State == pay.Revd {
		return pay.Answer(pay.Approved, pay.CodeOK), nil
	}
	e.doubts.Add(p.ID, ev.Due)
	return pay.Answer(pay.Unknown, pay.CodeInProgress), nil
}

// backOutLeg asks for one leg to be undone. Where nothing is proved it records
// nothing; it answers "in progress" where the host answered within its late
// window, too early to prove anything.
func (e *Engine) backOutLeg(ctx context.Context, p *pay.Entry, k int, h *Host) (pay.Reply, error) {
	call, cancel := context.WithTimeout(ctx, h.Timeout)
	rep, err := h.Adapter.Do(call, e.undoRequest(p, k))
	cancel()
	now := e.o.Now()
	if rep.Code == pay.CodeOriginal {
		rep.Code = pay.CodeNoEffect // it knows nothing of what is to be undone
	}
	switch {
	case err != nil || rep.Verdict == pay.Unknown:
	case rep.Verdict == pay.Declined && rep.Code != pay.CodeNoEffect:
		return pay.Answer(pay.Unknown, pay.CodeParked), e.record(ctx, p, e.park(now, rep.Code))
	case e.undone(p, k, h, rep.Code):
		ev := pay.Event{Kind: pay.EvResult, At: now, State: pay.Revp, Leg: uint8(k), LegIs: pay.LegUndone, Code: rep.Code, Attempt: p.Attempt, Due: now, Host: rep.Serial}
		if !p.Effect(k) {
			ev.State, ev.Attempt, ev.Due = pay.Revd, 0, time.Time{}
		}
		return pay.Reply{}, e.record(ctx, p, ev)
	default:
		return pay.Answer(pay.Unknown, pay.CodeInProgress), nil
	}
	return pay.Reply{}, nil
}

// record appends events and brings the entry in memory to where the journal is.
func (e *Engine) record(ctx context.Context, p *pay.Entry, evs ...pay.Event) error {
	if err := e.o.Journal.Append(ctx, p.ID, p.N, evs...); err != nil {
		return err
	}
	return fold(p, evs)
}

// undone reports whether the host's approval of a reversal is final. One that
// may mean that there was nothing to undo is final only when the leg was
// confirmed before, or cannot arrive any more, or would be refused if it did. A
// reversal carries the same numbers however often it is sent: from the second
// on, an approval may be the answer to one that overtook the leg.
func (e *Engine) undone(p *pay.Entry, k int, h *Host, code pay.Code) bool {
	first := p.Legs[k].State == pay.LegDone && p.Attempt == 0
	return code != pay.CodeNoEffect && h.UndoTells || h.UndoMarks || first || e.doubts.late(p.ID, h.LateWindow)
}
