package gateway

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Rejects takes the record of a frame that never became a payment.
type Rejects interface {
	Note(ctx context.Context, n *pay.Note, wait bool) error
}

// Rules are what else a link asks of its senders: known terminals, sign-on, so
// many payments in a time. Allow says why a request may not go on, CodeUnknown
// if it may; Done is told of every answer.
type Rules interface {
	Allow(req *pay.Request) pay.Code
	Done(req *pay.Request, rep *pay.Reply)
}

// Channel is one link: how its bytes are read and what it may ask for. It is
// safe for concurrent use.
type Channel struct {
	Link    string
	Handler Handler
	Dialect *protocol.Dialect
	Funds   pay.Funds
	Allow   []pay.Op
	Max     pay.Amount // of one payment, in fen
	Timeout time.Duration
	Digest  func([]byte) [32]byte // SM3
	Now     func() time.Time
	Rejects Rejects
	Rules   Rules // nil: none
	Log     *slog.Logger

	records  sync.Pool
	counts   counts
	rejected rejected
}

// Counts is what went through a channel since it was built.
type Counts struct {
	Approved, Declined, Unknown uint64 // replies
	Rejected                    uint64 // frames not understood or not believed
	Busy                        uint64 // frames that found no place
	Panics                      uint64
}

type counts struct{ verdicts, fates [3]atomic.Uint64 }

const (
	fateRejected = iota
	fateBusy
	fatePanic
)

// Counts returns the present counts.
func (c *Channel) Counts() Counts {
	v, f := &c.counts.verdicts, &c.counts.fates
	return Counts{Unknown: v[pay.Unknown].Load(), Approved: v[pay.Approved].Load(), Declined: v[pay.Declined].Load(),
		Rejected: f[fateRejected].Load(), Busy: f[fateBusy].Load(), Panics: f[fatePanic].Load()}
}

// Answer reads one frame, has it handled and builds the frame that answers it.
// A reply without Body means that nothing can be said in the sender's format:
// the frame was not understood. The error is what was wrong with the frame, for
// listeners that can say more (HTTP); it is journaled already.
func (c *Channel) Answer(ctx context.Context, in protocol.Inbound) (out protocol.Frame, err error) {
	ask, reply := c.record(), c.record()
	defer c.records.Put(ask)
	defer c.records.Put(reply)
	defer c.recovered(ctx, in, &out, &err)
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	digest := c.Digest(in.Frame.Body)
	asked, err := c.Dialect.ReadRequest(&in.Frame, ask, in.At)
	if err != nil && (asked == nil || asked.Request == nil || asked.Err != nil) {
		c.reject(ctx, in, digest, err)
		if asked == nil {
			return protocol.Frame{}, err
		}
		rep := c.refusal(err)
		return c.write(asked, &rep, reply)
	}
	req := asked.Request
	req.Via = &pay.Via{Link: c.Link, Peer: in.Peer, At: in.At, Funds: c.Funds, Digest: digest, Replayed: asked.Replay,
		Raw: append([]byte(nil), in.Frame.Body...)}
	ask.Redact(req.Via.Raw)
	rep := c.handle(ctx, req)
	c.counts.verdicts[rep.Verdict].Add(1)
	return c.write(asked, &rep, reply)
}

// handle applies the link's own rules and asks the handler.
func (c *Channel) handle(ctx context.Context, req *pay.Request) pay.Reply {
	why := c.limits(req)
	switch {
	case req.Via.Replayed && !req.Op.Money():
		return pay.Answer(pay.Unknown, pay.CodeReplayed)
	case why == pay.CodeUnknown:
	case req.Op.Collects():
		req.Via.Refuse = why // a repeat is answered all the same
	default:
		return pay.Answer(pay.Declined, why)
	}
	rep := c.Handler.Do(ctx, req)
	if issuer, ok := c.Dialect.Request.Auth.(protocol.Issuer); ok && req.Op == pay.SignOn && rep.Verdict == pay.Approved {
		if err := issuer.Issue(req, &rep); err != nil {
			c.Log.Error("no work keys issued", "event", "QZ340", "link", c.Link, "err", err)
			return pay.Answer(pay.Declined, pay.CodeRefused)
		}
	}
	if c.Rules != nil {
		c.Rules.Done(req, &rep)
	}
	return rep
}

// limits returns why the link does not allow the request, CodeUnknown if it
// does.
func (c *Channel) limits(req *pay.Request) pay.Code {
	allowed := false
	for _, op := range c.Allow {
		allowed = allowed || op == req.Op
	}
	switch {
	case !allowed:
		return pay.CodeNotAllowed
	case req.Op.Money() && (req.Amount > c.Max || req.Op.Collects() && req.Amount <= 0):
		return pay.CodeLimit
	case c.Rules != nil:
		return c.Rules.Allow(req)
	}
	return pay.CodeUnknown
}

// Refuse answers a frame that was not admitted, in the sender's own format,
// without reaching the handler: the outcome of anything the frame asks about
// is unknown here.
func (c *Channel) Refuse(ctx context.Context, in protocol.Inbound) (protocol.Frame, error) {
	ask, reply := c.record(), c.record()
	defer c.records.Put(ask)
	defer c.records.Put(reply)
	digest := c.Digest(in.Frame.Body)
	c.counts.fates[fateBusy].Add(1)
	asked, err := c.Dialect.ReadRequest(&in.Frame, ask, in.At)
	c.note(ctx, in, digest, errors.Join(errBusy, err))
	if asked == nil {
		return protocol.Frame{}, err
	}
	rep := pay.Answer(pay.Unknown, pay.CodeBusy)
	return c.write(asked, &rep, reply)
}

var errBusy = errors.New("not admitted: in-flight limit reached")

// refusal is what a sender is told whose message is not believed or not
// understood. Where the customer's money is taken already, a message that is
// authentic but does not fit is never refused finally.
func (c *Channel) refusal(err error) pay.Reply {
	var e *protocol.Error
	switch {
	case errors.Is(err, protocol.ErrSignOn):
		return pay.Answer(pay.Declined, pay.CodeSignOn)
	case errors.As(err, &e) && e.Class == protocol.ClassAuth:
		return pay.Answer(pay.Declined, pay.CodeAuth)
	case c.Funds == pay.Taken:
		return pay.Answer(pay.Unknown, pay.CodeFormat)
	}
	return pay.Answer(pay.Declined, pay.CodeFormat)
}

func (c *Channel) write(asked *protocol.Asked, rep *pay.Reply, rec *protocol.Record) (protocol.Frame, error) {
	f, err := c.Dialect.AppendReply(asked, rep, rec)
	if err != nil && len(rep.More) > 0 && asked.Request != nil && asked.Request.Op.Money() {
		c.Log.Error("reply does not fit the link, sent without what hosts said", "event", "QZ342", "link", c.Link, "err", err)
		bare := *rep
		bare.More = ours(rep.More)
		f, err = c.Dialect.AppendReply(asked, &bare, rec)
	}
	if err != nil {
		c.Log.Error("reply not written", "event", "QZ341", "link", c.Link, "err", err)
		return protocol.Frame{}, err
	}
	return f, nil
}

// ours is what a reply says beside the outcome when a host's serial or text does
// not fit the sender's format: the sender learns what became of its money all
// the same.
func ours(more []pay.Field) []pay.Field {
	var out []pay.Field
	for _, f := range more {
		switch f.ID {
		case pay.FDay, pay.FState, pay.FSenderTime, pay.FCardData, pay.FPurchaseCount, pay.FAdvance:
			out = append(out, f)
		}
	}
	return out
}

// reject counts and journals a frame that never became a payment.
func (c *Channel) reject(ctx context.Context, in protocol.Inbound, digest [32]byte, why error) {
	c.counts.fates[fateRejected].Add(1)
	c.note(ctx, in, digest, why)
}

func (c *Channel) note(ctx context.Context, in protocol.Inbound, digest [32]byte, why error) {
	one, before, last := c.rejected.pass(in.At, why.Error())
	c.together(ctx, before, last)
	if !one {
		return
	}
	c.Log.Warn("frame rejected", "event", "QZ220", "link", c.Link, "peer", in.Peer, "bytes", len(in.Frame.Body), "err", why)
	n := pay.Note{Kind: pay.EvRejected, Link: c.Link, Peer: in.Peer, Count: 1, Length: uint32(len(in.Frame.Body)),
		Digest: digest, Head: append([]byte(nil), in.Frame.Body[:min(16, len(in.Frame.Body))]...), Text: why.Error()}
	if err := c.Rejects.Note(context.WithoutCancel(ctx), &n, false); err != nil {
		c.Log.Error("journal note failed", "event", "QZ210", "link", c.Link, "err", err)
	}
}

// Garbage journals bytes that are no frame at all. The listener closes the
// connection.
func (c *Channel) Garbage(ctx context.Context, peer string, head []byte, why error) {
	c.reject(ctx, protocol.Inbound{Frame: protocol.Frame{Body: head}, Peer: peer, At: c.Now()}, c.Digest(head), why)
}

func (c *Channel) record() *protocol.Record {
	if r, ok := c.records.Get().(*protocol.Record); ok {
		return r
	}
	return new(protocol.Record)
}

// recovered turns a panic into silence towards the sender, whose outcome is
// then unknown as it must be, and into an alarm.
func (c *Channel) recovered(ctx context.Context, in protocol.Inbound, out *protocol.Frame, err *error) {
	if p := recover(); p != nil {
		*out, *err = protocol.Frame{}, errPanic
		c.counts.fates[fatePanic].Add(1)
		c.Log.Error("panic while answering", "event", "QZ999", "link", c.Link, "peer", in.Peer, "panic", p, "stack", string(debug.Stack()))
	}
}

var errPanic = errors.New("internal error")
