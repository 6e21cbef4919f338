package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// apiece is how many rejected frames of a link are journaled one by one in a
// second. Those beyond it are counted and journaled as one row, so that a flood
// on one link cannot fill the journal that all links wait for.
const apiece = 20

// rejected counts the frames that were not journaled one by one.
type rejected struct {
	mu   sync.Mutex
	at   time.Time // the running second
	n    int       // journaled in it
	held uint32
	why  string // of the last one
}

// pass reports whether a frame is journaled on its own, and how many were held
// back before it in earlier seconds.
func (r *rejected) pass(now time.Time, why string) (one bool, before uint32, last string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := now.Sub(r.at); d >= time.Second || d < 0 {
		r.at, r.n = now, 0
		before, last, r.held = r.held, r.why, 0
	}
	if r.n++; r.n <= apiece {
		return true, before, last
	}
	r.held++
	r.why = why
	return false, before, last
}

// take returns what is held back.
func (r *rejected) take() (held uint32, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held, why, r.held = r.held, r.why, 0
	return held, why
}

// Flush journals the count of rejected frames that is still held back. It is
// called every now and then and at the end.
func (c *Channel) Flush(ctx context.Context) {
	held, why := c.rejected.take()
	c.together(ctx, held, why)
}

// together journals a number of rejected frames as one row.
func (c *Channel) together(ctx context.Context, n uint32, last string) {
	if n == 0 {
		return
	}
	c.Log.Warn("more frames rejected", "event", "QZ221", "link", c.Link, "count", n, "last", last)
	note := pay.Note{Kind: pay.EvRejected, Link: c.Link, Count: n, Text: fmt.Sprintf("%d frames, the last: %s", n, last)}
	if err := c.Rejects.Note(context.WithoutCancel(ctx), &note, false); err != nil {
		c.Log.Error("journal note failed", "event", "QZ210", "link", c.Link, "err", err, "lost", n)
	}
}
