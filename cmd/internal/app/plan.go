package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"qianzhi/adapters/posp"
	"qianzhi/cmd/internal/batch"
	"qianzhi/conf"
	"qianzhi/gateway"
	"qianzhi/gateway/calendar"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
	"qianzhi/protocol/transport"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// Plan is everything that serve needs, built and checked, with nothing
// started: no file is created, no address bound, no host dialled.
type Plan struct {
	Config  *Config
	log     *slog.Logger
	wall    func() time.Time
	cal     *calendar.Calendar
	cron    *calendar.Cron
	ring    secure.Ring
	links   []*door
	mis     *door   // nil without the embedded MIS
	misMore []*door // its other doors
	hosts   map[string]*gateway.Host
	ends    []endpoint // one for each host
	posps   []centre
	picks   []*pickup
	sends   []*dispatch
	debits  []*batch.Options
	routes  gateway.Routes
	matrix  *reconcile.Matrix
	specs   map[string]*statement.Spec
	tells   map[string]string              // link: host
	gross   map[string]bool                // hosts whose 对总账 tells what was given back
	engine  atomic.Pointer[gateway.Engine] // once started

	counters counters // of payments over all links
}

// door is a link with its dialect and what it is bound to.
type door struct {
	opts    LinkOptions
	link    *spec.Link
	dialect *protocol.Dialect

	allow          []netip.Prefix
	rules          *rules // nil: the embedded MIS
	server, client transport.Wrap
}

// centre is a card centre with terminals of ours.
type centre struct {
	*posp.Adapter
	id     string
	settle Settlement
}

// Prepare builds a plan. Errors name the file or section they come from.
func Prepare(c *Config, log *slog.Logger) (*Plan, error) {
	if err := gm.SelfTest(); err != nil {
		return nil, fmt.Errorf("国密自检失败, 拒绝启动: %w", err)
	}
	p := &Plan{Config: c, log: log, wall: time.Now, hosts: map[string]*gateway.Host{}, gross: map[string]bool{}, specs: map[string]*statement.Spec{}}
	for _, step := range []func() error{p.calendar, p.keys, p.doors, p.counterparties, p.noticing, p.pickups, p.dispatches, p.batches, p.routing, p.telling, p.patience, p.night, p.checking, p.standing} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Plan) calendar() (err error) {
	if p.cal, err = p.Config.Days(); err != nil {
		return p.wrong(err, "calendar")
	}
	if p.cron, err = p.cal.ParseCron(p.Config.Reconcile.Cron); err != nil {
		return p.wrong(err, "reconcile", "cron")
	}
	return nil
}

// wrong names the place in the configuration that an error is about.
func (p *Plan) wrong(err error, path ...any) error { return p.Config.file.Wrong(err, path...) }

// now is the wall clock in the calendar's zone.
func (p *Plan) now() time.Time { return p.wall().In(p.cal.Location()) }

func (p *Plan) keys() (err error) {
	p.ring, err = p.Config.ring()
	return err
}

func (p *Plan) door(o LinkOptions) (*door, error) {
	l, err := p.Config.link(o.File)
	if err != nil {
		return nil, err
	}
	d, err := l.Assemble(spec.Parts{Keys: secure.Keys{Ring: p.ring, Roles: o.Keys},
		Sessions: secure.NewSessions(max(1, l.Limits.Terminals)), Now: p.now})
	if err != nil {
		return nil, err
	}
	return &door{opts: o, link: l, dialect: d}, nil
}

func (p *Plan) doors() error {
	seen := map[string]bool{}
	p.counters = newCounters(p.Config.Limits, p.now)
	for i, o := range p.Config.Links {
		if o.ID == "" || seen[o.ID] {
			return p.wrong(fmt.Errorf("id: %q: an id is needed and stands once", o.ID), "links", i)
		}
		seen[o.ID] = true
		d, err := p.door(o)
		if err != nil {
			return p.wrong(err, "links", i, "file")
		}
		if err := errors.Join(d.check(), p.enter(d)); err != nil {
			return p.wrong(err, "links", i)
		}
		p.links = append(p.links, d)
	}
	if !p.Config.MIS.Embedded {
		return nil
	}
	m := p.Config.MIS
	o := LinkOptions{ID: "mis", File: m.File, Listen: m.Listen, Keys: m.Keys}
	if err := o.Check(); err != nil {
		return p.wrong(err, "mis")
	}
	d, err := p.door(o)
	if err != nil {
		return p.wrong(err, "mis", "file")
	}
	p.mis = d
	return p.misDoors()
}

func (p *Plan) counterparties() error {
	for i, o := range p.Config.Hosts {
		d, err := p.door(LinkOptions{ID: o.ID, File: o.File, Keys: o.Keys})
		if err != nil {
			return p.wrong(err, "hosts", i, "file")
		}
		ops, err := d.link.Ops()
		if err != nil {
			return p.wrong(err, "hosts", i, "file")
		}
		a, err := p.adapter(o, d)
		if err != nil {
			return p.wrong(err, "hosts", i)
		}
		p.gross[o.ID] = tellsDebits(d.link)
		p.hosts[o.ID] = &gateway.Host{ID: o.ID, Adapter: a, Ops: ops, Timeout: o.Timeout, LateWindow: o.LateWindow, Poll: o.Poll,
			Status: o.Status == "by-serial", Dedupe: o.Dedupe == "yes", UndoTells: o.UndoTells == "yes", UndoMarks: o.UndoMarks == "yes", UndoDays: o.UndoDays, RefundDays: o.RefundDays}
	}
	return nil
}

// acceptor takes the work keys of a sign-on.
type acceptor interface {
	Accept(req *pay.Request, rep *pay.Reply) error
}

// late takes an answer that came after its caller gave up.
func (p *Plan) late(host string) func(pay.Op, pay.Reply) {
	return func(op pay.Op, r pay.Reply) { p.tell(host, op, pay.Find(r.More, pay.FSerial), r) }
}

// tell hands a late answer to the engine, which is built later than the
// adapters.
func (p *Plan) tell(host string, op pay.Op, serial string, r pay.Reply) {
	p.log.Warn("late answer", "event", "QZ312", "host", host, "op", op.String(), "verdict", r.Verdict.String(), "host_serial", r.Serial)
	e := p.engine.Load()
	switch {
	case e == nil:
	case op.Collects():
		e.Late(context.Background(), host, serial, r)
	case op == pay.Reverse || op == pay.Cancel || op == pay.Refund:
		e.LateUndo(context.Background(), host, serial, r)
	}
}

func (p *Plan) routing() error {
	for i, o := range p.Config.Routes {
		r := &gateway.Route{ID: o.ID, Links: o.Links, Prefix: o.Prefix, Biller: o.Biller, InFlight: o.InFlight}
		if err := errors.Join(p.steps(r, i, o), p.product(r, i, o)); err != nil {
			return err
		}
		for _, l := range o.Links {
			if !p.linked(l) {
				return p.wrong(fmt.Errorf("unknown link %q", l), "routes", i, "links")
			}
		}
		p.routes = append(p.routes, r)
	}
	if err := p.routes.Check(); err != nil {
		return p.wrong(err, "routes")
	}
	return nil
}

// telling finds the links over which hosts tell what became of charges.
func (p *Plan) telling() error {
	p.tells = map[string]string{}
	for i, d := range p.links {
		ops, err := d.link.Ops()
		if err != nil {
			return p.wrong(err, "links", i, "file")
		}
		switch h := d.opts.Host; {
		case h == "" && slices.Contains(ops, pay.Outcome):
			return p.wrong(fmt.Errorf("%s takes outcomes; name the host that tells them", d.opts.File), "links", i, "host")
		case h == "":
			continue
		case p.hosts[h] == nil:
			return p.wrong(fmt.Errorf("no host %q", h), "links", i, "host")
		case !slices.Contains(ops, pay.Outcome):
			return p.wrong(fmt.Errorf("%s takes no outcomes", d.opts.File), "links", i, "host")
		}
		p.tells[d.opts.ID] = d.opts.Host
	}
	return nil
}

// product reads what kind of payments a route takes, and how much at once.
func (p *Plan) product(r *gateway.Route, i int, o RouteOptions) (err error) {
	if r.Advance = o.Product == "advance"; o.Product != "" && !r.Advance {
		return p.wrong(fmt.Errorf("unknown product %q, want advance", o.Product), "routes", i, "product")
	}
	if o.Max != "" {
		if r.Max, err = pay.ParseYuan(o.Max); err == nil && r.Max <= 0 {
			err = errors.New("must be positive")
		}
	}
	if err != nil {
		return p.wrong(err, "routes", i, "max")
	}
	return nil
}

// steps reads the legs of a route, what it serves and whom it asks.
func (p *Plan) steps(r *gateway.Route, i int, o RouteOptions) error {
	for j, l := range o.Legs {
		k, ok := legKinds[l.Leg]
		if !ok {
			return p.wrong(fmt.Errorf("unknown leg %q, want post, charge or card", l.Leg), "routes", i, "legs", j, "leg")
		}
		h := p.hosts[l.Host]
		if h == nil {
			return p.wrong(fmt.Errorf("no host %q", l.Host), "routes", i, "legs", j, "host")
		}
		r.Steps = append(r.Steps, gateway.Step{Kind: k, Host: h})
	}
	for _, name := range o.Ops {
		op, ok := pay.ParseOp(name)
		if !ok || !op.Collects() {
			return p.wrong(fmt.Errorf("unknown payment %q, want pay, card-pay or advance", name), "routes", i, "ops")
		}
		r.Ops = append(r.Ops, op)
	}
	if r.Ask = gateway.Asks(r.Steps); o.Ask != "" {
		if r.Ask = p.hosts[o.Ask]; r.Ask == nil {
			return p.wrong(fmt.Errorf("no host %q", o.Ask), "routes", i, "ask")
		}
	}
	return nil
}

// linked reports whether payments come over something of that name.
func (p *Plan) linked(id string) bool {
	for i := range p.Config.Batches {
		if p.Config.Batches[i].ID == id {
			return true
		}
	}
	for _, d := range p.links {
		if d.opts.ID == id {
			return true
		}
	}
	return false
}

// journalMargin is what the durable points of a payment may take on top of its
// legs.
const journalMargin = 2 * time.Second

// patience checks that each wait is longer than what it waits for: legs and
// journal, then the channel, then the terminal.
func (p *Plan) patience() error {
	for i, d := range p.links {
		for _, r := range p.routes {
			if len(r.Links) > 0 && !slices.Contains(r.Links, d.opts.ID) {
				continue
			}
			sum := journalMargin
			for _, s := range r.Steps {
				sum += s.Host.Timeout
			}
			if sum >= d.link.Timeouts.Channel {
				return p.wrong(fmt.Errorf("%s: timeouts.channel %s must be longer than the %s that route %s may take",
					d.opts.File, d.link.Timeouts.Channel, sum, r.ID), "links", i)
			}
		}
	}
	return nil
}

func (p *Plan) night() error {
	b, err := conf.Files.ReadFile("recon-matrix.json")
	if err != nil {
		return err
	}
	if p.matrix, err = reconcile.ParseMatrix(b); err != nil {
		return err
	}
	for i, ch := range p.Config.Reconcile.Channels {
		if ch.ID == "" || ch.MIS == "" && ch.Bank == "" && ch.Card == "" {
			return p.wrong(errors.New("id: id and at least one of mis, bank, card are needed"), "reconcile", "channels", i)
		}
		for _, l := range ch.Links {
			if !p.linked(l) {
				return p.wrong(fmt.Errorf("unknown link %q", l), "reconcile", "channels", i, "links")
			}
		}
		if err := p.statement(ch.MIS); err != nil {
			return p.wrong(err, "reconcile", "channels", i, "mis")
		}
		if err := p.statement(ch.Bank); err != nil {
			return p.wrong(err, "reconcile", "channels", i, "bank")
		}
		if err := p.statement(ch.Card); err != nil {
			return p.wrong(err, "reconcile", "channels", i, "card")
		}
		if err := p.asks(ch); err != nil {
			return p.wrong(err, "reconcile", "channels", i)
		}
		for j, d := range ch.Deliver {
			if err := p.delivery(d); err != nil {
				return p.wrong(err, "reconcile", "channels", i, "deliver", j)
			}
		}
	}
	if p.Config.Reconcile.Inbox == "" {
		return p.wrong(errors.New("inbox: missing"), "reconcile")
	}
	return nil
}

// statement reads a statement specification once; an empty name is none.
func (p *Plan) statement(file string) error {
	if file == "" || p.specs[file] != nil {
		return nil
	}
	b, err := os.ReadFile(p.Config.Path(file))
	if err != nil {
		return err
	}
	p.specs[file], err = statement.Parse(p.Config.Path(file), b)
	return err
}
