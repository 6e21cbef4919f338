// Package limit bounds what one sender can make the gateway do: connections by
// address, messages by token bucket, payments by sliding window. Every table
// has a largest size, whatever arrives.
package limit

import (
	"errors"
	"sync"
	"time"
)

// Rate is so many events in a time, with a burst on top of a steady flow.
type Rate struct {
	Events int           `yaml:"events"` // 0: no limit
	Per    time.Duration `yaml:"per"`
	Burst  int           `yaml:"burst"` // at once; 0: as many as events
}

// MaxEvents bounds a configured rate.
const MaxEvents = 1_000_000

// Check reports the first setting that cannot work.
func (r *Rate) Check() error {
	switch {
	case r.Events < 0 || r.Events > MaxEvents || r.Burst < 0 || r.Burst > MaxEvents:
		return errors.New("events: want 0 to 1000000, and so for burst")
	case r.Events > 0 && (r.Per < time.Millisecond || r.Per > 24*time.Hour):
		return errors.New("per: want 1ms to 24h")
	case r.Events == 0 && r.Burst > 0:
		return errors.New("burst: needs events")
	}
	return nil
}

// Bucket is a token bucket. It is safe for concurrent use; nil lets everything
// pass.
type Bucket struct {
	every time.Duration // one token
	burst time.Duration // in units of every
	now   func() time.Time

	mu   sync.Mutex
	full time.Time // when the bucket is full again if nothing is taken
}

// NewBucket builds a full bucket, or nil where the rate limits nothing.
func NewBucket(r Rate, now func() time.Time) *Bucket {
	if r.Events == 0 {
		return nil
	}
	every := max(r.Per/time.Duration(r.Events), 1)
	n := r.Burst
	if n == 0 {
		n = r.Events
	}
	return &Bucket{every: every, burst: every * time.Duration(n), now: now}
}

// Take takes a token if there is one. It never waits.
func (b *Bucket) Take() bool {
	if b == nil {
		return true
	}
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	full := b.full
	if full.Before(now) {
		full = now
	}
	if full = full.Add(b.every); full.Sub(now) > b.burst {
		return false
	}
	b.full = full
	return true
}

// Buckets gives each key a bucket of its own. It is safe for concurrent use;
// nil lets everything pass.
type Buckets struct {
	rate Rate
	now  func() time.Time

	mu sync.Mutex
	by map[string]*Bucket
}

// maxBuckets is how many keys have a bucket of their own; later ones share one.
const maxBuckets = 4096

// NewBuckets builds an empty table, or nil where the rate limits nothing.
func NewBuckets(r Rate, now func() time.Time) *Buckets {
	if r.Events == 0 {
		return nil
	}
	return &Buckets{rate: r, now: now, by: map[string]*Bucket{}}
}

// Take takes a token from the key's bucket if there is one.
func (s *Buckets) Take(key string) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	b := s.by[key]
	if b == nil {
		if len(s.by) >= maxBuckets {
			key = ""
		}
		if b = s.by[key]; b == nil {
			b = NewBucket(s.rate, s.now)
			s.by[key] = b
		}
	}
	s.mu.Unlock()
	return b.Take()
}

// Windows counts exactly: at most so many different events of a key in any
// stretch of the time. An event that repeats is one event, so a sender that
// asks again uses nothing up. It is safe for concurrent use; nil lets
// everything pass.
type Windows[K, E comparable] struct {
	rate Rate
	now  func() time.Time
	keys int // in each half of the table

	mu         sync.Mutex
	young, old map[K][]stamp[E]
	turned     time.Time
}

type stamp[E comparable] struct {
	event E
	at    time.Time
}

// maxKeys is how many keys one half of a table holds. A flood of more keys than
// that within the time makes it forget, never grow.
const maxKeys = 1 << 16

// MaxWindow bounds the events of a window: each is kept.
const MaxWindow = 64

// NewWindows builds an empty table, or nil where the rate limits nothing. Burst
// has no meaning here.
func NewWindows[K, E comparable](r Rate, now func() time.Time) *Windows[K, E] {
	if r.Events == 0 {
		return nil
	}
	r.Events = min(r.Events, MaxWindow)
	return &Windows[K, E]{rate: r, now: now, keys: maxKeys, young: map[K][]stamp[E]{}}
}

// Take notes an event of a key unless the key has had too many.
func (w *Windows[K, E]) Take(key K, event E) bool {
	if w == nil {
		return true
	}
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn(now)
	seen, ok := w.young[key]
	if !ok {
		seen = w.old[key]
	}
	kept := make([]stamp[E], 0, len(seen)+1)
	for _, s := range seen {
		if s.event == event && now.Sub(s.at) < w.rate.Per {
			return true
		}
		if now.Sub(s.at) < w.rate.Per {
			kept = append(kept, s)
		}
	}
	if len(kept) >= w.rate.Events {
		return false
	}
	w.young[key] = append(kept, stamp[E]{event, now})
	return true
}

// turn drops the older half when the younger one is full or old enough: what is
// in the older half then is out of every window.
func (w *Windows[K, E]) turn(now time.Time) {
	if len(w.young) < w.keys && now.Sub(w.turned) < w.rate.Per {
		return
	}
	w.old, w.young, w.turned = w.young, map[K][]stamp[E]{}, now
}
