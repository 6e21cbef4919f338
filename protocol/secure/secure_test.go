package secure

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

func generate(t testing.TB) *gm.PrivateKey {
	t.Helper()
	k, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// both returns the keys as the sender and as the receiver hold them.
func both(t testing.TB) (sender, receiver Keys) {
	t.Helper()
	k, m := generate(t), generate(t)
	secret := bytes.Repeat([]byte{7}, 16)
	roles := map[string]string{"bank": "bank", "gateway": "gateway", "session": "session", "master": "session"}
	return Keys{Ring: Ring{"bank": {Private: k, Public: k.Public()}, "gateway": {Public: m.Public()}, "session": {SM4: secret}}, Roles: roles},
		Keys{Ring: Ring{"bank": {Public: k.Public()}, "gateway": {Private: m}, "session": {SM4: secret}}, Roles: roles}
}

// class tells an authentication error from others.
func class(err error) string {
	var e *protocol.Error
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, protocol.ErrReplayed):
		return "replayed"
	case errors.Is(err, protocol.ErrSignOn):
		return "sign on"
	case errors.As(err, &e) && e.Class == protocol.ClassAuth:
		return "auth"
	}
	return err.Error()
}

func TestSealRoundTrip(t *testing.T) {
	sender, receiver := both(t)
	o := SealOptions{Key: "session", UserID: gm.DefaultID}
	out, err := NewSeal(o, sender, "bank")
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewSeal(o, receiver, "bank")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		sealed, err := out.Seal(nil, &protocol.Frame{Body: body})
		if err != nil {
			t.Fatal(err)
		}
		got, err := in.Open(nil, &protocol.Frame{Body: sealed})
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("got %x, %v", got, err)
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "at")
		bad := bytes.Clone(sealed)
		bad[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := in.Open(nil, &protocol.Frame{Body: bad}); class(err) != "auth" {
			t.Fatalf("changed byte %d: %v", i, err)
		}
		if _, err := in.Open(nil, &protocol.Frame{Body: sealed[:i]}); class(err) != "auth" {
			t.Fatalf("cut at %d: %v", i, err)
		}
	})
}

// TestSealKeepsDirections refuses a request that is sent back as a reply, and
// a body that another key signed under the right secret.
func TestSealKeepsDirections(t *testing.T) {
	sender, receiver := both(t)
	o := SealOptions{Key: "session", UserID: gm.DefaultID}
	request, err := NewSeal(o, sender, "bank")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := request.Seal(nil, &protocol.Frame{Body: []byte("pay")})
	if err != nil {
		t.Fatal(err)
	}
	asReply, err := NewSeal(o, sender, "gateway")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := asReply.Open(nil, &protocol.Frame{Body: sealed}); class(err) != "auth" {
		t.Errorf("opened as a reply: %v", err)
	}
	if _, err := asReply.Seal(nil, &protocol.Frame{}); err == nil {
		t.Error("sealed without a private key")
	}
	other := generate(t)
	receiver.Ring["bank"] = Key{Public: other.Public()}
	stranger, err := NewSeal(o, receiver, "bank")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Open(nil, &protocol.Frame{Body: sealed}); class(err) != "auth" {
		t.Errorf("another signer: %v", err)
	}
}

func TestSignature(t *testing.T) {
	for _, format := range []string{"raw", "der"} {
		for _, encoding := range []string{"base64", "hex"} {
			signature(t, format, encoding)
		}
	}
}

func signature(t *testing.T, format, encoding string) {
	t.Helper()
	sender, receiver := both(t)
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	o := SignatureOptions{Signed: []string{"timestamp", "nonce", "path", "body"}, Format: format, Encoding: encoding, UserID: gm.DefaultID,
		Window: 5 * time.Minute, Nonces: 100}
	clock := func() time.Time { return now }
	out, err := NewSignature(o, posLayout(), sender, "bank", clock)
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewSignature(o, posLayout(), receiver, "bank", clock)
	if err != nil {
		t.Fatal(err)
	}
	sign := func() protocol.Frame {
		f := protocol.Frame{Body: []byte(`{"amount":"1.00"}`)}
		f.Set(protocol.HeadPath, "/pay")
		if f.Body, err = out.Sign(nil, &f, nil); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, c := range []struct {
		name   string
		change func(f *protocol.Frame)
		later  time.Duration
		want   string
	}{
		{"sound", func(*protocol.Frame) {}, 0, "accepted"},
		{"body", func(f *protocol.Frame) { f.Body = []byte(`{"amount":"9.00"}`) }, 0, "auth"},
		{"path", func(f *protocol.Frame) { f.Set(protocol.HeadPath, "/refund") }, 0, "auth"},
		{"nonce", func(f *protocol.Frame) { f.Set(protocol.HeadNonce, "0123456789") }, 0, "auth"},
		{"no timestamp", func(f *protocol.Frame) { f.Set(protocol.HeadTimestamp, "") }, 0, "auth"},
		{"no signature", func(f *protocol.Frame) { f.Set(protocol.HeadSignature, "") }, 0, "auth"},
		{"not the encoding", func(f *protocol.Frame) { f.Set(protocol.HeadSignature, "?") }, 0, "auth"},
		{"empty signature", func(f *protocol.Frame) { f.Set(protocol.HeadSignature, strings.Repeat("00", 64)) }, 0, "auth"},
		{"late", func(*protocol.Frame) {}, 6 * time.Minute, "auth"},
		{"early", func(*protocol.Frame) {}, -6 * time.Minute, "auth"},
	} {
		f := sign()
		c.change(&f)
		now = now.Add(c.later)
		if got := class(in.Verify(f, nil)); got != c.want {
			t.Errorf("%s %s, %s: got %s, want %s", format, encoding, c.name, got, c.want)
		}
		now = now.Add(-c.later)
	}
	f := sign()
	if got := class(in.Verify(f, nil)); got != "accepted" {
		t.Errorf("got %s", got)
	}
	if got := class(in.Verify(f, nil)); got != "replayed" {
		t.Errorf("the same message again: got %s", got)
	}
}

// TestNonceTableIsBounded fills the window: what does not fit is refused, and
// room comes back with time.
func TestNonceTableIsBounded(t *testing.T) {
	n := nonces{at: map[string]time.Time{}}
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for i := range 10 {
		if err := n.check(strings.Repeat("n", i+1), now, time.Minute, 10); err != nil {
			t.Fatal(err)
		}
	}
	if got := class(n.check("one more", now, time.Minute, 10)); got != "auth" {
		t.Errorf("got %s", got)
	}
	now = now.Add(3 * time.Minute)
	if got := class(n.check("one more", now, time.Minute, 10)); got != "accepted" || len(n.at) != 1 {
		t.Errorf("got %s, %d remembered", got, len(n.at))
	}
}

// posLayout is the part of a terminal message that the MAC needs.
func posLayout() *protocol.Layout {
	return protocol.NewLayout([]protocol.FieldSpec{{Name: "MTI"}, {Name: "41"}, {Name: "42"}, {Name: "64", Bytes: true}})
}

// message lays the fields one behind the other, as a codec would.
func message(l *protocol.Layout, vals ...string) (protocol.Frame, *protocol.Record) {
	rec := new(protocol.Record)
	rec.Reset(l)
	var f protocol.Frame
	for id, v := range vals {
		if v == "" {
			continue
		}
		i := rec.PutString(uint16(id), -1, v)
		rec.Span(i, len(f.Body), len(v))
		f.Body = append(f.Body, v...)
	}
	return f, rec
}

func TestMACSessions(t *testing.T) {
	keys, _ := both(t)
	l := posLayout()
	o := MACOptions{Field: "64", Algorithm: "sm4-cup", Terminal: []string{"41", "42"}, Type: "MTI", Without: []string{"0800"}, Master: "master"}
	build := func(s *Sessions) *MAC {
		m, err := NewMAC(o, l, keys, s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	center, terminal := build(NewSessions(1)), build(NewSessions(1))
	req := &pay.Request{Op: pay.SignOn, More: []pay.Field{{ID: pay.FTerminal, Val: "60120001"}, {ID: pay.FMerchant, Val: "301051249000001"}}}
	signOn := func() {
		t.Helper()
		rep := pay.Answer(pay.Approved, pay.CodeOK)
		if err := center.Issue(req, &rep); err != nil {
			t.Fatal(err)
		}
		if err := terminal.Accept(req, &rep); err != nil {
			t.Fatal(err)
		}
	}
	sale := func(m *MAC) (protocol.Frame, *protocol.Record) {
		f, rec := message(l, "0200", "60120001", "301051249000001", "MMMMMMMM")
		body, err := m.Sign(nil, &f, rec)
		if err != nil {
			t.Fatal(err)
		}
		f.Body = body
		return f, rec
	}
	f, rec := sale(terminal)
	if got := class(center.Verify(f, rec)); got != "sign on" {
		t.Errorf("before sign-on: %s", got)
	}
	signOn()
	old, oldRec := sale(terminal)
	if got := class(center.Verify(old, oldRec)); got != "accepted" {
		t.Errorf("after sign-on: %s", got)
	}
	signOn()
	f, rec = sale(terminal)
	if got := class(center.Verify(f, rec)); got != "accepted" {
		t.Errorf("after rotation: %s", got)
	}
	if got := class(center.Verify(old, oldRec)); got != "accepted" {
		t.Errorf("a message on its way during rotation: %s", got)
	}
	signOn()
	if got := class(center.Verify(old, oldRec)); got != "auth" {
		t.Errorf("two rotations later: %s", got)
	}
	f.Body[0] ^= 1
	if got := class(center.Verify(f, rec)); got != "auth" {
		t.Errorf("changed message: %s", got)
	}
	f, rec = message(l, "0200", "60120001", "301051249000001", "")
	if got := class(center.Verify(f, rec)); got != "auth" {
		t.Errorf("no MAC: %s", got)
	}
	f, rec = message(l, "0800", "60120001", "301051249000001", "")
	if got := class(center.Verify(f, rec)); got != "accepted" {
		t.Errorf("sign-on needs no MAC: %s", got)
	}
	other := &pay.Request{Op: pay.SignOn, More: []pay.Field{{ID: pay.FTerminal, Val: "60120002"}, {ID: pay.FMerchant, Val: "301051249000001"}}}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	if err := center.Issue(other, &rep); err == nil {
		t.Error("more terminals than allowed")
	}
}

func TestAcceptChecksTheKeys(t *testing.T) {
	keys, _ := both(t)
	m, err := NewMAC(MACOptions{Field: "64", Algorithm: "sm4-cbc", Terminal: []string{"41"}, Type: "MTI", Master: "master"}, posLayout(), keys, NewSessions(1))
	if err != nil {
		t.Fatal(err)
	}
	req := &pay.Request{More: []pay.Field{{ID: pay.FTerminal, Val: "1"}}}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	if err := m.Issue(req, &rep); err != nil {
		t.Fatal(err)
	}
	good := rep.More[0].Val
	for name, val := range map[string]string{"short": good[:39], "long": good + "x", "check value": good[:39] + string(good[39]^1), "key": good[:20] + string(good[20]^1) + good[21:]} {
		rep.More[0].Val = val
		if err := m.Accept(req, &rep); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReserveMakesRoomOnce(t *testing.T) {
	keys, _ := both(t)
	l := posLayout()
	m, err := NewMAC(MACOptions{Field: "64", Algorithm: "sm4-cup", Terminal: []string{"41"}, Type: "MTI", Without: []string{"0810"}, Master: "master"}, l, keys, NewSessions(1))
	if err != nil {
		t.Fatal(err)
	}
	_, rec := message(l, "0210", "1")
	m.Reserve(rec)
	m.Reserve(rec)
	if n := len(rec.Nodes()); n != 3 {
		t.Errorf("%d fields, want 3", n)
	}
	_, rec = message(l, "0810", "1")
	m.Reserve(rec)
	if n := len(rec.Nodes()); n != 2 {
		t.Errorf("%d fields, want 2: this type carries no MAC", n)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	keys, _ := both(t)
	sig := SignatureOptions{Signed: []string{"timestamp", "nonce", "body"}, Format: "raw", Encoding: "hex", UserID: "1", Window: 1, Nonces: 1}
	for i, change := range []func(*SignatureOptions){
		func(o *SignatureOptions) { o.Signed = []string{"timestamp"} }, func(o *SignatureOptions) { o.Signed = []string{"body", "moon"} },
		func(o *SignatureOptions) { o.Format = "pem" }, func(o *SignatureOptions) { o.Encoding = "base32" },
		func(o *SignatureOptions) { o.UserID = "" }, func(o *SignatureOptions) { o.Window = 0 },
	} {
		o := sig
		change(&o)
		if _, err := NewSignature(o, posLayout(), keys, "bank", time.Now); err == nil {
			t.Errorf("signature %d: accepted %+v", i, o)
		}
	}
	for _, role := range []string{"nobody", "session"} {
		if _, err := NewSignature(sig, posLayout(), keys, role, time.Now); err == nil {
			t.Errorf("role %s has no SM2 key", role)
		}
	}
	if _, err := NewSeal(SealOptions{Key: "bank", UserID: "1"}, keys, "bank"); err == nil {
		t.Error("sealed under a key that is no SM4 key")
	}
	mac := MACOptions{Field: "64", Algorithm: "sm4-cup", Terminal: []string{"41"}, Type: "MTI", Master: "master"}
	for i, change := range []func(*MACOptions){
		func(o *MACOptions) { o.Field = "" }, func(o *MACOptions) { o.Field = "65" }, func(o *MACOptions) { o.Algorithm = "des" },
		func(o *MACOptions) { o.Terminal = nil }, func(o *MACOptions) { o.Master = "nobody" },
	} {
		o := mac
		change(&o)
		if _, err := NewMAC(o, posLayout(), keys, NewSessions(1)); err == nil {
			t.Errorf("mac %d: accepted %+v", i, o)
		}
	}
}

// TestBankSignature verifies a signature that a bank publishes with its
// interface document, in that bank's form: raw, base64, its own user id.
func TestBankSignature(t *testing.T) {
	raw, err := hex.DecodeString("046374F8947B208B3F28A2DFAEC78510F858BC1BAD37F038B95903975C9636BEB859653FB145727D02D65CD68F202ABC2FF93EECEA477B1DC81F4F650621B89E9D")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := gm.ParsePublicKey([]byte(hex.EncodeToString(raw)))
	if err != nil {
		t.Fatal(err)
	}
	body := `{"request":{"body":{"TEST":"中文","TEST2":"!@#$%^&*()","TEST3":12345,"TEST4":[{"arrItem1":"qaz","arrItem2":123,"arrItem3":true,"arrItem4":"中文"}],"buscod":"N02030"},"head":{"funcode":"DCLISMOD","userid":"N003261207"}},"signature":{"sigdat":"__signature_sigdat__"}}`
	sig, err := base64.StdEncoding.DecodeString("WHqK4u0GmYMZaquvV+ZIxVkRGCW6UOlLlX/OPgJ89rDj81fPRcN9K8+4SuvwlpXK7iVvxf7LGL8auE7ofnzEig==")
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.VerifyRaw([]byte("N003261207000000"), []byte(body), sig); err != nil {
		t.Error(err)
	}
	if err := pub.VerifyRaw([]byte(gm.DefaultID), []byte(body), sig); err == nil {
		t.Error("verified under another user id")
	}
}
