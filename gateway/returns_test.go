package gateway_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// TestLateAnswersOfReturns brings late answers to a 退货 in each state: they settle
// it, and where they contradict what was decided a person gets it, and nothing
// else is given back meanwhile.
func TestLateAnswersOfReturns(t *testing.T) {
	yes := func(r *pay.Request) pay.Reply {
		return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount, Serial: "R9"}
	}
	no := func(*pay.Request) pay.Reply { return pay.Answer(pay.Declined, pay.CodeRefused) }
	lost, refuse := func(p *purse) { p.silent = 1 }, func(p *purse) { p.refuse = 1 }
	for _, x := range []struct {
		name   string
		before func(*purse)
		reach  pay.State
		answer func(*pay.Request) pay.Reply
		want   pay.State
	}{
		{"approved, unknown", lost, pay.Unkn, yes, pay.Succ},
		{"refused, unknown", lost, pay.Unkn, no, pay.Fail},
		{"had no effect, unknown", lost, pay.Unkn, func(*pay.Request) pay.Reply { return pay.Answer(pay.Approved, pay.CodeNoEffect) }, pay.Unkn},
		{"another amount, unknown", lost, pay.Unkn, func(r *pay.Request) pay.Reply { rep := yes(r); rep.Amount++; return rep }, pay.Unkn},
		{"approved, failed", refuse, pay.Fail, yes, pay.Susp},
		{"refused, failed", refuse, pay.Fail, no, pay.Fail},
		{"refused, succeeded", func(*purse) {}, pay.Succ, no, pay.Susp},
		{"approved, succeeded", func(*purse) {}, pay.Succ, yes, pay.Succ},
	} {
		in(t, true, func(t *testing.T, w *world) {
			p := newPurse()
			w.public(p, pay.Refund)
			w.policy.Gaps = []time.Duration{time.Hour}
			w.restart()
			sale := w.sale("000001", 0, pay.Untaken)
			w.expect(sale, pay.Approved, pay.CodeOK)
			p.mu.Lock()
			x.before(p)
			p.mu.Unlock()
			part := refundOf(sale, "000002", 100)
			w.do(part)
			w.state(part, x.reach)
			serial := w.entry(part).ID.Serial(1)
			w.engine.Late(t.Context(), "purse", serial, x.answer(part)) // no charge
			w.state(part, x.reach)
			for range 2 { // a repeat changes nothing
				w.engine.LateUndo(t.Context(), "purse", serial, x.answer(part))
				time.Sleep(time.Second)
				if got := w.entry(part); got.State != x.want {
					t.Errorf("%s: %s, want %s", x.name, got.State, x.want)
				}
			}
			if e := w.entry(part); x.want == pay.Susp {
				if owner, reason := gateway.Waits(&e); owner != "值班" || reason != pay.CodeContrary.Chinese() {
					t.Errorf("%s: %s, %s", x.name, owner, reason)
				}
				w.expect(refundOf(sale, "000003", 1), pay.Declined, pay.CodeBlocked)
			}
		})
	}
}

// TestReturnAtACentreThatTellsNothing: a 退货 whose answer is lost at a centre that
// cannot be asked is sent again where one serial takes effect once; else its late
// answer is waited for, and after that a person decides, whom a still later answer
// relieves.
func TestReturnAtACentreThatTellsNothing(t *testing.T) {
	for name, x := range map[string]struct {
		dedupe bool
		late   time.Duration // after which the answer comes, 0: never
		early  pay.State     // half the late window after it was asked for
		end    pay.State
	}{
		"sent again":     {true, 0, pay.Succ, pay.Succ},
		"answered late":  {false, 20 * time.Second, pay.Unkn, pay.Succ},
		"too late":       {false, time.Hour, pay.Unkn, pay.Succ},
		"never answered": {false, 0, pay.Unkn, pay.Susp},
	} {
		in(t, true, func(t *testing.T, w *world) {
			p := newPurse()
			p.dedupe = x.dedupe
			h := w.public(p, pay.Refund)
			h.Status = false
			sale := w.sale("000001", 0, pay.Untaken)
			w.expect(sale, pay.Approved, pay.CodeOK)
			p.mu.Lock()
			p.silent = 1
			p.mu.Unlock()
			back := refundOf(sale, "000002", sale.Amount)
			w.expect(back, pay.Unknown, pay.CodeInProgress)
			if x.late > 0 {
				time.AfterFunc(x.late, func() {
					w.engine.LateUndo(context.Background(), "purse", w.entry(back).ID.Serial(1), pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: back.Amount})
				})
			}
			time.Sleep(15 * time.Second)
			if got := w.entry(back).State; got != x.early {
				t.Errorf("%s: %s at first, want %s", name, got, x.early)
			}
			time.Sleep(2 * time.Hour)
			if got := w.entry(back).State; got != x.end || p.twice > 0 {
				t.Errorf("%s: ended %s, want %s; %d twice", name, got, x.end, p.twice)
			}
			w.state(sale, map[pay.State]pay.State{pay.Succ: pay.Revd, pay.Susp: pay.Succ}[x.end])
		})
	}
}

// TestReturnsLeaveOutWhatTheirOriginalSays: a terminal's 撤销 names neither customer
// nor amount; its hosts hear of both, and so do the lists.
func TestReturnsLeaveOutWhatTheirOriginalSays(t *testing.T) {
	in(t, true, func(t *testing.T, w *world) {
		c := w.legged(pay.LegCharge, true, true)
		sale := w.sale("000001", 0, pay.Untaken)
		w.expect(sale, pay.Approved, pay.CodeOK)
		void := cancelOf(sale, "000002", pay.Cancel)
		void.Account, void.Amount = "", 0
		w.expect(void, pay.Approved, pay.CodeOK)
		w.expect(void, pay.Approved, pay.CodeOK) // a repeat
		w.posted(sale, 0)
		if n, _ := c.counts(); n != 0 {
			t.Errorf("charged %d", n)
		}
		if e := w.entry(void); e.Req.Account != sale.Account || e.Req.Amount != sale.Amount {
			t.Errorf("told of %q and %d", e.Req.Account, e.Req.Amount)
		}
	})
}

// reasons notes why a host is asked to reverse.
type reasons struct {
	gateway.Adapter
	fault *pay.Fault // instead of the answer to a charge
	told  []string
}

func (r *reasons) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	if req.Op == pay.Reverse {
		r.told = append(r.told, pay.Find(req.More, pay.FReason))
	}
	if req.Op == pay.Pay && r.fault != nil {
		return pay.Reply{}, r.fault
	}
	return r.Adapter.Do(ctx, req)
}

// TestWhyACentreIsAskedToReverse: 98 without an answer, A0 after one that was not
// authentic, 96 after a restart, 06 when something else is the reason.
func TestWhyACentreIsAskedToReverse(t *testing.T) {
	for want, before := range map[string]func(*world, *reasons){
		"98": func(_ *world, r *reasons) {
			r.fault = &pay.Fault{Sent: true, Code: pay.CodeUnknown, Err: context.DeadlineExceeded}
		},
		"A0": func(_ *world, r *reasons) {
			r.fault = &pay.Fault{Sent: true, Code: pay.CodeAuth, Err: context.DeadlineExceeded}
		},
		"06": func(w *world, _ *reasons) { w.wire.set(func(x *wire) { x.refuse = pay.CodeNothingOwed }) },
		"96": nil,
	} {
		in(t, true, func(t *testing.T, w *world) {
			c := w.legged(pay.LegCharge, false, true)
			r := &reasons{Adapter: c}
			h := w.route.Steps[0].Host
			h.Adapter = r
			sale := w.sale("000001", 0, pay.Untaken)
			if before != nil {
				before(w, r)
				w.do(sale)
			} else {
				g := hold(h)
				go w.do(sale)
				synctest.Wait()
				h.Adapter = r
				w.interrupt(sale)
				close(g.gate)
			}
			time.Sleep(time.Hour)
			w.state(sale, pay.Revd)
			if len(r.told) == 0 || strings.Trim(strings.Join(r.told, ""), want) != "" {
				t.Errorf("told %v, want %s", r.told, want)
			}
		})
	}
}

// interrupt takes a payment under way over as after a restart.
func (w *world) interrupt(sale *pay.Request) {
	w.t.Helper()
	if err := w.engine.Resolver().Recover(context.Background(), []pay.Entry{w.entry(sale)}); err != nil {
		w.t.Fatal(err)
	}
}
