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

var failureTests = map[string]func(*testing.T, *Bench){
	"commit fails":             testCommitFails,
	"commit seems to fail":     testCommitSeemsToFail,
	"decided on top":           testOnTop,
	"store stays away":         testStoreAway,
	"cut fails":                testCutFails,
	"cut fails half-way":       testCutHalfWay,
	"killed half-way in a cut": testKilledInCut,
	"stopped":                  testStopped,
	"queue is full":            testFull,
	"a cut under way shows":    testCutShows,
	"clock stepped back":       testClockBack,
}

var errDisk = errors.New("disk on fire")

// faulty is a store whose writers fail when told to.
type faulty struct {
	journal.Store
	mu    sync.Mutex
	write func(day pay.Day, rows []journal.Row) (before, after error)
	open  func(day pay.Day) error
}

// set changes what fails; nil for nothing.
func (f *faulty) set(write func(pay.Day, []journal.Row) (error, error), open func(pay.Day) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.write, f.open = write, open
}

// Writer opens the log unless told to fail.
func (f *faulty) Writer(ctx context.Context, day pay.Day) (journal.Writer, error) {
	f.mu.Lock()
	open := f.open
	f.mu.Unlock()
	if open != nil {
		if err := open(day); err != nil {
			return nil, err
		}
	}
	w, err := f.Store.Writer(ctx, day)
	return &faultyWriter{w, f, day}, err
}

type faultyWriter struct {
	journal.Writer
	f   *faulty
	day pay.Day
}

// Append fails before or after the rows are durable when told to.
func (w *faultyWriter) Append(ctx context.Context, rows []journal.Row) error {
	w.f.mu.Lock()
	write := w.f.write
	w.f.mu.Unlock()
	var before, after error
	if write != nil {
		before, after = write(w.day, rows)
	}
	if before != nil {
		return before
	}
	return errors.Join(w.Writer.Append(ctx, rows), after)
}

// fail puts a faulty store under the bench.
func (b *Bench) fail() *faulty {
	b.T.Helper()
	b.Stop()
	f := &faulty{Store: b.make(b.T, b.Options.Dir)}
	b.Store = f
	b.Start()
	return f
}

// always fails before anything is durable.
func always(pay.Day, []journal.Row) (error, error) { return errDisk, nil }

// once fails one commit, as given.
func once(before, after error) func(pay.Day, []journal.Row) (error, error) {
	var n sync.Once
	return func(pay.Day, []journal.Row) (b, a error) {
		n.Do(func() { b, a = before, after })
		return b, a
	}
}

func testCommitFails(t *testing.T, b *Bench) {
	f := b.fail()
	first := b.new("1")
	f.set(always, nil)
	for range 3 {
		if _, _, err := b.Begin(t.Context(), intent(sale("2"))); !errors.Is(err, pay.ErrUnwritable) {
			t.Fatalf("got %v", err)
		}
		if err := b.Append(t.Context(), first.ID, 1, succeeded); !errors.Is(err, pay.ErrUnwritable) {
			t.Fatalf("got %v", err)
		}
		if _, _, err := b.Begin(t.Context(), intent(reversal(sale("3")))); !errors.Is(err, pay.ErrUnwritable) {
			t.Fatalf("got %v", err)
		}
		b.begin(intent(sale("1")), pay.SeenSame) // what is known is answered
	}
	f.set(nil, nil)
	b.eventually(func() bool { return !b.Stats().Down })
	if got := b.get(first.ID); got.State != pay.Sent || got.N != 1 {
		t.Fatalf("got %+v", got)
	}
	b.begin(intent(sale("3")), pay.SeenNew) // no tombstone was laid
	second := b.new("2")
	b.add(&second, succeeded)
	b.Restart()
	if got := b.get(second.ID); got.State != pay.Succ {
		t.Fatalf("got %+v", got)
	}
	if n := len(b.open()); n != 2 {
		t.Fatalf("%d open payments, want 2", n)
	}
	b.verify()
}

// testCommitSeemsToFail wants rows that are durable acknowledged, whatever the
// commit said.
func testCommitSeemsToFail(t *testing.T, b *Bench) {
	f := b.fail()
	f.set(once(nil, errDisk), nil)
	first := b.new("1")
	f.set(once(nil, errDisk), nil)
	b.add(&first, succeeded)
	if s := b.Stats(); s.Failures != 2 || s.Down {
		t.Fatalf("stats %+v", s)
	}
	b.Restart()
	if got := b.get(first.ID); got.State != pay.Succ {
		t.Fatalf("got %+v", got)
	}
	b.verify()
}

// testOnTop holds a commit back until other decisions stand on it, then fails
// it: they must fail too, and nothing of them may be left in memory.
func testOnTop(t *testing.T, b *Bench) {
	f := b.fail()
	first := b.new("1")
	entered, leave := make(chan bool), make(chan bool)
	var n sync.Once
	f.set(func(pay.Day, []journal.Row) (err, _ error) {
		n.Do(func() {
			entered <- true
			<-leave
			err = errDisk
		})
		return err, nil
	}, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got [6]error
	asked := 0
	do := func(f func() error) {
		n := asked
		asked++
		wg.Go(func() {
			err := f()
			mu.Lock()
			defer mu.Unlock()
			got[n] = err
		})
	}
	do(func() error { return b.Append(t.Context(), first.ID, 1, succeeded) })
	<-entered
	before := b.Stats().Pending
	do(func() error { return b.Append(t.Context(), first.ID, 2, reversing) })
	do(func() error { _, _, err := b.Begin(t.Context(), intent(reversal(sale("2")))); return err })
	do(func() error { _, _, err := b.Begin(t.Context(), intent(sale("3"))); return err })
	b.eventually(func() bool { return b.Stats().Pending == before+3 })
	do(func() error { _, _, err := b.Begin(t.Context(), intent(sale("3"))); return err }) // waits for the same commit
	do(func() error { _, err := b.Get(t.Context(), first.ID); return err })
	leave <- true
	wg.Wait()
	for _, err := range got[:4] {
		if !errors.Is(err, pay.ErrUnwritable) {
			t.Fatalf("got %v", got)
		}
	}
	b.eventually(func() bool { return !b.Stats().Down })
	if e := b.get(first.ID); e.N != 1 || e.State != pay.Sent {
		t.Fatalf("got %+v", e)
	}
	b.begin(intent(sale("2")), pay.SeenNew)
	if e := b.begin(intent(reversal(sale("3"))), pay.SeenNew); !e.Original.IsZero() && e.Original == first.ID {
		t.Fatalf("got %+v", e)
	}
	b.Restart()
	b.verify()
}

// testStoreAway wants everybody to wait until it is known what became of a
// commit, and others to be refused meanwhile.
func testStoreAway(t *testing.T, b *Bench) {
	f := b.fail()
	first := b.new("1")
	f.set(once(nil, errDisk), func(pay.Day) error { return errDisk })
	done := make(chan error, 1)
	go func() { done <- b.Append(t.Context(), first.ID, 1, succeeded) }()
	b.eventually(func() bool { return b.Stats().Down })
	if _, _, err := b.Begin(t.Context(), intent(sale("2"))); !errors.Is(err, pay.ErrUnwritable) {
		t.Fatalf("got %v", err)
	}
	if err := b.Note(t.Context(), &pay.Note{Kind: pay.EvAdmin}, false); !errors.Is(err, pay.ErrUnwritable) {
		t.Fatalf("got %v", err)
	}
	select {
	case err := <-done:
		t.Fatalf("answered while nobody knew: %v", err)
	default:
	}
	f.set(nil, nil)
	if err := <-done; err != nil {
		t.Fatalf("got %v, and the rows are durable", err)
	}
	b.new("2")
	b.verify()
}

func testCutFails(t *testing.T, b *Bench) {
	f := b.fail()
	first := b.new("1")
	f.set(once(errDisk, nil), nil)
	if err := b.Cut(t.Context(), Today.Add(1)); !errors.Is(err, pay.ErrUnwritable) || errors.Is(err, journal.ErrCutting) {
		t.Fatalf("got %v", err)
	}
	f.set(nil, func(day pay.Day) error { return errDisk })
	if err := b.Cut(t.Context(), Today.Add(1)); !errors.Is(err, pay.ErrUnwritable) {
		t.Fatalf("got %v", err)
	}
	f.set(nil, nil)
	b.eventually(func() bool { return !b.Stats().Down })
	if b.Day() != Today {
		t.Fatalf("running %s", b.Day())
	}
	b.add(&first, succeeded)
	b.cut(1)
	b.new("2")
	b.verify()
}

// testCutHalfWay fails the second commit of a cut, before or after it is
// durable: the old day has ended, and the new one begins when it can.
func testCutHalfWay(t *testing.T, b *Bench) {
	f := b.fail()
	for i, fault := range [][2]error{{errDisk, nil}, {nil, errDisk}} {
		e := b.new(fmt.Sprint(i))
		next := b.Day().Add(1)
		var n sync.Once
		f.set(func(day pay.Day, _ []journal.Row) (before, after error) {
			if day == next {
				n.Do(func() { before, after = fault[0], fault[1] })
			}
			return before, after
		}, nil)
		if err := b.Cut(t.Context(), next); !errors.Is(err, journal.ErrCutting) {
			t.Fatalf("got %v", err)
		}
		b.eventually(func() bool { return !b.Stats().Down })
		if b.Day() != next {
			t.Fatalf("running %s", b.Day())
		}
		b.add(&e, succeeded)
		if e.ID.Day != next.Add(-1) {
			t.Fatalf("got %+v", e)
		}
	}
	b.Restart()
	b.verify()
}

// testKilledInCut stops the process between the two commits of a cut: the next
// start finishes it.
func testKilledInCut(t *testing.T, b *Bench) {
	f := b.fail()
	e := b.new("1")
	f.set(func(day pay.Day, _ []journal.Row) (before, _ error) {
		if day != Today {
			before = errDisk
		}
		return before, nil
	}, nil)
	if err := b.Cut(t.Context(), Today.Add(1)); !errors.Is(err, journal.ErrCutting) {
		t.Fatalf("got %v", err)
	}
	b.Restart()
	if b.Day() != Today.Add(1) {
		t.Fatalf("running %s", b.Day())
	}
	b.begin(intent(sale("1")), pay.SeenSame)
	b.add(&e, succeeded)
	if got := b.lines(Today, b.freeze(Today)); len(got) != 1 {
		t.Fatalf("%d lines", len(got))
	}
	b.verify()
}

func testStopped(t *testing.T, b *Bench) {
	b.new("1")
	b.Stop()
	if _, _, err := b.Begin(t.Context(), intent(sale("2"))); !errors.Is(err, pay.ErrUnwritable) {
		t.Fatalf("got %v", err)
	}
	if err := b.Cut(t.Context(), Today.Add(1)); !errors.Is(err, pay.ErrUnwritable) {
		t.Fatalf("got %v", err)
	}
	b.Start()
	if b.Day() != Today {
		t.Fatalf("running %s", b.Day())
	}
}

func testFull(t *testing.T, b *Bench) {
	b.Options.MaxPending = 3
	f := b.fail()
	entered, leave := make(chan bool), make(chan bool)
	var n sync.Once
	f.set(func(pay.Day, []journal.Row) (error, error) {
		n.Do(func() { entered <- true; <-leave })
		return nil, nil
	}, nil)
	note := &pay.Note{Kind: pay.EvAdmin}
	if err := b.Note(t.Context(), note, false); err != nil {
		t.Fatal(err)
	}
	<-entered
	for range 3 {
		if err := b.Note(t.Context(), note, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Note(t.Context(), note, true); !errors.Is(err, journal.ErrBusy) || !errors.Is(err, pay.ErrUnwritable) {
		t.Fatalf("got %v", err)
	}
	leave <- true
	b.eventually(func() bool { return b.Stats().Pending == 0 })
	b.new("1")
}

// testCutShows has the disk take its time over a cut: it shows, no payment is
// refused, and the one that came meanwhile belongs to the new day. Where the new
// day cannot begin it shows until it has begun.
func testCutShows(t *testing.T, b *Bench) {
	f := b.fail()
	first, entered, leave := b.Day(), make(chan bool), make(chan bool)
	var once sync.Once
	f.set(func(pay.Day, []journal.Row) (error, error) {
		once.Do(func() { entered <- true; <-leave })
		return nil, nil
	}, nil)
	cut, begun := make(chan error, 1), make(chan pay.Entry, 1)
	go func() { cut <- b.Cut(t.Context(), first.Add(1)) }()
	<-entered
	if s := b.Stats(); s.Cutting != first.Add(1) || b.Day() != first {
		t.Errorf("cutting %s on %s", s.Cutting, b.Day())
	}
	go func() {
		e, _, err := b.Begin(t.Context(), intent(sale("1")))
		if err != nil {
			t.Error(err)
		}
		begun <- e
	}()
	leave <- true
	if err := <-cut; err != nil {
		t.Fatal(err)
	}
	if e := <-begun; e.ID.Day != first.Add(1) || b.Stats().Cutting != 0 {
		t.Errorf("begun as %v, cutting %s", e.ID, b.Stats().Cutting)
	}
	f.set(func(day pay.Day, _ []journal.Row) (before, after error) {
		if day == first.Add(2) {
			before = errDisk
		}
		return before, nil
	}, nil)
	if err := b.Cut(t.Context(), first.Add(2)); !errors.Is(err, journal.ErrCutting) {
		t.Fatalf("got %v", err)
	}
	if s := b.Stats(); s.Cutting != first.Add(2) || !s.Down {
		t.Errorf("cutting %s, down %v", s.Cutting, s.Down)
	}
	f.set(nil, nil)
	b.eventually(func() bool { s := b.Stats(); return s.Cutting == 0 && !s.Down })
	if b.Day() != first.Add(2) {
		t.Errorf("the day is %s", b.Day())
	}
}

// testClockBack has the clock step back an hour, over a restart: rows go on
// ascending, the step shows, and it is over when the clock has caught up.
func testClockBack(t *testing.T, b *Bench) {
	first := b.new("1")
	b.clock.step(-time.Hour)
	second := b.new("2")
	if behind := b.Stats().ClockBehind; !second.At.After(first.At) || behind < 59*time.Minute || behind > time.Hour {
		t.Errorf("%s after %s, the clock is %s behind", second.At, first.At, behind)
	}
	b.Restart()
	third := b.new("3")
	b.add(&first, succeeded)
	if behind := b.Stats().ClockBehind; !third.At.After(second.At) || behind < 59*time.Minute {
		t.Errorf("after a restart %s, the clock is %s behind", third.At, behind)
	}
	b.clock.step(time.Hour)
	b.new("4")
	if behind := b.Stats().ClockBehind; behind > time.Second {
		t.Errorf("caught up, and %s behind", behind)
	}
	b.verify()
}
