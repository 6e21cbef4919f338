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
