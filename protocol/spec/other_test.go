package spec

import (
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
)

// Only what a payment is not known by may be read as something else.
func TestOtherIsNotForWhatMustBeUnderstood(t *testing.T) {
	file, err := conf.Files.ReadFile("links/wallet-notify.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ from, to, want string }{
		{"WAIT_BUYER_PAY: pending}}", "WAIT_BUYER_PAY: pending}, other: pending}", ""},
		{"WAIT_BUYER_PAY: pending}}", "WAIT_BUYER_PAY: pending}, other: \"\"}", ""},
		{", dict: {TRADE_SUCCESS: approved, TRADE_CLOSED: declined, WAIT_BUYER_PAY: pending}}", ", other: pending}", "outcome: other: needs dict"},
		{"serial: head.serial\n", "serial: {at: head.serial, dict: {a: b}, other: c}\n", "serial: other: this field must be understood"},
		{"unit: yuan}", "dict: {a: \"1\"}, other: \"2\"}", "amount: other: this field must be understood"},
		{"local_date: head.date", "local_date: {at: head.date, date: YYYYMMDD, dict: {a: b}, other: c}", "local_date: other: this field must be understood"},
		{"{code: head.code,", "{code: {at: head.code, dict: {a: SUCCESS}, other: FAIL},", "code: other: this field must be understood"},
	} {
		if strings.Count(string(file), tc.from) == 0 {
			t.Fatalf("%q does not stand in the file", tc.from)
		}
		text := strings.Replace(string(file), tc.from, tc.to, 1)
		l, err := Load("links/x.yaml", func(name string) ([]byte, error) {
			if name == "links/x.yaml" {
				return []byte(text), nil
			}
			return conf.Files.ReadFile(name)
		})
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Assemble(Parts{})
		switch {
		case tc.want == "" && err != nil, tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: got %v, want %q", tc.to, err, tc.want)
		case err != nil:
			continue
		}
		for _, mv := range d.Map.Messages[0].Request.Moves {
			if want := strings.Contains(tc.to, "other: pending") && mv.Field == pay.FOutcome; (mv.Conv.Other != "") != want {
				t.Errorf("%s: %s has other %q", tc.to, mv.Slot.Name, mv.Conv.Other)
			}
		}
	}
}
