package tcp

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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qianzhi/protocol"
)

// short is two bytes of length and a body of at most 1000 bytes.
type short struct{}

func (short) Next(buf []byte) (protocol.Frame, int, error) {
	if len(buf) < 2 {
		return protocol.Frame{}, 0, nil
	}
	n := int(binary.BigEndian.Uint16(buf))
	switch {
	case n > 1000:
		return protocol.Frame{}, 0, errors.New("too long")
	case n == 0:
		return protocol.Frame{}, 2, nil
	case len(buf) < 2+n:
		return protocol.Frame{}, 0, nil
	}
	return protocol.Frame{Body: buf[2 : 2+n]}, 2 + n, nil
}

func (short) Append(dst []byte, f protocol.Frame) ([]byte, error) {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(f.Body))), f.Body...), nil
}

// desk answers "x" with "re:x", waits while held, and notes garbage.
type desk struct {
	hold    chan struct{} // nil: answer at once
	started chan string

	mu      sync.Mutex
	garbage []string
}

func (d *desk) Answer(_ context.Context, in protocol.Inbound) (protocol.Frame, error) {
	if d.started != nil {
		d.started <- string(in.Frame.Body)
	}
	if d.hold != nil {
		<-d.hold
	}
	if string(in.Frame.Body) == "mute" {
		return protocol.Frame{}, nil
	}
	return protocol.Frame{Body: []byte("re:" + string(in.Frame.Body))}, nil
}

func (d *desk) Refuse(_ context.Context, in protocol.Inbound) (protocol.Frame, error) {
	return protocol.Frame{Body: []byte("busy:" + string(in.Frame.Body))}, nil
}

func (d *desk) Garbage(_ context.Context, _ string, head []byte, why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.garbage = append(d.garbage, fmt.Sprintf("%x %v", head, why))
}

func (d *desk) seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.garbage...)
}

// serve starts a listener and returns its address and what stops it.
func serve(t *testing.T, d *desk, change func(*Options)) (addr string, stop func() error) {
	t.Helper()
	o := Options{Addr: "127.0.0.1:0", Handler: d, Request: short{}, Reply: short{}, MaxFrame: 1002, InFlight: 8, Refusals: 4, Conns: 50,
		MaxOut: 1 << 20, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	var once sync.Once
	stop = func() (err error) {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return s.Addr(), stop
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func frames(bodies ...string) []byte {
	var b []byte
	for _, x := range bodies {
		b, _ = short{}.Append(b, protocol.Frame{Body: []byte(x)})
	}
	return b
}

func read(t *testing.T, c net.Conn) string {
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

func write(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestTwoFramesInOnePacket(t *testing.T) {
	addr, _ := serve(t, &desk{}, nil)
	c := dial(t, addr)
	write(t, c, frames("a", "", "b", "mute", "c")) // an empty frame is a keep-alive
	got := map[string]bool{read(t, c): true, read(t, c): true, read(t, c): true}
	for _, want := range []string{"re:a", "re:b", "re:c"} {
		if !got[want] {
			t.Errorf("no %s in %v", want, got)
		}
	}
}

func TestFrameByteByByte(t *testing.T) {
	addr, _ := serve(t, &desk{}, nil)
	c := dial(t, addr)
	for _, b := range frames("slow link") {
		write(t, c, []byte{b})
	}
	if got := read(t, c); got != "re:slow link" {
		t.Errorf("got %q", got)
	}
}

func TestGarbageClosesAndIsReported(t *testing.T) {
	d := &desk{}
	addr, _ := serve(t, d, nil)
	c := dial(t, addr)
	write(t, c, []byte("\xff\xff\xff"))
	if n, err := c.Read(make([]byte, 10)); err != io.EOF {
		t.Errorf("read %d, %v; want the connection closed", n, err)
	}
	if got := d.seen(); len(got) != 1 || got[0] != "ffffff too long" {
		t.Errorf("reported %v", got)
	}
}

func TestOverloadIsRefusedInTheSendersFormat(t *testing.T) {
	d := &desk{hold: make(chan struct{}), started: make(chan string, 100)}
	addr, _ := serve(t, d, nil)
	c := dial(t, addr)
	for i := range 8 {
		write(t, c, frames(fmt.Sprint(i)))
		<-d.started
	}
	write(t, c, frames("over"))
	if got := read(t, c); got != "busy:over" {
		t.Errorf("got %q", got)
	}
	close(d.hold)
	for range 8 {
		if got := read(t, c); !strings.HasPrefix(got, "re:") {
			t.Errorf("got %q", got)
		}
	}
}

// TestWaitingFramesAreNotForgotten fills every place from many connections and
// holds that each frame is answered once places come free.
func TestWaitingFramesAreNotForgotten(t *testing.T) {
	d := &desk{hold: make(chan struct{}), started: make(chan string, 1000)}
	addr, _ := serve(t, d, func(o *Options) { o.InFlight, o.Refusals = 2, 0 })
	var all []net.Conn
	for range 20 {
		c := dial(t, addr)
		write(t, c, frames("1", "2", "3"))
		all = append(all, c)
	}
	<-d.started
	<-d.started
	close(d.hold)
	for i, c := range all {
		for range 3 {
			if got := read(t, c); !strings.HasPrefix(got, "re:") {
				t.Errorf("connection %d: got %q", i, got)
			}
		}
	}
}

func TestOrderedLinkAnswersInOrder(t *testing.T) {
	addr, _ := serve(t, &desk{}, func(o *Options) { o.Ordered = true })
	c := dial(t, addr)
	var b []byte
	for i := range 50 {
		b = append(b, frames(fmt.Sprint(i))...)
	}
	write(t, c, b)
	for i := range 50 {
		if got := read(t, c); got != fmt.Sprintf("re:%d", i) {
			t.Fatalf("reply %d is %q", i, got)
		}
	}
}

func TestFloodIsClosed(t *testing.T) {
	d := &desk{hold: make(chan struct{})}
	defer close(d.hold)
	addr, _ := serve(t, d, func(o *Options) { o.Ordered = true })
	c := dial(t, addr)
	big := strings.Repeat("x", 900)
	for range 50 {
		if _, err := c.Write(frames(big)); err != nil {
			break // closed already
		}
	}
	if _, err := io.ReadAll(c); errors.Is(err, context.DeadlineExceeded) || len(d.seen()) != 1 {
		t.Errorf("flood of an ordered link: err %v, reported %v", err, d.seen())
	}
}

func TestConnectionLimit(t *testing.T) {
	addr, _ := serve(t, &desk{}, func(o *Options) { o.Conns = 1 })
	first := dial(t, addr)
	write(t, first, frames("a"))
	read(t, first)
	second := dial(t, addr)
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("second connection got bytes")
	}
	write(t, first, frames("b"))
	if got := read(t, first); got != "re:b" {
		t.Errorf("got %q", got)
	}
}

// TestDrain stops while frames are under way: each is answered before the
// connection closes.
func TestDrain(t *testing.T) {
	d := &desk{hold: make(chan struct{}), started: make(chan string, 100)}
	addr, stop := serve(t, d, nil)
	c := dial(t, addr)
	for i := range 5 {
		write(t, c, frames(fmt.Sprint(i)))
		<-d.started
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	close(d.hold)
	for range 5 {
		if got := read(t, c); !strings.HasPrefix(got, "re:") {
			t.Errorf("got %q", got)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s, err := New(Options{Addr: ln.Addr().String(), Handler: &desk{}, Request: short{}, Reply: short{}, MaxFrame: 1, InFlight: 1, Conns: 1, MaxOut: 1,
		Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address in use: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {MaxFrame: 1, InFlight: 1, Conns: 1, MaxOut: 1}} {
		if _, err := New(o); err == nil {
			t.Errorf("accepted %+v", o)
		}
	}
}

// Keep-alives are answered where the link says so, one a second, and only on
// the connection that they came on.
func TestKeepAliveIsAnswered(t *testing.T) {
	var clock atomic.Int64
	addr, _ := serve(t, &desk{}, func(o *Options) {
		o.KeepAlive = true
		o.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
	})
	c, other := dial(t, addr), dial(t, addr)
	for range 3 {
		clock.Add(1)
		write(t, c, frames("", ""))
		if got := read(t, c); got != "" {
			t.Errorf("answered with %q", got)
		}
		write(t, c, frames("", "a")) // the first as if the bank answered our answer
		if got := read(t, c); got != "re:a" {
			t.Errorf("got %q, want no more keep-alives", got)
		}
	}
	write(t, other, frames("b"))
	if got := read(t, other); got != "re:b" {
		t.Errorf("got %q", got)
	}
}
