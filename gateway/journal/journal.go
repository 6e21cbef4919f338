package journal

import (
	"context"
	"os"
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// Journal is the durable record of one node. It is safe for concurrent use.
// Operations that write return after Run has committed them, so Run must be
// running; its end closes the journal.
type Journal struct {
	o       Options
	store   Store
	lock    *os.File
	tokens  *tokens
	keys    *keyring
	reads   readers
	olds    oldTables
	loc     *time.Location // of all times given out
	wake    chan struct{}  // to the writer: something is queued
	tidy    chan pay.Day   // to the keeper: enough was committed
	closed  chan struct{}  // to the indexer: a log was closed
	snap    chan struct{}  // to the indexer: a snapshot is due
	seg     chan struct{}  // to the indexer: a segment's rows are there
	w       writing        // belongs to the writer
	refused *refused

	mu      sync.Mutex // guards what follows; never held across I/O or waits
	mem     memory
	day     pay.Day // the running one
	days    []pay.Day
	next    uint64 // row of the next event
	durable uint64 // row up to which the running log is durable
	at      int64  // time of the last row
	filling *batch // takes what is decided now
	flying  *batch // is being committed; nil when none is
	indexed uint64 // row up to which the running log is in segments
	gate    chan struct{}
	down    error // why nothing can be written at present
	stats   Stats
}

// Stats counts what the journal did since it was opened.
type Stats struct {
	Pending   int     // rows that wait for a commit
	Held      int     // payments in memory: undecided, or not yet durable
	Keys      int     // entries of the table of the running day
	Rows      uint64  // committed
	Batches   uint64  // commits
	Failures  uint64  // commits that failed
	LastError string  // of the last failure, for people
	Down      bool    // nothing can be written at present
	Damaged   string  // what a start had to cut off, and where it is kept
	Cutting   pay.Day // the day that begins as soon as a cut under way is done; 0 while there is none
	Unindexed int     // closed days without an index; searching them is slow
	// ClockBehind is how far the clock is behind the last row: it stepped back.
	ClockBehind time.Duration
	IndexLag    uint64 // rows of the running log that are in no segment yet
}

// batch is what one commit makes durable: rows in order, and the decisions
// that stand on them.
type batch struct {
	rows    []Row // bodies are plain until the writer seals them
	changes []change
	cut     *cut
	done    chan struct{} // closed when err is known
	err     error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// wait returns when the batch is durable, or was proved not to be. It does not
// listen to a context: whoever decided something must learn what became of it.
// A nil batch is durable.
func (b *batch) wait() error {
	if b == nil {
		return nil
	}
	<-b.done
	return b.err
}

// finish answers everyone who waits for the batch. A cut that failed is
// answered with it, one that is durable goes on.
func (b *batch) finish(err error) {
	b.err = err
	close(b.done)
	if err != nil && b.cut != nil {
		b.cut.finish(err)
	}
}

// Day returns the running accounting day.
func (j *Journal) Day() pay.Day {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.day
}

// Has reports whether there is a log of the day.
func (j *Journal) Has(day pay.Day) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, d := range j.days {
		if d == day {
			return true
		}
	}
	return false
}

// Stats returns the present counts.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Pending, s.Held, s.Keys, s.Down = len(j.filling.rows), len(j.mem.byID), j.mem.running().len(), j.down != nil
	if j.flying != nil {
		s.Pending += len(j.flying.rows)
	}
	s.ClockBehind = max(0, time.Duration(j.at-j.o.Now().UnixNano()))
	s.IndexLag = j.durable - min(j.durable, j.indexed)
	return s
}

// enter locks the journal. It waits while the day is being cut, no longer than
// ctx allows; on an error the journal is not locked.
func (j *Journal) enter(ctx context.Context) error {
	for {
		j.mu.Lock()
		gate := j.gate
		if gate == nil {
			return nil
		}
		j.mu.Unlock()
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// room reports why no row may be queued, nil when one may. The journal is
// locked.
func (j *Journal) room() error {
	switch {
	case j.down != nil:
		return j.down
	case len(j.filling.rows) >= j.o.MaxPending:
		return ErrBusy
	}
	return nil
}

// number gives a row its place and its time, which ascends even where the
// clock steps back. The journal is locked.
func (j *Journal) number(r *Row) {
	r.Seq = j.next
	j.next++
	j.at = max(j.at+1, j.o.Now().UnixNano())
	r.At = j.at
}

func (j *Journal) time(ns int64) time.Time { return time.Unix(0, ns).In(j.loc) }

// plain brings a caller's time into the form in which it comes back from
// the log.
func (j *Journal) plain(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return j.time(t.UnixNano())
}

// queue adds a row, and a decision if there is one, to what is committed next.
// The journal is locked.
func (j *Journal) queue(c *change, rows ...Row) *batch {
	b := j.filling
	b.rows = append(b.rows, rows...)
	if c != nil {
		j.mem.apply(c)
		b.changes = append(b.changes, *c)
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return b
}

// behind returns the batch that makes a row of the running log durable, nil
// when it is durable already. The journal is locked.
func (j *Journal) behind(row uint64) *batch {
	switch {
	case row <= j.durable:
		return nil
	case j.flying != nil && row <= j.flying.rows[len(j.flying.rows)-1].Seq:
		return j.flying
	}
	return j.filling
}
