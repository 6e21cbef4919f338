package tcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"

	"qianzhi/gateway/limit"
	"qianzhi/protocol"
)

// Handler answers whole frames. Answer and Refuse may block; a reply without
// Body means that nothing is sent. Garbage reports bytes that are no frame.
type Handler interface {
	Answer(ctx context.Context, in protocol.Inbound) (protocol.Frame, error)
	Refuse(ctx context.Context, in protocol.Inbound) (protocol.Frame, error)
	Garbage(ctx context.Context, peer string, head []byte, why error)
}

// Options are the parts and limits of one listener.
type Options struct {
	Addr      string // host:port; port 0 picks one
	Handler   Handler
	Request   protocol.Framer // cuts what arrives
	Reply     protocol.Framer // writes what leaves
	MaxFrame  int             // bytes of one frame, prefix included
	InFlight  int             // frames being answered at once on this listener
	Refusals  int             // frames being refused at once beyond that
	Conns     int             // connections at once
	MaxOut    int             // unsent reply bytes of a connection before it is closed
	Ordered   bool            // one frame at a time per connection, replies in order
	KeepAlive bool            // a frame without body is answered with one, as transport.Pulse has it; else it is ignored
	Allow     []netip.Prefix  // who may connect; empty: anybody
	PerIP     int             // connections of one address at once; 0: as many as Conns
	Rate      limit.Rate      // frames that are answered; those beyond it are refused properly
	Slow      time.Duration   // for a frame that has begun to arrive whole; 0: any
	Now       func() time.Time
	Log       *slog.Logger
}

// Check reports the first option that cannot work.
func (o *Options) Check() error {
	switch {
	case o.MaxFrame <= 0 || o.InFlight <= 0 || o.Refusals < 0 || o.Conns <= 0 || o.MaxOut <= 0:
		return errors.New("tcp: max_frame, in_flight, conns and max_out must be positive")
	case o.PerIP < 0 || o.Slow < 0:
		return errors.New("tcp: per_ip and slow must not be negative")
	case o.Handler == nil || o.Request == nil || o.Reply == nil || o.Now == nil || o.Log == nil:
		return errors.New("tcp: a part is missing")
	}
	return o.Rate.Check()
}

// door builds what admits connections.
func (o *Options) door() (*limit.Door, error) {
	return limit.NewDoor(limit.DoorOptions{Allow: o.Allow, PerIP: o.PerIP, All: o.Conns})
}

// Server is one listener.
type Server struct {
	gnet.BuiltinEventEngine
	o     Options
	eng   gnet.Engine
	gate  *gate
	door  *limit.Door
	said  *limit.Bucket // log lines of refused connections
	addr  atomic.Pointer[string]
	ready chan struct{}

	mu    sync.Mutex
	conns map[*conn]bool
}

// complaints bounds log lines that a peer can cause; what is not logged is
// counted all the same.
var complaints = limit.Rate{Events: 10, Per: time.Second}

// New builds a listener that is not yet open.
func New(o Options) (*Server, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	door, err := o.door()
	if err != nil {
		return nil, err
	}
	return &Server{o: o, gate: newGate(&o), door: door, said: limit.NewBucket(complaints, time.Now), ready: make(chan struct{}), conns: map[*conn]bool{}}, nil
}

// Ready is closed once the listener accepts connections.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr returns the bound address once Ready.
func (s *Server) Addr() string {
	if a := s.addr.Load(); a != nil {
		return *a
	}
	return ""
}

// Up returns how many connections are open.
func (s *Server) Up() int { return s.door.Open() }

// Refused returns how many connections were refused.
func (s *Server) Refused() limit.Refused { return s.door.Refused() }

// Run listens until ctx ends, then refuses new frames, waits for the admitted
// ones, lets their replies leave and closes. It returns after all of that.
func (s *Server) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	defer func() { <-stopped }()
	ended, end := context.WithCancel(ctx)
	go func() {
		defer close(stopped)
		<-ended.Done()
		s.gate.drain()
		if s.eng.Validate() == nil {
			// Stop looks at its engine twice a second only, so it is given an ended
			// context and gnet.Run, which returns at once, is what is waited for.
			if err := s.eng.Stop(ended); !errors.Is(err, context.Canceled) && err != nil {
				s.o.Log.Warn("listener did not stop cleanly", "addr", s.o.Addr, "err", err)
			}
		}
	}()
	err := gnet.Run(s, "tcp://"+s.o.Addr, gnet.WithNumEventLoop(1), gnet.WithReuseAddr(true),
		gnet.WithTCPKeepAlive(time.Minute), gnet.WithTCPNoDelay(gnet.TCPNoDelay), gnet.WithLogger(quiet{s.o.Log}), gnet.WithTicker(s.o.Slow > 0),
		gnet.WithLogLevel(logging.ErrorLevel))
	end()
	if err != nil {
		return fmt.Errorf("tcp: listen on %s: %w", s.o.Addr, s.reason(err))
	}
	return nil
}

// reason is why an address cannot be listened on: gnet tells of an option that it
// could not set on the socket it did not get.
func (s *Server) reason(err error) error {
	ln, why := net.Listen("tcp", s.o.Addr)
	if why != nil {
		return why
	}
	return errors.Join(err, ln.Close())
}

// OnBoot notes the bound address.
func (s *Server) OnBoot(eng gnet.Engine) gnet.Action {
	s.eng = eng
	addr := s.o.Addr
	if fd, err := eng.Dup(); err == nil {
		f := os.NewFile(uintptr(fd), "listener")
		if l, err := net.FileListener(f); err == nil {
			addr = l.Addr().String()
			l.Close()
		}
		f.Close()
	}
	s.addr.Store(&addr)
	close(s.ready)
	return gnet.None
}

// OnOpen admits a connection or closes it at once.
func (s *Server) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	from := c.RemoteAddr()
	if why := s.door.Enter(from); why != limit.Admitted {
		complain(&s.o, s.said, from, why)
		return nil, gnet.Close
	}
	k := &conn{c: c, s: s, from: from, peer: from.String()}
	c.SetContext(k)
	s.mu.Lock()
	s.conns[k] = true
	s.mu.Unlock()
	return nil, gnet.None
}

func complain(o *Options, said *limit.Bucket, from net.Addr, why limit.Why) {
	if said.Take() {
		o.Log.Warn("connection refused", "event", "QZ230", "addr", o.Addr, "peer", from.String(), "why", why.String())
	}
}

// OnClose forgets a connection; answers under way go on and are journaled.
func (s *Server) OnClose(c gnet.Conn, _ error) gnet.Action {
	if k, ok := c.Context().(*conn); ok {
		s.mu.Lock()
		delete(s.conns, k)
		s.mu.Unlock()
		s.door.Leave(k.from)
		k.close()
	}
	return gnet.None
}

// OnTick closes connections whose frame has been arriving for too long. It runs
// on a goroutine of its own.
func (s *Server) OnTick() (time.Duration, gnet.Action) {
	late := time.Now().Add(-s.o.Slow).UnixNano()
	var slow []*conn
	s.mu.Lock()
	for k := range s.conns {
		if at := k.since.Load(); at != 0 && at < late {
			slow = append(slow, k)
		}
	}
	s.mu.Unlock()
	for _, k := range slow {
		s.o.Handler.Garbage(context.Background(), k.peer, nil, errLate)
		if err := k.c.Close(); err != nil {
			s.o.Log.Debug("slow connection was gone already", "peer", k.peer, "err", err)
		}
	}
	return max(s.o.Slow/4, 10*time.Millisecond), gnet.None
}

var errLate = errors.New("the frame did not arrive in time")

// OnTraffic cuts the frames that have arrived and hands over those that find a
// place. It runs on the event loop and never blocks.
func (s *Server) OnTraffic(c gnet.Conn) gnet.Action {
	k, ok := c.Context().(*conn)
	if !ok {
		return gnet.Close
	}
	buf, err := c.Peek(-1)
	if err != nil || len(buf) == 0 {
		return gnet.None
	}
	used, part, verdict := s.cut(k, buf)
	k.arrives(part, used > 0)
	if used > 0 {
		if _, err := c.Discard(used); err != nil {
			return gnet.Close
		}
	}
	if verdict == gnet.None && c.InboundBuffered() > 4*s.o.MaxFrame {
		s.o.Handler.Garbage(context.Background(), k.peer, head(buf[used:]), errFlood)
		return gnet.Close
	}
	return verdict
}

var errFlood = errors.New("more frames waiting than the link allows")

// cut hands over the whole frames of buf and returns how many bytes they took,
// and whether part of a frame is left.
func (s *Server) cut(k *conn, buf []byte) (used int, part bool, verdict gnet.Action) {
	for used < len(buf) {
		f, n, err := s.o.Request.Next(buf[used:])
		if err != nil {
			s.o.Handler.Garbage(context.Background(), k.peer, head(buf[used:]), err)
			return used, false, gnet.Close
		}
		if n == 0 {
			return used, true, gnet.None
		}
		if f.Body == nil {
			k.pulsed(f)
		} else if !k.start(f) {
			break
		}
		used += n
	}
	return used, false, gnet.None
}

func head(b []byte) []byte { return append([]byte(nil), b[:min(len(b), 64)]...) }

// quiet sends gnet's own log lines to ours.
type quiet struct{ log *slog.Logger }

func (q quiet) Debugf(string, ...any)          {}
func (q quiet) Infof(string, ...any)           {}
func (q quiet) Warnf(format string, a ...any)  { q.log.Debug(fmt.Sprintf(format, a...)) }
func (q quiet) Errorf(format string, a ...any) { q.log.Warn(fmt.Sprintf(format, a...)) }
func (q quiet) Fatalf(format string, a ...any) { q.log.Error(fmt.Sprintf(format, a...)) }
