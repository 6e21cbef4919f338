package app

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"qianzhi/gateway"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/pay"
)

// control is the app as the admin door commands it.
type control struct{ a *App }

// Cut ends the running accounting day.
func (c control) Cut(ctx context.Context, next pay.Day) error { return c.a.Cut(ctx, next) }

// Note writes into the journal what somebody did.
func (c control) Note(ctx context.Context, text string) error {
	return c.a.journal.Note(ctx, &pay.Note{Kind: pay.EvAdmin, Text: text}, true)
}

// Reconcile runs the reconciliation of a day.
func (c control) Reconcile(ctx context.Context, day pay.Day) ([]admin.Run, error) {
	results, err := c.a.Reconcile(ctx, day)
	if err != nil {
		return nil, err
	}
	runs := make([]admin.Run, 0, len(results))
	for _, r := range results {
		runs = append(runs, admin.Run{Channel: r.Channel, Version: r.Version, Verdict: r.Verdict.String(), Exit: r.Verdict.Exit(), Why: r.Why,
			Report: filepath.Join(c.a.plan.Config.Reports(), day.String(), r.Channel, "r"+strconv.Itoa(r.Version), "report.txt")})
	}
	return runs, nil
}

// waiting lists what is not decided.
func (a *App) waiting(ctx context.Context) ([]admin.Waiting, error) {
	list, now := []admin.Waiting{}, a.plan.now()
	err := a.journal.Undecided(ctx, func(e pay.Entry) bool {
		w := admin.Waiting{ID: e.ID.Serial(a.plan.Config.Node.ID), Time: e.At, Op: e.Req.Op.String(), Serial: e.Req.Ref.Serial, Account: pay.Account.Masked(e.Req.Account),
			Fen: e.Req.Amount, State: e.State.String(), StateText: e.State.Chinese(), Attempts: e.Attempt, Due: e.Due, Overdue: e.State == pay.Susp && e.Due.Before(now)}
		if e.Req.Via != nil {
			w.Link = e.Req.Via.Link
		}
		w.Owner, w.Reason = gateway.Waits(&e)
		list = append(list, w)
		return true
	})
	slices.SortStableFunc(list, func(x, y admin.Waiting) int { return x.Due.Compare(y.Due) })
	return list, err
}

// Status returns the daemon in one look.
func (a *App) Status() admin.Status {
	st := admin.Status{Node: a.plan.Config.Node.ID, Unknown: a.Waiting(), Problems: []admin.Problem{}}
	a.lookAtDay(&st)
	a.mu.Lock()
	doors := slices.Clone(a.doors)
	a.mu.Unlock()
	for _, ch := range doors {
		n := ch.Counts()
		l := admin.Link{ID: ch.Link, Addr: a.Addr(ch.Link), Approved: n.Approved, Declined: n.Declined, Unknown: n.Unknown,
			Rejected: n.Rejected, Busy: n.Busy, Panics: n.Panics}
		if on := a.lineOf(ch.Link); on != nil {
			st.Problems = append(st.Problems, on.look(&l)...)
		}
		st.Links = append(st.Links, l)
	}
	for i, s := range a.plan.ends {
		h := admin.Host{ID: a.plan.Config.Hosts[i].ID, Conns: s.Up()}
		st.Hosts = append(st.Hosts, h)
		if h.Conns == 0 {
			st.Problems = append(st.Problems, admin.Problem{Part: "host " + h.ID, Text: "未连接"})
		}
	}
	st.Problems = append(st.Problems, journalProblems(a.journal.Stats())...)
	return st
}

// lookAtDay says what day it is, for the books and for banks.
func (a *App) lookAtDay(st *admin.Status) {
	cal, j := a.plan.cal, a.journal.Stats()
	st.Day, st.Phase, st.Cutting = a.journal.Day(), "trading", j.Cutting
	if st.Cutting != 0 {
		st.Phase = "cutting"
		st.Problems = append(st.Problems, admin.Problem{Part: "calendar", Text: fmt.Sprintf("日切中: %s → %s", st.Day, st.Cutting)})
	}
	if want := cal.Day(a.plan.now()); st.Day < want {
		st.Problems = append(st.Problems, admin.Problem{Part: "calendar", Text: fmt.Sprintf("账务日期仍为 %s, 应为 %s", st.Day, want)})
	}
	st.CutAt, st.Workday, st.Holiday, st.Next = cal.End(st.Day), cal.IsWorkday(st.Day), cal.Holiday(st.Day), cal.NextWorkday(st.Day)
	if a.plan.Config.Calendar.Holidays != "" && !(cal.Knows(st.Day) && cal.Knows(st.Next)) {
		st.Problems = append(st.Problems, admin.Problem{Part: "calendar", Text: fmt.Sprintf("节假日表没有 %d 年, 按周一至周五为工作日", st.Next/10000)})
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// samples are the figures of the metrics page.
func (a *App) samples() []admin.Sample {
	st, j := a.Status(), a.journal.Stats()
	fatal := 0.0
	for _, p := range st.Problems {
		if p.Fatal {
			fatal = 1
		}
	}
	out := []admin.Sample{
		{Name: "qianzhi_up", Help: "1 unless no payment can be taken", Value: 1 - fatal},
		{Name: "qianzhi_business_day", Help: "running accounting day as YYYYMMDD", Value: float64(st.Day)},
		{Name: "qianzhi_unknown_payments", Help: "payments in doubt", Value: float64(st.Unknown)},
		{Name: "qianzhi_journal_pending_rows", Help: "rows that wait for a commit", Value: float64(j.Pending)},
		{Name: "qianzhi_journal_rows_total", Help: "rows committed since the start", Counter: true, Value: float64(j.Rows)},
		{Name: "qianzhi_journal_commits_total", Help: "commits since the start", Counter: true, Value: float64(j.Batches)},
		{Name: "qianzhi_day_cutting", Help: "1 while the day is being cut", Value: number(st.Cutting != 0)},
		{Name: "qianzhi_journal_writable", Help: "1 unless nothing can be written", Value: 1 - number(j.Down)},
		{Name: "qianzhi_clock_behind_seconds", Help: "how far the clock is behind the last row of the journal", Value: j.ClockBehind.Seconds()},
		{Name: "qianzhi_journal_unindexed_days", Help: "closed days without an index", Value: float64(j.Unindexed)},
		{Name: "qianzhi_journal_index_lag_rows", Help: "rows of the running day that are in no index", Value: float64(j.IndexLag)},
		{Name: "qianzhi_journal_failures_total", Help: "commits that failed since the start", Counter: true, Value: float64(j.Failures)},
	}
	for _, l := range st.Links {
		for verdict, n := range map[string]uint64{"approved": l.Approved, "declined": l.Declined, "unknown": l.Unknown} {
			out = append(out, admin.Sample{Name: "qianzhi_replies_total", Help: "replies since the start", Counter: true, Value: float64(n),
				Labels: [][2]string{{"link", l.ID}, {"verdict", verdict}}})
		}
		for fate, n := range map[string]uint64{"rejected": l.Rejected, "busy": l.Busy, "panic": l.Panics} {
			out = append(out, admin.Sample{Name: "qianzhi_frames_refused_total", Help: "frames without a business reply", Counter: true, Value: float64(n),
				Labels: [][2]string{{"link", l.ID}, {"why", fate}}})
		}
		for way, n := range map[string]int{"request": l.Conns, "reply": l.ReplyConns} {
			out = append(out, admin.Sample{Name: "qianzhi_link_connections", Help: "open connections of a bank", Value: float64(n),
				Labels: [][2]string{{"link", l.ID}, {"way", way}}})
		}
		out = append(out, admin.Sample{Name: "qianzhi_connections_refused_total", Help: "connections refused since the start: not on the list, or too many",
			Counter: true, Value: float64(l.Refused), Labels: [][2]string{{"link", l.ID}}})
		out = append(out, admin.Sample{Name: "qianzhi_replies_dropped_total", Help: "replies that found no connection since the start", Counter: true,
			Value: float64(l.Dropped), Labels: [][2]string{{"link", l.ID}}})
	}
	for _, h := range st.Hosts {
		out = append(out, admin.Sample{Name: "qianzhi_host_connections", Help: "open connections to a counterparty", Value: float64(h.Conns),
			Labels: [][2]string{{"host", h.ID}}})
	}
	return append(out, a.noteSamples()...)
}
