// Package admin is the daemon's own door: health and metrics for machines, and
// the few orders that people give. On a unix socket that only the daemon's user
// can open that user gives them; on an address, which is a loopback one unless
// it has TLS, users who have logged in do. Every order is recorded before it is
// obeyed.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"qianzhi/gateway/access"
	"qianzhi/gateway/limit"
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
	// Settle settles the batches of a closed day at the card centres.
	Settle(ctx context.Context, day pay.Day) ([]Settled, error)
	// Apply does what was decided and begun about an item of a day.
	Apply(ctx context.Context, day pay.Day, channel, item string) (outcome string, err error)
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

// Settled is a terminal's batch and how its 批结算 came out.
type Settled struct {
	Host     string     `json:"host"`
	Terminal string     `json:"terminal"`
	Batch    string     `json:"batch"`
	Debits   int        `json:"debits"`
	Debit    pay.Amount `json:"debit"` // fen
	Credits  int        `json:"credits"`
	Credit   pay.Amount `json:"credit"`
	Balanced bool       `json:"balanced"`
	Outcome  string     `json:"outcome"`
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
	Conns    int    `json:"connections"` // open now that carry requests
	Refused  uint64 `json:"refused"`     // connections that were not admitted

	Dial       string `json:"dial,omitempty"`       // the bank's address that we dial for requests
	ReplyAddr  string `json:"reply_addr,omitempty"` // where response connections are taken, or what we dial for them
	ReplyConns int    `json:"reply_connections"`    // open now that only carry replies
	Dropped    uint64 `json:"dropped"`              // replies that found no connection
}

// Waiting is a payment that somebody still owes a decision.
type Waiting struct {
	ID        string     `json:"id"` // our serial
	Time      time.Time  `json:"time"`
	Link      string     `json:"link"`
	Op        string     `json:"op"`
	Serial    string     `json:"serial"`  // its sender's
	Account   string     `json:"account"` // masked
	Fen       pay.Amount `json:"fen"`
	State     string     `json:"state"`
	StateText string     `json:"state_text"`
	Owner     string     `json:"owner"`    // who owes the decision
	Reason    string     `json:"reason"`   // why there is none
	Attempts  uint16     `json:"attempts"` // since its state changed
	Due       time.Time  `json:"due"`      // of the next try; of a parked payment, of the decision
	Overdue   bool       `json:"overdue"`
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

// Done is an administrative act as the journal has it.
type Done struct {
	Day pay.Day   `json:"day"` // of the log
	Row uint64    `json:"row"`
	At  time.Time `json:"at"`
	access.Act
}

// Options are the parts of the door.
type Options struct {
	Socket   string      // path of the unix socket
	Listen   string      // address for health, metrics and, with Users, orders; empty: none
	TLS      *tls.Config // of Listen; without it that is a loopback address
	Control  Control
	Audit    access.Audit
	Users    *access.Directory // nil: nobody can log in
	Sessions *access.Sessions  // with Users
	Acts     func(ctx context.Context, day pay.Day) ([]Done, error)
	Status   func() Status
	Waiting  func(ctx context.Context) ([]Waiting, error) // the first due first
	Samples  func() []Sample
	Log      *slog.Logger
}

// Check reports the first option that cannot work.
func (o *Options) Check() error {
	switch {
	case o.Socket == "" || o.Control == nil || o.Audit == nil || o.Status == nil || o.Waiting == nil || o.Samples == nil || o.Log == nil:
		return errors.New("admin: a part is missing")
	case o.Users != nil && (o.Sessions == nil || o.Acts == nil):
		return errors.New("admin: users need sessions and acts")
	case o.Listen != "" && o.TLS == nil && !Loopback(o.Listen):
		return fmt.Errorf("admin: listen: %s is not a loopback address and has no TLS", o.Listen)
	}
	return nil
}

// Loopback reports whether an address can be reached from this machine only.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// Server is the door.
type Server struct {
	o        Options
	draining atomic.Bool
	logins   *limit.Bucket
	local    *http.Server
	web      *http.Server
	socket   net.Listener
	tcp      net.Listener
}

// limits of every request.
const (
	maxBody   = 64 << 10
	maxHeader = 16 << 10
	maxConns  = 64
	patient   = 10 * time.Second // for a request to arrive, for an answer to leave
)

// New opens the socket and, if asked for, the loopback address. Nothing is
// served until Run.
func New(o Options) (*Server, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := &Server{o: o, logins: logins()}
	_ = os.Remove(o.Socket) // of a process that was killed; a living one holds the journal's lock
	var err error
	if s.socket, err = net.Listen("unix", o.Socket); err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if err := os.Chmod(o.Socket, 0o600); err != nil {
		return nil, errors.Join(err, s.socket.Close())
	}
	s.local = s.server(true)
	if o.Listen != "" {
		if s.tcp, err = s.listen(); err != nil {
			return nil, errors.Join(fmt.Errorf("admin: %w", err), s.socket.Close())
		}
		s.web = s.server(false)
	}
	return s, nil
}

func (s *Server) listen() (net.Listener, error) {
	ln, err := net.Listen("tcp", s.o.Listen)
	if err != nil {
		return nil, err
	}
	ln = netutil.LimitListener(ln, maxConns)
	if s.o.TLS != nil {
		ln = tls.NewListener(ln, s.o.TLS)
	}
	return ln, nil
}

// server builds the server of the socket or of the address.
func (s *Server) server(unix bool) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /readyz", s.ready)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collector{s.o.Samples})
	mux.Handle("GET /metrics", http.TimeoutHandler(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), patient, ""))
	if unix || s.o.Users != nil {
		for _, o := range s.orders() {
			mux.HandleFunc(o.pattern, s.guarded(o, unix))
		}
	}
	if s.o.Users != nil {
		mux.HandleFunc("POST /v1/login", s.login)
		mux.HandleFunc("POST /v1/logout", s.logout)
		mux.HandleFunc("GET /v1/me", s.me)
		mux.HandleFunc("POST /v1/me/password", s.own)
	}
	var h http.Handler = mux
	if unix {
		mux.HandleFunc("POST /v1/journal/note", s.note)
	} else {
		h = s.shield(mux)
	}
	return &http.Server{Handler: http.MaxBytesHandler(h, maxBody), ReadTimeout: patient, ReadHeaderTimeout: patient, IdleTimeout: time.Minute,
		MaxHeaderBytes: maxHeader, ConnContext: known, ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug)}
}

// Addr returns the address that was bound, "" when there is none.
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
	doors := []door{{s.local, s.socket}}
	if s.web != nil {
		doors = append(doors, door{s.web, s.tcp})
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
