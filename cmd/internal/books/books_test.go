package books

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// clock is moved by tests.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	return c.at
}

const today pay.Day = 20260301

// newBooks makes books of three days, the last one running, with payments in
// each; open ones stay when keep is set.
func newBooks(t *testing.T, keep bool) (*Books, *clock) {
	t.Helper()
	key, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{at: today.Start(time.UTC).Add(8 * time.Hour)}
	dir := t.TempDir()
	b := &Books{Store: sqlite.New(dir), Today: today, Options: journal.Options{Dir: dir, Node: 1, DupDays: 2, MaxPending: 1000,
		KEK: []byte("0123456789abcdef"), IndexKey: []byte("fedcba9876543210"), Signer: key, Now: c.now}}
	err = b.write(t.Context(), func(ctx context.Context, j *journal.Journal) error {
		for day := range 3 {
			for i := range 20 {
				e, _, err := j.Begin(ctx, &pay.Intent{Legs: []pay.LegKind{pay.LegPost}, Req: &pay.Request{Op: pay.Pay, Account: "0512000001", Amount: 100,
					Ref: pay.Ref{Institution: "0102", Kind: pay.KindPay, Scope: "T1", Serial: fmt.Sprint(day, i)}, Via: &pay.Via{Link: "pos"}}})
				if err == nil && (i > 0 || !keep) {
					err = j.Append(ctx, e.ID, 1, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone})
				}
				if err != nil {
					return err
				}
			}
			if day < 2 {
				if err := j.Cut(ctx, j.Day().Add(1)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.open(t)
	return b, c
}

func (b *Books) open(t *testing.T) {
	t.Helper()
	var err error
	if b.Archive, err = journal.OpenArchive(t.Context(), b.Store, b.Options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
}

func (b *Books) auditor(dir string) *journal.Auditor {
	return &journal.Auditor{Store: sqlite.New(dir), Dir: dir, Node: 1, Public: b.Options.Signer.Public()}
}

// TestFullExportComesBackAsItWas exports a day, imports it elsewhere and exports
// that: the same bytes, in either format, whichever it was imported from.
func TestFullExportComesBackAsItWas(t *testing.T) {
	b, _ := newBooks(t, true)
	for d := today; d < today.Add(3); d = d.Add(1) {
		whole := map[string]string{}
		for _, format := range []string{"jsonl", "csv"} {
			var w bytes.Buffer
			if _, err := ExportFull(t.Context(), b.auditor(b.Options.Dir), d, &w, format); err != nil {
				t.Fatal(err)
			}
			whole[format] = w.String()
		}
		for from, text := range whole {
			dir := t.TempDir()
			if p, err := Import(t.Context(), b.auditor(dir), strings.NewReader(text)); err != nil || p.Rows == 0 {
				t.Fatal(from, p, err)
			}
			for format := range whole {
				var again bytes.Buffer
				if _, err := ExportFull(t.Context(), b.auditor(dir), d, &again, format); err != nil || again.String() != whole[format] {
					t.Errorf("%s from %s to %s differs: %v", d, from, format, err)
				}
			}
			b.hurt(t, text)
		}
	}
}

// hurt wants an export without one of its lines found out, and nothing to stay.
func (b *Books) hurt(t *testing.T, text string) {
	t.Helper()
	lines := strings.SplitAfter(text, "\n")
	for i := 1; i < len(lines)-2; i += 7 {
		other := t.TempDir()
		if _, err := Import(t.Context(), b.auditor(other), strings.NewReader(strings.Join(slices.Delete(slices.Clone(lines), i, i+1), ""))); err == nil {
			t.Errorf("an export without line %d was taken", i)
		}
		if names, _ := os.ReadDir(other); len(names) > 0 {
			t.Errorf("%v stayed", names)
		}
	}
}

// TestRestoredNumbersAreNew restores a backup that lacks what came after it:
// the daemon starts on it, and gives no row number that a host may have seen.
func TestRestoredNumbersAreNew(t *testing.T) {
	b, _ := newBooks(t, true)
	to := filepath.Join(t.TempDir(), "backup")
	if err := b.Backup(t.Context(), to, func(pay.Day, journal.Proof) {}); err != nil {
		t.Fatal(err)
	}
	back := *b
	back.Options.Dir = filepath.Join(t.TempDir(), "journal")
	back.Store, back.Today = sqlite.New(back.Options.Dir), today.Add(3) // the day after the backup
	if err := back.Restore(t.Context(), to, func(pay.Day, journal.Proof) {}); err != nil {
		t.Fatal(err)
	}
	err := back.write(t.Context(), func(ctx context.Context, j *journal.Journal) error {
		for range 2 {
			e, seen, err := j.Begin(ctx, &pay.Intent{Req: &pay.Request{Op: pay.Pay, Ref: pay.Ref{Institution: "0102", Kind: pay.KindPay, Serial: fmt.Sprint(j.Day())}}})
			if err != nil || seen != pay.SeenNew || e.ID.Row < 1<<24 {
				return fmt.Errorf("row %d: %d %w", e.ID.Row, seen, errors.Join(err, errors.New("begin")))
			}
			if err := j.Cut(ctx, j.Day().Add(1)); err != nil {
				return err
			}
		}
		for d := today; d < j.Day(); d = d.Add(1) {
			if _, err := j.Verify(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := back.Restore(t.Context(), to, func(pay.Day, journal.Proof) {}); err == nil {
		t.Error("a folder that is in use was overwritten")
	}
	if err := os.Remove(filepath.Join(to, manifestName)); err != nil {
		t.Fatal(err)
	}
	if err := back.Restore(t.Context(), to, func(pay.Day, journal.Proof) {}); err == nil {
		t.Error("a backup without its manifest was taken")
	}
}

// TestPrune removes days that are old enough, whole and decided, and nothing
// else.
func TestPrune(t *testing.T) {
	b, c := newBooks(t, false)
	prune := func(b *Books, before pay.Day, want string) []pay.Day {
		t.Helper()
		gone, err := b.Prune(t.Context(), before, "archived")
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("before %s: %v, want %q", before, err, want)
		}
		return gone
	}
	prune(b, today.Add(1), "6 个月")
	c.mu.Lock()
	c.at = c.at.AddDate(1, 0, 0)
	c.mu.Unlock()
	prune(b, today.Add(1), "查重")
	err := b.write(t.Context(), func(ctx context.Context, j *journal.Journal) error { return j.Cut(ctx, today.Add(9)) })
	if err != nil {
		t.Fatal(err)
	}
	if gone := prune(b, today.Add(2), ""); len(gone) != 2 {
		t.Errorf("%v are gone", gone)
	}
	names, err := filepath.Glob(filepath.Join(b.Options.Dir, today.String()+"*"))
	if err != nil || len(names) > 0 {
		t.Errorf("%v stayed, %v", names, err)
	}
	b.open(t)
	if _, err := b.auditor(b.Options.Dir).Verify(t.Context(), today.Add(2)); err != nil || len(b.Days()) != 2 {
		t.Errorf("%v are left, %v", b.Days(), err)
	}
}

// TestPruneKeepsUndecided refuses a day of which a payment is undecided today,
// and one that does not prove true.
func TestPruneKeepsUndecided(t *testing.T) {
	for _, undecided := range []bool{true, false} {
		b, c := newBooks(t, undecided)
		c.at = c.at.AddDate(1, 0, 0)
		err := b.write(t.Context(), func(ctx context.Context, j *journal.Journal) error { return j.Cut(ctx, today.Add(9)) })
		if err != nil {
			t.Fatal(err)
		}
		if !undecided {
			name := filepath.Join(b.Options.Dir, today.String()+".sig")
			s, err := os.ReadFile(name)
			if err == nil {
				err = os.WriteFile(name, bytes.Replace(s, []byte("\n"), []byte("\n9"), 1), 0o600)
			}
			if err == nil {
				err = os.Remove(filepath.Join(b.Options.Dir, today.String()+".db"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(b.Options.Dir, today.String()+".db"), []byte("not a log"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if gone, err := b.Prune(t.Context(), today.Add(2), "x"); !errors.Is(err, journal.ErrKept) || len(gone) > 0 {
			t.Errorf("undecided=%v: %v %v", undecided, gone, err)
		}
	}
}

// TestID reads what it writes, and our serial towards hosts.
func TestID(t *testing.T) {
	id := pay.ID{Day: 20261124, Row: 15}
	for _, s := range []string{ID(id), id.Serial(1)} {
		if got, err := ParseID(s, 1); err != nil || got != id {
			t.Errorf("%s: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "20261124", "20261124-0", "20261399-1", "20261124-x", id.Serial(2)} {
		if got, err := ParseID(s, 1); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

// TestSpreadsheetsRunNothing keeps formulas out of CSV.
func TestSpreadsheetsRunNothing(t *testing.T) {
	for _, s := range safe([]string{"=1+1", "+1", "-1", "@x", "\tx"}) {
		if !strings.HasPrefix(s, "'") {
			t.Errorf("%q", s)
		}
	}
}

// TestWaiting lists what is not decided, with who has to see to it.
func TestWaiting(t *testing.T) {
	b, c := newBooks(t, true)
	parked := pay.ID{}
	due := c.at.Add(time.Hour)
	err := b.write(t.Context(), func(ctx context.Context, j *journal.Journal) error {
		var open []pay.Entry
		if err := j.OpenEntries(ctx, func(e pay.Entry) bool { open = append(open, e); return true }); err != nil || len(open) != 3 {
			return fmt.Errorf("%d open: %w", len(open), err)
		}
		parked = open[0].ID
		return errors.Join(
			j.Append(ctx, open[0].ID, open[0].N, pay.Event{Kind: pay.EvResult, State: pay.Unkn, LegIs: pay.LegUnknown},
				pay.Event{Kind: pay.EvState, State: pay.Susp, Due: due, Note: "挂账 原因=结果未知 责任人=值班"}),
			j.Append(ctx, open[1].ID, open[1].N, pay.Event{Kind: pay.EvResult, State: pay.Unkn, LegIs: pay.LegUnknown},
				pay.Event{Kind: pay.EvAttempt, State: pay.Unkn, Attempt: 1}, pay.Event{Kind: pay.EvAttempt, State: pay.Unkn, Attempt: 2, Due: due.Add(-time.Minute)}))
	})
	if err != nil {
		t.Fatal(err)
	}
	b.open(t)
	for range 2 {
		list, err := b.Waiting(t.Context())
		if err != nil || len(list) != 3 {
			t.Fatal(len(list), err)
		}
		tried, person := list[1], list[2]
		if tried.Attempts != 2 || tried.Owner != "前置自动处理" || tried.State != "UNKN" {
			t.Errorf("%+v", tried)
		}
		if person.ID != ID(parked) || person.Owner != "值班" || person.Reason != "结果未知" || person.Overdue != b.Options.Now().After(due) {
			t.Errorf("%+v", person)
		}
		var out bytes.Buffer
		if err := WaitingTable(&out, list); err != nil || strings.Contains(out.String(), "逾期") != person.Overdue {
			t.Errorf("%v\n%s", err, out.String())
		}
		c.mu.Lock()
		c.at = c.at.Add(2 * time.Hour)
		c.mu.Unlock()
	}
}
