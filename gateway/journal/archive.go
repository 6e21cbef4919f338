package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"qianzhi/gateway/pay"
)

// Archive reads the logs of a directory beside whoever writes them. It takes no
// lock and writes nothing. It is safe for concurrent use.
type Archive struct{ j *Journal }

// OpenArchive opens a directory for reading. Of the options it needs the
// directory, the node, both keys and the clock, whose zone times are shown in.
func OpenArchive(ctx context.Context, store Store, o Options) (*Archive, error) {
	keys, err := newKeyring(o.Node, o.KEK)
	if err != nil {
		return nil, err
	}
	j := &Journal{o: o, store: store, tokens: newTokens(o.IndexKey), keys: keys, loc: o.Now().Location(), mem: newMemory()}
	j.reads = readers{store: store, open: map[pay.Day]*shared{}}
	if j.days, err = store.Days(ctx); err != nil {
		return nil, err
	}
	if n := len(j.days); n > 0 {
		j.day = j.days[n-1]
	}
	return &Archive{j}, nil
}

// Close closes the files.
func (a *Archive) Close() error { return a.j.reads.close() }

// Days returns the days that have logs, ascending; the last one is running, or
// is about to be cut.
func (a *Archive) Days() []pay.Day { return slices.Clone(a.j.days) }

// Lines yields every payment stamped with the day as it stands in all logs.
func (a *Archive) Lines(ctx context.Context, day pay.Day, yield func(*pay.Entry) bool) error {
	return a.j.Lines(ctx, day, ^uint64(0), yield)
}

// CheckIndex proves the index of a closed day. It returns os.ErrNotExist where
// it was not built yet.
func (a *Archive) CheckIndex(day pay.Day) error {
	x, err := openIndex(a.j.o.Dir, day)
	if err != nil {
		return err
	}
	return errors.Join(x.check(a.j.tokens), x.close())
}

// Query says which payments are wanted. What is zero may be anything.
type Query struct {
	From, To             pay.Day // stamped on the payments
	Since, Until         time.Time
	Account, Serial, PAN string
	Tail                 string // last four digits of the card
	Amount               pay.Amount
	State                pay.State
	Limit                int  // payments at the most, the newest ones
	Closed               bool // only closed logs: fast, and as of the last cut
}

// Match reports whether a payment is wanted, days and limit apart.
func (q *Query) Match(e *pay.Entry) bool {
	pan, tail := pay.Find(e.Req.More, pay.FPAN), pay.Find(e.Req.More, pay.FCardTail)
	if tail == "" && len(pan) > 4 {
		tail = pan[len(pan)-4:]
	}
	for _, c := range [...][2]string{{q.Account, e.Req.Account}, {q.Serial, e.Req.Ref.Serial}, {q.PAN, pan}, {q.Tail, tail}} {
		if c[0] != "" && c[0] != c[1] {
			return false
		}
	}
	return (q.Amount == 0 || q.Amount == e.Req.Amount) && (q.State == pay.NoState || q.State == e.State) &&
		(q.Since.IsZero() || !e.At.Before(q.Since)) && (q.Until.IsZero() || e.At.Before(q.Until))
}

// ErrTooMany reports a search in rows without an index that finds more than it
// can look at.
var ErrTooMany = errors.New("journal: more payments may fit than can be looked at; add an account, a serial, a card or a narrower time")

// Find yields the payments that are wanted, newest first within what one index
// covers, and returns the day whose log it looked at last: the payments are
// shown as of its end. A closed day answers from its index, the running one from
// its segments and the few rows that are in none.
func (a *Archive) Find(ctx context.Context, q Query, yield func(*pay.Entry) bool) (pay.Day, error) {
	f := finder{Archive: a, q: q, moved: map[pay.ID]bool{}, yield: yield}
	defer f.close()
	logs := slices.DeleteFunc(a.Days(), func(d pay.Day) bool { return d < q.From || q.Closed && d == a.j.day })
	for _, log := range slices.Backward(logs) {
		if f.done {
			break
		}
		if err := f.search(ctx, log); err != nil {
			return 0, fmt.Errorf("journal: searching %s: %w", log, err)
		}
	}
	if len(logs) == 0 {
		return 0, nil
	}
	return logs[len(logs)-1], nil
}

// finder is one call of Find.
type finder struct {
	*Archive
	q      Query
	opened []*indexSet
	newer  []*index        // that were searched
	moved  map[pay.ID]bool // payments with rows in a part of a log that was scanned
	found  int
	done   bool
	yield  func(*pay.Entry) bool
}

func (f *finder) close() {
	for _, s := range f.opened {
		_ = s.close() // it was only read
	}
}

// search looks through one log, the newest rows first.
func (f *finder) search(ctx context.Context, log pay.Day) error {
	set, err := openSet(f.j.o.Dir, log)
	if err != nil {
		return err
	}
	f.opened = append(f.opened, set)
	if !set.whole {
		if err := f.scan(ctx, log, set); err != nil {
			return err
		}
	}
	for _, x := range slices.Backward(set.x) {
		if f.done {
			break
		}
		if err := f.look(ctx, log, x); err != nil {
			return err
		}
		f.newer = append(f.newer, x)
	}
	return nil
}

// look searches what one index covers.
func (f *finder) look(ctx context.Context, log pay.Day, x *index) error {
	from, to := 0, x.n
	if !f.q.Since.IsZero() || !f.q.Until.IsZero() {
		from, to = x.between(nano(f.q.Since, -1<<63), nano(f.q.Until, 1<<63-1))
	}
	if f.q.From != 0 {
		from = max(from, x.behind(pay.ID{Day: f.q.From}))
	}
	if f.q.To != 0 {
		to = min(to, x.behind(pay.ID{Day: f.q.To.Add(1)}))
	}
	want := f.keys()
	var err error
	x.search(&want, min(from, to), to, func(s *summary) bool {
		if !f.stamped(s.id) || f.later(s.id) {
			return true
		}
		err = f.tell(ctx, spot{log, s.last}, s.id)
		return err == nil && !f.done
	})
	return err
}

func nano(t time.Time, zero int64) int64 {
	if t.IsZero() {
		return zero
	}
	return t.UnixNano()
}

func (f *finder) stamped(id pay.ID) bool {
	return id.Day >= f.q.From && (f.q.To == 0 || id.Day <= f.q.To)
}

// keys are the keys of the query as an index holds them.
func (f *finder) keys() (want [keys]uint64) {
	t := f.j.tokens
	want = [keys]uint64{byAccount: t.text(aboutAccount, f.q.Account), byPAN: t.text(aboutPAN, f.q.PAN),
		bySerial: t.text(aboutSerial, f.q.Serial), byAmount: uint64(f.q.Amount), byState: uint64(f.q.State)}
	if f.q.Tail != "" {
		want[byTail] = packTail(f.q.Tail)
	}
	return want
}

// later reports whether the payment has rows in what was searched before, where
// it was told if it is wanted.
func (f *finder) later(id pay.ID) bool {
	return f.moved[id] || slices.ContainsFunc(f.newer, func(x *index) bool {
		_, there := x.find(id)
		return there
	})
}

// tell reads a payment from its log and yields it if it is wanted.
func (f *finder) tell(ctx context.Context, at spot, id pay.ID) error {
	h, err := f.j.load(ctx, at)
	if err != nil {
		return err
	}
	if h.entry.ID != id || !f.q.Match(&h.entry) {
		return nil
	}
	f.found++
	f.done = !f.yield(&h.entry) || f.found == f.q.Limit
	return nil
}
