package peer

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

func listener(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serving runs what serves until the test ends.
func serving(t *testing.T, serve func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func scripted(t *testing.T, link string, c *clock, script ...string) *Host {
	t.Helper()
	s, err := ParseScript(script)
	if err != nil {
		t.Fatal(err)
	}
	return &Host{Dialect: end(t, link), Handler: NewLedger(1000, Promises{Dedupe: true, Status: true}), Script: s, Now: time.Now, Pause: c.pause, Note: c.note}
}

// bill is the payment of another customer for each serial.
func bill(serial string) *pay.Request {
	req, n := purchase(serial), 0
	for _, c := range serial {
		n = (n*31 + int(c)) % 997
	}
	req.Account = Account(n)
	req.More = append(req.More, pay.Field{ID: pay.FTerminal, Val: "60120001"})
	return req
}

// A bank that waits to be dialled sends its requests on the connection that
// comes, and takes the next one after a fault has closed it.
func TestBankWaits(t *testing.T) {
	ln, h := listener(t), scripted(t, "bank-fixed", new(clock))
	bank := Join(end(t, "bank-fixed"), WaitLine(ln), nil)
	defer bank.Close()
	dialled := make(chan struct{}, 8)
	serving(t, func(ctx context.Context) error {
		for ctx.Err() == nil {
			var d net.Dialer
			nc, err := d.DialContext(ctx, "tcp", ln.Addr().String())
			if err != nil {
				return nil // the listener is gone: the test ends
			}
			dialled <- struct{}{}
			h.serve(ctx, nc)
		}
		return nil
	})
	for serial, fault := range map[string]Fault{"1": Sound, "2": Trickle, "3": Duplicate} {
		if rep, err := ask(t, bank, bill(serial), fault); err != nil || rep.Verdict != pay.Approved {
			t.Fatalf("%s: %v, %v", fault, rep, err)
		}
		bank.Close()
	}
	if _, err := ask(t, bank, bill("4"), Cut); err == nil {
		t.Error("half a request was answered")
	}
	if rep, err := ask(t, bank, bill("5"), Sound); err != nil || rep.Verdict != pay.Approved {
		t.Errorf("%v, %v", rep, err)
	}
	if len(dialled) < 5 {
		t.Errorf("%d connections, want one for each", len(dialled))
	}
}

func TestBankWaitsInVain(t *testing.T) {
	bank := Join(end(t, "bank-fixed"), WaitLine(listener(t)), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := bank.Do(ctx, bill("1"), Sound); err == nil || ctx.Err() == nil {
		t.Errorf("got %v", err)
	}
}

// Replies arrive on another connection than requests leave on, whoever dials.
func TestTwoPorts(t *testing.T) {
	for name, build := range map[string]func(replies net.Listener) (bank, host *Line){
		"host dials": func(ln net.Listener) (*Line, *Line) { return WaitLine(ln), DialLine(ln.Addr().String()) },
		"bank dials": func(ln net.Listener) (*Line, *Line) { return DialLine(ln.Addr().String()), WaitLine(ln) },
	} {
		t.Run(name, func(t *testing.T) {
			requests, h := listener(t), scripted(t, "bank-fixed", new(clock), "serial=000002:trickle", "serial=000003:duplicate")
			var back *Line
			back, h.Replies = build(listener(t))
			serving(t, func(ctx context.Context) error { return h.Serve(ctx, requests) })
			bank := Join(end(t, "bank-fixed"), DialLine(requests.Addr().String()), back)
			defer bank.Close()
			for _, serial := range []string{"000001", "000002", "000003"} {
				if rep, err := ask(t, bank, bill(serial), Sound); err != nil || rep.Verdict != pay.Approved {
					t.Fatalf("%s: %v, %v", serial, rep, err)
				}
			}
		})
	}
}

// The reply to the second copy of a request is not the reply to the next one.
func TestCopies(t *testing.T) {
	requests, h := listener(t), scripted(t, "bank-fixed", new(clock))
	serving(t, func(ctx context.Context) error { return h.Serve(ctx, requests) })
	bank := Dial(end(t, "bank-fixed"), requests.Addr().String())
	defer bank.Close()
	for i, fault := range []Fault{Duplicate, Sound, Duplicate, Duplicate, Sound} {
		req := bill(strconv.Itoa(i))
		if i%2 == 1 {
			req.Op = pay.Query
		}
		if rep, err := ask(t, bank, req, fault); err != nil || rep.Verdict != pay.Approved {
			t.Fatalf("%d: %v, %v", i, rep, err)
		}
	}
}

func TestFMLHost(t *testing.T) {
	addr, _ := host(t, "kiosk-socket", new(clock), "serial=2:trickle", "serial=3:cut")
	bank := Dial(end(t, "kiosk-socket"), addr)
	defer bank.Close()
	for serial, good := range map[string]bool{"1": true, "2": true, "3": false} {
		if rep, err := ask(t, bank, bill(serial), Sound); (err == nil && rep.Verdict == pay.Approved) != good {
			t.Errorf("%s: %v, %v", serial, rep, err)
		}
	}
}

// webEnd is one end of the HTTP link that ships, with proofs by one shared key
// left out: what is tested is the transport.
func webEnd(t *testing.T) (*spec.Link, *Host, *clock) {
	t.Helper()
	l, err := spec.Load("links/bank-http.yaml", conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Sessions: secure.NewSessions(4), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	c := new(clock)
	return l, &Host{Dialect: d, Handler: NewLedger(1000, Promises{Dedupe: true, Status: true}), Now: time.Now, Pause: c.pause, Note: c.note}, c
}

func TestWebHost(t *testing.T) {
	l, h, c := webEnd(t)
	var err error
	h.Script, err = ParseScript([]string{"serial=cut:cut", "serial=twice:duplicate", "serial=bytes:trickle", "serial=noise:garbage",
		"serial=late:late=3s", "serial=slow:slow=5s", "serial=no:decline", "serial=never:silence"})
	if err != nil {
		t.Fatal(err)
	}
	ln := listener(t)
	serving(t, func(ctx context.Context) error { return h.ServeWeb(ctx, ln, l) })
	web, err := NewWeb(h.Dialect, l, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	post := func(serial string, fault Fault) (pay.Reply, error) {
		limit := 5 * time.Second
		if serial == "never" {
			limit = 20 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		return web.Do(ctx, bill(serial), fault)
	}
	for serial, want := range map[string]pay.Verdict{"1": pay.Approved, "twice": pay.Approved, "bytes": pay.Approved, "late": pay.Approved,
		"slow": pay.Approved, "no": pay.Declined} {
		if rep, err := post(serial, Sound); err != nil || rep.Verdict != want {
			t.Errorf("%s: %v, %v", serial, rep, err)
		}
	}
	for _, serial := range []string{"cut", "noise", "never"} {
		if rep, err := post(serial, Sound); err == nil {
			t.Errorf("%s: %v", serial, rep)
		}
	}
	for fault, good := range map[Fault]bool{Duplicate: true, Trickle: true, Cut: false, Garbage: false} {
		if rep, err := post("f"+fault.String(), fault); (err == nil && rep.Verdict == pay.Approved) != good {
			t.Errorf("%s: %v, %v", fault, rep, err)
		}
	}
	waited := 0
	web.Pause = func(ctx context.Context, d time.Duration) error { waited++; return ctx.Err() }
	for _, f := range []Fault{Slow, Late} {
		rep, err := web.Meet(t.Context(), bill("m"+f.String()), Trouble{Fault: f, For: time.Hour})
		if err != nil || rep.Verdict != pay.Approved {
			t.Errorf("%s: %v, %v", f, rep, err)
		}
	}
	web.Pause = func(context.Context, time.Duration) error { return context.Canceled }
	if _, err := web.Meet(t.Context(), bill("stopped"), Trouble{Fault: Slow, For: time.Hour}); err == nil || waited != 2 {
		t.Errorf("stopped while it waited: %v; waited %d times before", err, waited)
	}
	if len(c.asked) != 2 {
		t.Errorf("paused %v", c.asked)
	}
	res, err := http.Post("http://"+ln.Addr().String(), "application/json", strings.NewReader("{"))
	if err != nil || res.StatusCode != http.StatusBadRequest {
		t.Fatal(res, err)
	}
	res.Body.Close()
}
