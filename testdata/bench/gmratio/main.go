// Gmratio reads what go test -bench prints of BenchmarkExchange and
// BenchmarkSessionExchange and compares: the least processor time of each over
// all rounds, which other work on the machine lengthens least. The last line is
// JSON. With -check it exits with 1 when a goal is missed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// cores is how many the goal of the session mode is stated for.
const cores = 2

// result is the last line.
type result struct {
	Rounds       int     `json:"rounds"`
	OursUS       float64 `json:"ours_cpu_us"`     // SM2 verify and sign, GCM both ways
	TjfocUS      float64 `json:"tjfoc_cpu_us"`    // the same with that library alone
	EmmansunUS   float64 `json:"emmansun_cpu_us"` // the same with that library alone
	OverTjfoc    float64 `json:"ours_over_tjfoc"`
	OfEmmansun   float64 `json:"ours_of_emmansun_percent"`
	SessionUS    float64 `json:"session_cpu_us"`            // HMAC-SM3 and GCM both ways
	SessionWall  float64 `json:"session_exchanges_s_wall"`  // the best round, beside other work
	SessionCores float64 `json:"session_exchanges_s_2cpus"` // what two cores do if they do nothing else
	Met          bool    `json:"goals_met"`
}

func main() {
	check := flag.Bool("check", false, "exit with 1 when a goal is missed")
	flag.Parse()
	r, err := read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gmratio:", err)
		os.Exit(2)
	}
	if !report(os.Stdout, r) && *check {
		os.Exit(1)
	}
}

// read takes the best of each benchmark.
func read(in io.Reader) (*result, error) {
	least, wall, rounds := map[string]float64{}, 0.0, map[string]int{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "-")
		rounds[name]++
		for i := 2; i+1 < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", lines.Text(), err)
			}
			switch old, ok := least[name]; {
			case f[i+1] == "exchanges/s":
				wall = math.Max(wall, v)
			case f[i+1] == "cpu-ns/op" && (!ok || v < old):
				least[name] = v
			}
		}
	}
	us := func(name string) float64 { return least[name] / 1000 }
	r := &result{Rounds: rounds["Exchange/ours"], OursUS: us("Exchange/ours"), TjfocUS: us("Exchange/tjfoc"), EmmansunUS: us("Exchange/emmansun"),
		SessionUS: us("SessionExchange"), SessionWall: wall}
	if r.OursUS <= 0 || r.TjfocUS <= 0 || r.EmmansunUS <= 0 || r.SessionUS <= 0 {
		return nil, fmt.Errorf("a benchmark is missing: %v", rounds)
	}
	r.OverTjfoc, r.OfEmmansun, r.SessionCores = r.TjfocUS/r.OursUS, 100*r.EmmansunUS/r.OursUS, cores*1e6/r.SessionUS
	return r, lines.Err()
}

// report prints every goal and whether it is met.
func report(w io.Writer, r *result) bool {
	r.Met = true
	for _, g := range []struct {
		what       string
		got, least float64
	}{
		{"SM2 verify and sign, GCM both ways: times tjfoc", r.OverTjfoc, 9},
		{"the same: percent of emmansun", r.OfEmmansun, 85},
		{"session mode: exchanges a second on 2 cores", r.SessionCores, 250_000},
	} {
		mark := "met"
		if g.got < g.least {
			mark, r.Met = "MISSED", false
		}
		fmt.Fprintf(w, "%-50s %10.1f  >= %-8g %s\n", g.what, g.got, g.least, mark)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return false
	}
	fmt.Fprintf(w, "%s\n", b)
	return r.Met
}
