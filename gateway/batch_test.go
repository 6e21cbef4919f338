package gateway_test

import (
	"fmt"
	"testing"

	"qianzhi/gateway/pay"
)

// settlement is a 批结算 with the terminal's totals.
func settlement(debit pay.Amount, debits int, credit pay.Amount, credits int) *pay.Request {
	return &pay.Request{Op: pay.Settle, Ref: pay.Ref{Institution: "301", Scope: "T1", Serial: "000900"}, Via: &pay.Via{Link: "pos", Funds: pay.Untaken},
		More: []pay.Field{{ID: pay.FDebitSum, Val: fmt.Sprintf("%012d", debit)}, {ID: pay.FDebitCount, Val: fmt.Sprintf("%03d", debits)},
			{ID: pay.FCreditSum, Val: fmt.Sprintf("%012d", credit)}, {ID: pay.FCreditCount, Val: fmt.Sprintf("%03d", credits)}}}
}

// TestBatchSettlement compares a terminal's totals with the journal: what was
// reversed counts nowhere, what was cancelled counts on both sides, and the cut
// of our day changes nothing.
func TestBatchSettlement(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.legged(pay.LegCharge, true, true)
		said := func(req *pay.Request, want string) {
			t.Helper()
			rep := w.expect(req, pay.Approved, pay.CodeOK)
			if got := pay.Find(rep.More, pay.FBalanced); got != want {
				t.Errorf("%v: answered %q, want %q", req.More, got, want)
			}
		}
		said(settlement(0, 0, 0, 0), "1")
		var sales []*pay.Request
		for i := range 4 {
			sales = append(sales, w.sale(fmt.Sprintf("%06d", i+1), i, pay.Untaken))
			w.expect(sales[i], pay.Approved, pay.CodeOK)
			if i == 1 {
				if err := w.journal.Cut(t.Context(), today.Add(1)); err != nil {
					t.Fatal(err)
				}
			}
		}
		other := w.sale("000009", 5, pay.Untaken)
		other.Ref.Scope = "T2"
		w.expect(other, pay.Approved, pay.CodeOK)
		w.expect(undo(sales[2]), pay.Approved, pay.CodeOK)
		w.expect(cancelOf(sales[3], "000005", pay.Cancel), pay.Approved, pay.CodeOK)
		debit := sales[0].Amount + sales[1].Amount + sales[3].Amount
		said(settlement(debit, 3, sales[3].Amount, 1), "1")
		said(settlement(debit+1, 3, sales[3].Amount, 1), "2")
		said(settlement(debit, 3, 0, 0), "2")
		foreign := settlement(debit-sales[0].Amount, 2, sales[3].Amount, 1)
		foreign.More = append(foreign.More, pay.Field{ID: pay.FForeignDebitSum, Val: fmt.Sprint(sales[0].Amount)}, pay.Field{ID: pay.FForeignDebitCount, Val: "1"})
		said(foreign, "1")
		bad := settlement(debit, 3, 0, 0)
		bad.More[0].Val = "12x"
		w.expect(bad, pay.Declined, pay.CodeFormat)

		w.wire.set(func(x *wire) { x.deaf = true })
		w.do(w.sale("000006", 6, pay.Untaken)) // its outcome is not known
		said(settlement(debit, 3, sales[3].Amount, 1), "2")
	})
}

// TestBatchUpload journals what a terminal uploads, whether the journal agrees
// or not.
func TestBatchUpload(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		up := &pay.Request{Op: pay.BatchUpload, Ref: pay.Ref{Institution: "301", Scope: "T1", Serial: "000901"}, Via: sale.Via,
			Bills: []pay.Bill{{ID: "000001", Amount: sale.Amount}, {ID: "000077", Amount: 1}}}
		before := w.journal.Stats().Rows
		w.expect(up, pay.Approved, pay.CodeOK)
		if after := w.journal.Stats().Rows; after != before+1 {
			t.Errorf("%d rows written, want 1", after-before)
		}
		back := &pay.Request{Op: pay.BatchUpload, Ref: pay.Ref{Institution: "301", Scope: "T1", Serial: "000009"}, Amount: 100, Via: sale.Via,
			Original: &pay.Ref{Institution: "301", Kind: pay.KindRefund, Scope: "T1", Serial: "000009"}}
		w.expect(back, pay.Approved, pay.CodeOK)
		w.expect(&pay.Request{Op: pay.UploadEnd, Ref: up.Ref, Via: sale.Via, More: []pay.Field{{ID: pay.FUploadCount, Val: "0003"}}}, pay.Approved, pay.CodeOK)
	})
}

// TestUploadEnd compares the number that a terminal ends its upload with with
// the payments that arrived; a message that was sent again counts once.
func TestUploadEnd(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		via := w.sale("000001", 0, pay.Untaken).Via
		about := func(op pay.Op, scope string, bills []pay.Bill, count string) *pay.Request {
			return &pay.Request{Op: op, Ref: pay.Ref{Institution: "301", Scope: scope, Serial: "000901"}, Via: via, Bills: bills,
				More: []pay.Field{{ID: pay.FUploadCount, Val: count}}}
		}
		end := func(scope, count string) *pay.Request { return about(pay.UploadEnd, scope, nil, count) }
		w.expect(end("T1", "0000"), pay.Approved, pay.CodeOK)
		w.expect(end("T1", "0001"), pay.Declined, pay.CodeAmount)
		first := about(pay.BatchUpload, "T1", []pay.Bill{{ID: "000001", Amount: 1}, {ID: "000002", Amount: 2}}, "02")
		w.expect(first, pay.Approved, pay.CodeOK)
		w.expect(first, pay.Approved, pay.CodeOK)
		w.expect(end("T1", "0003"), pay.Declined, pay.CodeAmount)
		w.expect(about(pay.BatchUpload, "T1", []pay.Bill{{ID: "000003", Amount: 3}}, "01"), pay.Approved, pay.CodeOK)
		for range 2 { // also when the answer was lost
			w.expect(end("T1", "0003"), pay.Approved, pay.CodeOK)
		}
		w.expect(end("T2", "0003"), pay.Declined, pay.CodeAmount)
		w.expect(end("T1", "x"), pay.Declined, pay.CodeFormat)
		w.expect(end("T1", ""), pay.Approved, pay.CodeOK) // a link that maps none
	})
}
