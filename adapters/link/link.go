// Package link is the outbound transport: connections to a counterparty, shared
// by many calls, pooled or one for each call, with replies matched by key. It
// decides where bytes are written, so it is the one place that knows whether a
// request may have been sent.
//
// A key whose call was given up on a connection is never sent again over that
// connection: the late answer to the earlier call would be taken for the answer
// to the later one. A reply answers a call only on the connection that the call
// left over.
package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/transport"
)

// Answer is one reply frame, opened, with the key of the request it answers. In
// Pooled and Short an empty key means the call that the connection has; an
// answer without one then takes the connection out of service.
type Answer struct {
	Key    string
	Frame  protocol.Frame
	Record *protocol.Record
}

// Mode is how calls use connections.
type Mode uint8

// The modes.
const (
	Shared Mode = iota // a few connections kept open, many calls on each at once
	Pooled             // one call on a connection at a time; connections are kept
	Short              // a connection for each call
)

// ParseMode finds the mode with the given configuration name; the empty name is
// Shared.
func ParseMode(name string) (Mode, bool) {
	i := slices.Index([]string{"shared", "pooled", "short"}, name)
	return Mode(max(i, 0)), i >= 0 || name == ""
}

// Options are the parts and limits of one link.
type Options struct {
	Name      string
	Mode      Mode
	Dial      func(ctx context.Context) (net.Conn, error)
	Conns     int             // connections kept open, or in Pooled and Short at once
	Queue     int             // requests waiting for one connection's writer
	MaxIn     int             // bytes of one reply frame
	Request   protocol.Framer // writes what leaves
	Reply     protocol.Framer // cuts what arrives
	Endless   bool            // Short: a message ends where its sender shuts down its side
	KeepAlive bool            // a frame without body is answered with one, as transport.Pulse has it; else it is ignored
	// Open reads a reply; the frame is the callee's. An error means that the
	// reply is not to be believed, and the connection goes on; an answer beside it
	// has the key that the reply claims.
	Open func(f protocol.Frame) (*Answer, error)
	// Late takes replies that nobody waits for any more.
	Late    func(*Answer)
	Backoff time.Duration // first pause after a lost connection; doubles to Ceiling until one brings a reply
	Ceiling time.Duration
	Linger  time.Duration // a connection with calls given up waits this long for late answers, 0: a minute
	Beat    Beat
	Log     *slog.Logger
}

// Beat is the heartbeat of a connection on which nothing was heard.
type Beat struct {
	Every  time.Duration // of silence before a beat, 0: no heartbeat
	Within time.Duration // a beat is answered within this time, or the connection is dropped
	// Make builds the n-th beat of the link, with the key of its answer.
	Make func(n uint64) (key string, f protocol.Frame, err error)
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
	case o.Mode > Short || o.Linger < 0 || o.Endless && o.Mode != Short:
		return errors.New("link: mode: want shared, pooled or short; messages without an end need short")
	case o.Beat.Every < 0 || o.Beat.Every > 0 && (o.Beat.Within <= 0 || o.Beat.Make == nil || o.Mode == Short):
		return errors.New("link: heartbeat: want an interval, a time for the answer and kept connections")
	}
	return nil
}

// Mux gives calls their connections. It is safe for concurrent use; Call works
// while Run runs.
type Mux struct {
	o     Options
	slots chan struct{} // Pooled and Short: one for each call under way
	wg    sync.WaitGroup

	mu      sync.Mutex
	running bool
	pending map[string]*call // by key, from Call to its return
	conns   []*conn          // open and in service
	retired []*conn          // open for late answers only
	beats   uint64
	down    bool          // the last dial failed
	changed chan struct{} // closed and replaced by notify

	changes transport.Changes
}

// New builds a link; nothing is dialled until Run.
func New(o Options) (*Mux, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Linger == 0 {
		o.Linger = time.Minute
	}
	return &Mux{o: o, slots: make(chan struct{}, o.Conns), pending: map[string]*call{}, changed: make(chan struct{})}, nil
}

// call is one request under way. Its fields are guarded by Mux.mu.
type call struct {
	key    string
	bytes  []byte
	done   chan struct{} // closed by finish; a call that bounced gets a new one
	on     *conn         // whose queue it is in, or over which it left
	sent   bool          // the writer has taken it: from here on its fate is in doubt
	forged bool          // a reply that claims its key was not believed
	answer *Answer
	err    error
}

// ErrKey reports a key that another call in flight uses.
var ErrKey = errors.New("key is in flight already")

// errBounced ends a call whose connection was lost before the call left.
var errBounced = errors.New("connection lost before the call left")

// Call sends a frame and waits for its reply. The error is a *pay.Fault.
func (m *Mux) Call(ctx context.Context, key string, f protocol.Frame) (*Answer, error) {
	b, err := m.o.Request.Append(nil, f)
	if err != nil {
		return nil, &pay.Fault{Code: pay.CodeFormat, Err: err}
	}
	c := &call{key: key, bytes: b}
	m.mu.Lock()
	if m.pending[key] != nil {
		m.mu.Unlock()
		return nil, &pay.Fault{Code: pay.CodeDuplicate, Err: ErrKey}
	}
	m.pending[key] = c
	m.mu.Unlock()
	defer m.free(key)
	if m.o.Mode != Shared {
		select {
		case m.slots <- struct{}{}:
			defer func() { <-m.slots }()
		case <-ctx.Done():
			return nil, &pay.Fault{Code: pay.CodeUnreachable, Err: ctx.Err()}
		}
	}
	for {
		if err := m.place(ctx, c); err != nil {
			return nil, &pay.Fault{Code: pay.CodeUnreachable, Err: fmt.Errorf("%s: not connected: %w", m.o.Name, err)}
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			m.giveUp(c, ctx.Err())
		}
		if !errors.Is(c.err, errBounced) {
			return c.result()
		}
	}
}

func (m *Mux) free(key string) {
	m.mu.Lock()
	delete(m.pending, key)
	m.mu.Unlock()
}

// result says what the end of a call proves.
func (c *call) result() (*Answer, error) {
	switch {
	case c.err == nil:
		return c.answer, nil
	case c.sent && c.forged:
		return nil, &pay.Fault{Code: pay.CodeAuth, Sent: true, Err: c.err}
	case c.sent:
		return nil, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: c.err}
	}
	return nil, &pay.Fault{Code: pay.CodeUnreachable, Err: c.err}
}

// finish ends a call once. Mux.mu is held.
func (c *call) finish(a *Answer, err error) {
	c.answer, c.err = a, err
	close(c.done)
}

// giveUp ends a call that has not ended. If it has left, its key is spent on
// its connection until the answer comes.
func (m *Mux) giveUp(c *call, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-c.done:
		return
	default:
	}
	on := c.on
	if i := slices.Index(on.queue, c); i >= 0 {
		on.queue = slices.Delete(on.queue, i, i+1)
		m.notify()
	}
	if c.sent {
		delete(on.sent, c.key)
		on.gone[c.key] = struct{}{}
		if m.o.Mode != Shared || len(on.gone) >= maxGone {
			m.retire(on)
		}
	}
	c.finish(nil, err)
}

// place puts the call into the queue of a connection, when need be of a new
// one.
func (m *Mux) place(ctx context.Context, c *call) error {
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.mu.Lock()
		on, changed := m.pick(c.key), m.changed
		if on != nil {
			c.on, c.done, c.err = on, make(chan struct{}), nil
			on.queue = append(on.queue, c)
			m.mu.Unlock()
			on.nudge()
			return nil
		}
		dial := m.running && m.o.Mode != Shared
		m.mu.Unlock()
		if dial {
			nc, err := m.o.Dial(ctx)
			if err != nil {
				m.failed(err)
				return err
			}
			m.start(nc)
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pick returns the least busy connection that may take the key, nil when none
// may now. When the key is spent on all of them it retires one, so that a fresh
// one comes. Mux.mu is held.
func (m *Mux) pick(key string) (best *conn) {
	var spent *conn
	fit := len(m.conns)
	for _, c := range m.conns {
		_, gone := c.gone[key]
		switch {
		case gone:
			if fit--; spent == nil || c.load() < spent.load() {
				spent = c
			}
		case m.o.Mode != Shared && c.load() > 0:
		case len(c.queue) < m.o.Queue && (best == nil || c.load() < best.load()):
			best = c
		}
	}
	if spent != nil && fit == 0 {
		m.retire(spent)
	}
	return best
}

// notify wakes what waits for a connection. Mux.mu is held.
func (m *Mux) notify() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// failed notes that a dial brought nothing, or that a connection was lost.
func (m *Mux) failed(err error) {
	m.mu.Lock()
	m.down = true
	m.mu.Unlock()
	if n, say := m.changes.Down(); say {
		m.o.Log.Warn("link down", "event", "QZ400", "link", m.o.Name, "failures", n, "err", err)
	}
}

// Up returns how many connections are open and in service. A link that dials
// for its calls and has none open counts as one, unless its last dial failed.
func (m *Mux) Up() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.o.Mode != Shared && len(m.conns) == 0 && m.running && !m.down {
		return 1
	}
	return len(m.conns)
}

// Run keeps the connections until ctx ends and returns after all of its
// goroutines have.
func (m *Mux) Run(ctx context.Context) error {
	m.mu.Lock()
	m.running = true
	m.notify()
	m.mu.Unlock()
	var keeping sync.WaitGroup
	for range m.o.Conns {
		if m.o.Mode == Shared {
			keeping.Go(func() { m.keep(ctx) })
		}
	}
	<-ctx.Done()
	keeping.Wait()
	m.mu.Lock()
	m.running = false
	all := slices.Concat(m.conns, m.retired)
	m.mu.Unlock()
	for _, c := range all {
		c.close(ctx.Err())
	}
	m.wg.Wait()
	return nil
}

// keep dials, serves, and dials again: at once for a connection that retired,
// else after growing, jittered pauses.
func (m *Mux) keep(ctx context.Context) {
	pause := m.o.Backoff
	for ctx.Err() == nil {
		nc, err := m.o.Dial(ctx)
		if err == nil {
			c := m.start(nc)
			select {
			case <-c.left:
			case <-ctx.Done():
				return
			}
			m.mu.Lock()
			heard, lost := c.heard, c.lost
			m.mu.Unlock()
			if heard {
				pause = m.o.Backoff
			}
			if lost == nil {
				continue
			}
			err = lost
		}
		if ctx.Err() != nil {
			return
		}
		m.failed(err)
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, m.o.Ceiling)
	}
}
