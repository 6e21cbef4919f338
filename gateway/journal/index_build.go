package journal

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"

	"qianzhi/gateway/pay"
)

// indexing is one index on its way into its file. Summaries are put in the
// order of names; memory holds one key's list at a time.
type indexing struct {
	tokens   *tokens
	day      pay.Day
	from, to uint64 // rows that it covers
	name     string
	f        *os.File
	out      *bufio.Writer
	n        int
	links    []string
	buf      []byte
}

// newIndexing begins an index under another name, so that nobody sees half of it.
func (j *Journal) newIndexing(name string, day pay.Day, from, to uint64) (*indexing, error) {
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	b := &indexing{tokens: j.tokens, day: day, from: from, to: to, name: name, f: f, out: bufio.NewWriterSize(f, 1<<20)}
	_, err = b.f.Seek(indexHead, 0)
	return b, err
}

// put adds a summary whose link has the id given.
func (b *indexing) put(s *summary, link string) error {
	if b.n++; b.n > math.MaxUint32 {
		return fmt.Errorf("more than %d payments", uint32(math.MaxUint32))
	}
	s.link = b.link(link)
	b.buf = s.append(b.buf[:0])
	_, err := b.out.Write(b.buf)
	return err
}

func (b *indexing) link(id string) uint16 {
	i := slices.Index(b.links, id)
	if i < 0 {
		i = len(b.links)
		b.links = append(b.links, id)
	}
	return uint16(i)
}

// end completes the index, or takes away what was made of it.
func (b *indexing) end(ctx context.Context, err error) error {
	if err == nil {
		err = b.finish(ctx)
	}
	if err = errors.Join(err, b.f.Close()); err == nil {
		err = os.Rename(b.name+".part", b.name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(b.name+".part"))
	}
	return nil
}

// finish writes the lists, the names, the head and the code, and makes all of
// it durable.
func (b *indexing) finish(ctx context.Context) error {
	if err := b.out.Flush(); err != nil {
		return err
	}
	head := []byte(indexMagic)
	for _, v := range [...]uint64{uint64(b.day), b.from, b.to, uint64(b.n)} {
		head = binary.BigEndian.AppendUint64(head, v)
	}
	if b.n > 0 {
		sums, err := syscall.Mmap(int(b.f.Fd()), 0, indexHead+b.n*summarySize, syscall.PROT_READ, syscall.MAP_SHARED)
		if err != nil {
			return err
		}
		for k := 0; k < keys && err == nil; k++ {
			var n int
			n, err = b.list(k, sums[indexHead:])
			head = binary.BigEndian.AppendUint64(head, uint64(n))
			err = errors.Join(err, ctx.Err())
		}
		if err = errors.Join(err, syscall.Munmap(sums)); err != nil {
			return err
		}
	} else {
		head = append(head, make([]byte, 8*keys)...)
	}
	names := strings.Join(b.links, "\x00")
	head = binary.BigEndian.AppendUint64(head, uint64(len(names)))
	_, err := b.out.WriteString(names)
	if err = errors.Join(err, b.out.Flush()); err != nil {
		return err
	}
	if _, err = b.f.WriteAt(head, 0); err != nil {
		return err
	}
	return b.seal()
}

// list writes one key's list and returns its length.
func (b *indexing) list(key int, sums []byte) (int, error) {
	type entry struct {
		value  uint64
		number uint32
	}
	all := make([]entry, 0, b.n)
	for i := range b.n {
		if s := readSummary(sums[i*summarySize:]); s.key[key] != 0 {
			all = append(all, entry{s.key[key], uint32(i)})
		}
	}
	slices.SortFunc(all, func(x, y entry) int {
		return cmp.Or(cmp.Compare(x.value, y.value), cmp.Compare(x.number, y.number))
	})
	for _, e := range all {
		b.buf = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b.buf[:0], e.value), e.number)
		if _, err := b.out.Write(b.buf); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}

// seal appends the code over all that was written.
func (b *indexing) seal() error {
	size, err := b.f.Seek(0, 2)
	if err != nil {
		return err
	}
	all, err := syscall.Mmap(int(b.f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	code := b.tokens.mac.Sum([]byte("index"), all)
	_, err = b.f.Write(code[:])
	return errors.Join(err, syscall.Munmap(all), b.f.Sync())
}

// leaf is the newest segment on its way: a summary for each payment with rows
// in it.
type leaf struct {
	j       *Journal
	day     pay.Day
	rd      Reader
	older   []*index // the segments before it, which know payments that began there
	sums    map[pay.ID]*leafSum
	last    uint64 // row that was read last
	rows    int
	failure error
}

type leafSum struct {
	summary
	link string
}

// add takes one row.
func (l *leaf) add(ctx context.Context, r *Row) error {
	l.last = r.Seq
	l.rows++
	id := pay.ID{Day: r.Day, Row: r.Pay}
	s := l.sums[id]
	switch {
	case whole(r.Kind):
		e, err := l.j.entry(ctx, l.day, l.rd, r)
		if err != nil {
			return err
		}
		s = &leafSum{summary: summary{id: e.ID, at: e.At.UnixNano(), op: e.Req.Op}}
		s.key = [keys]uint64{byAccount: r.Account, byPAN: r.PAN, bySerial: r.Serial, byTail: packTail(r.Tail), byAmount: uint64(e.Req.Amount)}
		if e.Req.Via != nil {
			s.link = e.Req.Via.Link
		}
	case !further(r.Kind):
		return nil
	case s == nil:
		if s = summaryIn(l.older, id); s == nil {
			return fmt.Errorf("row %d belongs to a payment that is in no segment", r.Seq)
		}
	}
	s.last, s.state = r.Seq, r.State
	s.key[byState] = uint64(r.State)
	l.sums[id] = s
	return nil
}

// summaryIn returns the newest summary of a payment, nil where there is none.
func summaryIn(set []*index, id pay.ID) *leafSum {
	for _, x := range slices.Backward(set) {
		if i, there := x.find(id); there {
			s := &leafSum{summary: x.summary(i)}
			s.link = x.linkOf(&s.summary)
			return s
		}
	}
	return nil
}

// merged yields the newest summary of each payment of consecutive segments, in
// the order of names.
func merged(set []*index, put func(s *summary, link string) error) error {
	at := make([]int, len(set))
	for {
		newest := -1
		var id pay.ID
		for i, x := range set {
			if at[i] == x.n {
				continue
			}
			if next := x.id(at[i]); newest < 0 || !before(id, next) {
				newest, id = i, next
			}
		}
		if newest < 0 {
			return nil
		}
		s := set[newest].summary(at[newest])
		for i, x := range set {
			if at[i] < x.n && x.id(at[i]) == id {
				at[i]++
			}
		}
		if err := put(&s, set[newest].linkOf(&s)); err != nil {
			return err
		}
	}
}
