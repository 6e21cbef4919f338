package iso8583

import (
	"math/bits"
	"slices"
	"sync/atomic"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// plan is the program for messages of one shape: of one type, with the same
// fields, and as a rule with the same lengths. It is made while the first one
// is read, or written, field by field. One without steps only says what the
// next one has to leave out of its rows.
type plan struct {
	shape shape
	maps  fieldSet
	loose fieldSet // fields that are not the same in all messages
	steps []step
	law   error // of the rules for message types
}

// shape is what plans are kept by. Messages of the same shape may still have
// other lengths, and records that are written other fields: that comes out.
type shape struct {
	maps  fieldSet  // of a message that is read
	mti   uint32    // its four characters
	nodes int       // of a record that is written
	some  [2]uint16 // fields in it
}

// step is a row of fields whose places are known: they are read, or written,
// at once. A step without nodes is one field that is not.
type step struct {
	ops    []*op
	nodes  []protocol.Node // counted from where the row begins
	heads  []literal       // what a message of the shape has: lengths and fills
	fills  []literal       // blanks behind texts
	moves  []move
	texts  []int   // nodes whose blanks are cut
	size   int     // on the wire
	units  int     // in the arena
	checks []move  // of bytes that are moved as they are
	of     []int   // for each node the move of its value, while the plan is made
	values []value // of each op: units, and where it stands in the arena
}

// literal is bytes that stand in a message of the shape, at most eight.
type literal struct {
	from, size int
	word       uint64 // the first one as the lowest
}

// move is a run of values that are converted at once: n units of one manner
// next to each other.
type move struct {
	lead        literal // the length before it
	manner      manner
	pad         byte
	set         *text.Set // of digits two to a byte that begin in the high half
	over        uint64    // of characters: what most are within
	from, at, n int       // on the wire and in the arena, counted as in nodes
}

// value is where the value of an op stands in a row.
type value struct{ n, at int }

// plans keeps the plans of the shapes that come most. It is bounded: two shapes
// may take turns in one place.
type plans struct {
	slots  [64]atomic.Pointer[plan]
	missed atomic.Uint32
}

// seldom is how many messages without a plan go by until one of them takes the
// place of another plan.
const seldom = 8

// find returns the plan of a shape, nil when there is none, and what is to
// make one, if one is wanted.
func (p *plans) find(s *shape) (*plan, *planner) {
	found := p.slot(s).Load()
	switch {
	case found == nil:
		return nil, new(planner)
	case found.shape == *s && found.steps != nil:
		return found, nil
	case found.shape == *s:
		return nil, &planner{loose: found.loose}
	case p.missed.Add(1)%seldom == 0:
		return nil, new(planner)
	}
	return nil, nil
}

// loosen has the next plan of a shape leave more fields out of its rows.
func (p *plans) loosen(old *plan, loose fieldSet) {
	if loose = loose.without(old.loose); loose.first() == 0 {
		return
	}
	loose.low |= old.loose.low
	loose.high |= old.loose.high
	p.slot(&old.shape).Store(&plan{shape: old.shape, maps: old.maps, loose: loose})
}

// drop forgets the plan of a shape that other messages have too, now and then.
func (p *plans) drop(s *shape) {
	if p.missed.Add(1)%seldom == 0 {
		p.slot(s).Store(nil)
	}
}

func (p *plans) slot(s *shape) *atomic.Pointer[plan] {
	hash := s.maps.low ^ bits.RotateLeft64(s.maps.high, 23) ^ uint64(s.mti)<<13 ^ uint64(s.nodes)<<7 ^ uint64(s.some[0])<<40 ^ uint64(s.some[1])<<52
	return &p.slots[hash*0x9E3779B97F4A7C15>>58]
}

// keep takes in a plan that was made.
func (p *plans) keep(made *plan) { p.slot(&made.shape).Store(made) }

// planner makes a plan.
type planner struct {
	loose       fieldSet
	steps       []step
	wire, arena int  // where the row at hand begins
	open        bool // there is one
}

// other adds a field that has no known place.
func (p *planner) other(o *op) {
	p.steps, p.open = append(p.steps, step{ops: []*op{o}}), false
}

// reading is a field that was read or written by its op.
type reading struct {
	nodes []protocol.Node
	head  []byte // the length
	from  int    // of the value on the wire
	n     int    // units
	whole int    // units it has room for
}

// add adds a field whose place is the same in all messages of the shape.
func (p *planner) add(o *op, v reading) {
	if p.loose.has(int(o.bit) + 1) {
		p.other(o)
		return
	}
	first := &v.nodes[0]
	if !p.open {
		p.wire, p.arena, p.open = v.from-len(v.head), int(first.At), true
		p.steps = append(p.steps, step{})
	}
	s := &p.steps[len(p.steps)-1]
	from, at := v.from-p.wire, int(first.At)-p.arena
	s.ops, s.values = append(s.ops, o), append(s.values, value{v.n, at})
	if o.kind == opText {
		s.texts = append(s.texts, len(s.nodes))
	}
	for _, n := range v.nodes {
		if n.At, n.From = n.At-uint32(p.arena), n.From-uint32(p.wire); o.kind == opText {
			n.Len = uint32(v.n)
		}
		s.nodes = append(s.nodes, n)
	}
	var lead literal
	if len(v.head) > 0 {
		lead = literal{from - len(v.head), len(v.head), text.Word(v.head)}
		s.heads = append(s.heads, lead)
	}
	last := len(s.moves) - 1
	if last >= 0 && s.moves[last].joins(o, from, at) {
		s.moves[last].n += v.n
		s.moves[last].pad = o.pad
	} else {
		s.moves = append(s.moves, move{lead: lead, manner: o.manner, pad: o.pad, set: o.manner.set(), over: class(o.manner).over(), from: from, at: at, n: v.n})
	}
	for range v.nodes {
		s.of = append(s.of, len(s.moves)-1)
	}
	filled := len(s.fills)
	for free := o.bytes(v.whole) - o.bytes(v.n); free > 0; free -= 8 { // only texts are shorter
		s.fills = append(s.fills, literal{from + o.bytes(v.whole) - free, min(free, 8), blanks})
	}
	s.heads = append(s.heads, s.fills[filled:]...)
	s.size, s.units = from+o.bytes(v.whole), max(s.units, at+v.n)
}

// blanks are eight of them.
const blanks = ' ' * each

// joins reports whether the value of an op that stands at from and at goes on
// where the move ends.
func (m *move) joins(o *op, from, at int) bool {
	return m.manner == o.manner && m.n&int(o.half) == 0 && m.from+o.bytes(m.n) == from && m.at+m.n == at
}

// join makes the moves of a step that is read fewer: values that are the same
// in the arena are taken over at once, lengths between them included, and a
// free nibble of 0 does not end a run of digits. What was held to before is
// then held to by checks.
func (s *step) join() {
	var moves []move
	arena := 0
	for k, m := range s.moves {
		last := len(moves) - 1
		at := arena
		switch {
		case last >= 0 && m.manner < packedN && moves[last].manner == plainBytes && s.length(moves[last].from+moves[last].n, m.from):
			at += m.from - moves[last].from - moves[last].n
			moves[last].n = m.from + m.n - moves[last].from
		case last >= 0 && moves[last].endsFree() && m.manner == packedN && moves[last].from+moves[last].size() == m.from:
			s.checks = append(s.checks, move{manner: packedN, from: m.from - 1})
			at++
			moves[last].n, moves[last].pad = moves[last].n+1+m.n, m.pad
		default:
			moves = append(moves, m)
			last++
			moves[last].at = at
		}
		if m.manner < packedN {
			s.check(m)
			moves[last].manner = plainBytes
		}
		for i := range s.nodes {
			if s.of[i] == k {
				s.nodes[i].At = uint32(int(s.nodes[i].At) - m.at + at)
			}
		}
		arena = at + m.n
	}
	s.moves, s.units, s.of = moves, arena, nil
}

// check notes what characters are held to.
func (s *step) check(m move) {
	last := len(s.checks) - 1
	switch {
	case m.manner == plainBytes:
	case last >= 0 && s.checks[last].manner == m.manner && s.digits(s.checks[last].from+s.checks[last].n, m.from):
		s.checks[last].n = m.from + m.n - s.checks[last].from
	default:
		s.checks = append(s.checks, m)
	}
}

// endsFree reports whether digits end with a free nibble that is 0.
func (m *move) endsFree() bool { return m.manner == packedN && m.n&1 != 0 && m.pad == 0 }

// size is how many bytes a move takes on the wire.
func (m *move) size() int {
	if m.manner < packedN {
		return m.n
	}
	return (m.n + 1) / 2
}

// length reports whether nothing or a length stands in a place, digits whether
// it is one in characters.
func (s *step) length(from, to int) bool {
	return from == to || slices.ContainsFunc(s.heads, func(h literal) bool { return h.from == from && h.from+h.size == to })
}

func (s *step) digits(from, to int) bool {
	for _, h := range s.heads {
		if h.from == from && h.from+h.size == to {
			return h.word>>4&(each>>(64-8*h.size)) == 3*(each>>(64-8*h.size))
		}
	}
	return from == to
}
