package mis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/pay"
)

const day = pay.Day(20261120)

// open makes a ledger with ten customers.
func open(t *testing.T, dedupe bool) (*Ledger, []Customer) {
	t.Helper()
	l, err := Open(Options{File: filepath.Join(t.TempDir(), "mis.db"), Dedupe: dedupe,
		Now: func() time.Time { return time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	list, err := l.Seed(t.Context(), rand.New(rand.NewPCG(1, 2)), 10)
	if err != nil {
		t.Fatal(err)
	}
	return l, list
}

func owed(c Customer) (a pay.Amount) {
	for _, b := range c.Bills {
		a += b.Amount
	}
	return a
}

func payment(serial string, c Customer) *pay.Request {
	return &pay.Request{Op: pay.Pay, Ref: pay.Ref{Kind: pay.KindPay, Serial: serial}, Day: day, Account: c.Account, Amount: owed(c), Bills: c.Bills,
		More: []pay.Field{{ID: pay.FChannel, Val: "pos"}}}
}

func about(op pay.Op, p *pay.Request) *pay.Request {
	return &pay.Request{Op: op, Day: day, Account: p.Account, Amount: p.Amount, Original: &pay.Ref{Kind: pay.KindPay, Serial: p.Ref.Serial}}
}

// expect asks and compares verdict and code.
func expect(t *testing.T, l *Ledger, req *pay.Request, v pay.Verdict, c pay.Code) pay.Reply {
	t.Helper()
	rep := l.Do(t.Context(), req)
	if rep.Verdict != v || rep.Code != c {
		t.Errorf("%s %s: got %s/%s, want %s/%s", req.Op, req.Ref.Serial, rep.Verdict, rep.Code, v, c)
	}
	return rep
}

func net(t *testing.T, l *Ledger) (int, pay.Amount) {
	t.Helper()
	n, sum, err := l.Net(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	return n, sum
}

func TestPayReturnAndPayAgain(t *testing.T) {
	l, list := open(t, true)
	c := list[0]
	q := &pay.Request{Op: pay.Query, Account: c.Account}
	rep := expect(t, l, q, pay.Approved, pay.CodeOK)
	if rep.Amount != owed(c) || len(rep.Bills) != len(c.Bills) || pay.Find(rep.More, pay.FName) != c.Name || pay.Find(rep.More, pay.FAddress) != c.Address {
		t.Errorf("query: %+v, want %+v", rep, c)
	}
	p := payment("S1", c)
	first := expect(t, l, p, pay.Approved, pay.CodeOK)
	expect(t, l, q, pay.Declined, pay.CodeNothingOwed)
	if again := expect(t, l, p, pay.Approved, pay.CodeOK); again.Serial != first.Serial || again.Amount != first.Amount {
		t.Errorf("a repeat got %+v, the first %+v", again, first)
	}
	if n, sum := net(t, l); n != 1 || sum != p.Amount {
		t.Errorf("%d payments of %d fen, want 1 of %d", n, sum, p.Amount)
	}
	expect(t, l, about(pay.Status, p), pay.Approved, pay.CodeOK)
	expect(t, l, about(pay.Reverse, p), pay.Approved, pay.CodeOK)
	expect(t, l, about(pay.Reverse, p), pay.Approved, pay.CodeReversed)
	expect(t, l, about(pay.Status, p), pay.Approved, pay.CodeReversed)
	expect(t, l, p, pay.Declined, pay.CodeTombstone)
	if n, sum := net(t, l); n != 0 || sum != 0 {
		t.Errorf("%d payments of %d fen after the return", n, sum)
	}
	expect(t, l, payment("S2", c), pay.Approved, pay.CodeOK)
}

func TestRefusals(t *testing.T) {
	l, list := open(t, true)
	c := list[0]
	stranger := payment("S1", c)
	stranger.Account = "0599000001"
	expect(t, l, stranger, pay.Declined, pay.CodeNoCustomer)
	short := payment("S2", c)
	short.Amount--
	expect(t, l, short, pay.Declined, pay.CodeAmount)
	p := payment("S3", c)
	expect(t, l, p, pay.Approved, pay.CodeOK)
	other := payment("S3", list[1])
	expect(t, l, other, pay.Declined, pay.CodeDuplicate)
	expect(t, l, payment("S4", c), pay.Declined, pay.CodeNothingOwed)
	wrong := about(pay.Reverse, p)
	wrong.Amount++
	expect(t, l, wrong, pay.Declined, pay.CodeAmount)
	expect(t, l, &pay.Request{Op: pay.Reverse}, pay.Declined, pay.CodeFormat)
	expect(t, l, &pay.Request{Op: pay.Status}, pay.Declined, pay.CodeFormat)
	expect(t, l, &pay.Request{Op: pay.Settle}, pay.Declined, pay.CodeNotAllowed)
	expect(t, l, &pay.Request{Op: pay.Echo}, pay.Approved, pay.CodeOK)
}

// TestReversalOvertakesItsPayment leaves a tombstone that refuses the payment.
func TestReversalOvertakesItsPayment(t *testing.T) {
	for _, dedupe := range []bool{true, false} {
		l, list := open(t, dedupe)
		p := payment("S1", list[0])
		expect(t, l, about(pay.Reverse, p), pay.Approved, pay.CodeNoEffect)
		expect(t, l, about(pay.Reverse, p), pay.Approved, pay.CodeNoEffect)
		expect(t, l, about(pay.Status, p), pay.Declined, pay.CodeOriginal)
		expect(t, l, p, pay.Declined, pay.CodeTombstone)
		if n, _ := net(t, l); n != 0 {
			t.Errorf("dedupe %v: posted all the same", dedupe)
		}
	}
}

// TestWithoutDedupeADoubleShows posts one serial twice: it must be visible as
// two effects, or a double posting could hide.
func TestWithoutDedupeADoubleShows(t *testing.T) {
	l, list := open(t, false)
	p := payment("S1", list[0])
	expect(t, l, p, pay.Approved, pay.CodeOK)
	expect(t, l, p, pay.Approved, pay.CodeOK)
	if n, sum := net(t, l); n != 2 || sum != 2*p.Amount {
		t.Errorf("%d payments of %d fen, want 2 of %d", n, sum, 2*p.Amount)
	}
}

func TestSeedIsTheSameForTheSameSource(t *testing.T) {
	_, a := open(t, true)
	_, b := open(t, true)
	if !reflect.DeepEqual(a, b) {
		t.Error("two seeds differ")
	}
	seen := map[string]bool{}
	for i := range 27027 {
		c := customer(rand.New(rand.NewPCG(1, uint64(i))), i)
		if seen[c.Account] || len(c.Account) != 10 {
			t.Fatalf("customer %d: account %s", i, c.Account)
		}
		seen[c.Account] = true
	}
}

func TestConcurrentPaymentsOfOneSerial(t *testing.T) {
	l, list := open(t, true)
	p := payment("S1", list[0])
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if rep := l.Do(context.Background(), p); rep.Verdict != pay.Approved {
				t.Errorf("got %s/%s", rep.Verdict, rep.Code)
			}
		})
	}
	wg.Wait()
	if n, _ := net(t, l); n != 1 {
		t.Errorf("%d payments, want 1", n)
	}
}

func TestDayListsReturnedOnesToo(t *testing.T) {
	l, list := open(t, true)
	for i, c := range list[:3] {
		expect(t, l, payment(fmt.Sprint("S", i), c), pay.Approved, pay.CodeOK)
	}
	expect(t, l, about(pay.Reverse, payment("S1", list[1])), pay.Approved, pay.CodeOK)
	other := payment("S9", list[4])
	other.Day = day.Add(1)
	expect(t, l, other, pay.Approved, pay.CodeOK)
	var got []string
	err := l.Day(t.Context(), day, func(p Posted) bool {
		got = append(got, fmt.Sprint(p.Serial, p.Returned, p.Channel))
		return true
	})
	if want := []string{"S0falsepos", "S1truepos", "S2falsepos"}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
}

// TestDetails lists a day page by page as its check file has it.
func TestDetails(t *testing.T) {
	l, list := open(t, false)
	const many = pageLines + 3
	var want []string
	for i := range many {
		p := payment(fmt.Sprint("S", i), list[i%len(list)])
		p.Bills = nil
		expect(t, l, p, pay.Approved, pay.CodeOK)
		word := "P"
		if i == 0 {
			expect(t, l, about(pay.Reverse, p), pay.Approved, pay.CodeOK)
			word = "V"
		}
		want = append(want, fmt.Sprintf("20261120|S%d|YX%012d|pos|%s|%d|%s", i, i+1, p.Account, p.Amount, word))
	}
	n, sum := net(t, l)
	var got []string
	for page := 1; page <= 2; page++ {
		rep := expect(t, l, &pay.Request{Op: pay.CheckFile, Day: day, More: []pay.Field{{ID: pay.FPage, Val: fmt.Sprint(page)}}}, pay.Approved, pay.CodeOK)
		if rep.Amount != sum || pay.Find(rep.More, pay.FCreditCount) != fmt.Sprint(n) || pay.Find(rep.More, pay.FPages) != "2" {
			t.Errorf("page %d: %+v, want %d of %d", page, rep, n, sum)
		}
		got = append(got, strings.Split(pay.Find(rep.More, pay.FDetails), "\n")...)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	none := expect(t, l, &pay.Request{Op: pay.CheckFile, Day: day.Add(1)}, pay.Approved, pay.CodeOK)
	if none.Amount != 0 || pay.Find(none.More, pay.FPages) != "0" || pay.Find(none.More, pay.FDetails) != "" {
		t.Errorf("an empty day: %+v", none)
	}
	expect(t, l, &pay.Request{Op: pay.CheckFile}, pay.Declined, pay.CodeFormat)
	expect(t, l, &pay.Request{Op: pay.CheckFile, Day: day, More: []pay.Field{{ID: pay.FPage, Val: "0"}}}, pay.Declined, pay.CodeFormat)
}
