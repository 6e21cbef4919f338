package gm

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"hash"
	"strings"
	"sync"
	"testing"

	tjfoc3 "github.com/tjfoc/gmsm/sm3"
	tjfoc4 "github.com/tjfoc/gmsm/sm4"
	"pgregory.net/rapid"
)

func block(t testing.TB, key string) cipher.Block {
	t.Helper()
	b, err := NewSM4(unhex(key))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSM3 holds the vectors of GB/T 32905, annex A, and HMAC-SM3 of GM/T 0042.
func TestSM3(t *testing.T) {
	for msg, want := range map[string]string{
		"abc":                      "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
		strings.Repeat("abcd", 16): "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
	} {
		if got := SumSM3([]byte(msg)); hexOf(got[:]) != want {
			t.Errorf("%q: got %x, want %s", msg, got, want)
		}
	}
	key := unhex("0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20")
	msg := []byte("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
	want := "ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a"
	if got := HMACSM3(key, msg, msg); hexOf(got[:]) != want {
		t.Errorf("HMAC: got %x, want %s", got, want)
	}
}

// TestSM3Peer compares with the other library, in pieces and with a prefix.
func TestSM3Peer(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(r, "a"), rapid.SliceOf(rapid.Byte()).Draw(r, "b")
		key := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(r, "key")
		want := tjfoc3.Sm3Sum(append(bytes.Clone(a), b...))
		h := NewSM3()
		h.Write(a)
		h.Write(b)
		for range 2 { // Sum keeps the state
			if got := h.Sum([]byte("prefix")); !bytes.Equal(got, append([]byte("prefix"), want...)) {
				r.Fatalf("got %x, want prefix and %x", got, want)
			}
		}
		peer := hmac.New(func() hash.Hash { return tjfoc3.New() }, key)
		peer.Write(a)
		peer.Write(b)
		code := NewHMAC(key)
		for range 2 { // reuse
			if got, want := code.Sum(a, b), peer.Sum(nil); !bytes.Equal(got[:], want) {
				r.Fatalf("HMAC: got %x, want %x", got, want)
			}
		}
	})
}

// TestHMACCopiesKey changes the caller's slice afterwards.
func TestHMACCopiesKey(t *testing.T) {
	key := []byte("0123456789abcdef")
	h, want := NewHMAC(key), HMACSM3(key, []byte("x"))
	key[0]++
	if got := h.Sum([]byte("x")); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestSM4KeyLength(t *testing.T) {
	for _, n := range []int{0, 15, 17, 32} {
		if _, err := NewSM4(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was accepted", n)
		}
		if _, err := NewGCM(make([]byte, n)); err == nil {
			t.Errorf("a GCM key of %d bytes was accepted", n)
		}
	}
}

func TestECB(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "key")
		n := BlockSize * rapid.IntRange(1, 9).Draw(r, "blocks")
		src := rapid.SliceOfN(rapid.Byte(), n, n).Draw(r, "src")
		b := block(t, hexOf(key))
		out := make([]byte, n)
		if err := EncryptECB(b, out, src); err != nil {
			r.Fatal(err)
		}
		want := make([]byte, n)
		peer, err := tjfoc4.NewCipher(key)
		if err != nil {
			r.Fatal(err)
		}
		for i := 0; i < n; i += BlockSize {
			peer.Encrypt(want[i:], src[i:])
		}
		if !bytes.Equal(out, want) {
			r.Fatalf("got %x, want %x", out, want)
		}
		if err := DecryptECB(b, out, out); err != nil || !bytes.Equal(out, src) {
			r.Fatalf("got %x, %v, want %x", out, err, src)
		}
	})
	b := block(t, knownAnswers().sm4Key)
	for _, n := range [][2]int{{0, 0}, {16, 0}, {15, 15}, {17, 17}, {16, 32}, {32, 16}} {
		dst, src := make([]byte, n[0]), make([]byte, n[1])
		if err := EncryptECB(b, dst, src); err == nil {
			t.Errorf("%d bytes into %d: encrypted", n[1], n[0])
		}
		if err := DecryptECB(b, dst, src); err == nil {
			t.Errorf("%d bytes into %d: decrypted", n[1], n[0])
		}
	}
}

func TestCBC(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "key")
		iv := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "iv")
		plain := rapid.SliceOf(rapid.Byte()).Draw(r, "plain")
		b, before := block(t, hexOf(key)), bytes.Clone(plain)
		sealed, err := EncryptCBC(b, iv, plain)
		if err != nil || len(sealed) != len(plain)/16*16+16 || !bytes.Equal(plain, before) {
			r.Fatalf("got %d bytes of %d, %v", len(sealed), len(plain), err)
		}
		if out, err := DecryptCBC(b, iv, sealed); err != nil || !bytes.Equal(out, plain) {
			r.Fatalf("got %x, %v, want %x", out, err, plain)
		}
	})
}

func TestCBCPadding(t *testing.T) {
	b, iv := block(t, knownAnswers().sm4Key), make([]byte, 16)
	for _, c := range []struct {
		last string // of the last block before encryption
		good bool
	}{
		{"01", true}, {"0202", true}, {"030303", true}, {strings.Repeat("10", 16), true},
		{"00", false}, {"11", false}, {"ff", false}, {"0102", false}, {"020303", false},
		{strings.Repeat("11", 17), false}, {"00" + strings.Repeat("10", 15), false}, {"0f" + strings.Repeat("10", 15), false},
	} {
		plain := bytes.Repeat([]byte{'x'}, 32)
		copy(plain[32-len(c.last)/2:], unhex(c.last))
		cipher.NewCBCEncrypter(b, iv).CryptBlocks(plain, plain)
		out, err := DecryptCBC(b, iv, plain)
		if (err == nil) != c.good {
			t.Errorf("…%s: got %x, %v, want accepted: %v", c.last, out, err, c.good)
		}
	}
	for _, n := range []int{0, 1, 15, 17, 33} {
		if _, err := DecryptCBC(b, iv, make([]byte, n)); err == nil {
			t.Errorf("%d bytes: decrypted", n)
		}
	}
	for _, n := range []int{0, 12, 15, 17} {
		if _, err := EncryptCBC(b, make([]byte, n), nil); err == nil {
			t.Errorf("iv of %d bytes: encrypted", n)
		}
		if _, err := DecryptCBC(b, make([]byte, n), make([]byte, 16)); err == nil {
			t.Errorf("iv of %d bytes: decrypted", n)
		}
	}
}

func TestMAC(t *testing.T) {
	b := block(t, "12345678901234567890123456789012")
	data := []byte("6000112018111411003020170930101010120171025000755000000005553")
	if got := MACCup(b, data); string(got[:]) != "1E80F373" {
		t.Errorf("CUP: got %s, want 1E80F373", got)
	}
	if got := MACCBC(b, data); strings.ToUpper(hexOf(got[:])) != "D87738567EC25170A6484A25E3BC73CA" {
		t.Errorf("CBC: got %X, want D87738567EC25170A6484A25E3BC73CA", got)
	}
	filled := append(bytes.Clone(data), 0, 0, 0) // 64 bytes
	if MACCup(b, filled) != MACCup(b, data) || MACCBC(b, filled) != MACCBC(b, data) {
		t.Error("the last block is not filled with zeros")
	}
	if MACCBC(b, nil) != MACCBC(b, make([]byte, 16)) || MACCup(b, nil) != MACCup(b, make([]byte, 16)) {
		t.Error("empty data is not one block of zeros")
	}
}

// TestMACCBCPeer compares with CBC encryption of whole blocks.
func TestMACCBCPeer(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := block(t, hexOf(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "key")))
		data := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(r, "data")
		whole := append(bytes.Clone(data), make([]byte, (16-len(data)%16)%16)...)
		cipher.NewCBCEncrypter(b, make([]byte, 16)).CryptBlocks(whole, whole)
		if got := MACCBC(b, data); !bytes.Equal(got[:], whole[len(whole)-16:]) {
			r.Fatalf("got %x, want %x", got, whole[len(whole)-16:])
		}
	})
}

func TestEqualMAC(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1E80F373", "1E80F373", true}, {"1E80F373", "1E80F374", false}, {"1E80F373", "1E80F37", false},
		{"", "", false}, {"x", "", false}, {"", "x", false},
	} {
		if got := EqualMAC([]byte(c.a), []byte(c.b)); got != c.want {
			t.Errorf("%q, %q: got %v, want %v", c.a, c.b, got, c.want)
		}
	}
	if EqualMAC(nil, nil) {
		t.Error("nil equals nil")
	}
}

func TestNonces(t *testing.T) {
	a, err := NewNonceSource()
	if err != nil {
		t.Fatal(err)
	}
	last, err := a.Next()
	if err != nil {
		t.Fatal(err)
	}
	for range 70_000 {
		next, err := a.Next()
		if err != nil || bytes.Compare(next[:], last[:]) <= 0 || !bytes.Equal(next[:7], last[:7]) {
			t.Fatalf("got %x, %v after %x", next, err, last)
		}
		last = next
	}
	b, err := NewNonceSource()
	if err != nil {
		t.Fatal(err)
	}
	if a.prefix == b.prefix {
		t.Errorf("two sources share the prefix %x", a.prefix)
	}
}

func TestNoncesUsedUp(t *testing.T) {
	var s NonceSource
	s.used.Store(1<<40 - 1)
	n, err := s.Next()
	if got, want := hexOf(n[:]), "00000000000000ffffffffff"; err != nil || got != want {
		t.Errorf("the last one: got %s, %v, want %s", got, err, want)
	}
	for range 3 {
		if n, err := s.Next(); !errors.Is(err, ErrNonces) {
			t.Errorf("got %x, %v, want %v", n, err, ErrNonces)
		}
	}
}

// TestConcurrent shares one AEAD, HMAC, block and nonce source.
func TestConcurrent(t *testing.T) {
	key := unhex(knownAnswers().sm4Key)
	shared, err := NewGCM(key)
	if err != nil {
		t.Fatal(err)
	}
	source, err := NewNonceSource()
	if err != nil {
		t.Fatal(err)
	}
	code, b := NewHMAC(key), block(t, knownAnswers().sm4Key)
	var all sync.WaitGroup
	var seen sync.Map
	for g := range 8 {
		all.Go(func() {
			own, err := NewGCM(key)
			if err != nil {
				t.Error(err)
				return
			}
			msg := bytes.Repeat([]byte{byte(g)}, 100+g)
			for range 300 {
				nonce, err := source.Next()
				if _, twice := seen.LoadOrStore(nonce, g); twice || err != nil {
					t.Errorf("nonce %x again (%v)", nonce, err)
				}
				binary.BigEndian.PutUint32(msg, uint32(nonce[11]))
				sealed := shared.Seal(nil, nonce[:], msg, key)
				if plain, err := own.Open(nil, nonce[:], sealed, key); err != nil || !bytes.Equal(plain, msg) {
					t.Errorf("got %x, %v, want %x", plain, err, msg)
				}
				if got, want := code.Sum(msg), HMACSM3(key, msg); got != want {
					t.Errorf("HMAC: got %x, want %x", got, want)
				}
				if got, want := MACCup(b, msg), MACCup(block(t, knownAnswers().sm4Key), msg); got != want {
					t.Errorf("MAC: got %s, want %s", got, want)
				}
			}
		})
	}
	all.Wait()
}
