package journaltest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// property holds the journal against a model in plain maps: random payments,
// reversals, events, cuts, freezes and restarts, and after each the same
// findings.
func property(t *testing.T, make Make) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "journal")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{T: rt, Bench: newBench(fatal{t, rt}, make, dir), day: Today, days: []pay.Day{Today},
			sales: map[int][]*known{}, reversals: map[int][]*known{}}
		defer m.stopped()
		rt.Repeat(map[string]func(*rapid.T){
			"sale": m.sale, "reverse": m.reverse, "append": m.append, "append again": m.append, "cut": m.cutDay, "restart": m.restart,
			"freeze": m.freezeDay, "get": m.look, "find": m.search, "": m.check,
		})
		m.final()
	})
}

// fatal is a testing.TB whose failures rapid shrinks.
type fatal struct {
	testing.TB
	rt *rapid.T
}

// Fatalf fails the present case.
func (f fatal) Fatalf(format string, args ...any) { f.rt.Fatalf(format, args...) }

// Errorf fails the present case.
func (f fatal) Errorf(format string, args ...any) { f.rt.Errorf(format, args...) }

// known is a payment or a reversal as the model knows it.
type known struct {
	pay.Entry
	logs map[pay.Day]bool // in which it has rows
}

type model struct {
	*rapid.T
	*Bench
	day       pay.Day
	days      []pay.Day
	sales     map[int][]*known
	reversals map[int][]*known
	frozen    []snapshot
}

// snapshot is what Lines must say of a freeze for ever.
type snapshot struct {
	day    pay.Day
	freeze uint64
	want   map[pay.ID]pay.Entry
}

func (m *model) window() pay.Day { return m.day.Add(-m.Options.DupDays) }

// recall finds the newest of a list in the logs from one day to before another.
func (m *model) recall(list []*known, from, to pay.Day) *known {
	for i := len(m.days) - 1; i >= 0; i-- {
		for k := len(list) - 1; k >= 0 && m.days[i] >= from && m.days[i] < to; k-- {
			if list[k].logs[m.days[i]] {
				return list[k]
			}
		}
	}
	return nil
}

// lookUp finds what a message with a sender's date must find.
func (m *model) lookUp(list []*known, sender pay.Day) (there *known, expired bool) {
	if there = m.recall(list, m.window(), ^pay.Day(0)); there != nil || sender == 0 || sender >= m.window() {
		return there, false
	}
	if sender < m.days[0] {
		return nil, true
	}
	return m.recall(list, sender.Add(-1), m.window()), false
}

var senderDays = rapid.OneOf(rapid.Just(-1000), rapid.IntRange(-7, 0))

func (m *model) sender(t *rapid.T) pay.Day {
	if n := senderDays.Draw(t, "sender"); n > -1000 {
		return m.day.Add(n)
	}
	return 0
}

func (m *model) sale(t *rapid.T) {
	s := rapid.IntRange(0, 5).Draw(t, "serial")
	req := sale(fmt.Sprint(s))
	req.Amount += pay.Amount(rapid.IntRange(0, 1).Draw(t, "amount"))
	req.Day = m.sender(t)
	in := intent(req)
	in.Known = rapid.Bool().Draw(t, "known")
	there, expired := m.lookUp(m.sales[s], req.Day)
	tomb := (*known)(nil)
	for _, r := range m.reversals[s] {
		if r.Original.IsZero() && r.ID.Day >= m.window() {
			tomb = r
		}
	}
	want := pay.SeenNew
	switch {
	case there != nil && there.Req.Amount != req.Amount:
		want = pay.SeenOther
	case there != nil:
		want = pay.SeenSame
	case expired:
		want = pay.SeenExpired
	case tomb != nil:
		want = pay.SeenTombstone
	case in.Known:
		want = pay.SeenNothing
	}
	got := m.begin(in, want)
	switch want {
	case pay.SeenNew:
		m.sales[s] = append(m.sales[s], &known{got.Clone(), map[pay.Day]bool{m.day: true}})
	case pay.SeenSame, pay.SeenOther:
		m.equal(&there.Entry, &got)
	case pay.SeenTombstone:
		m.equal(&tomb.Entry, &got)
	}
}

func (m *model) equal(want, got *pay.Entry) {
	if err := same(want, got); err != nil {
		m.T.Fatal(err)
	}
}

// search asks the archive, which reads indexes and segments as far as they are
// built at the moment and the rest from the logs.
func (m *model) search(t *rapid.T) {
	s := sale(fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "serial")))
	q := rapid.SampledFrom([]journal.Query{{}, {Serial: s.Ref.Serial}, {Account: s.Account}, {Amount: s.Amount}, {Tail: "0123"},
		{State: pay.Sent}, {State: pay.Unkn}, {State: pay.Succ, Account: s.Account}, {State: pay.Revd}, {Amount: s.Amount, State: pay.Sent}}).Draw(t, "query")
	if rapid.Bool().Draw(t, "one day") {
		q.From = rapid.SampledFrom(m.days).Draw(t, "day")
		q.To = q.From
	}
	got, want := m.found(q), 0
	for _, list := range []map[int][]*known{m.sales, m.reversals} {
		for _, all := range list {
			for _, k := range all {
				if q.Match(&k.Entry) && (q.From == 0 || k.ID.Day == q.From) {
					want++
					if g := got[k.ID]; g.Req == nil {
						m.T.Fatalf("%+v: %v is missing", q, k.ID)
					} else {
						m.equal(&k.Entry, &g)
					}
				}
			}
		}
	}
	if len(got) != want {
		m.T.Fatalf("%+v: found %d, want %d", q, len(got), want)
	}
}

func (m *model) reverse(t *rapid.T) {
	s := rapid.IntRange(0, 5).Draw(t, "serial")
	req := reversal(sale(fmt.Sprint(s)))
	req.Day = m.sender(t)
	there, expired := m.lookUp(m.reversals[s], req.Day)
	switch {
	case there != nil:
		got := m.begin(intent(req), pay.SeenSame)
		m.equal(&there.Entry, &got)
	case expired:
		m.begin(intent(req), pay.SeenExpired)
	default:
		got := m.begin(intent(req), pay.SeenNew)
		orig, _ := m.lookUp(m.sales[s], req.Day)
		if orig == nil != got.Original.IsZero() || orig != nil && orig.ID != got.Original {
			m.T.Fatalf("reversal of %v, want of %+v", got.Original, orig)
		}
		m.reversals[s] = append(m.reversals[s], &known{got.Clone(), map[pay.Day]bool{m.day: true}})
	}
}

var events = []pay.Event{succeeded, refused, unknown, reversing, reversed, parked, {Kind: pay.EvWanted}, {Kind: pay.EvAttempt, Attempt: 2, Note: "n"},
	{Kind: pay.EvMarker, State: pay.Sent, LegIs: pay.LegSent}}

// newest draws the latest payment of a serial, nil when there is none.
func (m *model) newest(t *rapid.T) *known {
	list := m.sales[rapid.IntRange(0, 5).Draw(t, "serial")]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

func (m *model) append(t *rapid.T) {
	k := m.newest(t)
	if k == nil {
		return
	}
	evs := rapid.SliceOfN(rapid.SampledFrom(events), 1, 3).Draw(t, "events")
	stale := rapid.IntRange(0, 5).Draw(t, "stale") == 0
	after, want := k.N, k.Clone()
	if stale {
		after++
	}
	var forbidden error
	for i := range evs {
		ev := evs[i]
		ev.N = want.N + 1
		if forbidden = want.Apply(&ev); forbidden != nil {
			break
		}
	}
	err := m.Append(m.Bench.T.Context(), k.ID, after, evs...)
	switch {
	case stale:
		if !errors.Is(err, pay.ErrMoved) {
			m.T.Fatalf("stale append: %v", err)
		}
		return
	case forbidden != nil:
		if !errors.Is(err, pay.ErrTransition) {
			m.T.Fatalf("forbidden append: %v", err)
		}
		return
	case err != nil:
		m.T.Fatal(err)
	}
	got := m.get(k.ID)
	want.Changed, want.Marked = got.Changed, got.Marked // the journal's own times
	m.equal(&want, &got)
	k.Entry = got
	k.logs[m.day] = true
}

func (m *model) cutDay(t *rapid.T) {
	n := rapid.IntRange(1, 3).Draw(t, "days")
	m.Bench.cut(n)
	m.day = m.day.Add(n)
	m.days = append(m.days, m.day)
	for _, list := range m.sales {
		for _, k := range list {
			if k.State.Open() || k.State == pay.Susp {
				k.logs[m.day] = true
			}
		}
	}
}

func (m *model) restart(*rapid.T) { m.Restart() }

func (m *model) look(t *rapid.T) {
	if k := m.newest(t); k != nil {
		got := m.get(k.ID)
		m.equal(&k.Entry, &got)
	}
}

func (m *model) freezeDay(t *rapid.T) {
	if len(m.days) == 1 {
		return
	}
	day := rapid.SampledFrom(m.days[:len(m.days)-1]).Draw(t, "day")
	s := snapshot{day: day, freeze: m.freeze(day), want: map[pay.ID]pay.Entry{}}
	for _, list := range m.sales {
		for _, k := range list {
			if k.ID.Day == day {
				s.want[k.ID] = k.Clone()
			}
		}
	}
	m.frozen = append(m.frozen, s)
	m.judge(&s)
}

func (m *model) judge(s *snapshot) {
	got := m.lines(s.day, s.freeze)
	if len(got) != len(s.want) {
		m.T.Fatalf("%d lines of %s, want %d", len(got), s.day, len(s.want))
	}
	for id, want := range s.want {
		e := got[id]
		m.equal(&want, &e)
	}
}

// check compares what is open after every step.
func (m *model) check(*rapid.T) {
	open := map[pay.ID]*known{}
	for _, list := range m.sales {
		for _, k := range list {
			if k.State.Open() {
				open[k.ID] = k
			}
		}
	}
	for _, e := range m.open() {
		k := open[e.ID]
		if k == nil {
			m.T.Fatalf("%v is not open", e.ID)
		}
		m.equal(&k.Entry, &e)
		delete(open, e.ID)
	}
	if len(open) > 0 {
		m.T.Fatalf("open and not told: %v", open)
	}
}

func (m *model) final() {
	m.Restart()
	m.check(nil)
	for i := range m.frozen {
		m.judge(&m.frozen[i])
	}
	m.verify()
}
