package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// end assembles one end of a link that ships; both ends share the master key.
func end(t *testing.T, name string) *protocol.Dialect {
	t.Helper()
	l, err := spec.Load("links/"+name+".yaml", conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	p := spec.Parts{Sessions: secure.NewSessions(4), Now: time.Now}
	if l.Auth.MAC != nil {
		p.Keys = secure.Keys{Ring: secure.Ring{"m": {SM4: []byte("0123456789ABCDEF")}}, Roles: map[string]string{l.Auth.MAC.Master: "m"}}
	}
	d, err := l.Assemble(p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// clock stands in for waiting: it notes how long, and goes on when it is told.
type clock struct {
	mu    sync.Mutex
	asked []time.Duration
	until chan struct{} // nil: goes on at once
	noted chan string   // nil: nobody looks
}

func (c *clock) note(line string) {
	if c.noted != nil {
		c.noted <- line
	}
}

func (c *clock) pause(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	c.asked = append(c.asked, d)
	c.mu.Unlock()
	if c.until == nil {
		return ctx.Err()
	}
	select {
	case <-c.until:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// host runs a host with a script on a loopback port until the test ends.
func host(t *testing.T, link string, c *clock, script ...string) (addr string, ledger *Ledger) {
	t.Helper()
	s, err := ParseScript(script)
	if err != nil {
		t.Fatal(err)
	}
	ledger = NewLedger(100, Promises{Dedupe: true, Status: true})
	h := &Host{Dialect: end(t, link), Handler: ledger, Script: s, Now: time.Now, Pause: c.pause, Note: c.note}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), ledger
}

func purchase(serial string) *pay.Request {
	return &pay.Request{Op: pay.Pay, Day: 20260131, Account: Account(6), Amount: 30150, Ref: pay.Ref{Kind: pay.KindPay, Serial: serial},
		More: []pay.Field{{ID: pay.FSenderTime, Val: "090807"}}}
}

func ask(t *testing.T, c *Conn, req *pay.Request, fault Fault) (pay.Reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return c.Do(ctx, req, fault)
}

// TestAnswersWithFaults pays over a link whose answers meet with every fault,
// and looks at what the sender makes of it and what the ledger holds.
func TestAnswersWithFaults(t *testing.T) {
	for _, tc := range []struct {
		fault   string
		want    string // verdict, or a part of the error
		charged bool
	}{
		{"slow=5s", "approved", true},
		{"late=30s", "approved", true},
		{"trickle", "approved", true},
		{"duplicate", "approved", true},
		{"cut", "closed without a reply", true},
		{"garbage", "frame", true},
		{"half-char", "want a character", true},
		{"decline", "declined", false},
		{"contradict", "approved", true},
		{"recant", "declined", true},
		{"wrong-amount", "approved", true},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			c := new(clock)
			addr, ledger := host(t, "bank-fixed", c, "pay:"+tc.fault)
			conn := Dial(end(t, "bank-fixed"), addr)
			defer conn.Close()
			rep, err := ask(t, conn, purchase("1"), Sound)
			got := rep.Verdict.String()
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if p := ledger.payments[key{"20260131", "1"}]; (p != nil) != tc.charged {
				t.Errorf("the ledger holds %+v", p)
			}
			if _, timed, _ := strings.Cut(tc.fault, "="); timed != "" && (len(c.asked) != 1 || c.asked[0].String() != timed) {
				t.Errorf("waited %v, want %s", c.asked, timed)
			}
		})
	}
}

// TestLies reads all that a lying host says to one payment.
func TestLies(t *testing.T) {
	for lie, want := range map[string]string{"contradict": "approved/ok 301.50, declined/refused 0.00", "recant": "declined/refused 0.00, approved/ok 301.50",
		"wrong-amount": "approved/ok 301.51", "stale": "approved/ok 0.00"} {
		addr, _ := host(t, "bank-fixed", new(clock), "pay:"+lie)
		conn := Dial(end(t, "bank-fixed"), addr)
		if _, err := ask(t, conn, &pay.Request{Op: pay.Echo, Day: 20260131, Ref: pay.Ref{Serial: "9"}}, Sound); err != nil {
			t.Fatal(err)
		}
		f, msg, err := conn.d.AppendRequest(purchase("1"), conn.rec, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		b, err := conn.d.Request.Framer.Append(nil, f)
		if err == nil {
			_, err = conn.nc.Write(b)
		}
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for range strings.Count(want, "/") {
			in, err := conn.frame()
			if err == nil {
				err = conn.d.OpenReply(&in, conn.rec)
			}
			if err != nil {
				t.Fatal(err)
			}
			if lie == "stale" { // it answers the line test
				msg = slices.IndexFunc(conn.d.Map.Messages, func(m protocol.Message) bool { return m.Op == pay.Echo })
			}
			rep, err := conn.d.Map.Reply(msg, &in, conn.rec, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s/%s %s", rep.Verdict, rep.Code, rep.Amount.Yuan()))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %v, want %s", lie, got, want)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestJoinedAndLate sends two requests at once: the first answer waits for the
// second and comes in the same packet.
func TestJoinedAndLate(t *testing.T) {
	c := &clock{until: make(chan struct{}), noted: make(chan string, 8)}
	addr, _ := host(t, "bank-fixed", c, "serial=1:joined", "serial=3:late=1m", "serial=4:silence")
	d := end(t, "bank-fixed")
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	send := func(serials ...string) {
		for _, serial := range serials {
			f, _, err := d.AppendRequest(&pay.Request{Op: pay.Echo, Day: 20260131, Ref: pay.Ref{Serial: serial}}, new(protocol.Record), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			b, err := d.Request.Framer.Append(nil, f)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := nc.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	in := &frames{t: t, nc: nc, d: d}
	send("1")
	<-c.noted // its answer is ready
	send("2")
	if got := in.serial() + in.serial(); got != "12" {
		t.Errorf("got %s, want both answers", got)
	}
	send("3", "4", "5")
	if got := in.serial(); got != "5" {
		t.Errorf("got %s first, want 5: 3 is late and 4 is silent", got)
	}
	close(c.until)
	if got := in.serial(); got != "3" {
		t.Errorf("got %s, want the late 3", got)
	}
}

// frames reads replies from a raw connection.
type frames struct {
	t   *testing.T
	nc  net.Conn
	d   *protocol.Dialect
	buf []byte
}

func (r *frames) serial() string {
	r.t.Helper()
	chunk := make([]byte, 512)
	for {
		f, n, err := r.d.Reply.Framer.Next(r.buf)
		if err != nil {
			r.t.Fatal(err)
		}
		if n > 0 {
			rec := new(protocol.Record)
			if err := r.d.OpenReply(&f, rec); err != nil {
				r.t.Fatal(err)
			}
			id, _ := rec.Layout().Lookup("serial")
			val, _ := rec.Get(id)
			r.buf = r.buf[n:]
			return string(val)
		}
		if n, err = r.nc.Read(chunk); err != nil {
			r.t.Fatal(err)
		}
		r.buf = append(r.buf, chunk[:n]...)
	}
}

// TestSealsAndSenders sends with faults of its own to a host with MACs.
func TestSealsAndSenders(t *testing.T) {
	addr, _ := host(t, "pos-cup", new(clock), "serial=000005:bad-seal")
	conn := Dial(end(t, "pos-cup"), addr)
	defer conn.Close()
	do := func(op pay.Op, serial string, fault Fault) string {
		req := purchase(serial)
		req.Op, req.Ref.Kind = op, op.Kind()
		req.More = append(req.More, pay.Field{ID: pay.FTerminal, Val: "60120001"}, pay.Field{ID: pay.FMerchant, Val: "301051249000001"}, pay.Field{ID: pay.FBatch, Val: "000001"})
		rep, err := ask(t, conn, req, fault)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%s/%s", rep.Verdict, rep.Code)
	}
	for _, tc := range []struct {
		op     pay.Op
		serial string
		fault  Fault
		want   string
	}{
		{pay.Query, "000001", Sound, "not signed on"},
		{pay.SignOn, "000002", Sound, "approved/ok"},
		{pay.Query, "000003", Sound, "approved/ok"},
		{pay.Query, "000004", BadSeal, "declined/auth"},
		{pay.Query, "000005", Sound, "auth 64"},
		{pay.Query, "000006", Trickle, "approved/ok"},
		{pay.Query, "000007", Garbage, "closed without a reply"},
		{pay.Query, "000008", Cut, "closed without a reply"},
		{pay.Query, "000009", Sound, "approved/ok"},
	} {
		if got := do(tc.op, tc.serial, tc.fault); !strings.Contains(got, tc.want) {
			t.Errorf("%s %s %s: got %s, want %s", tc.op, tc.serial, tc.fault, got, tc.want)
		}
	}
}

func TestScriptRules(t *testing.T) {
	s, err := ParseScript([]string{"serial=9:silence", "query,every=3:cut", "pay,first=1:late=2s", "account=0512000002:decline", "*:trickle"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range []pay.Request{{Op: pay.Query}, {Op: pay.Query}, {Op: pay.Query}, {Op: pay.Pay}, {Op: pay.Pay}, {Op: pay.Pay, Account: "0512000002"},
		{Op: pay.Pay, Ref: pay.Ref{Serial: "9"}}} {
		tr := s.Next(&r)
		got = append(got, tr.Fault.String())
	}
	if want := "trickle trickle cut late trickle decline silence"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for _, bad := range []string{"pay", "pay:explode", "pay:slow", "pay:cut=3", "every=0:cut", "moon:cut", "pay:late=soon", "serial=1,x=2:cut"} {
		if _, err := ParseScript([]string{bad}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for f := Sound; f < faults; f++ {
		if back, ok := ParseFault(f.String()); !ok || back != f {
			t.Errorf("%s is read as %s", f, back)
		}
	}
}

// TestBankPlays lets a bank play a script, and every example of every link,
// against a host.
func TestBankPlays(t *testing.T) {
	const text = `
# a day at the counter
query account=0512000007 expect=approved
query account=0512009999 expect=no-customer
pay account=0512000007 amount=301.50 bill=05120000072511:202511:200.00 bill=05120000072512:202512:101.50 expect=ok
pay account=0512000007 amount=301.50 serial=last expect=approved
pay account=0512000007 amount=301.50 expect=nothing-owed serial=777
query account=0512000007 fault=cut expect=none
`
	addr, _ := host(t, "bank-fixed", new(clock))
	steps, err := ParseSteps(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	note := func(s string) { lines = append(lines, s) }
	conn := Dial(end(t, "bank-fixed"), addr)
	defer conn.Close()
	b := &Bank{Client: conn, Now: time.Now, Timeout: 5 * time.Second, Note: note}
	if wrong, err := b.Play(t.Context(), steps); wrong != 0 || err != nil || len(lines) != len(steps) {
		t.Errorf("%d wrong, %v\n%s", wrong, err, strings.Join(lines, "\n"))
	}
	steps, err = ParseSteps(strings.NewReader("pay account=0512000008 amount=301.50 expect=ok\nreverse account=0512000008 amount=301.50 original=last expect=approved\n" +
		"reverse account=0512000008 amount=301.50 original=last expect=reversed\nquery account=0512000008 expect=no-customer"))
	if err != nil {
		t.Fatal(err)
	}
	if wrong, err := b.Play(t.Context(), steps); wrong != 1 || err != nil {
		t.Errorf("%d wrong, want the last one, %v\n%s", wrong, err, strings.Join(lines, "\n"))
	}
	for _, bad := range []string{"fly", "pay amount=x", "pay x", "pay moon=1", "pay fault=late", "pay fault=late=x", "pay fault=cut=5s", "pay fault=joined", "pay fault=silence", "pay bill=1", "pay date=1"} {
		if _, err := ParseSteps(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A bank sends the second half of a request late, or reads its answer late.
func TestSendersTakeTheirTime(t *testing.T) {
	c := &clock{noted: make(chan string, 10)}
	addr, ledger := host(t, "bank-fixed", c)
	conn := Dial(end(t, "bank-fixed"), addr)
	defer conn.Close()
	charged := func() int {
		ledger.mu.Lock()
		defer ledger.mu.Unlock()
		return len(ledger.payments)
	}
	b := &Bank{Client: conn, Now: time.Now, Timeout: 5 * time.Second, Note: func(line string) { t.Log(line) }}
	for i, k := range []struct {
		text string
		meet func() // while the bank waits
	}{
		{"slow=9s", func() {
			if n := charged(); n != 0 {
				t.Errorf("%d payments before the request was whole", n)
			}
		}},
		{"late=90s", func() {
			<-c.noted // the first answer
			<-c.noted // there is an answer while nobody reads
		}},
	} {
		var waited []time.Duration
		conn.Pause = func(_ context.Context, d time.Duration) error {
			waited = append(waited, d)
			k.meet()
			return nil
		}
		steps, err := ParseSteps(strings.NewReader(fmt.Sprintf("pay account=051200000%d amount=301.50 expect=ok fault=%s", i+1, k.text)))
		if err != nil {
			t.Fatal(err)
		}
		if wrong, err := b.Play(t.Context(), steps); wrong != 0 || err != nil {
			t.Errorf("%s: %d wrong, %v", k.text, wrong, err)
		}
		if len(waited) != 1 || waited[0] != steps[0].Trouble.For || charged() != i+1 {
			t.Errorf("%s: waited %v, %d payments", k.text, waited, charged())
		}
	}
	conn.Pause = func(ctx context.Context, _ time.Duration) error { return context.Canceled }
	for _, f := range []Fault{Slow, Late} {
		if _, err := conn.Meet(t.Context(), purchase("9"), Trouble{Fault: f, For: time.Second}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: stopped while it waited: %v", f, err)
		}
	}
}

func TestExamplesOfEveryLink(t *testing.T) {
	for _, link := range []string{"bank-fixed", "bank-delimited", "bank-xml", "kiosk-socket", "pos-cup"} {
		addr, _ := host(t, link, new(clock))
		d := end(t, link)
		steps, err := Examples(d)
		if err != nil {
			t.Fatal(err)
		}
		for i := range steps {
			steps[i].Request.Account = Account(3)
			if steps[i].Expect = "approved"; steps[i].Request.Op == pay.Status {
				steps[i].Expect = "declined" // the reversal went before
			}
			steps[i].Request.Bills = nil
		}
		var lines []string
		conn := Dial(d, addr)
		b := &Bank{Client: conn, Now: time.Now, Timeout: 5 * time.Second, Note: func(s string) { lines = append(lines, s) }}
		if wrong, err := b.Play(t.Context(), steps); wrong != 0 || err != nil {
			t.Errorf("%s: %d wrong, %v\n%s", link, wrong, err, strings.Join(lines, "\n"))
		}
		conn.Close()
	}
}
