package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile/statement"
)

// query asks a host for its list of a day, page by page (op check-file), and
// writes what it says as the file that it did not send. What every page claims of
// the whole stands in the file's header and is proved like that of any file.
type query struct {
	host   *gateway.Host
	spec   *statement.Spec
	node   uint8
	log    *slog.Logger
	failed bool // the last time
	first  *before
	said   string // what 对总账 came to, for the report
	doubt  bool   // and whether people should look at it
}

// maxPages bounds a list.
const maxPages = 100_000

// asks checks that a channel's list can be asked for.
func (p *Plan) asks(ch ChannelOptions) error {
	if ch.Query == "" {
		if ch.Totals != "" {
			return errors.New("mis_totals: needs mis_query, the host that is asked")
		}
		return nil
	}
	h := p.hosts[ch.Query]
	switch {
	case ch.MIS == "":
		return errors.New("mis_query: mis is needed as well, which says what the lines are")
	case h == nil:
		return fmt.Errorf("mis_query: no host %q", ch.Query)
	case !slices.Contains(h.Ops, pay.CheckFile):
		return fmt.Errorf("mis_query: the link of %s has no message of op %s", h.ID, pay.CheckFile)
	case ch.Totals != "" && ch.Totals != totalsAlways && ch.Totals != totalsDiffer:
		return fmt.Errorf("mis_totals: want %s or %s, got %q", totalsAlways, totalsDiffer, ch.Totals)
	case ch.Totals != "" && !slices.Contains(h.Ops, pay.CheckTotals):
		return fmt.Errorf("mis_totals: the link of %s has no message of op %s", h.ID, pay.CheckTotals)
	}
	for _, d := range ch.Doors {
		if p.hosts[d] == nil {
			return fmt.Errorf("mis_doors: no host %q", d)
		}
	}
	if s := p.specs[ch.MIS]; s.Marker != "" || s.Checksum != nil || s.Signature != nil {
		return fmt.Errorf("mis_query: %s wants a marker, checksum or signature, which an answer does not have", ch.MIS)
	}
	if _, err := p.specs[ch.MIS].Whole(20260101, 0, 0, ""); err != nil {
		return fmt.Errorf("mis_query: %s: %w", ch.MIS, err)
	}
	return nil
}

// query is how a channel's list is asked for, nil: it comes as a file.
func (a *App) query(ch ChannelOptions, s *statement.Spec) *query {
	if ch.Query == "" {
		return nil
	}
	q := &query{host: a.plan.hosts[ch.Query], spec: s, node: a.plan.Config.Node.ID, log: a.log}
	if ch.Totals != "" {
		q.first = &before{a: a, ch: &ch, host: q.host, always: ch.Totals == totalsAlways}
	}
	return q
}

// fetch asks for the list of a day. A host that does not answer leaves what it
// said before, if anything: the file is late, like one that was not sent.
func (q *query) fetch(ctx context.Context, name string, day pay.Day) error {
	b, err := q.ask(ctx, day)
	if q.failed = err != nil; q.failed {
		q.log.Warn("list of the day is not here", "event", "QZ143", "host", q.host.ID, "day", day.String(), "err", err)
		return nil
	}
	return replace(name, b)
}

// ask asks for the totals where that is wanted, and then for the list unless
// the totals are enough.
func (q *query) ask(ctx context.Context, day pay.Day) ([]byte, error) {
	q.said, q.doubt = "", false
	if q.first == nil || day >= q.first.a.journal.Day() { // a day that is not over has no totals
		return q.list(ctx, day)
	}
	t, err := q.first.compare(ctx, day)
	if err != nil {
		return nil, fmt.Errorf("对总账: %w", err)
	}
	if q.said, q.doubt = "总账、明细相符", !t.flat; q.doubt {
		q.said = t.said
	}
	if t.flat && !q.first.always {
		q.said, q.doubt = "未取明细, "+t.said, true
		return q.first.mirror(ctx, q.spec, day, t.freeze)
	}
	return q.list(ctx, day)
}

// claim is what a page says of the whole list.
type claim struct {
	count int64
	sum   pay.Amount
	pages int
}

// list asks for all pages. All must claim the same of the whole.
func (q *query) list(ctx context.Context, day pay.Day) ([]byte, error) {
	var text strings.Builder
	var whole claim
	for page := 1; page == 1 || page <= whole.pages; page++ {
		lines, c, err := q.page(ctx, day, page)
		switch {
		case err != nil:
			return nil, fmt.Errorf("page %d: %w", page, err)
		case page == 1:
			whole = c
		case c != whole:
			return nil, fmt.Errorf("page %d claims another whole than the first: the list changed", page)
		}
		if lines = strings.TrimRight(lines, "\r\n"); lines != "" {
			text.WriteString(lines + "\n")
		}
	}
	return q.spec.Whole(day, whole.count, whole.sum, text.String())
}

func (q *query) page(ctx context.Context, day pay.Day, page int) (lines string, c claim, err error) {
	ctx, cancel := context.WithTimeout(ctx, q.host.Timeout)
	defer cancel()
	number := strconv.Itoa(page)
	rep, err := q.host.Adapter.Do(ctx, &pay.Request{Op: pay.CheckFile, Day: day, Ref: pay.Ref{Serial: fmt.Sprintf("%s%02dL%05d", day, q.node, page)},
		More: []pay.Field{{ID: pay.FPage, Val: number}}})
	switch {
	case err != nil:
		return "", c, err
	case rep.Verdict != pay.Approved:
		return "", c, fmt.Errorf("%s answers %s", q.host.ID, rep.Code.Chinese())
	}
	c.sum = rep.Amount
	var err1, err2 error
	c.count, err1 = strconv.ParseInt(pay.Find(rep.More, pay.FCreditCount), 10, 64)
	c.pages, err2 = strconv.Atoi(pay.Find(rep.More, pay.FPages))
	if err1 != nil || err2 != nil || c.count < 0 || c.pages < 0 || c.pages > maxPages {
		return "", c, errors.New("credit_count and pages: want numbers")
	}
	return pay.Find(rep.More, pay.FDetails), c, nil
}
