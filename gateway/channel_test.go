package gateway_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// desk answers every request with one reply and remembers the requests.
type desk struct {
	reply pay.Reply
	bug   bool

	mu   sync.Mutex
	seen []*pay.Request
}

func (d *desk) Do(_ context.Context, req *pay.Request) pay.Reply {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bug {
		panic("bug")
	}
	d.seen = append(d.seen, req)
	return d.reply
}

type rejects struct {
	mu   sync.Mutex
	seen []pay.Note
}

func (r *rejects) Note(_ context.Context, n *pay.Note, _ bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, *n)
	return nil
}

// line is a channel of a shipped link and the bank's end of it.
type line struct {
	t       *testing.T
	link    *spec.Link
	bank    *protocol.Dialect
	desk    desk
	rejects rejects
	channel *gateway.Channel
}

func newLine(t *testing.T, file string) *line {
	t.Helper()
	l, err := spec.Load("links/"+file, conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	bank, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	own, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string]string{"bank": "bank", "gateway": "gateway", "master": "master"}
	ends := make([]*protocol.Dialect, 2)
	for i, ring := range []secure.Ring{
		{"bank": {Private: bank}, "gateway": {Public: own.Public()}, "master": {SM4: make([]byte, 16)}},
		{"bank": {Public: bank.Public()}, "gateway": {Private: own}, "master": {SM4: make([]byte, 16)}},
	} {
		if ends[i], err = l.Assemble(spec.Parts{Keys: secure.Keys{Ring: ring, Roles: roles}, Sessions: secure.NewSessions(10), Now: time.Now}); err != nil {
			t.Fatal(err)
		}
	}
	ops, err := l.Ops()
	if err != nil {
		t.Fatal(err)
	}
	x := &line{t: t, link: l, bank: ends[0]}
	x.desk.reply = pay.Answer(pay.Approved, pay.CodeOK)
	x.channel = &gateway.Channel{Link: l.ID, Handler: &x.desk, Dialect: ends[1], Funds: l.Taken(), Allow: ops, Max: l.MaxAmount(), Timeout: time.Minute,
		Digest: gm.SumSM3, Now: time.Now, Rejects: &x.rejects, Log: slog.New(slog.DiscardHandler)}
	return x
}

// message is one that every link can express.
func (x *line) message(op pay.Op) *pay.Request {
	return &pay.Request{Op: op, Account: "0512000001", Amount: 10050, Day: pay.DayOf(time.Now()), Ref: pay.Ref{Serial: "000123"},
		Original: &pay.Ref{Serial: "000100"}, Bills: []pay.Bill{{ID: "051200000110", Month: "202610", Amount: 10050}},
		More: []pay.Field{{ID: pay.FTerminal, Val: "60120001"}, {ID: pay.FMerchant, Val: "301051249000001"}, {ID: pay.FBatch, Val: "000001"},
			{ID: pay.FOriginalDate, Val: "20260101"}, {ID: pay.FSenderTime, Val: "101112"},
			{ID: pay.FDay, Val: "20260101"}, {ID: pay.FCreditCount, Val: "00000001"}}}
}

// exchange sends a message, changed on its way, and reads the reply.
func (x *line) exchange(op pay.Op, answer func(context.Context, protocol.Inbound) (protocol.Frame, error), change func(*protocol.Frame)) (pay.Reply, bool) {
	x.t.Helper()
	rec := new(protocol.Record)
	f, msg, err := x.bank.AppendRequest(x.message(op), rec, time.Now())
	if err != nil {
		x.t.Fatalf("%s: %v", op, err)
	}
	if change != nil {
		change(&f)
	}
	out, err := answer(context.Background(), protocol.Inbound{Frame: f, Peer: "bank", At: time.Now()})
	if err != nil || out.Body == nil {
		return pay.Reply{}, false
	}
	if err := x.bank.OpenReply(&out, rec); err != nil {
		x.t.Fatalf("%s: reply: %v", op, err)
	}
	rep, err := x.bank.Map.Reply(msg, &out, rec, time.Now())
	if err != nil {
		x.t.Fatalf("%s: reply: %v", op, err)
	}
	return rep, true
}

// TestEveryMessageIsRefusedProperly forges each message of the signed link: the
// refusal comes in the sender's format and nothing reaches the engine.
func TestEveryMessageIsRefusedProperly(t *testing.T) {
	x := newLine(t, "bank-http.yaml")
	for _, op := range x.channel.Allow {
		rep, ok := x.exchange(op, x.channel.Answer, func(f *protocol.Frame) { f.Set(protocol.HeadNonce, "forged-nonce") })
		if !ok || rep.Verdict != pay.Declined || rep.Code != pay.CodeAuth {
			t.Errorf("%s: got %+v, %v", op, rep, ok)
		}
	}
	if len(x.desk.seen) != 0 || len(x.rejects.seen) != len(x.channel.Allow) {
		t.Errorf("%d reached the engine, %d were noted", len(x.desk.seen), len(x.rejects.seen))
	}
}

// TestOverloadIsUnknownNeverFailed answers messages that found no place: the
// one that is refused may be the query about an earlier payment.
func TestOverloadIsUnknownNeverFailed(t *testing.T) {
	for _, file := range []string{"bank-http.yaml", "bank-fixed.yaml"} {
		x := newLine(t, file)
		for _, op := range x.channel.Allow {
			if rep, ok := x.exchange(op, x.channel.Refuse, nil); !ok || rep.Verdict != pay.Unknown || rep.Code != pay.CodeBusy {
				t.Errorf("%s %s: got %+v, %v", file, op, rep, ok)
			}
		}
	}
}

func TestLimitsOfTheLink(t *testing.T) {
	x := newLine(t, "bank-http.yaml")
	x.channel.Max = 10000
	if _, ok := x.exchange(pay.Pay, x.channel.Answer, nil); !ok || x.desk.seen[0].Via.Refuse != pay.CodeLimit {
		t.Errorf("a repeat must be answered, so the engine is told: %+v", x.desk.seen[0].Via)
	}
	if rep, _ := x.exchange(pay.Reverse, x.channel.Answer, nil); rep.Verdict != pay.Declined || rep.Code != pay.CodeLimit {
		t.Errorf("got %+v", rep)
	}
	x.channel.Allow = []pay.Op{pay.Echo}
	if rep, _ := x.exchange(pay.Query, x.channel.Answer, nil); rep.Verdict != pay.Declined || rep.Code != pay.CodeNotAllowed {
		t.Errorf("got %+v", rep)
	}
}

// TestTakenMoneyIsNeverRefusedFinally sends an authentic payment whose fields
// do not fit, over a link whose sender has the customer's money.
func TestTakenMoneyIsNeverRefusedFinally(t *testing.T) {
	x := newLine(t, "bank-fixed.yaml")
	if rep, ok := x.exchange(pay.Pay, x.channel.Answer, func(f *protocol.Frame) {
		at := len("1002") + 6 + 6 + 8 // the bank's date
		copy(f.Body[at:], "20261399")
	}); !ok || rep.Verdict != pay.Unknown {
		t.Errorf("got %+v, %v", rep, ok)
	}
	if len(x.rejects.seen) != 1 {
		t.Errorf("%d notes", len(x.rejects.seen))
	}
}

// TestHostSerialThatDoesNotFit answers a payment whose host gave it a serial
// longer than the bank's field: the bank learns that it was approved.
func TestHostSerialThatDoesNotFit(t *testing.T) {
	x := newLine(t, "bank-fixed.yaml")
	x.desk.reply = pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: 12345, Serial: "20261125010000000001", More: []pay.Field{
		{ID: pay.FHostSerial, Val: "a serial of more than twenty bytes"}, {ID: pay.FDay, Val: "20261125"}}}
	rep, ok := x.exchange(pay.Pay, x.channel.Answer, nil)
	if !ok || rep.Verdict != pay.Approved || rep.Amount != 12345 || pay.Find(rep.More, pay.FDay) != "20261125" || pay.Find(rep.More, pay.FHostSerial) != "" {
		t.Errorf("got %+v, %v", rep, ok)
	}
}

func TestPanicIsSilence(t *testing.T) {
	x := newLine(t, "bank-fixed.yaml")
	x.desk.bug = true
	if rep, ok := x.exchange(pay.Query, x.channel.Answer, nil); ok {
		t.Errorf("got %+v; the outcome is unknown and nothing may be said", rep)
	}
}

func TestReplayedQueryIsNotAnsweredAgain(t *testing.T) {
	x := newLine(t, "bank-http.yaml")
	var again protocol.Frame
	x.exchange(pay.Query, x.channel.Answer, func(f *protocol.Frame) {
		again = protocol.Frame{Head: append([]protocol.HeadValue(nil), f.Head...), Body: f.Body}
	})
	rep, ok := x.exchange(pay.Query, x.channel.Answer, func(f *protocol.Frame) { *f = again })
	if !ok || rep.Verdict != pay.Unknown || rep.Code != pay.CodeReplayed || len(x.desk.seen) != 1 {
		t.Errorf("got %+v, %v; %d reached the engine", rep, ok, len(x.desk.seen))
	}
}

// TestSecretsDoNotReachTheJournal sends track data: what is kept of the message
// has it overwritten, and the business message does not carry it.
func TestSecretsDoNotReachTheJournal(t *testing.T) {
	x := newLine(t, "pos-cup.yaml")
	x.channel.Dialect.Request.Auth = nil
	rec := new(protocol.Record)
	l := x.bank.Request.Codec.Layout()
	rec.Reset(l)
	for _, f := range [][2]string{{"MTI", "0200"}, {"3", "000000"}, {"4", "000000010050"}, {"11", "000123"}, {"22", "021"}, {"25", "00"},
		{"35", "6225000000000014=15121011234567"}, {"41", "60120001"}, {"42", "301051249000001"}, {"48", "0512000001"}, {"49", "156"}, {"52", "PINBLOCK"},
		{"60.1", "22"}, {"60.2", "000001"}, {"60.3", "000"}} {
		id, ok := l.Lookup(f[0])
		if !ok {
			t.Fatalf("no field %s", f[0])
		}
		rec.PutString(id, -1, f[1])
	}
	body, err := x.bank.Request.Codec.Append(nil, rec)
	if err != nil {
		t.Fatal(err)
	}
	f := protocol.Frame{Body: body}
	f.Set(protocol.HeadTPDU, "6000010000")
	f.Set(protocol.HeadSub, "603100000000")
	if _, err := x.channel.Answer(context.Background(), protocol.Inbound{Frame: f, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if len(x.desk.seen) != 1 {
		t.Fatalf("%d requests, rejected %+v", len(x.desk.seen), x.rejects.seen)
	}
	raw := string(x.desk.seen[0].Via.Raw)
	if strings.Contains(raw, "PINBLOCK") || strings.Contains(raw, "\x62\x25\x00\x00\x00\x00\x00\x14\xD1") || !strings.Contains(raw, "********") {
		t.Errorf("kept: %q", raw)
	}
	for _, m := range x.desk.seen[0].More {
		if m.ID == pay.FPIN || m.ID == pay.FTrack2 || strings.Contains(m.Val, "PINBLOCK") {
			t.Errorf("carried: %v", m)
		}
	}
}

// doorman is a rule that refuses one account and remembers what was answered.
type doorman struct {
	refuse string
	why    pay.Code
	done   []pay.Verdict
}

func (d *doorman) Allow(req *pay.Request) pay.Code {
	if req.Account == d.refuse {
		return d.why
	}
	return pay.CodeUnknown
}

func (d *doorman) Done(_ *pay.Request, rep *pay.Reply) { d.done = append(d.done, rep.Verdict) }

// TestRulesRefuse shows that a payment that a rule refuses reaches the engine
// as one to be refused durably, and anything else is refused at once.
func TestRulesRefuse(t *testing.T) {
	x := newLine(t, "bank-http.yaml")
	rule := &doorman{refuse: "0512000001", why: pay.CodeFrequent}
	x.channel.Rules = rule
	x.desk.reply = pay.Answer(pay.Declined, pay.CodeFrequent)
	if rep, ok := x.exchange(pay.Pay, x.channel.Answer, nil); !ok || rep.Verdict != pay.Declined || rep.Code != pay.CodeFrequent {
		t.Errorf("got %v %+v", ok, rep)
	}
	if len(x.desk.seen) != 1 || x.desk.seen[0].Via.Refuse != pay.CodeFrequent {
		t.Fatalf("the engine saw %+v", x.desk.seen)
	}
	if rep, ok := x.exchange(pay.Query, x.channel.Answer, nil); !ok || rep.Verdict != pay.Declined {
		t.Errorf("query: got %v %+v", ok, rep)
	}
	if len(x.desk.seen) != 1 || len(rule.done) != 1 {
		t.Errorf("the engine saw %d requests, the rule %d answers", len(x.desk.seen), len(rule.done))
	}
}

// TestFloodOfGarbageIsCounted rejects many frames within a second: a few are
// journaled one by one, the others as one row, and the sum is exact.
func TestFloodOfGarbageIsCounted(t *testing.T) {
	x := newLine(t, "bank-fixed.yaml")
	now := time.Unix(1e9, 0)
	x.channel.Now = func() time.Time { return now }
	const flood = 5000
	for i := range flood {
		if i == flood/2 {
			now = now.Add(time.Second)
		}
		x.channel.Garbage(context.Background(), "10.0.0.1:1", []byte("junk"), protocol.ErrSignOn)
	}
	x.channel.Flush(context.Background())
	x.channel.Flush(context.Background())
	sum := uint32(0)
	for _, n := range x.rejects.seen {
		if n.Kind != pay.EvRejected || n.Link != x.link.ID {
			t.Errorf("%+v", n)
		}
		sum += n.Count
	}
	if sum != flood || len(x.rejects.seen) > 2*20+2 || x.channel.Counts().Rejected != flood {
		t.Errorf("%d rows for %d of %d frames, %d counted", len(x.rejects.seen), sum, flood, x.channel.Counts().Rejected)
	}
}
