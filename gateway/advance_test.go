package gateway_test

import (
	"context"
	"testing"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// prepaid lets the world's route take more than is owed.
func (w *world) prepaid() {
	w.host.Ops = []pay.Op{pay.Pay, pay.Advance, pay.Query, pay.Reverse, pay.Status}
	w.route.Advance = true
}

// balance is what the marketing system says the customer has paid in advance.
func (w *world) balance(c mis.Customer) (balance string, owed int) {
	rep := w.ledger.Do(context.Background(), &pay.Request{Op: pay.Query, Account: c.Account})
	return pay.Find(rep.More, pay.FBalance), len(rep.Bills)
}

// TestAdvance: what is beyond the arrears, and what is paid without any, is the
// customer's balance, and a reversal takes both back.
func TestAdvance(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.prepaid()
		c := w.customers[0]
		owes := len(c.Bills)
		more := w.sale("000001", 0, pay.Untaken)
		more.Bills, more.Amount = nil, owed(c)+500
		rep := w.expect(more, pay.Approved, pay.CodeOK)
		if got := pay.Find(rep.More, pay.FAdvance); got != "500" {
			t.Errorf("told that %q went to the balance", got)
		}
		if b, n := w.balance(c); b != "500" || n != 0 {
			t.Errorf("balance %s, %d bills open", b, n)
		}
		again := w.sale("000002", 0, pay.Untaken)
		again.Op, again.Bills, again.Amount = pay.Advance, nil, 700
		w.expect(again, pay.Approved, pay.CodeOK)
		w.expect(again, pay.Approved, pay.CodeOK) // a repeat
		if b, _ := w.balance(c); b != "1200" {
			t.Errorf("balance %s after 700 more", b)
		}
		for _, r := range []*pay.Request{undo(again), undo(more)} {
			w.expect(r, pay.Approved, pay.CodeOK)
		}
		if b, n := w.balance(c); b != "0" || n != owes {
			t.Errorf("balance %s, %d bills open after the reversals, want 0 and %d", b, n, owes)
		}
		w.posted(more, 0)
	})
}

// TestAdvanceInDoubt: an answer that is lost is asked for; the balance grows
// once.
func TestAdvanceInDoubt(t *testing.T) {
	for _, lost := range []int{0, 1} {
		in(t, true, func(t *testing.T, w *world) {
			w.prepaid()
			h := &once{Adapter: w.wire, reply: lost == 1}
			w.host.Adapter = h
			req := w.sale("000001", 0, pay.Taken)
			req.Op, req.Bills, req.Amount = pay.Advance, nil, 700
			w.expect(req, pay.Unknown, pay.CodeInProgress)
			time.Sleep(30 * time.Minute)
			w.state(req, pay.Succ)
			w.posted(req, 1)
		})
	}
}

// once loses the first 预存, or its answer.
type once struct {
	gateway.Adapter
	reply, lost bool
}

func (o *once) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	if req.Op != pay.Advance || o.lost {
		return o.Adapter.Do(ctx, req)
	}
	o.lost = true
	if o.reply {
		if _, err := o.Adapter.Do(ctx, req); err != nil {
			return pay.Reply{}, err
		}
	}
	return silence(ctx)
}

// TestAdvanceWhereTheRouteHasNone: more than the arrears is refused, and so is
// 预存 itself; and a route's limit is its own.
func TestAdvanceWhereTheRouteHasNone(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		more := w.sale("000001", 0, pay.Untaken)
		more.Bills, more.Amount = nil, owed(w.customers[0])+500
		w.expect(more, pay.Declined, pay.CodeAmount)
		ahead := w.sale("000002", 1, pay.Untaken)
		ahead.Op, ahead.Bills = pay.Advance, nil
		w.expect(ahead, pay.Declined, pay.CodeNoRoute)
		w.prepaid()
		w.route.Max = 1000
		ahead = w.sale("000003", 2, pay.Untaken)
		ahead.Op, ahead.Bills, ahead.Amount = pay.Advance, nil, 1001
		w.expect(ahead, pay.Declined, pay.CodeLimit)
		ahead = w.sale("000004", 2, pay.Untaken)
		ahead.Op, ahead.Bills, ahead.Amount = pay.Advance, nil, 1000
		w.expect(ahead, pay.Approved, pay.CodeOK)
	})
}

// TestAdvanceNeedsAHostThatTakesIt, which is said when the configuration is
// read.
func TestAdvanceNeedsAHostThatTakesIt(t *testing.T) {
	h := &gateway.Host{ID: "mis", Ops: []pay.Op{pay.Pay}}
	rs := gateway.Routes{{ID: "a", Steps: []gateway.Step{{Kind: pay.LegPost, Host: h}}, InFlight: 1, Advance: true}}
	if err := rs.Check(); err == nil {
		t.Error("accepted")
	}
	h.Ops = append(h.Ops, pay.Advance)
	if err := rs.Check(); err != nil {
		t.Error(err)
	}
}
