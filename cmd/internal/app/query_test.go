package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// TestListIsAskedFor pays, and has the day judged by the list that the MIS
// answers with over its link: it equals the file that the MIS would have sent,
// and a copy is kept among the inputs.
func TestListIsAskedFor(t *testing.T) {
	h := newHouse(t)
	h.stop()
	rewrite(t, h.file, "# mis_query: mis", "mis_query: mis")
	h.start()
	for i := range 5 {
		sale := h.sale(i)
		h.paid(sale)
	}
	day := h.app.Journal().Day()
	if err := h.app.Cut(t.Context(), day.Add(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.app.Reconcile(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	src := h.app.channels[0].sources[0]
	name := filepath.Join(src.dir, src.spec.File(day))
	asked, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.export(t.Context(), name, day); err != nil {
		t.Fatal(err)
	}
	sent, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(asked, sent) || bytes.Count(sent, []byte("\n")) != 6 {
		t.Errorf("asked:\n%s\nsent:\n%s\n%v", asked, sent, err)
	}
	s := latest(t, h.app, day)
	kept, err := os.ReadFile(filepath.Join(h.app.homeOf(day, "BANK301"), "latest", "inputs", s.Inputs[0].Kept))
	if err != nil || !bytes.Equal(kept, asked) || s.Inputs[0].State != "采用" || s.Inputs[0].Checks != "控制数相符" {
		t.Errorf("kept %q, %+v, %v", kept, s.Inputs[0], err)
	}
}

// lister is a MIS that answers with pages.
type lister struct {
	mu    sync.Mutex
	pages []pay.Reply
	err   error
}

// say changes what it answers while it is asked.
func (l *lister) say(pages ...pay.Reply) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages, l.err = pages, nil
}

func (l *lister) Do(_ context.Context, req *pay.Request) (pay.Reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return pay.Reply{}, l.err
	}
	if req.Op != pay.CheckFile {
		return pay.Answer(pay.Unknown, pay.CodeUnknown), nil
	}
	var n int
	if _, err := fmt.Sscan(pay.Find(req.More, pay.FPage), &n); err != nil || n < 1 || n > len(l.pages) || req.Day != eve {
		return pay.Answer(pay.Declined, pay.CodeFormat), nil
	}
	return l.pages[n-1], nil
}

// sheet is one page of a list of which all pages claim count, sum and number.
func sheet(count, sum, pages int, lines ...string) pay.Reply {
	return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: pay.Amount(sum), More: []pay.Field{{ID: pay.FCreditCount, Val: fmt.Sprint(count)},
		{ID: pay.FPages, Val: fmt.Sprint(pages)}, {ID: pay.FDetails, Val: strings.Join(lines, "\n")}}}
}

// TestListOfPages joins pages, and believes none that do not belong together.
func TestListOfPages(t *testing.T) {
	p := prepare(t, install(t))
	one, two := "20000101|1|YX1|pos|0512|100|P", "20000101|2|YX2|pos|0512|50|P"
	for name, c := range map[string]struct {
		l    *lister
		want string
		err  string
	}{
		"empty":       {l: &lister{pages: []pay.Reply{sheet(0, 0, 0)}}, want: "20000101|0|0\n"},
		"one":         {l: &lister{pages: []pay.Reply{sheet(1, 100, 1, one)}}, want: "20000101|1|100\n" + one + "\n"},
		"two":         {l: &lister{pages: []pay.Reply{sheet(2, 150, 2, one), sheet(2, 150, 2, two, "")}}, want: "20000101|2|150\n" + one + "\n" + two + "\n"},
		"changed":     {l: &lister{pages: []pay.Reply{sheet(2, 150, 2, one), sheet(3, 150, 2, two)}}, err: "page 2 claims another whole"},
		"no page":     {l: &lister{pages: []pay.Reply{sheet(2, 150, 2, one)}}, err: "page 2: mis answers"},
		"no numbers":  {l: &lister{pages: []pay.Reply{{Verdict: pay.Approved, Amount: 1}}}, err: "want numbers"},
		"many pages":  {l: &lister{pages: []pay.Reply{sheet(1, 1, 100_001)}}, err: "want numbers"},
		"unreachable": {l: &lister{err: &pay.Fault{Err: errors.New("refused")}}, err: "page 1"},
	} {
		q := query{host: &gateway.Host{ID: "mis", Adapter: c.l, Timeout: 1e9}, spec: p.specs[misSpec], node: 1, log: slog.New(slog.DiscardHandler)}
		got, err := q.list(t.Context(), eve)
		if string(got) != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestListIsLate asks again until the MIS answers: the file is late, like one
// that was not sent. What its lines do not come to is refused.
func TestListIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := prepare(t, install(t, "# mis_query: mis", "mis_query: mis"))
		l := &lister{err: &pay.Fault{Sent: true, Err: errors.New("silence")}}
		p.hosts["mis"].Adapter = l
		p.links, p.mis, p.ends, p.Config.Admin.Socket = nil, nil, nil, ""
		a, err := p.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer stop(t, a)
		arrive(t, a, bankSpec, eve)
		until(eve.Add(1), "03:01")
		expect(t, a, "silence", 1, "未齐")
		l.say(sheet(1, 101, 1, "20000101|1|YX1|pos|0512|100|P"))
		until(eve.Add(1), "03:06")
		expect(t, a, "it does not add up", 2, "拒收")
		l.say(sheet(0, 0, 0))
		if _, err := a.Reconcile(t.Context(), eve); err != nil {
			t.Fatal(err)
		}
		expect(t, a, "by hand", 3, "平")
	})
}

// TestQueryIsChecked refuses a list that nobody can be asked for.
func TestQueryIsChecked(t *testing.T) {
	for _, c := range [][3]string{{"mis_query: moon", "", "no host"}, {"mis_query: mis", "mis: statements/mis-lines.yaml", "mis is needed as well"}} {
		changes := []string{"# mis_query: mis", c[0] + " #"}
		if c[1] != "" {
			changes = append(changes, "      "+c[1]+"\n", "")
		}
		conf, err := Load(install(t, changes...))
		if err == nil {
			_, err = Prepare(conf, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), "mis_query: "+c[2]) {
			t.Errorf("%s: %v", c[0], err)
		}
	}
}
