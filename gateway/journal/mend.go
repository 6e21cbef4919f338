package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"qianzhi/gateway/pay"
)

// ErrDamaged is what a Store returns, wrapped, where a log cannot be read
// because its bytes are not what was written.
var ErrDamaged = errors.New("journal: log is damaged")

// ErrLoss reports that rows are gone or changed although a signed checkpoint
// covers them: payments that were acknowledged may be unknown.
var ErrLoss = errors.New("journal: signed rows are lost")

// afterDamage is how many row numbers are left out after a damaged tail, so
// that no number that a host may have seen serves twice.
const afterDamage = 1 << 20

// ending is where a log ends.
type ending struct {
	chain  chain
	last   Row
	next   uint64
	signed uint64
	damage string // what was cut off; empty for nothing
}

// mend finds the end of a log and proves its rows behind the last signed
// checkpoint. Rows at the end that do not prove true are cut off.
func (j *Journal) mend(ctx context.Context, day pay.Day) (ending, error) {
	cp := lastCheckpoint(j.o.Dir, j.o.Node, day, j.o.Signer.Public())
	end, why := j.walk(ctx, day, cp)
	skip, err := skipped(j.o.Dir, day)
	end.next = max(end.next, skip)
	if err != nil || why == nil {
		return end, err
	}
	if !errors.Is(why, ErrDamaged) && !errors.Is(why, errBroken) {
		return end, why
	}
	if errors.Is(why, errCheckpoint) {
		if !j.o.AcceptLoss {
			return end, fmt.Errorf("%w: %s, checkpoint at row %d: %w; journal verify tells more, accept_loss starts without them", ErrLoss, day, cp.row, why)
		}
		if end, why = j.walk(ctx, day, checkpoint{}); why == nil {
			end.next = max(end.next, skip)
			why = fmt.Errorf("ends at row %d, signed to row %d", end.chain.row, cp.row)
		}
	}
	aside, err := j.cutOff(ctx, day, &end, cp.row)
	if err != nil {
		return end, errors.Join(why, err)
	}
	end.damage = fmt.Sprintf("尾部损坏已截断 日=%s 保留至行=%d 原文件=%s 原因=%v", day, end.chain.row, aside, why)
	return end, nil
}

// cutOff ends a log at its last good row. What must be remembered when the
// process dies in between is written first: the numbers that are used up, and
// that the old checkpoints no longer hold.
func (j *Journal) cutOff(ctx context.Context, day pay.Day, end *ending, signed uint64) (string, error) {
	end.next = max(end.next, signed+1) + afterDamage
	end.signed = 0
	if err := writeFile(skipFile(j.o.Dir, day), strconv.AppendUint(nil, end.next, 10)); err != nil {
		return "", err
	}
	name := signatures(j.o.Dir, day)
	if err := os.Rename(name, fmt.Sprintf("%s.damaged-%d", name, end.next)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return j.store.Salvage(ctx, day, end.chain.row)
}

// skipFile holds the first row number that is free in a log whose end was cut
// off.
func skipFile(dir string, day pay.Day) string { return filepath.Join(dir, day.String()+".skip") }

func skipped(dir string, day pay.Day) (uint64, error) {
	b, err := os.ReadFile(skipFile(dir, day))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(b), 10, 64)
}

// writeFile replaces a small file so that it is durable and never half there.
func writeFile(name string, b []byte) error {
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".part", name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var (
	errBroken     = errors.New("chain is broken")
	errCheckpoint = errors.New("row differs from the signed checkpoint")
)

// walk follows the chain of a log from a checkpoint to its end. The error
// wraps errBroken or ErrDamaged at the first row that does not prove true;
// ending is then where the good rows end.
func (j *Journal) walk(ctx context.Context, day pay.Day, cp checkpoint) (ending, error) {
	end := ending{chain: newChain(j.o.Node, day), next: 1, signed: cp.row}
	if cp.row > 0 {
		end.chain.sum, end.chain.row = cp.sum, cp.row
	}
	rd, err := j.store.Reader(ctx, day)
	if err != nil {
		return end, err
	}
	first := cp.row > 0
	var why error
	err = rd.Read(ctx, Range{From: cp.row}, func(r *Row) bool {
		end.next = max(end.next, r.Seq+1)
		if first {
			first = false
			if r.Seq != cp.row || r.Link != cp.link() {
				why = fmt.Errorf("%w: %w: row %d", errBroken, errCheckpoint, cp.row)
			} else {
				end.last = *r
			}
			return why == nil
		}
		c := end.chain
		if why == nil && (r.Seq <= c.row || c.add(r) != r.Link) {
			why = fmt.Errorf("%w at row %d", errBroken, r.Seq)
		}
		if why == nil {
			end.chain, end.last = c, *r
		}
		return true // the highest number counts, however the row fares
	})
	if first && why == nil && (err == nil || errors.Is(err, ErrDamaged)) {
		why = fmt.Errorf("%w: %w: row %d is missing", errBroken, errCheckpoint, cp.row)
	}
	return end, errors.Join(why, err, rd.Close())
}
