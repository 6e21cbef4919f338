package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// cut is a day cut on its way.
type cut struct {
	next pay.Day
	done chan struct{}
	err  error
}

func (c *cut) finish(err error) {
	c.err = err
	close(c.done)
}

// Cut ends the running day and begins next. Payments under way keep the day
// they were stamped with; what is new waits for the two commits of the cut and
// is stamped with next. An error means that the day still runs, unless it wraps
// ErrCutting: then the old day has ended and the new one begins as soon as the
// store allows it.
func (j *Journal) Cut(ctx context.Context, next pay.Day) error {
	if day := j.Day(); next <= day {
		return fmt.Errorf("journal: cut to %s, but %s is running", next, day)
	}
	j.cutting(next)
	err := j.runCut(ctx, next)
	if !errors.Is(err, ErrCutting) { // else it goes on by itself
		j.cutting(0)
	}
	return err
}

// cutting says which day is about to begin, 0 for none.
func (j *Journal) cutting(next pay.Day) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Cutting = next
}

func (j *Journal) runCut(ctx context.Context, next pay.Day) error {
	w, err := j.store.Writer(ctx, next) // the log is made while payments go on
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("%w: log of %s: %w", pay.ErrUnwritable, next, err)
	}
	c := &cut{next: next, done: make(chan struct{})}
	old, err := j.queueCut(ctx, c)
	if err != nil {
		return err
	}
	<-c.done
	if c.err == nil {
		j.saveTable(old)
	}
	return c.err
}

// queueCut queues the last row of the running log and closes the gate behind
// it. It returns the log's table, to which nothing is added any more.
func (j *Journal) queueCut(ctx context.Context, c *cut) (logTable, error) {
	if err := j.enter(ctx); err != nil {
		return logTable{}, err
	}
	defer j.mu.Unlock()
	if c.next <= j.day {
		return logTable{}, fmt.Errorf("journal: cut to %s, but %s is running", c.next, j.day)
	}
	if j.down != nil {
		return logTable{}, j.down
	}
	row := Row{Kind: pay.EvCut, Body: binary.BigEndian.AppendUint32(nil, uint32(c.next))}
	j.number(&row)
	j.queue(nil, row).cut = c
	j.gate = make(chan struct{})
	return j.mem.logs[len(j.mem.logs)-1], nil
}

// cutTo returns the day that a cut begins.
func cutTo(r *Row) pay.Day {
	if len(r.Body) != 4 {
		return 0
	}
	return pay.Day(binary.BigEndian.Uint32(r.Body))
}

// finishCut begins the new log after the old one has ended. There is no way
// back: it is tried until it succeeds or ctx ends, and a process that starts
// later goes on from here.
func (j *Journal) finishCut(ctx context.Context, c *cut) {
	var told bool
	for wait := pauseFirst; ; wait = min(2*wait, pauseMost) {
		err := j.turn(context.WithoutCancel(ctx), c.next)
		if err == nil {
			break
		}
		j.failed(err)
		err = fmt.Errorf("%w: %w", ErrCutting, err)
		j.refuse(err)
		if !told {
			told = true
			c.finish(err)
		}
		if !pause(ctx, wait) {
			return
		}
	}
	j.rise()
	j.mu.Lock()
	j.openGate()
	j.stats.Cutting = 0
	j.mu.Unlock()
	select {
	case j.closed <- struct{}{}:
	default:
	}
	if !told {
		c.finish(nil)
	}
}

// turn makes the log of day the running one. Its first rows are one commit, so
// that it holds all that is carried, or nothing. Nobody queues meanwhile.
func (j *Journal) turn(ctx context.Context, day pay.Day) error {
	if begun, err := j.begun(ctx, day); err != nil || begun {
		if err == nil {
			j.addDay(day)
			err = j.resume(ctx, day)
		}
		return err
	}
	if err := j.signLast(); err != nil {
		return err
	}
	skip, err := skipped(j.o.Dir, day)
	if err != nil {
		return err
	}
	first, err := j.first(day)
	if err != nil {
		return err
	}
	w, err := j.store.Writer(ctx, day)
	if err != nil {
		return err
	}
	j.mu.Lock()
	carry := j.mem.undecided()
	b := &batch{rows: []Row{first, {}}}
	for _, h := range carry {
		b.rows = append(b.rows, j.carried(h))
	}
	for i := range b.rows {
		j.at = max(j.at+1, j.o.Now().UnixNano())
		b.rows[i].Seq, b.rows[i].At = uint64(i+1), j.at
	}
	j.mu.Unlock()
	sealer, key, err := j.keys.newKey(day, 2)
	if err == nil {
		key.At = b.rows[1].At
		b.rows[1] = key
		old := j.w
		j.w = writing{log: day, w: w, chain: newChain(j.o.Node, day), sealer: sealer, signedAt: j.o.Now()}
		if err = j.commit(ctx, b); err == nil {
			j.install(day, carry, skip)
			if old.w != nil {
				_ = old.w.Close() // everything in it is durable
			}
			return j.reads.keep(day.Add(-j.o.DupDays))
		}
		j.w = old
	}
	return errors.Join(err, w.Close())
}

// begun reports whether the log of a day holds rows already: a turn whose
// commit seemed to fail may have succeeded.
func (j *Journal) begun(ctx context.Context, day pay.Day) (bool, error) {
	rd, err := j.store.Reader(ctx, day)
	if errors.Is(err, ErrNoLog) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	begun := false
	err = rd.Read(ctx, Range{Narrow: true}, func(*Row) bool {
		begun = true
		return false
	})
	return begun, errors.Join(err, rd.Close())
}

// signLast signs the end of the log that is left behind, if there is one.
func (j *Journal) signLast() error {
	if j.w.log == 0 {
		return nil
	}
	return j.sign()
}

// first makes the first row of a log: the previous log's day, last row and
// hash, signed. The very first log of a node says so with zeros.
func (j *Journal) first(day pay.Day) (Row, error) {
	p := lastOf{j.w.log, j.w.chain.row, j.w.chain.sum}
	sig, err := j.o.Signer.Sign([]byte(gm.DefaultID), firstStatement(j.o.Node, p, day))
	if err != nil {
		return Row{}, err
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(p.day))
	b = binary.BigEndian.AppendUint64(b, p.row)
	b = append(append(b, p.sum[:]...), sig...)
	return Row{Kind: pay.EvFirst, Body: b}, nil
}

// firstStatement is what is signed in the first row of a log.
func firstStatement(node uint8, p lastOf, day pay.Day) []byte {
	return append(statement(node, p.day, p.row, p.sum), day.String()...)
}

// install makes memory stand on the new log, of which the rows before skip are
// used up.
func (j *Journal) install(day pay.Day, carry []*held, skip uint64) {
	j.addDay(day)
	j.mu.Lock()
	defer j.mu.Unlock()
	since := day.Add(-j.o.DupDays)
	logs := make([]logTable, 0, len(j.mem.logs)+1)
	for _, log := range j.mem.logs {
		if log.day >= since {
			logs = append(logs, log)
		}
	}
	j.mem.logs = append(logs, logTable{day, new(table)})
	clear(j.mem.byRow)
	for i, h := range carry {
		is := *h
		is.log, is.row = day, uint64(i+3)
		j.mem.running().put(is.token, is.row)
		j.mem.byID[is.entry.ID] = &is
		j.mem.byRow[is.row] = &is
	}
	j.day, j.durable, j.indexed = day, uint64(len(carry)+2), 0
	j.next = max(j.durable+1, skip)
}

func (j *Journal) addDay(day pay.Day) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.days); n == 0 || j.days[n-1] != day {
		j.days = append(j.days, day)
	}
}

// undecided returns what is carried over a cut, in the order of names.
func (m *memory) undecided() []*held {
	all := make([]*held, 0, len(m.byID))
	for _, h := range m.byID {
		if undecided(h.entry.State) {
			all = append(all, h)
		}
	}
	sort.Slice(all, func(a, b int) bool { return before(all[a].entry.ID, all[b].entry.ID) })
	return all
}
