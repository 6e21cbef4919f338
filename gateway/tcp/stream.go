package tcp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"qianzhi/gateway/limit"
	"qianzhi/protocol/transport"
)

// StreamOptions are the parts and limits of a link that is not an ordinary
// listener: one message per connection, connections that we dial, or replies
// that leave on another connection than requests arrive on. Requests come from
// Addr or from Dial, exactly one of which is set.
type StreamOptions struct {
	Options
	Dial      string // host:port we dial for requests, kept open
	ReplyAddr string // host:port that takes response connections
	ReplyDial string // host:port we dial for replies, kept open

	OneShot bool          // one message per connection; closed after its reply
	Whole   bool          // one-shot: a message has no mark of its own, it ends with the sender's stream
	Within  time.Duration // one-shot: for a message to arrive

	Connect time.Duration // for one dial
	Backoff time.Duration // first pause after a lost connection or failed dial; doubles to Ceiling
	Ceiling time.Duration

	Keep  int           // replies of a peer that wait for its response connection; the oldest give way
	Stale time.Duration // a reply that waited longer is dropped
	Stall time.Duration // a write that takes longer closes the connection

	// Server and Client make a connection that came in or was dialled a secure
	// one; nil: it is plain. Hands is for the handshake, whose end is seen where
	// the connection has a method HandshakeContext.
	Server, Client func(net.Conn) net.Conn
	Hands          time.Duration
}

// Check reports the first option that cannot work.
func (o *StreamOptions) Check() error {
	if err := o.Options.Check(); err != nil {
		return err
	}
	separate := o.ReplyAddr != "" || o.ReplyDial != ""
	switch {
	case (o.Addr == "") == (o.Dial == ""):
		return errors.New("tcp: want one address to listen on or to dial")
	case o.ReplyAddr != "" && o.ReplyDial != "":
		return errors.New("tcp: replies either listen or dial")
	case o.OneShot && (o.Dial != "" || separate || o.Within <= 0):
		return errors.New("tcp: one-shot needs a listener, replies on the same connection, and a time for the message")
	case o.Whole && !o.OneShot:
		return errors.New("tcp: only on a one-shot link can the stream's end be the message's end")
	case (o.Dial != "" || o.ReplyDial != "") && o.Connect <= 0:
		return errors.New("tcp: connect must be positive")
	case o.Backoff <= 0 || o.Ceiling < o.Backoff || o.Stall <= 0:
		return errors.New("tcp: want 0 < backoff <= ceiling, and stall positive")
	case (o.Server != nil || o.Client != nil) && o.Hands <= 0:
		return errors.New("tcp: hands must be positive")
	case separate && (o.Keep <= 0 || o.Stale <= 0):
		return errors.New("tcp: keep and stale must be positive")
	}
	return nil
}

// Stream serves such a link with a reader and a writer per connection.
type Stream struct {
	o          StreamOptions
	gate       *gate
	ln, replyL net.Listener   // nil where we dial
	doors      [2]*limit.Door // of requests and of replies
	said       *limit.Bucket

	asking, responding atomic.Int64 // open connections
	dropped            atomic.Uint64

	mu      sync.Mutex
	outlets map[string]*outlet // of separate replies: by the peer's IP, or "" where we dial
}

// NewStream binds the addresses of a link; nothing is accepted or dialled until
// Run.
func NewStream(o StreamOptions) (*Stream, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Stream{o: o, gate: newGate(&o.Options), outlets: map[string]*outlet{}, said: limit.NewBucket(complaints, time.Now)}
	var err error
	for i := range s.doors {
		if s.doors[i], err = o.door(); err != nil {
			return nil, err
		}
	}
	if o.Addr != "" {
		if s.ln, err = net.Listen("tcp", o.Addr); err != nil {
			return nil, fmt.Errorf("tcp: %w", err)
		}
	}
	if o.ReplyAddr != "" {
		if s.replyL, err = net.Listen("tcp", o.ReplyAddr); err != nil {
			if s.ln != nil {
				err = errors.Join(err, s.ln.Close())
			}
			return nil, fmt.Errorf("tcp: replies: %w", err)
		}
	}
	return s, nil
}

// Addr returns the address that takes requests, "" where we dial.
func (s *Stream) Addr() string { return bound(s.ln) }

// ReplyAddr returns the address that takes response connections, "" when there
// is none.
func (s *Stream) ReplyAddr() string { return bound(s.replyL) }

func bound(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Up returns how many connections carry requests and how many only replies.
func (s *Stream) Up() (requests, replies int) {
	return int(s.asking.Load()), int(s.responding.Load())
}

// Refused returns how many connections were refused, those for replies among
// them.
func (s *Stream) Refused() limit.Refused {
	a, b := s.doors[0].Refused(), s.doors[1].Refused()
	return limit.Refused{NotAllowed: a.NotAllowed + b.NotAllowed, TooMany: a.TooMany + b.TooMany, TooManyIP: a.TooManyIP + b.TooManyIP}
}

// Dropped returns how many replies found no connection in time.
func (s *Stream) Dropped() uint64 { return s.dropped.Load() }

func (s *Stream) drop(n int) {
	if n == 0 {
		return
	}
	s.dropped.Add(uint64(n))
	if s.separate() {
		s.o.Log.Warn("replies dropped, no response connection took them", "event", "QZ233", "count", n)
	}
}

func (s *Stream) separate() bool { return s.o.ReplyAddr != "" || s.o.ReplyDial != "" }

// Run serves until ctx ends, then refuses new frames, waits for the admitted
// ones, lets their replies leave where a connection takes them, and closes. It
// returns after all of its goroutines.
func (s *Stream) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var wg sync.WaitGroup
	serve := func(nc net.Conn) error {
		s.asking.Add(1)
		defer s.asking.Add(-1)
		return s.serve(ctx, life, nc)
	}
	if s.ln != nil {
		wg.Go(func() { s.accept(ctx, s.ln, s.doors[0], serve) })
	} else {
		wg.Go(func() { s.keep(ctx, s.o.Dial, serve) })
	}
	respond := func(nc net.Conn) error { return s.respond(life, nc) }
	switch {
	case s.replyL != nil:
		wg.Go(func() { s.accept(life, s.replyL, s.doors[1], respond) })
	case s.o.ReplyDial != "":
		wg.Go(func() { s.keep(life, s.o.ReplyDial, respond) })
	}
	<-ctx.Done()
	s.gate.drain()
	end()
	wg.Wait()
	s.mu.Lock()
	left := s.outlets
	s.outlets = map[string]*outlet{}
	s.mu.Unlock()
	for _, o := range left {
		o.forget()
	}
	return nil
}

// accept takes connections until ctx ends and returns after they have.
func (s *Stream) accept(ctx context.Context, ln net.Listener, door *limit.Door, serve func(net.Conn) error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		nc, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return
		}
		if err != nil { // no file handles, for example: it passes
			s.o.Log.Error("connection not accepted", "event", "QZ234", "addr", bound(ln), "err", err)
			s.pause(ctx, s.o.Ceiling)
			continue
		}
		from := nc.RemoteAddr()
		if why := door.Enter(from); why != limit.Admitted {
			complain(&s.o.Options, s.said, from, why)
			nc.Close()
			continue
		}
		wg.Go(func() {
			defer door.Leave(from)
			_ = s.secured(ctx, nc, s.o.Server, serve) // logged already
		})
	}
}

// secured makes a connection a secure one, where the link wants that, and
// serves it.
func (s *Stream) secured(ctx context.Context, nc net.Conn, wrap func(net.Conn) net.Conn, serve func(net.Conn) error) error {
	if wrap == nil {
		return serve(nc)
	}
	secure := wrap(nc)
	if h, ok := secure.(interface{ HandshakeContext(context.Context) error }); ok {
		hands, cancel := context.WithTimeout(ctx, s.o.Hands)
		err := h.HandshakeContext(hands)
		cancel()
		if err != nil {
			nc.Close()
			if s.said.Take() {
				s.o.Log.Warn("no secure connection", "event", "QZ236", "peer", nc.RemoteAddr().String(), "err", err)
			}
			return err
		}
	}
	return serve(secure)
}

// keep dials, serves, and dials again with growing, jittered pauses until ctx
// ends. A connection that outlived the pause starts anew.
func (s *Stream) keep(ctx context.Context, addr string, serve func(net.Conn) error) {
	d := net.Dialer{Timeout: s.o.Connect, KeepAlive: time.Minute}
	pause := s.o.Backoff
	var changes transport.Changes
	for first := true; ctx.Err() == nil; {
		nc, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			if d, say := changes.Up(); say || first {
				s.o.Log.Info("connected to the bank", "event", "QZ235", "addr", addr, "after", d.Round(time.Millisecond))
			}
			first = false
			since := time.Now()
			err = s.secured(ctx, nc, s.o.Client, serve)
			if time.Since(since) > pause {
				pause = s.o.Backoff
			}
		}
		if ctx.Err() != nil {
			return
		}
		if n, say := changes.Down(); say {
			s.o.Log.Warn("connection to the bank down", "event", "QZ232", "addr", addr, "failures", n, "err", err)
		}
		s.pause(ctx, pause)
		pause = min(2*pause, s.o.Ceiling)
	}
}

// pause waits between half of d and d.
func (s *Stream) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// outlet returns where the replies to a connection's peer go, and what ends the
// connection's use of it.
func (s *Stream) outlet(nc net.Conn) (*outlet, func()) {
	if !s.separate() {
		return &outlet{s: s}, func() {}
	}
	key := ""
	if s.o.ReplyAddr != "" {
		key = ip(nc.RemoteAddr())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outlets[key]
	if o == nil {
		s.evict()
		o = &outlet{s: s, keep: s.o.Keep}
		s.outlets[key] = o
	}
	o.refs++
	return o, func() {
		s.mu.Lock()
		o.refs--
		s.mu.Unlock()
	}
}

// evict makes room for one more peer at the cost of one that has no connection.
// There is always one: connections are limited.
func (s *Stream) evict() {
	if len(s.outlets) < 2*s.o.Conns {
		return
	}
	for key, o := range s.outlets {
		if o.refs == 0 {
			delete(s.outlets, key)
			o.forget()
			return
		}
	}
}

func ip(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return ap.Addr().Unmap().String()
}
