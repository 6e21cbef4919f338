package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// task is something with a life of its own, by name.
type task struct {
	name string
	run  func(ctx context.Context) error
	stop func() error // instead of run: something to be closed
}

// stack starts tasks in order and stops them in reverse, each waiting for the
// one above it, all under one deadline.
type stack struct {
	log     *slog.Logger
	mu      sync.Mutex
	running []*running
	failed  chan error
}

type running struct {
	task
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

func newStack(log *slog.Logger) *stack { return &stack{log: log, failed: make(chan error, 1)} }

// push starts a task.
func (s *stack) push(t task) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{task: t, cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.running = append(s.running, r)
	s.mu.Unlock()
	if t.run == nil {
		close(r.done)
		return
	}
	go func() {
		defer close(r.done)
		r.err = t.run(ctx)
		if r.err != nil || ctx.Err() == nil {
			select {
			case s.failed <- fmt.Errorf("%s ended: %w", t.name, errors.Join(r.err, errEnded)):
			default:
			}
		}
	}()
}

var errEnded = errors.New("stopped by itself")

// close stops everything, newest first. A task that does not end in time is
// left behind, named in the error.
func (s *stack) close(within time.Duration) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	var errs error
	late := false
	for len(s.running) > 0 {
		r := s.running[len(s.running)-1]
		s.running = s.running[:len(s.running)-1]
		s.log.Debug("stopping", "part", r.name)
		r.cancel()
		if late {
			continue
		}
		select {
		case <-r.done:
			errs = errors.Join(errs, r.err)
		case <-deadline.C:
			late = true
			errs = errors.Join(errs, fmt.Errorf("%s did not stop within %s", r.name, within))
		}
		if r.stop != nil && !late {
			errs = errors.Join(errs, r.stop())
		}
	}
	return errs
}
