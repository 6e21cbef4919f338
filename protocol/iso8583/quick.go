package iso8583

import (
	"fmt"
	"slices"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// fields reads the fields of a message: by the plan of its shape, or one by one
// while a plan is made. It returns what the rules for its type say.
func (c *codec) fields(r *reader, s *shape) (law error, err error) {
	var made *planner
	if !r.slow {
		var p *plan
		if p, made = c.reading.find(s); p != nil {
			return p.law, c.planned(r, p)
		}
	}
	left := s.maps
	for n := left.first(); n != 0; n = left.first() {
		left.remove(n)
		if _, err := c.field(r, c.op(n), made); err != nil {
			return nil, err
		}
	}
	law = c.obey(s.mti, s.maps)
	if made != nil {
		for i := range made.steps {
			made.steps[i].join()
		}
		c.reading.keep(&plan{*s, s.maps, made.loose, made.steps, law})
	}
	return law, nil
}

// planned reads the fields by a plan. What is in its way is left out of the
// next one.
func (c *codec) planned(r *reader, p *plan) error {
	var loose fieldSet
	for i := range p.steps {
		s := &p.steps[i]
		if len(s.nodes) > 0 && r.step(s) {
			continue
		}
		for k, o := range s.ops {
			n, err := c.field(r, o, nil)
			if err != nil {
				return err
			}
			if len(s.nodes) > 0 && n != s.values[k].n {
				loose.add(int(o.bit) + 1)
			}
		}
	}
	c.reading.loosen(p, loose)
	return nil
}

// field reads one field, by its op if that takes it and else by its
// description. It returns the units that the op read, -1 when it read none.
func (c *codec) field(r *reader, o *op, made *planner) (n int, err error) {
	form, at, count, ok := o, r.at, len(r.nodes), false
	if o.kind == opForms && !r.slow {
		form = &o.forms[r.usage(o.field)]
	}
	if form.kind >= opValue && !r.slow && r.room(len(form.parts)+1) {
		n, ok = r.one(form)
	}
	switch from := at + int(form.before); {
	case made == nil:
	case ok && o == form:
		made.add(o, reading{r.nodes[count:], r.b[at:from], from, n, n})
	default:
		made.other(o)
	}
	if ok {
		return n, nil
	}
	return -1, c.described(r, o)
}

// described reads a field by its description.
func (c *codec) described(r *reader, o *op) error {
	if o.field == nil {
		n := fmt.Sprint(o.bit + 1)
		return headerError(n, c.mti.size, "only bits of fields in the link file", "bit "+n,
			"add the field to the link file, or the map is read at the wrong place")
	}
	return r.field(o.field)
}

// room makes room for a step. No byte of the wire makes more than two of the
// arena.
func (r *reader) room(nodes int) bool {
	if size := 2*(len(r.b)-r.at) + text.Slack; cap(r.arena)-len(r.arena) < size {
		r.arena = slices.Grow(r.arena, size)
	}
	if cap(r.nodes)-len(r.nodes) < nodes {
		r.nodes = slices.Grow(r.nodes, max(nodes, 32))
	}
	return len(r.nodes) <= maxNodes-nodes
}

// step reads the fields of a step. It reports false, with nothing read, when
// they are not as it has them.
func (r *reader) step(s *step) bool {
	if len(r.b)-r.at < s.size || !r.room(len(s.nodes)) {
		return false
	}
	b := r.b[r.at:]
	for i := range s.heads {
		if h := &s.heads[i]; text.Word(b[h.from:])&(1<<(8*h.size&63)-1) != h.word {
			return false
		}
	}
	if !r.convert(s) {
		return false
	}
	r.place(s.nodes, r.at)
	to := r.nodes[len(r.nodes)-len(s.nodes):]
	for _, i := range s.texts {
		n := &to[i]
		for n.Len > 0 && r.b[n.From+n.Len-1] == ' ' {
			n.Len--
		}
	}
	r.at += s.size
	r.arena = r.arena[:len(r.arena)+s.units]
	return true
}

// one reads a field by its op and returns its units. It reports false, with
// nothing read, when the description of the field has to.
func (r *reader) one(o *op) (n int, ok bool) {
	from, n := o.length(r.b, r.at)
	next, end := from+o.bytes(n), len(r.arena)
	if n < 0 || next > len(r.b) || !o.manner.read(r.arena[end:cap(r.arena)], r.b[from:], n, o.pad) {
		return 0, false
	}
	size := n
	for o.kind == opText && size > 0 && r.b[from+size-1] == ' ' {
		size--
	}
	if o.kind != opParts {
		i := len(r.nodes)
		r.nodes = r.nodes[:i+1]
		node(&r.nodes[i], o.id, end, size, from, next-from)
		r.first[o.id] = uint16(i + 1)
	} else if !r.split(o, from, n) {
		return 0, false
	}
	r.at, r.arena = next, r.arena[:end+n]
	return n, true
}

// split makes nodes of the parts of n digits that begin at from. It reports
// false when the field has to read them.
func (r *reader) split(o *op, from, n int) bool {
	whole := 0
	for whole < len(o.parts) && int(o.parts[whole].At+o.parts[whole].Len) <= n {
		whole++
	}
	done := 0
	if whole > 0 {
		done = int(o.parts[whole-1].At + o.parts[whole-1].Len)
	}
	if n == 0 || done < n && !o.field.parts.rest {
		return false
	}
	r.place(o.parts[:whole], from)
	if done < n {
		at, size := o.field.place(from, done, n-done)
		i, id := len(r.nodes), o.field.parts.other.id
		r.nodes = r.nodes[:i+1]
		node(&r.nodes[i], id, len(r.arena)+done, n-done, at, size)
		r.first[id] = uint16(i + 1)
	}
	return true
}

// convert reads the values of a step.
func (r *reader) convert(s *step) bool {
	arena, b := r.arena[len(r.arena):cap(r.arena)], r.b[r.at:]
	for i := range s.moves {
		m := &s.moves[i]
		dst, src, ok := arena[m.at:], b[m.from:], false
		switch {
		case m.set != nil:
			ok = m.set.Unpack(dst, src, m.n) && (m.n&1 == 0 || src[m.n/2]&15 == m.pad)
		case m.manner == plainBytes:
			ok = copy(dst, src[:m.n]) == m.n
		default:
			ok = m.manner.read(dst, src, m.n, m.pad)
		}
		if !ok {
			return false
		}
	}
	for i := range s.checks {
		m := &s.checks[i]
		src := b[m.from : m.from+m.n]
		switch m.manner {
		case manner(classANS):
			if !printable(src) {
				return false
			}
		case packedN:
			if b[m.from]&15 != 0 {
				return false
			}
		default:
			if !within(src, m.over) && !class(m.manner).holds(src) {
				return false
			}
		}
	}
	return true
}

// place makes nodes of fields, or parts, whose places are known but for where
// the first one begins.
func (r *reader) place(places []protocol.Node, from int) {
	at, end, count := uint32(from), uint32(len(r.arena)), len(r.nodes)
	r.nodes = r.nodes[:count+len(places)]
	to, first := r.nodes[count:], r.first
	for i := range places {
		p, n := &places[i], &to[i]
		*n = *p
		n.At += end
		n.From += at
		count++
		first[p.ID] = uint16(count)
	}
}

// length reads the length at at and returns where the value begins and its
// units, -1 when the field must not have so many.
func (o *op) length(b []byte, at int) (from, n int) {
	from = at + int(o.before)
	switch {
	case o.head == headNone:
		return at, int(o.max)
	case from > len(b):
		return at, -1
	case o.head == headBCD1:
		n = int(fromBCD[b[from-1]])
	case o.head == headBCD2:
		n = 100*int(fromBCD[b[from-2]]) + int(fromBCD[b[from-1]])
	default:
		for _, c := range b[at:from] {
			if c -= '0'; c > 9 {
				return at, -1
			}
			n = n*10 + int(c)
		}
	}
	if n < int(o.min) || n > int(o.max) {
		return at, -1
	}
	return from, n
}

// bytes is how many a value of n units takes.
func (o *op) bytes(n int) int { return (n + int(o.half)) >> (o.half & 1) }

// node fills a node at the top, in place: a copy of small parts stalls the
// processor.
func node(n *protocol.Node, id uint16, at, length, from, size int) {
	n.ID, n.Parent = id, 0
	n.At, n.Len, n.From, n.Size = uint32(at), uint32(length), uint32(from), uint32(size)
}
