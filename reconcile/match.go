package reconcile

import (
	"sort"

	"qianzhi/gateway/pay"
)

// Item is one payment about which the parties do not simply agree.
type Item struct {
	Code    string
	Name    string
	Grade   Grade
	Auto    string
	Op      string // what a person does about it
	J, M, B *Line
	// Funds is the bank's money less the MIS's books, in fen: positive is 长款,
	// negative 短款. It is the money of the item, whatever its code.
	Funds pay.Amount
}

// Size is the money by which items are ordered: the largest amount involved.
func (i *Item) Size() pay.Amount {
	if i.Funds != 0 {
		return max(i.Funds, -i.Funds)
	}
	var a pay.Amount
	for _, l := range []*Line{i.J, i.M, i.B} {
		if l != nil {
			a = max(a, l.Amount)
		}
	}
	return a
}

// Any returns a line of the item, the journal's first.
func (i *Item) Any() *Line {
	for _, l := range []*Line{i.J, i.M, i.B} {
		if l != nil {
			return l
		}
	}
	return &Line{}
}

// Total is what one party's effective lines come to.
type Total struct {
	Lines int // all of them, effective or not
	Count int
	Sum   pay.Amount
}

// urgent are the codes that come before all money: our own fault, and a
// customer's money on another customer's account.
var urgent = map[string]bool{"DU-3": true, "ID-1": true}

// group is all that the parties say of one payment.
type group struct {
	j, m, b *Line
	again   bool // the journal has the key or serial twice
	extraM  []*Line
	extraB  []*Line
}

// Match joins the three parties line by line and grades each payment. With
// mis or bank nil that party takes no part. near holds the keys and serials of
// the neighbouring days' journal: a line found there is another day's.
func Match(mx *Matrix, journal, mis, bank []Line, near Near) (items []Item, flat Total, totals [parties]Total) {
	for _, x := range join(journal, mis, bank) {
		items = append(items, duplicates(x)...)
		it, differs := judge(mx, x, mis != nil, bank != nil, near)
		if differs {
			items = append(items, it)
		}
		if n := x.j.net(Journal); !differs && n != 0 {
			flat.Count++
			flat.Sum += n
		}
	}
	sort.SliceStable(items, func(a, b int) bool { return before(&items[a], &items[b]) })
	return items, flat, [parties]Total{total(journal, Journal), total(mis, MIS), total(bank, Bank)}
}

// Near tells whether a key or serial belongs to the journal of a neighbouring
// day.
type Near map[string]pay.Day

// before puts what cannot wait first, then the most money.
func before(a, b *Item) bool {
	if ua, ub := urgent[a.Code], urgent[b.Code]; ua != ub {
		return ua
	}
	if a.Size() != b.Size() {
		return a.Size() > b.Size()
	}
	la, lb := a.Any(), b.Any()
	if la.Key != lb.Key {
		return la.Key < lb.Key
	}
	return la.Serial < lb.Serial
}

func total(lines []Line, p Party) Total {
	t := Total{Lines: len(lines)}
	for i := range lines {
		if n := lines[i].net(p); n != 0 {
			t.Count++
			t.Sum += n
		}
	}
	return t
}

func join(journal, mis, bank []Line) []*group {
	var all []*group
	bySerial, byKey := map[string]*group{}, map[string]*group{}
	for i := range journal {
		l := &journal[i]
		x := &group{j: l}
		all = append(all, x)
		x.again = byKey[l.Key] != nil && l.Key != "" || bySerial[l.Serial] != nil
		if !x.again {
			bySerial[l.Serial], byKey[l.Key] = x, x
		}
	}
	for i := range mis {
		l := &mis[i]
		x := bySerial[l.Serial]
		switch {
		case x == nil:
			x = &group{m: l}
			all, bySerial[l.Serial] = append(all, x), x
		case x.m == nil:
			x.m = l
		default:
			x.extraM = append(x.extraM, l)
		}
	}
	for i := range bank {
		l := &bank[i]
		x := byKey[l.Key]
		switch {
		case x == nil:
			x = &group{b: l}
			all, byKey[l.Key] = append(all, x), x
		case x.b == nil:
			x.b = l
		default:
			x.extraB = append(x.extraB, l)
		}
	}
	return all
}

// duplicates are items of their own, because their money is.
func duplicates(x *group) []Item {
	var out []Item
	for _, l := range x.extraM {
		out = append(out, Item{Code: "DU-1", Name: "重复销账", Grade: Uneven, Auto: "L0", Op: "由专人确认返销哪一笔", M: l, Funds: -l.net(MIS)})
	}
	for _, l := range x.extraB {
		out = append(out, Item{Code: "DU-2", Name: "重复扣款", Grade: Uneven, Auto: "L0", Op: "退款,须复核", B: l, Funds: l.net(Bank)})
	}
	return out
}

// judge applies the overlays in order: identity, date, matrix, amount. The
// first that speaks decides the payment. It reports false when all is flat.
func judge(mx *Matrix, x *group, hasMIS, hasBank bool, near Near) (Item, bool) {
	it := Item{J: x.j, M: x.m, B: x.b}
	it.Funds = funds(&it, hasMIS, hasBank)
	switch {
	case x.again:
		it.Code, it.Name, it.Grade, it.Auto, it.Op = "DU-3", "流水重号", Uneven, "L0", "本机故障:停用该渠道自动处理,报开发"
		return it, true
	case swapped(x):
		it.Code, it.Name, it.Grade, it.Auto, it.Op = "ID-1", "串户", Uneven, "L0", "最优先:核实两户,须复核"
		return it, true
	case x.j == nil && otherDay(x, near):
		it.Code, it.Name, it.Grade, it.Auto, it.Op = "XD", "跨日", Pended, "L0", "属邻日流水,待邻日文件"
		return it, true
	}
	row := decide(mx, x, hasMIS, hasBank)
	it.Code, it.Name, it.Grade, it.Auto, it.Op = row.Code, row.Name, row.Grade, row.Auto, row.Op
	if am, ok := amountCase(x); ok {
		it.Code, it.Name, it.Grade, it.Auto, it.Op = am[0], am[1], Uneven, "L2", "核对三方凭证,须复核"
	}
	return it, it.Grade != Flat
}

// funds is the bank's money less the MIS's books; where one of them takes no
// part the journal stands in for it.
func funds(it *Item, hasMIS, hasBank bool) pay.Amount {
	m, b := it.M.net(MIS), it.B.net(Bank)
	if !hasMIS {
		m = it.J.net(Journal)
	}
	if !hasBank {
		b = it.J.net(Journal)
	}
	return b - m
}

// swapped reports whether lines of one key name different customers.
func swapped(x *group) bool {
	account := ""
	for _, l := range []*Line{x.j, x.m, x.b} {
		if l == nil {
			continue
		}
		if account != "" && l.Account != account {
			return true
		}
		account = l.Account
	}
	return false
}

func otherDay(x *group, near Near) bool {
	for _, l := range []*Line{x.m, x.b} {
		if l != nil && (near[l.Key] != 0 && l.Key != "" || near[l.Serial] != 0 && l.Serial != "") {
			return true
		}
	}
	return false
}

// decide looks the combination up. A party that takes no part agrees with the
// other one, which makes the matrix a table of two.
func decide(mx *Matrix, x *group, hasMIS, hasBank bool) Row {
	j, m, b := None, Absent, Absent
	if x.j != nil {
		j = x.j.Effect
	}
	if x.m != nil {
		m = x.m.Effect
	}
	if x.b != nil {
		b = x.b.Effect
	}
	toBank := map[Effect]Effect{Posted: Charged, Undone: Undone, Absent: Absent}
	toMIS := map[Effect]Effect{Charged: Posted, Undone: Undone, Absent: Absent}
	if !hasBank {
		b = toBank[m]
	}
	if !hasMIS {
		m = toMIS[b]
	}
	return mx.Decide(j, m, b)
}

// amountCase compares the amounts of those lines that count.
func amountCase(x *group) ([2]string, bool) {
	j, m, b := x.j.net(Journal), x.m.net(MIS), x.b.net(Bank)
	hj, hm, hb := j != 0, m != 0, b != 0
	switch {
	case hj && hm && hb && j == m && m != b:
		return [2]string{"AM-3", "金额不符·银行异"}, true
	case hj && hm && hb && j == b && m != b:
		return [2]string{"AM-2", "金额不符·MIS异"}, true
	case hj && hm && hb && m == b && j != m:
		return [2]string{"AM-1", "金额不符·我方异"}, true
	case hj && hm && hb && j != m && m != b && j != b:
		return [2]string{"AM-4", "金额不符·三方皆异"}, true
	case hj && hb && !hm && j != b:
		return [2]string{"AM-5", "长款且金额不符"}, true
	case hj && hm && !hb && j != m:
		return [2]string{"AM-6", "短款且金额不符"}, true
	case hm && hb && !hj && m != b:
		return [2]string{"AM-7", "漏流水且金额不符"}, true
	}
	return [2]string{}, false
}
