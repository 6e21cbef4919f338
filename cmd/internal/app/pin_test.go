package app

import (
	"bytes"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// signedOn is a link's end at which a terminal got work keys.
func signedOn(t *testing.T, file, terminal string, ring secure.Ring, master string) pinKeys {
	t.Helper()
	l, err := spec.Load("links/"+file, conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Keys: secure.Keys{Ring: ring, Roles: map[string]string{"master": master}}, Sessions: secure.NewSessions(4), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	err = d.Request.Auth.(interface {
		Issue(*pay.Request, *pay.Reply) error
	}).Issue(terminalOf(terminal), &rep)
	if err != nil {
		t.Fatal(err)
	}
	return d.Request.Auth.(pinKeys)
}

func terminalOf(name string, more ...pay.Field) *pay.Request {
	return &pay.Request{More: append([]pay.Field{{ID: pay.FTerminal, Val: name}, {ID: pay.FMerchant, Val: "301051249000001"}}, more...)}
}

// pinBlock is PIN 123456 of card 6225000000000014 in ISO 9564 format 0 under a
// wrapped SM4 key, as a terminal makes it.
func pinBlock(t *testing.T, master []byte, wrapped string) []byte {
	t.Helper()
	m, err := gm.NewSM4(master)
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 16)
	m.Decrypt(key, []byte(wrapped))
	k, err := gm.NewSM4(key)
	if err != nil {
		t.Fatal(err)
	}
	block, pan := bytes.Repeat([]byte{0xff}, 16), make([]byte, 16)
	copy(block, []byte{0x06, 0x12, 0x34, 0x56})
	copy(pan[10:], []byte{0x50, 0x00, 0x00, 0x00, 0x00, 0x01})
	for i := range block {
		block[i] ^= pan[i]
	}
	k.Encrypt(block, block)
	return block
}

// TestPINBetweenLinks takes a PIN block from a kiosk's key to that of our
// terminal at the card centre, and back: the block is the first one again.
func TestPINBetweenLinks(t *testing.T) {
	ring := secure.Ring{"kiosk": {SM4: bytes.Repeat([]byte{1}, 16)}, "posp": {SM4: bytes.Repeat([]byte{2}, 16)}}
	kiosk, centre := signedOn(t, "kiosk-pos.yaml", "60120001", ring, "kiosk"), signedOn(t, "posp.yaml", "60129001", ring, "posp")
	vault := secure.NewSoftVault(ring)
	card := pay.Field{ID: pay.FPAN, Val: "6225000000000014"}
	key, ok := kiosk.PINKey(terminalOf("60120001"))
	if !ok {
		t.Fatal("no PIN key was issued")
	}
	first := pinBlock(t, ring["kiosk"].SM4, key.Bytes)
	from := terminalOf("60120001", card, pay.Field{ID: pay.FPIN, Val: string(first)})
	to := terminalOf("60129001", card, pay.Field{ID: pay.FPIN, Val: string(first)})
	if err := translate(vault, kiosk, centre, from, to); err != nil {
		t.Fatal(err)
	}
	if pay.Find(to.More, pay.FPIN) == string(first) {
		t.Error("the block went on as it came")
	}
	back := terminalOf("60120001", card, pay.Field{ID: pay.FPIN, Val: pay.Find(to.More, pay.FPIN)})
	if err := translate(vault, centre, kiosk, to, back); err != nil || pay.Find(back.More, pay.FPIN) != string(first) {
		t.Errorf("not the block that was sent: %v", err)
	}
	if err := translate(vault, kiosk, centre, terminalOf("60120009"), to); err == nil {
		t.Error("translated for a terminal that has not signed on")
	}
}
