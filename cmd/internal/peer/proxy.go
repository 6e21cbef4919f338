package peer

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Proxy stands between the gateway and a host and can hold the host's replies
// back, so that payments stay open for as long as a test needs.
type Proxy struct {
	ln     net.Listener
	target string

	mu   sync.Mutex
	held chan struct{} // closed when replies may pass; nil when they do
}

// NewProxy listens on a loopback port in front of target.
func NewProxy(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	return &Proxy{ln: ln, target: target}, err
}

// Addr returns the address to dial instead of the target.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Hold keeps replies back until Release.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = make(chan struct{})
	}
}

// Release lets replies pass again.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}

// Run forwards connections until ctx ends.
func (p *Proxy) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { p.ln.Close() })
	defer stop()
	for {
		c, err := p.ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		wg.Go(func() { p.forward(ctx, c) })
	}
}

func (p *Proxy) forward(ctx context.Context, c net.Conn) {
	defer c.Close()
	var d net.Dialer
	t, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil {
		return // the client sees its connection close
	}
	defer t.Close()
	stop := context.AfterFunc(ctx, func() { c.Close(); t.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { copyBytes(t, c, func() {}); t.Close() })
	wg.Go(func() { copyBytes(c, t, func() { p.wait(ctx) }); c.Close() })
	wg.Wait()
}

func (p *Proxy) wait(ctx context.Context) {
	p.mu.Lock()
	held := p.held
	p.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case <-held:
	case <-ctx.Done():
	}
}

func copyBytes(dst, src net.Conn, before func()) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			before()
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
