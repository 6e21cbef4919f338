package sim

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/report"
	"qianzhi/reconcile/statement"
)

// sheet is a bank's check file with something wrong.
type sheet struct {
	paper
	absent bool
	hurt   func([]byte) []byte // nil for nothing
}

func (s sheet) Fetch(_ context.Context, day pay.Day) (reconcile.Input, error) {
	in := reconcile.Input{Name: s.spec.File(day)}
	if s.absent {
		return in, nil
	}
	b, err := s.spec.Write(day, s.rows)
	if err != nil {
		return in, err
	}
	if s.hurt != nil {
		b = s.hurt(b)
	}
	in.State, in.Raw = reconcile.Accepted, b
	if in.Lines, err = s.spec.Read(b, day, reconcile.Bank); err != nil {
		in.State, in.Why, in.Lines = reconcile.Rejected, err.Error(), nil
	}
	return in, nil
}

// paidDay makes a day of three payments over the fixed link, cuts it and returns
// what both sides' files should hold.
func (w *world) paidDay(t *testing.T) (rows, mis []statement.Row) {
	t.Helper()
	bank := w.teller("fixed", 1)
	for i := range 3 {
		sale := bank.sale(fmt.Sprintf("05120000%02d", i))
		bank.want(t, sale, pay.Approved)
		e := w.entry(t, sale)
		serial := e.ID.Serial(1)
		rows = append(rows, rowOf(&deal{link: "fixed", req: sale}, &e, reconcile.Charged, sale.Amount))
		mis = append(mis, statement.Row{Effect: reconcile.Posted, Amount: sale.Amount, Values: map[string]string{"reference": serial,
			"host_serial": "H", "channel": "fixed", "account": sale.Account}})
	}
	w.cut(today.Add(1))
	return rows, mis
}

// verdicts reconciles the day for each of the bank's sheets, a channel each.
func (w *world) verdicts(t *testing.T, mis []statement.Row, sheets ...sheet) []*reconcile.Result {
	t.Helper()
	o := reconcile.Options{Dir: filepath.Join(w.dir, "recon"), Node: 1, Books: w.process().journal, Matrix: w.matrix(), Report: report.Files,
		Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	for i, s := range sheets {
		o.Channels = append(o.Channels, reconcile.Channel{ID: fmt.Sprintf("B%02d", i), Links: []string{"fixed"}, MIS: w.paper("mis-lines.yaml", mis), Bank: s, Key: s.spec.Keys()})
	}
	res, err := reconcile.New(o).Run(context.Background(), today)
	if err != nil || len(res) != len(sheets) {
		t.Fatal(len(res), err)
	}
	return res
}

func wantVerdict(t *testing.T, r *reconcile.Result, want reconcile.Verdict) {
	t.Helper()
	if r.Verdict != want {
		t.Errorf("%s: %s (%s), want %s", r.Channel, r.Verdict, r.Why, want)
	}
}

func fileAbsent(t *testing.T, w *world) {
	rows, mis := w.paidDay(t)
	wantVerdict(t, w.verdicts(t, mis, sheet{paper: w.paper("bank-lines.yaml", rows), absent: true})[0], reconcile.Incomplete)
}

// wrongTotals takes a line out of the file and leaves the totals as they were.
func wrongTotals(t *testing.T, w *world) {
	rows, mis := w.paidDay(t)
	short := func(b []byte) []byte {
		lines := bytes.SplitAfter(b, []byte("\n"))
		return bytes.Join(append(lines[:1:1], lines[2:]...), nil)
	}
	wantVerdict(t, w.verdicts(t, mis, sheet{paper: w.paper("bank-lines.yaml", rows), hurt: short})[0], reconcile.Refused)
}

func duplicateRow(t *testing.T, w *world) {
	rows, mis := w.paidDay(t)
	res := w.verdicts(t, mis, sheet{paper: w.paper("bank-lines.yaml", append(rows, rows[0]))})[0]
	if res.Codes()["DU-4"] != 1 || res.Codes()["DU-4"] != len(res.Codes()) {
		t.Errorf("%s %v: want the row that stands twice, and nothing else", res.Verdict, res.Codes())
	}
}

// oneBadFile has nine channels come out even although the tenth file cannot be
// read.
func oneBadFile(t *testing.T, w *world) {
	rows, mis := w.paidDay(t)
	sheets := make([]sheet, 10)
	for i := range sheets {
		sheets[i] = sheet{paper: w.paper("bank-lines.yaml", rows)}
	}
	sheets[4].hurt = func([]byte) []byte { return []byte("\x00\xff garbage") }
	for i, r := range w.verdicts(t, mis, sheets...) {
		if i == 4 {
			wantVerdict(t, r, reconcile.Refused)
		} else {
			wantVerdict(t, r, reconcile.Balanced)
		}
	}
}
