package powerloss

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

var (
	points = flag.Int("powerloss.n", 25, "power cuts")
	seed   = flag.Uint64("powerloss.seed", 0, "draws the cuts; 0 draws a seed")
)

const (
	childDir  = "QIANZHI_POWERLOSS_CHILD" // makes the test binary the recorded run
	childLife = "QIANZHI_POWERLOSS_LIFE"  // set in its second life
	today     = pay.Day(20261124)
	days      = 3
	payments  = 150 // a day
	payers    = 8
)

func TestMain(m *testing.M) {
	if base := os.Getenv(childDir); base != "" {
		if err := child(base); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0) // without closing anything
	}
	os.Exit(m.Run())
}

func options(base, dir string) (journal.Options, error) {
	text, err := os.ReadFile(filepath.Join(base, "key.pem"))
	if err != nil {
		return journal.Options{}, err
	}
	key, err := gm.ParsePrivateKey(text)
	return journal.Options{Dir: dir, Node: 1, DupDays: 2, MaxPending: 10000, KEK: []byte("0123456789abcdef"),
		IndexKey: []byte("fedcba9876543210"), Signer: key, Now: time.Now}, err
}

// run opens a journal and returns what ends it.
func run(o journal.Options) (*journal.Journal, func() error, error) {
	j, err := journal.Open(context.Background(), sqlite.New(o.Dir), o, today)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	return j, func() error { cancel(); return <-done }, nil
}

// child pays for some days and writes down what was acknowledged: day, row and
// number of the event. Half-way it ends abruptly and another process takes its
// place, so that a start on what was left is recorded too.
func child(base string) error {
	o, err := options(base, filepath.Join(base, "journal"))
	if err != nil {
		return err
	}
	acks, err := os.OpenFile(filepath.Join(base, "acks"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	j, _, err := run(o)
	if err != nil {
		return err
	}
	for day := range days {
		failed := make(chan error, payers)
		for p := range payers {
			go func() { failed <- payer(j, acks, fmt.Sprintf("%s-%d-%d", os.Getenv(childLife), day, p)) }()
		}
		for range payers {
			if err := <-failed; err != nil {
				return err
			}
		}
		if day == 0 && os.Getenv(childLife) == "" {
			return syscall.Exec(os.Args[0], os.Args, append(os.Environ(), childLife+"=2"))
		}
		if day < days-1 {
			if err := j.Cut(context.Background(), j.Day().Add(1)); err != nil {
				return err
			}
		}
	}
	return nil
}

func payer(j *journal.Journal, acks *os.File, name string) error {
	ctx := context.Background()
	for i := range payments / payers {
		e, seen, err := j.Begin(ctx, &pay.Intent{Legs: []pay.LegKind{pay.LegPost}, Req: &pay.Request{Op: pay.Pay, Account: name, Amount: 100,
			Ref: pay.Ref{Institution: "0102", Kind: pay.KindPay, Scope: "T1", Serial: fmt.Sprint(name, i)}, Via: &pay.Via{Link: "pos", Raw: make([]byte, 200)}}})
		if err != nil || seen != pay.SeenNew {
			return fmt.Errorf("begin: %d %w", seen, err)
		}
		if _, err := fmt.Fprintf(acks, "%d %d 1\n", e.ID.Day, e.ID.Row); err != nil {
			return err
		}
		if i%10 == 0 {
			continue // stays open
		}
		if err := j.Append(ctx, e.ID, 1, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone}); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(acks, "%d %d 2\n", e.ID.Day, e.ID.Row); err != nil {
			return err
		}
	}
	return nil
}

// check opens the journal on what a power cut left.
func check(base string) func(dir string, told []string) (int, error) {
	return func(dir string, told []string) (lost int, err error) {
		o, err := options(base, dir)
		if err != nil {
			return 0, err
		}
		j, stop, err := run(o)
		if err != nil {
			return len(told), err
		}
		for _, line := range told {
			var id pay.ID
			var n uint32
			if _, err := fmt.Sscanf(line, "%d %d %d", &id.Day, &id.Row, &n); err != nil {
				return lost, errors.Join(err, stop())
			}
			if e, err := j.Get(context.Background(), id); err != nil || e.N < n {
				lost++
			}
		}
		all, err := sqlite.New(dir).Days(context.Background())
		for _, d := range all {
			_, broken := j.Verify(context.Background(), d)
			err = errors.Join(err, broken)
		}
		return lost, errors.Join(err, stop())
	}
}

// recorded makes a record, or says why there can be none.
func recorded(t *testing.T) (base, record string) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		unable(t, "strace is not installed")
	}
	base = t.TempDir()
	key, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := gm.MarshalPrivateKey(key)
	if err = errors.Join(err, os.WriteFile(filepath.Join(base, "key.pem"), text, 0o600), os.Mkdir(filepath.Join(base, "journal"), 0o700)); err != nil {
		t.Fatal(err)
	}
	record = filepath.Join(base, "record")
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+base)
	if err := Record(t.Context(), record, c); err != nil {
		if strings.Contains(err.Error(), "ptrace") || strings.Contains(err.Error(), "not permitted") {
			unable(t, err.Error())
		}
		t.Fatal(err)
	}
	return base, record
}

func unable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// TestPowerLoss cuts the power at random points of a real run; the last line
// is a summary as JSON.
func TestPowerLoss(t *testing.T) {
	base, record := recorded(t)
	s := *seed
	if s == 0 {
		s = rand.Uint64() >> 16
	}
	sum, err := Run(Options{Record: record, Dir: filepath.Join(base, "journal"), Acks: filepath.Join(base, "acks"), Points: *points,
		Seed: s, Scratch: t.TempDir(), Check: check(base), Log: os.Stdout})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Lost > 0 || sum.Broken > 0 || sum.Acked == 0 {
		t.Errorf("seed %d: %+v", s, sum)
	}
	b, err := json.Marshal(sum)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(b))
}

// TestLyingDisk lets syncs do nothing: the model must find what is lost then,
// or it would find nothing ever.
func TestLyingDisk(t *testing.T) {
	base, record := recorded(t)
	sum, err := Run(Options{Record: record, Dir: filepath.Join(base, "journal"), Acks: filepath.Join(base, "acks"), Points: 12,
		Seed: 1, Scratch: t.TempDir(), Check: check(base), Log: io.Discard, deaf: true})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Lost == 0 {
		t.Errorf("%+v", sum)
	}
}

// TestParse reads the forms in which strace writes a call.
func TestParse(t *testing.T) {
	record := `7 openat(AT_FDCWD, "\x2f\x61", O_RDWR|O_CREAT, 0600) = 3
7 pwrite64(3, "\x29\x20\x3d"..., 3, 16 <unfinished ...>
8 fsync(3)                          = -1 EIO (Input/output error)
7 <... pwrite64 resumed>)           = 3
+++ exited with 0 +++
`
	var got []string
	err := parse(strings.NewReader(record), func(c call) error {
		got = append(got, fmt.Sprintf("%s %s %d %d %t %t", c.thread, c.name, len(c.args), c.result, c.begins, c.ends))
		return nil
	})
	want := "[7 openat 4 3 true true 7 pwrite64 4 0 true false 8 fsync 1 -1 true true 7 pwrite64 4 3 false true]"
	if s := fmt.Sprint(got); err != nil || s != want {
		t.Errorf("got %s, %v", s, err)
	}
	if _, err := text(`"\x29"...`); err == nil {
		t.Error("a string that was cut short is read")
	}
	if b, err := text(`"\x2f\x61"`); err != nil || string(b) != "/a" {
		t.Errorf("%q %v", b, err)
	}
}
