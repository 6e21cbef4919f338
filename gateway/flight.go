package gateway

import (
	"context"
	"sync"
	"time"

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

// refusals remembers the payments that were definitely refused although the
// journal could not write it down: a copy of such a message that was delayed on
// its way must not be accepted later. It forgets after refusedFor, far beyond
// the patience of any sender, and takes no more than maxRefused.
type refusals struct {
	mu sync.Mutex
	at map[pay.Ref]time.Time // monotonic
}

const (
	refusedFor = 30 * time.Minute
	maxRefused = 1 << 16
)

// add remembers a key and reports false when there is no room: then nothing
// definite may be said.
func (r *refusals) add(ref pay.Ref) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.at) >= maxRefused {
		for k, at := range r.at {
			if time.Since(at) > refusedFor {
				delete(r.at, k)
			}
		}
	}
	if len(r.at) >= maxRefused {
		return false
	}
	r.at[ref] = time.Now()
	return true
}

func (r *refusals) has(ref pay.Ref) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.at[ref]
	return ok && time.Since(at) <= refusedFor
}
