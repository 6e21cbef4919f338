package sql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/conf"
	"qianzhi/gateway/pay"
)

const day = pay.Day(20261120)

func now() time.Time { return time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC) }

// ledger opens an embedded MIS with customers.
func ledger(t *testing.T, file string) (*mis.Ledger, []mis.Customer) {
	t.Helper()
	l, err := mis.Open(mis.Options{File: file, Dedupe: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	list, err := l.Seed(t.Context(), rand.New(rand.NewPCG(1, 2)), 20)
	if err != nil {
		t.Fatal(err)
	}
	return l, list
}

// sqlDoor is the shipped script on the file of a ledger.
func sqlDoor(t *testing.T, file string) *Adapter {
	t.Helper()
	b, err := conf.Files.ReadFile("sql/mis.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return adapter(t, string(b), "links/mis-sql.yaml", "file:"+file+"?_busy_timeout=5000&_txlock=immediate")
}

func adapter(t *testing.T, text, link, source string) *Adapter {
	t.Helper()
	a, err := New(Options{Name: "mis", Source: source, Script: script(t, text), Dialect: dialect(t, link), Conns: 4, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return a
}

func sale(serial, account string, amount pay.Amount, bills ...pay.Bill) *pay.Request {
	return &pay.Request{Op: pay.Pay, Ref: pay.Ref{Kind: pay.KindPay, Serial: serial}, Day: day, Account: account, Amount: amount, Bills: bills,
		More: []pay.Field{{ID: pay.FChannel, Val: "pos"}}}
}

func about(op pay.Op, p *pay.Request) *pay.Request {
	return &pay.Request{Op: op, Ref: pay.Ref{Kind: op.Kind(), Serial: "R" + p.Ref.Serial}, Day: day, Account: p.Account, Amount: p.Amount,
		Original: &pay.Ref{Kind: pay.KindPay, Serial: p.Ref.Serial}}
}

// fault returns what an error says about the request.
func fault(t *testing.T, err error) *pay.Fault {
	t.Helper()
	var f *pay.Fault
	if !errors.As(err, &f) {
		t.Fatalf("%v is no fault", err)
	}
	return f
}

// TestSameAnswersAsTheLedger plays random messages to the ledger's own handler
// and, on a copy of it, to the statements; answers and books agree.
func TestSameAnswersAsTheLedger(t *testing.T) {
	one, list := ledger(t, filepath.Join(t.TempDir(), "one.db"))
	file := filepath.Join(t.TempDir(), "two.db")
	two, _ := ledger(t, file)
	a := sqlDoor(t, file)
	r := rand.New(rand.NewPCG(3, 4))
	var sales []*pay.Request
	seen := map[string]int{}
	for i := range 600 {
		req := draw(r, i, list, &sales)
		want := one.Do(t.Context(), req)
		got, err := a.Do(t.Context(), req)
		if err != nil {
			t.Fatalf("%s %s: %v", req.Op, req.Ref.Serial, err)
		}
		if fmt.Sprint(want.Verdict, want.Code, want.Bills) != fmt.Sprint(got.Verdict, got.Code, got.Bills) {
			t.Errorf("%d: %+v:\nledger %+v\n   sql %+v", i, req, want, got)
		}
		if want.Verdict == pay.Approved && (got.Amount != want.Amount || got.Serial != want.Serial || pay.Find(got.More, pay.FName) != pay.Find(want.More, pay.FName)) {
			t.Errorf("%d: %s: ledger %+v, sql %+v", i, req.Op, want, got)
		}
		seen[req.Op.String()+" "+want.Code.String()]++
	}
	n1, s1, err1 := one.Net(t.Context(), day)
	n2, s2, err2 := two.Net(t.Context(), day)
	if n1 != n2 || s1 != s2 || err1 != nil || err2 != nil || n1 == 0 {
		t.Errorf("books: ledger %d payments %d fen, sql %d payments %d fen (%v, %v)", n1, s1, n2, s2, err1, err2)
	}
	for _, claim := range []pay.Amount{s1, s1 + 1} {
		req := &pay.Request{Op: pay.CheckTotals, Ref: pay.Ref{Serial: "T"}, Day: day, Amount: claim, More: []pay.Field{{ID: pay.FCreditCount, Val: fmt.Sprint(n1)}}}
		want := one.Do(t.Context(), req)
		got, err := a.Do(t.Context(), req)
		if err != nil || got.Verdict != pay.Approved || got.Amount != s1 || pay.Find(got.More, pay.FCreditCount) != fmt.Sprint(n1) || pay.Find(got.More, pay.FBalanced) != pay.Find(want.More, pay.FBalanced) {
			t.Errorf("totals: ledger %+v, sql %+v, %v", want, got, err)
		}
	}
	for page := range 5 {
		req := &pay.Request{Op: pay.CheckFile, Ref: pay.Ref{Serial: "L"}, Day: day, More: []pay.Field{{ID: pay.FPage, Val: fmt.Sprint(page + 1)}}}
		want := one.Do(t.Context(), req)
		got, err := a.Do(t.Context(), req)
		if err != nil || got.Verdict != pay.Approved || got.Amount != s1 {
			t.Fatalf("page %d: %+v, %v", page+1, got, err)
		}
		for _, id := range []pay.FieldID{pay.FCreditCount, pay.FPages, pay.FDetails} {
			if pay.Find(got.More, id) != pay.Find(want.More, id) || page == 0 && pay.Find(got.More, id) == "" {
				t.Errorf("page %d: %s: ledger %q, sql %q", page+1, id, pay.Find(want.More, id), pay.Find(got.More, id))
			}
		}
	}
	for _, want := range []string{"pay ok", "pay amount", "pay duplicate", "pay tombstone", "pay no-customer", "pay nothing-owed", "reverse ok", "reverse no-effect",
		"reverse reversed", "reverse amount", "status ok", "status reversed", "status original", "query ok", "query nothing-owed", "query no-customer", "card-pay ok"} {
		if seen[want] == 0 {
			t.Errorf("never drawn: %s", want)
		}
	}
}

// draw makes up one message, often about an earlier one.
func draw(r *rand.Rand, i int, list []mis.Customer, sales *[]*pay.Request) *pay.Request {
	c := list[r.IntN(len(list))]
	sum := pay.Amount(0)
	for _, b := range c.Bills {
		sum += b.Amount
	}
	p := sale(fmt.Sprintf("S%04d", i), c.Account, sum, c.Bills...)
	old := p
	if n := len(*sales); n > 0 {
		old = (*sales)[r.IntN(n)]
	}
	switch r.IntN(14) {
	case 0:
		return &pay.Request{Op: pay.Query, Ref: p.Ref, Account: c.Account}
	case 1:
		return &pay.Request{Op: pay.Query, Ref: p.Ref, Account: "0000000000"}
	case 2:
		return about(pay.Status, old)
	case 3, 4:
		return about(pay.Reverse, old)
	case 5:
		wrong := about(pay.Reverse, old)
		wrong.Amount++
		return wrong
	case 6: // again
		return old
	case 7: // another amount under the same serial
		return sale(old.Ref.Serial, old.Account, old.Amount+1)
	case 8: // before its payment
		*sales = append(*sales, p)
		return about(pay.Reverse, p)
	case 9:
		p.Bills = nil // the oldest ones
	case 10:
		p.Amount--
	case 11:
		p.Account = "0000000000"
	case 12:
		return &pay.Request{Op: pay.CardPay, Ref: p.Ref, Day: day, Account: c.Account, Amount: 100 + pay.Amount(i), More: p.More}
	}
	*sales = append(*sales, p)
	return p
}

// A statement that fails after another has acted leaves nothing behind, and
// the fault says so only where the file promises it.
func TestFailureRollsBack(t *testing.T) {
	for _, promised := range []bool{true, false} {
		file := filepath.Join(t.TempDir(), "mis.db")
		l, list := ledger(t, file)
		text := fmt.Sprintf("driver: sqlite\nrolls_back: %t\n", promised) + `messages:
  - {message: 查询欠费, steps: [{sql: SELECT 1.5 AS code, read: row}]}
  - message: 缴费
    dedupes: true
    steps:
      - {sql: "INSERT INTO payment(serial, day, account, amount, channel, at) VALUES(:serial, :day, :account, :amount, '', '')"}
      - {sql: SELECT nothing FROM nowhere, read: row}
  - {message: 售电入账, dedupes: true, steps: [{sql: "SELECT 'OK' AS code, 'other' AS serial, 1 AS amount", read: row}]}
  - {message: 返销, dedupes: true, steps: [{sql: "SELECT 'OK' AS code UNION ALL SELECT 'OK'", read: row}]}
  - {message: 查询结果, steps: [{sql: "SELECT 'OK' AS colour", read: row}]}
  - {message: 对总账, steps: [{sql: "SELECT 'OK' AS code", read: row}]}
  - {message: 对账明细, steps: [{sql: "SELECT 'OK' AS code", read: row}]}
  - {message: 线路测试, steps: [{sql: "SELECT x'FF' AS code", read: row}]}
`
		a := adapter(t, text, "links/mis-sql.yaml", "file:"+file+"?_busy_timeout=5000")
		p := sale("S1", list[0].Account, 100)
		card := &pay.Request{Op: pay.CardPay, Ref: p.Ref, Day: day, Account: p.Account, Amount: 100, More: p.More}
		for _, req := range []*pay.Request{p, {Op: pay.Query, Ref: p.Ref, Account: p.Account}, card, about(pay.Reverse, p), about(pay.Status, p), {Op: pay.Echo, Ref: p.Ref}} {
			_, err := a.Do(t.Context(), req)
			if f := fault(t, err); f.Sent == promised {
				t.Errorf("%s with promise %t: %v", req.Op, promised, err)
			}
		}
		if n, _, err := l.Net(t.Context(), day); n != 0 || err != nil {
			t.Errorf("%d payments stayed, %v", n, err)
		}
	}
}

// What waits for a lock until its deadline is not known to be undone.
func TestDeadlineIsUnknown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mis.db")
	_, list := ledger(t, file)
	a := sqlDoor(t, file)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.Do(ctx, sale("S1", list[0].Account, 1))
	if f := fault(t, err); f.Sent || f.Code != pay.CodeUnreachable {
		t.Errorf("no transaction began: %v", err)
	}
}
