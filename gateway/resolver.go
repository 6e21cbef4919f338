package gateway

import (
	"container/heap"
	"context"
	"errors"
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
	in   map[pay.ID]bool
	sent map[pay.ID]time.Time // since when nothing more was sent, as this process knows
	wake chan struct{}
}

func newResolver(e *Engine) *Resolver {
	return &Resolver{e: e, in: map[pay.ID]bool{}, sent: map[pay.ID]time.Time{}, wake: make(chan struct{}, 1)}
}

// Add schedules a payment; one that is scheduled already keeps its time.
func (r *Resolver) Add(id pay.ID, at time.Time) {
	now := time.Now()
	r.mu.Lock()
	if !r.in[id] {
		r.in[id] = true
		heap.Push(&r.due, dueItem{now.Add(at.Sub(r.e.o.Now())), id})
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
	if !r.in[id] {
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
			ev.State, ev.LegIs, ev.Due = pay.Unkn, pay.LegUnknown, now
			if p.Wanted {
				ev.State = pay.Revp
			}
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

// Run works until ctx ends and returns after its last try has ended.
func (r *Resolver) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, r.e.o.Policy.Workers)
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

// next takes the payment that is due, or says how long to wait.
func (r *Resolver) next() (pay.ID, time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
		err = r.try(ctx, &p)
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
	h := e.host(p)
	switch {
	case p.State == pay.Revp && h != nil:
		_, err := e.backOut(ctx, p, h)
		return err
	case p.State == pay.Sent:
		return r.Recover(ctx, []pay.Entry{*p})
	case p.State != pay.Unkn:
		return nil
	case h == nil || p.Attempt >= e.o.Policy.Tries:
	case h.Status:
		return r.ask(ctx, p, h)
	case h.Dedupe && p.Req.Via.Funds == pay.Taken && !p.Wanted:
		return r.repost(ctx, p, h) // a host that posts one serial once tells by it what became of it
	}
	return e.o.Journal.Append(ctx, p.ID, p.N, e.park(e.o.Now(), pay.CodeUnknown))
}

// ask queries the host by our serial. A single "not found" proves nothing
// while the posting may still be on its way.
func (r *Resolver) ask(ctx context.Context, p *pay.Entry, h *Host) error {
	e := r.e
	call, cancel := context.WithTimeout(ctx, h.Timeout)
	rep, err := h.Adapter.Do(call, e.hostRequest(p, pay.Status))
	cancel()
	if err != nil {
		rep = pay.Reply{}
	}
	now := e.o.Now()
	late := r.late(p.ID, h.LateWindow)
	switch {
	case rep.Verdict == pay.Approved && rep.Code == pay.CodeReversed:
		return r.append(ctx, p,
			pay.Event{Kind: pay.EvResult, At: now, State: pay.Revp, Code: pay.CodeReversed, LegIs: pay.LegUndone, Host: rep.Serial},
			pay.Event{Kind: pay.EvState, At: now, State: pay.Revd, Code: pay.CodeReversed, Note: "查询得知已返销"})
	case rep.Verdict == pay.Approved && rep.Amount == p.Req.Amount:
		return r.append(ctx, p, e.judge(p, outcome{leg: pay.LegDone, code: pay.CodeOK, host: rep.Serial})...)
	case rep.Verdict == pay.Declined && rep.Code == pay.CodeOriginal && late:
		return r.absent(ctx, p, h)
	case rep.Verdict == pay.Declined && rep.Code != pay.CodeOriginal:
		return r.append(ctx, p, e.judge(p, outcome{leg: pay.LegRefused, code: rep.Code})...)
	}
	return r.append(ctx, p, pay.Event{Kind: pay.EvAttempt, At: now, State: pay.Unkn, Attempt: p.Attempt + 1,
		Due: now.Add(e.gap(p.Attempt + 1))})
}

// absent acts on a proof that the posting never happened: the payment failed,
// or is sent once more under the same key when the sender has taken the money.
func (r *Resolver) absent(ctx context.Context, p *pay.Entry, h *Host) error {
	e := r.e
	if p.Wanted || p.Req.Via.Funds == pay.Untaken {
		return r.append(ctx, p, pay.Event{Kind: pay.EvResult, At: e.o.Now(), State: pay.Fail, LegIs: pay.LegRefused,
			Code: pay.CodeUnreachable, Note: "窗口已过,对方无此交易"})
	}
	return r.repost(ctx, p, h)
}

// repost sends the posting once more under the same key, with a marker of its
// own before the bytes leave.
func (r *Resolver) repost(ctx context.Context, p *pay.Entry, h *Host) error {
	e := r.e
	marker := pay.Event{Kind: pay.EvMarker, At: e.o.Now(), State: pay.Sent, LegIs: pay.LegSent, Attempt: p.Attempt + 1}
	if err := e.o.Journal.Append(ctx, p.ID, p.N, marker); err != nil {
		return err
	}
	if err := fold(p, []pay.Event{marker}); err != nil {
		return err
	}
	r.again(p.ID)
	e.settle(ctx, p, e.post(ctx, p, h))
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
