package secure

import (
	"sync"
	"time"

	"qianzhi/protocol"
)

// nonces remembers once-only values for the window in which their timestamps
// are accepted, which is twice the window wide.
type nonces struct {
	mu   sync.Mutex
	at   map[string]time.Time
	next time.Time // of the next sweep
}

func (n *nonces) check(nonce string, now time.Time, window time.Duration, limit int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.After(n.next) {
		for k, t := range n.at {
			if now.Sub(t) > 2*window {
				delete(n.at, k)
			}
		}
		n.next = now.Add(window / 4)
	}
	if _, ok := n.at[nonce]; ok {
		return protocol.ErrReplayed
	}
	if len(n.at) >= limit {
		return authError("fewer messages within the window", "the limit", "raise nonces or slow the sender down")
	}
	n.at[nonce] = now
	return nil
}
