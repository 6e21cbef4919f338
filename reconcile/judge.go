package reconcile

import (
	"fmt"
	"sort"
	"time"

	"qianzhi/gateway/pay"
)

// Judge grades payments: duplicates, identity, matrix, amount, date, in this
// order.
type Judge struct {
	Matrix *Matrix
	Has    [parties]bool
	Day    pay.Day
	// Cuts are the parties' own ends of day as minutes, 1440 being midnight.
	Cuts   [parties]int
	Window time.Duration // around a party's cut, in which a line may be the neighbour's
	Near   func(l *Line) (pay.Day, *Line)
	Next   func(pay.Day) pay.Day // the next day with a file
	pool   *pool
	closed []Item
	On     Ties
}

// Items gathers the lines into payments and returns those about which there is
// something to say. again are the lines that repeat another byte for byte:
// they count once.
func (j *Judge) Items(lines *[parties][]Line) (items []Item, again [parties]Total) {
	for _, g := range join(lines, j.On) {
		items = append(items, j.repeated(g, &again)...)
		items = append(items, j.payment(g)...)
	}
	sort.SliceStable(items, func(a, b int) bool { return before(&items[a], &items[b]) })
	return items, again
}

// repeated are items of their own, because their money is.
func (j *Judge) repeated(g *group, again *[parties]Total) []Item {
	var out []Item
	for _, l := range g.extra[Journal] {
		it := Item{Code: "DU-3", Name: "流水重号", Grade: Uneven, Auto: "L0", Op: "本机故障:停用该渠道自动处理,报开发"}
		it.Lines[Journal] = l
		out = append(out, it)
	}
	for p := MIS; p < parties; p++ {
		for i, l := range g.extra[p] {
			it := Item{Code: "DU-1", Name: "重复销账", Grade: Uneven, Auto: "L0", Op: "由专人确认返销哪一笔", Funds: -l.net(p)}
			switch p {
			case Bank:
				it.Code, it.Name, it.Op, it.Funds = "DU-2", "重复扣款", "退款,须复核", l.net(p)
			case Card:
				it.Code, it.Name, it.Op, it.Funds = "DU-5", "重复售电", "由专人确认作废哪一笔", 0
			}
			it.Lines[p] = l
			if sameBytes(l, g.main[p], g.extra[p][:i]) {
				it.Code, it.Name, it.Grade, it.Op, it.Funds = "DU-4", "同一行重复", Warned, "已按一笔计;询问对方文件为何重复", 0
				again[p].Lines++
				if l.counts(p) {
					again[p].Count++
					again[p].Sum += l.net(p)
				}
				it.Lines[p] = uncounted(l)
			}
			out = append(out, it)
		}
	}
	return out
}

// uncounted is a line whose money stands in no total.
func uncounted(l *Line) *Line {
	c := *l
	c.Effect = Absent
	return &c
}

// sameBytes reports whether a line repeats one of its payment's byte for byte.
func sameBytes(l, first *Line, others []*Line) bool {
	for _, o := range append([]*Line{first}, others...) {
		if l.Mark != 0 && l.Mark == o.Mark && l.Amount == o.Amount && l.Effect == o.Effect && l.Account == o.Account {
			return true
		}
	}
	return false
}

// payment grades one payment, by the money parties and by the card system.
func (j *Judge) payment(g *group) []Item {
	var out []Item
	money := Item{Lines: [parties]*Line{g.main[Journal], g.main[MIS], g.main[Bank]}}
	has := j.has(&money)
	if (has[MIS] || has[Bank]) && (money.Lines != [parties]*Line{}) {
		money.Funds = j.funds(&money)
		if j.judge(&money) && j.continued(&money) {
			out = append(out, money)
		}
	}
	card := Item{}
	card.Lines[Journal], card.Lines[Card] = g.main[Journal], g.main[Card]
	if j.has(&card)[Card] && (g.main[Journal] != nil || g.main[Card] != nil) && j.card(&card) {
		out = append(out, card)
	}
	return out
}

// has are the parties that have to tell of a payment: those that take part, less
// who has no part in it and tells of none.
func (j *Judge) has(it *Item) [parties]bool {
	has := j.Has
	if own := it.Lines[Journal]; own != nil {
		for p := MIS; p < parties; p++ {
			has[p] = has[p] && (it.Lines[p] != nil || !own.Without.Has(p))
		}
	}
	return has
}

// continued holds an item against what earlier days left open. When both
// together are flat, the old item is closed and today's is only said. It
// reports whether there is an item.
func (j *Judge) continued(it *Item) bool {
	if j.pool == nil {
		return true
	}
	old, all := j.pool.merge(&it.Lines)
	if old == nil {
		return true
	}
	for p, l := range all {
		if l != it.Lines[p] {
			it.Before[p] = l
		}
	}
	it.From = old.From
	whole := Item{Lines: all}
	if flat := !j.judge(&whole); flat || whole.Code == "XD" || whole.Code == "ID-2" {
		it.set("XD", "跨日", Warned, "L0", "与 "+old.From.String()+" 的待核相抵, 无须处理")
		it.Note, it.Due = old.From.String()+" "+old.Code+" 已核销", 0
		j.closed = append(j.closed, *old)
		return true
	}
	it.set(whole.Code, whole.Name, whole.Grade, whole.Auto, whole.Op)
	it.Note = "接 " + old.From.String() + " " + old.Code
	return true
}

// judge applies the overlays to the money parties; false is flat.
func (j *Judge) judge(it *Item) bool {
	own := it.Lines[Journal]
	swapped, moved := differ(it)
	if swapped {
		it.set("ID-1", "串户", Uneven, "L0", "最优先:核实两户,须复核")
		return true
	}
	if own == nil {
		if day, l := j.otherDay(it); day != 0 {
			j.crossed(it, day, l)
			return true
		}
	}
	row := j.decide(it)
	it.set(row.Code, row.Name, row.Grade, row.Auto, row.Op)
	if am, ok := amountCase(it); ok {
		it.set(am[0], am[1], Uneven, "L2", "核对三方凭证,须复核")
	}
	if it.Grade == Flat {
		switch p := otherDate(it); {
		case p != Journal:
			it.set("XD", "跨日", Pended, "L0", "同一笔在"+p.String()+"属另一账务日,待其邻日文件")
			it.Note = p.String() + "账务日 " + it.Lines[p].Day.String()
		case moved != "":
			it.set("ID-2", "终端或渠道不符", Warned, "L0", "款项一致;核对终端与渠道登记")
			it.Note = moved
		default:
			return false
		}
	} else if moved != "" {
		it.Note = moved
	}
	j.wait(it)
	return true
}

func (i *Item) set(code, name string, g Grade, auto, op string) {
	i.Code, i.Name, i.Grade, i.Auto, i.Op = code, name, g, auto, op
}

// wait gives what may belong to a neighbouring day its due day, or calls it
// uneven when its time is known to be far from the cut.
func (j *Judge) wait(it *Item) {
	if it.Grade != Pended {
		return
	}
	if j.Next != nil {
		it.Due = j.Next(j.Day)
	}
	at, known := minutes(it.Any().Time)
	if !known || j.Window == 0 {
		return
	}
	has := j.has(it)
	for p := MIS; p <= Bank; p++ {
		if !has[p] || it.Lines[p] != nil && it.Lines[Journal] != nil && it.Code != "XD" {
			continue // it tells of the payment today: not its cut that matters
		}
		d := (at - j.Cuts[p] + 2*1440) % 1440
		if min(d, 1440-d) <= int(j.Window.Minutes()) {
			return
		}
	}
	it.Grade, it.Due = Uneven, 0
	it.Note = "时间 " + it.Any().Time + " 不在日切窗口内, 不作跨日待核"
}

// crossed is a line whose payment stands in another day's journal.
func (j *Judge) crossed(it *Item, day pay.Day, own *Line) {
	it.set("XD", "跨日", Pended, "L0", "属邻日流水,待邻日文件")
	it.Note = "流水在账务日 " + day.String()
	it.From = day
	if own != nil && own.Effect != Success && own.Effect != Open {
		it.Grade, it.Op = Uneven, "该笔在 "+day.String()+" 的流水非成功, 转入该日差错"
		return
	}
	if day < j.Day.Add(-1) {
		it.Grade, it.Op = Uneven, "迟到的账务: 与 "+day.String()+" 的差错一并处理"
		return
	}
	j.wait(it)
}

// funds is the bank's money less the MIS's books; where one of them takes no
// part the journal stands in for it.
func (j *Judge) funds(it *Item) pay.Amount {
	m, b := it.Lines[MIS].net(MIS), it.Lines[Bank].net(Bank)
	has := j.has(it)
	if !has[MIS] {
		m = it.Lines[Journal].net(Journal)
	}
	if !has[Bank] {
		b = it.Lines[Journal].net(Journal)
	}
	return b - m
}

// differ reports whether lines of one key name different customers, and what
// else of their identity differs.
func differ(it *Item) (swapped bool, moved string) {
	var account, terminal, link string
	for p, l := range it.Lines {
		if l == nil {
			continue
		}
		if account != "" && l.Account != "" && l.Account != account {
			swapped = true
		}
		if terminal != "" && l.Terminal != "" && l.Terminal != terminal {
			moved = fmt.Sprintf("终端 %s, %s记 %s", terminal, Party(p), l.Terminal)
		}
		if link != "" && l.Link != "" && l.Link != link {
			moved = fmt.Sprintf("渠道 %s, %s记 %s", link, Party(p), l.Link)
		}
		account, terminal, link = first(account, l.Account), first(terminal, l.Terminal), first(link, l.Link)
	}
	return swapped, moved
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// otherDate returns the party whose line carries another business day than the
// journal's.
func otherDate(it *Item) Party {
	own := it.Lines[Journal]
	for p := MIS; p < parties; p++ {
		if l := it.Lines[p]; own != nil && l != nil && l.Day != 0 && own.Day != 0 && l.Day != own.Day {
			return p
		}
	}
	return Journal
}

func (j *Judge) otherDay(it *Item) (pay.Day, *Line) {
	for p := MIS; p < parties; p++ {
		if l := it.Lines[p]; l != nil && j.Near != nil {
			if d, own := j.Near(l); d != 0 {
				return d, own
			}
		}
	}
	return 0, nil
}

// decide looks the combination up: of three parties in the matrix, of two in
// the table of the party that takes part.
func (j *Judge) decide(it *Item) Row {
	own, m, b := None, effectOf(it.Lines[MIS]), effectOf(it.Lines[Bank])
	if l := it.Lines[Journal]; l != nil {
		own = l.Effect
	}
	switch has := j.has(it); {
	case !has[Bank]:
		return j.Matrix.Pair(MIS, own, m)
	case !has[MIS]:
		return j.Matrix.Pair(Bank, own, b)
	}
	return j.Matrix.Decide(own, m, b)
}

func effectOf(l *Line) Effect {
	if l == nil {
		return Absent
	}
	return l.Effect
}

// card grades a payment by the card system's own table.
func (j *Judge) card(it *Item) bool {
	own, l := it.Lines[Journal], it.Lines[Card]
	if own != nil && l != nil && l.Account != "" && own.Account != l.Account {
		it.set("ID-1", "串户", Uneven, "L0", "最优先:核实两户,须复核")
		return true
	}
	e := None
	if own != nil {
		e = own.Effect
	}
	row := j.Matrix.Pair(Card, e, effectOf(l))
	it.set(row.Code, row.Name, row.Grade, row.Auto, row.Op)
	if own.counts(Journal) && l.counts(Card) && own.net(Journal) != l.net(Card) {
		it.set("AM-8", "金额不符·卡表异", Uneven, "L2", "核对卡表售电记录,须复核")
	}
	if it.Grade == Pended && j.Next != nil {
		it.Due = j.Next(j.Day)
	}
	return it.Grade != Flat
}

// amountCase compares the amounts of those lines that count.
func amountCase(it *Item) ([2]string, bool) {
	j, m, b := it.Lines[Journal], it.Lines[MIS], it.Lines[Bank]
	hj, hm, hb := j.counts(Journal), m.counts(MIS), b.counts(Bank)
	x, y, z := j.net(Journal), m.net(MIS), b.net(Bank)
	switch {
	case hj && hm && hb && x == y && y != z:
		return [2]string{"AM-3", "金额不符·银行异"}, true
	case hj && hm && hb && x == z && y != z:
		return [2]string{"AM-2", "金额不符·MIS异"}, true
	case hj && hm && hb && y == z && x != y:
		return [2]string{"AM-1", "金额不符·我方异"}, true
	case hj && hm && hb && x != y && y != z && x != z:
		return [2]string{"AM-4", "金额不符·三方皆异"}, true
	case hj && hb && !hm && x != z:
		return [2]string{"AM-5", "长款且金额不符"}, true
	case hj && hm && !hb && x != y:
		return [2]string{"AM-6", "短款且金额不符"}, true
	case hm && hb && !hj && y != z:
		return [2]string{"AM-7", "漏流水且金额不符"}, true
	}
	return [2]string{}, false
}
