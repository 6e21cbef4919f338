package transport

import (
	"sync"
	"time"
)

// quiet is how long after it was said that a connection is down it is not said again.
const quiet = time.Minute

// Changes decides which ups and downs of a connection are worth a line in the
// log: the first failure, one each minute while it lasts, and the end of what
// was said. It is safe for concurrent use; the zero value is a connection of
// which nothing was said.
type Changes struct {
	mu    sync.Mutex
	down  bool      // the last thing said
	since time.Time // of the first failure since the connection was up
	last  time.Time // when "down" was said last
	tries int       // failures since then
}

// Down notes a failed dial or a lost connection. It returns whether to say so,
// and how many failures there were since it was said last, this one included.
func (c *Changes) Down() (failures int, say bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.since.IsZero() {
		c.since = now
	}
	c.tries++
	if !c.last.IsZero() && now.Sub(c.last) < quiet {
		return c.tries, false
	}
	failures, c.tries, c.last, c.down = c.tries, 0, now, true
	return failures, true
}

// Up notes a connection that stands. It returns whether to say so, which is when
// "down" was said last, and how long it was down.
func (c *Changes) Up() (down time.Duration, say bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.since.IsZero() {
		down = time.Since(c.since)
	}
	say, c.down, c.since = c.down, false, time.Time{}
	return down, say
}
