package sim

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"qianzhi/adapters/socket"
	"qianzhi/gateway"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
)

// mortal is a store that dies with its process: from then on nothing reaches
// the disk. While it lives it fails commits now and then, before or after they
// are durable.
type mortal struct {
	journal.Store
	dead *atomic.Bool
	bad  *trouble
}

// trouble draws which commits fail.
type trouble struct {
	mu   sync.Mutex
	r    *rand.Rand
	fail float64
	calm bool
}

func (t *trouble) draw() (before, after bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calm {
		return false, false
	}
	x := t.r.Float64()
	return x < t.fail/2, x >= t.fail/2 && x < t.fail
}

var (
	errDead = errors.New("process is dead")
	errDisk = errors.New("disk trouble")
)

func (m mortal) Writer(ctx context.Context, day pay.Day) (journal.Writer, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	w, err := m.Store.Writer(ctx, day)
	return mortalWriter{w, m}, err
}

type mortalWriter struct {
	journal.Writer
	m mortal
}

func (w mortalWriter) Append(ctx context.Context, rows []journal.Row) error {
	if w.m.dead.Load() {
		return errDead
	}
	before, after := w.m.bad.draw()
	if before {
		return errDisk
	}
	if err := w.Writer.Append(ctx, rows); err != nil {
		return err
	}
	if after || w.m.dead.Load() {
		return errDisk
	}
	return nil
}

// lastWords keeps a process that was killed from writing refusals.
type lastWords struct {
	gateway.Refusals
	d *daemon
}

func (l lastWords) Refuse(ref pay.Ref) error {
	if l.d.dead.Load() {
		return errDead
	}
	return l.Refusals.Refuse(ref)
}

// daemon is one incarnation of the gateway's process.
type daemon struct {
	w       *world
	dead    atomic.Bool
	journal *journal.Journal
	engine  *gateway.Engine
	doors   map[string]*gateway.Channel
	web     *web
	stop    func() // waits until everything has ended
}

// spawn starts an incarnation on the node's files, as the daemon does.
func (w *world) spawn() (*daemon, error) {
	d := &daemon{w: w, doors: map[string]*gateway.Channel{}}
	store := mortal{sqlite.New(w.dir), &d.dead, w.disk}
	j, err := journal.Open(context.Background(), w.o.store(store), w.journalOptions(), today)
	if err != nil {
		return nil, err
	}
	d.journal = j
	ctx, cancel := context.WithCancel(context.Background())
	book, closeBook := context.WithCancel(context.Background())
	mux, err := d.connect(ctx, "mis", w.hostLink, w.wire)
	if err != nil {
		cancel()
		closeBook()
		return nil, err
	}
	sold, err := d.connectMeters(ctx)
	if err != nil {
		cancel()
		closeBook()
		return nil, err
	}
	cards, line, err := d.connectCards(ctx)
	if err != nil {
		cancel()
		closeBook()
		return nil, err
	}
	centre := &gateway.Host{ID: "posp", Adapter: w.o.cards(cards), Ops: w.cardLink.ops, Timeout: hostTimeout, LateWindow: w.o.lateWindow, UndoTells: w.o.tells || w.o.trust, UndoMarks: w.o.marks, UndoDays: 1}
	h := &gateway.Host{ID: "mis", Adapter: w.o.adapter(mux), Timeout: hostTimeout, LateWindow: w.o.lateWindow, Status: w.o.status, Dedupe: w.o.dedupe,
		UndoTells: true, UndoMarks: true, UndoDays: 1, Ops: w.hostLink.ops}
	meter := &gateway.Host{ID: "meter", Adapter: w.o.meters(sold), Ops: w.meterLink.ops, Timeout: hostTimeout, LateWindow: w.o.lateWindow, Status: w.o.status, Dedupe: w.o.dedupe,
		UndoTells: true, UndoMarks: true, UndoDays: 1}
	d.engine = gateway.New(gateway.Options{Journal: w.o.journal(j), Refused: lastWords{j, d}, Node: 1, Today: j.Day, Reconciling: func(pay.Day) bool { return false }, Now: w.now, Log: quiet,
		Routes: d.routes(h, centre, meter, d.wallet()), Tells: map[string]string{"notify": "wallet"},
		Policy: gateway.Policy{Gaps: []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute}, Tries: 40,
			Due: func(now time.Time) time.Time { return now.Add(time.Hour) }, Owner: "值班", Workers: 4}})
	for id, b := range w.links {
		d.doors[id] = &gateway.Channel{Link: id, Handler: w.o.handler(d.engine), Dialect: b.gateway(w), Funds: b.link.Taken(), Allow: b.ops, Max: b.link.MaxAmount(),
			Timeout: b.link.Timeouts.Channel, Digest: gm.SumSM3, Now: w.now, Rejects: j, Log: quiet}
	}
	if d.web, err = d.newWeb(w.links["http"]); err != nil {
		cancel()
		closeBook()
		return nil, err
	}
	return d, d.run(ctx, cancel, book, closeBook, mux, line, sold)
}

func (d *daemon) run(ctx context.Context, cancel context.CancelFunc, book context.Context, closeBook context.CancelFunc, lines ...*socket.Adapter) error {
	var all, writer sync.WaitGroup
	writer.Go(func() { d.w.must(d.journal.Run(book)) })
	d.stop = sync.OnceFunc(func() {
		cancel()
		if d.dead.Load() { // nobody waits for a disk that is gone
			closeBook()
		}
		all.Wait()
		closeBook()
		writer.Wait()
	})
	var open []pay.Entry
	if err := d.journal.OpenEntries(ctx, func(e pay.Entry) bool { open = append(open, e); return true }); err != nil {
		d.stop()
		return err
	}
	for i := range open { // disk trouble during the start is tried again
		for {
			err := d.engine.Resolver().Recover(ctx, open[i:i+1])
			if err == nil || errors.Is(err, pay.ErrMoved) {
				break
			}
			time.Sleep(100*time.Millisecond + time.Duration(i))
		}
	}
	all.Go(func() { d.web.run(ctx, d) })
	for _, l := range lines {
		all.Go(func() { d.w.must(l.Run(ctx)) })
	}
	all.Go(func() { d.w.must(d.engine.Resolver().Run(ctx)) })
	return nil
}

// kill ends the process as SIGKILL does: at this instant nothing of it reaches
// the disk, the host or a bank any more.
func (d *daemon) kill() {
	d.dead.Store(true)
	d.stop()
}

// answer lets the incarnation answer a frame; a dead one says nothing.
func (d *daemon) answer(id string, in protocol.Inbound) (protocol.Frame, bool) {
	if d.dead.Load() {
		return protocol.Frame{}, false
	}
	if id == "http" {
		f, ok := d.web.post(in.Frame)
		return f, ok && !d.dead.Load()
	}
	f, err := d.doors[id].Answer(context.Background(), in)
	var wrong *protocol.Error
	if errors.As(err, &wrong) && wrong.Class == protocol.ClassField {
		d.w.fail("%s: a message goes without its answer: %v", id, err)
	}
	return f, err == nil && f.Body != nil && !d.dead.Load()
}

// late hands an answer that nobody waits for to the engine, as the daemon does.
func (d *daemon) late(host string) func(pay.Op, pay.Reply) {
	return func(op pay.Op, rep pay.Reply) {
		serial := pay.Find(rep.More, pay.FSerial)
		switch {
		case d.engine == nil:
			return
		case undoes(op):
			d.engine.LateUndo(context.Background(), host, serial, rep)
			return
		case !op.Collects():
			return
		}
		if rep.Verdict == pay.Approved && host == "mis" {
			d.w.prove(serial)
		}
		d.w.o.late(func(serial string, rep pay.Reply) { d.engine.Late(context.Background(), host, serial, rep) })(serial, rep)
	}
}

// undoes reports whether an operation is one that takes something back.
func undoes(op pay.Op) bool { return op == pay.Reverse || op == pay.Cancel || op == pay.Refund }

// connect builds the gateway's adapter over a link whose connections end in
// the simulated network.
func (d *daemon) connect(alive context.Context, host string, e *end, x *wire) (*socket.Adapter, error) {
	return socket.New(socket.Options{Name: host, Dialect: e.gateway(d.w), Conns: 2, Queue: 64, MaxIn: 1 << 16, Backoff: 50 * time.Millisecond,
		Ceiling: time.Second, Late: d.late(host), Now: d.w.now, Log: quiet,
		Dial: func(ctx context.Context) (net.Conn, error) {
			if d.dead.Load() || alive.Err() != nil {
				return nil, errDead
			}
			return x.dial(ctx)
		}})
}

var quiet = slog.New(slog.DiscardHandler)
