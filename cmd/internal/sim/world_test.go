package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

const (
	today       = pay.Day(20000101) // where a bubble's clock starts
	hostTimeout = 3 * time.Second
	slowest     = 20 * hostTimeout // the longest a frame takes, each way
)

// options are what a seed draws, and what a mutant changes.
type options struct {
	seed                  uint64
	payments              int
	dedupe, status        bool
	repeats, marks, tells bool // the card centre: answers a repeat as the first; refuses what was reversed before it came; says when there was nothing to reverse
	lose, double          float64
	cut, slow             float64
	diskFails             float64
	crashes, steps        int
	days                  int // cuts under load
	lateWindow            time.Duration
	dupDays               int

	// Where a mutant stands between the parts; the identity in a sound world.
	store   func(journal.Store) journal.Store
	journal func(gateway.Journal) gateway.Journal
	adapter func(gateway.Adapter) gateway.Adapter
	cards   func(gateway.Adapter) gateway.Adapter
	meters  func(gateway.Adapter) gateway.Adapter
	purses  func(gateway.Adapter) gateway.Adapter
	swapped bool // a purchase is posted before it is sold
	trust   bool // an approval of a reversal is believed from a centre that approves anything
	handler func(gateway.Handler) gateway.Handler
	late    func(func(serial string, rep pay.Reply)) func(serial string, rep pay.Reply)
}

func drawOptions(seed uint64) options {
	r := rand.New(rand.NewPCG(seed, 0))
	o := options{seed: seed, payments: 12 + r.IntN(20), dedupe: r.IntN(2) == 0, status: r.IntN(4) > 0,
		lose: r.Float64() * 0.15, double: r.Float64() * 0.1, cut: r.Float64() * 0.05, slow: r.Float64() * 0.2, diskFails: r.Float64() * 0.03,
		crashes: r.IntN(4), steps: r.IntN(3), days: r.IntN(2), lateWindow: 2*slowest + time.Minute, dupDays: 2,
		store: func(s journal.Store) journal.Store { return s }, journal: func(j gateway.Journal) gateway.Journal { return j },
		adapter: func(a gateway.Adapter) gateway.Adapter { return a }, cards: func(a gateway.Adapter) gateway.Adapter { return a }, meters: func(a gateway.Adapter) gateway.Adapter { return a },
		purses: func(a gateway.Adapter) gateway.Adapter { return a }, handler: func(h gateway.Handler) gateway.Handler { return h },
		late: func(f func(string, pay.Reply)) func(string, pay.Reply) { return f }}
	o.repeats, o.marks, o.tells = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
	if r.IntN(4) == 0 {
		o.diskFails = 0 // some checks are only possible where nothing is lost on the way
	}
	return o
}

// end is a link with the assembled dialects of its two sides.
type end struct {
	link *spec.Link
	ops  []pay.Op
}

// ends are the links of every world by file name, read once: a world assembles
// its own dialects from them and changes nothing.
var ends = sync.OnceValues(func() (map[string]*end, error) {
	all := map[string]*end{}
	for _, name := range []string{"pos-cup.yaml", "bank-fixed.yaml", "bank-http.yaml", "kiosk-pos.yaml", "kiosk-cash.yaml", "kiosk-qr.yaml", "mis.yaml", "posp.yaml", "card-meter.yaml"} {
		l, err := spec.Load("links/"+name, conf.Files.ReadFile)
		if err != nil {
			return nil, err
		}
		ops, err := l.Ops()
		if err != nil {
			return nil, err
		}
		all[name] = &end{l, ops}
	}
	return all, nil
})

func (e *end) assemble(w *world) *protocol.Dialect {
	d, err := e.link.Assemble(spec.Parts{Keys: secure.Keys{Ring: secure.Ring{"k": {Private: w.signer, Public: w.signer.Public(), SM4: make([]byte, 16)}},
		Roles: map[string]string{"gateway": "k", "mis": "k", "master": "k", "session": "k", "bank": "k"}}, Sessions: secure.NewSessions(1000), Now: time.Now})
	if err != nil {
		w.fail("link: %v", err)
	}
	return d
}

// gateway and bank build one side with session keys of its own.
func (e *end) gateway(w *world) *protocol.Dialect { return e.assemble(w) }
func (e *end) bank(w *world) *protocol.Dialect    { return e.assemble(w) }

// world is everything outside the gateway's process, and the process.
type world struct {
	o                     options
	dir                   string
	signer                *gm.PrivateKey
	links                 map[string]*end
	hostLink              *end
	host                  *host
	wire                  *wire
	cardLink              *end
	centre                *centre
	cardWire              *wire
	meterLink             *end
	meters                *meters
	meterWire             *wire
	purses                *purses
	purseThere, purseBack *weather
	disk                  *trouble
	front                 [2]*weather // between banks and gateway

	mu      sync.Mutex
	d       *daemon // nil while the process is down
	day     pay.Day // of the banks
	offset  time.Duration
	wrong   []string
	crashes int
	proved  map[string]bool // our serials of postings whose approval came late
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().UTC().Add(w.offset)
}

// prove notes that the approval of a posting came after its caller had gone.
func (w *world) prove(serial string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proved[serial] = true
}

// journalOptions are those of every incarnation.
func (w *world) journalOptions() journal.Options {
	key := make([]byte, 16)
	return journal.Options{Dir: w.dir, Node: 1, DupDays: w.o.dupDays, MaxPending: 1000, KEK: key, IndexKey: key, Signer: w.signer, Now: w.now, SegmentRows: 64}
}

// fail notes what must not be.
func (w *world) fail(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, a...))
}

func (w *world) must(err error) {
	if err != nil {
		w.fail("%v", err)
	}
}

// process returns the living incarnation, nil when there is none.
func (w *world) process() *daemon {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.d
}

func newWorld(t *testing.T, o options) *world {
	w := &world{o: o, day: today, links: map[string]*end{}, host: newHost(o.dedupe), centre: newCentre(o), meters: newMeters(o), proved: map[string]bool{}}
	base := "/dev/shm" // memory: a seed makes hundreds of durable commits
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	var err error
	if w.dir, err = os.MkdirTemp(base, "qianzhi-sim-"); err != nil {
		t.Fatal(err)
	}
	if w.signer, err = gm.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	e, err := ends()
	if err != nil {
		t.Fatal(err)
	}
	for id, file := range map[string]string{"pos": "pos-cup.yaml", "fixed": "bank-fixed.yaml", "http": "bank-http.yaml", "cards": "kiosk-pos.yaml", "public": "kiosk-pos.yaml", "kiosk": "kiosk-cash.yaml", "qr": "kiosk-qr.yaml"} {
		w.links[id] = e[file]
	}
	w.hostLink, w.cardLink, w.meterLink = e["mis.yaml"], e["posp.yaml"], e["card-meter.yaml"]
	w.host.sold = func(serial string) bool { return w.meters.effects(serial) > 0 }
	weatherOf := func(stream uint64) *weather {
		return &weather{r: rand.New(rand.NewPCG(o.seed, stream)), lose: o.lose, double: o.double, cut: o.cut, slow: o.slow, slowly: slowest}
	}
	w.front = [2]*weather{weatherOf(1), weatherOf(2)}
	w.purses, w.purseThere, w.purseBack = newPurses(w), weatherOf(25), weatherOf(26)
	w.disk = &trouble{r: rand.New(rand.NewPCG(o.seed, 3)), fail: o.diskFails}
	far := w.hostLink.assemble(w)
	there := weatherOf(4)
	if !o.dedupe {
		there.double = 0 // a stream does not double; only a host that deduplicates may resend to itself
	}
	w.wire = w.wireTo(w.hostLink, far, w.host, there, weatherOf(5))
	toCards := weatherOf(21)
	toCards.double = 0 // a stream does not double
	w.cardWire = w.wireTo(w.cardLink, w.cardLink.assemble(w), w.centre, toCards, weatherOf(22))
	toMeters := weatherOf(23)
	if !o.dedupe {
		toMeters.double = 0
	}
	w.meterWire = w.wireTo(w.meterLink, w.meterLink.assemble(w), w.meters, toMeters, weatherOf(24))
	return w
}

// wireTo connects the gateway to a host behind the weather.
func (w *world) wireTo(e *end, far *protocol.Dialect, h gateway.Handler, there, back *weather) *wire {
	return &wire{there: there, back: back, d: far, channel: &gateway.Channel{Link: e.link.ID, Handler: h, Dialect: far, Funds: pay.Untaken,
		Allow: e.ops, Max: e.link.MaxAmount(), Timeout: time.Hour, Digest: gm.SumSM3, Now: time.Now, Rejects: nobody{}, Log: quiet}}
}

// nobody takes the host's notes.
type nobody struct{}

func (nobody) Note(context.Context, *pay.Note, bool) error { return nil }

// up starts an incarnation; disk trouble during the start is tried again, as a
// supervisor does.
func (w *world) up() {
	for range 200 {
		d, err := w.spawn()
		if err == nil {
			w.mu.Lock()
			w.d = d
			w.mu.Unlock()
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	w.fail("the process does not start any more")
}

// down ends the incarnation, politely or as SIGKILL does.
func (w *world) down(kill bool) {
	w.mu.Lock()
	d := w.d
	w.d = nil
	w.mu.Unlock()
	if d == nil {
		return
	}
	if kill {
		d.kill()
	} else {
		d.stop()
	}
}

// unrest crashes the process, steps the clock and cuts the day at drawn times
// while the banks are busy.
func (w *world) unrest(r *rand.Rand, over time.Duration) {
	at := func() time.Duration { return time.Duration(r.Int64N(int64(over))) }
	var wg sync.WaitGroup
	for range w.o.crashes {
		when, away := at(), time.Duration(r.Int64N(int64(20*time.Second)))
		wg.Go(func() {
			time.Sleep(when)
			w.mu.Lock()
			w.crashes++
			first := w.crashes == 1 || w.d != nil
			w.mu.Unlock()
			if first {
				w.down(true)
				time.Sleep(away)
				w.up()
			}
		})
	}
	for range w.o.steps {
		when, step := at(), time.Duration(r.Int64N(int64(2*time.Hour)))-time.Hour
		wg.Go(func() {
			time.Sleep(when)
			w.mu.Lock()
			w.offset = step
			w.mu.Unlock()
		})
	}
	if w.o.days > 0 {
		when := at()
		wg.Go(func() {
			time.Sleep(when)
			w.cut(today.Add(1))
		})
	}
	wg.Wait()
}

// cut ends the accounting day; an incarnation that dies in it is asked again.
func (w *world) cut(next pay.Day) {
	for range 500 {
		if d := w.process(); d != nil {
			if d.journal.Day() >= next || d.journal.Cut(context.Background(), next) == nil {
				return
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	w.fail("the day cannot be cut")
}
