package sim

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// scenarios are the regression scenarios, one test each, named after them. Those
// of sockets, of the configuration and of a full disk are in cmd/internal/app.
var scenarios = map[string]func(*testing.T, *world){
	"query overtakes its payment, payment arrives after not found": queryOvertakes,
	"queue full while a query waits":                               queueFull,
	"late reply after client left":                                 lateReply,
	"two terminals, same STAN":                                     sameSTAN,
	"same serial twice in flight":                                  twiceInFlight,
	"clock steps back 1 h during a wait":                           clockBack,
	"MAC wrong on reply (A0)":                                      wrongMAC,
	"bank says success after our reversal":                         bankSaysSuccess,
	"host says success after our reversal":                         successAfterReversal,
	"reply without DE41":                                           withoutTerminal,
	"BER-TLV length 2^63":                                          endlessTLV,
	"LLLVAR GBK cut in mid-character":                              halfCharacter,
	"odd BCD length":                                               oddBCD,
	"bitmap says field, bytes end":                                 bytesEnd,
	"0-byte optional fixed field":                                  emptyField,
	"file announced but absent":                                    fileAbsent,
	"file with wrong totals":                                       wrongTotals,
	"file with duplicate row":                                      duplicateRow,
	"one bad file among ten":                                       oneBadFile,
	"query says no such order":                                     noSuchOrder,
	"sync after terminal state":                                    syncAfterFinal,
	"reversal on next day":                                         reversalNextDay,
	"cut-over while in flight":                                     cutInFlight,
	"kill between journal and forward":                             killBeforeForward,
}

func TestScenarios(t *testing.T) {
	for name, play := range scenarios {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := drawOptions(1)
				o.status, o.dedupe, o.repeats, o.marks, o.tells = true, true, true, true, true
				o.lose, o.double, o.cut, o.slow, o.diskFails, o.crashes, o.steps, o.days = 0, 0, 0, 0, 0, 0, 0, 0
				w := newWorld(t, o)
				defer w.clean()
				w.up()
				play(t, w)
				w.down(false)
				for _, wrong := range append(w.wrong, w.host.wrong...) {
					t.Error(wrong)
				}
			})
		})
	}
}

// debt makes a customer who owes.
func (w *world) debt(account string) string {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	w.host.debts[account] = amountOf(account)
	return account
}

func (t *teller) sale(account string) *pay.Request {
	return t.fill(&pay.Request{Op: pay.Pay, Account: t.w.debt(account), Amount: amountOf(account)})
}

// want sends a message and wants an answer.
func (t *teller) want(tt *testing.T, req *pay.Request, v pay.Verdict, codes ...pay.Code) pay.Reply {
	tt.Helper()
	rep, err := t.send(req)
	ok := err == nil && rep.Verdict == v && len(codes) == 0
	for _, c := range codes {
		ok = ok || err == nil && rep.Verdict == v && rep.Code == c
	}
	if !ok {
		tt.Errorf("%s %s: got %s/%s %v, want %s %v", t.link, req.Op, rep.Verdict, rep.Code, err, v, codes)
	}
	return rep
}

// entry is the payment as the journal has it.
func (w *world) entry(t *testing.T, req *pay.Request) pay.Entry {
	t.Helper()
	for _, e := range w.entries() {
		if e.Req.Account == req.Account && e.Req.Ref.Serial == req.Ref.Serial {
			return e
		}
	}
	t.Fatalf("%s is not in the journal", req.Ref.Serial)
	return pay.Entry{}
}

// stands wants a payment in a state with a number of effects at the host.
func (w *world) stands(t *testing.T, req *pay.Request, s pay.State, effects int) {
	t.Helper()
	e := w.entry(t, req)
	if n := w.host.effects(e.ID.Serial(1)); e.State != s || n != effects {
		t.Errorf("%s is %s with %d effects, want %s with %d", req.Ref.Serial, e.State, n, s, effects)
	}
}

// reversalOf is the terminal's or the host's reversal of its sale.
func (t *teller) reversalOf(sale *pay.Request) *pay.Request {
	orig := sale.Ref
	r := &pay.Request{Op: pay.Reverse, Account: sale.Account, Amount: sale.Amount, Original: &orig, Ref: sale.Ref, More: sale.More, Day: sale.Day}
	r.Ref.Kind = pay.KindReverse
	return r
}

func (t *teller) statusOf(sale *pay.Request) *pay.Request {
	orig := sale.Ref
	r := t.fill(&pay.Request{Op: pay.Status, Original: &orig})
	r.More = append(r.More, pay.Field{ID: pay.FOriginalDate, Val: sale.Day.String()})
	return r
}

// pos is a terminal that has signed on.
func (w *world) pos(t *testing.T, n int) *teller {
	t.Helper()
	return w.signedOn(t, "pos", n)
}

func (w *world) signedOn(t *testing.T, link string, n int) *teller {
	t.Helper()
	p := w.teller(link, n)
	if !p.signOn() {
		t.Fatal("no sign-on")
	}
	return p
}

func queryOvertakes(t *testing.T, w *world) {
	bank := w.teller("fixed", 1)
	sale := bank.sale("0512000001")
	bank.want(t, bank.statusOf(sale), pay.Unknown, pay.CodeNotFoundYet)
	bank.want(t, sale, pay.Approved)
	bank.want(t, bank.statusOf(sale), pay.Approved)
	w.stands(t, sale, pay.Succ, 1)
}

// queueFull asks for a payment while the link has no place: nothing final is
// said, and the payment goes on.
func queueFull(t *testing.T, w *world) {
	bank := w.teller("fixed", 1)
	w.wire.set(func(s *script) { s.slow = 2 * time.Second })
	sale := bank.sale("0512000001")
	var wg sync.WaitGroup
	wg.Go(func() { bank.want(t, sale, pay.Approved) })
	time.Sleep(time.Second)
	asker := w.teller("fixed", 2)
	for _, req := range []*pay.Request{asker.statusOf(sale), asker.sale("0512000002")} {
		f, msg, err := asker.d.AppendRequest(req, asker.rec, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.process().doors["fixed"].Refuse(context.Background(), protocol.Inbound{Peer: "bank", At: w.now(), Frame: f})
		if err != nil {
			t.Fatal(err)
		}
		if err := asker.d.OpenReply(&out, asker.rec); err != nil {
			t.Fatal(err)
		}
		if rep, err := asker.d.Map.Reply(msg, &out, asker.rec, time.Now()); err != nil || rep.Verdict != pay.Unknown {
			t.Errorf("%s while the queue is full: %s/%s %v", req.Op, rep.Verdict, rep.Code, err)
		}
	}
	wg.Wait()
	w.stands(t, sale, pay.Succ, 1)
}

// lateReply has the bank hang up before its answer and ask again later.
func lateReply(t *testing.T, w *world) {
	bank := w.teller("fixed", 1)
	w.wire.set(func(s *script) { s.slow = 2 * time.Second })
	sale := bank.sale("0512000001")
	if rep, err := bank.ask(sale, time.Second); err == nil {
		t.Fatalf("got %v", rep)
	}
	time.Sleep(time.Minute)
	w.stands(t, sale, pay.Succ, 1)
	bank.want(t, sale, pay.Approved)
	w.stands(t, sale, pay.Succ, 1)
}

func sameSTAN(t *testing.T, w *world) {
	one, two := w.pos(t, 1), w.pos(t, 2)
	first, second := one.sale("0512000001"), two.sale("0512000002")
	if first.Ref.Serial != second.Ref.Serial {
		t.Fatal("not the same trace number")
	}
	a, b := one.want(t, first, pay.Approved), two.want(t, second, pay.Approved)
	if a.Serial == b.Serial {
		t.Errorf("both are %s", a.Serial)
	}
	two.want(t, two.reversalOf(second), pay.Approved)
	w.stands(t, first, pay.Succ, 1)
	w.stands(t, second, pay.Revd, 0)
}

func twiceInFlight(t *testing.T, w *world) {
	one, two := w.teller("fixed", 1), w.teller("fixed", 1)
	w.wire.set(func(s *script) { s.slow = time.Second })
	sale := one.sale("0512000001")
	var wg sync.WaitGroup
	var a, b pay.Reply
	wg.Go(func() { a = one.want(t, sale, pay.Approved) })
	wg.Go(func() { b = two.want(t, sale, pay.Approved) })
	wg.Wait()
	if a.Serial == "" || a.Serial != b.Serial {
		t.Errorf("%q and %q", a.Serial, b.Serial)
	}
	w.stands(t, sale, pay.Succ, 1)
}

// clockBack steps the wall clock while an answer is waited for and while the
// resolver waits: neither waits longer nor shorter.
func clockBack(t *testing.T, w *world) {
	bank := w.teller("fixed", 1)
	w.wire.set(func(s *script) { s.slow, s.mute = 2*time.Second, 2 })
	sale := bank.sale("0512000001")
	start := time.Now()
	var wg sync.WaitGroup
	wg.Go(func() { bank.want(t, sale, pay.Unknown) })
	time.Sleep(time.Second)
	w.mu.Lock()
	w.offset = -time.Hour
	w.mu.Unlock()
	wg.Wait()
	if took := time.Since(start); took > 2*hostTimeout {
		t.Errorf("answered after %s", took)
	}
	time.Sleep(time.Minute)
	w.stands(t, sale, pay.Succ, 1)
}

// wrongMAC damages the host's answer: it proves nothing, and the payment is
// settled by asking.
func wrongMAC(t *testing.T, w *world) {
	bank := w.teller("fixed", 1)
	w.wire.set(func(s *script) { s.spoil = 1 })
	sale := bank.sale("0512000001")
	bank.want(t, sale, pay.Unknown)
	time.Sleep(time.Minute)
	w.stands(t, sale, pay.Succ, 1)
	bank.want(t, sale, pay.Approved)
}

// successAfterReversal has the approval of a posting arrive after the terminal
// has reversed it.
func successAfterReversal(t *testing.T, w *world) {
	p := w.pos(t, 1)
	w.wire.set(func(s *script) { s.slow = 20 * time.Second })
	sale := p.sale("0512000001")
	p.want(t, sale, pay.Unknown)
	w.wire.set(func(s *script) { s.slow = 0 })
	p.want(t, p.reversalOf(sale), pay.Approved)
	time.Sleep(time.Hour)
	w.stands(t, sale, pay.Revd, 0)
}

// noSuchOrder loses the posting: that the host does not know it proves nothing
// before the late window has passed.
func noSuchOrder(t *testing.T, w *world) {
	p := w.pos(t, 1)
	w.wire.set(func(s *script) { s.lose = 1 })
	sale := p.sale("0512000001")
	p.want(t, sale, pay.Unknown)
	time.Sleep(w.o.lateWindow / 2)
	w.stands(t, sale, pay.Unkn, 0)
	p.want(t, sale, pay.Unknown)
	time.Sleep(w.o.lateWindow)
	w.stands(t, sale, pay.Fail, 0)
	p.want(t, sale, pay.Declined)
}

// syncAfterFinal tells the gateway once more what became of payments that are
// decided.
func syncAfterFinal(t *testing.T, w *world) {
	bank, p := w.teller("fixed", 1), w.pos(t, 2)
	paid, back := bank.sale("0512000001"), p.sale("0512000002")
	bank.want(t, paid, pay.Approved)
	p.want(t, back, pay.Approved)
	p.want(t, p.reversalOf(back), pay.Approved)
	for _, req := range []*pay.Request{paid, back} {
		e := w.entry(t, req)
		for _, rep := range []pay.Reply{{}, {Verdict: pay.Approved, Code: pay.CodeOK, Amount: req.Amount, Serial: "H1"}, {Verdict: pay.Unknown, Code: pay.CodeInProgress}} {
			rep.More = []pay.Field{{ID: pay.FSerial, Val: e.ID.Serial(1)}}
			w.process().late("mis")(pay.Pay, rep)
		}
	}
	time.Sleep(time.Minute)
	bank.want(t, bank.statusOf(paid), pay.Approved)
	w.stands(t, paid, pay.Succ, 1)
	w.stands(t, back, pay.Revd, 0)
}

// reversalNextDay comes when the host's window has closed: a person decides.
func reversalNextDay(t *testing.T, w *world) {
	p := w.pos(t, 1)
	sale := p.sale("0512000001")
	p.want(t, sale, pay.Approved)
	for n := range 2 { // the host reverses on the day itself and the one after
		w.cut(today.Add(n + 1))
	}
	p.want(t, p.reversalOf(sale), pay.Unknown)
	time.Sleep(time.Hour)
	w.stands(t, sale, pay.Susp, 1)
	if note := w.entry(t, sale).Note; !strings.Contains(note, "责任人=") {
		t.Errorf("parked as %q", note)
	}
}

func cutInFlight(t *testing.T, w *world) {
	bank := w.teller("fixed", 1)
	w.wire.set(func(s *script) { s.slow = 2 * time.Second })
	sale := bank.sale("0512000001")
	var wg sync.WaitGroup
	var rep pay.Reply
	wg.Go(func() { rep = bank.want(t, sale, pay.Approved) })
	time.Sleep(time.Second)
	w.cut(today.Add(1))
	wg.Wait()
	if e := w.entry(t, sale); e.ID.Day != today || pay.Find(rep.More, pay.FDay) != today.String() {
		t.Errorf("it is of %s, told %s", e.ID.Day, pay.Find(rep.More, pay.FDay))
	}
	w.stands(t, sale, pay.Succ, 1)
	bank.want(t, sale, pay.Approved)
}

// killBeforeForward ends the process when the intent is durable and before a
// byte of it has left, once for each kind of sender.
func killBeforeForward(t *testing.T, w *world) {
	adapter := w.o.adapter
	var once sync.Once
	w.down(false)
	w.o.adapter = func(a gateway.Adapter) gateway.Adapter {
		return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
			if r.Op == pay.Pay {
				killed := false
				once.Do(func() { w.process().dead.Store(true); killed = true })
				if killed {
					return pay.Reply{}, &pay.Fault{Sent: true, Err: errDead}
				}
			}
			return adapter(a).Do(ctx, r)
		})
	}
	for link, want := range map[string]pay.State{"http": pay.Fail, "fixed": pay.Succ} {
		once = sync.Once{}
		w.up()
		bank := w.teller(link, len(link))
		sale := bank.sale("05120000" + link[:2])
		if rep, err := bank.ask(sale, time.Second); err == nil {
			t.Fatalf("a dead process said %v", rep)
		}
		w.down(true)
		w.up()
		time.Sleep(3 * w.o.lateWindow)
		w.stands(t, sale, want, map[pay.State]int{pay.Succ: 1}[want])
		w.down(false)
	}
	w.up()
}
