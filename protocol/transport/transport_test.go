package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", time.Hour)
	return a
}

func (a *authority) ok(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) issue(name string, last time.Duration) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.ok(err)
	a.n++
	c := &x509.Certificate{SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(last),
		BasicConstraintsValid: true, IsCA: name == "ca", DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	a.ok(err)
	text, err := x509.MarshalPKCS8PrivateKey(key)
	a.ok(err)
	a.ok(os.WriteFile(a.path(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	a.ok(os.WriteFile(a.path(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}), 0o600))
	out, err := x509.ParseCertificate(der)
	a.ok(err)
	return out, key
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) server(change func(*Options)) Options {
	o := Options{Mode: ModeTLS, Cert: "gateway.crt", Key: "gateway.key", CA: "ca.crt"}
	if change != nil {
		change(&o)
	}
	return o
}

// echo accepts one connection and returns what is said about it.
func (a *authority) echo(wrap Wrap) (addr string, done chan error) {
	a.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	a.ok(err)
	done = make(chan error, 1)
	go func() {
		defer ln.Close()
		nc, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer nc.Close()
		if err = nc.SetDeadline(time.Now().Add(20 * time.Second)); err == nil {
			c := wrap(nc)
			_, err = io.CopyN(c, c, 5)
		}
		done <- err
	}()
	return ln.Addr().String(), done
}

// talk says five bytes over a secured connection and wants them back.
func (a *authority) talk(server, client Wrap) error {
	a.t.Helper()
	addr, done := a.echo(server)
	nc, err := net.Dial("tcp", addr)
	a.ok(err)
	defer nc.Close()
	a.ok(nc.SetDeadline(time.Now().Add(20 * time.Second)))
	c := client(nc).(*tls.Conn)
	err = c.HandshakeContext(context.Background())
	if err == nil {
		if _, err = c.Write([]byte("hello")); err == nil {
			_, err = io.ReadFull(c, make([]byte, 5))
		}
	}
	nc.Close()
	if seen := <-done; err == nil {
		err = seen
	}
	return err
}

func TestBothSidesProveThemselves(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	for _, name := range []string{"gateway", "bank", "rival"} {
		a.issue(name, time.Hour)
	}
	other.issue("bank", time.Hour)
	a.issue("old", -time.Hour)
	client := func(change func(*Options)) Options {
		o := Options{Mode: ModeTLS, Cert: "bank.crt", Key: "bank.key", CA: "ca.crt", ServerName: "gateway"}
		change(&o)
		return o
	}
	names := func(o *Options) { o.Names = []string{"bank"} }
	for _, c := range []struct {
		what   string
		server func(*Options)
		client func(*Options)
		good   bool
	}{
		{"both", nil, func(*Options) {}, true},
		{"named", names, func(*Options) {}, true},
		{"another of the same CA", names, func(o *Options) { o.Cert, o.Key = "rival.crt", "rival.key" }, false},
		{"of another CA", nil, func(o *Options) { o.Cert, o.Key = other.path("bank.crt"), other.path("bank.key") }, false},
		{"expired", nil, func(o *Options) { o.Cert, o.Key = "old.crt", "old.key" }, false},
		{"without certificate", nil, func(o *Options) { o.Cert, o.Key = "", "" }, false},
		{"none wanted", func(o *Options) { o.Client, o.CA = "none", "" }, func(o *Options) { o.Cert, o.Key = "", "" }, true},
		{"server of another name", nil, func(o *Options) { o.ServerName = "elsewhere" }, false},
		{"server of another CA", nil, func(o *Options) { o.CA = other.path("ca.crt") }, false},
		{"1.3 on both", func(o *Options) { o.Min = "1.3" }, func(o *Options) { o.Min = "1.3" }, true},
	} {
		path := func(s string) string {
			if filepath.IsAbs(s) {
				return s
			}
			return a.path(s)
		}
		server, err := a.server(c.server).Server(path)
		a.ok(err)
		dial, err := client(c.client).Dial(path)
		a.ok(err)
		if err := a.talk(server, dial); c.good != (err == nil) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestOldVersionsAreRefused(t *testing.T) {
	a := newAuthority(t)
	a.issue("gateway", time.Hour)
	for _, c := range []struct {
		min  string
		max  uint16
		good bool
	}{{"", tls.VersionTLS11, false}, {"", tls.VersionTLS12, true}, {"1.3", tls.VersionTLS12, false}, {"1.3", tls.VersionTLS13, true}} {
		server, err := a.server(func(o *Options) { o.Client, o.CA, o.Min = "none", "", c.min }).Server(a.path)
		a.ok(err)
		roots := x509.NewCertPool()
		roots.AddCert(a.cert)
		err = a.talk(server, func(nc net.Conn) net.Conn {
			return tls.Client(nc, &tls.Config{RootCAs: roots, ServerName: "gateway", MinVersion: tls.VersionTLS10, MaxVersion: c.max})
		})
		if c.good != (err == nil) {
			t.Errorf("min %q with %x: %v", c.min, c.max, err)
		}
	}
}

// TestRenewal replaces a certificate under a running listener; a wrong file
// leaves the old one in force.
func TestRenewal(t *testing.T) {
	a := newAuthority(t)
	a.issue("gateway", time.Hour)
	o := a.server(func(o *Options) { o.Client, o.CA = "none", "" })
	c := &current{o: o, path: a.path}
	first, err := c.load()
	a.ok(err)
	look := func() *material {
		c.mu.Lock()
		c.looked = time.Time{}
		c.mu.Unlock()
		return c.get()
	}
	if look() != first {
		t.Error("read again without a change")
	}
	a.ok(os.WriteFile(a.path("gateway.crt"), []byte("half a file"), 0o600))
	if look() != first {
		t.Error("a wrong file is taken over")
	}
	cert, _ := a.issue("gateway", 2*time.Hour)
	a.ok(os.Chtimes(a.path("gateway.crt"), time.Time{}, time.Now().Add(time.Minute)))
	if got := look(); got == first || got.cert.Leaf.SerialNumber.Cmp(cert.SerialNumber) != 0 {
		t.Error("the new certificate is not served")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		o   Options
		key string
	}{{Options{Cert: "x"}, "mode"}, {Options{Mode: "ssl"}, "mode"}, {Options{Mode: "tls", Cert: "x"}, "key"}, {Options{Mode: "tls", EncCert: "x", EncKey: "x"}, "enc_cert"},
		{Options{Mode: "tlcp", EncCert: "x"}, "enc_key"}, {Options{Mode: "tlcp", Min: "1.2"}, "min"}, {Options{Mode: "tls", Min: "1.1"}, "min"},
		{Options{Mode: "tls", Client: "maybe"}, "client"}, {Options{Mode: "tls", Client: "none", Names: []string{"x"}}, "names"}} {
		if err := c.o.Check(); err == nil || !strings.HasPrefix(err.Error(), c.key+":") {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	for _, c := range []struct {
		o   Options
		key string
	}{{Options{Mode: "tls"}, "cert"}, {Options{Mode: "tls", Cert: "a", Key: "b"}, "ca"}, {Options{Mode: "tlcp", Cert: "a", Key: "b", CA: "c"}, "enc_cert"},
		{Options{Mode: "tls", Cert: "a", Key: "b", CA: "c", ServerName: "x"}, "server_name"}} {
		if err := c.o.CheckServer(); err == nil || !strings.HasPrefix(err.Error(), c.key+":") {
			t.Errorf("server %+v: %v", c.o, err)
		}
	}
	for _, c := range []struct {
		o   Options
		key string
	}{{Options{Mode: "tls", ServerName: "x"}, "ca"}, {Options{Mode: "tls", CA: "x"}, "server_name"}, {Options{Mode: "tls", CA: "x", ServerName: "x", Client: "none"}, "client"}} {
		if err := c.o.CheckClient(); err == nil || !strings.HasPrefix(err.Error(), c.key+":") {
			t.Errorf("client %+v: %v", c.o, err)
		}
	}
	a := newAuthority(t)
	a.issue("gateway", time.Hour)
	a.ok(os.Chmod(a.path("gateway.key"), 0o640))
	if _, err := a.server(nil).Server(a.path); err == nil || !strings.Contains(err.Error(), "mode 640") {
		t.Errorf("a key that others can read: %v", err)
	}
}

// TestOpenSSL has an independent client speak both versions, with and without a
// certificate.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "1" {
			t.Fatal("no openssl")
		}
		t.Skip("no openssl on this machine")
	}
	a := newAuthority(t)
	a.issue("gateway", time.Hour)
	a.issue("bank", time.Hour)
	server, err := a.server(func(o *Options) { o.Names = []string{"bank"} }).Server(a.path)
	a.ok(err)
	for _, c := range []struct {
		args []string
		good bool
	}{{[]string{"-tls1_2", "-cert", a.path("bank.crt"), "-key", a.path("bank.key")}, true}, {[]string{"-tls1_3", "-cert", a.path("bank.crt"), "-key", a.path("bank.key")}, true},
		{[]string{"-tls1_2"}, false}, {[]string{"-tls1_3"}, false}, {[]string{"-tls1_2", "-cert", a.path("gateway.crt"), "-key", a.path("gateway.key")}, false}} {
		addr, done := a.echo(server)
		cmd := exec.CommandContext(t.Context(), "openssl", append([]string{"s_client", "-quiet", "-verify_return_error", "-CAfile", a.path("ca.crt"), "-servername", "gateway",
			"-verify_hostname", "gateway", "-connect", addr}, c.args...)...)
		in, err := cmd.StdinPipe()
		a.ok(err)
		out, err := cmd.StdoutPipe()
		a.ok(err)
		a.ok(cmd.Start())
		_, _ = in.Write([]byte("hello")) // a refused client may be gone
		got, _ := io.ReadAll(out)
		in.Close()
		_ = cmd.Wait() // its status differs between versions; what came back counts
		if err := <-done; c.good != (err == nil && strings.HasPrefix(string(got), "hello")) {
			t.Errorf("%v: %q, %v", c.args, got, err)
		}
	}
}
