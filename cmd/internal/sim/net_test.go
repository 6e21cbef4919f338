package sim

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"qianzhi/gateway"
	"qianzhi/protocol"
)

// weather is what the network does to one frame in one direction. All times are
// drawn at nanosecond grain, so that no two events tie.
type weather struct {
	mu     sync.Mutex
	r      *rand.Rand
	calm   bool
	lose   float64
	double float64
	cut    float64
	slow   float64       // share of frames that take long
	slowly time.Duration // at most
}

// fate is what becomes of a frame: when its copies arrive, none when it is
// lost, and whether the connection breaks in its middle.
type fate struct {
	at  []time.Duration
	cut bool
}

func (w *weather) draw() fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	delay := func() time.Duration {
		d := time.Duration(w.r.Int64N(int64(40*time.Millisecond))) + time.Millisecond
		if !w.calm && w.r.Float64() < w.slow {
			d += time.Duration(w.r.Int64N(int64(w.slowly)))
		}
		return d
	}
	f := fate{at: []time.Duration{delay()}}
	if w.calm {
		return f
	}
	switch x := w.r.Float64(); {
	case x < w.lose:
		f.at = nil
	case x < w.lose+w.double:
		f.at = append(f.at, delay())
	case x < w.lose+w.double+w.cut:
		f.cut = true
	}
	return f
}

func (w *weather) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calm = true
}

// wire connects the gateway to the host: the host's real channel behind the
// weather. A request that is on its way arrives even when the connection that
// carried it has broken, as in a host's queue.
type wire struct {
	script
	there, back *weather
	channel     *gateway.Channel
	d           *protocol.Dialect
}

// script is what a scenario does to the frames that come next, whatever the
// weather.
type script struct {
	mu    sync.Mutex
	lose  int           // requests that never arrive
	mute  int           // replies that never arrive
	spoil int           // replies whose bytes are damaged on the way
	slow  time.Duration // added to the way of every reply
}

func (s *script) set(change func(*script)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// one takes one of a number, if there is one.
func (s *script) one(n *int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

// dial opens a connection; it breaks when ctx ends.
func (x *wire) dial(ctx context.Context) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, errors.New("process is dead")
	}
	near, far := net.Pipe()
	go x.serve(far)
	return near, nil
}

func (x *wire) serve(c net.Conn) {
	defer c.Close()
	out := &replies{c: c}
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := c.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for {
			f, used, ferr := x.d.Request.Framer.Next(buf)
			if ferr != nil {
				return
			}
			if used == 0 {
				break
			}
			f.Body = append([]byte(nil), f.Body...)
			buf = buf[used:]
			if x.arrive(f, out) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// arrive lets the copies of a request reach the host in their time, and
// reports whether the connection breaks instead.
func (x *wire) arrive(f protocol.Frame, out *replies) bool {
	fate := x.there.draw()
	if x.one(&x.lose) {
		return false
	}
	if fate.cut {
		return true // in mid-frame: the host never sees it whole
	}
	for _, d := range fate.at {
		go func() {
			time.Sleep(d)
			in := protocol.Inbound{Frame: protocol.Frame{Head: append([]protocol.HeadValue(nil), f.Head...), Body: append([]byte(nil), f.Body...)}, At: time.Now()}
			rep, err := x.channel.Answer(context.Background(), in)
			if err == nil && rep.Body != nil {
				x.reply(rep, out)
			}
		}()
	}
	return false
}

func (x *wire) reply(f protocol.Frame, out *replies) {
	fate := x.back.draw()
	if x.one(&x.mute) {
		return
	}
	if x.one(&x.spoil) {
		f.Body = append([]byte(nil), f.Body...)
		f.Body[len(f.Body)/2] ^= 1
	}
	b, err := x.d.Reply.Framer.Append(nil, f)
	if err != nil {
		panic(err)
	}
	x.mu.Lock()
	slow := x.slow
	x.mu.Unlock()
	for i := range fate.at {
		fate.at[i] += slow
	}
	if fate.cut {
		time.Sleep(fate.at[0])
		out.write(b[:len(b)/2])
		out.c.Close()
		return
	}
	for _, d := range fate.at {
		go func() {
			time.Sleep(d)
			out.write(b)
		}()
	}
}

// replies keeps the replies of one connection from mixing.
type replies struct {
	mu sync.Mutex
	c  net.Conn
}

func (r *replies) write(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.c.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		panic(err)
	}
}
