package gateway_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// in runs a test in a bubble with virtual time, on the real journal and ledger.
func in(t *testing.T, dedupe bool, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dedupe)
		defer w.close()
		test(t, w)
	})
}

func TestPaymentRepeatAndOtherContent(t *testing.T) {
	in(t, false, func(t *testing.T, w *world) {
		sale := w.sale("000001", 0, pay.Untaken)
		first := w.expect(sale, pay.Approved, pay.CodeOK)
		again := w.expect(sale, pay.Approved, pay.CodeOK)
		if first.Serial != again.Serial || pay.Find(first.More, pay.FDay) != today.String() || pay.Find(first.More, pay.FHostSerial) == "" {
			t.Errorf("first %+v, repeat %+v", first, again)
		}
		other := *sale
		other.Amount++
		w.expect(&other, pay.Declined, pay.CodeDuplicate)
		w.state(sale, pay.Succ)
		w.posted(sale, 1)
	})
}

func TestDefiniteRefusal(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.refuse = pay.CodeNothingOwed
		untaken, taken := w.sale("000001", 0, pay.Untaken), w.sale("000002", 1, pay.Taken)
		w.expect(untaken, pay.Declined, pay.CodeNothingOwed)
		w.expect(untaken, pay.Declined, pay.CodeNothingOwed) // a repeat
		w.state(untaken, pay.Fail)
		w.expect(taken, pay.Unknown, pay.CodeParked) // the bank has the money: never refused finally
		e := w.entry(taken)
		if e.State != pay.Susp || !strings.Contains(e.Note, "值班") || e.Due.Sub(e.Changed) < 59*time.Minute {
			t.Errorf("parked as %+v", e)
		}
	})
}

func TestUnreachableHost(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.unreachable = true
		untaken, taken := w.sale("000001", 0, pay.Untaken), w.sale("000002", 1, pay.Taken)
		w.expect(untaken, pay.Declined, pay.CodeUnreachable) // proved: nothing was sent
		w.expect(taken, pay.Unknown, pay.CodeInProgress)
		w.wire.set(func(x *wire) { x.unreachable = false })
		time.Sleep(10 * time.Minute)
		w.state(untaken, pay.Fail)
		w.state(taken, pay.Succ)
		w.posted(untaken, 0)
		w.posted(taken, 1)
	})
}

// TestLostReply is the case that every peer gets wrong: the posting happened,
// its answer did not come.
func TestLostReply(t *testing.T) {
	for _, dedupe := range []bool{true, false} {
		in(t, dedupe, func(t *testing.T, w *world) {
			w.wire.loseReplies = 1
			sale := w.sale("000001", 0, pay.Untaken)
			w.expect(sale, pay.Unknown, pay.CodeInProgress)
			w.expect(status(sale), pay.Unknown, pay.CodeInProgress)
			time.Sleep(time.Minute)
			w.state(sale, pay.Succ)
			w.expect(sale, pay.Approved, pay.CodeOK)
			w.expect(status(sale), pay.Approved, pay.CodeOK)
			w.posted(sale, 1)
		})
	}
}

// TestLostRequest holds that an early "not found" decides nothing: only past
// the late window does the payment fail, or is posted again where the bank has
// taken the money.
func TestLostRequest(t *testing.T) {
	for _, dedupe := range []bool{true, false} {
		in(t, dedupe, func(t *testing.T, w *world) {
			w.wire.loseRequests = 2
			untaken, taken := w.sale("000001", 0, pay.Untaken), w.sale("000002", 1, pay.Taken)
			w.expect(untaken, pay.Unknown, pay.CodeInProgress)
			w.expect(taken, pay.Unknown, pay.CodeInProgress)
			time.Sleep(20 * time.Second)
			w.state(untaken, pay.Unkn)
			w.state(taken, pay.Unkn)
			if w.wire.count(pay.Status) < 2 {
				t.Error("nobody asked the host")
			}
			time.Sleep(10 * time.Minute)
			w.state(untaken, pay.Fail)
			w.state(taken, pay.Succ)
			w.posted(untaken, 0)
			w.posted(taken, 1)
		})
	}
}

func TestHostWithoutStatusQuery(t *testing.T) {
	for _, dedupe := range []bool{true, false} {
		in(t, dedupe, func(t *testing.T, w *world) {
			w.host.Status = false
			w.wire.loseReplies = 1
			sale := w.sale("000001", 0, pay.Taken)
			w.expect(sale, pay.Unknown, pay.CodeInProgress)
			time.Sleep(time.Hour)
			if dedupe { // one more posting under the same key tells
				w.state(sale, pay.Succ)
			} else { // never fails by itself, never risks a second posting
				w.state(sale, pay.Susp)
			}
			w.posted(sale, 1)
		})
	}
}

func TestTriesEndWithAPerson(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.deaf = true
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Unknown, pay.CodeInProgress)
		time.Sleep(40 * time.Second)
		before := w.entry(sale).Attempt
		w.restart() // the count of tries survives
		if after := w.entry(sale).Attempt; before == 0 || after < before {
			t.Errorf("%d tries after the restart, %d before", after, before)
		}
		time.Sleep(time.Hour)
		w.state(sale, pay.Susp)
		if n := w.wire.count(pay.Status); n != int(w.policy.Tries) {
			t.Errorf("%d status queries, want %d", n, w.policy.Tries)
		}
		w.expect(sale, pay.Unknown, pay.CodeParked)
	})
}

// TestLivesShorterThanTheLateWindow restarts more often than a payment is tried:
// the host says each time that it knows of nothing, which proves nothing yet.
// The first life that lasts settles what the others could not.
func TestLivesShorterThanTheLateWindow(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.loseRequests = 2
		undone, paid := w.sale("000001", 0, pay.Untaken), w.sale("000002", 1, pay.Taken)
		w.expect(undone, pay.Unknown, pay.CodeInProgress)
		w.expect(paid, pay.Unknown, pay.CodeInProgress)
		for range 4 * int(w.policy.Tries) {
			w.restart()
			time.Sleep(w.host.LateWindow / 2)
		}
		w.state(undone, pay.Unkn)
		w.state(paid, pay.Unkn)
		time.Sleep(time.Hour)
		w.state(undone, pay.Fail)
		w.state(paid, pay.Succ)
		w.posted(paid, 1)
	})
}

func TestReversal(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		wrong := undo(sale)
		wrong.Ref.Serial, wrong.Amount = "000009", sale.Amount+1
		w.expect(wrong, pay.Declined, pay.CodeAmount)
		w.expect(undo(sale), pay.Approved, pay.CodeOK)
		w.expect(undo(sale), pay.Approved, pay.CodeReversed)
		w.expect(sale, pay.Declined, pay.CodeReversed)
		w.state(sale, pay.Revd)
		w.posted(sale, 0)
		w.expect(w.sale("000002", 0, pay.Untaken), pay.Approved, pay.CodeOK) // the debt is open again
	})
}

func TestReversalOvertakesItsSale(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(undo(sale), pay.Approved, pay.CodeNoEffect)
		w.expect(undo(sale), pay.Approved, pay.CodeNoEffect)
		w.expect(sale, pay.Declined, pay.CodeTombstone)
		w.restart()
		w.expect(sale, pay.Declined, pay.CodeTombstone)
		w.posted(sale, 0)
	})
}

// TestReversalOfAPaymentInFlight never says "not found": it is recorded, and
// done when the leg has answered.
func TestReversalOfAPaymentInFlight(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.hold = make(chan struct{})
		sale := w.sale("000001", 0, pay.Untaken)
		got := make(chan pay.Reply, 1)
		go func() { got <- w.do(sale) }()
		synctest.Wait()
		w.expect(undo(sale), pay.Unknown, pay.CodeInProgress)
		w.expect(undo(sale), pay.Unknown, pay.CodeInProgress)
		close(w.wire.hold)
		if rep := <-got; rep.Verdict == pay.Approved {
			t.Errorf("a payment that is being reversed was approved: %+v", rep)
		}
		time.Sleep(time.Minute)
		w.state(sale, pay.Revd)
		w.posted(sale, 0)
		w.expect(undo(sale), pay.Approved, pay.CodeReversed)
	})
}

func TestReversalIsRepeatedUntilItIsProved(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		w.wire.set(func(x *wire) { x.deaf = true })
		w.expect(undo(sale), pay.Unknown, pay.CodeInProgress)
		w.state(sale, pay.Revp)
		w.wire.set(func(x *wire) { x.deaf = false })
		w.restart()
		time.Sleep(time.Minute)
		w.state(sale, pay.Revd)
		w.posted(sale, 0)
	})
}

func TestReversalOnTheNextDayIsParked(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		if err := w.journal.Cut(context.Background(), today.Add(1)); err != nil {
			t.Fatal(err)
		}
		w.expect(undo(sale), pay.Unknown, pay.CodeParked) // the host does not undo yesterday's
		w.state(sale, pay.Susp)
		w.posted(sale, 1)
	})
}

func TestRepeatInFlightJoins(t *testing.T) {
	in(t, false, func(t *testing.T, w *world) {
		w.wire.hold = make(chan struct{})
		sale := w.sale("000001", 0, pay.Untaken)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { w.expect(sale, pay.Approved, pay.CodeOK) })
		}
		synctest.Wait()
		close(w.wire.hold)
		wg.Wait()
		w.posted(sale, 1)
	})
}

func TestQueryOvertakesItsPayment(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(status(sale), pay.Unknown, pay.CodeNotFoundYet) // not final
		w.expect(sale, pay.Approved, pay.CodeOK)
	})
}

func TestUndecidedPaymentBlocksASecondOne(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.loseReplies = 2
		first, second := w.sale("000001", 0, pay.Untaken), w.sale("000002", 0, pay.Untaken)
		w.expect(first, pay.Unknown, pay.CodeInProgress)
		rep := w.expect(second, pay.Declined, pay.CodeBlocked)
		if at := pay.Find(rep.More, pay.FSenderTime); !strings.HasPrefix(at, "2000-01-01 ") {
			t.Errorf("refusal does not name the first one's time: %q", at)
		}
		taken := w.sale("000003", 0, pay.Taken) // the bank has taken the money: not blocked
		w.expect(taken, pay.Unknown, pay.CodeInProgress)
		time.Sleep(10 * time.Minute)
		w.state(first, pay.Succ)
		w.state(taken, pay.Susp) // definitely refused: nothing owed; a person decides
		w.posted(first, 1)
	})
}

func TestCutWhileInFlight(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.hold = make(chan struct{})
		sale := w.sale("000001", 0, pay.Untaken)
		got := make(chan pay.Reply, 1)
		go func() { got <- w.do(sale) }()
		synctest.Wait()
		if err := w.journal.Cut(context.Background(), today.Add(1)); err != nil {
			t.Fatal(err)
		}
		close(w.wire.hold)
		first := <-got
		again := w.expect(sale, pay.Approved, pay.CodeOK)
		for _, rep := range []pay.Reply{first, again} {
			if rep.Verdict != pay.Approved || pay.Find(rep.More, pay.FDay) != today.String() || rep.Serial != first.Serial {
				t.Errorf("got %+v, want it approved on %s", rep, today)
			}
		}
		w.posted(sale, 1)
	})
}

// TestStopInFlight leaves a payment behind whose answer never came; the next
// process treats its marker as a doubt and settles it.
func TestStopInFlight(t *testing.T) {
	for _, dedupe := range []bool{true, false} {
		in(t, dedupe, func(t *testing.T, w *world) {
			w.wire.hold = make(chan struct{})
			sale := w.sale("000001", 0, pay.Taken)
			go w.do(sale)
			synctest.Wait()
			w.restart() // the first process's goroutine still waits and then writes nowhere
			time.Sleep(time.Second)
			w.expect(sale, pay.Approved, pay.CodeOK)
			close(w.wire.hold)
			time.Sleep(time.Minute)
			w.state(sale, pay.Succ)
			w.posted(sale, 1)
		})
	}
}

func TestPanicLeavesADoubtNotAHole(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.set(func(x *wire) { x.explode = true })
		sale := w.sale("000001", 0, pay.Untaken)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed: nobody would hear of the bug")
				}
			}()
			w.do(sale)
		}()
		w.wire.set(func(x *wire) { x.explode = false })
		time.Sleep(10 * time.Minute)
		w.state(sale, pay.Fail)
	})
}

func TestRouteLimits(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		stranger := w.sale("000001", 0, pay.Untaken)
		stranger.Account = "0999000001"
		w.expect(stranger, pay.Declined, pay.CodeNoRoute)
		stranger.Ref.Serial, stranger.Via = "000002", &pay.Via{Link: "fixed", Funds: pay.Taken}
		w.expect(stranger, pay.Unknown, pay.CodeParked)
		w.state(stranger, pay.Susp)
		w.wire.hold = make(chan struct{})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() { w.expect(w.sale("10000"+string(rune('0'+i)), i, pay.Untaken), pay.Approved, pay.CodeOK) })
		}
		synctest.Wait()
		w.expect(w.sale("200000", 5, pay.Untaken), pay.Unknown, pay.CodeBusy) // may be a repeat: never "failed"
		w.expect(&pay.Request{Op: pay.Query, Account: "0512000001", Via: stranger.Via}, pay.Unknown, pay.CodeBusy)
		close(w.wire.hold)
		wg.Wait()
	})
}

// TestJournalGone stops the journal under a running engine: nothing definite can
// be said any more, because nothing would be left of it.
func TestJournalGone(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		paid := w.sale("000001", 0, pay.Untaken)
		w.expect(paid, pay.Approved, pay.CodeOK)
		w.stop()
		w.expect(w.sale("000002", 1, pay.Untaken), pay.Unknown, pay.CodeUnknown)
		w.expect(w.sale("000003", 2, pay.Taken), pay.Unknown, pay.CodeUnknown)
		if rep := w.do(undo(paid)); rep.Verdict != pay.Unknown {
			t.Errorf("a reversal got %s/%s", rep.Verdict, rep.Code)
		}
	})
}

func TestReplayedMessages(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		replay := *sale
		replay.Via = &pay.Via{Link: "http", Funds: pay.Untaken, Replayed: true}
		w.expect(&replay, pay.Approved, pay.CodeOK) // its key is known: a repeat
		unseen := w.sale("000002", 1, pay.Untaken)
		unseen.Via = replay.Via
		w.expect(unseen, pay.Unknown, pay.CodeReplayed)
		w.expect(undo(unseen), pay.Unknown, pay.CodeReplayed)
		w.posted(unseen, 0)
	})
}

func TestOtherMessages(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		via := &pay.Via{Link: "pos"}
		w.expect(&pay.Request{Op: pay.Echo, Via: via}, pay.Approved, pay.CodeOK)
		w.expect(&pay.Request{Op: pay.SignOn, Via: via}, pay.Approved, pay.CodeOK)
		w.expect(&pay.Request{Op: pay.SignOff, Via: via}, pay.Approved, pay.CodeOK)
		w.expect(&pay.Request{Op: pay.CheckFile, Via: via}, pay.Declined, pay.CodeNotAllowed)
		w.expect(&pay.Request{Op: pay.Reverse, Via: via}, pay.Declined, pay.CodeFormat)
		w.expect(&pay.Request{Op: pay.Status, Via: via}, pay.Declined, pay.CodeFormat)
		rep := w.expect(&pay.Request{Op: pay.Query, Account: w.customers[0].Account, Via: via}, pay.Approved, pay.CodeOK)
		if rep.Amount != owed(w.customers[0]) {
			t.Errorf("query says %d, owed are %d", rep.Amount, owed(w.customers[0]))
		}
		w.wire.set(func(x *wire) { x.deaf = true })
		w.expect(&pay.Request{Op: pay.Query, Account: w.customers[0].Account, Via: via}, pay.Unknown, pay.CodeUnknown)
	})
}

// TestLateAnswers brings a late answer to a payment in each state; the table is
// that of the money rules.
func TestLateAnswers(t *testing.T) {
	approve := func(r *pay.Request) pay.Reply {
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount, Serial: "H9"}
	}
	refuse := func(*pay.Request) pay.Reply { return pay.Answer(pay.Declined, pay.CodeNothingOwed) }
	other := func(r *pay.Request) pay.Reply {
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount + 1, Serial: "H9"}
	}
	for _, c := range []struct {
		name   string
		funds  pay.Funds
		reach  pay.State // state in which the answer finds the payment
		answer func(*pay.Request) pay.Reply
		want   pay.State
	}{
		{"approved, unknown", pay.Untaken, pay.Unkn, approve, pay.Succ},
		{"refused, unknown", pay.Untaken, pay.Unkn, refuse, pay.Fail},
		{"refused, unknown, money taken", pay.Taken, pay.Unkn, refuse, pay.Susp},
		{"another amount", pay.Untaken, pay.Unkn, other, pay.Unkn},
		{"approved, parked", pay.Taken, pay.Susp, approve, pay.Succ},
		{"approved, failed", pay.Untaken, pay.Fail, approve, pay.Susp},
		{"refused, succeeded", pay.Untaken, pay.Succ, refuse, pay.Susp},
		{"approved, succeeded", pay.Untaken, pay.Succ, approve, pay.Succ},
		{"approved, reversed", pay.Untaken, pay.Revd, approve, pay.Revd},
	} {
		in(t, true, func(t *testing.T, w *world) {
			sale := w.sale("000001", 0, c.funds)
			switch c.reach {
			case pay.Unkn:
				w.wire.deaf = true
			case pay.Susp:
				w.host.Status, w.host.Dedupe, w.wire.deaf = false, false, true
			case pay.Fail:
				w.wire.loseRequests = 1
			}
			w.do(sale)
			switch c.reach {
			case pay.Susp, pay.Fail:
				time.Sleep(20 * time.Minute)
			case pay.Revd:
				w.expect(undo(sale), pay.Approved, pay.CodeOK)
			}
			w.state(sale, c.reach)
			e := w.entry(sale)
			w.engine.Late(t.Context(), "mis", e.ID.Serial(1), c.answer(sale))
			if got := w.entry(sale).State; got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
			w.engine.Late(t.Context(), "mis", "20000101010000099999", approve(sale)) // of no payment of ours
			w.engine.Late(t.Context(), "mis", "nonsense", approve(sale))
		})
	}
}

// tardy is a host whose answer comes when the caller has just given up.
type tardy struct {
	gateway.Adapter
	after func(*pay.Request)
}

func (a tardy) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	rep, err := a.Adapter.Do(ctx, req)
	if err != nil && req.Op == pay.Pay {
		a.after(req)
	}
	return rep, err
}

// TestAnswerBetweenTimeoutAndItsRecord delivers the answer after the caller
// gave up and before that is written down: it is not forgotten.
func TestAnswerBetweenTimeoutAndItsRecord(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.wire.deaf = true
		w.host.Adapter = tardy{w.wire, func(r *pay.Request) {
			w.engine.Late(t.Context(), "mis", r.Ref.Serial, pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount, Serial: "H9"})
		}}
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Unknown, pay.CodeInProgress)
		w.state(sale, pay.Succ)
		w.expect(sale, pay.Approved, pay.CodeOK)
	})
}

// TestDayUnderReconciliation: nothing of it is reversed or cancelled, payments
// of it go on being answered, and the same reversal works afterwards.
func TestDayUnderReconciliation(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		sale, failed := w.sale("000001", 0, pay.Untaken), w.sale("000002", 1, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeNothingOwed })
		w.expect(failed, pay.Declined, pay.CodeNothingOwed)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeUnknown })
		w.locked = w.entry(sale).ID.Day
		w.expect(undo(sale), pay.Declined, pay.CodeReconciling)
		w.expect(cancelOf(sale, "000003", pay.Cancel), pay.Declined, pay.CodeReconciling)
		w.expect(undo(failed), pay.Approved, pay.CodeNoEffect)
		w.expect(sale, pay.Approved, pay.CodeOK)
		w.expect(w.sale("000004", 2, pay.Untaken), pay.Approved, pay.CodeOK)
		w.state(sale, pay.Succ)
		w.locked = 0
		w.expect(undo(sale), pay.Approved, pay.CodeOK)
		w.state(sale, pay.Revd)
	})
}
