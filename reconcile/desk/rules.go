package desk

import (
	"errors"
	"fmt"
	"strings"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// decide says whether somebody may do something now, and what is written down
// about it.
func (t *Table) decide(who access.Principal, o Order, today pay.Day) (*Entry, error) {
	if t.Stage == Closed && o.Kind != Reopen {
		return nil, ErrClosed
	}
	e := &Entry{Kind: o.Kind, By: who.Name(), Person: who.Person(), Text: strings.TrimSpace(o.Text)}
	switch o.Kind {
	case Sign:
		return e, t.sign(who, e)
	case Countersign:
		return e, t.countersign(who)
	case Reopen:
		return e, t.reopen(who, e)
	case Cash:
		e.Count = o.Count
		return e, t.cash(who, e)
	}
	c, err := t.Case(o.Item)
	if err != nil {
		return nil, err
	}
	e.Item, e.Evidence, e.Fen = c.Item.ID(), c.Item.Evidence(), c.Item.Size()
	d, changed := t.decision(c.Item)
	if changed && (o.Kind == Approve || o.Kind == Apply) {
		return nil, errors.New("证据已变, 请重新提议")
	}
	switch o.Kind {
	case Note:
		return e, note(who, e, o, today)
	case Propose:
		return e, propose(who, e, o, c, &d, today)
	case Approve, Reject:
		return e, answer(who, e, &d)
	case Apply:
		return e, apply(who, e, &d)
	}
	return nil, fmt.Errorf("没有操作 %q", string(o.Kind))
}

// note gives an item an owner and a day by which it is seen to.
func note(who access.Principal, e *Entry, o Order, today pay.Day) error {
	switch {
	case !who.May(access.Operate) && !who.May(access.Approve):
		return access.ErrRight
	case o.Owner == "" || e.Text == "":
		return errors.New("备注须写明责任人与说明")
	case o.Due < today:
		return fmt.Errorf("期限须不早于今日 %s", today)
	}
	e.Owner, e.Due = o.Owner, o.Due
	return nil
}

func propose(who access.Principal, e *Entry, o Order, c *Case, d *Decision, today pay.Day) error {
	switch {
	case !who.May(access.Operate):
		return access.ErrRight
	case e.Text == "":
		return errors.New("提议须写明理由")
	case d.Begun != nil && d.Ended == nil && d.Begun.Order != "" && d.Begun.Action == o.Action: // people take up what the program left
	case d.Begun != nil && (d.Ended == nil || d.Ended.Failed == ""):
		return errors.New("该笔已在执行或已执行")
	}
	if err := o.Action.fits(c); err != nil {
		return err
	}
	if o.Action == Loss && o.Document == "" {
		return errors.New("认损须有批文编号")
	}
	if o.Action == Carry && o.Due < today {
		return fmt.Errorf("挂账须有不早于今日 %s 的期限", today)
	}
	e.Action, e.Document, e.Due = o.Action, o.Document, o.Due
	return nil
}

// answer approves or rejects a proposal: the second person's part.
func answer(who access.Principal, e *Entry, d *Decision) error {
	switch {
	case d.Proposal == nil:
		return errors.New("该笔没有提议")
	case d.Approval != nil:
		return errors.New("该笔已批准")
	case e.Kind == Reject && e.Text == "":
		return errors.New("驳回须写明理由")
	}
	e.Action = d.Proposal.Action
	return access.SecondPerson(access.Recorded(d.Proposal.By, d.Proposal.Person), who)
}

// apply begins an approved action; the one who approved it does not carry it
// out.
func apply(who access.Principal, e *Entry, d *Decision) error {
	switch {
	case !who.May(access.Operate):
		return access.ErrRight
	case d.Approval == nil:
		return errors.New("该笔未经批准")
	case d.Approval.By == who.Name() || d.Approval.Person == who.Person():
		return access.ErrSamePerson
	case d.Begun != nil && d.Ended != nil && d.Ended.Failed == "":
		return errors.New("该笔已执行")
	case !d.Proposal.Action.Gateway() && d.Proposal.Document == "" && e.Text == "" && d.Proposal.Action != Carry:
		return errors.New("须写明凭证编号")
	}
	e.Action, e.Fen, e.Document, e.Due = d.Proposal.Action, d.Proposal.Fen, d.Proposal.Document, d.Proposal.Due
	if e.Text == "" {
		e.Text = d.Proposal.Text
	}
	return nil
}

// sign puts an operator's name under the version on the table.
func (t *Table) sign(who access.Principal, e *Entry) error {
	flat := t.Summary.Exit == reconcile.Balanced.Exit()
	switch {
	case !who.May(access.Operate):
		return access.ErrRight
	case t.Stage == Prepared:
		return fmt.Errorf("%w: 已由 %s 签核", ErrStage, t.Signed.By)
	case !flat && t.Summary.Exit != reconcile.Unbalanced.Exit():
		return fmt.Errorf("结论 %s 不能签核", t.Summary.Word)
	case !flat && e.Text == "":
		return errors.New("不平须写明原因")
	}
	if left := t.unhandled(); len(left) > 0 {
		return fmt.Errorf("%d 笔未处理, 每笔须有责任人与期限: %s", len(left), strings.Join(left[:min(5, len(left))], " "))
	}
	e.Verdict, e.Todo, e.TodoFen = t.Summary.Word, t.Summary.Todo, t.Summary.TodoFen
	return nil
}

// countersign closes the day: the second person's part.
func (t *Table) countersign(who access.Principal) error {
	switch {
	case t.Void:
		return fmt.Errorf("%w: 签核后又有新版本, 签名已失效", ErrStage)
	case t.Stage != Prepared:
		return fmt.Errorf("%w: 尚未签核", ErrStage)
	}
	return access.SecondPerson(access.Recorded(t.Signed.By, t.Signed.Person), who)
}

// reopen is asked by one person and allowed by another.
func (t *Table) reopen(who access.Principal, e *Entry) error {
	switch {
	case t.Stage != Closed:
		return fmt.Errorf("%w: 该日未复核, 无须重开", ErrStage)
	case e.Text == "":
		return errors.New("重开须写明原因")
	case t.Asked == nil && !who.May(access.Operate) && !who.May(access.Approve):
		return access.ErrRight
	case t.Asked == nil:
		return nil
	}
	return access.SecondPerson(access.Recorded(t.Asked.By, t.Asked.Person), who)
}
