package desk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Limits bound what a plan holds of actions with an effect outside. The record
// of a payment is corrected without limit.
type Limits struct {
	Item  pay.Amount // most for one action, fen
	Sum   pay.Amount // most for all
	Count int        // actions
}

// Usual are the limits that nobody has set otherwise.
func Usual() Limits { return Limits{Item: 500_00, Sum: 2000_00, Count: 10} }

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

// Plan is what the matrix allows the program to propose about a day: exactly
// what is proposed, approved and applied under its hash.
type Plan struct {
	Steps []Step
	Stops []Stop
	Hash  string
}

// stopFile in the folder of all reconciliations turns plans off.
const stopFile = "STOP"

// records are the corrections of our own record by the code of the matrix.
var records = map[string]Action{"ST-1": Succeed, "OK-3": Fail, "OK-4": Undone, "ST-3": Undone, "ST-4": Undone, "ST-5": Undone, "ST-6": Undone, "ST-7": Undone, "ST-8": Undone}

// planned returns the action that the matrix allows for an item, "" for none.
func planned(it *reconcile.Item) Action {
	levels := strings.Split(it.Auto, ",")
	for _, l := range levels {
		switch l {
		case "L1":
			return records[it.Code]
		case "L3P":
			return Post
		case "L3V":
			return Return
		case "LR":
			return Reverse
		}
	}
	return ""
}

// Plan makes the plan of the version on the table. The hash covers the version
// and every step with its evidence.
func (t *Table) Plan(l Limits) Plan {
	var p Plan
	var sum pay.Amount
	var count int
	why := t.off()
	for _, items := range [][]reconcile.Item{t.Fixable, t.Open} {
		for i := range items {
			it := &items[i]
			a := planned(it)
			if a == "" {
				continue
			}
			stop := why
			outside := a == Post || a == Return || a == Reverse
			switch {
			case stop != "":
			case outside && it.Size() > l.Item:
				stop = "超单笔限额 " + l.Item.Yuan()
			case outside && count >= l.Count:
				stop = fmt.Sprintf("超笔数限额 %d", l.Count)
			case outside && sum+it.Size() > l.Sum:
				stop = "超总额限额 " + l.Sum.Yuan()
			case a == Return && (it.From == 0 || it.From.String() == t.Summary.Day):
				stop = "须隔一个银行文件再次确认银行无扣款"
			default:
				if err := a.fits(&Case{Item: it, Parties: t.parties()}); err != nil {
					stop = err.Error()
				}
			}
			if stop != "" {
				p.Stops = append(p.Stops, Stop{it, stop})
				continue
			}
			if outside {
				sum, count = sum+it.Size(), count+1
			}
			p.Steps = append(p.Steps, Step{it, a})
		}
	}
	p.Hash = t.hash(&p)
	return p
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
	if _, err := os.Stat(filepath.Join(t.Home, "..", "..", stopFile)); err == nil {
		return "已停用(" + stopFile + ")"
	}
	return ""
}

func (t *Table) hash(p *Plan) string {
	h := sha256.New()
	fmt.Fprintln(h, t.Summary.Day, t.Summary.Channel, t.Summary.Version, t.Manifest)
	for _, s := range p.Steps {
		fmt.Fprintln(h, s.Item.ID(), s.Item.Evidence(), s.Action)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
