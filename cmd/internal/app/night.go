package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
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

// schedule cuts the day and starts the night run when they are due, one thing
// at a time, and catches up once after downtime.
func (a *App) schedule(ctx context.Context) error {
	a.catchUp(ctx)
	for {
		now := a.plan.now()
		cut, run := a.plan.cal.End(a.journal.Day()), a.plan.cron.Next(now)
		due := cut
		if run.Before(cut) {
			due = run
		}
		timer := time.NewTimer(max(0, due.Sub(now)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case o := <-a.orders:
			timer.Stop()
			o.done <- a.obey(ctx, o)
			continue
		case <-timer.C:
		}
		if !cut.After(run) {
			a.cutTo(ctx, a.plan.cal.Day(a.plan.now()))
		} else {
			a.night(ctx, a.plan.cal.Day(a.plan.now()).Add(-1))
		}
	}
}

func (a *App) obey(ctx context.Context, o order) outcome {
	if o.cut != 0 {
		return outcome{err: a.journal.Cut(ctx, o.cut)}
	}
	res, err := a.reconcile(ctx, o.run)
	return outcome{res, err}
}

// reconcile runs the reconciliation of a day, during which nothing of it is
// reversed.
func (a *App) reconcile(ctx context.Context, day pay.Day) ([]*reconcile.Result, error) {
	a.locked.Store(uint32(day))
	defer a.locked.Store(0)
	return a.runner.Run(ctx, day)
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
}

// lookBack is how far in the past a missed start is made up for.
const lookBack = 26 * time.Hour

func (a *App) catchUp(ctx context.Context) {
	due, ok := a.plan.cron.Last(a.plan.now(), lookBack)
	if !ok {
		return
	}
	day := a.plan.cal.Day(due).Add(-1)
	if !a.runner.Done(day) && a.journal.Has(day) {
		a.log.Warn("missed start of reconciliation, catching up", "event", "QZ101", "day", day.String())
		a.night(ctx, day)
	}
}

func (a *App) night(ctx context.Context, day pay.Day) {
	if !a.journal.Has(day) {
		return // installed after that day
	}
	results, err := a.reconcile(ctx, day)
	if err != nil {
		a.log.Error("reconciliation failed", "event", "QZ102", "day", day.String(), "err", err)
	}
	for _, r := range results {
		a.log.Info("reconciliation", "event", "QZ900", "day", day.String(), "channel", r.Channel, "verdict", r.Verdict.String(), "why", r.Why)
	}
}

// source is one party's check file in the inbox. The embedded MIS writes its
// own file when it is asked for it, as a real one does after its cut.
type source struct {
	spec   *statement.Spec
	dir    string
	party  reconcile.Party
	ledger *mis.Ledger
}

// Fetch finds the file of the day. A missing file and a wrong file are two
// different things.
func (s *source) Fetch(ctx context.Context, day pay.Day) (reconcile.Input, error) {
	if s.ledger != nil {
		if err := s.export(ctx, filepath.Join(s.dir, s.spec.File(day)), day); err != nil {
			return reconcile.Input{}, err
		}
	}
	in := statement.Inbox{Spec: s.spec, Dir: s.dir, Party: s.party}
	return in.Fetch(ctx, day)
}

func (s *source) export(ctx context.Context, name string, day pay.Day) error {
	var rows []statement.Row
	err := s.ledger.Day(ctx, day, func(p mis.Posted) bool {
		r := statement.Row{Effect: reconcile.Posted, Amount: p.Amount, Values: map[string]string{
			"reference": p.Serial, "host_serial": p.Host, "channel": p.Channel, "account": p.Account}}
		if p.Returned {
			r.Effect = reconcile.Undone
		}
		rows = append(rows, r)
		return true
	})
	if err != nil {
		return err
	}
	b, err := s.spec.Write(day, rows)
	if err != nil {
		return fmt.Errorf("mis check file: %w", err)
	}
	return replace(name, b)
}

// replace writes a file so that a reader sees the old or the new one, whole.
func replace(name string, b []byte) error {
	tmp := name + ".part"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}
