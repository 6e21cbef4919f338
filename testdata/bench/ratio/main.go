// Ratio reads what go test -bench prints, takes the best of each benchmark's
// runs and prints how the codec stands beside its peer and the floor. With
// -check it exits with 1 when a goal is missed.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// goal is a bound for a time, or for a ratio of two times.
type goal struct {
	what     string
	of, over string // benchmarks; no over: a time
	least    float64
	most     float64
}

var goals = []goal{
	{"decode BCD, ns", "OursUnpack/BCD", "", 0, 300},
	{"encode BCD, ns", "OursPack/BCD", "", 0, 200},
	{"decode BCD, moov-io over ours", "PeerMoovUnpack/BCD", "OursUnpack/BCD", 300, 0},
	{"encode BCD, moov-io over ours", "PeerMoovPack/BCD", "OursPack/BCD", 600, 0},
	{"encode BCD with setting, moov-io over ours", "PeerMoovSetPack/BCD", "OursPack/BCD", 600, 0},
	{"decode ASCII, moov-io over ours", "PeerMoovUnpack/ASCII", "OursUnpack/ASCII", 25, 0},
	{"encode ASCII, moov-io over ours", "PeerMoovPack/ASCII", "OursPack/ASCII", 25, 0},
	{"decode BCD, ours over the floor", "OursUnpack/BCD", "Floor", 0, 5},
}

func main() {
	check := flag.Bool("check", false, "exit with 1 when a goal is missed")
	flag.Parse()
	best, allocs, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if !report(os.Stdout, best, allocs) && *check {
		os.Exit(1)
	}
}

// read returns the shortest time of each benchmark and the most allocations.
func read(r io.Reader) (best, allocs map[string]float64, err error) {
	best, allocs = map[string]float64{}, map[string]float64{}
	in := bufio.NewScanner(r)
	for in.Scan() {
		f := strings.Fields(in.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(f[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, nil, fmt.Errorf("%q: %w", in.Text(), err)
			}
			switch f[i+1] {
			case "ns/op":
				if old, ok := best[name]; !ok || v < old {
					best[name] = v
				}
			case "allocs/op":
				allocs[name] = max(allocs[name], v)
			}
		}
	}
	return best, allocs, in.Err()
}

// report prints every goal and whether it is met.
func report(w io.Writer, best, allocs map[string]float64) bool {
	all := true
	for _, g := range goals {
		got, ok := best[g.of]
		if g.over != "" {
			over, found := best[g.over]
			got, ok = got/over, ok && found
		}
		met := ok && got >= g.least && (g.most == 0 || got <= g.most)
		all = all && met
		want := fmt.Sprintf(">= %g", g.least)
		if g.most > 0 {
			want = fmt.Sprintf("<= %g", g.most)
		}
		fmt.Fprintf(w, "%-44s %8.1f  %-7s %s\n", g.what, got, want, mark(met))
	}
	for _, name := range []string{"OursUnpack/BCD", "OursPack/BCD", "OursUnpack/ASCII", "OursPack/ASCII"} {
		_, ok := best[name]
		met := ok && allocs[name] == 0
		all = all && met
		fmt.Fprintf(w, "%-44s %8.0f  %-7s %s\n", name+", allocations", allocs[name], "= 0", mark(met))
	}
	return all
}

func mark(met bool) string {
	if met {
		return "met"
	}
	return "MISSED"
}
