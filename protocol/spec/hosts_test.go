package spec

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
	"qianzhi/protocol/wiretest"
)

// host loads a link of a bank's host with its golden messages.
func host(t *testing.T, name string, open func(string) ([]byte, error), wire string) (*protocol.Dialect, map[string][]byte) {
	t.Helper()
	l, err := Load(name, open)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(Parts{})
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string][]byte{}
	for _, k := range wiretest.Load(t, "../../testdata/wire/"+wire, text.GB18030) {
		bodies[k.Name] = k.Body
	}
	return d, bodies
}

// meaning is what a golden request asks for.
type meaning struct {
	name     string
	op       pay.Op
	serial   string
	day      pay.Day
	account  string
	amount   pay.Amount
	original string
}

func readsAs(t *testing.T, d *protocol.Dialect, bodies map[string][]byte, now time.Time, want []meaning) {
	t.Helper()
	for _, w := range want {
		a, err := d.ReadRequest(&protocol.Frame{Body: bodies[w.name]}, new(protocol.Record), now)
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
			continue
		}
		r, original := a.Request, ""
		if r.Original != nil {
			original = r.Original.Serial
		}
		if got := (meaning{w.name, r.Op, r.Ref.Serial, r.Day, r.Account, r.Amount, original}); got != w {
			t.Errorf("got  %+v\nwant %+v", got, w)
		}
	}
}

func TestSwitchLink(t *testing.T) {
	d, bodies := host(t, "links/cups-host.yaml", conf.Files.ReadFile, "cups-host")
	readsAs(t, d, bodies, noon, []meaning{
		{"query", pay.Query, "000128", 20261124, "0512000123", 0, ""},
		{"pay", pay.Pay, "000128", 20261124, "0512000123", 30150, ""},
		{"reverse", pay.Reverse, "000129", 20261124, "0512000123", 30150, "000128"},
		{"status", pay.Status, "000130", 20261124, "", 0, "000128"},
		{"sign-on", pay.SignOn, "000001", 20261124, "", 0, ""},
		{"sign-off", pay.SignOff, "000001", 20261124, "", 0, ""},
		{"echo", pay.Echo, "000001", 20261124, "", 0, ""},
		{"cut-begins", pay.Echo, "000001", 20261124, "", 0, ""},
		{"cut-ends", pay.Echo, "000001", 20261124, "", 0, ""},
	})
	// A reversal names the key of its payment.
	key := func(name string) *protocol.Asked {
		a, err := d.ReadRequest(&protocol.Frame{Body: bodies[name]}, new(protocol.Record), noon)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if paid, undone := key("pay").Request.Ref, key("reverse").Request.Original; paid != *undone {
		t.Errorf("the reversal undoes %+v, the payment is %+v", undone, paid)
	}
	if _, err := d.ReadRequest(&protocol.Frame{Body: bodies["preauth"]}, new(protocol.Record), noon); err == nil {
		t.Error("a pre-authorisation was taken for a transaction of the link")
	}
}

// The parties of the 46-byte header are exchanged in the reply, its total
// length counts header and body.
func TestSwitchHeader(t *testing.T) {
	d, bodies := host(t, "links/cups-host.yaml", conf.Files.ReadFile, "cups-host")
	head := func(length, to, from string) []byte {
		return []byte(length + "\x2E\x02" + length + to + from + "000" + "\x07" + "12345678" + "\x01" + "00000")
	}
	const member, centre = "48020000   ", "00010000   "
	body := bodies["echo"]
	f, n, err := d.Request.Framer.Next(append(head("0095", member, centre), body...))
	if err != nil || n != 4+46+len(body) || !bytes.Equal(f.Body, body) {
		t.Fatalf("cut %d bytes of %d: %v", n, 4+46+len(body), err)
	}
	a, err := d.ReadRequest(&f, new(protocol.Record), noon)
	if err != nil {
		t.Fatal(err)
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	out, err := d.AppendReply(a, &rep, new(protocol.Record))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Body, bodies["echo-reply"]) {
		t.Errorf("got  %q\nwant %q", out.Body, bodies["echo-reply"])
	}
	wire, err := d.Reply.Framer.Append(nil, out)
	if want := append(head("0097", centre, member), bodies["echo-reply"]...); err != nil || !bytes.Equal(wire, want) {
		t.Errorf("%v\ngot  %q\nwant %q", err, wire, want)
	}
}

func TestPowerBureauLink(t *testing.T) {
	d, bodies := host(t, "../../testdata/links/gz-iso8583.yaml", os.ReadFile, "gz-iso8583")
	readsAs(t, d, bodies, time.Date(2010, 3, 31, 12, 0, 0, 0, time.UTC), []meaning{
		{"query", pay.Query, "033100018475", 20100331, "0106000971030", 0, ""},
		{"pay", pay.Pay, "033100018475", 20100331, "0106000971030", 10000, ""},
		{"pay-cheque", pay.Pay, "033100018475", 20100331, "0106000971030", 10000, ""},
		{"reverse", pay.Reverse, "033100018476", 20100331, "0106000971030", 10000, "033100018475"},
		{"line-test", pay.Echo, "120405000001", 20100405, "", 0, ""},
	})
	f, _, err := d.Request.Framer.Next(append([]byte("0035"), bodies["line-test"]...))
	if err != nil || !strings.HasPrefix(string(f.Body), "\x08\x20") {
		t.Errorf("got %X, %v", f.Body, err)
	}
}
