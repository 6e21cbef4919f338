package gm

import (
	"bytes"
	crand "crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	fast "github.com/emmansun/gmsm/sm2"
	"pgregory.net/rapid"
)

var forms = []CipherForm{FormASN1, FormC1C3C2, FormC1C2C3, FormBareC1C3C2, FormBareC1C2C3}

// TestCipherForms opens what it seals in every form, and nothing that was
// changed, cut or sealed in another form. The other library reads and writes
// the two plain forms as well.
func TestCipherForms(t *testing.T) {
	key := standardKey(t)
	rapid.Check(t, func(r *rapid.T) {
		msg := rapid.SliceOfN(rapid.Byte(), 8, 40).Draw(r, "msg")
		form := rapid.SampledFrom(forms).Draw(r, "form")
		sealed, err := key.Public().EncryptAs(form, msg)
		if err != nil {
			r.Fatal(err)
		}
		if n := form.Overhead(); n > 0 && len(sealed) != n+len(msg) {
			r.Fatalf("%s: %d bytes", form, len(sealed))
		}
		if got, err := key.DecryptAs(form, sealed); err != nil || !bytes.Equal(got, msg) {
			r.Fatalf("%s: got %x, %v", form, got, err)
		}
		other := rapid.SampledFrom(forms).Draw(r, "other")
		if _, err := key.DecryptAs(other, sealed); other != form && err != ErrDecrypt {
			r.Fatalf("%s read as %s: %v", form, other, err)
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(r, "at")
		if _, err := key.DecryptAs(form, sealed[:at]); err != ErrDecrypt {
			r.Fatalf("%s cut at %d: %v", form, at, err)
		}
		sealed[at] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if got, err := key.DecryptAs(form, sealed); err != ErrDecrypt || got != nil {
			r.Fatalf("%s, byte %d changed: %x, %v", form, at, got, err)
		}
	})
	msg := []byte("0123456789ABCDEF")
	for form, opts := range map[CipherForm]*fast.EncrypterOpts{
		FormC1C3C2: fast.NewPlainEncrypterOpts(fast.MarshalUncompressed, fast.C1C3C2), FormC1C2C3: fast.NewPlainEncrypterOpts(fast.MarshalUncompressed, fast.C1C2C3)} {
		theirs, err := fast.Encrypt(crand.Reader, &key.hedged.PublicKey, msg, opts)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := key.DecryptAs(form, theirs); err != nil || !bytes.Equal(got, msg) {
			t.Errorf("%s of the other library: %x, %v", form, got, err)
		}
	}
	if _, err := key.Public().EncryptAs("pgp", msg); err == nil {
		t.Error("an unknown form")
	}
}

// FuzzDecryptAs: no ciphertext panics, and only what was sealed opens.
func FuzzDecryptAs(f *testing.F) {
	key := standardKey(f)
	for i, form := range forms {
		sealed, err := key.Public().EncryptAs(form, []byte("0123456789ABCDEF"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, sealed)
	}
	f.Fuzz(func(t *testing.T, i int, sealed []byte) {
		plain, err := key.DecryptAs(forms[(i%len(forms)+len(forms))%len(forms)], sealed)
		if err == nil && string(plain) != "0123456789ABCDEF" || err != nil && err != ErrDecrypt {
			t.Errorf("%x, %v", plain, err)
		}
	})
}

// TestReaders signs and digests streams as the functions on slices do.
func TestReaders(t *testing.T) {
	key := standardKey(t)
	for _, id := range []string{DefaultID, "", "N003261207000000"} {
		msg := bytes.Repeat([]byte("对账文件\n"), 9000)
		sig, err := key.SignReader([]byte(id), bytes.NewReader(msg))
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Public().Verify([]byte(id), msg, sig); err != nil {
			t.Errorf("id %q: %v", id, err)
		}
		if err := key.Public().VerifyReader([]byte(id), iotest.OneByteReader(bytes.NewReader(msg)), sig); err != nil {
			t.Errorf("id %q: %v", id, err)
		}
		if err := key.Public().VerifyReader([]byte(id), bytes.NewReader(msg[1:]), sig); !errors.Is(err, ErrSignature) {
			t.Errorf("id %q, other content: %v", id, err)
		}
		raw, err := RawSignature(sig)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DERSignature(raw); err != nil || !bytes.Equal(again, sig) {
			t.Errorf("DER of r||s: %x, %v", again, err)
		}
	}
	broken := errors.New("disk")
	if _, err := key.SignReader(nil, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	sum, err := SumReader(strings.NewReader("abc"))
	if err != nil || sum != SumSM3([]byte("abc")) {
		t.Errorf("%x, %v", sum, err)
	}
}

// TestSealedFiles: files of every length around the chunk come back, and no
// change, cut or exchange of chunks goes unnoticed.
func TestSealedFiles(t *testing.T) {
	key := standardKey(t)
	for _, n := range []int{0, 1, fileChunk - 1, fileChunk, fileChunk + 1, 2 * fileChunk, 2*fileChunk + 77} {
		content := bytes.Repeat([]byte{1, 2, 3, 5, 7}, n/5+1)[:n]
		var sealed, opened bytes.Buffer
		if err := key.Public().SealFile(&sealed, iotest.HalfReader(bytes.NewReader(content))); err != nil {
			t.Fatal(err)
		}
		if err := key.OpenFile(&opened, bytes.NewReader(sealed.Bytes())); err != nil || !bytes.Equal(opened.Bytes(), content) {
			t.Errorf("%d bytes: %d came back, %v", n, opened.Len(), err)
		}
		bad := func(what string, b []byte) {
			t.Helper()
			if err := key.OpenFile(io.Discard, bytes.NewReader(b)); err != ErrSealedFile {
				t.Errorf("%d bytes, %s: %v", n, what, err)
			}
		}
		whole := sealed.Bytes()
		for at := 0; at < len(whole); at += 1 + len(whole)/61 {
			changed := bytes.Clone(whole)
			changed[at] ^= 0x10
			bad("changed", changed)
			bad("cut", whole[:at])
		}
		bad("extended", append(bytes.Clone(whole), 0))
		if n == 2*fileChunk+77 {
			head := len(whole) - n - 3*tagSize
			size := fileChunk + tagSize
			a, b, c := whole[head:head+size], whole[head+size:head+2*size], whole[head+2*size:]
			bad("chunks exchanged", bytes.Join([][]byte{whole[:head], b, a, c}, nil))
			bad("last chunk cut off", whole[:head+2*size])
			bad("middle chunk left out", bytes.Join([][]byte{whole[:head], a, c}, nil))
		}
	}
	stranger, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	if err := stranger.Public().SealFile(&sealed, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := key.OpenFile(io.Discard, &sealed); err != ErrSealedFile {
		t.Errorf("another's file: %v", err)
	}
}

// signedByTool makes a certificate authority with the tool and lets it sign a
// request of ours.
func signedByTool(t *testing.T, o *openssl, request []byte, days string) (root, leaf []*Certificate) {
	t.Helper()
	o.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-pkeyopt", "ec_param_enc:named_curve", "-out", "ca.key")
	o.run("req", "-x509", "-new", "-key", "ca.key", "-sm3", "-sigopt", "distid:"+DefaultID, "-subj", "/C=CN/O=测试/CN=root", "-utf8", "-days", "3650", "-out", "ca.pem",
		"-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
	o.write("req.pem", request)
	if out := string(o.run("req", "-verify", "-in", "req.pem", "-noout", "-vfyopt", "distid:"+DefaultID, "-subject")); !strings.Contains(out, "bank") {
		t.Errorf("the tool reads our request as %s", out)
	}
	o.run("x509", "-req", "-in", "req.pem", "-vfyopt", "distid:"+DefaultID, "-CA", "ca.pem", "-CAkey", "ca.key", "-sm3", "-sigopt", "distid:"+DefaultID, "-days", days, "-set_serial", "77", "-out", "leaf.pem")
	read := func(name string) []*Certificate {
		b, err := os.ReadFile(filepath.Join(o.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseCertificates(b)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return read("ca.pem"), read("leaf.pem")
}

// TestCertificates takes a request of ours to an authority of the tool's and
// checks what comes back.
func TestCertificates(t *testing.T) {
	o, key := newOpenSSL(t), standardKey(t)
	request, err := NewRequest(key, "/C=CN/ST=江苏/O=电力/CN=bank")
	if err != nil {
		t.Fatal(err)
	}
	root, leaf := signedByTool(t, o, request, "365")
	c := leaf[0]
	if !c.Key().Equal(key.Public()) || c.Serial() != "4D" || !strings.Contains(c.Subject(), "CN=bank") || !strings.Contains(c.Issuer(), "CN=root") {
		t.Errorf("got %s of %s, %s", c.Subject(), c.Issuer(), c.Serial())
	}
	from, to := c.Validity()
	for when, good := range map[time.Time]bool{from.Add(time.Minute): true, to.Add(time.Second): false, from.Add(-time.Second): false} {
		if err := VerifyChain(leaf, root, when); (err == nil) != good {
			t.Errorf("at %s: %v", when, err)
		}
	}
	if err := VerifyChain(root, leaf, from); err == nil {
		t.Error("a leaf was taken for a root")
	}
	other, _ := signedByTool(t, newOpenSSL(t), request, "365")
	if err := VerifyChain(leaf, other, from.Add(time.Minute)); err == nil {
		t.Error("verified under another root of the same name")
	}
	if again, err := ParseCertificates(c.PEM()); err != nil || !again[0].Key().Equal(c.Key()) {
		t.Errorf("PEM: %v", err)
	}
	for i := range c.cert.Raw {
		bad := bytes.Clone(c.cert.Raw)
		bad[i] ^= 1
		if changed, err := parseCertificate(bad); err == nil && VerifyChain([]*Certificate{changed}, root, from.Add(time.Minute)) == nil {
			t.Errorf("byte %d changed: verified", i)
		}
	}
}

func TestSubjectsAreChecked(t *testing.T) {
	for _, s := range []string{"", "CN=x", "/CN", "/O=x", "/CN=x/DC=y", "/CN="} {
		if _, err := NewRequest(standardKey(t), s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
	for _, text := range []string{"", "x", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"} {
		if _, err := ParseCertificates([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
