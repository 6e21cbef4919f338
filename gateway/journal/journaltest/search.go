package journaltest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

var searchTests = map[string]func(*testing.T, *Bench){
	"find equals a look at every payment":     testFindAll,
	"find knows what happened after the cut":  testFindMoved,
	"an index that was changed is found out":  testIndexChanged,
	"an index is built again after a restart": testIndexAgain,
	"the timeline shows every event":          testTimeline,
	"notes are read as they were written":     testActs,
	"a start from a snapshot knows the same":  testSnapshot,
	"the running day is indexed in segments":  testSegments,
	"segments that are damaged are made anew": testSegmentDamage,
}

// archive opens the bench's directory beside the running journal.
func (b *Bench) archive() *journal.Archive {
	b.T.Helper()
	a, err := journal.OpenArchive(b.T.Context(), b.make(b.T, b.Options.Dir), b.Options)
	if err != nil {
		b.T.Fatalf("archive: %v", err)
	}
	return a
}

// indexed waits until every closed day has its index.
func (b *Bench) indexed() {
	b.T.Helper()
	b.eventually(func() bool {
		a := b.archive()
		defer a.Close()
		for _, d := range a.Days()[:len(a.Days())-1] {
			if a.CheckIndex(d) != nil {
				return false
			}
		}
		return true
	})
}

func (b *Bench) found(q journal.Query) map[pay.ID]pay.Entry {
	b.T.Helper()
	a := b.archive()
	defer a.Close()
	got := map[pay.ID]pay.Entry{}
	_, err := a.Find(b.T.Context(), q, func(e *pay.Entry) bool {
		if _, twice := got[e.ID]; twice {
			b.T.Errorf("%+v: %v was told twice", q, e.ID)
		}
		got[e.ID] = e.Clone()
		return true
	})
	if err != nil {
		b.T.Fatalf("find %+v: %v", q, err)
	}
	return got
}

// testFind asks for everything that three days hold, with and without indexes,
// and holds each answer against a look at every payment.
func testFindAll(_ *testing.T, b *Bench) {
	for day := range 3 {
		var all []pay.Entry
		for i := range 12 {
			req := sale(fmt.Sprintf("%d%02d", day, i))
			req.Account, req.Amount = fmt.Sprintf("account-%d", i%4), pay.Amount(100*(1+i%3))
			req.More = []pay.Field{{ID: pay.FPAN, Val: fmt.Sprintf("62220212345678%04d", i%5)}}
			all = append(all, b.begin(intent(req), pay.SeenNew))
		}
		for i := range all {
			b.add(&all[i], []pay.Event{succeeded, refused, unknown}[i%3])
		}
		if day < 2 {
			b.cut(1)
		}
	}
	b.compareFinds()
	b.indexed()
	b.compareFinds()
}

func (b *Bench) compareFinds() {
	b.T.Helper()
	first, last := b.Day().Add(-2), b.Day()
	var all []pay.Entry
	for d := first; d <= last; d = d.Add(1) {
		for _, e := range b.lines(d, ^uint64(0)) {
			all = append(all, e)
		}
	}
	middle := all[len(all)/2].At
	for _, q := range []journal.Query{
		{Account: "account-1"}, {Serial: "105"}, {PAN: "622202123456780003"}, {Tail: "0002"}, {Amount: 200}, {State: pay.Unkn},
		{State: pay.Succ, Account: "account-0"}, {Account: "account-2", Amount: 100, State: pay.Fail}, {Account: "nobody"},
		{From: last, To: last}, {From: first, To: first, State: pay.Succ}, {From: first, To: first.Add(1), Amount: 300},
		{Since: middle, Account: "account-3"}, {Until: middle, Tail: "0001"}, {Since: middle, Until: middle.Add(time.Second), State: pay.Succ},
		{From: first, To: first.Add(1), Closed: true, State: pay.Fail},
	} {
		want := map[pay.ID]pay.Entry{}
		for _, e := range all {
			if q.Match(&e) && (q.From == 0 || e.ID.Day >= q.From) && (q.To == 0 || e.ID.Day <= q.To) {
				want[e.ID] = e
			}
		}
		got := b.found(q)
		for id, e := range want {
			if g := got[id]; g.Req == nil {
				b.T.Errorf("%+v: %v is missing", q, id)
			} else if err := same(&g, &e); err != nil {
				b.T.Errorf("%+v: %v", q, err)
			}
		}
		if len(got) != len(want) {
			b.T.Errorf("%+v: found %d, want %d", q, len(got), len(want))
		}
		if n := len(want); n > 1 {
			if q.Limit = n - 1; len(b.found(q)) != n-1 {
				b.T.Errorf("%+v: the limit does not hold", q)
			}
		}
	}
}

// testFindMoved has payments change after their day: a closed search shows them
// as of the last cut, one with the running day as they stand.
func testFindMoved(_ *testing.T, b *Bench) {
	day := b.Day()
	open, done := b.new("1"), b.new("2")
	b.add(&open, unknown)
	b.add(&done, succeeded)
	b.cut(1)
	b.add(&done, reversing)
	b.cut(1)
	b.indexed()
	b.add(&open, succeeded)
	b.add(&done, reversed)
	for _, c := range []struct {
		q    journal.Query
		want int
	}{
		{journal.Query{From: day, To: day, Closed: true, State: pay.Unkn}, 1}, {journal.Query{From: day, To: day, Closed: true, State: pay.Succ}, 0},
		{journal.Query{From: day, To: day, Closed: true, State: pay.Revp}, 1}, {journal.Query{From: day, To: day, State: pay.Unkn}, 0},
		{journal.Query{From: day, To: day, State: pay.Succ}, 1}, {journal.Query{State: pay.Revd}, 1}, {journal.Query{State: pay.Revp}, 0},
	} {
		if got := b.found(c.q); len(got) != c.want {
			b.T.Errorf("%+v: found %d, want %d", c.q, len(got), c.want)
		}
	}
}

func testIndexChanged(t *testing.T, b *Bench) {
	day := b.Day()
	for i := range 20 {
		e := b.new(fmt.Sprint(i))
		b.add(&e, succeeded)
	}
	b.cut(1)
	b.indexed()
	name := b.Options.Dir + "/" + day.String() + ".idx"
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 37 {
		hurt := append([]byte(nil), whole...)
		hurt[at] ^= 0x41
		if err := os.WriteFile(name+".new", hurt, 0o600); err == nil {
			err = os.Rename(name+".new", name)
		}
		if err != nil {
			t.Fatal(err)
		}
		a := b.archive()
		if err := a.CheckIndex(day); !errors.Is(err, journal.ErrIndex) {
			t.Fatalf("byte %d of %d: %v", at, len(whole), err)
		}
		// A search may miss or fail, but it tells nothing that the log does not say.
		_, _ = a.Find(t.Context(), journal.Query{Serial: "7"}, func(e *pay.Entry) bool {
			if e.Req.Ref.Serial != "7" {
				t.Errorf("byte %d: found %s", at, e.Req.Ref.Serial)
			}
			return true
		})
		a.Close()
	}
}

func testIndexAgain(t *testing.T, b *Bench) {
	day := b.Day()
	e := b.new("1")
	b.add(&e, succeeded)
	b.cut(1)
	b.indexed()
	b.Stop()
	name := b.Options.Dir + "/" + day.String() + ".idx"
	if err := os.Rename(name, name+".part"); err != nil { // as if it had not been finished
		t.Fatal(err)
	}
	b.Start()
	b.indexed()
	if got := b.found(journal.Query{Serial: "1"}); len(got) != 1 {
		t.Errorf("found %d", len(got))
	}
}

func testTimeline(t *testing.T, b *Bench) {
	e := b.new("1")
	b.add(&e, unknown)
	b.cut(1)
	b.add(&e, pay.Event{Kind: pay.EvAttempt, Attempt: 1, Note: "again"})
	b.cut(1)
	b.add(&e, succeeded)
	for range 2 {
		a := b.archive()
		got, steps, err := a.Timeline(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(&got, &e); err != nil {
			t.Error(err)
		}
		want := []pay.EventKind{pay.EvReceived, pay.EvResult, pay.EvCarried, pay.EvAttempt, pay.EvCarried, pay.EvResult}
		if len(steps) != len(want) {
			t.Fatalf("%d steps, want %d", len(steps), len(want))
		}
		for i, s := range steps {
			if s.Event.Kind != want[i] {
				t.Errorf("step %d: kind %d, want %d", i, s.Event.Kind, want[i])
			}
		}
		if steps[3].Event.Note != "again" || steps[5].Event.Host != "MIS1" {
			t.Errorf("%+v", steps)
		}
		if _, _, err := a.Timeline(t.Context(), pay.ID{Day: e.ID.Day, Row: 2}); !errors.Is(err, journal.ErrUnknown) {
			t.Errorf("a row that begins no payment: %v", err)
		}
		a.Close()
		b.indexed()
	}
}

// testSnapshot starts from a snapshot, from one that was changed and from none:
// all know the same.
func testSnapshot(t *testing.T, b *Bench) {
	var all []pay.Entry
	for i := range 12 {
		e := b.new(fmt.Sprint(i))
		if i%3 > 0 {
			b.add(&e, succeeded)
		}
		all = append(all, e)
	}
	name := b.Options.Dir + "/" + b.Day().String() + ".snap"
	b.eventually(func() bool { _, err := os.Stat(name); return err == nil })
	for _, hurt := range []func([]byte) []byte{
		func(s []byte) []byte { return s }, func(s []byte) []byte { s[len(s)/2] ^= 1; return s }, func(s []byte) []byte { return s[:len(s)/3] },
		func([]byte) []byte { return nil },
	} {
		b.Stop()
		s, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(name, hurt(s), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		b.Start()
		if n := b.Stats().Keys; n != len(all) {
			t.Errorf("%d keys, want %d", n, len(all))
		}
		if n := len(b.open()); n != 4 {
			t.Errorf("%d open, want 4", n)
		}
		for i := range all {
			got := b.begin(intent(all[i].Req), pay.SeenSame)
			if err := same(&got, &all[i]); err != nil {
				t.Error(err)
			}
		}
		b.new(fmt.Sprint("more", len(all))) // and what came after the snapshot is read from the log
		all = append(all, b.begin(intent(sale(fmt.Sprint("more", len(all)))), pay.SeenSame))
		b.add(&all[len(all)-1], succeeded)
	}
}

// segmentsOf names the files of the running day's segments, and waits until as
// much is indexed as can be.
func (b *Bench) segmentsOf(day pay.Day) []string {
	b.T.Helper()
	b.eventually(func() bool { return b.Stats().IndexLag < uint64(b.Options.SegmentRows) })
	names, err := filepath.Glob(filepath.Join(b.Options.Dir, day.String()+".*.seg"))
	if err != nil {
		b.T.Fatal(err)
	}
	return names
}

// testSegments grows a day over several levels of segments, with payments that
// go on long after they began, and compares while it grows.
func testSegments(t *testing.T, b *Bench) {
	b.cut(1) // so that there is a closed day as well
	var slow []pay.Entry
	for i := range 130 {
		e := b.new(fmt.Sprint(i))
		switch {
		case i%10 == 0:
			slow = append(slow, e)
		case i%10 == 5:
			b.add(&slow[0], unknown)
			slow = slow[1:]
		default:
			b.add(&e, succeeded)
		}
		if i%40 == 39 {
			b.compareRunning()
		}
	}
	names := b.segmentsOf(b.Day())
	if n := len(names); n == 0 || n > 24 {
		t.Errorf("%d segments: %q", n, names)
	}
	b.compareRunning()
	b.Restart()
	b.compareRunning()
	day := b.Day()
	b.cut(1)
	b.indexed()
	b.compareRunning()
	if left := b.segmentsOf(day); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// compareRunning holds what is found against a look at every payment.
func (b *Bench) compareRunning() {
	b.T.Helper()
	for _, q := range []journal.Query{{State: pay.Unkn}, {State: pay.Sent}, {State: pay.Succ}, {Serial: "17"}, {Account: "32000040"}, {Amount: 10000}, {Account: "32000030", State: pay.Sent}, {Tail: "0123"}} {
		want := 0
		for d := Today; d <= b.Day(); d = d.Add(1) {
			for _, e := range b.lines(d, ^uint64(0)) {
				if q.Match(&e) {
					want++
				}
			}
		}
		if got := b.found(q); len(got) != want {
			b.T.Errorf("%+v: found %d, want %d", q, len(got), want)
		}
	}
}

func testSegmentDamage(t *testing.T, b *Bench) {
	for i := range 30 {
		e := b.new(fmt.Sprint(i))
		b.add(&e, succeeded)
	}
	for _, hurt := range []func(string) error{
		func(name string) error { return os.Truncate(name, 100) },
		os.Remove,
		func(name string) error {
			s, err := os.ReadFile(name)
			if err == nil {
				s[len(s)-60] ^= 1
				err = os.WriteFile(name, s, 0o600)
			}
			return err
		},
	} {
		names := b.segmentsOf(b.Day())
		b.Stop()
		if err := hurt(names[len(names)/2]); err != nil {
			t.Fatal(err)
		}
		b.Start()
		b.segmentsOf(b.Day())
		b.compareRunning()
	}
}

// testActs reads acts back in their order, over a restart, which begins a new
// key, and leaves payments and other notes out.
func testActs(t *testing.T, b *Bench) {
	var want []string
	for i := range 9 {
		text := fmt.Sprintf("act %d", i)
		if i == 4 {
			b.Restart()
		}
		b.new(fmt.Sprintf("%06d", i))
		for _, n := range []pay.Note{{Kind: pay.EvAdmin, Text: text}, {Kind: pay.EvQuery, Text: "query"}} {
			if err := b.Note(t.Context(), &n, true); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, text)
	}
	a := b.archive()
	defer a.Close()
	var got []string
	last := uint64(0)
	err := a.Notes(t.Context(), b.Day(), pay.EvAdmin, func(n *journal.Noted) bool {
		if n.Row <= last || n.Log != b.Day() || n.At.IsZero() || n.Note.Kind != pay.EvAdmin {
			t.Errorf("row %d of %s after %d: %+v", n.Row, n.Log, last, n)
		}
		last = n.Row
		got = append(got, n.Note.Text)
		return true
	})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, %v", got, err)
	}
	b.verify()
}
