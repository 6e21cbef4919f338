package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// gated is a host that acts on what moves money only when its gate is open.
type gated struct {
	gateway.Adapter
	gate chan struct{}
}

func (g *gated) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	if req.Op.Money() {
		<-g.gate
	}
	return g.Adapter.Do(ctx, req)
}

// hold puts a gate before a host.
func hold(h *gateway.Host) *gated {
	g := &gated{h.Adapter, make(chan struct{})}
	h.Adapter = g
	return g
}

// cutDay cuts the running day while the payment is under way.
func (w *world) cutDay(name string, under *pay.Request) {
	w.t.Helper()
	if err := w.journal.Cut(w.t.Context(), w.journal.Day().Add(1)); err != nil {
		w.t.Fatal(err)
	}
	if e := w.entry(under); e.State != pay.Sent {
		w.t.Errorf("%s: %s at the cut", name, e.State)
	}
}

// TestDayCutInTheMiddle cuts the day while each leg of each product is under way:
// the payment keeps its day, ends as it would have, and counts once; so does what
// undoes it, which is a payment of the day on which it was asked for.
func TestDayCutInTheMiddle(t *testing.T) {
	const public = -1 // the charge is all there is
	for _, c := range []struct {
		name  string
		legs  pay.LegKind // before the posting, or LegNone
		op    pay.Op
		funds pay.Funds
		under int // the leg that is under way, counted from 0, or public
	}{
		{"代收", pay.LegNone, pay.Pay, pay.Taken, 0},
		{"预存", pay.LegNone, pay.Advance, pay.Taken, 0},
		{"POS支付, charge", pay.LegCharge, pay.Pay, pay.Untaken, 0},
		{"POS支付, posting", pay.LegCharge, pay.Pay, pay.Untaken, 1},
		{"公共支付", pay.LegCharge, pay.Pay, pay.Untaken, public},
		{"购电, sale", pay.LegCard, pay.CardPay, pay.Taken, 0},
		{"购电, posting", pay.LegCard, pay.CardPay, pay.Taken, 1},
	} {
		in(t, true, func(t *testing.T, w *world) {
			var bank *counter
			if c.legs != pay.LegNone {
				bank = w.legged(c.legs, true, true)
				w.route.Steps[0].Host.UndoDays = 1
			}
			w.prepaid()
			w.route.Advance = c.op == pay.Advance
			w.host.UndoDays = 1
			posts := 1
			if c.under == public {
				w.steps = w.steps[:1]
				w.route.Steps, posts = w.steps, 0
			}
			s := hold(w.route.Steps[max(c.under, 0)].Host)
			sale := w.sale("000001", 0, c.funds)
			sale.Op = c.op
			told := make(chan pay.Reply, 1)
			go func() { told <- w.do(sale) }()
			synctest.Wait()
			w.cutDay(c.name, sale)
			close(s.gate)
			if rep := <-told; rep.Verdict != pay.Approved {
				t.Errorf("%s: %s/%s", c.name, rep.Verdict, rep.Code)
			}
			e := w.entry(sale)
			if e.State != pay.Succ || e.ID.Day != today {
				t.Errorf("%s: %s of %s", c.name, e.State, e.ID.Day)
			}
			w.posted(sale, posts)
			w.expect(sale, pay.Approved, pay.CodeOK) // a repeat on the new day
			w.posted(sale, posts)
			w.expect(undo(sale), pay.Approved, pay.CodeOK)
			time.Sleep(time.Minute)
			w.state(sale, pay.Revd)
			w.posted(sale, 0)
			if bank != nil {
				if n, twice := bank.counts(); n != 0 || twice != 0 {
					t.Errorf("%s: %d effects left, %d twice", c.name, n, twice)
				}
			}
		})
	}
}

// TestDayCutWhileACustomerDecides: an e-wallet's charge waits for its customer
// across the cut. The question asked meanwhile, or the wallet by itself once the
// kiosk has gone, tells of it; the payment keeps its day and the charge counts
// once.
func TestDayCutWhileACustomerDecides(t *testing.T) {
	for name, at := range map[string]time.Duration{"asked": 10 * time.Second, "told": 40 * time.Second} {
		in(t, true, func(t *testing.T, w *world) {
			c := w.legged(pay.LegCharge, true, true)
			h := w.route.Steps[0].Host
			h.Adapter, h.Poll, h.Timeout, h.UndoDays = pending{c}, 2*time.Second, 20*time.Second, 1
			w.host.UndoDays = 1
			sale := w.sale("000001", 0, pay.Untaken)
			told := make(chan pay.Reply, 1)
			go func() { told <- w.do(sale) }()
			time.Sleep(5 * time.Second)
			w.cutDay(name, sale)
			time.Sleep(at - 5*time.Second)
			serial := w.entry(sale).ID.Serial(1)
			rep := c.take(&pay.Request{Op: pay.Pay, Amount: sale.Amount, Ref: pay.Ref{Serial: serial}})
			w.engine.Late(t.Context(), "posp", serial, rep)
			want, effects := pay.Succ, 1
			if name == "told" { // whoever waited for the posting has gone
				want, effects = pay.Revd, 0
			}
			<-told
			time.Sleep(time.Hour)
			if e := w.entry(sale); e.State != want || e.ID.Day != today {
				t.Errorf("%s: %s of %s", name, e.State, e.ID.Day)
			}
			w.posted(sale, effects)
			if n, twice := c.counts(); n != effects || twice != 0 {
				t.Errorf("%s: %d effects, %d twice", name, n, twice)
			}
		})
	}
}

// TestDayCutInTheMiddleOfARefund cuts the day while money is on its way back, all
// of it or a part: the 退货 is of the day on which it was asked for, and gives
// back once.
func TestDayCutInTheMiddleOfARefund(t *testing.T) {
	for _, part := range []bool{false, true} {
		in(t, true, func(t *testing.T, w *world) {
			p := newPurse()
			h := w.public(p, pay.Refund)
			sale := w.sale("000001", 0, pay.Untaken)
			w.expect(sale, pay.Approved, pay.CodeOK)
			back, want := refundOf(sale, "000002", sale.Amount), pay.Revd
			if part {
				back.Amount, want = 100, pay.Succ
			}
			s := hold(h)
			told := make(chan pay.Reply, 1)
			go func() { told <- w.do(back) }()
			synctest.Wait()
			w.cutDay("退货", back)
			close(s.gate)
			if rep := <-told; rep.Verdict != pay.Approved {
				t.Errorf("%s/%s", rep.Verdict, rep.Code)
			}
			w.expect(back, pay.Approved, pay.CodeOK) // a repeat on the new day
			if e := w.entry(back); e.State != pay.Succ || e.ID.Day != today {
				t.Errorf("退货 %s of %s", e.State, e.ID.Day)
			}
			w.state(sale, want)
			if left := p.left(w.entry(sale).ID.Serial(1)); left != sale.Amount-back.Amount || p.twice != 0 {
				t.Errorf("%d fen left, %d given back twice", left, p.twice)
			}
		})
	}
}
