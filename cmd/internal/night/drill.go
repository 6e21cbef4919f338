package night

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// Score is what a drill came to.
type Score struct {
	Rows        int `json:"rows"`
	AmountCases int `json:"amount_cases"`
	Missed      int `json:"missed"`
	False       int `json:"false"`
}

// drillSpec tells everything of all parties, so that every overlay can be
// planted.
const drillSpec = `
id: drill
title: 演练
name: "*_{day}.txt"
encoding: gb18030
delimiter: "|"
header: [day, {name: _lines, total: {of: count, effect: any}}, {name: sum, total: {of: sum}}]
fields: [day, reference, bank_serial, account, terminal, amount, status, sender_time, name]
amount: fen
key: [bank_serial]
status:
  - {wire: "0", effect: effective}
  - {wire: "1", effect: undone}
  - {wire: S, effect: success}
  - {wire: F, effect: failed}
  - {wire: U, effect: open}
  - {wire: P, effect: pending}
  - {wire: R, effect: reversed}
max_line: 512
`

// Drill builds days with every row of the matrix, every amount case and every
// overlay, reconciles them and says what was missed and what is false.
type Drill struct {
	Dir     string
	say     func(format string, a ...any)
	n       int
	rows    map[reconcile.Party][]statement.Row
	want    map[string]string // code by serial, of what is not flat
	waiting []string          // serials of what waits for the next day
	seen    Score
}

// NewDrill writes below dir and tells its steps to say.
func NewDrill(dir string, say func(string, ...any)) *Drill { return &Drill{Dir: dir, say: say} }

const drillDay = pay.Day(20261120)

// Run plays the drill.
func (d *Drill) Run(ctx context.Context) (Score, error) {
	mx, err := Matrix()
	if err != nil {
		return d.seen, err
	}
	spec := filepath.Join(d.Dir, "drill.yaml")
	if err := os.WriteFile(spec, []byte(drillSpec), 0o600); err != nil {
		return d.seen, err
	}
	for _, step := range []struct {
		name string
		day  pay.Day
		plan func(*reconcile.Matrix)
		want reconcile.Verdict
	}{
		{"前日: 留下跨日待核", drillDay.Add(-1), d.eve, reconcile.Balanced},
		{"当日: 矩阵 53 行, 金额 11 种, 重复, 串户, 跨日", drillDay, d.day, reconcile.Unbalanced},
		{"次日: 到期未到转不平, 流水重号为故障", drillDay.Add(1), d.morrow, reconcile.Broken},
	} {
		d.rows, d.want = map[reconcile.Party][]statement.Row{}, map[string]string{}
		step.plan(mx)
		res, err := d.play(ctx, spec, step.day)
		if err != nil {
			return d.seen, err
		}
		d.mark(res)
		d.waiting = nil
		for i := range res.Items {
			if res.Items[i].Grade == reconcile.Pended {
				d.waiting = append(d.waiting, res.Items[i].Serial())
			}
		}
		if res.Verdict != step.want {
			d.say("结论 %s, 应为 %s: %s", res.Verdict, step.want, res.Why)
			d.seen.False++
		}
		d.say("%s %s: %s, 差异 %d 笔", step.day, step.name, res.Verdict, len(res.Items))
	}
	return d.seen, nil
}

// play writes the parties' files and reconciles them.
func (d *Drill) play(ctx context.Context, specFile string, day pay.Day) (*reconcile.Result, error) {
	spec, err := Spec(specFile)
	if err != nil {
		return nil, err
	}
	f := Files{Day: day, Channel: "DRILL", Out: filepath.Join(d.Dir, "recon"), Names: map[reconcile.Party]string{}, Specs: map[reconcile.Party]string{}}
	for p, name := range map[reconcile.Party]string{reconcile.Journal: "journal", reconcile.MIS: "mis", reconcile.Bank: "bank"} {
		b, err := spec.Write(day, d.rows[p])
		if err != nil {
			return nil, err
		}
		file := filepath.Join(d.Dir, name+"_"+day.String()+".txt")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return nil, err
		}
		f.Names[p], f.Specs[p] = file, specFile
	}
	return f.Run(ctx)
}

// mark holds the items against what was planted.
func (d *Drill) mark(res *reconcile.Result) {
	got := map[string]string{}
	for i := range res.Items {
		it := &res.Items[i]
		got[it.Serial()] = both(got[it.Serial()], it.Code)
	}
	for i := range res.Carried {
		if it := &res.Carried[i]; it.Turned {
			got[it.Serial()] = both(got[it.Serial()], "到期")
		}
	}
	for s, code := range d.want {
		if got[s] != code {
			d.seen.Missed++
			d.say("漏报: 流水 %s 应为 %s, 得到 %q", s, code, got[s])
		}
	}
	for s, code := range got {
		if d.want[s] == "" {
			d.seen.False++
			d.say("误报: 流水 %s 报为 %s", s, code)
		}
	}
}

// both keeps the codes of one payment in one order.
func both(a, b string) string {
	if a == "" {
		return b
	}
	all := []string{a, b}
	sort.Strings(all)
	return all[0] + "+" + all[1]
}

// serial is the n-th payment's.
func (d *Drill) serial() string { return fmt.Sprintf("%s01%010d", drillDay, d.n) }

// add plants one payment; an effect of 0 is no line. It returns the rows by
// party for what is to be changed in them.
func (d *Drill) add(clock string, j, m, b reconcile.Effect, amounts ...pay.Amount) map[reconcile.Party]*statement.Row {
	d.n++
	out := map[reconcile.Party]*statement.Row{}
	for i, e := range []reconcile.Effect{j, m, b} {
		p := reconcile.Party(i)
		if e == reconcile.None || e == reconcile.Absent || e == 0 {
			continue
		}
		amount := pay.Amount(10000 + d.n)
		if len(amounts) > i {
			amount = amounts[i]
		}
		word := ""
		if p == reconcile.Journal && e == reconcile.Pending {
			word = "pending"
		}
		d.rows[p] = append(d.rows[p], statement.Row{Effect: e, Word: word, Amount: amount, Values: map[string]string{"reference": d.serial(), "bank_serial": fmt.Sprintf("K%010d", d.n),
			"account": fmt.Sprintf("05120%07d", d.n), "terminal": "60120001", "sender_time": clock, "name": "王㛃"}})
		out[p] = &d.rows[p][len(d.rows[p])-1]
	}
	return out
}

const (
	noon  = "12:00:00"
	night = "23:50:00" // near the cut
)

func (d *Drill) flat(n int) {
	for range n {
		d.add(noon, reconcile.Success, reconcile.Posted, reconcile.Charged)
	}
}
