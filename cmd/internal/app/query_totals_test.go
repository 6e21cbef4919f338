package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/spec"
)

// TestTotalsAreAskedFor pays, and has the MIS asked for its totals over its link
// before its list. While they are ours the list is written from the journal where
// the configuration says so, which the report tells; when the MIS has one payment
// more its list is asked for, and the night finds it.
func TestTotalsAreAskedFor(t *testing.T) {
	for mode, listed := range map[string]string{"always": "总账、明细相符", "differ": "未取明细"} {
		h := newHouse(t)
		h.stop()
		rewrite(t, h.file, "# mis_query: mis", "mis_query: mis\n      mis_totals: "+mode+" #")
		h.start()
		for i := range 5 {
			h.paid(h.sale(i))
		}
		day := h.app.Journal().Day()
		if err := h.app.Cut(t.Context(), day.Add(1)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.app.Reconcile(t.Context(), day); err != nil {
			t.Fatal(err)
		}
		text := reportText(t, h.app, day)
		if !strings.Contains(text, listed) || strings.Contains(text, "未取明细") != (mode == "differ") {
			t.Errorf("%s: the report does not say %q:\n%s", mode, listed, text)
		}
		src := h.app.channels[0].sources[0]
		name := filepath.Join(src.dir, src.spec.File(day))
		asked, err := os.ReadFile(name)
		if err == nil {
			err = src.export(t.Context(), name, day)
		}
		sent, err2 := os.ReadFile(name)
		if err := errors.Join(err, err2); err != nil || !bytes.Equal(asked, sent) {
			t.Errorf("%s: asked:\n%s\nsent:\n%s\n%v", mode, asked, sent, err)
		}
		extra := &pay.Request{Op: pay.Pay, Day: day, Account: h.owe[9].Account, Bills: h.owe[9].Bills, Ref: pay.Ref{Serial: "X1"}, More: []pay.Field{{ID: pay.FChannel, Val: "fixed"}}}
		for _, b := range extra.Bills {
			extra.Amount += b.Amount
		}
		if rep := h.app.Ledger().Do(t.Context(), extra); rep.Verdict != pay.Approved {
			t.Fatalf("got %+v", rep)
		}
		if _, err := h.app.Reconcile(t.Context(), day); err != nil {
			t.Fatal(err)
		}
		if text := reportText(t, h.app, day); !strings.Contains(text, "对总账不平: 对方 6 笔") || !strings.Contains(text, "6行") || strings.Contains(text, "未取明细") {
			t.Errorf("%s: after one more:\n%s", mode, text)
		}
		if text := strings.Join(acted(t, h.app), "\n"); !strings.Contains(text, "前置 对总账 "+day.String()+" mis 对总账平") || !strings.Contains(text, "对总账不平") {
			t.Errorf("%s: acts\n%s", mode, text)
		}
		h.stop()
	}
}

// reportText is the latest report of a day.
func reportText(t *testing.T, a *App, day pay.Day) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(a.homeOf(day, "BANK301"), "latest", "report.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestTotalsNeedAnAnswer treats a MIS that refuses its totals, or tells none,
// like one whose list has not come.
func TestTotalsNeedAnAnswer(t *testing.T) {
	a := clockwork(t, install(t))
	defer stop(t, a)
	day := a.journal.Day()
	if err := a.journal.Cut(t.Context(), day.Add(1)); err != nil {
		t.Fatal(err)
	}
	host := *a.plan.hosts["mis"]
	b := &before{a: a, ch: &ChannelOptions{}, host: &host}
	for want, l := range map[string]*teller{"answers": {rep: pay.Answer(pay.Declined, pay.CodeNotCut)}, "credit_count": {rep: pay.Answer(pay.Approved, pay.CodeOK)}, "silence": {err: errors.New("silence")}} {
		host.Adapter = l
		if _, err := b.compare(t.Context(), day); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestTotalsAreChecked(t *testing.T) {
	for _, c := range [][2]string{{"mis_totals: always #", "mis_totals: needs mis_query"}, {"mis_query: mis\n      mis_totals: often #", "mis_totals: want"},
		{"mis_query: mis\n      mis_totals: always\n      mis_doors: [moon] #", "mis_doors: no host"}} {
		conf, err := Load(install(t, "# mis_query: mis", c[0]))
		if err == nil {
			_, err = Prepare(conf, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", c[0], err)
		}
	}
	move := func(f pay.FieldID) spec.Moves { return spec.Moves{{Field: f.String()}} }
	for _, f := range []pay.FieldID{pay.FDebitCount, pay.FDebitSum, pay.FCreditCount} {
		l := &spec.Link{Messages: []spec.Message{{Op: "check-totals", Request: spec.Direction{Maybe: move(f)}}}}
		if got := tellsDebits(l); got != (f != pay.FCreditCount) {
			t.Errorf("%s: %v", f, got)
		}
	}
}

// teller is a MIS with one answer.
type teller struct {
	rep pay.Reply
	err error
}

func (l *teller) Do(context.Context, *pay.Request) (pay.Reply, error) { return l.rep, l.err }
