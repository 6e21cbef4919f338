package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

const (
	childDir  = "QIANZHI_JOURNAL_CHILD" // makes the test binary a writer that never ends
	killTimes = "QIANZHI_JOURNAL_KILLS" // how often it is killed
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const today pay.Day = 20261124

func options(dir string) (journal.Options, error) {
	text, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil {
		return journal.Options{}, err
	}
	key, err := gm.ParsePrivateKey(text)
	return journal.Options{Dir: dir, Node: 1, DupDays: 2, MaxPending: 10000, KEK: []byte("0123456789abcdef"),
		IndexKey: []byte("fedcba9876543210"), Signer: key, Now: time.Now}, err
}

func newOptions(t testing.TB, dir string) journal.Options {
	t.Helper()
	key, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := gm.MarshalPrivateKey(key)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "key.pem"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	o, err := options(dir)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func sale(serial string) *pay.Intent {
	return &pay.Intent{Legs: []pay.LegKind{pay.LegPost}, Req: &pay.Request{Op: pay.Pay, Account: serial, Amount: 100,
		Ref: pay.Ref{Institution: "0102", Kind: pay.KindPay, Scope: "T1", Serial: serial},
		Via: &pay.Via{Link: "pos", Raw: make([]byte, 200)}}}
}

// child pays, cuts the day again and again, and says what was acknowledged in
// one line each: day, row and number of the event.
func child(dir string) error {
	o, err := options(dir)
	if err != nil {
		return err
	}
	j, err := journal.Open(context.Background(), New(dir), o, today)
	if err != nil {
		return err
	}
	failed := make(chan error)
	go func() { failed <- j.Run(context.Background()) }()
	for w := range 16 {
		go func() { failed <- payer(j, fmt.Sprintf("%d-%d", os.Getpid(), w)) }()
	}
	go func() {
		for i := 0; ; i++ {
			if i%400 == 399 {
				if err := j.Cut(context.Background(), j.Day().Add(1)); err != nil {
					failed <- err
				}
			}
			if err := j.Note(context.Background(), &pay.Note{Kind: pay.EvAdmin}, true); err != nil {
				failed <- err
			}
		}
	}()
	return <-failed
}

func payer(j *journal.Journal, name string) error {
	ctx := context.Background()
	for i := 0; ; i++ {
		e, seen, err := j.Begin(ctx, sale(name+"-"+strconv.Itoa(i)))
		if err != nil || seen != pay.SeenNew {
			return fmt.Errorf("begin: %d %w", seen, err)
		}
		fmt.Printf("%d %d 1\n", e.ID.Day, e.ID.Row)
		if i%10 == 0 {
			continue // stays open
		}
		if err := j.Append(ctx, e.ID, 1, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone}); err != nil {
			return err
		}
		fmt.Printf("%d %d 2\n", e.ID.Day, e.ID.Row)
	}
}

// TestKill kills a writer at random moments; whatever it acknowledged is there
// afterwards, once, and every chain proves true.
func TestKill(t *testing.T) {
	times := 4
	if n, err := strconv.Atoi(os.Getenv(killTimes)); err == nil {
		times = n
	}
	dir := t.TempDir()
	o := newOptions(t, dir)
	acked := map[pay.ID]uint32{}
	for range times {
		killOne(t, dir, 1+rand.IntN(3000), acked)
		j, stop := start(t, dir, o)
		for id, n := range acked {
			if e, err := j.Get(t.Context(), id); err != nil || e.N < n {
				t.Fatalf("%v: acknowledged to event %d, is at %d: %v", id, n, e.N, err)
			}
		}
		if err := checkAll(t.Context(), j, dir); err != nil {
			t.Fatal(err)
		}
		stop()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d payments acknowledged over %d kills", len(acked), times)
}

// killOne starts a writer, lets it acknowledge n times and kills it.
func killOne(t *testing.T, dir string, n int, acked map[pay.ID]uint32) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewReader(out); ; n-- {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // what was cut off was not acknowledged
		}
		var id pay.ID
		var event uint32
		if _, err := fmt.Sscanf(line, "%d %d %d\n", &id.Day, &id.Row, &event); err != nil {
			t.Fatalf("child says %q", line)
		}
		acked[id] = max(acked[id], event)
		if n == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("child ended by itself: %v", err)
	}
}

func start(t testing.TB, dir string, o journal.Options) (*journal.Journal, func()) {
	t.Helper()
	j, err := journal.Open(t.Context(), New(dir), o, today)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	return j, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

// checkAll proves every chain and reads every closed day.
func checkAll(ctx context.Context, j *journal.Journal, dir string) error {
	days, err := New(dir).Days(ctx)
	if err != nil {
		return err
	}
	for _, d := range days {
		if _, err := j.Verify(ctx, d); err != nil {
			return err
		}
		if d == j.Day() {
			continue
		}
		freeze, err := j.Freeze(ctx, d)
		if err != nil {
			return err
		}
		seen := map[pay.ID]bool{}
		twice := 0
		err = j.Lines(ctx, d, freeze, func(e *pay.Entry) bool {
			if seen[e.ID] {
				twice++
			}
			seen[e.ID] = true
			return true
		})
		if err != nil || twice > 0 {
			return fmt.Errorf("lines of %s: %d twice: %w", d, twice, err)
		}
	}
	return nil
}
