// Package link is the outbound transport: long connections that many calls
// share, with replies matched by key. It decides where bytes are written, so it
// is the one place that knows whether a request may have been sent.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Answer is one reply frame, opened, with the key of the request it answers.
type Answer struct {
	Key    string
	Frame  protocol.Frame
	Record *protocol.Record
}

// Options are the parts and limits of one link.
type Options struct {
	Name    string
	Dial    func(ctx context.Context) (net.Conn, error)
	Conns   int             // connections kept open
	Queue   int             // requests waiting for one connection's writer
	MaxIn   int             // bytes of one reply frame
	Request protocol.Framer // writes what leaves
	Reply   protocol.Framer // cuts what arrives
	// Open reads a reply; the frame is the callee's. An error means that the
	// reply is not to be believed, and the connection goes on.
	Open func(f protocol.Frame) (*Answer, error)
	// Late takes replies that nobody waits for any more.
	Late    func(*Answer)
	Backoff time.Duration // first pause after a failed dial; doubles to Ceiling
	Ceiling time.Duration
	Log     *slog.Logger
}

// Check reports the first option that cannot work.
func (o *Options) Check() error {
	switch {
	case o.Conns <= 0 || o.Queue <= 0 || o.MaxIn <= 0:
		return errors.New("link: connections, queue and max_in must be positive")
	case o.Backoff <= 0 || o.Ceiling < o.Backoff:
		return errors.New("link: want 0 < backoff <= ceiling")
	case o.Dial == nil || o.Open == nil || o.Late == nil || o.Log == nil:
		return errors.New("link: a part is missing")
	}
	return nil
}

// Mux shares a few connections among many calls. It is safe for concurrent
// use; Call works while Run runs.
type Mux struct {
	o     Options
	queue chan *call

	mu      sync.Mutex
	pending map[string]*call
	up      int
	changed chan struct{} // closed and replaced when a connection comes or goes
}

// New builds a link; nothing is dialled until Run.
func New(o Options) (*Mux, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	return &Mux{o: o, queue: make(chan *call, o.Queue), pending: map[string]*call{}, changed: make(chan struct{})}, nil
}

// call is one request under way.
type call struct {
	key   string
	frame protocol.Frame
	done  chan struct{} // closed by finish

	mu     sync.Mutex
	sent   bool // the writer has taken it: from here on its fate is in doubt
	dead   bool // the caller has given up before that
	ended  bool
	on     *conn // over which it left
	answer *Answer
	err    error
}

// take marks the call as sent unless the caller has given up.
func (c *call) take(on *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent, c.on = !c.dead, on
	return c.sent
}

// abandon reports whether the call may have been sent.
func (c *call) abandon() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = !c.sent
	return c.sent
}

func (c *call) finish(a *Answer, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.answer, c.err = true, a, err
	close(c.done)
}

// ErrKey reports a key that another call in flight uses.
var ErrKey = errors.New("key is in flight already")

// Call sends a frame and waits for its reply. The error is a *pay.Fault.
func (m *Mux) Call(ctx context.Context, key string, f protocol.Frame) (*Answer, error) {
	c := &call{key: key, frame: f, done: make(chan struct{})}
	if err := m.ready(ctx); err != nil {
		return nil, &pay.Fault{Code: pay.CodeUnreachable, Err: err}
	}
	m.mu.Lock()
	if m.pending[key] != nil {
		m.mu.Unlock()
		return nil, &pay.Fault{Code: pay.CodeDuplicate, Err: ErrKey}
	}
	m.pending[key] = c
	m.mu.Unlock()
	defer m.forget(c)
	select {
	case m.queue <- c:
	case <-ctx.Done():
		return nil, &pay.Fault{Code: pay.CodeUnreachable, Err: ctx.Err()}
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if sent := c.abandon(); !sent {
			return nil, &pay.Fault{Code: pay.CodeUnreachable, Err: ctx.Err()}
		}
		return nil, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: ctx.Err()}
	}
	if c.err != nil {
		return nil, c.fault()
	}
	return c.answer, nil
}

// fault says what the error of an ended call proves.
func (c *call) fault() *pay.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sent {
		return &pay.Fault{Code: pay.CodeFormat, Err: c.err}
	}
	return &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: c.err}
}

// ready waits until a connection is up.
func (m *Mux) ready(ctx context.Context) error {
	for {
		m.mu.Lock()
		up, changed := m.up, m.changed
		m.mu.Unlock()
		if up > 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: not connected: %w", m.o.Name, ctx.Err())
		}
	}
}

func (m *Mux) forget(c *call) {
	m.mu.Lock()
	if m.pending[c.key] == c {
		delete(m.pending, c.key)
	}
	m.mu.Unlock()
	c.mu.Lock()
	on := c.on
	c.mu.Unlock()
	if on != nil {
		on.forget(c)
	}
}

// Up returns how many connections are open.
func (m *Mux) Up() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.up
}

func (m *Mux) count(by int) {
	m.mu.Lock()
	m.up += by
	close(m.changed)
	m.changed = make(chan struct{})
	m.mu.Unlock()
}

// Run keeps the connections open until ctx ends and returns after all of its
// goroutines have.
func (m *Mux) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range m.o.Conns {
		wg.Go(func() { m.keep(ctx) })
	}
	wg.Wait()
	return nil
}

// keep dials, serves, and dials again with growing, jittered pauses.
func (m *Mux) keep(ctx context.Context) {
	pause := m.o.Backoff
	for ctx.Err() == nil {
		c, err := m.o.Dial(ctx)
		if err == nil {
			pause = m.o.Backoff
			m.count(+1)
			err = m.serve(ctx, c)
			m.count(-1)
		}
		if ctx.Err() != nil {
			return
		}
		m.o.Log.Warn("link down", "event", "QZ400", "link", m.o.Name, "err", err)
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, m.o.Ceiling)
	}
}
