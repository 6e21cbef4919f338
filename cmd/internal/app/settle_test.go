package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/cmd/internal/keyfile"
	"qianzhi/cmd/internal/peer"
	"qianzhi/conf"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// ledgerOf is the card centre's: what it booked, in order.
type ledgerOf struct {
	mu   sync.Mutex
	took []peer.Booking
}

func (l *ledgerOf) add(b peer.Booking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, b)
}

func (l *ledgerOf) count(what string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range l.took {
		if b.What == what {
			n++
		}
	}
	return n
}

// carded writes a configuration whose payments are charges at a card centre.
func carded(t *testing.T, addr, settle string) string {
	t.Helper()
	file := install(t, "127.0.0.1:7100", port(t), "127.0.0.1:7001", "127.0.0.1:0", "127.0.0.1:7002", "127.0.0.1:0", "127.0.0.1:7003", "127.0.0.1:0",
		"\n# The marketing MIS that a", `
  - {id: posp, file: links/posp.yaml, dial: "`+addr+`", keys: {master: terminal-master}, terminals: [{terminal: "60129001", merchant: "301051249000009"},
     {terminal: "60129002", merchant: "301051249000009"}], connections: 1, queue: 64, connect: 3s, timeout: 5s, late_window: 5s, backoff: 20ms, ceiling: 1s,
     status: none, dedupe: "yes", undo_tells: "yes", undo_marks: "yes", refund_days: 30`+settle+`}

# The marketing MIS that a`, "      - {leg: post, host: mis}\n", "      - {leg: charge, host: posp}\n")
	for _, name := range []string{"links/posp.yaml", "links/kiosk-pos.yaml"} {
		b, err := conf.Files.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(filepath.Dir(file), name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// openCentre serves a card centre of the configuration's own link and keys.
func openCentre(t *testing.T, file string, ln net.Listener, books *ledgerOf) {
	t.Helper()
	dir := filepath.Dir(file)
	l, err := spec.Load(filepath.Join(dir, "links", "posp.yaml"), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.Read(filepath.Join(dir, "keys", "terminal-master.sm4"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Keys: secure.Keys{Ring: secure.Ring{"m": key}, Roles: map[string]string{"master": "m"}}, Sessions: secure.NewSessions(10), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	host := &peer.Host{Dialect: d, Handler: peer.NewLedger(0, peer.Promises{Dedupe: true, Booked: books.add}), Script: new(peer.Script), Now: time.Now,
		Pause: peer.Wait, Note: func(string) {}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- host.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// started starts the daemon of a configuration.
func started(t *testing.T, file string) *App {
	t.Helper()
	a, err := prepare(t, file).Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestDayIsSettled charges cards, cancels one, gives part of another back, cuts
// the day and settles it: every terminal balances, nothing is settled twice over
// a restart, and a centre that has a charge more gets the batch uploaded.
func TestDayIsSettled(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, books := carded(t, ln.Addr().String(), ""), &ledgerOf{}
	openCentre(t, file, ln, books)
	a := started(t, file)
	list, err := a.Ledger().Seed(t.Context(), rand.New(rand.NewPCG(1, 2)), 8)
	if err != nil {
		t.Fatal(err)
	}
	day := a.journal.Day()
	do := func(op pay.Op, serial int, of *pay.Request, amount pay.Amount) *pay.Request {
		t.Helper()
		req := &pay.Request{Op: op, Ref: pay.Ref{Institution: "301", Kind: op.Kind(), Scope: "T", Serial: fmt.Sprintf("%06d", serial)}, Account: list[serial%8].Account, Amount: amount,
			Via: &pay.Via{Link: "pos", Funds: pay.Untaken, At: time.Now()}}
		if of != nil {
			req.Original, req.Account = &of.Ref, of.Account
		}
		if rep := a.engine.Do(t.Context(), req); rep.Verdict != pay.Approved {
			t.Fatalf("%s %d: %s/%s", op, serial, rep.Verdict, rep.Code)
		}
		return req
	}
	sales := make([]*pay.Request, 6)
	for i := range sales {
		sales[i] = do(pay.Pay, i+1, nil, pay.Amount(1000+i))
	}
	do(pay.Reverse, 1, sales[0], sales[0].Amount)
	do(pay.Cancel, 11, sales[1], sales[1].Amount)
	do(pay.Refund, 12, sales[2], 300)
	settle := func() []admin.Settled {
		t.Helper()
		all, err := (control{a}).Settle(t.Context(), day)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if _, err := (control{a}).Settle(t.Context(), day); err == nil {
		t.Error("an open day was settled")
	}
	if err := a.Cut(t.Context(), day.Add(1)); err != nil {
		t.Fatal(err)
	}
	var debit, credit pay.Amount
	for _, b := range settle() {
		if debit, credit = debit+b.Debit, credit+b.Credit; !b.Balanced {
			t.Errorf("%+v", b)
		}
	}
	if debit != 1001+1002+1003+1004+1005 || credit != 1001+300 {
		t.Errorf("debit %d, credit %d", debit, credit)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a = started(t, file)
	if settle(); books.count("balanced") != 2 || books.count("unbalanced") != 0 {
		t.Errorf("the centre was asked %d times, and %d", books.count("balanced"), books.count("unbalanced"))
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSettlementBySchedule settles a day that was cut before its stop, with a
// centre that has forgotten everything: the batch is uploaded.
func TestSettlementBySchedule(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, books := carded(t, ln.Addr().String(), ""), &ledgerOf{}
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	openCentre(t, file, ln, books)
	a := started(t, file)
	if _, err := a.Ledger().Seed(t.Context(), rand.New(rand.NewPCG(1, 2)), 2); err != nil {
		t.Fatal(err)
	}
	day := a.journal.Day()
	req := &pay.Request{Op: pay.Pay, Ref: pay.Ref{Institution: "301", Kind: pay.KindPay, Scope: "T", Serial: "000001"}, Account: "0512000001", Amount: 500,
		Via: &pay.Via{Link: "pos", Funds: pay.Untaken, At: time.Now()}}
	if rep := a.engine.Do(t.Context(), req); rep.Verdict != pay.Approved {
		t.Fatalf("%s/%s", rep.Verdict, rep.Code)
	}
	if err := a.Cut(t.Context(), day.Add(1)); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(ln.Addr().String(), far.Addr().String(), "refund_days: 30}", `refund_days: 30, settle: {at: "00:01", every: 20ms}}`).Replace(string(b))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := &ledgerOf{}
	openCentre(t, file, far, fresh)
	a = started(t, file)
	c, done, due := &a.plan.posps[0], map[pay.Day]bool{}, day.Add(1).Start(a.plan.cal.Location()).Add(time.Minute)
	a.settleDue(t.Context(), c, due.Add(-time.Second), done)
	if len(fresh.took) != 0 || len(done) != 0 {
		t.Errorf("settled before its time: %+v", fresh.took)
	}
	for range 2 {
		a.settleDue(t.Context(), c, due, done)
	}
	if fresh.count("unbalanced") != 1 || fresh.count("balanced") != 1 || fresh.count("missing") != 1 || !done[day] {
		t.Errorf("the centre booked %+v", fresh.took)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}
