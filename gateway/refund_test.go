package gateway_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// purse is a card centre that gives money back in parts, each under its serial.
type purse struct {
	mu      sync.Mutex
	charged map[string]pay.Amount
	back    map[string]pay.Amount // by serial of the 退货
	of      map[string]string     // whose it is
	silent  int                   // answers that get lost
	deaf    int                   // messages that get lost
	refuse  int
	dedupe  bool
	twice   int
}

func newPurse() *purse {
	return &purse{charged: map[string]pay.Amount{}, back: map[string]pay.Amount{}, of: map[string]string{}}
}

func (p *purse) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if req.Op == pay.Refund && p.deaf > 0 {
		p.deaf--
		return pay.Reply{}, &pay.Fault{Sent: true, Err: context.DeadlineExceeded}
	}
	rep := p.take(req)
	if req.Op == pay.Refund && p.silent > 0 {
		p.silent--
		return pay.Reply{}, &pay.Fault{Sent: true, Err: context.DeadlineExceeded}
	}
	return rep, nil
}

func (p *purse) take(req *pay.Request) pay.Reply {
	yes := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: req.Amount, Serial: "R" + req.Ref.Serial}
	switch req.Op {
	case pay.Pay:
		p.charged[req.Ref.Serial] = req.Amount
		return yes
	case pay.Refund:
		if p.refuse > 0 {
			p.refuse--
			return pay.Answer(pay.Declined, pay.CodeRefused)
		}
		if _, there := p.back[req.Ref.Serial]; there && p.dedupe {
			return yes
		} else if there {
			p.twice++
		}
		p.back[req.Ref.Serial], p.of[req.Ref.Serial] = req.Amount, req.Original.Serial
		return yes
	case pay.Status:
		a, there := p.back[req.Original.Serial]
		if req.Original.Kind != pay.KindRefund {
			a, there = p.charged[req.Original.Serial]
		}
		if !there {
			return pay.Answer(pay.Declined, pay.CodeOriginal)
		}
		yes.Amount = a
		return yes
	case pay.Cancel, pay.Reverse:
		delete(p.charged, req.Original.Serial)
		return yes
	}
	return pay.Answer(pay.Declined, pay.CodeNotAllowed)
}

// left is what a charge has left.
func (p *purse) left(serial string) pay.Amount {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.charged[serial]
	for s, of := range p.of {
		if of == serial {
			a -= p.back[s]
		}
	}
	return a
}

// public gives the world's route a charge and nothing else (公共支付).
func (w *world) public(p *purse, ops ...pay.Op) *gateway.Host {
	h := &gateway.Host{ID: "purse", Adapter: p, Ops: append(ops, pay.Pay, pay.Reverse, pay.Status), Timeout: 10 * time.Second, LateWindow: time.Minute,
		Status: true, Dedupe: p.dedupe, UndoMarks: true, UndoTells: true, RefundDays: 30}
	w.steps = []gateway.Step{{Kind: pay.LegCharge, Host: h}}
	w.route.Steps = w.steps
	return h
}

// refundOf gives back part of a sale.
func refundOf(sale *pay.Request, serial string, amount pay.Amount) *pay.Request {
	r := cancelOf(sale, serial, pay.Refund)
	r.Amount = amount
	return r
}

// TestPartialRefunds gives a payment back in three parts, the last of which ends
// it; what is too much, and what comes behind, is refused in the order of the
// checks: the original, that it is not undone, the amount.
func TestPartialRefunds(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		p := newPurse()
		w.public(p, pay.Refund, pay.Cancel)
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		serial := w.entry(sale).ID.Serial(1)
		absent := refundOf(sale, "000009", sale.Amount+1)
		absent.Original = &pay.Ref{Institution: "301", Kind: pay.KindPay, Scope: "T1", Serial: "000077"}
		w.expect(absent, pay.Declined, pay.CodeOriginal)
		w.expect(refundOf(sale, "000010", sale.Amount+1), pay.Declined, pay.CodeAmount)
		w.expect(refundOf(sale, "000011", -1), pay.Declined, pay.CodeAmount)

		first := refundOf(sale, "000002", 100)
		w.expect(first, pay.Approved, pay.CodeOK)
		w.expect(first, pay.Approved, pay.CodeOK) // a repeat
		w.state(sale, pay.Succ)
		w.expect(refundOf(sale, "000002", 200), pay.Declined, pay.CodeDuplicate)
		w.expect(cancelOf(sale, "000012", pay.Cancel), pay.Declined, pay.CodeAmount) // a 撤销 is about the whole
		w.expect(undo(sale), pay.Declined, pay.CodeWindow)
		w.expect(refundOf(sale, "000013", sale.Amount-99), pay.Declined, pay.CodeAmount)

		w.restart()
		w.expect(refundOf(sale, "000003", 200), pay.Approved, pay.CodeOK)
		if err := w.journal.Cut(t.Context(), today.Add(1)); err != nil {
			t.Fatal(err)
		}
		w.expect(refundOf(sale, "000014", sale.Amount-299), pay.Declined, pay.CodeAmount)
		w.expect(refundOf(sale, "000004", sale.Amount-300), pay.Approved, pay.CodeOK)
		w.state(sale, pay.Revd)
		w.expect(refundOf(sale, "000015", 1), pay.Declined, pay.CodeReversed)
		w.expect(undo(sale), pay.Approved, pay.CodeReversed)
		if left := p.left(serial); left != 0 || p.twice != 0 || len(p.back) != 3 {
			t.Errorf("%d fen left, %d given back in %d parts", left, p.twice, len(p.back))
		}
	})
}

// TestRefundInDoubt: a part whose answer is lost is asked for by its own serial.
// A part that did not arrive is sent once more, and given back once.
func TestRefundInDoubt(t *testing.T) {
	for _, lost := range []string{"answer", "message"} {
		in(t, true, func(t *testing.T, w *world) {
			p := newPurse()
			w.public(p, pay.Refund)
			sale := w.sale("000001", 0, pay.Untaken)
			w.expect(sale, pay.Approved, pay.CodeOK)
			w.expect(refundOf(sale, "000002", 100), pay.Approved, pay.CodeOK)
			p.mu.Lock()
			p.silent, p.deaf = map[string]int{"answer": 1}[lost], map[string]int{"message": 1}[lost]
			p.mu.Unlock()
			part := refundOf(sale, "000003", 200)
			w.expect(part, pay.Unknown, pay.CodeInProgress)
			w.expect(refundOf(sale, "000004", 1), pay.Declined, pay.CodeBlocked)
			w.restart()
			time.Sleep(30 * time.Minute)
			want := map[string]pay.State{"answer": pay.Succ, "message": pay.Fail}[lost]
			w.state(part, want)
			w.state(sale, pay.Succ)
			left := sale.Amount - 100
			if want == pay.Succ {
				left -= 200
			}
			if got := p.left(w.entry(sale).ID.Serial(1)); got != left || p.twice != 0 {
				t.Errorf("%s lost: %d fen left, want %d; %d twice", lost, got, left, p.twice)
			}
			w.expect(refundOf(sale, "000005", left+1), pay.Declined, pay.CodeAmount)
			w.expect(refundOf(sale, "000006", left), pay.Approved, pay.CodeOK)
			w.state(sale, pay.Revd)
		})
	}
}

// TestPartsNeedAHostThatKnowsThem: one that can only reverse gives back all.
func TestPartsNeedAHostThatKnowsThem(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		p := newPurse()
		w.public(p)
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		w.expect(refundOf(sale, "000002", 100), pay.Declined, pay.CodeNotAllowed)
		w.expect(refundOf(sale, "000003", sale.Amount), pay.Approved, pay.CodeOK)
		w.state(sale, pay.Revd)
		if p.left(w.entry(sale).ID.Serial(1)) != 0 {
			t.Error("not given back")
		}
	})
}

// TestRefundsAddUp draws parts, refusals and lost answers: what is given back is
// never more than the payment, and the journal and the centre say the same.
func TestRefundsAddUp(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		in(t, true, func(t *testing.T, w *world) {
			p := newPurse()
			p.dedupe = rapid.Bool().Draw(r, "dedupe")
			w.public(p, pay.Refund)
			sale := w.sale("000001", 0, pay.Untaken)
			w.expect(sale, pay.Approved, pay.CodeOK)
			told := pay.Amount(0)
			for i := range rapid.IntRange(1, 6).Draw(r, "parts") {
				p.mu.Lock()
				p.silent, p.refuse, p.deaf = rapid.IntRange(0, 1).Draw(r, "silent"), rapid.IntRange(0, 1).Draw(r, "refuse"), rapid.IntRange(0, 1).Draw(r, "deaf")
				p.mu.Unlock()
				part := refundOf(sale, fmt.Sprintf("%06d", i+2), pay.Amount(rapid.IntRange(1, int(sale.Amount)).Draw(r, "amount")))
				w.do(part)
				time.Sleep(30 * time.Minute)
				if e := w.entry(part); e.State == pay.Succ {
					told += part.Amount
				} else if e.State != pay.Fail {
					t.Errorf("%s: %s", part.Ref.Serial, e.State)
				}
			}
			left := p.left(w.entry(sale).ID.Serial(1))
			if left != sale.Amount-told || left < 0 || p.twice > 0 || (w.entry(sale).State == pay.Revd) != (left == 0) {
				t.Errorf("%d of %d fen left, %d given back, twice %d, %s", left, sale.Amount, told, p.twice, w.entry(sale).State)
			}
		})
	})
}
