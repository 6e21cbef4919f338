package peer

import (
	"context"
	"net"
	"time"
)

// Line is how a connection comes about: it is dialled, or the far side dials
// us. It is owned by one goroutine.
type Line struct {
	addr string
	ln   net.Listener
}

// DialLine builds a line that dials host:port.
func DialLine(addr string) *Line { return &Line{addr: addr} }

// WaitLine builds a line that takes the connections of a listener, which stays
// with the caller.
func WaitLine(ln net.Listener) *Line { return &Line{ln: ln} }

// open returns the next connection. It waits for one until ctx ends.
func (l *Line) open(ctx context.Context) (net.Conn, error) {
	if l.ln == nil {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", l.addr)
	}
	limit, ok := l.ln.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return l.ln.Accept()
	}
	if err := limit.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = limit.SetDeadline(time.Unix(1, 0)) }) // what it fails for ends Accept as well
	defer stop()
	nc, err := l.ln.Accept()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return nc, err
}
