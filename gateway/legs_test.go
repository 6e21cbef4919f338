package gateway_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// counter is a host with books of its own and a network before it: a POSP or a
// card system. It loses and holds back what a test tells it to.
type counter struct {
	mu      sync.Mutex
	effects map[string]pay.Amount // by serial: what counts now
	gone    map[string]bool       // undone, or marked before it came
	ever    map[string]int        // how often a serial took effect
	marks   bool                  // refuses what was reversed before it came
	mute    bool                  // approves a reversal alike whether there was something to reverse or not
	fate    fate                  // of charges and sales
	undoing fate                  // of reversals and voids
	late    func(serial string, rep pay.Reply)
	data    int // how often write data was asked for
	written []string
}

// fate is what the network does to a message.
type fate int

const (
	fine fate = iota
	lostRequest
	lostReply
	declined
	lateReply // after the caller's time-out
	lateEffect
)

var fateNames = []string{"fine", "request lost", "reply lost", "declined", "reply late", "effect late"}

func newCounter() *counter {
	return &counter{effects: map[string]pay.Amount{}, gone: map[string]bool{}, ever: map[string]int{}}
}

const lateness = 15 * time.Second

func (c *counter) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	c.mu.Lock()
	f := c.fate
	if req.Op != pay.Pay && req.Op != pay.CardPay {
		f = c.undoing
	}
	if req.Op == pay.Status || req.Op == pay.CardWrite || req.Op == pay.CardConfirm {
		f = fine
	}
	c.mu.Unlock()
	switch f {
	case lostRequest:
		return silence(ctx)
	case declined:
		return pay.Answer(pay.Declined, pay.CodeRefused), nil
	case lateEffect:
		time.AfterFunc(lateness, func() { c.take(req) })
		return silence(ctx)
	}
	rep := c.take(req)
	switch f {
	case lostReply:
		return silence(ctx)
	case lateReply:
		time.AfterFunc(lateness, func() { c.late(req.Ref.Serial, rep) })
		return silence(ctx)
	}
	return rep, nil
}

func (c *counter) take(req *pay.Request) pay.Reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	serial := req.Ref.Serial
	if req.Original != nil {
		serial = req.Original.Serial
	}
	rep := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: req.Amount, Serial: "R" + serial}
	amount, there := c.effects[serial]
	switch req.Op {
	case pay.Pay, pay.CardPay:
		if c.gone[serial] && c.marks {
			return pay.Answer(pay.Declined, pay.CodeTombstone)
		}
		if !there {
			c.ever[serial]++
		}
		c.effects[serial] = req.Amount
		rep.More = []pay.Field{{ID: pay.FCardData, Val: "W" + serial}}
		return rep
	case pay.Status:
		switch {
		case there:
			rep.Amount = amount
			return rep
		case c.gone[serial]:
			rep.Code = pay.CodeReversed
			return rep
		}
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case pay.CardWrite:
		c.data++
		rep.More = []pay.Field{{ID: pay.FCardData, Val: "W" + serial}}
		return rep
	case pay.CardConfirm:
		c.written = append(c.written, pay.Find(req.More, pay.FWriteResult))
		return rep
	}
	gone := c.gone[serial]
	c.gone[serial] = there || gone || c.marks
	delete(c.effects, serial)
	switch {
	case there:
		return rep
	case gone, c.mute:
		return pay.Answer(pay.Approved, pay.CodeReversed)
	}
	return pay.Answer(pay.Approved, pay.CodeNoEffect)
}

func (c *counter) set(f func(*counter)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

func (c *counter) counts() (now, twice int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.ever {
		if n > 1 {
			twice++
		}
	}
	return len(c.effects), twice
}

// legged gives the world's route a first leg at another host.
func (w *world) legged(kind pay.LegKind, status, marks bool) *counter {
	c := newCounter()
	c.marks = marks
	h := &gateway.Host{ID: "posp", Adapter: c, Ops: []pay.Op{pay.Pay, pay.CardPay, pay.Reverse, pay.Cancel, pay.Refund}, Timeout: 10 * time.Second, LateWindow: time.Minute,
		Status: status, UndoMarks: marks, UndoTells: true, UndoDays: 0, RefundDays: 30}
	w.steps = []gateway.Step{{Kind: kind, Host: h}, {Kind: pay.LegPost, Host: w.host}}
	w.route.Steps = w.steps
	w.host.Ops = []pay.Op{pay.Pay, pay.Query, pay.Reverse, pay.Status}
	c.late = func(serial string, rep pay.Reply) { w.engine.Late(context.Background(), "posp", serial, rep) }
	return c
}

// cancelOf is the 撤销 or 退货 of a sale.
func cancelOf(sale *pay.Request, serial string, op pay.Op) *pay.Request {
	orig := sale.Ref
	return &pay.Request{Ref: pay.Ref{Institution: "301", Kind: op.Kind(), Scope: "T1", Serial: serial}, Op: op, Account: sale.Account, Amount: sale.Amount,
		Original: &orig, Via: sale.Via}
}

// TestChargeThenPosting plays every fate of both legs of a POS支付, and of the
// charge's reversal, with a bank that tells what became of a charge and one that
// does not. Once calm, what is charged is posted, nothing was done twice, and
// what nobody could prove is with a person.
func TestChargeThenPosting(t *testing.T) {
	for _, b := range []struct{ status, marks bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		for _, charge := range []fate{fine, lostRequest, lostReply, declined, lateReply, lateEffect} {
			for _, post := range []fate{fine, lostRequest, lostReply, declined} {
				for _, undo := range []fate{fine, lostReply} {
					if undo != fine && post != declined && post != fine {
						continue // the same ways
					}
					name := fmt.Sprintf("%+v, charge %s, posting %s, reversal %s", b, fateNames[charge], fateNames[post], fateNames[undo])
					in(t, true, func(t *testing.T, w *world) { chargeThenPosting(t, w, name, b.status, b.marks, charge, post, undo) })
				}
			}
		}
	}
}

func chargeThenPosting(t *testing.T, w *world, name string, status, marks bool, charge, post, undoing fate) {
	c := w.legged(pay.LegCharge, status, marks)
	c.set(func(c *counter) { c.fate, c.undoing = charge, undoing })
	w.wire.set(func(x *wire) {
		switch post {
		case lostRequest:
			x.loseRequests = 1
		case lostReply:
			x.loseReplies = 1
		case declined:
			x.refuse = pay.CodeNothingOwed
		}
	})
	sale := w.sale("000001", 0, pay.Untaken)
	rep := w.do(sale)
	time.Sleep(30 * time.Second)
	c.set(func(c *counter) { c.undoing = fine })
	time.Sleep(30 * time.Minute)
	e := w.entry(sale)
	charged, twice := c.counts()
	posted := w.effects(sale)
	want := map[bool]int{true: 1}[e.State == pay.Succ]
	if !e.State.Final() || charged != want || posted != want || twice > 0 {
		t.Errorf("%s: %s, charged %d, posted %d, twice %d, %q", name, e.State, charged, posted, twice, e.Note)
	}
	if rep.Verdict == pay.Approved && e.State != pay.Succ || rep.Verdict == pay.Declined && e.State == pay.Succ {
		t.Errorf("%s: told %s, became %s", name, rep.Verdict, e.State)
	}
	if charge == fine && post == fine && rep.Verdict != pay.Approved || charge == declined && rep.Verdict != pay.Declined {
		t.Errorf("%s: told %s", name, rep.Verdict)
	}
	if w.wire.count(pay.Pay) > 0 && charge != fine {
		t.Errorf("%s: posted although the charge was not confirmed", name)
	}
}

// TestReversalThatSaysNothing: a centre that approves any reversal has proved
// nothing while the charge may still arrive.
func TestReversalThatSaysNothing(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		c := w.legged(pay.LegCharge, false, false)
		c.mute, c.fate = true, lateEffect
		w.route.Steps[0].Host.UndoTells = false
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Unknown, pay.CodeInProgress)
		time.Sleep(10 * time.Second)
		w.state(sale, pay.Revp)
		time.Sleep(30 * time.Minute)
		w.state(sale, pay.Revd)
		if charged, _ := c.counts(); charged != 0 {
			t.Errorf("charged %d", charged)
		}
	})
}

// stale is a centre whose answer to an earlier reversal comes as that to a later
// one: both carry the same numbers.
type stale struct {
	*counter
	undone atomic.Int32
}

func (s *stale) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	if req.Op != pay.Reverse {
		return s.counter.Do(ctx, req)
	}
	switch s.undone.Add(1) {
	case 1:
		s.counter.take(req)
		return silence(ctx) // the answer is on its way
	case 2:
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: req.Amount}, nil
	}
	return s.counter.Do(ctx, req)
}

// TestReversalAnsweredByAnEarlierOne: the charge arrives late and is confirmed;
// the approval of a reversal that overtook it proves nothing of it.
func TestReversalAnsweredByAnEarlierOne(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		c := w.legged(pay.LegCharge, false, false)
		c.mute, c.fate = true, lateEffect
		h := w.route.Steps[0].Host
		s := &stale{counter: c}
		h.UndoTells, h.Adapter = false, s
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Unknown, pay.CodeInProgress)
		time.Sleep(8 * time.Second) // a reversal has overtaken the charge
		c.late(w.entry(sale).ID.Serial(1), pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: sale.Amount})
		time.Sleep(30 * time.Minute)
		w.state(sale, pay.Revd)
		if charged, _ := c.counts(); charged != 0 || s.undone.Load() < 3 {
			t.Errorf("charged %d, %d reversals", charged, s.undone.Load())
		}
	})
}

// TestSaleAtTheCardSystemThenPosting: the customer's money is taken, so what
// follows the sale is owed and the posting is repeated, never the sale.
func TestSaleAtTheCardSystemThenPosting(t *testing.T) {
	for _, sale := range []fate{fine, lostReply, lateReply} {
		for _, post := range []fate{fine, lostRequest, lostReply} {
			in(t, true, func(t *testing.T, w *world) {
				c := w.legged(pay.LegCard, true, true)
				c.set(func(c *counter) { c.fate = sale })
				w.wire.set(func(x *wire) {
					x.loseRequests = map[fate]int{lostRequest: 1}[post]
					x.loseReplies = map[fate]int{lostReply: 1}[post]
				})
				buy := w.sale("000001", 0, pay.Taken)
				buy.Op = pay.CardPay
				rep := w.do(buy)
				if sale == fine && pay.Find(rep.More, pay.FCardData) == "" {
					t.Errorf("no data for the meter card in %+v", rep)
				}
				time.Sleep(30 * time.Minute)
				sold, twice := c.counts()
				w.state(buy, pay.Succ)
				w.posted(buy, 1)
				if sold != 1 || twice > 0 {
					t.Errorf("sold %d, twice %d", sold, twice)
				}
			})
		}
	}
}

// TestRefusedPostingAfterACardSale: the money is taken and the energy sold, so a
// person decides.
func TestRefusedPostingAfterACardSale(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		w.legged(pay.LegCard, true, true)
		w.wire.set(func(x *wire) { x.refuse = pay.CodeNothingOwed })
		buy := w.sale("000001", 0, pay.Taken)
		buy.Op = pay.CardPay
		w.expect(buy, pay.Unknown, pay.CodeParked)
		w.state(buy, pay.Susp)
	})
}

// TestMeterCard: the data may be asked for as often as the kiosk likes, what
// became of the card is noted, and none of it moves money.
func TestMeterCard(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		c := w.legged(pay.LegCard, true, true)
		buy := w.sale("000001", 0, pay.Taken)
		buy.Op = pay.CardPay
		w.expect(buy, pay.Approved, pay.CodeOK)
		card := func(op pay.Op, result string) *pay.Request {
			r := cancelOf(buy, "000002", op)
			r.More = []pay.Field{{ID: pay.FWriteResult, Val: result}}
			return r
		}
		w.expect(card(pay.CardConfirm, "failed"), pay.Approved, pay.CodeOK)
		for range 2 {
			if rep := w.expect(card(pay.CardWrite, ""), pay.Approved, pay.CodeOK); pay.Find(rep.More, pay.FCardData) == "" {
				t.Errorf("no data in %+v", rep)
			}
		}
		w.expect(card(pay.CardConfirm, "ok"), pay.Approved, pay.CodeOK)
		if sold, _ := c.counts(); sold != 1 || c.data != 2 || len(c.written) != 2 {
			t.Errorf("sold %d, data %d, written %v", sold, c.data, c.written)
		}
		if e := w.entry(buy); e.State != pay.Succ || e.Note != "写卡 ok" {
			t.Errorf("%s %q", e.State, e.Note)
		}
		unknown := card(pay.CardWrite, "")
		unknown.Original.Serial = "000009"
		w.expect(unknown, pay.Declined, pay.CodeOriginal)
	})
}

// TestCancel: a 撤销 is a payment of its own; the original is SUCC until it is
// done, and nothing is undone twice.
func TestCancel(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		c := w.legged(pay.LegCharge, true, true)
		sale := w.sale("000001", 0, pay.Untaken)
		early := cancelOf(sale, "000000", pay.Cancel)
		w.expect(early, pay.Declined, pay.CodeOriginal)
		w.expect(sale, pay.Approved, pay.CodeOK)
		w.expect(early, pay.Declined, pay.CodeOriginal) // what was refused stays refused
		wrong := cancelOf(sale, "000002", pay.Cancel)
		wrong.Amount++
		w.expect(wrong, pay.Declined, pay.CodeAmount)
		other := cancelOf(sale, "000003", pay.Cancel)
		other.Account = w.customers[1].Account
		w.expect(other, pay.Declined, pay.CodeOriginal)
		void := cancelOf(sale, "000004", pay.Cancel)
		w.expect(void, pay.Approved, pay.CodeOK)
		w.expect(void, pay.Approved, pay.CodeOK)
		w.expect(cancelOf(sale, "000005", pay.Cancel), pay.Declined, pay.CodeReversed)
		w.expect(undo(sale), pay.Approved, pay.CodeReversed)
		w.state(sale, pay.Revd)
		w.posted(sale, 0)
		if charged, _ := c.counts(); charged != 0 {
			t.Errorf("charged %d", charged)
		}
		if n := w.wire.count(pay.Reverse); n != 1 {
			t.Errorf("%d returns at the MIS, want 1", n)
		}
	})
}

// TestCancelInDoubt: while a 撤销 is undecided no other one begins, and what is
// asked of the host tells how it ended.
func TestCancelInDoubt(t *testing.T) {
	for _, f := range []fate{lostRequest, lostReply, lateEffect} {
		for _, restart := range []bool{false, true} {
			in(t, true, func(t *testing.T, w *world) {
				c := w.legged(pay.LegCharge, true, true)
				sale := w.sale("000001", 0, pay.Untaken)
				w.expect(sale, pay.Approved, pay.CodeOK)
				c.set(func(c *counter) { c.undoing = f })
				void := cancelOf(sale, "000002", pay.Cancel)
				w.expect(void, pay.Unknown, pay.CodeInProgress)
				w.expect(cancelOf(sale, "000003", pay.Cancel), pay.Declined, pay.CodeBlocked)
				w.expect(undo(sale), pay.Unknown, pay.CodeInProgress)
				c.set(func(c *counter) { c.undoing = fine })
				if restart {
					w.restart()
				}
				time.Sleep(30 * time.Minute)
				w.state(void, pay.Succ)
				w.state(sale, pay.Revd)
				w.posted(sale, 0)
				if charged, _ := c.counts(); charged != 0 {
					t.Errorf("charged %d", charged)
				}
			})
		}
	}
}

// TestRefundOnALaterDay: money goes back within the bank's window and the
// marketing system's, a 撤销 only on the day itself.
func TestRefundOnALaterDay(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		c := w.legged(pay.LegCharge, true, true)
		w.host.RefundDays = 1
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		for _, d := range []int{1, 2} {
			if err := w.journal.Cut(t.Context(), today.Add(d)); err != nil {
				t.Fatal(err)
			}
			if d == 1 {
				w.expect(cancelOf(sale, "C1", pay.Cancel), pay.Declined, pay.CodeWindow)
				w.expect(cancelOf(sale, "R1", pay.Refund), pay.Approved, pay.CodeOK)
			}
			w.expect(cancelOf(sale, "R2", pay.Refund), pay.Declined, pay.CodeReversed)
		}
		w.state(sale, pay.Revd)
		if charged, _ := c.counts(); charged != 0 {
			t.Errorf("charged %d", charged)
		}
	})
}

// TestReversalOfTwoLegs undoes both, whether the sale was answered or is under
// way.
func TestReversalOfTwoLegs(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		c := w.legged(pay.LegCharge, true, true)
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		w.expect(undo(sale), pay.Approved, pay.CodeOK)
		w.state(sale, pay.Revd)
		w.posted(sale, 0)

		w.wire.set(func(x *wire) { x.hold = make(chan struct{}) })
		under := w.sale("000002", 1, pay.Untaken)
		go w.do(under)
		synctest.Wait()
		w.expect(undo(under), pay.Unknown, pay.CodeInProgress)
		close(w.wire.hold)
		time.Sleep(30 * time.Minute)
		w.state(under, pay.Revd)
		w.posted(under, 0)
		if charged, twice := c.counts(); charged != 0 || twice > 0 {
			t.Errorf("charged %d, twice %d", charged, twice)
		}
	})
}

// TestPolling: an answer that is pending is asked for while the sender waits.
func TestPolling(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		c := w.legged(pay.LegCharge, true, true)
		w.route.Steps[0].Host.Poll = 2 * time.Second
		w.route.Steps[0].Host.Timeout = 20 * time.Second
		sale := w.sale("000001", 0, pay.Untaken)
		w.route.Steps[0].Host.Adapter = pending{c}
		time.AfterFunc(5*time.Second, func() {
			c.take(&pay.Request{Op: pay.Pay, Amount: sale.Amount, Ref: pay.Ref{Serial: w.entry(sale).ID.Serial(1)}})
		})
		w.expect(sale, pay.Approved, pay.CodeOK)
		w.posted(sale, 1)
	})
}

// pending takes charges and says that they are not decided.
type pending struct{ *counter }

func (p pending) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	if req.Op == pay.Pay {
		return pay.Answer(pay.Unknown, pay.CodeInProgress), nil
	}
	return p.counter.Do(ctx, req)
}

// TestLateAnswersOfTwoLegs brings late answers to payments with two legs in each
// state; the table is that of the money rules.
func TestLateAnswersOfTwoLegs(t *testing.T) {
	approve := func(r *pay.Request) pay.Reply {
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount, Serial: "H9"}
	}
	refuse := func(*pay.Request) pay.Reply { return pay.Answer(pay.Declined, pay.CodeRefused) }
	deafMIS := func(w *world, _ *counter) { w.wire.deaf = true }
	lostCharge := func(_ *world, c *counter) { c.fate = lostRequest }
	for _, x := range []struct {
		name   string
		status bool
		marks  bool
		before func(*world, *counter)
		after  func(*world, *counter, *pay.Request)
		reach  pay.State
		host   string
		answer func(*pay.Request) pay.Reply
		want   pay.State
		calm   pay.State
	}{
		{"charge approved, unknown, posting not sent", true, true, lostCharge, nil, pay.Unkn, "posp", approve, pay.Revp, pay.Revd},
		{"charge refused, unknown", true, true, lostCharge, nil, pay.Unkn, "posp", refuse, pay.Fail, pay.Fail},
		{"posting approved, unknown", true, true, deafMIS, nil, pay.Unkn, "mis", approve, pay.Succ, pay.Succ},
		{"posting refused, unknown, charged", true, true, deafMIS, nil, pay.Unkn, "mis", refuse, pay.Revp, pay.Revd},
		{"charge approved again, posting unknown", true, true, deafMIS, nil, pay.Unkn, "posp", approve, pay.Unkn, pay.Revd},
		{"charge approved, being reversed", false, false, lostCharge, nil, pay.Revp, "posp", approve, pay.Revp, pay.Revd},
		{"charge refused, being reversed", false, false, lostCharge, nil, pay.Revp, "posp", refuse, pay.Revp, pay.Revd},
		{"charge approved, reversed without effect at a host that marks", false, true, lostCharge, calm, pay.Revd, "posp", approve, pay.Revd, pay.Revd},
		{"charge approved, reversed without effect", false, false, lostCharge, calm, pay.Revd, "posp", approve, pay.Susp, pay.Susp},
		{"charge approved, its effect reversed", false, true, func(_ *world, c *counter) { c.fate = lostReply }, calm, pay.Revd, "posp", approve, pay.Revd, pay.Revd},
		{"charge approved, proved absent", true, true, lostCharge, calm, pay.Fail, "posp", approve, pay.Susp, pay.Susp},
		{"posting refused, succeeded", true, true, nil, nil, pay.Succ, "mis", refuse, pay.Susp, pay.Susp},
		{"charge refused, succeeded", true, true, nil, nil, pay.Succ, "posp", refuse, pay.Susp, pay.Susp},
		{"charge approved, succeeded", true, true, nil, nil, pay.Succ, "posp", approve, pay.Succ, pay.Succ},
		{"posting approved, parked", true, true, func(w *world, _ *counter) { w.wire.deaf, w.host.Status, w.host.Dedupe = true, false, false }, calm, pay.Susp, "mis", approve, pay.Succ, pay.Succ},
		{"nobody's answer", true, true, lostCharge, nil, pay.Unkn, "other", approve, pay.Unkn, pay.Fail},
	} {
		in(t, true, func(t *testing.T, w *world) {
			c := w.legged(pay.LegCharge, x.status, x.marks)
			if x.before != nil {
				x.before(w, c)
			}
			sale := w.sale("000001", 0, pay.Untaken)
			w.do(sale)
			if x.after != nil {
				x.after(w, c, sale)
			}
			synctest.Wait()
			e := w.entry(sale)
			if e.State != x.reach {
				t.Fatalf("%s: reached %s, want %s", x.name, e.State, x.reach)
			}
			w.engine.Late(t.Context(), x.host, e.ID.Serial(1), x.answer(sale))
			if got := w.entry(sale).State; got != x.want {
				t.Errorf("%s: %s, want %s", x.name, got, x.want)
			}
			w.wire.set(func(y *wire) { y.deaf = false })
			calm(w, c, sale)
			if got := w.entry(sale).State; got != x.calm {
				t.Errorf("%s: ended %s, want %s", x.name, got, x.calm)
			}
		})
	}
}

// calm lets everything that is owed be done.
func calm(*world, *counter, *pay.Request) { time.Sleep(time.Hour) }

// TestRoutesByOperation: two products of one link with legs of one shape keep
// to their own hosts, also when what is in doubt is asked for.
func TestRoutesByOperation(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		meter := newCounter()
		meter.fate = lostReply
		h := &gateway.Host{ID: "meter", Adapter: meter, Ops: []pay.Op{pay.CardPay}, Timeout: 10 * time.Second, LateWindow: time.Minute, Status: true}
		w.beside = gateway.Routes{{ID: "cards", Prefix: "0512", Ops: []pay.Op{pay.CardPay}, Steps: []gateway.Step{{Kind: pay.LegPost, Host: h}}, InFlight: 4}}
		w.restart()
		w.route.Ops = []pay.Op{pay.Pay}
		buy := w.sale("000001", 0, pay.Taken)
		buy.Op = pay.CardPay
		w.expect(buy, pay.Unknown, pay.CodeInProgress)
		w.expect(w.sale("000002", 1, pay.Untaken), pay.Approved, pay.CodeOK)
		time.Sleep(10 * time.Second)
		w.state(buy, pay.Succ)
		if now, _ := meter.counts(); now != 1 || w.wire.count(pay.Pay) != 1 || w.wire.count(pay.Status) != 0 {
			t.Errorf("meter %d, MIS asked %v", now, w.wire.calls)
		}
	})
}
