package peer

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"qianzhi/gateway/pay"
)

// Meters is a simulated card-meter system (卡表系统): it sells energy under a
// serial, hands out the data for the card as often as it is asked, and is told
// what became of the card. What was written cannot be taken back. It lives in
// memory and is safe for concurrent use.
type Meters struct {
	o Promises

	mu    sync.Mutex
	sales map[string]*cardSale // by serial
	times map[string]int       // 购电次数, by account
}

type cardSale struct {
	account          string
	amount           pay.Amount
	times            int
	written, undone  bool
	reference, cards string
}

// NewMeters builds a system in which every account has bought nothing yet.
func NewMeters(o Promises) *Meters {
	return &Meters{o: o, sales: map[string]*cardSale{}, times: map[string]int{}}
}

// Do answers one request.
func (m *Meters) Do(_ context.Context, req *pay.Request) pay.Reply {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch req.Op {
	case pay.Query:
		rep := pay.Answer(pay.Approved, pay.CodeOK)
		rep.More = []pay.Field{{ID: pay.FAccount, Val: req.Account}, {ID: pay.FPurchaseCount, Val: strconv.Itoa(m.times[req.Account])}}
		return rep
	case pay.CardPay:
		return m.sell(req)
	case pay.CardWrite, pay.CardConfirm, pay.Reverse, pay.Cancel, pay.Status:
		if req.Original == nil {
			return pay.Answer(pay.Declined, pay.CodeFormat)
		}
		return m.about(req, req.Original.Serial)
	case pay.Echo:
		return pay.Answer(pay.Approved, pay.CodeOK)
	}
	return pay.Answer(pay.Declined, pay.CodeNotAllowed)
}

func (m *Meters) booked(what, serial string, p *cardSale) {
	if m.o.Booked != nil {
		m.o.Booked(Booking{What: what, Serial: serial, Account: p.account, Amount: p.amount})
	}
}

// sell makes one sale. A card that says another number of purchases than the
// system was not written last time, or is a copy: it is refused.
func (m *Meters) sell(req *pay.Request) pay.Reply {
	serial := req.Ref.Serial
	if p := m.sales[serial]; p != nil {
		switch {
		case p.undone:
			return pay.Answer(pay.Declined, pay.CodeTombstone)
		case p.account != req.Account || p.amount != req.Amount:
			return pay.Answer(pay.Declined, pay.CodeDuplicate)
		}
		if !m.o.Dedupe {
			m.booked("again", serial, p)
		}
		return p.sold()
	}
	if n := pay.Find(req.More, pay.FPurchaseCount); n != "" && n != strconv.Itoa(m.times[req.Account]) {
		return pay.Answer(pay.Declined, pay.CodeRefused)
	}
	m.times[req.Account]++
	p := &cardSale{account: req.Account, amount: req.Amount, times: m.times[req.Account], reference: fmt.Sprintf("M%011d", len(m.sales)+1)}
	p.cards = fmt.Sprintf("A1%010d%04d", p.amount, p.times)
	m.sales[serial] = p
	m.booked("sold", serial, p)
	return p.sold()
}

func (p *cardSale) sold() pay.Reply {
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	rep.Amount, rep.Serial = p.amount, p.reference
	rep.More = []pay.Field{{ID: pay.FCardData, Val: p.cards}, {ID: pay.FPurchaseCount, Val: strconv.Itoa(p.times)}}
	return rep
}

// about answers what concerns an earlier sale.
func (m *Meters) about(req *pay.Request, serial string) pay.Reply {
	p := m.sales[serial]
	undo := req.Op == pay.Reverse || req.Op == pay.Cancel
	switch {
	case p == nil && undo:
		m.sales[serial] = &cardSale{undone: true}
		return pay.Answer(pay.Approved, pay.CodeNoEffect)
	case req.Op == pay.Status && !m.o.Status:
		return pay.Answer(pay.Declined, pay.CodeNotAllowed)
	case p == nil:
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case p.undone && (undo || req.Op == pay.Status):
		return pay.Answer(pay.Approved, pay.CodeReversed)
	case p.undone, undo && p.written:
		return pay.Answer(pay.Declined, pay.CodeWindow)
	}
	switch {
	case undo:
		p.undone = true
		m.times[p.account]--
		m.booked("reversed", serial, p)
	case req.Op == pay.CardConfirm:
		p.written = pay.Find(req.More, pay.FWriteResult) == "ok"
		m.booked(map[bool]string{true: "written", false: "failed"}[p.written], serial, p)
	}
	return p.sold()
}
