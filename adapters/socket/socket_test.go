package socket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// host is the far end of the MIS link: it reads requests properly and does to
// the replies what its script says.
type host struct {
	t     *testing.T
	d     *protocol.Dialect
	reply func(req *pay.Request) pay.Reply
	do    func(c net.Conn, b []byte) // instead of one write
	mu    sync.Mutex
	seen  []*pay.Request
}

func (h *host) dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	go h.serve(far)
	return near, nil
}

func (h *host) serve(c net.Conn) {
	defer c.Close()
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for {
			f, used, ferr := h.d.Request.Framer.Next(buf)
			if ferr != nil || used == 0 {
				break
			}
			f.Body = append([]byte(nil), f.Body...)
			buf = buf[used:]
			h.answer(c, f)
		}
		if err != nil {
			return
		}
	}
}

func (h *host) answer(c net.Conn, f protocol.Frame) {
	asked, err := h.d.ReadRequest(&f, new(protocol.Record), time.Now())
	if err != nil {
		h.t.Errorf("host: %v", err)
		return
	}
	h.mu.Lock()
	h.seen = append(h.seen, asked.Request)
	h.mu.Unlock()
	rep := h.reply(asked.Request)
	out, err := h.d.AppendReply(asked, &rep, new(protocol.Record))
	if err != nil {
		h.t.Errorf("host: %v", err)
		return
	}
	b, err := h.d.Reply.Framer.Append(nil, out)
	if err != nil {
		h.t.Errorf("host: %v", err)
		return
	}
	if h.do == nil {
		h.do = func(c net.Conn, b []byte) { h.write(c, b) }
	}
	h.do(c, b)
}

func (h *host) write(c net.Conn, b []byte) {
	if _, err := c.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		h.t.Errorf("host: %v", err)
	}
}

// in runs a test with an adapter on the host, in a bubble.
func in(t *testing.T, test func(t *testing.T, a *Adapter, h *host, late chan pay.Reply)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		key, err := gm.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		dialect := func() *protocol.Dialect {
			l, err := spec.Load("links/mis.yaml", conf.Files.ReadFile)
			if err != nil {
				t.Fatal(err)
			}
			d, err := l.Assemble(spec.Parts{Keys: secure.Keys{Ring: secure.Ring{"k": {Private: key, SM4: make([]byte, 16)}},
				Roles: map[string]string{"gateway": "k", "mis": "k", "session": "k"}}, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		h := &host{t: t, d: dialect(), reply: func(r *pay.Request) pay.Reply {
			return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount, Serial: "H1"}
		}}
		late := make(chan pay.Reply, 10)
		a, err := New(Options{Name: "mis", Dial: h.dial, Dialect: dialect(), Conns: 1, Queue: 10, MaxIn: 1 << 16, Backoff: time.Second, Ceiling: time.Minute,
			Late: func(_ pay.Op, r pay.Reply) { late <- r }, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		test(t, a, h, late)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func sale(serial string) *pay.Request {
	return &pay.Request{Op: pay.Pay, Day: 20261120, Account: "0512000001", Amount: 10050, Ref: pay.Ref{Kind: pay.KindPay, Serial: serial},
		Bills: []pay.Bill{{ID: "B1"}}, More: []pay.Field{{ID: pay.FChannel, Val: "pos"}}}
}

func ask(a *Adapter, r *pay.Request) (pay.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return a.Do(ctx, r)
}

// sent says what an error proves about the request.
func sent(t *testing.T, err error) bool {
	t.Helper()
	var f *pay.Fault
	if !errors.As(err, &f) {
		t.Fatalf("%v is no fault", err)
	}
	return f.Sent
}

func TestApproveAndDecline(t *testing.T) {
	in(t, func(t *testing.T, a *Adapter, h *host, _ chan pay.Reply) {
		rep, err := ask(a, sale("S1"))
		if err != nil || rep.Verdict != pay.Approved || rep.Amount != 10050 || rep.Serial != "H1" {
			t.Errorf("got %+v, %v", rep, err)
		}
		if got := h.seen[0]; got.Ref.Serial != "S1" || got.Account != "0512000001" || len(got.Bills) != 1 {
			t.Errorf("the host saw %+v", got)
		}
		h.reply = func(*pay.Request) pay.Reply { return pay.Answer(pay.Declined, pay.CodeNothingOwed) }
		if rep, err := ask(a, sale("S2")); err != nil || rep.Verdict != pay.Declined || rep.Code != pay.CodeNothingOwed {
			t.Errorf("got %+v, %v", rep, err)
		}
	})
}

func TestSlowAndLate(t *testing.T) {
	in(t, func(t *testing.T, a *Adapter, h *host, late chan pay.Reply) {
		h.do = func(c net.Conn, b []byte) {
			go func() {
				time.Sleep(15 * time.Second)
				h.write(c, b)
			}()
		}
		if _, err := ask(a, sale("S1")); !sent(t, err) {
			t.Error("a request that left was called not sent")
		}
		if rep := <-late; rep.Verdict != pay.Approved || rep.Serial != "H1" || pay.Find(rep.More, pay.FSerial) != "S1" {
			t.Errorf("late answer %+v", rep)
		}
	})
}

func TestCutAfterSend(t *testing.T) {
	in(t, func(t *testing.T, a *Adapter, h *host, _ chan pay.Reply) {
		h.do = func(c net.Conn, b []byte) {
			h.write(c, b[:len(b)/2])
			c.Close()
		}
		if _, err := ask(a, sale("S1")); !sent(t, err) {
			t.Error("a request that left was called not sent")
		}
		h.do = nil
		if rep, err := ask(a, sale("S2")); err != nil || rep.Verdict != pay.Approved {
			t.Errorf("after reconnecting: %+v, %v", rep, err)
		}
	})
}

func TestForgedReplyIsNone(t *testing.T) {
	in(t, func(t *testing.T, a *Adapter, h *host, _ chan pay.Reply) {
		h.do = func(c net.Conn, b []byte) {
			b[len(b)-1] ^= 1
			h.write(c, b)
		}
		if _, err := ask(a, sale("S1")); !sent(t, err) {
			t.Error("a request that left was called not sent")
		}
	})
}

func TestTwoFramesAndASplitOne(t *testing.T) {
	in(t, func(t *testing.T, a *Adapter, h *host, _ chan pay.Reply) {
		var held []byte
		h.do = func(c net.Conn, b []byte) {
			if held == nil {
				held = append([]byte{}, b...)
				return
			}
			all := append(held, b...)
			h.write(c, all[:len(all)-3])
			h.write(c, all[len(all)-3:])
		}
		var wg sync.WaitGroup
		for range 2 { // one serial twice: the link tells its calls apart by numbers of its own
			wg.Go(func() {
				if rep, err := ask(a, sale("S1")); err != nil || rep.Verdict != pay.Approved {
					t.Errorf("got %+v, %v", rep, err)
				}
			})
		}
		wg.Wait()
	})
}

func TestDuplicateAnswerIsLate(t *testing.T) {
	in(t, func(t *testing.T, a *Adapter, h *host, late chan pay.Reply) {
		h.do = func(c net.Conn, b []byte) { h.write(c, append(append([]byte{}, b...), b...)) }
		if rep, err := ask(a, sale("S1")); err != nil || rep.Verdict != pay.Approved {
			t.Errorf("got %+v, %v", rep, err)
		}
		if rep := <-late; rep.Serial != "H1" {
			t.Errorf("got %+v", rep)
		}
	})
}

func TestNothingLeftWithoutAConnection(t *testing.T) {
	in(t, func(t *testing.T, a *Adapter, h *host, _ chan pay.Reply) {
		other, err := New(Options{Name: "down", Dialect: a.o.Dialect, Conns: 1, Queue: 1, MaxIn: 1, Backoff: 1, Ceiling: 1, Late: func(pay.Op, pay.Reply) {}, Now: time.Now,
			Log: slog.New(slog.DiscardHandler), Dial: Dialer("127.0.0.1:1", time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask(other, sale("S1")); sent(t, err) {
			t.Error("nothing can have been sent")
		}
		if other.Up() != 0 {
			t.Error("a connection is up")
		}
	})
}

func TestCorrelationIsRequired(t *testing.T) {
	if _, err := New(Options{Dialect: &protocol.Dialect{}}); err == nil {
		t.Error("built without a way to tell replies apart")
	}
}

// A quiet connection is tested with the link's own line test; one that does not
// answer it is dropped, and what left over it is in doubt.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := plainDialect(t)
		far := make(chan net.Conn, 10)
		a, err := New(Options{Name: "mis", Dialect: d, Conns: 1, Queue: 10, MaxIn: 1 << 16, Backoff: time.Second, Ceiling: time.Minute, Beat: 30 * time.Second, Within: 5 * time.Second,
			Late: func(pay.Op, pay.Reply) {}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Dial: func(context.Context) (net.Conn, error) {
				near, f := net.Pipe()
				far <- f
				return near, nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		h := &host{t: t, d: d, reply: func(r *pay.Request) pay.Reply {
			return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount}
		}}
		var mute atomic.Bool
		h.do = func(c net.Conn, b []byte) {
			if !mute.Load() {
				h.write(c, b)
			}
		}
		c := <-far
		ended := make(chan struct{})
		go func() { h.serve(c); close(ended) }()
		time.Sleep(95 * time.Second)
		h.mu.Lock()
		if len(h.seen) != 3 || h.seen[0].Op != pay.Echo {
			t.Errorf("the host saw %d messages", len(h.seen))
		}
		h.mu.Unlock()
		mute.Store(true) // from now on it hears and says nothing
		start := time.Now()
		_, err = a.Do(ctx, sale("S1"))
		if !sent(t, err) || time.Since(start) > 70*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		<-ended
		<-far // the next connection
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func plainDialect(t *testing.T) *protocol.Dialect {
	t.Helper()
	l, err := spec.Load("links/mis.yaml", conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
