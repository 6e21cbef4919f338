package gm

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/x509/pkix"
	"github.com/tjfoc/gmsm/gmtls"
	tjfoc "github.com/tjfoc/gmsm/sm2"
	"github.com/tjfoc/gmsm/x509"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *tjfoc.PrivateKey
	n    int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", x509.KeyUsageCertSign)
	return a
}

// issue writes name.crt and name.key.
func (a *authority) issue(name string, use x509.KeyUsage) (*x509.Certificate, *tjfoc.PrivateKey) {
	a.t.Helper()
	key, err := tjfoc.GenerateKey(rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	c := &x509.Certificate{SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: strings.TrimSuffix(name, "-enc")}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: use, BasicConstraintsValid: true, IsCA: use == x509.KeyUsageCertSign, DNSNames: []string{strings.TrimSuffix(name, "-enc")},
		SignatureAlgorithm: x509.SM2WithSM3, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	text, err := x509.WritePrivateKeyToPem(key, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	a.write(name+".key", text)
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out, key
}

func (a *authority) write(name string, b []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), b, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// files are those of a name with an encryption pair, unless it has none.
func (a *authority) files(name string) TLCPFiles {
	f := TLCPFiles{CA: a.path("ca.crt")}
	if name != "" {
		a.issue(name, x509.KeyUsageDigitalSignature)
		a.issue(name+"-enc", x509.KeyUsageKeyEncipherment|x509.KeyUsageDataEncipherment)
		f.Cert, f.Key, f.EncCert, f.EncKey = a.path(name+".crt"), a.path(name+".key"), a.path(name+"-enc.crt"), a.path(name+"-enc.key")
	}
	return f
}

// shake connects a client with a server and sends a text each way.
func shake(t *testing.T, server *TLCP, client func(net.Conn) net.Conn) error {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer nc.Close()
		c := server.Conn(nc)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err = c.(*tlcpConn).HandshakeContext(ctx)
		if err == nil {
			_, err = io.CopyN(c, c, 5)
		}
		done <- err
	}()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := client(nc)
	if _, err := c.Write([]byte("hello")); err == nil {
		got := make([]byte, 5)
		if _, err := io.ReadFull(c, got); err == nil && string(got) != "hello" {
			t.Errorf("got %q", got)
		}
	}
	nc.Close()
	return <-done
}

func mustTLCP(t *testing.T, f TLCPFiles, o TLCPOptions) *TLCP {
	t.Helper()
	c, err := NewTLCP(f, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTLCP(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	server, bank, stranger := a.files("gateway"), a.files("bank"), other.files("bank")
	stranger.CA = a.path("ca.crt")
	for _, c := range []struct {
		what   string
		server TLCPOptions
		client TLCPFiles
		name   string
		good   bool
	}{
		{"both prove themselves", TLCPOptions{Server: true, Verify: true}, bank, "gateway", true},
		{"named client", TLCPOptions{Server: true, Verify: true, Names: []string{"bank"}}, bank, "gateway", true},
		{"other name", TLCPOptions{Server: true, Verify: true, Names: []string{"rival"}}, bank, "gateway", false},
		{"client of another CA", TLCPOptions{Server: true, Verify: true}, stranger, "gateway", false},
		{"client without certificate", TLCPOptions{Server: true, Verify: true}, TLCPFiles{CA: a.path("ca.crt")}, "gateway", false},
		{"none wanted", TLCPOptions{Server: true}, TLCPFiles{CA: a.path("ca.crt")}, "gateway", true},
		{"server of another name", TLCPOptions{Server: true}, bank, "elsewhere", false},
		{"server of another CA", TLCPOptions{Server: true}, TLCPFiles{CA: other.path("ca.crt")}, "gateway", false},
	} {
		err := shake(t, mustTLCP(t, server, c.server), mustTLCP(t, c.client, TLCPOptions{ServerName: c.name}).Conn)
		if c.good != (err == nil) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// TestTLCPOtherSuites offers the suite whose handler panics in the library, and
// all others: none is spoken, and the server lives on.
func TestTLCPOtherSuites(t *testing.T) {
	a := newAuthority(t)
	server := mustTLCP(t, a.files("gateway"), TLCPOptions{Server: true})
	roots, err := tlcpRoots(a.path("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, suite := range []uint16{gmtls.GMTLS_ECDHE_SM2_WITH_SM4_SM3, 0xe017, 0xe053, 0xe051, 0x002f} {
		err := shake(t, server, func(nc net.Conn) net.Conn {
			c := mustTLCP(t, TLCPFiles{CA: a.path("ca.crt")}, TLCPOptions{ServerName: "gateway"})
			c.config = &gmtls.Config{GMSupport: gmtls.NewGMSupport(), CipherSuites: []uint16{suite}, RootCAs: roots, ServerName: "gateway"}
			return c.Conn(nc)
		})
		if err == nil {
			t.Errorf("suite %04x is spoken", suite)
		}
	}
	if err := shake(t, server, mustTLCP(t, TLCPFiles{CA: a.path("ca.crt")}, TLCPOptions{ServerName: "gateway"}).Conn); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestTLCPSecretIsFenced sends what would make the library leak, panic or tell:
// every answer is a secret of the same length.
func TestTLCPSecretIsFenced(t *testing.T) {
	key, err := tjfoc.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := &fencedKey{*key}
	secret := make([]byte, premaster)
	good, err := tjfoc.Encrypt(&key.PublicKey, secret, rand.Reader, tjfoc.C1C3C2)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := k.Decrypt(nil, good, nil); err != nil || string(got) != string(secret) {
		t.Fatalf("%x, %v", got, err)
	}
	bad := [][]byte{nil, {4}, good[:97], append([]byte{2}, good[1:]...), append(good, 0)}
	for i := range good {
		m := append([]byte(nil), good...)
		m[i] ^= 1
		bad = append(bad, m)
	}
	for i, m := range bad {
		if got, err := k.Decrypt(nil, m, nil); err != nil || len(got) != premaster || string(got) == string(secret) {
			t.Errorf("%d: %x, %v", i, got, err)
		}
	}
}

func TestTLCPFilesAreChecked(t *testing.T) {
	a := newAuthority(t)
	f := a.files("gateway")
	for what, c := range map[string]struct {
		f TLCPFiles
		o TLCPOptions
	}{
		"no encryption pair": {TLCPFiles{Cert: f.Cert, Key: f.Key, CA: f.CA}, TLCPOptions{Server: true}},
		"no CA":              {TLCPFiles{}, TLCPOptions{}},
		"absent":             {TLCPFiles{CA: a.path("absent")}, TLCPOptions{}},
		"key for another":    {TLCPFiles{Cert: f.Cert, Key: f.EncKey, EncCert: f.EncCert, EncKey: f.EncKey, CA: f.CA}, TLCPOptions{Server: true}},
		"CA is a key":        {TLCPFiles{CA: f.Key}, TLCPOptions{}},
	} {
		if _, err := NewTLCP(c.f, c.o); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if err := os.Chmod(f.EncKey, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := NewTLCP(f, TLCPOptions{Server: true}); err == nil {
		t.Error("a key that others can read is accepted")
	}
}
