package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// Caller asks a counterparty. The error is a *pay.Fault.
type Caller interface {
	Do(ctx context.Context, req *pay.Request) (pay.Reply, error)
}

// Breaker spares a counterparty that does not answer. After Failures calls in a
// row without an answer it is open and refuses calls, which then were not sent,
// for the time Rest. After that one call at a time goes through until one is
// answered. It is a Caller itself and safe for concurrent use.
type Breaker struct {
	o BreakerOptions

	mu      sync.Mutex
	failed  int
	until   time.Time // open until then
	probing bool      // one call is under way to see
}

// BreakerOptions are the parts and limits of a Breaker.
type BreakerOptions struct {
	Name     string
	Next     Caller
	Failures int           // in a row until it opens
	Rest     time.Duration // between opening and the next try
	Now      func() time.Time
	Log      *slog.Logger
}

// ErrOpen reports a call that an open breaker refused.
var ErrOpen = errors.New("breaker open: the counterparty does not answer")

// NewBreaker builds a closed breaker.
func NewBreaker(o BreakerOptions) (*Breaker, error) {
	if o.Failures <= 0 || o.Rest <= 0 || o.Next == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("breaker: failures and rest must be positive")
	}
	return &Breaker{o: o}, nil
}

// Do passes the call on, unless the breaker is open.
func (b *Breaker) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	probe, err := b.enter()
	if err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnreachable, Err: err}
	}
	rep, err := b.o.Next.Do(ctx, req)
	b.leave(ctx, probe, err)
	return rep, err
}

// Open reports whether calls are refused now.
func (b *Breaker) Open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed >= b.o.Failures && (b.probing || b.o.Now().Before(b.until))
}

func (b *Breaker) enter() (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.failed < b.o.Failures:
		return false, nil
	case b.probing || b.o.Now().Before(b.until):
		return false, fmt.Errorf("%s: %w", b.o.Name, ErrOpen)
	}
	b.probing = true
	return true, nil
}

// leave learns from the end of a call. A call whose request could not be
// written, or whose caller went away, says nothing about the counterparty.
func (b *Breaker) leave(ctx context.Context, probe bool, err error) {
	var f *pay.Fault
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch {
	case err == nil:
		if b.failed >= b.o.Failures {
			b.o.Log.Warn("breaker closed", "event", "QZ414", "host", b.o.Name)
		}
		b.failed = 0
	case errors.Is(ctx.Err(), context.Canceled):
	case errors.As(err, &f) && !f.Sent && f.Code != pay.CodeUnreachable:
	default:
		if b.failed++; b.failed >= b.o.Failures {
			b.until = b.o.Now().Add(b.o.Rest)
		}
		if b.failed == b.o.Failures {
			b.o.Log.Warn("breaker open", "event", "QZ413", "host", b.o.Name, "err", err)
		}
	}
}
