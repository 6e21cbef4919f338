package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
)

// sources fetches the other parties' files and decides whether there is
// anything to judge.
func (x *run) sources(ctx context.Context) error {
	for p, src := range [parties]Source{MIS: x.c.MIS, Bank: x.c.Bank, Card: x.c.Card} {
		if src == nil {
			continue
		}
		p := Party(p)
		in, err := x.stage(ctx, p, src)
		if err != nil {
			return err
		}
		switch {
		case in.State == Rejected:
			if x.res.Verdict != Refused {
				x.res.Verdict, x.res.Why = Refused, fmt.Sprintf("%s %s: %s", p, filepath.Base(in.Name), in.Why)
			}
			x.live(slog.LevelError, "QZ132", p.String()+" 拒收 "+in.Why, x.res, "")
		case !in.State.usable():
			if x.res.Verdict == Balanced {
				x.res.Verdict, x.res.Why = Incomplete, fmt.Sprintf("缺%s %s %s", p, filepath.Base(in.Name), in.State)
			}
			x.live(slog.LevelWarn, "QZ131", p.String()+" "+in.State.String(), x.res, "")
		}
	}
	return nil
}

// stage copies a party's file among the inputs and opens the copy: what is
// judged is what is kept.
func (x *run) stage(ctx context.Context, p Party, src Source) (*Input, error) {
	in, err := src.Fetch(ctx, x.res.Day)
	if err != nil {
		return nil, err
	}
	in.Party = p
	switch {
	case in.Path != "":
		err = x.stageFile(&in)
	case in.State.usable():
		in.Count, in.table = len(in.Lines), &Lines{List: in.Lines, Tell: declared(in.Lines)}
		if p == MIS || p == Bank { // an empty list still takes part
			in.table.(*Lines).Tell |= map[Party]Fields{MIS: HasSerial, Bank: HasKey}[p]
		}
		sum := sha256.Sum256(in.Raw)
		in.Sum = hex.EncodeToString(sum[:])
		err = writeFile(x.input(in.Name), in.Raw)
	}
	if err != nil {
		return nil, err
	}
	if in.State == Expected && !in.Limit.IsZero() && x.res.At.After(in.Limit) {
		in.State = Overdue
	}
	state := in.State
	if state == Overdue {
		state = Expected
	}
	x.parts = append(x.parts, fmt.Sprintf("%s %d %s %s", p, state, in.Sum, in.Attested))
	if x.last != nil && in.State == Accepted && x.last.sums[p.String()] != "" && x.last.sums[p.String()] != in.Sum {
		in.State = Replaced
	}
	if in.State.usable() {
		x.tables[p] = in.table
	}
	in.Lines = nil
	x.res.Inputs = append(x.res.Inputs, in)
	return &x.res.Inputs[len(x.res.Inputs)-1], nil
}

func (x *run) input(name string) string {
	return filepath.Join(x.dir, "inputs", filepath.Base(name))
}

func (x *run) stageFile(in *Input) error {
	before, err := os.Stat(in.Path)
	if errors.Is(err, fs.ErrNotExist) {
		in.State = Expected
		return nil
	}
	if err != nil {
		return err
	}
	to := x.input(in.Name)
	for n := 2; ; n++ { // two parties may name their files alike
		if _, err := os.Lstat(to); err != nil {
			break
		}
		to = x.input(strconv.Itoa(n) + "-" + filepath.Base(in.Name))
	}
	in.kept = filepath.Base(to)
	if in.Sum, err = copyFile(to, in.Path); err != nil {
		return err
	}
	opened, err := in.Open(to)
	if after, e := os.Stat(in.Path); e != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		in.State = Arriving
		return nil
	}
	if err != nil {
		in.State, in.Why = Rejected, err.Error()
		return nil
	}
	in.State, in.table, in.Count, in.Checks, in.Warning = Accepted, opened.Table, opened.Count, opened.Checks, opened.Warning
	if opened.Empty {
		in.State = Empty
	}
	return nil
}

// copyFile copies a file durably and returns its SHA-256.
func copyFile(to, from string) (string, error) {
	src, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o440)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(dst, sum), struct{ io.Reader }{src}, make([]byte, 1<<20))
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, dst.Sync(), dst.Close())
}

// openFile is what a day leaves to the next.
const openFile = "open.jsonl"

// carried reads what the nearest earlier run left open.
func (x *run) carried() error {
	for d := 1; d <= keySearch; d++ {
		day := x.res.Day.Add(-d)
		b, err := os.ReadFile(filepath.Join(x.home(day, x.c.ID), "latest", openFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if x.opened, err = ReadRecords(b); err != nil {
			return fmt.Errorf("open items of %s: %w", day, err)
		}
		sum := sha256.Sum256(b)
		x.parts = append(x.parts, "open "+hex.EncodeToString(sum[:]))
		return writeFile(x.input("open-"+day.String()+".jsonl"), b)
	}
	return nil
}
