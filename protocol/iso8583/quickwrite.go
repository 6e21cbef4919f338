package iso8583

import (
	"math/bits"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// room is what a message gets beyond the length of its values: for map, lengths
// and filling.
const room = 128

// writeFields writes the fields of one map of 64 by their ops, as far as their
// values are ready to be written, and by their descriptions where not. What the
// loop changes is in variables of its own, and in the writer while a field is
// written by its description.
func (c *codec) writeFields(w *writer, half int, left uint64) error {
	ops, nodes, arena := &c.ops[half&1], w.nodes, w.arena[:cap(w.arena)]
	out, pos, i := w.out[:cap(w.out)], len(w.out), w.next
	digits, none := run{pos, 0}, protocol.Node{}
	if w.slow {
		nodes = nil
	}
	for left != 0 {
		zeros := bits.LeadingZeros64(left) & 63
		o, node := &ops[zeros], &none
		left &^= 1 << 63 >> zeros
		ok := i < len(nodes) && nodes[i].ID == o.id
		if !ok {
			i, ok = w.seek(o, i)
		}
		if ok {
			node = &nodes[i]
		}
		n, at, from, used := int(node.Len), int(node.At), pos+int(o.before), 1
		if o.kind == opRun && n == int(o.max) && (pos == digits.wire || at == digits.arena+2*(pos-digits.wire)) {
			if pos == digits.wire {
				digits.arena = at
			}
			node.From, node.Size = uint32(pos-w.base), uint32(n/2)
			pos, i, w.left = pos+n/2, i+1, w.left-1
			continue
		}
		if pos > digits.wire && !digits.pack(out, arena, pos) {
			return errRun
		}
		if o.kind == opParts && ok {
			n, used = w.joined(o, i, from)
			ok = used > 0
		}
		size := o.bytes(n)
		if ok && n >= int(o.min) && n <= int(o.max) && size+text.Slack <= len(out)-from {
			switch o.kind {
			case opText:
				ok = o.class.copy(out, from, arena, at, n)
				blank(out[from+n : from+size])
			case opChars:
				ok = o.class.copy(out, from, arena, at, n)
			case opRaw:
				copy(out[from:], arena[at:at+n])
			default:
				ok = o.set.Pack(out, from, arena, at, n) && (n&1 == 0 || w.fill(o, out[from+size-1:]))
			}
			if ok {
				o.putLength(out, pos, n)
				if o.kind != opParts {
					node.From, node.Size = uint32(from-w.base), uint32(size)
				}
				pos, i, w.left = from+size, i+used, w.left-used
				digits.wire = pos
				continue
			}
		}
		w.out, w.next = out[:pos], i
		if err := w.described(o.field); err != nil {
			return err
		}
		out, pos, i = w.out[:cap(w.out)], len(w.out), w.next
		digits.wire = pos
	}
	if pos > digits.wire && !digits.pack(out, arena, pos) {
		return errRun
	}
	w.out, w.next = out[:pos], i
	return nil
}

// seek finds the value of an op where it is not the next one of the record,
// which is at i.
func (w *writer) seek(o *op, i int) (int, bool) {
	if o.kind == opField || w.slow {
		return i, false
	}
	if at := w.rec.Find(o.id); at >= 0 {
		return at, true
	}
	return i, false
}

// bytes is how many a value of n units takes.
func (o *op) bytes(n int) int {
	if o.kind == opText {
		return int(o.max)
	}
	return (n + int(o.half)) >> (o.half & 1)
}

func blank(b []byte) {
	for i := range b {
		b[i] = ' '
	}
}

// fill fills the nibble that an odd number of digits leaves free in b. It
// reports false when the record has another one for it.
func (w *writer) fill(o *op, b []byte) bool {
	b[0] |= o.pad
	return !o.any || w.rec.Find(o.field.pad) < 0
}

// described writes a field by its description.
func (w *writer) described(f *field) error {
	out, err := w.field(w.out, f)
	if err == nil {
		w.out = out
	}
	return err
}

// pack writes the digits of a run, which ends at pos.
func (d run) pack(out, arena []byte, pos int) bool {
	return pos+text.Slack <= len(out) && text.Decimal().Pack(out, d.wire, arena, d.arena, 2*(pos-d.wire))
}

// putLength writes the length of a value of n units to at.
func (o *op) putLength(b []byte, at, n int) {
	switch o.head {
	case headNone:
	case headBCD1:
		b[at] = toBCD[n]
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
		c, node := &o.parts[used], &nodes[used]
		if node.ID != c.id || node.Len != uint32(c.len) || int(node.At) != at+n {
			break
		}
		node.From, node.Size = uint32(from-w.base)+uint32(c.from), uint32(c.to-c.from)
		n = int(c.at + c.len)
	}
	if used < len(o.parts) && w.rec.Find(o.parts[used].id) >= 0 || f.parts.rest && w.rec.Find(f.parts.other.id) >= 0 {
		return 0, 0
	}
	return n, used
}
