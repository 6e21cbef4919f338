package link

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"qianzhi/protocol"
	"qianzhi/protocol/transport"
)

const (
	maxGone = 4096             // keys spent on a connection before it retires
	stall   = 30 * time.Second // a write that takes longer ends the connection
)

// conn is one open connection and the calls that left over it.
type conn struct {
	m     *Mux
	nc    net.Conn
	wake  chan struct{}   // has a token when the queue may have calls
	stop  chan struct{}   // closed when the connection is lost or closed
	left  chan struct{}   // closed when it takes no more calls
	full  chan struct{}   // closed when a retired connection is one too many
	pulse transport.Pulse // of the reader

	// Guarded by Mux.mu.
	queue []*call // not taken by the writer yet
	sent  map[string]*call
	gone  map[string]struct{} // keys whose calls were given up and not answered since
	out   bool                // retired
	heard bool                // something arrived
	fresh bool                // something arrived since the last look
	lost  error               // why it is closed
}

// load is how many calls the connection has. Mux.mu is held.
func (c *conn) load() int { return len(c.queue) + len(c.sent) }

// start takes a new connection into service.
func (m *Mux) start(nc net.Conn) *conn {
	c := &conn{m: m, nc: nc, wake: make(chan struct{}, 1), stop: make(chan struct{}), left: make(chan struct{}), full: make(chan struct{}),
		sent: map[string]*call{}, gone: map[string]struct{}{}}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down = false; !m.running {
		c.lost, c.out = net.ErrClosed, true
		close(c.stop)
		close(c.left)
		nc.Close()
		return c
	}
	m.conns = append(m.conns, c)
	m.wg.Go(func() { c.close(c.write()) })
	m.wg.Go(func() { c.close(c.read()) })
	m.wg.Go(c.tend)
	m.notify()
	if d, say := m.changes.Up(); say {
		m.o.Log.Info("link up", "event", "QZ401", "link", m.o.Name, "after", d.Round(time.Millisecond))
	}
	return c
}

// retire takes a connection out of service but leaves it open for late
// answers, the oldest of too many not. Mux.mu is held.
func (m *Mux) retire(c *conn) {
	if c.out {
		return
	}
	c.out = true
	close(c.left)
	m.conns = slices.DeleteFunc(m.conns, func(o *conn) bool { return o == c })
	m.retired = append(m.retired, c)
	c.bounce()
	if len(m.retired) > 4+2*m.o.Conns {
		close(m.retired[0].full)
		m.retired = m.retired[1:]
	}
}

// bounce sends the calls that have not left to other connections. Mux.mu is
// held.
func (c *conn) bounce() {
	for _, call := range c.queue {
		call.finish(nil, errBounced)
	}
	c.queue = nil
}

// close ends the connection once. Calls that had left over it and were not
// answered are in doubt from then on.
func (c *conn) close(why error) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.lost != nil {
		return
	}
	if c.lost = why; why == nil {
		c.lost = net.ErrClosed
	}
	m.retire(c)
	m.retired = slices.DeleteFunc(m.retired, func(o *conn) bool { return o == c })
	close(c.stop)
	c.nc.Close()
	for _, call := range c.sent {
		call.finish(nil, fmt.Errorf("connection lost: %w", c.lost))
	}
	clear(c.sent)
	m.notify()
}

func (c *conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write takes calls from the queue, several into one write where they wait.
func (c *conn) write() error {
	var buf []byte
	for {
		select {
		case <-c.wake:
		case <-c.stop:
			return nil
		}
		if buf = c.take(buf[:0]); len(buf) == 0 {
			continue
		}
		if err := c.nc.SetWriteDeadline(time.Now().Add(stall)); err != nil {
			return err
		}
		if _, err := c.nc.Write(buf); err != nil {
			return err
		}
		if half, ok := c.nc.(interface{ CloseWrite() error }); ok && c.m.o.Endless {
			if err := half.CloseWrite(); err != nil {
				return err
			}
		}
	}
}

// take marks the calls that wait as sent and appends their bytes.
func (c *conn) take(buf []byte) []byte {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	for _, call := range c.queue {
		call.sent = true
		buf = append(buf, call.bytes...)
		if call.key == "" { // a beat or keep-alive that nobody answers
			call.finish(nil, nil)
			continue
		}
		c.sent[call.key] = call
	}
	if len(c.queue) > 0 {
		c.queue = c.queue[:0]
		c.m.notify()
	}
	return buf
}

func (c *conn) read() error {
	var buf []byte
	chunk := make([]byte, 16<<10)
	for {
		n, err := c.nc.Read(chunk)
		buf = append(buf, chunk[:n]...)
		c.hear(n > 0)
		if !c.m.o.Endless || err != nil {
			used, cutErr := c.cut(buf)
			buf = append(buf[:0], buf[used:]...)
			if cutErr != nil {
				return cutErr
			}
		}
		switch {
		case err != nil:
			return err
		case len(buf) > c.m.o.MaxIn:
			return fmt.Errorf("reply larger than %d bytes", c.m.o.MaxIn)
		}
	}
}

func (c *conn) hear(something bool) {
	if something {
		c.m.mu.Lock()
		c.heard, c.fresh = true, true
		c.m.mu.Unlock()
	}
}

// cut hands over the whole frames of buf and returns how many bytes they took.
func (c *conn) cut(buf []byte) (used int, err error) {
	for used < len(buf) {
		f, n, err := c.m.o.Reply.Next(buf[used:])
		if err != nil || n == 0 {
			return used, err
		}
		used += n
		if f.Body == nil {
			c.pulsed(f)
			continue
		}
		f.Body = append([]byte(nil), f.Body...)
		c.deliver(f)
	}
	return used, nil
}

// pulsed answers a keep-alive where the link says so: with a call that expects
// no reply, as long as the connection is in service.
func (c *conn) pulsed(f protocol.Frame) {
	if !c.m.o.KeepAlive || !c.pulse.Due(time.Now()) {
		return
	}
	b, err := c.m.o.Request.Append(nil, protocol.Frame{Head: f.Head})
	if err != nil {
		c.m.o.Log.Error("keep-alive not built", "event", "QZ412", "link", c.m.o.Name, "err", err)
		return
	}
	c.m.mu.Lock()
	if !c.out {
		c.queue = append(c.queue, &call{bytes: b, on: c, done: make(chan struct{})})
	}
	c.m.mu.Unlock()
	c.nudge()
}

// deliver gives a reply to the call it answers, or to Late.
func (c *conn) deliver(f protocol.Frame) {
	a, err := c.m.o.Open(f)
	if err != nil {
		c.m.o.Log.Error("reply not believed", "event", "QZ410", "link", c.m.o.Name, "err", err)
		c.doubt(a, err)
		return
	}
	c.m.mu.Lock()
	if a.Key == "" {
		a.Key = c.only()
	}
	call := c.sent[a.Key]
	delete(c.sent, a.Key)
	if call == nil {
		delete(c.gone, a.Key)
		if a.Key == "" { // answers and calls are out of step
			c.m.retire(c)
		}
	} else {
		call.finish(a, nil)
		if c.m.o.Mode == Short {
			c.m.retire(c)
		}
		c.m.notify()
	}
	c.m.mu.Unlock()
	if call == nil {
		c.m.o.Late(a)
	}
}

// doubt notes at the call whose key a reply claims that it was not authentic. The
// call goes on waiting: whoever forged it must not end it.
func (c *conn) doubt(a *Answer, err error) {
	var e *protocol.Error
	if a == nil || !errors.As(err, &e) || e.Class != protocol.ClassAuth {
		return
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if a.Key == "" {
		a.Key = c.only()
	}
	if call := c.sent[a.Key]; call != nil {
		call.forged = true
	}
}

// only returns the key of the call that an answer without one must belong to,
// given up or not, "" when that cannot be said. Mux.mu is held.
func (c *conn) only() string {
	if c.m.o.Mode == Shared || len(c.sent)+len(c.gone) != 1 {
		return ""
	}
	for key := range c.sent {
		return key
	}
	for key := range c.gone {
		return key
	}
	return ""
}

// errMute ends a connection whose heartbeat was not answered.
var errMute = errors.New("heartbeat not answered: the connection is half open")

// tend beats while the connection is in service and nothing is heard, and ends
// it some time after it has retired.
func (c *conn) tend() {
	var tick <-chan time.Time
	if every := c.m.o.Beat.Every; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	for in := true; in; {
		select {
		case <-tick:
			if !c.look() && !c.beat() {
				c.close(errMute)
			}
		case <-c.left:
			in = false
		}
	}
	for {
		t := time.NewTimer(c.patience())
		select {
		case <-t.C:
			if c.idle() {
				c.close(nil)
			}
		case <-c.full:
			c.close(errors.New("too many connections wait for late answers"))
		case <-c.stop:
			t.Stop()
			return
		}
	}
}

// patience is how long a retired connection is kept: not at all when every
// call over it was answered.
func (c *conn) patience() time.Duration {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if len(c.sent)+len(c.gone) == 0 {
		return 0
	}
	return c.m.o.Linger
}

func (c *conn) idle() bool {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return len(c.sent) == 0
}

// look reports whether something was heard since the last look.
func (c *conn) look() bool {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	fresh := c.fresh
	c.fresh = false
	return fresh
}

// beat sends a heartbeat and reports whether the far side was heard in time. A
// beat without a key has no answer and proves the connection by being written.
func (c *conn) beat() bool {
	m := c.m
	m.mu.Lock()
	m.beats++
	n := m.beats
	m.mu.Unlock()
	key, f, err := m.o.Beat.Make(n)
	var b []byte
	if err == nil {
		b, err = m.o.Request.Append(nil, f)
	}
	if err != nil {
		m.o.Log.Error("heartbeat not built", "event", "QZ412", "link", m.o.Name, "err", err)
		return true
	}
	call := &call{key: key, bytes: b, on: c, done: make(chan struct{})}
	m.mu.Lock()
	if c.out || m.pending[key] != nil {
		m.mu.Unlock()
		return true
	}
	if key != "" {
		m.pending[key] = call
		defer m.free(key)
	}
	c.queue = append(c.queue, call)
	m.mu.Unlock()
	c.nudge()
	t := time.NewTimer(m.o.Beat.Within)
	defer t.Stop()
	select {
	case <-call.done:
		c.look() // its own answer is no news
		return true
	case <-c.stop:
		return true
	case <-t.C:
	}
	m.giveUp(call, errMute)
	return c.look()
}
