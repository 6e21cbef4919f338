package peer

import (
	"context"
	"fmt"
	"sync"

	"qianzhi/gateway/pay"
)

// Promises are what a simulated host keeps to. Booked takes one entry for each
// change of its books, under its lock; nil takes none.
type Promises struct {
	Dedupe bool // one serial takes effect once, however often it arrives
	Once   bool // that of a 撤销 or 退货 does, whatever Dedupe says
	Status bool // it answers what became of a serial
	Booked func(Booking)
}

// Booking is one change of a host's books.
type Booking struct {
	What    string     `json:"what"` // paid, again, reversed, refunded, balanced, unbalanced, missing, sold, written, failed
	Scope   string     `json:"scope,omitempty"`
	Serial  string     `json:"serial"`
	Account string     `json:"account,omitempty"`
	Amount  pay.Amount `json:"fen"`

	Reference string `json:"reference,omitempty"` // as the host's answer calls the payment
}

// Ledger is what a simulated host knows: customers with bills, if it has any,
// and the payments it took. It lives in memory, forgets nothing and is safe for
// concurrent use.
type Ledger struct {
	customers int // 0: anybody may pay anything, as at a card centre
	o         Promises

	mu       sync.Mutex
	payments map[key]*payment
	credits  map[key]*credit
	paid     map[string]key // bill: the payment that closed it
	count    int
}

type key struct{ scope, serial string }

type payment struct {
	reference, account string
	amount             pay.Amount
	bills              []string
	reversed           bool
	void               bool       // by a 撤销 or 退货, not by a 冲正
	refunded           pay.Amount // of it
	tombstone          bool       // reversed before it came
}

// credit is a 撤销 or 退货 as the terminal numbered it.
type credit struct {
	of        key
	amount    pay.Amount
	reference string
}

// NewLedger builds a ledger with n customers, or, for n = 0, one that takes
// every charge.
func NewLedger(n int, o Promises) *Ledger {
	return &Ledger{customers: n, o: o, payments: map[key]*payment{}, credits: map[key]*credit{}, paid: map[string]key{}}
}

func (l *Ledger) booked(what string, k key, p *payment) {
	if l.o.Booked != nil {
		l.o.Booked(Booking{What: what, Scope: k.scope, Serial: k.serial, Account: p.account, Amount: p.amount, Reference: p.reference})
	}
}

// Account returns the number of a customer, counted from 0.
func Account(i int) string { return fmt.Sprintf("0512%06d", i+1) }

// bills are what a customer owed at first: two months.
func bills(account string) []pay.Bill {
	return []pay.Bill{
		{ID: account + "2511", Month: "202511", Amount: 20000, Principal: 19000, Penalty: 1000},
		{ID: account + "2512", Month: "202512", Amount: 10150, Principal: 10150},
	}
}

func (l *Ledger) known(account string) bool {
	var n int
	if _, err := fmt.Sscanf(account, "0512%06d", &n); err != nil {
		return false
	}
	return n >= 1 && n <= l.customers && Account(n-1) == account
}

// Do answers one request.
func (l *Ledger) Do(_ context.Context, req *pay.Request) pay.Reply {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch req.Op {
	case pay.Query:
		return l.query(req)
	case pay.Pay, pay.CardPay, pay.Advance:
		return l.pay(req)
	case pay.Reverse:
		return l.undo(req)
	case pay.Cancel, pay.Refund:
		return l.giveBack(req)
	case pay.Status:
		return l.status(req)
	case pay.SignOn, pay.SignOff, pay.Echo, pay.UploadEnd:
		return pay.Answer(pay.Approved, pay.CodeOK)
	case pay.Settle:
		return l.settle(req)
	case pay.CheckTotals, pay.CheckFile:
		return l.check(req)
	case pay.BatchUpload:
		return l.upload(req)
	case pay.CardWrite, pay.CardConfirm:
		_, p := l.original(req)
		if p == nil {
			return pay.Answer(pay.Declined, pay.CodeOriginal)
		}
		return p.approved()
	}
	return pay.Answer(pay.Declined, pay.CodeNotAllowed)
}

func (l *Ledger) open(account string) (open []pay.Bill, sum pay.Amount) {
	for _, b := range bills(account) {
		if _, paid := l.paid[b.ID]; !paid {
			open, sum = append(open, b), sum+b.Amount
		}
	}
	return open, sum
}

func (l *Ledger) query(req *pay.Request) pay.Reply {
	if !l.known(req.Account) {
		return pay.Answer(pay.Declined, pay.CodeNoCustomer)
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	rep.Bills, rep.Amount = l.open(req.Account)
	rep.More = []pay.Field{{ID: pay.FAccount, Val: req.Account}, {ID: pay.FName, Val: "张三"}, {ID: pay.FAddress, Val: "人民路1号"}}
	return rep
}

func (l *Ledger) pay(req *pay.Request) pay.Reply {
	k := key{req.Ref.Scope, req.Ref.Serial}
	if p := l.payments[k]; p != nil {
		switch {
		case p.tombstone:
			return pay.Answer(pay.Declined, pay.CodeTombstone)
		case p.account != req.Account || p.amount != req.Amount:
			return pay.Answer(pay.Declined, pay.CodeDuplicate)
		case p.reversed:
			return pay.Answer(pay.Declined, pay.CodeReversed)
		}
		if !l.o.Dedupe {
			l.booked("again", k, p)
		}
		return p.approved()
	}
	p := &payment{account: req.Account, amount: req.Amount}
	if l.customers > 0 {
		if code := l.post(req, p); code != pay.CodeOK {
			return pay.Answer(pay.Declined, code)
		}
	}
	l.count++
	p.reference = fmt.Sprintf("%012d", l.count)
	for _, id := range p.bills {
		l.paid[id] = k
	}
	l.payments[k] = p
	l.booked("paid", k, p)
	return p.approved()
}

// post chooses the bills that a payment closes: those it names, else all that
// are open; their sum must be the amount.
func (l *Ledger) post(req *pay.Request, p *payment) pay.Code {
	if !l.known(req.Account) {
		return pay.CodeNoCustomer
	}
	open, sum := l.open(req.Account)
	switch req.Op {
	case pay.CardPay: // energy for a card meter settles no bill
		return pay.CodeOK
	case pay.Advance: // settles the oldest that it covers; the rest is the customer's
		left := req.Amount
		for _, b := range open {
			if b.Amount <= left {
				p.bills, left = append(p.bills, b.ID), left-b.Amount
			}
		}
		return pay.CodeOK
	}
	if len(open) == 0 {
		return pay.CodeNothingOwed
	}
	named := map[string]bool{}
	for _, b := range req.Bills {
		named[b.ID] = true
	}
	if len(named) > 0 {
		sum = 0
	}
	for _, b := range open {
		if len(named) == 0 || named[b.ID] {
			p.bills = append(p.bills, b.ID)
		}
		if named[b.ID] {
			sum += b.Amount
		}
	}
	if sum != req.Amount || len(named) > len(p.bills) {
		return pay.CodeAmount
	}
	return pay.CodeOK
}

func (p *payment) approved() pay.Reply {
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	rep.Amount, rep.Serial = p.amount, p.reference
	return rep
}

func (l *Ledger) original(req *pay.Request) (key, *payment) {
	if req.Original == nil {
		return key{}, nil
	}
	k := key{req.Original.Scope, req.Original.Serial}
	return k, l.payments[k]
}

func (l *Ledger) undo(req *pay.Request) pay.Reply {
	k, p := l.original(req)
	switch {
	case k == key{}:
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case p == nil && req.Op == pay.Reverse:
		l.payments[k] = &payment{tombstone: true, reversed: true}
		return pay.Answer(pay.Approved, pay.CodeNoEffect)
	case p == nil:
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case p.tombstone:
		return pay.Answer(pay.Approved, pay.CodeNoEffect)
	case p.reversed:
		return pay.Answer(pay.Approved, pay.CodeReversed)
	case p.refunded > 0:
		return pay.Answer(pay.Declined, pay.CodeWindow)
	case req.Amount != 0 && req.Amount != p.amount:
		return pay.Answer(pay.Declined, pay.CodeAmount)
	}
	l.takeBack(k, p)
	return p.approved()
}

// takeBack undoes a payment whole.
func (l *Ledger) takeBack(k key, p *payment) {
	p.reversed = true
	for _, id := range p.bills {
		delete(l.paid, id)
	}
	l.booked("reversed", k, p)
}

// giveBack answers a 撤销 or 退货: its number takes effect once, and several 退货
// give back no more than what was paid.
func (l *Ledger) giveBack(req *pay.Request) pay.Reply {
	own := key{req.Ref.Scope, req.Ref.Serial}
	of, p := l.original(req)
	amount := req.Amount
	if p != nil && amount == 0 {
		amount = p.amount
	}
	if c := l.credits[own]; c != nil && (l.o.Dedupe || l.o.Once) {
		if c.of != of || c.amount != amount {
			return pay.Answer(pay.Declined, pay.CodeDuplicate)
		}
		return c.approved()
	}
	switch {
	case p == nil:
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case p.tombstone:
		return pay.Answer(pay.Approved, pay.CodeNoEffect)
	case p.reversed:
		return pay.Answer(pay.Approved, pay.CodeReversed)
	case amount > p.amount-p.refunded, amount <= 0, req.Op == pay.Cancel && amount != p.amount:
		return pay.Answer(pay.Declined, pay.CodeAmount)
	}
	l.count++
	c := &credit{of: of, amount: amount, reference: fmt.Sprintf("%012d", l.count)}
	l.credits[own] = c
	if p.refunded += amount; p.refunded == p.amount {
		p.void = true
		l.takeBack(of, p)
	} else if l.o.Booked != nil {
		l.o.Booked(Booking{What: "refunded", Scope: of.scope, Serial: of.serial, Account: p.account, Amount: amount})
	}
	return c.approved()
}

func (c *credit) approved() pay.Reply {
	return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: c.amount, Serial: c.reference}
}
