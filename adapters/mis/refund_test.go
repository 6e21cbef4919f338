package mis

import (
	"fmt"
	"reflect"
	"testing"

	"qianzhi/gateway/pay"
)

// refundOfPayment is a 退货 of a payment.
func refundOfPayment(p *pay.Request, serial string, amount pay.Amount, on pay.Day) *pay.Request {
	r := about(pay.Refund, p)
	r.Ref, r.Amount, r.Day, r.More = pay.Ref{Kind: pay.KindRefund, Serial: serial}, amount, on, p.More
	return r
}

// TestRefunds: parts and what is of an earlier day are lines of their own, the
// whole on its own day is a return; a serial gives back once, no more goes back
// than was paid, and bills and balance end as they were.
func TestRefunds(t *testing.T) {
	l, list := open(t, true)
	state := func(i int) string {
		rep := l.Do(t.Context(), &pay.Request{Op: pay.Query, Account: list[i].Account})
		return fmt.Sprintf("%d bills, balance %s", len(rep.Bills), pay.Find(rep.More, pay.FBalance))
	}
	var sales []*pay.Request
	var before []string
	for i := range 3 {
		before = append(before, state(i))
		sales = append(sales, payment(fmt.Sprint("S", i), list[i]))
		expect(t, l, sales[i], pay.Approved, pay.CodeOK)
	}
	parts, whole, later := sales[0], sales[1], sales[2]
	for range 2 {
		rep := expect(t, l, refundOfPayment(parts, "R1", 30, day), pay.Approved, pay.CodeOK)
		if rep.Amount != 30 || rep.Serial != "YXT00000000001" {
			t.Errorf("%+v", rep)
		}
	}
	if got := state(0); got != "0 bills, balance -30" {
		t.Error(got)
	}
	expect(t, l, refundOfPayment(parts, "R1", 31, day), pay.Declined, pay.CodeDuplicate)
	expect(t, l, refundOfPayment(parts, "R2", parts.Amount-29, day), pay.Declined, pay.CodeAmount)
	expect(t, l, refundOfPayment(parts, "R2", 0, day), pay.Declined, pay.CodeAmount)
	expect(t, l, about(pay.Reverse, parts), pay.Declined, pay.CodeAmount)
	other := refundOfPayment(parts, "R2", 1, day)
	other.Account = list[4].Account
	expect(t, l, other, pay.Declined, pay.CodeOriginal)
	expect(t, l, refundOfPayment(payment("S9", list[0]), "R2", 1, day), pay.Declined, pay.CodeOriginal)
	expect(t, l, about(pay.Status, parts), pay.Approved, pay.CodeOK)
	asked := about(pay.Status, parts)
	asked.Original.Serial = "R1"
	if rep := expect(t, l, asked, pay.Approved, pay.CodeOK); rep.Amount != 30 {
		t.Errorf("%+v", rep)
	}
	expect(t, l, refundOfPayment(parts, "R3", parts.Amount-30, day), pay.Approved, pay.CodeOK)
	expect(t, l, about(pay.Status, parts), pay.Approved, pay.CodeReversed)
	expect(t, l, refundOfPayment(parts, "R4", 1, day), pay.Declined, pay.CodeReversed)

	expect(t, l, refundOfPayment(whole, "R5", whole.Amount, day), pay.Approved, pay.CodeOK)
	expect(t, l, refundOfPayment(later, "R6", later.Amount, day.Add(1)), pay.Approved, pay.CodeOK)
	for i := range 3 {
		if got := state(i); got != before[i] {
			t.Errorf("customer %d: %s, before %s", i, got, before[i])
		}
	}
	lines := func(d pay.Day) (got []string) {
		err := l.Day(t.Context(), d, func(p Posted) bool {
			got = append(got, fmt.Sprint(p.Serial, " ", p.Amount, p.Returned, p.Back))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := []string{fmt.Sprint("S0 ", parts.Amount, false, false), fmt.Sprint("S1 ", whole.Amount, true, false), fmt.Sprint("S2 ", later.Amount, false, false),
		fmt.Sprint("R1 ", 30, false, true), fmt.Sprint("R3 ", parts.Amount-30, false, true)}
	if got := lines(day); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if got := lines(day.Add(1)); !reflect.DeepEqual(got, []string{fmt.Sprint("R6 ", later.Amount, false, true)}) {
		t.Errorf("the day after: %q", got)
	}
	if n, sum := net(t, l); n != 0 || sum != later.Amount {
		t.Errorf("net %d, %d", n, sum)
	}
	rep := expect(t, l, &pay.Request{Op: pay.CheckFile, Day: day.Add(1)}, pay.Approved, pay.CodeOK)
	if rep.Amount != -later.Amount || pay.Find(rep.More, pay.FCreditCount) != "1" {
		t.Errorf("list of the day after: %+v", rep)
	}
}
