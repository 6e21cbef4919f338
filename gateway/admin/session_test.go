package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
)

const pass = "Correct-Horse-7"

// counter is a door with users and a clock of its own.
type counter struct {
	t    *testing.T
	s    *Server
	boss boss
	dir  *access.Directory
	log  bytes.Buffer
	mu   sync.Mutex
	at   time.Time
	sock string
}

func (c *counter) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *counter) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func newCounter(t *testing.T, tune ...func(*Server)) *counter {
	t.Helper()
	c := &counter{t: t, at: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC), sock: filepath.Join(t.TempDir(), "a.sock")}
	var err error
	c.dir, err = access.New(access.Options{File: filepath.Join(t.TempDir(), "users.json"), Audit: &c.boss, Now: c.now, Cost: access.Cost{Memory: 64, Passes: 1, Lanes: 1}})
	c.ok(err)
	ses, err := access.NewSessions(c.dir, access.Limits{Idle: 15 * time.Minute, Absolute: time.Hour, PerUser: 2, All: 8})
	c.ok(err)
	c.s, err = New(Options{Socket: c.sock, Listen: "127.0.0.1:0", Control: &c.boss, Audit: &c.boss, Users: c.dir, Sessions: ses,
		Acts: func(_ context.Context, day pay.Day) ([]Done, error) {
			return []Done{{Day: day, Row: 7, Act: access.Act{By: "zhang", What: "day.cut"}}}, nil
		},
		Status: func() Status { return Status{Node: 1} }, Samples: func() []Sample { return nil },
		Waiting: func(context.Context) ([]Waiting, error) {
			return []Waiting{{ID: "20261124010000000007", Owner: "值班"}}, nil
		},
		Log: slog.New(slog.NewTextHandler(&c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	c.ok(err)
	for _, f := range tune {
		f(c.s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		c.ok(<-done)
	})
	return c
}

func (c *counter) ok(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// user makes an account with the role, whose password is its own.
func (c *counter) user(name, person string, role access.Role) {
	c.t.Helper()
	ctx := context.Background()
	us, err := c.dir.List()
	c.ok(err)
	if len(us) == 0 {
		_, err = c.dir.First(ctx, access.Local(0, "cli"), "zhang", "A001", pass)
		c.ok(err)
	}
	if name == "zhang" {
		return
	}
	boss := c.principal("zhang", pass)
	_, err = c.dir.Add(ctx, boss, name, person, role, "First-Password-1")
	c.ok(err)
	c.ok(c.dir.SetPassword(ctx, c.principal(name, "First-Password-1"), name, pass, ""))
}

func (c *counter) code(name string) string {
	c.t.Helper()
	c.pass(30 * time.Second)
	us, err := c.dir.List()
	c.ok(err)
	for _, u := range us {
		if u.Name == name {
			code, err := access.Code(u.TOTP, c.now())
			c.ok(err)
			return code
		}
	}
	c.t.Fatalf("no user %s", name)
	return ""
}

func (c *counter) principal(name, password string) access.Principal {
	c.t.Helper()
	p, err := c.dir.Login(context.Background(), name, password, c.code(name), "test")
	c.ok(err)
	return p
}

// browser is a client with cookies and a CSRF token.
type browser struct {
	c    *counter
	http http.Client
	csrf string
	head map[string]string
}

func (c *counter) browser() *browser {
	jar, err := cookiejar.New(nil)
	c.ok(err)
	tr := &http.Transport{}
	c.t.Cleanup(tr.CloseIdleConnections)
	return &browser{c: c, http: http.Client{Jar: jar, Transport: tr, Timeout: 20 * time.Second}}
}

func (b *browser) call(method, path string, body any) (int, string, http.Header) {
	b.c.t.Helper()
	text, err := json.Marshal(body)
	b.c.ok(err)
	req, err := http.NewRequestWithContext(b.c.t.Context(), method, "http://"+b.c.s.Addr()+path, bytes.NewReader(text))
	b.c.ok(err)
	if b.csrf != "" {
		req.Header.Set(csrfHeader, b.csrf)
	}
	for k, v := range b.head {
		if req.Header.Set(k, v); k == "Host" {
			req.Host = v
		}
	}
	res, err := b.http.Do(req)
	b.c.ok(err)
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	b.c.ok(err)
	return res.StatusCode, string(out), res.Header
}

func (b *browser) login(name string) http.Header {
	b.c.t.Helper()
	code, text, head := b.call("POST", "/v1/login", map[string]string{"name": name, "password": pass, "code": b.c.code(name)})
	var w who
	if err := json.Unmarshal([]byte(text), &w); code != 200 || err != nil || w.Name != name {
		b.c.t.Fatalf("login %s: %d %s", name, code, text)
	}
	b.csrf = w.CSRF
	return head
}

func (b *browser) want(status int, method, path string, body any) string {
	b.c.t.Helper()
	code, text, _ := b.call(method, path, body)
	if code != status {
		b.c.t.Errorf("%s %s: got %d %s, want %d", method, path, code, text, status)
	}
	return text
}

type m = map[string]string

// TestEveryOrderNeedsItsRight gives each order with each role, over the address
// that anybody on the machine can reach.
func TestEveryOrderNeedsItsRight(t *testing.T) {
	c := newCounter(t)
	c.user("zhang", "", 0)
	c.user("li", "B1", access.Operator)
	c.user("he", "C1", access.Reviewer)
	c.user("qin", "D1", access.Auditor)
	orders := []struct {
		method, path string
		body         any
		who          string
	}{
		{"GET", "/v1/status", nil, "zhang li he qin"},
		{"GET", "/v1/journal/waiting", nil, "zhang li he qin"},
		{"POST", "/v1/day/cut", m{"day": "20261126", "reason": "节日"}, "li"},
		{"POST", "/v1/day/settle", m{"day": "20261124", "reason": "补结算"}, "li"},
		{"POST", "/v1/recon/run", m{"day": "20261124", "reason": "重跑"}, "li"},
		{"POST", "/v1/recon/apply", m{"day": "20261124", "channel": "B1", "item": "3f2a"}, "li"},
		{"GET", "/v1/acts?day=20261125", nil, "qin"},
		{"GET", "/v1/users", nil, "zhang"},
		{"POST", "/v1/users/lock", m{"name": "he", "reason": "离岗"}, "zhang"},
		{"POST", "/v1/users/unlock", m{"name": "he", "reason": "回岗"}, "zhang"},
	}
	nobody := c.browser()
	for _, name := range []string{"li", "qin", "he", "zhang"} {
		b := c.browser()
		b.login(name)
		for _, o := range orders {
			want := http.StatusForbidden
			if strings.Contains(o.who, name) {
				want = http.StatusOK
			}
			b.want(want, o.method, o.path, o.body)
			nobody.want(http.StatusUnauthorized, o.method, o.path, o.body)
		}
		b.want(http.StatusNotFound, "POST", "/v1/journal/note", m{"text": "forged"})
	}
	if len(c.boss.cuts) != 1 {
		t.Errorf("%d cuts", len(c.boss.cuts))
	}
}

// TestListOfOrders fails when an order is added that the test above leaves out.
func TestListOfOrders(t *testing.T) {
	if n := len((&Server{o: Options{Users: new(access.Directory)}}).orders()); n != 9 {
		t.Errorf("%d orders: give the new ones in TestEveryOrderNeedsItsRight too", n)
	}
}

func TestChangesNeedTheToken(t *testing.T) {
	c := newCounter(t)
	c.user("li", "B1", access.Operator)
	b := c.browser()
	b.login("li")
	right := b.csrf
	cut := m{"day": "20261126", "reason": "x"}
	for _, wrong := range []string{"", "x", right[:len(right)-1], right + "x"} {
		b.csrf = wrong
		b.want(http.StatusForbidden, "POST", "/v1/day/cut", cut)
	}
	b.csrf = right
	for _, h := range []m{{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}} {
		b.head = h
		b.want(http.StatusForbidden, "POST", "/v1/day/cut", cut)
	}
	b.head = m{"Host": "evil.example"}
	b.want(http.StatusMisdirectedRequest, "GET", "/v1/status", nil)
	b.head = nil
	if len(c.boss.cuts) != 0 {
		t.Fatal("cut without the token")
	}
	b.want(http.StatusBadRequest, "POST", "/v1/day/cut", m{"day": "20261126"}) // no reason
	b.want(http.StatusOK, "POST", "/v1/day/cut", cut)
}

func TestLoginAndLogout(t *testing.T) {
	c := newCounter(t)
	c.user("li", "B1", access.Operator)
	b := c.browser()
	head := b.login("li")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if got := head.Get("Set-Cookie"); !strings.Contains(got, want) {
			t.Errorf("cookie %q lacks %s", got, want)
		}
	}
	shield := m{"Content-Security-Policy": "frame-ancestors 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		"Referrer-Policy": "no-referrer"}
	for k, want := range shield {
		if got := head.Get(k); !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %s", k, got, want)
		}
	}
	if text := b.want(200, "GET", "/v1/me", nil); !strings.Contains(text, `"name":"li"`) || !strings.Contains(text, b.csrf) {
		t.Errorf("me: %s", text)
	}
	c.pass(16 * time.Minute)
	b.want(http.StatusUnauthorized, "GET", "/v1/status", nil)
	b.login("li")
	b.want(200, "POST", "/v1/logout", nil)
	b.want(http.StatusUnauthorized, "GET", "/v1/me", nil)
	if strings.Contains(c.log.String(), pass) {
		t.Error("a password is in the log")
	}
}

func TestLoginTellsNothing(t *testing.T) {
	c := newCounter(t)
	c.user("zhang", "", 0)
	b := c.browser()
	bad := b.want(http.StatusUnauthorized, "POST", "/v1/login", m{"name": "zhang", "password": pass, "code": "000000"})
	if none := b.want(http.StatusUnauthorized, "POST", "/v1/login", m{"name": "nobody", "password": pass, "code": "000000"}); none != bad {
		t.Errorf("%s and %s", bad, none)
	}
	for _, body := range []any{m{"name": "zhang", "pasword": "My-Secret-1234"}, strings.Repeat("x", maxBody)} {
		if text := b.want(http.StatusBadRequest, "POST", "/v1/login", body); strings.Contains(text, "Secret") {
			t.Errorf("shows what was sent: %s", text)
		}
	}
	throttled := false
	for range 20 {
		code, _, _ := b.call("POST", "/v1/login", m{"name": "nobody", "password": pass, "code": "000000"})
		throttled = throttled || code == http.StatusTooManyRequests
	}
	if !throttled {
		t.Error("twenty logins in a moment")
	}
}

// TestFreshUserOnlyChangesThePassword goes the way of a new user.
func TestFreshUserOnlyChangesThePassword(t *testing.T) {
	c := newCounter(t)
	c.user("zhang", "", 0)
	admin := c.browser()
	admin.login("zhang")
	text := admin.want(200, "POST", "/v1/users/add", m{"name": "li", "person": "B1", "role": "operator", "password": pass})
	if !strings.Contains(text, "otpauth://totp/") {
		t.Errorf("got %s", text)
	}
	admin.want(http.StatusConflict, "POST", "/v1/users/add", m{"name": "li2", "person": "b1", "role": "reviewer", "password": pass})
	admin.want(http.StatusNotFound, "POST", "/v1/users/promote", m{"name": "li"})
	b := c.browser()
	b.login("li")
	b.want(http.StatusForbidden, "GET", "/v1/status", nil)
	b.want(http.StatusConflict, "POST", "/v1/me/password", m{"password": "short"})
	b.want(200, "POST", "/v1/me/password", m{"password": "Own-Password-123"})
	b.want(http.StatusUnauthorized, "GET", "/v1/me", nil) // the session has ended
	users := admin.want(200, "GET", "/v1/users", nil)
	if strings.Contains(users, "argon2id") || strings.Contains(users, "totp") || !strings.Contains(users, `"person":"B1"`) {
		t.Errorf("got %s", users)
	}
}

func TestSlowClientIsLeft(t *testing.T) {
	c := newCounter(t, func(s *Server) { s.web.ReadHeaderTimeout = 50 * time.Millisecond })
	nc, err := net.Dial("tcp", c.s.Addr())
	c.ok(err)
	defer nc.Close()
	_, err = nc.Write([]byte("GET /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "))
	c.ok(err)
	c.ok(nc.SetReadDeadline(time.Now().Add(20 * time.Second)))
	if _, err := io.ReadAll(nc); err != nil {
		t.Errorf("not closed: %v", err)
	}
}

func TestAddressNeedsTLSBeyondThisMachine(t *testing.T) {
	if !Loopback("127.0.0.1:1") || !Loopback("[::1]:1") || !Loopback("localhost:1") || Loopback("0.0.0.0:1") || Loopback(":1") || Loopback("10.0.0.1:1") {
		t.Error("loopback")
	}
	if _, err := os.Stat("/proc/self"); err == nil {
		c := newCounter(t)
		d := net.Dialer{}
		nc, err := d.DialContext(t.Context(), "unix", c.sock)
		c.ok(err)
		defer nc.Close()
		if uid, err := peerUID(nc.(*net.UnixConn)); err != nil || uid != os.Getuid() {
			t.Errorf("uid %d, %v", uid, err)
		}
	}
}
