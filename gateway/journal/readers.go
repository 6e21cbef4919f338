package journal

import (
	"context"
	"errors"
	"sync"

	"qianzhi/gateway/pay"
)

// readers shares one reader per log among all who read it. Readers of days
// that memory holds stay open, others only as long as they are used.
type readers struct {
	store Store

	mu    sync.Mutex
	open  map[pay.Day]*shared
	since pay.Day // first day whose reader stays open
}

type shared struct {
	Reader
	users int
}

// with runs f with the reader of a log.
func (r *readers) with(ctx context.Context, day pay.Day, f func(Reader) error) error {
	s, err := r.acquire(ctx, day)
	if err != nil {
		return err
	}
	err = f(s.Reader)
	return errors.Join(err, r.release(day, s))
}

func (r *readers) acquire(ctx context.Context, day pay.Day) (*shared, error) {
	r.mu.Lock()
	s := r.open[day]
	if s != nil {
		s.users++
	}
	r.mu.Unlock()
	if s != nil {
		return s, nil
	}
	rd, err := r.store.Reader(ctx, day)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s = &shared{Reader: rd, users: 1}
	if r.open[day] == nil { // otherwise somebody was faster; this one serves once
		r.open[day] = s
	}
	return s, nil
}

func (r *readers) release(day pay.Day, s *shared) error {
	r.mu.Lock()
	s.users--
	last := s.users == 0 && (day < r.since || r.open[day] != s)
	if last && r.open[day] == s {
		delete(r.open, day)
	}
	r.mu.Unlock()
	if last {
		return s.Close()
	}
	return nil
}

// keep moves the days whose readers stay open.
// Readers of earlier days close now, or when those who use them are done.
func (r *readers) keep(since pay.Day) error {
	var idle []*shared
	r.mu.Lock()
	r.since = since
	for day, s := range r.open {
		if day < since && s.users == 0 {
			idle = append(idle, s)
			delete(r.open, day)
		}
	}
	r.mu.Unlock()
	var errs error
	for _, s := range idle {
		errs = errors.Join(errs, s.Close())
	}
	return errs
}

// close closes all readers; none stays open from then on.
func (r *readers) close() error { return r.keep(^pay.Day(0)) }
