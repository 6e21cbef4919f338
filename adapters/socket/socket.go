// Package socket asks a counterparty that speaks any Dialect over a stream
// socket.
package socket

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"qianzhi/adapters/link"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Options are the parts and limits of one counterparty.
type Options struct {
	Name    string
	Dial    func(ctx context.Context) (net.Conn, error)
	Dialect *protocol.Dialect
	Conns   int
	Queue   int
	MaxIn   int // bytes of one reply frame
	Backoff time.Duration
	Ceiling time.Duration
	Late    func(pay.Op, pay.Reply) // replies that nobody waits for any more; pay.FSerial is among More where the link sends it
	Now     func() time.Time
	Log     *slog.Logger
}

// Adapter is a gateway adapter over one shared link. It is safe for concurrent
// use; Do works while Run runs.
type Adapter struct {
	o       Options
	mux     *link.Mux
	calls   atomic.Uint64
	records sync.Pool
}

// New builds an adapter; nothing is dialled until Run.
func New(o Options) (*Adapter, error) {
	a := &Adapter{o: o}
	if len(o.Dialect.RequestKey) == 0 || len(o.Dialect.RequestKey) != len(o.Dialect.ReplyKey) {
		return nil, errors.New("socket: correlation: want the same number of request and reply fields, at least one")
	}
	mux, err := link.New(link.Options{Name: o.Name, Conns: o.Conns, Queue: o.Queue, MaxIn: o.MaxIn,
		Request: o.Dialect.Request.Framer, Reply: o.Dialect.Reply.Framer, Open: a.open, Late: a.late,
		Backoff: o.Backoff, Ceiling: o.Ceiling, Log: o.Log, Dial: o.Dial})
	a.mux = mux
	return a, err
}

// Dialer dials a TCP address; one dial takes at most within.
func Dialer(addr string, within time.Duration) func(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: within, KeepAlive: 30 * time.Second}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
}

// Run keeps the link open until ctx ends.
func (a *Adapter) Run(ctx context.Context) error { return a.mux.Run(ctx) }

// Up returns how many connections are open.
func (a *Adapter) Up() int { return a.mux.Up() }

// Do sends one request and waits for its reply or the end of ctx. The error is
// a *pay.Fault.
func (a *Adapter) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	rec := a.record()
	f, msg, err := a.o.Dialect.AppendRequest(a.numbered(req), rec, a.o.Now())
	if err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeFormat, Err: err}
	}
	key := protocol.Key(a.o.Dialect.RequestKey, &f, rec)
	a.records.Put(rec)
	ans, err := a.mux.Call(ctx, key, f)
	if err != nil {
		return pay.Reply{}, err
	}
	defer a.records.Put(ans.Record)
	rep, err := a.o.Dialect.Map.Reply(msg, &ans.Frame, ans.Record, a.o.Now())
	if err == nil {
		err = echoes(req, &rep)
	}
	if err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: err}
	}
	return rep, nil
}

// ErrEcho reports a reply that names another payment than the request did.
var ErrEcho = errors.New("reply names another serial")

// echoes compares the serial that comes back, where the link sends it.
func echoes(req *pay.Request, rep *pay.Reply) error {
	if back := pay.Find(rep.More, pay.FSerial); back != "" && back != req.Ref.Serial {
		return ErrEcho
	}
	return nil
}

// numbered gives the call a number of its own, for dialects that correlate by
// one: two banks may use the same serial at the same time.
func (a *Adapter) numbered(req *pay.Request) *pay.Request {
	r := *req
	id := strconv.FormatUint(a.calls.Add(1), 36)
	r.More = append(slices.Clip(r.More), pay.Field{ID: pay.FCorrelation, Val: id})
	return &r
}

func (a *Adapter) record() *protocol.Record {
	if r, ok := a.records.Get().(*protocol.Record); ok {
		return r
	}
	return new(protocol.Record)
}

func (a *Adapter) open(f protocol.Frame) (*link.Answer, error) {
	rec := a.record()
	if err := a.o.Dialect.OpenReply(&f, rec); err != nil {
		return nil, err
	}
	return &link.Answer{Key: protocol.Key(a.o.Dialect.ReplyKey, &f, rec), Frame: f, Record: rec}, nil
}

// late reads a reply that came after its caller had given up. Which message it
// answers is found by the constants of the replies.
func (a *Adapter) late(ans *link.Answer) {
	defer a.records.Put(ans.Record)
	for msg := range a.o.Dialect.Map.Messages {
		rep, err := a.o.Dialect.Map.Reply(msg, &ans.Frame, ans.Record, a.o.Now())
		if err == nil {
			a.o.Late(a.o.Dialect.Map.Messages[msg].Op, rep)
			return
		}
	}
	a.o.Log.Error("late reply not understood", "event", "QZ411", "host", a.o.Name)
}
