package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/access"
	"qianzhi/gateway/limit"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/transport"
)

// AccessOptions say who may use a link, and how much of it. Connections and
// frames under way at once are limits of the link file.
type AccessOptions struct {
	Allow     []string      `yaml:"allow"`     // addresses and CIDR blocks that may connect; empty: any
	PerIP     int           `yaml:"per_ip"`    // connections of one address at once, 0: as many as the link's
	Rate      limit.Rate    `yaml:"rate"`      // frames answered; those beyond it are told "busy", which is never final
	Frame     time.Duration `yaml:"frame"`     // for a frame that has begun, or an HTTP head, to arrive whole; 30s by default
	Terminals string        `yaml:"terminals"` // file with the terminals and merchants that the link knows; empty: any
	SignOn    bool          `yaml:"sign_on"`   // a terminal signs on before anything else; needs terminals
}

// frameTime is for a frame that has begun to arrive whole.
const frameTime = 30 * time.Second

// Check reports the first setting that cannot work and fills in what is left
// out.
func (o *AccessOptions) Check() error {
	if _, err := limit.ParseAllow(o.Allow); err != nil {
		return fmt.Errorf("allow: %w", err)
	}
	if err := o.Rate.Check(); err != nil {
		return fmt.Errorf("rate: %w", err)
	}
	if o.Frame == 0 {
		o.Frame = frameTime
	}
	switch {
	case o.PerIP < 0:
		return errors.New("per_ip: must not be negative")
	case o.Frame < 10*time.Millisecond:
		return errors.New("frame: too short")
	case o.SignOn && o.Terminals == "":
		return errors.New("sign_on: needs terminals")
	}
	return nil
}

// Limits bound payments over all links. They hold where the customer's money is
// still with the customer; a sender that has taken it is not refused for them.
type Limits struct {
	Customer    limit.Rate `yaml:"customer"`    // payments of one account
	Institution limit.Rate `yaml:"institution"` // payments of one bank
}

// Check reports the first setting that cannot work.
func (l *Limits) Check() error {
	if err := l.Customer.Check(); err != nil {
		return fmt.Errorf("customer: %w", err)
	}
	if l.Customer.Events > limit.MaxWindow || l.Customer.Burst > 0 {
		return fmt.Errorf("customer: want at most %d events and no burst", limit.MaxWindow)
	}
	if err := l.Institution.Check(); err != nil {
		return fmt.Errorf("institution: %w", err)
	}
	return nil
}

// customer is who owes money: an account of a utility.
type customer struct{ biller, account string }

// counters count payments over all links.
type counters struct {
	customers    *limit.Windows[customer, pay.Ref]
	institutions *limit.Buckets
}

func newCounters(l Limits, now func() time.Time) counters {
	return counters{limit.NewWindows[customer, pay.Ref](l.Customer, now), limit.NewBuckets(l.Institution, now)}
}

// rules are what a link asks of its senders beyond its link file.
type rules struct {
	counters
	terminals *access.Terminals // nil: any
}

// Allow says why a request may not go on.
func (r *rules) Allow(req *pay.Request) pay.Code {
	if r.terminals != nil {
		if why := r.terminals.Allow(req); why != pay.CodeUnknown {
			return why
		}
	}
	if !req.Op.Collects() || req.Via.Funds == pay.Taken {
		return pay.CodeUnknown
	}
	if req.Account != "" && !r.customers.Take(customer{req.Biller, req.Account}, req.Ref) || !r.institutions.Take(req.Ref.Institution) {
		return pay.CodeFrequent
	}
	return pay.CodeUnknown
}

// Done is told of every answer.
func (r *rules) Done(req *pay.Request, rep *pay.Reply) {
	if r.terminals != nil {
		r.terminals.Done(req, rep)
	}
}

// readTerminals reads a table of terminals.
func readTerminals(name string) ([]access.Terminal, error) {
	f, err := conf.Open(name)
	if err != nil {
		return nil, err
	}
	var list []access.Terminal
	if err := errors.Join(f.Section("terminals", &list), f.Unused()); err != nil {
		return nil, err
	}
	return list, nil
}

// enter builds what guards a link's door. It starts nothing.
func (p *Plan) enter(d *door) (err error) {
	o := &d.opts
	if d.allow, err = limit.ParseAllow(o.Access.Allow); err != nil {
		return fmt.Errorf("access: allow: %w", err)
	}
	d.rules = &rules{counters: p.counters}
	if o.Access.Terminals != "" {
		list, err := readTerminals(p.Config.Path(o.Access.Terminals))
		if err != nil {
			return fmt.Errorf("access: terminals: %w", err)
		}
		if d.rules.terminals, err = access.NewTerminals(list, o.Access.SignOn); err != nil {
			return fmt.Errorf("access: terminals: %s: %w", o.Access.Terminals, err)
		}
	}
	return p.secure(d)
}

// secure reads the certificates of a link.
func (p *Plan) secure(d *door) (err error) {
	o := &d.opts
	if !o.TLS.On() {
		return nil
	}
	if o.Listen+o.ReplyListen != "" {
		if d.server, err = o.TLS.Server(p.Config.Path); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	if o.Dial+o.ReplyDial != "" {
		if d.client, err = o.TLS.Dial(p.Config.Path); err != nil {
			return fmt.Errorf("tls: %w", err)
		}
	}
	return nil
}

// secureDial dials and proves both sides to each other within the time.
func secureDial(dial func(context.Context) (net.Conn, error), wrap transport.Wrap, within time.Duration) func(context.Context) (net.Conn, error) {
	if wrap == nil {
		return dial
	}
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		nc, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		c := wrap(nc)
		if h, ok := c.(interface{ HandshakeContext(context.Context) error }); ok {
			if err := h.HandshakeContext(ctx); err != nil {
				return nil, errors.Join(err, nc.Close())
			}
		}
		return c, nil
	}
}

// table watches one file of terminals.
type table struct {
	file string
	t    *access.Terminals
	at   time.Time
}

// tables are the terminal files of all links.
func (p *Plan) tables() []*table {
	var all []*table
	for _, d := range p.links {
		if name := d.opts.Access.Terminals; name != "" {
			t := &table{file: p.Config.Path(name), t: d.rules.terminals}
			t.at, _ = t.changed()
			all = append(all, t)
		}
	}
	return all
}

func (t *table) changed() (time.Time, bool) {
	info, err := os.Stat(t.file)
	if err != nil {
		return t.at, false
	}
	return info.ModTime(), !info.ModTime().Equal(t.at)
}

// reread takes over tables of terminals that have changed. A wrong one leaves
// everything as it was.
func (a *App) reread(all []*table) {
	for _, t := range all {
		at, changed := t.changed()
		if !changed {
			continue
		}
		t.at = at
		list, err := readTerminals(t.file)
		if err == nil {
			err = t.t.Replace(list)
		}
		if err != nil {
			a.log.Error("table of terminals not taken over", "event", "QZ520", "file", t.file, "err", strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		a.log.Info("table of terminals taken over", "event", "QZ521", "file", t.file, "count", len(list))
	}
}
