package iso8583

import (
	"errors"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// errOrder says that the values of a record do not stand in the order of the
// map.
var errOrder = errors.New("order")

// sort puts the numbers of the nodes in the order of the map, in the low half
// of each entry. Few are out of place: a mapping has rows of fields in order.
func (c *codec) sort(order []uint32, nodes []protocol.Node) {
	for i := range nodes {
		entry, k := uint32(i), i
		if o := c.byID[nodes[i].ID]; o != nil { // else the message type, which is first
			entry |= uint32(o.bit+1) << 16
		}
		for ; k > 0 && order[k-1] > entry; k-- {
			order[k] = order[k-1]
		}
		order[k] = entry
	}
}

// quick writes the message in the order of the nodes, by ops as far as the
// values are ready to be written, and returns the fields there are.
func (c *codec) quick(w *writer, order []uint32) (has fieldSet, err error) {
	two := c.form >= map128
	if c.form == mapAuto {
		last := len(w.nodes) - 1
		if order != nil {
			last = int(order[last] & 0xFFFF)
		}
		o := c.byID[w.nodes[last].ID]
		two = o != nil && o.bit >= 64
	}
	if !c.quickMTI(w, two) {
		if err := c.start(w, two); err != nil {
			return has, err
		}
	}
	has, err = c.inOrder(w, order)
	if err == nil && has.high != 0 && !two {
		err = errOrder
	}
	if err == nil {
		c.putMaps(w, has, two)
	}
	return has, err
}

// quickMTI is start for a message type in BCD that comes first in the record
// and a binary map.
func (c *codec) quickMTI(w *writer, two bool) bool {
	n := &w.nodes[0]
	if c.mti.form != formPacked || c.hexMap || n.ID != c.mti.id {
		return false
	}
	w.out = w.out[:w.base]
	if !c.mti.set.Pack(w.out[:cap(w.out)], w.base, w.arena[:cap(w.arena)], int(n.At), 4) {
		return false
	}
	n.From, n.Size = 0, 2
	size := 2 + 8
	if two {
		size += 8
	}
	w.out, w.left, w.next = w.out[:w.base+size], len(w.nodes)-1, 1
	return true
}

// inOrder writes the fields, in the order of the nodes for nil, and returns
// their maps. What a value's op cannot
// take as it stands is written by the description of its field.
func (c *codec) inOrder(w *writer, order []uint32) (has fieldSet, err error) {
	nodes, byID := w.nodes, c.byID
	pos, last := len(w.out), -1
	digits := run{pos, 0}
	for k := 0; k < len(nodes); {
		i := k
		if order != nil {
			i = int(order[k] & 0xFFFF)
		}
		node := &nodes[i]
		o := byID[node.ID]
		if o == nil { // the message type
			k++
			continue
		} else if int(o.bit) <= last {
			return has, errOrder
		}
		last = int(o.bit)
		has.add(last + 1)
		n, at, from, used := int(node.Len), int(node.At), pos+int(o.before), 1
		if o.kind == opRun && n == int(o.max) && (pos == digits.wire || at == digits.arena+2*(pos-digits.wire)) {
			if pos == digits.wire {
				digits.arena = at
			}
			node.From, node.Size = uint32(pos-w.base), uint32(n/2)
			pos, k, w.left = pos+n/2, k+1, w.left-1
			continue
		}
		if pos > digits.wire && !digits.pack(w, pos) {
			return has, errRun
		}
		if o.kind == opParts {
			n, used = w.joined(o, i, from)
		}
		size := o.bytes(n)
		ok := used > 0 && n >= int(o.min) && n <= int(o.max) && size+text.Slack <= cap(w.out)-from
		if out := w.out[:cap(w.out)]; ok {
			switch o.kind {
			case opText:
				ok = o.class.copy(out, from, w.arena[:cap(w.arena)], at, n)
				blank(out[from+n : from+size])
			case opChars:
				ok = o.class.copy(out, from, w.arena[:cap(w.arena)], at, n)
			case opRaw:
				copy(out[from:], w.arena[at:at+n])
			case opField:
				ok = false
			default:
				ok = o.set.Pack(out, from, w.arena[:cap(w.arena)], at, n) && (n&1 == 0 || w.fill(o, from+size-1))
			}
		}
		if ok {
			if o.head != headNone {
				o.putLength(w.out[:cap(w.out)], pos, n)
			}
			if o.kind != opParts {
				node.From, node.Size = uint32(from-w.base), uint32(size)
			}
			pos, k, w.left = from+size, k+used, w.left-used
		} else if pos, k, err = c.whole(w, order, pos, k); err != nil {
			return has, err
		}
		digits.wire = pos
	}
	if pos > digits.wire && !digits.pack(w, pos) {
		return has, errRun
	}
	w.out = w.out[:pos]
	return has, nil
}

func blank(b []byte) {
	for i := range b {
		b[i] = ' '
	}
}

// whole writes the field of node i, which is the k-th in the order, by its
// description. It returns where the next field begins and its place in the
// order.
func (c *codec) whole(w *writer, order []uint32, pos, k int) (int, int, error) {
	i := k
	if order != nil {
		i = int(order[k] & 0xFFFF)
	}
	o := c.byID[w.nodes[i].ID]
	w.out, w.next = w.out[:pos], i
	if err := w.described(o.field); err != nil {
		return pos, k, err
	}
	for k < len(w.nodes) && c.byID[w.nodes[i].ID] == o {
		if k++; k < len(order) {
			i = int(order[k] & 0xFFFF)
		} else {
			i = k
		}
	}
	return len(w.out), k, nil
}

// pack writes the digits of a run, which ends at pos.
func (d run) pack(w *writer, pos int) bool {
	return pos+text.Slack <= cap(w.out) && text.Decimal().Pack(w.out[:cap(w.out)], d.wire, w.arena[:cap(w.arena)], d.arena, 2*(pos-d.wire))
}

// bytes is how many a value of n units takes.
func (o *op) bytes(n int) int {
	if o.kind == opText {
		return int(o.max)
	}
	return (n + int(o.half)) >> (o.half & 1)
}

// fill fills the nibble at at that an odd number of digits leaves free. It
// reports false when the record has another one for it.
func (w *writer) fill(o *op, at int) bool {
	w.out[:cap(w.out)][at] |= o.pad
	return !o.any || w.rec.Find(o.field.pad) < 0
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
