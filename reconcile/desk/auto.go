package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Eyes look, minutes before an action that no person has looked at, whether
// hosts and journal see what the files say. ErrNotYet puts this one action off;
// any other error is an unexpected answer and ends them all.
type Eyes interface {
	Confirm(ctx context.Context, it *reconcile.Item, a Action) error
}

// ErrNotYet reports that an action cannot be judged yet, or not without people.
var ErrNotYet = errors.New("暂不自动处理")

// The results of an automatic action, as the figures name them.
const (
	ResultDone    = "done"
	ResultFailed  = "failed"  // begun, and not known to be done
	ResultRefused = "refused" // what was seen is not what the files say: not begun
	ResultPutOff  = "put-off" // not begun
)

// Outcome is what became of one step under a standing order.
type Outcome struct {
	Item   *reconcile.Item
	Action Action
	Level  string
	Result string
	Why    string // of everything but ResultDone
}

// Auto does what a standing order allows about a day, one action after the
// other, each begun in the decisions before it is done. The first that is not
// as it must be is the last. The outcomes stand as far as they go even beside
// an error.
func (d *Desk) Auto(ctx context.Context, day pay.Day, m *Mandate, eyes Eyes) (out []Outcome, plan Plan, err error) {
	home := d.Home(day, m.Order.Channel)
	unlock, err := lock(home)
	if err != nil {
		return nil, plan, err
	}
	defer unlock()
	t, err := Lay(home)
	if err != nil {
		return nil, plan, err
	}
	plan = t.Auto(m)
	for _, s := range plan.Steps {
		if t.stopped() || ctx.Err() != nil {
			break
		}
		o, err := d.step(ctx, t, m, s, eyes)
		if err != nil {
			return out, plan, err
		}
		if out = append(out, o); o.Result == ResultFailed || o.Result == ResultRefused {
			break
		}
	}
	return out, plan, nil
}

// Acts says in words what was done about a day under standing orders so far.
// home is the folder of the versions.
func Acts(home string) (string, error) {
	es, err := Read(home)
	if err != nil {
		return "", err
	}
	var n, failed [4]int
	var sum [4]pay.Amount
	for i := range es {
		e := &es[i]
		if e.Kind != Applied || e.Order == "" {
			continue
		}
		at := slices.Index(Levels(), levelOf(e.Action))
		if n[at]++; e.Failed != "" {
			failed[at]++
		}
		sum[at] += e.Fen
	}
	var parts []string
	for at, word := range []string{"补状态", "重发冲正", "补销账", "返销"} {
		if n[at] == 0 {
			continue
		}
		text := fmt.Sprintf("%s %d 笔", word, n[at])
		if at > 0 {
			text += " " + sum[at].Yuan()
		}
		if failed[at] > 0 {
			text += fmt.Sprintf("(未成 %d)", failed[at])
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; "), nil
}

// step does one action. One that a crash has interrupted is taken up without
// another look: it may have had its effect.
func (d *Desk) step(ctx context.Context, t *Table, m *Mandate, s Step, eyes Eyes) (o Outcome, err error) {
	o = Outcome{Item: s.Item, Action: s.Action, Level: levelOf(s.Action), Result: ResultDone}
	if now, _ := t.decision(s.Item); now.Begun == nil {
		switch err := eyes.Confirm(ctx, s.Item, s.Action); {
		case errors.Is(err, ErrNotYet):
			o.Result, o.Why = ResultPutOff, err.Error()
			return o, nil
		case err != nil:
			o.Result, o.Why = ResultRefused, err.Error()
			return o, nil
		}
	}
	who := m.Order.author()
	begun := Entry{Kind: Apply, By: who.Name(), Item: s.Item.ID(), Evidence: s.Item.Evidence(), Action: s.Action, Fen: s.Item.Size(),
		Order: m.Order.Hash(), Text: fmt.Sprintf("%s %s 依常设指令自动处理", s.Item.Code, s.Item.Name)}
	if err := d.enter(ctx, t, who, &begun); err != nil {
		return o, err
	}
	if err := d.carryOut(ctx, t, who, begun); err != nil {
		return o, err
	}
	if end := t.Entries[len(t.Entries)-1]; end.Failed != "" {
		o.Result, o.Why = ResultFailed, end.Failed
	}
	return o, nil
}
