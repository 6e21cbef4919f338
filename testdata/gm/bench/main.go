// Command bench measures what national cryptography costs a message, beside the
// two libraries by themselves. All contenders take turns in one process, and
// each turn is counted in processor time; the best of all turns counts. The last
// line is a summary as JSON.
//
// An exchange is what the gateway does for one message: decrypt a request of 512
// bytes and check its signature or MAC, sign or MAC a reply of 512 bytes and
// encrypt it. The gateway's own numbers are those of the envelopes of a link,
// with all their checks. On a machine that others use as well the rate by the
// clock says little: the capacity is what the cores would do by themselves, the
// number of cores divided by the best CPU time of an exchange.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// goals are what the ratios and the rate must reach.
var goals = struct{ native, pure, session float64 }{9, 0.85, 250_000}

// summary is the last line.
type summary struct {
	Ours     float64 `json:"ours_us"`            // CPU time of an exchange with SM2
	Native   float64 `json:"tjfoc_us"`           // the same with tjfoc/gmsm alone
	Pure     float64 `json:"emmansun_us"`        // the same with emmansun/gmsm alone
	OverSlow float64 `json:"times_native"`       // how many times faster than tjfoc
	OfFast   float64 `json:"of_pure"`            // share of the rate of emmansun
	Session  float64 `json:"session_us"`         // CPU time of an exchange with session keys
	Rate     float64 `json:"session_per_second"` // by the clock, on all cores
	Capacity float64 `json:"session_capacity"`   // cores divided by CPU time
	Cores    int     `json:"cores"`
	Met      bool    `json:"goals_met"`
}

func main() {
	rounds := flag.Int("rounds", 20, "turns of each contender")
	check := flag.Bool("check", false, "fail when a goal is missed")
	flag.Parse()
	s, err := measure(*rounds)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	out, _ := json.Marshal(s)
	fmt.Println(string(out))
	if *check && !s.Met {
		os.Exit(1)
	}
}

func measure(rounds int) (s summary, err error) {
	type contender struct {
		name  string
		n     int // exchanges a turn
		build func() (func() error, error)
		best  *float64
	}
	all := []contender{
		{"tjfoc", 40, native, &s.Native}, {"emmansun", 500, pure, &s.Pure}, {"qianzhi", 500, sealed, &s.Ours}, {"qianzhi, session keys", 8000, session, &s.Session}}
	turns := make([]func() error, len(all))
	for i, c := range all {
		*c.best = math.Inf(1)
		if turns[i], err = c.build(); err != nil {
			return s, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	s.Cores = runtime.GOMAXPROCS(0)
	for range rounds {
		for i, c := range all {
			us, err := turn(turns[i], c.n)
			if err != nil {
				return s, fmt.Errorf("%s: %w", c.name, err)
			}
			*c.best = min(*c.best, us)
		}
		rate, err := flood(turns[3], 250*time.Millisecond)
		if err != nil {
			return s, err
		}
		s.Rate = max(s.Rate, rate)
	}
	for _, c := range all {
		fmt.Printf("%-24s %9.2f µs of CPU an exchange\n", c.name, *c.best)
	}
	s.Capacity = float64(s.Cores) * 1e6 / s.Session
	s.OverSlow, s.OfFast = s.Native/s.Ours, s.Pure/s.Ours
	s.Met = s.OverSlow >= goals.native && s.OfFast >= goals.pure && max(s.Rate, s.Capacity) >= goals.session
	fmt.Printf("SM2: %.1f times tjfoc (goal %.0f), %.0f %% of emmansun (goal %.0f %%); session keys: %.0f exchanges a second by the clock, %.0f by CPU time on %d cores (goal %.0f)\n",
		s.OverSlow, goals.native, 100*s.OfFast, 100*goals.pure, s.Rate, s.Capacity, s.Cores, goals.session)
	return s, nil
}

// turn returns the CPU time of one exchange in microseconds, collection of
// garbage included.
func turn(do func() error, n int) (float64, error) {
	runtime.GC()
	before := cpu()
	for range n {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return float64(cpu()-before) / float64(n) / 1e3, nil
}

// cpu is the processor time of the process in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// flood returns how many exchanges all cores together do in a second.
func flood(do func() error, span time.Duration) (float64, error) {
	var wg sync.WaitGroup
	var done atomic.Int64
	var failed atomic.Pointer[error]
	start := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			n := int64(0)
			for ; n%64 != 0 || time.Since(start) < span; n++ {
				if err := do(); err != nil {
					failed.Store(&err)
					return
				}
			}
			done.Add(n)
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(start).Seconds(), nil
}
