package alert

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func message(e Event) Message {
	return Message{ID: "run-finished/20261120/B1/r2", Event: e, Level: Info, At: "2026-11-21T02:00:00+08:00", Node: "1", Day: "20261120", Channel: "B1", Exit: 3,
		Text: "结论 未齐  对账日 2026-11-20", Result: json.RawMessage(`{"exit":3}`)}
}

// program writes a shell script.
func program(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

func TestHookGetsTheResult(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("QIANZHI_NODE_SECRET", "of the daemon")
	program(t, filepath.Join(dir, "run-finished"), `{ echo "$# $1 $QIANZHI_EVENT $QIANZHI_CHANNEL $QIANZHI_DAY [$QIANZHI_NODE_SECRET]"; cat; } > `+dir+"/out\n", 0o700)
	h := &hooks{dir: dir, limit: time.Minute}
	m := message(RunFinished)
	if !h.wants(&m) {
		t.Fatal("not wanted")
	}
	if err := h.send(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil || string(b) != "1 3 run-finished B1 20261120 []\n{\"exit\":3}" {
		t.Errorf("the program got %q, %v", b, err)
	}
	if other := message(Signed); h.wants(&other) {
		t.Error("wanted without a program")
	}
}

func TestHooksThatFail(t *testing.T) {
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"fails", "echo no luck; exit 7\n", 0o700, "exit status 7: no luck"},
		{"talks", "head -c 100000 /dev/zero | tr '\\0' x; exit 1\n", 0o700, "exit status 1: xxx"},
		{"hangs, with a child", "sleep 600 & sleep 600\n", 0o700, "deadline exceeded after 300ms"},
		{"is no program", "exit 0\n", 0o600, "is no program"},
		{"is anybody's", "exit 0\n", 0o722, "can be changed by others"},
		{"is in anybody's folder", "exit 0\n", 0o700, "can be changed by others"},
	} {
		dir := t.TempDir()
		if strings.HasPrefix(c.name, "is in") {
			if err := os.Chmod(dir, 0o722); err != nil {
				t.Fatal(err)
			}
		}
		program(t, filepath.Join(dir, "overdue"), c.text, c.mode)
		h := &hooks{dir: dir, limit: 300 * time.Millisecond}
		if !strings.HasPrefix(c.name, "hangs") {
			h.limit = time.Minute
		}
		m := message(Overdue)
		began := time.Now()
		err := h.send(t.Context(), &m)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 5000 {
			t.Errorf("%s: got %.200v, want %s", c.name, err, c.want)
		}
		if _, ok := err.(final); !ok {
			t.Errorf("%s: would be run again", c.name)
		}
		if time.Since(began) > 30*time.Second {
			t.Errorf("%s: took %s", c.name, time.Since(began))
		}
	}
}

// sending runs a sender until the test ends.
func sending(t *testing.T, o Options, log *slog.Logger) *Sender {
	t.Helper()
	s := NewSender(o, log)
	s.gaps = []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

type call struct {
	key, sign string
	body      []byte
}

// receiver answers with the codes in turn, the last one for ever.
func receiver(t *testing.T, codes ...int) (*httptest.Server, chan call) {
	calls := make(chan call, 100)
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		calls <- call{r.Header.Get("Idempotency-Key"), r.Header.Get("X-Qianzhi-Signature"), b}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(codes[0])
		if len(codes) > 1 {
			codes = codes[1:]
		}
	}))
	t.Cleanup(s.Close)
	return s, calls
}

func TestWebhookRepeats(t *testing.T) {
	s, calls := receiver(t, 503, 429, 200)
	key := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(key, []byte("k3y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Webhook: WebhookOptions{URL: s.URL + "/in", Secret: key}}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	sending(t, o, slog.New(slog.DiscardHandler)).Send(message(RunFinished))
	for n := range 3 {
		c := <-calls
		mac := hmac.New(sha256.New, []byte("k3y"))
		mac.Write(c.body)
		if c.key != "run-finished/20261120/B1/r2" || c.sign != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("call %d: key %q, signature %q", n+1, c.key, c.sign)
		}
		var m Message
		if err := json.Unmarshal(c.body, &m); err != nil || m.Text != "结论 未齐  对账日 2026-11-20" || string(m.Result) != `{"exit":3}` {
			t.Errorf("call %d: %s, %v", n+1, c.body, err)
		}
	}
}

// TestWebhookGivesUp counts the tries: one where a repeat does not help, all
// that there are where it might. The log has the message, and no secret.
func TestWebhookGivesUp(t *testing.T) {
	for code, want := range map[int]int{400: 1, 302: 1, 404: 1, 500: 4} {
		s, calls := receiver(t, code)
		var log lines
		snd := sending(t, Options{Webhook: WebhookOptions{URL: s.URL + "/in?token=s3cret"}}, slog.New(slog.NewTextHandler(&log, nil)))
		snd.Send(message(RunFinished))
		log.wait(t, "message not delivered")
		if len(calls) != want {
			t.Errorf("%d: %d calls, want %d", code, len(calls), want)
		}
		s.Close()
		snd.Send(message(Signed))
		log.wait(t, "connection refused")
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("the log tells the secret: %s", log.String())
		}
	}
}

func TestSecretsMustBePrivate(t *testing.T) {
	s, calls := receiver(t, 200)
	key := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(key, []byte("k3y"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := newWebhook(WebhookOptions{URL: s.URL, Secret: key})
	m := message(RunFinished)
	if err := w.send(t.Context(), &m); err == nil || !strings.Contains(err.Error(), "open to others") || len(calls) != 0 {
		t.Errorf("got %v, %d calls", err, len(calls))
	}
}

// TestFullQueueDrops sends to somebody who takes nothing: sending never waits.
func TestFullQueueDrops(t *testing.T) {
	var log lines
	s := NewSender(Options{Webhook: WebhookOptions{URL: "http://127.0.0.1:1"}}, slog.New(slog.NewTextHandler(&log, nil)))
	for range waiting + 3 {
		s.Send(message(RunFinished))
	}
	if n := strings.Count(log.String(), "message dropped"); n != 3 {
		t.Errorf("%d dropped, want 3", n)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "message not delivered"); n != waiting {
		t.Errorf("%d are told lost, want %d", n, waiting)
	}
}

// lines is a log that can be waited on.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
	on chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.on != nil {
		select {
		case l.on <- struct{}{}:
		default:
		}
	}
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) wait(t *testing.T, text string) {
	t.Helper()
	l.mu.Lock()
	if l.on == nil {
		l.on = make(chan struct{}, 1)
	}
	l.mu.Unlock()
	limit := time.After(20 * time.Second)
	for !strings.Contains(l.String(), text) {
		select {
		case <-l.on:
		case <-limit:
			t.Fatalf("no %q in %s", text, l.String())
		}
	}
}

// post is a relay that takes one letter after another.
type post struct {
	addr    string
	pool    *x509.CertPool
	letters chan letter
}

type letter struct {
	secure   bool
	to       []string
	login    string
	text     string
	deferred bool
}

func relay(t *testing.T, offer bool, refuse int) *post {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &post{addr: l.Addr().String(), pool: x509.NewCertPool(), letters: make(chan letter, 10)}
	p.pool.AddCert(cert)
	conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(c, conf, offer, refuse)
		}
	}()
	return p
}

func (p *post) serve(c net.Conn, conf *tls.Config, offer bool, refuse int) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	say := func(text string) { fmt.Fprint(c, text+"\r\n") }
	say("220 relay")
	var l letter
	for {
		in, err := r.ReadString('\n')
		if err != nil {
			return
		}
		in = strings.TrimSpace(in)
		switch verb, rest, _ := strings.Cut(in, " "); strings.ToUpper(verb) {
		case "EHLO":
			say("250-relay")
			if offer && !l.secure {
				say("250-STARTTLS")
			}
			say("250 AUTH PLAIN")
		case "STARTTLS":
			say("220 go")
			c = tls.Server(c, conf)
			r = bufio.NewReader(c)
			l.secure = true
		case "AUTH":
			b, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rest, "PLAIN "))
			l.login = string(b)
			say("235 ok")
		case "RCPT":
			if refuse != 0 {
				say(fmt.Sprintf("%d no", refuse))
				p.letters <- letter{deferred: true}
				return
			}
			l.to = append(l.to, strings.Trim(strings.TrimPrefix(rest, "TO:"), "<>"))
			say("250 ok")
		case "DATA":
			say("354 go")
			for {
				in, err := r.ReadString('\n')
				if err != nil || in == ".\r\n" {
					break
				}
				l.text += in
			}
			p.letters <- l
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func TestMail(t *testing.T) {
	for _, offer := range []bool{true, false} {
		p := relay(t, offer, 0)
		pass := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(pass, []byte("pa55\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := MailOptions{Relay: p.addr, From: "qianzhi@bank.example", To: []string{"li@bank.example"}, Supervisor: []string{"chief@bank.example"}, User: "u", Password: pass}
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		b := &mailbox{o: o, trust: &tls.Config{RootCAs: p.pool, MinVersion: tls.VersionTLS12}}
		m := message(Alarm)
		m.Level = Page
		if err := b.send(t.Context(), &m); err != nil {
			t.Fatal(err)
		}
		l := <-p.letters
		if l.secure != offer || l.login != "\x00u\x00pa55" || strings.Join(l.to, " ") != "chief@bank.example li@bank.example" {
			t.Errorf("offer %t: %+v", offer, l)
		}
		head, body, _ := strings.Cut(l.text, "\r\n\r\n")
		text, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(body, "\r\n", ""))
		if err != nil || !strings.HasPrefix(string(text), m.Text+"\n") {
			t.Errorf("body %q, %v", text, err)
		}
		_, subject, _ := strings.Cut(head, "Subject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		if got, err := new(mime.WordDecoder).DecodeHeader(subject); err != nil || got != "[紧急] B1 20261120 告警" {
			t.Errorf("subject %q, %v", got, err)
		}
		m.Level = Warn
		if err := b.send(t.Context(), &m); err != nil {
			t.Fatal(err)
		}
		if l := <-p.letters; strings.Join(l.to, " ") != "li@bank.example" {
			t.Errorf("a warning went to %v", l.to)
		}
	}
}

// TestMailRefused tells what a repeat helps from what it does not, and gives no
// password to a relay that it does not trust.
func TestMailRefused(t *testing.T) {
	for code, want := range map[int]bool{550: true, 451: false} {
		p := relay(t, false, code)
		b := &mailbox{o: MailOptions{Relay: p.addr, From: "q@b.example", To: []string{"li@b.example"}}}
		m := message(Alarm)
		err := b.send(t.Context(), &m)
		if _, last := err.(final); err == nil || last != want {
			t.Errorf("%d: got %v, final %t", code, err, last)
		}
	}
	p := relay(t, true, 0)
	b := &mailbox{o: MailOptions{Relay: p.addr, From: "q@b.example", To: []string{"li@b.example"}, User: "u", Password: "/absent"}}
	m := message(Alarm)
	if err := b.send(t.Context(), &m); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("untrusted relay: %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	ok := Options{}
	if err := ok.Check(); err != nil || ok.Repeat != time.Hour {
		t.Errorf("nothing set: %v, repeat %s", err, ok.Repeat)
	}
	for want, o := range map[string]Options{
		"webhook: url":          {Webhook: WebhookOptions{URL: "ftp://x/y"}},
		"unknown event":         {Webhook: WebhookOptions{URL: "http://x", Events: []Event{"dinner"}}},
		"mail: relay":           {Mail: MailOptions{Relay: "host"}},
		"mail: to":              {Mail: MailOptions{Relay: "host:25", From: "a@b"}},
		"is no plain address":   {Mail: MailOptions{Relay: "host:25", From: "a@b", To: []string{"a@b\r\nBcc: c@d"}}},
		"user: and":             {Mail: MailOptions{Relay: "host:25", From: "a@b", To: []string{"a@b"}, User: "u"}},
		"unknown condition":     {Ladder: Ladder{{When: "rain", Level: Page}}},
		"level: want":           {Ladder: Ladder{{When: broken, Level: "loud"}}},
		"codes: of items":       {Ladder: Ladder{{When: items, Level: Page}}},
		"at: needed":            {Ladder: Ladder{{When: unsigned, Level: Page}}},
		"repeat: want at least": {Repeat: time.Second},
	} {
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
