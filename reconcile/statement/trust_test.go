package statement

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/reconcile"
)

const trusted = `
id: t
title: t
name: "T_{day:YYMMDD}.txt"
encoding: utf-8
delimiter: "|"
header: [count]
fields: [account, amount]
amount: yuan
max_line: 100
marker: "{stem}.OK"
checksum: {file: "{name}.md5", kind: md5}
signature: {file: "{name}.sig", key: bank, form: raw, encoding: hex}
`

// TestTrust: what stands beside a file is checked before anything in it is
// believed.
func TestTrust(t *testing.T) {
	s, err := Parse("t.yaml", []byte(trusted))
	if err != nil {
		t.Fatal(err)
	}
	private, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, s.File(day))
	file := []byte("1\n0512000001|1.00\n")
	put := func(n string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, n), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := Inbox{Spec: s, Dir: dir, Party: reconcile.Bank,
		Keys: secure.Keys{Ring: secure.Ring{"b": {Public: private.Public()}}, Roles: map[string]string{"bank": "b"}}}
	state := func() (reconcile.SourceState, error) {
		got, err := in.Fetch(t.Context(), day)
		if err != nil || got.Open == nil {
			return got.State, err
		}
		o, err := got.Open(got.Path)
		if err == nil {
			err = o.Table.(*Table).Close()
		}
		return reconcile.Accepted, err
	}
	if got, err := state(); got != reconcile.Expected || err != nil {
		t.Errorf("without a file: %s, %v", got, err)
	}
	put(s.File(day), file)
	if got, err := state(); got != reconcile.Arriving || err != nil {
		t.Errorf("without its marker: %s, %v", got, err)
	}
	put("T_261120.OK", nil)
	wrong := func(what, path string) {
		t.Helper()
		_, err := state()
		var e *protocol.Error
		if !errors.As(err, &e) || e.Path != path {
			t.Errorf("%s: got %v, want it to name the %s", what, err, path)
		}
	}
	wrong("without a checksum", "checksum")
	put(s.File(day)+".md5", []byte(strings.Repeat("0", 32)))
	wrong("another checksum", "checksum")
	sum := md5.Sum(file)
	put(s.File(day)+".md5", []byte(strings.ToUpper(hex.EncodeToString(sum[:]))+"  "+s.File(day)+"\n"))
	wrong("without a signature", "signature")
	put(s.File(day)+".sig", []byte(strings.Repeat("1", 128)))
	wrong("another signature", "signature")
	sig, err := private.SignRaw([]byte("1234567812345678"), file)
	if err != nil {
		t.Fatal(err)
	}
	put(s.File(day)+".sig", []byte(hex.EncodeToString(sig)))
	if _, err := state(); err != nil {
		t.Errorf("all good: %v", err)
	}
	if d, ok := s.DayOf(name, 20260101); !ok || d != pay.Day(20261120) {
		t.Errorf("day of %s: %s, %t", name, d, ok)
	}
}

// TestAttested: an empty file counts when a named person vouches for the day.
func TestAttested(t *testing.T) {
	s := shipped(t, "bank-lines.yaml")
	dir := t.TempDir()
	name := filepath.Join(dir, s.File(day))
	if err := errors.Join(os.WriteFile(name, []byte("20261120|0|0\n"), 0o600), os.WriteFile(name+".attest", []byte("20261120 张三\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	in, err := (&Inbox{Spec: s, Dir: dir, Party: reconcile.Bank}).Fetch(t.Context(), day)
	if err != nil || in.Attested != "张三" {
		t.Fatalf("got %+v, %v", in, err)
	}
	o, err := in.Open(name)
	if err != nil || !o.Empty {
		t.Errorf("got %+v, %v", o, err)
	}
}
