package books

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// Waiting is one payment that somebody still owes a decision.
type Waiting struct {
	Line
	Owner    string `json:"owner"`    // the resolver, or a person
	Reason   string `json:"reason"`   // why it is not decided
	Attempts uint16 `json:"attempts"` // tries since the last change of its state
	Overdue  bool   `json:"overdue"`
}

// Waiting lists what is open or parked, the first due first. Every such payment
// is in the running log, because a cut carries it there.
func (b *Books) Waiting(ctx context.Context) ([]Waiting, error) {
	list := []Waiting{}
	for s := pay.Recv; s <= pay.Adjd; s++ {
		if !s.Open() && s != pay.Susp {
			continue
		}
		if _, err := b.Find(ctx, journal.Query{State: s}, func(e *pay.Entry) bool {
			list = append(list, b.waiting(e))
			return true
		}); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, func(x, y Waiting) int { return strings.Compare(x.Due, y.Due) })
	return list, nil
}

func (b *Books) waiting(e *pay.Entry) Waiting {
	w := Waiting{Line: LineOf(e, false), Attempts: e.Attempt}
	w.Owner, w.Reason = gateway.Waits(e)
	w.Overdue = !e.Due.IsZero() && e.Due.Before(b.Options.Now())
	return w
}

// WaitingTable writes what waits for a terminal.
func WaitingTable(w io.Writer, list []Waiting) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "编号\t状态\t原因\t责任人\t期限\t次数\t链路\t流水号\t户号\t金额(元)")
	for _, l := range list {
		due := "-"
		if at, err := time.Parse(seconds, l.Due); err == nil {
			due = at.Format("01-02 15:04:05")
		}
		if l.Overdue && l.State == pay.Susp.String() {
			due += " 逾期"
		}
		fmt.Fprintln(t, strings.Join([]string{l.ID, l.StateText, l.Reason, l.Owner, due, fmt.Sprint(l.Attempts), l.Link, l.Serial, l.Account, l.Fen.Yuan()}, "\t"))
	}
	return t.Flush()
}
