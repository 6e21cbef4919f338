// Package report writes the result of a reconciliation for people. The verdict
// is the first and the last line, each line fits 78 columns, and every
// character exists in GBK.
package report

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/text/width"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

const columns = 78

// Text returns the one-screen report.
func Text(r *reconcile.Result) string {
	var b strings.Builder
	rule := strings.Repeat("=", columns)
	line := func(format string, a ...any) { b.WriteString(clip(fmt.Sprintf(format, a...)) + "\n") }
	line("%s", rule)
	line("结论 %s  对账日 %s  渠道 %s  版本 r%d  %s", r.Word(), dash(r.Day), r.Channel, r.Version, r.At.Format("15:04:05"))
	if settled(r) {
		summary(r, line)
	}
	if r.Why != "" {
		for _, part := range wrap("原因 "+r.Why, columns) {
			line("%s", part)
		}
	}
	line("%s", rule)
	if r.Totals[reconcile.Journal].Lines > 0 || settled(r) {
		totals(r, line)
	}
	sources(r, line)
	section(r.Items, line, "三 待办(金额从大到小, 全部列出)", reconcile.Uneven)
	section(r.Items, line, "四 待核(跨日, 到期前不计入不平)", reconcile.Pended)
	section(r.Items, line, "五 仅本机状态滞后(款项一致)", reconcile.Fixable)
	section(r.Items, line, "六 提示(不影响结论)", reconcile.Warned)
	left(r, line)
	line("%s", strings.Repeat("-", columns))
	for i := range r.Inputs {
		if in := &r.Inputs[i]; in.Sum != "" {
			line("输入 %s sha256 %.16s..", in.Party, in.Sum)
		}
	}
	line("规则 %s  流水冻结行 %d  长款=银行已收>MIS已销, 短款=反之", r.Rules, r.Freeze)
	line("结论 %s 码 %d END", r.Verdict, r.Verdict.Exit())
	return b.String()
}

// Ahead returns what is told of a day that is not over: no verdict, and none of
// the words of one.
func Ahead(r *reconcile.Result) ([]reconcile.File, error) {
	var b strings.Builder
	line := func(format string, a ...any) { b.WriteString(clip(fmt.Sprintf(format, a...)) + "\n") }
	line("预对账 %s  渠道 %s  截至 %s  待查 %d 笔  (当日未完, 不是对账结论)", dash(r.Day), r.Channel, r.At.Format("15:04:05"), len(r.Items))
	if r.Why != "" {
		for _, part := range wrap("原因 "+r.Why, columns) {
			line("%s", part)
		}
	}
	for p := reconcile.Journal; p <= reconcile.Card; p++ {
		if p == reconcile.Journal || r.Has[p] {
			line("   %s %s 笔 %s 元", pad(p.String(), 10), right(group(fmt.Sprint(r.Totals[p].Count)), 10), right(group(r.Totals[p].Sum.Yuan()), 18))
		}
	}
	for i := range r.Items {
		it := &r.Items[i]
		line(" #%d %s %s%s", i+1, pad(it.Code, 5), pad(it.Name, 30), right(it.Size().Yuan(), 14))
		line("    户号 %s  我方流水 %s  %s", accounts(it), orNone(it.Serial()), it.Any().Time)
		line("    银行参考 %s", orNone(it.Key()))
		line("    证据 流水 %s / MIS %s / 银行 %s", where(it, reconcile.Journal), where(it, reconcile.MIS), where(it, reconcile.Bank))
	}
	line("预对账 END")
	items, err := reconcile.AppendRecords(nil, r.Items)
	return []reconcile.File{{Name: "report.txt", Data: []byte(b.String())}, {Name: "items.jsonl", Data: items}}, err
}

// settled reports whether money may be spoken of: all sources are here and
// believed.
func settled(r *reconcile.Result) bool {
	return r.Verdict == reconcile.Balanced || r.Verdict == reconcile.Unbalanced || r.Verdict == reconcile.Broken && len(r.Items) > 0
}

func summary(r *reconcile.Result, line func(string, ...any)) {
	todo, _ := r.Count(reconcile.Uneven)
	m := r.Money()
	line("待办 %d 笔 差额 %s 元: 长款 %d 笔 %s, 短款 %d 笔 %s, 金额不符 %d 笔 %s", todo, (m.Long + m.Short + m.Amount).Yuan(),
		m.Longs, m.Long.Yuan(), m.Shorts, m.Short.Yuan(), m.Amounts, m.Amount.Yuan())
	wait, waiting := r.Count(reconcile.Pended)
	due := ""
	for i := range r.Items {
		if d := r.Items[i].Due; r.Items[i].Grade == reconcile.Pended && d != 0 {
			due = ", 到期 " + dash(d) + " 的对账"
			break
		}
	}
	fix, _ := r.Count(reconcile.Fixable)
	line("待核 %d 笔 %s 元(跨日%s)   补状态 %d 笔", wait, waiting.Yuan(), due, fix)
	if r.Acts != "" {
		for _, part := range wrap("自动处理 "+r.Acts, columns) {
			line("%s", part)
		}
	}
	line("下一步 qianzhi recon open --day %s   签核 未签", r.Day)
}

// left are the items of earlier days.
func left(r *reconcile.Result, line func(string, ...any)) {
	if len(r.Carried)+len(r.Closed) == 0 {
		return
	}
	var sum pay.Amount
	oldest := r.Day
	for i := range r.Carried {
		sum += r.Carried[i].Size()
		oldest = min(oldest, r.Carried[i].From)
	}
	line("七 前日遗留 %d 笔 %s 元, 最早 %s; 本日核销 %d 笔", len(r.Carried), sum.Yuan(), dash(oldest), len(r.Closed))
	number := 0
	for i := range r.Carried {
		if it := &r.Carried[i]; it.Turned {
			number++
			item(it, number, line)
		}
	}
}

func dash(d pay.Day) string {
	s := d.String()
	return s[:4] + "-" + s[4:6] + "-" + s[6:]
}

func totals(r *reconcile.Result, line func(string, ...any)) {
	line("一 总账 %s%s%s", pad("", 12), right("笔数", 14), right("金额(元)", 20)+right("与流水差", 18))
	for p := reconcile.Journal; p <= reconcile.Card; p++ {
		if p != reconcile.Journal && !r.Has[p] {
			continue
		}
		t, gap := r.Totals[p], "--"
		if p != reconcile.Journal {
			gap = (t.Sum - r.Own(p).Sum).Yuan()
		}
		name := [...]string{"本机流水(成功)", "营销MIS(净销账)", "银行(净扣款)", "卡表(净售电)"}[p]
		if p != reconcile.Journal && t.Lines == 0 && !settled(r) {
			continue
		}
		if a := r.Apart[p]; a.Count > 0 {
			own := r.Own(p)
			line("   %s%s%s%s", pad("流水中涉"+p.String(), 17), right(group(fmt.Sprint(own.Count)), 14), right(group(own.Sum.Yuan()), 20), right("--", 18))
		}
		line("   %s%s%s%s", pad(name, 17), right(group(fmt.Sprint(t.Count)), 14), right(group(t.Sum.Yuan()), 20), right(group(gap), 18))
	}
	if r.Preview != nil {
		line("   预览 本机流水与%s: 一致 %d 笔, 未对上 %d 笔", r.Preview.With, r.Preview.Agreed, r.Preview.Apart)
	}
	if !settled(r) {
		return
	}
	for p := reconcile.MIS; p <= reconcile.Card; p++ {
		if r.Has[p] {
			bridge(r, p, line)
		}
	}
	line("   各方一致 %s 笔 %s 元", group(fmt.Sprint(r.Agreed.Count)), group(r.Agreed.Sum.Yuan()))
}

// bridge is the proof that the listed items are all there is.
func bridge(r *reconcile.Result, p reconcile.Party, line func(string, ...any)) {
	total, items := r.Gap(p)
	b := r.Bridge(p)
	text := ""
	for _, part := range []struct {
		name string
		fen  pay.Amount
	}{{"长款", b.Long}, {"短款", b.Short}, {"金额不符", b.Amount}, {"跨日", b.Across}, {"其他", b.Other}} {
		if part.fen != 0 {
			sign := "+"
			if part.fen < 0 {
				sign = ""
			}
			text += "  " + part.name + " " + sign + group(part.fen.Yuan())
		}
	}
	word := "相符"
	if total != items {
		word = "不符"
	}
	if text == "" {
		text = "  0.00"
	}
	line("   勾稽 %s %s =%s  %s", p, group(total.Yuan()), text, word)
}

func sources(r *reconcile.Result, line func(string, ...any)) {
	line("二 文件")
	for i := range r.Inputs {
		in := &r.Inputs[i]
		line("   %s%s%s  %s", pad(in.Party.String(), 10), pad(filepath.Base(in.Name), 30), right(fmt.Sprintf("%d行", in.Count), 10), in.State.String()+" "+in.Checks)
		for _, more := range []string{in.Why, warned(in.Warning)} {
			if more == "" {
				continue
			}
			for _, part := range wrap("     "+more, columns) {
				line("%s", part)
			}
		}
	}
}

func warned(warning string) string {
	if warning == "" {
		return ""
	}
	return "警告: " + warning
}

func section(items []reconcile.Item, line func(string, ...any), title string, g reconcile.Grade) {
	n, sum := 0, pay.Amount(0)
	for i := range items {
		if items[i].Grade == g {
			n++
			sum += items[i].Size()
		}
	}
	if n == 0 {
		return
	}
	line("%s %d 笔 %s", title, n, sum.Yuan())
	number := 0
	for i := range items {
		it := &items[i]
		if it.Grade != g {
			continue
		}
		number++
		item(it, number, line)
	}
}

// item is the block that is read aloud on the phone.
func item(it *reconcile.Item, number int, line func(string, ...any)) {
	kind := ""
	switch {
	case it.Funds > 0:
		kind = " 长款 " + it.Funds.Yuan()
	case it.Funds < 0:
		kind = " 短款 " + (-it.Funds).Yuan()
	}
	line(" #%d %s %s%s%s", number, pad(it.Code, 5), pad(it.Name, 30), right(it.Size().Yuan(), 14), kind)
	l := it.Any()
	line("    户号 %s  我方流水 %s  %s", accounts(it), orNone(it.Serial()), l.Time)
	line("    银行参考 %s", orNone(it.Key()))
	evidence := fmt.Sprintf("    证据 流水 %s / MIS %s / 银行 %s", where(it, reconcile.Journal), where(it, reconcile.MIS), where(it, reconcile.Bank))
	if it.Lines[reconcile.Card] != nil || strings.HasPrefix(it.Code, "CM") {
		evidence = fmt.Sprintf("    证据 流水 %s / 卡表 %s", where(it, reconcile.Journal), where(it, reconcile.Card))
	}
	line("%s", evidence)
	if it.Note != "" {
		for _, part := range wrap("    说明 "+it.Note, columns) {
			line("%s", part)
		}
	}
	for _, part := range wrap("    建议 "+it.Op+"  [自动 "+it.Auto+"]", columns) {
		line("%s", part)
	}
}

func accounts(it *reconcile.Item) string {
	seen := []string{}
	for _, l := range it.Lines {
		if l == nil {
			continue
		}
		m := pay.Account.Masked(l.Account)
		dup := false
		for _, s := range seen {
			dup = dup || s == m
		}
		if !dup {
			seen = append(seen, m)
		}
	}
	return strings.Join(seen, " <> ")
}

func orNone(s string) string {
	if s == "" {
		return "无"
	}
	return s
}

// where says in which row a party's line stands and what it says there.
func where(it *reconcile.Item, p reconcile.Party) string {
	if l := it.Lines[p]; l != nil {
		return fmt.Sprintf("第%d行 %s", l.Row, l.Amount.Yuan())
	}
	if l := it.Before[p]; l != nil {
		return fmt.Sprintf("前日第%d行 %s", l.Row, l.Amount.Yuan())
	}
	return "无"
}

// group writes thousands with commas.
func group(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") && s != "--" {
		sign, s = "-", s[1:]
	}
	whole, frac, has := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if has {
		whole += "." + frac
	}
	return sign + whole
}

// Width returns the columns a text takes, ambiguous characters counted as two.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth, width.EastAsianAmbiguous:
		return 2
	}
	return 1
}

func pad(s string, n int) string { return s + strings.Repeat(" ", max(0, n-Width(s))) }

func right(s string, n int) string { return strings.Repeat(" ", max(0, n-Width(s))) + s }

func clip(s string) string {
	n := 0
	for i, r := range s {
		if n += runeWidth(r); n > columns {
			return strings.TrimRight(s[:i], " ")
		}
	}
	return strings.TrimRight(s, " ")
}

// wrap cuts a text into lines of at most n columns.
func wrap(s string, n int) []string {
	var out []string
	at, start := 0, 0
	for i, r := range s {
		if at+runeWidth(r) > n {
			out = append(out, s[start:i])
			at, start = 0, i
		}
		at += runeWidth(r)
	}
	return append(out, s[start:])
}
