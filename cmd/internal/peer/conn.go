// Package peer holds the simulated counterparties: banks and terminals that
// speak a link's own Dialect from the other end, and a proxy that can hold a
// connection still.
package peer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// acceptor is an Auth that takes the keys of a sign-on reply.
type acceptor interface {
	Accept(req *pay.Request, rep *pay.Reply) error
}

// Conn is one terminal or host connection, one request at a time. It is owned
// by one goroutine.
type Conn struct {
	d       *protocol.Dialect
	to      *Line
	replies *Line // of the connection that replies arrive on; nil: the same
	nc      net.Conn
	back    net.Conn // where replies arrive
	rec     *protocol.Record
	buf     []byte

	Pause func(ctx context.Context, d time.Duration) error // of slow requests and answers read late; Wait unless set

	once    bool // a connection carries one request and its reply
	endless bool // shutting down our side ends the request
}

// Dial builds a client of the address; it connects at the first request and
// again after the connection was lost.
func Dial(d *protocol.Dialect, addr string) *Conn { return Join(d, DialLine(addr), nil) }

// Join builds a client of a line. With replies, replies arrive on another one.
func Join(d *protocol.Dialect, to, replies *Line) *Conn {
	return &Conn{d: d, to: to, replies: replies, rec: new(protocol.Record), Pause: Wait}
}

// DialOnce builds a client that opens a connection for each request and reads
// its reply to the connection's end. With endless it shuts down its own side
// after the request, whose end nothing else tells.
func DialOnce(d *protocol.Dialect, addr string, endless bool) *Conn {
	c := Dial(d, addr)
	c.once, c.endless = true, endless
	return c
}

// Close closes the connection, if any.
func (c *Conn) Close() error {
	if c.nc == nil {
		return nil
	}
	nc, back := c.nc, c.back
	c.nc, c.back = nil, nil
	if back == nil || back == nc {
		return nc.Close()
	}
	return errors.Join(nc.Close(), back.Close())
}

// open opens what is closed.
func (c *Conn) open(ctx context.Context) (err error) {
	if c.nc == nil {
		if c.nc, err = c.to.open(ctx); err != nil {
			c.nc = nil
			return err
		}
		c.back, c.buf = c.nc, c.buf[:0]
		if c.replies != nil {
			if c.back, err = c.replies.open(ctx); err != nil {
				c.back = nil
				return err
			}
		}
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	return errors.Join(c.nc.SetDeadline(deadline), c.back.SetDeadline(deadline))
}

// ErrClosed reports that the far side closed the connection without a reply.
var ErrClosed = errors.New("closed without a reply")

// Do sends one request and waits for its reply.
func (c *Conn) Do(ctx context.Context, req *pay.Request, fault Fault) (pay.Reply, error) {
	return c.Meet(ctx, req, Trouble{Fault: fault})
}

// Meet is Do with a fault that may take time.
func (c *Conn) Meet(ctx context.Context, req *pay.Request, t Trouble) (pay.Reply, error) {
	f, msg, err := c.d.AppendRequest(req, c.rec, time.Now())
	if err != nil {
		return pay.Reply{}, err
	}
	t.Fault.body(f.Body)
	out, err := c.d.Request.Framer.Append(nil, f)
	if err != nil {
		return pay.Reply{}, err
	}
	in, err := c.exchange(ctx, out, t)
	if err != nil {
		return pay.Reply{}, errors.Join(err, c.Close())
	}
	rep, err := c.read(msg, &in)
	if t.Fault == Duplicate {
		err = errors.Join(err, c.skip())
	}
	if a, ok := c.d.Request.Auth.(acceptor); ok && err == nil && req.Op == pay.SignOn && rep.Verdict == pay.Approved {
		err = a.Accept(req, &rep)
	}
	return rep, err
}

// read takes a frame as the reply to msg.
func (c *Conn) read(msg int, in *protocol.Frame) (pay.Reply, error) {
	if err := c.d.OpenReply(in, c.rec); err != nil {
		return pay.Reply{}, fmt.Errorf("reply: %w", err)
	}
	return c.d.Map.Reply(msg, in, c.rec, time.Now())
}

// copyWait is how long the reply to the second copy of a request may take.
const copyWait = 3 * time.Second

// skip takes the reply to the second copy of a request, so that the next
// request does not get it. A far side that drops copies sends none.
func (c *Conn) skip() error {
	if c.nc == nil {
		return nil
	}
	if err := c.back.SetReadDeadline(time.Now().Add(copyWait)); err != nil {
		return err
	}
	if _, err := c.frame(); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return c.Close()
	}
	return nil
}

// exchange writes a message as its fault has it leave, and reads one reply.
func (c *Conn) exchange(ctx context.Context, out []byte, t Trouble) (protocol.Frame, error) {
	if err := c.open(ctx); err != nil {
		return protocol.Frame{}, err
	}
	if last, err := c.send(ctx, out, t); last || err != nil {
		return protocol.Frame{}, cmp.Or(err, ErrClosed)
	}
	if t.Fault == Late {
		if err := c.Pause(ctx, t.For); err != nil {
			return protocol.Frame{}, err
		}
	}
	if c.once {
		return c.single()
	}
	return c.frame()
}

// frame reads one reply.
func (c *Conn) frame() (protocol.Frame, error) {
	chunk := make([]byte, 4096)
	for {
		f, n, err := c.d.Reply.Framer.Next(c.buf)
		if err != nil {
			return protocol.Frame{}, err
		}
		if n > 0 {
			f.Body = append([]byte(nil), f.Body...)
			c.buf = append(c.buf[:0], c.buf[n:]...)
			if f.Body == nil { // a keep-alive is no reply
				continue
			}
			return f, nil
		}
		n, err = c.back.Read(chunk)
		if n == 0 && err != nil {
			return protocol.Frame{}, errors.Join(ErrClosed, err)
		}
		c.buf = append(c.buf, chunk[:n]...)
	}
}

// send writes a message; last is true when the connection ends with it.
func (c *Conn) send(ctx context.Context, out []byte, t Trouble) (last bool, err error) {
	pieces, last := t.Fault.wire(out)
	if t.Fault == Slow {
		half := len(out) / 2
		if _, err := c.nc.Write(out[:half]); err != nil {
			return last, err
		}
		if err := c.Pause(ctx, t.For); err != nil {
			return last, err
		}
		pieces = [][]byte{out[half:]}
	}
	for _, p := range pieces {
		if _, err := c.nc.Write(p); err != nil {
			return last, err
		}
	}
	return last, nil
}

// maxSingle bounds a reply that the connection's end ends.
const maxSingle = 64 << 20

// single reads the one reply of a connection and closes it.
func (c *Conn) single() (protocol.Frame, error) {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok && c.endless {
		if err := half.CloseWrite(); err != nil {
			return protocol.Frame{}, err
		}
	}
	b, err := io.ReadAll(io.LimitReader(c.nc, maxSingle))
	if err := errors.Join(err, c.Close()); err != nil {
		return protocol.Frame{}, err
	}
	f, n, err := c.d.Reply.Framer.Next(b)
	if err == nil && n == 0 {
		err = ErrClosed
	}
	return f, err
}
