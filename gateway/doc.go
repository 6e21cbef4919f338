// Package gateway answers business messages. Channel turns one frame into one
// request and one reply into a frame; Engine answers one request on the
// goroutine it was called on; Resolver settles what stayed in doubt.
//
// What may leave is durable before it leaves, what is answered is durable
// before it is answered, and an outcome that nobody proved stays unknown.
package gateway

import (
	"context"

	"qianzhi/gateway/pay"
)

// Handler answers one request: the Engine, the embedded MIS and every
// simulated peer. It returns a reply in every case; the zero Reply is Unknown.
type Handler interface {
	Do(ctx context.Context, req *pay.Request) pay.Reply
}

// Adapter asks one counterparty. The error is a *pay.Fault, whose Sent is
// false only when it is proved that nothing left. A reply that comes after Do
// gave up goes to the function the adapter was built with.
type Adapter interface {
	Do(ctx context.Context, req *pay.Request) (pay.Reply, error)
}

// Journal is what the engine needs of the durable record. Begin and Append
// return after their rows are durable, or with an error that says they are not
// (pay.ErrUnwritable) or that another event came first (pay.ErrMoved).
type Journal interface {
	Begin(ctx context.Context, in *pay.Intent) (pay.Entry, pay.Seen, error)
	Append(ctx context.Context, id pay.ID, after uint32, ev ...pay.Event) error
	Get(ctx context.Context, id pay.ID) (pay.Entry, error)
	Find(ctx context.Context, ref pay.Ref) (pay.Entry, bool, error)
	Note(ctx context.Context, n *pay.Note, wait bool) error
}
