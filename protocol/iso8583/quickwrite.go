package iso8583

import (
	"encoding/binary"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// quick writes a message by the plan of its shape, or field by field while a
// plan is made. It reports false when not every value was written.
func (c *codec) quick(w *writer, mti []byte) (bool, error) {
	sh := shape{mti: binary.BigEndian.Uint32(mti), nodes: len(w.nodes)}
	sh.some = [2]uint16{w.nodes[sh.nodes/2].ID, w.nodes[sh.nodes-1].ID}
	p, made := c.writing.find(&sh)
	if p != nil && len(p.steps) == 1 && len(p.steps[0].nodes)+1 == sh.nodes { // its values are all there are
		if err := c.start(w, p.maps); err == nil && w.left == sh.nodes-1 && w.step(&p.steps[0]) {
			return true, p.law
		}
	}
	has := c.has(w.nodes)
	if err := c.start(w, has); err != nil {
		return false, err
	}
	if p != nil {
		if p.maps == has {
			return w.planned(c, p)
		}
		c.writing.drop(&sh)
	}
	left := has
	for n := left.first(); n != 0; n = left.first() {
		left.remove(n)
		if _, err := w.opField(c.op(n), made); err != nil {
			return false, err
		}
	}
	law := c.obey(sh.mti, has)
	if made != nil && w.left == 0 {
		c.writing.keep(&plan{sh, has, made.loose, made.steps, law})
	}
	return w.left == 0, law
}

// planned writes the fields by a plan. What is in its way is left out of the
// next one.
func (w *writer) planned(c *codec, p *plan) (bool, error) {
	var loose fieldSet
	for i := range p.steps {
		s := &p.steps[i]
		if len(s.nodes) > 0 && w.step(s) {
			continue
		}
		before, shift := 0, 0
		for k, o := range s.ops {
			v, err := w.opField(o, nil)
			if err != nil {
				return false, err
			}
			if len(s.nodes) == 0 {
				continue
			}
			planned := s.values[k]
			if k == 0 {
				shift = v.at - planned.at
			}
			if v.n != planned.n || v.at-planned.at != shift && before == 0 {
				loose.add(int(o.bit) + 1)
			}
			before, shift = v.n-planned.n, v.at-planned.at
		}
	}
	c.writing.loosen(p, loose)
	return w.left == 0, p.law
}

// opField writes one field, by its op if that takes it and else by its
// description. It returns the units that the op wrote, -1 when it wrote none,
// and where they stand in the arena.
func (w *writer) opField(o *op, made *planner) (value, error) {
	form, pos := o, len(w.out)
	if o.kind == opForms {
		form = &o.forms[o.field.usage(w.rec)]
	}
	i, used := w.one(form)
	if used == 0 {
		if made != nil {
			made.other(o)
		}
		return value{n: -1}, w.described(o.field)
	}
	v := reading{nodes: w.nodes[i : i+used], from: pos + int(form.before) - w.base}
	for k := range v.nodes {
		v.n += int(v.nodes[k].Len)
	}
	if v.whole = v.n; form.head == headNone {
		v.whole = int(form.max)
	}
	switch v.head = w.out[pos : pos+int(form.before)]; {
	case made == nil:
	case o != form || o.zeros && v.n < v.whole:
		made.other(o)
	default:
		made.add(o, v)
	}
	return value{v.n, int(v.nodes[0].At)}, nil
}

// has returns the fields that nodes belong to.
func (c *codec) has(nodes []protocol.Node) (has fieldSet) {
	sets := c.sets
	for i := range nodes {
		set := &sets[nodes[i].ID]
		has.low |= set.low
		has.high |= set.high
	}
	return has
}

// step writes the fields of a step. It reports false, with nothing written,
// when they are not as it has them.
func (w *writer) step(s *step) bool {
	pos, first := len(w.out), w.next
	if first >= len(w.nodes) || w.nodes[first].ID != s.nodes[0].ID {
		first = w.rec.Find(s.nodes[0].ID)
	}
	next := first + len(s.nodes)
	if first < 0 || next > len(w.nodes) || s.size+text.Slack > cap(w.out)-pos {
		return false
	}
	at := int(w.nodes[first].At)
	if !placed(w.nodes[first:next], s.nodes, uint32(at), uint32(pos-w.base)) || !w.convert(s.moves, at) {
		return false
	}
	for i := range s.fills { // now, since what is converted goes over its end
		h := &s.fills[i]
		copy(w.out[pos+h.from:cap(w.out)], "        "[:h.size])
	}
	w.out, w.next, w.left = w.out[:pos+s.size], next, w.left-len(s.nodes)
	return true
}

// placed notes where nodes stand on the wire, if their values stand in the
// arena as places say.
func placed(nodes, places []protocol.Node, at, from uint32) bool {
	nodes = nodes[:len(places)]
	for i := range places {
		p, n := &places[i], &nodes[i]
		if n.ID != p.ID || n.Len != p.Len || n.At != at+p.At {
			return false
		}
		n.From, n.Size = p.From+from, p.Size
	}
	return true
}

// convert writes the values of fields of fixed length that stand in the arena
// from at on.
func (w *writer) convert(moves []move, at int) bool {
	out := w.out[len(w.out):cap(w.out)]
	for i := range moves {
		m := &moves[i]
		if m.lead.size > 0 { // its end is gone over by the value
			binary.LittleEndian.PutUint64(out[m.lead.from:], m.lead.word)
		}
		dst, src, ok := out[m.from:], w.arena[at+m.at:], false
		switch {
		case m.set != nil:
			if ok = m.set.Pack(dst, src, m.n); m.n&1 != 0 {
				dst[m.n/2] |= m.pad
			}
		case m.manner == manner(classANS):
			ok = copyPrintable(dst, src, m.n)
		case m.manner == plainBytes || m.manner == packedR:
			ok = m.manner.write(dst, src, m.n, m.pad)
		default:
			ok = copyWithin(dst, src, m.n, m.over) || class(m.manner).holds(src[:m.n])
		}
		if !ok {
			return false
		}
	}
	return true
}

// one writes a field by its op and returns the number of its first node and how
// many they are: none, with nothing written, when its description has to.
func (w *writer) one(o *op) (i, used int) {
	if o.kind < opValue {
		return 0, 0
	}
	next := w.next
	if i = w.find(o.id); i >= 0 {
		if used = w.put(o, i); used > 0 {
			return i, used
		}
	}
	w.next = next
	return 0, 0
}

// put writes node i by an op.
func (w *writer) put(o *op, i int) int {
	node, pos := &w.nodes[i], len(w.out)
	n, used, val := int(node.Len), 1, pos+int(o.before)
	if o.kind == opParts {
		n, used = w.joined(o, i, val)
	}
	whole := n
	if o.head == headNone {
		whole = int(o.max)
	}
	end := val + o.bytes(whole)
	if n < int(o.least) || n > int(o.max) || used == 0 || end+text.Slack > cap(w.out) || o.any && w.rec.Find(o.field.pad) >= 0 {
		return 0
	}
	out := w.out[:cap(w.out)]
	o.putLength(out, pos, n)
	if !o.fill(out[val:], w.arena[node.At:], n, whole) {
		return 0
	}
	if o.kind == opText {
		for k := val + n; k < end; k++ {
			out[k] = ' '
		}
	}
	if o.kind != opParts {
		node.From, node.Size = uint32(val-w.base), uint32(end-val)
	}
	w.out, w.left, w.next = out[:end], w.left-used, i+used
	return used
}

// fill writes n units, behind zeros where they are fewer than the whole.
func (o *op) fill(out, val []byte, n, whole int) bool {
	m, zero := o.manner, byte('0')
	if !o.zeros || n == whole {
		return m.write(out, val, n, o.pad)
	}
	if o.half != 0 {
		m, zero = packedR, 0
	}
	missing := o.bytes(whole) - o.bytes(n)
	for i := range missing {
		out[i] = zero
	}
	return m.write(out[missing:], val, n, 0)
}

// putLength writes the length of a value of n units to at.
func (o *op) putLength(b []byte, at, n int) {
	switch o.head {
	case headNone:
	case headBCD1:
		b[at] = toBCD[n%100]
	case headBCD2:
		b[at], b[at+1] = byte(n/100), toBCD[n%100]
	default:
		for i := at + int(o.before) - 1; i >= at; i-- {
			b[i], n = '0'+byte(n%10), n/10
		}
	}
}

// joined looks for the parts of digits in the nodes from number i on and notes
// their places in a value that begins at from. It returns how many digits and
// nodes they are: none when they do not stand one behind the other in the
// arena, or the record has more of them.
func (w *writer) joined(o *op, i, from int) (n, used int) {
	nodes, f := w.nodes[i:], o.field
	at := int(nodes[0].At)
	for ; used < len(o.parts) && used < len(nodes); used++ {
		part, node := &o.parts[used], &nodes[used]
		if node.ID != part.ID || node.Len != part.Len || node.At != uint32(at)+part.At {
			break
		}
		node.From, node.Size = part.From+uint32(from-w.base), part.Size
		n = int(part.At + part.Len)
	}
	if used < len(o.parts) && w.rec.Find(o.parts[used].ID) >= 0 || f.parts.rest && w.rec.Find(f.parts.other.id) >= 0 {
		return 0, 0
	}
	return n, used
}
