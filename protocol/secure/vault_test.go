package secure

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

// wrap puts a work key under a master key.
func wrap(t testing.TB, name string, master, key []byte, des bool) WrappedKey {
	t.Helper()
	block, err := blockOf(des, master)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(key))
	each(block, block.Encrypt, out, key)
	return WrappedKey{Master: name, DES: des, Bytes: string(out)}
}

// ecb decrypts one block, so that tests see a PIN block in clear.
func ecb(t testing.TB, des bool, key, block []byte) string {
	t.Helper()
	k, err := blockOf(des, key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(block))
	each(k, k.Decrypt, out, block)
	return fmt.Sprintf("%X", out)
}

// TestPublishedPINBlocks makes the clear blocks that are published for a PIN
// and a card number: ANSI X9.8 in 8 bytes, and its form for SM4 in 16.
func TestPublishedPINBlocks(t *testing.T) {
	des, sm4 := unhex(t, "0123456789ABCDEFFEDCBA9876543210"), unhex(t, "1234567890ABCDEFABCDEF0987654321")
	for _, c := range []struct {
		des            bool
		key            []byte
		format         PINFormat
		pin, pan, want string
	}{
		{true, des, PINPAN, "123456", "123456789012345678", "061253DFFEDCBA98"},
		{true, des, PINPAN, "123456", "1234567890123456", "0612713176FEDCBA"},
		{true, des, PINPlain, "123456", "", "06123456FFFFFFFF"},
		{false, sm4, PINPAN, "123654", "6230606601007726888", "06123654FFFFFFFFFFFF99FEFF88D977"},
	} {
		key, err := blockOf(c.des, c.key)
		if err != nil {
			t.Fatal(err)
		}
		block, err := sealPIN(key, c.format, digits(c.pin), c.pan)
		if err != nil {
			t.Fatal(err)
		}
		if got := ecb(t, c.des, c.key, block); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.pin, c.pan, got, c.want)
		}
		var pin [maxPIN]byte
		n, err := openPIN(key, c.format, block, c.pan, &pin)
		if err != nil || !bytes.Equal(pin[:n], digits(c.pin)) {
			t.Errorf("%s: opened as %d digits, %v", c.pin, n, err)
		}
	}
}

func digits(pin string) []byte {
	out := []byte(pin)
	for i := range out {
		out[i] -= '0'
	}
	return out
}

// TestTranslatePIN takes PINs from every format and kind of key to every other
// and back, and refuses blocks that were changed or made for another card.
func TestTranslatePIN(t *testing.T) {
	master, other := unhex(t, "00112233445566778899AABBCCDDEEFF"), unhex(t, "FFEEDDCCBBAA99887766554433221100")
	vault := NewSoftVault(Ring{"tmk": {SM4: master}, "zmk": {SM4: other}})
	k8, k16 := unhex(t, "0123456789ABCDEF"), unhex(t, "0123456789ABCDEFFEDCBA9876543210")
	keys := []PINKey{
		{wrap(t, "tmk", master, k8, true), PINPAN}, {wrap(t, "tmk", master, k16, true), PINPAN}, {wrap(t, "zmk", other, k16, true), PINPlain},
		{wrap(t, "zmk", other, k16, false), PINPAN}, {wrap(t, "tmk", master, k16, false), PINPlain}, {wrap(t, "tmk", master, k16, false), PINISO4},
	}
	blocks := make([]cipher.Block, len(keys))
	for i, k := range keys {
		b, err := vault.open(k)
		if err != nil {
			t.Fatal(err)
		}
		blocks[i] = b
	}
	rapid.Check(t, func(t *rapid.T) {
		pin, pan := rapid.StringMatching(`[0-9]{4,12}`).Draw(t, "pin"), rapid.StringMatching(`[0-9]{13,19}`).Draw(t, "pan")
		a, b := rapid.IntRange(0, len(keys)-1).Draw(t, "from"), rapid.IntRange(0, len(keys)-1).Draw(t, "to")
		start, err := sealPIN(blocks[a], keys[a].Format, digits(pin), pan)
		if err != nil {
			t.Fatal(err)
		}
		there, err := vault.TranslatePIN(start, keys[a], keys[b], pan)
		if err != nil {
			t.Fatal(err)
		}
		var got [maxPIN]byte
		if n, err := openPIN(blocks[b], keys[b].Format, there, pan, &got); err != nil || !bytes.Equal(got[:n], digits(pin)) {
			t.Fatalf("arrived as %v, %v", got[:n], err)
		}
		if _, err := vault.TranslatePIN(start[:len(start)-1], keys[a], keys[b], pan); !errors.Is(err, ErrPIN) {
			t.Fatalf("cut: %v", err)
		}
		if _, err := vault.TranslatePIN(start, keys[a], keys[b], pan+"x"); err == nil && keys[a].Format != PINPlain {
			t.Fatal("a card number that is none")
		}
	})
}

// TestPINBlocksOfOthers opens random blocks: nearly all are refused, by the one
// error, and none panics.
func TestPINBlocksOfOthers(t *testing.T) {
	key, err := blockOf(true, unhex(t, "0123456789ABCDEFFEDCBA9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for i := range 20000 {
		block := unhex(t, fmt.Sprintf("%016X", uint64(i)*0x9E3779B97F4A7C15))
		var pin [maxPIN]byte
		if _, err := openPIN(key, PINPAN, block, "6225000000000014", &pin); err == nil {
			opened++
		} else if err != ErrPIN {
			t.Fatal(err)
		}
	}
	for what, pin := range map[string][]byte{"a digit that is none": {1, 2, 3, 10}, "too short": {1, 2, 3}, "too long": make([]byte, 13)} {
		block, err := sealPIN(key, PINPAN, pin, "6225000000000014")
		if err != nil {
			t.Fatal(err)
		}
		var got [maxPIN]byte
		if _, err := openPIN(key, PINPAN, block, "6225000000000014", &got); err != ErrPIN {
			t.Errorf("%s: %v", what, err)
		}
	}
	if opened > 2 {
		t.Errorf("%d of 20000 random blocks opened", opened)
	}
}

func TestRelayPIN(t *testing.T) {
	master, key := unhex(t, "00112233445566778899AABBCCDDEEFF"), unhex(t, "0123456789ABCDEFFEDCBA9876543210")
	vault := NewSoftVault(Ring{"m": {SM4: master}})
	from, to := PINKey{wrap(t, "m", master, key, true), PINPAN}, PINKey{wrap(t, "m", master, key, false), PINPAN}
	in, err := vault.open(from)
	if err != nil {
		t.Fatal(err)
	}
	block, err := sealPIN(in, PINPAN, digits("123456"), "6225000000000014")
	if err != nil {
		t.Fatal(err)
	}
	req := &pay.Request{More: []pay.Field{{ID: pay.FPAN, Val: "6225000000000014"}, {ID: pay.FPIN, Val: string(block)}, {ID: pay.FPINFormat, Val: "2600000000000000"}}}
	if err := RelayPIN(vault, req, from, to); err != nil {
		t.Fatal(err)
	}
	if got := ecb(t, false, key, []byte(req.More[1].Val)); got != "06123456FFFFFFFFFFFFAFFFFFFFFFFE" {
		t.Errorf("got %s", got)
	}
	if got := req.More[2].Val; got != "2400000000000000" {
		t.Errorf("security control %s", got)
	}
	none := &pay.Request{}
	if err := RelayPIN(vault, none, PINKey{}, PINKey{}); err != nil || len(none.More) != 0 {
		t.Errorf("a request without PIN: %v", err)
	}
	to.Master = "absent"
	if err := RelayPIN(vault, req, to, from); err == nil {
		t.Error("a master key that the vault does not hold")
	}
}

// TestPINKeyOfTerminal takes the PIN keys of both ends from their sessions.
func TestPINKeyOfTerminal(t *testing.T) {
	center, terminal := layoutMAC(t, "cup-ecb", layouts[1].keys), layoutMAC(t, "cup-ecb", layouts[1].keys)
	req, rep := signOn()
	if _, ok := center.PINKey(req); ok {
		t.Error("a PIN key before sign-on")
	}
	if err := errors.Join(center.Issue(req, rep), terminal.Accept(req, rep)); err != nil {
		t.Fatal(err)
	}
	ring, _ := both(t)
	vault := NewSoftVault(ring.Ring)
	a, ok := terminal.PINKey(req)
	b, ok2 := center.PINKey(req)
	if !ok || !ok2 {
		t.Fatal("no PIN key")
	}
	in, err := vault.open(a)
	if err != nil {
		t.Fatal(err)
	}
	block, err := sealPIN(in, a.Format, digits("4321"), "6225000000000014")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := vault.TranslatePIN(block, b, a, "6225000000000014"); err != nil || !bytes.Equal(again, block) {
		t.Errorf("the ends hold different PIN keys: %v", err)
	}
}
