package journal

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"qianzhi/gateway/pay"
)

// wanted is the search for one payment by its name.
type wanted struct {
	id    pay.ID
	token uint64 // of its key, once its first row was read
	old   *held  // found in a log older than memory
	lookup
}

func (w *wanted) fits(e *pay.Entry) bool { return e.ID == w.id }

// locate returns the payment, nil when something must be fetched first. The
// journal is locked.
func (j *Journal) locate(w *wanted) *held {
	if h := j.mem.byID[w.id]; h != nil {
		return h
	}
	if w.token == 0 {
		return nil
	}
	switch h := j.find(&w.lookup, w.token, w.fits); {
	case len(w.missing) > 0:
		return nil
	case h != nil:
		return h
	}
	return w.old
}

// pursue fetches what locate needs: the key in the payment's first row, what
// the tables point to, and at last what older logs say.
func (j *Journal) pursue(ctx context.Context, w *wanted) error {
	if w.token == 0 {
		err := j.reads.with(ctx, w.id.Day, func(rd Reader) error {
			row, err := one(ctx, rd, w.id.Row)
			if err == nil && (row.Kind != pay.EvReceived && row.Kind != pay.EvReverse) {
				err = errNoRow
			}
			w.token = row.Ref
			return err
		})
		if errors.Is(err, errNoRow) {
			return fmt.Errorf("%w: %s row %d", ErrUnknown, w.id.Day, w.id.Row)
		}
		return err
	}
	if len(w.missing) > 0 {
		return j.fetch(ctx, &w.lookup)
	}
	var err error
	if w.old, err = j.findOld(ctx, w.id.Day, w.token, w.fits); err == nil && w.old == nil {
		err = fmt.Errorf("%w: %s row %d", ErrUnknown, w.id.Day, w.id.Row)
	}
	return err
}

// Get returns a payment as it stands, after its last event has become durable.
// The error is ErrUnknown when there is no such payment.
func (j *Journal) Get(ctx context.Context, id pay.ID) (pay.Entry, error) {
	if !j.Has(id.Day) {
		return pay.Entry{}, fmt.Errorf("%w: there is no log of %s", ErrUnknown, id.Day)
	}
	w := wanted{id: id}
	for {
		j.mu.Lock()
		h := j.locate(&w)
		var b *batch
		if h != nil && h.log == j.day {
			b = j.behind(h.row)
		}
		j.mu.Unlock()
		if h != nil {
			return told(h, b)
		}
		if err := j.pursue(ctx, &w); err != nil {
			return pay.Entry{}, err
		}
	}
}

// Find returns the payment under a key as it stands, and whether there is one
// within the days that memory holds. A tombstone is no payment.
func (j *Journal) Find(ctx context.Context, ref pay.Ref) (pay.Entry, bool, error) {
	h, b, err := j.search(ctx, j.tokens.ref(ref), func(e *pay.Entry) bool { return e.Req.Ref == ref })
	if err != nil || h == nil {
		return pay.Entry{}, false, err
	}
	e, err := told(h, b)
	return e, err == nil, err
}

// OpenEntries yields the payments that the gateway still owes a decision, in
// the order of their names, each as of its last durable event.
func (j *Journal) OpenEntries(ctx context.Context, yield func(pay.Entry) bool) error {
	return j.heldIn(ctx, pay.State.Open, yield)
}

// Undecided yields the payments that somebody still owes a decision, the gateway
// or a person, in the order in which they began.
func (j *Journal) Undecided(ctx context.Context, yield func(pay.Entry) bool) error {
	return j.heldIn(ctx, undecided, yield)
}

func (j *Journal) heldIn(ctx context.Context, want func(pay.State) bool, yield func(pay.Entry) bool) error {
	j.mu.Lock()
	open := make([]*held, 0, len(j.mem.byID))
	for _, h := range j.mem.byID {
		if want(h.entry.State) {
			open = append(open, h)
		}
	}
	b := j.flying
	if len(j.filling.rows) > 0 {
		b = j.filling
	}
	j.mu.Unlock()
	if err := b.wait(); err != nil {
		return err
	}
	sort.Slice(open, func(a, b int) bool { return before(open[a].entry.ID, open[b].entry.ID) })
	for _, h := range open {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(h.entry.Clone()) {
			break
		}
	}
	return nil
}

// told gives a payment out once what it says is durable.
func told(h *held, b *batch) (pay.Entry, error) {
	if err := b.wait(); err != nil {
		return pay.Entry{}, err
	}
	return h.entry.Clone(), nil
}
