package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// writing is the state of the writer: only Open, and then Run, touch it.
type writing struct {
	log      pay.Day
	w        Writer
	chain    chain
	sealer   *sealer
	signed   uint64 // row of the last checkpoint
	signedAt time.Time
	untidy   int    // rows since the keeper was called
	snapped  uint64 // row at which a snapshot was asked for last
	grown    uint64 // row at which a segment was asked for last
}

const (
	signEvery  = 4096            // rows between checkpoints at the most
	signWithin = 5 * time.Second // that a row stays without one
	tidyEvery  = 8192            // rows between two calls of the keeper
	pauseFirst = 50 * time.Millisecond
	pauseMost  = 2 * time.Second // between two tries to open the log again
)

// errForeign reports rows in the log that this process did not write.
var errForeign = errors.New("journal: the log holds rows of somebody else")

// Run commits what is queued until ctx ends, then commits what is left and
// closes the journal. It returns an error only when it cannot go on: rows of
// somebody else in the log. A store that fails is tried again until it works;
// meanwhile everything new fails with pay.ErrUnwritable.
func (j *Journal) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	stop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	wg.Go(func() { j.keep(stop) })
	wg.Go(func() { j.index(stop) })
	err := j.write(ctx)
	j.refuse(ErrClosed)
	if err == nil {
		err = j.flush(ctx)
	}
	if b := j.take(); b != nil {
		b.finish(ErrClosed)
	}
	if err == nil {
		err = j.sign()
	}
	cancel()
	wg.Wait()
	return errors.Join(err, j.close())
}

// write is the loop of the writer.
func (j *Journal) write(ctx context.Context) error {
	timer := time.NewTimer(signWithin)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-j.wake:
		case <-timer.C:
			timer.Reset(signWithin)
		}
		if err := j.flush(ctx); err != nil {
			return err
		}
		if j.w.chain.row-j.w.signed >= signEvery || j.o.Now().Sub(j.w.signedAt) >= signWithin {
			if err := j.sign(); err != nil {
				j.failed(err) // only the proof is late
			}
		}
	}
}

// keep tidies the log beside the writer.
func (j *Journal) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case day := <-j.tidy:
			if err := j.store.Tidy(ctx, day); err != nil && ctx.Err() == nil {
				j.failed(err) // the next call finds more to do
			}
		}
	}
}

// flush commits until nothing is queued.
func (j *Journal) flush(ctx context.Context) error {
	for {
		b := j.take()
		if b == nil {
			return nil
		}
		if err := j.commit(ctx, b); err == nil {
			j.landed(b)
		} else if err := j.repair(ctx, b, err); err != nil {
			return err
		}
		if b.cut != nil && b.err == nil {
			j.finishCut(ctx, b.cut)
		}
	}
}

// take makes what is queued the batch that is committed.
func (j *Journal) take() *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.filling.rows) == 0 {
		return nil
	}
	j.flying, j.filling = j.filling, newBatch()
	return j.flying
}

// commit seals and chains the rows of a batch and makes them durable.
func (j *Journal) commit(ctx context.Context, b *batch) error {
	c := j.w.chain
	for i := range b.rows {
		if err := j.w.sealer.seal(&b.rows[i]); err != nil {
			return err
		}
		b.rows[i].Link = c.add(&b.rows[i])
	}
	if err := j.w.w.Append(context.WithoutCancel(ctx), b.rows); err != nil {
		return err
	}
	j.w.chain = c
	if j.w.untidy += len(b.rows); j.w.untidy >= tidyEvery {
		select {
		case j.tidy <- j.w.log:
			j.w.untidy = 0
		default:
		}
	}
	remind(j.snap, &j.w.snapped, c.row, j.snapRows())
	return nil
}

// remind tells the indexer when so many rows were written since it was told
// last.
func remind(who chan struct{}, since *uint64, row uint64, every int) {
	if row-*since < uint64(every) {
		return
	}
	select {
	case who <- struct{}{}:
		*since = row
	default:
	}
}

// landed answers a batch that is durable.
func (j *Journal) landed(b *batch) {
	j.mu.Lock()
	j.durable = b.rows[len(b.rows)-1].Seq
	j.flying = nil
	for i := range b.changes {
		j.mem.settle(&b.changes[i])
	}
	j.stats.Batches++
	j.stats.Rows += uint64(len(b.rows))
	row := j.durable
	j.mu.Unlock()
	remind(j.seg, &j.w.grown, row, j.segmentRows())
	b.finish(nil)
}

// refuse lets nothing more be queued and whoever waits at the gate pass to
// learn that.
func (j *Journal) refuse(why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.down == nil || errors.Is(why, ErrClosed) {
		j.down = why
	}
	j.openGate()
}

// openGate lets everybody in again. The journal is locked.
func (j *Journal) openGate() {
	if j.gate != nil {
		close(j.gate)
		j.gate = nil
	}
}

// failed counts a failure.
func (j *Journal) failed(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Failures++
	j.stats.LastError = err.Error()
}

// repair handles a commit that failed: what was decided on top of it fails, the
// log is opened anew and read back, and the batch is answered with what proves
// true. While that is impossible it tries again, up to the end of ctx. The
// journal is not called writable again before it has written: a row that says
// what was the matter.
func (j *Journal) repair(ctx context.Context, b *batch, cause error) error {
	j.failed(cause)
	why := fmt.Errorf("%w: %w", pay.ErrUnwritable, cause)
	j.refuse(why)
	if top := j.takeTop(); top != nil {
		j.undo(top)
		top.finish(why)
	}
	for wait := pauseFirst; ; wait = min(2*wait, pauseMost) {
		durable, err := j.readBack(ctx, b)
		if err == nil && !durable {
			j.undo(b)
			b.finish(why)
			b = j.trial(cause)
			err = j.commit(ctx, b)
			durable = err == nil
		}
		switch {
		case errors.Is(err, errForeign):
			b.finish(ErrInDoubt)
			return err
		case err == nil && durable:
			if b.cut == nil { // after a cut the next log must open first
				j.rise()
			}
			j.landed(b)
			return nil
		}
		j.failed(err)
		if !pause(ctx, wait) {
			b.finish(ErrInDoubt)
			return nil
		}
	}
}

// trial is a batch that nobody waits for and that shows whether the log can be
// written.
func (j *Journal) trial(cause error) *batch {
	row := Row{Kind: pay.EvAdmin, Body: appendNote(nil, &pay.Note{Kind: pay.EvAdmin, Text: "流水曾不可写, 已恢复 原因=" + cause.Error()})}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.number(&row)
	b := newBatch()
	b.rows = []Row{row}
	j.flying = b
	return b
}

// takeTop removes what was queued behind a batch that failed.
func (j *Journal) takeTop() *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	top := j.filling
	if len(top.rows) == 0 {
		return nil
	}
	j.filling = newBatch()
	return top
}

// undo takes the decisions of a batch back, newest first.
func (j *Journal) undo(b *batch) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := len(b.changes) - 1; i >= 0; i-- {
		j.mem.undo(&b.changes[i])
	}
	j.next = b.rows[0].Seq
	if j.flying == b {
		j.flying = nil
	}
}

// rise lets new rows be queued again.
func (j *Journal) rise() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !errors.Is(j.down, ErrClosed) {
		j.down = nil
	}
}

// readBack opens the running log anew and reports whether a batch of which
// nobody knows is durable.
func (j *Journal) readBack(ctx context.Context, b *batch) (bool, error) {
	ctx = context.WithoutCancel(ctx)
	if j.w.w != nil {
		_ = j.w.w.Close() // it failed; what counts is what the new one finds
		j.w.w = nil
	}
	w, err := j.store.Writer(ctx, j.w.log)
	if err != nil {
		return false, err
	}
	j.w.w = w
	before := checkpoint{row: j.w.chain.row, sum: j.w.chain.sum}
	end, err := j.walk(ctx, j.w.log, before)
	switch {
	case errors.Is(err, errBroken):
		return false, fmt.Errorf("%w: %w", errForeign, err)
	case err != nil:
		return false, err
	case end.chain.row == before.row:
		return false, nil
	case end.chain.row == b.rows[len(b.rows)-1].Seq && end.last.Link == b.rows[len(b.rows)-1].Link:
		j.w.chain = end.chain
		return true, nil
	}
	return false, fmt.Errorf("%w: it ends at row %d", errForeign, end.chain.row)
}

// pause waits, and reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
