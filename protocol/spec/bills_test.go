package spec

import (
	"fmt"
	"io/fs"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// TestLongQueryReply gives every link a customer with more bills than its
// messages have places: the reply has the oldest ones and the sum of all.
func TestLongQueryReply(t *testing.T) {
	names, err := fs.Glob(conf.Files, "links/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	loops := 0
	for _, name := range names {
		l, err := Load(name, conf.Files.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Assemble(Parts{})
		if err != nil {
			t.Fatal(err)
		}
		for msg := range d.Map.Messages {
			if loop := d.Map.Messages[msg].Reply.Bills; loop != nil && d.Map.Messages[msg].Op == pay.Query {
				loops++
				t.Run(name, func(t *testing.T) { longReply(t, d, msg, d.Reply.Codec.Layout().Fields[loop.Group].Max) })
			}
		}
	}
	if loops < 4 {
		t.Errorf("%d links tell bills, want at least 4", loops)
	}
}

// echoed are values of requests that ISO 8583 replies repeat.
var echoed = map[string]string{"11": "000001", "41": "60120001", "42": "301051249000001", "48": "0512000123",
	"7.date": "1124", "7.time": "120000", "32": "48020000", "33": "00010000", "60.1": "01", "60.2": "000001", "60.3": "000"}

func longReply(t *testing.T, d *protocol.Dialect, msg, most int) {
	if most <= 0 {
		t.Fatalf("the loop has no bound: %d", most)
	}
	rep := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Serial: "128"}
	for i := range most + 7 { // the newest first
		month := most + 7 - i
		rep.Bills = append(rep.Bills, pay.Bill{ID: fmt.Sprintf("B%05d", month), Month: fmt.Sprintf("%04d%02d", 2000+month/12, month%12+1), Amount: 100})
		rep.Amount += 100
	}
	ask := protocol.Asked{Exchange: protocol.Exchange{Frame: &protocol.Frame{}, Record: new(protocol.Record), Now: noon}, Message: msg}
	ask.Record.Reset(d.Request.Codec.Layout())
	ask.Request = &pay.Request{Op: pay.Query, Account: "0512000123", Ref: pay.Ref{Serial: "000001"}, Day: 20261124}
	for _, e := range d.Map.Messages[msg].Reply.Echo {
		if val := echoed[e.From.Name]; val != "" {
			ask.Record.PutString(e.From.ID, -1, val)
		}
	}
	f, err := d.AppendReply(&ask, &rep, new(protocol.Record))
	if err != nil {
		t.Fatal(err)
	}
	rec := new(protocol.Record)
	if err := d.OpenReply(&f, rec); err != nil {
		t.Fatal(err)
	}
	got, err := d.Map.Reply(msg, &f, rec, noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Bills) != most || got.Amount != 0 && got.Amount != rep.Amount {
		t.Fatalf("got %d bills of %d, amount %d; want %d and %d", len(got.Bills), len(rep.Bills), got.Amount, most, rep.Amount)
	}
	for i, b := range got.Bills {
		if b.Month != "" && b.Month != rep.Bills[len(rep.Bills)-1-i].Month {
			t.Errorf("bill %d is of %s, want %s", i, b.Month, rep.Bills[len(rep.Bills)-1-i].Month)
		}
	}
}
