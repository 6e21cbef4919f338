package gateway

import (
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// lanes keep a host that hangs from taking all tries of the resolver: no host
// has more than Policy.Workers under way at once.
type lanes struct {
	mu sync.Mutex
	by map[*Host]int // tries under way
}

// enter takes a place at a host, unless all are taken.
func (l *lanes) enter(h *Host, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[h] >= most {
		return false
	}
	if l.by == nil {
		l.by = map[*Host]int{}
	}
	l.by[h]++
	return true
}

func (l *lanes) leave(h *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by[h]--; l.by[h] == 0 {
		delete(l.by, h)
	}
}

// asks returns the host that a try for the payment would ask, nil when it asks
// none.
func (e *Engine) asks(p *pay.Entry, steps []Step) *Host {
	k := p.Leg(pay.LegUnknown)
	for i := len(p.Legs) - 1; i >= 0 && k < 0; i-- {
		if p.Legs[i].State.Effect() {
			k = i // a reversal undoes the last first
		}
	}
	if k = max(k, 0); k >= len(steps) {
		return nil
	}
	return steps[k].Host
}

// crowded is how long a payment waits whose host has no place: while it hangs
// none comes free sooner.
func crowded(h *Host) time.Duration { return max(h.Timeout/4, 100*time.Millisecond) }

// hosts is how many counterparties the routes name, at least one.
func (rs Routes) hosts() int {
	seen := map[*Host]bool{}
	for _, r := range rs {
		for _, s := range r.Steps {
			seen[s.Host] = true
		}
	}
	return max(1, len(seen))
}
