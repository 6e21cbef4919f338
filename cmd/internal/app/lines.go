package app

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/http"
	"qianzhi/gateway/tcp"
	"qianzhi/protocol/transport"
)

// LinkOptions binds a link file to addresses and to keys. Requests come from
// connections that the bank opens (listen) or that we open (dial). Replies
// leave on the same connection unless one of the reply settings names another.
type LinkOptions struct {
	ID          string            `yaml:"id"`
	File        string            `yaml:"file"`
	Host        string            `yaml:"host"`         // which of ours tells over it what became of charges; empty: none
	Listen      string            `yaml:"listen"`       // the bank dials us here
	Dial        string            `yaml:"dial"`         // we dial the bank and answer what it asks there
	ReplyListen string            `yaml:"reply_listen"` // the bank dials us here for its replies
	ReplyDial   string            `yaml:"reply_dial"`   // we dial the bank for its replies
	ReplyQueue  int               `yaml:"reply_queue"`  // replies of a peer that wait for its response connection; 256 by default
	Connect     time.Duration     `yaml:"connect"`      // one dial; 3s by default
	Backoff     time.Duration     `yaml:"backoff"`      // between dials, doubling to ceiling; 100ms by default
	Ceiling     time.Duration     `yaml:"ceiling"`      // 10s by default
	Keys        map[string]string `yaml:"keys"`         // role in the link file: key name
	Access      AccessOptions     `yaml:"access"`       // who may use it, and how much
	TLS         transport.Options `yaml:"tls"`          // of listen and reply_listen, or of dial and reply_dial
	Checks      CheckOptions      `yaml:"checks"`       // how 对总账 and 对明细账 are answered over it; left out: not
}

// defaults of the settings that a link may leave out.
const (
	replyQueue = 256
	maxQueue   = 1 << 16
	connect    = 3 * time.Second
	backoff    = 100 * time.Millisecond
	ceiling    = 10 * time.Second
	stall      = 10 * time.Second // for one write
	handshake  = 10 * time.Second // for a TLS handshake
)

// Check reports the first setting that cannot work and fills in what is left
// out.
func (o *LinkOptions) Check() error {
	separate, dials := o.ReplyListen+o.ReplyDial != "", o.Dial+o.ReplyDial != ""
	switch {
	case o.Listen == "" && o.Dial == "":
		return errors.New("listen: want listen or dial")
	case o.Listen != "" && o.Dial != "":
		return errors.New("dial: want listen or dial, not both")
	case o.ReplyListen != "" && o.ReplyDial != "":
		return errors.New("reply_dial: want reply_listen or reply_dial, not both")
	case o.ReplyQueue != 0 && !separate:
		return errors.New("reply_queue: needs reply_listen or reply_dial")
	case o.ReplyQueue < 0 || o.ReplyQueue > maxQueue:
		return fmt.Errorf("reply_queue: want 1 to %d", maxQueue)
	}
	for _, a := range []struct{ key, addr string }{{"listen", o.Listen}, {"dial", o.Dial}, {"reply_listen", o.ReplyListen}, {"reply_dial", o.ReplyDial}} {
		if err := address(a.addr); err != nil {
			return fmt.Errorf("%s: %w", a.key, err)
		}
	}
	for _, d := range []struct {
		key   string
		at    *time.Duration
		least time.Duration
		usual time.Duration
	}{{"connect", &o.Connect, 1, connect}, {"backoff", &o.Backoff, time.Millisecond, backoff}, {"ceiling", &o.Ceiling, time.Millisecond, ceiling}} {
		switch {
		case *d.at == 0:
			*d.at = d.usual
		case !dials:
			return fmt.Errorf("%s: needs dial or reply_dial", d.key)
		case *d.at < d.least:
			return fmt.Errorf("%s: too short", d.key)
		}
	}
	if o.Ceiling < o.Backoff {
		return fmt.Errorf("ceiling: want at least the backoff of %s", o.Backoff)
	}
	if o.ReplyQueue == 0 {
		o.ReplyQueue = replyQueue
	}
	if err := o.Access.Check(); err != nil {
		return fmt.Errorf("access: %w", err)
	}
	if err := o.TLS.Check(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	if o.TLS.On() && o.Listen+o.ReplyListen != "" && dials {
		return errors.New("tls: a link that listens and dials cannot have it yet: the two need different certificates")
	}
	return nil
}

// address wants a host to be named, so that nothing is open to all interfaces
// by an omission.
func address(s string) error {
	if s == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return err
	}
	if host == "" {
		return fmt.Errorf("%q names no host; 0.0.0.0 stands for all interfaces", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q: want a port number", s)
	}
	return nil
}

// check reports what the link file and the addresses make impossible together.
// The text begins with the key of the configuration that has to change.
func (d *door) check() error {
	key, o := "", &d.opts
	for _, x := range [][2]string{{"dial", o.Dial}, {"reply_listen", o.ReplyListen}, {"reply_dial", o.ReplyDial}} {
		if x[1] != "" {
			key = x[0]
			break
		}
	}
	switch {
	case key != "" && d.link.Transport == "http":
		return fmt.Errorf("%s: %s has transport http, which only listens", key, o.File)
	case key != "" && d.link.OneShot():
		return fmt.Errorf("%s: %s has mode one-shot, which only listens and answers on the same connection", key, o.File)
	case d.link.Transport == "tcp" && d.link.Endless() && !d.link.OneShot():
		return fmt.Errorf("file: %s: frame has neither length nor end bytes, which needs mode one-shot", o.File)
	}
	return nil
}

// streams reports whether the door is no ordinary listener.
func (d *door) streams() bool {
	return d.link.OneShot() || d.opts.Dial+d.opts.ReplyListen+d.opts.ReplyDial != "" || d.opts.TLS.On()
}

// openStream opens a door that is no ordinary listener.
func (a *App) openStream(d *door, ch *gateway.Channel) error {
	o, t := &d.opts, d.link.Timeouts
	s, err := tcp.NewStream(tcp.StreamOptions{Options: a.tcpOptions(d, ch), Dial: o.Dial, ReplyAddr: o.ReplyListen, ReplyDial: o.ReplyDial,
		OneShot: d.link.OneShot(), Whole: d.link.OneShot() && d.link.Endless(), Within: t.Terminal,
		Connect: o.Connect, Backoff: o.Backoff, Ceiling: o.Ceiling, Keep: o.ReplyQueue, Stale: t.Terminal, Stall: stall,
		Server: d.server, Client: d.client, Hands: handshake})
	if err != nil {
		return err
	}
	a.opened(o.ID, s.Addr(), streams{s, o})
	a.stack.push(task{name: "link " + o.ID, group: "links", run: s.Run})
	return nil
}

// line is how a door looks in the status.
type line interface {
	look(l *admin.Link) []admin.Problem
}

type ordinary struct{ s *tcp.Server }

func (o ordinary) look(l *admin.Link) []admin.Problem {
	l.Conns, l.Refused = o.s.Up(), o.s.Refused().Sum()
	return nil
}

type web struct{ s *http.Server }

func (w web) look(l *admin.Link) []admin.Problem {
	l.Conns, l.Refused = w.s.Up(), w.s.Refused().Sum()
	return nil
}

type streams struct {
	s *tcp.Stream
	o *LinkOptions
}

// look fills in the connections. A connection that we should have is a problem
// while it is down, a response connection that the bank should open is one
// while requests come.
func (s streams) look(l *admin.Link) (out []admin.Problem) {
	l.Conns, l.ReplyConns = s.s.Up()
	l.Refused = s.s.Refused().Sum()
	l.Dial, l.Dropped = s.o.Dial, s.s.Dropped()
	l.ReplyAddr = s.s.ReplyAddr() + s.o.ReplyDial
	part := "link " + l.ID
	if l.Dial != "" && l.Conns == 0 {
		out = append(out, admin.Problem{Part: part, Text: "未连接 " + l.Dial})
	}
	if l.ReplyConns == 0 && (s.o.ReplyDial != "" || s.o.ReplyListen != "" && l.Conns > 0) {
		out = append(out, admin.Problem{Part: part, Text: "应答连接未建立 " + l.ReplyAddr})
	}
	return out
}
