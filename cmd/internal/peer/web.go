package peer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// Web is an online bank that posts to an HTTP link. It is owned by one
// goroutine.
type Web struct {
	d       *protocol.Dialect
	url     string
	kind    string
	headers []spec.Header
	client  *http.Client
	rec     *protocol.Record

	Pause func(ctx context.Context, d time.Duration) error // of slow requests and answers read late; Wait unless set
}

// NewWeb builds a client of the link at addr, host:port.
func NewWeb(d *protocol.Dialect, l *spec.Link, addr string) (*Web, error) {
	hs, err := l.Headers()
	if err != nil {
		return nil, err
	}
	return &Web{d: d, url: "http://" + addr + "/", kind: l.HTTP.ContentType, headers: hs, rec: new(protocol.Record), Pause: Wait,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}}, nil
}

// Close closes the kept connection.
func (w *Web) Close() error {
	w.client.CloseIdleConnections()
	return nil
}

// Do posts one request and waits for its reply.
func (w *Web) Do(ctx context.Context, req *pay.Request, fault Fault) (pay.Reply, error) {
	return w.Meet(ctx, req, Trouble{Fault: fault})
}

// Meet is Do with a fault that may take time. The headers of a slow request
// leave at once, its body late.
func (w *Web) Meet(ctx context.Context, req *pay.Request, t Trouble) (pay.Reply, error) {
	f, msg, err := w.d.AppendRequest(req, w.rec, time.Now())
	if err != nil {
		return pay.Reply{}, err
	}
	switch t.Fault {
	case BadSeal: // the signature of other bytes
		f.Set(protocol.HeadNonce, "forged-"+f.Get(protocol.HeadNonce))
	case HalfChar:
		half(f.Body)
	case Garbage:
		for i := range f.Body {
			f.Body[i] ^= 0xA5
		}
	}
	in, err := w.post(ctx, f, t)
	if err != nil {
		return pay.Reply{}, err
	}
	if err := w.d.OpenReply(&in, w.rec); err != nil {
		return pay.Reply{}, fmt.Errorf("reply: %w", err)
	}
	return w.d.Map.Reply(msg, &in, w.rec, time.Now())
}

// post sends a frame, twice for Duplicate, and returns the last answer.
func (w *Web) post(ctx context.Context, f protocol.Frame, t Trouble) (protocol.Frame, error) {
	if t.Fault == Duplicate {
		if _, err := w.post(ctx, f, Trouble{}); err != nil {
			return protocol.Frame{}, err
		}
	}
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, w.sending(ctx, f.Body, t))
	if err != nil {
		return protocol.Frame{}, err
	}
	hr.ContentLength = int64(len(f.Body))
	hr.Header.Set("Content-Type", w.kind)
	for _, h := range w.headers {
		if v := f.Get(h.Head); v != "" {
			hr.Header.Set(h.Name, v)
		}
	}
	res, err := w.client.Do(hr)
	if err != nil {
		return protocol.Frame{}, err
	}
	defer res.Body.Close()
	if t.Fault == Late {
		if err := w.Pause(ctx, t.For); err != nil {
			return protocol.Frame{}, err
		}
	}
	var in protocol.Frame
	if in.Body, err = io.ReadAll(io.LimitReader(res.Body, 1<<20)); err != nil {
		return in, err
	}
	if res.StatusCode != http.StatusOK {
		return in, fmt.Errorf("%w: HTTP %d %s", ErrClosed, res.StatusCode, bytes.TrimSpace(in.Body))
	}
	for _, h := range w.headers {
		if v := res.Header.Get(h.Name); v != "" {
			in.Set(h.Head, v)
		}
	}
	return in, nil
}

// sending reads a body as the fault has it leave.
func (w *Web) sending(ctx context.Context, body []byte, t Trouble) io.Reader {
	switch t.Fault {
	case Cut: // the connection closes where less is read than was announced
		return io.MultiReader(bytes.NewReader(body[:len(body)/2]), failing{})
	case Trickle:
		return oneByte{bytes.NewReader(body)}
	case Slow:
		return io.MultiReader(delay(func() error { return w.Pause(ctx, t.For) }), bytes.NewReader(body))
	}
	return bytes.NewReader(body)
}

// oneByte gives a byte at a time.
type oneByte struct{ io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.Reader.Read(b[:min(1, len(b))]) }

// delay gives nothing, after it has waited.
type delay func() error

func (d delay) Read([]byte) (int, error) {
	if err := d(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, ErrClosed }
