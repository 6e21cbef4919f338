package journal

import (
	"context"
	"encoding/binary"
	"fmt"

	"qianzhi/gateway/pay"
)

// Append adds events to a payment in one commit. It writes nothing and returns
// pay.ErrMoved unless the payment's last event is number after, an error that
// is pay.ErrTransition where the state machine forbids an event, and one that
// is pay.ErrUnwritable when the events are proved not durable. Number and time
// of the events are the journal's. Once they are queued the end of ctx is not
// heeded.
func (j *Journal) Append(ctx context.Context, id pay.ID, after uint32, evs ...pay.Event) error {
	if !j.Has(id.Day) {
		return fmt.Errorf("%w: there is no log of %s", ErrUnknown, id.Day)
	}
	w := wanted{id: id}
	for {
		if err := j.enter(ctx); err != nil {
			return err
		}
		h := j.locate(&w)
		if h == nil {
			j.mu.Unlock()
			if err := j.pursue(ctx, &w); err != nil {
				return err
			}
			continue
		}
		b, err := j.extend(h, after, evs)
		j.mu.Unlock()
		if err != nil {
			return err
		}
		return b.wait()
	}
}

// extend queues events of a payment. The journal is locked.
func (j *Journal) extend(h *held, after uint32, evs []pay.Event) (*batch, error) {
	if h.entry.N != after {
		return nil, fmt.Errorf("%w: at event %d, not %d", pay.ErrMoved, h.entry.N, after)
	}
	if err := j.room(); err != nil {
		return nil, err
	}
	e, next, at := h.entry.Clone(), j.next, j.at
	rows := make([]Row, 0, len(evs)+1)
	c := change{from: h.row}
	if h.log != j.day {
		row := j.carried(h)
		j.number(&row)
		rows, c.from = append(rows, row), 0
	}
	for i := range evs {
		row, err := j.further(&e, evs[i])
		if err != nil {
			j.next, j.at = next, at
			return nil, err
		}
		row.Ref, row.Prev = h.token, h.row
		if len(rows) > 0 {
			row.Prev = rows[len(rows)-1].Seq
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	if j.mem.byID[e.ID] == h {
		c.was = h
	}
	c.is = &held{entry: e, token: h.token, log: j.day, row: rows[len(rows)-1].Seq}
	return j.queue(&c, rows...), nil
}

// further folds an event into a payment and makes its row.
func (j *Journal) further(e *pay.Entry, ev pay.Event) (Row, error) {
	if !further(ev.Kind) {
		return Row{}, fmt.Errorf("%w: kind %d is no further event of a payment", pay.ErrTransition, ev.Kind)
	}
	row := Row{Day: e.ID.Day, Pay: e.ID.Row, N: e.N + 1, Kind: ev.Kind}
	j.number(&row)
	ev.N, ev.At, ev.Due = row.N, j.time(row.At), j.plain(ev.Due)
	if err := e.Apply(&ev); err != nil {
		return Row{}, err
	}
	row.State = e.State
	row.Body = appendEvent(nil, &ev)
	return row, nil
}

// carried makes the row that brings a payment of an older log into the running
// one; it has no number yet. It is no event: the payment's own stay.
func (j *Journal) carried(h *held) Row {
	e := &h.entry
	row := Row{Day: e.ID.Day, Pay: e.ID.Row, N: e.N, Kind: pay.EvCarried, State: e.State, Ref: h.token}
	j.tokens.describe(&row, e.Req)
	row.Body = appendEntry(nil, e)
	return row
}

// Note records something that belongs to no payment. With wait it returns when
// the row is durable, without it as soon as the row is queued. An error that
// is pay.ErrUnwritable proves that it is not recorded.
func (j *Journal) Note(ctx context.Context, n *pay.Note, wait bool) error {
	row := Row{Kind: n.Kind, Body: appendNote(nil, n)}
	if n.Req != nil {
		j.tokens.describe(&row, n.Req)
	}
	if n.Kind < pay.EvQuery || n.Kind > pay.EvAdmin {
		return fmt.Errorf("journal: kind %d is no note", n.Kind)
	}
	b, err := j.lone(ctx, row)
	if err != nil || !wait {
		return err
	}
	return b.wait()
}

// lone queues a row on which no decision stands.
func (j *Journal) lone(ctx context.Context, row Row) (*batch, error) {
	if err := j.enter(ctx); err != nil {
		return nil, err
	}
	defer j.mu.Unlock()
	if err := j.room(); err != nil {
		return nil, err
	}
	j.number(&row)
	return j.queue(nil, row), nil
}

// Freeze names the row as of which a day is judged: what was written before it
// counts. The day must have been cut. While nothing happens to the day's
// payments the same row is named again, so that a second run sees the same; a
// start in a later log forgets that.
func (j *Journal) Freeze(ctx context.Context, day pay.Day) (uint64, error) {
	if !j.Has(day) {
		return 0, fmt.Errorf("journal: there is no log of %s", day)
	}
	if err := j.enter(ctx); err != nil {
		return 0, err
	}
	if day >= j.day {
		j.mu.Unlock()
		return 0, fmt.Errorf("%w: %s", ErrNotCut, day)
	}
	if at := j.mem.frozen[day]; at != 0 && j.mem.touched[day] <= at {
		j.mu.Unlock()
		return at, nil
	}
	row := Row{Kind: pay.EvFreeze, Day: day}
	if err := j.room(); err != nil {
		j.mu.Unlock()
		return 0, err
	}
	j.number(&row)
	row.Body = binary.BigEndian.AppendUint64(nil, position(j.day, row.Seq-1))
	at, b := position(j.day, row.Seq), j.queue(nil, row)
	j.mu.Unlock()
	if err := b.wait(); err != nil {
		return 0, err
	}
	j.mu.Lock()
	j.mem.frozen[day] = max(at, j.mem.frozen[day])
	j.mu.Unlock()
	return at, nil
}
