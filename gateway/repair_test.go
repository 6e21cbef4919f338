package gateway_test

import (
	"errors"
	"testing"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// repair corrects the payment of a request.
func (w *world) repair(sale *pay.Request, fix gateway.Fix) (pay.State, error) {
	return w.engine.Repair(w.t.Context(), w.entry(sale).ID, fix, "k1", "两人批准")
}

// TestRepairOfTheRecord: what the files prove is written down, along the states
// that are allowed, and nothing is sent.
func TestRepairOfTheRecord(t *testing.T) {
	for _, c := range []struct {
		name  string
		reach pay.State
		fix   gateway.Fix
		want  pay.State
	}{
		{"unknown succeeded", pay.Unkn, gateway.FixSucceed, pay.Succ},
		{"unknown failed", pay.Unkn, gateway.FixFail, pay.Fail},
		{"unknown undone", pay.Unkn, gateway.FixUndone, pay.Revd},
		{"failed succeeded", pay.Fail, gateway.FixSucceed, pay.Succ},
		{"succeeded undone", pay.Succ, gateway.FixUndone, pay.Revd},
		{"succeeded again", pay.Succ, gateway.FixSucceed, pay.Succ},
	} {
		in(t, true, func(t *testing.T, w *world) {
			w.t = t
			sale := w.sale("000001", 0, pay.Untaken)
			switch c.reach {
			case pay.Unkn:
				w.wire.deaf = true
			case pay.Fail:
				w.wire.refuse = pay.CodeNothingOwed
			}
			w.do(sale)
			w.state(sale, c.reach)
			calls := w.wire.count(pay.Pay)
			if got, err := w.repair(sale, c.fix); err != nil || got != c.want {
				t.Errorf("%s: %s, %v", c.name, got, err)
			}
			w.state(sale, c.want)
			time.Sleep(time.Hour)
			w.state(sale, c.want)
			if n := w.wire.count(pay.Pay); n != calls {
				t.Errorf("%s: %d postings were sent", c.name, n-calls)
			}
		})
	}
}

// TestRepost makes a posting that never arrived, under the serial of its
// payment and once, however often it is asked for.
// TestRepairOfAReturn: one that people find done makes of its original what it
// would have, one that they find not done lets the next begin, and neither is
// taken back.
func TestRepairOfAReturn(t *testing.T) {
	for _, done := range []bool{true, false} {
		in(t, true, func(t *testing.T, w *world) {
			p := newPurse()
			h := w.public(p, pay.Refund)
			h.Status = false
			sale := w.sale("000001", 0, pay.Untaken)
			w.expect(sale, pay.Approved, pay.CodeOK)
			p.mu.Lock()
			p.silent = 1
			p.mu.Unlock()
			back := refundOf(sale, "000002", sale.Amount)
			w.do(back)
			time.Sleep(time.Hour)
			w.state(back, pay.Susp)
			id := w.entry(back).ID
			for _, fix := range []gateway.Fix{gateway.FixUndone, gateway.FixReverse, gateway.FixPost, gateway.FixReturn} {
				if s, err := w.engine.Repair(t.Context(), id, fix, "k", "why"); !errors.Is(err, gateway.ErrNotFit) || s != pay.Susp {
					t.Errorf("%d: %s, %v", fix, s, err)
				}
			}
			fix, child, orig := gateway.FixFail, pay.Fail, pay.Succ
			if done {
				fix, child, orig = gateway.FixSucceed, pay.Succ, pay.Revd
			}
			for range 2 {
				if s, err := w.engine.Repair(t.Context(), id, fix, "k", "why"); err != nil || s != child {
					t.Errorf("%s, %v", s, err)
				}
			}
			w.state(sale, orig)
			if !done {
				w.expect(refundOf(sale, "000003", 1), pay.Approved, pay.CodeOK)
			}
		})
	}
}

func TestRepost(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.t = t
		sale := w.sale("000001", 0, pay.Taken)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeNothingOwed })
		w.do(sale)
		w.state(sale, pay.Susp)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeUnknown })
		if _, err := w.repair(sale, gateway.FixPost); !errors.Is(err, gateway.ErrUnproved) {
			t.Errorf("before its late window: %v", err)
		}
		time.Sleep(2 * time.Minute)
		w.wire.set(func(x *wire) { x.loseReplies = 1 })
		if _, err := w.repair(sale, gateway.FixPost); err == nil {
			t.Error("done although nobody answered")
		}
		time.Sleep(time.Hour)
		for range 2 {
			if got, err := w.repair(sale, gateway.FixPost); err != nil || got != pay.Adjd {
				t.Errorf("got %s, %v", got, err)
			}
		}
		w.posted(sale, 1)
	})
}

// TestReturn takes a posting back that nobody paid for; what the host does not
// confirm is not begun.
func TestReturn(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.t = t
		paid, none := w.sale("000001", 0, pay.Untaken), w.sale("000002", 1, pay.Untaken)
		w.expect(paid, pay.Approved, pay.CodeOK)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeNothingOwed })
		w.do(none)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeUnknown })
		if _, err := w.repair(none, gateway.FixReturn); !errors.Is(err, gateway.ErrUnproved) {
			t.Errorf("nothing to return: %v", err)
		}
		for range 2 {
			if got, err := w.repair(paid, gateway.FixReturn); err != nil || got != pay.Adjd {
				t.Errorf("got %s, %v", got, err)
			}
		}
		w.posted(paid, 0)
		if n := w.wire.count(pay.Reverse) + w.wire.count(pay.Cancel); n != 1 {
			t.Errorf("%d returns", n)
		}
		if _, err := w.repair(none, gateway.FixReverse); !errors.Is(err, gateway.ErrNotFit) {
			t.Errorf("nothing owed: %v", err)
		}
	})
}
