package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// The snapshot of the running day holds what memory learned from its log up to
// a row, so that a start reads only what came later. It is made from the log
// and the snapshot before it, beside the writer. It is believed when its code is
// right and the log still has that row with that link: the chain then says that
// everything before is the same.
const (
	snapMagic = "QZSNAP01"
	snapEvery = 1 << 20 // rows, unless the options say otherwise
)

func snapFile(dir string, day pay.Day) string { return filepath.Join(dir, day.String()+".snap") }

func (j *Journal) snapRows() int {
	if j.o.SnapRows > 0 {
		return j.o.SnapRows
	}
	return snapEvery
}

// takeSnapshot writes down what the running log says up to its last durable
// row. A failure is only counted: a start then reads more.
func (j *Journal) takeSnapshot(ctx context.Context) {
	j.mu.Lock()
	day, to := j.day, j.durable
	j.mu.Unlock()
	err := j.reads.with(ctx, day, func(rd Reader) error {
		mem := newMemory()
		s, err := j.resumeScan(ctx, day, rd, &mem)
		if err != nil || s.row >= to {
			return err
		}
		if err := rd.Read(ctx, Range{From: s.row + 1, To: to, Narrow: true}, s.add); err != nil {
			return err
		}
		last, err := one(ctx, rd, s.row)
		if err != nil {
			return err
		}
		b := s.append(nil, last.Link)
		code := j.tokens.mac.Sum([]byte("snapshot"), b)
		return writeFile(snapFile(j.o.Dir, day), append(b, code[:]...))
	})
	if err != nil && ctx.Err() == nil {
		j.failed(fmt.Errorf("journal: snapshot of %s: %w", day, err))
	}
}

// resumeScan returns the scan of a log as its snapshot left it, a new one where
// there is none that can be believed.
func (j *Journal) resumeScan(ctx context.Context, day pay.Day, rd Reader, mem *memory) (*scan, error) {
	fresh := &scan{log: day, table: new(table), mem: mem, open: map[pay.ID]uint64{}}
	b, err := os.ReadFile(snapFile(j.o.Dir, day))
	if err != nil || len(b) < 32 {
		return fresh, nil
	}
	b, given := b[:len(b)-32], b[len(b)-32:]
	code := j.tokens.mac.Sum([]byte("snapshot"), b)
	if !gm.EqualMAC(code[:], given) {
		return fresh, nil
	}
	s, link := readScan(b, day)
	if s == nil {
		return fresh, nil
	}
	row, err := one(ctx, rd, s.row)
	if err != nil || row.Link != link {
		return fresh, nil // the log was cut off, or is another
	}
	mem.touched, mem.frozen, s.mem = s.mem.touched, s.mem.frozen, mem
	return s, nil
}

func (s *scan) append(dst []byte, link uint64) []byte {
	dst = append(dst, snapMagic...)
	put := func(v ...uint64) {
		for _, x := range v {
			dst = binary.BigEndian.AppendUint64(dst, x)
		}
	}
	put(uint64(s.log), s.row, link)
	for _, m := range []map[pay.Day]uint64{s.mem.touched, s.mem.frozen} {
		put(uint64(len(m)))
		for day, at := range m {
			put(uint64(day), at)
		}
	}
	put(uint64(len(s.open)))
	for id, row := range s.open {
		put(uint64(id.Day), id.Row, row)
	}
	for i := range s.table.shard {
		h := &s.table.shard[i]
		put(uint64(h.used), uint64(len(h.slots)))
		for _, e := range h.slots {
			put(e.token, e.row)
		}
	}
	return dst
}

// readScan reads what append wrote, nil for something else.
func readScan(b []byte, day pay.Day) (s *scan, link uint64) {
	if len(b) < 32 || string(b[:8]) != snapMagic {
		return nil, 0
	}
	at := 8
	get := func() (v uint64) {
		if at+8 <= len(b) {
			v = binary.BigEndian.Uint64(b[at:])
		}
		at += 8
		return v
	}
	count := func(size int) int { return int(min(get(), uint64(max(0, len(b)-at)/size))) }
	s = &scan{log: pay.Day(get()), row: get(), table: new(table), open: map[pay.ID]uint64{}}
	link = get()
	mem := newMemory()
	s.mem = &mem
	for _, m := range []map[pay.Day]uint64{mem.touched, mem.frozen} {
		for range count(16) {
			d := pay.Day(get())
			m[d] = get()
		}
	}
	for range count(24) {
		id := pay.ID{Day: pay.Day(get()), Row: get()}
		s.open[id] = get()
	}
	for i := range s.table.shard {
		h := &s.table.shard[i]
		h.used = int(get())
		h.slots = make([]slot, count(slotSize))
		for k := range h.slots {
			h.slots[k] = slot{get(), get()}
		}
	}
	if s.log != day || at != len(b) {
		return nil, 0
	}
	return s, link
}
