package gm

import (
	"crypto/elliptic"
	"math/big"
	"strings"
	"testing"

	tjfoc "github.com/tjfoc/gmsm/sm2"
)

func TestSelfTest(t *testing.T) {
	if err := SelfTest(); err != nil {
		t.Fatal(err)
	}
}

// lostCarry is a curve whose multiplication is wrong for some scalars, as
// assembly with a lost carry is.
type lostCarry struct {
	elliptic.Curve
	wrong func(scalar []byte) bool
}

func (c lostCarry) ScalarMult(x, y *big.Int, k []byte) (*big.Int, *big.Int) {
	x, y = c.Curve.ScalarMult(x, y, k)
	if c.wrong(k) {
		return c.Curve.Double(x, y)
	}
	return x, y
}

// TestSelfTestFails shows of every check that it can fail.
func TestSelfTestFails(t *testing.T) {
	zeroDigest := func(k []byte) bool { // t = r+s of that signature only
		return new(big.Int).SetBytes(k).Text(16) == zeroDigestScalar(t)
	}
	goodCiphertext := func(a *answers) {
		key, _, err := a.keys()
		if err != nil {
			t.Fatal(err)
		}
		c, err := key.Public().Encrypt([]byte("on the curve"))
		if err != nil {
			t.Fatal(err)
		}
		a.offCurve = hexOf(c)
	}
	for _, c := range []struct {
		check string
		spoil func(a *answers)
	}{
		{"SM3", func(a *answers) { a.sm3Sum = flip(a.sm3Sum) }},
		{"SM3", func(a *answers) { a.sm3Sum = "not hex" }},
		{"SM4", func(a *answers) { a.sm4Sealed = flip(a.sm4Sealed) }},
		{"SM4", func(a *answers) { a.sm4Plain = "00" }}, // panics inside
		{"SM4-GCM", func(a *answers) { a.gcmSealed = flip(a.gcmSealed) }},
		{"SM4-GCM", func(a *answers) { a.gcmExtra = flip(a.gcmExtra) }},
		{"SM2 known signature", func(a *answers) { a.signature = flip(a.signature) }},
		{"SM2 known signature", func(a *answers) { a.publicKey = flip(a.publicKey) }},
		{"SM2 known signature", func(a *answers) { a.curve = lostCarry{a.curve, func([]byte) bool { return true }} }},
		{"SM2 zero digest", func(a *answers) { a.zeroDigestSignature = flip(a.zeroDigestSignature) }},
		{"SM2 zero digest", func(a *answers) { a.curve = lostCarry{a.curve, zeroDigest} }},
		{"SM2 both libraries", func(a *answers) { a.privateKey = flip(a.privateKey) }},
		{"SM2 both libraries", func(a *answers) { a.curve = lostCarry{a.curve, notIn(t, *a)} }},
		{"SM2 point off the curve", goodCiphertext},
	} {
		a := knownAnswers()
		c.spoil(&a)
		err := a.run()
		if want := "gm: self-test: " + c.check + ": "; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
}

// zeroDigestScalar is r+s mod n of the zero digest signature.
func zeroDigestScalar(t *testing.T) string {
	t.Helper()
	sig, err := decodeSignature(unhex(knownAnswers().zeroDigestSignature))
	if err != nil {
		t.Fatal(err)
	}
	n := tjfoc.P256Sm2().Params().N
	return new(big.Int).Mod(new(big.Int).Add(sig.R, sig.S), n).Text(16)
}

// notIn is wrong for all scalars but those of the two known signatures.
func notIn(t *testing.T, a answers) func([]byte) bool {
	raw := unhex(a.signature)
	sum := new(big.Int).Add(new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]))
	known := sum.Mod(sum, tjfoc.P256Sm2().Params().N).Text(16)
	zero := zeroDigestScalar(t)
	return func(k []byte) bool {
		s := new(big.Int).SetBytes(k).Text(16)
		return s != known && s != zero
	}
}

// TestOffCurveAnswer shows that the ciphertext of the self-test is what it
// claims: the library by itself opens it, and leaks by doing so.
func TestOffCurveAnswer(t *testing.T) {
	key := native(t, standardKey(t))
	built := seal(t, key, big.NewInt(1), big.NewInt(1), "off the curve")
	if got, want := knownAnswers().offCurve, hexOf(built); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	plain, err := tjfoc.DecryptAsn1(&key.key, built)
	if err != nil || string(plain) != "off the curve" {
		t.Errorf("the unfenced library: got %q, %v, want the plaintext", plain, err)
	}
}
