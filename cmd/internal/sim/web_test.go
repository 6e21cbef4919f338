package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"

	gate "qianzhi/gateway/http"
	"qianzhi/protocol"
)

// memory is a listener without a socket: a bubble's clock does not move while
// somebody waits for a real one.
type memory struct {
	conns chan net.Conn
	gone  chan struct{}
	close func()
}

func newMemory() *memory {
	m := &memory{conns: make(chan net.Conn), gone: make(chan struct{})}
	m.close = sync.OnceFunc(func() { close(m.gone) })
	return m
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.gone:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.close()
	return nil
}

func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case m.conns <- far:
		return near, nil
	case <-m.gone:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// web is the HTTP door of one incarnation: the gateway's handler behind a real
// HTTP server.
type web struct {
	ln      *memory
	srv     *http.Server
	client  *http.Client
	headers []gate.Header
	kind    string
}

func (d *daemon) newWeb(link *end) (*web, error) {
	v := &web{ln: newMemory(), kind: link.link.HTTP.ContentType}
	headers, err := link.link.Headers()
	if err != nil {
		return nil, err
	}
	for _, h := range headers {
		v.headers = append(v.headers, gate.Header(h))
	}
	lim := link.link.Limits
	h, err := gate.NewHandler(gate.Options{Handler: d.doors["http"], Headers: v.headers, Type: v.kind, MaxBody: int64(link.link.Frame.Max),
		InFlight: lim.InFlight, Conns: lim.Conns, Read: link.link.Timeouts.Channel, Idle: link.link.Timeouts.Terminal, Now: d.w.now, Log: quiet})
	v.srv = &http.Server{Handler: h, ReadTimeout: link.link.Timeouts.Channel}
	v.client = &http.Client{Transport: &http.Transport{DialContext: v.ln.dial, DisableKeepAlives: true}}
	return v, err
}

// run serves until ctx ends. A process that was killed answers nobody, another
// one ends what it has begun.
func (v *web) run(ctx context.Context, d *daemon) {
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := v.srv.Serve(v.ln); !errors.Is(err, http.ErrServerClosed) {
			d.w.must(err)
		}
	})
	<-ctx.Done()
	if d.dead.Load() {
		d.w.must(v.srv.Close())
	} else {
		d.w.must(v.srv.Shutdown(context.Background()))
	}
	wg.Wait()
}

func (v *web) request(f protocol.Frame) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://gateway"+f.Get(protocol.HeadPath), bytes.NewReader(f.Body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", v.kind)
	for _, h := range v.headers {
		if s := f.Get(h.Head); s != "" {
			r.Header.Set(h.Name, s)
		}
	}
	return r
}

// post sends a request and waits for its response.
func (v *web) post(f protocol.Frame) (protocol.Frame, bool) {
	res, err := v.client.Do(v.request(f))
	if err != nil {
		return protocol.Frame{}, false
	}
	defer res.Body.Close()
	out := protocol.Frame{}
	if out.Body, err = io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		return out, false
	}
	for _, h := range v.headers {
		if s := res.Header.Get(h.Name); s != "" {
			out.Set(h.Head, s)
		}
	}
	return out, true
}

// half sends the first part of a request and hangs up.
func (v *web) half(f protocol.Frame) {
	b, err := httputil.DumpRequestOut(v.request(f), true)
	if err != nil {
		return
	}
	c, err := v.ln.dial(context.Background(), "", "")
	if err != nil {
		return
	}
	_, _ = c.Write(b[:len(b)-len(f.Body)/2-1]) // the process may be gone
	_ = c.Close()
}
