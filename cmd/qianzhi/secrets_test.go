package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/books"
	"qianzhi/gateway/pay"
)

// stream is output of processes, safe to read while they write.
type stream struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// What a customer's card and person would leave behind, if anything did.
const (
	secretPAN      = "6217003810047712347"
	secretTrack    = "6217003810047712347=30125200000987654"
	secretPIN      = "\x9a\x7b\x5c\x3d\x2e\x1f\xa6\xb7"
	secretChip     = "\x9f\x26\x08\xd1\x7e\x4b\x93\x5a\xc6\x28\xef\x9f\x10\x04\x71\x3d\xb8\x6c"
	secretCustomer = "11010519491231002X"
	secretPhone    = "13911427856"
	secretPassword = "Tall-Giraffe-42"
)

// house is a demo's folder with a daemon on it.
type house struct {
	t   *testing.T
	dir string
	c   *app.Config
	out stream // of everything that ran
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "demo")}
	h.run(0, nil, "demo", "--dir", h.dir, "--seed", "5", "--messages", "200", "--exit")
	name := h.config()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.ReplaceAll(b, []byte("log_level: info"), []byte("log_level: debug")), 0o600); err != nil {
		t.Fatal(err)
	}
	if h.c, err = app.Load(name); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) config() string { return filepath.Join(h.dir, "qianzhi.yaml") }

// run runs a command to its end; status -1 is any.
func (h *house) run(status int, out *stream, args ...string) {
	h.t.Helper()
	if out == nil {
		out = &h.out
	}
	c := program(h.t, out, args...)
	_ = c.Wait() // the status says it
	if got := c.ProcessState.ExitCode(); status >= 0 && got != status {
		h.t.Fatalf("%v: exit status %d, output: %s", args, got, out)
	}
}

func (h *house) link(id string) app.LinkOptions {
	for _, l := range h.c.Links {
		if l.ID == id {
			return l
		}
	}
	h.t.Fatalf("no link %s", id)
	return app.LinkOptions{}
}

// send sends a message over a link and returns the unmasked reply.
func (h *house) send(id string, args ...string) string {
	h.t.Helper()
	l := h.link(id)
	args = append([]string{"send", "--link", filepath.Join(h.dir, l.File), "--to", l.Listen, "--timeout", "20s", "--unmask"}, args...)
	for role, key := range l.Keys {
		file := map[string]string{"bank": "bank.key", "gateway": "gateway.pub"}[key]
		if file == "" {
			file = key + ".sm4"
		}
		args = append(args, "--key", role+"="+filepath.Join(h.dir, "keys", file))
	}
	var out stream
	h.run(-1, &out, args...)
	if !strings.Contains(out.String(), `"verdict"`) {
		h.t.Fatalf("%s: no answer: %s", id, out.String())
	}
	return out.String()
}

// needles are the ways in which a secret may be written down.
func needles(t *testing.T, secrets map[string]string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for name, s := range secrets {
		all[name] = []byte(s)
		all[name+" in hexadecimal"] = []byte(hex.EncodeToString([]byte(s)))
		all[name+" in upper hexadecimal"] = []byte(strings.ToUpper(hex.EncodeToString([]byte(s))))
		if gb, err := simplifiedchinese.GB18030.NewEncoder().String(s); err == nil && gb != s {
			all[name+" in GB18030"] = []byte(gb)
		}
		digits := strings.NewReplacer("=", "D", "X", "").Replace(s)
		if bcd, err := hex.DecodeString(digits + strings.Repeat("0", len(digits)%2)); err == nil {
			all[name+" in BCD"] = bcd[:len(digits)/2]
		}
	}
	return all
}

// search reports where a secret stands: in a stream, or in a file below a folder.
func search(t *testing.T, what string, text []byte, all map[string][]byte) {
	t.Helper()
	for name, b := range all {
		if at := bytes.Index(text, b); at >= 0 {
			t.Errorf("%s shows the %s at byte %d", what, name, at)
		}
	}
}

// TestSecretsAreNowhere lets a real daemon, which logs everything, carry a
// customer's card and person over every link, good and bad, has the command line
// look at all of it, and then searches every byte that was written.
func TestSecretsAreNowhere(t *testing.T) {
	h := newHouse(t)
	t.Setenv("QIANZHI_NEW_PASSWORD", secretPassword)
	var enrolment stream
	h.run(0, &enrolment, "user", "add", "--config", h.config(), "--person", "A001", "--role", "administrator", "zhang")
	_, totp, _ := strings.Cut(enrolment.String(), "secret=")
	daemon := program(t, &h.out, "serve", "--config", h.config())
	defer daemon.Process.Kill()
	Until(t, 30*time.Second, "daemon serves", func() bool { return strings.Count(h.out.String(), "msg=serving") == len(h.c.Links) })

	card := []string{"--field", "terminal=60128001", "--field", "merchant=301051249000008", "--field", "batch=000001"}
	h.send("kiosk-pos", append(card, "--sign-on", "--op", "pay", "--serial", "900001", "--account", "0512000001", "--amount", "1.00", "--field", "pan="+secretPAN,
		"--field", "entry_mode=021", "--field", "track2="+secretTrack, "--field", "pin="+secretPIN, "--field", "card_sequence=001", "--field", "chip="+secretChip)...)
	h.send("pos", append(card, "--sign-on", "--op", "query", "--account", "0512000001")...)
	reply := h.send("fixed", "--op", "query", "--account", "0512000001", "--expect", "approved")
	h.send("http", "--op", "query", "--account", "0512000001", "--expect", "approved")
	h.send("fixed", "--op", "pay", "--account", "0512000001", "--amount", "1.00")
	h.garbage()

	var answer struct {
		Reply struct {
			More map[string]string `json:"more"`
		} `json:"reply"`
	}
	if err := json.Unmarshal([]byte(reply), &answer); err != nil || answer.Reply.More["name"] == "" {
		t.Fatalf("no name in %s, %v", reply, err)
	}
	secrets := map[string]string{"card": secretPAN, "beginning of the card": secretPAN[:13], "track": secretTrack, "PIN block": secretPIN, "chip data": secretChip, "citizen's number": secretCustomer, "telephone": secretPhone,
		"password": secretPassword, "TOTP secret": strings.TrimSpace(strings.SplitN(totp, "&", 2)[0]), "customer's name": answer.Reply.More["name"], "address": answer.Reply.More["address"]}
	for name, s := range secrets {
		if len(s) < 3 {
			t.Fatalf("%s is too short to be looked for: %q", name, s)
		}
	}
	commandLines(t, daemon.Process.Pid, needles(t, secrets))
	for _, args := range [][]string{{"status"}, {"check"}, {"user", "list"}, {"acts"}, {"journal", "find"}, {"journal", "find", "-o", "json"}, {"journal", "open"}, {"journal", "verify"}, {"journal", "export"}} {
		h.run(-1, nil, append(args, "--config", h.config())...)
	}
	// The operating system's crash dump of all goroutines, which must not show
	// them either, is the last thing the daemon writes.
	if err := daemon.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = daemon.Wait()
	if !strings.Contains(h.out.String(), "goroutine ") {
		t.Error("no dump of goroutines")
	}
	h.searchAll(secrets)
	h.searchJournal(map[string]string{"track": secretTrack, "PIN block": secretPIN, "chip data": secretChip})
}

// garbage sends the card in the clear and packed, in frames that nobody can
// read, to every link.
func (h *house) garbage() {
	packed, err := hex.DecodeString(secretPAN + "0")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, l := range h.c.Links {
		for _, b := range [][]byte{[]byte(secretPAN + secretTrack), packed, []byte("000060" + secretPAN + secretTrack + secretCustomer + " " + secretPhone), []byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 19\r\n\r\n" + secretPAN)} {
			c, err := net.Dial("tcp", l.Listen)
			if err != nil {
				h.t.Fatal(err)
			}
			_, err = c.Write(b)
			if half, ok := c.(*net.TCPConn); ok && err == nil {
				err = half.CloseWrite()
			}
			if err == nil {
				err = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			}
			if err != nil {
				h.t.Fatal(err)
			}
			_, _ = c.Read(make([]byte, 512)) // whatever it says
			c.Close()
		}
	}
}

// commandLines searches what everybody can see of a process.
func commandLines(t *testing.T, pid int, all map[string][]byte) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Log("no process list here:", err)
		return
	}
	search(t, "the process list", b, all)
}

// searchAll searches the streams and every file. The embedded MIS is the system
// whose customers they are: its own database is not searched for names.
func (h *house) searchAll(secrets map[string]string) {
	h.t.Helper()
	for _, k := range h.c.Keys {
		if k.SM4 != "" {
			b, err := os.ReadFile(filepath.Join(h.dir, k.SM4))
			if err != nil {
				h.t.Fatal(err)
			}
			secrets["key "+k.Name] = strings.TrimSpace(string(b))
		}
	}
	all := needles(h.t, secrets)
	search(h.t, "a stream", []byte(h.out.String()), all)
	files := 0
	err := filepath.WalkDir(filepath.Join(h.dir, "data"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "mis.db") {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		mine := all
		if d.Name() == "users.json" {
			mine = needles(h.t, map[string]string{"password": secretPassword}) // the TOTP secret lives here
		}
		search(h.t, name, b, mine)
		return nil
	})
	if err != nil || files < 5 {
		h.t.Errorf("%d files searched, %v", files, err)
	}
}

// searchJournal opens what is sealed: tracks and PIN were not even written there.
func (h *house) searchJournal(secrets map[string]string) {
	h.t.Helper()
	b, err := books.Open(h.t.Context(), h.c)
	if err != nil {
		h.t.Fatal(err)
	}
	defer b.Close()
	cards := 0
	for _, day := range b.Days() {
		err := b.Lines(h.t.Context(), day, func(e *pay.Entry) bool {
			text := []byte(fmt.Sprintf("%+v", e.Req.More))
			if e.Req.Via != nil {
				text = append(text, e.Req.Via.Raw...)
			}
			if pay.Find(e.Req.More, pay.FPAN) == secretPAN {
				cards++
			}
			search(h.t, "the opened journal", text, needles(h.t, secrets))
			return true
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	if cards != 1 {
		h.t.Errorf("%d payments with the card in the journal, want 1", cards)
	}
}
