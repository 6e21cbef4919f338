package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/adapters/notify"
	"qianzhi/gateway"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/http"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/gateway/tcp"
	"qianzhi/protocol/gm"
	"qianzhi/reconcile"
	"qianzhi/reconcile/alert"
	"qianzhi/reconcile/desk"
	"qianzhi/reconcile/report"
)

// App is a running daemon.
type App struct {
	plan    *Plan
	log     *slog.Logger
	stack   *stack
	journal *journal.Journal
	engine  *gateway.Engine
	ledger  *mis.Ledger // nil without the embedded MIS
	ran     time.Time   // start of the last night run
	vigil   vigil
	ahead   ahead
	missed  atomic.Uint64 // starts of the night run

	channels []*channel
	sender   *alert.Sender
	notices  *notify.Notifier // nil without receivers
	orders   chan order
	locked   atomic.Uint32 // the day under reconciliation
	mu       sync.Mutex
	addrs    map[string]string     // grows during the start, as doors and lines do, under mu
	doors    []*gateway.Channel    // of the banks
	lines    map[string]line       // of the doors
	acted    map[alert.Auto]uint64 // automatic actions since the start, under mu
	admin    *admin.Server
}

// Start opens the journal, recovers what was open, and serves. On an error
// everything that had started is stopped again.
func (p *Plan) Start(ctx context.Context) (*App, error) {
	a := &App{plan: p, log: p.log, stack: newStack(p.log), orders: make(chan order), addrs: map[string]string{}, lines: map[string]line{}}
	for _, step := range []func(context.Context) error{a.checkModes, a.openJournal, a.openMIS, a.openHosts, a.openEngine, a.openNotices, a.openNight, a.openSettlements, a.openPickups, a.openDispatches, a.openBatches, a.openAdmin, a.openLinks} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	if err := supervisor().Tell("READY=1"); err != nil {
		a.log.Error("start not reported", "event", "QZ105", "err", err)
	}
	return a, nil
}

// Close refuses new work, waits for what was admitted and stops everything in
// reverse order of its start.
func (a *App) Close() error {
	if a.admin != nil {
		a.admin.Drain()
	}
	return a.stack.close(a.plan.Config.Node.Drain)
}

// Attach runs something beside the daemon that stops with it.
func (a *App) Attach(name string, run func(context.Context) error) {
	a.stack.push(task{name: name, run: run})
}

// Failed delivers the error of a part that ended by itself.
func (a *App) Failed() <-chan error { return a.stack.failed }

// Addr returns the bound address of a link, or of the MIS as "mis".
func (a *App) Addr(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addrs[id]
}

// opened notes where a link listens, or one of the MIS's doors, which have no
// line: whoever asks for the status may come while links still open.
func (a *App) opened(id, addr string, l line) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addrs[id] = addr
	if l != nil {
		a.lines[id] = l
	}
}

// lineOf returns the line of a link, nil while it is not open.
func (a *App) lineOf(id string) line {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lines[id]
}

// Journal returns the journal, for the demo's check of the books.
func (a *App) Journal() *journal.Journal { return a.journal }

// Ledger returns the embedded MIS, nil when there is none.
func (a *App) Ledger() *mis.Ledger { return a.ledger }

// Waiting returns how many payments are in doubt.
func (a *App) Waiting() int { return a.engine.Resolver().Waiting() }

func (a *App) openJournal(ctx context.Context) error {
	c := a.plan.Config
	dir := c.data("journal")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	j, err := journal.Open(ctx, sqlite.New(dir), a.journalOptions(), a.plan.cal.Day(a.plan.now()))
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	a.journal = j
	a.stack.push(task{name: "journal", run: j.Run})
	a.stack.push(task{name: "journal guard", run: a.guard})
	return nil
}

func (a *App) journalOptions() journal.Options {
	c := a.plan.Config
	seal, index := a.plan.ring[c.Journal.SealKey], a.plan.ring[c.Journal.IndexKey]
	return journal.Options{Dir: c.data("journal"), Node: c.Node.ID, DupDays: c.Journal.DupDays, MaxPending: c.Journal.MaxPending,
		KEK: seal.SM4, IndexKey: index.SM4, Signer: a.plan.ring[c.Journal.SignKey].Private, Now: a.plan.now}
}

func (a *App) openMIS(ctx context.Context) error {
	d := a.plan.mis
	if d == nil {
		return nil
	}
	l, err := mis.Open(mis.Options{File: a.plan.Config.data("mis.db"), Dedupe: a.plan.Config.MIS.Dedupe, Now: a.plan.now})
	if err != nil {
		return err
	}
	a.ledger = l
	a.stack.push(task{name: "mis ledger", stop: l.Close})
	if err := a.listen(ctx, d, l); err != nil {
		return err
	}
	return a.openMISDoors()
}

func (a *App) openHosts(context.Context) error {
	for _, s := range a.plan.ends {
		a.stack.push(task{name: "host", run: s.Run})
	}
	for _, c := range a.plan.posps {
		a.stack.push(task{name: "card centre", run: c.Run})
	}
	return nil
}

func (a *App) openEngine(ctx context.Context) error {
	pol := a.plan.Config.Policy
	a.engine = gateway.New(gateway.Options{Journal: mutate(a.journal), Batches: a.journal, Refused: a.journal, Routes: a.plan.routes, Tells: a.plan.tells, Node: a.plan.Config.Node.ID,
		Today: a.journal.Day, Reconciling: a.reconciling, Now: a.plan.now, Log: a.log,
		Policy: gateway.Policy{Gaps: pol.Gaps, Tries: pol.Tries, Due: a.parkedDue, Owner: pol.Owner, Workers: pol.Workers}})
	a.plan.engine.Store(a.engine)
	var open []pay.Entry
	err := a.journal.OpenEntries(ctx, func(e pay.Entry) bool {
		open = append(open, e)
		return true
	})
	if err != nil {
		return err
	}
	if len(open) > 0 {
		a.log.Info("payments left open by the last run", "event", "QZ110", "count", len(open))
	}
	if err := a.engine.Resolver().Recover(ctx, open); err != nil {
		return err
	}
	a.stack.push(task{name: "resolver", run: a.engine.Resolver().Run})
	return nil
}

func (a *App) openNight(ctx context.Context) error {
	c := a.plan.Config
	inbox := c.data(c.Reconcile.Inbox)
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		return err
	}
	o := reconcile.Options{Dir: c.data("recon"), Node: c.Node.ID, Books: a.journal, Matrix: a.plan.matrix, Report: report.Files, Closed: desk.IsClosed, Acts: desk.Acts,
		Now: a.plan.now, Log: a.log}
	for _, ch := range c.Reconcile.Channels {
		rc := reconcile.Channel{ID: ch.ID, Links: ch.Links}
		own := &channel{id: ch.ID, home: func(day pay.Day) string { return a.homeOf(day, ch.ID) }}
		if s := a.plan.specs[ch.MIS]; s != nil {
			src := &source{spec: s, dir: inbox, party: reconcile.MIS, ledger: a.ledger, keys: a.plan.named(ch.Keys), limit: a.plan.limit(ch.MISDue), query: a.query(ch, s)}
			rc.MIS, own.sources = src, append(own.sources, src)
		}
		if s := a.plan.specs[ch.Bank]; s != nil {
			src := &source{spec: s, dir: inbox, party: reconcile.Bank, keys: a.plan.named(ch.Keys), limit: a.plan.limit(ch.BankDue)}
			rc.Bank, own.sources = src, append(own.sources, src)
			rc.Key = s.Keys()
		}
		if s := a.plan.specs[ch.Card]; s != nil {
			src := &source{spec: s, dir: inbox, party: reconcile.Card, keys: a.plan.named(ch.Keys), limit: a.plan.limit(ch.CardDue)}
			rc.Card, own.sources = src, append(own.sources, src)
		}
		o.Channels = []reconcile.Channel{rc}
		own.runner = reconcile.New(o)
		own.options = o
		a.channels = append(a.channels, own)
	}
	if today := a.plan.cal.Day(a.plan.now()); today > a.journal.Day() {
		if err := a.journal.Cut(ctx, today); err != nil {
			return fmt.Errorf("day cut: %w", err)
		}
	}
	a.sender = alert.NewSender(c.Alerts, a.log)
	a.stack.push(task{name: "alerts", run: a.sender.Run})
	a.stack.push(task{name: "scheduler", run: a.schedule})
	a.stack.push(task{name: "pulse", run: a.pulse})
	return nil
}

func (a *App) openLinks(ctx context.Context) error {
	for _, d := range a.plan.links {
		if err := a.listen(ctx, d, a.engine); err != nil {
			return fmt.Errorf("link %s: %w", d.opts.ID, err)
		}
	}
	return nil
}

// listen opens the door of a link in front of a handler.
func (a *App) listen(ctx context.Context, d *door, h gateway.Handler) error {
	allow, err := d.link.Ops()
	if err != nil {
		return err
	}
	ch := &gateway.Channel{Link: d.opts.ID, Handler: h, Dialect: d.dialect, Funds: d.link.Taken(), Allow: allow, Max: d.link.MaxAmount(),
		Timeout: d.link.Timeouts.Channel, Digest: gm.SumSM3, Now: a.plan.now, Rejects: a.journal, Log: a.log}
	if d.rules != nil {
		ch.Rules = d.rules
	}
	if h == a.engine {
		ch.Handler = a.asked(d)
		a.mu.Lock()
		a.doors = append(a.doors, ch)
		a.mu.Unlock()
	}
	if d.link.Transport == "http" {
		return a.listenHTTP(d, ch)
	}
	if d.streams() {
		return a.openStream(d, ch)
	}
	return a.listenTCP(ctx, d, ch)
}

func (a *App) listenTCP(ctx context.Context, d *door, ch *gateway.Channel) error {
	s, err := tcp.New(a.tcpOptions(d, ch))
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	a.stack.push(task{name: "link " + d.opts.ID, group: "links", run: func(ctx context.Context) error {
		err := s.Run(ctx)
		failed <- err
		return err
	}})
	select {
	case <-s.Ready():
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	a.opened(d.opts.ID, s.Addr(), ordinary{s})
	return nil
}

func (a *App) tcpOptions(d *door, ch *gateway.Channel) tcp.Options {
	lim := d.link.Limits
	return tcp.Options{Addr: d.opts.Listen, Handler: ch, Request: d.dialect.Request.Framer, Reply: d.dialect.Reply.Framer,
		MaxFrame: d.link.Frame.Max, InFlight: lim.InFlight, Refusals: lim.Refusals, Conns: lim.Conns, MaxOut: 1 << 20,
		Ordered: lim.Ordered, KeepAlive: d.dialect.Request.KeepAlive, Allow: d.allow, PerIP: d.opts.Access.PerIP, Rate: d.opts.Access.Rate, Slow: d.opts.Access.Frame, Now: a.plan.now, Log: a.log}
}

func (a *App) listenHTTP(d *door, ch *gateway.Channel) error {
	headers, err := d.link.Headers()
	if err != nil {
		return err
	}
	hs := make([]http.Header, len(headers))
	for i, h := range headers {
		hs[i] = http.Header(h)
	}
	s, err := http.New(http.Options{Addr: d.opts.Listen, Handler: ch, Headers: hs, Type: d.link.HTTP.ContentType,
		MaxBody: int64(d.link.Frame.Max), InFlight: d.link.Limits.InFlight, Conns: d.link.Limits.Conns, Read: d.link.Timeouts.Channel, Idle: 2 * d.link.Timeouts.Terminal,
		Allow: d.allow, PerIP: d.opts.Access.PerIP, Rate: d.opts.Access.Rate, Header: d.opts.Access.Frame, Secure: d.server,
		Now: a.plan.now, Log: a.log})
	if err != nil {
		return err
	}
	a.opened(d.opts.ID, s.Addr(), web{s})
	a.stack.push(task{name: "link " + d.opts.ID, group: "links", run: s.Run})
	return nil
}
