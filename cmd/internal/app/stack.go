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
	name  string
	group string // neighbours of one group stop together; empty: alone
	run   func(ctx context.Context) error
	stop  func() error // instead of run: something to be closed
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

// close stops everything, newest first, neighbours of a group together. A task
// that does not end in time is left behind, named in the error.
func (s *stack) close(within time.Duration) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	var errs error
	late := false
	for len(s.running) > 0 {
		group := s.pop()
		for _, r := range group {
			s.log.Debug("stopping", "part", r.name)
			r.cancel()
		}
		for _, r := range group {
			if !late {
				select {
				case <-r.done:
				case <-deadline.C:
					late = true
				}
			}
			errs = errors.Join(errs, r.end(within))
		}
	}
	return errs
}

// pop takes the newest task off, with its neighbours of the same group.
func (s *stack) pop() []*running {
	n := len(s.running) - 1
	for g := s.running[n].group; g != "" && n > 0 && s.running[n-1].group == g; {
		n--
	}
	group := s.running[n:]
	s.running = s.running[:n]
	return group
}

// end is what there is to say of a task that was told to stop, and closes what
// has to be closed once nobody uses it.
func (r *running) end(within time.Duration) error {
	select {
	case <-r.done:
	default:
		return fmt.Errorf("%s did not stop within %s", r.name, within)
	}
	if r.stop != nil {
		return r.stop()
	}
	return r.err
}
