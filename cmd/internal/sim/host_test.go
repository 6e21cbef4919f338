package sim

import (
	"context"
	"fmt"
	"sync"

	"qianzhi/gateway/pay"
)

// posting is one effect in the host's books.
type posting struct {
	serial   string
	day      pay.Day
	account  string
	amount   pay.Amount
	channel  string
	returned bool
	card     bool       // energy for a meter card
	debt     pay.Amount // that it settled
	back     pay.Amount // on 撤销 and 退货
}

// host is the marketing system: a handler with books of its own. It survives
// every crash of the gateway.
type host struct {
	dedupe bool                     // posts one serial once
	sold   func(serial string) bool // whether the card-meter system has the sale
	back   givings

	mu    sync.Mutex
	debts map[string]pay.Amount // open, by account
	books []*posting
	tombs map[string]bool
	wrong []string // what a host must never see
}

func newHost(dedupe bool) *host {
	return &host{dedupe: dedupe, back: newGivings(dedupe), debts: map[string]pay.Amount{}, tombs: map[string]bool{}}
}

func (h *host) Do(_ context.Context, req *pay.Request) pay.Reply {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch req.Op {
	case pay.Pay, pay.CardPay, pay.Advance:
		return h.pay(req)
	case pay.Refund:
		p := h.find(req.Original.Serial)
		if p == nil {
			return pay.Answer(pay.Declined, pay.CodeOriginal)
		}
		rep := h.back.give(req, p.amount, &p.back, !p.returned)
		if p.back >= p.amount && !p.returned {
			p.returned, h.debts[p.account] = true, p.debt
		}
		return rep
	case pay.Reverse:
		return h.reverse(req)
	case pay.Status:
		p := h.find(req.Original.Serial)
		if p == nil {
			return h.back.status(req)
		}
		return h.confirm(p)
	case pay.Query:
		debt, ok := h.debts[req.Account]
		if !ok {
			return pay.Answer(pay.Declined, pay.CodeNoCustomer)
		}
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: debt}
	}
	return pay.Answer(pay.Approved, pay.CodeOK)
}

func (h *host) find(serial string) *posting {
	for _, p := range h.books {
		if p.serial == serial {
			return p
		}
	}
	return nil
}

func (h *host) confirm(p *posting) pay.Reply {
	rep := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: p.amount, Serial: "H" + p.serial[1:]} // 20 characters: what every link has room for
	if p.returned {
		rep.Code = pay.CodeReversed
	}
	return rep
}

// pay posts. Where the host does not deduplicate, a serial that comes twice has
// two effects, and the checkers see them.
func (h *host) pay(req *pay.Request) pay.Reply {
	serial := req.Ref.Serial
	if h.tombs[serial] {
		return pay.Answer(pay.Declined, pay.CodeTombstone)
	}
	if p := h.find(serial); p != nil {
		switch {
		case p.account != req.Account || p.amount != req.Amount:
			h.wrong = append(h.wrong, fmt.Sprintf("serial %s came with other content", serial))
			return pay.Answer(pay.Declined, pay.CodeDuplicate)
		case h.dedupe && p.returned:
			return pay.Answer(pay.Declined, pay.CodeTombstone)
		case h.dedupe:
			return h.confirm(p)
		}
	}
	card := req.Op == pay.CardPay
	switch {
	case card && !h.sold(serial):
		h.wrong = append(h.wrong, fmt.Sprintf("purchase %s is posted before it is sold", serial))
	case !card && req.Op != pay.Advance && h.debts[req.Account] != req.Amount && h.find(serial) == nil:
		return pay.Answer(pay.Declined, pay.CodeNothingOwed)
	}
	debt := pay.Amount(0)
	if owed := h.debts[req.Account]; !card && owed <= req.Amount {
		debt, h.debts[req.Account] = owed, 0
	}
	p := &posting{debt: debt, serial: serial, day: req.Day, account: req.Account, amount: req.Amount, channel: pay.Find(req.More, pay.FChannel), card: card}
	h.books = append(h.books, p)
	return h.confirm(p)
}

func (h *host) reverse(req *pay.Request) pay.Reply {
	p := h.find(req.Original.Serial)
	switch {
	case p == nil:
		h.tombs[req.Original.Serial] = true
		return pay.Answer(pay.Approved, pay.CodeNoEffect)
	case p.day != req.Day && p.serial == req.Ref.Serial: // a 撤销 has a day of its own
		h.wrong = append(h.wrong, fmt.Sprintf("reversal of %s names day %s, it was posted on %s", p.serial, req.Day, p.day))
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case p.returned:
		return h.confirm(p)
	case p.back > 0, p.amount != req.Amount || p.account != req.Account:
		h.wrong = append(h.wrong, fmt.Sprintf("reversal of %s has other content", p.serial))
		return pay.Answer(pay.Declined, pay.CodeAmount)
	}
	if p.returned = true; !p.card {
		h.debts[p.account] = p.debt
	}
	if h.back.reversed(req.Ref.Serial, p.amount); req.Ref.Serial != p.serial {
		p.back = p.amount
	}
	rep := h.confirm(p)
	rep.Code = pay.CodeOK
	return rep
}

// given returns what was given back of a posting on 撤销 and 退货.
func (h *host) given(serial string) pay.Amount {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.find(serial); p != nil {
		return p.back
	}
	return 0
}

// effects returns how often a serial counts.
func (h *host) effects(serial string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, p := range h.books {
		if p.serial == serial && !p.returned {
			n++
		}
	}
	return n
}
