package reconcile

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

const (
	partLines  = 200_000 // wished for in one part
	maxParts   = 512
	partRecord = 5 * 8
)

// part is one part of a table on disk, by join key.
type part struct {
	mu sync.Mutex
	f  *os.File
	w  *bufio.Writer
}

func (p *part) write(l *Print, i int) error {
	var b [partRecord]byte
	q := &l.Pair[i]
	for n, v := range []uint64{q.Key, q.X, q.Y, uint64(l.At), uint64(l.Effect)} {
		binary.LittleEndian.PutUint64(b[8*n:], v)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.w.Write(b[:])
	return err
}

// told is a ref with its effect.
type told struct {
	ref
	effect Effect
}

// parts joins the whole of one comparison, in parts on disk that each fit into
// memory. Its suspects are whole payments.
func (s *Sift) parts(i int) error {
	dir, err := os.MkdirTemp(s.Dir, "recon-parts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	n := 1
	for n < maxParts && n*partLines < max(s.totals[Journal].Lines, s.totals[i+1].Lines) {
		n *= 2
	}
	for _, p := range []Party{Journal, Party(i + 1)} {
		if err := s.split(p, i, dir, n); err != nil {
			return err
		}
	}
	for k := range n {
		journal, err := readPart(dir, Journal, k)
		if err != nil {
			return err
		}
		other, err := readPart(dir, Party(i+1), k)
		if err != nil {
			return err
		}
		s.joinPart(Party(i+1), journal, other)
	}
	return nil
}

func partName(dir string, p Party, k int) string {
	return filepath.Join(dir, strconv.Itoa(int(p))+"-"+strconv.Itoa(k))
}

// split writes the prints of a table into parts by key.
func (s *Sift) split(p Party, i int, dir string, n int) (err error) {
	all := make([]part, n)
	for k := range all {
		f, err := os.Create(partName(dir, p, k))
		if err != nil {
			return err
		}
		defer f.Close()
		all[k].f, all[k].w = f, bufio.NewWriterSize(f, 8<<10)
	}
	var mu sync.Mutex
	rules := s.rules
	for r := range s.rules {
		if r != i {
			s.rules[r] = Rule{}
		}
	}
	failed := s.scanOf(p, nil, func(_ int, l *Print) {
		if k := l.Pair[i].Key; k != 0 && !(p == Journal && l.Without.Has(Party(i+1))) { // without one it is a suspect already
			if e := all[k>>20&uint64(n-1)].write(l, i); e != nil {
				mu.Lock()
				err = errors.Join(err, e)
				mu.Unlock()
			}
		}
	})
	s.rules = rules
	for k := range all {
		err = errors.Join(err, all[k].w.Flush())
	}
	return errors.Join(failed, err)
}

func readPart(dir string, p Party, k int) ([]told, error) {
	f, err := os.Open(partName(dir, p, k))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	out := make([]told, 0, len(b)/partRecord)
	for ; len(b) >= partRecord; b = b[partRecord:] {
		v := func(n int) uint64 { return binary.LittleEndian.Uint64(b[8*n:]) }
		out = append(out, told{ref{v(0), v(1), v(2), int64(v(3))}, Effect(v(4))})
	}
	slices.SortFunc(out, func(a, b told) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.at, b.at)) })
	return out, nil
}

// joinPart walks two parts in the order of their keys.
func (s *Sift) joinPart(p Party, journal, other []told) {
	for len(journal) > 0 || len(other) > 0 {
		k := uint64(0)
		switch {
		case len(journal) == 0:
			k = other[0].key
		case len(other) == 0:
			k = journal[0].key
		default:
			k = min(journal[0].key, other[0].key)
		}
		a, b := lead(journal, k), lead(other, k)
		if !s.flat(p, journal[:a], other[:b]) {
			for _, r := range journal[:a] {
				s.suspect[Journal][r.at] = true
			}
			for _, r := range other[:b] {
				s.suspect[p][r.at] = true
			}
		}
		journal, other = journal[a:], other[b:]
	}
}

// lead counts the leading lines of a key.
func lead(l []told, k uint64) int {
	n := 0
	for n < len(l) && l[n].key == k {
		n++
	}
	return n
}

// flat reports whether the lines of one key leave nothing to say.
func (s *Sift) flat(p Party, journal, other []told) bool {
	if len(journal) != 1 || len(other) > 1 {
		return false
	}
	same := len(other) == 1 && journal[0].x == other[0].x && journal[0].y == other[0].y
	switch journal[0].effect {
	case Success:
		return same && other[0].effect == effective(p)
	case Failed, Reversed:
		return len(other) == 0 || s.Voids && same && other[0].effect == Undone
	}
	return false
}
