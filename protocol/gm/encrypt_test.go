package gm

import (
	"bytes"
	crand "crypto/rand"
	"encoding/asn1"
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"

	fast "github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	tjfoc "github.com/tjfoc/gmsm/sm2"
	"pgregory.net/rapid"
)

// seal makes the ciphertext of msg for the point C1 = (x, y) with the private
// key, on whatever curve the point lies: what an attacker who guessed the
// product d*C1 would send.
func seal(t *testing.T, key *PrivateKey, x, y *big.Int, msg string) []byte {
	t.Helper()
	x2, y2 := tjfoc.P256Sm2().ScalarMult(x, y, key.key.D.Bytes())
	left, right := x2.FillBytes(make([]byte, 32)), y2.FillBytes(make([]byte, 32))
	text := sm3.Kdf(bytes.Join([][]byte{left, right}, nil), len(msg))
	for i := range text {
		text[i] ^= msg[i]
	}
	sum := SumSM3(bytes.Join([][]byte{left, []byte(msg), right}, nil))
	der, err := asn1.Marshal(ciphertext{x, y, sum[:], text})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// smallPoint is the point of the curve with the smallest x, so that x+p still
// fits 256 bits.
func smallPoint(t *testing.T) (x, y *big.Int) {
	t.Helper()
	c := fast.P256().Params()
	for i := int64(0); i < 100; i++ {
		x := big.NewInt(i)
		right := new(big.Int).Exp(x, big.NewInt(3), nil)
		right.Sub(right, new(big.Int).Mul(x, big.NewInt(3))).Add(right, c.B).Mod(right, c.P)
		if y := new(big.Int).ModSqrt(right, c.P); y != nil {
			return x, y
		}
	}
	t.Fatal("no point found")
	return nil, nil
}

// TestStandardCiphertext decrypts the example of GB/T 32918.5, A.3.
func TestStandardCiphertext(t *testing.T) {
	x, _ := new(big.Int).SetString("04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73", 16)
	y, _ := new(big.Int).SetString("e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0", 16)
	der, err := asn1.Marshal(ciphertext{x, y,
		unhex("59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766"),
		unhex("21886ca989ca9c7d58087307ca93092d651efa")})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []*PrivateKey{standardKey(t), native(t, standardKey(t))} {
		plain, err := key.Decrypt(der)
		if err != nil || string(plain) != "encryption standard" {
			t.Errorf("got %q, %v, want %q", plain, err, "encryption standard")
		}
	}
}

func TestEncryptRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key, err := newPrivateKey(scalar().Draw(r, "key"), fast.P256())
		if err != nil {
			r.Fatal(err)
		}
		public := key.Public()
		if rapid.IntRange(0, 9).Draw(r, "native") == 0 { // slow
			swapped := key
			key = native(t, key)
			if rapid.Bool().Draw(r, "encrypt natively") {
				public, key = key.Public(), swapped
			}
		}
		msg := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(r, "message")
		sealed, err := public.Encrypt(msg)
		if err != nil {
			r.Fatal(err)
		}
		if plain, err := key.Decrypt(sealed); err != nil || !bytes.Equal(plain, msg) {
			r.Fatalf("got %x, %v, want %x", plain, err, msg)
		}
		if plain, err := fast.Decrypt(key.hedged, sealed); err != nil || !bytes.Equal(plain, msg) {
			r.Fatalf("emmansun: got %x, %v, want %x", plain, err, msg)
		}
		if len(msg) < 8 {
			return // that library encrypts for another key once its mask was all zeros
		}
		other, err := fast.EncryptASN1(crand.Reader, &key.hedged.PublicKey, msg)
		if err != nil {
			r.Fatal(err)
		}
		if plain, err := key.Decrypt(other); err != nil || !bytes.Equal(plain, msg) {
			r.Fatalf("from emmansun: got %x, %v, want %x", plain, err, msg)
		}
	})
}

// TestEncryptOneByte meets, once in 256 times, the mask of zeros at which the
// standard wants another random number.
func TestEncryptOneByte(t *testing.T) {
	key := standardKey(t)
	for i := range 600 {
		msg := []byte{byte(i)}
		sealed, err := key.Public().Encrypt(msg)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := key.Decrypt(sealed); err != nil || !bytes.Equal(plain, msg) {
			t.Fatalf("got %x, %v, want %x", plain, err, msg)
		}
	}
	if _, err := key.Public().Encrypt(nil); err == nil {
		t.Error("an empty message was encrypted")
	}
}

// TestDecryptRefuses offers ciphertexts each of which a laxer reader accepts.
func TestDecryptRefuses(t *testing.T) {
	key := standardKey(t)
	x, y := smallPoint(t)
	good := seal(t, key, x, y, "secret")
	if plain, err := key.Decrypt(good); err != nil || string(plain) != "secret" {
		t.Fatalf("got %q, %v, want %q", plain, err, "secret")
	}
	var c ciphertext
	if _, err := asn1.Unmarshal(good, &c); err != nil {
		t.Fatal(err)
	}
	p := fast.P256().Params().P
	flat, err := flatten(good)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(edit func(*ciphertext)) []byte {
		bad := c
		edit(&bad)
		der, err := asn1.Marshal(bad)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	inner := append(bytes.Clone(good[2:]), 5, 0)
	for name, der := range map[string][]byte{
		"empty":          {},
		"point off":      seal(t, key, big.NewInt(1), big.NewInt(1), "secret"),
		"x plus p":       encode(func(c *ciphertext) { c.X = new(big.Int).Add(x, p) }),
		"-y":             encode(func(c *ciphertext) { c.Y = new(big.Int).Sub(p, y) }), // on the curve, another message
		"negative y":     encode(func(c *ciphertext) { c.Y = new(big.Int).Neg(y) }),
		"infinity":       encode(func(c *ciphertext) { c.X, c.Y = new(big.Int), new(big.Int) }),
		"huge x":         encode(func(c *ciphertext) { c.X = new(big.Int).Lsh(x.Add(x, big.NewInt(1)), 4000) }),
		"short C3":       encode(func(c *ciphertext) { c.Hash = c.Hash[:31] }),
		"long C3":        encode(func(c *ciphertext) { c.Hash = append(bytes.Clone(c.Hash), 0) }),
		"no C3":          encode(func(c *ciphertext) { c.Hash = nil }),
		"no C2":          encode(func(c *ciphertext) { c.Text = nil }),
		"C3 into C2":     encode(func(c *ciphertext) { c.Hash, c.Text = c.Hash[:30], append(bytes.Clone(c.Hash[30:]), c.Text...) }),
		"trailing":       append(bytes.Clone(good), 0),
		"fifth element":  append([]byte{0x30, byte(len(inner))}, inner...),
		"long length":    append([]byte{0x30, 0x81}, good[1:]...),
		"not ASN.1":      flat,
		"not ASN.1 tail": flat[1:],
	} {
		for _, k := range []*PrivateKey{key, native(t, key)} {
			if plain, err := k.Decrypt(der); !errors.Is(err, ErrDecrypt) || plain != nil {
				t.Errorf("%s: got %q, %v, want nothing and %v", name, plain, err, ErrDecrypt)
			}
		}
	}
}

func TestMutatedCiphertexts(t *testing.T) {
	key := standardKey(t)
	slow := native(t, key)
	sealed, err := key.Public().Encrypt([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range mutants() {
		bad := mutant(r, sealed)
		k := key
		if i%100 == 0 {
			k = slow
		}
		if plain, err := k.Decrypt(bad); err != ErrDecrypt || plain != nil {
			t.Fatalf("%x made from %x: got %x, %v, want nothing and %v", bad, sealed, plain, err, ErrDecrypt)
		}
	}
}

// FuzzDecrypt lets the other library's own code confirm what is decrypted.
func FuzzDecrypt(f *testing.F) {
	key := standardKey(f)
	for _, msg := range []string{"x", "0123456789abcdef"} {
		sealed, err := key.Public().Encrypt([]byte(msg))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sealed)
	}
	f.Add(unhex(knownAnswers().offCurve))
	f.Fuzz(func(t *testing.T, der []byte) {
		plain, err := key.Decrypt(der)
		if err != nil {
			if plain != nil || err != ErrDecrypt {
				t.Errorf("got %x, %v, want nothing and %v", plain, err, ErrDecrypt)
			}
			return
		}
		if want, err := fast.Decrypt(key.hedged, der); err != nil || !bytes.Equal(plain, want) {
			t.Errorf("got %x, want %x, %v", plain, want, err)
		}
	})
}
