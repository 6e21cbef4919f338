package limit

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// DoorOptions say who may connect, and how often at once.
type DoorOptions struct {
	Allow []netip.Prefix // empty: anybody
	PerIP int            // connections of one address (IPv6: of one /64), 0: as many as All
	All   int            // connections at once
}

// Why a connection is refused.
type Why uint8

// The reasons.
const (
	Admitted   Why = iota
	NotAllowed     // address is not on the list
	TooMany        // connections at once
	TooManyIP      // connections of that address at once
	whys
)

// String returns the reason as it stands in metrics.
func (w Why) String() string {
	return [...]string{"admitted", "not allowed", "too many", "too many of one address"}[min(w, whys-1)]
}

// Refused counts refused connections by reason.
type Refused struct{ NotAllowed, TooMany, TooManyIP uint64 }

// Sum returns all of them.
func (r Refused) Sum() uint64 { return r.NotAllowed + r.TooMany + r.TooManyIP }

// Door admits connections. It is safe for concurrent use.
type Door struct {
	o DoorOptions

	mu      sync.Mutex
	all     int
	by      map[netip.Addr]int
	refused [whys]uint64
}

// NewDoor builds a door.
func NewDoor(o DoorOptions) (*Door, error) {
	if o.All <= 0 || o.PerIP < 0 {
		return nil, errors.New("limit: connections must be positive")
	}
	if o.PerIP == 0 {
		o.PerIP = o.All
	}
	return &Door{o: o, by: map[netip.Addr]int{}}, nil
}

// Enter admits a connection from an address, or says why not. Who was admitted
// leaves once with the same address.
func (d *Door) Enter(from net.Addr) Why {
	ip := address(from)
	d.mu.Lock()
	defer d.mu.Unlock()
	why := Admitted
	switch {
	case !d.allowed(ip):
		why = NotAllowed
	case d.all >= d.o.All:
		why = TooMany
	case d.by[block(ip)] >= d.o.PerIP:
		why = TooManyIP
	default:
		d.all++
		d.by[block(ip)]++
		return Admitted
	}
	d.refused[why]++
	return why
}

// Leave gives an admitted connection's place back.
func (d *Door) Leave(from net.Addr) {
	ip := block(address(from))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all--
	if d.by[ip]--; d.by[ip] <= 0 {
		delete(d.by, ip)
	}
}

// Open returns how many connections there are.
func (d *Door) Open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all
}

// Refused returns how many connections were refused so far.
func (d *Door) Refused() Refused {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Refused{d.refused[NotAllowed], d.refused[TooMany], d.refused[TooManyIP]}
}

func (d *Door) allowed(ip netip.Addr) bool {
	for _, p := range d.o.Allow {
		if p.Contains(ip) {
			return true
		}
	}
	return len(d.o.Allow) == 0
}

// address returns the IP of a peer, the zero one where it has none.
func address(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// block is what counts as one address: who has one IPv6 address has a /64.
func block(ip netip.Addr) netip.Addr {
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}

// ParseAllow reads a list of addresses and CIDR blocks. A block whose address
// has bits behind its mask is an error: it is not what was meant.
func ParseAllow(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, s := range list {
		if ip, err := netip.ParseAddr(s); err == nil {
			ip = ip.Unmap().WithZone("")
			out = append(out, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %q is neither an address nor a CIDR block", i, s)
		}
		if p != p.Masked() {
			return nil, fmt.Errorf("[%d]: %q has bits behind its mask, want %s", i, s, p.Masked())
		}
		out = append(out, p)
	}
	return out, nil
}

// Listen puts a door in front of a listener: connections that are not admitted
// are closed at once, so that they keep nobody waiting. refused is told of
// each; it must not block.
func Listen(ln net.Listener, d *Door, refused func(net.Addr, Why)) net.Listener {
	return &listener{ln, d, refused}
}

type listener struct {
	net.Listener
	d       *Door
	refused func(net.Addr, Why)
}

// Accept returns the next admitted connection.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		why := l.d.Enter(c.RemoteAddr())
		if why == Admitted {
			return &conn{Conn: c, d: l.d}, nil
		}
		l.refused(c.RemoteAddr(), why)
		_ = c.Close() // nobody is to be told
	}
}

// conn leaves the door when it is closed for the first time.
type conn struct {
	net.Conn
	d    *Door
	once sync.Once
}

// Close closes the connection and gives its place back.
func (c *conn) Close() error {
	c.once.Do(func() { c.d.Leave(c.RemoteAddr()) })
	return c.Conn.Close()
}

// CloseWrite passes a half-close on where the connection has one.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
