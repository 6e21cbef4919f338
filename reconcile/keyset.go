package reconcile

import (
	"slices"
	"sync"
)

// keySet is a set of fingerprints, never zero: open addressing, with a filter
// in front that fits the cache.
type keySet struct {
	slots  []uint64
	n      int
	filter []uint64
	shift  uint
}

// add reports whether the key is new.
func (s *keySet) add(k uint64) bool {
	if 3*s.n >= 2*len(s.slots) {
		s.grow()
	}
	if !s.put(k) {
		return false
	}
	s.n++
	return true
}

func (s *keySet) put(k uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := k >> 8 & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case 0:
			s.slots[i] = k
			return true
		case k:
			return false
		}
	}
}

func (s *keySet) grow() {
	old := s.slots
	s.slots = make([]uint64, max(16, 2*len(old)))
	for _, k := range old {
		if k != 0 {
			s.put(k)
		}
	}
}

// seal builds the filter; nothing is added afterwards.
func (s *keySet) seal() {
	bits, words := uint(6), 1
	for words*8 < s.n && bits < 27 {
		bits, words = bits+1, words*2
	}
	s.filter, s.shift = make([]uint64, words), 64-bits
	for _, k := range s.slots {
		if k != 0 {
			b := k >> s.shift
			s.filter[b/64] |= 1 << (b % 64)
		}
	}
}

// has is for a sealed set.
func (s *keySet) has(k uint64) bool {
	if s.n == 0 {
		return false
	}
	b := k >> s.shift
	return s.filter[b/64]&(1<<(b%64)) != 0 && s.find(k)
}

func (s *keySet) find(k uint64) bool {
	mask := uint64(len(s.slots) - 1)
	for i := k >> 8 & mask; ; i = (i + 1) & mask {
		switch s.slots[i] {
		case 0:
			return false
		case k:
			return true
		}
	}
}

// entry is a journal line in a pairTable: its join key, and in one word its
// place, 24 bits of its fingerprint and what became of it.
type entry struct{ key, word uint64 }

const (
	placeBits        = 38 // 256 GB of one file
	placeMask        = 1<<placeBits - 1
	cancelled uint64 = 1 << placeBits // an equal line stands on the other side
	touched   uint64 = 1 << (placeBits + 1)
	tagShift         = 40
)

// pairTable holds the journal's lines of the buckets that are read again.
type pairTable struct {
	slots []entry
	n     int
}

func (t *pairTable) home(k uint64) int {
	// The bucket is in the upper bits, which say little here.
	return int(uint64(uint32(k*spread>>32)) * uint64(len(t.slots)) >> 32)
}

// insert adds a line; lines of one key touch one another.
func (t *pairTable) insert(k, x uint64, at int64) {
	if 20*t.n >= 17*len(t.slots) {
		t.grow()
	}
	word := tagOf(x)<<tagShift | uint64(at)
	i := t.home(k)
	for ; t.slots[i].key != 0; i = t.next(i) {
		if t.slots[i].key == k {
			t.slots[i].word |= touched
			word |= touched
		}
	}
	t.slots[i] = entry{k, word}
	t.n++
}

// tagOf is 24 bits of a fingerprint.
func tagOf(x uint64) uint64 { return x >> tagShift }

func (t *pairTable) next(i int) int {
	if i++; i == len(t.slots) {
		return 0
	}
	return i
}

func (t *pairTable) grow() {
	old := t.slots
	t.slots = make([]entry, max(1024, len(old)+len(old)/2))
	for _, e := range old {
		if e.key != 0 {
			i := t.home(e.key)
			for t.slots[i].key != 0 {
				i = t.next(i)
			}
			t.slots[i] = e
		}
	}
}

// cancel lets one line with key and fingerprint go. When there is none, the
// lines of the key are touched.
func (t *pairTable) cancel(k, x uint64) bool {
	if len(t.slots) == 0 {
		return false
	}
	for i := t.home(k); t.slots[i].key != 0; i = t.next(i) {
		e := &t.slots[i]
		if e.key == k && e.word&cancelled == 0 && e.word>>tagShift == tagOf(x) {
			e.word |= cancelled
			return true
		}
	}
	for i := t.home(k); t.slots[i].key != 0; i = t.next(i) {
		if t.slots[i].key == k {
			t.slots[i].word |= touched
		}
	}
	return false
}

// gone reports whether a line of the key was cancelled.
func (t *pairTable) gone(k uint64) bool {
	if len(t.slots) == 0 {
		return false
	}
	for i := t.home(k); t.slots[i].key != 0; i = t.next(i) {
		if t.slots[i].key == k && t.slots[i].word&cancelled != 0 {
			return true
		}
	}
	return false
}

// quietKeys are the keys of the payments that add nothing, to be told when one
// of them stands in the journal again.
type quietKeys struct {
	mu     sync.Mutex
	keys   []uint64
	filter []uint64
	shift  uint
	pages  []uint32 // where the keys with the same upper bits begin
	page   uint
}

func (q *quietKeys) add(k []uint64) {
	q.mu.Lock()
	q.keys = append(q.keys, k...)
	q.mu.Unlock()
}

// seal sorts the keys and returns those that stand twice.
func (q *quietKeys) seal() (again []uint64) {
	slices.Sort(q.keys)
	n := uint(1)
	for len(q.keys) > 8<<n && n < 22 {
		n++
	}
	q.filter, q.shift = make([]uint64, 1<<n), 64-n
	q.page = q.shift // some eight keys on a page
	q.pages = make([]uint32, 1<<n+1)
	for i, k := range q.keys {
		q.filter[k>>q.shift] |= twoBits(k)
		q.pages[k>>q.page+1] = uint32(i + 1)
		if i > 0 && k == q.keys[i-1] {
			again = append(again, k)
		}
	}
	for i := 1; i < len(q.pages); i++ { // pages without keys begin where the one before ends
		q.pages[i] = max(q.pages[i], q.pages[i-1])
	}
	return again
}

// twoBits are a key's in its word of the filter.
func twoBits(k uint64) uint64 { return 1<<(k>>1%64) | 1<<(k>>7%64) }

func (q *quietKeys) has(k uint64) bool {
	b := twoBits(k)
	return q.filter[k>>q.shift]&b == b && q.find(k)
}

func (q *quietKeys) find(k uint64) bool {
	p := k >> q.page
	for _, have := range q.keys[q.pages[p]:q.pages[p+1]] {
		if have == k {
			return true
		}
	}
	return false
}
