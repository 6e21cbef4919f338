package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"qianzhi/gateway/pay"
)

// Open opens the journal in its directory, which no other process may use at
// the same time, and takes up where the last process stopped: a cut that was
// begun is finished, a damaged tail is cut off and kept aside, the tables and
// the undecided payments are read back. Where there is no log yet, that of
// today is begun. Nothing runs until Run.
func Open(ctx context.Context, store Store, o Options, today pay.Day) (*Journal, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	keys, err := newKeyring(o.Node, o.KEK)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{o: o, store: store, lock: lock, tokens: newTokens(o.IndexKey), keys: keys, loc: o.Now().Location(),
		wake: make(chan struct{}, 1), tidy: make(chan pay.Day, 1), closed: make(chan struct{}, 1), snap: make(chan struct{}, 1), seg: make(chan struct{}, 1),
		filling: newBatch(), mem: newMemory()}
	j.reads = readers{store: store, open: map[pay.Day]*shared{}}
	j.olds = oldTables{proved: map[pay.Day]bool{}}
	if j.refused, err = openRefused(o.Dir, time.Duration(o.DupDays)*24*time.Hour, o.Now); err == nil {
		j.days, err = store.Days(ctx)
	}
	if err == nil {
		if n := len(j.days); n > 0 {
			err = j.resume(ctx, j.days[n-1])
		} else {
			err = j.turn(ctx, today)
		}
	}
	if err != nil {
		return nil, errors.Join(err, j.close())
	}
	return j, nil
}

// lockDir takes the directory for this process; the kernel gives it back when
// the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s", ErrLocked, dir), f.Close())
	}
	return f, nil
}

// close releases everything; the lock goes last.
func (j *Journal) close() error {
	var err error
	if j.w.w != nil {
		err = j.w.w.Close()
	}
	if j.refused != nil {
		err = errors.Join(err, j.refused.f.Close())
	}
	return errors.Join(err, j.reads.close(), j.lock.Close())
}

// resume takes up the log of a day as the running one.
func (j *Journal) resume(ctx context.Context, day pay.Day) error {
	end, err := j.mend(ctx, day)
	if err != nil {
		return err
	}
	mem, err := j.rebuild(ctx, day)
	if err != nil {
		return err
	}
	if err := removeSegments(j.o.Dir, day, end.chain.row); err != nil { // they know rows that are gone
		return err
	}
	w, err := j.store.Writer(ctx, day)
	if err != nil {
		return err
	}
	if j.w.w != nil {
		err = j.w.w.Close()
	}
	j.w = writing{log: day, w: w, chain: end.chain, signed: end.signed, signedAt: j.o.Now(), snapped: j.w.snapped, grown: end.chain.row}
	j.mu.Lock()
	j.mem, j.day = mem, day
	j.next, j.durable, j.at, j.indexed = end.next, end.chain.row, end.last.At, 0
	j.mu.Unlock()
	if err != nil {
		return err
	}
	if end.last.Kind == pay.EvCut {
		return j.turn(ctx, cutTo(&end.last))
	}
	return j.rekey(ctx, end.damage)
}

// rekey begins a new data key, and writes down what had to be cut off.
func (j *Journal) rekey(ctx context.Context, damage string) error {
	key, note := Row{Kind: evKey}, Row{Kind: pay.EvAdmin}
	j.mu.Lock()
	j.number(&key)
	if damage != "" {
		j.number(&note)
		j.stats.Damaged = damage
	}
	j.mu.Unlock()
	sealer, row, err := j.keys.newKey(j.w.log, key.Seq)
	if err != nil {
		return err
	}
	j.w.sealer, row.At = sealer, key.At
	b := &batch{rows: []Row{row}}
	if damage != "" {
		note.Body = appendNote(nil, &pay.Note{Text: damage})
		b.rows = append(b.rows, note)
	}
	if err := j.commit(ctx, b); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.durable = j.w.chain.row
	return nil
}

// rebuild reads into memory what decisions are taken on.
func (j *Journal) rebuild(ctx context.Context, day pay.Day) (memory, error) {
	mem := newMemory()
	since := day.Add(-j.o.DupDays)
	if err := j.reads.keep(since); err != nil {
		return mem, err
	}
	for _, d := range j.days {
		if d < since || d >= day {
			continue
		}
		t, err := j.loadTable(ctx, d)
		if err != nil {
			return mem, err
		}
		mem.logs = append(mem.logs, logTable{d, t})
	}
	var s *scan
	err := j.reads.with(ctx, day, func(rd Reader) (err error) {
		if s, err = j.resumeScan(ctx, day, rd, &mem); err != nil {
			return err
		}
		j.w.snapped = s.row
		return rd.Read(ctx, Range{From: s.row + 1, Narrow: true}, s.add)
	})
	if err != nil {
		return mem, fmt.Errorf("journal: reading %s: %w", day, err)
	}
	mem.logs = append(mem.logs, logTable{day, s.table})
	for _, row := range s.open {
		h, err := j.load(ctx, spot{day, row})
		if err != nil {
			return mem, err
		}
		mem.set(nil, h)
	}
	return mem, nil
}

// scan gathers from the narrow rows of a log what memory needs.
type scan struct {
	log   pay.Day
	row   uint64 // the last one that was read
	table *table
	mem   *memory           // nil for a closed log
	open  map[pay.ID]uint64 // last rows of undecided payments
}

func (s *scan) add(r *Row) bool {
	s.row = r.Seq
	switch {
	case whole(r.Kind):
		s.table.put(r.Ref, r.Seq)
		if r.About != 0 {
			s.table.put(r.About, r.Seq)
		}
	case further(r.Kind):
		s.table.move(r.Ref, r.Prev, r.Seq)
	case r.Kind == pay.EvFreeze && s.mem != nil:
		s.mem.frozen[r.Day] = position(s.log, r.Seq)
		return true
	default:
		return true
	}
	if s.mem == nil {
		return true
	}
	if r.Kind != pay.EvCarried {
		s.mem.touched[r.Day] = position(s.log, r.Seq)
	}
	id := pay.ID{Day: r.Day, Row: r.Pay}
	if undecided(r.State) {
		s.open[id] = r.Seq
	} else {
		delete(s.open, id)
	}
	return true
}
