package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fetched installs a daemon that fetches check files from a folder.
func fetched(t *testing.T, from, rest string) string {
	t.Helper()
	return install(t, "127.0.0.1:7001", "127.0.0.1:0", "127.0.0.1:7002", "127.0.0.1:0", "127.0.0.1:7003", "127.0.0.1:0", "\npickups: []\n",
		"\npickups:\n  - {id: bank, kind: local, dir: "+from+", file: \"DZ{day}.txt\", every: 20ms, max: 1000, until: \"06:00\""+rest+"}\n")
}

// TestPickup has the file of yesterday arrive in the inbox once it is complete,
// with an immutable copy kept.
func TestPickup(t *testing.T) {
	from := t.TempDir()
	file := fetched(t, from, `, marker: "DZ{day}.ok", trailer: '^T\|(\d+)$'`)
	p := prepare(t, file)
	day := p.cal.Day(p.now()).Add(-1)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := p.picks[0]
	if err := os.MkdirAll(k.inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	look := func() string {
		t.Helper()
		got, err := k.take(t.Context(), day, p.now())
		if err != nil {
			t.Fatal(err)
		}
		return got.Outcome.Chinese()
	}
	name := "DZ" + day.String()
	for _, step := range []struct{ file, text, want string }{
		{"", "", "无文件"}, {name + ".txt", "A|1\nT|9\n", "文件错误"}, {name + ".ok", "", "文件错误"}, {name + ".txt", "A|1\nT|1\n", "完整"}, {name + ".txt", "changed", "完整"},
	} {
		if step.file != "" {
			write(step.file, step.text)
		}
		if got := look(); got != step.want {
			t.Errorf("after %s %q: got %s, want %s", step.file, step.text, got, step.want)
		}
	}
	if b, err := os.ReadFile(filepath.Join(k.inbox, name+".txt")); string(b) != "A|1\nT|1\n" {
		t.Errorf("the inbox has %q, %v", b, err)
	}
	kept, err := filepath.Glob(filepath.Join(p.Config.data("fetched", "bank"), "*", name+".txt.*"))
	if err != nil || len(kept) != 2 { // the wrong one is evidence
		t.Errorf("kept %v, %v", kept, err)
	}
}

func TestPickupsAreChecked(t *testing.T) {
	for rest, want := range map[string]string{`, marker: all.ok`: "{day}", `, trailer: "("`: "missing closing", `, host_key: x`: "a local folder", `, stable: -1s`: "max"} {
		c, err := Load(fetched(t, t.TempDir(), rest))
		if err == nil {
			_, err = Prepare(c, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "pickups[0]") {
			t.Errorf("%s: got %v, want %q", rest, err, want)
		}
	}
}
