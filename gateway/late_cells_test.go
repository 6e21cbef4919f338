package gateway_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway/pay"
)

// cell is one case of the late-answer table: a payment in a state hears that its
// last leg in doubt was approved or declined.
type cell struct {
	state   pay.State
	verdict pay.Verdict
	how     string // where a state has more than one
	reach   func(*lateWorld)
	now     pay.State // at once
	end     pay.State // when everything had time to settle
}

// lateWorld is a world with one payment in it.
type lateWorld struct {
	*world
	sale  *pay.Request
	host  string // whose answer is late
	bank  *counter
	after func() // lets go of what was held back
}

// The ways into the states.

func (l *lateWorld) alone(before func(*wire)) {
	l.host = "mis"
	l.wire.set(before)
}

// inFlight: the posting is on its way.
func inFlight(l *lateWorld) {
	hold := make(chan struct{})
	l.alone(func(x *wire) { x.hold = hold })
	done := make(chan struct{})
	go func() { l.do(l.sale); close(done) }()
	synctest.Wait()
	l.after = func() { close(hold); <-done }
}

// postingUnknown: the answer to the only leg got lost, and the host cannot be
// asked.
func postingUnknown(l *lateWorld) {
	l.alone(func(x *wire) { x.loseReplies = 1 })
	l.do(l.sale)
	l.wire.set(func(x *wire) { x.deaf = true })
	l.after = func() { l.wire.set(func(x *wire) { x.deaf = false }) }
}

// takenUnknown is the same where the customer's money is taken.
func takenUnknown(l *lateWorld) {
	l.sale.Via.Funds = pay.Taken
	postingUnknown(l)
}

// sentAgain: the posting was sent once more under its key.
func sentAgain(l *lateWorld) {
	l.policy.Gaps = []time.Duration{time.Second, time.Hour}
	l.restart()
	l.host = "mis"
	l.world.host.Status = false
	l.sale.Via.Funds = pay.Taken
	l.wire.set(func(x *wire) { x.loseReplies = 2 })
	l.do(l.sale)
	time.Sleep(time.Minute)
}

// takenSucceeded and takenRefused: the host answered at once.
func takenSucceeded(l *lateWorld) {
	l.sale.Via.Funds = pay.Taken
	succeeded(l)
}

func takenRefused(l *lateWorld) {
	l.sale.Via.Funds = pay.Taken
	refused(l)
	l.wire.set(func(x *wire) { x.refuse = pay.CodeUnknown })
}

// chargedUnknown: the charge was confirmed, the posting is in doubt.
func chargedUnknown(l *lateWorld) {
	l.bank = l.legged(pay.LegCharge, true, true)
	l.host = "posp"
	l.wire.set(func(x *wire) { x.deaf = true })
	l.do(l.sale)
	l.after = func() { l.wire.set(func(x *wire) { x.deaf = false }) }
}

// refusedReversing: the posting was refused, and the reversal of its charge is not
// confirmed yet.
func refusedReversing(l *lateWorld) {
	l.bank = l.legged(pay.LegCharge, true, true)
	l.host = "mis"
	l.wire.set(func(x *wire) { x.refuse = pay.CodeNothingOwed })
	l.bank.set(func(c *counter) { c.undoing = lostRequest })
	l.do(l.sale)
	l.wire.set(func(x *wire) { x.refuse = pay.CodeUnknown })
	l.after = func() { l.bank.set(func(c *counter) { c.undoing = fine }) }
}

// chargeUnknown: a leg follows the one in doubt.
func chargeUnknown(l *lateWorld) {
	l.bank = l.legged(pay.LegCharge, true, true)
	l.host = "posp"
	l.bank.set(func(c *counter) { c.fate = lostReply })
	l.do(l.sale)
}

// saleUnknown: a leg follows, and the money is taken.
func saleUnknown(l *lateWorld) {
	l.bank = l.legged(pay.LegCard, true, true)
	l.host = "posp"
	l.sale.Op, l.sale.Via.Funds = pay.CardPay, pay.Taken
	l.bank.set(func(c *counter) { c.fate = lostReply })
	l.do(l.sale)
}

// reversing: the charge's answer got lost at a centre that cannot be asked, and
// so do those to its reversals.
func reversing(l *lateWorld) {
	l.bank = l.legged(pay.LegCharge, false, true)
	l.host = "posp"
	l.bank.set(func(c *counter) { c.fate, c.undoing = lostReply, lostRequest })
	l.do(l.sale)
	l.after = func() { l.bank.set(func(c *counter) { c.undoing = fine }) }
}

// reversed: nothing arrived, the centre said that there was nothing to reverse.
func reversed(marks bool) func(*lateWorld) {
	return func(l *lateWorld) {
		l.bank = l.legged(pay.LegCharge, false, marks)
		l.host = "posp"
		l.bank.set(func(c *counter) { c.fate = lostRequest })
		l.do(l.sale)
		time.Sleep(30 * time.Minute)
	}
}

// undone: a confirmed posting was reversed.
func undone(l *lateWorld) {
	l.alone(func(*wire) {})
	l.do(l.sale)
	l.do(undo(l.sale))
}

// refused by the host.
func refused(l *lateWorld) {
	l.alone(func(x *wire) { x.refuse = pay.CodeNothingOwed })
	l.do(l.sale)
}

func succeeded(l *lateWorld) {
	l.alone(func(*wire) {})
	l.do(l.sale)
}

// parked: nobody could be asked until the tries were used up.
func parked(l *lateWorld) {
	l.sale.Via.Funds = pay.Taken
	l.alone(func(x *wire) { x.deaf = true })
	l.do(l.sale)
	time.Sleep(2 * time.Hour)
}

// then takes the payment to a state that the night or people give it.
func then(reach func(*lateWorld), to pay.State) func(*lateWorld) {
	return func(l *lateWorld) {
		reach(l)
		e := l.entry(l.sale)
		if err := l.journal.Append(context.Background(), e.ID, e.N, pay.Event{Kind: pay.EvState, State: to, Code: e.Code}); err != nil {
			l.t.Error(err)
		}
	}
}

// cells is the whole table.
var cells = []cell{
	{pay.Sent, pay.Approved, "the answer itself follows", inFlight, pay.Sent, pay.Succ},
	{pay.Sent, pay.Declined, "another answer follows", inFlight, pay.Sent, pay.Susp},
	{pay.Unkn, pay.Approved, "one leg", postingUnknown, pay.Succ, pay.Succ},
	{pay.Unkn, pay.Declined, "one leg", postingUnknown, pay.Fail, pay.Fail},
	{pay.Unkn, pay.Approved, "money taken", takenUnknown, pay.Succ, pay.Succ},
	{pay.Unkn, pay.Declined, "money taken, sent once", takenUnknown, pay.Susp, pay.Susp},
	{pay.Unkn, pay.Declined, "money taken, sent again", sentAgain, pay.Unkn, pay.Succ},
	{pay.Unkn, pay.Declined, "the leg before was confirmed", chargedUnknown, pay.Susp, pay.Susp},
	{pay.Unkn, pay.Approved, "a leg is left, whoever waited has gone", chargeUnknown, pay.Revp, pay.Revd},
	{pay.Unkn, pay.Declined, "a leg is left", chargeUnknown, pay.Fail, pay.Fail},
	{pay.Unkn, pay.Approved, "a leg is owed", saleUnknown, pay.Unkn, pay.Succ},
	{pay.Revp, pay.Approved, "", reversing, pay.Revp, pay.Revd},
	{pay.Revp, pay.Declined, "", reversing, pay.Revp, pay.Revd},
	{pay.Revp, pay.Approved, "what was refused is done", refusedReversing, pay.Revp, pay.Revd},
	{pay.Revd, pay.Approved, "the centre takes what was reversed before it came", reversed(false), pay.Susp, pay.Susp},
	{pay.Revd, pay.Approved, "the centre refuses it", reversed(true), pay.Revd, pay.Revd},
	{pay.Revd, pay.Approved, "what was undone was confirmed", undone, pay.Revd, pay.Revd},
	{pay.Revd, pay.Declined, "", undone, pay.Revd, pay.Revd},
	{pay.Fail, pay.Approved, "", refused, pay.Susp, pay.Susp},
	{pay.Fail, pay.Declined, "", refused, pay.Fail, pay.Fail},
	{pay.Succ, pay.Approved, "", succeeded, pay.Succ, pay.Succ},
	{pay.Succ, pay.Declined, "", succeeded, pay.Susp, pay.Susp},
	{pay.Succ, pay.Declined, "money taken, sent once", takenSucceeded, pay.Susp, pay.Susp},
	{pay.Succ, pay.Declined, "money taken, sent again", then(sentAgain, pay.Succ), pay.Succ, pay.Succ},
	{pay.Susp, pay.Approved, "it was refused", takenRefused, pay.Susp, pay.Susp},
	{pay.Susp, pay.Approved, "", parked, pay.Succ, pay.Succ},
	{pay.Susp, pay.Declined, "", parked, pay.Susp, pay.Susp},
	{pay.Reco, pay.Approved, "", then(succeeded, pay.Reco), pay.Reco, pay.Reco},
	{pay.Reco, pay.Declined, "", then(succeeded, pay.Reco), pay.Reco, pay.Reco},
	{pay.Adjd, pay.Approved, "", then(parked, pay.Adjd), pay.Adjd, pay.Adjd},
	{pay.Adjd, pay.Declined, "", then(parked, pay.Adjd), pay.Adjd, pay.Adjd},
}

// TestEveryLateCell plays every cell of the table, and fails when a state that the
// journal knows has none for a verdict, or a cell does not reach its state.
func TestEveryLateCell(t *testing.T) {
	played := map[pay.State]map[pay.Verdict]bool{}
	for _, c := range cells {
		in(t, true, func(t *testing.T, w *world) {
			name := fmt.Sprintf("%s, %s, %s", c.state, c.verdict, c.how)
			l := &lateWorld{world: w, sale: w.sale("000001", 0, pay.Untaken), after: func() {}}
			c.reach(l)
			e := l.entry(l.sale)
			if e.State != c.state {
				t.Errorf("%s: begins as %s", name, e.State)
				l.after()
				return
			}
			if played[c.state] == nil {
				played[c.state] = map[pay.Verdict]bool{}
			}
			played[c.state][c.verdict] = true
			rep := pay.Answer(c.verdict, map[pay.Verdict]pay.Code{pay.Approved: pay.CodeOK, pay.Declined: pay.CodeRefused}[c.verdict])
			if c.verdict == pay.Approved {
				rep.Amount, rep.Serial = l.sale.Amount, "L000000000001"
			}
			other := rep
			other.Amount++
			serial := e.ID.Serial(1)
			if c.verdict == pay.Approved {
				l.engine.Late(t.Context(), l.host, serial, other)
			}
			l.engine.Late(t.Context(), l.host, serial, pay.Answer(pay.Unknown, pay.CodeUnknown))
			if now := l.entry(l.sale); now.State != c.state {
				t.Errorf("%s: an answer that proves nothing made it %s", name, now.State)
			}
			for range 2 { // a repeat changes nothing
				l.engine.Late(t.Context(), l.host, serial, rep)
				now := l.entry(l.sale)
				if c.how == "a leg is owed" && (now.State == pay.Sent || now.State == pay.Succ) {
					now.State = c.now // the resolver was quicker with what it owes
				}
				if now.State != c.now {
					t.Errorf("%s: became %s, want %s", name, now.State, c.now)
				}
			}
			l.after()
			time.Sleep(3 * time.Hour)
			if end := l.entry(l.sale); end.State != c.end {
				t.Errorf("%s: ended %s, want %s (%s)", name, end.State, c.end, end.Note)
			}
		})
	}
	for s := pay.Sent; s.String() != "?"; s++ {
		for _, v := range []pay.Verdict{pay.Approved, pay.Declined} {
			if !played[s][v] {
				t.Errorf("no cell was played for %s in %s", v, s)
			}
		}
	}
}
