package app

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/desk"
	"qianzhi/reconcile/statement"
)

// marketing is a MIS as a host: silent while told to be, it knows one serial, and
// its list of the day is empty.
type marketing struct {
	mu     sync.Mutex
	silent bool
	posted string
	asked  int
}

// set changes it while it is asked.
func (m *marketing) set(silent bool, posted string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent, m.posted = silent, posted
}

func (m *marketing) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	m.mu.Lock()
	silent := m.silent
	known := req.Op == pay.Status && req.Original.Serial == m.posted
	if req.Op == pay.Status && !silent {
		m.asked++
	}
	m.mu.Unlock()
	switch {
	case req.Op == pay.CheckFile:
		return sheet(0, 0, 0), nil
	case silent:
		<-ctx.Done()
		return pay.Reply{}, &pay.Fault{Sent: true, Err: ctx.Err()}
	case known:
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: req.Amount, Serial: "YX1"}, nil
	}
	return pay.Answer(pay.Declined, pay.CodeOriginal), nil
}

// times returns how often it was asked what became of something.
func (m *marketing) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// doubtful pays at a MIS that does not answer, until the payment is parked.
func doubtful(t *testing.T, changes ...string) (*App, *marketing, string) {
	t.Helper()
	p := prepare(t, install(t, append([]string{"tries: 12", "tries: 2"}, changes...)...))
	m := &marketing{silent: true}
	p.hosts["mis"].Adapter = m
	p.links, p.mis, p.ends, p.Config.Admin.Socket = nil, nil, nil, ""
	a, err := p.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req := &pay.Request{Op: pay.Pay, Day: eve, Account: "0512000001", Amount: 100, Ref: pay.Ref{Institution: "301", Kind: pay.KindPay, Scope: "T1", Serial: "000000000001"},
		Via:  &pay.Via{Link: "fixed", Funds: pay.Taken, At: time.Now()},
		More: []pay.Field{{ID: pay.FTerminal, Val: "T1"}, {ID: pay.FBatch, Val: "000001"}, {ID: pay.FSenderTime, Val: "101112"}}}
	if rep := a.engine.Do(t.Context(), req); rep.Verdict != pay.Unknown {
		t.Fatal(rep)
	}
	e, ok, err := a.journal.Find(t.Context(), req.Ref)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	serial := e.ID.Serial(1)
	m.set(true, serial)
	return a, m, serial
}

// told has both parties tell of the payment.
func told(t *testing.T, a *App, serial string) {
	t.Helper()
	arrive(t, a, misSpec, eve, statement.Row{Effect: reconcile.Posted, Amount: 100, Values: map[string]string{
		"reference": serial, "host_serial": "YX1", "channel": "fixed", "account": "0512000001"}})
	arrive(t, a, bankSpec, eve, charge("000000000001"))
}

// TestRecordFollowsTheFiles: a payment that nobody could tell of is, by both
// files, done. After the trial our record follows by itself, the hosts having
// been asked, and the day is flat.
func TestRecordFollowsTheFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, m, serial := doubtful(t, "trial: 14", "trial: 0")
		defer stop(t, a)
		until(eve, "23:00")
		m.set(false, serial)
		told(t, a, serial)
		until(eve.Add(1), "02:02")
		expect(t, a, "02:02", 2, "平")
		if s := latest(t, a, eve); s.Codes["ST-1"] != 0 || m.times() == 0 {
			t.Errorf("%v, asked %d", s.Codes, m.times())
		}
		if s := latest(t, a, eve); s.Acts != "补状态 1 笔" {
			t.Errorf("the report says %q", s.Acts)
		}
		id, _ := pay.ParseSerial(serial, 1)
		if e, err := a.journal.Get(t.Context(), id); err != nil || e.State != pay.Succ || !strings.Contains(e.Note, "常设指令") {
			t.Errorf("%s %q, %v", e.State, e.Note, err)
		}
		if es, err := desk.Read(a.homeOf(eve, "BANK301")); err != nil || len(es) != 2 || es[0].Kind != desk.Apply || es[1].Failed != "" || !strings.HasPrefix(es[0].By, "常设指令 ") {
			t.Errorf("%+v, %v", es, err)
		}
		b, err := os.ReadFile(filepath.Join(a.plan.Config.Reports(), "live.log"))
		if err != nil || strings.Count(string(b), "QZ150 自动 L1 转成功 ST-1 "+serial+" 1.00 日=20000101") != 1 {
			t.Errorf("%s, %v", b, err)
		}
		until(eve.Add(1), "02:04")
		ms := metrics(t, a)
		if ms[`recon_auto_actions_total{channel="BANK301",level="L1",result="done"}`] != "1" || ms["recon_reversal_pending"] != "0" ||
			ms[`recon_source_arrived_timestamp_seconds{channel="BANK301",source="银行"}`] == "" {
			t.Errorf("%v", ms)
		}
	})
}

// TestRecordIsLeft: nothing is done by itself where the trial is not over, where
// the hosts say otherwise than the files, or where there is no order.
func TestRecordIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		changes []string
		host    func(*marketing)
		refused string
	}{
		"trial":     {},
		"no order":  {changes: []string{"levels: [L1, LR]", "levels: []", "trial: 14", "trial: 0"}},
		"disagrees": {changes: []string{"trial: 14", "trial: 0"}, host: func(m *marketing) { m.set(false, "") }, refused: "1"},
		"silent":    {changes: []string{"trial: 14", "trial: 0"}, host: func(m *marketing) { m.set(true, "") }, refused: "1"},
		"too early": {changes: []string{"trial: 14", "trial: 0", "late_window: 30m", "late_window: 48h"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, m, serial := doubtful(t, c.changes...)
				defer stop(t, a)
				until(eve, "23:00")
				m.set(false, serial)
				told(t, a, serial)
				if c.host != nil {
					c.host(m)
				}
				until(eve.Add(1), "02:04")
				expect(t, a, name, 1, "平")
				if s := latest(t, a, eve); s.Codes["ST-1"] != 1 {
					t.Errorf("%v", s.Codes)
				}
				if es, err := desk.Read(a.homeOf(eve, "BANK301")); err != nil || len(es) != 0 {
					t.Errorf("%+v, %v", es, err)
				}
				if got := metrics(t, a)[`recon_auto_actions_total{channel="BANK301",level="L1",result="refused"}`]; got != c.refused {
					t.Errorf("refused %q", got)
				}
			})
		})
	}
}

// TestForgedOrder: what a file says was begun under an order that does not hold
// is not done.
func TestForgedOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, _ := doubtful(t)
		defer stop(t, a)
		for _, w := range []desk.Work{{Order: "0123456789abcdef", Action: desk.Succeed}, {Order: a.plan.Config.Standing("BANK301").Hash(), Action: desk.Succeed}} {
			if err := a.mandated(&w, "BANK301"); err == nil {
				t.Errorf("%+v is done in the trial", w)
			}
		}
		if err := a.mandated(&desk.Work{Action: desk.Succeed}, "BANK301"); err != nil {
			t.Errorf("two people: %v", err)
		}
	})
}

// TestStandingOrderIsChecked refuses what cannot be meant, and says where.
func TestStandingOrderIsChecked(t *testing.T) {
	for _, c := range [][3]string{
		{"levels: [L1, LR]", "levels: [L1, L2]", "reconcile.automatic: levels: "}, {"levels: [L1, LR]", "levels: [L1, L1]", "reconcile.automatic: levels: "},
		{"levels: [L1, LR]", "levels: [L3P]", "reconcile.automatic: until: "}, {"levels: [L1, LR]", "levels: [L3V]\n    until: 20271231", "reconcile.automatic: no_receipts: "},
		{"levels: [L1, LR]", "levels: [L3P]\n    until: 20271331", "reconcile.automatic: until: "}, {"item: \"500.00\"", "item: \"2500.00\"", "reconcile.automatic: item: "},
		{"count: 10", "count: -1", "reconcile.automatic: item: "}, {"trial: 14", "trial: -1", "reconcile.automatic: trial: "},
		{"item: \"500.00\"", "item: 500.005", "want yuan with two decimals"}, {"trial: 14", "trail: 14", "trail: unknown key"},
		{"# authority: bank", "authority: customer #", "reconcile.channels[0]: authority: "},
		{"# automatic: {levels: []}", "automatic: {levels: [L9]}", "reconcile.channels[0].automatic: levels: "},
	} {
		conf, err := Load(install(t, c[0], c[1]))
		if err == nil {
			_, err = Prepare(conf, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), c[2]) || !strings.Contains(err.Error(), "qianzhi.yaml:") {
			t.Errorf("%s: got %v, want %s", c[1], err, c[2])
		}
	}
	conf, err := Load(install(t, "# automatic: {levels: []}", "automatic: {count: 3}", "# authority: bank", "authority: biller #"))
	if err != nil {
		t.Fatal(err)
	}
	if o := conf.Standing("BANK301"); o.Limits.Count != 3 || o.Limits.Item != 500_00 || o.Trial != 14 || len(o.Levels) != 0 || !o.Limits.Biller {
		t.Errorf("%+v", o)
	}
	if o := conf.Standing("none"); o.Limits != desk.Usual() || len(o.Levels) != 0 {
		t.Errorf("%+v", o)
	}
}
