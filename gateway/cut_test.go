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
	if req.Op.Collects() {
		<-g.gate
	}
	return g.Adapter.Do(ctx, req)
}

// TestDayCutInTheMiddle cuts the day while each leg of each product is under way:
// the payment keeps its day, ends as it would have, and counts once; so does what
// undoes it, which is a payment of the day on which it was asked for.
func TestDayCutInTheMiddle(t *testing.T) {
	for _, c := range []struct {
		name  string
		legs  pay.LegKind // before the posting, or LegNone
		op    pay.Op
		funds pay.Funds
		hold  int // the leg that is under way, counted from 0
	}{
		{"代收", pay.LegNone, pay.Pay, pay.Taken, 0},
		{"预存", pay.LegNone, pay.Advance, pay.Taken, 0},
		{"POS支付, charge", pay.LegCharge, pay.Pay, pay.Untaken, 0},
		{"POS支付, posting", pay.LegCharge, pay.Pay, pay.Untaken, 1},
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
			at := w.route.Steps[c.hold].Host
			s := &gated{at.Adapter, make(chan struct{})}
			at.Adapter = s
			sale := w.sale("000001", 0, c.funds)
			sale.Op = c.op
			told := make(chan pay.Reply, 1)
			go func() { told <- w.do(sale) }()
			synctest.Wait()
			if err := w.journal.Cut(t.Context(), today.Add(1)); err != nil {
				t.Fatal(err)
			}
			if e := w.entry(sale); e.State != pay.Sent {
				t.Errorf("%s: %s at the cut", c.name, e.State)
			}
			close(s.gate)
			if rep := <-told; rep.Verdict != pay.Approved {
				t.Errorf("%s: %s/%s", c.name, rep.Verdict, rep.Code)
			}
			e := w.entry(sale)
			if e.State != pay.Succ || e.ID.Day != today {
				t.Errorf("%s: %s of %s", c.name, e.State, e.ID.Day)
			}
			w.posted(sale, 1)
			w.expect(sale, pay.Approved, pay.CodeOK) // a repeat on the new day
			w.posted(sale, 1)
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
