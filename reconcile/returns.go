package reconcile

import (
	"qianzhi/gateway/pay"
)

// Listed yields the payments of a day as they stand in a day's lines. A 撤销 and a
// 退货 that gave all of a payment back on its own day have no line: their original
// is told as undone. Every other 退货, of a part or on a later day, is a line of
// its own that gives money back, on the day that it is stamped with and under its
// own serial and key; its original is told as the success that it was. A repair
// has no line: what it did stands under the serial of the payment it acted on.
func Listed(read func(yield func(*pay.Entry) bool) error, yield func(e *pay.Entry, effect Effect) bool) error {
	var aside []pay.Entry // children, and what had any: few
	going := true
	err := read(func(e *pay.Entry) bool {
		switch {
		case e.Repairs():
		case e.Undoes(), e.Child != "":
			aside = append(aside, e.Clone())
		default:
			going = yield(e, endedAs(e))
		}
		return going
	})
	if err != nil {
		return err
	}
	amounts := map[pay.ID]pay.Amount{}
	for i := range aside {
		if e := &aside[i]; !e.Undoes() {
			amounts[e.ID] = e.Req.Amount
		}
	}
	undone := map[pay.ID]bool{} // on their own day, by one child
	for i := range aside {
		if c := &aside[i]; c.Undoes() && c.State == pay.Succ && !apart(c, amounts) {
			undone[c.Original] = true
		}
	}
	for i := range aside {
		e := &aside[i]
		effect := endedAs(e)
		switch {
		case !going:
			return nil
		case e.Undoes() && (len(e.Legs) == 0 || !apart(e, amounts)):
			continue
		case !e.Undoes() && e.Returned() && !undone[e.ID]:
			effect = Success
		}
		going = yield(e, effect)
	}
	return nil
}

// apart reports whether a 撤销 or 退货 is told apart from its original: that is of
// another day, or not given back whole.
func apart(c *pay.Entry, amounts map[pay.ID]pay.Amount) bool {
	of, today := amounts[c.Original]
	return !today || c.Req.Op == pay.Refund && c.Req.Amount != 0 && c.Req.Amount != of
}
