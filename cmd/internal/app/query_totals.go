package app

import (
	"context"
	"fmt"
	"slices"

	"qianzhi/gateway"
	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/spec"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// The values of mis_totals.
const (
	totalsAlways = "always"
	totalsDiffer = "differ"
)

// before asks a host for its totals of a closed day (对总账, op check-totals)
// before its list is asked for.
type before struct {
	a      *App
	ch     *ChannelOptions
	host   *gateway.Host
	always bool // the list is asked for whatever the totals are
}

// doors are the hosts behind which the system's books are.
func (b *before) doors() []string { return append([]string{b.host.ID}, b.ch.Doors...) }

// compared is what a 对总账 came to.
type compared struct {
	flat   bool
	said   string
	freeze uint64
}

// compare tells the host our totals, hears its own and writes both down. They
// are flat only if nothing of the day is in doubt on our side.
func (b *before) compare(ctx context.Context, day pay.Day) (c compared, err error) {
	if c.freeze, err = b.a.journal.Freeze(ctx, day); err != nil {
		return c, err
	}
	ours, open, err := b.a.total(ctx, day, c.freeze, scope{hosts: b.doors()})
	if err != nil {
		return c, err
	}
	theirs, err := b.ask(ctx, day, ours)
	if err != nil {
		return c, err
	}
	ours.gross = theirs.gross
	word := "不平"
	if c.flat = ours.equal(theirs) && open == 0; c.flat {
		word = "平"
	}
	c.said = fmt.Sprintf("对总账%s: 对方 %s, 我方 %s, 未决 %d 笔", word, theirs, ours, open)
	if !c.flat {
		b.a.log.Warn("totals of the day differ", "event", "QZ146", "host", b.host.ID, "day", day.String(), "claimed", theirs.String(), "ours", ours.String(), "open", open)
	}
	act := access.Act{By: "前置", Door: "schedule", What: pay.CheckTotals.Chinese(), On: day.String(), Reason: b.host.ID + " " + c.said}
	return c, trail{b.a.journal}.Record(ctx, act)
}

// ask is the message. It tells what was given back where the link has a place
// for it. The answer's totals stand where a claim's do.
func (b *before) ask(ctx context.Context, day pay.Day, ours totals) (totals, error) {
	ctx, cancel := context.WithTimeout(ctx, b.host.Timeout)
	defer cancel()
	_, sum := ours.net()
	ours.gross = b.a.plan.gross[b.host.ID]
	req := &pay.Request{Op: pay.CheckTotals, Day: day, Amount: sum, Ref: pay.Ref{Serial: fmt.Sprintf("%s%02dT%05d", day, b.a.plan.Config.Node.ID, 1)},
		More: append([]pay.Field{{ID: pay.FDay, Val: day.String()}}, ours.fields()...)}
	rep, err := b.host.Adapter.Do(ctx, req)
	switch {
	case err != nil:
		return totals{}, err
	case rep.Verdict != pay.Approved:
		return totals{}, fmt.Errorf("%s answers %s", b.host.ID, rep.Code.Chinese())
	}
	return claimed(rep.Amount, rep.More)
}

// mirror is the list that a host whose totals are ours would have sent, written
// from the journal. The report says that it was not asked for.
func (b *before) mirror(ctx context.Context, s *statement.Spec, day pay.Day, freeze uint64) ([]byte, error) {
	return b.a.listed(ctx, s, nil, day, freeze, scope{links: ofLinks(b.ch.Links), hosts: b.doors()})
}

// remark puts what the 对总账 came to beside what the file proves of itself.
func (q *query) remark(open func(string) (reconcile.Opened, error)) func(string) (reconcile.Opened, error) {
	if q.said == "" || open == nil {
		return open
	}
	said, doubt := q.said, q.doubt
	return func(path string) (reconcile.Opened, error) {
		o, err := open(path)
		if doubt {
			o.Warning += said
		} else {
			o.Checks = said
		}
		return o, err
	}
}

// tellsDebits reports whether a link's 对总账 has a place for what was given back.
func tellsDebits(l *spec.Link) bool {
	for i := range l.Messages {
		m := &l.Messages[i]
		if m.Op != pay.CheckTotals.String() {
			continue
		}
		for _, mv := range append(slices.Clone(m.Request.Map), m.Request.Maybe...) {
			if mv.Field == pay.FDebitCount.String() || mv.Field == pay.FDebitSum.String() {
				return true
			}
		}
	}
	return false
}
