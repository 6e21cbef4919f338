package journal

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"qianzhi/gateway/pay"
)

// maxCandidates bounds the payments that a scan looks at.
const maxCandidates = 1000

// scan searches a log without an index: one pass for the rows that may fit, one
// for the last row of each of their payments.
func (f *finder) scan(ctx context.Context, log pay.Day) error {
	return f.j.reads.with(ctx, log, func(rd Reader) error {
		span, err := rowsBetween(ctx, rd, f.q.Since, f.q.Until)
		if err != nil || span.To < span.From {
			return err
		}
		refs, err := f.candidates(ctx, log, rd, span)
		if err != nil {
			return err
		}
		last, err := lastRows(ctx, rd, refs)
		if err != nil {
			return err
		}
		ids := make([]pay.ID, 0, len(last))
		for id := range last {
			if f.stamped(id) {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, func(a, b pay.ID) int {
			if before(a, b) {
				return 1
			}
			return -1
		})
		for _, id := range ids {
			f.moved[id] = true
			if !f.done {
				if err := f.tell(ctx, spot{log, last[id]}, id); err != nil {
					return err
				}
			}
		}
		return f.noteMoved(ctx, rd)
	})
}

// noteMoved notes every older payment that has rows in this log, so that it is
// not told again as it stood before. They were carried, so each has a whole row.
func (f *finder) noteMoved(ctx context.Context, rd Reader) error {
	if f.done {
		return nil
	}
	return rd.Read(ctx, Range{Narrow: true, Match: &Match{Carried: true}}, func(r *Row) bool {
		f.moved[pay.ID{Day: r.Day, Row: r.Pay}] = true
		return true
	})
}

// candidates returns the key tokens of the payments that may fit. A carried
// payment was received before the log began, so time does not tell it.
func (f *finder) candidates(ctx context.Context, log pay.Day, rd Reader, span Range) ([]uint64, error) {
	t := f.j.tokens
	m := Match{Account: t.text(aboutAccount, f.q.Account), PAN: t.text(aboutPAN, f.q.PAN), Serial: t.text(aboutSerial, f.q.Serial), Tail: f.q.Tail}
	m.First = true
	if m.Account == 0 && m.PAN == 0 && m.Serial == 0 && m.Tail == "" && f.q.Amount == 0 && f.q.State != pay.NoState {
		m = Match{State: f.q.State} // whoever was ever in that state
	}
	var refs []uint64
	seen := map[uint64]bool{}
	var failed error
	take := func(r *Row) bool {
		if seen[r.Ref] || r.Ref == 0 || !f.stamped(pay.ID{Day: r.Day, Row: r.Pay}) {
			return true
		}
		if f.q.Amount != 0 {
			e, err := f.j.entry(ctx, log, rd, r)
			if err != nil || e.Req.Amount != f.q.Amount {
				failed = err
				return err == nil
			}
		}
		seen[r.Ref] = true
		if refs = append(refs, r.Ref); len(refs) > maxCandidates {
			failed = ErrTooMany
		}
		return failed == nil
	}
	narrow := f.q.Amount == 0
	err := rd.Read(ctx, Range{From: span.From, To: span.To, Narrow: narrow, Match: &m}, take)
	if span.From > 1 && err == nil && failed == nil {
		m.Carried = true
		err = rd.Read(ctx, Range{To: span.From - 1, Narrow: narrow, Match: &m}, take)
	}
	if failed != nil {
		err = failed
	}
	return refs, err
}

// lastRows returns the last row in a log of every payment under the tokens.
func lastRows(ctx context.Context, rd Reader, refs []uint64) (map[pay.ID]uint64, error) {
	last := map[pay.ID]uint64{}
	if len(refs) == 0 {
		return last, nil
	}
	err := rd.Read(ctx, Range{Narrow: true, Match: &Match{Refs: refs}}, func(r *Row) bool {
		if whole(r.Kind) || further(r.Kind) {
			last[pay.ID{Day: r.Day, Row: r.Pay}] = r.Seq
		}
		return true
	})
	return last, err
}

// rowsBetween returns the rows of a log that were written in a span of time.
func rowsBetween(ctx context.Context, rd Reader, since, until time.Time) (Range, error) {
	var failed error
	// first returns the first row not before t, or a number beyond the last one.
	first := func(t time.Time) uint64 {
		return uint64(sort.Search(rowSpan, func(n int) bool {
			at := int64(1<<63 - 1)
			err := rd.Read(ctx, Range{From: uint64(n), To: uint64(n) + 2*afterLoss, Narrow: true}, func(r *Row) bool {
				at = r.At
				return false
			})
			if err != nil && failed == nil {
				failed = fmt.Errorf("journal: looking for a time: %w", err)
			}
			return at >= t.UnixNano()
		}))
	}
	span := Range{From: 1, To: rowSpan}
	if !since.IsZero() {
		span.From = first(since)
	}
	if !until.IsZero() {
		span.To = first(until) - 1
	}
	return span, failed
}
