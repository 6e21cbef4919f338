package iso8583

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// writer appends one message.
type writer struct {
	rec   *protocol.Record
	nodes []protocol.Node // of rec
	arena []byte          // of rec
	base  int             // offsets on the wire count from here
	left  int             // values of the record that are not written yet
	next  int             // node that is likely to be written next
	out   []byte          // what was written; a field that is written by its description goes from call to call
}

// room is what a message gets beyond the length of its values: for map, lengths
// and filling.
const room = 128

// Append writes the fields that stand in rec, in the order of the map.
func (c *codec) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	mti, err := c.typeOf(rec)
	if err != nil {
		return dst, err
	}
	var w writer // set in place, see fieldSet
	w.rec, w.nodes, w.arena, w.base, w.out = rec, rec.Nodes(), rec.Arena(), len(dst), dst
	if size := len(w.arena) + room; cap(dst)-len(dst) < size {
		w.out = slices.Grow(dst, size)
	}
	whole, err := c.quick(&w, mti)
	if !whole {
		var has fieldSet
		if has, err = c.slow(&w); err == nil {
			err = c.obey(binary.BigEndian.Uint32(mti), has)
		}
	}
	if err != nil {
		return dst, err
	}
	return w.out, nil
}

// typeOf returns the message type of a record.
func (c *codec) typeOf(rec *protocol.Record) ([]byte, error) {
	if rec.Layout() != c.layout {
		return nil, headerError("", -1, "a record of this layout", "another", "")
	}
	i := rec.Find(c.mti.id)
	if i < 0 {
		return nil, headerError(c.mti.name, -1, c.mti.want(), "none", "")
	}
	mti := rec.Value(i)
	if len(mti) != 4 { // no zeros are missing in a message type
		return nil, headerError(c.mti.name, -1, c.mti.want(), fmt.Sprintf("%d characters", len(mti)), "")
	}
	return mti, nil
}

// start writes the message type and the maps.
func (c *codec) start(w *writer, has fieldSet) error {
	two := c.form >= map128 || c.form == mapAuto && has.high != 0
	w.out, w.left, w.next = w.out[:w.base], len(w.nodes), 0
	n := &w.nodes[0]
	if n.ID == c.mti.id && c.first.write(w.out[w.base:cap(w.out)], w.arena[n.At:], 4, 0) {
		n.From, n.Size = 0, uint32(c.mti.size)
		w.out, w.left, w.next = w.out[:w.base+c.mti.size], w.left-1, 1
	} else if err := w.described(&c.mti); err != nil {
		return err
	}
	if c.form == map128 || c.form == mapAuto && two {
		has.low |= 1 << 63
	}
	w.out = c.appendHalf(w.out, has.low)
	if two {
		w.out = c.appendHalf(w.out, has.high)
	}
	return nil
}

// slow writes by descriptions alone, to find the value that is wrong or has no
// place: one that stands twice, or belongs to another form of its field.
func (c *codec) slow(w *writer) (fieldSet, error) {
	const unwritten = ^uint32(0)
	has := c.has(w.nodes)
	for i := range w.nodes {
		w.nodes[i].From = unwritten
	}
	if err := c.start(w, has); err != nil {
		return has, err
	}
	left := has
	for n := left.first(); n != 0; n = left.first() {
		left.remove(n)
		if err := w.described(c.op(n).field); err != nil {
			return has, err
		}
	}
	for i := range w.nodes {
		if n := &w.nodes[i]; n.From == unwritten {
			return has, fieldError(c.layout.Fields[n.ID].Name, -1, "values of one form of the field, each once, none before it left out", fmt.Sprintf("value %d of the record", i),
				"the forms of a field are chosen by cases of the link file")
		}
	}
	return has, nil
}

// described writes a field by its description.
func (w *writer) described(f *field) error {
	out, err := w.field(w.out, f)
	if err == nil {
		w.out = out
	}
	return err
}

// appendHalf writes one map of 64 bits.
func (c *codec) appendHalf(dst []byte, v uint64) []byte {
	switch {
	case !c.hexMap:
		return binary.BigEndian.AppendUint64(dst, v)
	case c.hex == lowerHex:
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], v)
		return c.hex.append(dst, b[:])
	}
	return text.AppendHex(dst, v)
}

// find returns the node of a value at the top, -1 when absent. Most records
// are in the order of the map, where it is the next one.
func (w *writer) find(id uint16) int {
	if i := w.next; i < len(w.nodes) && w.nodes[i].ID == id {
		w.next++
		return i
	}
	return w.rec.Find(id)
}

// field writes one field: its length, its value or parts.
func (w *writer) field(dst []byte, f *field) ([]byte, error) {
	if len(f.cases) > 0 {
		f = f.formOf(f.usage(w.rec))
	}
	if f.fixed && f.parts == nil {
		dst, _, err := w.value(dst, f, w.find(f.id))
		return dst, err
	}
	at := len(dst)
	if !f.fixed {
		dst = append(dst, "\x00\x00\x00\x00\x00\x00"[:f.prefix.size]...)
	}
	var units int
	var err error
	if f.parts != nil {
		dst, units, err = w.parts(dst, f)
	} else {
		dst, units, err = w.value(dst, f, w.find(f.id))
	}
	switch {
	case err != nil:
		return nil, err
	case f.fixed && units == f.len:
		return dst, nil
	case f.fixed || units < f.min || units > f.len:
		return nil, fieldError(f.name, -1, f.want(), fmt.Sprintf("%d", units), "")
	}
	return dst, f.putLength(dst[at:], units)
}

// putLength fills in the length that b begins with, before a value of so many
// units.
func (f *field) putLength(b []byte, units int) error {
	n, val := units, b[f.prefix.size:]
	if f.prefix.counts != countUnits {
		n = len(val)
		if again, ok := f.units(val); !ok || again != units {
			return fieldError(f.name, -1, "a value whose length in bytes tells its digits", fmt.Sprintf("%d", units), "")
		}
		if f.prefix.counts == countNibbles {
			n *= 2
		}
	}
	if !f.tail && !f.prefix.put(b[:f.prefix.size], n) {
		return fieldError(f.name, -1, f.prefix.String(), fmt.Sprintf("%d", n), "")
	}
	return nil
}

// value writes node i and notes its place; -1 is the error of an absent one.
func (w *writer) value(dst []byte, f *field, i int) (out []byte, units int, err error) {
	if i < 0 {
		return nil, 0, fieldError(f.name, -1, "a value for this form of the field", "none", "the forms of a field are chosen by cases of the link file")
	}
	n := &w.nodes[i]
	val, from, ok := w.arena[n.At:n.At+n.Len], len(dst), true
	units = len(val)
	switch f.form {
	case formPacked:
		if units&1 == 0 && (units >= f.len || !f.zeros) {
			dst, ok = f.set.AppendPacked(dst, val)
		} else {
			dst, units, ok, err = w.packed(dst, f, val)
		}
	case formZoned:
		dst = append(f.fill(dst, val), val...)
		units, ok = len(dst)-from, f.class.holds(val)
	case formText:
		dst, ok = f.appendText(dst, val)
		units = len(dst) - from
	case formRaw:
		dst = append(dst, val...)
	case formHex:
		dst = f.hex.append(dst, val)
	case formSigned:
		dst, units, ok = f.appendSigned(dst, val)
	}
	if err != nil {
		return nil, 0, err
	}
	if !ok || f.fixed && units != f.len {
		return nil, 0, fieldError(f.name, -1, f.want(), f.mask.Masked(strings.ToValidUTF8(string(val), "?")), "")
	}
	n.From, n.Size = uint32(from-w.base), uint32(len(dst)-from)
	w.left--
	return dst, units, nil
}

// fill appends the zeros that a short number of fixed length needs.
func (f *field) fill(dst, val []byte) []byte {
	for n := len(val); f.zeros && n < f.len; n++ {
		dst = append(dst, '0')
	}
	return dst
}

// packed writes digits that need a free nibble or zeros before them.
func (w *writer) packed(dst []byte, f *field, val []byte) (out []byte, units int, ok bool, err error) {
	from, odd := len(dst), f.odd
	if units = len(val); f.zeros {
		units = max(units, f.len)
	}
	if f.any {
		if odd.Pad, err = w.padOf(f, from, units); err != nil {
			return nil, 0, false, err
		}
	}
	if units > len(val) {
		dst = append(f.fill(dst, val), val...)
		val, dst = dst[from:], dst[:from] // packed in place
	}
	dst, ok = f.set.AppendBCD(dst, val, odd)
	return dst, units, ok, nil
}

// padOf returns the free nibble of the n characters that begin at from: the
// usual one, or the one that was kept.
func (w *writer) padOf(f *field, from, n int) (byte, error) {
	i := w.rec.Find(f.pad)
	if i < 0 {
		return f.odd.Pad, nil
	}
	val := w.rec.Value(i)
	var pad [1]byte
	if n&1 == 0 || len(val) != 1 || !upperHex.read(pad[:], []byte{'0', val[0]}) || pad[0] == f.odd.Pad {
		return 0, fieldError(f.name+".pad", -1, "a nibble other than the usual one, where one is free", "another value", "")
	}
	if !f.odd.Right {
		from += n / 2
	}
	w.rec.Span(i, from-w.base, 1)
	w.left--
	return pad[0], nil
}

// appendText writes characters, and blanks where the length is fixed.
func (f *field) appendText(dst, val []byte) ([]byte, bool) {
	from := len(dst)
	if f.class.holds(val) {
		dst = append(dst, val...)
	} else {
		var err error
		if dst, err = f.char.Append(dst, val); err != nil || f.class != classANS || !plain(dst[from:]) {
			return dst, false
		}
	}
	n := len(dst) - from
	if !f.fixed || n >= f.len {
		return dst, true
	}
	for range f.len - n {
		dst = append(dst, ' ')
	}
	if f.right {
		copy(dst[len(dst)-n:], dst[from:from+n])
		for i := from; i < len(dst)-n; i++ {
			dst[i] = ' '
		}
	}
	return dst, true
}

func (f *field) appendSigned(dst, val []byte) (out []byte, units int, ok bool) {
	if len(val) == 0 || val[0] != 'C' && val[0] != 'D' {
		return dst, 0, false
	}
	dst, units = append(dst, val[0]), len(val)-1
	if f.packed {
		dst, ok = f.set.AppendBCD(dst, val[1:], f.odd)
		return dst, units, ok
	}
	return append(dst, val[1:]...), units, classN.holds(val[1:])
}
