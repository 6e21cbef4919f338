package adaptertest

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Fault is what a Proxy does to a reply on its way back.
type Fault uint8

// The faults.
const (
	Pass    Fault = iota
	Hold          // the reply waits for Release
	Cut           // the connection closes instead
	Garbage       // other bytes arrive
	Tamper        // one bit is changed
	Twice         // the reply arrives twice, in one packet
	Trickle       // a byte at a time
)

// Proxy stands between an adapter and its counterparty, at the socket. It is
// safe for concurrent use.
type Proxy struct {
	target string
	addr   string
	tamper func([]byte) // changes a reply in place
	hits   func([]byte) bool

	mu    sync.Mutex
	ln    net.Listener
	conns map[net.Conn]bool
	fault Fault // of the next reply
	held  chan struct{}
	wg    sync.WaitGroup
}

// NewProxy listens on a loopback port in front of target until Stop.
func NewProxy(target string) (*Proxy, error) {
	p := &Proxy{target: target, addr: "127.0.0.1:0", conns: map[net.Conn]bool{}, held: make(chan struct{}),
		tamper: func(b []byte) { b[len(b)-1] ^= 1 }, hits: func([]byte) bool { return true }}
	return p, p.Start()
}

// Addr returns the address to dial instead of the target; it stays the same.
func (p *Proxy) Addr() string { return p.addr }

// Start listens again after Stop.
func (p *Proxy) Start() error {
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ln, p.addr = ln, ln.Addr().String()
	p.wg.Go(func() { p.accept(ln) })
	return nil
}

// Stop closes the door and every connection, and waits for their end.
func (p *Proxy) Stop() {
	p.mu.Lock()
	p.ln.Close()
	p.mu.Unlock()
	p.Kill()
	p.wg.Wait()
}

// Kill closes every connection.
func (p *Proxy) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// Next has the fault befall the next reply.
func (p *Proxy) Next(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// Release lets what is held pass.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.held)
	p.held, p.fault = make(chan struct{}), Pass
}

func (p *Proxy) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.forward(c) })
	}
}

func (p *Proxy) keep(c net.Conn, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if on {
		p.conns[c] = true
	} else {
		delete(p.conns, c)
	}
}

func (p *Proxy) forward(c net.Conn) {
	defer c.Close()
	var d net.Dialer
	t, err := d.DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return // the adapter sees its connection close
	}
	defer t.Close()
	p.keep(c, true)
	defer p.keep(c, false)
	var wg sync.WaitGroup
	gone := make(chan struct{})
	wg.Go(func() {
		defer close(gone)
		defer t.Close()
		relay(t, c)
	})
	wg.Go(func() {
		defer c.Close()
		p.replies(c, t, gone)
	})
	wg.Wait()
}

func relay(dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// replies passes replies back, with what befalls them.
func (p *Proxy) replies(dst, src net.Conn, gone <-chan struct{}) {
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if err := p.reply(dst, buf[:n], gone); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errCut = errors.New("cut")

func (p *Proxy) reply(dst net.Conn, b []byte, gone <-chan struct{}) error {
	p.mu.Lock()
	fault, held := p.fault, p.held
	if p.hits(b) {
		p.fault = Pass
	} else {
		fault = Pass
	}
	p.mu.Unlock()
	switch fault {
	case Hold:
		select {
		case <-held:
		case <-gone:
			return errCut
		}
	case Cut:
		return errCut
	case Garbage:
		for i := range b {
			b[i] = b[i]*7 + 0xA5
		}
	case Tamper:
		p.tamper(b)
	case Twice:
		b = append(append([]byte{}, b...), b...)
	case Trickle:
		for len(b) > 1 {
			if _, err := dst.Write(b[:1]); err != nil {
				return err
			}
			b = b[1:]
		}
	}
	_, err := dst.Write(b)
	return err
}
