// Package crash kills the real daemon at random moments under load on all of
// its links, starts it again, and in the end holds the books of the gateway, of
// the MIS and of a card centre against every answer that the banks' side ever
// got.
package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/app"
)

// Options steer a run.
type Options struct {
	Binary  string // the qianzhi program that is killed
	Maker   string // one that writes the configuration; the same, unless that has a fault
	Dir     string // an empty folder
	Seed    uint64
	Kills   int
	Workers int  // connections per link
	Dedupe  bool // the MIS posts one serial once
	Log     io.Writer
}

// Summary is what a run came to.
type Summary struct {
	Kills    int  `json:"kills"`
	Acked    int  `json:"acked"`   // payments and reversals that a bank was told are final
	Lost     int  `json:"lost"`    // of them, not in the books as told
	Doubled  int  `json:"doubled"` // payments with more than one effect at the MIS
	Open     int  `json:"open"`    // payments without a decision when all is quiet
	Declined int  `json:"declined"`
	Reversed int  `json:"reversed"`
	Sold     int  `json:"sold"`     // purchases for a meter card that count at the card-meter system
	Payments int  `json:"payments"` // in the journal
	Dedupe   bool `json:"dedupe"`
	MS       int  `json:"ready_ms"` // longest time from a start to the first open door
}

// OK reports whether nothing went wrong.
func (s *Summary) OK() bool {
	return s.Lost == 0 && s.Doubled == 0 && s.Open == 0 && s.Acked > 0 && s.Sold > 0
}

// lastLife is how long banks ask on in the last life without any final answer
// before they give up: how fast answers come depends on the machine.
const lastLife = time.Minute

// customersPerKill is more than the workers can pay between two kills.
const customersPerKill = 400

// Run plays a run. Wrong finds are written to the log one by one.
func Run(ctx context.Context, o Options) (*Summary, error) {
	dir := filepath.Join(o.Dir, "crash")
	demo := exec.CommandContext(ctx, o.Maker, "demo", "--dir", dir, "--seed", "1", "--messages", "200", "--products=false", "--exit", fmt.Sprintf("--dedupe=%v", o.Dedupe))
	if out, err := demo.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("demo: %w\n%s", err, out)
	}
	c, err := configured(filepath.Join(dir, "qianzhi.yaml"))
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(o.Seed, 1))
	customers, err := emptyBooks(ctx, c, r, 500+customersPerKill*o.Kills)
	if err != nil {
		return nil, err
	}
	t := &tale{told: map[string]*fate{}, centre: &centre{effects: map[string]int{}}, meter: &meter{effects: map[string]int{}}}
	outlive, end := context.WithCancel(ctx)
	defer end()
	if err := errors.Join(t.centre.open(outlive, dir, c), t.meter.open(outlive, c)); err != nil {
		return nil, err
	}
	bank, err := newBank(dir, c, t)
	if err != nil {
		return nil, err
	}
	d := &daemon{binary: o.Binary, config: filepath.Join(dir, "qianzhi.yaml"), doors: c.Links}
	work, stop := context.WithCancel(ctx)
	all, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var wg sync.WaitGroup
	players := len(bank.links) * o.Workers
	for i := range players {
		p := bank.player(i, o.Seed, customers[len(customers)*i/players:len(customers)*(i+1)/players])
		wg.Go(func() { p.play(work, all) })
	}
	sum := &Summary{Dedupe: o.Dedupe}
	for sum.Kills < o.Kills && err == nil && ctx.Err() == nil {
		if err = d.start(ctx); err == nil {
			err = d.killAfter(ctx, r)
			sum.Kills++
		}
	}
	if err == nil {
		err = d.start(ctx) // the last life, in which everybody gets an answer
	}
	stop()
	t.await(time.AfterFunc(lastLife, giveUp))
	wg.Wait()
	gaveUp := all.Err() != nil && ctx.Err() == nil
	t.late.Stop()
	sum.MS = int(d.ready.Milliseconds())
	if err = errors.Join(err, d.kill(), ctx.Err()); err != nil {
		return sum, err
	}
	if gaveUp {
		err = fmt.Errorf("banks still wait, %s after the last final answer: %s", lastLife, strings.Join(t.waits, "; "))
	}
	return sum, errors.Join(err, t.compare(ctx, c, sum, o.Log))
}

// inAdvance is the route of 预存, which the demo has none of.
const inAdvance = `  - {id: ahead, links: [fixed], ops: [advance], product: advance, legs: [{leg: post, host: mis}], in_flight: 64}
`

// configured adds to the demo's configuration what else is played.
func configured(file string) (*app.Config, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	before, after, found := strings.Cut(string(b), "# Payments in doubt.")
	if !found {
		return nil, fmt.Errorf("%s: no place for a route", file)
	}
	if err := os.WriteFile(file, []byte(before+inAdvance+"# Payments in doubt."+after), 0o600); err != nil {
		return nil, err
	}
	return app.Load(file)
}

// emptyBooks replaces what the demo left by a MIS with many customers who owe.
func emptyBooks(ctx context.Context, c *app.Config, r *rand.Rand, n int) ([]mis.Customer, error) {
	data := c.Path(c.Node.Data)
	if err := os.RemoveAll(data); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	l, err := mis.Open(mis.Options{File: filepath.Join(data, "mis.db"), Dedupe: c.MIS.Dedupe, Now: time.Now})
	if err != nil {
		return nil, err
	}
	customers, err := l.Seed(ctx, r, n)
	return customers, errors.Join(err, l.Close())
}

// JSON is the summary as the last line of a run.
func (s *Summary) JSON() string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
