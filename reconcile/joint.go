package reconcile

import (
	"cmp"
	"math/bits"
	"slices"
)

// joint is the exact comparison of journal and one party in the buckets that
// do not cancel.
type joint struct {
	party Party
	cells []cell
	marks []uint64 // buckets with undecided payments
	flags []uint64 // buckets that differ and are read again
	voids []ref    // undone lines, by key
	fine  []bool   // of voids: the journal tells the same
	void  keySet
	look  keySet
	table pairTable
	idle  []ref // failed and reversed payments in flagged buckets
	rest  []ref // effective lines that nothing cancelled
	less  cell  // of the effective lines that nothing cancelled
	lone  []int64
	exact bool   // joined in parts: every line left over is known, with its like
	miss  keySet // keys whose journal lines are wanted
}

// flag says which buckets are read again and counts them. A marked bucket that
// is equal holds nothing but the undecided payments themselves, which are known;
// what makes a marked bucket unequal is mostly theirs, and no sign of a day
// that is apart.
func (j *joint) flag(again []uint64) (unequal, marked int) {
	j.flags = make([]uint64, len(j.marks))
	for b, c := range j.cells {
		m := j.marks[b/64]&(1<<(b%64)) != 0
		if m {
			marked++
		}
		if c != (cell{}) {
			j.flags[b/64] |= 1 << (b % 64)
			if !m {
				unequal++
			}
		}
	}
	slices.SortFunc(j.voids, func(a, b ref) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.at, b.at)) })
	j.fine = make([]bool, len(j.voids))
	for i := range j.voids {
		j.void.add(j.voids[i].key)
	}
	j.void.seal()
	for _, k := range again {
		j.look.add(k)
	}
	j.look.seal()
	return unequal, marked
}

func (j *joint) flagged(k uint64, shift uint) bool {
	b := k >> shift
	return j.flags[b/64]&(1<<(b%64)) != 0
}

// voidsOf returns the range of undone lines with a key.
func (j *joint) voidsOf(k uint64) (from, to int) {
	from, _ = slices.BinarySearchFunc(j.voids, k, func(r ref, k uint64) int { return cmp.Compare(r.key, k) })
	for to = from; to < len(j.voids) && j.voids[to].key == k; to++ {
	}
	return from, to
}

// second reads the unequal and marked buckets again.
func (s *Sift) second() error {
	for i, j := range s.joins {
		if j == nil {
			continue
		}
		unequal, marked := j.flag(s.quiet[i].seal())
		s.stats.Unequal += unequal
		s.stats.Marked += marked
		if float64(unequal) > s.limit*float64(s.buckets) || len(j.voids)+len(s.quiet[i].keys) > manyAside {
			s.stats.Partitioned = true
			j.exact = true
			if err := s.parts(i); err != nil {
				return err
			}
			j.flags = nil
		}
	}
	s.room()
	if err := s.again(Journal); err != nil {
		return err
	}
	for _, j := range s.joins {
		if j != nil && !j.exact {
			if err := s.again(j.party); err != nil {
				return err
			}
			s.left(j)
		}
	}
	return nil
}

// room makes the tables as large as they will have to be.
func (s *Sift) room() {
	for _, j := range s.joins {
		if j == nil || j.exact {
			continue
		}
		n := 0
		for _, f := range j.flags {
			n += bits.OnesCount64(f)
		}
		n = s.totals[Journal].Count / s.buckets * n
		j.table.slots = make([]entry, (n+n/16)*20/17+1024)
	}
}

// manyAside bounds what is kept in memory beside the buckets.
const manyAside = 6_000_000

// again reads a table's lines of flagged buckets.
func (s *Sift) again(p Party) error {
	shift := s.shift()
	live := false
	for i, j := range s.joins {
		live = live || j != nil && !j.exact && (p == Journal || p.pair() == i)
	}
	if !live {
		return nil
	}
	want := func(_ int, l *Print) bool {
		for i, j := range s.joins {
			if k := l.Pair[i].Key; k != 0 && j != nil && !j.exact && !(p == Journal && l.Without.Has(j.party)) &&
				(j.flagged(k, shift) || j.void.has(k) || j.look.has(k) || p == Journal && s.quiet[i].has(k)) {
				return true
			}
		}
		return false
	}
	take := s.takeJournal
	if p != Journal {
		take = func(l *Print) { s.takeOther(p, l) }
	}
	const batch = 512
	waiting := make([][]Print, s.Workers)
	flush := func(w int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range waiting[w] {
			take(&waiting[w][i])
		}
		waiting[w] = waiting[w][:0]
	}
	err := s.scanOf(p, want, func(w int, l *Print) {
		if waiting[w] = append(waiting[w], *l); len(waiting[w]) == batch {
			flush(w)
		}
	})
	for w := range waiting {
		flush(w)
	}
	return err
}

func (s *Sift) takeJournal(l *Print) {
	shift := s.shift()
	for i, j := range s.joins {
		q := &l.Pair[i]
		if j == nil || j.exact || q.Key == 0 || l.Without.Has(j.party) {
			continue
		}
		flagged := j.flagged(q.Key, shift)
		switch l.Effect {
		case Success:
			twice := s.quiet[i].has(q.Key)
			if twice {
				j.miss.add(q.Key)
			}
			if twice || j.void.has(q.Key) {
				s.suspect[Journal][l.At] = true
			}
			if flagged {
				j.table.insert(q.Key, q.X, l.At)
			}
		default:
			s.takeQuiet(j, l, q, flagged)
		}
	}
}

// takeQuiet takes a payment that adds nothing, and holds an undone line against
// a failed or reversed one.
func (s *Sift) takeQuiet(j *joint, l *Print, q *Pair, flagged bool) {
	if j.look.has(q.Key) {
		s.suspect[Journal][l.At] = true
	}
	if flagged {
		j.idle = append(j.idle, ref{key: q.Key, at: l.At})
	}
	if !j.void.has(q.Key) || l.Effect != Failed && l.Effect != Reversed {
		return
	}
	from, to := j.voidsOf(q.Key)
	if s.Voids && to == from+1 && j.voids[from].x == q.X && j.voids[from].y == q.Y {
		j.fine[from] = true
	} else {
		s.suspect[Journal][l.At] = true
	}
}

func (s *Sift) takeOther(p Party, l *Print) {
	i := p.pair()
	j, q := s.joins[i], &l.Pair[i]
	if l.Effect != effective(p) {
		return // undone lines are known
	}
	lone := false
	if j.flagged(q.Key, s.shift()) && !j.table.cancel(q.Key, q.X) {
		j.less.x += q.X
		j.less.y += q.Y
		lone = true
	}
	if lone || j.void.has(q.Key) || j.look.has(q.Key) {
		j.rest = append(j.rest, ref{q.Key, q.X, q.Y, l.At})
	}
}

// left turns what was not cancelled into suspects.
func (s *Sift) left(j *joint) {
	keys := keySet{}
	for _, r := range j.rest {
		s.suspect[j.party][r.at] = true
		keys.add(r.key)
	}
	for i := range j.voids {
		if !j.fine[i] {
			s.suspect[j.party][j.voids[i].at] = true
			keys.add(j.voids[i].key)
		}
	}
	for _, e := range j.table.slots {
		if e.key != 0 && (e.word&cancelled == 0 || e.word&touched != 0) {
			at := int64(e.word & placeMask)
			s.suspect[Journal][at] = true
			keys.add(e.key)
			if e.word&cancelled == 0 {
				j.lone = append(j.lone, at)
			}
		}
	}
	keys.seal()
	for _, r := range j.idle {
		if keys.has(r.key) {
			s.suspect[Journal][r.at] = true
		}
	}
	slices.SortFunc(j.rest, func(a, b ref) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.at, b.at)) })
}
