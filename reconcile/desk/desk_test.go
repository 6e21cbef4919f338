package desk_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
)

const (
	day     = pay.Day(20261124)
	channel = "BANK301"
)

// tape takes acts, and fails while told to.
type tape struct {
	acts []access.Act
	err  error
}

func (r *tape) Record(_ context.Context, a access.Act) error {
	if r.err == nil {
		r.acts = append(r.acts, a)
	}
	return r.err
}

// office is a desk with a published version on it and people around it.
type office struct {
	*desk.Desk
	t      *testing.T
	tape   tape
	users  *access.Directory
	secret map[string]access.Secret
	at     time.Time
	people map[string]access.Principal
	done   []string // repairs
	broken error
}

func (o *office) Repair(_ context.Context, day pay.Day, channel, item string) (string, error) {
	t, err := desk.Lay(o.Home(day, channel))
	o.must(err)
	w, err := t.Work(item)
	o.must(err)
	o.done = append(o.done, fmt.Sprint(w.Serial, " ", w.Action))
	return "done as " + w.Key, o.broken
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, at: time.Date(2026, 11, 25, 7, 0, 0, 0, time.UTC), secret: map[string]access.Secret{}, people: map[string]access.Principal{}}
	now := func() time.Time { return o.at }
	o.Desk = &desk.Desk{Root: t.TempDir(), Audit: &o.tape, Now: now, Hands: o}
	var err error
	o.users, err = access.New(access.Options{File: filepath.Join(t.TempDir(), "users.json"), Audit: &tape{}, Now: now, Cost: access.Cost{Memory: 64, Passes: 1, Lanes: 1}, Age: 999 * time.Hour})
	o.must(err)
	u, err := o.users.First(t.Context(), access.Local(1, "test"), "root", "A000", "Correct-Horse-7")
	o.must(err)
	o.secret["root"] = u.TOTP
	boss := o.login("root", "Correct-Horse-7")
	for name, p := range map[string]struct {
		person string
		role   access.Role
	}{"li": {"B001", access.Operator}, "wang": {"B002", access.Operator}, "zhao": {"B003", access.Reviewer}, "sun": {"B004", access.Auditor}} {
		u, err := o.users.Add(t.Context(), boss, name, p.person, p.role, "First-Password-1")
		o.must(err)
		o.secret[name] = u.TOTP
		o.must(o.users.SetPassword(t.Context(), o.login(name, "First-Password-1"), name, "Correct-Horse-7", ""))
		o.people[name] = o.login(name, "Correct-Horse-7")
	}
	return o
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) login(name, password string) access.Principal {
	o.t.Helper()
	o.at = o.at.Add(31 * time.Second)
	code, err := access.Code(o.secret[name], o.at)
	o.must(err)
	p, err := o.users.Login(o.t.Context(), name, password, code, "test")
	o.must(err)
	return p
}

// publish lays a version with items on the desk.
func (o *office) publish(version int, verdict reconcile.Verdict, items ...reconcile.Item) {
	o.t.Helper()
	home := o.Home(day, channel)
	dir := filepath.Join(home, fmt.Sprintf("r%d", version))
	o.must(os.MkdirAll(dir, 0o750))
	s := reconcile.Summary{Schema: 2, Day: day.String(), Channel: channel, Version: version, Verdict: verdict.String(), Word: verdict.String(), Exit: verdict.Exit(),
		Todo: len(items), Totals: map[string]reconcile.Total{"journal": {}, "mis": {}, "bank": {}}}
	result, err := json.Marshal(s)
	o.must(err)
	all, err := reconcile.AppendRecords(nil, items)
	o.must(err)
	open, err := reconcile.AppendRecords(nil, slices.DeleteFunc(slices.Clone(items), func(it reconcile.Item) bool { return it.Grade == reconcile.Fixable }))
	o.must(err)
	var manifest strings.Builder
	for name, b := range map[string][]byte{"result.json": result, "open.jsonl": open, "items.jsonl": all} {
		o.must(os.WriteFile(filepath.Join(dir, name), b, 0o640))
		fmt.Fprintf(&manifest, "%x  %s\n", sha256.Sum256(b), name)
	}
	o.must(os.WriteFile(filepath.Join(dir, "MANIFEST.sha256"), []byte(manifest.String()), 0o640))
	link := filepath.Join(home, "latest")
	_ = os.Remove(link) // there is none before the first
	o.must(os.Symlink(filepath.Base(dir), link))
}

// long is a payment that failed here and was charged by the bank.
func long(n int) reconcile.Item {
	serial := fmt.Sprintf("202611240100000%05d", n)
	return reconcile.Item{Code: "LG-3", Name: "长款·我方失败银行已扣", Grade: reconcile.Uneven, Funds: pay.Amount(n * 100), Lines: [4]*reconcile.Line{
		reconcile.Journal: {Serial: serial, Amount: pay.Amount(n * 100), Effect: reconcile.Failed},
		reconcile.Bank:    {Serial: serial, Key: fmt.Sprint("K", n), Amount: pay.Amount(n * 100), Effect: reconcile.Charged}}}
}

// do has somebody decide and says how it ended.
func (o *office) do(who string, order desk.Order) error {
	_, err := o.Do(o.t.Context(), o.people[who], day, channel, order)
	return err
}

func (o *office) refuse(who string, order desk.Order, want error) {
	o.t.Helper()
	acts := len(o.tape.acts)
	if err := o.do(who, order); err == nil || want != nil && !errors.Is(err, want) {
		o.t.Errorf("%s %s: got %v, want %v", who, order.Kind, err, want)
	}
	if len(o.tape.acts) != acts {
		o.t.Errorf("%s %s: a refusal left an act", who, order.Kind)
	}
}

// TestFlatDay: one signs, another closes, and nothing happens to it afterwards
// until two open it.
func TestFlatDay(t *testing.T) {
	o := newOffice(t)
	o.publish(1, reconcile.Balanced)
	home := o.Home(day, channel)
	o.refuse("zhao", desk.Order{Kind: desk.Sign}, access.ErrRight)
	o.refuse("sun", desk.Order{Kind: desk.Sign}, access.ErrRight)
	o.refuse("zhao", desk.Order{Kind: desk.Countersign}, desk.ErrStage)
	o.must(o.do("li", desk.Order{Kind: desk.Sign}))
	o.refuse("wang", desk.Order{Kind: desk.Sign}, desk.ErrStage)
	o.refuse("li", desk.Order{Kind: desk.Countersign}, access.ErrSamePerson)
	o.refuse("wang", desk.Order{Kind: desk.Countersign}, access.ErrNotSecond)
	o.must(o.do("zhao", desk.Order{Kind: desk.Countersign}))
	if closed, err := desk.IsClosed(home); err != nil || !closed {
		t.Fatalf("closed %v, %v", closed, err)
	}
	o.refuse("li", desk.Order{Kind: desk.Sign}, desk.ErrClosed)
	o.refuse("zhao", desk.Order{Kind: desk.Reopen}, nil) // no reason
	o.must(o.do("li", desk.Order{Kind: desk.Reopen, Text: "银行补送文件"}))
	o.refuse("wang", desk.Order{Kind: desk.Reopen, Text: "同意"}, access.ErrNotSecond)
	o.must(o.do("zhao", desk.Order{Kind: desk.Reopen, Text: "同意"}))
	if closed, err := desk.IsClosed(home); err != nil || closed {
		t.Fatalf("closed %v, %v", closed, err)
	}
	p, err := desk.Verify(home)
	if err != nil || p != (desk.Proof{Versions: 1, Files: 3, Entries: 4, Signatures: 2}) {
		t.Errorf("got %+v, %v", p, err)
	}
}

// TestUnbalancedDay is signed only when somebody sees to every item.
func TestUnbalancedDay(t *testing.T) {
	o := newOffice(t)
	a, b := long(1), long(2)
	o.publish(1, reconcile.Unbalanced, a, b)
	o.refuse("li", desk.Order{Kind: desk.Sign, Text: "等银行"}, nil)
	o.refuse("li", desk.Order{Kind: desk.Note, Item: a.ID(), Text: "x", Due: 20261126}, nil)
	o.refuse("li", desk.Order{Kind: desk.Note, Item: a.ID(), Text: "x", Owner: "王五", Due: 20261101}, nil)
	o.must(o.do("li", desk.Order{Kind: desk.Note, Item: a.ID(), Text: "已致电银行", Owner: "王五", Due: 20261126}))
	o.refuse("li", desk.Order{Kind: desk.Sign, Text: "等银行"}, nil)
	o.must(o.do("zhao", desk.Order{Kind: desk.Note, Item: b.ID()[:6], Text: "已致电银行", Owner: "王五", Due: 20261126}))
	o.refuse("li", desk.Order{Kind: desk.Sign}, nil) // no reason
	o.must(o.do("li", desk.Order{Kind: desk.Sign, Text: "等银行"}))
	o.publish(2, reconcile.Unbalanced, a, b)
	o.refuse("zhao", desk.Order{Kind: desk.Countersign}, desk.ErrStage)
	table, err := desk.Lay(o.Home(day, channel))
	o.must(err)
	if !table.Void || table.Stage != desk.Matched {
		t.Errorf("the signature stands under an earlier version: %+v", table.Stage)
	}
	for _, v := range []reconcile.Verdict{reconcile.Incomplete, reconcile.Broken, reconcile.Refused, reconcile.Doubtful} {
		o.publish(3, v)
		o.refuse("li", desk.Order{Kind: desk.Sign, Text: "x"}, nil)
	}
}

// TestAction takes an item from its proposal to the repair.
func TestAction(t *testing.T) {
	o := newOffice(t)
	it := long(1)
	it.Lines[reconcile.Journal].Effect = reconcile.Open
	o.publish(1, reconcile.Unbalanced, it)
	order := func(k desk.Kind, a desk.Action) desk.Order {
		return desk.Order{Kind: k, Item: it.ID(), Action: a, Text: "客户未再缴费"}
	}
	for _, a := range []desk.Action{desk.Return, desk.Reverse, desk.Fail, desk.Undone, desk.Succeed, desk.Claim, "charge"} {
		o.refuse("li", order(desk.Propose, a), nil)
	}
	o.refuse("li", order(desk.Approve, ""), nil)
	o.refuse("zhao", order(desk.Propose, desk.Post), access.ErrRight)
	o.must(o.do("li", order(desk.Propose, desk.Post)))
	o.refuse("li", order(desk.Approve, ""), access.ErrSamePerson)
	o.refuse("wang", order(desk.Approve, ""), access.ErrNotSecond)
	o.refuse("li", order(desk.Apply, ""), nil)
	o.must(o.do("zhao", order(desk.Approve, "")))
	o.refuse("zhao", order(desk.Apply, ""), access.ErrRight)
	o.broken = errors.New("无应答")
	o.must(o.do("li", order(desk.Apply, "")))
	o.broken = nil
	o.must(o.do("wang", order(desk.Apply, "")))
	o.refuse("wang", order(desk.Apply, ""), nil)
	o.refuse("li", order(desk.Propose, desk.Refund), nil)
	table, err := desk.Lay(o.Home(day, channel))
	o.must(err)
	if _, err := table.Work(it.ID()); err == nil {
		t.Error("what is done is to be done again")
	}
	if want := it.Serial() + " post"; len(o.done) != 2 || o.done[0] != want || o.done[1] != want {
		t.Errorf("done %v", o.done)
	}
	if n := len(o.tape.acts); n != 6 {
		t.Errorf("%d acts recorded, want propose, approve, two applications and their ends", n)
	}

	o.publish(2, reconcile.Unbalanced, it)
	table, err = desk.Lay(o.Home(day, channel))
	o.must(err)
	if got := table.Standing(&table.Open[0]); !strings.Contains(got, "已执行 补销账") {
		t.Errorf("a decision holds while the evidence does: %q", got)
	}
	changed := long(1)
	changed.Lines[reconcile.Journal].Effect = reconcile.Open
	changed.Lines[reconcile.Bank].Amount++
	o.publish(3, reconcile.Unbalanced, changed)
	o.refuse("zhao", order(desk.Approve, ""), nil)
	o.refuse("wang", order(desk.Apply, ""), nil)
	o.must(o.do("li", order(desk.Propose, desk.Refund)))
}

// TestNothingWithoutARecord: where the journal does not take the act, nothing is
// decided.
func TestNothingWithoutARecord(t *testing.T) {
	o := newOffice(t)
	o.publish(1, reconcile.Balanced)
	o.tape.err = errors.New("disk full")
	if err := o.do("li", desk.Order{Kind: desk.Sign}); !errors.Is(err, o.tape.err) {
		t.Errorf("got %v", err)
	}
	if es, err := desk.Read(o.Home(day, channel)); err != nil || len(es) != 0 {
		t.Errorf("%d entries, %v", len(es), err)
	}
}

// TestTampering changes every byte of a decided day in turn: Verify notices.
func TestTampering(t *testing.T) {
	o := newOffice(t)
	a := long(1)
	o.publish(1, reconcile.Unbalanced, a)
	o.must(o.do("li", desk.Order{Kind: desk.Note, Item: a.ID(), Text: "已致电", Owner: "王五", Due: 20261126}))
	o.must(o.do("li", desk.Order{Kind: desk.Sign, Text: "等银行"}))
	home := o.Home(day, channel)
	for _, name := range []string{"desk.jsonl", "r1/result.json", "r1/open.jsonl", "r1/MANIFEST.sha256"} {
		path := filepath.Join(home, name)
		whole, err := os.ReadFile(path)
		o.must(err)
		for i := range whole {
			bad := append([]byte(nil), whole...)
			bad[i] ^= 1
			o.must(os.WriteFile(path, bad, 0o640))
			if _, err := desk.Verify(home); err == nil {
				t.Fatalf("%s: byte %d of %d changed unseen", name, i, len(whole))
			}
		}
		o.must(os.WriteFile(path, whole[:len(whole)-1], 0o640))
		if _, err := desk.Verify(home); err == nil && name != "r1/MANIFEST.sha256" {
			t.Errorf("%s: cut unseen", name)
		}
		o.must(os.WriteFile(path, whole, 0o640))
	}
	o.must(os.WriteFile(filepath.Join(home, "r1", "more.txt"), nil, 0o640))
	if _, err := desk.Verify(home); err == nil {
		t.Error("a file was added unseen")
	}
}

// TestCash ties a terminal's cash to what was inserted.
func TestCash(t *testing.T) {
	o := newOffice(t)
	o.publish(1, reconcile.Balanced)
	good := `{"terminal":"T0022","names":["王五","赵六"],"opening":5000,"inserted":120000,"returned":5000,"posted":110000,
		"notes":{"100":11,"50":1},"counterfeit":[{"number":"AB12345678","yuan":50,"called":"09:10","result":"厂商已收走"}]}`
	c, err := desk.ParseCount([]byte(good))
	o.must(err)
	if c.Counted() != 115000 || c.False() != 5000 || c.Gap() != 0 || c.Unposted() != 5000 {
		t.Errorf("counted %d, false %d, gap %d, unposted %d", c.Counted(), c.False(), c.Gap(), c.Unposted())
	}
	for _, bad := range []string{
		strings.Replace(good, "赵六", " 王五", 1), strings.Replace(good, `"100"`, `"30"`, 1), strings.Replace(good, "09:10", "", 1),
		strings.Replace(good, "11", "-1", 1), strings.Replace(good, "T0022", "", 1), strings.Replace(good, `"opening"`, `"openning"`, 1),
	} {
		if _, err := desk.ParseCount([]byte(bad)); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
	o.refuse("sun", desk.Order{Kind: desk.Cash, Count: c}, access.ErrRight)
	o.must(o.do("li", desk.Order{Kind: desk.Cash, Count: c}))
	again := *c
	again.Notes = map[int]int{100: 11}
	o.must(o.do("li", desk.Order{Kind: desk.Cash, Count: &again}))
	table, err := desk.Lay(o.Home(day, channel))
	o.must(err)
	if n := table.Counts(); len(n) != 1 || n[0].Gap() != -5000 {
		t.Errorf("got %+v", n)
	}
}

// TestPlan holds what the matrix allows, within the limits, under a hash that
// changes with the evidence.
func TestPlan(t *testing.T) {
	o := newOffice(t)
	item := func(n int, code, auto string, grade reconcile.Grade, j, m, b reconcile.Effect) reconcile.Item {
		it := long(n)
		it.Code, it.Auto, it.Grade, it.Lines[reconcile.Journal].Effect = code, auto, grade, j
		it.Lines[reconcile.Bank].Effect = b
		if m != reconcile.Absent {
			it.Lines[reconcile.MIS] = &reconcile.Line{Serial: it.Lines[reconcile.Journal].Serial, Amount: it.Lines[reconcile.Journal].Amount, Effect: m}
		}
		return it
	}
	lag := item(1, "ST-1", "L2,L1", reconcile.Fixable, reconcile.Open, reconcile.Posted, reconcile.Charged)
	post := item(2, "LG-1", "L2,L3P", reconcile.Uneven, reconcile.Open, reconcile.Absent, reconcile.Charged)
	big := item(600, "LG-1", "L2,L3P", reconcile.Uneven, reconcile.Open, reconcile.Absent, reconcile.Charged)
	young := item(3, "SH-1", "L2,L3V", reconcile.Uneven, reconcile.Open, reconcile.Posted, reconcile.Undone)
	old := item(4, "SH-1", "L2,L3V", reconcile.Uneven, reconcile.Open, reconcile.Posted, reconcile.Undone)
	old.From = day.Add(-1)
	person := long(5)
	o.publish(1, reconcile.Unbalanced, lag, post, big, young, old, person)
	plan := func(l desk.Limits) desk.Plan {
		t.Helper()
		table, err := desk.Lay(o.Home(day, channel))
		o.must(err)
		return table.Plan(l)
	}
	p := plan(desk.Usual())
	got := map[string]desk.Action{}
	for _, s := range p.Steps {
		got[s.Item.ID()] = s.Action
	}
	if len(p.Steps) != 3 || got[lag.ID()] != desk.Succeed || got[post.ID()] != desk.Post || got[old.ID()] != desk.Return || len(p.Stops) != 2 {
		t.Errorf("got %v, %d stopped", got, len(p.Stops))
	}
	if again := plan(desk.Usual()); again.Hash != p.Hash {
		t.Error("the same plan has another hash")
	}
	if few := plan(desk.Limits{Item: 500_00, Sum: 2000_00, Count: 1}); len(few.Steps) != 2 || few.Hash == p.Hash {
		t.Errorf("%d steps within one action", len(few.Steps))
	}
	post.Lines[reconcile.Bank].Host = "another"
	o.publish(2, reconcile.Unbalanced, lag, post, big, young, old, person)
	if changed := plan(desk.Usual()); changed.Hash == p.Hash {
		t.Error("the evidence changed and the hash did not")
	}
	o.must(os.WriteFile(filepath.Join(o.Root, "STOP"), nil, 0o600))
	if p := plan(desk.Usual()); len(p.Steps) != 0 || len(p.Stops) != 5 {
		t.Errorf("%d steps although plans are off", len(p.Steps))
	}
}
