package link

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// A repeat of a call that was given up goes over a fresh connection; the late
// answer to the first does not answer the second.
func TestSpentKeyTakesAnotherConnection(t *testing.T) {
	for _, mode := range []Mode{Shared, Pooled, Short} {
		synctest.Test(t, func(t *testing.T) {
			var h host
			m := mux(t, &h, func(o *Options) { o.Mode = mode })
			first := asking(m, "a", time.Second)
			c1 := <-h.conns
			request(t, c1)
			if got := sent((<-first).err); got != "may have been sent" {
				t.Fatalf("mode %d: got %s", mode, got)
			}
			second := asking(m, "a", time.Minute)
			c2 := <-h.conns
			request(t, c2)
			answer(t, c1, "a=stale")
			if got := <-h.late; got != "a=stale" {
				t.Errorf("mode %d: late sink got %q", mode, got)
			}
			answer(t, c2, "a=true")
			if r := <-second; r.body != "a=true" {
				t.Errorf("mode %d: the repeat got %+v", mode, r)
			}
		})
	}
}

// With two connections the repeat takes the other one; no connection retires.
func TestSpentKeyUsesTheOtherConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, func(o *Options) { o.Conns = 2 })
		c := []net.Conn{<-h.conns, <-h.conns}
		got := make(chan int, 4)
		for i, nc := range c {
			go func() {
				var n [6]byte // length and "a=ask"
				for {
					if _, err := io.ReadFull(nc, n[:]); err != nil {
						return
					}
					if _, err := io.ReadFull(nc, n[:1]); err != nil {
						return
					}
					got <- i
				}
			}()
		}
		<-asking(m, "a", time.Second)
		<-asking(m, "a", time.Second)
		if a, b := <-got, <-got; a == b {
			t.Error("the repeat left over the connection of the call that was given up")
		}
		if m.Up() != 2 || len(h.conns) != 0 {
			t.Errorf("%d up, %d new connections", m.Up(), len(h.conns))
		}
	})
}

// A late answer makes its key good again on its connection.
func TestAnsweredKeyIsNotSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, nil)
		first := asking(m, "a", time.Second)
		c := <-h.conns
		request(t, c)
		<-first
		answer(t, c, "a=late")
		<-h.late
		second := asking(m, "a", time.Second)
		request(t, c)
		answer(t, c, "a=2")
		if r := <-second; r.body != "a=2" || len(h.conns) != 0 {
			t.Errorf("got %+v and %d new connections", r, len(h.conns))
		}
	})
}

// A retired connection ends when nothing more can come, and its number is
// bounded.
func TestRetiredConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, func(o *Options) { o.Linger = 30 * time.Second })
		ended := make(chan int, 100)
		for i := range 10 {
			r := asking(m, "a", time.Second)
			c := <-h.conns
			request(t, c)
			<-r
			go func() {
				if _, err := io.ReadAll(c); err == nil || errors.Is(err, io.ErrClosedPipe) {
					ended <- i
				}
			}()
		}
		synctest.Wait()
		if n := len(ended); n != 3 { // 9 retired, at most 6 kept
			t.Errorf("%d ended at once, want 3", n)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if n := len(ended); n != 9 {
			t.Errorf("%d ended after the linger, want 9: the tenth is in service", n)
		}
	})
}

func TestPooledConnectionsAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, func(o *Options) { o.Mode, o.Conns = Pooled, 2 })
		a, b := asking(m, "a", time.Minute), asking(m, "b", time.Minute)
		c1, c2 := <-h.conns, <-h.conns
		k1, k2 := request(t, c1), request(t, c2)
		synctest.Wait()
		waits := asking(m, "c", time.Minute)
		synctest.Wait()
		if len(h.conns) != 0 {
			t.Error("more connections than allowed")
		}
		answer(t, c1, k1[:1]+"=1")
		if got := request(t, c1); got != "c=ask" {
			t.Errorf("the free connection got %s", got)
		}
		answer(t, c1, "c=3")
		answer(t, c2, k2[:1]+"=2")
		for _, r := range []chan result{a, b, waits} {
			if got := <-r; got.err != nil {
				t.Error(got.err)
			}
		}
		if m.Up() != 2 {
			t.Errorf("%d up", m.Up())
		}
	})
}

func TestShortConnectionsEndWithTheirCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, func(o *Options) { o.Mode = Short })
		for range 2 {
			r := asking(m, "a", time.Minute)
			c := <-h.conns
			request(t, c)
			answer(t, c, "a=1")
			if got := <-r; got.body != "a=1" {
				t.Errorf("got %+v", got)
			}
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the connection goes on: %v", err)
			}
		}
	})
}

// A message without an end of its own ends with its sender's side of the
// connection.
func TestEndlessMessages(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b, _ := io.ReadAll(c)
		c.Write([]byte(strings.Replace(string(b), "ask", "o", 1)))
		c.Write([]byte("k"))
	}()
	var h host
	m := mux(t, &h, func(o *Options) {
		o.Mode, o.Endless, o.Request, o.Reply = Short, true, whole{}, whole{}
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", ln.Addr().String())
		}
	})
	if got, err := ask(m, "a", 10*time.Second); err != nil || got != "a=ok" {
		t.Errorf("got %q, %v", got, err)
	}
}

// whole takes all that is there as one frame.
type whole struct{}

func (whole) Next(b []byte) (protocol.Frame, int, error) { return protocol.Frame{Body: b}, len(b), nil }
func (whole) Append(dst []byte, f protocol.Frame) ([]byte, error) {
	return append(dst, f.Body...), nil
}

// A refused dial proves at once that nothing was sent.
func TestRefusedDialEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, func(o *Options) {
			o.Mode, o.Dial = Pooled, func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }
		})
		start := time.Now()
		if _, err := ask(m, "a", time.Minute); sent(err) != "not sent" || time.Since(start) > 0 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if m.Up() != 0 {
			t.Error("counts as up")
		}
	})
}

// Calls that have not left a lost connection leave over the next one.
func TestQueuedCallsSurviveALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, nil)
		a := asking(m, "a", time.Minute)
		c := <-h.conns
		synctest.Wait() // the writer is in the middle of a's bytes: a pipe has no buffer
		b := asking(m, "b", time.Minute)
		synctest.Wait()
		c.Close()
		if got := sent((<-a).err); got != "may have been sent" {
			t.Errorf("a: %s", got)
		}
		c = <-h.conns
		if got := request(t, c); got != "b=ask" {
			t.Errorf("got %s", got)
		}
		answer(t, c, "b=1")
		if r := <-b; r.body != "b=1" {
			t.Errorf("b: %+v", r)
		}
	})
}

func beating(o *Options) {
	o.Beat = Beat{Every: 10 * time.Second, Within: 3 * time.Second, Make: func(n uint64) (string, protocol.Frame, error) {
		return "beat", protocol.Frame{Body: []byte("beat=ask")}, nil
	}}
}

// A connection that answers no heartbeat is dropped; its calls are in doubt.
func TestHalfOpenConnectionIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, beating)
		r := asking(m, "a", time.Minute)
		c := <-h.conns
		request(t, c)
		start := time.Now()
		if got := request(t, c); got != "beat=ask" {
			t.Errorf("got %s", got)
		}
		got := <-r
		if sent(got.err) != "may have been sent" || !errors.Is(got.err, errMute) || time.Since(start) != 13*time.Second {
			t.Errorf("got %v after %v", got.err, time.Since(start))
		}
		<-h.conns // the next one
	})
}

// An answered heartbeat, and any other sign of life, keeps the connection.
func TestHeartbeatKeepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		mux(t, &h, beating)
		c := <-h.conns
		for range 3 {
			request(t, c)
			answer(t, c, "beat=ok")
		}
		request(t, c)
		answer(t, c, "x=unasked") // not the answer, but life
		<-h.late
		time.Sleep(5 * time.Second)
		if len(h.conns) != 0 {
			t.Error("dropped")
		}
	})
}

// Dials that bring connections which never answer are spaced as refused ones
// are.
func TestAcceptedAndClosedBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		n := 0
		mux(t, &h, func(o *Options) {
			o.Dial = func(context.Context) (net.Conn, error) {
				near, far := net.Pipe()
				far.Close()
				n++
				return near, nil
			}
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n > 35 { // pauses of 0.5 to 1, 1 to 2, then 2 to 4 seconds
			t.Errorf("%d dials in a minute", n)
		}
	})
}

func TestModeNames(t *testing.T) {
	for name, want := range map[string]Mode{"": Shared, "shared": Shared, "pooled": Pooled, "short": Short} {
		if got, ok := ParseMode(name); !ok || got != want {
			t.Errorf("%q is %d, %t", name, got, ok)
		}
	}
	if _, ok := ParseMode("long"); ok {
		t.Error("took an unknown mode")
	}
}

// callee answers as its test says and counts.
type callee struct {
	err   error
	calls int
}

func (c *callee) Do(context.Context, *pay.Request) (pay.Reply, error) {
	c.calls++
	return pay.Answer(pay.Declined, pay.CodeRefused), c.err
}

func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &callee{}
		b, err := NewBreaker(BreakerOptions{Name: "mis", Next: c, Failures: 3, Rest: 10 * time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		do := func(calls int) error {
			t.Helper()
			before := c.calls
			_, err := b.Do(t.Context(), &pay.Request{})
			if c.calls-before != calls {
				t.Errorf("%d calls went through, want %d", c.calls-before, calls)
			}
			return err
		}
		silent := &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: context.DeadlineExceeded}
		for _, err := range []error{silent, silent, nil, silent, silent} { // an answer, also a refusal, starts the count again
			c.err = err
			do(1)
		}
		c.err = &pay.Fault{Code: pay.CodeFormat, Err: io.EOF} // our own fault says nothing
		do(1)
		c.err = silent
		if b.Open() {
			t.Error("open too early")
		}
		do(1)
		if err := do(0); sent(err) != "not sent" || !errors.Is(err, ErrOpen) || !b.Open() {
			t.Errorf("got %v", err)
		}
		time.Sleep(10 * time.Second)
		do(1) // the probe fails
		do(0)
		time.Sleep(10 * time.Second)
		c.err = nil
		do(1)
		if do(1); b.Open() {
			t.Error("open after an answer")
		}
	})
}

// While one call probes, no other goes through.
func TestBreakerProbesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := hanging(make(chan error))
		b, err := NewBreaker(BreakerOptions{Next: hung, Failures: 1, Rest: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		go func() { hung <- errors.New("silence") }()
		b.Do(t.Context(), &pay.Request{})
		time.Sleep(time.Second)
		done := make(chan error)
		go func() { _, err := b.Do(t.Context(), &pay.Request{}); done <- err }()
		synctest.Wait()
		if _, err := b.Do(t.Context(), &pay.Request{}); !errors.Is(err, ErrOpen) {
			t.Errorf("a second probe: %v", err)
		}
		hung <- nil
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

type hanging chan error

func (h hanging) Do(context.Context, *pay.Request) (pay.Reply, error) { return pay.Reply{}, <-h }

// Keep-alives are answered where the link says so, one a second: a far side
// that answers our answers gets no more.
func TestKeepAlives(t *testing.T) {
	for _, answered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var h host
			m := mux(t, &h, func(o *Options) { o.KeepAlive = answered })
			c := <-h.conns
			for range 3 {
				answer(t, c, "")
				if answered {
					if got := request(t, c); got != "" {
						t.Errorf("answered with %q", got)
					}
					answer(t, c, "", "") // the far side's answer to ours, and one more
				}
				time.Sleep(time.Second)
			}
			r := asking(m, "a", time.Minute)
			if got := request(t, c); got != "a=ask" {
				t.Errorf("got %q, want the next call", got)
			}
			answer(t, c, "", "a=ok")
			if answered {
				if got := request(t, c); got != "" {
					t.Errorf("answered with %q", got)
				}
			}
			if got := <-r; got.body != "a=ok" || got.err != nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}
