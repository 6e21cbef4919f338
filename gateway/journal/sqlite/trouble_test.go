package sqlite

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// until waits for a condition that another goroutine brings about.
func until(t *testing.T, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come about in 20 s")
		}
		<-tick.C
	}
}

// trouble begins payments while something is wrong with the disk, and wants a
// journal that refuses, knows what became of each commit, and recovers by
// itself when the trouble is over.
func trouble(t *testing.T, dir string, begin, end func(dir string)) {
	j, stop := start(t, dir, newOptions(t, dir))
	defer stop()
	first, _, err := j.Begin(t.Context(), sale("first"))
	if err != nil {
		t.Fatal(err)
	}
	begin(dir)
	done := make(chan error, 1)
	hit := sale("hit")
	hit.Req.Via.Raw = make([]byte, 1<<20) // more than a file system may have left when it calls itself full
	go func() {
		_, _, err := j.Begin(context.Background(), hit)
		done <- err
	}()
	until(t, func() bool { return j.Stats().Failures > 0 }) // small rows may still find room in the write-ahead log
	refused := sale("refused")
	refused.Req.Via.Raw = hit.Req.Via.Raw
	if _, _, err := j.Begin(t.Context(), refused); !errors.Is(err, pay.ErrUnwritable) {
		t.Errorf("meanwhile: %v", err)
	}
	if _, seen, err := j.Begin(t.Context(), sale("first")); err != nil || seen != pay.SeenSame {
		t.Errorf("a repeat meanwhile: %d %v", seen, err)
	}
	end(dir)
	err = <-done
	if err != nil && !errors.Is(err, pay.ErrUnwritable) {
		t.Fatalf("got %v", err)
	}
	until(t, func() bool { return !j.Stats().Down })
	for _, serial := range []string{"hit", "refused"} {
		want := pay.SeenNew
		if serial == "hit" && err == nil {
			want = pay.SeenSame
		}
		if _, seen, err := j.Begin(t.Context(), sale(serial)); err != nil || seen != want {
			t.Errorf("%s: %d %v, want %d", serial, seen, err, want)
		}
	}
	if err := j.Append(t.Context(), first.ID, 1, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone}); err != nil {
		t.Error(err)
	}
	if _, err := j.Verify(t.Context(), today); err != nil {
		t.Error(err)
	}
}

// TestLocked has another connection hold the write lock.
func TestLocked(t *testing.T) {
	var hold interface{ Close() error }
	trouble(t, t.TempDir(), func(dir string) {
		c, err := open(New(dir).file(today), "rw", busyWriter)
		if err == nil {
			_, err = c.Exec("BEGIN IMMEDIATE", nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		hold = c
	}, func(string) {
		if err := hold.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestDiskFull lets no file of this process grow, as on a full disk.
func TestDiskFull(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var free syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &free); err != nil {
		t.Fatal(err)
	}
	limit := func(l syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
	}
	defer limit(free)
	trouble(t, t.TempDir(), func(dir string) {
		wal, err := os.Stat(New(dir).file(today) + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		limit(syscall.Rlimit{Cur: uint64(wal.Size()), Max: free.Max})
	}, func(string) { limit(free) })
}

// TestBubble runs the journal on virtual time: an hour of it signs what is left
// unsigned, and everything ends when Run does.
func TestBubble(t *testing.T) {
	dir := t.TempDir()
	o := newOptions(t, dir)
	synctest.Test(t, func(t *testing.T) {
		j, stop := start(t, dir, o)
		defer stop()
		e, seen, err := j.Begin(t.Context(), sale("1"))
		if err != nil || seen != pay.SeenNew {
			t.Fatal(seen, err)
		}
		time.Sleep(time.Hour)
		proof, err := j.Verify(t.Context(), today)
		if err != nil || proof.Signed != proof.Last || proof.Last != e.ID.Row {
			t.Fatalf("%+v %v", proof, err)
		}
		if err := j.Cut(t.Context(), today.Add(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Get(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	})
}

// TestForeignRows has somebody else write into the running log: the writer
// stops instead of building on it.
func TestForeignRows(t *testing.T) {
	dir := t.TempDir()
	o := newOptions(t, dir)
	j, err := journal.Open(t.Context(), New(dir), o, today)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- j.Run(t.Context()) }()
	e, _, err := j.Begin(t.Context(), sale("1"))
	if err != nil {
		t.Fatal(err)
	}
	exec1(t, dir, "INSERT INTO event SELECT row+1,day,pay,n,prev,kind,state,at,ref,about,account,pan,serial,tail,link,body FROM event WHERE row = "+
		e.ID.Serial(0)[10:])
	if err := j.Append(t.Context(), e.ID, 1, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone}); !errors.Is(err, journal.ErrInDoubt) {
		t.Errorf("got %v", err)
	}
	if err := <-done; err == nil {
		t.Error("the writer went on")
	}
}
