package desk

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Limits bound what is done about a channel's day, over all of its versions, by
// plan or by standing order, as far as it has an effect outside. The record of a
// payment is corrected without limit.
type Limits struct {
	Item  pay.Amount // most for one action, fen
	Sum   pay.Amount // most for all
	Count int        // actions
	// Biller says that the biller's books decide and not the bank's: what they
	// lack is then given back and what they have is asked for, so that neither is
	// posted nor returned without people.
	Biller bool
}

// Usual are the limits that nobody has set otherwise.
func Usual() Limits { return Limits{Item: 500_00, Sum: 2000_00, Count: 10} }

// Check reports a limit that cannot be meant. Where one is 0, nothing is done.
func (l Limits) Check() error {
	switch {
	case l.Item < 0 || l.Sum < 0 || l.Count < 0:
		return errors.New("item: must not be negative, nor sum and count")
	case l.Item > l.Sum:
		return fmt.Errorf("item: %s is more than the sum of %s", l.Item.Yuan(), l.Sum.Yuan())
	}
	return nil
}

// Step is one planned action.
type Step struct {
	Item   *reconcile.Item
	Action Action
}

// Stop is an item that the matrix would have acted on, and why it is left to
// people.
type Stop struct {
	Item *reconcile.Item
	Why  string
}

// Plan is what the matrix allows the program to do about a day: exactly what is
// proposed, approved and applied under its hash, or done under a standing order.
type Plan struct {
	Steps []Step
	Stops []Stop
	Hash  string
}

// stopFile in the folder of all reconciliations turns plans off.
const stopFile = "STOP"

// records are the corrections of our own record by the code of the matrix.
var records = map[string]Action{"ST-1": Succeed, "OK-3": Fail, "OK-4": Undone, "ST-3": Undone, "ST-4": Undone, "ST-5": Undone, "ST-6": Undone, "ST-7": Undone, "ST-8": Undone}

// planned returns the level and action that the matrix allows for an item, ""
// for none.
func planned(it *reconcile.Item) (level string, a Action) {
	for _, l := range strings.Split(it.Auto, ",") {
		switch l {
		case LevelRecord:
			return l, records[it.Code]
		case LevelPost:
			return l, Post
		case LevelReturn:
			return l, Return
		case LevelReverse:
			return l, Reverse
		}
	}
	return "", ""
}

// levelOf is the level of an action that the program may do.
func levelOf(a Action) string {
	switch a {
	case Post:
		return LevelPost
	case Return:
		return LevelReturn
	case Reverse:
		return LevelReverse
	}
	return LevelRecord
}

// outside reports whether an action has an effect outside.
func (a Action) outside() bool { return a == Post || a == Return || a == Reverse }

// planning is a plan under way.
type planning struct {
	*Table
	limits Limits
	order  *Mandate // nil: of people
	sum    pay.Amount
	count  int
	plan   Plan
}

// Plan makes the plan of the version on the table for people. The hash covers
// the version and every step with its evidence.
func (t *Table) Plan(l Limits) Plan { return t.make(&planning{Table: t, limits: l}) }

// Auto makes the plan of what is done under a standing order.
func (t *Table) Auto(m *Mandate) Plan {
	return t.make(&planning{Table: t, limits: m.Order.Limits, order: m})
}

func (t *Table) make(p *planning) Plan {
	off, all := t.off(), map[string]bool{}
	if off == "" && p.order != nil {
		off = p.order.Off
	}
	var items []*reconcile.Item
	for _, list := range [][]reconcile.Item{t.Fixable, t.Open} {
		for i := range list {
			if _, a := planned(&list[i]); a != "" && !p.settled(&list[i]) {
				items, all[list[i].ID()] = append(items, &list[i]), true
			}
		}
	}
	p.spent(all)
	for _, it := range items {
		p.add(it, off)
	}
	p.plan.Hash = t.hash(&p.plan)
	return p.plan
}

// settled reports whether an item was done with under a standing order. A plan
// of people keeps what it has done, so that its hash stays.
func (p *planning) settled(it *reconcile.Item) bool {
	d, _ := p.decision(it)
	return p.order != nil && d.Ended != nil && d.Ended.Failed == ""
}

// spent counts what was done about the day before: of items that are not planned
// again.
func (p *planning) spent(again map[string]bool) {
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Kind == Applied && e.Failed == "" && e.Action.outside() && !again[e.Item] {
			p.sum, p.count = p.sum+e.Fen, p.count+1
		}
	}
}

func (p *planning) add(it *reconcile.Item, off string) {
	level, a := planned(it)
	why := off
	if why == "" {
		why = p.mandated(level, it)
	}
	if why == "" {
		why = p.within(a, it)
	}
	if why == "" {
		if err := a.fits(&Case{Item: it, Parties: p.parties()}); err != nil {
			why = err.Error()
		}
	}
	if why != "" {
		p.plan.Stops = append(p.plan.Stops, Stop{it, why})
		return
	}
	if a.outside() {
		p.sum, p.count = p.sum+it.Size(), p.count+1
	}
	p.plan.Steps = append(p.plan.Steps, Step{it, a})
}

// mandated says why a standing order does not hold for an item, "" when it does
// or when people plan.
func (p *planning) mandated(level string, it *reconcile.Item) string {
	if p.order == nil {
		return ""
	}
	d, _ := p.decision(it)
	o := p.order.Order
	switch {
	case !o.has(level):
		return "常设指令不含 " + level
	case (level == LevelPost || level == LevelReturn) && !p.order.Signed:
		return "常设指令 " + o.Hash() + " 未经两人签署"
	case d.Proposal != nil:
		return "已有人提议"
	case d.Ended != nil && d.Ended.Failed != "":
		return "自动处理未成, 由人办理: " + d.Ended.Failed
	}
	return ""
}

// within says which limit stops an action, "" for none.
func (p *planning) within(a Action, it *reconcile.Item) string {
	switch l := p.limits; {
	case l.Biller && (a == Post || a == Return):
		return "该渠道以电力为准, 由人办理"
	case a.outside() && it.Size() > l.Item:
		return "超单笔限额 " + l.Item.Yuan()
	case a.outside() && p.count >= l.Count:
		return fmt.Sprintf("超笔数限额 %d", l.Count)
	case a.outside() && p.sum+it.Size() > l.Sum:
		return "超总额限额 " + l.Sum.Yuan()
	case a == Return && (it.From == 0 || it.From.String() == p.Summary.Day):
		return "须隔一个银行文件再次确认银行无扣款"
	}
	return ""
}

// off says why nothing may be planned at all, "" when it may.
func (t *Table) off() string {
	switch limit := max(20, t.Summary.Agreed.Count/200); {
	case t.Stage != Matched:
		return "已签核"
	case t.Summary.Exit != reconcile.Balanced.Exit() && t.Summary.Exit != reconcile.Unbalanced.Exit():
		return "结论 " + t.Summary.Word
	case t.Summary.Todo > limit:
		return fmt.Sprintf("差异 %d 笔, 超过 %d, 疑似系统故障", t.Summary.Todo, limit)
	}
	for _, code := range []string{"AM-1", "DU-3"} {
		if t.Summary.Codes[code] > 0 {
			return code + ": 疑似本机故障"
		}
	}
	if t.stopped() {
		return "已停用(" + stopFile + ")"
	}
	return ""
}

// stopped reports whether the file is there that turns everything off.
func (t *Table) stopped() bool {
	_, err := os.Lstat(filepath.Join(t.Home, "..", "..", stopFile))
	return err == nil
}

func (t *Table) hash(p *Plan) string {
	h := sha256.New()
	fmt.Fprintln(h, t.Summary.Day, t.Summary.Channel, t.Summary.Version, t.Manifest)
	for _, s := range p.Steps {
		fmt.Fprintln(h, s.Item.ID(), s.Item.Evidence(), s.Action)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
