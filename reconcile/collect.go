package reconcile

import (
	"context"
	"maps"
	"slices"
)

// collect reads the suspects in full, with every other line of their payments.
func (s *Sift) collect(ctx context.Context) (*Sifted, error) {
	for _, at := range s.forced {
		s.suspect[Journal][at] = true
	}
	if err := s.missing(); err != nil {
		return nil, err
	}
	out := &Sifted{Totals: s.totals, Stats: s.stats}
	copy(out.Apart[MIS:], s.apart[:])
	var err error
	if out.Lines[Journal], err = s.load(Journal); err != nil {
		return nil, err
	}
	if !s.adds(out.Lines[Journal]) {
		return s.exactly(ctx)
	}
	var wanted [pairs]keySet
	sc := Scan{Hash: s.Hash}
	for p := MIS; p < parties; p++ {
		sc.Compare(p, s.rules[p.pair()])
	}
	var p Print
	for i := range out.Lines[Journal] {
		l := &out.Lines[Journal][i]
		if sc.Keys(&p, l.Serial, l.Key) {
			s.others(&p, l.Effect, &wanted)
		}
	}
	for _, party := range []Party{MIS, Bank, Card} {
		if s.Tables[party] == nil {
			continue
		}
		if err := s.fetch(party, &wanted[party.pair()]); err != nil {
			return nil, err
		}
		if out.Lines[party], err = s.load(party); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// others makes suspects of what the other parties tell of a journal line, or
// notes that it has to be looked for.
func (s *Sift) others(p *Print, e Effect, wanted *[pairs]keySet) {
	shift := s.shift()
	for i, j := range s.joins {
		k := p.Pair[i].Key
		if j == nil || k == 0 {
			continue
		}
		from, to := j.voidsOf(k)
		for ; from < to; from++ {
			s.suspect[j.party][j.voids[from].at] = true
		}
		switch {
		case j.exact:
			wanted[i].add(k)
		case j.flagged(k, shift):
			if j.table.gone(k) {
				wanted[i].add(k)
			}
		case e == Success || j.miss.has(k) || j.look.has(k):
			wanted[i].add(k)
		}
	}
}

// missing looks for the journal's other lines of keys that stand twice in it.
func (s *Sift) missing() error {
	n := 0
	for _, j := range s.joins {
		if j != nil {
			j.miss.seal()
			n += j.miss.n
		}
	}
	if n == 0 {
		return nil
	}
	return s.pick(Journal, func(l *Print) bool {
		for i, j := range s.joins {
			if j != nil && l.Pair[i].Key != 0 && j.miss.has(l.Pair[i].Key) {
				return true
			}
		}
		return false
	})
}

func (s *Sift) fetch(p Party, keys *keySet) error {
	if keys.n == 0 {
		return nil
	}
	keys.seal()
	return s.pick(p, func(l *Print) bool { k := l.Pair[p.pair()].Key; return k != 0 && keys.has(k) })
}

// pick makes suspects of the lines that want names by their keys.
func (s *Sift) pick(p Party, want func(*Print) bool) error {
	return s.scanOf(p, func(_ int, l *Print) bool { return want(l) }, func(_ int, l *Print) {
		s.mu.Lock()
		s.suspect[p][l.At] = true
		s.mu.Unlock()
	})
}

// load reads a party's suspects in full, in the order of its table.
func (s *Sift) load(p Party) ([]Line, error) {
	places := slices.Sorted(maps.Keys(s.suspect[p]))
	lines := make([]Line, len(places))
	for i, at := range places {
		l, err := s.Tables[p].Line(at)
		if err != nil {
			return nil, err
		}
		l.At = at
		lines[i] = l
	}
	return lines, nil
}

// adds checks the exact join by the sums: what it left over is what the
// buckets differ by, in both hashes.
func (s *Sift) adds(journal []Line) bool {
	byPlace := map[int64]*Line{}
	for i := range journal {
		byPlace[journal[i].At] = &journal[i]
	}
	for i, j := range s.joins {
		if j == nil || j.exact {
			continue
		}
		sc := Scan{Hash: s.Hash}
		sc.Compare(j.party, s.rules[i])
		var have cell
		for _, at := range j.lone {
			l := byPlace[at]
			p := Print{Amount: l.Amount, Out: l.Out}
			sc.Keys(&p, l.Serial, l.Key)
			sc.rest(&p, l)
			have.x += p.Pair[i].X
			have.y += p.Pair[i].Y
		}
		var want cell
		for b, c := range j.cells {
			if j.flags[b/64]&(1<<(b%64)) != 0 {
				want.x += c.x
				want.y += c.y
			}
		}
		have.x -= j.less.x
		have.y -= j.less.y
		if have != want {
			return false
		}
	}
	return true
}

// exactly joins everything in parts, after 24 bits of a fingerprint have
// called different lines equal.
func (s *Sift) exactly(ctx context.Context) (*Sifted, error) {
	again := Sift{Tables: s.Tables, Hash: s.Hash, Workers: s.Workers, Size: s.Size, Dir: s.Dir, Links: s.Links, Voids: s.Voids, limit: -1}
	return again.Run(ctx)
}
