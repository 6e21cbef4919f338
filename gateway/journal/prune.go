package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"qianzhi/gateway/pay"
)

// keepMonths is how long a log is kept at the least.
const keepMonths = 6

// ErrKept reports logs that may not be removed.
var ErrKept = errors.New("journal: 不能清理")

// Remover is a Store that can remove the log of a day.
type Remover interface {
	Remove(ctx context.Context, day pay.Day) error
}

// Prune removes the logs of all days before a day, and returns them. It removes
// nothing when one of them is younger than six months, has an undecided payment
// or does not prove true. Where each chain ended is noted in the running log
// first, so that what is gone can still be told from what never was.
func (j *Journal) Prune(ctx context.Context, before pay.Day, reason string) ([]pay.Day, error) {
	store, ok := j.store.(Remover)
	switch youngest := pay.DayOf(j.o.Now().AddDate(0, -keepMonths, 0)); {
	case !ok:
		return nil, fmt.Errorf("%w: 存储不支持删除", ErrKept)
	case reason == "":
		return nil, fmt.Errorf("%w: 没有说明原因", ErrKept)
	case before > youngest:
		return nil, fmt.Errorf("%w: 至少保留 %d 个月, %s 及以后的不能清理", ErrKept, keepMonths, youngest)
	}
	gone := j.logs(0, before.Add(-1))
	if err := j.mayRemove(gone, before); err != nil || len(gone) == 0 {
		return nil, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "清理流水 早于=%s 原因=%s", before, reason)
	for _, day := range gone {
		p, err := j.Verify(ctx, day)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKept, err)
		}
		fmt.Fprintf(&text, " %s:行=%d,末行=%d,链=%x", day, p.Rows, p.Last, p.Sum)
	}
	if err := j.Note(ctx, &pay.Note{Kind: pay.EvAdmin, Text: text.String()}, true); err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.days = slices.DeleteFunc(slices.Clone(j.days), func(d pay.Day) bool { return d < before })
	j.mu.Unlock()
	var errs error
	for _, day := range gone {
		for _, name := range []string{indexFile(j.o.Dir, day), tableFile(j.o.Dir, day), skipFile(j.o.Dir, day), snapFile(j.o.Dir, day)} {
			if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
				errs = errors.Join(errs, err)
			}
		}
		errs = errors.Join(errs, removeSegments(j.o.Dir, day, 0), store.Remove(ctx, day), os.Remove(signatures(j.o.Dir, day)))
	}
	return gone, errs
}

// mayRemove reports why days may not go.
func (j *Journal) mayRemove(gone []pay.Day, before pay.Day) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if before > j.mem.logs[0].day {
		return fmt.Errorf("%w: 查重仍需要 %s 及以后的流水", ErrKept, j.mem.logs[0].day)
	}
	for id, h := range j.mem.byID {
		if id.Day < before && undecided(h.entry.State) {
			return fmt.Errorf("%w: %s (%s) 尚未了结: %s", ErrKept, id.Serial(j.o.Node), id.Day, h.entry.State.Chinese())
		}
	}
	return nil
}

// afterLoss is how many row numbers are left out where a copy is taken up whose
// newest rows are lost: more than a day has.
const afterLoss = 1 << 24

// SkipLost is called when a directory was brought back from a copy that ends at
// a row of a day. Row numbers that may have been given since, on that day and
// up to today, are not given again: hosts may know them.
func SkipLost(dir string, day pay.Day, last uint64, today pay.Day) error {
	for d, from := day, last; d <= today; d, from = d.Add(1), 0 {
		if err := writeFile(skipFile(dir, d), strconv.AppendUint(nil, from+afterLoss, 10)); err != nil {
			return err
		}
	}
	return nil
}
