package gateway_test

import (
	"errors"
	"testing"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

func (w *world) confirm(sale *pay.Request, fix gateway.Fix, want error) {
	w.t.Helper()
	w.confirmed(w.entry(sale).ID, fix, want)
}

func (w *world) confirmed(id pay.ID, fix gateway.Fix, want error) {
	w.t.Helper()
	if err := w.engine.Confirm(w.t.Context(), id, fix); !errors.Is(err, want) || want == nil && err != nil {
		w.t.Errorf("fix %d: got %v, want %v", fix, err, want)
	}
}

// TestConfirm asks the host what it sees: each correction is confirmed by one
// picture and contradicted by the others.
func TestConfirm(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.t = t
		w.host.UndoDays = 5
		there, absent, undone, silent := w.sale("000001", 0, pay.Untaken), w.sale("000002", 1, pay.Taken), w.sale("000003", 2, pay.Untaken), w.sale("000004", 3, pay.Untaken)
		w.expect(there, pay.Approved, pay.CodeOK)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeNothingOwed })
		w.do(absent)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeUnknown })
		w.expect(undone, pay.Approved, pay.CodeOK)
		w.do(undo(undone))
		w.state(undone, pay.Revd)
		w.expect(silent, pay.Approved, pay.CodeOK)
		w.confirm(there, gateway.FixSucceed, gateway.ErrEarly)
		time.Sleep(2 * time.Minute)
		for _, c := range []struct {
			sale *pay.Request
			yes  []gateway.Fix
		}{
			{there, []gateway.Fix{gateway.FixSucceed, gateway.FixReturn, gateway.FixReverse}},
			{absent, []gateway.Fix{gateway.FixFail, gateway.FixUndone, gateway.FixPost, gateway.FixReverse}},
			{undone, []gateway.Fix{gateway.FixUndone, gateway.FixReverse}},
		} {
			yes := map[gateway.Fix]bool{}
			for _, f := range c.yes {
				yes[f] = true
			}
			for f := gateway.FixSucceed; f <= gateway.FixReturn; f++ {
				want := gateway.ErrUnproved
				if yes[f] {
					want = nil
				}
				w.confirm(c.sale, f, want)
			}
		}
		w.wire.set(func(x *wire) { x.deaf = true })
		for f := gateway.FixSucceed; f <= gateway.FixReturn; f++ {
			if f != gateway.FixReverse {
				w.confirm(silent, f, gateway.ErrUnproved)
			}
		}
		w.host.Status = false
		w.confirm(silent, gateway.FixFail, nil) // it cannot be asked; the files stand alone
	})
}

// TestConfirmPosting: nothing is posted that was paid in another way since.
func TestConfirmPosting(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.t = t
		named, plain := w.sale("000001", 0, pay.Taken), w.sale("000002", 1, pay.Taken)
		plain.Bills = nil
		w.wire.set(func(x *wire) { x.refuse = pay.CodeNothingOwed })
		w.do(named)
		w.do(plain)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeUnknown })
		time.Sleep(2 * time.Minute)
		w.confirm(named, gateway.FixPost, nil)
		w.confirm(plain, gateway.FixPost, nil)
		for i, sale := range []*pay.Request{named, plain} {
			counter := w.sale([]string{"000003", "000004"}[i], i, pay.Untaken) // at the utility's own counter
			if rep := w.ledger.Do(t.Context(), counter); rep.Verdict != pay.Approved {
				t.Fatal(rep)
			}
			w.confirm(sale, gateway.FixPost, gateway.ErrNotOwed)
		}
	})
}

// TestConfirmReturn: without a person, only within a window of three days, and
// in the payment's month.
func TestConfirmReturn(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.t = t
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		time.Sleep(2 * time.Minute)
		w.host.UndoDays = 2
		w.confirm(sale, gateway.FixReturn, gateway.ErrLongAgo)
		w.host.UndoDays = 3
		w.confirm(sale, gateway.FixReturn, nil)
		id := w.entry(sale).ID
		for n := 1; n <= 4; n++ {
			if err := w.journal.Cut(t.Context(), today.Add(n)); err != nil {
				t.Fatal(err)
			}
			want := error(nil)
			if n > 3 {
				want = gateway.ErrLongAgo
			}
			w.confirmed(id, gateway.FixReturn, want)
		}
		w.host.UndoDays = 60
		w.confirmed(id, gateway.FixReturn, nil)
		if err := w.journal.Cut(t.Context(), 20000201); err != nil {
			t.Fatal(err)
		}
		w.confirmed(id, gateway.FixReturn, gateway.ErrLongAgo)
	})
}
