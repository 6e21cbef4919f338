package reconcile_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/report"
)

const day = pay.Day(20261120)

// books is a journal of one day.
type books struct {
	entries []pay.Entry
	err     error
	other   pay.Day // than day
}

func (b *books) Freeze(context.Context, pay.Day) (uint64, error) { return 4711, b.err }

func (b *books) Lines(_ context.Context, d pay.Day, _ uint64, yield func(*pay.Entry) bool) error {
	if d != max(day, b.other) {
		return fs.ErrNotExist
	}
	for i := range b.entries {
		if !yield(&b.entries[i]) {
			break
		}
	}
	return nil
}

func entry(row uint64, s pay.State) pay.Entry {
	return pay.Entry{ID: pay.ID{Day: day, Row: row}, State: s, At: time.Date(2026, 11, 20, 23, 50, int(row), 0, time.UTC), Req: &pay.Request{
		Ref: pay.Ref{Serial: fmt.Sprintf("%012d", row)}, Account: "0512000001", Amount: 100, Via: &pay.Via{Link: "pos"}}}
}

type source struct{ in reconcile.Input }

func (s source) Fetch(context.Context, pay.Day) (reconcile.Input, error) { return s.in, nil }

func bankLines(n int) []reconcile.Line {
	var out []reconcile.Line
	for i := 1; i <= n; i++ {
		out = append(out, reconcile.Line{Key: fmt.Sprintf("%012d", i), Account: "0512000001", Amount: 100, Effect: reconcile.Charged, Link: "pos", Row: i + 1})
	}
	return out
}

func runner(t *testing.T, b reconcile.Books, bank reconcile.Input) (*reconcile.Runner, string) {
	t.Helper()
	file, err := conf.Files.ReadFile("recon-matrix.json")
	if err != nil {
		t.Fatal(err)
	}
	mx, err := reconcile.ParseMatrix(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return reconcile.New(reconcile.Options{Dir: dir, Node: 1, Books: b, Matrix: mx, Report: report.Files, Log: slog.New(slog.DiscardHandler),
		Now:      func() time.Time { return time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC) },
		Channels: []reconcile.Channel{{ID: "B1", Links: []string{"pos"}, Bank: source{bank}, Key: []pay.FieldID{pay.FSerial}}}}), dir
}

func entries(n int) []pay.Entry {
	var out []pay.Entry
	for i := 1; i <= n; i++ {
		out = append(out, entry(uint64(i), pay.Succ))
	}
	return out
}

func TestVerdicts(t *testing.T) {
	accepted := func(n int) reconcile.Input {
		return reconcile.Input{Name: "B.txt", State: reconcile.Accepted, Raw: []byte("x"), Lines: bankLines(n)}
	}
	apart := entries(3)
	apart[1].State = pay.Fail // the bank has it
	for _, c := range []struct {
		name string
		b    *books
		in   reconcile.Input
		want reconcile.Verdict
		exit int
	}{
		{"balanced", &books{entries: entries(3)}, accepted(3), reconcile.Balanced, 0},
		{"bank failed us", &books{entries: apart}, accepted(3), reconcile.Unbalanced, 1},
		{"carried only", &books{entries: entries(3)}, accepted(2), reconcile.Balanced, 0},
		{"file missing", &books{entries: entries(3)}, reconcile.Input{Name: "B.txt"}, reconcile.Incomplete, 3},
		{"file wrong", &books{entries: entries(3)}, reconcile.Input{Name: "B.txt", State: reconcile.Rejected, Why: "第7行"}, reconcile.Refused, 4},
		{"file of another size", &books{entries: entries(100)}, accepted(3), reconcile.Doubtful, 4},
		{"day not cut", &books{err: errors.New("open")}, accepted(3), reconcile.Incomplete, 3},
		{"serial twice", &books{entries: append(entries(2), entry(2, pay.Succ))}, accepted(2), reconcile.Broken, 2},
	} {
		r, dir := runner(t, c.b, c.in)
		res, err := r.Run(t.Context(), day)
		if err != nil || len(res) != 1 {
			t.Fatalf("%s: %v", c.name, err)
		}
		if res[0].Verdict != c.want || res[0].Verdict.Exit() != c.exit {
			t.Errorf("%s: got %s (%s), want %s", c.name, res[0].Verdict, res[0].Why, c.want)
		}
		text, err := os.ReadFile(filepath.Join(dir, "20261120", "B1", "latest", "report.txt"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if !strings.HasPrefix(lines[1], "结论 "+c.want.String()) || lines[len(lines)-1] != fmt.Sprintf("结论 %s 码 %d END", c.want, c.exit) {
			t.Errorf("%s: verdict is not first and last:\n%s", c.name, text)
		}
		if c.want == reconcile.Incomplete && (bytes.Contains(text, []byte("长款 ")) || bytes.Contains(text, []byte("短款 "))) {
			t.Errorf("%s: speaks of money before the files are here", c.name)
		}
	}
}

func TestVersionsAndManifest(t *testing.T) {
	b := &books{entries: entries(2)}
	r, dir := runner(t, b, reconcile.Input{Name: "in/B.txt", State: reconcile.Accepted, Raw: []byte("the file"), Lines: bankLines(2)})
	if r.Done(day) {
		t.Error("done before it ran")
	}
	for i, want := range []int{1, 1, 2} { // the second has nothing new
		if i == 2 {
			b.entries[1].State = pay.Unkn
		}
		res, err := r.Run(t.Context(), day)
		if err != nil {
			t.Fatal(err)
		}
		if res[0].Version != want || res[0].Same != (i == 1) {
			t.Errorf("run %d: got version r%d, same %t", i+1, res[0].Version, res[0].Same)
		}
	}
	if !r.Done(day) {
		t.Error("not done after it ran")
	}
	home := filepath.Join(dir, "20261120", "B1")
	if to, err := os.Readlink(filepath.Join(home, "latest")); err != nil || to != "r2" {
		t.Errorf("latest is %q (%v), want r2", to, err)
	}
	manifest, err := os.ReadFile(filepath.Join(home, "r2", "MANIFEST.sha256"))
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(manifest)), "\n")
	if len(rows) < 5 || !strings.Contains(string(manifest), "inputs/journal.txt") || !strings.Contains(string(manifest), "inputs/B.txt") {
		t.Errorf("manifest lacks report, inputs, result or open items:\n%s", manifest)
	}
	for _, row := range rows {
		sum, name, _ := strings.Cut(row, "  ")
		data, err := os.ReadFile(filepath.Join(home, "r2", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s: hash differs", name)
		}
	}
	live, err := os.ReadFile(filepath.Join(dir, "live.log"))
	if err != nil || strings.Count(string(live), "QZ900") != 3 || !strings.Contains(string(live), "流水冻结 2条 冻结行=4711") {
		t.Errorf("live.log: %v\n%s", err, live)
	}
}

func TestOneRunAtATime(t *testing.T) {
	r, dir := runner(t, &books{}, reconcile.Input{})
	f, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), day); !errors.Is(err, reconcile.ErrBusy) {
		t.Errorf("got %v, want %v", err, reconcile.ErrBusy)
	}
}

// TestAfterAKill finds what a killed run leaves behind: a version that was
// never finished, and a latest that was not moved on. Neither is believed, and
// the next run makes both good.
func TestAfterAKill(t *testing.T) {
	b := &books{entries: entries(2)}
	in := reconcile.Input{Name: "B.txt", State: reconcile.Accepted, Raw: []byte("the file"), Lines: bankLines(2)}
	r, dir := runner(t, b, in)
	home := filepath.Join(dir, "20261120", "B1")
	if err := os.MkdirAll(filepath.Join(home, ".new-123", "inputs"), 0o750); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Run(t.Context(), day); err != nil {
			t.Fatal(err)
		}
		b.entries[1].State = pay.Unkn
	}
	if err := errors.Join(os.Remove(filepath.Join(home, "latest")), os.Symlink("r1", filepath.Join(home, "latest"))); err != nil {
		t.Fatal(err)
	}
	res, err := r.Run(t.Context(), day)
	if err != nil || !res[0].Same || res[0].Version != 2 {
		t.Fatalf("got %+v, %v", res, err)
	}
	if to, err := os.Readlink(filepath.Join(home, "latest")); err != nil || to != "r2" {
		t.Errorf("latest is %q (%v), want r2", to, err)
	}
	if left, _ := filepath.Glob(filepath.Join(home, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSameInputsSameBytes runs the same day in two places.
func TestSameInputsSameBytes(t *testing.T) {
	apart := entries(40)
	for i := range 10 {
		apart[i*3].State = pay.Fail
	}
	in := reconcile.Input{Name: "B.txt", State: reconcile.Accepted, Raw: []byte("x"), Lines: bankLines(40)}
	var seen map[string]string
	for range 2 {
		r, dir := runner(t, &books{entries: apart}, in)
		if _, err := r.Run(t.Context(), day); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		home := filepath.Join(dir, "20261120", "B1", "r1")
		err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			got[strings.TrimPrefix(path, home)] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range seen {
			if got[name] != data {
				t.Errorf("%s differs", name)
			}
		}
		seen = got
	}
	if len(seen) < 10 {
		t.Errorf("only %d files", len(seen))
	}
}

// TestCarriedOver: what waits for the neighbouring day's file is settled by it,
// or turns uneven.
func TestCarriedOver(t *testing.T) {
	mx := func(lines []reconcile.Line, b *books, dir string) *reconcile.Runner {
		file, err := conf.Files.ReadFile("recon-matrix.json")
		if err != nil {
			t.Fatal(err)
		}
		m, err := reconcile.ParseMatrix(file)
		if err != nil {
			t.Fatal(err)
		}
		return reconcile.New(reconcile.Options{Dir: dir, Node: 1, Books: b, Matrix: m, Report: report.Files, Log: slog.New(slog.DiscardHandler),
			Now:      func() time.Time { return time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC) },
			Channels: []reconcile.Channel{{ID: "B1", Links: []string{"pos"}, Bank: source{reconcile.Input{Name: "B.txt", State: reconcile.Accepted, Raw: []byte("x"), Lines: lines}}, Key: []pay.FieldID{pay.FSerial}}}})
	}
	for _, c := range []struct {
		name    string
		next    []reconcile.Line
		verdict reconcile.Verdict
		closed  int
		turned  int
	}{{"the bank's line comes the day after", bankLines(3)[2:], reconcile.Balanced, 1, 0}, {"it does not come", nil, reconcile.Unbalanced, 0, 1}} {
		dir := t.TempDir()
		b := &books{entries: entries(3)}
		if res, err := mx(bankLines(2), b, dir).Run(t.Context(), day); err != nil || res[0].Word() != "平(含待核 1)" {
			t.Fatalf("%s: first day %+v, %v", c.name, res, err)
		}
		res, err := mx(c.next, &books{other: day.Add(1)}, dir).Run(t.Context(), day.Add(1))
		if err != nil {
			t.Fatal(err)
		}
		turned := 0
		for _, it := range res[0].Carried {
			if it.Turned {
				turned++
			}
		}
		if res[0].Verdict != c.verdict || len(res[0].Closed) != c.closed || turned != c.turned {
			t.Errorf("%s: got %s (%s), closed %d, turned %d", c.name, res[0].Verdict, res[0].Why, len(res[0].Closed), turned)
		}
	}
}

// TestCombined lists the payments of a version: who counts each of them.
func TestCombined(t *testing.T) {
	es := append(entries(4), entry(5, pay.Fail))
	es[1].State = pay.Fail // the bank has it
	lines := bankLines(4)
	lines[2].Amount++
	lines = append(lines[:3], reconcile.Line{Key: "9", Account: "0512000009", Amount: 100, Effect: reconcile.Charged, Link: "pos", Row: 6})
	r, dir := runner(t, &books{entries: es}, reconcile.Input{Name: "B.txt", State: reconcile.Accepted, Raw: []byte("x"), Lines: lines})
	if _, err := r.Run(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "20261120", "B1")
	var got []string
	none := func(string) (reconcile.Table, error) { return nil, errors.New("the journal is no file") }
	if err := reconcile.Combined(filepath.Join(home, "latest"), none, func(p *reconcile.Told) bool {
		code := ""
		if p.Item != nil {
			code = p.Item.Code
		}
		got = append(got, p.Sides+" "+p.Line.Key+" "+code)
		return len(got) < 6
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"JB 000000000001 ", "-B 000000000002 LG-3", "JB* 000000000003 AM-5", "J- 000000000004 SH-2", "-- 000000000005 ", "-B 9 LG-6"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q\nwant %q", got, want)
	}
	r, dir = runner(t, &books{entries: es}, reconcile.Input{Name: "B.txt"})
	if _, err := r.Run(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	err := reconcile.Combined(filepath.Join(dir, "20261120", "B1", "latest"), none, func(*reconcile.Told) bool { return true })
	if !errors.Is(err, reconcile.ErrNoVerdict) {
		t.Errorf("without a bank's file: %v", err)
	}
}
