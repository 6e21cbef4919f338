package gm

import (
	"bytes"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	fast "github.com/emmansun/gmsm/sm2"
)

// openssl runs the command line tool in a directory of its own, which is the
// peer that shares no code with the libraries here.
type openssl struct {
	t   *testing.T
	dir string
}

func newOpenSSL(t *testing.T) *openssl {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("openssl is missing, and CI is set: install OpenSSL 3")
		}
		t.Skip("openssl is missing: install OpenSSL 3 to test against it (with CI set this is a failure)")
	}
	return &openssl{t: t, dir: t.TempDir()}
}

func (o *openssl) run(args ...string) []byte {
	o.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = o.dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatalf("openssl %v: %v\n%s%s", args, err, out, stderr.Bytes())
	}
	return out
}

func (o *openssl) write(name string, content []byte) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), content, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// key writes the key's files k.pem and p.pem.
func (o *openssl) key(key *PrivateKey) {
	o.t.Helper()
	private, err := MarshalPrivateKey(key)
	if err != nil {
		o.t.Fatal(err)
	}
	public, err := MarshalPublicKey(key.Public())
	if err != nil {
		o.t.Fatal(err)
	}
	o.write("k.pem", private)
	o.write("p.pem", public)
}

// TestOpenSSLKeys reads the tool's keys and lets it check ours, the one with
// 31 leading zeros too.
func TestOpenSSLKeys(t *testing.T) {
	o := newOpenSSL(t)
	private := o.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-pkeyopt", "ec_param_enc:named_curve")
	key, err := ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	o.write("theirs.pem", private)
	public, err := ParsePublicKey(o.run("pkey", "-in", "theirs.pem", "-pubout"))
	if err != nil || !bytes.Equal(public.point(), key.public.point()) {
		t.Errorf("got %v, want the public key of the private one", err)
	}
	short, err := newPrivateKey(big.NewInt(7), fast.P256())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []*PrivateKey{key, short} {
		o.key(key)
		o.run("pkey", "-in", "k.pem", "-noout", "-check")
		want, err := os.ReadFile(filepath.Join(o.dir, "p.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if got := o.run("pkey", "-in", "k.pem", "-pubout"); !bytes.Equal(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestOpenSSLSignatures(t *testing.T) {
	o := newOpenSSL(t)
	key, msg := standardKey(t), []byte("加油卡充值 100.00")
	o.key(key)
	o.write("m", msg)
	for _, c := range []struct {
		id      string
		options []string
	}{
		{DefaultID, []string{"-sigopt", "distid:" + DefaultID}},
		{"N003261207000000", []string{"-sigopt", "distid:N003261207000000"}},
		{"", nil}, // the tool's default
	} {
		theirs := o.run(append(append([]string{"dgst", "-sm3", "-sign", "k.pem"}, c.options...), "m")...)
		if err := key.Public().Verify([]byte(c.id), msg, theirs); err != nil {
			t.Errorf("id %q: %v", c.id, err)
		}
		ours, err := key.Sign([]byte(c.id), msg)
		if err != nil {
			t.Fatal(err)
		}
		o.write("s", ours)
		o.run(append(append([]string{"dgst", "-sm3", "-verify", "p.pem", "-signature", "s"}, c.options...), "m")...)
	}
}

func TestOpenSSLEncryption(t *testing.T) {
	o := newOpenSSL(t)
	key, msg := standardKey(t), []byte("0123456789abcdef")
	o.key(key)
	o.write("m", msg)
	theirs := o.run("pkeyutl", "-encrypt", "-pubin", "-inkey", "p.pem", "-in", "m")
	if plain, err := key.Decrypt(theirs); err != nil || !bytes.Equal(plain, msg) {
		t.Errorf("got %q, %v, want %q", plain, err, msg)
	}
	ours, err := key.Public().Encrypt(msg)
	if err != nil {
		t.Fatal(err)
	}
	o.write("c", ours)
	if plain := o.run("pkeyutl", "-decrypt", "-inkey", "k.pem", "-in", "c"); !bytes.Equal(plain, msg) {
		t.Errorf("got %q, want %q", plain, msg)
	}
}

func TestOpenSSLSymmetric(t *testing.T) {
	o := newOpenSSL(t)
	const key, iv = "0123456789abcdeffedcba9876543210", "00112233445566778899aabbccddeeff"
	msg := []byte("六合一 prepaid card, neither short nor a multiple of sixteen")
	o.write("m", msg)
	sealed, err := EncryptCBC(block(t, key), unhex(iv), msg)
	if err != nil {
		t.Fatal(err)
	}
	if want := o.run("enc", "-sm4-cbc", "-K", key, "-iv", iv, "-in", "m"); !bytes.Equal(sealed, want) {
		t.Errorf("CBC: got %x, want %x", sealed, want)
	}
	sum := SumSM3(msg)
	if want := o.run("dgst", "-sm3", "-binary", "m"); !bytes.Equal(sum[:], want) {
		t.Errorf("SM3: got %x, want %x", sum, want)
	}
	code := HMACSM3(unhex(key), msg)
	if want := o.run("dgst", "-sm3", "-mac", "HMAC", "-macopt", "hexkey:"+key, "-binary", "m"); !bytes.Equal(code[:], want) {
		t.Errorf("HMAC: got %x, want %x", code, want)
	}
}
