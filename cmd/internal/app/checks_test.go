package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qianzhi/cmd/internal/peer"
	"qianzhi/conf"
	"qianzhi/gateway/access"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
)

const (
	fixedLink = "    file: links/bank-fixed.yaml\n"
	fixedAsks = fixedLink + "    checks: {spec: statements/bank-lines.yaml, dir: outbox/asked}\n"
	misAsks   = "  - {id: mis-asks, file: links/mis-asks.yaml, listen: 127.0.0.1:0, keys: {gateway: gateway, mis: mis, session: mis-session},\n" +
		"     checks: {of: [pos, fixed, http], host: mis, spec: statements/mis-lines.yaml, page: 2}}\n"
)

// asking is a house whose bank and utility ask 对总账 and 对明细账.
func asking(t *testing.T) (*house, *peer.Conn) {
	h := newHouse(t)
	h.stop()
	b, err := conf.Files.ReadFile("links/mis-asks.yaml")
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(h.file), "links/mis-asks.yaml"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, h.file, fixedLink, fixedAsks)
	rewrite(t, h.file, "  - id: pos\n", misAsks+"  - id: pos\n")
	h.start()
	h.bank = peer.Dial(h.app.plan.links[2].dialect, h.app.Addr("fixed"))
	utility := peer.Dial(h.app.plan.links[0].dialect, h.app.Addr("mis-asks"))
	t.Cleanup(func() { utility.Close() })
	return h, utility
}

// totalsOf is a 对总账 of a day.
func totalsOf(day pay.Day, n int, sum pay.Amount) *pay.Request {
	return &pay.Request{Op: pay.CheckTotals, Day: day, Amount: sum, Ref: pay.Ref{Serial: "T1"},
		More: []pay.Field{{ID: pay.FDay, Val: day.String()}, {ID: pay.FCreditCount, Val: fmt.Sprint(n)}}}
}

// acted are the acts of a day, as text.
func acted(t *testing.T, a *App) (out []string) {
	t.Helper()
	o := a.journalOptions()
	ar, err := journal.OpenArchive(t.Context(), sqlite.New(o.Dir), o)
	if err != nil {
		t.Fatal(err)
	}
	defer ar.Close()
	err = ar.Notes(t.Context(), a.journal.Day(), pay.EvAdmin, func(n *journal.Noted) bool {
		if act, ok := access.ParseAct(n.Note.Text); ok {
			out = append(out, act.By+" "+act.What+" "+act.On+" "+act.Reason)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestBankAndUtilityAsk pays, and has a bank and a utility ask over their own
// links: a day that is not over is said to be so, totals are flat or not, the
// bank is told of a file and the utility hears every line in pages; the acts are
// in the journal.
func TestBankAndUtilityAsk(t *testing.T) {
	h, utility := asking(t)
	sum := pay.Amount(0)
	for i := range 5 {
		sale := h.sale(i)
		h.paid(sale)
		sum += sale.Amount
	}
	day := h.app.Journal().Day()
	do := func(c *peer.Conn, req *pay.Request, v pay.Verdict, code pay.Code) pay.Reply {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		own := *req
		if c == utility {
			own.More = append([]pay.Field{{ID: pay.FCorrelation, Val: "C1"}}, req.More...)
		}
		rep, err := c.Do(ctx, &own, peer.Sound)
		if err != nil || rep.Verdict != v || rep.Code != code {
			t.Fatalf("%s: got %+v, %v, want %s/%s", req.Op, rep, err, v, code)
		}
		return rep
	}
	for _, c := range []*peer.Conn{h.bank, utility} {
		do(c, totalsOf(day, 5, sum), pay.Declined, pay.CodeNotCut)
		do(c, &pay.Request{Op: pay.CheckFile, Day: day, Ref: pay.Ref{Serial: "T2"}, More: []pay.Field{{ID: pay.FDay, Val: day.String()}}}, pay.Declined, pay.CodeNotCut)
	}
	if err := h.app.Cut(t.Context(), day.Add(1)); err != nil {
		t.Fatal(err)
	}
	do(h.bank, totalsOf(20010101, 5, sum), pay.Declined, pay.CodeExpired)
	for _, c := range []*peer.Conn{h.bank, utility} {
		for claim, want := range map[pay.Amount]string{sum: "1", sum + 1: "2"} {
			rep := do(c, totalsOf(day, 5, claim), pay.Approved, pay.CodeOK)
			if pay.Find(rep.More, pay.FBalanced) != want || rep.Amount != sum || strings.TrimLeft(pay.Find(rep.More, pay.FCreditCount), "0") != "5" {
				t.Errorf("claimed %s: got %+v, want %s", claim.Yuan(), rep, want)
			}
		}
	}
	list := &pay.Request{Op: pay.CheckFile, Day: day, Ref: pay.Ref{Serial: "T3"}, More: []pay.Field{{ID: pay.FDay, Val: day.String()}}}
	rep := do(h.bank, list, pay.Approved, pay.CodeOK)
	name := pay.Find(rep.More, pay.FFile)
	b, err := os.ReadFile(filepath.Join(h.app.plan.Config.data("outbox/asked"), name))
	if err != nil || name == "" || rep.Amount != sum || strings.Count(string(b), "\n") != 6 || !strings.HasPrefix(string(b), fmt.Sprintf("%s|5|%d\n", day, sum)) {
		t.Errorf("file %q: %s %v", name, b, err)
	}
	var lines []string
	for page := 1; page <= 3; page++ {
		ask := *list
		ask.More = []pay.Field{{ID: pay.FPage, Val: fmt.Sprint(page)}}
		rep := do(utility, &ask, pay.Approved, pay.CodeOK)
		if pay.Find(rep.More, pay.FPages) != "3" || rep.Amount != sum {
			t.Errorf("page %d: %+v", page, rep)
		}
		lines = append(lines, strings.Split(pay.Find(rep.More, pay.FDetails), "\n")...)
	}
	spec := h.app.plan.specs["statements/mis-lines.yaml"]
	whole, err := spec.Whole(day, 5, sum, strings.Join(lines, "\n"))
	if err == nil {
		_, err = spec.Read(whole, day, 1)
	}
	if err != nil || len(lines) != 5 {
		t.Errorf("pages: %q %v", lines, err)
	}
	beyond := *list
	beyond.More = []pay.Field{{ID: pay.FPage, Val: "4"}}
	do(utility, &beyond, pay.Declined, pay.CodeFormat)
	text := strings.Join(acted(t, h.app), "\n")
	for _, want := range []string{"fixed 对总账 " + day.String() + " 对方 5 笔 " + sum.Yuan() + " 元, 我方 5 笔 " + sum.Yuan() + " 元, 未决 0 笔: 平",
		"mis-asks 对总账 " + day.String() + " 对方 5 笔 " + (sum + 1).Yuan() + " 元, 我方 5 笔 " + sum.Yuan() + " 元, 未决 0 笔: 不平", "fixed 对明细账 " + day.String() + " 文件 " + name, "mis-asks 对明细账 " + day.String() + " 5 笔"} {
		if !strings.Contains(text, want) {
			t.Errorf("no act %q among\n%s", want, text)
		}
	}
}

// TestTotals counts what was collected and given back, and what stays open.
func TestTotals(t *testing.T) {
	a := clockwork(t, install(t))
	defer stop(t, a)
	paid(t, a, "000000000001", succeeded)
	paid(t, a, "000000000002", refused)
	paid(t, a, "000000000003", succeeded, reversing, reversed)
	paid(t, a, "000000000004", inDoubt)
	day := a.journal.Day()
	if err := a.journal.Cut(t.Context(), day.Add(1)); err != nil {
		t.Fatal(err)
	}
	freeze, err := a.journal.Freeze(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s    scope
		n    int64
		open int
	}{"all": {scope{}, 1, 1}, "its links": {scope{links: ofLinks([]string{"fixed"})}, 1, 1}, "other links": {scope{links: ofLinks([]string{"pos"})}, 0, 0},
		"its host": {scope{hosts: []string{"mis"}}, 1, 1}, "one of its hosts": {scope{hosts: []string{"moon", "mis"}}, 1, 1}, "another host": {scope{hosts: []string{"moon"}}, 0, 0}} {
		got, open, err := a.total(t.Context(), day, freeze, c.s)
		if err != nil || got.credits != c.n || got.credit != pay.Amount(c.n)*12345 || got.debits != 0 || open != c.open {
			t.Errorf("%s: %+v, %d open, %v", name, got, open, err)
		}
	}
}

// TestClaims compares totals in full where a claim tells what was given back,
// else only what is left.
func TestClaims(t *testing.T) {
	ours := totals{credits: 3, credit: 300, debits: 1, debit: 100}
	for text, c := range map[string]struct {
		amount pay.Amount
		more   []pay.Field
		equal  bool
		fails  bool
	}{
		"net":         {200, []pay.Field{{ID: pay.FCreditCount, Val: "2"}}, true, false},
		"gross":       {0, []pay.Field{{ID: pay.FCreditCount, Val: "3"}, {ID: pay.FCreditSum, Val: "300"}, {ID: pay.FDebitCount, Val: "1"}, {ID: pay.FDebitSum, Val: "100"}}, true, false},
		"same net":    {0, []pay.Field{{ID: pay.FCreditCount, Val: "2"}, {ID: pay.FCreditSum, Val: "200"}, {ID: pay.FDebitCount, Val: "0"}, {ID: pay.FDebitSum, Val: "0"}}, false, false},
		"other sum":   {201, []pay.Field{{ID: pay.FCreditCount, Val: "2"}}, false, false},
		"other count": {200, []pay.Field{{ID: pay.FCreditCount, Val: "1"}}, false, false},
		"no count":    {200, nil, false, true},
		"letters":     {200, []pay.Field{{ID: pay.FCreditCount, Val: "2x"}}, false, true},
		"negative":    {200, []pay.Field{{ID: pay.FCreditCount, Val: "-2"}}, false, true},
		"no sum":      {0, []pay.Field{{ID: pay.FCreditCount, Val: "2"}, {ID: pay.FCreditSum, Val: "x"}}, false, true},
	} {
		claim, err := claimed(c.amount, c.more)
		if (err != nil) != c.fails || err == nil && ours.equal(claim) != c.equal {
			t.Errorf("%s: %+v %v", text, claim, err)
		}
	}
}

func TestChecksAreChecked(t *testing.T) {
	for want, checks := range map[string]string{
		"of: unknown link":            "{of: [moon], spec: statements/bank-lines.yaml}",
		"host: no host":               "{host: moon, spec: statements/bank-lines.yaml}",
		"whose lines need":            "{of: [fixed]}",
		"page: want":                  "{spec: statements/bank-lines.yaml, page: -1}",
		"spec: open":                  "{spec: statements/absent.yaml}",
		"allows neither check-totals": "",
	} {
		change := []string{fixedLink, fixedLink + "    checks: " + checks + "\n"}
		if checks == "" {
			change = []string{"    file: links/bank-http.yaml\n", "    file: links/bank-http.yaml\n    checks: {spec: statements/bank-lines.yaml}\n"}
		}
		c, err := Load(install(t, change...))
		if err == nil {
			_, err = Prepare(c, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), "checks: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", checks, err)
		}
	}
}
