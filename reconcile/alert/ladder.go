package alert

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Ladder says when somebody is told of what has not happened.
type Ladder []Rung

// Rung is one step: while a condition holds after a time of day, the channel is
// in alarm at a level.
type Rung struct {
	At    Clock    `yaml:"at"`    // left out: at once; of overdue the file's own limit
	Until Clock    `yaml:"until"` // left out: as long as the condition holds
	When  string   `yaml:"when"`  // not-started, unknown, overdue, incomplete, unsigned, items or broken
	Codes []string `yaml:"codes"` // of items
	Level Level    `yaml:"level"` // remind, warn or page
}

// The conditions.
const (
	notStarted = "not-started" // no run of the day has begun
	unknown    = "unknown"     // payments are in doubt and do not become fewer
	overdue    = "overdue"     // a file has not come by its own limit
	incomplete = "incomplete"  // a file is missing or refused
	unsigned   = "unsigned"    // nobody has signed
	items      = "items"       // there is an item of one of the codes
	broken     = "broken"      // the bridge does not tie, or else our own program is wrong
)

// words say what is wrong.
func words(when string) string {
	return map[string]string{notStarted: "对账未启动", unknown: "未知交易不减", overdue: "对账文件逾限", incomplete: "对账文件未齐或拒收",
		unsigned: "尚未签核", items: "紧急差异", broken: "故障"}[when]
}

func (l Ladder) check() error {
	for i, r := range l {
		switch {
		case words(r.When) == "":
			return fmt.Errorf("%d: when: unknown condition %q", i+1, r.When)
		case r.Level.rank() < Remind.rank():
			return fmt.Errorf("%d: level: want remind, warn or page, got %q", i+1, r.Level)
		case (r.When == items) != (len(r.Codes) > 0):
			return errors.New("codes: of items, and only of these")
		case r.Until != 0 && r.Until <= r.At:
			return fmt.Errorf("%d: until: want a time after at", i+1)
		case r.At == 0 && (r.When == notStarted || r.When == unsigned || r.When == unknown):
			return fmt.Errorf("%d: at: needed for %s", i+1, r.When)
		}
	}
	return nil
}

// Facts are what the ladder looks at: a channel on the morning after a day.
type Facts struct {
	Standing         // of whichever day is the newest
	Due      pay.Day // the day that is to be reconciled
	Morning  pay.Day // the date on which the times of the ladder are
	Running  bool    // a run of it is under way
	Unknown  int     // payments in doubt
	Before   int     // and so a while ago; negative: not known
}

// holds reports whether a condition is met.
func (f *Facts) holds(r *Rung) bool {
	ran := f.Day >= f.Due
	switch r.When {
	case notStarted:
		return !ran && !f.Running
	case unknown:
		return f.Unknown > 0 && f.Before >= 0 && f.Unknown >= f.Before
	case overdue:
		return ran && slices.ContainsFunc(f.Summary.Inputs, func(in reconcile.SummaryInput) bool { return in.State == reconcile.Overdue.String() })
	case incomplete:
		return ran && (f.Summary.Exit == int(reconcile.Incomplete) || f.Summary.Exit == int(reconcile.Refused))
	case unsigned:
		return !ran || f.Signed == 0
	case items:
		return ran && slices.ContainsFunc(r.Codes, func(c string) bool { return f.Summary.Codes[c] > 0 })
	case broken:
		return ran && f.Summary.Exit == int(reconcile.Broken)
	}
	return false
}

// reason is a rung that holds, as it is remembered.
type reason struct {
	name  string
	level Level
	text  string
}

// reasons returns the rungs that hold now.
func (l Ladder) reasons(f *Facts, now time.Time) (all []reason) {
	for i := range l {
		r := &l[i]
		early := r.At != 0 && now.Before(r.At.On(f.Morning, now.Location()))
		late := r.Until != 0 && !now.Before(r.Until.On(f.Morning, now.Location()))
		if early || late || !f.holds(r) {
			continue
		}
		all = append(all, reason{r.When + "@" + string(r.Level), r.Level, words(r.When)})
	}
	return all
}
