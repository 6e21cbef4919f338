package tcp

import (
	"sync"

	"qianzhi/gateway/limit"
)

// place is where a frame was admitted to.
type place uint8

const (
	noPlace     place = iota
	workPlace         // to be answered
	refusePlace       // to be refused properly
)

// waiter is a connection that is told when a place may be free.
type waiter interface{ wake() }

// gate counts the frames under way. Slot and count change under one lock, so
// that drain cannot miss a frame that is just being admitted.
type gate struct {
	mu       sync.Mutex
	idle     *sync.Cond
	work     int
	refuse   int
	unsent   int // write tasks scheduled
	draining bool
	waiting  map[waiter]bool // connections with frames that found no place

	maxWork, maxRefuse int
	rate               *limit.Bucket // nil: any
}

// newGate builds a gate. Where there is a rate, what is beyond it has to be
// refused somewhere.
func newGate(o *Options) *gate {
	g := &gate{maxWork: o.InFlight, maxRefuse: o.Refusals, waiting: map[waiter]bool{}, rate: limit.NewBucket(o.Rate, o.Now)}
	if g.rate != nil {
		g.maxRefuse = max(1, g.maxRefuse)
	}
	g.idle = sync.NewCond(&g.mu)
	return g
}

// admit gives the frame a place, or notes that the connection waits for one.
func (g *gate) admit(k waiter) place {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.draining:
		return noPlace
	case g.work < g.maxWork && g.rate.Take():
		g.work++
		delete(g.waiting, k)
		return workPlace
	case g.refuse < g.maxRefuse:
		g.refuse++
		delete(g.waiting, k)
		return refusePlace
	}
	g.waiting[k] = true
	return noPlace
}

// leave gives a place back and returns a connection to look at again, if any.
func (g *gate) leave(p place) waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p == workPlace {
		g.work--
	} else {
		g.refuse--
	}
	g.check()
	return g.next()
}

func (g *gate) next() waiter {
	for k := range g.waiting {
		delete(g.waiting, k)
		return k
	}
	return nil
}

// giveUp forgets a connection that waited. If it was told of a free place
// meanwhile, another one is returned to be told instead.
func (g *gate) giveUp(k waiter) waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting[k] {
		delete(g.waiting, k)
		return nil
	}
	return g.next()
}

// hold keeps drain waiting for a scheduled write; release ends that.
func (g *gate) hold() {
	g.mu.Lock()
	g.unsent++
	g.mu.Unlock()
}

func (g *gate) release() {
	g.mu.Lock()
	g.unsent--
	g.check()
	g.mu.Unlock()
}

func (g *gate) check() {
	if g.work+g.refuse+g.unsent == 0 {
		g.idle.Broadcast()
	}
}

// drain refuses new frames and returns when none is under way and every reply
// was given to the kernel.
func (g *gate) drain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = true
	for g.work+g.refuse+g.unsent > 0 {
		g.idle.Wait()
	}
}
