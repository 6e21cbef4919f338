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
	Verdict Verdict
	Why     string // of every verdict but 平 and 不平
	Inputs  []Input
	Items   []Item
	Totals  [parties]Total
	Agreed  Total // payments that count and about which all agree
	HasMIS  bool
	HasBank bool
}

// Count returns the items of a grade and the sum of their sizes.
func (r *Result) Count(g Grade) (n int, sum pay.Amount) {
	for i := range r.Items {
		if r.Items[i].Grade == g {
			n++
			sum += r.Items[i].Size()
		}
	}
	return n, sum
}

// Codes counts the items by code.
func (r *Result) Codes() map[string]int {
	m := map[string]int{}
	for i := range r.Items {
		m[r.Items[i].Code]++
	}
	return m
}

// Gap returns how far a party's total is from the journal's, and the sum of
// the items' gaps. The two must be equal: that is the bridge.
func (r *Result) Gap(p Party) (total, items pay.Amount) {
	for i := range r.Items {
		it := &r.Items[i]
		l := it.M
		if p == Bank {
			l = it.B
		}
		items += l.net(p) - it.J.net(Journal)
	}
	return r.Totals[p].Sum - r.Totals[Journal].Sum, items
}

// conclude decides the verdict of a run whose sources are all settled.
func (r *Result) conclude() {
	for _, p := range []Party{MIS, Bank} {
		if p == MIS && !r.HasMIS || p == Bank && !r.HasBank {
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
	if n, _ := r.Count(Uneven); n > 0 {
		r.Verdict = Unbalanced
	}
}

// sane stops a run whose files are of so different a size that a wrong file is
// likelier than so many differences. Zero-effect journal rows do not count.
func (r *Result) sane() bool {
	own := r.Totals[Journal].Count
	limit := max(20, own/20)
	for p, has := range map[Party]bool{MIS: r.HasMIS, Bank: r.HasBank} {
		if d := r.Totals[p].Count - own; has && (d > limit || -d > limit) {
			r.Verdict, r.Why = Doubtful, fmt.Sprintf("%s 有效笔数 %d 与本机 %d 相差过大,疑似文件有误", p, r.Totals[p].Count, own)
			return false
		}
	}
	return true
}
