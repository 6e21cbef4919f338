package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

var dayTests = map[string]func(*testing.T, *Bench){
	"carried":            testCarried,
	"in flight":          testInFlight,
	"cut refuses":        testCutRefuses,
	"cut in traffic":     testCutInTraffic,
	"freeze":             testFreeze,
	"lines":              testLines,
	"notes":              testNotes,
	"clock steps back":   testClock,
	"restart":            testRestart,
	"has":                testHas,
	"several times open": testEmptyLogs,
}

// testCarried wants a payment to fold the same from every log that holds it.
func testCarried(t *testing.T, b *Bench) {
	e := b.new("1")
	b.add(&e, unknown)
	b.add(&e, pay.Event{Kind: pay.EvAttempt, State: pay.Unkn, Attempt: 3, Due: time.Date(2026, 11, 24, 9, 0, 0, 5, time.UTC), Note: "第3次"},
		pay.Event{Kind: pay.EvWanted, Attempt: 3})
	for range 4 {
		b.cut(1)
		got := b.get(e.ID)
		if err := same(&e, &got); err != nil {
			t.Fatal(err)
		}
		b.Restart()
		if open := b.open(); len(open) != 1 {
			t.Fatalf("%d open payments", len(open))
		} else if err := same(&e, &open[0]); err != nil {
			t.Fatal(err)
		}
		again := b.begin(intent(sale("1")), pay.SeenSame)
		if err := same(&e, &again); err != nil {
			t.Fatal(err)
		}
	}
	if !e.Wanted || e.Attempt != 3 || e.Note != "第3次" {
		t.Fatalf("got %+v", e)
	}
	b.add(&e, reversing)
	b.add(&e, reversed)
	b.cut(1)
	if got := b.open(); len(got) != 0 {
		t.Fatalf("still open: %+v", got)
	}
	b.verify()
}

func testInFlight(t *testing.T, b *Bench) {
	e := b.new("1")
	b.cut(1)
	if err := b.Append(t.Context(), e.ID, e.N, succeeded); err != nil { // the caller knows nothing of the cut
		t.Fatal(err)
	}
	if got := b.get(e.ID); got.ID.Day != Today || got.State != pay.Succ || got.N != 2 {
		t.Fatalf("got %+v", got)
	}
	if next := b.new("2"); next.ID.Day != Today.Add(1) {
		t.Fatalf("new payment on %s", next.ID.Day)
	}
}

func testCutRefuses(t *testing.T, b *Bench) {
	for _, day := range []pay.Day{Today, Today.Add(-1)} {
		if err := b.Cut(t.Context(), day); err == nil {
			t.Fatalf("cut to %s", day)
		}
	}
	b.cut(3)
	if b.Day() != Today.Add(3) || b.Has(Today.Add(1)) || !b.Has(Today) || !b.Has(Today.Add(3)) {
		t.Fatalf("running %s", b.Day())
	}
}

// testCutInTraffic cuts again and again under load: everything that was
// acknowledged is there once, and complete.
func testCutInTraffic(t *testing.T, b *Bench) {
	const workers, each, cuts = 16, 60, 4
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[pay.ID]bool{}
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				e, seen, err := b.Begin(t.Context(), intent(sale(fmt.Sprintf("%d-%d", w, i))))
				if err != nil || seen != pay.SeenNew {
					t.Errorf("begin: %d %v", seen, err)
					return
				}
				if err := b.Append(t.Context(), e.ID, 1, succeeded); err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				acked[e.ID] = true
				mu.Unlock()
			}
		})
	}
	for range cuts {
		b.cut(1)
	}
	wg.Wait()
	b.cut(1)
	freeze := b.freeze(b.Day().Add(-1))
	n := 0
	for d := Today; d < b.Day(); d = d.Add(1) {
		for id, e := range b.lines(d, freeze) {
			n++
			if !acked[id] || e.State != pay.Succ || id.Day != d {
				t.Errorf("line %v in state %s", id, e.State)
			}
		}
	}
	if n != workers*each || len(acked) != n {
		t.Fatalf("%d lines, %d acknowledged, want %d", n, len(acked), workers*each)
	}
	b.verify()
}

func testFreeze(t *testing.T, b *Bench) {
	e := b.new("1")
	if _, err := b.Freeze(t.Context(), Today); !errors.Is(err, journal.ErrNotCut) {
		t.Fatalf("frozen a running day: %v", err)
	}
	if _, err := b.Freeze(t.Context(), Today.Add(-9)); err == nil {
		t.Fatal("frozen a day without a log")
	}
	b.cut(1)
	first := b.freeze(Today)
	b.new("2") // of the next day: nothing to the first
	if again := b.freeze(Today); again != first {
		t.Fatalf("frozen at %d, then at %d", first, again)
	}
	b.Restart()
	if again := b.freeze(Today); again != first {
		t.Fatalf("frozen at %d, after a restart at %d", first, again)
	}
	b.add(&e, succeeded)
	second := b.freeze(Today)
	if second <= first {
		t.Fatalf("frozen at %d, then at %d", first, second)
	}
	if got := b.lines(Today, first)[e.ID]; got.State != pay.Sent {
		t.Fatalf("at the first freeze %s", got.State)
	}
	if got := b.lines(Today, second)[e.ID]; got.State != pay.Succ {
		t.Fatalf("at the second freeze %s", got.State)
	}
}

func testLines(t *testing.T, b *Bench) {
	done, late, open := b.new("1"), b.new("2"), b.new("3")
	b.begin(intent(reversal(sale("9"))), pay.SeenNew) // no payment
	b.add(&done, succeeded)
	b.add(&late, unknown)
	b.cut(1)
	b.add(&late, succeeded)
	b.cut(1)
	b.add(&done, reversing)
	next := b.new("4")
	freeze := b.freeze(Today)
	b.add(&open, succeeded)
	b.add(&done, reversed)
	for range 2 {
		got := b.lines(Today, freeze)
		want := map[pay.ID]pay.State{done.ID: pay.Revp, late.ID: pay.Succ, open.ID: pay.Sent}
		if len(got) != len(want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
		for id, state := range want {
			if e := got[id]; e.State != state || e.Req.Account == "" || e.Req.Via.Link != "pos" {
				t.Fatalf("%v is %s, want %s", id, e.State, state)
			}
		}
		if got := b.lines(Today.Add(2), freeze); len(got) != 1 || got[next.ID].N != 1 {
			t.Fatalf("running day: %v", got)
		}
		if got := b.lines(Today.Add(3), freeze); len(got) != 0 {
			t.Fatalf("day to come: %v", got)
		}
		b.Restart()
	}
	stopped := 0
	if err := b.Lines(t.Context(), Today, freeze, func(*pay.Entry) bool { stopped++; return false }); err != nil || stopped != 1 {
		t.Fatalf("%d lines after the first was enough: %v", stopped, err)
	}
}

func testNotes(t *testing.T, b *Bench) {
	query := sale("q")
	query.Op, query.Ref.Kind = pay.Query, pay.KindOther
	for _, n := range []pay.Note{
		{Kind: pay.EvQuery, Link: "pos", Op: pay.Query, Req: query},
		{Kind: pay.EvSession, Link: "pos", Op: pay.SignOn},
		{Kind: pay.EvRejected, Link: "pos", Peer: "10.0.0.9:1", Count: 7, Length: 90, Digest: [32]byte{9}, Head: []byte("01234567890123456789"), Text: "MAC"},
		{Kind: pay.EvAdmin, Text: "操作员"},
	} {
		for _, wait := range []bool{true, false} {
			if err := b.Note(t.Context(), &n, wait); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.Note(t.Context(), &pay.Note{Kind: pay.EvReceived}, true); err == nil {
		t.Fatal("a payment was taken for a note")
	}
	b.Restart()
	kinds := map[pay.EventKind]int{}
	b.rows(Today, func(r *journal.Row) { kinds[r.Kind]++ })
	for _, k := range []pay.EventKind{pay.EvQuery, pay.EvSession, pay.EvRejected, pay.EvAdmin} {
		if kinds[k] != 2 {
			t.Errorf("%d rows of kind %d, want 2", kinds[k], k)
		}
	}
	b.verify()
}

// rows reads a log as it is stored.
func (b *Bench) rows(day pay.Day, yield func(*journal.Row)) {
	b.T.Helper()
	rd, err := b.Store.Reader(b.T.Context(), day)
	if err == nil {
		err = rd.Read(b.T.Context(), journal.Range{}, func(r *journal.Row) bool { yield(r); return true })
		err = errors.Join(err, rd.Close())
	}
	if err != nil {
		b.T.Fatal(err)
	}
}

func testClock(t *testing.T, b *Bench) {
	b.new("1")
	b.clock.step(-time.Hour)
	b.new("2")
	b.Restart()
	b.clock.step(-time.Hour)
	b.new("3")
	b.cut(1)
	b.new("4")
	last := int64(0)
	for _, day := range []pay.Day{Today, Today.Add(1)} {
		b.rows(day, func(r *journal.Row) {
			if r.At <= last {
				t.Errorf("row %d at %d, after %d", r.Seq, r.At, last)
			}
			last = r.At
		})
	}
}

func testRestart(t *testing.T, b *Bench) {
	want := map[pay.ID]pay.Entry{}
	for i, evs := range [][]pay.Event{nil, {unknown}, {unknown, reversing}, {succeeded}, {refused}, {unknown, parked}, {succeeded, reversing}} {
		e := b.new(fmt.Sprint(i))
		for _, ev := range evs {
			b.add(&e, ev)
		}
		if e.State.Open() {
			want[e.ID] = e
		}
	}
	noLegs := intent(sale("n"))
	noLegs.Legs = nil
	if e := b.begin(noLegs, pay.SeenNew); e.State != pay.Jrnl {
		t.Fatalf("without legs %s", e.State)
	} else {
		want[e.ID] = e
	}
	for range 3 {
		b.Restart()
		got := b.open()
		if len(got) != len(want) {
			t.Fatalf("%d open payments, want %d", len(got), len(want))
		}
		for i := range got {
			w := want[got[i].ID]
			if err := same(&w, &got[i]); err != nil {
				t.Fatal(err)
			}
		}
		b.cut(1)
	}
}

func testHas(t *testing.T, b *Bench) {
	b.cut(2)
	b.Restart()
	for day, want := range map[pay.Day]bool{Today: true, Today.Add(1): false, Today.Add(2): true, Today.Add(3): false} {
		if got := b.Has(day); got != want {
			t.Errorf("has %s: %v", day, got)
		}
	}
}

// testEmptyLogs prepares a cut that does not come: the log that was made for it
// is none yet.
func testEmptyLogs(t *testing.T, b *Bench) {
	w, err := b.Store.Writer(t.Context(), Today.Add(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b.Restart()
	if b.Day() != Today || b.Has(Today.Add(1)) {
		t.Fatalf("running %s", b.Day())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Get(ctx, pay.ID{Day: Today, Row: 99}); err == nil {
		t.Fatal("got a payment that is none")
	}
	b.cut(1)
	b.new("1")
	b.verify()
}
