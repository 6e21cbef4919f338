package adaptertest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// The customers of the far side.
const (
	Good = "0512000001" // may pay anything
	Bad  = "0512999999" // is not known: declined with pay.CodeNoCustomer
)

// Books are a far side in memory: they take payments and count them. They are
// safe for concurrent use.
type Books struct {
	mu    sync.Mutex
	times map[string]int
	swap  chan struct{} // not nil: one payment waits until the next one closes it
	waits bool          // it does
}

// NewBooks builds empty books.
func NewBooks() *Books { return &Books{times: map[string]int{}} }

// Count returns how often a payment with the serial was executed.
func (b *Books) Count(serial string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.times[serial]
}

// Swap has the next payment be answered after the one that follows it.
func (b *Books) Swap() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.swap, b.waits = make(chan struct{}), false
}

// Do answers one request.
func (b *Books) Do(ctx context.Context, req *pay.Request) pay.Reply {
	if req.Op == pay.Query && req.Account == Good {
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: 10050, Bills: []pay.Bill{{ID: "B1", Month: "202610", Amount: 10050, Principal: 10000, Penalty: 50}}}
	}
	if !req.Op.Collects() {
		return pay.Answer(pay.Approved, pay.CodeOK)
	}
	if req.Account == Bad {
		return pay.Answer(pay.Declined, pay.CodeNoCustomer)
	}
	b.mu.Lock()
	b.times[req.Ref.Serial]++
	turn := b.swap
	switch {
	case turn == nil:
	case !b.waits:
		b.waits = true
	default:
		close(turn)
		b.swap, turn = nil, nil
	}
	b.mu.Unlock()
	if turn != nil {
		select {
		case <-turn:
		case <-ctx.Done():
		}
	}
	return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: req.Amount, Serial: "H" + req.Ref.Serial}
}

// Answer acts on a request frame and builds its answer. The error is of a
// request that is not understood or not believed.
func Answer(ctx context.Context, d *protocol.Dialect, books *Books, f protocol.Frame) (protocol.Frame, error) {
	asked, err := d.ReadRequest(&f, new(protocol.Record), time.Now())
	if err != nil {
		return protocol.Frame{}, err
	}
	rep := books.Do(ctx, asked.Request)
	if issuer, ok := d.Request.Auth.(protocol.Issuer); ok && asked.Request.Op == pay.SignOn {
		if err := issuer.Issue(asked.Request, &rep); err != nil {
			return protocol.Frame{}, err
		}
	}
	return d.AppendReply(asked, &rep, new(protocol.Record))
}

// Serve is the far side of a stream link: every request is answered on a
// goroutine of its own, each answer in one write. It ends with ctx.
func Serve(ctx context.Context, ln net.Listener, d *protocol.Dialect, books *Books) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		nc, err := ln.Accept()
		if err != nil {
			return nil // the test ends
		}
		wg.Go(func() { conn(ctx, nc, d, books) })
	}
}

func conn(ctx context.Context, nc net.Conn, d *protocol.Dialect, books *Books) {
	var wg sync.WaitGroup
	defer wg.Wait()
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	var buf []byte
	chunk := make([]byte, 16<<10)
	for {
		n, err := nc.Read(chunk)
		if buf = append(buf, chunk[:n]...); err != nil {
			return
		}
		for {
			f, used, err := d.Request.Framer.Next(buf)
			if err != nil {
				return
			}
			if used == 0 {
				break
			}
			f.Body = append([]byte(nil), f.Body...)
			buf = buf[used:]
			wg.Go(func() {
				out, err := Answer(ctx, d, books, f)
				if err != nil {
					nc.Close()
					return
				}
				if b, err := d.Reply.Framer.Append(nil, out); err == nil {
					_, _ = nc.Write(b) // the adapter sees what is missing
				}
			})
		}
	}
}

// Web is the far side of an HTTP link. Heads ties head values to the names of
// headers, as the link file does; kind is the content type of replies.
type Web struct {
	Dialect *protocol.Dialect
	Books   *Books
	Heads   map[protocol.Head]string
	Kind    string
	Look    func(*http.Request, *protocol.Frame) // adds what else a request says; nil: nothing
}

// Serve answers until ctx ends.
func (w *Web) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{Handler: w, BaseContext: func(net.Listener) context.Context { return ctx }, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP answers one request, in one write with a known length.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	in := protocol.Frame{Body: b}
	in.Set(protocol.HeadPath, r.URL.Path)
	for h, name := range w.Heads {
		if v := r.Header.Get(name); v != "" {
			in.Set(h, v)
		}
	}
	if w.Look != nil {
		w.Look(r, &in)
	}
	out, err := Answer(context.WithoutCancel(r.Context()), w.Dialect, w.Books, in)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	rw.Header().Set("Content-Type", w.Kind)
	for h, name := range w.Heads {
		if v := out.Get(h); v != "" {
			rw.Header().Set(name, v)
		}
	}
	_, _ = rw.Write(out.Body)
}
