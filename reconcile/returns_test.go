package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"qianzhi/gateway/pay"
)

// told is a payment of the day as its lines show it.
func (p *past) told() string {
	var lines []string
	err := Listed(func(yield func(*pay.Entry) bool) error {
		for i := range p.day {
			if !yield(&p.day[i]) {
				break
			}
		}
		return nil
	}, func(e *pay.Entry, effect Effect) bool {
		sign := "+"
		if e.Undoes() {
			sign = "-"
		}
		lines = append(lines, fmt.Sprintf("%d%c%s%d", e.ID.Row, effect, sign, e.Req.Amount))
		return true
	})
	slices.Sort(lines)
	return strings.Join(append(lines, fmt.Sprint(err)), " ")
}

// past is a day's payments.
type past struct{ day []pay.Entry }

func (p *past) add(row uint64, op pay.Op, s pay.State, amount pay.Amount) *pay.Entry {
	p.day = append(p.day, pay.Entry{ID: pay.ID{Day: 20261124, Row: row}, State: s, Legs: make([]pay.Leg, 1), Req: &pay.Request{Op: op, Amount: amount, Via: new(pay.Via)}})
	return &p.day[len(p.day)-1]
}

func (p *past) child(row uint64, op pay.Op, s pay.State, amount pay.Amount, of uint64) {
	c := p.add(row, op, s, amount)
	c.Original = pay.ID{Day: 20261124, Row: of}
	for i := range p.day {
		o := &p.day[i]
		if o.ID == c.Original {
			if o.Child = c.ID.Serial(1); o.State == pay.Revd && s == pay.Succ {
				o.Note = op.Chinese() + " " + o.Child
			}
		}
	}
}

// TestReturnsInTheLines: what was given back whole on its own day is its
// original's affair; parts, and what is of an earlier day, are lines of their own.
func TestReturnsInTheLines(t *testing.T) {
	for name, x := range map[string]struct {
		make func(*past)
		want string
	}{
		"none": {func(p *past) { p.add(1, pay.Pay, pay.Succ, 500) }, "1S+500"},
		"repair": {func(p *past) {
			p.add(1, pay.Pay, pay.Adjd, 500)
			p.add(2, pay.Pay, pay.Succ, 500).Original = pay.ID{Day: 20261124, Row: 1}
		}, "1S+500"},
		"cancel":                 {func(p *past) { p.add(1, pay.Pay, pay.Revd, 500); p.child(2, pay.Cancel, pay.Succ, 500, 1) }, "1R+500"},
		"whole":                  {func(p *past) { p.add(1, pay.Pay, pay.Revd, 500); p.child(2, pay.Refund, pay.Succ, 500, 1) }, "1R+500"},
		"whole, named no amount": {func(p *past) { p.add(1, pay.Pay, pay.Revd, 500); p.child(2, pay.Refund, pay.Succ, 0, 1) }, "1R+500"},
		"whole, in doubt":        {func(p *past) { p.add(1, pay.Pay, pay.Succ, 500); p.child(2, pay.Refund, pay.Unkn, 500, 1) }, "1S+500"},
		"part":                   {func(p *past) { p.add(1, pay.Pay, pay.Succ, 500); p.child(2, pay.Refund, pay.Succ, 200, 1) }, "1S+500 2S-200"},
		"part, in doubt":         {func(p *past) { p.add(1, pay.Pay, pay.Succ, 500); p.child(2, pay.Refund, pay.Susp, 200, 1) }, "1S+500 2U-200"},
		"part, refused":          {func(p *past) { p.add(1, pay.Pay, pay.Succ, 500); p.child(2, pay.Refund, pay.Fail, 200, 1) }, "1S+500 2F-200"},
		"all, in parts": {func(p *past) {
			p.add(1, pay.Pay, pay.Revd, 500)
			p.child(2, pay.Refund, pay.Succ, 200, 1)
			p.child(3, pay.Refund, pay.Succ, 300, 1)
		}, "1S+500 2S-200 3S-300"},
		"whole, after a refused part": {func(p *past) {
			p.add(1, pay.Pay, pay.Revd, 500)
			p.child(2, pay.Refund, pay.Fail, 200, 1)
			p.child(3, pay.Refund, pay.Succ, 500, 1)
		}, "1R+500 2F-200"},
		"of an earlier day": {func(p *past) {
			c := p.add(2, pay.Refund, pay.Succ, 500)
			c.Original = pay.ID{Day: 20261123, Row: 1}
		}, "2S-500"},
		"on a later day": {func(p *past) {
			o := p.add(1, pay.Pay, pay.Revd, 500)
			o.Child, o.Note = "20261125010000000009", "退货 20261125010000000009"
		}, "1S+500"},
		"reversed after a refused return": {func(p *past) { p.add(1, pay.Pay, pay.Revd, 500); p.child(2, pay.Cancel, pay.Fail, 500, 1) }, "1R+500"},
		"refused before any leg": {func(p *past) {
			p.add(1, pay.Pay, pay.Succ, 500)
			p.child(2, pay.Refund, pay.Fail, 900, 1)
			p.day[1].Legs = nil
		}, "1S+500"},
	} {
		p := new(past)
		x.make(p)
		if got := p.told(); got != x.want+" <nil>" {
			t.Errorf("%s: got %s, want %s", name, got, x.want)
		}
	}
}
