package books

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// A full export is JSON lines or CSV: a head, the rows of one day as they are stored,
// the signed checkpoints, and an end that counts them. It needs no key, shows
// nothing that is sealed, and Import makes the same log of it.
type head struct {
	Format string  `json:"qianzhi_journal"`
	Node   uint8   `json:"node"`
	Day    pay.Day `json:"day"`
}

type tail struct {
	Rows       uint64   `json:"rows"`
	Signatures []string `json:"signatures"`
}

const fullFormat = "full-1"

// record is one line: exactly one of the three.
type record struct {
	Head *head        `json:"head,omitempty"`
	Row  *journal.Row `json:"row,omitempty"`
	Tail *tail        `json:"end,omitempty"`
}

// ExportFull writes a whole day as "jsonl" or "csv". The signatures are read first, so that all
// that is signed is among the rows.
func ExportFull(ctx context.Context, a *journal.Auditor, day pay.Day, w io.Writer, format string) (uint64, error) {
	out, err := newRecorder(w, format)
	if err != nil {
		return 0, err
	}
	end := &tail{}
	sig, err := os.ReadFile(filepath.Join(a.Dir, day.String()+".sig"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	for l := range lines(sig) {
		end.Signatures = append(end.Signatures, l)
	}
	rd, err := a.Store.Reader(ctx, day)
	if err != nil {
		return 0, err
	}
	failed := out.put(record{Head: &head{fullFormat, a.Node, day}})
	err = rd.Read(ctx, journal.Range{}, func(r *journal.Row) bool {
		if failed == nil {
			failed = out.put(record{Row: r})
		}
		end.Rows++
		return failed == nil
	})
	if err = errors.Join(failed, err, rd.Close()); err != nil {
		return 0, err
	}
	return end.Rows, errors.Join(out.put(record{Tail: end}), out.flush())
}

// batchRows are written in one commit by Import.
const batchRows = 1024

// Import makes the log of one day from a full export, in a folder that has no
// such log, and proves it. What does not prove true is taken away again.
func Import(ctx context.Context, a *journal.Auditor, in io.Reader) (proof journal.Proof, err error) {
	next, err := reader(in)
	if err != nil {
		return proof, err
	}
	first, err := next()
	if err != nil || first.Head == nil || first.Head.Format != fullFormat {
		return proof, fmt.Errorf("这不是完整导出: 第一行应有 qianzhi_journal 与 %s", fullFormat)
	}
	day := first.Head.Day
	if first.Head.Node != a.Node {
		return proof, fmt.Errorf("导出来自节点 %d, 这里是 %d", first.Head.Node, a.Node)
	}
	if names, _ := filepath.Glob(filepath.Join(a.Dir, day.String()+".*")); len(names) > 0 || !day.Valid() {
		return proof, fmt.Errorf("%s 在 %s 中已经存在, 不覆盖", day, a.Dir)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, discard(a.Dir, day))
		}
	}()
	if err := importRows(ctx, a, day, next); err != nil {
		return proof, err
	}
	return a.Verify(ctx, day)
}

func importRows(ctx context.Context, a *journal.Auditor, day pay.Day, next func() (record, error)) error {
	w, err := a.Store.Writer(ctx, day)
	if err != nil {
		return err
	}
	end, rows := (*tail)(nil), uint64(0)
	batch := make([]journal.Row, 0, batchRows)
	for end == nil && err == nil {
		r, failed := next()
		if failed != nil {
			err = fmt.Errorf("第 %d 行之后: 导出不完整: %w", rows, failed)
			break
		}
		if end = r.Tail; r.Row != nil {
			batch = append(batch, *r.Row)
			rows++
		}
		if len(batch) == batchRows || end != nil && len(batch) > 0 {
			err = w.Append(ctx, batch)
			batch = batch[:0]
		}
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if end.Rows != rows {
		return fmt.Errorf("导出应有 %d 行, 实有 %d 行", end.Rows, rows)
	}
	sig := ""
	for _, l := range end.Signatures {
		sig += "\n" + l
	}
	return writeFile(filepath.Join(a.Dir, day.String()+".sig"), []byte(sig))
}

// discard removes the files of a day that was only just made.
func discard(dir string, day pay.Day) error {
	names, err := filepath.Glob(filepath.Join(dir, day.String()+".*"))
	for _, n := range names {
		err = errors.Join(err, os.Remove(n))
	}
	return err
}
