package desk

import (
	"fmt"
	"slices"
	"strings"

	"qianzhi/reconcile"
)

// Action is what is to be done about an item. There is none that charges a
// card.
type Action string

// The actions. Those of the gateway are done by Apply; the others are done by
// people, and Apply records the number of their voucher.
const (
	Post    Action = "post"    // 补销账 at the MIS
	Return  Action = "return"  // 返销 at the MIS
	Reverse Action = "reverse" // the reversal that is owed, once more
	Succeed Action = "succeed" // the journal's record becomes 成功
	Fail    Action = "fail"    // 失败
	Undone  Action = "undone"  // 已冲正
	Refund  Action = "refund"  // the bank gives the money back, on a document
	Claim   Action = "claim"   // money is asked back from bank or customer, on a document
	Record  Action = "record"  // the counterparty corrects its books, on a document
	Loss    Action = "loss"    // 认损, on a document
	Carry   Action = "carry"   // 挂账 until a day
)

type actionInfo struct {
	chinese string
	gateway bool // done by the gateway
	fits    func(c *Case) bool
}

// actions say which evidence allows what.
var actions = map[Action]actionInfo{
	Post: {"补销账", true, func(c *Case) bool {
		return c.known() && c.has(reconcile.MIS) && !c.posted() && !c.short(reconcile.Bank)
	}},
	Return:  {"返销", true, func(c *Case) bool { return c.known() && c.posted() && !c.charged() }},
	Reverse: {"重发冲正", true, func(c *Case) bool { return c.owes() && (c.posted() || c.charged()) }},
	Succeed: {"转成功", true, func(c *Case) bool { return c.known() && !c.short(reconcile.MIS) && !c.short(reconcile.Bank) }},
	Fail:    {"置失败", true, func(c *Case) bool { return c.known() && !c.posted() && !c.charged() }},
	Undone:  {"置已冲正", true, func(c *Case) bool { return c.known() && !c.posted() && !c.charged() }},
	Refund:  {"退款", false, func(c *Case) bool { return c.charged() }},
	Claim:   {"追款", false, func(c *Case) bool { return !c.charged() || c.amounts() }},
	Record:  {"对方补账", false, func(*Case) bool { return true }},
	Loss:    {"认损", false, func(*Case) bool { return true }},
	Carry:   {"挂账", false, func(*Case) bool { return true }},
}

// Chinese returns the word of reports.
func (a Action) Chinese() string { return actions[a].chinese }

// Gateway reports whether the gateway does it.
func (a Action) Gateway() bool { return actions[a].gateway }

func (a Action) fits(c *Case) error {
	info, known := actions[a]
	switch {
	case !known:
		return fmt.Errorf("没有操作 %q", string(a))
	case !info.fits(c):
		return fmt.Errorf("%s 与该笔证据不符(%s %s)", info.chinese, c.Item.Code, c.Item.Name)
	}
	return nil
}

// Actions lists all.
func Actions() []Action {
	return []Action{Post, Return, Reverse, Succeed, Fail, Undone, Refund, Claim, Record, Loss, Carry}
}

// Case is an open item, and who tells of the channel's payments at all.
type Case struct {
	Item    *reconcile.Item
	Parties []reconcile.Party
}

func (c *Case) has(p reconcile.Party) bool { return slices.Contains(c.Parties, p) }

// said returns what a party tells of the item, in today's files or before.
func (c *Case) said(p reconcile.Party) reconcile.Effect {
	for _, l := range []*reconcile.Line{c.Item.Lines[p], c.Item.Before[p]} {
		if l != nil {
			return l.Effect
		}
	}
	return reconcile.Absent
}

func (c *Case) known() bool {
	return c.Item.Serial() != "" && c.said(reconcile.Journal) != reconcile.Absent
}
func (c *Case) posted() bool  { return c.said(reconcile.MIS) == reconcile.Posted }
func (c *Case) charged() bool { return c.said(reconcile.Bank) == reconcile.Charged }
func (c *Case) owes() bool    { return c.said(reconcile.Journal) == reconcile.Pending }
func (c *Case) amounts() bool { return strings.HasPrefix(c.Item.Code, "AM") }

// short reports whether a party of the channel has no effect of the payment.
func (c *Case) short(p reconcile.Party) bool {
	return c.has(p) && c.said(p) != reconcile.Posted && c.said(p) != reconcile.Charged
}
