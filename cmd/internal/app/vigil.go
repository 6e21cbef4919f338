package app

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
)

// vigil is the time between a night run and the cut-off, in which a channel is
// run again by itself as soon as a file arrives or is replaced. It ends for a
// channel with the first signature.
type vigil struct {
	day   pay.Day // 0: none
	until time.Time
	next  time.Time // look
}

// settle is how long a file without a marker has to stay as it is before it is
// taken for whole.
const settle = 10 * time.Second

// channel is one channel with its own runner.
type channel struct {
	id      string
	home    func(pay.Day) string
	runner  *reconcile.Runner
	options reconcile.Options // of the runner
	sources []*source

	// About the day of the vigil, by source.
	seen    []string // marks of the files that the last run found
	glimpse []string // marks at the last look
	overdue []bool   // the limit has passed, and it was said
	again   bool     // the last run failed
}

// marks returns the state of the day's files, for each source.
func (c *channel) marks(day pay.Day) (marks []string, errs error) {
	marks = make([]string, len(c.sources))
	for i, s := range c.sources {
		var err error
		marks[i], err = s.mark(day)
		errs = errors.Join(errs, err)
	}
	return marks, errs
}

// ran keeps what a run found, to tell what comes later.
func (c *channel) ran(marks []string, err error) {
	c.again = err != nil && !errors.Is(err, reconcile.ErrClosed)
	if !c.again {
		c.seen = marks
	}
}

// stage returns how far the sign-off of the day's latest version has come.
func (c *channel) stage(day pay.Day) (desk.Stage, error) {
	t, err := desk.Lay(c.home(day))
	if errors.Is(err, fs.ErrNotExist) {
		return desk.Matched, nil
	}
	if err != nil {
		return desk.Matched, err
	}
	return t.Stage, nil
}

// due reports whether the channel is to be run again: a file is here that the
// last run did not have, or one is overdue. wait says that one is here but may
// still be growing.
func (c *channel) due(day pay.Day, now time.Time) (run, wait bool, err error) {
	marks, err := c.marks(day)
	if err != nil {
		return false, false, err
	}
	run = c.again
	late := slices.Clone(c.overdue)
	for i, s := range c.sources {
		switch {
		case marks[i] != "" && marks[i] != c.seen[i]:
			run = true
			wait = wait || s.spec.Marker == "" && marks[i] != c.glimpse[i]
		case s.unanswered(day):
			run = true
			late[i] = late[i] || now.After(s.limit(day))
		case marks[i] == "" && !s.makes() && !late[i] && now.After(s.limit(day)):
			run, late[i] = true, true
		}
	}
	if !wait {
		c.overdue = late
	}
	c.glimpse = marks
	return run && !wait, wait, nil
}

// watch begins the vigil of a day whose run was due at a moment, unless it is
// over.
func (a *App) watch(day pay.Day, due time.Time) {
	wait, now := &a.plan.Config.Reconcile, a.plan.now()
	until := wait.Until.On(pay.DayOf(due), a.plan.cal.Location())
	if !until.After(due) {
		until = wait.Until.On(pay.DayOf(due).Add(1), a.plan.cal.Location())
	}
	a.vigil = vigil{}
	if !now.Before(until) {
		return
	}
	for _, c := range a.channels {
		n := len(c.sources)
		c.seen, c.glimpse, c.overdue, c.again = make([]string, n), make([]string, n), make([]bool, n), false
		for i, s := range c.sources {
			c.overdue[i] = now.After(s.limit(day)) // the run that comes now says it
		}
	}
	a.vigil = vigil{day: day, until: until}
	a.lookIn(wait.Look)
}

// lookIn sets the next look: after a while, or when a file becomes overdue.
func (a *App) lookIn(d time.Duration) {
	v, now := &a.vigil, a.plan.now()
	v.next = now.Add(d)
	for _, c := range a.channels {
		for i, s := range c.sources {
			if at := s.limit(v.day).Add(time.Second); !c.overdue[i] && at.After(now) && at.Before(v.next) {
				v.next = at
			}
		}
	}
}

// look runs those channels again that have cause.
func (a *App) look(ctx context.Context) {
	day, now, in := a.vigil.day, a.plan.now(), a.plan.Config.Reconcile.Look
	if !now.Before(a.vigil.until) {
		a.vigil = vigil{}
		return
	}
	for _, c := range a.channels {
		stage, err := c.stage(day)
		if err != nil {
			a.log.Error("sign-off cannot be read", "event", "QZ103", "day", day.String(), "channel", c.id, "err", err)
			continue
		}
		if stage != desk.Matched {
			continue
		}
		run, wait, err := c.due(day, now)
		if err != nil {
			a.log.Error("inbox cannot be read", "event", "QZ104", "channel", c.id, "err", err)
		}
		if wait {
			in = min(in, settle)
		}
		if run {
			a.run(ctx, day, c)
		}
	}
	a.lookIn(in)
}

// limit returns when the file of a day is overdue: on the morning after.
func (p *Plan) limit(own clock) func(pay.Day) time.Time {
	if own == 0 {
		own = p.Config.Reconcile.Due
	}
	return func(day pay.Day) time.Time { return own.On(day.Add(1), p.cal.Location()) }
}

// homeOf returns the folder of a channel's versions.
func (a *App) homeOf(day pay.Day, id string) string {
	return filepath.Join(a.plan.Config.Reports(), day.String(), id)
}
