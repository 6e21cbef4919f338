package reconcile

import (
	"fmt"
	"time"

	"qianzhi/gateway/pay"
)

// Verdict is the answer of a run; its number is the exit status of the command.
type Verdict uint8

// The verdicts.
const (
	Balanced   Verdict = 0 // 平
	Unbalanced Verdict = 1 // 不平
	Broken     Verdict = 2 // 故障: our own program or data is wrong
	Incomplete Verdict = 3 // 未齐
	Refused    Verdict = 4 // 拒收
	Doubtful   Verdict = 5 // 存疑: exit status 4 as well
)

// String returns the word of the reports.
func (v Verdict) String() string {
	return [...]string{"平", "不平", "故障", "未齐", "拒收", "存疑"}[v]
}

// Exit returns the published exit status.
func (v Verdict) Exit() int {
	if v == Doubtful {
		return 4
	}
	return int(v)
}

// Result is a finished run of one channel and day.
type Result struct {
	Day     pay.Day
	Channel string
	Version int
	At      time.Time
	Freeze  uint64
	Rules   string // version of the matrix
	Verdict Verdict
	Why     string // of every verdict but 平 and 不平
	Inputs  []Input
	Items   []Item
	Carried []Item // open from earlier days, with nothing new today
	Closed  []Item // of earlier days, settled by today's files
	Totals  [parties]Total
	Apart   [parties]Total // of the journal's: payments that the party has no part in
	Agreed  Total          // payments that count and about which all agree
	Preview *Preview
	Acts    string // what was done about the day by itself so far, in words
	Has     [parties]bool
	Stats   Stats
	Ahead   bool   // the day is not over: this is no verdict
	Same    bool   // as the version before: nothing was written
	Base    string // hash over all that the result follows from
}

// Preview is what can be said while a source is missing: how far the others
// agree, in no words of money.
type Preview struct {
	With   Party
	Agreed int
	Apart  int
}

// Count returns the items of a grade and the sum of their sizes.
func (r *Result) Count(g Grade) (n int, sum pay.Amount) { return count(r.Items, g) }

func count(items []Item, g Grade) (n int, sum pay.Amount) {
	for i := range items {
		if items[i].Grade == g {
			n++
			sum += items[i].Size()
		}
	}
	return n, sum
}

// Money is the open items' money by kind: 长款, 短款 and amounts that differ.
type Money struct {
	Long, Short, Amount          pay.Amount
	Longs, Shorts, Amounts, Rest int
}

// Money adds up the uneven items.
func (r *Result) Money() (m Money) {
	for i := range r.Items {
		it := &r.Items[i]
		switch {
		case it.Grade != Uneven:
		case it.Code[:2] == "AM":
			m.Amounts++
			m.Amount += max(it.Funds, -it.Funds)
		case it.Funds > 0:
			m.Longs++
			m.Long += it.Funds
		case it.Funds < 0:
			m.Shorts++
			m.Short -= it.Funds
		default:
			m.Rest++
		}
	}
	return m
}

// Codes counts the items by code.
func (r *Result) Codes() map[string]int {
	m := map[string]int{}
	for i := range r.Items {
		m[r.Items[i].Code]++
	}
	return m
}

// Own is the journal's total of the payments that a party has a part in.
func (r *Result) Own(p Party) Total {
	t := r.Totals[Journal]
	t.Lines -= r.Apart[p].Lines
	t.Count -= r.Apart[p].Count
	t.Sum -= r.Apart[p].Sum
	return t
}

// Gap returns how far a party's total is from the journal's, and the sum of
// the items' gaps. The two must be equal: that is the bridge.
func (r *Result) Gap(p Party) (total, items pay.Amount) {
	b := r.Bridge(p)
	return r.Totals[p].Sum - r.Own(p).Sum, b.Sum()
}

// Bridge is what a party's gap to the journal is made of.
type Bridge struct{ Long, Short, Amount, Across, Other pay.Amount }

// Sum adds the bridge up.
func (b Bridge) Sum() pay.Amount { return b.Long + b.Short + b.Amount + b.Across + b.Other }

// Bridge takes a party's gap apart.
func (r *Result) Bridge(p Party) (b Bridge) {
	for i := range r.Items {
		it := &r.Items[i]
		if foreign(it, p) {
			continue
		}
		g := it.gap(p)
		switch {
		case it.Code[:2] == "AM":
			b.Amount += g
		case it.Grade == Pended || it.Code == "XD":
			b.Across += g
		case it.Funds > 0:
			b.Long += g
		case it.Funds < 0:
			b.Short += g
		default:
			b.Other += g
		}
	}
	return b
}

// foreign reports whether an item speaks of another comparison: the card
// system's items are apart from those of the money parties. A journal line that
// stands twice is everybody's.
func foreign(it *Item, p Party) bool {
	if it.Code == "DU-3" {
		return false
	}
	return (p == Card) != it.card()
}

// card reports whether the item is of the journal and the card system.
func (i *Item) card() bool {
	return len(i.Code) > 2 && i.Code[:2] == "CM" || i.Code == "AM-8" || i.Code == "DU-5" || i.Lines[Card] != nil
}

// conclude decides the verdict of a run whose sources are all settled.
func (r *Result) conclude() {
	for p := MIS; p < parties; p++ {
		if !r.Has[p] {
			continue
		}
		if total, items := r.Gap(p); total != items {
			r.Verdict, r.Why = Broken, fmt.Sprintf("勾稽不符: %s 差 %s, 明细合计 %s", p, total.Yuan(), items.Yuan())
			return
		}
	}
	if n := r.Codes()["DU-3"]; n > 0 {
		r.Verdict, r.Why = Broken, fmt.Sprintf("流水重号 %d 笔", n)
		return
	}
	for i := range r.Carried { // what turned uneven today
		if r.Carried[i].Grade == Uneven && r.Carried[i].Due == r.Day {
			r.Verdict = Unbalanced
		}
	}
	if n, _ := r.Count(Uneven); n > 0 {
		r.Verdict = Unbalanced
	}
}

// sane stops a run whose files are of so different a size that a wrong file is
// likelier than so many differences. Zero-effect journal rows do not count.
func (r *Result) sane() bool {
	for p := MIS; p < parties; p++ {
		own := r.Own(p).Count
		limit := max(20, own/20)
		if d := r.Totals[p].Count - own; r.Has[p] && (d > limit || -d > limit) {
			r.Verdict, r.Why = Doubtful, fmt.Sprintf("%s 有效笔数 %d 与本机 %d 相差过大,疑似文件有误", p, r.Totals[p].Count, own)
			return false
		}
	}
	for i := range r.Inputs {
		if in := &r.Inputs[i]; in.State == Empty && in.Attested == "" && r.Own(in.Party).Count > 0 {
			r.Verdict, r.Why = Doubtful, fmt.Sprintf("%s 文件为空而本机有成功 %d 笔, 须对方具名证明当日无账", in.Party, r.Own(in.Party).Count)
			return false
		}
	}
	return true
}

// Word is the verdict as the first line gives it, with what is carried.
func (r *Result) Word() string {
	if r.Ahead {
		return fmt.Sprintf("预对账(待查 %d)", len(r.Items))
	}
	if n, _ := r.Count(Pended); n > 0 && r.Verdict == Balanced {
		return fmt.Sprintf("平(含待核 %d)", n)
	}
	return r.Verdict.String()
}
