package app

import (
	"context"
	"errors"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// order is something a person asks of the scheduler, which does one thing at a
// time.
type order struct {
	cut  pay.Day // cut to this day
	run  pay.Day // reconcile this day
	done chan outcome
}

type outcome struct {
	results []*reconcile.Result
	err     error
}

// Cut ends the running accounting day and begins the next.
func (a *App) Cut(ctx context.Context, next pay.Day) error {
	return a.ask(ctx, order{cut: next}).err
}

// Reconcile runs the reconciliation of a day and returns its results.
func (a *App) Reconcile(ctx context.Context, day pay.Day) ([]*reconcile.Result, error) {
	o := a.ask(ctx, order{run: day})
	return o.results, o.err
}

func (a *App) ask(ctx context.Context, o order) outcome {
	o.done = make(chan outcome, 1)
	select {
	case a.orders <- o:
		return <-o.done
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
}

// appointment is what the scheduler does next, and when.
type appointment struct {
	at   time.Time
	keep func(context.Context)
}

// agenda returns what is due first: the cut, the night run or, between that and
// the sign-off, a look for files that are late.
func (a *App) agenda() appointment {
	first := appointment{a.plan.cal.End(a.journal.Day()), func(ctx context.Context) { a.cutTo(ctx, a.plan.cal.Day(a.plan.now())) }}
	run := a.plan.cron.Next(a.ran)
	for _, next := range []appointment{
		{run, func(ctx context.Context) { a.night(ctx, run) }},
		{a.vigil.next, a.look},
		{a.ahead.next, a.lookAhead},
	} {
		if !next.at.IsZero() && next.at.Before(first.at) {
			first = next
		}
	}
	return first
}

// clockLook is how long the clock may be set before the schedule sees it: timers
// do not follow the wall clock.
const clockLook = 5 * time.Second

// schedule cuts the day, starts the night run and looks for late files when they
// are due, one thing at a time, and catches up after downtime.
func (a *App) schedule(ctx context.Context) error {
	a.catchUp(ctx)
	a.ahead.plan(a.plan.now(), a.plan.Config.Reconcile.Ahead)
	for {
		due := a.agenda()
		timer := time.NewTimer(min(max(0, due.at.Sub(a.plan.now())), clockLook))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case o := <-a.orders:
			timer.Stop()
			o.done <- a.obey(ctx, o)
		case <-timer.C:
			if !a.plan.now().Before(due.at) {
				due.keep(ctx)
			}
		}
	}
}

func (a *App) obey(ctx context.Context, o order) outcome {
	if o.cut != 0 {
		err := a.journal.Cut(ctx, o.cut)
		if err == nil {
			a.redeliver(ctx)
		}
		return outcome{err: err}
	}
	res, err := a.reconcile(ctx, o.run)
	return outcome{res, err}
}

// judge compares the files of a day, of some channels, during which nothing of
// the day is reversed.
func (a *App) judge(ctx context.Context, day pay.Day, only []*channel) (all []*reconcile.Result, errs error) {
	a.locked.Store(uint32(day))
	defer a.locked.Store(0)
	for _, c := range only {
		marks, err := c.marks(day)
		errs = errors.Join(errs, err)
		res, err := c.runner.Run(ctx, day)
		all, errs = append(all, res...), errors.Join(errs, err)
		a.tell(c, res)
		if a.vigil.day == day {
			c.ran(marks, err)
		}
	}
	return all, errs
}

func (a *App) reconciling(day pay.Day) bool { return a.locked.Load() == uint32(day) }

// parkedDue is when a person is to have decided on a payment that is parked
// now: not on a day on which nobody works.
func (a *App) parkedDue(now time.Time) time.Time {
	return a.plan.cal.Due(now, a.plan.Config.Policy.ParkFor)
}

// cutTo cuts the day; a failure is tried again a little later, because the
// schedule computes what is due anew.
func (a *App) cutTo(ctx context.Context, next pay.Day) {
	if next <= a.journal.Day() {
		return // the timer fired a moment early
	}
	if err := a.journal.Cut(ctx, next); err != nil {
		a.log.Error("day cut failed", "event", "QZ130", "next", next.String(), "err", err)
		timer := time.NewTimer(5 * time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		return
	}
	a.log.Info("day cut", "event", "QZ131", "day", next.String())
	a.redeliver(ctx)
}

// lookBack is how far in the past a missed start is made up for.
const lookBack = 26 * time.Hour

// catchUp makes up for a night run that was missed, and resumes the watch for
// late files where that is not over.
func (a *App) catchUp(ctx context.Context) {
	a.ran = a.plan.now()
	a.redeliver(ctx)
	due, ok := a.plan.cron.Last(a.ran, lookBack)
	if !ok {
		return
	}
	day := a.plan.cal.Day(due).Add(-1)
	if !a.journal.Has(day) {
		return
	}
	if a.done(day) {
		a.watch(day, due)
		return
	}
	a.log.Warn("missed start of reconciliation, catching up", "event", "QZ101", "day", day.String())
	a.missed.Add(1)
	a.night(ctx, due)
}

func (a *App) done(day pay.Day) bool {
	for _, c := range a.channels {
		if !c.runner.Done(day) {
			return false
		}
	}
	return true
}

// night reconciles the day before the one of the given start.
func (a *App) night(ctx context.Context, due time.Time) {
	a.ran = due
	day := a.plan.cal.Day(due).Add(-1)
	if !a.journal.Has(day) {
		return // installed after that day
	}
	a.watch(day, due)
	a.redeliver(ctx)
	a.run(ctx, day)
	a.outdated(ctx, day)
}

// run reconciles by schedule, where nobody waits for the results.
func (a *App) run(ctx context.Context, day pay.Day, only ...*channel) {
	results, err := a.reconcile(ctx, day, only...)
	if err != nil {
		a.log.Error("reconciliation failed", "event", "QZ102", "day", day.String(), "err", err)
	}
	for _, r := range results {
		a.log.Info("reconciliation", "event", "QZ900", "day", day.String(), "channel", r.Channel, "verdict", r.Verdict.String(), "why", r.Why)
	}
}
