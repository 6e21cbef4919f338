package peer

import (
	"fmt"
	"strconv"

	"qianzhi/gateway/pay"
)

// settle compares a terminal's totals of a batch with those of the ledger. What a
// 撤销 or 退货 undid counts on both sides, what a 冲正 undid on none.
func (l *Ledger) settle(req *pay.Request) pay.Reply {
	var debit, credit pay.Amount
	debits, credits := 0, 0
	for k, p := range l.payments {
		if k.scope == req.Ref.Scope && !p.tombstone && (!p.reversed || p.void) {
			debit, debits = debit+p.amount, debits+1
		}
	}
	for k, c := range l.credits {
		if k.scope == req.Ref.Scope {
			credit, credits = credit+c.amount, credits+1
		}
	}
	result := "2"
	said := [4]string{}
	for i, id := range [4]pay.FieldID{pay.FDebitSum, pay.FDebitCount, pay.FCreditSum, pay.FCreditCount} {
		said[i] = pay.Find(req.More, id)
	}
	if said == [4]string{fmt.Sprintf("%012d", debit), fmt.Sprintf("%03d", debits), fmt.Sprintf("%012d", credit), fmt.Sprintf("%03d", credits)} {
		result = "1"
	}
	if l.o.Booked != nil {
		l.o.Booked(Booking{What: map[string]string{"1": "balanced", "2": "unbalanced"}[result], Scope: req.Ref.Scope, Serial: req.Ref.Serial, Amount: debit - credit})
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	rep.More = []pay.Field{{ID: pay.FBalanced, Val: result}}
	return rep
}

// upload books the charges of an upload that the ledger has not, or has
// otherwise.
func (l *Ledger) upload(req *pay.Request) pay.Reply {
	if o := req.Original; o != nil { // a 退货
		k := key{req.Ref.Scope, o.Serial}
		if c := l.credits[k]; (c == nil || c.amount != req.Amount) && l.o.Booked != nil {
			l.o.Booked(Booking{What: "missing", Scope: k.scope, Serial: k.serial, Amount: req.Amount})
		}
	}
	for i := range req.Bills {
		b := &req.Bills[i]
		k := key{req.Ref.Scope, b.ID}
		p := l.payments[k]
		if (p == nil || p.reversed || p.amount != b.Amount) && l.o.Booked != nil {
			l.o.Booked(Booking{What: "missing", Scope: k.scope, Serial: k.serial, Amount: b.Amount})
		}
	}
	return pay.Answer(pay.Approved, pay.CodeOK)
}

func (l *Ledger) status(req *pay.Request) pay.Reply {
	k, p := l.original(req)
	switch {
	case !l.o.Status:
		return pay.Answer(pay.Declined, pay.CodeNotAllowed)
	case req.Original != nil && req.Original.Kind == pay.KindRefund && l.credits[k] != nil:
		return l.credits[k].approved()
	case p == nil:
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case p.reversed:
		return pay.Answer(pay.Declined, pay.CodeReversed)
	}
	return p.approved()
}

// check answers a 对总账 or 对明细账 with how many payments stand and their sum; the
// ledger keeps no days.
func (l *Ledger) check(req *pay.Request) pay.Reply {
	rep, n := pay.Answer(pay.Approved, pay.CodeOK), 0
	for _, p := range l.payments {
		if !p.tombstone && !p.reversed {
			n, rep.Amount = n+1, rep.Amount+p.amount-p.refunded
		}
	}
	result := "2"
	if pay.Find(req.More, pay.FCreditCount) == strconv.Itoa(n) && req.Amount == rep.Amount {
		result = "1"
	}
	rep.More = append(rep.More, pay.Field{ID: pay.FCreditCount, Val: strconv.Itoa(n)}, pay.Field{ID: pay.FBalanced, Val: result},
		pay.Field{ID: pay.FFile, Val: "check.txt"}, pay.Field{ID: pay.FDay, Val: pay.Find(req.More, pay.FDay)})
	return rep
}
