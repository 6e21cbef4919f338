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

// Files returns the files of a report.
func Files(r *reconcile.Result) ([]reconcile.File, error) {
	return []reconcile.File{{Name: "report.txt", Data: []byte(Text(r))}}, nil
}

// Text returns the one-screen report.
func Text(r *reconcile.Result) string {
	var b strings.Builder
	rule := strings.Repeat("=", columns)
	line := func(format string, a ...any) { b.WriteString(clip(fmt.Sprintf(format, a...)) + "\n") }
	line("%s", rule)
	line("结论 %s  对账日 %s  渠道 %s  版本 r%d  %s", headline(r), dash(r.Day), r.Channel, r.Version, r.At.Format("15:04:05"))
	todo, money := r.Count(reconcile.Uneven)
	wait, waiting := r.Count(reconcile.Pended)
	line("待办 %d 笔 %s   待核 %d 笔 %s", todo, money.Yuan(), wait, waiting.Yuan())
	if r.Why != "" {
		for _, part := range wrap("原因 "+r.Why, columns) {
			line("%s", part)
		}
	}
	line("%s", rule)
	totals(r, line)
	sources(r, line)
	section(r, line, "三 待办(金额从大到小, 全部列出)", reconcile.Uneven)
	section(r, line, "四 待核(跨日, 到期前不计入不平)", reconcile.Pended)
	section(r, line, "五 仅本机状态滞后(款项一致)", reconcile.Fixable)
	line("%s", strings.Repeat("-", columns))
	line("流水冻结行 %d  长款=银行已收>MIS已销, 短款=反之", r.Freeze)
	line("结论 %s 码 %d END", r.Verdict, r.Verdict.Exit())
	return b.String()
}

// headline is the verdict, with the carried items beside a 平.
func headline(r *reconcile.Result) string {
	if n, _ := r.Count(reconcile.Pended); n > 0 && r.Verdict == reconcile.Balanced {
		return fmt.Sprintf("平(含待核 %d)", n)
	}
	return r.Verdict.String()
}

func dash(d pay.Day) string {
	s := d.String()
	return s[:4] + "-" + s[4:6] + "-" + s[6:]
}

func totals(r *reconcile.Result, line func(string, ...any)) {
	line("一 总账 %s%s%s", left("", 12), right("笔数", 14), right("金额(元)", 20)+right("与流水差", 18))
	row := func(name string, p reconcile.Party) {
		t := r.Totals[p]
		gap := "--"
		if p != reconcile.Journal {
			gap = (t.Sum - r.Totals[reconcile.Journal].Sum).Yuan()
		}
		line("   %s%s%s%s", left(name, 17), right(group(fmt.Sprint(t.Count)), 14), right(group(t.Sum.Yuan()), 20), right(group(gap), 18))
	}
	row("本机流水(成功)", reconcile.Journal)
	for _, p := range []reconcile.Party{reconcile.MIS, reconcile.Bank} {
		if p == reconcile.MIS && r.HasMIS {
			row("营销MIS(净销账)", p)
		}
		if p == reconcile.Bank && r.HasBank {
			row("银行(净扣款)", p)
		}
	}
	for _, p := range []reconcile.Party{reconcile.MIS, reconcile.Bank} {
		if p == reconcile.MIS && !r.HasMIS || p == reconcile.Bank && !r.HasBank {
			continue
		}
		total, items := r.Gap(p)
		word := "相符"
		if total != items {
			word = "不符"
		}
		line("   勾稽 %s 差 %s = 明细 %s  %s", p, group(total.Yuan()), group(items.Yuan()), word)
	}
	line("   各方一致 %s 笔 %s 元", group(fmt.Sprint(r.Agreed.Count)), group(r.Agreed.Sum.Yuan()))
}

func sources(r *reconcile.Result, line func(string, ...any)) {
	line("二 文件")
	for i := range r.Inputs {
		in := &r.Inputs[i]
		line("   %s%s%s  %s", left(in.Party.String(), 10), left(filepath.Base(in.Name), 34), right(fmt.Sprintf("%d行", len(in.Lines)), 10), in.State)
		if in.Why != "" {
			for _, part := range wrap("     "+in.Why, columns) {
				line("%s", part)
			}
		}
	}
}

func section(r *reconcile.Result, line func(string, ...any), title string, g reconcile.Grade) {
	n, sum := r.Count(g)
	if n == 0 {
		return
	}
	line("%s %d 笔 %s", title, n, sum.Yuan())
	number := 0
	for i := range r.Items {
		it := &r.Items[i]
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
	line(" #%d %s %s%s%s", number, left(it.Code, 5), left(it.Name, 30), right(it.Size().Yuan(), 14), kind)
	l := it.Any()
	line("    户号 %s  我方流水 %s  %s", accounts(it), orNone(serialOf(it)), l.Time)
	line("    银行参考 %s", orNone(keyOf(it)))
	line("    证据 流水 %s / MIS %s / 银行 %s", where(it.J, "行"), where(it.M, "行"), where(it.B, "行"))
	for _, part := range wrap("    建议 "+it.Op, columns) {
		line("%s", part)
	}
}

func accounts(it *reconcile.Item) string {
	seen := []string{}
	for _, l := range []*reconcile.Line{it.J, it.M, it.B} {
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

func serialOf(it *reconcile.Item) string {
	for _, l := range []*reconcile.Line{it.J, it.M, it.B} {
		if l != nil && l.Serial != "" {
			return l.Serial
		}
	}
	return ""
}

func keyOf(it *reconcile.Item) string {
	for _, l := range []*reconcile.Line{it.B, it.J} {
		if l != nil && l.Key != "" {
			return l.Key
		}
	}
	return ""
}

func orNone(s string) string {
	if s == "" {
		return "无"
	}
	return s
}

func where(l *reconcile.Line, unit string) string {
	if l == nil {
		return "无"
	}
	return fmt.Sprintf("第%d%s %s", l.Row, unit, l.Amount.Yuan())
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

func left(s string, n int) string { return s + strings.Repeat(" ", max(0, n-Width(s))) }

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
