package crash

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/app"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// settle is how long the resolver gets for what the kills left open.
const settle = 60 * time.Second

// compare starts the daemon once more, in this process, waits until nothing is
// in doubt, and holds the books of both sides against what banks were told.
func (t *tale) compare(ctx context.Context, c *app.Config, sum *Summary, log io.Writer) error {
	plan, err := app.Prepare(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	a, err := plan.Start(ctx)
	if err != nil {
		return err
	}
	for end := time.Now().Add(settle); ; {
		sum.Open = 0
		if err = a.Journal().OpenEntries(ctx, func(pay.Entry) bool { sum.Open++; return true }); err != nil {
			break
		}
		if sum.Open == 0 || time.Now().After(end) || !pause(ctx, 20*time.Millisecond) {
			break
		}
	}
	b := books{entries: map[string]pay.Entry{}, effects: map[string]int{}, given: map[string]pay.Amount{}}
	if err == nil {
		err = b.read(ctx, a)
	}
	if closed := a.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	t.judge(&b, sum, func(format string, a ...any) { fmt.Fprintf(log, format+"\n", a...) })
	return nil
}

// books are what both sides hold.
type books struct {
	entries      map[string]pay.Entry  // by what makes a payment one and the same to its bank
	effects      map[string]int        // at the MIS, by our serial
	ours, theirs pay.Amount            // at the MIS
	cards        pay.Amount            // what is left of all charges, as the journal says
	given        map[string]pay.Amount // back, by our serial of the payment
}

func (b *books) read(ctx context.Context, a *app.App) error {
	last := a.Journal().Day()
	for d := last.Add(-2); d <= last; d = d.Add(1) {
		if !a.Journal().Has(d) {
			continue
		}
		read := func(yield func(*pay.Entry) bool) error {
			return a.Journal().Lines(ctx, d, ^uint64(0), func(e *pay.Entry) bool {
				b.entries[key(e.Req.Via.Link, pay.Find(e.Req.More, pay.FTerminal), e.Req.Ref.Serial)] = e.Clone()
				if e.Undoes() && e.State == pay.Succ {
					b.given[e.Original.Serial(1)] += e.Req.Amount
				}
				return yield(e)
			})
		}
		err := reconcile.Listed(read, b.line)
		if err != nil {
			return err
		}
	}
	for d := last.Add(-2); d <= last.Add(1); d = d.Add(1) {
		err := a.Ledger().Day(ctx, d, func(p mis.Posted) bool {
			switch {
			case p.Returned:
			case p.Back:
				b.theirs -= p.Amount
			default:
				b.effects[p.Serial]++
				b.theirs += p.Amount
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// line adds a payment that counts, or what went back by itself.
func (b *books) line(e *pay.Entry, effect reconcile.Effect) bool {
	amount := e.Req.Amount
	switch {
	case effect != reconcile.Success:
		return true
	case e.Undoes():
		amount = -amount
	}
	if has(e, pay.LegPost) {
		b.ours += amount
	}
	if has(e, pay.LegCharge) {
		b.cards += amount
	}
	return true
}

func (t *tale) judge(b *books, sum *Summary, say func(string, ...any)) {
	sum.Payments, sum.Sold = len(b.entries), t.meter.count()
	for _, w := range t.wrong {
		sum.Lost++
		say("%s", w)
	}
	for k, f := range t.told {
		e, there := b.entries[k]
		n := t.effects(b, &e)
		switch {
		case f.paid:
			sum.Acked++
			want, effects := pay.Succ, 1
			if f.reversed {
				sum.Acked++
				sum.Reversed++
				want, effects = pay.Revd, 0
			}
			if given := b.given[e.ID.Serial(1)]; given < f.given {
				sum.Lost++
				say("%s was told that %s went back, the journal says %s", k, f.given.Yuan(), given.Yuan())
			}
			if !there || e.State != want || e.Req.Amount != f.amount || e.ID.Day != f.day || n != effects {
				sum.Lost++
				say("%s was told %s %s, the journal has %v %s %s on %s, its hosts %d", k, want, f.amount.Yuan(), there, e.State, ID(e), f.day, n)
			}
		case f.declined:
			sum.Declined++
			if n != 0 || there && e.State == pay.Succ {
				sum.Lost++
				say("%s was told declined, the journal has %s, its hosts %d", k, e.State, n)
			}
		}
	}
	for _, k := range t.centre.doubled {
		sum.Doubled++
		say("charge %s was sent twice", k)
	}
	for _, k := range t.meter.doubled {
		sum.Doubled++
		say("sale %s was sent twice", k)
	}
	for serial, n := range b.effects {
		if n > 1 {
			sum.Doubled++
			say("%s was posted %d times", serial, n)
		}
	}
	if b.cards != t.centre.net {
		sum.Lost++
		say("the journal says %s of cards, the centre says %s", b.cards.Yuan(), t.centre.net.Yuan())
	}
	if b.ours != b.theirs {
		sum.Lost++
		say("the journal says %s, the MIS says %s", b.ours.Yuan(), b.theirs.Yuan())
	}
}

func has(e *pay.Entry, kind pay.LegKind) bool {
	for i := range e.Legs {
		if e.Legs[i].Kind == kind {
			return true
		}
	}
	return false
}

// effects returns how often a payment counts at its hosts; a negative number
// when they do not tell the same story.
func (t *tale) effects(b *books, e *pay.Entry) int {
	n := -1
	for _, host := range []struct {
		kind pay.LegKind
		n    int
	}{{pay.LegPost, b.effects[e.ID.Serial(1)]}, {pay.LegCharge, t.centre.of(e.ID.Serial(1))}, {pay.LegCard, t.meter.of(e.ID.Serial(1))}} {
		switch {
		case !has(e, host.kind):
		case n >= 0 && n != host.n:
			return -1 - n - host.n
		default:
			n = host.n
		}
	}
	if n < 0 {
		return 0 // a payment without legs has no effects
	}
	return n
}

// ID names a payment in a message.
func ID(e pay.Entry) string { return fmt.Sprintf("%s-%d", e.ID.Day, e.ID.Row) }
