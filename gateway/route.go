package gateway

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"qianzhi/gateway/pay"
)

// Host is a counterparty and what it promised. Every promise changes what the
// engine may conclude from silence.
type Host struct {
	ID      string
	Adapter Adapter

	Timeout    time.Duration // of one call
	LateWindow time.Duration // a request may still take effect this long after it was sent
	Status     bool          // answers a query by our serial
	Dedupe     bool          // posts one serial once, however often it arrives
	UndoMarks  bool          // remembers the reversal of a payment it has not seen, and refuses it
	UndoDays   int           // accounting days after the payment's own in which it reverses
}

// Route says where payments of some accounts go and which legs they have.
type Route struct {
	ID       string
	Links    []string // empty: every link
	Prefix   string   // of the account number
	Biller   string   // 供电单位 the messages name, empty: any
	Legs     []pay.LegKind
	Host     *Host
	InFlight int64 // calls under way at once, at most

	busy atomic.Int64
}

func (r *Route) fits(req *pay.Request) bool {
	if !strings.HasPrefix(req.Account, r.Prefix) || r.Biller != "" && req.Biller != "" && r.Biller != req.Biller {
		return false
	}
	if len(r.Links) == 0 || req.Via == nil {
		return true
	}
	for _, l := range r.Links {
		if l == req.Via.Link {
			return true
		}
	}
	return false
}

// enter takes one of the route's places; a hung host fills only its own.
func (r *Route) enter() bool {
	if r.busy.Add(1) <= r.InFlight {
		return true
	}
	r.busy.Add(-1)
	return false
}

func (r *Route) leave() { r.busy.Add(-1) }

// Routes is the routing table, most specific account prefix first.
type Routes []*Route

// Find returns the route with the longest fitting account prefix.
func (rs Routes) Find(req *pay.Request) *Route {
	var best *Route
	for _, r := range rs {
		if r.fits(req) && (best == nil || len(r.Prefix) > len(best.Prefix)) {
			best = r
		}
	}
	return best
}

// Check reports the first route that could not work.
func (rs Routes) Check() error {
	if len(rs) == 0 {
		return errors.New("routes: none configured, no payment could go anywhere")
	}
	for _, r := range rs {
		switch {
		case r.Host == nil:
			return fmt.Errorf("route %s: no host", r.ID)
		case len(r.Legs) == 0:
			return fmt.Errorf("route %s: no legs", r.ID)
		case r.InFlight <= 0:
			return fmt.Errorf("route %s: in_flight must be positive", r.ID)
		}
	}
	return nil
}
