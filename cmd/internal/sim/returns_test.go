package sim

import (
	"sync"
	"time"

	"qianzhi/adapters/posp"
	"qianzhi/gateway/pay"
)

// givings are what a host gave back on 撤销 and 退货, by the key of each.
type givings struct {
	dedupe bool
	mu     *sync.Mutex
	by     map[string]*giving
}

type giving struct {
	amount pay.Amount
	times  int
}

func newGivings(dedupe bool) givings {
	return givings{dedupe, new(sync.Mutex), map[string]*giving{}}
}

// give answers a 退货 of a payment of which so much was given back; whole is what
// it was. A host gives whatever it is asked for while something is left: that it
// is not too much is the gateway's affair.
func (g *givings) give(req *pay.Request, whole pay.Amount, given *pay.Amount, there bool) pay.Reply {
	return g.giveAs(req.Ref.Serial, req, whole, given, there)
}

func (g *givings) giveAs(key string, req *pay.Request, whole pay.Amount, given *pay.Amount, there bool) pay.Reply {
	g.mu.Lock()
	defer g.mu.Unlock()
	rep := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: req.Amount, Serial: "G1"}
	switch x := g.by[key]; {
	case x != nil && g.dedupe:
		return rep
	case !there || *given >= whole:
		return pay.Answer(pay.Approved, pay.CodeReversed)
	}
	g.note(key, req.Amount)
	*given += req.Amount
	return rep
}

// note books what was given back; the caller holds the lock.
func (g *givings) note(key string, amount pay.Amount) {
	if g.by[key] == nil {
		g.by[key] = &giving{amount: amount}
	}
	g.by[key].times++
}

// reversed books a 撤销, or a 冲正, whose key is that of what it undid.
func (g *givings) reversed(key string, amount pay.Amount) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.note(key, amount)
}

// status tells what became of a 退货.
func (g *givings) status(req *pay.Request) pay.Reply {
	g.mu.Lock()
	defer g.mu.Unlock()
	if x := g.by[req.Original.Serial]; x != nil {
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: x.amount, Serial: "G1"}
	}
	return pay.Answer(pay.Declined, pay.CodeOriginal)
}

// of returns how often the 撤销 or 退货 with a key gave back.
func (g *givings) of(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if x := g.by[key]; x != nil {
		return x.times
	}
	return 0
}

// giveBack asks for a 撤销 or for a 退货 of all or a part of a sale, until somebody
// says a final word.
func (t *teller) giveBack(d *deal) {
	op, amount := pay.Refund, d.req.Amount
	if t.r.IntN(2) == 0 {
		amount = 1 + pay.Amount(t.r.Int64N(int64(amount)))
	} else if t.link != "qr" && t.r.IntN(2) == 0 {
		op = pay.Cancel
	}
	orig := d.req.Ref
	req := t.fill(&pay.Request{Op: op, Account: d.req.Account, Amount: amount, Original: &orig})
	req.More = append(req.More, pay.Field{ID: pay.FOriginalBatch, Val: "000001"}, pay.Field{ID: pay.FOriginalDate, Val: d.req.Day.String()})
	d.asked = true
	d.returns = append(d.returns, req)
	for range 60 {
		rep, err := t.send(req)
		switch {
		case err != nil:
		case rep.Verdict == pay.Approved:
			d.given += amount
			return
		case rep.Verdict == pay.Declined:
			return
		}
		time.Sleep(5*time.Second + time.Duration(t.r.Int64N(int64(20*time.Second))))
	}
}

// returned holds what hosts gave back against what the journal says of each 撤销
// and 退货, and the sum against the original.
func (w *world) returned(key string, e *pay.Entry, all map[pay.ID]pay.Entry) {
	orig := all[e.Original]
	for i := range e.Legs {
		n, where := w.host.back.of(e.ID.Serial(1)), "the MIS"
		switch {
		case e.Legs[i].Kind == pay.LegCharge && orig.Req.Via.Link == "qr":
			n, where = w.purses.back.of(e.ID.Serial(1)), "the wallet"
		case e.Legs[i].Kind == pay.LegCharge:
			batch, trace, err := posp.Numbers(e.ID.Serial(1))
			w.must(err)
			n, where = w.centre.back.of(batch+trace), "the card centre"
		}
		switch {
		case n > 1:
			w.fail("%s gave back %d times at %s", key, n, where)
		case e.State == pay.Succ && n != 1, e.State == pay.Fail && n != 0:
			w.fail("%s is %s and gave back %d times at %s", key, e.State, n, where)
		}
	}
}

// gave holds what hosts gave back of a payment in all against the journal.
func (w *world) gave(e pay.Entry, sum pay.Amount) {
	for i := range e.Legs {
		given, where := w.host.given(e.ID.Serial(1)), "the MIS"
		switch {
		case e.Legs[i].Kind == pay.LegCharge && e.Req.Via.Link == "qr":
			given, where = w.purses.given(e.ID.Serial(1)), "the wallet"
		case e.Legs[i].Kind == pay.LegCharge:
			given, where = w.centre.given(e.ID), "the card centre"
		}
		if given != sum {
			w.fail("%s of %d had %d given back at %s, the journal says %d", e.ID.Serial(1), e.Req.Amount, given, where, sum)
		}
	}
}

// givenBack adds up the 退货 of each payment: one that is given back whole is REVD.
func (w *world) givenBack(deals []*deal, all map[string]pay.Entry) {
	byID := map[pay.ID]pay.Entry{}
	sum, waits := map[pay.ID]pay.Amount{}, map[pay.ID]bool{}
	for _, e := range all {
		byID[e.ID] = e
	}
	for key, e := range all {
		if e.Undoes() && len(e.Legs) > 0 {
			w.returned(key, &e, byID)
			sum[e.Original] += 0
			if e.State == pay.Succ {
				sum[e.Original] += e.Req.Amount
			}
			waits[e.Original] = waits[e.Original] || e.State == pay.Susp
		}
	}
	for id := range sum {
		if !waits[id] {
			w.gave(byID[id], sum[id])
		}
	}
	for id, given := range sum {
		if e := byID[id]; given > e.Req.Amount || e.State != pay.Susp && (given == e.Req.Amount) != (e.State == pay.Revd) {
			w.fail("%s of %d is %s with %d given back", id.Serial(1), e.Req.Amount, e.State, given)
		}
	}
	for _, d := range deals {
		if e, ok := all[keyOf(d)]; ok && d.given > sum[e.ID] {
			w.fail("%s was told that %d went back, the journal says %d", keyOf(d), d.given, sum[e.ID])
		}
		for _, r := range d.returns {
			if e, ok := all[keyOf(&deal{link: d.link, req: r})]; ok && e.State.Open() {
				w.fail("%s of %s is %s although all is calm", r.Op, keyOf(d), e.State)
			}
		}
	}
}
