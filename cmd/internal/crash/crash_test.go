package crash

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	kills  = flag.Int("crash.n", 4, "kills in all, half with a MIS that deduplicates")
	mutant = flag.String("crash.mutant", "", "build the daemon with a fault that must be found: reply-before-commit")
	seed   = flag.Uint64("crash.seed", 0, "draws the moments of the kills; 0 draws a seed")
)

var tags = map[string]string{"": "", "reply-before-commit": "mutant_reply_before_commit"}

func build(t *testing.T, mutant string) string {
	t.Helper()
	tag, known := tags[mutant]
	if !known {
		t.Fatalf("no mutant %q", mutant)
	}
	name := filepath.Join(t.TempDir(), "qianzhi")
	c := exec.Command("go", "build", "-tags", tag, "-o", name, "qianzhi/cmd/qianzhi")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return name
}

// TestCrash kills the real daemon again and again; the last line is a summary
// as JSON.
func TestCrash(t *testing.T) {
	s := *seed
	if s == 0 {
		s = rand.Uint64() >> 16
	}
	honest := build(t, "")
	bin := honest
	if *mutant != "" {
		bin = build(t, *mutant)
	}
	var all Summary
	for i, dedupe := range []bool{true, false} {
		n := *kills * (i + 1) / 2
		n -= *kills * i / 2
		if n == 0 {
			continue
		}
		sum, err := Run(t.Context(), Options{Binary: bin, Maker: honest, Dir: t.TempDir(), Seed: s + uint64(i), Kills: n, Workers: 12, Dedupe: dedupe, Log: os.Stdout})
		if err != nil {
			t.Errorf("seed %d: %v", s, err)
		}
		if sum == nil {
			continue
		}
		fmt.Println(sum.JSON())
		if !sum.OK() {
			t.Errorf("seed %d, dedupe=%v: %s", s, dedupe, sum.JSON())
		}
		all.Kills += sum.Kills
		all.Acked += sum.Acked
		all.Lost += sum.Lost
		all.Doubled += sum.Doubled
		all.Open += sum.Open
	}
	fmt.Printf(`{"kills":%d,"acked":%d,"lost":%d,"doubled":%d,"open":%d}`+"\n", all.Kills, all.Acked, all.Lost, all.Doubled, all.Open)
}
