package notify

import (
	"context"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
)

// Asker asks a utility's system. The error is a *pay.Fault.
type Asker interface {
	Do(ctx context.Context, req *pay.Request) (pay.Reply, error)
}

// Books tells how a payment stands now.
type Books interface {
	Get(ctx context.Context, id pay.ID) (pay.Entry, error)
}

// Posted picks payments that have succeeded, of the billers, or of all when
// there are none.
func Posted(billers ...string) func(*pay.Entry) bool {
	return func(e *pay.Entry) bool {
		return e.State == pay.Succ && e.Req.Op.Collects() && (len(billers) == 0 || slices.Contains(billers, e.Req.Biller))
	}
}

// Reconnect judges whether supply is to be restored (复电): the payment still
// stands, its customer owes nothing any more and is cut off.
type Reconnect struct {
	Node   uint8 // part of our serials
	Books  Books
	MIS    Asker
	Field  pay.FieldID // of the MIS's answer to a query of arrears that says whether supply is cut, FNone: it does not tell, and the receiver finds out
	Values []string    // of that field for a customer who is cut off
}

// Judge says what to do with a notice.
func (r *Reconnect) Judge(ctx context.Context, n *Notice) (Decision, error) {
	id, ok := pay.ParseSerial(n.Serial, r.Node)
	if !ok {
		return Drop, fmt.Errorf("%q is no serial of ours", n.Serial)
	}
	e, err := r.Books.Get(ctx, id)
	if err != nil {
		return Later, err
	}
	if e.State != pay.Succ {
		return Drop, nil
	}
	rep, err := r.MIS.Do(ctx, &pay.Request{Op: pay.Query, Ref: pay.Ref{Kind: pay.Query.Kind(), Serial: n.Serial}, Biller: n.Biller, Account: n.Account, Amount: 0})
	if err != nil {
		return Later, err
	}
	owes := rep.Verdict == pay.Approved && (rep.Amount > 0 || len(rep.Bills) > 0)
	settled := rep.Verdict == pay.Declined && rep.Code == pay.CodeNothingOwed || rep.Verdict == pay.Approved && !owes
	switch {
	case owes:
		return Drop, nil
	case !settled:
		return Later, fmt.Errorf("query of arrears: %s/%s", rep.Verdict, rep.Code)
	case r.Field == pay.FNone || slices.Contains(r.Values, pay.Find(rep.More, r.Field)):
		return Tell, nil
	}
	return Drop, nil
}
