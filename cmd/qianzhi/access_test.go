package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"qianzhi/cmd/internal/app"
	"qianzhi/gateway/access"
)

// change rewrites the configuration.
func (h *house) change(pairs ...string) {
	h.t.Helper()
	b, err := os.ReadFile(h.config())
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if !bytes.Contains(b, []byte(pairs[i])) {
			h.t.Fatalf("configuration has no %q", pairs[i])
		}
		b = bytes.Replace(b, []byte(pairs[i]), []byte(pairs[i+1]), 1)
	}
	if err := os.WriteFile(h.config(), b, 0o600); err != nil {
		h.t.Fatal(err)
	}
	if h.c, err = app.Load(h.config()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) write(name, text string) string {
	h.t.Helper()
	name = filepath.Join(h.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return name
}

// serve runs the daemon until the test ends.
func (h *house) serve() {
	h.t.Helper()
	daemon := program(h.t, &h.out, "serve", "--config", h.config())
	h.t.Cleanup(func() {
		if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
			h.t.Error(err)
		}
		if err := daemon.Wait(); err != nil {
			h.t.Errorf("%v: %s", err, h.out.String())
		}
	})
	Until(h.t, 30*time.Second, "daemon serves", func() bool { return strings.Count(h.out.String(), "msg=serving") == len(h.c.Links) })
}

// certificates makes a CA and a certificate for each name.
func (h *house) certificates(names ...string) {
	h.t.Helper()
	var ca *x509.Certificate
	var caKey *ecdsa.PrivateKey
	for i, name := range append([]string{"ca"}, names...) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			h.t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: ca == nil, DNSNames: []string{name}}
		if ca == nil {
			ca, caKey = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			h.t.Fatal(err)
		}
		h.write(name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		h.write(name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})))
	}
}

// tunnel takes plain connections and carries them over TLS to an address.
func (h *house) tunnel(to, client string) string {
	h.t.Helper()
	roots := x509.NewCertPool()
	b, err := os.ReadFile(filepath.Join(h.dir, "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(b) {
		h.t.Fatal(err)
	}
	c := &tls.Config{RootCAs: roots, ServerName: "gateway"}
	if client != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(h.dir, client+".crt"), filepath.Join(h.dir, client+".pem"))
		if err != nil {
			h.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := tls.Dial("tcp", to, c)
				if err != nil {
					return
				}
				defer out.Close()
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = io.Copy(out, in); out.Close() })
				_, _ = io.Copy(in, out)
				in.Close()
				wg.Wait()
			}()
		}
	}()
	return ln.Addr().String()
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestAccessOfLinks runs a real daemon whose links know their terminals, their
// addresses, their certificates and how often a customer pays.
func TestAccessOfLinks(t *testing.T) {
	h := newHouse(t)
	h.certificates("gateway", "bank", "rival")
	h.write("terminals.yaml", "terminals:\n  - {terminal: \"60120001\", merchant: \"301051249000001\"}\n  - {terminal: \"60120002\", disabled: true}\n")
	console := freePort(t)
	pos, fixed, web := h.link("pos").Listen, h.link("fixed").Listen, h.link("http").Listen
	secure := "tls: {mode: tls, cert: gateway.crt, key: gateway.pem, ca: ca.crt, names: [bank]}"
	h.change("    listen: "+pos, "    listen: "+pos+"\n    access: {terminals: terminals.yaml, sign_on: true}",
		"    listen: "+fixed, "    listen: "+fixed+"\n    "+secure,
		"    listen: "+web, "    listen: "+web+"\n    access: {allow: [10.9.0.0/16]}",
		"customer: {events: 0, per: 1m}", "customer: {events: 2, per: 1h}", `listen: ""`, "listen: "+console)
	h.run(0, nil, "check", "--config", h.config())
	h.serve()
	at := func(terminal, merchant string) []string {
		return []string{"--field", "terminal=" + terminal, "--field", "merchant=" + merchant, "--field", "batch=000001"}
	}
	want := func(reply, text string) {
		t.Helper()
		if !strings.Contains(reply, text) {
			t.Errorf("want %s in %s", text, reply)
		}
	}
	good := at("60120001", "301051249000001")
	pays := func(serial string) string {
		return h.send("pos", append(good, "--sign-on", "--op", "pay", "--serial", serial, "--account", "0512000009", "--amount", "1.00")...)
	}
	// Terminals.
	for _, bad := range [][]string{at("60129999", "301051249000001"), at("60120002", "301051249000001"), at("60120001", "999999999999999")} {
		l := h.link("pos")
		var out stream
		h.run(2, &out, append([]string{"send", "--link", filepath.Join(h.dir, l.File), "--to", l.Listen, "--key", "master=" + filepath.Join(h.dir, "keys/terminal-master.sm4"),
			"--sign-on", "--op", "query", "--account", "0512000009"}, bad...)...)
		want(out.String(), "签到: declined")
	}
	// A customer pays twice an hour; the third time is refused for good, and a
	// repeat of it and of the first one are answered as before.
	pays("700001")
	pays("700002")
	third := pays("700003")
	want(third, `"verdict": "declined"`)
	want(pays("700003"), `"verdict": "declined"`)
	for serial, frequent := range map[string]bool{"700001": false, "700002": false, "700003": true} {
		var list stream
		h.run(-1, &list, "journal", "find", "--config", h.config(), "--serial", serial, "-o", "json")
		if got := list.String(); !strings.Contains(got, serial) || frequent != strings.Contains(got, "frequent") {
			t.Errorf("%s: %s", serial, got)
		}
	}
	// TLS, with the certificate of the bank and of somebody else of the same CA.
	sends := func(to string) string {
		var out stream
		h.run(-1, &out, "send", "--link", filepath.Join(h.dir, h.link("fixed").File), "--to", to, "--op", "echo", "--timeout", "10s")
		return out.String()
	}
	want(sends(h.tunnel(fixed, "bank")), `"verdict": "approved"`)
	want(sends(h.tunnel(fixed, "rival")), "没有可信的应答")
	want(sends(h.tunnel(fixed, "")), "没有可信的应答")
	want(sends(fixed), "没有可信的应答")
	// The address that may not connect is counted.
	for range 3 {
		c, err := net.Dial("tcp", web)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Read(make([]byte, 1))
		c.Close()
	}
	want(h.get("http://"+console+"/metrics"), `qianzhi_connections_refused_total{link="http"} 3`)
	h.curl(console)
}

func (h *house) get(url string) string {
	h.t.Helper()
	c := &http.Client{Timeout: 20 * time.Second}
	defer c.CloseIdleConnections()
	res, err := c.Get(url)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// curl logs in as people's scripts do.
func (h *house) curl(console string) {
	h.t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") == "1" {
			h.t.Fatal("no curl")
		}
		h.t.Log("no curl on this machine")
		return
	}
	h.t.Setenv("QIANZHI_NEW_PASSWORD", secretPassword)
	var out stream
	h.run(0, &out, "user", "add", "--config", h.config(), "--person", "A001", "--role", "administrator", "zhang")
	_, secret, _ := strings.Cut(out.String(), "secret=")
	secret, _, _ = strings.Cut(strings.TrimSpace(secret), "&")
	code, err := access.Code(access.Secret(secret), time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	login := h.write("login.json", fmt.Sprintf(`{"name":"zhang","password":%q,"code":%q}`, secretPassword, code))
	jar := filepath.Join(h.dir, "jar")
	run := func(args ...string) string {
		h.t.Helper()
		b, err := exec.Command("curl", append([]string{"-s", "-S", "-b", jar, "-c", jar, "-m", "20"}, args...)...).CombinedOutput()
		if err != nil {
			h.t.Fatalf("%v: %s", err, b)
		}
		return string(b)
	}
	url := "http://" + console + "/v1/"
	_, csrf, _ := strings.Cut(run("-H", "Content-Type: application/json", "-d", "@"+login, url+"login"), `"csrf":"`)
	csrf, _, _ = strings.Cut(csrf, `"`)
	for _, c := range []struct {
		args []string
		want string
	}{{[]string{url + "status"}, `"links":`}, {[]string{"-d", `{"name":"x","reason":"y"}`, url + "users/lock"}, "X-CSRF-Token"},
		{[]string{"-H", "X-CSRF-Token: " + csrf, "-d", `{"name":"x","reason":"y"}`, url + "users/lock"}, "没有这个用户"},
		{[]string{"-H", "X-CSRF-Token: " + csrf, "-d", `{"day":"20991231","reason":"y"}`, url + "day/cut"}, "无此权限"}} {
		if got := run(c.args...); csrf == "" || !strings.Contains(got, c.want) {
			h.t.Errorf("%v: got %s, want %s", c.args, got, c.want)
		}
	}
}

// TestConsoleNeedsTLSBeyondThisMachine names the key that has to change.
func TestConsoleNeedsTLSBeyondThisMachine(t *testing.T) {
	h := newHouse(t)
	b, err := os.ReadFile(h.config())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{`listen: "0.0.0.0:7090"`: "admin: listen: 0.0.0.0:7090 is not a loopback address, which needs admin.tls",
		"listen: \"0.0.0.0:7090\"\n  tls: {mode: tls, cert: x.crt}": "admin: tls: key: cert and key go together"} {
		name := h.write("bad.yaml", strings.Replace(string(b), `listen: ""`, text, 1))
		var out stream
		h.run(2, &out, "check", "--config", name)
		if got := out.String(); !strings.Contains(got, want) || !strings.Contains(got, fmt.Sprintf("%s:", name)) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	h.certificates("gateway", "bank", "rival")
	h.change(`listen: ""`, "listen: 127.0.0.1:0\n  tls: {mode: tls, cert: gateway.crt, key: gateway.pem}")
	h.run(0, nil, "check", "--config", h.config())
	if err := os.Chmod(filepath.Join(h.dir, "data", "journal"), 0o755); err != nil {
		t.Fatal(err)
	}
	var out stream
	h.run(2, &out, "serve", "--config", h.config())
	if got := out.String(); !strings.Contains(got, "文件权限不安全, 拒绝启动") {
		t.Errorf("got %s", got)
	}
}
