package powerloss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Record runs a program under strace and returns the file of its operations.
// The program works in dir and says what it acknowledged by writing to acks,
// which stands elsewhere.
func Record(ctx context.Context, out string, program *exec.Cmd) error {
	args := append([]string{"-f", "-xx", "-s", "16777216", "--seccomp-bpf", "-e", "trace=" + calls, "-e", "signal=none", "-o", out, program.Path}, program.Args[1:]...)
	c := exec.CommandContext(ctx, "strace", args...)
	c.Env, c.Dir = program.Env, program.Dir
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("powerloss: %w\n%s", err, text)
	}
	return nil
}

// Summary is what a run came to.
type Summary struct {
	Points int `json:"points"`
	Acked  int `json:"acked"`  // acknowledgements that were looked for, over all points
	Lost   int `json:"lost"`   // of them, not there
	Broken int `json:"broken"` // points after which the journal did not open or prove true
}

// Options steer a run.
type Options struct {
	Record    string // what Record wrote
	Dir, Acks string // of the recorded run
	Points    int
	Seed      uint64
	Scratch   string // where folders are rebuilt
	// Check opens what a cut left and returns how many of the acknowledgements
	// are not there.
	Check func(dir string, told []string) (lost int, err error)
	Log   io.Writer

	deaf bool // for a test: syncs do nothing
}

// Run cuts the power at random points of a record.
func Run(o Options) (Summary, error) {
	var sum Summary
	r := rand.New(rand.NewPCG(o.Seed, 1))
	n, err := count(o)
	if err != nil || n == 0 {
		return sum, errors.Join(err, errors.New("powerloss: nothing was recorded"))
	}
	points := make([]int, o.Points)
	for i := range points {
		points[i] = r.IntN(n)
	}
	slices.Sort(points)
	f, err := os.Open(o.Record)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	p := o.replay()
	err = p.follow(f, func(line int) error {
		for len(points) > 0 && points[0] == line {
			points = points[1:]
			if err := o.cut(p, line, r, &sum); err != nil {
				return err
			}
		}
		return nil
	})
	return sum, err
}

func (o *Options) replay() *replay {
	return &replay{dir: o.Dir, acks: o.Acks, disk: newFolder(), open: map[int64]*handle{}, syncing: map[string]int{}, deaf: o.deaf}
}

// count returns the lines of a record.
func count(o Options) (n int, err error) {
	f, err := os.Open(o.Record)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return n, parse(f, func(call) error { n++; return nil })
}

func (o *Options) cut(p *replay, line int, r *rand.Rand, sum *Summary) error {
	dir := filepath.Join(o.Scratch, fmt.Sprint(sum.Points))
	sum.Points++
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := p.disk.leave(dir, r); err != nil {
		return err
	}
	sum.Acked += len(p.told)
	lost, err := o.Check(dir, p.told)
	sum.Lost += lost
	if err != nil {
		sum.Broken++
	}
	if lost > 0 || err != nil {
		fmt.Fprintf(o.Log, "cut before line %d of the record: %d of %d acknowledgements lost, %v; left in %s\n", line, lost, len(p.told), err, dir)
		return nil
	}
	return os.RemoveAll(dir)
}
