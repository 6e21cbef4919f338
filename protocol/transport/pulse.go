package transport

import "time"

// beat is the shortest time between two keep-alives that are answered. Those of
// real links are much rarer; what comes sooner is the far side's answer to ours.
const beat = time.Second

// Pulse decides which keep-alives of a connection are answered: at most one a
// second, so that two ends that both answer do not go on without end. The zero
// value has answered none. It is owned by the connection's reader.
type Pulse struct {
	answered time.Time
}

// Due reports whether a keep-alive that arrived now is answered, and if so
// counts it as answered.
func (p *Pulse) Due(now time.Time) bool {
	if !p.answered.IsZero() && now.Sub(p.answered) < beat {
		return false
	}
	p.answered = now
	return true
}
