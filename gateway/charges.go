package gateway

import (
	"context"

	"qianzhi/gateway/pay"
)

// Books are the payments of a closed day as a freeze row has them.
type Books interface {
	Freeze(ctx context.Context, day pay.Day) (uint64, error)
	Lines(ctx context.Context, day pay.Day, freeze uint64, yield func(*pay.Entry) bool) error
	Get(ctx context.Context, id pay.ID) (pay.Entry, error)
}

// Charge is what a card centre should have of one message of ours: the charge of
// a card, or a 撤销 or 退货 that gave money back to it.
type Charge struct {
	ID     pay.ID // of the payment, or of the 撤销 or 退货
	Of     pay.ID // the payment whose card it is
	Card   string // the card number, as the payment's message named it
	Amount pay.Amount
	Credit bool // money back to the card
	Void   bool // a 撤销, or the charge that one undid: neither is uploaded
}

// Charges yields what a host confirmed of the charges that are stamped with a
// closed day, and returns how many are not decided yet: a batch with one of them
// cannot be settled.
func (rs Routes) Charges(ctx context.Context, b Books, day pay.Day, host string, yield func(Charge) error) (doubts int, err error) {
	freeze, err := b.Freeze(ctx, day)
	if err != nil {
		return 0, err
	}
	var children []pay.Entry // few; their originals are read when the day has been
	var failed error
	err = b.Lines(ctx, day, freeze, func(p *pay.Entry) bool {
		if p.Undoes() {
			children = append(children, p.Clone())
			return true
		}
		var doubt bool
		doubt, failed = rs.charge(p, p, host, yield)
		if doubt {
			doubts++
		}
		return failed == nil
	})
	for i := range children {
		if err != nil || failed != nil {
			break
		}
		var orig pay.Entry
		if orig, err = b.Get(ctx, children[i].Original); err == nil {
			var doubt bool
			if doubt, failed = rs.charge(&children[i], &orig, host, yield); doubt {
				doubts++
			}
		}
	}
	if err == nil {
		err = failed
	}
	return doubts, err
}

// charge tells what p did to the card of its original, which is itself unless it
// is a 撤销 or 退货.
func (rs Routes) charge(p, orig *pay.Entry, host string, yield func(Charge) error) (doubt bool, err error) {
	steps := rs.steps(orig)
	if p.Undoes() {
		steps = rs.undoSteps(orig)
	}
	for i := range min(len(p.Legs), len(steps)) {
		leg := &p.Legs[i]
		switch {
		case leg.Kind != pay.LegCharge || steps[i].Host.ID != host:
		case p.State.Open():
			doubt = doubt || leg.State.Effect()
		case leg.State == pay.LegDone:
			err = yield(Charge{ID: p.ID, Of: orig.ID, Card: pay.Find(orig.Req.More, pay.FPAN), Amount: p.Req.Amount, Credit: p.Undoes(),
				Void: p.Req.Op == pay.Cancel || p.Cancelled()})
		}
	}
	return doubt, err
}
