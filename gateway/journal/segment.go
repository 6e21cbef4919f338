package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"qianzhi/gateway/pay"
)

// A log that is written is indexed in segments, which follow each other without
// a gap from its first row on. The newest rows, fewer than segmentRows while the
// indexer keeps up, are in none. Segments of one level are joined when there are
// segmentFan of them, so that a day of twenty million rows has some two dozen;
// each row is decrypted once and rewritten a few times.
const (
	segmentRows  = 8192
	segmentFan   = 8
	segmentLevel = 4 // that are not joined further until the day is closed
)

// segment is the file of one: named by its rows and its level.
type segment struct {
	name     string
	from, to uint64
	level    int
}

func segmentFile(dir string, day pay.Day, from, to uint64, level int) string {
	return filepath.Join(dir, fmt.Sprintf("%s.%010d-%010d.%d.seg", day, from, to, level))
}

func (j *Journal) segmentRows() int {
	if j.o.SegmentRows > 0 {
		return j.o.SegmentRows
	}
	return segmentRows
}

// segments returns the segments of a log, oldest first, and the files that are
// none of them: what a joint one replaced, or what follows a gap.
func segments(dir string, day pay.Day) (set, stray []segment, err error) {
	names, err := filepath.Glob(filepath.Join(dir, day.String()+".*.seg"))
	if err != nil {
		return nil, nil, err
	}
	all := make([]segment, 0, len(names))
	for _, name := range names {
		s := segment{name: name}
		if _, err := fmt.Sscanf(strings.TrimPrefix(filepath.Base(name), day.String()+"."), "%d-%d.%d.seg", &s.from, &s.to, &s.level); err != nil {
			continue // nobody of ours
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b segment) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to)) })
	end := uint64(0)
	for _, s := range all {
		if s.from != end+1 {
			stray = append(stray, s)
			continue
		}
		set, end = append(set, s), s.to
	}
	return set, stray, nil
}

// indexSet is what a log is searched by: its index, or its segments so far.
type indexSet struct {
	x     []*index // oldest first
	whole bool     // the log is closed, and everything is in it
}

// end returns the last row that is covered.
func (s *indexSet) end() uint64 {
	if len(s.x) == 0 {
		return 0
	}
	return s.x[len(s.x)-1].to
}

func (s *indexSet) close() error {
	var err error
	for _, x := range s.x {
		err = errors.Join(err, x.close())
	}
	s.x = nil
	return err
}

// openSet opens what there is of a log's indexes. Segments may be joined, and
// replaced by the index of the whole log, at any moment; then it looks again.
// What is damaged is left out, and with it what comes after: those rows are
// read from the log.
func openSet(dir string, day pay.Day) (*indexSet, error) {
	for {
		x, err := openIndex(dir, day)
		damaged := errors.Is(err, ErrIndex)
		if err == nil {
			return &indexSet{[]*index{x}, true}, nil
		}
		if !errors.Is(err, os.ErrNotExist) && !damaged {
			return nil, err
		}
		set, gone, err := openSegments(dir, day)
		if err != nil {
			return nil, errors.Join(err, set.close())
		}
		if _, err := os.Stat(indexFile(dir, day)); !gone && (err != nil || damaged) {
			return set, nil
		}
		if err := set.close(); err != nil {
			return nil, err
		}
	}
}

// openSegments reports as well whether one disappeared meanwhile.
func openSegments(dir string, day pay.Day) (*indexSet, bool, error) {
	s := &indexSet{}
	list, _, err := segments(dir, day)
	for _, seg := range list {
		x, err := mapIndex(seg.name, day)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return s, true, nil
		case errors.Is(err, ErrIndex) || err == nil && (x.from != seg.from || x.to != seg.to):
			return s, false, nil
		case err != nil:
			return s, false, err
		}
		s.x = append(s.x, x)
	}
	return s, false, err
}

// removeSegments removes the segments of a log that reach beyond a row.
func removeSegments(dir string, day pay.Day, beyond uint64) error {
	set, stray, err := segments(dir, day)
	for _, s := range append(set, stray...) {
		if s.to > beyond {
			err = errors.Join(err, os.Remove(s.name))
		}
	}
	return err
}

// grow adds segments to a log until fewer rows than a segment has are in none,
// up to a row; without one the log is closed, and all its rows are taken. It
// returns the last row covered.
func (j *Journal) grow(ctx context.Context, day pay.Day, to uint64) (uint64, error) {
	for {
		set, gone, err := openSegments(j.o.Dir, day)
		if err == nil && gone {
			err = fmt.Errorf("somebody else removes segments of %s", day)
		}
		end, added := set.end(), false
		if err == nil && (to == 0 || to >= end+uint64(j.segmentRows())) {
			added, err = j.addLeaf(ctx, day, to, set)
		}
		if err = errors.Join(err, set.close(), ctx.Err()); err == nil && added {
			err = j.join(ctx, day)
		}
		if err != nil || !added {
			return end, err
		}
	}
}

// addLeaf indexes the next rows of a log, and reports whether there were any.
func (j *Journal) addLeaf(ctx context.Context, day pay.Day, to uint64, older *indexSet) (bool, error) {
	from := older.end() + 1
	l := leaf{j: j, day: day, older: older.x, sums: map[pay.ID]*leafSum{}}
	err := j.reads.with(ctx, day, func(rd Reader) error {
		l.rd = rd
		return rd.Read(ctx, Range{From: from, To: to}, func(r *Row) bool {
			l.failure = l.add(ctx, r)
			return l.failure == nil && l.rows < j.segmentRows()
		})
	})
	if err = errors.Join(l.failure, err); err != nil || l.rows == 0 {
		return false, err
	}
	if l.rows < j.segmentRows() {
		l.last = max(l.last, to)
	}
	b, err := j.newIndexing(segmentFile(j.o.Dir, day, from, l.last, 0), day, from, l.last)
	if err != nil {
		return false, err
	}
	all := make([]*leafSum, 0, len(l.sums))
	for _, s := range l.sums {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *leafSum) int {
		return cmp.Or(cmp.Compare(a.id.Day, b.id.Day), cmp.Compare(a.id.Row, b.id.Row))
	})
	for _, s := range all {
		err = errors.Join(err, b.put(&s.summary, s.link))
	}
	return true, b.end(ctx, err)
}

// join makes one segment of the newest ones while there are enough of a level,
// and removes what is left over of earlier ones.
func (j *Journal) join(ctx context.Context, day pay.Day) error {
	for {
		set, stray, err := segments(j.o.Dir, day)
		for _, s := range stray {
			err = errors.Join(err, os.Remove(s.name))
		}
		n := 0
		for n < len(set) && set[len(set)-1-n].level == set[len(set)-1].level {
			n++
		}
		if err != nil || n < segmentFan || set[len(set)-1].level == segmentLevel {
			return err
		}
		last := set[len(set)-n:]
		if err := j.joinAs(ctx, day, segmentFile(j.o.Dir, day, last[0].from, last[n-1].to, last[0].level+1), last[0].from); err != nil {
			return err
		}
	}
}

// joinAs writes everything from a row on into one index.
func (j *Journal) joinAs(ctx context.Context, day pay.Day, name string, from uint64) error {
	set, gone, err := openSegments(j.o.Dir, day)
	if err != nil || gone {
		return errors.Join(err, set.close())
	}
	part := slices.DeleteFunc(slices.Clone(set.x), func(x *index) bool { return x.from < from })
	b, err := j.newIndexing(name, day, from, set.end())
	if err == nil {
		err = b.end(ctx, merged(part, b.put))
	}
	return errors.Join(err, set.close())
}
