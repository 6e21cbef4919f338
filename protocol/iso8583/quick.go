package iso8583

import (
	"encoding/binary"
	"math/bits"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// fields reads the fields of one map of 64. What its loop changes is in
// variables of its own; the reader has it while a field is read by its
// description.
func (c *codec) fields(r *reader, half int, left uint64) error {
	ops, b := &c.ops[half], r.b
	at, end, count := r.at, len(r.arena), len(r.nodes)
	arena, nodes := r.arena[:cap(r.arena)], r.nodes[:cap(r.nodes)]
	for left != 0 {
		zeros := bits.LeadingZeros64(left) & 63
		left &^= 1 << 63 >> zeros
		o := &ops[zeros]
		from, n, size, ok := at, int(o.max), int(o.size), false
		if o.head != headNone {
			from, n, size = o.length(b, at)
		}
		if size <= len(b)-from && n+text.Slack <= len(arena)-end && count < len(nodes) {
			if o.kind == opShort {
				v := text.Spread(uint32(text.Word(b[from:])))
				binary.LittleEndian.PutUint64(arena[end:], v)
				ok = o.set.Foreign(v)<<(o.shift&63) == 0
			} else {
				n, ok = o.value(arena[end:], b[from:], n, size)
			}
		}
		if ok && o.kind != opDigits {
			node(&nodes[count], o.id, end, n, from, size)
			count++
			r.first[o.id] = uint16(count)
			at, end = from+size, end+n
			continue
		}
		if ok {
			if next := o.field.cut(r.first, nodes, count, end, from, n); next > count {
				at, end, count = from+size, end+n, next
				continue
			}
		}
		r.at, r.arena, r.nodes = at, arena[:end], nodes[:count]
		if o.field == nil {
			return c.noField(half*64 + zeros + 1)
		}
		if err := r.field(o.field); err != nil {
			return err
		}
		at, end, count = r.at, len(r.arena), len(r.nodes)
		arena, nodes = r.arena[:cap(r.arena)], r.nodes[:cap(r.nodes)]
	}
	r.at, r.arena, r.nodes = at, arena[:end], nodes[:count]
	return nil
}

// node fills a node at the top, in place: a copy of small parts stalls the
// processor.
func node(n *protocol.Node, id uint16, at, length, from, size int) {
	n.ID, n.Parent = id, 0
	n.At, n.Len, n.From, n.Size = uint32(at), uint32(length), uint32(from), uint32(size)
}

// length reads the length at at and returns where the value begins, its units
// and its bytes: too many when the field must not have that length.
func (o *op) length(b []byte, at int) (from, n, size int) {
	from = at + int(headSize[o.head])
	if from > len(b) {
		return at, 0, tooMany
	}
	n, ok := o.head.read(b[at:])
	if !ok || n < int(o.min) || n > int(o.max) {
		return at, 0, tooMany
	}
	return from, n, (n + int(o.half)) >> (o.half & 1)
}

const tooMany = 1 << 30

// value reads n units from the size bytes that src begins with to the beginning
// of dst. It returns the length of the value, and false when the field has to
// read it.
func (o *op) value(dst, src []byte, n, size int) (int, bool) {
	switch o.kind {
	case opText:
		for n > 0 && src[n-1] == ' ' {
			n--
		}
		return n, o.class.copy(dst, src, n)
	case opChars:
		return n, o.class.copy(dst, src, n)
	case opRaw:
		return copy(dst, src[:n]), true
	case opPacked, opDigits:
		if o.half == 0 {
			return n, o.class.copy(dst, src, n)
		}
		return n, o.set.Unpack(dst, src, n) && (n&1 == 0 || src[size-1]&15 == o.pad)
	}
	return 0, false
}

// cut makes nodes from number count on of the parts of n digits, which are at
// end in the arena and at from on the wire. It returns the number behind the
// last one, count when the field has to do it.
func (f *field) cut(first []uint16, nodes []protocol.Node, count, end, from, n int) int {
	p, done, i := f.parts, 0, count
	if i+len(p.sub) >= len(nodes) {
		return count
	}
	for k := range p.sub {
		sub := &p.sub[k]
		if done+sub.len > n {
			break
		}
		place, size := f.place(from, done, sub.len)
		node(&nodes[i], sub.id, end+done, sub.len, place, size)
		i++
		first[sub.id] = uint16(i)
		done += sub.len
	}
	if done == n {
		return i
	}
	if !p.rest {
		return count
	}
	place, size := f.place(from, done, n-done)
	node(&nodes[i], p.other.id, end+done, n-done, place, size)
	first[p.other.id] = uint16(i + 1)
	return i + 1
}
