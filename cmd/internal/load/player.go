package load

import (
	"context"
	"fmt"
	"math/rand/v2"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
)

// player is one terminal or host connection working through its customers.
type player struct {
	o         *Options
	res       *Result
	link      *Link
	worker    int
	r         *rand.Rand
	left      int // messages still to be sent
	customers []mis.Customer
	serial    uint64
	client    Client
}

func (p *player) play(ctx context.Context) error {
	c, err := p.link.Open(p.worker)
	if err != nil {
		return err
	}
	p.client = c
	defer c.Close()
	p.signOn(ctx)
	for p.left > 0 && ctx.Err() == nil {
		scenes := p.scenes()
		total := 0
		for _, s := range scenes {
			total += s.weight
		}
		n := p.r.IntN(total)
		for _, s := range scenes {
			if n -= s.weight; n < 0 {
				if err := s.play(ctx); err != nil {
					return err
				}
				break
			}
		}
	}
	return ctx.Err()
}

type scene struct {
	weight int
	play   func(context.Context) error
}

// scenes are what may happen next; those that need more messages or customers
// than are left are not among them.
func (p *player) scenes() []scene {
	all := []struct {
		scene
		messages int
		customer bool
		signed   bool
	}{
		{scene{40, p.sale}, 2, true, false},
		{scene{10, p.saleTwice}, 2, true, false},
		{scene{8, p.saleChanged}, 2, true, false},
		{scene{10, p.saleReversed}, 2, true, false},
		{scene{6, p.overtaken}, 2, true, false},
		{scene{8, p.stranger}, 1, false, false},
		{scene{5, p.echo}, 1, false, false},
		{scene{5, p.forged}, 1, true, true},
		{scene{3, p.garbage}, 1, false, false},
	}
	var out []scene
	for _, s := range all {
		if s.messages <= p.left && (!s.customer || len(p.customers) > 0) && (!s.signed || p.link.Signed) {
			out = append(out, s.scene)
		}
	}
	return out
}

// request builds a message with the next serial of this connection.
func (p *player) request(op pay.Op) *pay.Request {
	p.serial++
	req := &pay.Request{Op: op}
	p.link.Style(p.worker, p.serial, req)
	return req
}

func (p *player) customer() mis.Customer {
	c := p.customers[0]
	p.customers = p.customers[1:]
	return c
}

// bill builds the payment of everything a customer owes.
func (p *player) bill(c mis.Customer) *pay.Request {
	req := p.request(pay.Pay)
	req.Account, req.Bills = c.Account, c.Bills
	for _, b := range c.Bills {
		req.Amount += b.Amount
	}
	return req
}

// expect is the reply that is right.
type expect struct {
	verdict pay.Verdict
	code    pay.Code // CodeUnknown: any
	class   Class
}

var (
	wantOK        = expect{pay.Approved, pay.CodeUnknown, Approved}
	wantRepeat    = expect{pay.Approved, pay.CodeUnknown, Replayed}
	wantDuplicate = expect{pay.Declined, pay.CodeDuplicate, Refused}
	wantTombstone = expect{pay.Declined, pay.CodeTombstone, Refused}
	wantStranger  = expect{pay.Declined, pay.CodeNoCustomer, Declined}
	wantAuth      = expect{pay.Declined, pay.CodeAuth, Rejected}
)

// send sends one message, counts it and reports whether the reply was right.
func (p *player) send(ctx context.Context, req *pay.Request, fault peer.Fault, want expect) (pay.Reply, bool) {
	p.left--
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	rep, err := p.client.Do(ctx, req, fault)
	class := want.class
	right := err == nil && rep.Verdict == want.verdict && (want.code == pay.CodeUnknown || rep.Code == want.code)
	switch {
	case right:
	case err != nil || rep.Verdict == pay.Unknown:
		class = Unknown
	case rep.Verdict == pay.Approved:
		class = Approved
	default:
		class = Declined
	}
	if !right {
		p.res.wrong("%s %s 流水 %s: 应为 %s/%s, 实为 %s/%s (%v)", p.link.ID, req.Op, req.Ref.Serial, want.verdict, want.code, rep.Verdict, rep.Code, err)
	}
	p.res.count(class, p.o)
	return rep, right
}

func (p *player) signOn(ctx context.Context) {
	if p.left > 0 && !p.link.NoSignOn {
		p.send(ctx, p.request(pay.SignOn), peer.Sound, wantOK)
	}
}

// pay sends a payment and keeps the acknowledgement.
func (p *player) pay(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	rep, ok := p.send(ctx, req, peer.Sound, wantOK)
	if !ok {
		return rep, nil
	}
	return rep, p.res.ack(p.ackOf(req, &rep), p.o)
}

func (p *player) ackOf(req *pay.Request, rep *pay.Reply) Ack {
	a := Ack{Link: p.link.ID, Serial: req.Ref.Serial, Account: req.Account, Amount: req.Amount,
		Terminal: pay.Find(req.More, pay.FTerminal), Batch: pay.Find(req.More, pay.FBatch), Time: pay.Find(req.More, pay.FSenderTime)}
	if req.Day != 0 {
		a.Date = req.Day.String()
	}
	if d, err := pay.ParseDay(pay.Find(rep.More, pay.FDay)); err == nil {
		a.Day = d
	} else {
		p.res.wrong("%s 流水 %s: 应答没有账务日期", p.link.ID, req.Ref.Serial)
	}
	return a
}

// sale asks what is owed and pays it.
func (p *player) sale(ctx context.Context) error {
	c := p.customer()
	req := p.request(pay.Query)
	req.Account = c.Account
	rep, ok := p.send(ctx, req, peer.Sound, wantOK)
	buy := p.bill(c)
	if ok && rep.Amount != buy.Amount {
		p.res.wrong("%s 查询 %s: 应为 %s, 实为 %s", p.link.ID, c.Account, buy.Amount.Yuan(), rep.Amount.Yuan())
	}
	_, err := p.pay(ctx, buy)
	return err
}

// saleTwice sends one payment twice, byte for byte the same question.
func (p *player) saleTwice(ctx context.Context) error {
	req := p.bill(p.customer())
	first, err := p.pay(ctx, req)
	if err != nil {
		return err
	}
	again, ok := p.send(ctx, req, peer.Sound, wantRepeat)
	if ok && again.Serial != first.Serial {
		p.res.wrong("%s 重发 %s: 参考号变了 %s -> %s", p.link.ID, req.Ref.Serial, first.Serial, again.Serial)
	}
	return nil
}

// saleChanged repeats a serial with another amount.
func (p *player) saleChanged(ctx context.Context) error {
	req := p.bill(p.customer())
	if _, err := p.pay(ctx, req); err != nil {
		return err
	}
	other := *req
	other.Amount++
	p.send(ctx, &other, peer.Sound, wantDuplicate)
	return nil
}

func (p *player) reversal(sale *pay.Request) *pay.Request {
	req := p.request(pay.Reverse)
	req.Account, req.Amount = sale.Account, sale.Amount
	req.Original = &pay.Ref{Serial: sale.Ref.Serial}
	req.More = append(req.More, pay.Field{ID: pay.FOriginalDate, Val: sale.Day.String()})
	if pay.Find(req.More, pay.FTerminal) != "" { // a terminal repeats the trace number of its sale
		req.Ref.Serial = sale.Ref.Serial
	}
	return req
}

// saleReversed pays and takes it back.
func (p *player) saleReversed(ctx context.Context) error {
	req := p.bill(p.customer())
	rep, ok := p.send(ctx, req, peer.Sound, wantOK)
	if !ok {
		return nil
	}
	a := p.ackOf(req, &rep)
	_, a.Reversed = p.send(ctx, p.reversal(req), peer.Sound, wantOK)
	return p.res.ack(a, p.o)
}

// overtaken lets the reversal arrive before its sale.
func (p *player) overtaken(ctx context.Context) error {
	req := p.bill(p.customer())
	p.send(ctx, p.reversal(req), peer.Sound, wantOK)
	p.send(ctx, req, peer.Sound, wantTombstone)
	return nil
}

func (p *player) stranger(ctx context.Context) error {
	req := p.request(pay.Query)
	req.Account = fmt.Sprintf("0599%06d", p.r.IntN(1000000))
	p.send(ctx, req, peer.Sound, wantStranger)
	return nil
}

func (p *player) echo(ctx context.Context) error {
	p.send(ctx, p.request(pay.Echo), peer.Sound, wantOK)
	return nil
}

// forged sends a payment whose MAC or signature is wrong; it must not count.
func (p *player) forged(ctx context.Context) error {
	p.send(ctx, p.bill(p.customers[p.r.IntN(len(p.customers))]), peer.BadSeal, wantAuth)
	return nil
}

// garbage sends bytes that are no frame; the link must not answer them.
func (p *player) garbage(ctx context.Context) error {
	p.left--
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	rep, err := p.client.Do(ctx, p.request(pay.Echo), peer.Garbage)
	if err == nil {
		p.res.wrong("%s 乱码得到应答 %s/%s", p.link.ID, rep.Verdict, rep.Code)
	}
	p.res.count(Rejected, p.o)
	return nil
}
