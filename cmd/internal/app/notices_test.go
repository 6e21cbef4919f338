package app

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"qianzhi/adapters/notify"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
	"qianzhi/reconcile/alert"
)

// noticed installs a daemon that posts notices to url.
func noticed(t *testing.T, url, rest string) string {
	t.Helper()
	mis := port(t)
	return install(t, "dial: 127.0.0.1:7100", "dial: "+mis, "listen: 127.0.0.1:7100", "listen: "+mis,
		"127.0.0.1:7001", "127.0.0.1:0", "127.0.0.1:7002", "127.0.0.1:0", "127.0.0.1:7003", "127.0.0.1:0",
		"\nnotices: []\n", "\nnotices:\n  - {id: power, url: "+url+", "+rest+", timeout: 5s, gaps: [1s, 1m], expire: 72h}\n")
}

// TestReconnectNotice pays through the engine: who owes nothing any more is
// told of, signed, and who still owes is not; a daemon that starts again tells
// nothing twice.
func TestReconnectNotice(t *testing.T) {
	type posted struct {
		notify.Notice
		body []byte
		sig  string
	}
	got := make(chan posted, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		p := posted{body: b, sig: r.Header.Get("X-Signature")}
		if err := json.Unmarshal(b, &p.Notice); err != nil || r.Header.Get("Idempotency-Key") != p.Key {
			t.Errorf("%q: %v", b, err)
		}
		got <- p
	}))
	defer srv.Close()
	file := noticed(t, srv.URL, "kind: reconnect, host: mis, sign_key: gateway")
	serve := func() *App {
		a, err := prepare(t, file).Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := serve()
	list, err := a.Ledger().Seed(t.Context(), rand.New(rand.NewPCG(1, 2)), 20)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for i, c := range list {
		bills := c.Bills
		if i%2 == 1 {
			bills = bills[:1]
		}
		sum := pay.Amount(0)
		for _, b := range bills {
			sum += b.Amount
		}
		rep := a.engine.Do(t.Context(), &pay.Request{Op: pay.Pay, Ref: pay.Ref{Institution: "0301", Kind: pay.KindPay, Serial: fmt.Sprint("N", i)}, Account: c.Account,
			Amount: sum, Bills: bills, More: []pay.Field{{ID: pay.FChannel, Val: "bank"}}, Via: &pay.Via{Link: "fixed", Funds: pay.Taken, At: time.Now(), Raw: []byte("x")}})
		if rep.Verdict != pay.Approved {
			t.Fatalf("%s: %+v", c.Account, rep)
		}
		if len(bills) == len(c.Bills) {
			told[c.Account] = true
		}
	}
	if len(told) == len(list) {
		t.Fatal("everybody has paid all")
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "keys/gateway.pub"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := gm.ParsePublicKey(text)
	if err != nil {
		t.Fatal(err)
	}
	for range len(told) {
		select {
		case p := <-got:
			sig, err := base64.StdEncoding.DecodeString(p.sig)
			if bad := key.Verify([]byte(gm.DefaultID), p.body, sig); err != nil || bad != nil {
				t.Errorf("%s: signature %q: %v, %v", p.Key, p.sig, err, bad)
			}
			if !told[p.Account] {
				t.Errorf("%s was told of twice, or still owes", p.Account)
			}
			delete(told, p.Account)
		case <-time.After(30 * time.Second):
			t.Fatalf("not told: %v", told)
		}
	}
	stop(t, a)
	a = serve()
	defer stop(t, a)
	select {
	case p := <-got:
		t.Errorf("told again: %+v", p.Notice)
	case <-time.After(3 * notePoll):
	}
}

// TestNoticesOverASocket pays, and has the receipt and an alert told over a
// socket, each as a frame that is acknowledged; one that is not acknowledged is
// told again under the same key, and the metrics count them.
func TestNoticesOverASocket(t *testing.T) {
	ln := bankListener(t)
	got := make(chan notify.Notice, 10)
	go func() {
		for n := 0; ; n++ {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			got <- heard(t, nc, []string{"busy", `{"ret":"0000"}`}[min(n, 1)])
		}
	}()
	h := newHouse(t)
	h.stop()
	one := "kind: %s, socket: {dial: " + ln.Addr().String() + ", ack: '\"0000\"', frame: {length: {kind: ascii, bytes: 6, counts: body}, max: 4096}}, timeout: 5s, gaps: [1s], expire: 1h}\n"
	rewrite(t, h.file, "\nnotices: []\n", "\nnotices:\n  - {id: receipts, "+fmt.Sprintf(one, "receipt")+"  - {id: duty, events: [alarm], "+fmt.Sprintf(one, "alert"))
	h.start()
	h.paid(h.sale(0))
	first, again := <-got, <-got
	if first != again || first.Kind != "receipt" || first.Account != h.owe[0].Account || first.Key == "" {
		t.Errorf("got %+v and then %+v", first, again)
	}
	for range 2 {
		h.app.alarm(alert.Message{ID: "M1", Event: alert.Alarm, Level: alert.Page, Day: "20260101", Channel: "BANK301", Text: "未签核"})
		h.app.alarm(alert.Message{ID: "M2", Event: alert.RunFinished, Text: "not wanted"})
	}
	if a := <-got; a.Kind != "alert" || a.Key != "alert-M1" || a.Level != "page" || a.Event != "alarm" || a.Channel != "BANK301" || a.Text != "未签核" {
		t.Errorf("got %+v", a)
	}
	h.until("metrics", func() bool {
		_, text := h.get("/metrics")
		return strings.Contains(text, `qianzhi_notices_ended_total{fate="told",target="duty"} 1`) && strings.Contains(text, `qianzhi_notices_ended_total{fate="told",target="receipts"} 1`) &&
			strings.Contains(text, `qianzhi_notices_waiting{target="receipts"} 0`)
	})
	h.stop()
	ln.Close()
	if len(got) != 0 {
		t.Errorf("told once more: %+v", <-got)
	}
}

// heard takes one frame of six digits and answers with another.
func heard(t *testing.T, nc net.Conn, answer string) (n notify.Notice) {
	defer nc.Close()
	head := make([]byte, 6)
	_, err := io.ReadFull(nc, head)
	size, err2 := strconv.Atoi(string(head))
	body := make([]byte, size)
	_, err3 := io.ReadFull(nc, body)
	err4 := json.Unmarshal(body, &n)
	_, err5 := fmt.Fprintf(nc, "%06d%s", len(answer), answer)
	if err := errors.Join(err, err2, err3, err4, err5); err != nil {
		t.Error(err)
	}
	return n
}

func TestNoticesAreChecked(t *testing.T) {
	const socket = "kind: receipt, socket: {dial: 127.0.0.1:1, ack: OK, frame: {length: {kind: ascii, bytes: 6, counts: body}, max: 4096}}"
	for rest, want := range map[string]string{"kind: weather": "kind: want", socket: "want url or socket", "kind: alert, events: [rain]": "unknown event", "kind: reconnect, host: nobody": "no host", "kind: reconnect, host: mis, field: colour": "field: want",
		"kind: receipt, sign_key: nobody": "sign_key: no private"} {
		c, err := Load(noticed(t, "http://127.0.0.1:1/", rest))
		if err == nil {
			_, err = Prepare(c, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "notices[0]") {
			t.Errorf("%s: got %v, want %q", rest, err, want)
		}
	}
}
