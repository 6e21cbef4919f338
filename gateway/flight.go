package gateway

import (
	"context"
	"sync"

	"qianzhi/gateway/pay"
)

// flight is a key that a request is working on.
type flight struct{ done chan struct{} }

// flights lets a repeat wait for the first instead of racing it.
type flights struct {
	mu sync.Mutex
	by map[pay.Ref]*flight
}

// enter makes the caller the worker of the key, or returns after the present
// worker has left. It reports false when ctx ended first.
func (f *flights) enter(ctx context.Context, ref pay.Ref) bool {
	for {
		f.mu.Lock()
		there, busy := f.by[ref]
		if !busy {
			f.by[ref] = &flight{done: make(chan struct{})}
			f.mu.Unlock()
			return true
		}
		f.mu.Unlock()
		select {
		case <-there.done:
		case <-ctx.Done():
			return false
		}
	}
}

func (f *flights) leave(ref pay.Ref) {
	f.mu.Lock()
	fl := f.by[ref]
	delete(f.by, ref)
	f.mu.Unlock()
	close(fl.done)
}

// Refusals remember, durably and where the journal cannot be written, the
// payments that were definitely refused: a copy of such a message that was
// delayed on its way must not be accepted later.
type Refusals interface {
	Refuse(ref pay.Ref) error // returns when it is durable
	Refused(ref pay.Ref) bool
}
