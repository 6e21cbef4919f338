package iso8583

import (
	"errors"
	"fmt"
	"math/bits"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// run is where a stretch of digits begins that is converted at once: of opRun
// that stand one behind the other, on the wire and in the arena.
type run struct{ wire, arena int }

// errRun says that a run holds something else than digits, or is cut: which
// field it is comes out when the message is read by descriptions alone.
var errRun = errors.New("run")

// fields reads the fields of one map of 64 by their ops, and by their
// descriptions where these leave it to them. What the loop changes is in
// variables of its own, and in the reader while a field is read by its
// description.
func (c *codec) fields(r *reader, half int, left uint64) error {
	ops := &c.ops[half&1]
	nodes := r.nodes[:cap(r.nodes)]
	at, end, count := r.at, len(r.arena), len(r.nodes)
	digits := run{at, end}
	for left != 0 {
		zeros := bits.LeadingZeros64(left) & 63
		o := &ops[zeros]
		left &^= 1 << 63 >> zeros
		from, n, ok := at, int(o.max), !r.slow && count < len(nodes)
		if o.kind == opRun && ok {
			node(&nodes[count], o.id, end, n, at, n/2)
			at, end, count = at+n/2, end+n, count+1
			r.first[o.id] = uint16(count)
			continue
		}
		if end > digits.arena && !digits.unpack(r, at, end) {
			return errRun
		}
		if o.head != headNone && ok {
			from, n, ok = o.length(r.b, at)
		}
		size, next := (n+int(o.half))>>(o.half&1), count+1
		if ok = ok && size <= len(r.b)-from && n+text.Slack <= cap(r.arena)-end; ok {
			switch o.kind {
			case opText:
				n = trimmed(r.b, from, n)
				ok = o.class.copy(r.arena[:cap(r.arena)], end, r.b, from, n)
			case opChars:
				ok = o.class.copy(r.arena[:cap(r.arena)], end, r.b, from, n)
			case opRaw:
				copy(r.arena[end:cap(r.arena)], r.b[from:from+n])
			case opField:
				ok = false
			default:
				if ok = o.set.Unpack(r.arena[:cap(r.arena)], end, r.b, from, n) && (n&1 == 0 || r.b[from+size-1]&15 == o.pad); ok && o.kind == opParts {
					next, ok = o.cut(nodes, r.first, run{from, end}, count, n)
				}
			}
		}
		if ok {
			if o.kind != opParts {
				node(&nodes[count], o.id, end, n, from, size)
				r.first[o.id] = uint16(next)
			}
			at, end, count = from+size, end+n, next
			digits = run{at, end}
			continue
		}
		r.at, r.arena, r.nodes = at, r.arena[:end], nodes[:count]
		if err := c.described(r, o, half*64+zeros+1); err != nil {
			return err
		}
		at, end, count = r.at, len(r.arena), len(r.nodes)
		nodes = r.nodes[:cap(r.nodes)]
		digits = run{at, end}
	}
	if end > digits.arena && !digits.unpack(r, at, end) {
		return errRun
	}
	r.at, r.arena, r.nodes = at, r.arena[:end], nodes[:count]
	return nil
}

// described reads field n by its description.
func (c *codec) described(r *reader, o *op, n int) error {
	if o.field == nil {
		return headerError(fmt.Sprint(n), c.mti.size, "only bits of fields in the link file", "bit "+fmt.Sprint(n),
			"add the field to the link file, or the map is read at the wrong place")
	}
	return r.field(o.field)
}

// node fills a node at the top, in place: a copy of small parts stalls the
// processor.
func node(n *protocol.Node, id uint16, at, length, from, size int) {
	n.ID, n.Parent = id, 0
	n.At, n.Len, n.From, n.Size = uint32(at), uint32(length), uint32(from), uint32(size)
}

// unpack writes the digits of a run, which ends at at and end, to the arena.
func (d run) unpack(r *reader, at, end int) bool {
	return at <= len(r.b) && end+text.Slack <= cap(r.arena) && text.Decimal().Unpack(r.arena[:cap(r.arena)], d.arena, r.b, d.wire, end-d.arena)
}

// length reads the length at at and returns where the value begins and its
// units, and false when the field must not have so many.
func (o *op) length(b []byte, at int) (from, n int, ok bool) {
	if from = at + int(o.before); from > len(b) {
		return at, 0, false
	}
	switch head := b[at:from]; o.head {
	case headBCD1:
		n = int(fromBCD[head[0]])
	case headBCD2:
		n = 100*int(fromBCD[head[0]]) + int(fromBCD[head[1]])
	default:
		for _, c := range head {
			if c -= '0'; c > 9 {
				return at, 0, false
			}
			n = n*10 + int(c)
		}
	}
	return from, n, n >= int(o.min) && n <= int(o.max)
}

// trimmed returns the length of a text of n bytes at from without the blanks
// that fill it up.
func trimmed(b []byte, from, n int) int {
	for n > 0 && b[from+n-1] == ' ' {
		n--
	}
	return n
}

// cut makes nodes, from number i on, of the parts of n digits. It returns the
// number of nodes then, and false when the field has to.
func (o *op) cut(nodes []protocol.Node, first []uint16, d run, i, n int) (int, bool) {
	p, done := o.field.parts, 0
	if n == 0 || i+len(o.parts) >= len(nodes) {
		return i, false
	}
	start := i
	for k := range o.parts {
		c := &o.parts[k]
		if int(c.at+c.len) > n {
			break
		}
		node(&nodes[i], c.id, d.arena+int(c.at), int(c.len), d.wire+int(c.from), int(c.to-c.from))
		i++
		first[c.id] = uint16(i)
		done = int(c.at + c.len)
	}
	if done < n {
		if !p.rest {
			return start, false
		}
		at, size := o.field.place(d.wire, done, n-done)
		node(&nodes[i], p.other.id, d.arena+done, n-done, at, size)
		i++
		first[p.other.id] = uint16(i)
	}
	return i, true
}
