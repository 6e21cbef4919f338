// Package tuxedo asks services of an XATMI monitor (Oracle Tuxedo, Enduro/X)
// through what stands at its border: a socket gateway on a stream, or a REST
// gateway over HTTP. It keeps XATMI's meaning, service names, typed buffers,
// tperrno and tpurcode, and speaks none of the monitors' own protocols.
//
// The service of a message is its head value "header", which the link file sets
// for each operation ("@header": PAY); tpurcode comes back as "status". What a
// monitor says is read with suspicion: only errors that come before a service
// is called prove that nothing was done; a time-out, a service error, a closed
// connection and silence leave the outcome open.
package tuxedo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"qianzhi/adapters/link"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Options are the parts and limits of one monitor.
type Options struct {
	Name    string
	Dial    func(ctx context.Context) (net.Conn, error)
	Dialect *protocol.Dialect
	Buffer  Buffer
	Checks  bool     // TPEINVAL and TPEITYPE come before a service is called
	Echo    []string // serial, amount: an approved payment is believed when its reply repeats them

	// A stream.
	Mode     link.Mode
	Envelope Envelope
	Queue    int
	Backoff  time.Duration
	Ceiling  time.Duration
	Beat     time.Duration // of silence before a line test (op echo), 0: none
	Within   time.Duration // for its answer

	// HTTP, where URL is set; the service is put behind it.
	URL      string
	Statuses map[int]Errno // what a status other than 200 means; one that is not listed leaves the outcome open
	Member   string        // of a JSON reply that holds tperrno, "": none does

	Conns  int
	MaxIn  int                     // bytes of one reply
	Linger time.Duration           // for late answers, 0: a minute
	Late   func(pay.Op, pay.Reply) // replies that nobody waits for any more; pay.FSerial is among More
	Now    func() time.Time
	Log    *slog.Logger
}

// maxAsked bounds the calls that are remembered for their late answers.
const maxAsked = 4096

// Adapter is a gateway adapter. It is safe for concurrent use; Do works while
// Run runs.
type Adapter struct {
	o     Options
	speak *link.Speaker
	mux   *link.Mux // nil: over HTTP
	web   *link.Web
	calls atomic.Uint64

	mu    sync.Mutex
	asked map[string]*link.Asked // given up, by key
	order []string
}

// New builds an adapter; nothing is dialled until Run.
func New(o Options) (*Adapter, error) {
	a := &Adapter{o: o, speak: link.NewSpeaker(o.Dialect, o.Now), asked: map[string]*link.Asked{}}
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("tuxedo: %w", err)
	}
	var err error
	if o.URL != "" {
		a.web, err = link.NewWeb(link.WebOptions{Name: o.Name, URL: o.URL, Dial: o.Dial, Single: !a.speak.Echoed(), Conns: o.Conns, MaxIn: o.MaxIn,
			Linger: o.Linger, Log: o.Log})
		return a, err
	}
	a.mux, err = link.New(link.Options{Name: o.Name, Mode: o.Mode, Conns: o.Conns, Queue: o.Queue, MaxIn: o.MaxIn, Request: o.Dialect.Request.Framer,
		Reply: named{o.Dialect.Reply.Framer}, KeepAlive: o.Dialect.Reply.KeepAlive, Open: a.open, Late: a.late, Beat: link.Beat{Every: o.Beat, Within: o.Within, Make: a.beat},
		Backoff: o.Backoff, Ceiling: o.Ceiling, Linger: o.Linger, Log: o.Log, Dial: o.Dial})
	return a, err
}

func (a *Adapter) check() error {
	o := &a.o
	switch {
	case o.Buffer != STRING && o.Buffer != CARRAY && o.Buffer != FML32:
		return fmt.Errorf("buffer: want STRING, CARRAY or FML32, got %q", o.Buffer)
	case o.URL != "" && o.Envelope.on():
		return errors.New("envelope: is for a stream, not for HTTP")
	case o.URL == "" && !o.Envelope.on() && o.Mode == link.Shared && len(o.Dialect.RequestKey) == 0:
		return errors.New("mode: shared connections need an envelope or a correlation of the link")
	case o.Beat > 0 && !a.speak.Tests():
		return errors.New("heartbeat: the link has no message echo")
	}
	if err := o.Envelope.Check(); err != nil {
		return err
	}
	for i := range o.Dialect.Map.Messages {
		m := &o.Dialect.Map.Messages[i]
		if err := a.checkMessage(m); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// checkMessage looks for the service of a message and for what its reply has
// to repeat.
func (a *Adapter) checkMessage(m *protocol.Message) error {
	if a.o.Envelope.on() || a.o.URL != "" {
		i := slices.IndexFunc(m.Request.Consts, func(c protocol.Const) bool { return c.Slot.Head == protocol.HeadSub })
		if i < 0 {
			return errors.New(`when: "@header" names the service; missing`)
		}
		service := m.Request.Consts[i].Val
		if err := checkService(service); err != nil {
			return err
		}
		if a.o.Envelope.on() && len(service) > a.o.Envelope.Service {
			return fmt.Errorf("service %q: longer than the envelope's %d characters", service, a.o.Envelope.Service)
		}
		if len(service) > safeService {
			a.o.Log.Warn("service name is longer than old monitors take", "event", "QZ415", "host", a.o.Name, "service", service)
		}
	}
	for _, name := range a.o.Echo {
		id, ok := map[string]pay.FieldID{"serial": pay.FSerial, "amount": pay.FAmount}[name]
		if !ok {
			return fmt.Errorf("echo: want serial or amount, got %q", name)
		}
		if m.Op.Collects() && !slices.ContainsFunc(m.Reply.Moves, func(mv protocol.Move) bool { return mv.Field == id }) {
			return fmt.Errorf("echo: its reply has no %s", name)
		}
	}
	return nil
}

// Run keeps the link until ctx ends.
func (a *Adapter) Run(ctx context.Context) error {
	if a.web != nil {
		return a.web.Run(ctx)
	}
	return a.mux.Run(ctx)
}

// Up returns how many connections are open.
func (a *Adapter) Up() int {
	if a.web != nil {
		return a.web.Up()
	}
	return a.mux.Up()
}

// Do calls the service of a request and waits for its reply or the end of ctx.
// The error is a *pay.Fault.
func (a *Adapter) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	asked, err := a.speak.Ask(req)
	if err != nil {
		return pay.Reply{}, err
	}
	if a.o.Buffer == STRING && bytes.IndexByte(asked.Frame.Body, 0) >= 0 {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeFormat, Err: errors.New("a NUL within a STRING buffer")}
	}
	if a.web != nil {
		return a.post(ctx, asked)
	}
	key, f := a.frame(asked)
	ans, err := a.mux.Call(ctx, key, f)
	if err != nil {
		var fault *pay.Fault
		if errors.As(err, &fault) && fault.Sent {
			a.remember(key, asked)
		}
		return pay.Reply{}, err
	}
	return a.read(asked, ans)
}

// frame dresses a message for a stream.
func (a *Adapter) frame(asked *link.Asked) (key string, f protocol.Frame) {
	if !a.o.Envelope.on() {
		return asked.Key, asked.Frame
	}
	key = a.o.Envelope.key(a.calls.Add(1))
	return key, protocol.Frame{Body: a.o.Envelope.seal(a.o.Buffer, asked.Frame.Get(protocol.HeadSub), key, asked.Frame.Body)}
}

// beat builds the n-th line test.
func (a *Adapter) beat(uint64) (string, protocol.Frame, error) {
	n := a.calls.Add(1)
	asked, err := a.speak.Ask(&pay.Request{Op: pay.Echo, Ref: pay.Ref{Kind: pay.Echo.Kind(), Serial: fmt.Sprintf("%06d", n%1_000_000)}})
	if err != nil {
		return "", protocol.Frame{}, err
	}
	key, f := a.frame(asked)
	return key, f, nil
}

// open reads the key of a reply; the rest is read when its call is known.
func (a *Adapter) open(f protocol.Frame) (*link.Answer, error) {
	if !a.o.Envelope.on() {
		return a.speak.Open(f)
	}
	ans, err := a.o.Envelope.open(f.Body)
	return &link.Answer{Key: ans.key, Frame: f}, err
}

// read reads the reply to a call over a stream.
func (a *Adapter) read(asked *link.Asked, ans *link.Answer) (pay.Reply, error) {
	if !a.o.Envelope.on() {
		rep, err := a.speak.Read(asked, ans)
		return a.believe(asked, rep, err)
	}
	got, err := a.o.Envelope.open(ans.Frame.Body)
	if err == nil && got.service != asked.Frame.Get(protocol.HeadSub) {
		err = fmt.Errorf("reply of service %.32q", got.service)
	}
	if err != nil {
		return pay.Reply{}, doubt(err)
	}
	return a.answer(asked, got)
}

func doubt(err error) error { return &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: err} }

// answer says what a reply with its tperrno means.
func (a *Adapter) answer(asked *link.Asked, got answer) (pay.Reply, error) {
	switch {
	case got.errno == 0 || got.errno == TPESVCFAIL:
	case got.errno.undone(a.o.Checks, asked.Request.Op.Money()):
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnreachable, Err: got.errno}
	default:
		return pay.Reply{}, doubt(got.errno)
	}
	if a.o.Buffer == STRING {
		got.body = bytes.TrimRight(got.body, "\x00")
	}
	f := protocol.Frame{Body: got.body}
	f.Set(protocol.HeadStatus, got.urcode)
	ans, err := a.speak.Open(f)
	if err != nil {
		return pay.Reply{}, doubt(errors.Join(err, fail(got.errno)))
	}
	rep, err := a.speak.Read(asked, ans)
	if err == nil && got.errno == TPESVCFAIL && rep.Verdict != pay.Declined {
		return pay.Reply{}, doubt(fmt.Errorf("%w with no code that refuses", got.errno))
	}
	return a.believe(asked, rep, err)
}

func fail(e Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// believe checks what the reply to an approved payment repeats.
func (a *Adapter) believe(asked *link.Asked, rep pay.Reply, err error) (pay.Reply, error) {
	if err != nil || rep.Verdict != pay.Approved || !asked.Request.Op.Collects() {
		return rep, err
	}
	for _, name := range a.o.Echo {
		if name == "serial" && pay.Find(rep.More, pay.FSerial) != asked.Request.Ref.Serial || name == "amount" && rep.Amount != asked.Request.Amount {
			return pay.Reply{}, doubt(fmt.Errorf("the reply does not repeat the %s: %w", name, link.ErrEcho))
		}
	}
	return rep, nil
}

// post calls a service over HTTP.
func (a *Adapter) post(ctx context.Context, asked *link.Asked) (pay.Reply, error) {
	kind := map[Buffer]string{STRING: "text/plain", CARRAY: "application/octet-stream", FML32: "application/json"}[a.o.Buffer]
	got, err := a.web.Post(ctx, "/"+asked.Frame.Get(protocol.HeadSub), http.Header{"Content-Type": {kind}}, asked.Frame.Body, func(p *link.Posted) {
		rep, err := a.posted(asked, p)
		a.tell(asked, rep, err)
	})
	if err != nil {
		return pay.Reply{}, err
	}
	return a.posted(asked, got)
}

func (a *Adapter) posted(asked *link.Asked, p *link.Posted) (pay.Reply, error) {
	got := answer{body: p.Body, urcode: "0"}
	if p.Status != http.StatusOK {
		errno, ok := a.o.Statuses[p.Status]
		if !ok || errno == 0 {
			return pay.Reply{}, doubt(fmt.Errorf("HTTP status %d", p.Status))
		}
		got.errno = errno
	} else if a.o.Member != "" {
		errno, err := member(p.Body, a.o.Member)
		if err != nil {
			return pay.Reply{}, doubt(err)
		}
		got.errno = errno
	}
	return a.answer(asked, got)
}

// member reads tperrno from a JSON object; an object without it has none.
func member(body []byte, name string) (Errno, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return 0, err
	}
	raw, ok := all[name]
	if !ok {
		return 0, nil
	}
	var n int
	if err := json.Unmarshal(bytes.Trim(raw, `"`), &n); err != nil || n < 0 {
		return 0, fmt.Errorf("%s is no number", name)
	}
	return Errno(n), nil
}

// remember keeps a call that was given up for its late answer.
func (a *Adapter) remember(key string, asked *link.Asked) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, there := a.asked[key]; !there {
		a.order = append(a.order, key)
	}
	a.asked[key] = asked
	if len(a.order) > maxAsked {
		delete(a.asked, a.order[0])
		a.order = a.order[1:]
	}
}

// late reads a reply that came after its caller had given up.
func (a *Adapter) late(ans *link.Answer) {
	a.mu.Lock()
	asked := a.asked[ans.Key]
	a.mu.Unlock()
	if asked == nil {
		a.o.Log.Error("late answer to an unknown message", "event", "QZ411", "host", a.o.Name)
		return
	}
	rep, err := a.read(asked, ans)
	a.tell(asked, rep, err)
}

func (a *Adapter) tell(asked *link.Asked, rep pay.Reply, err error) {
	if err != nil {
		a.o.Log.Error("late reply not understood", "event", "QZ411", "host", a.o.Name, "err", err)
		return
	}
	if pay.Find(rep.More, pay.FSerial) == "" {
		rep.More = append(rep.More, pay.Field{ID: pay.FSerial, Val: asked.Request.Ref.Serial})
	}
	a.o.Late(asked.Request.Op, rep)
}
