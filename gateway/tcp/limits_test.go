package tcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"qianzhi/gateway/limit"
)

// framed is a frame of the test's framing.
func framed(body string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(body))), body...)
}

// reply reads one frame.
func reply(c net.Conn) (string, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		return "", err
	}
	body := make([]byte, binary.BigEndian.Uint16(head))
	_, err := io.ReadFull(c, body)
	return string(body), err
}

// closed wants the peer to close the connection, not the test's patience.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("still open, read %q", b)
	}
}

// doors starts the ordinary listener and the stream one with the same options.
func doors(t *testing.T, d *desk, change func(*Options)) map[string]string {
	t.Helper()
	addr, _ := serve(t, d, change)
	o := StreamOptions{Options: Options{Addr: "127.0.0.1:0", Handler: d, Request: short{}, Reply: short{}, MaxFrame: 1002, InFlight: 8, Refusals: 4, Conns: 50,
		MaxOut: 1 << 20, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Backoff: time.Millisecond, Ceiling: time.Millisecond, Stall: time.Second}
	change(&o.Options)
	s, err := NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return map[string]string{"gnet": addr, "stream": s.Addr()}
}

func TestOnlyTheListConnects(t *testing.T) {
	for name, list := range map[string]string{"in": "127.0.0.0/8", "out": "10.0.0.0/8"} {
		for kind, addr := range doors(t, &desk{}, func(o *Options) { o.Allow = []netip.Prefix{netip.MustParsePrefix(list)} }) {
			c := dial(t, addr)
			_, _ = c.Write(framed("hello")) // a refused connection may be gone by now
			got, err := reply(c)
			if in := name == "in"; in != (got == "re:hello") || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, %s the list: %q, %v", kind, name, got, err)
			}
		}
	}
}

func TestConnectionsOfOneAddress(t *testing.T) {
	for kind, addr := range doors(t, &desk{}, func(o *Options) { o.PerIP = 2 }) {
		var in []net.Conn
		for range 2 {
			c := dial(t, addr)
			if _, err := c.Write(framed("x")); err != nil {
				t.Fatal(err)
			}
			if got, err := reply(c); got != "re:x" {
				t.Fatalf("%s: %q %v", kind, got, err)
			}
			in = append(in, c)
		}
		closed(t, dial(t, addr))
		in[0].Close()
		for { // until the place is free
			c := dial(t, addr)
			_, _ = c.Write(framed("y"))
			if got, _ := reply(c); got == "re:y" {
				break
			}
		}
	}
}

// TestSlowFrames sends a byte now and then: the connection lasts as long as
// frames end in time, and no longer.
func TestSlowFrames(t *testing.T) {
	d := &desk{}
	for kind, addr := range doors(t, d, func(o *Options) { o.Slow = 150 * time.Millisecond }) {
		quiet, slow := dial(t, addr), dial(t, addr)
		for _, b := range framed("whole") {
			if _, err := slow.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := reply(slow); got != "re:whole" {
			t.Fatalf("%s: %q %v", kind, got, err)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		n := 0
		for frame := framed(strings.Repeat("s", 900)); n < len(frame); n++ {
			if _, err := slow.Write(frame[n : n+1]); err != nil {
				break
			}
			<-tick.C
		}
		if n >= 900 {
			t.Errorf("%s: %d bytes of a slow frame were taken", kind, n)
		}
		if _, err := quiet.Write(framed("late")); err != nil {
			t.Fatal(err)
		}
		if got, err := reply(quiet); got != "re:late" {
			t.Errorf("%s: a connection that was merely silent: %q %v", kind, got, err)
		}
	}
	if g := strings.Join(d.seen(), "\n"); strings.Count(g, errLate.Error()) != 2 {
		t.Errorf("reported: %s", g)
	}
}

// TestRateIsRefusedProperly answers the frames of the rate, and tells the
// others so in their own format.
func TestRateIsRefusedProperly(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, refusals := range []int{0, 4} {
		for kind, addr := range doors(t, &desk{}, func(o *Options) {
			o.Rate, o.Refusals, o.Now = limit.Rate{Events: 3, Per: time.Hour}, refusals, func() time.Time { return now }
		}) {
			c := dial(t, addr)
			for range 20 {
				if _, err := c.Write(framed("x")); err != nil {
					t.Fatal(err)
				}
			}
			got := map[string]int{}
			for range 20 {
				b, err := reply(c)
				if err != nil {
					t.Fatalf("%s: after %v: %v", kind, got, err)
				}
				got[b]++
			}
			if got["re:x"] != 3 || got["busy:x"] != 17 {
				t.Errorf("%s with %d refusals: %v", kind, refusals, got)
			}
		}
	}
}

// flood attacks an address in every way at once until stop is closed:
// connections that say nothing, frames that never end, frames without pause,
// replies that are not read.
func flood(addr string, stop <-chan struct{}) (wait func(), sent *atomic.Int64) {
	var wg sync.WaitGroup
	sent = new(atomic.Int64)
	attack := func(write []byte, again bool) {
		for {
			select {
			case <-stop:
				return
			default:
			}
			c, err := net.DialTimeout("tcp", addr, time.Second)
			if err != nil {
				continue
			}
			_ = c.SetDeadline(time.Now().Add(time.Second)) // fails on a closed connection only
			for {
				n, err := c.Write(write)
				if sent.Add(int64(n)); err != nil || !again {
					break
				}
				select {
				case <-stop:
					err = net.ErrClosed
				default:
				}
				if err != nil {
					break
				}
			}
			if !again {
				_, _ = c.Read(make([]byte, 1))
			}
			c.Close()
		}
	}
	for range 8 {
		wg.Go(func() { attack(nil, false) })
		wg.Go(func() { attack(framed("unfinished")[:5], false) })
		wg.Go(func() { attack(bytes.Repeat(framed("more"), 50), true) })
	}
	return wg.Wait, sent
}

// TestFloodedLinkLeavesOthersAlone floods one link, whose handler hangs, while
// another answers everything; and what the flood may use stays within what was
// configured.
func TestFloodedLinkLeavesOthersAlone(t *testing.T) {
	hung := &desk{hold: make(chan struct{})}
	bad, _ := serve(t, hung, func(o *Options) {
		o.InFlight, o.Refusals, o.Conns, o.PerIP, o.Slow = 4, 4, 20, 16, 200*time.Millisecond
	})
	good, _ := serve(t, &desk{}, nil)
	before := runtime.NumGoroutine()
	stop := make(chan struct{})
	wait, sent := flood(bad, stop)
	c := dial(t, good)
	most := 0
	for i := range 400 {
		want := fmt.Sprint(i)
		if _, err := c.Write(framed(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := reply(c); got != "re:"+want {
			t.Fatalf("%q, %v", got, err)
		}
		most = max(most, runtime.NumGoroutine())
	}
	close(stop)
	wait()
	close(hung.hold)
	if sent.Load() < 10_000 {
		t.Fatalf("no flood: %d bytes", sent.Load())
	}
	// The attackers, 4 frames answered and 4 refused at once, one of the good link.
	if limit := before + 24 + 4 + 4 + 4 + 10; most > limit {
		t.Errorf("%d goroutines under the flood, at most %d", most, limit)
	}
}
