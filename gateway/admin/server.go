// Package admin is the daemon's own door: health and metrics for machines, and
// the few orders that people give. Orders are taken on a unix socket that only
// the daemon's user can open; health and metrics also on a loopback address.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"qianzhi/gateway/pay"
)

// Control obeys the orders of people.
type Control interface {
	// Cut ends the running accounting day and begins next.
	Cut(ctx context.Context, next pay.Day) error
	// Note writes into the journal what somebody did.
	Note(ctx context.Context, text string) error
	// Reconcile runs the reconciliation of a day.
	Reconcile(ctx context.Context, day pay.Day) ([]Run, error)
}

// Run is what the reconciliation of one channel came to.
type Run struct {
	Channel string `json:"channel"`
	Version int    `json:"version"`
	Verdict string `json:"verdict"`
	Exit    int    `json:"exit"` // published exit status of the verdict
	Why     string `json:"why,omitempty"`
	Report  string `json:"report"` // path of report.txt
}

// Problem is one thing that is not as it should be.
type Problem struct {
	Part  string `json:"part"`
	Text  string `json:"text"`
	Fatal bool   `json:"fatal"` // no payment can be taken
}

// Status is the daemon in one look.
type Status struct {
	Day      pay.Day   `json:"day"`
	Phase    string    `json:"phase"`             // trading or cutting
	Cutting  pay.Day   `json:"cutting,omitempty"` // the day that begins when the cut is done
	CutAt    time.Time `json:"cut_at"`            // when the running day ends by schedule
	Workday  bool      `json:"workday"`           // do banks work on the running day
	Holiday  string    `json:"holiday,omitempty"` // its name
	Next     pay.Day   `json:"next_workday"`
	Node     uint8     `json:"node"`
	Unknown  int       `json:"unknown"` // payments in doubt
	Links    []Link    `json:"links"`
	Hosts    []Host    `json:"hosts"`
	Problems []Problem `json:"problems"`
}

// Link is one link's door and what went through it since the start.
type Link struct {
	ID       string `json:"id"`
	Addr     string `json:"addr"`
	Approved uint64 `json:"approved"`
	Declined uint64 `json:"declined"`
	Unknown  uint64 `json:"unknown"`
	Rejected uint64 `json:"rejected"` // frames that were not understood or not believed
	Busy     uint64 `json:"busy"`     // frames that found no place
	Panics   uint64 `json:"panics"`
	Conns    int    `json:"connections"` // open now that carry requests; always 0 for HTTP

	Dial       string `json:"dial,omitempty"`       // the bank's address that we dial for requests
	ReplyAddr  string `json:"reply_addr,omitempty"` // where response connections are taken, or what we dial for them
	ReplyConns int    `json:"reply_connections"`    // open now that only carry replies
	Dropped    uint64 `json:"dropped"`              // replies that found no connection
}

// Host is one counterparty.
type Host struct {
	ID    string `json:"id"`
	Conns int    `json:"connections"` // open now
}

// Sample is one figure for the metrics page.
type Sample struct {
	Name, Help string
	Counter    bool // only ever grows; else a gauge
	Value      float64
	Labels     [][2]string
}

// Options are the parts of the door.
type Options struct {
	Socket  string // path of the unix socket
	Listen  string // loopback address for health and metrics; empty: none
	Control Control
	Status  func() Status
	Samples func() []Sample
	Log     *slog.Logger
}

// Check reports the first option that cannot work.
func (o *Options) Check() error {
	switch {
	case o.Socket == "" || o.Control == nil || o.Status == nil || o.Samples == nil || o.Log == nil:
		return errors.New("admin: a part is missing")
	case o.Listen != "" && !loopback(o.Listen):
		return fmt.Errorf("admin: listen: %s is not a loopback address", o.Listen)
	}
	return nil
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// Server is the door.
type Server struct {
	o        Options
	draining atomic.Bool
	orders   *http.Server
	watch    *http.Server
	socket   net.Listener
	tcp      net.Listener
}

// limits of every request.
const (
	maxBody = 64 << 10
	patient = 10 * time.Second // for a request to arrive
)

// New opens the socket and, if asked for, the loopback address. Nothing is
// served until Run.
func New(o Options) (*Server, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Server{o: o}
	_ = os.Remove(o.Socket) // of a process that was killed; a living one holds the journal's lock
	var err error
	if s.socket, err = net.Listen("unix", o.Socket); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if err := os.Chmod(o.Socket, 0o600); err != nil {
		return nil, errors.Join(err, s.socket.Close())
	}
	s.orders = s.server(true)
	if o.Listen != "" {
		if s.tcp, err = net.Listen("tcp", o.Listen); err != nil {
			return nil, errors.Join(fmt.Errorf("admin: %w", err), s.socket.Close())
		}
		s.watch = s.server(false)
	}
	return s, nil
}

func (s *Server) server(orders bool) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /readyz", s.ready)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collector{s.o.Samples})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	if orders {
		mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { s.say(w, http.StatusOK, s.o.Status()) })
		mux.HandleFunc("POST /v1/day/cut", s.cut)
		mux.HandleFunc("POST /v1/recon/run", s.reconcile)
		mux.HandleFunc("POST /v1/journal/note", s.note)
	}
	return &http.Server{Handler: http.MaxBytesHandler(mux, maxBody), ReadTimeout: patient, ReadHeaderTimeout: patient, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug)}
}

// Addr returns the loopback address, "" when there is none.
func (s *Server) Addr() string {
	if s.tcp == nil {
		return ""
	}
	return s.tcp.Addr().String()
}

// Drain makes readiness say no.
func (s *Server) Drain() { s.draining.Store(true) }

// Run serves until ctx ends and then waits for the requests under way.
func (s *Server) Run(ctx context.Context) error {
	type door struct {
		srv *http.Server
		ln  net.Listener
	}
	doors := []door{{s.orders, s.socket}}
	if s.watch != nil {
		doors = append(doors, door{s.watch, s.tcp})
	}
	ended := make(chan error, len(doors))
	for _, d := range doors {
		go func() {
			if err := d.srv.Serve(d.ln); !errors.Is(err, http.ErrServerClosed) {
				ended <- err
				return
			}
			ended <- nil
		}()
	}
	var err error
	left := len(doors)
	select {
	case <-ctx.Done():
	case err = <-ended:
		left--
	}
	for _, d := range doors {
		err = errors.Join(err, d.srv.Shutdown(context.WithoutCancel(ctx)))
	}
	for range left {
		err = errors.Join(err, <-ended)
	}
	return err
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	st := s.o.Status()
	code := http.StatusOK
	for _, p := range st.Problems {
		if p.Fatal {
			code = http.StatusServiceUnavailable
		}
	}
	s.say(w, code, map[string]any{"problems": st.Problems})
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		s.say(w, http.StatusServiceUnavailable, map[string]any{"problems": []Problem{{Part: "daemon", Text: "正在停止", Fatal: true}}})
		return
	}
	s.health(w, r)
}

// order is the body of an order.
type order struct {
	Day string `json:"day"` // YYYYMMDD
}

func (s *Server) cut(w http.ResponseWriter, r *http.Request) {
	day, ok := s.day(w, r)
	if !ok {
		return
	}
	s.o.Log.Info("day cut ordered", "event", "QZ132", "next", day.String())
	if err := s.o.Control.Cut(context.WithoutCancel(r.Context()), day); err != nil {
		s.fail(w, http.StatusConflict, err)
		return
	}
	s.say(w, http.StatusOK, s.o.Status())
}

func (s *Server) reconcile(w http.ResponseWriter, r *http.Request) {
	day, ok := s.day(w, r)
	if !ok {
		return
	}
	runs, err := s.o.Control.Reconcile(context.WithoutCancel(r.Context()), day)
	if err != nil {
		s.fail(w, http.StatusConflict, err)
		return
	}
	s.say(w, http.StatusOK, runs)
}

// note takes an act that people answer for; it is done only after the note is
// durable.
func (s *Server) note(w http.ResponseWriter, r *http.Request) {
	var n struct {
		Text string `json:"text"`
	}
	if err := decode(r, &n); err != nil || n.Text == "" {
		s.fail(w, http.StatusBadRequest, errors.Join(err, errors.New("want a text")))
		return
	}
	if err := s.o.Control.Note(r.Context(), n.Text); err != nil {
		s.fail(w, http.StatusServiceUnavailable, err)
		return
	}
	s.say(w, http.StatusOK, struct{}{})
}

// decode reads the body of an order to its end.
func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, r.Body)
	return err
}

func (s *Server) day(w http.ResponseWriter, r *http.Request) (pay.Day, bool) {
	var o order
	err := decode(r, &o)
	var day pay.Day
	if err == nil {
		day, err = pay.ParseDay(o.Day)
	}
	if err != nil {
		s.fail(w, http.StatusBadRequest, err)
	}
	return day, err == nil
}

func (s *Server) fail(w http.ResponseWriter, code int, err error) {
	s.say(w, code, map[string]string{"error": err.Error()})
}

func (s *Server) say(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.o.Log.Debug("admin: asker is gone", "err", err)
	}
}

// collector turns the samples of the moment into the metrics page.
type collector struct{ samples func() []Sample }

// Describe describes nothing: the samples are known when they are asked for.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the samples of the moment.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.samples() {
		var names, vals []string
		for _, l := range s.Labels {
			names, vals = append(names, l[0]), append(vals, l[1])
		}
		kind := prometheus.GaugeValue
		if s.Counter {
			kind = prometheus.CounterValue
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(s.Name, s.Help, names, nil), kind, s.Value, vals...)
	}
}
