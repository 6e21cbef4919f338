package gm

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	fast "github.com/emmansun/gmsm/sm2"
	"github.com/tjfoc/gmsm/x509"
	"pgregory.net/rapid"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// flip changes the last hex digit.
func flip(s string) string {
	last := "0"
	if strings.HasSuffix(s, "0") {
		last = "1"
	}
	return s[:len(s)-1] + last
}

// standardKey is the key of GB/T 32918.5, annex A.
func standardKey(t testing.TB) *PrivateKey {
	t.Helper()
	key, err := ParsePrivateKey([]byte(knownAnswers().privateKey))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func native(t testing.TB, key *PrivateKey) *PrivateKey {
	t.Helper()
	out, err := key.On(Native)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// scalar draws private keys, short ones often.
func scalar() *rapid.Generator[*big.Int] {
	return rapid.Custom(func(t *rapid.T) *big.Int {
		d := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "d"))
		limit := new(big.Int).Sub(fast.P256().Params().N, big.NewInt(2))
		return d.Mod(d, limit).Add(d, big.NewInt(1))
	})
}

func TestKeyRange(t *testing.T) {
	n := fast.P256().Params().N
	off := func(by int64) *big.Int { return new(big.Int).Add(n, big.NewInt(by)) }
	for _, c := range []struct {
		d    *big.Int
		good bool
	}{
		{big.NewInt(0), false}, {big.NewInt(1), true}, {big.NewInt(2), true},
		{off(-2), true}, {off(-1), false}, {n, false}, {off(1), false},
	} {
		text := fmt.Sprintf("%064x", c.d)
		key, err := ParsePrivateKey([]byte(text))
		if (err == nil) != c.good {
			t.Errorf("%s: got %v, want accepted: %v", text, err, c.good)
		}
		if err == nil && native(t, key).key.X.Cmp(key.public.key.X) != 0 {
			t.Errorf("%s: the implementations differ on the public key", text)
		}
	}
	if _, err := newPrivateKey(big.NewInt(-1), fast.P256()); err == nil {
		t.Error("-1 was accepted")
	}
	if _, err := newPrivateKey(new(big.Int).Lsh(n, 1), fast.P256()); err == nil {
		t.Error("2n was accepted")
	}
}

func TestPublicKeyHex(t *testing.T) {
	good := knownAnswers().publicKey
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"lower case":    {good, true},
		"upper case":    {strings.ToUpper(good), true},
		"line feed":     {" " + good + "\r\n", true},
		"off curve":     {flip(good), false},
		"infinity":      {"04" + strings.Repeat("0", 128), false},
		"without 04":    {good[2:], false},
		"compressed":    {"02" + good[2:66], false},
		"prefix 06":     {"06" + good[2:], false},
		"odd":           {good[:129], false},
		"too long":      {good + "00", false},
		"not hex":       {"0x" + good[2:], false},
		"empty":         {"", false},
		"x not below p": {"04" + strings.Repeat("f", 64) + good[66:], false},
	} {
		key, err := ParsePublicKey([]byte(c.text))
		if (err == nil) != c.good {
			t.Errorf("%s: got %v, want accepted: %v", name, err, c.good)
		}
		if err == nil && hexOf(key.point()) != good {
			t.Errorf("%s: got %x, want %s", name, key.point(), good)
		}
	}
}

func TestPEMRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key, err := newPrivateKey(scalar().Draw(r, "key"), fast.P256())
		if err != nil {
			r.Fatal(err)
		}
		private, err := MarshalPrivateKey(key)
		if err != nil {
			r.Fatal(err)
		}
		back, err := ParsePrivateKey(private)
		if err != nil || back.key.D.Cmp(key.key.D) != 0 {
			r.Fatalf("private: got %v, want the same key", err)
		}
		public, err := MarshalPublicKey(key.Public())
		if err != nil {
			r.Fatal(err)
		}
		same, err := ParsePublicKey(public)
		if err != nil || !bytes.Equal(same.point(), key.public.point()) {
			r.Fatalf("public: got %v, want the same key", err)
		}
	})
}

// TestLibraryPEM reads what the prescribed library writes, short keys too.
func TestLibraryPEM(t *testing.T) {
	for _, d := range []int64{1, 0x1234, 1 << 40} {
		key, err := newPrivateKey(big.NewInt(d), fast.P256())
		if err != nil {
			t.Fatal(err)
		}
		text, err := x509.WritePrivateKeyToPem(&native(t, key).key, nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParsePrivateKey(text); err != nil || back.key.D.Int64() != d {
			t.Errorf("%d: got %v", d, err)
		}
	}
}

// nistKeys are a key pair on NIST P-256, whose files differ from those of SM2
// in the name of the curve.
const nistPrivate = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgliz3EjnDn1H3YKH/
4KUxsYXO+POi4tDdXP9XRh+uYRahRANCAASkR0qDCC05iO3gmMsz2aH2q2ggjZHz
wCPoiL8rpCENIfu21dKGpDdZHhP205yFw9Na3z03veQhIBWLmdVrT7XH
-----END PRIVATE KEY-----`

const nistPublic = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpEdKgwgtOYjt4JjLM9mh9qtoII2R
88Aj6Ii/K6QhDSH7ttXShqQ3WR4T9tOchcPTWt89N73kISAVi5nVa0+1xw==
-----END PUBLIC KEY-----`

func TestPEMRefused(t *testing.T) {
	key := standardKey(t)
	private, err := MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := MarshalPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	edit := func(text []byte, kind string, f func(der []byte) []byte) string {
		block, _ := pem.Decode(text)
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: f(bytes.Clone(block.Bytes))}))
	}
	same := func(der []byte) []byte { return der }
	trailing := func(der []byte) []byte { return append(der, 0) }
	lastByte := func(der []byte) []byte { der[len(der)-1] ^= 1; return der }
	version := func(der []byte) []byte { der[5] = 9; return der } // 30 81 87 02 01 <version>
	if block, _ := pem.Decode(private); !bytes.Equal(block.Bytes[:6], []byte{0x30, 0x81, 0x87, 2, 1, 0}) {
		t.Fatalf("PKCS #8: got % x…, want 30 81 87 02 01 00", block.Bytes[:6])
	}
	for name, text := range map[string]string{
		"trailing DER":       edit(private, privateBlock, trailing),
		"foreign public":     edit(private, privateBlock, lastByte),
		"version":            edit(private, privateBlock, version),
		"encrypted":          edit(private, "ENCRYPTED PRIVATE KEY", same),
		"SEC1":               edit(private, "EC PRIVATE KEY", same),
		"empty DER":          edit(private, privateBlock, func([]byte) []byte { return nil }),
		"two blocks":         string(private) + string(private),
		"text behind":        string(private) + "x",
		"text before":        "x" + string(private),
		"damaged":            strings.Replace(string(private), "END", "AND", 1),
		"headers":            strings.Replace(string(private), "\n", "\nProc-Type: 4,ENCRYPTED\n\n", 1),
		"a public key":       string(public),
		"NIST P-256 private": nistPrivate,
		"hex too short":      "1234",
	} {
		if _, err := ParsePrivateKey([]byte(text)); err == nil {
			t.Errorf("private, %s: accepted", name)
		}
	}
	for name, text := range map[string]string{
		"trailing DER":      edit(public, publicBlock, trailing),
		"off curve":         edit(public, publicBlock, lastByte),
		"a private key":     string(private),
		"NIST P-256 public": nistPublic,
		"two blocks":        string(public) + string(public),
	} {
		if _, err := ParsePublicKey([]byte(text)); err == nil {
			t.Errorf("public, %s: accepted", name)
		}
	}
}

// TestPKCS8 builds files that differ from a good one in a single detail.
func TestPKCS8(t *testing.T) {
	nist := asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	marshal := func(v any) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	d := big.NewInt(7).FillBytes(make([]byte, 32))
	for _, c := range []struct {
		name string
		good bool
		edit func(outer *keyInfo, inner *ecKey)
	}{
		{"plain", true, func(*keyInfo, *ecKey) {}},
		{"curve named twice", true, func(_ *keyInfo, e *ecKey) { e.Curve = oidSM2 }},
		{"NIST P-256", false, func(k *keyInfo, _ *ecKey) { k.Algorithm.Curve = nist }},
		{"two curves", false, func(_ *keyInfo, e *ecKey) { e.Curve = nist }},
		{"SM2 as algorithm", false, func(k *keyInfo, _ *ecKey) { k.Algorithm.Kind = oidSM2 }},
		{"inner version", false, func(_ *keyInfo, e *ecKey) { e.Version = 2 }},
		{"zero", false, func(_ *keyInfo, e *ecKey) { e.D = make([]byte, 32) }},
		{"no key", false, func(_ *keyInfo, e *ecKey) { e.D = nil }},
		{"33 bytes", false, func(_ *keyInfo, e *ecKey) { e.D = append([]byte{1}, e.D...) }},
		{"n-1", false, func(_ *keyInfo, e *ecKey) { e.D = new(big.Int).Sub(fast.P256().Params().N, big.NewInt(1)).Bytes() }},
	} {
		inner := ecKey{Version: 1, D: d}
		var outer keyInfo
		outer.Algorithm.Kind, outer.Algorithm.Curve = oidEC, oidSM2
		c.edit(&outer, &inner)
		outer.Key = marshal(inner)
		for _, tail := range [][]byte{nil, {5, 0}} {
			outer.Key = append(outer.Key, tail...)
			text := pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: marshal(outer)})
			key, err := ParsePrivateKey(text)
			if want := c.good && tail == nil; (err == nil) != want {
				t.Errorf("%s with %d bytes behind: got %v, want accepted: %v", c.name, len(tail), err, want)
			} else if err == nil && key.key.D.Int64() != 7 {
				t.Errorf("%s: got another key", c.name)
			}
		}
	}
}

// TestPrivateKeyWidth finds all 32 bytes of a short key in its file, as RFC
// 5915 wants.
func TestPrivateKeyWidth(t *testing.T) {
	key, err := newPrivateKey(big.NewInt(7), fast.P256())
	if err != nil {
		t.Fatal(err)
	}
	text, err := MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file, _ := pem.Decode(text)
	if want := append([]byte{4, 32}, big.NewInt(7).FillBytes(make([]byte, 32))...); !bytes.Contains(file.Bytes, want) {
		t.Errorf("got %x, want %x within", file.Bytes, want)
	}
}

func TestPrivateKeyNeverPrints(t *testing.T) {
	key := standardKey(t)
	holder := struct{ Key *PrivateKey }{key}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", key, *key, holder)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("key", "key", key)
	if _, err := ParsePrivateKey([]byte(knownAnswers().privateKey[:62])); err != nil {
		fmt.Fprintln(&out, err)
	}
	for _, secret := range []string{key.key.D.String(), knownAnswers().privateKey[:16]} {
		if strings.Contains(strings.ToLower(out.String()), secret) {
			t.Errorf("the key is in %s", out.String())
		}
	}
	if got, want := fmt.Sprint(key), "SM2 private key"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCurveNames(t *testing.T) {
	key := standardKey(t)
	for _, c := range []Curve{"", "ASM", "p256"} {
		if _, err := key.On(c); err == nil {
			t.Errorf("private key on %q: accepted", c)
		}
		if _, err := key.Public().On(c); err == nil {
			t.Errorf("public key on %q: accepted", c)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	key := standardKey(f)
	text, err := MarshalPublicKey(key.Public())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(knownAnswers().publicKey))
	f.Add([]byte(nistPublic))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParsePublicKey(text)
		if err != nil {
			return
		}
		out, err := MarshalPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePublicKey(out)
		if err != nil || !bytes.Equal(back.point(), key.point()) {
			t.Errorf("got %v, want the same key", err)
		}
	})
}

func FuzzParsePrivateKey(f *testing.F) {
	text, err := MarshalPrivateKey(standardKey(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(knownAnswers().privateKey))
	f.Add([]byte(nistPrivate))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := ParsePrivateKey(text)
		if err != nil {
			return
		}
		out, err := MarshalPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePrivateKey(out)
		if err != nil || back.key.D.Cmp(key.key.D) != 0 {
			t.Errorf("got %v, want the same key", err)
		}
	})
}
