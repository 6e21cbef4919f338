package secure

import (
	"testing"
	"time"

	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// TestRenewal: while a renewed key's old one is still believed, messages under
// either are taken; what is sent is under the new one only, and once the old one
// is dropped, it is not believed any more.
func TestRenewal(t *testing.T) {
	oldBank, newBank, oldOwn, newOwn := generate(t), generate(t), generate(t), generate(t)
	roles := map[string]string{"bank": "bank", "gateway": "gateway", "session": "session"}
	secret := Key{SM4: make([]byte, 16)}
	bank := func(private, own *gm.PrivateKey) Keys {
		return Keys{Ring: Ring{"bank": {Private: private}, "gateway": {Public: own.Public()}, "session": secret}, Roles: roles}
	}
	during := Keys{Ring: Ring{"bank": {Public: newBank.Public(), Former: &Key{Public: oldBank.Public()}},
		"gateway": {Private: newOwn, Former: &Key{Private: oldOwn}}, "session": secret}, Roles: roles}
	after := Keys{Ring: Ring{"bank": {Public: newBank.Public()}, "gateway": {Private: newOwn}, "session": secret}, Roles: roles}
	now := func() time.Time { return time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC) }
	envelopes := map[string]func(Keys) (protocol.Envelope, error){
		"seal": func(k Keys) (protocol.Envelope, error) {
			return NewSeal(SealOptions{Key: "session", UserID: "1"}, k, "bank")
		},
		"session": func(k Keys) (protocol.Envelope, error) {
			return NewSession(SessionOptions{Life: time.Hour, UserID: "1", Tickets: 2}, k, "bank", "gateway", now)
		},
		"cipher": func(k Keys) (protocol.Envelope, error) {
			return NewCipher(CipherOptions{Mode: "gcm", Wrap: "c1c3c2"}, k, "gateway")
		},
	}
	for name, build := range envelopes {
		for _, c := range []struct {
			from, to Keys
			want     string
		}{{bank(oldBank, oldOwn), during, "accepted"}, {bank(newBank, newOwn), during, "accepted"}, {bank(newBank, newOwn), after, "accepted"},
			{bank(oldBank, oldOwn), after, "auth"}} {
			out, err := build(c.from)
			if err != nil {
				t.Fatal(err)
			}
			in, err := build(c.to)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := out.Seal(nil, &protocol.Frame{Body: []byte("pay")})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := in.Open(nil, &protocol.Frame{Body: sealed}); class(err) != c.want {
				t.Errorf("%s: %v, want %s", name, err, c.want)
			}
		}
	}
	sign := func(k Keys) protocol.Frame {
		f := protocol.Frame{Body: []byte("pay")}
		if _, err := signer(t, k).Sign(nil, &f, nil); err != nil {
			t.Fatal(err)
		}
		return f
	}
	old, next := sign(bank(oldBank, oldOwn)), sign(bank(newBank, newOwn))
	for i, c := range []struct {
		f    protocol.Frame
		to   Keys
		want string
	}{{old, during, "accepted"}, {next, during, "accepted"}, {next, after, "accepted"}, {old, after, "auth"}} {
		if got := class(signer(t, c.to).Verify(c.f, nil)); got != c.want {
			t.Errorf("signature %d: %s, want %s", i, got, c.want)
		}
	}
}

func signer(t testing.TB, k Keys) *Signature {
	t.Helper()
	s, err := NewSignature(SignatureOptions{Signed: []string{"body"}, Format: "raw", Encoding: "hex", UserID: "1"}, posLayout(), k, "bank", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
