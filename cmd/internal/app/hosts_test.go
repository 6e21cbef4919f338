package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
)

// port is one that is free now.
func port(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// fourDoors writes the hosts section with a host of each kind, and the doors that
// they go to.
func fourDoors(t *testing.T) string {
	t.Helper()
	socket, soap, tuxedo := port(t), port(t), port(t)
	more := ""
	for _, h := range []string{
		"{id: mis-soap, kind: soap, file: links/mis-soap.yaml, dial: " + soap + ", breaker: {failures: 5}",
		"{id: mis-tuxedo, kind: tuxedo, file: links/mis-tuxedo.yaml, dial: " + tuxedo + ", heartbeat: {every: 30s}, tuxedo: {echo: [serial, amount], envelope: &head {kind: 1, service: 15, corr: 8, tperrno: 4, tpurcode: 8}}",
		`{id: mis-sql, kind: sql, file: links/mis-sql.yaml, sql: {script: sql/mis.yaml, source: "file:{data}/mis.db?_busy_timeout=5000&_txlock=immediate"}`,
	} {
		more += "\n  - " + h + `, connections: 2, queue: 64, connect: 3s, timeout: 10s, late_window: 30m, backoff: 100ms, ceiling: 10s, status: by-serial, dedupe: "yes", undo_tells: "yes", undo_marks: "yes"}`
	}
	file := install(t, "dial: 127.0.0.1:7100", "dial: "+socket, "listen: 127.0.0.1:7100", "listen: "+socket,
		"    poll: 0s          # between queries while the sender waits for an answer that is pending, 0: none\n",
		"    poll: 0s"+more+"\n",
		"  dedupe: true\n", "  dedupe: true\n  doors:\n    - {id: soap, kind: soap, file: links/mis-soap.yaml, listen: "+soap+
			"}\n    - {id: tuxedo, kind: tuxedo, file: links/mis-tuxedo.yaml, listen: "+tuxedo+", envelope: *head}\n",
		"127.0.0.1:7001", "127.0.0.1:0", "127.0.0.1:7002", "127.0.0.1:0", "127.0.0.1:7003", "127.0.0.1:0")
	for _, name := range []string{"links/mis-soap.yaml", "links/mis-tuxedo.yaml", "links/mis.fd", "links/mis-sql.yaml", "sql/mis.yaml"} {
		b, err := conf.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(filepath.Dir(file), name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// TestFourDoorsOneLedger pays over each kind of host and looks at the payment
// over each other one.
func TestFourDoorsOneLedger(t *testing.T) {
	p := prepare(t, fourDoors(t))
	a, err := p.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}()
	list, err := a.Ledger().Seed(t.Context(), rand.New(rand.NewPCG(1, 2)), 4)
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{"mis", "mis-soap", "mis-tuxedo", "mis-sql"}
	do := func(host string, req *pay.Request) pay.Reply {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		rep, err := p.hosts[host].Adapter.Do(ctx, req)
		if err != nil {
			t.Errorf("%s %s: %v", host, req.Op, err)
		}
		return rep
	}
	ref := func(op pay.Op, i int) pay.Ref {
		return pay.Ref{Kind: op.Kind(), Serial: fmt.Sprintf("2026112001%010d", int(op)*100+i)}
	}
	for i, c := range list {
		day := pay.DayOf(p.now())
		q := do(kinds[i], &pay.Request{Op: pay.Query, Ref: ref(pay.Query, i), Account: c.Account})
		if q.Verdict != pay.Approved || len(q.Bills) != len(c.Bills) || pay.Find(q.More, pay.FName) != c.Name {
			t.Errorf("%s: query %+v, the customer is %+v", kinds[i], q, c)
		}
		paid := &pay.Request{Op: pay.Pay, Ref: ref(pay.Pay, i), Day: day, Account: c.Account, Amount: q.Amount, Bills: q.Bills, More: []pay.Field{{ID: pay.FChannel, Val: "pos"}}}
		rep := do(kinds[i], paid)
		if rep.Verdict != pay.Approved || rep.Amount != q.Amount {
			t.Errorf("%s: pay %+v", kinds[i], rep)
		}
		for j, other := range kinds {
			was := do(other, &pay.Request{Op: pay.Status, Ref: ref(pay.Status, i*4+j), Original: &paid.Ref})
			if was.Verdict != pay.Approved || was.Serial != rep.Serial || was.Amount != q.Amount {
				t.Errorf("%s paid, %s says %+v", kinds[i], other, was)
			}
		}
		back := do(kinds[(i+1)%4], &pay.Request{Op: pay.Reverse, Ref: ref(pay.Reverse, i), Day: day, Account: c.Account, Amount: q.Amount, Original: &paid.Ref})
		if back.Verdict != pay.Approved || back.Amount != q.Amount {
			t.Errorf("%s paid, %s reverses %+v", kinds[i], kinds[(i+1)%4], back)
		}
	}
	if n, sum, err := a.Ledger().Net(t.Context(), pay.DayOf(p.now())); n != 0 || sum != 0 || err != nil {
		t.Errorf("%d payments of %d fen are left, %v", n, sum, err)
	}
	for _, h := range a.Status().Hosts {
		if h.Conns == 0 {
			t.Errorf("host %s looks down", h.ID)
		}
	}
}

func TestHostKindsAreChecked(t *testing.T) {
	for want, change := range map[string][2]string{
		"kind: want socket":    {"kind: soap, ", "kind: rmi, "},
		"mode: want shared":    {"kind: soap, ", "kind: soap, mode: long, "},
		"sql: want script":     {"script: sql/mis.yaml, ", ""},
		`unknown code "maybe"`: {"kind: soap, ", "kind: soap, soap: {refusals: {Server: maybe}}, "},
		"longer than":          {"&head {kind: 1, service: 15", "&head {kind: 1, service: 5"},
		"doors: kind":          {"{id: soap, kind: soap", "{id: soap, kind: sql"},
		"password_file":        {"kind: soap, ", "kind: soap, soap: {user: u, password_file: absent}, "},
	} {
		file := fourDoors(t)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(b), change[0], change[1], 1)
		if text == string(b) {
			t.Fatalf("nothing to replace: %s", change[0])
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file)
		if err == nil {
			_, err = Prepare(c, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
