package http

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/protocol"
)

// desk answers a body with its path and signature; "bad" is a located error.
type desk struct {
	hold    chan struct{}
	started chan struct{}

	mu      sync.Mutex
	garbage int
}

func (d *desk) Answer(_ context.Context, in protocol.Inbound) (protocol.Frame, error) {
	if d.started != nil {
		d.started <- struct{}{}
	}
	if d.hold != nil {
		<-d.hold
	}
	if string(in.Frame.Body) == "bad" {
		return protocol.Frame{}, &protocol.Error{Class: protocol.ClassField, Path: "body.amount", Offset: 17, Want: "yuan", Got: "secret"}
	}
	f := protocol.Frame{Body: []byte(in.Frame.Get(protocol.HeadPath) + " " + in.Frame.Get(protocol.HeadSignature))}
	f.Set(protocol.HeadSignature, "signed")
	return f, nil
}

func (d *desk) Refuse(context.Context, protocol.Inbound) (protocol.Frame, error) {
	return protocol.Frame{Body: []byte("busy")}, nil
}

func (d *desk) Garbage(context.Context, string, []byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.garbage++
}

func serve(t *testing.T, d *desk, change func(*Options)) (url string, stop func()) {
	t.Helper()
	o := Options{Addr: "127.0.0.1:0", Handler: d, Headers: []Header{{protocol.HeadSignature, "X-Sig"}}, Type: "text/x-test",
		MaxBody: 100, InFlight: 2, Conns: 10, Read: 10 * time.Second, Idle: 10 * time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return "http://" + s.Addr(), stop
}

// client is one with connections of its own, so that tests do not share them.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func post(t *testing.T, c *http.Client, url, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Sig", "mine")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestHeadValuesTravelBothWays(t *testing.T) {
	url, _ := serve(t, &desk{}, nil)
	res, body := post(t, client(t), url+"/pay", "x")
	if res.StatusCode != 200 || body != "/pay mine" || res.Header.Get("X-Sig") != "signed" || res.Header.Get("Content-Type") != "text/x-test" {
		t.Errorf("got %d %q %v", res.StatusCode, body, res.Header)
	}
}

func TestErrorIsLocatedAndShowsNoValue(t *testing.T) {
	url, _ := serve(t, &desk{}, nil)
	res, body := post(t, client(t), url, "bad")
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, `"path":"body.amount"`) || !strings.Contains(body, `"offset":17`) || strings.Contains(body, "secret") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

func TestLargeBodyIsRefusedAndReported(t *testing.T) {
	d := &desk{}
	url, _ := serve(t, d, nil)
	res, _ := post(t, client(t), url, strings.Repeat("x", 101))
	d.mu.Lock()
	defer d.mu.Unlock()
	if res.StatusCode != http.StatusRequestEntityTooLarge || d.garbage != 1 {
		t.Errorf("got %d, %d reported", res.StatusCode, d.garbage)
	}
}

func TestOnlyPost(t *testing.T) {
	url, _ := serve(t, &desk{}, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != http.MethodPost {
		t.Errorf("got %d", res.StatusCode)
	}
}

func TestOverloadIsRefused(t *testing.T) {
	d := &desk{hold: make(chan struct{}), started: make(chan struct{}, 10)}
	url, _ := serve(t, d, nil)
	var wg sync.WaitGroup
	c := client(t)
	for range 2 {
		wg.Go(func() { post(t, c, url, "x") })
	}
	<-d.started
	<-d.started
	if _, body := post(t, c, url, "x"); body != "busy" {
		t.Errorf("got %q", body)
	}
	close(d.hold)
	wg.Wait()
}

// TestHangingUpCancelsNothing closes the client's connection while its request
// is being answered: the answer is worked out all the same.
func TestHangingUpCancelsNothing(t *testing.T) {
	d := &desk{hold: make(chan struct{}), started: make(chan struct{}, 1)}
	done := make(chan error, 1)
	h := &watch{desk: d, done: done}
	url, _ := serve(t, d, func(o *Options) { o.Handler = h })
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"); err != nil {
		t.Fatal(err)
	}
	<-d.started
	c.Close()
	close(d.hold)
	if err := <-done; err != nil {
		t.Errorf("the request's context ended: %v", err)
	}
}

// watch notes whether the context was still alive when the answer was ready.
type watch struct {
	*desk
	done chan error
}

func (w *watch) Answer(ctx context.Context, in protocol.Inbound) (protocol.Frame, error) {
	f, err := w.desk.Answer(ctx, in)
	w.done <- ctx.Err()
	return f, err
}

func TestDrain(t *testing.T) {
	d := &desk{hold: make(chan struct{}), started: make(chan struct{}, 1)}
	url, stop := serve(t, d, nil)
	got := make(chan string, 1)
	c := client(t)
	go func() {
		_, body := post(t, c, url, "x")
		got <- body
	}()
	<-d.started
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	close(d.hold)
	if body := <-got; body != "/ mine" {
		t.Errorf("got %q", body)
	}
	<-stopped
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("accepted no limits")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = New(Options{Addr: ln.Addr().String(), MaxBody: 1, InFlight: 1, Conns: 1, Read: 1, Idle: 1, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Error("bound an address that is in use")
	}
}
