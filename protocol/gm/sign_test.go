package gm

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	fast "github.com/emmansun/gmsm/sm2"
	"pgregory.net/rapid"
)

// mutant returns another byte string that resembles b.
func mutant(r *rand.Rand, b []byte) []byte {
	out := bytes.Clone(b)
	for bytes.Equal(out, b) {
		i := r.IntN(len(out))
		switch r.IntN(7) {
		case 0:
			out[i] ^= 1 << r.IntN(8)
		case 1:
			out[i] = byte(r.Uint32())
		case 2:
			out = append(out[:i:i], out[i+1:]...)
		case 3:
			out = append(out[:i:i], append([]byte{byte(r.Uint32())}, out[i:]...)...)
		case 4:
			out = out[:i+1]
		case 5:
			out = append(out, byte(r.Uint32()))
		case 6:
			j := r.IntN(len(out))
			out[i], out[j] = out[j], out[i]
		}
	}
	return out
}

// mutants is how many mutated inputs must be refused.
func mutants() int {
	if testing.Short() || raceEnabled {
		return 2_000
	}
	return 20_000
}

// bankKey and the two signatures are the published example of a bank's JSON
// interface (China Merchants Bank); its user id is the customer's number filled
// with zeros.
const (
	bankKey = "046374F8947B208B3F28A2DFAEC78510F858BC1BAD37F038B95903975C9636BEB8" +
		"59653FB145727D02D65CD68F202ABC2FF93EECEA477B1DC81F4F650621B89E9D"
	bankMessage = `{"request":{"body":{"TEST":"中文","TEST2":"!@#$%^&*()","TEST3":12345,` +
		`"TEST4":[{"arrItem1":"qaz","arrItem2":123,"arrItem3":true,"arrItem4":"中文"}],"buscod":"N02030"},` +
		`"head":{"funcode":"DCLISMOD","userid":"N003261207"}},"signature":{"sigdat":"__signature_sigdat__"}}`
	bankA = "CDAYcxm3jM+65XKtFNii0tKrTmEbfNdR/Q/BtuQFzm5+luEf2nAhkjYTS2ygPjodpuAkarsNqjIhCZ6+xD4WKA=="
	bankB = "WHqK4u0GmYMZaquvV+ZIxVkRGCW6UOlLlX/OPgJ89rDj81fPRcN9K8+4SuvwlpXK7iVvxf7LGL8auE7ofnzEig=="
)

func TestBankSignatures(t *testing.T) {
	key, err := ParsePublicKey([]byte(bankKey))
	if err != nil {
		t.Fatal(err)
	}
	const id = "N003261207000000"
	z, err := key.z([]byte(id))
	if got, want := strings.ToUpper(hexOf(z[:])), "9FC37254327EB45E351DC8528CBAB1EA13EBDE67181210E8C5472BCDD51A2508"; err != nil || got != want {
		t.Errorf("Z: got %s, %v, want %s", got, err, want)
	}
	for _, text := range []string{bankA, bankB} {
		sig, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := key.VerifyRaw([]byte(id), []byte(bankMessage), sig); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		for _, other := range []string{DefaultID, "N003351137000000", "", id + "0"} {
			if err := key.VerifyRaw([]byte(other), []byte(bankMessage), sig); !errors.Is(err, ErrSignature) {
				t.Errorf("%s with id %q: got %v, want %v", text, other, err, ErrSignature)
			}
		}
		if err := key.VerifyRaw([]byte(id), []byte(bankMessage+"\n"), sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%s with a line feed: got %v, want %v", text, err, ErrSignature)
		}
	}
}

// ids draws user ids, the empty and the default one among them.
func ids() *rapid.Generator[[]byte] {
	return rapid.OneOf(rapid.Just([]byte{}), rapid.Just([]byte(DefaultID)), rapid.SliceOfN(rapid.Byte(), 1, 40))
}

// TestSignRoundTrip signs and verifies with every pair of implementations, and
// with emmansun's own signatures as a third opinion.
func TestSignRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key, err := newPrivateKey(scalar().Draw(r, "key"), fast.P256())
		if err != nil {
			r.Fatal(err)
		}
		public := key.Public()
		if rapid.IntRange(0, 9).Draw(r, "native") == 0 { // slow
			swapped := key
			key = native(t, key)
			if rapid.Bool().Draw(r, "verify natively") {
				public, key = key.Public(), swapped
			}
		}
		id, msg := ids().Draw(r, "id"), rapid.SliceOf(rapid.Byte()).Draw(r, "message")
		der, err := key.Sign(id, msg)
		if err != nil {
			r.Fatal(err)
		}
		if err := public.Verify(id, msg, der); err != nil {
			r.Fatal(err)
		}
		raw, err := key.SignRaw(id, msg)
		if err != nil || len(raw) != RawSize {
			r.Fatalf("raw: got %d bytes, %v, want %d", len(raw), err, RawSize)
		}
		if err := public.VerifyRaw(id, msg, raw); err != nil {
			r.Fatal(err)
		}
		e, err := public.digest(id, msg)
		if err != nil || !fast.VerifyASN1(&key.hedged.PublicKey, e, der) {
			r.Fatalf("emmansun refuses the signature (%v)", err)
		}
		if err := public.Verify(append(id, 0), msg, der); !errors.Is(err, ErrSignature) {
			r.Fatalf("another id: got %v, want %v", err, ErrSignature)
		}
		if err := public.Verify(id, append(msg, 0), der); !errors.Is(err, ErrSignature) {
			r.Fatalf("another message: got %v, want %v", err, ErrSignature)
		}
	})
}

func TestUserIDTooLong(t *testing.T) {
	key, id := standardKey(t), make([]byte, 8192)
	if _, err := key.Sign(id[:8191], nil); err != nil {
		t.Errorf("8191 bytes: %v", err)
	}
	if _, err := key.Sign(id, nil); err == nil {
		t.Error("8192 bytes: accepted")
	}
	if err := key.Public().VerifyRaw(id, nil, make([]byte, RawSize)); err == nil {
		t.Error("8192 bytes: verified")
	}
}

// tlv writes a DER element of at most 127 bytes.
func tlv(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	return append([]byte{tag, byte(len(content))}, content...)
}

func integer(v *big.Int) []byte {
	b := v.Bytes()
	if len(b) == 0 || b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return tlv(2, b)
}

// TestSignatureDER offers the same valid r and s in other encodings, and values
// out of range.
func TestSignatureDER(t *testing.T) {
	key, id, msg := standardKey(t).Public(), []byte(DefaultID), unhex(knownAnswers().message)
	raw := unhex(knownAnswers().signature)
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	if err := key.Verify(id, msg, tlv(0x30, integer(r), integer(s))); err != nil {
		t.Fatal(err)
	}
	n := fast.P256().Params().N
	sum := func(a, b *big.Int) []byte { return integer(new(big.Int).Add(a, b)) }
	good := tlv(0x30, integer(r), integer(s))
	zero, one := new(big.Int), big.NewInt(1)
	for name, sig := range map[string][]byte{
		"empty":            {},
		"raw":              raw,
		"trailing byte":    append(bytes.Clone(good), 0),
		"third element":    tlv(0x30, integer(r), integer(s), integer(one)),
		"inner trailing":   tlv(0x30, integer(r), integer(s), []byte{0}),
		"one element":      tlv(0x30, integer(r)),
		"SET":              tlv(0x31, integer(r), integer(s)),
		"long length":      append([]byte{0x30, 0x81}, good[1:]...),
		"indefinite":       append(append([]byte{0x30, 0x80}, good[2:]...), 0, 0),
		"padded r":         tlv(0x30, tlv(2, []byte{0, 0}, raw[:32]), integer(s)),
		"negative r":       tlv(0x30, tlv(2, raw[:32]), integer(s)),
		"octet string":     tlv(0x30, tlv(4, raw[:32]), integer(s)),
		"swapped":          tlv(0x30, integer(s), integer(r)),
		"r is 0":           tlv(0x30, integer(zero), integer(s)),
		"s is 0":           tlv(0x30, integer(r), integer(zero)),
		"r is n":           tlv(0x30, integer(n), integer(s)),
		"r plus n":         tlv(0x30, sum(r, n), integer(s)),
		"s plus n":         tlv(0x30, integer(r), sum(s, n)),
		"r plus s is n":    tlv(0x30, integer(r), integer(new(big.Int).Sub(n, r))),
		"longer than 72":   tlv(0x30, tlv(2, make([]byte, 40), raw[:32]), integer(s)),
		"r of 2000 digits": append([]byte{0x30, 0x82, 8, 0x40, 2, 0x82, 8, 0}, make([]byte, 0x83c)...),
	} {
		if err := key.Verify(id, msg, sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want %v", name, err, ErrSignature)
		}
	}
	for name, sig := range map[string][]byte{
		"empty": {}, "short": raw[1:], "long": append(bytes.Clone(raw), 0), "DER": good,
		"zeros": make([]byte, 64), "r is 0": append(make([]byte, 32), raw[32:]...),
		"all ones": bytes.Repeat([]byte{0xff}, 64), "swapped": append(bytes.Clone(raw[32:]), raw[:32]...),
	} {
		if err := key.VerifyRaw(id, msg, sig); !errors.Is(err, ErrSignature) {
			t.Errorf("raw, %s: got %v, want %v", name, err, ErrSignature)
		}
	}
}

func TestMutatedSignatures(t *testing.T) {
	key, id, msg := standardKey(t), []byte(DefaultID), []byte("一笔交易")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range mutants() {
		sign, verify := key.Sign, key.Public().Verify
		if i%2 == 1 {
			sign, verify = key.SignRaw, key.Public().VerifyRaw
		}
		sig, err := sign(id, msg)
		if err != nil {
			t.Fatal(err)
		}
		bad := mutant(r, sig)
		if err := verify(id, msg, bad); !errors.Is(err, ErrSignature) {
			t.Fatalf("%x made from %x: got %v, want %v", bad, sig, err, ErrSignature)
		}
	}
}

// TestKeysConcurrent uses one key everywhere, with ids that replace each other
// in its cache.
func TestKeysConcurrent(t *testing.T) {
	key := standardKey(t)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			id, msg := []byte{byte('a' + g%3)}, []byte{byte(g)}
			if g == 7 {
				id = nil
			}
			for range 20 {
				sig, err := key.Sign(id, msg)
				if err != nil {
					t.Error(err)
					return
				}
				if err := key.Public().Verify(id, msg, sig); err != nil {
					t.Errorf("id %q: %v", id, err)
				}
				sealed, err := key.Public().Encrypt(msg)
				if err != nil {
					t.Error(err)
					return
				}
				if plain, err := key.Decrypt(sealed); err != nil || !bytes.Equal(plain, msg) {
					t.Errorf("decrypt: got %x, %v, want %x", plain, err, msg)
				}
			}
		})
	}
	all.Wait()
}

// FuzzVerify compares the verdict with that of the other library's own code.
func FuzzVerify(f *testing.F) {
	key := standardKey(f)
	for _, id := range []string{DefaultID, "", "x"} {
		sig, err := key.Sign([]byte(id), []byte("message"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(id), []byte("message"), sig)
	}
	public := &ecdsa.PublicKey{Curve: fast.P256(), X: key.public.key.X, Y: key.public.key.Y}
	f.Fuzz(func(t *testing.T, id, msg, sig []byte) {
		err := key.Public().Verify(id, msg, sig)
		if len(id) >= 8192 {
			if err == nil {
				t.Error("an id of 8192 bytes was accepted")
			}
			return
		}
		e, digestErr := key.Public().digest(id, msg)
		if digestErr != nil {
			t.Fatal(digestErr)
		}
		if want := fast.VerifyASN1(public, e, sig); (err == nil) != want {
			t.Errorf("got %v, want valid: %v", err, want)
		}
		_ = key.Public().VerifyRaw(id, msg, sig)
	})
}
