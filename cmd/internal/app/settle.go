package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"qianzhi/adapters/posp"
	"qianzhi/gateway"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/pay"
)

// Settlement is when the batches of our terminals at a card centre are settled
// (批结算) by themselves.
type Settlement struct {
	At    clock         `yaml:"at"`    // on the morning after the day; left out: only by order
	Every time.Duration `yaml:"every"` // between tries; 1m by default
}

// Check fills in what is left out and reports the first setting that cannot
// work.
func (s *Settlement) Check(terminals int) error {
	if s.Every == 0 {
		s.Every = time.Minute
	}
	switch {
	case s.At != 0 && terminals == 0:
		return errors.New("settle: a host without terminals has no batches")
	case s.Every < 0:
		return errors.New("settle: every: must be positive")
	}
	return nil
}

// openSettlements settles what is due until the daemon stops.
func (a *App) openSettlements(context.Context) error {
	for i := range a.plan.posps {
		if c := &a.plan.posps[i]; c.settle.At != 0 {
			a.stack.push(task{name: "settlement " + c.id, run: func(ctx context.Context) error { return a.settleDays(ctx, c) }})
		}
	}
	return nil
}

// settleDays settles each closed day once its time has come, and the days before
// that a stop has kept from it.
func (a *App) settleDays(ctx context.Context, c *centre) error {
	done := map[pay.Day]bool{}
	for ctx.Err() == nil {
		a.settleDue(ctx, c, a.plan.now(), done)
		_ = pause(ctx, c.settle.Every) // an end shows in the condition
	}
	return nil
}

// settleDue settles the closed days whose time has come and that are not done,
// the oldest first.
func (a *App) settleDue(ctx context.Context, c *centre, now time.Time, done map[pay.Day]bool) {
	for back := a.plan.Config.Journal.DupDays; back > 0; back-- {
		day := a.journal.Day().Add(-back)
		if done[day] || !a.journal.Has(day) || now.Before(c.settle.At.On(day.Add(1), a.plan.cal.Location())) {
			continue
		}
		_, err := a.settle(ctx, c, day)
		if done[day] = err == nil; err != nil && ctx.Err() == nil {
			a.log.Warn("batches not settled yet", "event", "QZ450", "host", c.id, "day", day.String(), "err", err)
		}
	}
}

// settle settles the batches of a closed day with a card centre. What ended now
// is written into the journal.
func (a *App) settle(ctx context.Context, c *centre, day pay.Day) ([]posp.Batch, error) {
	if !a.journal.Has(day) || day >= a.journal.Day() {
		return nil, fmt.Errorf("%s 未日切或没有日志", day)
	}
	node := a.plan.Config.Node.ID
	charges := func(ctx context.Context, day pay.Day, yield func(posp.Charge) error) (int, error) {
		return a.plan.routes.Charges(ctx, a.journal, day, c.id, func(g gateway.Charge) error {
			return yield(posp.Charge{Serial: g.ID.Serial(node), Of: g.Of.Serial(node), Card: g.Card, Amount: g.Amount, Credit: g.Credit, Void: g.Void})
		})
	}
	return c.Settle(ctx, day, charges, &noted{a, c, posp.Folder(a.plan.Config.data("settled", c.id))})
}

// noted keeps the steps of batches and tells of those that have ended.
type noted struct {
	a *App
	c *centre
	posp.Folder
}

// Keep tells the journal before the step is kept, so that no end goes untold.
func (n *noted) Keep(b posp.Batch) error {
	text := fmt.Sprintf("批结算 %s 终端 %s 批次 %s 借记 %d 笔 %s 元 贷记 %d 笔 %s 元 %s", b.Day, b.Terminal, b.Batch, b.Debits, b.Debit.Yuan(), b.Credits, b.Credit.Yuan(), word(b.Step))
	switch b.Step {
	case posp.Balanced:
		n.a.log.Info("batch settled", "event", "QZ451", "host", n.c.id, "batch", text)
	case posp.Unbalanced:
		n.a.log.Error("batch does not balance at the card centre", "event", "QZ452", "host", n.c.id, "batch", text)
	}
	if b.Step != posp.Asked {
		note := &pay.Note{Kind: pay.EvQuery, Link: n.c.id, Op: pay.Settle, Code: pay.CodeOK, Text: text}
		if err := n.a.journal.Note(context.Background(), note, true); err != nil {
			return err
		}
	}
	return n.Folder.Keep(b)
}

// word is a step for people.
func word(s posp.Step) string {
	switch s {
	case posp.Balanced:
		return "对账平"
	case posp.Unbalanced:
		return "对账不平"
	case posp.Uploaded:
		return "对账不平, 明细已上送"
	}
	return "已发送, 未答"
}

// Settle settles the batches of a closed day at every card centre.
func (c control) Settle(ctx context.Context, day pay.Day) (all []admin.Settled, errs error) {
	for i := range c.a.plan.posps {
		at := &c.a.plan.posps[i]
		batches, err := c.a.settle(ctx, at, day)
		errs = errors.Join(errs, err)
		for _, b := range batches {
			all = append(all, admin.Settled{Host: at.id, Terminal: b.Terminal, Batch: b.Batch, Debits: b.Debits, Debit: b.Debit, Credits: b.Credits, Credit: b.Credit,
				Outcome: word(b.Step), Balanced: b.Step == posp.Balanced})
		}
	}
	return all, errs
}
