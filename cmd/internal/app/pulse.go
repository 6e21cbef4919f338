package app

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/alert"
)

// pulseEvery is how often the daemon shows that it lives and tells its figures.
const pulseEvery = time.Minute

// supervisor is the process manager that started us, if it waits for signs of
// life.
func supervisor() alert.Supervisor { return alert.Supervisor{Socket: os.Getenv("NOTIFY_SOCKET")} }

// pulse shows that the daemon lives and sees to it that somebody is told of what
// goes wrong in the morning. It is apart from the scheduler, so that it notices
// one that hangs.
type pulse struct {
	*App
	board   *alert.Board
	watch   *alert.Watchman
	unknown []sample // the oldest first
}

// sample is how many payments were in doubt at a moment.
type sample struct {
	at time.Time
	n  int
}

// trend is how far back payments in doubt are compared.
const trend = 15 * time.Minute

func (a *App) pulse(ctx context.Context) error {
	o, root := &a.plan.Config.Alerts, a.plan.Config.Reports()
	p := &pulse{App: a, board: &alert.Board{Root: root},
		watch: &alert.Watchman{Root: root, Node: strconv.Itoa(int(a.plan.Config.Node.ID)), Ladder: o.Ladder, Repeat: o.Repeat}}
	sup := supervisor()
	tick := time.NewTicker(sup.Every(os.Getenv("WATCHDOG_USEC"), pulseEvery))
	defer tick.Stop()
	for {
		if err := errors.Join(p.beat(ctx), sup.Tell("WATCHDOG=1")); err != nil {
			a.log.Error("sign of life failed", "event", "QZ105", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// beat is one beat of the pulse.
func (p *pulse) beat(ctx context.Context) error {
	now := p.plan.now()
	all, errs := p.standings(p.board)
	live, err := p.live(ctx, all)
	errs = errors.Join(errs, err, os.MkdirAll(p.board.Root, 0o750))
	errs = errors.Join(errs, p.alarms(all, live.Unknown, now))
	return errors.Join(errs, alert.Replace(p.plan.Config.data("recon", "metrics.prom"), alert.Metrics(all, live)),
		alert.Replace(p.plan.Config.data("recon", "heartbeat"), []byte(now.Format(time.RFC3339)+"\n")))
}

// live are the figures that no report holds.
func (p *pulse) live(ctx context.Context, all []alert.Standing) (l alert.Live, errs error) {
	l = alert.Live{Unknown: p.Waiting(), Missed: p.missed.Load(), Auto: p.counted()}
	errs = p.journal.OpenEntries(ctx, func(e pay.Entry) bool {
		if e.State == pay.Revp {
			l.Owed++
		}
		return true
	})
	for i := range all {
		at := slices.IndexFunc(p.channels, func(c *channel) bool { return c.id == all[i].Channel })
		if all[i].Day == 0 || at < 0 {
			continue
		}
		for _, s := range p.channels[at].sources {
			when, err := s.arrived(all[i].Day)
			if errs = errors.Join(errs, err); !when.IsZero() {
				l.Arrived = append(l.Arrived, alert.Arrival{Channel: all[i].Channel, Source: s.party.String(), At: when})
			}
		}
	}
	return l, errs
}

// alarms tells of what the ladder finds.
func (p *pulse) alarms(all []alert.Standing, unknown int, now time.Time) (errs error) {
	before := p.ago(unknown, now)
	start, ok := p.plan.cron.Last(now, lookBack)
	if !ok {
		return nil
	}
	due := p.plan.cal.Day(start).Add(-1)
	if !p.journal.Has(due) {
		return nil
	}
	for i := range all {
		f := alert.Facts{Standing: all[i], Due: due, Morning: pay.DayOf(start), Running: p.reconciling(due), Unknown: unknown, Before: before}
		out, err := p.watch.Look(&f, now)
		errs = errors.Join(errs, err)
		for _, m := range out {
			if m.Event == alert.Alarm {
				p.log.Error("alarm", "event", "QZ109", "level", string(m.Level), "day", m.Day, "channel", m.Channel, "text", m.Text)
			}
			p.alarm(m)
		}
	}
	return errs
}

// ago returns how many payments were in doubt a while ago, negative when that is
// not known.
func (p *pulse) ago(n int, now time.Time) int {
	p.unknown = append(p.unknown, sample{now, n})
	before := -1
	for len(p.unknown) > 0 && now.Sub(p.unknown[0].at) >= trend {
		before, p.unknown = p.unknown[0].n, p.unknown[1:]
	}
	return before
}

// tell sends what a run came to.
func (a *App) tell(c *channel, results []*reconcile.Result) {
	for _, r := range results {
		out, err := alert.Events(r, c.home(r.Day), strconv.Itoa(int(a.plan.Config.Node.ID)))
		if err != nil {
			a.log.Error("result cannot be told", "event", "QZ107", "channel", c.id, "err", err)
		}
		for _, m := range out {
			a.alarm(m)
		}
	}
}

// standings returns where the channels stand, with the signatures and with
// files that have become overdue since the run.
func (a *App) standings(board *alert.Board) (all []alert.Standing, errs error) {
	for _, c := range a.channels {
		s, err := board.Read(c.id)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		if s.Day != 0 {
			stage, err := c.stage(s.Day)
			errs = errors.Join(errs, err)
			s.Signed = int(stage)
			s.Summary.Inputs = c.late(s, a.plan.now())
		}
		all = append(all, s)
	}
	return all, errs
}

// late returns a standing's inputs, those overdue that have not come in time.
func (c *channel) late(s alert.Standing, now time.Time) []reconcile.SummaryInput {
	in := slices.Clone(s.Summary.Inputs)
	for i := range in {
		for _, src := range c.sources {
			if in[i].Party == src.party.String() && in[i].State == reconcile.Expected.String() && now.After(src.limit(s.Day)) {
				in[i].State = reconcile.Overdue.String()
			}
		}
	}
	return in
}
