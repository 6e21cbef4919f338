package link

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// web runs a Web against a handler.
func web(t *testing.T, h http.HandlerFunc, change func(*WebOptions)) *Web {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	o := WebOptions{Name: "test", URL: "http://host.example/base", Conns: 1, MaxIn: 100, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", srv.Listener.Addr().String())
		}}
	if change != nil {
		change(&o)
	}
	w, err := NewWeb(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func post(t *testing.T, w *Web, ctx context.Context, late func(*Posted)) (*Posted, error) {
	t.Helper()
	return w.Post(ctx, "/op", http.Header{}, []byte("body"), late)
}

// A message that was given up while its connection was being made never
// arrives, as its caller was told.
func TestWebGivenUpBeforeItLeft(t *testing.T) {
	var arrived atomic.Int32
	dialling, goes := make(chan struct{}), make(chan struct{})
	w := web(t, func(_ http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err == nil && len(b) > 0 {
			arrived.Add(1)
		}
	}, func(o *WebOptions) {
		dial := o.Dial
		o.Dial = func(context.Context) (net.Conn, error) {
			close(dialling)
			<-goes
			return dial(context.Background())
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-dialling; cancel() }()
	if _, err := post(t, w, ctx, nil); sent(err) != "not sent" {
		t.Errorf("got %v", err)
	}
	close(goes)
	w.wg.Wait() // the transport has done with it
	if n := arrived.Load(); n != 0 {
		t.Errorf("%d arrived", n)
	}
}

// With every connection in use a call waits, and was not sent when it gives up.
func TestWebLimitsCalls(t *testing.T) {
	asked, goes := make(chan struct{}), make(chan struct{})
	w := web(t, func(rw http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-goes
		io.WriteString(rw, "ok")
	}, nil)
	first := make(chan error, 1)
	go func() {
		got, err := post(t, w, context.Background(), nil)
		if err == nil && (got.Status != 200 || string(got.Body) != "ok") {
			err = errors.New("another answer")
		}
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := post(t, w, ctx, nil); sent(err) != "not sent" {
		t.Errorf("got %v", err)
	}
	close(goes)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// A late answer is waited for, but not for ever, and not by everybody.
func TestWebLateAnswers(t *testing.T) {
	asked, goes := make(chan struct{}, 10), make(chan struct{})
	w := web(t, func(rw http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-goes:
		case <-r.Context().Done():
		}
		io.WriteString(rw, "late")
	}, nil)
	late := make(chan string, 10)
	for range 2 { // one is kept, for the other there is no room
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		if _, err := post(t, w, ctx, func(p *Posted) { late <- string(p.Body) }); sent(err) != "may have been sent" {
			t.Errorf("got %v", err)
		}
	}
	close(goes)
	if got := <-late; got != "late" {
		t.Errorf("got %q", got)
	}
	if len(late) != 0 {
		t.Error("more are kept than allowed")
	}
}

func TestWebRepliesAreLimited(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"body":   func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, strings.Repeat("x", 101)) },
		"header": func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X", strings.Repeat("x", maxWebHeader)) },
	} {
		if got, err := post(t, web(t, h, nil), t.Context(), nil); sent(err) != "may have been sent" {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestWebOptionsAreChecked(t *testing.T) {
	for _, url := range []string{"", "host:80", "ftp://h/", "http://user:pw@h/", "http://h/?q=1", "http:///x"} {
		if _, err := NewWeb(WebOptions{URL: url, Conns: 1, MaxIn: 1, Log: slog.New(slog.DiscardHandler), Dial: func(context.Context) (net.Conn, error) { return nil, io.EOF }}); err == nil {
			t.Errorf("took %q", url)
		}
	}
}
