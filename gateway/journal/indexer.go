package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"qianzhi/gateway/pay"
)

// index builds the indexes of closed logs, grows the segments of the running one
// and takes its snapshots, beside the writer, until ctx ends. What was half
// built is built again by the next process.
func (j *Journal) index(ctx context.Context) {
	j.checkSegments()
	j.indexAll(ctx)
	j.growRunning(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.snap:
			j.takeSnapshot(ctx)
		case <-j.seg:
			j.growRunning(ctx)
		case <-j.closed:
			j.indexAll(ctx)
			j.growRunning(ctx)
		}
	}
}

// growRunning indexes what the running log has gained.
func (j *Journal) growRunning(ctx context.Context) {
	j.mu.Lock()
	day, to := j.day, j.durable
	j.mu.Unlock()
	end, err := j.grow(ctx, day, to)
	if err != nil && ctx.Err() == nil {
		j.failed(fmt.Errorf("journal: segments of %s: %w", day, err)) // those rows can still be searched; the next call tries again
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.day == day && err == nil {
		j.indexed = end
	}
}

// checkSegments proves what an earlier process left of the running log's
// segments. They are made again from the first one that does not prove true.
func (j *Journal) checkSegments() {
	day := j.Day()
	set, _, err := openSegments(j.o.Dir, day)
	good := uint64(0)
	for _, x := range set.x {
		if err == nil {
			err = x.check(j.tokens)
		}
		if err == nil {
			good = x.to
		}
	}
	err = errors.Join(set.close(), removeSegments(j.o.Dir, day, good))
	if err != nil {
		j.failed(err)
	}
}

func (j *Journal) indexAll(ctx context.Context) {
	missing := j.unindexed()
	for len(missing) > 0 && ctx.Err() == nil {
		j.mu.Lock()
		j.stats.Unindexed = len(missing)
		j.mu.Unlock()
		if err := j.buildIndex(ctx, missing[0]); err != nil && ctx.Err() == nil {
			j.failed(fmt.Errorf("journal: index of %s: %w", missing[0], err)) // the log itself can still be searched; the next cut tries again
		}
		missing = missing[1:]
	}
	n := len(j.unindexed())
	j.mu.Lock()
	j.stats.Unindexed = n
	j.mu.Unlock()
}

// unindexed returns the closed days without a usable index.
func (j *Journal) unindexed() []pay.Day {
	j.mu.Lock()
	days, running := slices.Clone(j.days), j.day
	j.mu.Unlock()
	return slices.DeleteFunc(days, func(d pay.Day) bool {
		if d >= running {
			return true
		}
		x, err := openIndex(j.o.Dir, d)
		return err == nil && x.close() == nil
	})
}

// buildIndex covers a closed log with segments to its end and joins them.
func (j *Journal) buildIndex(ctx context.Context, day pay.Day) error {
	name := indexFile(j.o.Dir, day)
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) { // it is damaged
		return err
	}
	if _, err := j.grow(ctx, day, 0); err != nil {
		return err
	}
	if err := j.joinAs(ctx, day, name, 1); err != nil {
		return err
	}
	err := removeSegments(j.o.Dir, day, 0)
	if snap := os.Remove(snapFile(j.o.Dir, day)); !errors.Is(snap, os.ErrNotExist) { // of no use for a closed day
		err = errors.Join(err, snap)
	}
	return err
}
