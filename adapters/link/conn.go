package link

import (
	"context"
	"fmt"
	"net"
	"sync"

	"qianzhi/protocol"
)

// conn is one open connection and the calls that left over it.
type conn struct {
	m  *Mux
	nc net.Conn

	mu   sync.Mutex
	sent map[string]*call
}

// serve writes and reads until either fails or ctx ends. Calls that had left
// and were not answered are in doubt from then on.
func (m *Mux) serve(ctx context.Context, nc net.Conn) error {
	c := &conn{m: m, nc: nc, sent: map[string]*call{}}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(c.write(ctx)) })
	wg.Go(func() { cancel(c.read()) })
	<-ctx.Done()
	nc.Close()
	wg.Wait()
	err := fmt.Errorf("connection lost: %w", context.Cause(ctx))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, call := range c.sent {
		call.finish(nil, err)
	}
	return err
}

// write takes calls from the queue, several into one write where they wait.
func (c *conn) write(ctx context.Context) error {
	var buf []byte
	for {
		select {
		case call := <-c.m.queue:
			buf = c.add(buf[:0], call)
		case <-ctx.Done():
			return ctx.Err()
		}
		for range len(c.m.queue) {
			select {
			case call := <-c.m.queue:
				buf = c.add(buf, call)
			default:
			}
		}
		if len(buf) == 0 {
			continue
		}
		if _, err := c.nc.Write(buf); err != nil {
			return err
		}
	}
}

// add frames a call that its caller still wants.
func (c *conn) add(buf []byte, call *call) []byte {
	out, err := c.m.o.Request.Append(buf, call.frame)
	if err != nil {
		call.finish(nil, err)
		return buf
	}
	if !call.take(c) {
		return buf
	}
	c.mu.Lock()
	c.sent[call.key] = call
	c.mu.Unlock()
	return out
}

func (c *conn) forget(call *call) {
	c.mu.Lock()
	if c.sent[call.key] == call {
		delete(c.sent, call.key)
	}
	c.mu.Unlock()
}

func (c *conn) read() error {
	var buf []byte
	chunk := make([]byte, 16<<10)
	for {
		n, err := c.nc.Read(chunk)
		buf = append(buf, chunk[:n]...)
		used, cutErr := c.cut(buf)
		buf = append(buf[:0], buf[used:]...)
		switch {
		case cutErr != nil:
			return cutErr
		case err != nil:
			return err
		case len(buf) > c.m.o.MaxIn:
			return fmt.Errorf("reply larger than %d bytes", c.m.o.MaxIn)
		}
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
		if f.Body != nil {
			f.Body = append([]byte(nil), f.Body...)
			c.deliver(f)
		}
	}
	return used, nil
}

// deliver gives a reply to the call it answers, or to Late.
func (c *conn) deliver(f protocol.Frame) {
	a, err := c.m.o.Open(f)
	if err != nil {
		c.m.o.Log.Error("reply not believed", "event", "QZ410", "link", c.m.o.Name, "err", err)
		return
	}
	c.mu.Lock()
	delete(c.sent, a.Key)
	c.mu.Unlock()
	c.m.mu.Lock()
	call := c.m.pending[a.Key]
	delete(c.m.pending, a.Key)
	c.m.mu.Unlock()
	if call == nil {
		c.m.o.Late(a)
		return
	}
	call.finish(a, nil)
}
