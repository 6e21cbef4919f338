package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"qianzhi/gateway/pay"
)

// WebOptions are the parts and limits of a Web.
type WebOptions struct {
	Name   string
	URL    string // http or https; what a message names as its path is put behind it
	Dial   func(ctx context.Context) (net.Conn, error)
	Single bool          // a connection for each call: replies do not name their request, and a surplus one on a kept connection would answer the next
	Conns  int           // calls under way at once
	MaxIn  int           // bytes of one reply body
	Linger time.Duration // a call that was given up is kept this long for its late answer, 0: a minute
	Log    *slog.Logger
}

// Web posts messages over HTTP/1.1, with kept connections, one call on each at
// a time. It follows no redirect, uses no proxy, and speaks to one address
// only; TLS is the business of Dial. It is safe for concurrent use; Post works
// while Run runs.
type Web struct {
	o      WebOptions
	base   *url.URL
	client *http.Client
	slots  chan struct{} // one for each call under way
	spare  chan struct{} // one for each call that waits for its late answer
	wg     sync.WaitGroup
	down   atomic.Bool // the last dial failed

	up chan struct{} // closed by Run

	mu     sync.Mutex
	life   context.Context // of Run
	ending bool
}

const maxWebHeader = 64 << 10 // bytes of a reply's header

// NewWeb builds a Web; nothing is dialled until Post.
func NewWeb(o WebOptions) (*Web, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("url: want http://host:port/path or https, got %q", o.URL)
	case o.Conns <= 0 || o.MaxIn <= 0 || o.Linger < 0 || o.Dial == nil || o.Log == nil:
		return nil, errors.New("web: connections and max_in must be positive")
	}
	if o.Linger == 0 {
		o.Linger = time.Minute
	}
	w := &Web{o: o, base: u, slots: make(chan struct{}, o.Conns), spare: make(chan struct{}, o.Conns), up: make(chan struct{})}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		nc, err := o.Dial(ctx)
		w.down.Store(err != nil)
		return nc, err
	}
	w.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: dial, DialTLSContext: dial, MaxIdleConnsPerHost: o.Conns, IdleConnTimeout: 30 * time.Second,
			MaxResponseHeaderBytes: maxWebHeader, DisableCompression: true, DisableKeepAlives: o.Single, Protocols: http1()},
	}
	return w, nil
}

func http1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

// Up returns 1, or 0 when the last dial failed.
func (w *Web) Up() int {
	if w.down.Load() {
		return 0
	}
	return 1
}

// Run, which is called once, keeps the calls that wait for late answers until ctx ends, then ends them
// and waits for them.
func (w *Web) Run(ctx context.Context) error {
	w.mu.Lock()
	w.life = ctx
	w.mu.Unlock()
	close(w.up)
	<-ctx.Done()
	w.mu.Lock()
	w.ending = true
	w.mu.Unlock()
	w.wg.Wait()
	w.client.CloseIdleConnections()
	return nil
}

// Posted is the reply to a message.
type Posted struct {
	Status int
	Header http.Header
	Body   []byte // the caller's
}

// Post sends body to path behind the URL and waits for the reply or the end of
// ctx. A reply that comes after that goes to late, which may be nil. The error
// is a *pay.Fault; a status is none.
func (w *Web) Post(ctx context.Context, path string, head http.Header, body []byte, late func(*Posted)) (*Posted, error) {
	unsent := func(err error) error {
		return &pay.Fault{Code: pay.CodeUnreachable, Err: fmt.Errorf("%s: %w", w.o.Name, err)}
	}
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, unsent(ctx.Err())
	}
	defer func() { <-w.slots }()
	select {
	case <-w.up:
	case <-ctx.Done():
		return nil, unsent(ctx.Err())
	}
	out, cancel, err := w.begin(path, head, body)
	if err != nil {
		return nil, unsent(err)
	}
	select {
	case got := <-out.done:
		cancel()
		return got.reply, got.err
	case <-ctx.Done():
	}
	if !out.state.CompareAndSwap(waits, gone) {
		w.await(out, cancel, late)
		return nil, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: ctx.Err()}
	}
	cancel()
	return nil, unsent(ctx.Err())
}

// await keeps a call that was given up for its late answer, if there is room.
func (w *Web) await(out *posting, cancel func(), late func(*Posted)) {
	select {
	case w.spare <- struct{}{}:
	default:
		cancel()
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		cancel()
		<-w.spare
		return
	}
	w.wg.Go(func() {
		defer func() { <-w.spare }()
		defer cancel()
		t := time.AfterFunc(w.o.Linger, cancel)
		defer t.Stop()
		if got := <-out.done; got.err == nil && late != nil {
			late(got.reply)
		}
	})
}

// The states of a posting.
const (
	waits int32 = iota // no connection yet: nothing has left
	leaves
	gone // given up before it left: nothing may leave
)

// errGone keeps a message that was given up from leaving.
var errGone = errors.New("given up before it left")

// posting is a call under way.
type posting struct {
	state atomic.Int32
	done  chan posted // takes one
}

type posted struct {
	reply *Posted
	err   error
}

// gate is the body of a message. It stays shut when the message was given up
// before: a message without its body is none.
type gate struct {
	p *posting
	r *bytes.Reader
}

// Read reads the next bytes.
func (g *gate) Read(b []byte) (int, error) {
	if g.p.state.Load() == gone {
		return 0, errGone
	}
	return g.r.Read(b)
}

// begin sends the message on a goroutine of its own, which outlives its caller.
// The transport sends again what it could not write a byte of, and nothing else.
func (w *Web) begin(path string, head http.Header, body []byte) (*posting, context.CancelFunc, error) {
	u := *w.base
	if u.Path = strings.TrimSuffix(u.Path, "/") + path; u.Path == "" {
		u.Path = "/"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		return nil, nil, errors.New("shutting down")
	}
	out := &posting{done: make(chan posted, 1)}
	ctx, cancel := context.WithCancel(w.life)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { out.state.CompareAndSwap(waits, leaves) }})
	open := func() (io.ReadCloser, error) { return io.NopCloser(&gate{p: out, r: bytes.NewReader(body)}), nil }
	b, _ := open()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), b)
	if err != nil || len(body) == 0 {
		cancel()
		return nil, nil, errors.Join(err, errors.New("no body"))
	}
	r.GetBody, r.ContentLength, r.Header = open, int64(len(body)), head
	w.wg.Go(func() {
		reply, err := w.do(r)
		if err != nil {
			f := &pay.Fault{Code: pay.CodeUnreachable, Err: fmt.Errorf("%s: %w", w.o.Name, err)}
			if out.state.Load() == leaves {
				f.Code, f.Sent = pay.CodeUnknown, true
			}
			err = f
		}
		out.done <- posted{reply, err}
	})
	return out, cancel, nil
}

func (w *Web) do(r *http.Request) (*Posted, error) {
	res, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, int64(w.o.MaxIn)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reply: %w", err)
	case len(b) > w.o.MaxIn:
		return nil, fmt.Errorf("reply larger than %d bytes", w.o.MaxIn)
	}
	return &Posted{Status: res.StatusCode, Header: res.Header, Body: b}, nil
}
