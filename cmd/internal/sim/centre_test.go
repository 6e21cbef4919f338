package sim

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"qianzhi/adapters/posp"
	"qianzhi/adapters/socket"
	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// centre is the card centre: a handler with books of its own that survives
// every crash of the gateway. It answers no query of an outcome.
type centre struct {
	dedupe bool // charges one trace once, and answers a repeat as the first
	marks  bool // refuses a charge whose reversal came first
	tells  bool // says when there was nothing to reverse
	back   givings

	mu    sync.Mutex
	books map[string]*ticket
	wrong []string
}

// ticket is what the centre knows under a trace number.
type ticket struct {
	amount   pay.Amount
	went     pay.Amount // back on 撤销 and 退货
	times    int        // charges that count
	gone     bool       // reversed or cancelled, perhaps before it came
	terminal string
}

func newCentre(o options) *centre {
	return &centre{dedupe: o.repeats, marks: o.marks, tells: o.tells, back: newGivings(false), books: map[string]*ticket{}}
}

// Do answers one request of a terminal.
func (c *centre) Do(_ context.Context, req *pay.Request) pay.Reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch req.Op {
	case pay.Pay:
		return c.charge(req)
	case pay.Reverse:
		return c.undo(req, req.Ref.Serial, pay.Find(req.More, pay.FBatch))
	case pay.Cancel:
		return c.undo(req, req.Original.Serial, originalBatch(req))
	case pay.Refund:
		return c.refund(req)
	}
	return pay.Answer(pay.Approved, pay.CodeOK)
}

func (c *centre) charge(req *pay.Request) pay.Reply {
	key := pay.Find(req.More, pay.FBatch) + req.Ref.Serial
	terminal := pay.Find(req.More, pay.FTerminal)
	rep := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: req.Amount, Serial: "R" + key[1:]}
	k := c.books[key]
	switch {
	case k == nil:
		c.books[key] = &ticket{amount: req.Amount, times: 1, terminal: terminal}
		return rep
	case k.gone && c.marks:
		return pay.Answer(pay.Declined, pay.CodeTombstone)
	case k.times > 0 && k.amount != req.Amount:
		c.wrong = append(c.wrong, fmt.Sprintf("trace %s came with another amount", key))
		return pay.Answer(pay.Declined, pay.CodeDuplicate)
	case k.times > 0 && c.dedupe:
		return rep
	}
	k.amount, k.terminal, k.gone = req.Amount, terminal, false
	k.times++
	return rep
}

// originalBatch is the batch of what a message undoes: its scope begins with it.
func originalBatch(req *pay.Request) string { return req.Original.Scope[:6] }

// refund gives back part of a charge, or all that is left of it.
func (c *centre) refund(req *pay.Request) pay.Reply {
	k := c.books[originalBatch(req)+req.Original.Serial]
	if k == nil {
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	}
	rep := c.back.giveAs(pay.Find(req.More, pay.FBatch)+req.Ref.Serial, req, k.amount, &k.went, k.times > 0)
	if k.went >= k.amount {
		k.times, k.gone = 0, true
	}
	return rep
}

func (c *centre) undo(req *pay.Request, trace, batch string) pay.Reply {
	key := batch + trace
	k := c.books[key]
	if k == nil {
		k = &ticket{}
		c.books[key] = k
	}
	if k.times == 0 {
		k.gone = k.gone || c.marks
		if c.tells {
			return pay.Answer(pay.Approved, pay.CodeNoEffect)
		}
		return pay.Answer(pay.Approved, pay.CodeOK)
	}
	if k.amount != req.Amount || k.terminal != pay.Find(req.More, pay.FTerminal) {
		c.wrong = append(c.wrong, fmt.Sprintf("%s of trace %s has other content", req.Op, key))
		return pay.Answer(pay.Declined, pay.CodeAmount)
	}
	if k.times, k.gone = k.times-1, true; req.Op == pay.Cancel {
		k.went = k.amount
	}
	c.back.reversed(pay.Find(req.More, pay.FBatch)+req.Ref.Serial, req.Amount)
	return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: k.amount, Serial: "R" + key[1:]}
}

// effects returns how often the charge of a payment counts.
func (c *centre) effects(id pay.ID) int {
	batch, trace, err := posp.Numbers(id.Serial(1))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.wrong = append(c.wrong, err.Error())
	}
	if k := c.books[batch+trace]; k != nil {
		return k.times
	}
	return 0
}

// given returns what was given back of the charge of a payment on 撤销 and 退货.
func (c *centre) given(id pay.ID) pay.Amount {
	batch, trace, err := posp.Numbers(id.Serial(1))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.wrong = append(c.wrong, err.Error())
	}
	if k := c.books[batch+trace]; k != nil {
		return k.went
	}
	return 0
}

// connectCards builds the gateway's terminals at the card centre, over a link
// whose connections end in the simulated network.
func (d *daemon) connectCards(alive context.Context) (*posp.Adapter, *socket.Adapter, error) {
	dialect := d.w.cardLink.gateway(d.w)
	var a *posp.Adapter
	s, err := socket.New(socket.Options{Name: "posp", Dialect: dialect, Conns: 1, Queue: 64, MaxIn: 1 << 16, Backoff: 50 * time.Millisecond,
		Ceiling: time.Second, Late: func(op pay.Op, rep pay.Reply) { a.LateAnswer(op, rep) }, Now: d.w.now, Log: quiet,
		Dial: func(ctx context.Context) (net.Conn, error) {
			if d.dead.Load() || alive.Err() != nil {
				return nil, errDead
			}
			return d.w.cardWire.dial(ctx)
		}})
	if err != nil {
		return nil, nil, err
	}
	a, err = posp.New(posp.Options{Name: "posp", Link: s, Accept: dialect.Request.Auth.(acceptor).Accept, Owed: d.w.o.lateWindow + time.Minute, Wait: hostTimeout, Now: d.w.now, Log: quiet,
		Terminals: []posp.Terminal{{Terminal: "60129001", Merchant: "301051249000009"}, {Terminal: "60129002", Merchant: "301051249000009"},
			{Terminal: "60129003", Merchant: "301051249000009"}},
		Late: func(op pay.Op, serial string, rep pay.Reply) {
			switch {
			case d.engine == nil:
			case op == pay.Pay:
				d.engine.Late(context.Background(), "posp", serial, rep)
			case undoes(op):
				d.engine.LateUndo(context.Background(), "posp", serial, rep)
			}
		}})
	return a, s, err
}

// acceptor takes the work keys of a sign-on.
type acceptor interface {
	Accept(*pay.Request, *pay.Reply) error
}

// routes are those of every incarnation: the kiosks' cards are charged at the
// centre before, or without, posting.
func (d *daemon) routes(mis, cards, meter, wallet *gateway.Host) gateway.Routes {
	charge, post := gateway.Step{Kind: pay.LegCharge, Host: cards}, gateway.Step{Kind: pay.LegPost, Host: mis}
	return gateway.Routes{
		{ID: "all", Steps: []gateway.Step{post}, Ask: mis, InFlight: 64},
		{ID: "cards", Links: []string{"cards"}, Steps: []gateway.Step{charge, post}, Ask: mis, InFlight: 64},
		{ID: "meters", Links: []string{"kiosk"}, Ops: []pay.Op{pay.CardPay}, Steps: d.kioskSteps(mis, meter), Ask: mis, InFlight: 64},
		{ID: "ahead", Links: []string{"fixed"}, Ops: []pay.Op{pay.Advance}, Advance: true, Steps: []gateway.Step{post}, Ask: mis, InFlight: 64},
		{ID: "qr", Links: []string{"qr"}, Steps: []gateway.Step{{Kind: pay.LegCharge, Host: wallet}, post}, Ask: mis, InFlight: 64},
		{ID: "public", Links: []string{"public"}, Steps: []gateway.Step{charge}, Ask: mis, InFlight: 64},
	}
}
