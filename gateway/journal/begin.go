package journal

import (
	"context"

	"qianzhi/gateway/pay"
)

// finding is what Begin decided and what must be durable before it may be told.
type finding struct {
	held  *held
	seen  pay.Seen
	after *batch
}

// Begin answers a message from what is known of its key, or makes it and the
// first leg's marker durable in one row: exactly one of several callers with
// one key finds pay.SeenNew. For a 冲正 the row names its original; where there
// is none the row is the tombstone that refuses the original from then on.
//
// An error that is pay.ErrUnwritable proves that nothing was written. Once the
// message is queued the end of ctx is not heeded, so that nobody is left with
// a payment that was begun behind their back.
func (j *Journal) Begin(ctx context.Context, in *pay.Intent) (pay.Entry, pay.Seen, error) {
	a, err := j.ask(ctx, in)
	if err != nil {
		return pay.Entry{}, 0, err
	}
	for {
		if err := j.enter(ctx); err != nil {
			return pay.Entry{}, 0, err
		}
		f, err := j.decide(a)
		j.mu.Unlock()
		switch {
		case err != nil:
			return pay.Entry{}, 0, err
		case len(a.missing) > 0:
			if err := j.fetch(ctx, &a.lookup); err != nil {
				return pay.Entry{}, 0, err
			}
			continue
		}
		if err := f.after.wait(); err != nil {
			return pay.Entry{}, 0, err
		}
		if f.held == nil {
			return pay.Entry{}, f.seen, nil
		}
		return f.held.entry.Clone(), f.seen, nil
	}
}

// asking is one call of Begin.
type asking struct {
	in       *pay.Intent
	row      Row    // described; placed when it is queued
	tomb     uint64 // under which a tombstone for this message would lie
	original uint64 // of a 冲正: token of the original's key
	lookup

	expired bool  // the sender's date is older than every log
	before  *held // found under the key in a log older than memory
	orig    *held // found as original there
}

func (j *Journal) ask(ctx context.Context, in *pay.Intent) (*asking, error) {
	req := in.Req
	a := &asking{in: in, row: Row{Kind: pay.EvReceived, Ref: j.tokens.ref(req.Ref)}}
	j.tokens.describe(&a.row, req)
	if req.Op == pay.Reverse {
		a.row.Kind = pay.EvReverse
		if req.Original != nil {
			a.original = j.tokens.ref(*req.Original)
		}
	} else {
		a.tomb = tombstone(a.row.Ref)
	}
	return a, j.askOld(ctx, a)
}

// decide takes the decision on one message, unless the lookup misses something
// that must be fetched first. The journal is locked.
func (j *Journal) decide(a *asking) (finding, error) {
	req := a.in.Req
	a.missing = a.missing[:0]
	there := j.find(&a.lookup, a.row.Ref, func(e *pay.Entry) bool { return e.Req.Ref == req.Ref })
	if there == nil {
		there = a.before
	}
	switch {
	case len(a.missing) > 0:
		return finding{}, nil
	case there != nil && !there.entry.Req.Same(req):
		return j.found(there, pay.SeenOther), nil
	case there != nil:
		return j.found(there, pay.SeenSame), nil
	case a.expired:
		return finding{seen: pay.SeenExpired}, nil
	}
	if a.tomb != 0 {
		tomb := j.find(&a.lookup, a.tomb, func(e *pay.Entry) bool {
			return e.Original.IsZero() && e.Req.Original != nil && *e.Req.Original == req.Ref
		})
		switch {
		case len(a.missing) > 0:
			return finding{}, nil
		case tomb != nil:
			return j.found(tomb, pay.SeenTombstone), nil
		}
	}
	if a.in.Known {
		return finding{seen: pay.SeenNothing}, nil
	}
	return j.begin(a)
}

// begin starts what nothing stands in the way of.
func (j *Journal) begin(a *asking) (finding, error) {
	req := a.in.Req
	e := pay.Entry{Req: req}
	tomb := uint64(0)
	var blocker *held
	if a.in.Block && a.in.Refuse == pay.CodeUnknown {
		blocker = j.mem.blocking(req)
	}
	switch {
	case a.in.Refuse != pay.CodeUnknown:
		e.State, e.Code = pay.Fail, a.in.Refuse
	case blocker != nil:
		e.State, e.Code, e.Note = pay.Fail, pay.CodeBlocked, "前笔 "+blocker.entry.ID.Serial(j.o.Node)
	case req.Op != pay.Reverse:
		e.State, e.Original = pay.Jrnl, a.in.Of
	case req.Original != nil:
		orig := j.find(&a.lookup, a.original, func(e *pay.Entry) bool { return e.Req.Ref == *req.Original })
		if len(a.missing) > 0 {
			return finding{}, nil
		}
		if orig == nil {
			orig = a.orig
		}
		if orig != nil {
			e.Original = orig.entry.ID
		} else {
			tomb = tombstone(a.original)
		}
	}
	if err := j.room(); err != nil {
		return finding{}, err
	}
	row := a.row
	j.number(&row)
	e.ID, e.N = pay.ID{Day: j.day, Row: row.Seq}, 1
	e.At = j.time(row.At)
	e.Changed = e.At
	for i, kind := range a.in.Legs {
		e.Legs = append(e.Legs, pay.Leg{Kind: kind})
		if i == 0 && e.State != pay.Fail {
			e.State, e.Marked, e.Legs[0].State = pay.Sent, e.At, pay.LegSent
		}
	}
	row.Day, row.Pay, row.N, row.State, row.About = e.ID.Day, e.ID.Row, 1, e.State, tomb
	row.Body = appendEntry(nil, &e)
	h := &held{entry: e, token: row.Ref, log: j.day, row: row.Seq}
	f := finding{h, pay.SeenNew, j.queue(&change{is: h, tomb: tomb}, row)}
	if blocker != nil {
		f.held, f.seen = blocker, pay.SeenBlocked
	}
	return f, nil
}

// found answers with a payment as soon as its last event is durable.
func (j *Journal) found(h *held, seen pay.Seen) finding {
	f := finding{held: h, seen: seen}
	if h.log == j.day {
		f.after = j.behind(h.row)
	}
	return f
}
