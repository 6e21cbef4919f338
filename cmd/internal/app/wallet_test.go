package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// purse is a wallet in front of the daemon's own link files and keys.
type purse struct {
	t     *testing.T
	dir   string
	a     *App
	books ledgerOf
	w     *peer.Wallet
	agree chan struct{} // the customer agrees
}

// shipped copies link files beside a configuration.
func shipped(t *testing.T, file string, names ...string) {
	t.Helper()
	for _, name := range names {
		b, err := conf.Files.ReadFile("links/" + name)
		if err == nil {
			err = os.WriteFile(filepath.Join(filepath.Dir(file), "links", name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dialect assembles the wallet's end of a link.
func (p *purse) dialect(name string) (*spec.Link, *protocol.Dialect) {
	p.t.Helper()
	l, err := spec.Load(filepath.Join(p.dir, "links", name), os.ReadFile)
	if err != nil {
		p.t.Fatal(err)
	}
	keys := secure.Keys{Ring: secure.Ring{}, Roles: map[string]string{"gateway": "gateway", "wallet": "wallet"}}
	for name, file := range map[string]string{"gateway": "gateway.pub", "wallet": "mis.key"} {
		if keys.Ring[name], err = keyfile.Read(filepath.Join(p.dir, "keys", file)); err != nil {
			p.t.Fatal(err)
		}
	}
	d, err := l.Assemble(spec.Parts{Keys: keys, Sessions: secure.NewSessions(10), Now: time.Now})
	if err != nil {
		p.t.Fatal(err)
	}
	return l, d
}

// newPurse starts a daemon whose payments are charged at a wallet that waits for
// its customers.
func newPurse(t *testing.T) *purse {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file := install(t, "127.0.0.1:7100", port(t), "127.0.0.1:7001", "127.0.0.1:0", "127.0.0.1:7002", "127.0.0.1:0", "127.0.0.1:7003", "127.0.0.1:0",
		"\n# The counterparties and", `
  - {id: notify, file: links/wallet-notify.yaml, host: wallet, listen: 127.0.0.1:0, keys: {wallet: mis, gateway: gateway}}

# The counterparties and`, "\n# The marketing MIS that a", `
  - {id: wallet, kind: soap, soap: {version: plain}, file: links/wallet.yaml, dial: "`+ln.Addr().String()+`", keys: {gateway: gateway, wallet: mis},
     connections: 4, queue: 64, connect: 3s, timeout: 2s, late_window: 5s, backoff: 20ms, ceiling: 1s, poll: 20ms,
     status: by-serial, dedupe: "yes", undo_tells: "yes", undo_marks: "yes", undo_days: 7, refund_days: 90}

# The marketing MIS that a`, "      - {leg: post, host: mis}\n", "      - {leg: charge, host: wallet}\n", "gaps: [1s, 2s,", "gaps: [1h, 2h,")
	shipped(t, file, "wallet.yaml", "wallet-notify.yaml")
	p := &purse{t: t, dir: filepath.Dir(file), agree: make(chan struct{})}
	p.a = started(t, file)
	l, d := p.dialect("wallet.yaml")
	nl, nd := p.dialect("wallet-notify.yaml")
	web, err := peer.NewWeb(nd, nl, p.a.Addr("notify"))
	if err != nil {
		t.Fatal(err)
	}
	var one sync.Mutex
	p.w = &peer.Wallet{Ledger: peer.NewLedger(0, peer.Promises{Dedupe: true, Status: true, Booked: p.books.add}), Agrees: 1, Pause: func(ctx context.Context, _ time.Duration) error {
		select {
		case <-p.agree:
			return nil
		case <-t.Context().Done():
			return t.Context().Err()
		}
	}, Tell: func(ctx context.Context, req *pay.Request) error {
		one.Lock()
		defer one.Unlock()
		rep, err := web.Do(ctx, req, peer.Sound)
		if err == nil && rep.Verdict != pay.Approved {
			err = fmt.Errorf("answered %s/%s", rep.Verdict, rep.Code)
		}
		return err
	}}
	h := &peer.Host{Dialect: d, Handler: p.w, Script: new(peer.Script), Now: time.Now, Pause: peer.Wait, Note: func(string) {}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.ServeWeb(ctx, ln, l) }()
	t.Cleanup(func() {
		cancel()
		err := errors.Join(<-done, p.a.Close(), web.Close())
		if err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *purse) charge(serial string) *pay.Request {
	return &pay.Request{Op: pay.Pay, Ref: pay.Ref{Institution: "301", Kind: pay.KindPay, Scope: "T", Serial: serial}, Account: "0512000001", Amount: 500,
		Via: &pay.Via{Link: "pos", Funds: pay.Untaken, At: time.Now()}, More: []pay.Field{{ID: pay.FPayCode, Val: "134567890123456789"}}}
}

func (p *purse) do(req *pay.Request, v pay.Verdict) {
	p.t.Helper()
	if rep := p.a.engine.Do(p.t.Context(), req); rep.Verdict != v {
		p.t.Errorf("%s %s: %s/%s, want %s", req.Op, req.Ref.Serial, rep.Verdict, rep.Code, v)
	}
}

func (p *purse) entry(req *pay.Request) pay.Entry {
	p.t.Helper()
	e, ok, err := p.a.journal.Find(p.t.Context(), req.Ref)
	if err != nil || !ok {
		p.t.Fatal(ok, err)
	}
	return e
}

// notice tells an outcome of a charge as the wallet does, with a fault.
func (p *purse) notice(serial, result string, amount pay.Amount, fault peer.Fault) (pay.Reply, error) {
	p.t.Helper()
	l, d := p.dialect("wallet-notify.yaml")
	web, err := peer.NewWeb(d, l, p.a.Addr("notify"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer web.Close()
	return web.Do(p.t.Context(), &pay.Request{Op: pay.Outcome, Ref: pay.Ref{Serial: "N1"}, Amount: amount, Original: &pay.Ref{Kind: pay.KindPay, Serial: serial},
		More: []pay.Field{{ID: pay.FOutcome, Val: result}, {ID: pay.FLocalDate, Val: "20261125"}, {ID: pay.FReference, Val: "R1"}}}, fault)
}

// TestWalletPolled: the customer agrees while the kiosk waits, and the question
// finds out; the notice that follows changes nothing. A refund gives part back.
func TestWalletPolled(t *testing.T) {
	p := newPurse(t)
	go func() { p.agree <- struct{}{} }()
	sale := p.charge("000001")
	p.do(sale, pay.Approved)
	back := p.charge("000002")
	back.Op, back.Ref.Kind, back.Original, back.Amount, back.More = pay.Refund, pay.KindRefund, &sale.Ref, 200, nil
	p.do(back, pay.Approved)
	p.do(back, pay.Approved)
	if e := p.entry(sale); e.State != pay.Succ || p.books.count("paid") != 1 || p.books.count("refunded") != 1 {
		t.Errorf("%s, the wallet booked %+v", e.State, p.books.took)
	}
}

// TestWalletTells: the kiosk has gone when the customer agrees, and no question
// is asked for an hour: the notice settles the payment. The charge is what the
// payment consists of, so it succeeds. Notices that are forged, replayed, of
// another amount or about nobody's payment change nothing, and are counted.
func TestWalletTells(t *testing.T) {
	p := newPurse(t)
	sale := p.charge("000001")
	p.do(sale, pay.Unknown)
	e := p.entry(sale)
	serial := e.ID.Serial(1)
	if e.State != pay.Unkn {
		t.Fatalf("the payment is %s", e.State)
	}
	if rep, err := p.notice(serial, "approved", 500, peer.BadSeal); err == nil && rep.Verdict != pay.Declined || p.entry(sale).N != e.N {
		t.Errorf("a forged notice was answered %s, %v", rep.Verdict, err)
	}
	for _, n := range []struct {
		serial, result string
		amount         pay.Amount
		want           pay.Verdict
	}{{serial, "pending", 500, pay.Approved}, {serial, "approved", 499, pay.Approved}, {"20261125010099999999", "approved", 500, pay.Unknown}, {"X", "approved", 500, pay.Declined}} {
		rep, err := p.notice(n.serial, n.result, n.amount, peer.Sound)
		if err != nil || rep.Verdict != n.want {
			t.Errorf("%+v: answered %s/%s, %v", n, rep.Verdict, rep.Code, err)
		}
		if e := p.entry(sale); e.State != pay.Unkn {
			t.Fatalf("%+v made the payment %s", n, e.State)
		}
	}
	p.agree <- struct{}{}
	for p.entry(sale).State == pay.Unkn {
		if err := pause(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if e := p.entry(sale); e.State != pay.Succ || e.Legs[0].Host == "" {
		t.Errorf("%s, %+v", e.State, e.Legs)
	}
	n := p.entry(sale).N
	if rep, err := p.notice(serial, "approved", 500, peer.Sound); err != nil || rep.Verdict != pay.Approved || p.entry(sale).N != n {
		t.Errorf("told again: %s/%s, %v, %d events", rep.Verdict, rep.Code, err, p.entry(sale).N-n)
	}
	rep, err := p.notice(serial, "approved", 500, peer.Duplicate) // the second has the nonce of the first
	if err != nil || rep.Verdict != pay.Unknown || p.entry(sale).N != n {
		t.Errorf("replayed: %s/%s, %v", rep.Verdict, rep.Code, err)
	}
	for _, l := range p.a.Status().Links {
		if l.ID == "notify" && (l.Rejected != 1 || l.Unknown != 2) {
			t.Errorf("counted %d forged and %d replayed or unknown", l.Rejected, l.Unknown)
		}
	}
}

// TestTellingLinksNameTheirHost.
func TestTellingLinksNameTheirHost(t *testing.T) {
	for host, want := range map[string]string{"": "name the host", "host: nobody, ": `no host "nobody"`} {
		file := install(t, "\n# The counterparties and", `
  - {id: notify, file: links/wallet-notify.yaml, `+host+`listen: 127.0.0.1:0, keys: {wallet: bank, gateway: gateway}}

# The counterparties and`)
		shipped(t, file, "wallet-notify.yaml")
		c, err := Load(file)
		if err == nil {
			_, err = Prepare(c, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", host, err, want)
		}
	}
}
