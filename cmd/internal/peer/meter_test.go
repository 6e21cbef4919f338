package peer

import (
	"testing"

	"qianzhi/gateway/pay"
)

// TestMeterSystem sells once under a serial, refuses a card whose count of
// purchases is another, hands out the data again, and takes nothing back that
// was written.
func TestMeterSystem(t *testing.T) {
	var booked []string
	m := NewMeters(Promises{Dedupe: true, Status: true, Booked: func(b Booking) { booked = append(booked, b.What+" "+b.Serial) }})
	do := func(op pay.Op, serial, original, count, result string, want pay.Code) pay.Reply {
		t.Helper()
		req := &pay.Request{Op: op, Account: "0512000001", Amount: 10000, Ref: pay.Ref{Serial: serial},
			More: []pay.Field{{ID: pay.FPurchaseCount, Val: count}, {ID: pay.FWriteResult, Val: result}}}
		if original != "" {
			req.Original = &pay.Ref{Serial: original}
		}
		rep := m.Do(t.Context(), req)
		if rep.Code != want {
			t.Errorf("%s %s of %q: %s, want %s", op, serial, original, rep.Code, want)
		}
		return rep
	}
	first := do(pay.CardPay, "S1", "", "0", "", pay.CodeOK)
	if again := do(pay.CardPay, "S1", "", "0", "", pay.CodeOK); pay.Find(again.More, pay.FCardData) != pay.Find(first.More, pay.FCardData) {
		t.Errorf("other data for the same sale: %v, %v", first.More, again.More)
	}
	do(pay.CardPay, "S2", "", "0", "", pay.CodeRefused)
	do(pay.CardConfirm, "C1", "S1", "", "failed", pay.CodeOK)
	if data := do(pay.CardWrite, "W1", "S1", "", "", pay.CodeOK); pay.Find(data.More, pay.FCardData) == "" {
		t.Error("no data for the card")
	}
	do(pay.CardConfirm, "C2", "S1", "", "ok", pay.CodeOK)
	do(pay.Cancel, "X1", "S1", "", "", pay.CodeWindow)
	do(pay.CardPay, "S3", "", "1", "", pay.CodeOK)
	do(pay.Reverse, "S3", "S3", "", "", pay.CodeOK)
	do(pay.Reverse, "S3", "S3", "", "", pay.CodeReversed)
	do(pay.Status, "Q1", "S3", "", "", pay.CodeReversed)
	do(pay.CardPay, "S3", "", "1", "", pay.CodeTombstone)
	do(pay.CardPay, "S4", "", "1", "", pay.CodeOK)
	do(pay.Reverse, "S5", "S5", "", "", pay.CodeNoEffect)
	do(pay.CardPay, "S5", "", "2", "", pay.CodeTombstone)
	want := []string{"sold S1", "failed S1", "written S1", "sold S3", "reversed S3", "sold S4"}
	if len(booked) != len(want) {
		t.Fatalf("booked %v, want %v", booked, want)
	}
	for i := range want {
		if booked[i] != want[i] {
			t.Errorf("booked %v, want %v", booked, want)
		}
	}
}
