package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// Auditor proves logs to be what was written. It needs no secret, so whoever
// has the files and the public key can do it.
type Auditor struct {
	Store  Store
	Dir    string // of the checkpoints
	Node   uint8
	Public *gm.PublicKey
}

// Proof is what an Auditor proved of a log.
type Proof struct {
	Day         pay.Day
	Rows        uint64 // of the log
	Last        uint64 // number of the last row
	Sum         [32]byte
	Checkpoints int    // that hold
	Signed      uint64 // row of the last checkpoint; what follows is chained but not signed yet
	Cut         bool   // the day has ended
}

// Broken says where a log is not what was written.
type Broken struct {
	Day pay.Day
	Row uint64 // the first that does not prove true
	Why string // for people, in Chinese
}

// Error names the row and the reason.
func (b *Broken) Error() string { return fmt.Sprintf("journal: %s row %d: %s", b.Day, b.Row, b.Why) }

// Verify follows the chain of a day's log from its first row to its end and
// holds it against every signed checkpoint, against the day before and against
// what the next day's log says of its end. The error is a *Broken where
// something was changed, taken away or added.
func (a *Auditor) Verify(ctx context.Context, day pay.Day) (Proof, error) {
	v := verification{a: a, chain: newChain(a.Node, day), proof: Proof{Day: day}}
	if err := v.checkpoints(); err != nil {
		return v.proof, err
	}
	rd, err := a.Store.Reader(ctx, day)
	if err != nil {
		return v.proof, err
	}
	err = errors.Join(rd.Read(ctx, Range{}, v.row), rd.Close())
	v.proof.Last, v.proof.Sum = v.chain.row, v.chain.sum
	switch {
	case v.broken != nil:
		return v.proof, v.broken
	case errors.Is(err, ErrDamaged):
		return v.proof, v.fail(v.chain.row+1, err.Error())
	case err != nil:
		return v.proof, err
	case len(v.signed) > 0:
		return v.proof, v.fail(v.chain.row+1, fmt.Sprintf("尾部被截: 流水止于第 %d 行, 而签名已到第 %d 行", v.chain.row, v.signed[len(v.signed)-1].row))
	}
	return v.proof, v.successor(ctx)
}

// Verify proves a log of this journal.
func (j *Journal) Verify(ctx context.Context, day pay.Day) (Proof, error) {
	a := Auditor{Store: j.store, Dir: j.o.Dir, Node: j.o.Node, Public: j.o.Signer.Public()}
	return a.Verify(ctx, day)
}

// verification is one call of Verify.
type verification struct {
	a      *Auditor
	chain  chain
	signed []checkpoint // not met yet, ascending
	good   uint64       // row of the last checkpoint that holds
	proof  Proof
	broken error
}

func (v *verification) fail(row uint64, why string) error {
	return &Broken{Day: v.proof.Day, Row: row, Why: why}
}

// checkpoints reads the signed hashes of the day. A line that does not prove
// true, torn by a crash or forged, says nothing and is left out.
func (v *verification) checkpoints() error {
	return readCheckpoints(v.a.Dir, v.proof.Day, 0, func(line string) {
		c, ok := parseCheckpoint(line, v.a.Node, v.proof.Day, v.a.Public)
		if n := len(v.signed); ok && (n == 0 || c.row > v.signed[n-1].row) {
			v.signed = append(v.signed, c)
		}
	})
}

// row proves one row; it stops at the first that does not prove true.
func (v *verification) row(r *Row) bool {
	v.broken = v.prove(r)
	if v.broken == nil {
		v.proof.Rows++
	}
	return v.broken == nil
}

func (v *verification) prove(r *Row) error {
	switch {
	case v.proof.Cut:
		return v.fail(r.Seq, "日切之后还有行")
	case r.Seq <= v.chain.row:
		return v.fail(r.Seq, "行号不递增")
	case v.proof.Rows == 0 && r.Kind != pay.EvFirst:
		return v.fail(r.Seq, "流水开头缺失")
	}
	if len(v.signed) > 0 && v.signed[0].row < r.Seq {
		return v.fail(v.signed[0].row, "签名的行缺失")
	}
	if v.chain.add(r) != r.Link {
		return v.fail(r.Seq, "哈希链断: 此行或其前的行不是当初所写")
	}
	if len(v.signed) > 0 && v.signed[0].row == r.Seq {
		if v.signed[0].sum != v.chain.sum {
			return v.fail(v.good+1, fmt.Sprintf("第 %d 至 %d 行被改写: 与签名的校验点不符", v.good+1, r.Seq))
		}
		v.good, v.signed = r.Seq, v.signed[1:]
		v.proof.Checkpoints++
		v.proof.Signed = r.Seq
	}
	v.proof.Cut = r.Kind == pay.EvCut
	if r.Kind == pay.EvFirst {
		_, err := v.first(r)
		return err
	}
	return nil
}

// lastOf is what a log's first row says of the log before it.
type lastOf struct {
	day pay.Day
	row uint64
	sum [32]byte
}

// first reads a first row and proves its signature.
func (v *verification) first(r *Row) (lastOf, error) {
	const size = 4 + 8 + 32
	if len(r.Body) < size {
		return lastOf{}, v.fail(r.Seq, "首行不完整")
	}
	p := lastOf{day: pay.Day(binary.BigEndian.Uint32(r.Body)), row: binary.BigEndian.Uint64(r.Body[4:]), sum: [32]byte(r.Body[12:size])}
	if err := v.a.Public.Verify([]byte(gm.DefaultID), firstStatement(v.a.Node, p, v.proof.Day), r.Body[size:]); err != nil {
		return p, v.fail(r.Seq, "首行不是用此密钥签名的")
	}
	return p, nil
}

// successor holds the end of the log against the first row of the next one,
// which names it.
func (v *verification) successor(ctx context.Context) error {
	days, err := v.a.Store.Days(ctx)
	if err != nil {
		return err
	}
	for i, d := range days {
		if d != v.proof.Day || i+1 == len(days) {
			continue
		}
		if !v.proof.Cut {
			return v.fail(v.chain.row+1, "后一日已开始, 却没有日切行")
		}
		return v.held(ctx, days[i+1])
	}
	return nil
}

func (v *verification) held(ctx context.Context, next pay.Day) error {
	rd, err := v.a.Store.Reader(ctx, next)
	if err != nil {
		return err
	}
	after := verification{a: v.a, proof: Proof{Day: next}}
	row, err := one(ctx, rd, 1)
	if err = errors.Join(err, rd.Close()); err != nil {
		return err
	}
	p, err := after.first(&row)
	if err != nil {
		return err
	}
	if p != (lastOf{v.proof.Day, v.chain.row, v.chain.sum}) {
		return v.fail(v.good+1, fmt.Sprintf("%s 记载的本日末尾不同: 第 %d 行", next, p.row))
	}
	return nil
}
