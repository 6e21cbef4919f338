package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"qianzhi/protocol"
)

// maxAnswer bounds what is read of a receiver's answer, in bytes.
const maxAnswer = 64 << 10

// Webhook posts notices as JSON. The key is also the header Idempotency-Key.
// Only a status of 200 to 299 is an acknowledgement; redirects are none.
type Webhook struct {
	url    string
	client *http.Client
	sign   func(body []byte) (name, value string, err error)
}

// NewWebhook builds a webhook over a transport, which has the certificates. Sign
// returns a header that proves the body, nil: none.
func NewWebhook(url string, over http.RoundTripper, sign func(body []byte) (name, value string, err error)) *Webhook {
	return &Webhook{url: url, sign: sign, client: &http.Client{Transport: over,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Send posts one notice.
func (w *Webhook) Send(ctx context.Context, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Idempotency-Key", key)
	if w.sign != nil {
		name, value, err := w.sign(body)
		if err != nil {
			return fmt.Errorf("signature: %w", err)
		}
		req.Header.Set(name, value)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)); err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("HTTP %s", res.Status)
	}
	return nil
}

// Socket sends each notice as one frame on a connection of its own and waits
// for one frame that acknowledges it.
type Socket struct {
	Dial   func(ctx context.Context) (net.Conn, error)
	Framer protocol.Framer
	Ack    string // what an acknowledgement contains, for example "0000"
}

// ErrNoAck reports an answer that is no acknowledgement.
var ErrNoAck = errors.New("answer is no acknowledgement")

// Send sends one notice.
func (s *Socket) Send(ctx context.Context, _ string, body []byte) error {
	out, err := s.Framer.Append(nil, protocol.Frame{Body: body})
	if err != nil {
		return err
	}
	nc, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) }) // what it fails for fails anyway
	defer stop()
	if _, err := nc.Write(out); err != nil {
		return err
	}
	var buf []byte
	chunk := make([]byte, 4096)
	for len(buf) <= maxAnswer {
		f, n, err := s.Framer.Next(buf)
		switch {
		case err != nil:
			return err
		case n > 0 && f.Body == nil: // a keep-alive
			buf = buf[n:]
			continue
		case n > 0 && s.Ack != "" && bytes.Contains(f.Body, []byte(s.Ack)):
			return nil
		case n > 0:
			return ErrNoAck
		}
		n, err = nc.Read(chunk)
		if buf = append(buf, chunk[:n]...); n == 0 && err != nil {
			return err
		}
	}
	return ErrNoAck
}
