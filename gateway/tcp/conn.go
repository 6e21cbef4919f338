package tcp

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"qianzhi/protocol"
	"qianzhi/protocol/transport"
)

// conn is one connection. Workers append replies to out; the first one
// schedules a single task on the event loop that writes all that is there.
type conn struct {
	c    gnet.Conn
	s    *Server
	from net.Addr
	peer string

	parked bool            // a frame found no place; of the event loop
	pulse  transport.Pulse // of the event loop
	since  atomic.Int64    // when the frame that is arriving began, in ns; 0: none is

	mu     sync.Mutex
	out    []byte
	queued bool // a write task is scheduled
	busy   int  // frames under way
	closed bool
}

// arrives notes whether part of a frame is in the buffer; a frame that began
// before goes on unless one was taken meanwhile.
func (k *conn) arrives(part, taken bool) {
	switch {
	case !part:
		k.since.Store(0)
	case taken || k.since.Load() == 0:
		k.since.Store(time.Now().UnixNano())
	}
}

// pulsed answers a keep-alive where the link says so.
func (k *conn) pulsed(f protocol.Frame) {
	if k.s.o.KeepAlive && k.pulse.Due(k.s.o.Now()) {
		k.send(protocol.Frame{Head: f.Head})
	}
}

// start hands a frame to a goroutine and reports false when there is no place:
// the frame then stays in the connection's buffer. It runs on the event loop.
func (k *conn) start(f protocol.Frame) bool {
	k.mu.Lock()
	ordered := k.s.o.Ordered && k.busy > 0
	k.mu.Unlock()
	if ordered {
		return false // the worker looks again when it has answered
	}
	p := k.s.gate.admit(k)
	k.parked = p == noPlace
	if p == noPlace {
		return false
	}
	k.mu.Lock()
	k.busy++
	k.mu.Unlock()
	in := protocol.Inbound{Peer: k.peer, At: k.s.o.Now(),
		Frame: protocol.Frame{Head: slices.Clone(f.Head), Body: slices.Clone(f.Body)}}
	go k.work(p, in)
	return true
}

func (k *conn) work(p place, in protocol.Inbound) {
	answer := k.s.o.Handler.Answer
	if p == refusePlace {
		answer = k.s.o.Handler.Refuse
	}
	f, err := answer(context.Background(), in)
	if err == nil && f.Body != nil {
		k.send(f)
	}
	k.mu.Lock()
	k.busy--
	again := k.s.o.Ordered && !k.closed
	k.mu.Unlock()
	if again {
		k.wake()
	}
	if other := k.s.gate.leave(p); other != nil && (other != waiter(k) || !again) {
		other.wake()
	}
}

// wake has the event loop look at the connection's buffer again.
func (k *conn) wake() {
	if err := k.c.Wake(nil); err != nil {
		k.s.o.Log.Debug("connection gone before it was looked at again", "peer", k.peer, "err", err)
	}
}

// send appends a reply and schedules the write if none is scheduled.
func (k *conn) send(f protocol.Frame) {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return
	}
	out, err := k.s.o.Reply.Append(k.out, f)
	if err == nil {
		k.out = out
	}
	first := err == nil && !k.queued
	k.queued = k.queued || first
	k.mu.Unlock()
	if err != nil {
		k.s.o.Log.Error("reply not framed", "event", "QZ341", "peer", k.peer, "err", err)
		return
	}
	if first {
		k.s.gate.hold()
		if err := k.c.EventLoop().Execute(context.Background(), gnet.RunnableFunc(k.flush)); err != nil {
			k.s.gate.release()
			k.s.o.Log.Debug("reply not sent, loop is gone", "peer", k.peer, "err", err)
		}
	}
}

// flush writes everything that waits, on the event loop. A peer that does not
// read its replies is closed.
func (k *conn) flush(context.Context) error {
	defer k.s.gate.release()
	k.mu.Lock()
	out := k.out
	k.out, k.queued = nil, false
	closed := k.closed
	k.mu.Unlock()
	if closed {
		return nil
	}
	if _, err := k.c.Write(out); err != nil {
		return k.c.Close()
	}
	if k.c.OutboundBuffered() > k.s.o.MaxOut {
		k.s.o.Log.Warn("peer does not read its replies", "event", "QZ231", "peer", k.peer)
		return k.c.Close()
	}
	return nil
}

func (k *conn) close() {
	k.mu.Lock()
	k.closed = true
	k.out = nil
	k.mu.Unlock()
	if !k.parked {
		return
	}
	if other := k.s.gate.giveUp(k); other != nil {
		other.wake()
	}
}
