package journal

import (
	"context"
	"fmt"

	"qianzhi/gateway/pay"
)

// spot is a row of some log.
type spot struct {
	log pay.Day
	row uint64
}

// lookup is the search of one caller. What memory does not hold is fetched
// between two looks; since rows never change, what was fetched stays true, and
// a payment that moved on meanwhile shows at a new spot.
type lookup struct {
	fetched map[spot]*held
	missing []spot
}

// find returns the newest entry under a token that fits. When something must
// be fetched first it leaves the spots in missing, and what it returns does not
// count. The journal is locked.
func (j *Journal) find(l *lookup, token uint64, fits func(*pay.Entry) bool) *held {
	var buf [4]uint64
	for i := len(j.mem.logs) - 1; i >= 0; i-- {
		var newest *held
		log := j.mem.logs[i]
		for _, row := range log.rows(buf[:0], token) {
			at := spot{log.day, row}
			h := l.fetched[at]
			if log.day == j.day && j.mem.byRow[row] != nil {
				h = j.mem.byRow[row]
			}
			if h == nil {
				l.missing = append(l.missing, at)
				continue
			}
			if fits(&h.entry) && (newest == nil || before(newest.entry.ID, h.entry.ID)) {
				newest = h // a key may serve again after its days
			}
		}
		if newest != nil || len(l.missing) > 0 {
			return newest
		}
	}
	return nil
}

// fetch reads what a look found missing.
func (j *Journal) fetch(ctx context.Context, l *lookup) error {
	if l.fetched == nil {
		l.fetched = map[spot]*held{}
	}
	for _, at := range l.missing {
		h, err := j.load(ctx, at)
		if err != nil {
			return err
		}
		l.fetched[at] = h
	}
	l.missing = l.missing[:0]
	return nil
}

// search is find for callers that are not under the lock and decide nothing.
// It returns the batch that must be durable before the answer is told.
func (j *Journal) search(ctx context.Context, token uint64, fits func(*pay.Entry) bool) (*held, *batch, error) {
	var l lookup
	for {
		j.mu.Lock()
		h := j.find(&l, token, fits)
		var b *batch
		if h != nil && h.log == j.day {
			b = j.behind(h.row)
		}
		j.mu.Unlock()
		if len(l.missing) == 0 {
			return h, b, nil
		}
		if err := j.fetch(ctx, &l); err != nil {
			return nil, nil, err
		}
	}
}

// maxEvents bounds the events of one payment that are folded.
const maxEvents = 1 << 16

// load folds a payment from its last row in a log.
func (j *Journal) load(ctx context.Context, at spot) (*held, error) {
	var h *held
	err := j.reads.with(ctx, at.log, func(rd Reader) error {
		var err error
		h, err = j.fold(ctx, rd, at)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("journal: payment ending in %s row %d: %w", at.log, at.row, err)
	}
	return h, nil
}

func (j *Journal) fold(ctx context.Context, rd Reader, at spot) (*held, error) {
	var later []Row
	for seq := at.row; len(later) < maxEvents; {
		row, err := one(ctx, rd, seq)
		if err != nil {
			return nil, err
		}
		if !whole(row.Kind) {
			later = append(later, row)
			seq = row.Prev
			continue
		}
		e, err := j.entry(ctx, at.log, rd, &row)
		if err != nil {
			return nil, err
		}
		for i := len(later) - 1; i >= 0; i-- {
			if err := j.advance(ctx, at.log, rd, &e, &later[i]); err != nil {
				return nil, err
			}
		}
		return &held{entry: e, token: row.Ref, log: at.log, row: at.row}, nil
	}
	return nil, fmt.Errorf("more than %d events", maxEvents)
}

// whole reports whether a row holds a payment completely.
func whole(k pay.EventKind) bool {
	return k == pay.EvReceived || k == pay.EvReverse || k == pay.EvCarried
}

// further reports whether a row is a later event of a payment.
func further(k pay.EventKind) bool { return k >= pay.EvMarker && k <= pay.EvAttempt }

// entry reads a whole payment from one row.
func (j *Journal) entry(ctx context.Context, log pay.Day, rd Reader, r *Row) (pay.Entry, error) {
	plain, err := j.keys.open(ctx, log, rd, r)
	if err != nil {
		return pay.Entry{}, err
	}
	d := decoder{s: string(plain), loc: j.loc}
	e, err := d.entry()
	if err != nil {
		return e, fmt.Errorf("row %d: %w", r.Seq, err)
	}
	e.ID, e.N = pay.ID{Day: r.Day, Row: r.Pay}, r.N
	return e, nil
}

// advance folds one further row into a payment.
func (j *Journal) advance(ctx context.Context, log pay.Day, rd Reader, e *pay.Entry, r *Row) error {
	if !further(r.Kind) || (pay.ID{Day: r.Day, Row: r.Pay}) != e.ID || r.N != e.N+1 {
		return fmt.Errorf("row %d does not follow event %d of the payment", r.Seq, e.N)
	}
	plain, err := j.keys.open(ctx, log, rd, r)
	if err != nil {
		return err
	}
	d := decoder{s: string(plain), loc: j.loc}
	ev, err := d.event()
	if err != nil {
		return fmt.Errorf("row %d: %w", r.Seq, err)
	}
	ev.Kind, ev.N, ev.At = r.Kind, r.N, j.time(r.At)
	return e.Apply(&ev)
}
