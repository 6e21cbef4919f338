package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
)

// Fix is a correction of one payment that people have decided on evidence.
type Fix uint8

// The corrections. None charges a card.
const (
	FixSucceed Fix = iota + 1 // 转成功: every leg is proved done
	FixFail                   // 置失败: no leg has effect
	FixUndone                 // 置已冲正: every leg is undone
	FixReverse                // 重发冲正: the reversal that is owed, at once
	FixPost                   // 补销账: the posting once more, as a payment of its own
	FixReturn                 // 返销: the posting is taken back, as a payment of its own
)

// The refusals of a repair.
var (
	ErrInFlight = errors.New("该笔正在办理中")
	ErrNotFit   = errors.New("该笔当前状态不能这样更正")
	ErrUnproved = errors.New("对方查询结果与证据不符, 或未能查到")
)

// Repair corrects a payment. key is the same however often the correction is
// begun, so that it is done once. It returns what the payment is then; an error
// says that the correction is not complete, and may be asked for again.
func (e *Engine) Repair(ctx context.Context, id pay.ID, fix Fix, key, why string) (pay.State, error) {
	ctx = context.WithoutCancel(ctx)
	p, err := e.o.Journal.Get(ctx, id)
	if err != nil {
		return pay.NoState, err
	}
	if p.State == pay.Sent || p.State == pay.Jrnl {
		return p.State, ErrInFlight
	}
	switch {
	case !p.Undoes():
	case fix == FixSucceed: // its original is what has changed
		err = e.tellOriginal(ctx, &p)
	case fix != FixFail:
		err = fmt.Errorf("%w: 是%s, 不能再冲", ErrNotFit, p.Req.Op.Chinese())
	}
	if err != nil {
		return p.State, err
	}
	switch fix {
	case FixSucceed:
		err = e.correct(ctx, &p, pay.Succ, pay.LegDone, why)
	case FixFail:
		err = e.correct(ctx, &p, pay.Fail, pay.LegRefused, why)
	case FixUndone:
		err = e.correct(ctx, &p, pay.Revd, pay.LegUndone, why)
	case FixReverse:
		err = e.reverseAgain(ctx, &p, why)
	case FixPost, FixReturn:
		err = e.repost(ctx, &p, fix, key, why)
	default:
		err = ErrNotFit
	}
	return p.State, err
}

// ways are the states between the present one and that of a correction.
var ways = [][]pay.State{{}, {pay.Susp}, {pay.Revp}, {pay.Susp, pay.Revp}}

// way returns the states to pass through to reach to, which comes last; nil
// when there is no way.
func way(from, to pay.State) []pay.State {
	if from == to {
		return []pay.State{}
	}
	for _, between := range ways {
		path, at := append(slices.Clone(between), to), from
		if !slices.ContainsFunc(path, func(s pay.State) bool {
			ok := at.May(s)
			at = s
			return !ok
		}) {
			return path
		}
	}
	return nil
}

// correct changes the record alone: what the files prove is written down.
func (e *Engine) correct(ctx context.Context, p *pay.Entry, to pay.State, leg pay.LegState, why string) error {
	path := way(p.State, to)
	if path == nil {
		return fmt.Errorf("%w: %s", ErrNotFit, p.State.Chinese())
	}
	code := map[pay.State]pay.Code{pay.Succ: pay.CodeOK, pay.Fail: pay.CodeRefused, pay.Revd: pay.CodeReversed}[to]
	now := e.o.Now()
	var evs []pay.Event
	for _, s := range path {
		evs = append(evs, pay.Event{Kind: pay.EvState, At: now, State: s, Code: code, Note: "更正 " + why})
	}
	for k := range p.Legs {
		if l := p.Legs[k].State; len(path) > 0 && (l == pay.LegUnknown || l == pay.LegSent || l.Effect() && leg != pay.LegDone) {
			evs = append(evs, pay.Event{Kind: pay.EvResult, At: now, State: to, Leg: uint8(k), LegIs: leg, Code: code})
		}
	}
	if len(evs) == 0 {
		return nil
	}
	return e.record(ctx, p, evs...)
}

// reverseAgain takes up a reversal that is owed and was given up, or waits.
func (e *Engine) reverseAgain(ctx context.Context, p *pay.Entry, why string) error {
	switch {
	case p.State != pay.Revp && p.State != pay.Susp && p.State != pay.Unkn:
		return fmt.Errorf("%w: %s", ErrNotFit, p.State.Chinese())
	case !e.undoable(p, e.o.Routes.steps(p)):
		return fmt.Errorf("%w: 已过对方的冲正期限", ErrNotFit)
	}
	now := e.o.Now()
	if err := e.record(ctx, p, pay.Event{Kind: pay.EvState, At: now, State: pay.Revp, Due: now, Note: "更正 " + why}); err != nil {
		return err
	}
	_, err := e.backOut(ctx, p, e.o.Routes.steps(p))
	if err == nil && p.State != pay.Revd {
		err = errors.New("冲正未得到确认, 继续重发")
	}
	return err
}

// repost makes or takes back the posting of a payment under the serial that the
// host knows it by, as a payment of its own in the journal. The host is asked
// first whether the evidence still holds.
func (e *Engine) repost(ctx context.Context, orig *pay.Entry, fix Fix, key, why string) error {
	k := slices.IndexFunc(orig.Legs, func(l pay.Leg) bool { return l.Kind == pay.LegPost })
	steps := e.o.Routes.steps(orig)
	if orig.State == pay.Adjd {
		return nil
	}
	if k < 0 || steps == nil || orig.Undoes() {
		return fmt.Errorf("%w: 没有销账一步", ErrNotFit)
	}
	in := pay.Intent{Req: e.repairRequest(orig, fix, key), Legs: []pay.LegKind{pay.LegPost}, Of: orig.ID}
	if !e.flights.enter(ctx, in.Req.Ref) {
		return ErrInFlight
	}
	defer e.flights.leave(in.Req.Ref)
	there, known, err := e.o.Journal.Find(ctx, in.Req.Ref)
	switch {
	case err != nil:
		return err
	case !known:
		if err := e.confirm(ctx, orig, k, steps[k].Host, fix); err != nil {
			return err
		}
		if err := e.parked(ctx, orig, why); err != nil {
			return err
		}
		if there, err = e.beginRepair(ctx, &in, steps[k:k+1]); err != nil {
			return err
		}
	}
	return e.adjusted(ctx, orig, &there, why)
}

func (e *Engine) beginRepair(ctx context.Context, in *pay.Intent, steps []Step) (pay.Entry, error) {
	child, seen, err := e.o.Journal.Begin(ctx, in)
	switch {
	case err != nil:
		return child, err
	case seen != pay.SeenNew:
		return child, ErrNotFit
	}
	e.run(ctx, &child, steps, 0)
	return child, nil
}

// repairRequest is the payment that the correction is.
func (e *Engine) repairRequest(orig *pay.Entry, fix Fix, key string) *pay.Request {
	r := &pay.Request{Op: pay.Pay, Biller: orig.Req.Biller, Account: orig.Req.Account, Amount: orig.Req.Amount, Bills: orig.Req.Bills,
		Ref: pay.Ref{Institution: "qianzhi", Kind: pay.KindPay, Scope: "repair", Serial: key},
		Via: &pay.Via{Link: orig.Req.Via.Link, At: e.o.Now(), Funds: pay.Taken}}
	if fix == FixReturn {
		r.Op, r.Ref.Kind = pay.Cancel, pay.Cancel.Kind()
		original := orig.Req.Ref
		r.Original = &original
	}
	return r
}

// confirm asks the host whether it sees what the files say. A host that cannot
// be asked must at least post one serial once.
func (e *Engine) confirm(ctx context.Context, orig *pay.Entry, k int, h *Host, fix Fix) error {
	if !h.Status {
		if fix == FixPost && h.Dedupe {
			return nil
		}
		return fmt.Errorf("%w: %s 不能查询", ErrUnproved, h.ID)
	}
	rep := e.put(ctx, h, e.statusRequest(orig, k, h))
	switch {
	case fix == FixPost && rep.Verdict == pay.Declined && rep.Code == pay.CodeOriginal && e.past(orig, h):
	case fix == FixReturn && rep.Verdict == pay.Approved && rep.Amount == orig.Req.Amount:
	default:
		return fmt.Errorf("%w: %s 答 %s", ErrUnproved, h.ID, rep.Code.Chinese())
	}
	return nil
}

// past reports whether nothing of the payment can still be on its way.
func (e *Engine) past(p *pay.Entry, h *Host) bool { return e.o.Now().Sub(p.Marked) > h.LateWindow }

// parked takes the payment into the hands of people, from where it is adjusted.
func (e *Engine) parked(ctx context.Context, p *pay.Entry, why string) error {
	if p.State == pay.Susp {
		return nil
	}
	if !p.State.May(pay.Susp) {
		return fmt.Errorf("%w: %s", ErrNotFit, p.State.Chinese())
	}
	ev := e.park(e.o.Now(), p.Code)
	ev.Note = "更正 " + why
	return e.record(ctx, p, ev)
}

// adjusted ends the correction once its payment has succeeded.
func (e *Engine) adjusted(ctx context.Context, orig, child *pay.Entry, why string) error {
	if child.State != pay.Succ {
		return fmt.Errorf("更正交易 %s %s", child.ID.Serial(e.o.Node), child.State.Chinese())
	}
	again, err := e.o.Journal.Get(ctx, orig.ID)
	if err != nil {
		return err
	}
	if *orig = again; orig.State != pay.Susp {
		return nil
	}
	code := pay.CodeOK
	if child.Undoes() {
		code = pay.CodeReversed // that is how the payment has ended
	}
	return e.record(ctx, orig, pay.Event{Kind: pay.EvState, At: e.o.Now(), State: pay.Adjd, Code: code,
		Note: fmt.Sprintf("更正 %s %s", child.ID.Serial(e.o.Node), why)})
}
