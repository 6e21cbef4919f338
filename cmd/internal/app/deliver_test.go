package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// paid enters a payment into the journal, with how it ended.
func paid(t *testing.T, a *App, serial string, ends ...pay.Event) pay.Entry {
	t.Helper()
	req := &pay.Request{Ref: pay.Ref{Institution: "301", Kind: pay.KindPay, Scope: "T1", Serial: serial}, Day: a.journal.Day(), Op: pay.Pay, Account: "0512000001", Amount: 12345,
		More: []pay.Field{{ID: pay.FTerminal, Val: "T1"}, {ID: pay.FBatch, Val: "000001"}}, Via: &pay.Via{Link: "fixed"}}
	e, _, err := a.journal.Begin(t.Context(), &pay.Intent{Req: req, Legs: []pay.LegKind{pay.LegPost}})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range ends {
		if err := a.journal.Append(t.Context(), e.ID, e.N, ev); err != nil {
			t.Fatal(err)
		}
		e.N++
	}
	return e
}

var (
	succeeded = pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone, Code: pay.CodeOK, Host: "MIS1"}
	refused   = pay.Event{Kind: pay.EvResult, State: pay.Fail, LegIs: pay.LegRefused, Code: pay.CodeNothingOwed}
	inDoubt   = pay.Event{Kind: pay.EvResult, State: pay.Unkn, LegIs: pay.LegUnknown}
	reversing = pay.Event{Kind: pay.EvState, State: pay.Revp}
	reversed  = pay.Event{Kind: pay.EvResult, State: pay.Revd, LegIs: pay.LegUndone, Code: pay.CodeReversed}
)

// TestOwnCheckFiles takes our own check files for those of the other parties:
// the night is flat. A payment that is decided after the cut changes none.
func TestOwnCheckFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := prepare(t, install(t, "bank: statements/bank-lines.yaml", "bank: statements/bank-lines.yaml\n      deliver:\n"+
			"        - {spec: statements/bank-lines.yaml, dir: inbox}\n        - {spec: statements/mis-lines.yaml, dir: inbox}"))
		p.links, p.mis, p.ends, p.Config.Admin.Socket = nil, nil, nil, ""
		var log bytes.Buffer
		p.log = slog.New(slog.NewTextHandler(&log, nil))
		a, err := p.Start(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		paid(t, a, "000000000001", succeeded)
		paid(t, a, "000000000002", refused)
		paid(t, a, "000000000003", succeeded, reversing, reversed)
		doubt := paid(t, a, "000000000004", inDoubt)
		until(20000101, "23:59")
		bank := filepath.Join(p.Config.data("inbox"), "DZ_20000101.txt")
		if _, err := os.Stat(bank); err == nil {
			t.Error("written before the cut")
		}
		until(20000102, "00:01")
		want := "20000101|1|12345\n20000101|fixed|T1|000001|20000101|000000000001|0512000001||12345|00|08:00:00\n" +
			"20000101|fixed|T1|000001|20000101|000000000002|0512000001||12345|02|08:00:00\n" +
			"20000101|fixed|T1|000001|20000101|000000000003|0512000001||12345|01|08:00:00\n"
		check := func(when string) {
			t.Helper()
			if b, err := os.ReadFile(bank); err != nil || string(b) != want {
				t.Errorf("%s: %s, %v", when, b, err)
			}
		}
		check("after the cut")
		if info, err := os.Stat(bank); err != nil || info.Mode().Perm()&0o222 != 0 {
			t.Errorf("the file can be written: %v, %v", info.Mode(), err)
		}
		res, err := a.Reconcile(t.Context(), eve)
		if err != nil || len(res) != 1 || res[0].Verdict != reconcile.Balanced {
			t.Errorf("got %+v, %v", res, err)
		}
		if err := a.journal.Append(t.Context(), doubt.ID, doubt.N, succeeded); err != nil {
			t.Fatal(err)
		}
		until(20000102, "02:01")
		check("after the run")
		stop(t, a)
		if s := log.String(); strings.Count(s, "QZ140") != 2 || strings.Count(s, "QZ142") != 2 || strings.Contains(s, "QZ141") {
			t.Errorf("log: %s", s)
		}
	})
}

const ownSpec = `
id: own
name: "GW{day}.txt"
encoding: gbk
fields:
  - {name: reference, width: 20}
  - {name: account, width: 12}
  - {name: host_serial, width: 8}
  - {name: amount, width: 12, pad: "0"}
  - {name: sender_date, width: 4, type: date, format: MMDD}
trailer: [{name: _end, width: 20, const: END}, {name: count, width: 12, pad: "0", align: right, type: digits}, {name: sum, width: 12, pad: "0"}]
amount: fen
key: [reference]
max_line: 128
empty: zero
marker: "{stem}.OK"
checksum: {file: "{name}.sm3", kind: sm3}
signature: {file: "{name}.sig", key: gw, form: asn1, encoding: base64}
`

// TestOwnCheckFileIsProved reads a delivered file as its receiver does, with
// everything that goes with it, and finds after a restart what a kill kept from
// being written.
func TestOwnCheckFileIsProved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := install(t, "bank: statements/bank-lines.yaml", "bank: statements/bank-lines.yaml\n      deliver: [{spec: statements/own.yaml, dir: out/b, key: gateway}]")
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), "statements", "own.yaml"), []byte(ownSpec), 0o600); err != nil {
			t.Fatal(err)
		}
		a := clockwork(t, file)
		e := paid(t, a, "000000000001", succeeded)
		paid(t, a, "000000000002", refused)
		until(20000102, "00:01")
		in := statement.Inbox{Spec: a.plan.specs["statements/own.yaml"], Dir: a.plan.Config.data("out/b"), Party: reconcile.Bank,
			Keys: secure.Keys{Ring: a.plan.ring, Roles: map[string]string{"gw": "gateway"}}}
		got, err := in.Fetch(t.Context(), eve)
		if err != nil || got.Path == "" {
			t.Fatalf("got %+v, %v", got, err)
		}
		o, err := got.Open(got.Path)
		if err != nil || o.Count != 1 || o.Warning != "" {
			t.Fatalf("got %+v, %v", o, err)
		}
		b, err := os.ReadFile(got.Path)
		if want := fmt.Sprintf("%s0512000001  %-8s000000012345%s\n", e.ID.Serial(1), "MIS1", "0101"); err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("got %q, %v, want %q", b, err, want)
		}
		stop(t, a)
		for _, name := range []string{"GW20000101.OK", "GW20000101.txt.sig"} {
			if err := os.Remove(filepath.Join(in.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		stop(t, clockwork(t, file))
		if got, err = in.Fetch(t.Context(), eve); err != nil || got.Path == "" {
			t.Fatalf("got %+v, %v", got, err)
		}
		if _, err := got.Open(got.Path); err != nil {
			t.Error(err)
		}
	})
}

// TestOthersFileIsLeft finds a file under the name of ours.
func TestOthersFileIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := clockwork(t, install(t, "bank: statements/bank-lines.yaml", "bank: statements/bank-lines.yaml\n      deliver: [{spec: statements/mis-lines.yaml, dir: out}]"))
		defer stop(t, a)
		name := filepath.Join(a.plan.Config.data("out"), "MIS_20000101.txt")
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("theirs"), 0o600); err != nil {
			t.Fatal(err)
		}
		until(20000102, "02:01")
		if b, err := os.ReadFile(name); err != nil || string(b) != "theirs" {
			t.Errorf("got %q, %v", b, err)
		}
	})
}

func TestDeliveriesAreChecked(t *testing.T) {
	for line, want := range map[string]string{
		"{spec: statements/absent.yaml, dir: out}":    "spec: open",
		"{spec: statements/own.yaml}":                 "spec: dir is needed",
		"{spec: statements/own.yaml, dir: out}":       "want a private key",
		"{spec: statements/own.yaml, dir: o, key: x}": `want a private key, got "x"`,
		"{spec: statements/star.yaml, dir: out}":      "leaves something open",
	} {
		file := install(t, "bank: statements/bank-lines.yaml", "bank: statements/bank-lines.yaml\n      deliver: ["+line+"]")
		for name, text := range map[string]string{"own": ownSpec, "star": strings.Replace(ownSpec, "GW{day}.txt", "GW{day}_*.txt", 1)} {
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), "statements", name+".yaml"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Prepare(c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "deliver[0]") {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}
