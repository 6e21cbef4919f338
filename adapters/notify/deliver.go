package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// atOnce is how many notices of a target are read from the outbox at a time.
const atOnce = 64

// Run follows the journal and delivers until ctx ends. Targets do not wait for
// each other.
func (n *Notifier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { n.every(ctx, "journal", func(ctx context.Context) error { return n.Follow(ctx) }) })
	for i := range n.o.Targets {
		t := &n.o.Targets[i]
		wg.Go(func() { n.every(ctx, t.ID, func(ctx context.Context) error { return n.deliver(ctx, t) }) })
	}
	wg.Wait()
	return nil
}

func (n *Notifier) every(ctx context.Context, who string, do func(context.Context) error) {
	tick := time.NewTicker(n.o.Poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			n.o.Log.Error("notices stand still", "event", "QZ420", "target", who, "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// Deliver tries everything that is due now, each target's in order.
func (n *Notifier) Deliver(ctx context.Context) error {
	for i := range n.o.Targets {
		if err := n.deliver(ctx, &n.o.Targets[i]); err != nil {
			return err
		}
	}
	return nil
}

// deliver tries what is due for one target. The error is of the outbox.
func (n *Notifier) deliver(ctx context.Context, t *Target) error {
	for {
		due, err := n.box.due(ctx, t.ID, n.o.Now(), atOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		for i := range due {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := n.try(ctx, t, &due[i]); err != nil {
				return err
			}
		}
	}
}

// try is one delivery. What was told is noted after it was told: a crash
// between the two tells it again.
func (n *Notifier) try(ctx context.Context, t *Target, l *letter) error {
	if n.o.Now().After(l.At.Add(t.Expire)) {
		n.o.Log.Error("notice given up", "event", "QZ421", "target", t.ID, "key", l.Key, "tries", l.tries, "err", l.last)
		return n.box.end(ctx, l, lost, n.o.Now())
	}
	said, err := n.send(ctx, t, l)
	switch {
	case err == nil && said == Tell:
		return n.box.end(ctx, l, told, n.o.Now())
	case err == nil && said == Drop:
		return n.box.end(ctx, l, dropped, n.o.Now())
	case ctx.Err() != nil:
		return ctx.Err() // we are stopping; the try does not count
	case err == nil:
		err = fmt.Errorf("not decided yet")
	}
	gap := t.Gaps[min(l.tries, len(t.Gaps)-1)]
	return n.box.again(ctx, l, n.o.Now().Add(gap), err)
}

// send asks the judge and then delivers.
func (n *Notifier) send(ctx context.Context, t *Target, l *letter) (Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	if t.Judge != nil {
		if said, err := t.Judge(ctx, &l.Notice); err != nil || said != Tell {
			return said, err
		}
	}
	body, err := json.Marshal(&l.Notice)
	if err != nil {
		return Later, err
	}
	return Tell, t.Sender.Send(ctx, l.Key, body)
}
