package access

import (
	"testing"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

func ask(op pay.Op, terminal, merchant string) *pay.Request {
	return &pay.Request{Op: op, More: []pay.Field{{ID: pay.FTerminal, Val: terminal}, {ID: pay.FMerchant, Val: merchant}}}
}

func TestTerminals(t *testing.T) {
	table, err := NewTerminals([]Terminal{{Terminal: "T1", Merchant: "M1"}, {Terminal: "T2"}, {Terminal: "T3", Disabled: true}}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op                 pay.Op
		terminal, merchant string
		want               pay.Code
	}{
		{pay.Pay, "T1", "M1", pay.CodeUnknown}, {pay.Pay, "T1", "M2", pay.CodeTerminal}, {pay.Pay, "T1", "", pay.CodeUnknown},
		{pay.Pay, "T2", "M9", pay.CodeUnknown}, {pay.Pay, "T9", "M1", pay.CodeTerminal}, {pay.Pay, "", "", pay.CodeTerminal}, {pay.Reverse, "T9", "", pay.CodeTerminal},
		{pay.Pay, "T3", "", pay.CodeTerminal}, {pay.SignOn, "T3", "", pay.CodeTerminal}, {pay.Cancel, "T3", "", pay.CodeTerminal}, {pay.CardPay, "T3", "", pay.CodeTerminal},
		{pay.Reverse, "T3", "", pay.CodeUnknown}, {pay.Settle, "T3", "", pay.CodeUnknown}, {pay.Status, "T3", "", pay.CodeUnknown},
		{pay.Echo, "", "", pay.CodeUnknown}, {pay.Echo, "T9", "", pay.CodeTerminal},
	} {
		if got := table.Allow(ask(c.op, c.terminal, c.merchant)); got != c.want {
			t.Errorf("%s of %q at %q: %s, want %s", c.op, c.terminal, c.merchant, got, c.want)
		}
	}
}

func TestSignOnIsRequired(t *testing.T) {
	table, err := NewTerminals([]Terminal{{Terminal: "T1"}, {Terminal: "T2"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	may := func(terminal string) bool { return table.Allow(ask(pay.Pay, terminal, "")) == pay.CodeUnknown }
	yes, no := &pay.Reply{Verdict: pay.Approved}, &pay.Reply{Verdict: pay.Declined}
	if may("T1") || table.Allow(ask(pay.SignOn, "T1", "")) != pay.CodeUnknown || table.Allow(ask(pay.Pay, "T1", "")) != pay.CodeSignOn {
		t.Error("before the sign-on")
	}
	table.Done(ask(pay.SignOn, "T1", ""), no)
	table.Done(ask(pay.Pay, "T1", ""), yes)
	if may("T1") {
		t.Error("a refused sign-on counts")
	}
	table.Done(ask(pay.SignOn, "T1", ""), yes)
	table.Done(ask(pay.SignOn, "T9", ""), yes)
	if !may("T1") || may("T2") || len(table.signed) != 1 {
		t.Error("after the sign-on")
	}
	if table.Replace(nil) == nil || table.Replace([]Terminal{{}}) == nil || table.Replace([]Terminal{{Terminal: "T1"}, {Terminal: "T1"}}) == nil || !may("T1") {
		t.Error("a wrong list changes something")
	}
	if err := table.Replace([]Terminal{{Terminal: "T1"}, {Terminal: "T3"}}); err != nil || !may("T1") {
		t.Errorf("a new list signs off: %v", err)
	}
	table.Done(ask(pay.SignOff, "T1", ""), yes)
	if may("T1") {
		t.Error("after the sign-off")
	}
}

// TestSignedTerminalsAreInTheTable keeps the memory bounded by the table.
func TestSignedTerminalsAreInTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, err := NewTerminals([]Terminal{{Terminal: "T0"}}, true)
		if err != nil {
			t.Fatal(err)
		}
		name := rapid.SampledFrom([]string{"T0", "T1", "T2", "T3"})
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "replace") {
				list := []Terminal{}
				for _, n := range rapid.SliceOfNDistinct(name, 1, 4, rapid.ID).Draw(t, "list") {
					list = append(list, Terminal{Terminal: n, Disabled: rapid.Bool().Draw(t, "disabled")})
				}
				if err := table.Replace(list); err != nil {
					t.Fatal(err)
				}
			} else {
				table.Done(ask(pay.SignOn, name.Draw(t, "who"), ""), &pay.Reply{Verdict: pay.Approved})
			}
			for n := range table.signed {
				if _, there := table.by[n]; !there {
					t.Fatalf("%s is signed on and not in the table", n)
				}
			}
		}
	})
}
