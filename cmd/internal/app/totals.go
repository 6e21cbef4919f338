package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// totals are a day's sums as 对总账 compares them. What was collected counts as
// credit, also where a 撤销 or 退货 gave it back later, which counts as debit; what
// a 冲正 undid counts nowhere.
type totals struct {
	credits, debits int64
	credit, debit   pay.Amount
	gross           bool // a claim tells debits apart; else it is net
}

// net is what is left: who lists only payments that still stand claims this.
func (t totals) net() (int64, pay.Amount) { return t.credits - t.debits, t.credit - t.debit }

// equal compares a claim with ours: in full where the claim tells what was given
// back, else only what is left.
func (t totals) equal(claim totals) bool {
	if claim.gross {
		claim.gross = t.gross
		return t == claim
	}
	n, sum := t.net()
	n2, sum2 := claim.net()
	return n == n2 && sum == sum2
}

// String is for operators.
func (t totals) String() string {
	if t.debits == 0 {
		return fmt.Sprintf("%d 笔 %s 元", t.credits, t.credit.Yuan())
	}
	return fmt.Sprintf("%d 笔 %s 元, 退 %d 笔 %s 元", t.credits, t.credit.Yuan(), t.debits, t.debit.Yuan())
}

// fields are the totals as a message carries them.
func (t totals) fields() []pay.Field {
	n, sum := t.net()
	out := []pay.Field{{ID: pay.FCreditCount, Val: strconv.FormatInt(n, 10)}, {ID: pay.FCreditSum, Val: strconv.FormatInt(int64(sum), 10)}}
	if t.gross || n < 0 || sum < 0 {
		out = []pay.Field{{ID: pay.FCreditCount, Val: strconv.FormatInt(t.credits, 10)}, {ID: pay.FCreditSum, Val: strconv.FormatInt(int64(t.credit), 10)},
			{ID: pay.FDebitCount, Val: strconv.FormatInt(t.debits, 10)}, {ID: pay.FDebitSum, Val: strconv.FormatInt(int64(t.debit), 10)}}
	}
	return out
}

var errTotals = errors.New("credit_count and credit_sum (or amount): want numbers")

// claimed reads totals out of a message: credit_count, credit_sum or else the
// amount, and, where the sender tells it apart, what was given back.
func claimed(amount pay.Amount, more []pay.Field) (t totals, err error) {
	count := func(id pay.FieldID, to *int64) {
		if v := pay.Find(more, id); v != "" {
			n, e := strconv.ParseInt(v, 10, 64)
			if *to = n; e != nil || n < 0 {
				err = errTotals
			}
		}
	}
	sum := func(id pay.FieldID, to *pay.Amount) {
		if v := pay.Find(more, id); v != "" {
			a, e := pay.ParseFen(v)
			if *to = a; e != nil {
				err = errTotals
			}
		}
	}
	t.credit = amount
	if pay.Find(more, pay.FCreditCount) == "" {
		return t, errTotals
	}
	count(pay.FCreditCount, &t.credits)
	sum(pay.FCreditSum, &t.credit)
	count(pay.FDebitCount, &t.debits)
	sum(pay.FDebitSum, &t.debit)
	t.gross = pay.Find(more, pay.FDebitCount) != "" || pay.Find(more, pay.FDebitSum) != ""
	return t, err
}

// scope picks the payments that a list or a sum is of.
type scope struct {
	links map[string]bool // nil: all
	hosts []string        // only those with a leg at one of them; none: all
}

func ofLinks(ids []string) map[string]bool {
	of := map[string]bool{}
	for _, id := range ids {
		of[id] = true
	}
	return of
}

// has reports whether a payment belongs; a 撤销 or 退货 does with its original.
func (a *App) has(ctx context.Context, s scope, e *pay.Entry) (bool, error) {
	if e.Req.Via == nil || e.Repairs() || s.links != nil && !s.links[e.Req.Via.Link] {
		return false, nil
	}
	if len(s.hosts) == 0 {
		return true, nil
	}
	orig := *e
	if e.Undoes() {
		var err error
		if orig, err = a.journal.Get(ctx, e.Original); err != nil {
			return false, err
		}
	}
	return slices.ContainsFunc(s.hosts, func(h string) bool { return a.plan.routes.Visits(&orig, h) }), nil
}

// total adds up a closed day as of a row. Payments that are not decided, or that
// wait for a person, are counted apart.
func (a *App) total(ctx context.Context, day pay.Day, freeze uint64, s scope) (t totals, open int, err error) {
	var late []pay.Entry // children, and what they undid: read when the day has been
	failed := a.journal.Lines(ctx, day, freeze, func(e *pay.Entry) bool {
		if (e.Undoes() || e.State == pay.Revd && e.Child != "") && e.Req.Via != nil {
			late = append(late, e.Clone())
			return true
		}
		err = a.countIn(ctx, s, e, &t, &open)
		return err == nil
	})
	for i := range late {
		if err != nil || failed != nil {
			break
		}
		err = a.countIn(ctx, s, &late[i], &t, &open)
	}
	return t, open, errors.Join(failed, err)
}

// countIn adds one payment to the totals.
func (a *App) countIn(ctx context.Context, s scope, e *pay.Entry, t *totals, open *int) error {
	in, err := a.has(ctx, s, e)
	switch {
	case err != nil || !in:
		return err
	case e.State.Open() || e.State == pay.Susp:
		*open++
	case e.Undoes():
		return a.givenBack(ctx, e, t)
	case !e.Req.Op.Collects():
	case e.State == pay.Revd && e.Child != "":
		var child bool
		if child, err = a.carriedOut(ctx, e.Child); child {
			t.credits, t.credit = t.credits+1, t.credit+e.Req.Amount
		}
	case reconcile.OfState(e.State) == reconcile.Success && (e.State != pay.Adjd || e.Code != pay.CodeReversed):
		t.credits, t.credit = t.credits+1, t.credit+e.Req.Amount
	}
	return err
}

// givenBack adds a 撤销 or 退货; one without an amount is of the whole.
func (a *App) givenBack(ctx context.Context, e *pay.Entry, t *totals) error {
	if reconcile.OfState(e.State) != reconcile.Success {
		return nil
	}
	sum := e.Req.Amount
	if sum == 0 {
		orig, err := a.journal.Get(ctx, e.Original)
		if err != nil {
			return err
		}
		sum = orig.Req.Amount
	}
	t.debits, t.debit = t.debits+1, t.debit+sum
	return nil
}

// carriedOut reports whether the 撤销 or 退货 with a serial of ours is done.
func (a *App) carriedOut(ctx context.Context, serial string) (bool, error) {
	id, ok := pay.ParseSerial(serial, a.plan.Config.Node.ID)
	if !ok {
		return false, nil
	}
	child, err := a.journal.Get(ctx, id)
	return err == nil && reconcile.OfState(child.State) == reconcile.Success, err
}
