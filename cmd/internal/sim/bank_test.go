package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// deal is one payment as its bank knows it.
type deal struct {
	link     string
	req      *pay.Request
	approved bool           // told approved
	declined bool           // told declined
	asked    bool           // the bank asked for its reversal
	undone   bool           // told that it is reversed, or never had effect
	returns  []*pay.Request // 撤销 and 退货 of it
	given    pay.Amount     // told to be given back
	serial   string
}

// teller is one terminal or host connection of a bank, one payment after the
// other.
type teller struct {
	w     *world
	link  string
	n     int
	r     *rand.Rand
	d     *protocol.Dialect
	rec   *protocol.Record
	n2    uint64
	deals []*deal

	bought []purchases // at a kiosk
}

var errSilence = errors.New("no reply")

// ask sends one message through the weather and waits for its first reply.
func (t *teller) ask(req *pay.Request, patience time.Duration) (pay.Reply, error) {
	f, msg, err := t.d.AppendRequest(req, t.rec, time.Now())
	if err != nil {
		t.w.fail("%s %s: %v", t.link, req.Op, err)
		return pay.Reply{}, errSilence
	}
	got := make(chan protocol.Frame, 8)
	fate := t.w.front[0].draw()
	for _, delay := range fate.at {
		go func() {
			time.Sleep(delay)
			d := t.w.process()
			if d == nil {
				return
			}
			if fate.cut && t.link == "http" {
				d.web.half(f)
				return
			}
			in := protocol.Inbound{Peer: "bank", At: t.w.now(), Frame: protocol.Frame{Head: append([]protocol.HeadValue(nil), f.Head...), Body: append([]byte(nil), f.Body...)}}
			out, ok := d.answer(t.link, in)
			if !ok {
				return
			}
			for _, back := range t.w.front[1].draw().at {
				time.Sleep(back)
				select {
				case got <- out:
				default:
				}
			}
		}()
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case out := <-got:
		if err := t.d.OpenReply(&out, t.rec); err != nil {
			return pay.Reply{}, errSilence // not believed
		}
		rep, err := t.d.Map.Reply(msg, &out, t.rec, time.Now())
		if err != nil {
			t.w.fail("%s %s: reply: %v", t.link, req.Op, err)
		}
		if a, ok := t.d.Request.Auth.(interface {
			Accept(*pay.Request, *pay.Reply) error
		}); ok && req.Op == pay.SignOn && rep.Verdict == pay.Approved {
			t.w.must(a.Accept(req, &rep))
		}
		return rep, nil
	case <-timer.C:
		return pay.Reply{}, errSilence
	}
}

// fill writes what every message of the link carries.
func (t *teller) fill(req *pay.Request) *pay.Request {
	t.n2++
	req.Ref = pay.Ref{Kind: req.Op.Kind()}
	if t.terminals() {
		req.Ref.Serial = fmt.Sprintf("%06d", t.n2)
		req.More = []pay.Field{{ID: pay.FTerminal, Val: fmt.Sprintf("6012%04d", t.n)}, {ID: pay.FMerchant, Val: "301051249000001"},
			{ID: pay.FBatch, Val: "000001"}, {ID: pay.FSenderTime, Val: "101010"}}
		if t.link != "pos" && req.Op == pay.Pay {
			req.More = append(req.More, pay.Field{ID: pay.FPAN, Val: "6225000000000014"}, pay.Field{ID: pay.FEntryMode, Val: "021"},
				pay.Field{ID: pay.FPIN, Val: "\x12\x34\x56\x78\x9a\xbc\xde\xf0"})
		}
		return req
	}
	req.Ref.Serial = fmt.Sprintf("%04d%08d", t.n, t.n2)
	req.Day = t.w.day
	if t.link == "kiosk" {
		req.More = []pay.Field{{ID: pay.FSenderTime, Val: "101010"}, {ID: pay.FTerminal, Val: fmt.Sprintf("K%07d", t.n)}}
		return req
	}
	req.More = []pay.Field{{ID: pay.FSenderTime, Val: "101010"}, {ID: pay.FBranch, Val: "512001"}, {ID: pay.FOperator, Val: "K1"}}
	if t.link == "qr" && req.Op == pay.Pay {
		req.More = append(req.More, pay.Field{ID: pay.FPayCode, Val: "134567890123456789"})
	}
	return req
}

// terminals reports whether the link is one of POS terminals.
func (t *teller) terminals() bool { return t.link == "pos" || t.link == "cards" || t.link == "public" }

// signOn agrees on keys, as often as it takes.
func (t *teller) signOn() bool {
	for range 40 {
		if rep, err := t.ask(t.fill(&pay.Request{Op: pay.SignOn}), 60*time.Second); err == nil && rep.Verdict == pay.Approved {
			return true
		}
		time.Sleep(time.Second)
	}
	return false
}

// send is ask for a terminal that signs on again when it is told to.
func (t *teller) send(req *pay.Request) (pay.Reply, error) {
	for range 3 {
		rep, err := t.ask(req, t.w.links[t.link].link.Timeouts.Terminal)
		again := err == nil && rep.Verdict == pay.Declined && (rep.Code == pay.CodeSignOn || rep.Code == pay.CodeAuth)
		if !t.terminals() || !again {
			return rep, err
		}
		if !t.signOn() {
			break
		}
	}
	return pay.Reply{}, errSilence
}

// work makes n payments of the accounts.
func (t *teller) work(accounts []string) {
	if t.terminals() && !t.signOn() {
		return
	}
	for _, account := range accounts {
		time.Sleep(time.Duration(t.r.Int64N(int64(8 * time.Second))))
		if t.link == "kiosk" {
			t.kiosk(account)
			continue
		}
		d := &deal{link: t.link, req: t.fill(&pay.Request{Op: pay.Pay, Account: account, Amount: amountOf(account)})}
		t.deals = append(t.deals, d)
		if t.link == "fixed" {
			if t.r.IntN(4) == 0 {
				d.req.Op, d.req.Amount = pay.Advance, d.req.Amount+500
			}
			t.hostSide(d)
		} else {
			t.terminal(d)
		}
	}
}

func amountOf(account string) pay.Amount {
	var a pay.Amount = 100
	for _, c := range account {
		a = a*7%99991 + pay.Amount(c)
	}
	return a + 1
}

// told notes a final answer and compares it with the one before.
func (t *teller) told(d *deal, rep *pay.Reply) {
	switch rep.Verdict {
	case pay.Approved:
		if d.declined && !d.asked {
			t.w.fail("%s %s was declined and is approved now", d.link, d.req.Ref.Serial)
		}
		if d.undone {
			t.w.fail("%s %s was reversed and is approved now", d.link, d.req.Ref.Serial)
		}
		if d.serial != "" && rep.Serial != "" && d.serial != rep.Serial {
			t.w.fail("%s %s: reference %s became %s", d.link, d.req.Ref.Serial, d.serial, rep.Serial)
		}
		d.approved, d.serial = true, rep.Serial
	case pay.Declined:
		if d.approved && !d.asked {
			t.w.fail("%s %s was approved and is declined now: %s", d.link, d.req.Ref.Serial, rep.Code)
		}
		d.declined = true
	}
}

// terminal pays, and reverses whatever it got no good answer for, as a POS and a
// web bank do; now and then it repeats or reverses a payment that went well.
func (t *teller) terminal(d *deal) {
	if t.r.IntN(20) == 0 { // the reversal overtakes its sale
		t.reverse(d)
	}
	rep, err := t.send(d.req)
	if err == nil {
		t.told(d, &rep)
	}
	if err != nil || rep.Verdict == pay.Unknown {
		t.reverse(d)
		return
	}
	switch x := t.r.IntN(10); {
	case x < 2:
		if rep, err := t.send(d.req); err == nil {
			t.told(d, &rep)
		}
	case x < 6 && rep.Verdict == pay.Approved && (t.link == "cards" || t.link == "public" || t.link == "qr"):
		for range 1 + t.r.IntN(2) {
			t.giveBack(d)
		}
	case x == 2 && rep.Verdict == pay.Approved:
		t.reverse(d)
		if rep, err := t.send(d.req); err == nil && d.undone {
			t.told(d, &rep)
		}
	}
}

// reverse repeats the reversal until somebody says a final word.
func (t *teller) reverse(d *deal) {
	d.asked = true
	orig := d.req.Ref
	rev := &pay.Request{Op: pay.Reverse, Account: d.req.Account, Amount: d.req.Amount, Original: &orig, Ref: d.req.Ref, More: d.req.More, Day: d.req.Day}
	rev.Ref.Kind = pay.KindReverse
	if t.link == "http" || t.link == "qr" { // a host gives its reversal a number of its own
		rev = t.fill(&pay.Request{Op: pay.Reverse, Account: d.req.Account, Amount: d.req.Amount, Original: &orig})
		rev.Day = d.req.Day
		rev.More = append(rev.More, pay.Field{ID: pay.FOriginalDate, Val: d.req.Day.String()})
	}
	for range 60 {
		rep, err := t.send(rev)
		switch {
		case err != nil:
		case rep.Verdict == pay.Approved:
			d.undone = true
			return
		case rep.Verdict == pay.Declined:
			t.w.fail("reversal of %s %s was refused: %s", d.link, d.req.Ref.Serial, rep.Code)
			return
		}
		time.Sleep(5*time.Second + time.Duration(t.r.Int64N(int64(20*time.Second))))
	}
}

// hostSide has taken the customer's money: it asks and repeats until it knows.
func (t *teller) hostSide(d *deal) {
	req := d.req
	for range 60 {
		rep, err := t.send(req)
		if err == nil {
			t.told(d, &rep)
			if rep.Verdict != pay.Unknown || rep.Code == pay.CodeParked {
				return
			}
		}
		time.Sleep(5*time.Second + time.Duration(t.r.Int64N(int64(20*time.Second))))
		req = d.req
		if t.r.IntN(2) == 0 {
			orig := d.req.Ref
			req = t.fill(&pay.Request{Op: pay.Status, Original: &orig})
			req.More = append(req.More, pay.Field{ID: pay.FOriginalDate, Val: d.req.Day.String()})
		}
	}
}
