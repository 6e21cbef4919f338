package sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// mutant is a deliberately wrong policy. The simulation is worth what it
// catches.
type mutant struct {
	name   string
	change func(*options)
}

// required are the policies that must be among the mutants.
var required = []string{
	"time-out means declined", "marker after send", "early not-found", "reply before commit", "synchronous=OFF",
	"double send hidden by a deduping host", "lost late answer", "key without kind", "key with our day", "replay of stale bytes",
	"one-day duplicate table", "missing carried row", "reversal on the wrong day", "resume with the wrong attempt count",
	"write counted twice", "purchase count unchecked", "posted before it is sold",
	"returns given twice", "refunds forget the one before", "silence of the wallet means declined", "a waiting order is taken for paid", "an advance is sent again under another serial",
}

var mutants = []mutant{
	{"time-out means declined", func(o *options) {
		o.adapter = onError(func(*pay.Request) (pay.Reply, error) { return pay.Answer(pay.Declined, pay.CodeRefused), nil })
	}},
	{"time-out means approved", func(o *options) {
		o.adapter = onError(func(r *pay.Request) (pay.Reply, error) {
			return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount}, nil
		})
	}},
	{"may have been sent, taken for not sent", func(o *options) {
		o.adapter = onError(func(*pay.Request) (pay.Reply, error) {
			return pay.Reply{}, &pay.Fault{Code: pay.CodeUnreachable, Err: errSilence}
		})
	}},
	{"early not-found", func(o *options) { o.lateWindow = 0 }},
	{"double send hidden by a deduping host", func(o *options) {
		o.adapter = func(a gateway.Adapter) gateway.Adapter {
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				if r.Op == pay.Pay {
					go func() { _, _ = a.Do(context.WithoutCancel(ctx), r) }()
				}
				return a.Do(ctx, r)
			})
		}
	}},
	{"a new serial for every try", func(o *options) {
		o.adapter = func(a gateway.Adapter) gateway.Adapter {
			n := 0
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				again := *r
				if r.Op == pay.Pay {
					n++
					again.Ref.Serial = fmt.Sprintf("%s%03d", r.Ref.Serial[:len(r.Ref.Serial)-3], n)
				}
				return a.Do(ctx, &again)
			})
		}
	}},
	{"reversal on the wrong day", func(o *options) {
		o.adapter = func(a gateway.Adapter) gateway.Adapter {
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				other := *r
				if r.Op == pay.Reverse {
					other.Day = r.Day.Add(1)
				}
				return a.Do(ctx, &other)
			})
		}
	}},
	{"reversal without proof", func(o *options) {
		o.adapter = func(a gateway.Adapter) gateway.Adapter {
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				rep, err := a.Do(ctx, r)
				if err != nil && r.Op == pay.Reverse {
					return pay.Answer(pay.Approved, pay.CodeOK), nil
				}
				return rep, err
			})
		}
	}},
	{"synchronous=OFF", func(o *options) {
		o.store = func(s journal.Store) journal.Store { return lazy{s, func([]journal.Row) bool { return true }} }
	}},
	{"marker after send", func(o *options) {
		o.store = func(s journal.Store) journal.Store { return lazy{s, has(pay.EvReceived)} }
	}},
	{"reply before commit", func(o *options) {
		o.store = func(s journal.Store) journal.Store { return lazy{s, has(pay.EvResult)} }
	}},
	{"missing carried row", func(o *options) {
		o.days = 1
		o.store = func(s journal.Store) journal.Store { return forgetful{s} }
	}},
	{"key without kind", func(o *options) { o.journal = rekeyed(func(r *pay.Ref, _ pay.Day) { r.Kind = pay.KindOther }) }},
	{"key with our day", func(o *options) {
		o.days = 1
		o.journal = rekeyed(func(r *pay.Ref, day pay.Day) { r.Scope += day.String() })
	}},
	{"lost late answer", func(o *options) {
		o.status, o.dedupe, o.diskFails, o.crashes, o.slow = false, false, 0, 0, 0.5
		o.late = func(func(string, pay.Reply)) func(string, pay.Reply) { return func(string, pay.Reply) {} }
	}},
	{"one-day duplicate table", func(o *options) {
		o.days = 1
		o.journal = func(j gateway.Journal) gateway.Journal { return oneDay{j} }
	}},
	{"resume with the wrong attempt count", func(o *options) {
		o.crashes, o.lose, o.slow = 3, 0.3, 0.4
		o.journal = func(j gateway.Journal) gateway.Journal { return &restarted{Journal: j, first: map[pay.ID]pay.Entry{}} }
	}},
	{"charge sent again after silence", func(o *options) {
		o.repeats = false
		o.cards = func(a gateway.Adapter) gateway.Adapter {
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				rep, err := a.Do(ctx, r)
				if err != nil && r.Op == pay.Pay {
					again, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTimeout)
					defer cancel()
					return a.Do(again, r)
				}
				return rep, err
			})
		}
	}},
	{"posting on an unproved charge", func(o *options) {
		o.cards = onError(func(r *pay.Request) (pay.Reply, error) {
			return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount}, nil
		})
	}},
	{"silence of the centre means declined", func(o *options) {
		o.cards = onError(func(*pay.Request) (pay.Reply, error) { return pay.Answer(pay.Declined, pay.CodeRefused), nil })
	}},
	{"any approval of a reversal is proof", func(o *options) { o.trust, o.tells, o.marks, o.slow = true, false, false, 0.4 }},
	{"write counted twice", func(o *options) {
		o.meters = func(a gateway.Adapter) gateway.Adapter {
			n := 0
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				if r.Op != pay.CardWrite {
					return a.Do(ctx, r)
				}
				n++
				again := *r // a kiosk that asks for the data is sold to once more
				again.Op, again.Original, again.Ref.Serial = pay.CardPay, nil, fmt.Sprintf("%s9%02d", r.Original.Serial[:17], n%100)
				again.More = append(slices.DeleteFunc(slices.Clone(r.More), func(f pay.Field) bool { return f.ID == pay.FPurchaseCount }), pay.Field{ID: pay.FPurchaseCount, Val: "1"})
				return a.Do(ctx, &again)
			})
		}
	}},
	{"purchase count unchecked", func(o *options) {
		o.meters = func(a gateway.Adapter) gateway.Adapter {
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				bare := *r
				bare.More = slices.DeleteFunc(slices.Clone(r.More), func(f pay.Field) bool { return f.ID == pay.FPurchaseCount })
				return a.Do(ctx, &bare)
			})
		}
	}},
	{"posted before it is sold", func(o *options) { o.swapped = true }},
	{"silence of the card-meter system means refused", func(o *options) {
		o.meters = func(a gateway.Adapter) gateway.Adapter {
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				rep, err := a.Do(ctx, r)
				if err != nil && r.Op == pay.CardPay {
					return pay.Answer(pay.Declined, pay.CodeRefused), nil
				}
				return rep, err
			})
		}
	}},
	{"sale sent again after silence", func(o *options) {
		o.dedupe = false
		o.meters = func(a gateway.Adapter) gateway.Adapter {
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				rep, err := a.Do(ctx, r)
				if err != nil && r.Op == pay.CardPay {
					again, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTimeout)
					defer cancel()
					return a.Do(again, r)
				}
				return rep, err
			})
		}
	}},
	{"returns given twice", func(o *options) {
		o.cards = afterSilence(pay.Refund, pay.Cancel)
		o.purses = afterSilence(pay.Refund)
	}},
	{"refunds forget the one before", func(o *options) {
		o.journal = func(j gateway.Journal) gateway.Journal { return childless{j} }
	}},
	{"silence of the wallet means declined", func(o *options) {
		o.purses = onError(func(*pay.Request) (pay.Reply, error) { return pay.Answer(pay.Declined, pay.CodeRefused), nil })
	}},
	{"a waiting order is taken for paid", func(o *options) {
		o.purses = func(a gateway.Adapter) gateway.Adapter {
			return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
				rep, err := a.Do(ctx, r)
				if err == nil && rep.Code == pay.CodeInProgress {
					return pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: r.Amount}, nil
				}
				return rep, err
			})
		}
	}},
	{"an advance is sent again under another serial", func(o *options) { o.adapter = afterSilence(pay.Advance) }},
	{"key without terminal", func(o *options) { o.journal = rekeyed(func(r *pay.Ref, _ pay.Day) { r.Scope = "" }) }},
	{"no tombstone", func(o *options) {
		o.journal = func(j gateway.Journal) gateway.Journal { return tombless{j} }
	}},
	{"replay of stale bytes", func(o *options) {
		o.handler = func(h gateway.Handler) gateway.Handler { return &parrot{h: h, said: map[pay.Ref]pay.Reply{}} }
	}},
	{"unknown told as declined", func(o *options) {
		o.handler = func(h gateway.Handler) gateway.Handler {
			return handlerFunc(func(ctx context.Context, r *pay.Request) pay.Reply {
				rep := h.Do(ctx, r)
				if r.Op == pay.Pay && rep.Verdict == pay.Unknown {
					rep.Verdict, rep.Code = pay.Declined, pay.CodeRefused
				}
				return rep
			})
		}
	}},
}

type adapterFunc func(context.Context, *pay.Request) (pay.Reply, error)

func (f adapterFunc) Do(ctx context.Context, r *pay.Request) (pay.Reply, error) { return f(ctx, r) }

type handlerFunc func(context.Context, *pay.Request) pay.Reply

func (f handlerFunc) Do(ctx context.Context, r *pay.Request) pay.Reply { return f(ctx, r) }

// onError replaces what the adapter says when it has no reply to a posting.
func onError(say func(*pay.Request) (pay.Reply, error)) func(gateway.Adapter) gateway.Adapter {
	return func(a gateway.Adapter) gateway.Adapter {
		return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
			rep, err := a.Do(ctx, r)
			if err != nil && r.Op == pay.Pay {
				return say(r)
			}
			return rep, err
		})
	}
}

// afterSilence sends messages of some operations again under another serial when
// there is no answer, and takes the second answer for that of the first.
func afterSilence(ops ...pay.Op) func(gateway.Adapter) gateway.Adapter {
	return func(a gateway.Adapter) gateway.Adapter {
		return adapterFunc(func(ctx context.Context, r *pay.Request) (pay.Reply, error) {
			rep, err := a.Do(ctx, r)
			if err == nil || !slices.Contains(ops, r.Op) {
				return rep, err
			}
			again := *r
			again.Ref.Serial = r.Ref.Serial[:10] + "9" + r.Ref.Serial[11:]
			more, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostTimeout)
			defer cancel()
			return a.Do(more, &again)
		})
	}
}

// childless does not write down which 撤销 or 退货 acts on a payment.
type childless struct{ gateway.Journal }

func (j childless) Append(ctx context.Context, id pay.ID, after uint32, evs ...pay.Event) error {
	for i := range evs {
		if evs[i].Kind == pay.EvWanted {
			evs[i].Host = ""
		}
	}
	return j.Journal.Append(ctx, id, after, evs...)
}

func has(kind pay.EventKind) func([]journal.Row) bool {
	return func(rows []journal.Row) bool {
		return slices.ContainsFunc(rows, func(r journal.Row) bool { return r.Kind == kind })
	}
}

// lazy says that some commits are durable which are still in memory.
type lazy struct {
	journal.Store
	which func([]journal.Row) bool
}

func (l lazy) Writer(ctx context.Context, day pay.Day) (journal.Writer, error) {
	w, err := l.Store.Writer(ctx, day)
	return &lazyWriter{Writer: w, which: l.which}, err
}

type lazyWriter struct {
	journal.Writer
	which func([]journal.Row) bool
	held  []journal.Row
}

func (w *lazyWriter) Append(ctx context.Context, rows []journal.Row) error {
	if len(w.held) > 0 {
		if err := w.Writer.Append(ctx, w.held); err != nil {
			return err
		}
		w.held = nil
	}
	if !w.which(rows) {
		return w.Writer.Append(ctx, rows)
	}
	for _, r := range rows {
		r.Body = slices.Clone(r.Body)
		w.held = append(w.held, r)
	}
	return nil
}

func (w *lazyWriter) Close() error {
	if len(w.held) > 0 {
		_ = w.Writer.Append(context.Background(), w.held) // as much as a process can that ends in order
	}
	return w.Writer.Close()
}

// forgetful leaves out what a cut carries.
type forgetful struct{ journal.Store }

func (f forgetful) Writer(ctx context.Context, day pay.Day) (journal.Writer, error) {
	w, err := f.Store.Writer(ctx, day)
	return forgetfulWriter{w}, err
}

type forgetfulWriter struct{ journal.Writer }

func (w forgetfulWriter) Append(ctx context.Context, rows []journal.Row) error {
	return w.Writer.Append(ctx, slices.DeleteFunc(slices.Clone(rows), func(r journal.Row) bool { return r.Kind == pay.EvCarried }))
}

// rekeyed changes the keys under which messages are known.
func rekeyed(change func(*pay.Ref, pay.Day)) func(gateway.Journal) gateway.Journal {
	return func(j gateway.Journal) gateway.Journal {
		return keyed{j, func(r pay.Ref) pay.Ref {
			change(&r, j.(interface{ Day() pay.Day }).Day())
			return r
		}}
	}
}

type keyed struct {
	gateway.Journal
	key func(pay.Ref) pay.Ref
}

func (k keyed) Begin(ctx context.Context, in *pay.Intent) (pay.Entry, pay.Seen, error) {
	req, other := *in.Req, *in
	req.Ref = k.key(req.Ref)
	if req.Original != nil {
		orig := k.key(*req.Original)
		req.Original = &orig
	}
	other.Req = &req
	return k.Journal.Begin(ctx, &other)
}

func (k keyed) Find(ctx context.Context, ref pay.Ref) (pay.Entry, bool, error) {
	return k.Journal.Find(ctx, k.key(ref))
}

// oneDay forgets with each day what it knew of the days before.
type oneDay struct{ gateway.Journal }

func (j oneDay) forget(ctx context.Context, ref pay.Ref) pay.Ref {
	day := j.Journal.(interface{ Day() pay.Day }).Day()
	if e, known, err := j.Journal.Find(ctx, ref); err == nil && known && e.ID.Day < day {
		ref.Scope += day.String()
	}
	return ref
}

func (j oneDay) Begin(ctx context.Context, in *pay.Intent) (pay.Entry, pay.Seen, error) {
	return keyed{j.Journal, func(r pay.Ref) pay.Ref { return j.forget(ctx, r) }}.Begin(ctx, in)
}

func (j oneDay) Find(ctx context.Context, ref pay.Ref) (pay.Entry, bool, error) {
	return j.Journal.Find(ctx, j.forget(ctx, ref))
}

// restarted counts tries from the start of its process.
type restarted struct {
	gateway.Journal
	mu    sync.Mutex
	first map[pay.ID]pay.Entry // as this process met them
}

func (j *restarted) Get(ctx context.Context, id pay.ID) (pay.Entry, error) {
	e, err := j.Journal.Get(ctx, id)
	j.mu.Lock()
	defer j.mu.Unlock()
	met, known := j.first[id]
	if !known {
		j.first[id], met = e, e
	}
	if met.State == e.State {
		e.Attempt -= min(met.Attempt, e.Attempt)
	}
	return e, err
}

// tombless forgets reversals that came before their sale.
type tombless struct{ gateway.Journal }

func (j tombless) Begin(ctx context.Context, in *pay.Intent) (pay.Entry, pay.Seen, error) {
	if in.Req.Op == pay.Reverse && in.Req.Original != nil {
		if _, known, err := j.Find(ctx, *in.Req.Original); err == nil && !known {
			return pay.Entry{}, pay.SeenNew, nil
		}
	}
	return j.Journal.Begin(ctx, in)
}

// parrot says for ever what it said first.
type parrot struct {
	h    gateway.Handler
	mu   sync.Mutex
	said map[pay.Ref]pay.Reply
}

func (p *parrot) Do(ctx context.Context, r *pay.Request) pay.Reply {
	if r.Op != pay.Pay {
		return p.h.Do(ctx, r)
	}
	p.mu.Lock()
	rep, known := p.said[r.Ref]
	p.mu.Unlock()
	if known {
		return rep
	}
	rep = p.h.Do(ctx, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said[r.Ref] = rep
	return rep
}

// patience is how many seeds a mutant may survive.
const patience = 150

// TestMutants plays every wrong policy until a checker speaks.
func TestMutants(t *testing.T) {
	for _, name := range required {
		if !slices.ContainsFunc(mutants, func(m mutant) bool { return m.name == name }) {
			t.Errorf("no mutant %q", name)
		}
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			start := time.Now()
			for seed := range uint64(patience) {
				o := drawOptions(seed + 1)
				m.change(&o)
				if out := play(t, o); len(out.wrong) > 0 {
					t.Logf("caught by seed %d in %s: %s", seed+1, time.Since(start).Round(time.Millisecond), out.wrong[0])
					return
				}
			}
			t.Errorf("survived %d seeds", patience)
		})
	}
}
