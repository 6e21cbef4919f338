package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
)

// Step is one row of a payment's history.
type Step struct {
	Log   pay.Day
	Row   uint64
	Event pay.Event // kind, number, time and state of every row; the rest of later events
}

// Timeline returns a payment as it stands and every row that made it so, in
// the order of writing.
func (a *Archive) Timeline(ctx context.Context, id pay.ID) (pay.Entry, []Step, error) {
	var e pay.Entry
	var steps []Step
	ref := uint64(0)
	for _, log := range a.j.logs(id.Day, ^pay.Day(0)) {
		err := a.j.reads.with(ctx, log, func(rd Reader) error {
			if log == id.Day {
				row, err := one(ctx, rd, id.Row)
				if err == nil && (row.Kind != pay.EvReceived && row.Kind != pay.EvReverse) {
					err = errNoRow
				}
				if err != nil {
					return err
				}
				ref = row.Ref
			}
			last, err := a.lastRow(ctx, log, rd, id, ref)
			if err != nil || last == 0 {
				return err
			}
			part, now, err := a.history(ctx, rd, spot{log, last})
			e, steps = now, append(steps, part...)
			return err
		})
		if err != nil && !errors.Is(err, errNoRow) {
			return e, steps, fmt.Errorf("journal: payment %s row %d in %s: %w", id.Day, id.Row, log, err)
		}
		if ref == 0 {
			break
		}
	}
	if len(steps) == 0 {
		return e, nil, fmt.Errorf("%w: %s row %d", ErrUnknown, id.Day, id.Row)
	}
	return e, steps, nil
}

// lastRow returns the last row of a payment in a log, 0 for none.
func (a *Archive) lastRow(ctx context.Context, log pay.Day, rd Reader, id pay.ID, ref uint64) (uint64, error) {
	set, err := openSet(a.j.o.Dir, log)
	if err != nil {
		return 0, err
	}
	last := map[pay.ID]lastRow{}
	if !set.whole {
		last, err = lastRows(ctx, rd, set.end()+1, []uint64{ref})
	}
	at := last[id].row
	if s := summaryIn(set.x, id); s != nil && at == 0 {
		at = s.last
	}
	return at, errors.Join(err, set.close())
}

// history reads the rows of a payment in one log, oldest first.
func (a *Archive) history(ctx context.Context, rd Reader, at spot) ([]Step, pay.Entry, error) {
	h, err := a.j.fold(ctx, rd, at)
	if err != nil {
		return nil, pay.Entry{}, err
	}
	var steps []Step
	for seq := at.row; len(steps) <= maxEvents; {
		row, err := one(ctx, rd, seq)
		if err != nil {
			return nil, h.entry, err
		}
		s := Step{Log: at.log, Row: row.Seq, Event: pay.Event{Kind: row.Kind, N: row.N, At: a.j.time(row.At), State: row.State}}
		if !whole(row.Kind) {
			plain, err := a.j.keys.open(ctx, at.log, rd, &row)
			if err != nil {
				return nil, h.entry, err
			}
			d := decoder{s: string(plain), loc: a.j.loc}
			if s.Event, err = d.event(); err != nil {
				return nil, h.entry, err
			}
			s.Event.Kind, s.Event.N, s.Event.At, s.Event.State = row.Kind, row.N, a.j.time(row.At), row.State
		}
		steps = append(steps, s)
		if whole(row.Kind) {
			break
		}
		seq = row.Prev
	}
	slices.Reverse(steps)
	return steps, h.entry, nil
}
