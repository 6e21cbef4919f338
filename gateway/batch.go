package gateway

import (
	"context"
	"errors"
	"strconv"

	"qianzhi/gateway/pay"
)

// Batches tells the payments of a terminal's batch, as they stand. The entry is
// the receiver's during the call.
type Batches interface {
	Batch(ctx context.Context, institution, scope string, yield func(*pay.Entry) bool) error
}

// What a 批结算 is answered with (银联 POS, field 48.5).
const (
	balanced   = "1" // 对账平
	unbalanced = "2" // 对账不平: the terminal uploads its batch
)

// totals are what a terminal or the journal counts of a batch. A sale counts as
// debit even when a 撤销 undid it, which then counts as credit; what a 冲正 undid
// counts nowhere.
type totals struct {
	debit, credit   pay.Amount
	debits, credits int
}

// settleBatch answers a 批结算: it compares the terminal's totals with the
// journal. What it says is durable before it is said.
func (e *Engine) settleBatch(ctx context.Context, req *pay.Request) pay.Reply {
	claimed, err := claimedTotals(req)
	if err != nil {
		e.note(ctx, pay.EvQuery, req, pay.CodeFormat, false)
		return pay.Answer(pay.Declined, pay.CodeFormat)
	}
	ours, open, err := e.batchTotals(ctx, req)
	if err != nil {
		e.o.Log.Error("batch not totalled", "event", "QZ350", "link", req.Via.Link, "err", err)
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	result := balanced
	if claimed != ours || open > 0 {
		result = unbalanced
		e.o.Log.Warn("batch not balanced", "event", "QZ351", "link", req.Via.Link, "terminal", pay.Find(req.More, pay.FTerminal),
			"batch", pay.Find(req.More, pay.FBatch), "claimed", claimed.debit.Yuan(), "ours", ours.debit.Yuan(), "open", open)
	}
	if e.note(ctx, pay.EvQuery, req, pay.CodeOK, true) != nil {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	rep.More = []pay.Field{{ID: pay.FBalanced, Val: result}}
	if pay.Find(req.More, pay.FForeignDebitSum) != "" {
		rep.More = append(rep.More, pay.Field{ID: pay.FForeignBalanced, Val: result})
	}
	return rep
}

// claimedTotals adds up what the terminal says of domestic and foreign cards;
// the journal does not tell them apart.
func claimedTotals(req *pay.Request) (t totals, err error) {
	sum := func(id pay.FieldID, to *pay.Amount) {
		if v := pay.Find(req.More, id); v != "" {
			a, e := pay.ParseFen(v)
			*to += a
			err = errors.Join(err, e)
		}
	}
	count := func(id pay.FieldID, to *int) {
		if v := pay.Find(req.More, id); v != "" {
			n, e := strconv.Atoi(v)
			*to += n
			err = errors.Join(err, e)
		}
	}
	sum(pay.FDebitSum, &t.debit)
	sum(pay.FForeignDebitSum, &t.debit)
	sum(pay.FCreditSum, &t.credit)
	sum(pay.FForeignCreditSum, &t.credit)
	count(pay.FDebitCount, &t.debits)
	count(pay.FForeignDebitCount, &t.debits)
	count(pay.FCreditCount, &t.credits)
	count(pay.FForeignCreditCount, &t.credits)
	return t, err
}

// batchTotals counts the batch as the journal has it, and how many of its
// payments are not decided.
func (e *Engine) batchTotals(ctx context.Context, req *pay.Request) (t totals, open int, err error) {
	err = e.o.Batches.Batch(ctx, req.Ref.Institution, req.Ref.Scope, func(p *pay.Entry) bool {
		switch {
		case p.State.Open() || p.State == pay.Susp:
			open++
		case p.Undoes() && p.State == pay.Succ:
			t.credit, t.credits = t.credit+p.Req.Amount, t.credits+1
		case p.Req.Op.Collects() && (p.State == pay.Succ || p.State == pay.Reco || p.State == pay.Revd && p.Child != ""):
			t.debit, t.debits = t.debit+p.Req.Amount, t.debits+1
		}
		return true
	})
	return t, open, err
}

// uploadBatch takes payments that a terminal uploads after an unbalanced 批结算.
// They are journaled as they came; what the journal has otherwise is reported,
// and the night's reconciliation decides.
func (e *Engine) uploadBatch(ctx context.Context, req *pay.Request) pay.Reply {
	kind, bills := pay.KindPay, req.Bills
	if req.Original != nil { // a 退货 comes by itself
		kind, bills = pay.KindRefund, []pay.Bill{{ID: req.Original.Serial, Amount: req.Amount}}
	}
	for i := range bills {
		ref := pay.Ref{Institution: req.Ref.Institution, Kind: kind, Scope: req.Ref.Scope, Serial: bills[i].ID}
		p, found, err := e.o.Journal.Find(ctx, ref)
		if err != nil {
			return pay.Answer(pay.Unknown, pay.CodeBusy)
		}
		if !found || p.Req.Amount != bills[i].Amount || p.State != pay.Succ && p.State != pay.Reco && (!p.Returned() || p.Cancelled()) {
			state := pay.NoState
			if found {
				state = p.State
			}
			e.o.Log.Error("uploaded payment differs from the journal", "event", "QZ352", "link", req.Via.Link, "terminal", pay.Find(req.More, pay.FTerminal),
				"batch", pay.Find(req.More, pay.FBatch), "serial", ref.Serial, "amount", bills[i].Amount.Yuan(), "state", state.String())
		}
	}
	if e.note(ctx, pay.EvQuery, req, pay.CodeOK, true) != nil {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	e.uploads.take(batchOf(req), bills)
	return pay.Answer(pay.Approved, pay.CodeOK)
}
