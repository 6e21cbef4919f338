package journal

import "math/bits"

const shards = 256

// table maps tokens to rows of one log: 16 bytes a slot. A token may stand for
// several rows, since different keys may share it. Its shards grow apart, so
// that no single insertion pays for all. The zero table is empty.
type table struct{ shard [shards]shard }

type shard struct {
	slots []slot
	used  int
}

// slot is free when its row is 0.
type slot struct{ token, row uint64 }

func (t *table) of(token uint64) *shard { return &t.shard[token%shards] }

// len returns the number of entries.
func (t *table) len() int {
	n := 0
	for i := range t.shard {
		n += t.shard[i].used
	}
	return n
}

// rows appends to dst the rows under a token.
func (t *table) rows(dst []uint64, token uint64) []uint64 {
	s := t.of(token)
	if s.used == 0 {
		return dst
	}
	for i := s.home(token); s.slots[i].row != 0; i = s.after(i) {
		if s.slots[i].token == token {
			dst = append(dst, s.slots[i].row)
		}
	}
	return dst
}

// put adds an entry.
func (t *table) put(token, row uint64) {
	s := t.of(token)
	if s.used*8 >= len(s.slots)*7 {
		s.grow()
	}
	s.insert(slot{token, row})
	s.used++
}

// move gives the entry of a token another row and reports whether it was there.
func (t *table) move(token, from, to uint64) bool {
	s := t.of(token)
	i, ok := s.find(token, from)
	if ok {
		s.slots[i].row = to
	}
	return ok
}

// drop removes an entry and closes the gap, so that probing never stops early.
func (t *table) drop(token, row uint64) {
	s := t.of(token)
	gap, ok := s.find(token, row)
	if !ok {
		return
	}
	s.used--
	n := len(s.slots)
	for i := s.after(gap); s.slots[i].row != 0; i = s.after(i) {
		if home := s.home(s.slots[i].token); (i-home+n)%n >= (i-gap+n)%n {
			s.slots[gap] = s.slots[i]
			gap = i
		}
	}
	s.slots[gap] = slot{}
}

// each yields every entry in no order.
func (t *table) each(yield func(slot)) {
	for i := range t.shard {
		for _, e := range t.shard[i].slots {
			if e.row != 0 {
				yield(e)
			}
		}
	}
}

func (s *shard) find(token, row uint64) (int, bool) {
	if s.used == 0 {
		return 0, false
	}
	for i := s.home(token); s.slots[i].row != 0; i = s.after(i) {
		if s.slots[i] == (slot{token, row}) {
			return i, true
		}
	}
	return 0, false
}

// home spreads tokens, whose low bits chose the shard, by their high bits.
func (s *shard) home(token uint64) int {
	hi, _ := bits.Mul64(token, uint64(len(s.slots)))
	return int(hi)
}

func (s *shard) after(i int) int {
	if i++; i == len(s.slots) {
		return 0
	}
	return i
}

func (s *shard) insert(e slot) {
	i := s.home(e.token)
	for s.slots[i].row != 0 {
		i = s.after(i)
	}
	s.slots[i] = e
}

func (s *shard) grow() {
	old := s.slots
	s.slots = make([]slot, max(16, len(old)+len(old)/2))
	for _, e := range old {
		if e.row != 0 {
			s.insert(e)
		}
	}
}
