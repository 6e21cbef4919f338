package app

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sent installs a daemon that sends check files to a folder.
func sent(t *testing.T, to, rest string) string {
	t.Helper()
	return install(t, "127.0.0.1:7001", "127.0.0.1:0", "127.0.0.1:7002", "127.0.0.1:0", "127.0.0.1:7003", "127.0.0.1:0", "\ndispatches: []\n",
		"\ndispatches:\n  - {id: bank, kind: local, dir: "+to+", from: outbox, file: \"QZ{day}.txt\", marker: \"QZ{day}.ok\", every: 20ms, until: \"08:00\""+rest+"}\n")
}

// TestDispatch sends yesterday's file, once, and never over another one.
func TestDispatch(t *testing.T) {
	to := t.TempDir()
	p := prepare(t, sent(t, to, ""))
	day := p.cal.Day(p.now()).Add(-1)
	a := &App{plan: p, log: slog.New(slog.DiscardHandler)}
	send := func() error {
		_, err := a.dispatchOne(t.Context(), p.sends[0], day, p.now().Add(-time.Second))
		return err
	}
	if err := send(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing to send: %v", err)
	}
	from := p.Config.data("outbox")
	if err := os.MkdirAll(from, 0o700); err != nil {
		t.Fatal(err)
	}
	name := "QZ" + day.String()
	if err := os.WriteFile(filepath.Join(from, name+".txt"), []byte("A|1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(to, name+".txt")); string(b) != "A|1\n" {
		t.Errorf("the server has %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(to, name+".ok")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(to, name+".txt"), []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := send(); err == nil {
		t.Error("another file was replaced")
	}
}

func TestDispatchesAreChecked(t *testing.T) {
	for rest, want := range map[string]string{`, name: x, host_key: x`: "a local folder", `, max: 3`: "max"} {
		c, err := Load(sent(t, t.TempDir(), rest))
		if err == nil {
			_, err = Prepare(c, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", rest, err, want)
		}
	}
}
