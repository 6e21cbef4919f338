package desk_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
)

// lookout answers as a test tells it.
type lookout struct {
	seen []string
	say  map[string]error // by serial
}

func (l *lookout) Confirm(_ context.Context, it *reconcile.Item, a desk.Action) error {
	l.seen = append(l.seen, it.Serial()+" "+string(a))
	return l.say[it.Serial()]
}

// auto does what an order allows, and says what became of each step.
func (o *office) auto(so *desk.StandingOrder, eyes *lookout) (all []string, plan desk.Plan) {
	o.t.Helper()
	m, err := o.Mandate(so, pay.DayOf(o.at))
	o.must(err)
	out, plan, err := o.Auto(o.t.Context(), day, &m, eyes)
	o.must(err)
	for _, x := range out {
		all = append(all, fmt.Sprint(x.Item.Code, " ", x.Action, " ", x.Result))
	}
	return all, plan
}

// kind makes an item about which the program may do something.
func kind(n int, code, auto string, j, m, b reconcile.Effect) reconcile.Item {
	it := long(n)
	it.Code, it.Auto, it.Grade, it.From = code, auto, reconcile.Uneven, day.Add(-1)
	if auto == "L2,L1" {
		it.Grade, it.From = reconcile.Fixable, 0
	}
	own := it.Lines[reconcile.Journal]
	own.Effect, it.Lines[reconcile.Bank].Effect = j, b
	if m != reconcile.Absent {
		it.Lines[reconcile.MIS] = &reconcile.Line{Serial: own.Serial, Amount: own.Amount, Effect: m}
	}
	return it
}

func lag(n int) reconcile.Item {
	return kind(n, "ST-1", "L2,L1", reconcile.Open, reconcile.Posted, reconcile.Charged)
}
func unposted(n int) reconcile.Item {
	return kind(n, "LG-1", "L2,L3P", reconcile.Open, reconcile.Absent, reconcile.Charged)
}
func uncharged(n int) reconcile.Item {
	return kind(n, "SH-8", "L2,L3V", reconcile.Open, reconcile.Posted, reconcile.Undone)
}
func unreversed(n int) reconcile.Item {
	return kind(n, "LG-4", "L2,LR", reconcile.Pending, reconcile.Absent, reconcile.Charged)
}

// whole is an order that allows everything.
func whole() *desk.StandingOrder {
	return &desk.StandingOrder{Channel: channel, Levels: desk.Levels(), Limits: desk.Usual(), Until: day.Add(100)}
}

func (o *office) signOrder(so *desk.StandingOrder) {
	o.t.Helper()
	for _, s := range []struct {
		who  string
		kind desk.Kind
	}{{"li", desk.Sign}, {"zhao", desk.Countersign}} {
		_, err := o.Decide(o.t.Context(), o.people[s.who], so, s.kind, "会议纪要")
		o.must(err)
	}
}

// TestStandingOrder: L1 and LR are done by themselves, L3P and L3V once two
// people have signed, each recorded under the order's name and none twice.
func TestStandingOrder(t *testing.T) {
	o, so, eyes := newOffice(t), whole(), &lookout{}
	o.publish(1, reconcile.Unbalanced, lag(1), unposted(2), uncharged(3), unreversed(4), long(5))
	got, plan := o.auto(so, eyes)
	if want := "[ST-1 succeed done LG-4 reverse done]"; fmt.Sprint(got) != want || len(plan.Stops) != 2 || !strings.Contains(plan.Stops[0].Why, "未经两人签署") {
		t.Errorf("unsigned: %v, stopped %v", got, plan.Stops)
	}
	acts := len(o.tape.acts)
	if acts != 4 || o.tape.acts[0].By != "常设指令 "+so.Hash() || o.tape.acts[0].What != "recon.apply" {
		t.Errorf("%d acts, %+v", acts, o.tape.acts[0])
	}
	o.signOrder(so)
	got, _ = o.auto(so, eyes)
	if want := "[LG-1 post done SH-8 return done]"; fmt.Sprint(got) != want {
		t.Errorf("signed: %v", got)
	}
	if got, plan := o.auto(so, eyes); len(got)+len(plan.Stops) != 0 {
		t.Errorf("again: %v, %v", got, plan.Stops)
	}
	if len(o.done) != 4 || len(eyes.seen) != 4 {
		t.Errorf("%d repairs, %d looks", len(o.done), len(eyes.seen))
	}
	table, err := desk.Lay(o.Home(day, channel))
	o.must(err)
	if got := table.Standing(&table.Fixable[0]); got != "自动已执行 转成功, 待下次对账核实" {
		t.Error(got)
	}
	o.refuse("li", desk.Order{Kind: desk.Propose, Item: lagID(), Action: desk.Succeed, Text: "x"}, nil)
	if got, err := desk.Acts(o.Home(day, channel)); err != nil || got != "补状态 1 笔; 重发冲正 1 笔 4.00; 补销账 1 笔 2.00; 返销 1 笔 3.00" {
		t.Error(got, err)
	}
	if p, err := desk.Verify(o.Home(day, channel)); err != nil || p.Entries != 8 {
		t.Errorf("%+v, %v", p, err)
	}
}

func lagID() string { it := lag(1); return it.ID() }

// TestOrderSignatures binds the signatures to what was signed.
func TestOrderSignatures(t *testing.T) {
	o, so := newOffice(t), whole()
	holds := func(so *desk.StandingOrder) bool {
		m, err := o.Mandate(so, day.Add(1))
		o.must(err)
		return m.Signed
	}
	o.publish(1, reconcile.Balanced)
	decide := func(who string, k desk.Kind, text string) error {
		acts := len(o.tape.acts)
		_, err := o.Decide(t.Context(), o.people[who], so, k, text)
		if err != nil && len(o.tape.acts) != acts {
			t.Errorf("%s %s: a refusal left an act", who, k)
		}
		return err
	}
	for _, c := range []struct {
		who  string
		kind desk.Kind
		want error
		then bool
	}{
		{"zhao", desk.Sign, access.ErrRight, false}, {"zhao", desk.Countersign, desk.ErrStage, false}, {"li", desk.Note, errAny, false},
		{"li", desk.Sign, nil, false}, {"li", desk.Countersign, access.ErrSamePerson, false}, {"wang", desk.Countersign, access.ErrNotSecond, false},
		{"zhao", desk.Countersign, nil, true}, {"li", desk.Sign, desk.ErrStage, true}, {"sun", desk.Reopen, access.ErrRight, true},
		{"wang", desk.Reopen, nil, false}, {"li", desk.Sign, nil, false}, {"zhao", desk.Countersign, nil, true},
	} {
		if err := decide(c.who, c.kind, "依据"); (c.want == nil) != (err == nil) || c.want != errAny && !errors.Is(err, c.want) {
			t.Errorf("%s %s: %v, want %v", c.who, c.kind, err, c.want)
		}
		if holds(so) != c.then {
			t.Errorf("%s %s: holds %v", c.who, c.kind, holds(so))
		}
	}
	for name, change := range map[string]func(*desk.StandingOrder){
		"levels": func(s *desk.StandingOrder) { s.Levels = s.Levels[1:] }, "item": func(s *desk.StandingOrder) { s.Limits.Item++ },
		"sum": func(s *desk.StandingOrder) { s.Limits.Sum++ }, "count": func(s *desk.StandingOrder) { s.Limits.Count++ },
		"until": func(s *desk.StandingOrder) { s.Until = s.Until.Add(1) }, "trial": func(s *desk.StandingOrder) { s.Trial++; o.at = o.at.AddDate(0, 1, 0) },
		"biller": func(s *desk.StandingOrder) { s.Limits.Biller = true },
	} {
		other := *so
		change(&other)
		if other.Hash() == so.Hash() || holds(&other) {
			t.Errorf("%s: a signature under another order holds", name)
		}
	}
	if !holds(so) {
		t.Error("the order itself does not hold any more")
	}
	file := filepath.Join(o.Root, "standing", channel, "desk.jsonl")
	b, err := os.ReadFile(file)
	o.must(err)
	o.must(os.WriteFile(file, []byte(strings.Replace(string(b), `"by":"li"`, `"by":"lu"`, 1)), 0o640))
	if _, err := o.Mandate(so, day.Add(1)); !errors.Is(err, desk.ErrChain) {
		t.Errorf("signatures were changed unseen: %v", err)
	}
}

var errAny = errors.New("any")

// TestNothingByItself: what turns an order off, and what stops a single item.
func TestNothingByItself(t *testing.T) {
	all := []reconcile.Item{lag(1), unposted(2), uncharged(3), unreversed(4)}
	for name, c := range map[string]struct {
		order   func(*desk.StandingOrder)
		before  func(o *office)
		verdict reconcile.Verdict
		done    int
		why     string
	}{
		"allowed":   {done: 4},
		"no level":  {order: func(s *desk.StandingOrder) { s.Levels = nil }, why: "未设常设指令"},
		"one level": {order: func(s *desk.StandingOrder) { s.Levels = []string{desk.LevelRecord} }, done: 1, why: "常设指令不含 L3P"},
		"over":      {order: func(s *desk.StandingOrder) { s.Until = day }, why: "到期"},
		"last day":  {order: func(s *desk.StandingOrder) { s.Until = day.Add(1) }, done: 4},
		"new":       {order: func(s *desk.StandingOrder) { s.Trial = 2 }, why: "新渠道 2 日内只作计划"},
		"not new":   {order: func(s *desk.StandingOrder) { s.Trial = 1 }, done: 4},
		"switch":    {before: func(o *office) { o.must(os.WriteFile(filepath.Join(o.Root, "STOP"), nil, 0o600)) }, why: "已停用"},
		"missing":   {verdict: reconcile.Incomplete, why: "结论 未齐"},
		"doubtful":  {verdict: reconcile.Doubtful, why: "结论 存疑"},
		"biller":    {order: func(s *desk.StandingOrder) { s.Limits.Biller = true }, done: 2, why: "以电力为准"},
		"count":     {order: func(s *desk.StandingOrder) { s.Limits.Count = 1 }, done: 2, why: "超笔数限额 1"},
		"sum":       {order: func(s *desk.StandingOrder) { s.Limits.Sum, s.Limits.Item = 5_00, 5_00 }, done: 3, why: "超总额限额 5.00"},
		"item":      {order: func(s *desk.StandingOrder) { s.Limits.Item = 2_99 }, done: 2, why: "超单笔限额 2.99"},
		"proposed": {before: func(o *office) {
			it := unposted(2)
			o.must(o.do("li", desk.Order{Kind: desk.Propose, Item: it.ID(), Action: desk.Post, Text: "x"}))
		}, done: 3, why: "已有人提议"},
		"signed off": {before: func(o *office) {
			for _, it := range all[1:] {
				o.must(o.do("li", desk.Order{Kind: desk.Note, Item: it.ID(), Owner: "王五", Due: day.Add(9), Text: "x"}))
			}
			o.must(o.do("li", desk.Order{Kind: desk.Sign, Text: "x"}))
		}, why: "已签核"},
	} {
		t.Run(name, func(t *testing.T) {
			o, so := newOffice(t), whole()
			if c.order != nil {
				c.order(so)
			}
			if c.verdict == reconcile.Balanced {
				c.verdict = reconcile.Unbalanced
			}
			o.publish(1, c.verdict, all...)
			if so.Moves() {
				o.signOrder(so)
			}
			if c.before != nil {
				c.before(o)
			}
			got, plan := o.auto(so, &lookout{})
			whys := ""
			for _, s := range plan.Stops {
				whys += s.Why + "\n"
			}
			if len(got) != c.done || len(plan.Stops) != 4-c.done || !strings.Contains(whys, c.why) {
				t.Errorf("done %v, stopped %q", got, whys)
			}
		})
	}
}

// TestLimitsHoldForTheDay counts what earlier versions of the day have seen done.
func TestLimitsHoldForTheDay(t *testing.T) {
	o, so := newOffice(t), whole()
	so.Limits.Count = 2
	o.publish(1, reconcile.Unbalanced, unreversed(1))
	o.signOrder(so)
	if got, _ := o.auto(so, &lookout{}); len(got) != 1 {
		t.Fatal(got)
	}
	o.publish(2, reconcile.Unbalanced, unreversed(2), unreversed(3))
	if got, plan := o.auto(so, &lookout{}); len(got) != 1 || len(plan.Stops) != 1 {
		t.Errorf("%v of 2 a day", got)
	}
}

// TestFirstSurpriseIsTheLast: an unexpected answer ends them all, what is too
// early waits, and what failed is left to people.
func TestFirstSurpriseIsTheLast(t *testing.T) {
	o, so := newOffice(t), whole()
	o.publish(1, reconcile.Unbalanced, unreversed(1), unreversed(2), unreversed(3))
	serial := func(n int) string { it := unreversed(n); return it.Serial() }
	eyes := &lookout{say: map[string]error{serial(1): fmt.Errorf("%w: 仍在迟到期内", desk.ErrNotYet), serial(2): errors.New("对方答已返销")}}
	got, _ := o.auto(so, eyes)
	if want := "[LG-4 reverse put-off LG-4 reverse refused]"; fmt.Sprint(got) != want || len(o.done) != 0 {
		t.Errorf("got %v", got)
	}
	if es, err := desk.Read(o.Home(day, channel)); err != nil || len(es) != 0 {
		t.Errorf("%d entries of what was not begun, %v", len(es), err)
	}
	o.broken = errors.New("无应答")
	got, _ = o.auto(so, &lookout{})
	if want := "[LG-4 reverse failed]"; fmt.Sprint(got) != want {
		t.Errorf("got %v", got)
	}
	o.broken = nil
	got, plan := o.auto(so, &lookout{})
	if want := "[LG-4 reverse done LG-4 reverse done]"; fmt.Sprint(got) != want || len(plan.Stops) != 1 || !strings.Contains(plan.Stops[0].Why, "由人办理: 无应答") {
		t.Errorf("got %v, stopped %v", got, plan.Stops)
	}
	failed := unreversed(1)
	o.must(o.do("li", desk.Order{Kind: desk.Propose, Item: failed.ID(), Action: desk.Refund, Text: "冲正不成"}))
}

// TestInterruptedAction was begun before a crash: it is taken up again under the
// same key and without another look.
func TestInterruptedAction(t *testing.T) {
	o, so := newOffice(t), whole()
	o.publish(1, reconcile.Unbalanced, unreversed(1))
	o.tape.err = nil
	var keys []string
	o.Hands = repairer(func() (string, error) {
		table, err := desk.Lay(o.Home(day, channel))
		o.must(err)
		it := unreversed(1)
		w, err := table.Work(it.ID())
		o.must(err)
		if w.Order != so.Hash() {
			t.Errorf("order %q", w.Order)
		}
		keys = append(keys, w.Key)
		if len(keys) == 1 {
			o.tape.err = errors.New("killed") // the end is not written down
		}
		return "", nil
	})
	m, err := o.Mandate(so, pay.DayOf(o.at))
	o.must(err)
	if _, _, err := o.Auto(t.Context(), day, &m, &lookout{}); err == nil {
		t.Fatal("went on without a record")
	}
	o.tape.err = nil
	eyes := &lookout{say: map[string]error{unreversedSerial(): errors.New("already undone")}}
	if got, _ := o.auto(so, eyes); fmt.Sprint(got) != "[LG-4 reverse done]" || len(eyes.seen) != 0 {
		t.Errorf("got %v, looked at %v", got, eyes.seen)
	}
	if len(keys) != 2 || keys[0] != keys[1] {
		t.Errorf("keys %v", keys)
	}
}

func unreversedSerial() string { it := unreversed(1); return it.Serial() }

type repairer func() (string, error)

func (r repairer) Repair(context.Context, pay.Day, string, string) (string, error) { return r() }
