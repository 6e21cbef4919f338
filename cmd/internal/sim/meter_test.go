package sim

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"qianzhi/adapters/socket"
	"qianzhi/gateway"
	"qianzhi/gateway/pay"
)

// meters is the card-meter system: a handler with books of its own that survives
// every crash of the gateway. It sells a serial as often as it comes unless it
// deduplicates, and looks at the number of purchases that the card says.
type meters struct {
	dedupe, status bool

	mu    sync.Mutex
	sales map[string]*sold // by our serial
	times map[string]int   // 购电次数, by account
	wrong []string
}

type sold struct {
	account string
	amount  pay.Amount
	times   int // sales that count
	nth     int // purchase of the account
	gone    bool
}

func newMeters(o options) *meters {
	return &meters{dedupe: o.dedupe, status: o.status, sales: map[string]*sold{}, times: map[string]int{}}
}

// Do answers one request.
func (m *meters) Do(_ context.Context, req *pay.Request) pay.Reply {
	m.mu.Lock()
	defer m.mu.Unlock()
	if req.Op == pay.CardPay {
		return m.sell(req)
	}
	if req.Original == nil {
		return pay.Answer(pay.Approved, pay.CodeOK)
	}
	s := m.sales[req.Original.Serial]
	switch {
	case req.Op == pay.Status && !m.status:
		return pay.Answer(pay.Declined, pay.CodeNotAllowed)
	case req.Op == pay.Reverse || req.Op == pay.Cancel:
		return m.undo(req.Original.Serial, s)
	case s == nil || s.times == 0 && !s.gone:
		if req.Op != pay.Status {
			m.wrong = append(m.wrong, fmt.Sprintf("%s of a sale that was not made: %s", req.Op, req.Original.Serial))
		}
		return pay.Answer(pay.Declined, pay.CodeOriginal)
	case s.gone:
		return pay.Answer(pay.Approved, pay.CodeReversed)
	}
	return m.data(req.Original.Serial, s)
}

func (m *meters) sell(req *pay.Request) pay.Reply {
	serial, n := req.Ref.Serial, pay.Find(req.More, pay.FPurchaseCount)
	if n == "" {
		m.wrong = append(m.wrong, "a sale without the card's number of purchases: "+serial)
	}
	if s := m.sales[serial]; s != nil {
		switch {
		case s.gone:
			return pay.Answer(pay.Declined, pay.CodeTombstone)
		case s.account != req.Account || s.amount != req.Amount:
			m.wrong = append(m.wrong, fmt.Sprintf("sale %s came with other content", serial))
			return pay.Answer(pay.Declined, pay.CodeDuplicate)
		case !m.dedupe:
			s.times++
		}
		return m.data(serial, s)
	}
	if n != strconv.Itoa(m.times[req.Account]) {
		return pay.Answer(pay.Declined, pay.CodeRefused)
	}
	m.times[req.Account]++
	s := &sold{account: req.Account, amount: req.Amount, times: 1, nth: m.times[req.Account]}
	m.sales[serial] = s
	return m.data(serial, s)
}

func (m *meters) data(serial string, s *sold) pay.Reply {
	return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: s.amount, Serial: "M" + serial[1:],
		More: []pay.Field{{ID: pay.FCardData, Val: "D" + serial}, {ID: pay.FPurchaseCount, Val: strconv.Itoa(s.nth)}}}
}

func (m *meters) undo(serial string, s *sold) pay.Reply {
	switch {
	case s == nil:
		m.sales[serial] = &sold{gone: true}
		return pay.Answer(pay.Approved, pay.CodeNoEffect)
	case s.gone:
		return pay.Answer(pay.Approved, pay.CodeReversed)
	}
	s.gone, s.times = true, 0
	m.times[s.account]--
	return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: s.amount}
}

// effects returns how often a sale counts.
func (m *meters) effects(serial string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sales[serial]; s != nil {
		return s.times
	}
	return 0
}

// sold returns how many sales of an account count.
func (m *meters) soldTo(account string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sales {
		if s.account == account {
			n += s.times
		}
	}
	return n
}

// connectMeters builds the gateway's link to the card-meter system.
func (d *daemon) connectMeters(alive context.Context) (*socket.Adapter, error) {
	return d.connect(alive, "meter", d.w.meterLink, d.w.meterWire)
}

// purchase is one visit to a kiosk with a meter card: the sale, and the writing of
// the card, which may be repeated as the sale may not.
func (t *teller) purchase(account string, count int) *deal {
	d := &deal{link: t.link, req: t.fill(&pay.Request{Op: pay.CardPay, Account: account, Amount: pay.Amount(1000 + t.n2)})}
	d.req.More = append(d.req.More, pay.Field{ID: pay.FPurchaseCount, Val: strconv.Itoa(count)})
	t.deals = append(t.deals, d)
	t.hostSide(d)
	if !d.approved {
		return d
	}
	data := ""
	for _, step := range []struct {
		op     pay.Op
		result string
	}{{pay.CardWrite, ""}, {pay.CardConfirm, "failed"}, {pay.CardWrite, ""}, {pay.CardConfirm, "ok"}} {
		rep, ok := t.about(d, step.op, step.result)
		got := pay.Find(rep.More, pay.FCardData)
		switch {
		case !ok:
		case rep.Verdict == pay.Declined:
			t.w.fail("%s of %s was refused: %s", step.op, d.req.Ref.Serial, rep.Code)
		case step.op == pay.CardWrite && rep.Verdict == pay.Approved && data != "" && data != got:
			t.w.fail("the card of %s is to be written with %q, and then with %q", d.req.Ref.Serial, data, got)
		case step.op == pay.CardWrite && rep.Verdict == pay.Approved:
			data = got
		}
	}
	return d
}

// about asks for the data of a sale, or tells what became of the card, until
// somebody answers.
func (t *teller) about(d *deal, op pay.Op, result string) (pay.Reply, bool) {
	for range 8 {
		orig := d.req.Ref
		req := t.fill(&pay.Request{Op: op, Account: d.req.Account, Original: &orig})
		req.More = append(req.More, pay.Field{ID: pay.FOriginalDate, Val: d.req.Day.String()}, pay.Field{ID: pay.FWriteResult, Val: result})
		if rep, err := t.send(req); err == nil && rep.Verdict != pay.Unknown {
			return rep, true
		}
		time.Sleep(5 * time.Second)
	}
	return pay.Reply{}, false
}

// kiosk takes cash for a debt, or sells energy: a second time with what the card
// says then, or with what a card says that was not written. That one must not be
// sold.
func (t *teller) kiosk(account string) {
	if t.r.IntN(2) == 0 {
		d := &deal{link: t.link, req: t.fill(&pay.Request{Op: pay.Pay, Account: account, Amount: amountOf(account)})}
		t.deals = append(t.deals, d)
		t.hostSide(d)
		return
	}
	meter := fmt.Sprintf("0599%02d%04d", t.n, t.n2)
	bought := 1
	first := t.purchase(meter, 0)
	switch {
	case !first.approved:
	case t.r.IntN(2) == 0:
		bought++
		t.purchase(meter, 1)
	default:
		if stale := t.purchase(meter, 0); stale.approved {
			t.w.fail("energy was sold to a card that was not written the last time: %s", stale.req.Ref.Serial)
		}
	}
	t.bought = append(t.bought, purchases{meter, bought})
}

// purchases are what a kiosk has asked for an account.
type purchases struct {
	account string
	most    int
}

// sales holds the card-meter system's books against what kiosks asked for.
func (w *world) soldOnce(all []*teller) {
	for _, t := range all {
		for _, b := range t.bought {
			if n := w.meters.soldTo(b.account); n > b.most {
				w.fail("account %s was sold to %d times, and asked for it %d times", b.account, n, b.most)
			}
		}
	}
	w.meters.mu.Lock()
	defer w.meters.mu.Unlock()
	w.wrong = append(w.wrong, w.meters.wrong...)
}

// kioskSteps are the legs of a purchase at a kiosk.
func (d *daemon) kioskSteps(mis, meter *gateway.Host) []gateway.Step {
	steps := []gateway.Step{{Kind: pay.LegCard, Host: meter}, {Kind: pay.LegPost, Host: mis}}
	if d.w.o.swapped {
		steps[0], steps[1] = steps[1], steps[0]
	}
	return steps
}
