package app

import (
	"testing"
	"time"

	"qianzhi/gateway/pay"
)

// TestWaitingList: the admin door lists what is in doubt and what is parked, with
// who owes the decision and why, the first due first, and no account in full.
func TestWaitingList(t *testing.T) {
	p := newPurse(t)
	p.do(p.charge("000001"), pay.Unknown) // its customer has not agreed yet
	doubt := p.entry(p.charge("000001"))
	due := doubt.Due.Add(-time.Minute)
	parked := paid(t, p.a, "000002", pay.Event{Kind: pay.EvResult, State: pay.Unkn, LegIs: pay.LegUnknown, Attempt: 3},
		pay.Event{Kind: pay.EvState, State: pay.Susp, Due: due, Attempt: 3, Note: "挂账 原因=结果未知 责任人=值班"})
	paid(t, p.a, "000003", succeeded)
	list, err := p.a.waiting(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	first, second := list[0], list[1]
	if first.ID != parked.ID.Serial(1) || first.Owner != "值班" || first.Reason != "结果未知" || first.Attempts != 3 || !first.Due.Equal(due) || first.Overdue != due.Before(p.a.plan.now()) {
		t.Errorf("%+v", first)
	}
	if second.ID != doubt.ID.Serial(1) || second.Owner != "前置自动处理" || second.State != "UNKN" || second.Account != "0512****01" || second.Link != "pos" || second.Overdue {
		t.Errorf("%+v", second)
	}
}
