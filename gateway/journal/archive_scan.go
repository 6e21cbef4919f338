package journal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"qianzhi/gateway/pay"
)

// A scan asks for the rows of up to maxAsked payments by name, and gathers all
// rows where more may fit, up to maxSurvey payments.
const (
	maxAsked  = 500
	maxSurvey = 1 << 20
)

// lastRow is where a payment stands in the rows that are scanned.
type lastRow struct {
	row   uint64
	state pay.State
}

// scan searches the rows of a log behind its segments, all where it has none.
func (f *finder) scan(ctx context.Context, log pay.Day, set *indexSet) error {
	return f.j.reads.with(ctx, log, func(rd Reader) error {
		from, until := set.end()+1, f.q.Until
		if until.After(f.j.o.Now()) {
			until = time.Time{}
		}
		span, err := rowsBetween(ctx, rd, from, f.q.Since, until)
		if err != nil {
			return err
		}
		if !f.keyed() {
			return f.survey(ctx, log, rd, from, span)
		}
		refs, may, err := f.candidates(ctx, log, rd, from, span)
		if err != nil {
			return err
		}
		var last map[pay.ID]lastRow
		if len(refs) > maxAsked {
			last, err = surveyed(ctx, rd, Range{From: from, Narrow: true})
		} else {
			last, err = lastRows(ctx, rd, from, refs)
		}
		if err != nil {
			return err
		}
		maps.DeleteFunc(last, func(id pay.ID, _ lastRow) bool { return !may[id] })
		if err := f.tellAll(ctx, log, last, func(pay.ID, lastRow) bool { return true }); err != nil || f.done {
			return err
		}
		return f.older(ctx, log, rd, set)
	})
}

// keyed reports whether more is asked for than a time and a state.
func (f *finder) keyed() bool {
	q := &f.q
	return q.Account != "" || q.Serial != "" || q.PAN != "" || q.Tail != "" || q.Amount != 0
}

// survey gathers where every payment with rows in a scan stands, and tells those
// that were received in the span and stand in the wanted state.
func (f *finder) survey(ctx context.Context, log pay.Day, rd Reader, from uint64, span Range) error {
	all, err := surveyed(ctx, rd, Range{From: from, Narrow: true})
	if err != nil {
		return err
	}
	return f.tellAll(ctx, log, all, func(id pay.ID, at lastRow) bool {
		inSpan := id.Day != log || id.Row < from || id.Row >= span.From && id.Row <= span.To
		return inSpan && (f.q.State == pay.NoState || at.state == f.q.State)
	})
}

// surveyed returns where every payment with rows in a range stands there.
func surveyed(ctx context.Context, rd Reader, want Range) (map[pay.ID]lastRow, error) {
	all := map[pay.ID]lastRow{}
	err := rd.Read(ctx, want, func(r *Row) bool {
		if whole(r.Kind) || further(r.Kind) {
			all[pay.ID{Day: r.Day, Row: r.Pay}] = lastRow{r.Seq, r.State}
		}
		return len(all) <= maxSurvey
	})
	if err == nil && len(all) > maxSurvey {
		err = ErrTooMany
	}
	return all, err
}

// tellAll tells payments of a scan, newest first, where they stand; all of them
// are told nowhere else.
func (f *finder) tellAll(ctx context.Context, log pay.Day, all map[pay.ID]lastRow, wanted func(pay.ID, lastRow) bool) error {
	ids := make([]pay.ID, 0, len(all))
	for id, at := range all {
		if f.stamped(id) && wanted(id, at) && !f.later(id) {
			ids = append(ids, id)
		}
	}
	for id := range all {
		f.moved[id] = true
	}
	slices.SortFunc(ids, func(a, b pay.ID) int {
		if before(a, b) {
			return 1
		}
		return -1
	})
	for _, id := range ids {
		if f.done {
			break
		}
		if err := f.tell(ctx, spot{log, all[id].row}, id); err != nil {
			return err
		}
	}
	return nil
}

// older tells the payments that began before the rows of a scan and went on in
// them: a segment knows their keys. One of another day that none knows was
// carried into these rows, and is a candidate if it may fit.
func (f *finder) older(ctx context.Context, log pay.Day, rd Reader, set *indexSet) error {
	from := set.end() + 1
	all, err := surveyed(ctx, rd, Range{From: from, Narrow: true, Match: &Match{Older: pay.ID{Day: log, Row: from}}})
	if err != nil {
		return err
	}
	want := f.keys()
	want[byState] = 0
	return f.tellAll(ctx, log, all, func(id pay.ID, at lastRow) bool {
		s := summaryIn(set.x, id)
		return s != nil && s.has(&want) && (f.q.State == pay.NoState || at.state == f.q.State)
	})
}

// candidates returns the key tokens and the names of the payments that may fit.
// A carried payment was received before the log began, so time does not tell it.
func (f *finder) candidates(ctx context.Context, log pay.Day, rd Reader, first uint64, span Range) ([]uint64, map[pay.ID]bool, error) {
	want := f.keys()
	m := Match{Account: want[byAccount], PAN: want[byPAN], Serial: want[bySerial], Tail: f.q.Tail, First: true}
	var refs []uint64
	may := map[pay.ID]bool{}
	var failed error
	take := func(r *Row) bool {
		id := pay.ID{Day: r.Day, Row: r.Pay}
		if may[id] || !f.stamped(id) {
			return true
		}
		if f.q.Amount != 0 {
			e, err := f.j.entry(ctx, log, rd, r)
			if err != nil || e.Req.Amount != f.q.Amount {
				failed = err
				return err == nil
			}
		}
		may[id] = true
		if refs = append(refs, r.Ref); len(refs) > maxSurvey {
			failed = ErrTooMany
		}
		return failed == nil
	}
	narrow := f.q.Amount == 0
	var err error
	if span.To >= span.From {
		err = rd.Read(ctx, Range{From: span.From, To: span.To, Narrow: narrow, Match: &m}, take)
	}
	if span.From > first && err == nil && failed == nil {
		m.Carried = true
		err = rd.Read(ctx, Range{From: first, To: span.From - 1, Narrow: narrow, Match: &m}, take)
	}
	if failed != nil {
		err = failed
	}
	return refs, may, err
}

// lastRows returns where every payment under the tokens stands in a log, from a
// row on.
func lastRows(ctx context.Context, rd Reader, from uint64, refs []uint64) (map[pay.ID]lastRow, error) {
	last := map[pay.ID]lastRow{}
	if len(refs) == 0 {
		return last, nil
	}
	err := rd.Read(ctx, Range{From: from, Narrow: true, Match: &Match{Refs: refs}}, func(r *Row) bool {
		if whole(r.Kind) || further(r.Kind) {
			last[pay.ID{Day: r.Day, Row: r.Pay}] = lastRow{r.Seq, r.State}
		}
		return true
	})
	return last, err
}

// rowsBetween returns the rows of a log, from one on, that were written in a
// span of time.
func rowsBetween(ctx context.Context, rd Reader, from uint64, since, until time.Time) (Range, error) {
	var failed error
	notBefore := func(n uint64, t time.Time) bool {
		at := int64(1<<63 - 1)
		err := rd.Read(ctx, Range{From: n, To: n + 2*afterLoss, Narrow: true}, func(r *Row) bool {
			at = r.At
			return false
		})
		if err != nil && failed == nil {
			failed = fmt.Errorf("journal: looking for a time: %w", err)
		}
		return at >= t.UnixNano()
	}
	// first returns the first row not before t, or a number beyond the last one.
	first := func(t time.Time) uint64 {
		if notBefore(from, t) { // mostly so: these are the newest rows
			return from
		}
		return uint64(sort.Search(rowSpan, func(n int) bool { return notBefore(uint64(n), t) }))
	}
	span := Range{From: from, To: rowSpan}
	if !since.IsZero() {
		span.From = max(from, first(since))
	}
	if !until.IsZero() {
		span.To = first(until) - 1
	}
	return span, failed
}
