package sim

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// read gives a hand-made message to the gateway's POS door, wants an error at a
// place, and that the door goes on. Nothing of it reaches the journal.
func (w *world) read(t *testing.T, body, place string) {
	t.Helper()
	p := w.teller("pos", 7)
	f, _, err := p.d.AppendRequest(p.fill(&pay.Request{Op: pay.SignOn}), p.rec, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if f.Body, err = hex.DecodeString(strings.ReplaceAll(body, " ", "")); err != nil {
		t.Fatal(err)
	}
	door := w.process().doors["pos"]
	before := door.Counts()
	_, err = w.links["pos"].gateway(w).ReadRequest(&protocol.Frame{Head: f.Head, Body: bytes.Clone(f.Body)}, new(protocol.Record), time.Now())
	var e *protocol.Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Path, place) {
		t.Errorf("%s: got %v, want an error at %q", body, err, place)
	}
	if out, err := door.Answer(context.Background(), protocol.Inbound{Peer: "bank", At: w.now(), Frame: f}); err == nil && out.Body != nil {
		rep := protocol.Frame{Head: out.Head, Body: out.Body}
		if err := p.d.OpenReply(&rep, p.rec); err == nil {
			t.Errorf("%s: answered with a sealed reply", body)
		}
	}
	if n := door.Counts(); n.Panics != 0 || n.Approved != before.Approved || n.Rejected != before.Rejected+1 {
		t.Errorf("%s: %+v", body, n)
	}
	if all := w.entries(); len(all) != 0 {
		t.Errorf("%s: %d payments in the journal", body, len(all))
	}
	if !p.signOn() {
		t.Error("the door does not go on")
	}
}

// The bodies are a message type, a bitmap and one field.
func endlessTLV(t *testing.T, w *world) {
	for _, length := range []string{"88 8000000000000000", "88 7fffffffffffffff", "87 ffffffffffffff", "84 ffffffff", "80", "81"} {
		data := "9f02 " + length
		n := len(strings.ReplaceAll(data, " ", "")) / 2
		w.read(t, "0200 0000000000000200 00"+hex.EncodeToString([]byte{byte(n/10<<4 | n%10)})+data, "55")
	}
}

// halfCharacter ends a text in the middle of a character of two bytes.
func halfCharacter(t *testing.T, w *world) {
	w.read(t, "0200 0000000000000400 0003 4142d5", "54")
	w.read(t, "0200 0000000000000400 0005 d5c5c8fdd5", "54")
}

// oddBCD has a card number of 19 digits in ten bytes; half a byte less is an
// end that comes too early.
func oddBCD(t *testing.T, w *world) {
	w.read(t, "0200 4000000000000000 19 622202123456789012", "2")
	w.read(t, "0200 4000000000000000 19 6222021234567890a230", "2")
	w.read(t, "0200 4000000000000000 20 62220212345678901230", "2")
	w.read(t, "0200 4000000000000000 19 62220212345678901230", "3") // the number is read; what is missing is the next field
}

// bytesEnd cuts a whole sale at every byte: each time it is an error, nothing
// panics and nothing is begun.
func bytesEnd(t *testing.T, w *world) {
	p := w.pos(t, 1)
	sale := p.sale("0512000001")
	f, _, err := p.d.AppendRequest(sale, p.rec, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	door := w.process().doors["pos"]
	for n := range len(f.Body) {
		cut := protocol.Frame{Head: append([]protocol.HeadValue(nil), f.Head...), Body: bytes.Clone(f.Body[:n])}
		if out, err := door.Answer(context.Background(), protocol.Inbound{Peer: "bank", At: w.now(), Frame: cut}); err == nil && out.Body != nil {
			if err := p.d.OpenReply(&out, p.rec); err == nil {
				t.Errorf("cut at %d of %d: answered with a sealed reply", n, len(f.Body))
			}
		}
	}
	if n := door.Counts(); n.Panics != 0 || len(w.entries()) != 0 {
		t.Errorf("%+v, %d payments", n, len(w.entries()))
	}
	p.want(t, sale, pay.Approved)
}

// emptyField leaves an optional field of fixed length empty: it is left out, and
// what follows stands where it should.
func emptyField(t *testing.T, w *world) {
	p := w.pos(t, 1)
	sale := p.sale("0512000001")
	for i := range sale.More {
		if sale.More[i].ID == pay.FSenderTime {
			sale.More[i].Val = ""
		}
	}
	p.want(t, sale, pay.Approved)
	if e := w.entry(t, sale); e.Req.Amount != sale.Amount || e.Req.Account != sale.Account || pay.Find(e.Req.More, pay.FMerchant) != "301051249000001" {
		t.Errorf("read as %+v", e.Req)
	}
}

// withoutTerminal has the card centre answer a charge without field 41: nobody
// knows whose answer it is, so the charge is in doubt and is taken back.
func withoutTerminal(t *testing.T, w *world) {
	l, err := spec.Load("links/posp.yaml", func(name string) ([]byte, error) {
		b, err := conf.Files.ReadFile(name)
		if strings.HasSuffix(name, "posp.yaml") {
			b = bytes.Replace(b, []byte(`reply: {map: {serial: "11", terminal: "41"}}`),
				[]byte(`reply: {echo: !replace ["11", "25", "42", "49", "60.1", "60.2", "60.3"], map: {serial: "11"}}`), 1)
		}
		return b, err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.cardWire.d = (&end{link: l}).assemble(w)
	w.cardWire.channel.Dialect = w.cardWire.d
	p := w.signedOn(t, "cards", 1)
	sale := p.sale("0512000001")
	if rep, err := p.send(sale); err != nil || rep.Verdict == pay.Approved {
		t.Errorf("told %s/%s %v", rep.Verdict, rep.Code, err)
	}
	time.Sleep(time.Hour)
	e := w.entry(t, sale)
	if n, m := w.centre.effects(e.ID), w.host.effects(e.ID.Serial(1)); e.State != pay.Revd || n != 0 || m != 0 {
		t.Errorf("it is %s with %d charges and %d postings", e.State, n, m)
	}
}

// bankSaysSuccess has the approval of a charge arrive after it was reversed.
func bankSaysSuccess(t *testing.T, w *world) {
	p := w.signedOn(t, "cards", 1)
	for _, account := range []string{"0512000007", "0512000008", "0512000009"} { // the gateway's terminals have signed on at the centre
		p.want(t, p.sale(account), pay.Approved)
	}
	w.cardWire.set(func(s *script) { s.slow = 20 * time.Second })
	sale := p.sale("0512000001")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if rep, err := p.send(sale); err == nil && rep.Verdict == pay.Approved {
			t.Errorf("told %s", rep.Verdict)
		}
	}()
	time.Sleep(2 * time.Second) // the charge is there; its answer is on a long way
	w.cardWire.set(func(s *script) { s.slow = 0 })
	<-done
	time.Sleep(time.Hour)
	e := w.entry(t, sale)
	if n, m := w.centre.effects(e.ID), w.host.effects(e.ID.Serial(1)); e.State != pay.Revd || n != 0 || m != 0 {
		t.Errorf("it is %s with %d charges and %d postings: %s", e.State, n, m, e.Note)
	}
}
