// Package socket asks a counterparty that speaks any Dialect over a stream
// socket.
package socket

import (
	"context"
	"errors"
	"log/slog"
	"net"
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
	Mode    link.Mode
	Endless bool // Short: a message ends where its sender shuts down its side
	Conns   int
	Queue   int
	MaxIn   int // bytes of one reply frame
	Backoff time.Duration
	Ceiling time.Duration
	Linger  time.Duration           // of a connection with calls given up, for late answers; 0: a minute
	Beat    time.Duration           // of silence before a line test (op echo), 0: none
	Within  time.Duration           // for its answer
	Late    func(pay.Op, pay.Reply) // replies that nobody waits for any more; pay.FSerial is among More where the link sends it
	Now     func() time.Time
	Log     *slog.Logger
}

// Adapter is a gateway adapter over one link. It is safe for concurrent use; Do
// works while Run runs.
type Adapter struct {
	o     Options
	mux   *link.Mux
	speak *link.Speaker
}

// New builds an adapter; nothing is dialled until Run.
func New(o Options) (*Adapter, error) {
	a := &Adapter{o: o, speak: link.NewSpeaker(o.Dialect, o.Now)}
	if len(o.Dialect.RequestKey) == 0 && o.Mode == link.Shared || len(o.Dialect.RequestKey) != len(o.Dialect.ReplyKey) {
		return nil, errors.New("socket: correlation: want the same number of request and reply fields, and on shared connections at least one")
	}
	if o.Beat > 0 && !a.speak.Tests() {
		return nil, errors.New("socket: heartbeat: the link has no message echo")
	}
	mux, err := link.New(link.Options{Name: o.Name, Mode: o.Mode, Endless: o.Endless, Conns: o.Conns, Queue: o.Queue, MaxIn: o.MaxIn,
		Request: o.Dialect.Request.Framer, Reply: o.Dialect.Reply.Framer, KeepAlive: o.Dialect.Reply.KeepAlive, Open: a.speak.Open, Late: a.late,
		Beat:    link.Beat{Every: o.Beat, Within: o.Within, Make: a.speak.Test},
		Backoff: o.Backoff, Ceiling: o.Ceiling, Linger: o.Linger, Log: o.Log, Dial: o.Dial})
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
	asked, err := a.speak.Ask(req)
	if err != nil {
		return pay.Reply{}, err
	}
	ans, err := a.mux.Call(ctx, asked.Key, asked.Frame)
	if err != nil {
		return pay.Reply{}, err
	}
	return a.speak.Read(asked, ans)
}

// late passes on a reply that came after its caller had given up.
func (a *Adapter) late(ans *link.Answer) {
	op, rep, ok := a.speak.Late(ans)
	if !ok {
		a.o.Log.Error("late reply not understood", "event", "QZ411", "host", a.o.Name)
		return
	}
	a.o.Late(op, rep)
}
