package gateway

import (
	"context"
	"log/slog"
	"time"

	"qianzhi/gateway/pay"
)

// Options are the engine's parts and limits.
type Options struct {
	Journal Journal
	Batches Batches
	Refused Refusals
	Routes  Routes
	Tells   map[string]string // link: the host that tells over it what became of charges
	Node    uint8
	Today   func() pay.Day // the accounting day that is open

	// Reconciling reports whether a day is being reconciled: what was paid on it
	// is neither reversed nor cancelled meanwhile. Payments never stop.
	Reconciling func(pay.Day) bool
	Now         func() time.Time
	Log         *slog.Logger
	Policy      Policy
}

// Policy is what the engine does with payments in doubt.
type Policy struct {
	Gaps    []time.Duration               // between the resolver's tries, the last one repeats
	Tries   uint16                        // before a person decides
	Due     func(now time.Time) time.Time // of a payment that is parked now
	Owner   string                        // who is named on parked payments
	Workers int                           // tries under way at once, at each host
}

// Engine answers business messages. It is safe for concurrent use.
type Engine struct {
	o       Options
	flights flights
	heard   overheard
	uploads uploads
	doubts  *Resolver
}

// New builds an engine and its resolver; nothing runs yet.
func New(o Options) *Engine {
	e := &Engine{o: o, flights: flights{by: map[pay.Ref]*flight{}}, heard: overheard{by: map[pay.ID][]lateAnswer{}}, uploads: uploads{by: map[batch]map[string]struct{}{}}}
	e.doubts = newResolver(e)
	return e
}

// Resolver returns the part that settles what stayed in doubt. Its Run must be
// running while the engine serves.
func (e *Engine) Resolver() *Resolver { return e.doubts }

// Do answers one request on the calling goroutine. A caller that goes away
// stops nothing once the request is durable.
func (e *Engine) Do(ctx context.Context, req *pay.Request) pay.Reply {
	switch req.Op {
	case pay.Pay, pay.CardPay, pay.Advance:
		return e.pay(ctx, req)
	case pay.Reverse:
		return e.reverse(ctx, req)
	case pay.Cancel, pay.Refund:
		return e.cancel(ctx, req)
	case pay.CardWrite, pay.CardConfirm:
		return e.card(ctx, req)
	case pay.Query:
		return e.query(ctx, req)
	case pay.Status:
		return e.status(ctx, req)
	case pay.SignOn, pay.SignOff:
		return e.session(ctx, req)
	case pay.Settle:
		return e.settleBatch(ctx, req)
	case pay.BatchUpload:
		return e.uploadBatch(ctx, req)
	case pay.UploadEnd:
		return e.endUpload(ctx, req)
	case pay.Outcome:
		return e.outcome(ctx, req)
	case pay.Echo:
		e.note(ctx, pay.EvQuery, req, pay.CodeOK, false)
		return pay.Answer(pay.Approved, pay.CodeOK)
	}
	e.note(ctx, pay.EvQuery, req, pay.CodeNotAllowed, false)
	return pay.Answer(pay.Declined, pay.CodeNotAllowed)
}

// session records a sign-on or sign-off; keys are valid only after the record
// is durable.
func (e *Engine) session(ctx context.Context, req *pay.Request) pay.Reply {
	if err := e.note(ctx, pay.EvSession, req, pay.CodeOK, true); err != nil {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	return pay.Answer(pay.Approved, pay.CodeOK)
}

// query asks the host for arrears. Its record does not wait for the disk.
func (e *Engine) query(ctx context.Context, req *pay.Request) pay.Reply {
	rep := e.ask(ctx, req)
	e.note(ctx, pay.EvQuery, req, rep.Code, false)
	return rep
}

func (e *Engine) ask(ctx context.Context, req *pay.Request) pay.Reply {
	r := e.o.Routes.Find(req)
	if r == nil {
		return pay.Answer(pay.Declined, pay.CodeNoRoute)
	}
	if r.Ask == nil {
		return pay.Answer(pay.Declined, pay.CodeNotAllowed)
	}
	if !r.enter() {
		return pay.Answer(pay.Unknown, pay.CodeBusy)
	}
	defer r.leave()
	return e.put(ctx, r.Ask, req)
}

// put sends a message that moves no money.
func (e *Engine) put(ctx context.Context, h *Host, req *pay.Request) pay.Reply {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	rep, err := h.Adapter.Do(ctx, req)
	if err != nil {
		e.o.Log.Warn("query without answer", "event", "QZ310", "host", h.ID, "op", req.Op.String(), "err", err)
		return pay.Answer(pay.Unknown, pay.CodeUnknown)
	}
	return rep
}

// status tells what became of an earlier payment, from the journal alone.
func (e *Engine) status(ctx context.Context, req *pay.Request) pay.Reply {
	if req.Original == nil {
		return pay.Answer(pay.Declined, pay.CodeFormat)
	}
	entry, ok, err := e.o.Journal.Find(ctx, *req.Original)
	rep := pay.Answer(pay.Unknown, pay.CodeNotFoundYet)
	switch {
	case err != nil:
		rep = pay.Answer(pay.Unknown, pay.CodeBusy)
	case ok:
		rep = e.answer(&entry)
	}
	e.note(ctx, pay.EvQuery, req, rep.Code, false)
	return rep
}

func (e *Engine) note(ctx context.Context, kind pay.EventKind, req *pay.Request, code pay.Code, wait bool) error {
	n := pay.Note{Kind: kind, Op: req.Op, Code: code, Req: req}
	if req.Via != nil {
		n.Link, n.Peer = req.Via.Link, req.Via.Peer
	}
	err := e.o.Journal.Note(context.WithoutCancel(ctx), &n, wait)
	if err != nil {
		e.o.Log.Error("journal note failed", "event", "QZ210", "op", req.Op.String(), "err", err)
	}
	return err
}

// answer says what a payment's sender may be told of its present state.
func (e *Engine) answer(p *pay.Entry) pay.Reply {
	rep := pay.Reply{Amount: p.Req.Amount, Serial: p.ID.Serial(e.o.Node)}
	rep.More = append(rep.More, pay.Field{ID: pay.FDay, Val: p.ID.Day.String()}, pay.Field{ID: pay.FState, Val: p.State.String()})
	for i := range p.Legs {
		l := &p.Legs[i]
		switch {
		case l.Host == "":
		case l.Kind == pay.LegPost:
			rep.More = append(rep.More, pay.Field{ID: pay.FHostSerial, Val: l.Host})
		case l.Kind == pay.LegCharge:
			rep.More = append(rep.More, pay.Field{ID: pay.FBankSerial, Val: l.Host})
		}
	}
	switch p.State {
	case pay.Succ, pay.Reco:
		rep.Verdict, rep.Code = pay.Approved, pay.CodeOK
	case pay.Fail:
		rep.Verdict, rep.Code = pay.Declined, p.Code
		if p.Code.Verdict() != pay.Declined && (p.Code != pay.CodeReversed || !p.Undoes()) {
			rep.Code = pay.CodeRefused
		}
	case pay.Revd:
		rep.Verdict, rep.Code = pay.Declined, pay.CodeReversed
	case pay.Susp, pay.Adjd:
		rep.Code = pay.CodeParked
	default:
		rep.Code = pay.CodeInProgress
	}
	return rep
}
