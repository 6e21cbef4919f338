package gateway

import (
	"errors"
	"fmt"
	"slices"
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
	Ops     []pay.Op // what its link can ask

	Timeout    time.Duration // of one call
	LateWindow time.Duration // a request may still take effect this long after it was sent
	Poll       time.Duration // between queries while an answer is pending and its sender waits, 0: none
	Status     bool          // answers a query by our serial
	Dedupe     bool          // posts one serial once, however often it arrives
	UndoTells  bool          // says when there was nothing to undo; else its approval of a reversal may mean that
	UndoMarks  bool          // remembers the reversal of a payment it has not seen, and refuses it
	UndoDays   int           // accounting days after the payment's own in which it reverses
	RefundDays int           // and in which it gives money back on a 退货
}

// within reports whether the host still undoes a payment of the day.
func (h *Host) within(op pay.Op, day, today pay.Day) bool {
	days := h.UndoDays
	if op == pay.Refund {
		days = max(days, h.RefundDays)
	}
	return today.Sub(day) <= days
}

// undo returns the operation with which the host takes back what op asks for:
// hosts that know one way of undoing are asked for that.
func (h *Host) undo(op pay.Op) pay.Op {
	if slices.Contains(h.Ops, op) {
		return op
	}
	return pay.Reverse
}

// Step is one leg of a product and the counterparty it goes to.
type Step struct {
	Kind pay.LegKind
	Host *Host
}

// Route says where messages of some accounts go and which legs their payments
// have. A product is a route: 代收 is a posting, POS支付 a charge and then a
// posting, 公共支付 a charge alone, 购电 a sale at the card system and then a
// posting.
type Route struct {
	ID       string
	Links    []string // empty: every link
	Prefix   string   // of the account number
	Biller   string   // 供电单位 the messages name, empty: any
	Ops      []pay.Op // of the payments, empty: any
	Steps    []Step   // in the order in which they are taken
	Ask      *Host    // answers queries of arrears, nil: nobody
	InFlight int64    // calls under way at once, at most

	// Advance routes post what is paid as 预存: the posting settles what bills it
	// covers whole, and the rest is the customer's balance.
	Advance bool
	Max     pay.Amount // of one payment, 0: the link's own limit

	busy atomic.Int64
}

// Asks returns the host that by default answers queries of arrears: that of
// the posting, else that of the card sale.
func Asks(steps []Step) *Host {
	for _, kind := range []pay.LegKind{pay.LegPost, pay.LegCard} {
		for _, s := range steps {
			if s.Kind == kind {
				return s.Host
			}
		}
	}
	return nil
}

// weight is how closely the route describes a request, 0 when it does not fit:
// the account prefix counts most, then the biller, the link and the operation.
func (r *Route) weight(req *pay.Request) int {
	if !strings.HasPrefix(req.Account, r.Prefix) || r.Biller != "" && req.Biller != "" && r.Biller != req.Biller {
		return 0
	}
	if len(r.Links) > 0 && req.Via != nil && !slices.Contains(r.Links, req.Via.Link) {
		return 0
	}
	w := 1 + 8*len(r.Prefix)
	if r.Biller != "" && r.Biller == req.Biller {
		w += 4
	}
	if len(r.Links) > 0 {
		w += 2
	}
	return w
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

// Routes is the routing table.
type Routes []*Route

// Find returns the route that describes the request most closely, the first of
// several.
func (rs Routes) Find(req *pay.Request) *Route {
	return rs.best(req, func(r *Route) int { return serves(r, req.Op) })
}

// serves returns the weight that the operation adds to a route, -1 when the
// route is not for it.
func serves(r *Route, op pay.Op) int {
	switch {
	case op == pay.Advance && !r.Advance:
		return -1
	case len(r.Ops) == 0:
		return 0
	case slices.Contains(r.Ops, op):
		return 1
	case op.Collects():
		return -1
	}
	return 0
}

// steps returns the steps of a payment that was begun: those of the route with
// its legs. It is nil when the configuration no longer has one. For a 撤销 or
// 退货 see undoSteps.
func (rs Routes) steps(p *pay.Entry) []Step {
	if r := rs.of(p); r != nil {
		return r.Steps
	}
	return nil
}

// advance reports whether a payment that was begun is posted as 预存.
func (rs Routes) advance(p *pay.Entry) bool {
	r := rs.of(p)
	return r != nil && r.Advance
}

func (rs Routes) of(p *pay.Entry) *Route {
	return rs.best(p.Req, func(r *Route) int {
		if len(r.Steps) != len(p.Legs) {
			return -1
		}
		for i, s := range r.Steps {
			if s.Kind != p.Legs[i].Kind {
				return -1
			}
		}
		return serves(r, p.Req.Op)
	})
}

// undoSteps returns the steps that undo the original: what was done last is
// undone first.
func (rs Routes) undoSteps(orig *pay.Entry) []Step {
	back := slices.Clone(rs.steps(orig))
	slices.Reverse(back)
	return back
}

// best returns the heaviest of the routes that fit; more adds to the weight of
// a route, or rules it out when it is negative.
func (rs Routes) best(req *pay.Request, more func(*Route) int) *Route {
	var best *Route
	top := 0
	for _, r := range rs {
		w, m := r.weight(req), more(r)
		if w > 0 && m >= 0 && w+m > top {
			best, top = r, w+m
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
		case len(r.Steps) == 0:
			return fmt.Errorf("route %s: no legs", r.ID)
		case r.InFlight <= 0:
			return fmt.Errorf("route %s: in_flight must be positive", r.ID)
		}
		for i, s := range r.Steps {
			if s.Host == nil {
				return fmt.Errorf("route %s: leg %d has no host", r.ID, i)
			}
			if r.Advance && s.Kind == pay.LegPost && !slices.Contains(s.Host.Ops, pay.Advance) {
				return fmt.Errorf("route %s: host %s takes nothing in advance", r.ID, s.Host.ID)
			}
			if s.Kind == pay.LegCharge && i > 0 {
				return fmt.Errorf("route %s: the charge comes first: what follows is paid with it", r.ID)
			}
		}
	}
	return nil
}
