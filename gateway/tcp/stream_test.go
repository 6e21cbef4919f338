package tcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"qianzhi/protocol"
)

// plain has no mark of its own: a message is all there is, up to 100 bytes.
type plain struct{}

func (plain) Next(buf []byte) (protocol.Frame, int, error) {
	if len(buf) > 100 {
		return protocol.Frame{}, 0, errors.New("too long")
	}
	return protocol.Frame{Body: buf}, len(buf), nil
}

func (plain) Append(dst []byte, f protocol.Frame) ([]byte, error) { return append(dst, f.Body...), nil }

// flow starts a stream link and returns it and what stops it.
func flow(t *testing.T, d *desk, change func(*StreamOptions)) (s *Stream, stop func() error) {
	t.Helper()
	o := StreamOptions{Options: Options{Handler: d, Request: short{}, Reply: short{}, MaxFrame: 1002, InFlight: 8, Refusals: 4, Conns: 50,
		MaxOut: 1 << 20, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Within: 20 * time.Second, Connect: 5 * time.Second,
		Backoff: time.Millisecond, Ceiling: 5 * time.Millisecond, Keep: 3, Stale: time.Minute, Stall: 20 * time.Second}
	change(&o)
	s, err := NewStream(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
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
	return s, stop
}

func listening(o *StreamOptions) { o.Addr = "127.0.0.1:0" }

func oneShot(o *StreamOptions) { listening(o); o.OneShot = true }

func whole(o *StreamOptions) {
	oneShot(o)
	o.Whole, o.Request, o.Reply, o.MaxFrame = true, plain{}, plain{}, 100
}

// bank is the bank's own listener, for links that we dial.
type bank struct{ net.Listener }

func newBank(t *testing.T) bank {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return bank{ln}
}

func (b bank) take(t *testing.T) net.Conn {
	t.Helper()
	if err := b.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c, err := b.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func (b bank) addr() string { return b.Addr().String() }

func halfClose(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// until waits for something that no socket tells, by asking.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestOneShotClosesAfterTheReply(t *testing.T) {
	d := &desk{}
	s, _ := flow(t, d, oneShot)
	for range 3 {
		c := dial(t, s.Addr())
		write(t, c, frames("", "a")) // a keep-alive is no message
		if got := all(t, c); got != string(frames("re:a")) {
			t.Errorf("got %q", got)
		}
	}
	c := dial(t, s.Addr())
	write(t, c, frames("mute"))
	if got := all(t, c); got != "" {
		t.Errorf("got %q", got)
	}
	if got := d.seen(); len(got) != 0 {
		t.Errorf("reported %v", got)
	}
}

func TestOneShotTakesOneMessage(t *testing.T) {
	d := &desk{}
	s, _ := flow(t, d, oneShot)
	c := dial(t, s.Addr())
	write(t, c, frames("a", "b"))
	if got := all(t, c); got != string(frames("re:a")) {
		t.Errorf("got %q", got)
	}
	if got := d.seen(); len(got) != 1 || !strings.Contains(got[0], errMore.Error()) {
		t.Errorf("reported %v", got)
	}
}

func TestMessageEndsWithTheStream(t *testing.T) {
	d := &desk{}
	s, _ := flow(t, d, whole)
	c := dial(t, s.Addr())
	for _, part := range []string{"pay ", "one ", "yuan"} { // may arrive in any pieces
		write(t, c, []byte(part))
	}
	halfClose(t, c)
	if got := all(t, c); got != "re:pay one yuan" {
		t.Errorf("got %q", got)
	}
	probe := dial(t, s.Addr()) // connects and says nothing
	halfClose(t, probe)
	if got := all(t, probe); got != "" || len(d.seen()) != 0 {
		t.Errorf("got %q, reported %v", got, d.seen())
	}
}

func TestMessageWithoutEndIsBounded(t *testing.T) {
	d := &desk{}
	s, _ := flow(t, d, whole)
	c := dial(t, s.Addr())
	write(t, c, []byte(strings.Repeat("x", 101)))
	if got := all(t, c); got != "" {
		t.Errorf("got %q", got)
	}
	if got := d.seen(); len(got) != 1 || !strings.HasSuffix(got[0], "too long") {
		t.Errorf("reported %v", got)
	}
}

func TestOneShotMessageHasToArrive(t *testing.T) {
	s, _ := flow(t, &desk{}, func(o *StreamOptions) { oneShot(o); o.Within = 10 * time.Millisecond })
	c := dial(t, s.Addr())
	write(t, c, []byte{0})
	if got := all(t, c); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestWeDial has the bank ask over the connection that we opened, lose it and
// ask again over the next one.
func TestWeDial(t *testing.T) {
	b := newBank(t)
	s, _ := flow(t, &desk{}, func(o *StreamOptions) { o.Dial = b.addr() })
	for range 3 {
		c := b.take(t)
		write(t, c, frames("a", "", "b"))
		if got := map[string]bool{read(t, c): true, read(t, c): true}; !got["re:a"] || !got["re:b"] {
			t.Errorf("got %v", got)
		}
		if up, replies := s.Up(); up != 1 || replies != 0 {
			t.Errorf("%d connections, %d for replies", up, replies)
		}
		c.Close()
	}
}

func TestWeDialUntilTheBankIsThere(t *testing.T) {
	b := newBank(t)
	addr := b.addr()
	b.Close()
	s, stop := flow(t, &desk{}, func(o *StreamOptions) { o.Dial = addr })
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c := bank{ln}.take(t)
	write(t, c, frames("a"))
	if got := read(t, c); got != "re:a" {
		t.Errorf("got %q", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if up, _ := s.Up(); up != 0 {
		t.Errorf("%d connections after the end", up)
	}
}

func TestStreamGarbage(t *testing.T) {
	b := newBank(t)
	d := &desk{}
	flow(t, d, func(o *StreamOptions) { o.Dial = b.addr() })
	c := b.take(t)
	write(t, c, []byte("\xff\xff\xff"))
	if n, err := c.Read(make([]byte, 10)); err != io.EOF {
		t.Errorf("read %d, %v; want the connection closed", n, err)
	}
	c = b.take(t)
	write(t, c, frames("whole")[:4])
	halfClose(t, c)
	if got := all(t, c); got != "" {
		t.Errorf("got %q", got)
	}
	if got := d.seen(); len(got) != 2 || got[0] != "ffffff too long" || !strings.Contains(got[1], errHalf.Error()) {
		t.Errorf("reported %v", got)
	}
}

func TestStreamKeepsOrder(t *testing.T) {
	b := newBank(t)
	flow(t, &desk{}, func(o *StreamOptions) { o.Dial = b.addr(); o.Ordered = true })
	c := b.take(t)
	var all []byte
	for i := range 50 {
		all = append(all, frames(fmt.Sprint(i))...)
	}
	write(t, c, all)
	halfClose(t, c)
	for i := range 50 {
		if got := read(t, c); got != fmt.Sprintf("re:%d", i) {
			t.Fatalf("reply %d is %q", i, got)
		}
	}
}

func TestStreamRefusesBeyondItsPlaces(t *testing.T) {
	b := newBank(t)
	d := &desk{hold: make(chan struct{}), started: make(chan string, 100)}
	flow(t, d, func(o *StreamOptions) { o.Dial = b.addr(); o.InFlight, o.Refusals = 2, 1 })
	c := b.take(t)
	write(t, c, frames("1", "2"))
	<-d.started
	<-d.started
	write(t, c, frames("over"))
	if got := read(t, c); got != "busy:over" {
		t.Errorf("got %q", got)
	}
	close(d.hold)
	for range 2 {
		if got := read(t, c); !strings.HasPrefix(got, "re:") {
			t.Errorf("got %q", got)
		}
	}
}

// TestStreamWaitsForPlaces fills every place from many connections; one of
// those that wait goes away.
func TestStreamWaitsForPlaces(t *testing.T) {
	d := &desk{hold: make(chan struct{}), started: make(chan string, 1000)}
	s, _ := flow(t, d, func(o *StreamOptions) { oneShot(o); o.InFlight, o.Refusals = 2, 0 })
	var conns []net.Conn
	for range 20 {
		c := dial(t, s.Addr())
		write(t, c, frames("1"))
		conns = append(conns, c)
	}
	<-d.started
	<-d.started
	conns[10].Close()
	close(d.hold)
	for i, c := range conns {
		if i == 10 {
			continue
		}
		if got := all(t, c); got != string(frames("re:1")) {
			t.Errorf("connection %d: got %q", i, got)
		}
	}
}

func TestStreamDrain(t *testing.T) {
	b, r := newBank(t), newBank(t)
	for name, change := range map[string]func(*StreamOptions){
		"same":  func(o *StreamOptions) { o.Dial = b.addr() },
		"other": func(o *StreamOptions) { o.Dial, o.ReplyDial = b.addr(), r.addr() },
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{hold: make(chan struct{}), started: make(chan string, 100)}
			s, stop := flow(t, d, change)
			c := b.take(t)
			back := c
			if name == "other" {
				back = r.take(t)
				until(t, "response connection", func() bool { _, n := s.Up(); return n == 1 })
			}
			for i := range 5 {
				write(t, c, frames(fmt.Sprint(i)))
				<-d.started
			}
			ended := make(chan error, 1)
			go func() { ended <- stop() }()
			close(d.hold)
			for range 5 {
				if got := read(t, back); !strings.HasPrefix(got, "re:") {
					t.Errorf("got %q", got)
				}
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if n := s.Dropped(); n != 0 {
				t.Errorf("%d replies dropped", n)
			}
		})
	}
}

func TestSlowReaderIsClosed(t *testing.T) {
	b := newBank(t)
	flow(t, &desk{}, func(o *StreamOptions) { o.Dial = b.addr(); o.MaxOut = 1 << 12 })
	c := b.take(t)
	big := frames(strings.Repeat("x", 900))
	for {
		if _, err := c.Write(big); err != nil {
			break // closed, without anything having been read
		}
	}
	next := b.take(t)
	write(t, next, frames("a"))
	if got := read(t, next); got != "re:a" {
		t.Errorf("got %q", got)
	}
}

func TestStalledWriteIsClosed(t *testing.T) {
	b := newBank(t)
	flow(t, &desk{}, func(o *StreamOptions) {
		o.Dial = b.addr()
		o.Stall, o.Ordered, o.MaxOut = 50*time.Millisecond, true, 1<<30
	})
	c := b.take(t)
	big := frames(strings.Repeat("x", 900))
	for {
		if _, err := c.Write(big); err != nil {
			break
		}
	}
}

// TestSeparateConnections has requests arrive on one connection and replies
// leave on another, in each of the four forms.
func TestSeparateConnections(t *testing.T) {
	for _, form := range []string{"listen listen", "listen dial", "dial listen", "dial dial"} {
		t.Run(form, func(t *testing.T) {
			ask, reply := newBank(t), newBank(t)
			from, to, _ := strings.Cut(form, " ")
			s, _ := flow(t, &desk{}, func(o *StreamOptions) {
				if from == "listen" {
					listening(o)
				} else {
					o.Dial = ask.addr()
				}
				if to == "listen" {
					o.ReplyAddr = "127.0.0.1:0"
				} else {
					o.ReplyDial = reply.addr()
				}
			})
			open := func(way string, b bank, addr string) net.Conn {
				if way == "dial" {
					return b.take(t)
				}
				return dial(t, addr)
			}
			c, back := open(from, ask, s.Addr()), open(to, reply, s.ReplyAddr())
			write(t, back, frames("")) // a keep-alive
			write(t, c, frames("a"))
			if got := read(t, back); got != "re:a" {
				t.Errorf("got %q", got)
			}
			if n, m := s.Up(); n != 1 || m != 1 {
				t.Errorf("%d connections, %d for replies", n, m)
			}
			write(t, back, frames("x"))
			if got := all(t, back); got != "" {
				t.Errorf("a message on the response connection is answered with %q", got)
			}
		})
	}
}

// TestRepliesWait has the response connection come late, go and come back.
// Three replies wait, older ones give way and are counted.
func TestRepliesWait(t *testing.T) {
	s, _ := flow(t, &desk{}, func(o *StreamOptions) { listening(o); o.ReplyAddr, o.Ordered = "127.0.0.1:0", true })
	c := dial(t, s.Addr())
	for round := range 3 {
		write(t, c, frames("1", "2", "3", "4", "5"))
		until(t, "dropped", func() bool { return s.Dropped() == uint64(2*(round+1)) })
		back := dial(t, s.ReplyAddr())
		for _, want := range []string{"re:3", "re:4", "re:5"} {
			if got := read(t, back); got != want {
				t.Errorf("got %q, want %s", got, want)
			}
		}
		back.Close()
		until(t, "closed", func() bool { _, n := s.Up(); return n == 0 })
	}
}

// TestNewestResponseConnection has a second one take over, and the first one
// go on when that is gone.
func TestNewestResponseConnection(t *testing.T) {
	s, _ := flow(t, &desk{}, func(o *StreamOptions) { listening(o); o.ReplyAddr = "127.0.0.1:0" })
	c, first := dial(t, s.Addr()), dial(t, s.ReplyAddr())
	until(t, "first", func() bool { _, n := s.Up(); return n == 1 })
	second := dial(t, s.ReplyAddr())
	until(t, "second", func() bool { _, n := s.Up(); return n == 2 })
	write(t, c, frames("a"))
	if got := read(t, second); got != "re:a" {
		t.Errorf("got %q", got)
	}
	second.Close()
	until(t, "second gone", func() bool { _, n := s.Up(); return n == 1 })
	write(t, c, frames("b"))
	if got := read(t, first); got != "re:b" {
		t.Errorf("got %q", got)
	}
}

// TestStaleReplies lets replies get older than anybody waits.
func TestStaleReplies(t *testing.T) {
	s, _ := flow(t, &desk{}, func(o *StreamOptions) {
		listening(o)
		o.ReplyAddr, o.Stale = "127.0.0.1:0", time.Hour
		var mu sync.Mutex
		now := time.Now()
		o.Now = func() time.Time { // each look is half an hour later
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(30 * time.Minute)
			return now
		}
	})
	c := dial(t, s.Addr())
	write(t, c, frames("old"))
	until(t, "old waits", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, o := range s.outlets {
			o.mu.Lock()
			n := len(o.queue)
			o.mu.Unlock()
			return n == 1
		}
		return false
	})
	for range 4 {
		s.o.Now()
	}
	back := dial(t, s.ReplyAddr())
	until(t, "dropped", func() bool { return s.Dropped() == 1 })
	write(t, c, frames("new"))
	if got := read(t, back); got != "re:new" {
		t.Errorf("got %q", got)
	}
}

// TestDrainWithoutResponseConnection does not wait for one.
func TestDrainWithoutResponseConnection(t *testing.T) {
	d := &desk{started: make(chan string, 10)}
	s, stop := flow(t, d, func(o *StreamOptions) { listening(o); o.ReplyAddr = "127.0.0.1:0" })
	write(t, dial(t, s.Addr()), frames("a"))
	<-d.started
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := s.Dropped(); n != 1 {
		t.Errorf("%d dropped, want 1", n)
	}
}

func TestPeersAreBounded(t *testing.T) {
	s, _ := flow(t, &desk{}, func(o *StreamOptions) { listening(o); o.ReplyAddr, o.Conns = "127.0.0.1:0", 2 })
	for i := range 20 {
		_, release := s.outlet(from{ip: fmt.Sprintf("10.0.0.%d:1", i)})
		release()
	}
	if n := len(s.outlets); n > 4 {
		t.Errorf("%d peers are remembered", n)
	}
}

// from is a connection of which only the remote address matters.
type from struct {
	net.Conn
	ip string
}

func (f from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.ip)) }

func TestStreamConnectionLimit(t *testing.T) {
	s, _ := flow(t, &desk{}, func(o *StreamOptions) { listening(o); o.Conns = 1 })
	first := dial(t, s.Addr())
	write(t, first, frames("a"))
	read(t, first)
	if _, err := dial(t, s.Addr()).Read(make([]byte, 1)); err == nil {
		t.Error("second connection got bytes")
	}
}

func TestStreamOptionsAreChecked(t *testing.T) {
	good := StreamOptions{Options: Options{Addr: "127.0.0.1:0", Handler: &desk{}, Request: short{}, Reply: short{}, MaxFrame: 1, InFlight: 1, Conns: 1, MaxOut: 1,
		Now: time.Now, Log: slog.New(slog.DiscardHandler)}, Within: 1, Connect: 1, Backoff: 1, Ceiling: 1, Keep: 1, Stale: 1, Stall: 1}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for i, spoil := range []func(*StreamOptions){
		func(o *StreamOptions) { o.Handler = nil }, func(o *StreamOptions) { o.Addr = "" }, func(o *StreamOptions) { o.Dial = "x:1" },
		func(o *StreamOptions) { o.ReplyAddr, o.ReplyDial = "x:1", "x:2" }, func(o *StreamOptions) { o.OneShot, o.ReplyDial = true, "x:1" },
		func(o *StreamOptions) { o.OneShot, o.Within = true, 0 }, func(o *StreamOptions) { o.Whole = true },
		func(o *StreamOptions) { o.ReplyDial, o.Connect = "x:1", 0 }, func(o *StreamOptions) { o.Ceiling = 0 },
		func(o *StreamOptions) { o.Stall = 0 }, func(o *StreamOptions) { o.ReplyDial, o.Keep = "x:1", 0 },
	} {
		o := good
		spoil(&o)
		if _, err := NewStream(o); err == nil {
			t.Errorf("%d: accepted %+v", i, o)
		}
	}
	taken := newBank(t)
	for _, spoil := range []func(*StreamOptions){func(o *StreamOptions) { o.Addr = taken.addr() }, func(o *StreamOptions) { o.ReplyAddr = taken.addr() }} {
		o := good
		spoil(&o)
		if _, err := NewStream(o); err == nil {
			t.Error("bound an address that is in use")
		}
	}
}

func TestOneShotDrain(t *testing.T) {
	d := &desk{hold: make(chan struct{}), started: make(chan string, 1)}
	s, stop := flow(t, d, whole)
	c, half := dial(t, s.Addr()), dial(t, s.Addr())
	write(t, half, []byte("never end"))
	write(t, c, []byte("a"))
	halfClose(t, c)
	<-d.started
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	close(d.hold)
	if got := all(t, c); got != "re:a" {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got, _ := io.ReadAll(half); len(got) > 0 || len(d.seen()) > 0 { // closed, however
		t.Errorf("half a message got %q, reported %v", got, d.seen())
	}
}

// TestReplyDialledAgain loses the response connection that we dialled.
func TestReplyDialledAgain(t *testing.T) {
	r := newBank(t)
	s, _ := flow(t, &desk{}, func(o *StreamOptions) { listening(o); o.ReplyDial = r.addr() })
	c := dial(t, s.Addr())
	for i := range 3 {
		back := r.take(t)
		until(t, "up", func() bool { _, n := s.Up(); return n == 1 })
		write(t, c, frames(fmt.Sprint(i)))
		if got, want := read(t, back), fmt.Sprintf("re:%d", i); got != want {
			t.Errorf("got %q, want %s", got, want)
		}
		back.Close()
	}
	if n := s.Dropped(); n != 0 {
		t.Errorf("%d replies dropped", n)
	}
}

// TestPartOfAReply leaves a reply half written: the next connection gets it
// whole, and not those that had left.
func TestPartOfAReply(t *testing.T) {
	s, _ := flow(t, &desk{}, func(o *StreamOptions) { listening(o); o.ReplyAddr = "127.0.0.1:0" })
	o, release := s.outlet(from{ip: "10.0.0.1:1"})
	defer release()
	for _, body := range []string{"one", "two", "three"} {
		if err := o.put(protocol.Frame{Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	end := func(error) {}
	w := o.attach(from{}, end)
	if b, _ := o.take(w); string(b) != string(frames("one", "two", "three")) {
		t.Errorf("writes %q", b)
	}
	newer := o.attach(from{}, end)
	if b, _ := o.take(newer); len(b) > 0 {
		t.Errorf("both write, %q", b)
	}
	o.wrote(len(frames("one")) + 2)
	o.detach(w)
	if b, _ := o.take(newer); string(b) != string(frames("two", "three")) {
		t.Errorf("writes %q", b)
	}
	o.wrote(len(frames("two", "three")))
	o.detach(newer)
	if len(o.queue) != 0 || o.bytes != 0 || o.held || s.Dropped() != 0 {
		t.Errorf("left %+v, %d dropped", o.queue, s.Dropped())
	}
}

// TestPlacesArePassedOn has a connection go away that was just told of a free
// place: another one is told instead.
func TestPlacesArePassedOn(t *testing.T) {
	g := newGate(&Options{InFlight: 1, Refusals: 0})
	a, b := &stream{again: make(chan struct{}, 1)}, &stream{again: make(chan struct{}, 1)}
	if p := g.admit(a); p != workPlace {
		t.Fatal(p)
	}
	if g.admit(a) != noPlace || g.admit(b) != noPlace {
		t.Fatal("more places than there are")
	}
	told := g.leave(workPlace)
	if other := g.giveUp(told); other == nil || other == told {
		t.Errorf("the place is lost: %v", other)
	}
	if other := g.giveUp(told); other != nil {
		t.Errorf("told %v of no place", other)
	}
}

// Keep-alives on any connection of a link are answered on that connection.
func TestStreamAnswersKeepAlives(t *testing.T) {
	for _, separate := range []bool{false, true} {
		var clock atomic.Int64
		s, _ := flow(t, &desk{}, func(o *StreamOptions) {
			listening(o)
			if separate {
				o.ReplyAddr = "127.0.0.1:0"
			}
			o.KeepAlive = true
			o.Now = func() time.Time { return time.Unix(clock.Load(), 0) }
		})
		c := dial(t, s.Addr())
		conns, back := []net.Conn{c}, c
		if separate {
			back = dial(t, s.ReplyAddr())
			conns = append(conns, back)
		}
		for range 3 {
			clock.Add(1)
			for _, k := range conns {
				write(t, k, frames("", ""))
				if got := read(t, k); got != "" {
					t.Errorf("separate %v: answered with %q", separate, got)
				}
			}
			write(t, c, frames("", "a"))
			if got := read(t, back); got != "re:a" {
				t.Errorf("separate %v: got %q", separate, got)
			}
		}
	}
}
