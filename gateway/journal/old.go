package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"sync"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// oldTables remembers which tables of logs older than memory were proved; they
// are searched in their files. It is safe for concurrent use.
type oldTables struct {
	mu     sync.Mutex
	proved map[pay.Day]bool
}

func (o *oldTables) isProved(day pay.Day) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.proved[day]
}

func (o *oldTables) prove(day pay.Day) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.proved[day] = true
}

// oldRows returns the rows under a token in a closed log.
func (j *Journal) oldRows(ctx context.Context, day pay.Day, token uint64) ([]uint64, error) {
	if !j.olds.isProved(day) {
		t, err := j.loadTable(ctx, day)
		if err != nil {
			return nil, err
		}
		if readTable(j.o.Dir, j.tokens, day) == nil { // it could not be written
			return t.rows(nil, token), nil
		}
		j.olds.prove(day)
	}
	return searchTable(tableFile(j.o.Dir, day), token)
}

// askOld looks up a message whose sender's date is older than memory in the
// logs of that time. A sender's day is not ours, so a day more is looked at.
func (j *Journal) askOld(ctx context.Context, a *asking) error {
	req := a.in.Req
	j.mu.Lock()
	old := req.Day != 0 && req.Day < j.day.Add(-j.o.DupDays)
	a.expired = old && req.Day < j.days[0]
	j.mu.Unlock()
	if !old || a.expired {
		return nil
	}
	since := req.Day.Add(-1)
	var err error
	a.before, err = j.findOld(ctx, since, a.row.Ref, func(e *pay.Entry) bool { return e.Req.Ref == req.Ref })
	if err == nil && a.original != 0 {
		a.orig, err = j.findOld(ctx, since, a.original, func(e *pay.Entry) bool { return e.Req.Ref == *req.Original })
	}
	return err
}

// findOld searches the logs that are older than memory, newest first, back to
// a day.
func (j *Journal) findOld(ctx context.Context, since pay.Day, token uint64, fits func(*pay.Entry) bool) (*held, error) {
	j.mu.Lock()
	days, window := j.days, j.mem.logs[0].day
	j.mu.Unlock()
	for i := len(days) - 1; i >= 0 && days[i] >= since; i-- {
		if days[i] >= window {
			continue
		}
		rows, err := j.oldRows(ctx, days[i], token)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			h, err := j.load(ctx, spot{days[i], row})
			if err != nil {
				return nil, err
			}
			if fits(&h.entry) {
				return h, nil
			}
		}
	}
	return nil, nil
}

// loadTable returns the table of a closed log: from its file, or from the log
// itself, and then the file is made.
func (j *Journal) loadTable(ctx context.Context, day pay.Day) (*table, error) {
	if t := readTable(j.o.Dir, j.tokens, day); t != nil {
		return t, nil
	}
	s := scan{log: day, table: new(table)}
	s.open = map[pay.ID]uint64{}
	err := j.reads.with(ctx, day, func(rd Reader) error {
		return rd.Read(ctx, Range{Narrow: true}, s.add)
	})
	if err != nil {
		return nil, fmt.Errorf("journal: reading %s: %w", day, err)
	}
	j.saveTable(logTable{day, s.table})
	return s.table, nil
}

// saveTable writes the file of a closed log's table, which can be made again
// from the log: a failure is only counted.
func (j *Journal) saveTable(log logTable) {
	if err := writeTable(j.o.Dir, j.tokens, log); err != nil {
		j.failed(err)
	}
}

// The file of a closed day's table: the day, the entries sorted by token, and
// a code over both under the index key, without which it is not believed.
const slotSize = 16

func tableFile(dir string, day pay.Day) string { return filepath.Join(dir, day.String()+".dup") }

func writeTable(dir string, k *tokens, log logTable) error {
	all := make([]slot, 0, log.len())
	log.each(func(s slot) { all = append(all, s) })
	sort.Slice(all, func(a, b int) bool {
		return all[a].token < all[b].token || all[a].token == all[b].token && all[a].row < all[b].row
	})
	b := make([]byte, 0, 8+len(all)*slotSize+32)
	b = binary.BigEndian.AppendUint64(b, uint64(log.day))
	for _, s := range all {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, s.token), s.row)
	}
	code := k.mac.Sum([]byte("table"), b)
	name := tableFile(dir, log.day)
	err := os.WriteFile(name+".part", append(b, code[:]...), 0o600)
	if err == nil {
		err = os.Rename(name+".part", name)
	}
	if err != nil {
		return fmt.Errorf("journal: table of %s: %w", log.day, err)
	}
	return nil
}

// readTable returns nil where there is no file that can be believed.
func readTable(dir string, k *tokens, day pay.Day) *table {
	b, err := os.ReadFile(tableFile(dir, day))
	if err != nil || len(b) < 8+32 || (len(b)-8-32)%slotSize != 0 {
		return nil
	}
	b, given := b[:len(b)-32], b[len(b)-32:]
	code := k.mac.Sum([]byte("table"), b)
	if !gm.EqualMAC(code[:], given) || binary.BigEndian.Uint64(b) != uint64(day) {
		return nil
	}
	t := new(table)
	for r := bytes.NewBuffer(b[8:]); r.Len() > 0; {
		e := r.Next(slotSize)
		t.put(binary.BigEndian.Uint64(e), binary.BigEndian.Uint64(e[8:]))
	}
	return t
}

// searchTable returns the rows under a token in a table's file, of which it
// reads a few blocks only.
func searchTable(name string, token uint64) ([]uint64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	n := int(size-8-32) / slotSize
	var failed error
	at := func(i int) slot {
		var b [slotSize]byte
		if _, err := f.ReadAt(b[:], 8+int64(i)*slotSize); err != nil {
			failed = err
		}
		return slot{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
	}
	var rows []uint64
	for i := sort.Search(n, func(i int) bool { return at(i).token >= token }); i < n && failed == nil; i++ {
		s := at(i)
		if s.token != token {
			break
		}
		rows = append(rows, s.row)
	}
	return rows, failed
}
