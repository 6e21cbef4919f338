package reconcile

import (
	"context"
	"errors"
	"math/bits"
	"runtime"
	"sync"

	"qianzhi/gateway/pay"
)

// Buckets of a comparison: few enough to stay in the processor's cache, many
// enough that most stay equal.
const (
	fewBuckets  = 1 << 16
	manyBuckets = 1 << 18
	manyLines   = 20_000_000 // of one party, from which on there are many buckets

	smallBuckets = 1 << 12 // of a small day, which is not worth more
	smallLines   = 1 << 14
)

// Sift finds, among any number of lines, those about which there may be
// something to say. It reads each table once, summing fingerprints of what
// counts into buckets: the journal adds, the other party takes away. What is
// equal cancels, whatever its order. The lines of the other buckets are read
// again and joined exactly.
//
// What it lets go of is flat: success posted and charged alike; failed and
// reversed with nothing, or with an undone line that tells the same. A payment
// that journal and other parties all tell twice, alike, cancels too: that the
// journal holds no key twice is proved when it closes its day.
type Sift struct {
	Tables  [parties]Table // nil: takes no part
	Hash    *Hasher
	Workers int      // 0: one for each processor
	Size    int      // about how many lines the largest table has
	Dir     string   // for the partitions of days that are apart; "": the system's
	Links   []string // of the channel; none: all lines
	Voids   bool     // undone lines beside failed or reversed payments are flat

	stop    func() error
	buckets int // a power of two, at least 64
	rules   [pairs]Rule
	joins   [pairs]*joint
	sums    []tally
	quiet   [pairs]quietKeys // of payments that add nothing
	mu      sync.Mutex
	suspect [parties]map[int64]bool
	totals  [parties]Total
	apart   [pairs]Total
	forced  []int64 // journal lines that always need a look
	limit   float64 // of unequal buckets, from which on all is joined
	stats   Stats
}

// Stats says how a sift went.
type Stats struct {
	Unequal, Marked int  // buckets
	Partitioned     bool // all lines were joined, in parts on disk
	Lines           [parties]int
}

// cell is a bucket: what the journal has more than the other party.
type cell struct{ x, y uint64 }

// tally is what one worker counts in the first reading.
type tally struct {
	_      [128]byte // no two workers' counts in one cache line
	total  Total
	apart  [pairs]Total // of total: payments that the other party has no part in
	cells  [pairs][]cell
	wait   [pairs][]change // of cells
	forced []int64
	aside  [pairs][]ref    // undone lines
	quiet  [pairs][]uint64 // keys on their way to the sift's
	loose  []int64         // lines without a key
	marks  [pairs][]uint64
}

// change is what one line adds to a cell.
type change struct{ bucket, x, y uint64 }

// together is how many cells are changed at a time: the processor fetches them
// side by side, while one alone would have to be waited for.
const together = 64

// change adds to a cell, later.
func (t *tally) change(i int, bucket, x, y uint64) {
	t.wait[i] = append(t.wait[i], change{bucket, x, y})
	if len(t.wait[i]) == together {
		t.settle(i)
	}
}

// settle makes the changes that wait.
func (t *tally) settle(i int) {
	cells := t.cells[i]
	for _, c := range t.wait[i] {
		cell := &cells[c.bucket]
		cell.x += c.x
		cell.y += c.y
	}
	t.wait[i] = t.wait[i][:0]
}

// ref is a line with its fingerprints.
type ref struct {
	key, x, y uint64
	at        int64
}

// Sifted are the lines to be judged, and the totals of all lines.
type Sifted struct {
	Lines  [parties][]Line
	Totals [parties]Total
	Apart  [parties]Total // of the journal's: payments that the party has no part in
	Stats  Stats
}

// Run sifts. A context that ends stops it at the next table.
func (s *Sift) Run(ctx context.Context) (*Sifted, error) {
	s.stop = ctx.Err
	if s.Tables[Journal] == nil {
		return nil, errors.New("sift: no journal")
	}
	if s.Workers == 0 {
		s.Workers = runtime.GOMAXPROCS(0)
	}
	switch {
	case s.buckets > 0:
	case s.Size > 0 && s.Size < smallLines:
		s.buckets = smallBuckets
	case s.Size > manyLines:
		s.buckets = manyBuckets
	default:
		s.buckets = fewBuckets
	}
	if s.limit == 0 {
		s.limit = 0.05
	}
	s.plan()
	for p := range s.suspect {
		s.suspect[p] = map[int64]bool{}
	}
	for p, t := range s.Tables {
		if t != nil {
			if err := s.first(Party(p)); err != nil {
				return nil, err
			}
		}
	}
	if err := s.second(); err != nil {
		return nil, err
	}
	return s.collect(ctx)
}

// plan says by what each party is compared with the journal.
func (s *Sift) plan() {
	own := s.Tables[Journal].Declares()
	for _, p := range []Party{MIS, Bank, Card} {
		t := s.Tables[p]
		if t == nil {
			continue
		}
		s.rules[p.pair()] = ruleFor(p, own, t.Declares())
	}
}

// ruleFor compares a bank by its own key first, others by our serial first.
func ruleFor(p Party, journal, other Fields) Rule {
	both := journal & other
	r := Rule{Fields: both & compared, On: HasSerial}
	if both&HasKey != 0 && (p == Bank || both&HasSerial == 0) {
		r.On = HasKey
	}
	return r
}

// scanOf reads one party's table; other parties' comparisons are left out.
func (s *Sift) scanOf(p Party, want func(int, *Print) bool, row func(int, *Print)) error {
	if err := s.stop(); err != nil {
		return err
	}
	sc := Scan{Hash: s.Hash, Workers: s.Workers, Links: s.Links, Want: want, Row: row}
	for q := MIS; q < parties; q++ {
		if p == Journal || p == q {
			sc.Compare(q, s.rules[q.pair()])
		}
	}
	return s.Tables[p].Scan(&sc)
}

// first is the first reading of a table.
func (s *Sift) first(p Party) error {
	s.sums = make([]tally, s.Workers)
	for w := range s.sums {
		for i := range s.rules {
			if s.rules[i].On != 0 && (p == Journal || p.pair() == i) {
				s.sums[w].cells[i] = make([]cell, s.buckets)
				s.sums[w].wait[i] = make([]change, 0, together)
				s.sums[w].marks[i] = make([]uint64, s.buckets/64)
			}
		}
	}
	shift := s.shift()
	row := func(w int, l *Print) { s.sums[w].other(p, l, shift) }
	if p == Journal {
		row = func(w int, l *Print) { s.journal(&s.sums[w], l, shift) }
	}
	if err := s.scanOf(p, nil, row); err != nil {
		return err
	}
	s.merge(p)
	return nil
}

func (s *Sift) shift() uint { return uint(64 - bits.TrailingZeros(uint(s.buckets))) }

// journal counts a line of the journal.
func (s *Sift) journal(t *tally, l *Print, shift uint) {
	t.total.Lines++
	if l.Effect == Success {
		t.total.count(l)
	}
	for i := range t.cells {
		if t.cells[i] == nil {
			continue
		}
		if l.Without.Has(Party(i + 1)) {
			if l.Effect == Success {
				t.apart[i].count(l)
			}
			continue
		}
		q := &l.Pair[i]
		switch {
		case q.Key == 0:
			t.loose = append(t.loose, l.At)
		case l.Effect == Success:
			t.change(i, q.Key>>shift, q.X, q.Y)
		case l.Effect == Failed || l.Effect == Reversed:
			t.hush(&s.quiet[i], i, q.Key)
		default:
			b := q.Key >> shift
			t.marks[i][b/64] |= 1 << (b % 64)
			t.forced = append(t.forced, l.At)
			t.hush(&s.quiet[i], i, q.Key)
		}
	}
}

// hush notes the key of a payment that adds nothing, many at a time.
func (t *tally) hush(all *quietKeys, i int, k uint64) {
	const many = 4096
	if t.quiet[i] = append(t.quiet[i], k); len(t.quiet[i]) == many {
		all.add(t.quiet[i])
		t.quiet[i] = t.quiet[i][:0]
	}
}

// other counts a line of another party.
func (t *tally) other(p Party, l *Print, shift uint) {
	t.total.Lines++
	i := p.pair()
	q := &l.Pair[i]
	if l.Effect == effective(p) {
		t.total.count(l)
	}
	switch {
	case q.Key == 0:
		t.loose = append(t.loose, l.At)
	case l.Effect == effective(p):
		t.change(i, q.Key>>shift, -q.X, -q.Y)
	default:
		t.aside[i] = append(t.aside[i], ref{q.Key, q.X, q.Y, l.At})
	}
}

func (t *Total) count(l *Print) {
	t.Count++
	if l.Out {
		t.Sum -= l.Amount
	} else {
		t.Sum += l.Amount
	}
}

// merge adds the workers' tallies of a table up.
func (s *Sift) merge(p Party) {
	for w := range s.sums {
		t := &s.sums[w]
		s.totals[p].add(t.total)
		for i := range t.apart {
			s.apart[i].add(t.apart[i])
		}
		for _, at := range t.loose {
			s.suspect[p][at] = true
		}
		s.forced = append(s.forced, t.forced...)
		for i := range t.cells {
			if t.cells[i] == nil {
				continue
			}
			t.settle(i)
			j := s.joint(i)
			s.quiet[i].add(t.quiet[i])
			for b, c := range t.cells[i] {
				j.cells[b].x += c.x
				j.cells[b].y += c.y
			}
			for b, m := range t.marks[i] {
				j.marks[b] |= m
			}
			j.voids = append(j.voids, t.aside[i]...)
		}
	}
	s.stats.Lines[p] = s.totals[p].Lines
	s.sums = nil
}

func (s *Sift) joint(i int) *joint {
	if s.joins[i] == nil {
		s.joins[i] = &joint{party: Party(i + 1), cells: make([]cell, s.buckets), marks: make([]uint64, s.buckets/64)}
	}
	return s.joins[i]
}

func (t *Total) add(o Total) {
	t.Lines += o.Lines
	t.Count += o.Count
	t.Sum += o.Sum
}

// Total is what one party's effective lines come to.
type Total struct {
	Lines int        `json:"lines"` // all of them, effective or not
	Count int        `json:"count"`
	Sum   pay.Amount `json:"fen"`
}

// Ties says by what the lines were tied to the journal.
func (s *Sift) Ties() (on Ties) {
	for i := range s.rules {
		on[i] = s.rules[i].On
	}
	return on
}
