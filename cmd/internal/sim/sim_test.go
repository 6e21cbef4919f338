package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"qianzhi/protocol"
)

var (
	count = flag.Int("sim.n", 20, "seeds to play")
	first = flag.Uint64("sim.seed", 0, "first seed; 0 draws one")
)

// outcome is what a seed came to.
type outcome struct {
	payments int
	told     map[string]int // final answers that banks heard, by link
	wrong    []string
}

// play runs one world to its end.
func play(t *testing.T, o options) (out outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, o)
		defer w.clean()
		w.up()
		tellers := w.tellers()
		busy := time.Duration(o.payments) * 6 * time.Second
		var wg sync.WaitGroup
		r := rand.New(rand.NewPCG(o.seed, 6))
		wg.Go(func() { w.unrest(rand.New(rand.NewPCG(o.seed, 7)), busy) })
		for i, tl := range tellers {
			var accounts []string
			for n := i; n < o.payments; n += len(tellers) {
				accounts = append(accounts, w.account(r, n))
			}
			wg.Go(func() { tl.work(accounts) })
		}
		wg.Wait()
		w.calm()
		var deals []*deal
		for _, tl := range tellers {
			deals = append(deals, tl.deals...)
		}
		if w.process() != nil { // else it is on the list of what went wrong
			all := w.books(deals)
			w.soldOnce(tellers)
			if o.crashes > 0 {
				w.counts(all)
			}
			w.night(deals, all)
		}
		w.down(false)
		out = outcome{len(deals), map[string]int{}, w.wrong}
		for _, d := range deals {
			if d.approved || d.declined || d.undone {
				out.told[d.link]++
			}
		}
	})
	return out
}

func (w *world) tellers() []*teller {
	var all []*teller
	for i, link := range []string{"pos", "fixed", "http", "cards", "public", "pos", "fixed", "cards", "kiosk", "kiosk", "qr"} {
		all = append(all, w.teller(link, i+1))
	}
	return all
}

func (w *world) teller(link string, n int) *teller {
	return &teller{w: w, link: link, n: n, r: rand.New(rand.NewPCG(w.o.seed, uint64(9+n))), d: w.links[link].bank(w), rec: new(protocol.Record)}
}

// account is a customer of the host; some pay twice, so that debts meet.
func (w *world) account(r *rand.Rand, n int) string {
	if n > 0 && r.IntN(8) == 0 {
		n = r.IntN(n)
	}
	a := fmt.Sprintf("0512%06d", n+1)
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if _, known := w.host.debts[a]; !known {
		w.host.debts[a] = amountOf(a)
	}
	return a
}

// calm heals network and disk and gives everything time to settle.
func (w *world) calm() {
	for _, x := range []*weather{w.front[0], w.front[1], w.wire.there, w.wire.back, w.cardWire.there, w.cardWire.back, w.meterWire.there, w.meterWire.back, w.purseThere, w.purseBack} {
		x.clear()
	}
	w.disk.mu.Lock()
	w.disk.calm = true
	w.disk.mu.Unlock()
	if w.process() == nil {
		w.up()
	}
	time.Sleep(2 * time.Hour)
}

// summary is the last line of TestSim.
type summary struct {
	Seeds    int `json:"seeds"`
	Payments int `json:"payments"`
	Broken   int `json:"broken"`
}

// TestSim plays seeds, two at a time; the last line is a summary as JSON.
func TestSim(t *testing.T) {
	seed := *first
	if seed == 0 {
		seed = rand.Uint64() >> 16
	}
	var mu sync.Mutex
	var sum summary
	told := map[string]int{}
	t.Run("seeds", func(t *testing.T) {
		for half := range 2 {
			t.Run(fmt.Sprint(half), func(t *testing.T) {
				t.Parallel()
				for i := half; i < *count; i += 2 {
					s := seed + uint64(i)
					out := play(t, drawOptions(s))
					mu.Lock()
					sum.Seeds++
					sum.Payments += out.payments
					for link, n := range out.told {
						told[link] += n
					}
					if len(out.wrong) > 0 {
						sum.Broken++
						t.Errorf("seed %d (%s) broke %d rules: %s\nplay it again: go test ./cmd/internal/sim -run '^TestSim$' -sim.n=1 -sim.seed=%d", s,
							brief(drawOptions(s)), len(out.wrong), strings.Join(out.wrong[:min(3, len(out.wrong))], "; "), s)
					}
					mu.Unlock()
				}
			})
		}
	})
	for _, link := range []string{"pos", "fixed", "http", "kiosk", "qr"} {
		if *count >= 10 && told[link] < sum.Payments/20 { // else its checkers look at nothing
			t.Errorf("link %s heard %d final answers in %d payments", link, told[link], sum.Payments)
		}
	}
	b, err := json.Marshal(sum)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(b))
}

// brief is what the options say in one line.
func brief(o options) string {
	return fmt.Sprintf("dedupe=%v status=%v crashes=%d days=%d steps=%d", o.dedupe, o.status, o.crashes, o.days, o.steps)
}
