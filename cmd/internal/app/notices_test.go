package app

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qianzhi/adapters/notify"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
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

func TestNoticesAreChecked(t *testing.T) {
	for rest, want := range map[string]string{"kind: weather": "kind: want", "kind: reconnect, host: nobody": "no host", "kind: reconnect, host: mis, field: colour": "field: want",
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
