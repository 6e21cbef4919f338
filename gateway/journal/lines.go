package journal

import (
	"context"
	"fmt"

	"qianzhi/gateway/pay"
)

// Lines yields every payment stamped with the day as it stood at the freeze, in
// the order in which their last events were written; a 冲正 is no payment of
// its own. Later events of the day's payments in later logs count up to the
// freeze. The entry is the receiver's during the call.
//
// The logs are read twice: the first pass learns how many events each payment
// has, the second folds and lets go of a payment as soon as it has them all, so
// that memory holds a number for each payment and whole ones only while they
// are open.
func (j *Journal) Lines(ctx context.Context, day pay.Day, freeze uint64, yield func(*pay.Entry) bool) error {
	last, row := split(freeze)
	p := projection{j: j, day: day}
	for _, pass := range []func(context.Context, pay.Day, Reader, uint64) error{p.count, p.fold(yield)} {
		for _, log := range j.logs(day, last) {
			to := uint64(0)
			if log == last {
				to = row
			}
			err := j.reads.with(ctx, log, func(rd Reader) error { return pass(ctx, log, rd, to) })
			if err != nil {
				return fmt.Errorf("journal: lines of %s in %s: %w", day, log, err)
			}
			if p.stopped {
				return nil
			}
		}
	}
	return nil
}

// logs returns the days of the logs between two days.
func (j *Journal) logs(from, to pay.Day) []pay.Day {
	j.mu.Lock()
	defer j.mu.Unlock()
	var days []pay.Day
	for _, d := range j.days {
		if d >= from && d <= to {
			days = append(days, d)
		}
	}
	return days
}

// projection is one call of Lines.
type projection struct {
	j       *Journal
	day     pay.Day
	events  []uint32 // number of the last event, by the payment's row
	open    map[uint64]*pay.Entry
	stopped bool
}

// count is the first pass.
func (p *projection) count(ctx context.Context, _ pay.Day, rd Reader, to uint64) error {
	return rd.Read(ctx, Range{To: to, Day: p.day, Narrow: true}, func(r *Row) bool {
		if r.Kind == pay.EvReceived || further(r.Kind) {
			for uint64(len(p.events)) <= r.Pay {
				p.events = append(p.events, 0)
			}
			p.events[r.Pay] = r.N
		}
		return true
	})
}

// fold returns the second pass.
func (p *projection) fold(yield func(*pay.Entry) bool) func(context.Context, pay.Day, Reader, uint64) error {
	p.open = map[uint64]*pay.Entry{}
	return func(ctx context.Context, log pay.Day, rd Reader, to uint64) (err error) {
		failed := rd.Read(ctx, Range{To: to, Day: p.day}, func(r *Row) bool {
			var e *pay.Entry
			if e, err = p.take(ctx, log, rd, r); e != nil && !yield(e) {
				p.stopped = true
			}
			return err == nil && !p.stopped
		})
		if err == nil {
			err = failed
		}
		return err
	}
}

// take folds one row and returns the payment when it is complete.
func (p *projection) take(ctx context.Context, log pay.Day, rd Reader, r *Row) (*pay.Entry, error) {
	e := p.open[r.Pay]
	switch {
	case r.Kind == pay.EvReceived:
		first, err := p.j.entry(ctx, log, rd, r)
		if err != nil {
			return nil, err
		}
		e = &first
		p.open[r.Pay] = e
	case further(r.Kind) && e != nil:
		if err := p.j.advance(ctx, log, rd, e, r); err != nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	if e.N < p.events[r.Pay] {
		return nil, nil
	}
	delete(p.open, r.Pay)
	return e, nil
}
