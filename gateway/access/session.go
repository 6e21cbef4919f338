package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"sync"
	"time"
)

// Limits bound sessions.
type Limits struct {
	Idle     time.Duration // without a request
	Absolute time.Duration // since the login
	PerUser  int           // at once; the oldest gives way
	All      int           // at once
}

// Check reports the first limit that cannot work.
func (l *Limits) Check() error {
	if l.Idle <= 0 || l.Absolute < l.Idle || l.PerUser <= 0 || l.All < l.PerUser {
		return errors.New("sessions: want 0 < idle <= absolute and 0 < per user <= all")
	}
	return nil
}

// The refusals of a session.
var (
	ErrNoSession = errors.New("未登录或会话已结束")
	ErrFull      = errors.New("会话已满, 请稍后再试")
)

// Sessions are the logins that last. Only digests of their tokens are kept, in
// memory; all of them end with the process.
type Sessions struct {
	d      *Directory
	limits Limits

	mu sync.Mutex
	by map[[32]byte]*session
}

type session struct {
	name, door  string
	made, used  time.Time
	csrf        string
	credentials [2]Secret // what the login was proved with
}

// NewSessions builds an empty set.
func NewSessions(d *Directory, l Limits) (*Sessions, error) {
	return &Sessions{d: d, limits: l, by: map[[32]byte]*session{}}, l.Check()
}

// Open begins a session of somebody who has just logged in and returns its
// token and the text that every change must bring along.
func (s *Sessions) Open(p Principal) (token, csrf string, err error) {
	u, found, err := s.d.find(p.name)
	if err != nil || !found {
		return "", "", errors.Join(err, ErrNoSession)
	}
	token, csrf = random(), random()
	now := s.d.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	for s.count(p.name) >= s.limits.PerUser {
		s.endOldest(p.name)
	}
	if len(s.by) >= s.limits.All {
		return "", "", ErrFull
	}
	s.by[sha256.Sum256([]byte(token))] = &session{name: p.name, door: p.door, made: now, used: now, csrf: csrf,
		credentials: [2]Secret{u.Password, u.TOTP}}
	return token, csrf, nil
}

// random returns 256 bits as text. Since Go 1.24 reading cannot fail.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Get returns who a token belongs to, as the users' file says now: a user who
// was locked, removed or given another password or code has no session left.
func (s *Sessions) Get(token string) (p Principal, csrf string, err error) {
	key := sha256.Sum256([]byte(token))
	now := s.d.o.Now()
	s.mu.Lock()
	s.sweep(now)
	e := s.by[key]
	if e == nil {
		s.mu.Unlock()
		return Principal{}, "", ErrNoSession
	}
	e.used = now
	here := *e
	s.mu.Unlock()
	u, found, err := s.d.find(here.name)
	if err != nil {
		return Principal{}, "", err
	}
	if !found || u.Locked != "" || here.credentials != [2]Secret{u.Password, u.TOTP} {
		s.End(token)
		return Principal{}, "", ErrNoSession
	}
	return s.d.principal(&u, here.door), here.csrf, nil
}

// Same compares two tokens in constant time; an empty one equals nothing.
func Same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// End ends a session.
func (s *Sessions) End(token string) {
	s.mu.Lock()
	delete(s.by, sha256.Sum256([]byte(token)))
	s.mu.Unlock()
}

// Len returns how many sessions there are.
func (s *Sessions) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(s.d.o.Now())
	return len(s.by)
}

// sweep ends what is over. The set is small: All bounds it.
func (s *Sessions) sweep(now time.Time) {
	for k, e := range s.by {
		if now.Sub(e.used) > s.limits.Idle || now.Sub(e.made) > s.limits.Absolute {
			delete(s.by, k)
		}
	}
}

func (s *Sessions) count(name string) (n int) {
	for _, e := range s.by {
		if e.name == name {
			n++
		}
	}
	return n
}

func (s *Sessions) endOldest(name string) {
	var oldest [32]byte
	var at time.Time
	for k, e := range s.by {
		if e.name == name && (at.IsZero() || e.made.Before(at)) {
			oldest, at = k, e.made
		}
	}
	delete(s.by, oldest)
}
