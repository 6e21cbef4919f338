// Package http is the banks' HTTP listener. It turns a POST into a frame whose
// head carries path and signature headers, and the answering frame into a
// response. It enters where the stream listener has cut a frame.
package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"qianzhi/gateway/limit"
	"qianzhi/protocol"
)

// Handler answers whole messages. Answer and Refuse may block. Garbage reports
// a request whose body could not be taken.
type Handler interface {
	Answer(ctx context.Context, in protocol.Inbound) (protocol.Frame, error)
	Refuse(ctx context.Context, in protocol.Inbound) (protocol.Frame, error)
	Garbage(ctx context.Context, peer string, head []byte, why error)
}

// Header ties a head value to an HTTP header, both ways.
type Header struct {
	Head protocol.Head
	Name string
}

// Options are the parts and limits of one listener.
type Options struct {
	Addr     string
	Handler  Handler
	Headers  []Header
	Type     string // content type of requests and replies
	MaxBody  int64  // bytes of one request body
	InFlight int    // requests being answered at once
	Conns    int    // connections at once; those beyond it are closed
	Allow    []netip.Prefix
	PerIP    int           // connections of one address at once; 0: as many as Conns
	Rate     limit.Rate    // requests that are answered; those beyond it are refused properly
	Read     time.Duration // for the whole request to arrive
	Header   time.Duration // for its head to arrive, a TLS handshake before it; 0: Read
	Idle     time.Duration // of a kept connection
	// Secure makes a connection a secure one; nil: it is plain.
	Secure func(net.Conn) net.Conn
	Now    func() time.Time
	Log    *slog.Logger
}

// Check reports the first option that cannot work.
func (o *Options) Check() error {
	if o.MaxBody <= 0 || o.InFlight <= 0 || o.Conns <= 0 || o.Read <= 0 || o.Idle <= 0 {
		return errors.New("http: max_body, in_flight, conns, read and idle must be positive")
	}
	if o.PerIP < 0 || o.Header < 0 {
		return errors.New("http: per_ip and header must not be negative")
	}
	return o.Rate.Check()
}

// Server is one listener.
type Server struct {
	o     Options
	srv   *http.Server
	slots chan struct{}
	rate  *limit.Bucket
	door  *limit.Door // nil without a listener of our own
	said  *limit.Bucket
	ln    net.Listener
}

// write is how long a peer may take to read an answer.
const write = 10 * time.Second

// NewHandler builds what answers requests, for a server of somebody else's.
func NewHandler(o Options) (http.Handler, error) { return unbound(o) }

func unbound(o Options) (*Server, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	return &Server{o: o, slots: make(chan struct{}, o.InFlight), rate: limit.NewBucket(o.Rate, o.Now),
		said: limit.NewBucket(limit.Rate{Events: 10, Per: time.Second}, time.Now)}, nil
}

// New binds the address; nothing is accepted until Run.
func New(o Options) (*Server, error) {
	s, err := unbound(o)
	if err != nil {
		return nil, err
	}
	if s.door, err = limit.NewDoor(limit.DoorOptions{Allow: o.Allow, PerIP: o.PerIP, All: o.Conns}); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("http: %w", err)
	}
	s.ln = limit.Listen(ln, s.door, s.refused)
	if o.Secure != nil {
		s.ln = secure{s.ln, o.Secure}
	}
	head := o.Header
	if head == 0 {
		head = o.Read
	}
	s.srv = &http.Server{Handler: s, ReadTimeout: o.Read, ReadHeaderTimeout: head, IdleTimeout: o.Idle,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)}
	return s, nil
}

func (s *Server) refused(from net.Addr, why limit.Why) {
	if s.said.Take() {
		s.o.Log.Warn("connection refused", "event", "QZ230", "addr", s.o.Addr, "peer", from.String(), "why", why.String())
	}
}

// secure wraps each connection; net/http does the handshake on its goroutine.
type secure struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

// Accept returns the next connection.
func (s secure) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return s.wrap(c), nil
}

// Up returns how many connections are open.
func (s *Server) Up() int { return s.door.Open() }

// Refused returns how many connections were refused.
func (s *Server) Refused() limit.Refused { return s.door.Refused() }

// Addr returns the bound address.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Run serves until ctx ends and then waits for the requests under way.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	stopped, stop := context.WithCancel(ctx)
	go func() {
		<-stopped.Done()
		done <- s.srv.Shutdown(context.WithoutCancel(ctx))
	}()
	err := s.srv.Serve(s.ln)
	stop()
	if down := <-done; errors.Is(err, http.ErrServerClosed) {
		return down
	}
	return err
}

// ServeHTTP reads one message and writes its answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		s.fail(w, http.StatusMethodNotAllowed, errors.New("want POST"))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.MaxBody))
	if err != nil {
		s.unread(w, r, body, err)
		return
	}
	in := protocol.Inbound{Peer: r.RemoteAddr, At: s.o.Now(), Frame: protocol.Frame{Body: body}}
	in.Frame.Set(protocol.HeadPath, r.URL.Path)
	for _, h := range s.o.Headers {
		if v := r.Header.Get(h.Name); v != "" {
			in.Frame.Set(h.Head, v)
		}
	}
	f, err := s.answer(context.WithoutCancel(r.Context()), in)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(write)) // a recorder in tests has none
	if err != nil {
		s.fail(w, http.StatusBadRequest, err)
		return
	}
	w.Header().Set("Content-Type", s.o.Type)
	for _, h := range s.o.Headers {
		if v := f.Get(h.Head); v != "" {
			w.Header().Set(h.Name, v)
		}
	}
	if _, err := w.Write(f.Body); err != nil {
		s.o.Log.Debug("client gone before its reply", "peer", r.RemoteAddr, "err", err)
	}
}

// unread ends a request whose body did not arrive whole.
func (s *Server) unread(w http.ResponseWriter, r *http.Request, body []byte, err error) {
	status := http.StatusBadRequest
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		status = http.StatusRequestEntityTooLarge
	}
	s.o.Handler.Garbage(r.Context(), r.RemoteAddr, body[:min(len(body), 64)], err)
	s.fail(w, status, err)
}

func (s *Server) answer(ctx context.Context, in protocol.Inbound) (protocol.Frame, error) {
	if !s.rate.Take() {
		return s.o.Handler.Refuse(ctx, in)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
		return s.o.Handler.Answer(ctx, in)
	default:
		return s.o.Handler.Refuse(ctx, in)
	}
}

// fail tells a sender whose message could not be read what is wrong with it:
// class, path and offset, never a value.
func (s *Server) fail(w http.ResponseWriter, status int, err error) {
	var e *protocol.Error
	out := map[string]any{"class": "frame", "want": http.StatusText(status)}
	if errors.As(err, &e) {
		out = map[string]any{"class": e.Class, "path": e.Path, "offset": e.Offset, "want": e.Want, "hint": e.Hint}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(map[string]any{"error": out}); err != nil {
		s.o.Log.Debug("client gone before its error", "err", err)
	}
}
