package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// short is two bytes of length and a body "key=text".
type short struct{}

func (short) Next(buf []byte) (protocol.Frame, int, error) {
	if len(buf) < 2 || len(buf) < 2+int(binary.BigEndian.Uint16(buf)) {
		return protocol.Frame{}, 0, nil
	}
	n := 2 + int(binary.BigEndian.Uint16(buf))
	if n == 2 {
		return protocol.Frame{}, n, nil
	}
	return protocol.Frame{Body: buf[2:n]}, n, nil
}

func (short) Append(dst []byte, f protocol.Frame) ([]byte, error) {
	if strings.Contains(string(f.Body), "unframeable") {
		return nil, errors.New("does not fit")
	}
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(f.Body))), f.Body...), nil
}

// host is the far side: it is told of every connection and request.
type host struct {
	conns chan net.Conn
	late  chan string
}

// mux builds a link to a host over pipes and runs it inside the bubble.
func mux(t *testing.T, h *host, change func(*Options)) *Mux {
	t.Helper()
	h.conns, h.late = make(chan net.Conn, 100), make(chan string, 100)
	o := Options{Name: "test", Conns: 1, Queue: 16, MaxIn: 4096, Request: short{}, Reply: short{}, Backoff: time.Second, Ceiling: 4 * time.Second,
		Log: slog.New(slog.DiscardHandler), Late: func(a *Answer) { h.late <- string(a.Frame.Body) },
		Dial: func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			h.conns <- far
			return near, nil
		},
		Open: func(f protocol.Frame) (*Answer, error) {
			key, text, _ := strings.Cut(string(f.Body), "=")
			if text == "forged" {
				return &Answer{Key: key}, &protocol.Error{Class: protocol.ClassAuth}
			}
			if text == "garbled" {
				return &Answer{Key: key}, errors.New("not understood")
			}
			return &Answer{Key: key, Frame: f}, nil
		}}
	if change != nil {
		change(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return m
}

func ask(m *Mux, key string, within time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	a, err := m.Call(ctx, key, protocol.Frame{Body: []byte(key + "=ask")})
	if err != nil {
		return "", err
	}
	return string(a.Frame.Body), nil
}

func request(t *testing.T, c net.Conn) string {
	t.Helper()
	var n [2]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint16(n[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func answer(t *testing.T, c net.Conn, bodies ...string) {
	t.Helper()
	var out []byte
	for _, b := range bodies {
		out, _ = short{}.Append(out, protocol.Frame{Body: []byte(b)})
	}
	if _, err := c.Write(out); err != nil {
		t.Fatal(err)
	}
}

// sent reports what the error of a call says about its bytes.
func sent(err error) string {
	var f *pay.Fault
	if !errors.As(err, &f) {
		return fmt.Sprintf("no fault: %v", err)
	}
	return map[bool]string{true: "may have been sent", false: "not sent"}[f.Sent]
}

type result struct {
	body string
	err  error
}

func asking(m *Mux, key string, within time.Duration) chan result {
	out := make(chan result, 1)
	go func() {
		body, err := ask(m, key, within)
		out <- result{body, err}
	}()
	return out
}

func TestRepliesOutOfOrderFindTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, nil)
		a, b := asking(m, "a", time.Minute), asking(m, "b", time.Minute)
		c := <-h.conns
		first, second := request(t, c), request(t, c)
		if first == second {
			t.Fatal("the same request twice")
		}
		answer(t, c, "b=2", "a=1") // two frames in one write
		if r := <-a; r.body != "a=1" {
			t.Errorf("a got %+v", r)
		}
		if r := <-b; r.body != "b=2" {
			t.Errorf("b got %+v", r)
		}
	})
}

func TestSilenceMayHaveBeenSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, nil)
		r := asking(m, "a", time.Second)
		c := <-h.conns
		request(t, c)
		if got := sent((<-r).err); got != "may have been sent" {
			t.Errorf("got %s", got)
		}
		answer(t, c, "a=late", "a=again")
		for _, want := range []string{"a=late", "a=again"} {
			if got := <-h.late; got != want {
				t.Errorf("late sink got %q, want %q", got, want)
			}
		}
	})
}

func TestNoConnectionProvesNothingWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, func(o *Options) {
			o.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("refused") }
		})
		if got := sent((<-asking(m, "a", time.Second)).err); got != "not sent" {
			t.Errorf("got %s", got)
		}
	})
}

func TestConnectionCutAfterTheRequestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, nil)
		r := asking(m, "a", time.Minute)
		c := <-h.conns
		request(t, c)
		c.Close()
		if got := sent((<-r).err); got != "may have been sent" {
			t.Errorf("got %s", got)
		}
		again := asking(m, "b", time.Minute) // the link dials again by itself
		c = <-h.conns
		request(t, c)
		answer(t, c, "b=1")
		if r := <-again; r.body != "b=1" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestUnframeableRequestWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, nil)
		<-h.conns
		if got := sent((<-asking(m, "unframeable", time.Second)).err); got != "not sent" {
			t.Errorf("got %s", got)
		}
	})
}

func TestKeyInFlightIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, nil)
		first := asking(m, "a", time.Minute)
		c := <-h.conns
		request(t, c)
		_, err := ask(m, "a", time.Second)
		if !errors.Is(err, ErrKey) || sent(err) != "not sent" {
			t.Errorf("got %v", err)
		}
		answer(t, c, "a=1")
		<-first
		if r := asking(m, "a", time.Second); request(t, c) != "a=ask" {
			t.Error("the key is not free again")
		} else {
			<-r
		}
	})
}

func TestForgedReplyIsNoReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, nil)
		r := asking(m, "a", time.Minute)
		c := <-h.conns
		request(t, c)
		answer(t, c, "a=forged", "a=true")
		if got := <-r; got.body != "a=true" {
			t.Errorf("got %+v", got)
		}
	})
}

// TestForgedReplyIsTold: a call that only a forged reply has claimed ends with its
// caller's patience, and says so; another's is silence.
func TestForgedReplyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for text, want := range map[string]pay.Code{"a=forged": pay.CodeAuth, "b=forged": pay.CodeUnknown, "a=garbled": pay.CodeUnknown} {
			var h host
			m := mux(t, &h, nil)
			r := asking(m, "a", time.Minute)
			c := <-h.conns
			request(t, c)
			answer(t, c, text)
			got := <-r
			var f *pay.Fault
			if !errors.As(got.err, &f) || f.Code != want || !f.Sent {
				t.Errorf("%s: %v", text, got.err)
			}
		}
	})
}

func TestReplyLargerThanAllowedEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, func(o *Options) { o.MaxIn = 10 })
		r := asking(m, "a", time.Minute)
		c := <-h.conns
		request(t, c)
		go c.Write(append([]byte{0xff, 0xff}, make([]byte, 100)...))
		if got := sent((<-r).err); got != "may have been sent" {
			t.Errorf("got %s", got)
		}
	})
}

// TestManyCallers has each of many callers get its own answer from a host that
// answers in pieces.
func TestManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h host
		m := mux(t, &h, func(o *Options) { o.Conns = 2 })
		for range 2 {
			go func() {
				for c := range h.conns {
					go func() {
						var n [2]byte
						for {
							if _, err := io.ReadFull(c, n[:]); err != nil {
								return
							}
							b := make([]byte, binary.BigEndian.Uint16(n[:]))
							if _, err := io.ReadFull(c, b); err != nil {
								return
							}
							out, _ := short{}.Append(nil, protocol.Frame{Body: []byte(strings.Replace(string(b), "ask", "ok", 1))})
							for i := range out {
								if _, err := c.Write(out[i : i+1]); err != nil {
									return
								}
							}
						}
					}()
				}
			}()
		}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				key := fmt.Sprint(i)
				if body, err := ask(m, key, time.Minute); err != nil || body != key+"=ok" {
					t.Errorf("%s got %q, %v", key, body, err)
				}
			})
		}
		wg.Wait()
		if m.Up() != 2 {
			t.Errorf("%d connections are up, want 2", m.Up())
		}
		close(h.conns)
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {Conns: 1, Queue: 1, MaxIn: 1}, {Conns: 1, Queue: 1, MaxIn: 1, Backoff: 1, Ceiling: 1}} {
		if _, err := New(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}
