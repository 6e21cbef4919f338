package tcp

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"qianzhi/protocol"
)

// outlet is where the replies to one peer wait for the connection that takes
// them: the one the request came on, or the peer's response connection.
type outlet struct {
	s    *Stream
	keep int // replies that wait while there is no connection; 0: they are dropped
	refs int // connections that use it; guarded by Stream.mu

	mu      sync.Mutex
	queue   []letter
	bytes   int
	sinks   []*sink // newest last; only that one writes
	writing *sink
	held    bool // drain waits for this outlet
}

// letter is one framed reply.
type letter struct {
	b  []byte
	at time.Time
}

// sink is a connection that takes replies. Its own goroutine writes them.
type sink struct {
	nc   net.Conn
	kick chan struct{}
	end  context.CancelCauseFunc // closes the connection
	last bool                    // nothing more comes; guarded by outlet.mu
	buf  []byte                  // of the writer
}

var errSlow = errors.New("peer does not read its replies")

// batch is how many bytes leave in one write, unless a reply is longer.
const batch = 64 << 10

func (w *sink) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// attach adds a connection, which from now on gets all replies.
func (o *outlet) attach(nc net.Conn, end context.CancelCauseFunc) *sink {
	w := &sink{nc: nc, kick: make(chan struct{}, 1), end: end}
	o.mu.Lock()
	o.sinks = append(o.sinks, w)
	o.settle()
	o.mu.Unlock()
	return w
}

// detach takes out a connection whose writer has ended.
func (o *outlet) detach(w *sink) {
	o.mu.Lock()
	for i, x := range o.sinks {
		if x == w {
			o.sinks = append(o.sinks[:i], o.sinks[i+1:]...)
			break
		}
	}
	next, lost := o.newest(), 0
	if next == nil {
		lost = o.trim()
	}
	o.settle()
	o.mu.Unlock()
	o.s.drop(lost)
	if next != nil {
		next.wake()
	}
}

func (o *outlet) newest() *sink {
	if len(o.sinks) == 0 {
		return nil
	}
	return o.sinks[len(o.sinks)-1]
}

// put hands over a reply. It never waits: a connection that takes too little is
// closed, and of replies without a connection the oldest give way.
func (o *outlet) put(f protocol.Frame) error {
	b, err := o.s.o.Reply.Append(nil, f)
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.queue = append(o.queue, letter{b, o.s.o.Now()})
	o.bytes += len(b)
	w, lost := o.newest(), 0
	slow := w != nil && o.bytes > o.s.o.MaxOut
	if w == nil {
		lost = o.trim()
	}
	o.settle()
	o.mu.Unlock()
	o.s.drop(lost)
	switch {
	case slow:
		w.end(errSlow)
	case w != nil:
		w.wake()
	}
	return nil
}

// trim drops the oldest replies beyond those that may wait and returns how
// many it were.
func (o *outlet) trim() int {
	lost := max(0, len(o.queue)-o.keep)
	o.cut(lost)
	return lost
}

func (o *outlet) cut(n int) {
	for _, l := range o.queue[:n] {
		o.bytes -= len(l.b)
	}
	o.queue = append(o.queue[:0], o.queue[n:]...)
}

// settle has drain wait exactly while there are replies and a connection.
func (o *outlet) settle() {
	want := len(o.queue) > 0 && len(o.sinks) > 0
	switch {
	case want && !o.held:
		o.s.gate.hold()
	case !want && o.held:
		o.s.gate.release()
	}
	o.held = want
}

// take copies what w is to write next; nothing if it is not w's turn. Replies
// that nobody waits for any more are dropped. last says that w may end.
func (o *outlet) take(w *sink) (b []byte, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.newest() != w || o.writing != nil {
		return nil, w.last
	}
	if o.keep > 0 {
		old := 0
		for old < len(o.queue) && o.s.o.Now().Sub(o.queue[old].at) > o.s.o.Stale {
			old++
		}
		o.cut(old)
		o.s.drop(old)
		o.settle()
	}
	b = w.buf[:0]
	for _, l := range o.queue {
		if len(b) > 0 && len(b)+len(l.b) > batch {
			break
		}
		b = append(b, l.b...)
	}
	if w.buf = b; len(b) > 0 {
		o.writing = w
	}
	return b, w.last
}

// wrote notes that the first n bytes have left. A reply that left in part stays
// for the next connection.
func (o *outlet) wrote(n int) {
	o.mu.Lock()
	whole := 0
	for whole < len(o.queue) && n >= len(o.queue[whole].b) {
		n -= len(o.queue[whole].b)
		whole++
	}
	o.cut(whole)
	o.writing = nil
	o.settle()
	next := o.newest()
	o.mu.Unlock()
	if next != nil {
		next.wake()
	}
}

// write writes replies until ctx ends, the connection fails or finish was
// called and all is written.
func (o *outlet) write(ctx context.Context, w *sink) {
	for {
		b, last := o.take(w)
		switch {
		case len(b) > 0:
			n, err := 0, w.nc.SetWriteDeadline(time.Now().Add(o.s.o.Stall))
			if err == nil {
				n, err = w.nc.Write(b)
			}
			o.wrote(n)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errSlow
			}
			if err != nil {
				w.end(err)
				return
			}
			continue
		case last:
			return
		}
		select {
		case <-w.kick:
		case <-ctx.Done():
			return
		}
	}
}

// finish lets the writer end when everything is written.
func (o *outlet) finish(w *sink) {
	o.mu.Lock()
	w.last = true
	o.mu.Unlock()
	w.wake()
}

// forget drops what still waits.
func (o *outlet) forget() {
	o.mu.Lock()
	n := len(o.queue)
	o.cut(n)
	o.settle()
	o.mu.Unlock()
	o.s.drop(n)
}
