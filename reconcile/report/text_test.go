package report

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// TestLayout holds the rules of the one screen: at most 78 columns, every
// character in GBK, the verdict first and last, every item listed.
func TestLayout(t *testing.T) {
	j := reconcile.Line{Key: "pos/60120001/000001//000123", Serial: "20261120010000000123", Account: "0512123488", Amount: 10400, Effect: reconcile.Failed, Time: "10:15:33", Row: 5120}
	b := j
	b.Effect, b.Row = reconcile.Charged, 4988
	r := &reconcile.Result{Day: 20261120, Channel: "ICBC01", Version: 2, At: time.Date(2026, 11, 21, 2, 7, 41, 0, time.UTC), Verdict: reconcile.Unbalanced,
		Has: [4]bool{reconcile.MIS: true, reconcile.Bank: true}, Why: strings.Repeat("很长的原因", 30),
		Inputs: []reconcile.Input{{Party: reconcile.Bank, Name: strings.Repeat("长名", 40) + ".txt", State: reconcile.Accepted}},
		Items: []reconcile.Item{
			{Code: "LG-3", Name: "长款·我方失败银行已扣", Grade: reconcile.Uneven, Op: "不得自动补销账(客户已被告知失败);默认退款,须复核", Lines: [4]*reconcile.Line{&j, nil, &b}, Funds: 10400},
			{Code: "SH-2", Name: "短款·我方成功银行无扣款", Grade: reconcile.Pended, Lines: [4]*reconcile.Line{&j}, Funds: -10400},
		}}
	text := Text(r)
	if _, err := simplifiedchinese.GBK.NewEncoder().String(text); err != nil {
		t.Errorf("not all in GBK: %v", err)
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		if w := Width(l); w > columns {
			t.Errorf("line %d has %d columns: %s", i+1, w, l)
		}
	}
	if !strings.HasPrefix(lines[1], "结论 不平") || lines[len(lines)-1] != "结论 不平 码 1 END" {
		t.Errorf("verdict is not first and last:\n%s", text)
	}
	for _, want := range []string{"LG-3", "SH-2", "长款 104.00", "短款 104.00", "0512****88", "第4988行", "勾稽"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, j.Account) {
		t.Error("customer number in clear")
	}
}

func TestGroup(t *testing.T) {
	for in, want := range map[string]string{"0": "0", "999": "999", "1000": "1,000", "-304.49": "-304.49", "1873220.15": "1,873,220.15", "--": "--"} {
		if got := group(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := pay.Amount(-5).Yuan(); got != "-0.05" {
		t.Errorf("got %s", got)
	}
}
