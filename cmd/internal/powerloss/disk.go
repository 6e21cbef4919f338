package powerloss

import (
	"math/rand/v2"
	"os"
	"path/filepath"
)

// change is one change of a file's content.
type change struct {
	at   int64
	data []byte
	size int64 // of the file afterwards, for a change of its length; -1 otherwise
}

// file is one file, whatever its names.
type file struct {
	safe    []byte // what is on the disk for certain
	later   []change
	applied int   // changes that became safe so far
	size    int64 // as the process sees it
}

func (f *file) change(c change) {
	f.later = append(f.later, c)
	if c.size >= 0 {
		f.size = c.size
		return
	}
	f.size = max(f.size, c.at+int64(len(c.data)))
}

// mark is how many changes there were, for a sync that begins now.
func (f *file) mark() int { return f.applied + len(f.later) }

// sync makes the changes before a mark safe.
func (f *file) sync(mark int) {
	for f.applied < mark && len(f.later) > 0 {
		f.safe = f.later[0].apply(f.safe)
		f.later = f.later[1:]
		f.applied++
	}
}

func (c *change) apply(b []byte) []byte {
	if c.size >= 0 {
		if n := c.size - int64(len(b)); n > 0 {
			return append(b, make([]byte, n)...)
		}
		return b[:c.size:c.size]
	}
	if n := c.at + int64(len(c.data)) - int64(len(b)); n > 0 {
		b = append(b, make([]byte, n)...)
	}
	copy(b[c.at:], c.data)
	return b
}

// naming is one change of the folder; one call may make several at once.
type naming struct {
	name []string
	to   []*file // nil for a name that goes
}

// folder is the folder that is recorded.
type folder struct {
	safe    map[string]*file
	later   []naming
	applied int
	now     map[string]*file // as the process sees it
}

func newFolder() *folder { return &folder{safe: map[string]*file{}, now: map[string]*file{}} }

func (d *folder) change(n naming) {
	d.later = append(d.later, n)
	n.apply(d.now)
}

func (n *naming) apply(names map[string]*file) {
	for i, name := range n.name {
		if n.to[i] == nil {
			delete(names, name)
		} else {
			names[name] = n.to[i]
		}
	}
}

func (d *folder) mark() int { return d.applied + len(d.later) }

func (d *folder) sync(mark int) {
	for d.applied < mark && len(d.later) > 0 {
		d.later[0].apply(d.safe)
		d.later = d.later[1:]
		d.applied++
	}
}

// What becomes of changes that no sync covers.
const (
	allLost = iota
	allKept
	anySubset
	fates
)

// leave writes into dir what a power cut may leave now.
func (d *folder) leave(dir string, r *rand.Rand) error {
	fate := r.IntN(fates + 1) // subsets twice as often
	names := map[string]*file{}
	for name, f := range d.safe {
		names[name] = f
	}
	keep := 0 // a file system orders changes of names
	switch {
	case fate == allKept:
		keep = len(d.later)
	case fate >= anySubset:
		keep = r.IntN(len(d.later) + 1)
	}
	for i := range keep {
		d.later[i].apply(names)
	}
	for name, f := range names {
		if err := os.WriteFile(filepath.Join(dir, name), f.left(fate, r), 0o600); err != nil {
			return err
		}
	}
	return nil
}

const sector = 512

// left is what may be left of a file.
func (f *file) left(fate int, r *rand.Rand) []byte {
	b := append([]byte(nil), f.safe...)
	for _, c := range f.later {
		switch {
		case fate == allLost:
			continue
		case fate == allKept:
		case r.IntN(3) == 0:
			continue
		case r.IntN(3) == 0 && c.size < 0: // torn: a part of it, to the sector or to the byte
			n := r.IntN(len(c.data) + 1)
			if r.IntN(2) == 0 {
				n -= n % sector
			}
			c.data = c.data[:n]
		}
		b = c.apply(b)
	}
	return b
}
