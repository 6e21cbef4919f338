package secure

import (
	"errors"
	"sync"
)

// Sessions holds the work keys that terminals agreed at sign-on. One value is
// shared by both directions of a link's end. It is safe for concurrent use.
type Sessions struct {
	mu    sync.RWMutex
	by    map[string]session
	limit int
}

// session is what one terminal agreed. The PIN and track keys stay wrapped as
// they were issued: only a vault opens them. The MAC key before the last
// sign-on serves messages already on their way.
type session struct {
	now, before coder
	pik, tdk    WrappedKey
}

// NewSessions builds a table for at most limit terminals.
func NewSessions(limit int) *Sessions { return &Sessions{by: map[string]session{}, limit: limit} }

func (s *Sessions) get(terminal string) (session, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.by[terminal]
	return k, ok
}

// put makes next the terminal's session; its old MAC key becomes the one
// before.
func (s *Sessions) put(terminal string, next session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.by[terminal]
	if !ok && len(s.by) >= s.limit {
		return errors.New("too many terminals signed on")
	}
	next.before = old.now
	s.by[terminal] = next
	return nil
}
