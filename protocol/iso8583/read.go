package iso8583

import (
	"encoding/binary"
	"fmt"
	"slices"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// Layout lists the fields in the order of the map; a record of it is what
// Index fills.
func (c *codec) Layout() *protocol.Layout { return c.layout }

// reader walks over one message. It holds the record's memory while it does.
type reader struct {
	rec   *protocol.Record
	arena []byte
	nodes []protocol.Node
	first []uint16 // of rec
	slow  bool     // by descriptions alone
	codec *codec
	maps  fieldSet // fields of the message
	b     []byte
	at    int
}

// maxNodes is how many values one message may have.
const maxNodes = 1 << 15

// known gives the record its memory back for a moment, so that values can be
// looked up in it.
func (r *reader) known() *protocol.Record {
	r.rec.Return(r.arena, r.nodes)
	return r.rec
}

// put makes what was appended to the arena a value: size bytes at from on the
// wire, in the turn of a loop at node parent, or at the top for -1.
func (r *reader) put(arena []byte, f *field, from, size, parent int) error {
	i, at := len(r.nodes), len(r.arena)
	if i == maxNodes {
		return f.full(from)
	}
	r.arena = arena
	if i == cap(r.nodes) {
		r.nodes = slices.Grow(r.nodes, 32)
	}
	r.nodes = r.nodes[:i+1]
	n := &r.nodes[i] // set in place: a copy of small parts stalls the processor
	n.ID, n.Parent = f.id, uint16(parent+1)
	n.At, n.Len, n.From, n.Size = uint32(at), uint32(len(arena)-at), uint32(from), uint32(size)
	if parent < 0 && r.first[f.id] == 0 {
		r.first[f.id] = uint16(i + 1)
	}
	return nil
}

// Index reads a message completely into rec, which is empty when it is refused.
func (c *codec) Index(m protocol.Frame, rec *protocol.Record) error {
	err := c.index(m.Body, rec, false)
	if err != nil {
		rec.Reset(c.layout)
	}
	return err
}

// index reads a message, with slow by descriptions alone.
func (c *codec) index(b []byte, rec *protocol.Record, slow bool) error {
	rec.Reset(c.layout)
	var r reader // set in place, see fieldSet
	r.rec, r.b, r.slow, r.codec = rec, b, slow, c
	r.arena, r.nodes, r.first = rec.Lend()
	if !slow {
		r.room(1)
	}
	if err := c.readMTI(&r); err != nil {
		return err
	}
	maps, err := c.readMap(&r)
	if err != nil {
		return err
	}
	r.maps = maps
	law, err := c.fields(&r, &shape{maps: maps, mti: binary.BigEndian.Uint32(r.arena)}) // the message type comes first
	if err != nil {
		return err
	}
	if r.at != len(b) {
		return fieldError("", r.at, "the end of the message", fmt.Sprintf("%d bytes more", len(b)-r.at),
			"a length is wrong, or a bit is missing in the map")
	}
	r.known()
	return law
}

func (c *codec) readMTI(r *reader) error {
	f := &c.mti
	if len(r.b) < f.size {
		return headerError(f.name, 0, f.want(), fmt.Sprintf("%d bytes", len(r.b)), "")
	}
	r.at = f.size
	if !r.slow && c.first.read(r.arena[:cap(r.arena)], r.b, 4, 0) {
		r.arena, r.nodes, r.first[f.id] = r.arena[:4], r.nodes[:1], 1
		node(&r.nodes[0], f.id, 0, 4, 0, f.size)
		return nil
	}
	raw := r.b[:f.size]
	if err := r.value(f, raw, 0, 4, -1); err != nil {
		return headerError(f.name, 0, f.want(), "bytes "+protocol.Hex(raw, 4), mtiHint(r.b))
	}
	return nil
}

// mtiHint says what a message begins with that does not begin with its type.
func mtiHint(b []byte) string {
	switch {
	case len(b) >= 4 && classN.holds(b[:4]):
		return "the message type looks like ASCII: mti: ascii"
	case len(b) > 5 && b[0] == 0x60:
		return "the message begins like a TPDU: set frame.tpdu"
	}
	return "a header may stand before the message type: set frame.header"
}

// readMap reads the bitmap; bit 1 is not among those returned.
func (c *codec) readMap(r *reader) (maps fieldSet, err error) {
	first, ok := c.half(r)
	if !ok {
		return maps, c.badMap(r)
	}
	const one = 1 << 63
	more := c.form >= map128 || c.form == mapAuto && first&one != 0
	if set := first&one != 0; set && (c.form == map64 || c.form == map128Clear) || !set && c.form == map128 {
		return maps, headerError("1", c.mti.size, "bit 1 as bitmap.form "+[...]string{"64", "auto", "128", "128-clear"}[c.form]+" says",
			fmt.Sprintf("set: %t", set), "bit 1 announces a second map: set bitmap.form")
	}
	maps.low = first &^ one
	if !more {
		return maps, nil
	}
	if maps.high, ok = c.half(r); !ok {
		return maps, c.badMap(r)
	}
	if c.form == mapAuto && maps.high == 0 {
		return maps, headerError("1", c.mti.size, "a field above 64 where bit 1 is set", "none", "")
	}
	return maps, nil
}

// half reads one map of 64 bits.
func (c *codec) half(r *reader) (v uint64, ok bool) {
	size := 8
	if c.hexMap {
		size = 16
	}
	if len(r.b)-r.at < size {
		return 0, false
	}
	raw := r.b[r.at : r.at+size]
	switch {
	case !c.hexMap:
		v, ok = binary.BigEndian.Uint64(raw), true
	case c.hex == upperHex:
		v, ok = text.ReadHex(raw)
	default:
		var b [8]byte
		ok = c.hex.read(b[:], raw)
		v = binary.BigEndian.Uint64(b[:])
	}
	if ok {
		r.at += size
	}
	return v, ok
}

func (c *codec) badMap(r *reader) error {
	if !c.hexMap {
		return headerError("bitmap", r.at, "a map of 8 bytes", fmt.Sprintf("%d bytes left", len(r.b)-r.at), "")
	}
	want := "a map of 16 characters in " + c.hex.String()
	for i, x := range r.b[r.at:min(r.at+16, len(r.b))] {
		if c.hex.value[x] > 15 {
			return headerError("bitmap", r.at+i, want, "bytes "+protocol.Hex(r.b[r.at+i:], 4), "the map may be binary")
		}
	}
	return headerError("bitmap", r.at, want, fmt.Sprintf("%d bytes left", len(r.b)-r.at), "")
}

// obey checks which fields a message of the type carries.
func (c *codec) obey(kind uint32, has fieldSet) error {
	mti := string(binary.BigEndian.AppendUint32(nil, kind))
	for i, t := range c.types {
		if t != kind {
			continue
		}
		r := &c.rules[i]
		if n := r.must.without(has).first(); n != 0 {
			return fieldError(fmt.Sprint(n), -1, "a field that "+mti+" must carry", "none", "")
		}
		none := r.not.without(has) // what is not there of what must not be
		if n := r.not.without(none).first(); n != 0 {
			return fieldError(fmt.Sprint(n), -1, "no field that "+mti+" must not carry", "one", "")
		}
	}
	return nil
}

// field reads one field: its length, its value, its parts.
func (r *reader) field(f *field) error {
	if len(f.cases) > 0 {
		f = f.formOf(r.usage(f))
	}
	units, size := f.len, f.size
	if !f.fixed {
		var err error
		if units, size, err = r.length(f); err != nil {
			return err
		}
	}
	from := r.at
	if len(r.b)-from < size {
		return f.short(from, size, len(r.b)-from)
	}
	r.at += size
	if f.parts != nil {
		return r.parts(f, from, units)
	}
	return r.value(f, r.b[from:r.at], from, units, -1)
}

// length reads the length of a field and returns its units and bytes.
func (r *reader) length(f *field) (units, size int, err error) {
	p, at, n, ok := &f.prefix, r.at, len(r.b)-r.at, true
	if !f.tail {
		if n < p.size {
			return 0, 0, f.short(at, p.size, n)
		}
		if n, ok = p.read(r.b[at : at+p.size]); !ok {
			return 0, 0, fieldError(f.name, at, p.String(), "bytes "+protocol.Hex(r.b[at:at+p.size], 8), "")
		}
		r.at += p.size
	}
	if units, size, ok = f.extent(n, r.b[r.at:]); !ok || units < f.min || units > f.len {
		return 0, 0, fieldError(f.name, at, f.want(), fmt.Sprintf("a length of %d", n), "")
	}
	return units, size, nil
}

// extent turns the number of a prefix into units and bytes. b is what follows
// the prefix: where bytes of BCD are counted, only a free nibble of F tells
// that the number of digits is odd.
func (f *field) extent(n int, b []byte) (units, size int, ok bool) {
	switch f.prefix.counts {
	case countUnits:
		return n, f.wire(n), true
	case countNibbles:
		if n&1 != 0 {
			return 0, 0, false
		}
		n /= 2
	}
	if n > len(b) {
		return f.min, n, true // too short: told by the caller
	}
	units, ok = f.units(b[:n])
	return units, n, ok
}

// units returns how many units the bytes of a value hold.
func (f *field) units(raw []byte) (int, bool) {
	n := len(raw)
	switch f.form {
	case formPacked:
		free := n > 0 && f.odd.Pad == 15 && (f.odd.Right && raw[0]>>4 == 15 || !f.odd.Right && raw[n-1]&15 == 15)
		if free {
			return 2*n - 1, true
		}
		return 2 * n, true
	case formSigned:
		if f.packed {
			return 2 * (n - 1), n > 0
		}
		return n - 1, n > 0
	case formHex:
		return n / 2, n&1 == 0
	}
	return n, true
}

// value reads one value, in the turn of a loop at node parent, or at the top
// for -1.
func (r *reader) value(f *field, raw []byte, from, units, parent int) error {
	arena, ok, pad := r.arena, true, f.odd.Pad
	switch f.form {
	case formPacked:
		if units&1 == 0 {
			arena, ok = f.set.ReadPacked(arena, raw)
		} else {
			arena, pad, ok = f.set.ReadBCD(arena, raw, units, f.odd)
		}
	case formZoned:
		ok = f.class.holds(raw)
		arena = append(arena, raw...)
	case formText:
		arena, ok = f.readText(arena, raw)
	case formRaw:
		arena = append(arena, raw...)
	case formHex:
		at := len(arena)
		arena = append(arena, raw[:units]...)
		ok = f.hex.read(arena[at:], raw)
	case formSigned:
		arena, pad, ok = f.readSigned(arena, raw, units)
	}
	if !ok {
		return f.unfit(raw, from)
	}
	if err := r.put(arena, f, from, len(raw), parent); err != nil || pad == f.odd.Pad {
		return err
	}
	return r.keepPad(f, raw, from, pad)
}

func (f *field) readText(arena, raw []byte) ([]byte, bool) {
	if f.fixed {
		raw = trim(raw, f.right)
	}
	if f.class.holds(raw) {
		return append(arena, raw...), true
	}
	if f.class != classANS || !plain(raw) {
		return arena, false
	}
	arena, err := f.char.Read(arena, raw)
	return arena, err == nil
}

// trim cuts the blanks that fill up a text.
func trim(b []byte, left bool) []byte {
	if left {
		for len(b) > 0 && b[0] == ' ' {
			b = b[1:]
		}
		return b
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

func (f *field) readSigned(arena, raw []byte, units int) ([]byte, byte, bool) {
	if raw[0] != 'C' && raw[0] != 'D' {
		return arena, 0, false
	}
	arena = append(arena, raw[0])
	if !f.packed {
		return append(arena, raw[1:]...), f.odd.Pad, classN.holds(raw[1:])
	}
	return f.set.ReadBCD(arena, raw[1:], units, f.odd)
}

// keepPad keeps a free nibble that is not the usual one.
func (r *reader) keepPad(f *field, raw []byte, from int, pad byte) error {
	at := from + len(raw) - 1
	if f.odd.Right {
		at = from
	}
	if !f.any {
		return fieldError(f.name, at, fmt.Sprintf("a free nibble of %X", f.odd.Pad), fmt.Sprintf("%X", pad),
			"the value may be aligned to the other side; any_pad accepts other nibbles")
	}
	return r.put(append(r.arena, upperDigits[pad]), &field{id: f.pad, name: f.name}, at, 1, -1)
}
