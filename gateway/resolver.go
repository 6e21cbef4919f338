package gateway

import (
	"container/heap"
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// Resolver settles payments in doubt: it asks the host by our serial, repeats
// reversals that are owed, and hands over to a person what stays unknown. The
// counts of its tries are in the journal and survive a restart.
//
// Waits are measured on the monotonic clock: a step of the wall clock neither
// hurries nor delays a try, and never shortens a late window.
type Resolver struct {
	e    *Engine
	mu   sync.Mutex
	due  dueHeap
	in   map[pay.ID]time.Time // when each is due; an item of the heap with another time is not
	sent map[pay.ID]time.Time // since when nothing more was sent, as this process knows
	wake chan struct{}

	tries int // under way at once, at all hosts
	lanes lanes
}

func newResolver(e *Engine) *Resolver {
	return &Resolver{e: e, in: map[pay.ID]time.Time{}, sent: map[pay.ID]time.Time{}, wake: make(chan struct{}, 1), tries: e.o.Policy.Workers * e.o.Routes.hosts()}
}

// Add schedules a payment; one that is scheduled already keeps the earlier time.
func (r *Resolver) Add(id pay.ID, at time.Time) {
	now := time.Now()
	due := now.Add(at.Sub(r.e.o.Now()))
	r.mu.Lock()
	if was, there := r.in[id]; !there || due.Before(was) {
		r.in[id] = due
		heap.Push(&r.due, dueItem{due, id})
	}
	if _, known := r.sent[id]; !known {
		r.sent[id] = now
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// late reports whether a posting can no longer arrive: its late window has
// passed since this process first knew of the doubt, which is after it left.
func (r *Resolver) late(id pay.ID, window time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.sent[id]
	return known && time.Since(at) > window
}

// again notes that the posting is sent once more.
func (r *Resolver) again(id pay.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[id] = time.Now()
}

func (r *Resolver) forget(id pay.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.in[id]; !there {
		delete(r.sent, id)
	}
}

// Waiting returns how many payments are in doubt.
func (r *Resolver) Waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.in)
}

// Recover takes over what a stopped process left open. A payment without a
// marker never left; every marker without a result is unknown.
func (r *Resolver) Recover(ctx context.Context, open []pay.Entry) error {
	for i := range open {
		p := &open[i]
		now := r.e.o.Now()
		ev := pay.Event{Kind: pay.EvState, At: now, Note: "重启"}
		switch p.State {
		case pay.Jrnl:
			ev.State, ev.Note = pay.Fail, "重启未发"
			ev.Code = pay.CodeNotAccepted
		case pay.Sent:
			ev = r.interrupted(p, ev)
		default:
			r.Add(p.ID, p.Due)
			continue
		}
		if err := r.e.o.Journal.Append(ctx, p.ID, p.N, ev); err != nil {
			return err
		}
		if ev.State != pay.Fail {
			r.Add(p.ID, now)
		}
	}
	return nil
}

// interrupted is what a stop made of a payment under way: the leg whose marker
// has no result is unknown.
func (r *Resolver) interrupted(p *pay.Entry, ev pay.Event) pay.Event {
	ev.State, ev.Due = pay.Unkn, ev.At
	k := p.Leg(pay.LegSent)
	if k < 0 {
		return ev
	}
	ev.Leg, ev.LegIs, ev.Code = uint8(k), pay.LegUnknown, pay.CodeInterrupted
	if p.Wanted || r.e.untold(p, k) {
		ev.State = pay.Revp
	}
	return ev
}

// Run works until ctx ends and returns after its last try has ended.
func (r *Resolver) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, r.tries)
	for {
		id, wait, ok := r.next()
		if ok {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			wg.Go(func() {
				defer func() { <-slots }()
				defer r.recovered(id)
				r.step(context.WithoutCancel(ctx), id)
			})
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// recovered keeps a fault of the program to the payment that met it, which is
// tried again.
func (r *Resolver) recovered(id pay.ID) {
	if cause := recover(); cause != nil {
		r.e.o.Log.Error("panic while settling", "event", "QZ999", "payment", id.Serial(r.e.o.Node), "panic", cause, "stack", string(debug.Stack()))
		r.Add(id, r.e.o.Now().Add(r.e.gap(0)))
	}
}

// next takes the payment that is due, or says how long to wait.
func (r *Resolver) next() (pay.ID, time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.due) > 0 && r.in[r.due[0].id] != r.due[0].at {
		heap.Pop(&r.due) // it was taken at an earlier time
	}
	if len(r.due) == 0 {
		return pay.ID{}, time.Hour, false
	}
	if wait := time.Until(r.due[0].at); wait > 0 {
		return pay.ID{}, wait, false
	}
	it := heap.Pop(&r.due).(dueItem)
	delete(r.in, it.id)
	return it.id, 0, true
}

// step makes one try for one payment. Whatever fails here is tried again.
func (r *Resolver) step(ctx context.Context, id pay.ID) {
	e := r.e
	p, err := e.o.Journal.Get(ctx, id)
	if err == nil {
		var steps []Step
		if steps, err = e.steps(ctx, &p); err == nil {
			if h := e.asks(&p, steps); h != nil {
				if !r.lanes.enter(h, e.o.Policy.Workers) {
					r.Add(id, e.o.Now().Add(crowded(h)))
					return
				}
				defer r.lanes.leave(h)
			}
			err = r.try(ctx, &p)
		}
	}
	if err == nil || errors.Is(err, pay.ErrMoved) && !p.State.Open() {
		r.forget(id)
		return
	}
	if !errors.Is(err, pay.ErrMoved) {
		e.o.Log.Error("try failed", "event", "QZ330", "payment", id.Serial(e.o.Node), "err", err)
	}
	r.Add(id, e.o.Now().Add(e.gap(p.Attempt)))
}

func (r *Resolver) try(ctx context.Context, p *pay.Entry) error {
	e := r.e
	steps, err := e.steps(ctx, p)
	switch {
	case err != nil:
		return err
	case p.State == pay.Sent:
		return r.Recover(ctx, []pay.Entry{*p})
	case p.State == pay.Revp && steps != nil:
		_, err := e.backOut(ctx, p, steps)
		return err
	case p.State != pay.Unkn && p.State != pay.Revp:
		return nil
	case steps == nil || p.Attempt >= e.o.Policy.Tries:
		return r.give(ctx, p)
	case p.Undoes():
		if err := e.relate(ctx, p); err != nil {
			return err
		}
	}
	k := p.Leg(pay.LegUnknown)
	if k < 0 {
		return r.goOn(ctx, p, steps)
	}
	switch h := steps[k].Host; {
	case h.Status:
		return r.ask(ctx, p, k, steps)
	case h.Dedupe && (p.Undoes() || p.Legs[k].Kind != pay.LegCharge) && !p.Wanted && (p.Taken() || p.Undoes() || p.Effect(k)):
		return r.resend(ctx, p, k, steps) // a host that posts one serial once tells by it what became of it
	case p.Undoes() && !r.late(p.ID, h.LateWindow): // its answer may still come
		return r.append(ctx, p, r.attempt(p, true))
	}
	return r.give(ctx, p)
}

// give hands a payment that the machine cannot settle to a person, with the number
// of its tries.
func (r *Resolver) give(ctx context.Context, p *pay.Entry) error {
	park := r.e.park(r.e.o.Now(), pay.CodeUnknown)
	park.Attempt = p.Attempt
	return r.append(ctx, p, park)
}

// steps returns the steps of a payment: for a 撤销 or 退货 those that undo its
// original, for a repair that of its posting.
func (e *Engine) steps(ctx context.Context, p *pay.Entry) ([]Step, error) {
	if !p.Undoes() && !p.Repairs() {
		return e.o.Routes.steps(p), nil
	}
	orig, err := e.o.Journal.Get(ctx, p.Original)
	if err != nil {
		return nil, err
	}
	all := e.o.Routes.undoSteps(&orig)
	if len(all) == len(p.Legs) {
		return all, nil
	}
	return slices.DeleteFunc(all, func(s Step) bool { return s.Kind != pay.LegPost }), nil
}

// goOn takes up a payment of which nothing is unknown and something is left to
// do: its next leg where that is owed, else the way back.
func (r *Resolver) goOn(ctx context.Context, p *pay.Entry, steps []Step) error {
	e := r.e
	k := p.Leg(pay.LegIdle)
	switch {
	case k < 0 && p.Undoes():
		return e.finish(ctx, p)
	case k >= 0 && (p.Taken() || p.Undoes()):
		return r.resend(ctx, p, k, steps)
	}
	return r.append(ctx, p, pay.Event{Kind: pay.EvState, At: e.o.Now(), State: pay.Revp, Due: e.o.Now()})
}

// ask queries the host of leg k by our serial. A single "not found" proves
// nothing while the request may still be on its way.
func (r *Resolver) ask(ctx context.Context, p *pay.Entry, k int, steps []Step) error {
	e, h := r.e, steps[k].Host
	call, cancel := context.WithTimeout(ctx, h.Timeout)
	rep, err := h.Adapter.Do(call, e.statusRequest(p, k, h))
	cancel()
	if err != nil {
		rep = pay.Reply{}
	}
	late := r.late(p.ID, h.LateWindow)
	reversed := rep.Code == pay.CodeReversed && rep.Verdict != pay.Unknown
	own := p.Req.Op == pay.Refund && h.refunds() // asked for by its own serial
	switch {
	case p.Undoes() && reversed, own && rep.Verdict == pay.Approved:
		return r.append(ctx, p, e.judge(p, outcome{leg: k, is: pay.LegDone, code: pay.CodeReversed, host: rep.Serial})...)
	case p.Undoes() && rep.Verdict == pay.Approved && late, rep.Verdict == pay.Declined && rep.Code == pay.CodeOriginal && late:
		return r.absent(ctx, p, k, steps)
	case p.Undoes():
	case reversed:
		return r.undoneThere(ctx, p, k, rep)
	case rep.Verdict == pay.Approved && rep.Amount == p.Req.Amount:
		return r.append(ctx, p, e.judge(p, outcome{leg: k, is: pay.LegDone, code: pay.CodeOK, host: rep.Serial})...)
	case rep.Verdict == pay.Declined && rep.Code != pay.CodeOriginal:
		return r.append(ctx, p, e.judge(p, outcome{leg: k, is: pay.LegRefused, code: rep.Code})...)
	}
	early := !late && (rep.Verdict == pay.Declined || p.Undoes() && rep.Verdict == pay.Approved)
	return r.append(ctx, p, r.attempt(p, early))
}

// attempt is one more try from which nothing was learnt.
func (r *Resolver) attempt(p *pay.Entry, early bool) pay.Event {
	now := r.e.o.Now()
	return pay.Event{Kind: pay.EvAttempt, At: now, State: pay.Unkn, Attempt: r.e.tried(p, early), Due: now.Add(r.e.gap(p.Attempt + 1))}
}

// tried is the count of tries after one more. An answer that only came too early
// to prove anything never uses up the last try: the late window begins anew in
// each life of the process, and what it can settle in the next one it must not
// leave to people because it died often.
func (e *Engine) tried(p *pay.Entry, early bool) uint16 {
	n := p.Attempt + 1
	if early {
		n = min(n, e.o.Policy.Tries-1)
	}
	return n
}

// undoneThere records that the host took leg k back by itself; the other legs
// are taken back as well.
func (r *Resolver) undoneThere(ctx context.Context, p *pay.Entry, k int, rep pay.Reply) error {
	now := r.e.o.Now()
	evs := []pay.Event{{Kind: pay.EvResult, At: now, State: pay.Revp, Leg: uint8(k), Code: pay.CodeReversed, LegIs: pay.LegUndone, Host: rep.Serial, Due: now}}
	if !p.Effect(k) {
		evs = append(evs, pay.Event{Kind: pay.EvState, At: now, State: pay.Revd, Code: pay.CodeReversed, Note: "查询得知已返销"})
	}
	return r.append(ctx, p, evs...)
}

// absent acts on a proof that leg k never happened: it failed, or is sent once
// more under the same key where it is owed.
func (r *Resolver) absent(ctx context.Context, p *pay.Entry, k int, steps []Step) error {
	e := r.e
	if !p.Wanted && (p.Taken() || p.Undoes() && p.Effect(k)) {
		return r.resend(ctx, p, k, steps)
	}
	evs := e.judge(p, outcome{leg: k, is: pay.LegRefused, code: pay.CodeUnreachable})
	evs[0].Note += "窗口已过,对方无此交易"
	return r.append(ctx, p, evs...)
}

// resend sends leg k under its key, with a marker of its own before the bytes
// leave, and whatever follows it.
func (r *Resolver) resend(ctx context.Context, p *pay.Entry, k int, steps []Step) error {
	e := r.e
	if err := e.record(ctx, p, e.marker(k, p.Attempt+1)); err != nil {
		return err
	}
	r.again(p.ID)
	e.run(ctx, p, steps, k)
	r.again(p.ID) // the window counts from the last moment at which bytes may have left
	return nil
}

// append writes and, while the payment stays open, schedules the next try.
func (r *Resolver) append(ctx context.Context, p *pay.Entry, evs ...pay.Event) error {
	if err := r.e.o.Journal.Append(ctx, p.ID, p.N, evs...); err != nil {
		return err
	}
	if last := evs[len(evs)-1]; last.State.Open() {
		r.Add(p.ID, last.Due)
	}
	return nil
}

type dueItem struct {
	at time.Time
	id pay.ID
}

type dueHeap []dueItem

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueItem)) }
func (h *dueHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	*h = old[:len(old)-1]
	return it
}
