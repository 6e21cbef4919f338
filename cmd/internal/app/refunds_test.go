package app

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// refunder is a terminal whose money goes back in parts, with the books that its
// bank keeps.
type refunder struct {
	t         *testing.T
	a         *App
	customers []mis.Customer
	n         int
	bank      map[pay.Day][]statement.Row
}

// do sends a message and wants it approved.
func (c *refunder) do(req *pay.Request) {
	c.t.Helper()
	if rep := c.a.engine.Do(c.t.Context(), req); rep.Verdict != pay.Approved {
		c.t.Errorf("%s %s: %s/%s", req.Op, req.Ref.Serial, rep.Verdict, rep.Code)
	}
}

func (c *refunder) message(op pay.Op, account string, amount pay.Amount) *pay.Request {
	c.n++
	return &pay.Request{Op: op, Ref: pay.Ref{Institution: "301", Kind: op.Kind(), Scope: "T1", Serial: fmt.Sprintf("%06d", c.n)}, Day: c.a.journal.Day(), Account: account, Amount: amount,
		More: []pay.Field{{ID: pay.FTerminal, Val: "T1"}, {ID: pay.FBatch, Val: "000001"}}, Via: &pay.Via{Link: "pos", Funds: pay.Untaken, At: time.Now()}}
}

// books enters a line into the bank's file.
func (c *refunder) books(req *pay.Request, effect reconcile.Effect) {
	c.bank[req.Day] = append(c.bank[req.Day], statement.Row{Effect: effect, Amount: req.Amount, Out: req.Op == pay.Refund, Values: map[string]string{"channel": "pos",
		"terminal": "T1", "batch": "000001", "sender_date": req.Day.String(), "serial": req.Ref.Serial, "account": req.Account, "sender_time": "10:00:00"}})
}

// pay sells to customer i; gone says that the bank's file has it as given back.
func (c *refunder) pay(i int, gone bool) *pay.Request {
	c.t.Helper()
	sum := pay.Amount(0)
	for _, b := range c.customers[i].Bills {
		sum += b.Amount
	}
	req := c.message(pay.Pay, c.customers[i].Account, sum)
	c.do(req)
	effect := reconcile.Charged
	if gone {
		effect = reconcile.Undone
	}
	c.books(req, effect)
	return req
}

// refund gives part of a sale back, which the bank's file lists by itself where
// told is true.
func (c *refunder) refund(sale *pay.Request, amount pay.Amount, told bool) {
	c.t.Helper()
	req := c.message(pay.Refund, sale.Account, amount)
	req.Original = &sale.Ref
	c.do(req)
	if told {
		c.books(req, reconcile.Charged)
	}
}

// TestRefundsInTheBooks: what is given back in parts, and of an earlier day, is in
// the books of the day on which it is given back, to the fen; what is given back
// whole on its own day is in none.
func TestRefundsInTheBooks(t *testing.T) {
	file := install(t, "127.0.0.1:7100", port(t), "127.0.0.1:7001", "127.0.0.1:0", "127.0.0.1:7002", "127.0.0.1:0", "127.0.0.1:7003", "127.0.0.1:0",
		"refund_days: 0", "refund_days: 30")
	a := started(t, file)
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	customers, err := a.Ledger().Seed(t.Context(), rand.New(rand.NewPCG(1, 2)), 8)
	if err != nil {
		t.Fatal(err)
	}
	c := &refunder{t: t, a: a, customers: customers, bank: map[pay.Day][]statement.Row{}}
	first := a.journal.Day()
	c.refund(c.pay(0, false), 100, true)
	parts := c.pay(1, false)
	c.refund(parts, 300, true)
	c.refund(parts, parts.Amount-300, true)
	whole := c.pay(2, true)
	c.refund(whole, whole.Amount, false)
	later, more := c.pay(3, false), c.pay(4, false)
	cut := func(d pay.Day) {
		if err := a.Cut(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	cut(first.Add(1))
	c.pay(5, false)
	c.refund(later, later.Amount, true)
	c.refund(more, 50, true)
	c.refund(more, 70, true)
	cut(first.Add(2))
	for _, d := range []pay.Day{first, first.Add(1)} {
		spec := a.plan.specs["statements/bank-lines.yaml"]
		b, err := spec.Write(d, c.bank[d])
		if err == nil {
			err = os.WriteFile(filepath.Join(a.plan.Config.data("inbox"), spec.File(d)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		res, err := a.Reconcile(t.Context(), d)
		if err != nil || len(res) != 1 {
			t.Fatal(res, err)
		}
		r, want, n := res[0], pay.Amount(0), 0
		for _, row := range c.bank[d] {
			switch {
			case row.Effect != reconcile.Charged:
				continue
			case row.Out:
				want -= row.Amount
			default:
				want += row.Amount
			}
			n++
		}
		if r.Verdict != reconcile.Balanced || len(r.Items) > 0 {
			t.Errorf("%s: %s %s, %d items %+v", d, r.Verdict, r.Why, len(r.Items), r.Items)
		}
		for _, p := range []reconcile.Party{reconcile.Journal, reconcile.MIS, reconcile.Bank} {
			if got := r.Totals[p]; got.Sum != want || got.Count != n {
				t.Errorf("%s %s: %d lines, %s, want %d, %s", d, p, got.Count, got.Sum.Yuan(), n, want.Yuan())
			}
		}
	}
}
