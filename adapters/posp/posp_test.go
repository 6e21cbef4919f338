package posp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/adapters/socket"
	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// centre is a card centre behind a pipe: it checks every MAC with the keys it
// issued and answers with what its test says.
type centre struct {
	t     *testing.T
	d     *protocol.Dialect
	mu    sync.Mutex
	seen  []*pay.Request
	reply func(*pay.Request) (pay.Reply, bool) // false: no answer
	slow  time.Duration
}

func (c *centre) dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	go c.serve(far)
	return near, nil
}

func (c *centre) serve(nc net.Conn) {
	defer nc.Close()
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := nc.Read(chunk)
		if err != nil {
			return
		}
		buf = append(buf, chunk[:n]...)
		for {
			f, used, err := c.d.Request.Framer.Next(buf)
			if err != nil || used == 0 {
				break
			}
			f.Body = append([]byte(nil), f.Body...)
			buf = buf[used:]
			go c.answer(nc, f)
		}
	}
}

func (c *centre) answer(nc net.Conn, f protocol.Frame) {
	asked, err := c.d.ReadRequest(&f, new(protocol.Record), time.Now())
	if err != nil {
		c.t.Errorf("centre: %v", err)
		return
	}
	req := asked.Request
	c.mu.Lock()
	c.seen = append(c.seen, req)
	reply, slow := c.reply, c.slow
	c.mu.Unlock()
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	switch {
	case req.Op == pay.SignOn:
		err = c.d.Request.Auth.(protocol.Issuer).Issue(req, &rep)
	case reply != nil:
		var ok bool
		if rep, ok = reply(req); !ok {
			return
		}
	}
	time.Sleep(slow)
	out, werr := c.d.AppendReply(asked, &rep, new(protocol.Record))
	if err = errors.Join(err, werr); err == nil {
		var b []byte
		if b, err = c.d.Reply.Framer.Append(nil, out); err == nil {
			_, err = nc.Write(b)
		}
	}
	if err != nil {
		c.t.Errorf("centre: %v", err)
	}
}

func (c *centre) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// ops lists what the centre was asked, without sign-ons.
func (c *centre) ops(op pay.Op) (out []*pay.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.seen {
		if r.Op == op {
			out = append(out, r)
		}
	}
	return out
}

type late struct {
	serial string
	rep    pay.Reply
}

// desk is the gateway's end.
type desk struct {
	t    *testing.T
	d    *protocol.Dialect
	link *socket.Adapter
	late chan late
}

func dialect(t *testing.T) *protocol.Dialect {
	l, err := spec.Load("links/posp.yaml", conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Keys: secure.Keys{Ring: secure.Ring{"k": {SM4: make([]byte, 16)}}, Roles: map[string]string{"master": "k"}},
		Sessions: secure.NewSessions(10), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// adapter builds one as a start of the daemon does: it knows nothing of before.
func (k *desk) adapter() *Adapter {
	a, err := New(Options{Name: "posp", Link: k.link, Terminals: []Terminal{{"60120001", "301051249000001"}, {"60120002", "301051249000001"}},
		Accept: k.d.Request.Auth.(interface {
			Accept(*pay.Request, *pay.Reply) error
		}).Accept, Owed: time.Minute, Wait: 10 * time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Late: func(_ pay.Op, serial string, rep pay.Reply) { k.late <- late{serial, rep} }})
	if err != nil {
		k.t.Fatal(err)
	}
	return a
}

func in(t *testing.T, test func(t *testing.T, c *centre, k *desk, a *Adapter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t, d: dialect(t)}
		k := &desk{t: t, d: dialect(t), late: make(chan late, 10)}
		var a *Adapter
		var err error
		k.link, err = socket.New(socket.Options{Name: "posp", Dial: c.dial, Dialect: k.d, Conns: 1, Queue: 10, MaxIn: 1 << 16, Backoff: time.Second, Ceiling: time.Minute,
			Late: func(op pay.Op, rep pay.Reply) { a.LateAnswer(op, rep) }, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		a = k.adapter()
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { k.link.Run(ctx) })
		test(t, c, k, a)
		cancel()
		wg.Wait()
	})
}

const day = "20260131"

// serial is ours of a row of four digits.
func serial(row string) string { return day + "01" + "000000" + row }

func charge(row string) *pay.Request {
	return &pay.Request{Op: pay.Pay, Day: 20260131, Account: "0512000123", Amount: 30150, Ref: pay.Ref{Kind: pay.KindPay, Serial: serial(row)},
		More: []pay.Field{{ID: pay.FTerminal, Val: "K0000001"}, {ID: pay.FPAN, Val: "6225000000000014"}, {ID: pay.FPIN, Val: "\x01\x02\x03\x04\x05\x06\x07\x08"}}}
}

func undo(row string) *pay.Request {
	r := charge(row)
	r.Op, r.Ref.Kind, r.Original = pay.Reverse, pay.KindReverse, &pay.Ref{Kind: pay.KindPay, Serial: serial(row)}
	return r
}

func ask(a *Adapter, r *pay.Request) (pay.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return a.Do(ctx, r)
}

func approve(r *pay.Request) (pay.Reply, bool) {
	return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount, Serial: "000000000077"}, true
}

func silent(*pay.Request) (pay.Reply, bool) { return pay.Reply{}, false }

func value(r *pay.Request, id pay.FieldID) string { return pay.Find(r.More, id) }

func TestCharge(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		c.reply = approve
		for _, row := range []string{"0002", "0004"} { // both belong to the first terminal
			if rep, err := ask(a, charge(row)); err != nil || rep.Verdict != pay.Approved || rep.Amount != 30150 || rep.Serial != "000000000077" {
				t.Fatalf("got %+v, %v", rep, err)
			}
		}
		if n := len(c.ops(pay.SignOn)); n != 1 {
			t.Errorf("signed on %d times, want once", n)
		}
		got := c.ops(pay.Pay)
		if got[0].Ref.Serial == got[1].Ref.Serial || value(got[0], pay.FTerminal) != "60120001" || value(got[0], pay.FBatch) != batchOf(settled, 2) ||
			value(got[0], pay.FPAN) != "6225000000000014" || value(got[0], pay.FPIN) != "\x01\x02\x03\x04\x05\x06\x07\x08" {
			t.Errorf("the centre saw %+v", got[0])
		}
	})
}

// TestReversalAfterARestart carries the numbers of its charge, from the same
// terminal.
func TestReversalAfterARestart(t *testing.T) {
	in(t, func(t *testing.T, c *centre, k *desk, a *Adapter) {
		c.reply = approve
		ask(a, charge("0003"))
		if rep, err := ask(k.adapter(), undo("0003")); err != nil || rep.Verdict != pay.Approved {
			t.Fatalf("got %+v, %v", rep, err)
		}
		sale, back := c.ops(pay.Pay)[0], c.ops(pay.Reverse)[0]
		if back.Ref.Serial != sale.Ref.Serial || *back.Original != sale.Ref || value(back, pay.FTerminal) != value(sale, pay.FTerminal) {
			t.Errorf("charge %+v, reversal %+v of %+v", sale.Ref, back.Ref, back.Original)
		}
	})
}

// TestOwedReversalComesFirst: the terminal whose charge was not answered charges
// no other card before its reversal is; the other terminal goes on.
func TestOwedReversalComesFirst(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		c.reply = silent
		if _, err := ask(a, charge("0002")); err == nil {
			t.Fatal("an answer from a silent centre")
		}
		c.set(func() { c.reply = approve })
		_, err := ask(a, charge("0004"))
		var f *pay.Fault
		if !errors.As(err, &f) || f.Sent {
			t.Fatalf("charged while a reversal is owed: %v", err)
		}
		if rep, err := ask(a, charge("0005")); err != nil || rep.Verdict != pay.Approved {
			t.Errorf("the other terminal: %+v, %v", rep, err)
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := ask(a, charge("0006"))
			waiting <- err
		}()
		synctest.Wait()
		if rep, err := ask(a, undo("0002")); err != nil || rep.Verdict != pay.Approved {
			t.Fatalf("reversal: %+v, %v", rep, err)
		}
		if err := <-waiting; err != nil {
			t.Errorf("after the reversal: %v", err)
		}
	})
}

// TestOwedReversalIsNotWaitedForForEver: a person may have settled the charge.
func TestOwedReversalIsNotWaitedForForEver(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		c.reply = silent
		ask(a, charge("0002"))
		c.set(func() { c.reply = approve })
		time.Sleep(2 * time.Minute)
		if rep, err := ask(a, charge("0004")); err != nil || rep.Verdict != pay.Approved {
			t.Errorf("got %+v, %v", rep, err)
		}
	})
}

// TestSignedOffByTheCentre signs on again before the next message.
func TestSignedOffByTheCentre(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		for i, code := range []pay.Code{pay.CodeSignOn, pay.CodeAuth} {
			c.set(func() {
				c.reply = func(*pay.Request) (pay.Reply, bool) { return pay.Answer(pay.Declined, code), true }
			})
			if rep, err := ask(a, charge("0002")); err != nil || rep.Verdict != pay.Declined || rep.Code != code {
				t.Fatalf("got %+v, %v", rep, err)
			}
			c.set(func() { c.reply = approve })
			if rep, err := ask(a, charge("0004")); err != nil || rep.Verdict != pay.Approved {
				t.Errorf("got %+v, %v", rep, err)
			}
			if n := len(c.ops(pay.SignOn)); n != 2+i {
				t.Errorf("signed on %d times, want %d", n, 2+i)
			}
		}
	})
}

func TestLateAnswerComesUnderOurSerial(t *testing.T) {
	in(t, func(t *testing.T, c *centre, k *desk, a *Adapter) {
		c.reply = approve
		ask(a, charge("0002")) // signs on
		c.set(func() { c.slow = 15 * time.Second })
		if _, err := ask(a, charge("0004")); err == nil {
			t.Fatal("answered in time")
		}
		if l := <-k.late; l.serial != serial("0004") || l.rep.Verdict != pay.Approved || l.rep.Amount != 30150 {
			t.Errorf("late answer %+v", l)
		}
	})
}

// TestVoidNamesItsOriginal, by the terminal that charged.
func TestVoidNamesItsOriginal(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		c.reply = approve
		ask(a, charge("0003"))
		for _, op := range []pay.Op{pay.Cancel, pay.Refund} {
			void := charge("0008")
			void.Op, void.Ref.Kind, void.Original = op, op.Kind(), &pay.Ref{Kind: pay.KindPay, Serial: serial("0003")}
			if rep, err := ask(a, void); err != nil || rep.Verdict != pay.Approved {
				t.Fatalf("%s: %+v, %v", op, rep, err)
			}
			sale, back := c.ops(pay.Pay)[0], c.ops(op)[0]
			if *back.Original != sale.Ref || value(back, pay.FTerminal) != value(sale, pay.FTerminal) || back.Ref.Serial == sale.Ref.Serial {
				t.Errorf("charge %+v, %s %+v of %+v", sale.Ref, op, back.Ref, back.Original)
			}
		}
	})
}

func TestSerialsThatAreNotOurs(t *testing.T) {
	in(t, func(t *testing.T, _ *centre, _ *desk, a *Adapter) {
		for _, s := range []string{"", "000001", day + "01" + "00000000x1", "20261301" + "01" + "0000000001", day + "01" + "0000000000"} {
			r := charge("0001")
			r.Ref.Serial = s
			_, err := ask(a, r)
			var f *pay.Fault
			if !errors.As(err, &f) || f.Sent {
				t.Errorf("%q: %v", s, err)
			}
		}
	})
}

// TestPINUnderOurKey: the PIN block of a charge is changed before it leaves, as
// the message of our own terminal; where that fails nothing leaves.
func TestPINUnderOurKey(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		c.reply = approve
		var failure error
		a.o.PIN = func(from, to *pay.Request) error {
			if pay.Find(from.More, pay.FTerminal) != "K0000001" || pay.Find(to.More, pay.FTerminal) == "K0000001" {
				t.Errorf("from %q to %q", pay.Find(from.More, pay.FTerminal), pay.Find(to.More, pay.FTerminal))
			}
			for i := range to.More {
				if to.More[i].ID == pay.FPIN {
					to.More[i].Val = "translat"
				}
			}
			return failure
		}
		sale := charge("0001")
		if rep, err := ask(a, sale); err != nil || rep.Verdict != pay.Approved {
			t.Fatalf("got %+v, %v", rep, err)
		}
		if got := pay.Find(c.ops(pay.Pay)[0].More, pay.FPIN); got != "translat" {
			t.Errorf("the centre got %q", got)
		}
		if got := pay.Find(sale.More, pay.FPIN); got != "\x01\x02\x03\x04\x05\x06\x07\x08" {
			t.Errorf("the payment itself was changed: %q", got)
		}
		failure = secure.ErrPIN
		var f *pay.Fault
		if _, err := ask(a, charge("0002")); !errors.As(err, &f) || f.Sent {
			t.Errorf("got %v, want a fault before anything was sent", err)
		}
		if n := len(c.ops(pay.Pay)); n != 1 {
			t.Errorf("%d charges left", n)
		}
	})
}

// TestChipData goes to the centre as it came, with the card's sequence number,
// and the issuer's answer comes back; so do tags that nobody knows.
func TestChipData(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		const chip, answer = "\x9F\x26\x08\x01\x02\x03\x04\x05\x06\x07\x08\xDF\x7F\x01\xAA", "\x91\x0A\x01\x02\x03\x04\x05\x06\x07\x08\x30\x30"
		c.reply = func(r *pay.Request) (pay.Reply, bool) {
			rep, ok := approve(r)
			rep.More = append(rep.More, pay.Field{ID: pay.FChip, Val: answer})
			return rep, ok
		}
		sale := charge("0002")
		sale.More = append(sale.More, pay.Field{ID: pay.FChip, Val: chip}, pay.Field{ID: pay.FCardSequence, Val: "001"})
		rep, err := ask(a, sale)
		if err != nil || rep.Verdict != pay.Approved || pay.Find(rep.More, pay.FChip) != answer {
			t.Fatalf("got %+v, %v", rep, err)
		}
		if got := c.ops(pay.Pay)[0]; value(got, pay.FChip) != chip || value(got, pay.FCardSequence) != "001" {
			t.Errorf("the centre saw %q, %q", value(got, pay.FChip), value(got, pay.FCardSequence))
		}
	})
}
