package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/report"
)

// ahead compares the running day every few minutes, with the matcher of the
// night: what will be a difference then can be seen to today. It leaves nothing
// that a verdict follows from; its reports lie apart, the last of each channel.
type ahead struct {
	next time.Time // zero: never
}

// aheadDir is the folder of its reports, among all reconciliations.
const aheadDir = "ahead"

// plan sets the next time, a whole multiple of the interval on the clock.
func (h *ahead) plan(now time.Time, every time.Duration) {
	h.next = time.Time{}
	if every > 0 {
		h.next = now.Truncate(every).Add(every)
	}
}

// lookAhead compares the running day of all channels.
func (a *App) lookAhead(ctx context.Context) {
	defer func() { a.ahead.plan(a.plan.now(), a.plan.Config.Reconcile.Ahead) }()
	// It may not keep the cut or the night waiting.
	ctx, cancel := context.WithTimeout(ctx, a.plan.Config.Reconcile.Ahead/2)
	defer cancel()
	root, day := filepath.Join(a.plan.Config.Reports(), aheadDir), a.journal.Day()
	for _, c := range a.channels {
		if err := a.compare(ctx, root, c, day); err != nil {
			a.log.Warn("running day not compared", "event", "QZ144", "day", day.String(), "channel", c.id, "err", err)
		}
	}
	if err := forget(root, day); err != nil {
		a.log.Warn("old comparisons not removed", "event", "QZ144", "err", err)
	}
}

// compare compares one channel with whoever can already tell of the day.
func (a *App) compare(ctx context.Context, root string, c *channel, day pay.Day) error {
	inbox := filepath.Join(root, "lists")
	if err := os.MkdirAll(inbox, 0o700); err != nil {
		return err
	}
	o, partial := c.options, false
	night := o.Channels[0]
	now := reconcile.Channel{ID: night.ID, Links: night.Links, Key: night.Key, Cuts: night.Cuts, Window: night.Window}
	for _, s := range c.sources {
		if s.party == reconcile.Card {
			continue // it tells at the end of its day
		}
		own := *s
		if s.makes() {
			own.dir = inbox
		} else if found, err := s.spec.Find(s.dir, day); err != nil || len(found) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		if s.party == reconcile.MIS {
			now.MIS = &own
		} else {
			now.Bank, partial = &own, true
		}
	}
	if now.MIS == nil && now.Bank == nil {
		return nil
	}
	o.Dir, o.Channels, o.Books, o.Report, o.Closed, o.Acts = root, []reconcile.Channel{now}, unfinished{a.journal}, report.Ahead, nil, nil
	o.Ahead = func(items []reconcile.Item) []reconcile.Item { return a.worth(ctx, items, partial, now.MIS != nil) }
	results, err := reconcile.New(o).Run(ctx, day)
	for _, r := range results {
		err = errors.Join(err, only(filepath.Join(root, day.String(), r.Channel)))
	}
	return err
}

// worth leaves out what is under way, and of a file that still grows what it may
// yet tell.
func (a *App) worth(ctx context.Context, items []reconcile.Item, partial, mis bool) (kept []reconcile.Item) {
	old := a.plan.now().Add(-a.plan.Config.Reconcile.Ahead)
	for i := range items {
		it := &items[i]
		j, m := it.J(), it.Lines[reconcile.MIS]
		same := j != nil && m != nil && j.Effect == reconcile.Success && m.Effect == reconcile.Posted && j.Amount == m.Amount
		if partial && it.Lines[reconcile.Bank] == nil && (!mis || same) {
			continue
		}
		id, ours := pay.ParseSerial(it.Serial(), a.plan.Config.Node.ID)
		if ours {
			e, err := a.journal.Get(ctx, id)
			if err == nil && (j == nil || e.At.After(old) || e.Marked.After(old)) {
				continue // it is young, or came while the lists were read
			}
		}
		kept = append(kept, *it)
	}
	return kept
}

// unfinished is the journal of a day that is not over.
type unfinished struct{ *journal.Journal }

// Freeze names no row: everything written so far counts.
func (unfinished) Freeze(context.Context, pay.Day) (uint64, error) { return ^uint64(0), nil }

// only removes all versions but the latest.
func only(home string) error {
	latest, err := os.Readlink(filepath.Join(home, "latest"))
	if err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(home, "r[0-9]*"))
	for _, n := range names {
		if filepath.Base(n) != latest {
			err = errors.Join(err, os.RemoveAll(n))
		}
	}
	return err
}

// forget removes the comparisons of days that are over.
func forget(root string, day pay.Day) error {
	names, err := os.ReadDir(root)
	for _, n := range names {
		if d, bad := pay.ParseDay(n.Name()); bad == nil && d < day {
			err = errors.Join(err, os.RemoveAll(filepath.Join(root, n.Name())))
		}
	}
	return err
}
