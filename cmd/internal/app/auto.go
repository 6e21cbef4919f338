package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/alert"
	"qianzhi/reconcile/desk"
)

// rounds bounds how often a day is judged again because of what was done about
// it by itself.
const rounds = 3

// reconcile runs the reconciliation of a day, of all channels or of some, does
// what the standing orders allow, and judges again what that has changed.
func (a *App) reconcile(ctx context.Context, day pay.Day, only ...*channel) ([]*reconcile.Result, error) {
	if len(only) == 0 {
		only = a.channels
	}
	all, errs := a.judge(ctx, day, only)
	for range rounds {
		var acted []*channel
		for _, c := range only {
			if a.automatic(ctx, day, c) {
				acted = append(acted, c)
			}
		}
		if len(acted) == 0 {
			break
		}
		again, err := a.judge(ctx, day, acted)
		errs = errors.Join(errs, err)
		for _, r := range again {
			if i := slices.IndexFunc(all, func(old *reconcile.Result) bool { return old.Channel == r.Channel }); i >= 0 {
				all[i] = r
			}
		}
		only = acted
	}
	return all, errs
}

// automatic does what the standing order of a channel allows about a day, and
// reports whether anything was done.
func (a *App) automatic(ctx context.Context, day pay.Day, c *channel) (acted bool) {
	d := &desk.Desk{Root: a.plan.Config.Reports(), Audit: trail{a.journal}, Now: a.plan.now, Hands: hands{a}}
	say := func(level slog.Level, code, text string) {
		c.runner.Say(level, code, fmt.Sprintf("%s 日=%s 渠道=%s", text, day, c.id))
	}
	m, err := d.Mandate(a.plan.Config.Standing(c.id), pay.DayOf(a.plan.now()))
	if err != nil || m.Off != "" {
		if err != nil {
			a.log.Error("standing order cannot be read", "event", "QZ151", "channel", c.id, "err", err)
		}
		return false
	}
	out, plan, err := d.Auto(ctx, day, &m, eyes{a, day})
	if err != nil {
		a.log.Error("automatic actions ended", "event", "QZ151", "day", day.String(), "channel", c.id, "err", err)
	}
	for i := range out {
		o := &out[i]
		a.count(c.id, o)
		text := fmt.Sprintf("自动 %s %s %s %s %s", o.Level, o.Action.Chinese(), o.Item.Code, o.Item.Serial(), o.Item.Size().Yuan())
		if o.Result != desk.ResultDone {
			say(slog.LevelWarn, "QZ151", text+" 未成: "+o.Why)
			continue
		}
		acted = true
		say(slog.LevelInfo, "QZ150", text)
	}
	for _, s := range plan.Stops {
		say(slog.LevelWarn, "QZ152", fmt.Sprintf("自动 %s %s 不作: %s", s.Item.Code, s.Item.Serial(), s.Why))
	}
	return acted
}

// count counts an automatic action for the figures.
func (a *App) count(channel string, o *desk.Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.acted == nil {
		a.acted = map[alert.Auto]uint64{}
	}
	a.acted[alert.Auto{Channel: channel, Level: o.Level, Result: o.Result}]++
}

// counted are the automatic actions so far.
func (a *App) counted() map[alert.Auto]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.acted)
}

// hands are the desk's in the daemon itself.
type hands struct{ a *App }

// Repair does what was begun about an item.
func (h hands) Repair(ctx context.Context, day pay.Day, channel, item string) (string, error) {
	return h.a.Apply(ctx, day, channel, item)
}

// eyes look before an automatic action.
type eyes struct {
	a   *App
	day pay.Day
}

// Confirm asks hosts and journal whether the files still tell how it is.
func (y eyes) Confirm(ctx context.Context, it *reconcile.Item, action desk.Action) error {
	id, ours := pay.ParseSerial(it.Serial(), y.a.plan.Config.Node.ID)
	fix, known := fixes[action]
	if !ours || !known {
		return fmt.Errorf("%w: 不由本机执行", desk.ErrNotYet)
	}
	err := y.a.engine.Confirm(ctx, id, fix)
	for _, soft := range []error{gateway.ErrEarly, gateway.ErrInFlight, gateway.ErrNotOwed, gateway.ErrLongAgo} {
		if errors.Is(err, soft) {
			return fmt.Errorf("%w: %w", desk.ErrNotYet, err)
		}
	}
	if err == nil && fix == gateway.FixPost {
		err = y.unpaid(ctx, id, it.Any().Account)
	}
	return err
}

// unpaid looks for other payments of the account that have succeeded or may,
// on the payment's day and since. One of them may be for the same bill.
func (y eyes) unpaid(ctx context.Context, id pay.ID, account string) error {
	var other string
	for day := id.Day; day <= y.a.journal.Day() && other == ""; day = day.Add(1) {
		if !y.a.journal.Has(day) {
			continue
		}
		err := y.a.journal.Lines(ctx, day, ^uint64(0), func(e *pay.Entry) bool {
			if e.ID != id && e.Req.Account == account && e.Req.Op.Collects() && e.State != pay.Fail && e.State != pay.Revd && (day > id.Day || e.ID.Row > id.Row) {
				other = e.ID.Serial(y.a.plan.Config.Node.ID)
			}
			return other == ""
		})
		if err != nil {
			return err
		}
	}
	if other != "" {
		return fmt.Errorf("%w: 该户此后另有缴费 %s", desk.ErrNotYet, other)
	}
	return nil
}

// mandated reports an action that is said to follow from a standing order which
// does not hold.
func (a *App) mandated(w *desk.Work, channel string) error {
	if w.Order == "" {
		return nil
	}
	d := &desk.Desk{Root: a.plan.Config.Reports()}
	m, err := d.Mandate(a.plan.Config.Standing(channel), pay.DayOf(a.plan.now()))
	switch {
	case err != nil:
		return err
	case m.Off != "":
		return errors.New(m.Off)
	case !m.Allows(w):
		return fmt.Errorf("常设指令 %s 不含 %s", w.Order, w.Action.Chinese())
	}
	return nil
}
