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

// index builds the indexes of closed logs that have none and takes snapshots of
// the running one, beside the writer, until ctx ends. What was half built is
// built again by the next process.
func (j *Journal) index(ctx context.Context) {
	j.indexAll(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.snap:
			j.takeSnapshot(ctx)
		case <-j.closed:
			j.indexAll(ctx)
		}
	}
}

func (j *Journal) indexAll(ctx context.Context) {
	missing := j.unindexed()
	for len(missing) > 0 && ctx.Err() == nil {
		j.mu.Lock()
		j.stats.Unindexed = len(missing)
		j.mu.Unlock()
		if err := j.buildIndex(ctx, missing[0]); err != nil && ctx.Err() == nil {
			j.failed(err) // the log itself can still be searched; the next cut tries again
		}
		missing = missing[1:]
	}
	n := len(j.unindexed())
	j.mu.Lock()
	j.stats.Unindexed = n
	j.mu.Unlock()
}

// unindexed returns the closed days without a usable index.
func (j *Journal) unindexed() []pay.Day {
	j.mu.Lock()
	days, running := slices.Clone(j.days), j.day
	j.mu.Unlock()
	return slices.DeleteFunc(days, func(d pay.Day) bool {
		if d >= running {
			return true
		}
		x, err := openIndex(j.o.Dir, d)
		return err == nil && x.close() == nil
	})
}

// lasts is what the first pass over a log learns: the last row of each payment
// and its state there, packed into one number.
type lasts struct {
	log pay.Day
	own []uint64 // by the payment's row
	old map[pay.ID]uint64
}

func (l *lasts) add(r *Row) bool {
	if !whole(r.Kind) && !further(r.Kind) {
		return true
	}
	v := r.Seq<<8 | uint64(r.State)
	switch {
	case r.Day != l.log:
		l.old[pay.ID{Day: r.Day, Row: r.Pay}] = v
	case r.Pay <= r.Seq:
		if n := r.Pay + 1; n > uint64(len(l.own)) {
			l.own = slices.Grow(l.own, int(n)-len(l.own))[:n]
		}
		l.own[r.Pay] = v
	}
	return true
}

// buildIndex reads a closed log twice and writes its index. Memory holds eight
// bytes for each row, and then one key's list at a time.
func (j *Journal) buildIndex(ctx context.Context, day pay.Day) error {
	name := indexFile(j.o.Dir, day)
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("journal: index of %s: %w", day, err)
	}
	b := indexing{j: j, day: day, f: f, out: bufio.NewWriterSize(f, 1<<20), last: lasts{log: day, old: map[pay.ID]uint64{}}}
	err = j.reads.with(ctx, day, func(rd Reader) error { return b.summarise(ctx, rd) })
	if err == nil {
		err = b.finish(ctx)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(name+".part", name)
		_ = os.Remove(snapFile(j.o.Dir, day)) // of no use for a closed day; often there is none
	}
	if err != nil {
		return fmt.Errorf("journal: index of %s: %w", day, errors.Join(err, os.Remove(name+".part")))
	}
	return nil
}

// indexing is one index on its way.
type indexing struct {
	j     *Journal
	day   pay.Day
	f     *os.File
	out   *bufio.Writer
	last  lasts
	n     int
	links []string
	buf   []byte
}

// summarise writes the summaries. Room for the carried ones, which may stand
// anywhere in the log, is left in front.
func (b *indexing) summarise(ctx context.Context, rd Reader) error {
	if err := rd.Read(ctx, Range{Narrow: true}, b.last.add); err != nil {
		return err
	}
	carried := make([]summary, 0, len(b.last.old))
	b.n = len(b.last.old)
	if _, err := b.f.Seek(int64(indexHead+b.n*summarySize), 0); err != nil {
		return err
	}
	var failed error
	err := rd.Read(ctx, Range{Match: &Match{First: true}}, func(r *Row) bool {
		var s summary
		if s, failed = b.summary(ctx, rd, r); failed != nil {
			return false
		}
		if r.Day != b.day {
			carried = append(carried, s)
			return true
		}
		b.n++
		b.buf = s.append(b.buf[:0])
		_, failed = b.out.Write(b.buf)
		return failed == nil
	})
	if err = errors.Join(failed, err, b.out.Flush()); err != nil {
		return err
	}
	slices.SortStableFunc(carried, func(x, y summary) int {
		return cmp.Or(cmp.Compare(x.id.Day, y.id.Day), cmp.Compare(x.id.Row, y.id.Row))
	})
	carried = slices.CompactFunc(carried, func(x, y summary) bool { return x.id == y.id })
	if len(carried) != len(b.last.old) || b.n > math.MaxUint32 {
		return fmt.Errorf("%d payments were carried, %d are known", len(carried), len(b.last.old))
	}
	all := make([]byte, 0, len(carried)*summarySize)
	for i := range carried {
		all = carried[i].append(all)
	}
	_, err = b.f.WriteAt(all, indexHead)
	return err
}

// summary makes the summary of a payment from the row that holds it whole.
func (b *indexing) summary(ctx context.Context, rd Reader, r *Row) (summary, error) {
	e, err := b.j.entry(ctx, b.day, rd, r)
	if err != nil {
		return summary{}, err
	}
	s := summary{id: e.ID, at: e.At.UnixNano(), op: e.Req.Op}
	v := b.last.old[e.ID]
	if r.Day == b.day && r.Pay < uint64(len(b.last.own)) {
		v = b.last.own[r.Pay]
	}
	s.last, s.state = v>>8, pay.State(v)
	s.key = [keys]uint64{byAccount: r.Account, byPAN: r.PAN, bySerial: r.Serial, byTail: packTail(r.Tail),
		byAmount: uint64(e.Req.Amount), byState: uint64(s.state)}
	if e.Req.Via != nil {
		s.link = b.link(e.Req.Via.Link)
	}
	return s, nil
}

func (b *indexing) link(id string) uint16 {
	i := slices.Index(b.links, id)
	if i < 0 {
		i = len(b.links)
		b.links = append(b.links, id)
	}
	return uint16(i)
}

// finish writes the lists, the names, the head and the code, and makes all of
// it durable.
func (b *indexing) finish(ctx context.Context) error {
	head := binary.BigEndian.AppendUint64([]byte(indexMagic), uint64(b.day))
	head = binary.BigEndian.AppendUint64(head, uint64(b.n))
	head = binary.BigEndian.AppendUint64(head, uint64(len(b.last.old)))
	b.last = lasts{}
	at := int64(indexHead + b.n*summarySize)
	if _, err := b.f.Seek(at, 0); err != nil {
		return err
	}
	if b.n > 0 {
		sums, err := syscall.Mmap(int(b.f.Fd()), 0, int(at), syscall.PROT_READ, syscall.MAP_SHARED)
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
	code := b.j.tokens.mac.Sum([]byte("index"), all)
	_, err = b.f.Write(code[:])
	return errors.Join(err, syscall.Munmap(all), b.f.Sync())
}
