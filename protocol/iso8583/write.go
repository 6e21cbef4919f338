package iso8583

import (
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"

	"qianzhi/protocol"
)

// writer appends one message to dst.
type writer struct {
	rec  *protocol.Record
	dst  []byte
	base int // offsets on the wire count from here
	left int // values of the record that are not written yet
}

// unwritten marks values that have no place on the wire yet.
const unwritten = -1

// Append writes the fields that stand in rec, in the order of the map.
func (c *codec) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	w := writer{rec: rec, dst: dst, base: len(dst), left: len(rec.Nodes())}
	maps, err := c.present(rec)
	if err == nil {
		err = c.write(&w, maps)
	}
	if err == nil {
		err = c.obey(rec, maps)
	}
	if err != nil {
		return dst, err
	}
	return w.dst, nil
}

// present returns the map of the fields in rec.
func (c *codec) present(rec *protocol.Record) (maps [2]uint64, err error) {
	if rec.Layout() != c.layout {
		return maps, headerError("", -1, "a record of this layout", "another", "")
	}
	nodes := rec.Nodes()
	for i := range nodes {
		n := int(c.owner[nodes[i].ID])
		if n > 0 {
			maps[(n-1)/64] |= bit(n)
		}
		rec.Span(i, unwritten, 0)
	}
	if rec.Find(c.mti.id) < 0 {
		return maps, headerError(c.mti.name, -1, c.mti.want(), "none", "")
	}
	return maps, nil
}

func (c *codec) write(w *writer, maps [2]uint64) error {
	if err := w.field(&c.mti); err != nil {
		return err
	}
	const one = 1 << 63
	first := maps[0]
	if c.form == map128 || c.form == mapAuto && maps[1] != 0 {
		first |= one
	}
	w.half(first, c.hexMap)
	if c.form >= map128 || first&one != 0 {
		w.half(maps[1], c.hexMap)
	}
	for half, left := range maps {
		for left != 0 {
			n := half*64 + bits.LeadingZeros64(left) + 1
			left &^= bit(n)
			if err := w.field(c.fields[n]); err != nil {
				return err
			}
		}
	}
	if w.left != 0 {
		return c.stray(w.rec)
	}
	return nil
}

// stray is the error of a record with a value that has no place: it stands
// twice, or belongs to another form of its field.
func (c *codec) stray(rec *protocol.Record) error {
	for i, n := range rec.Nodes() {
		if n.From == ^uint32(0) {
			return fieldError(c.layout.Fields[n.ID].Name, -1, "values of one form of the field, each once", fmt.Sprintf("value %d of the record", i),
				"the forms of a field are chosen by cases of the link file")
		}
	}
	return nil
}

// half writes one map of 64 bits.
func (w *writer) half(v uint64, inHex bool) {
	const digits = "0123456789ABCDEF"
	for shift := 56; shift >= 0; shift -= 8 {
		b := byte(v >> shift)
		if inHex {
			w.dst = append(w.dst, digits[b>>4], digits[b&15])
		} else {
			w.dst = append(w.dst, b)
		}
	}
}

// field writes one field: its length, its value or parts.
func (w *writer) field(f *field) error {
	if len(f.cases) > 0 {
		f = f.pick(w.rec)
	}
	at := len(w.dst)
	for range f.prefix.size {
		w.dst = append(w.dst, 0)
	}
	from := len(w.dst)
	units, err := w.content(f)
	if err != nil {
		return err
	}
	if f.fixed {
		if units != f.len {
			return fieldError(f.name, -1, f.want(), fmt.Sprintf("%d", units), "")
		}
		return nil
	}
	if units < f.min || units > f.len {
		return fieldError(f.name, -1, f.want(), fmt.Sprintf("%d", units), "")
	}
	n := len(w.dst) - from
	switch again, ok := f.units(w.dst[from:]); {
	case f.prefix.counts == countUnits:
		n = units
	case !ok || again != units:
		return fieldError(f.name, -1, "a value whose length in bytes tells its digits", fmt.Sprintf("%d", units), "")
	case f.prefix.counts == countNibbles:
		n *= 2
	}
	if !f.tail && !f.prefix.put(w.dst[at:from], n) {
		return fieldError(f.name, -1, f.prefix.String(), fmt.Sprintf("%d", n), "")
	}
	return nil
}

// content writes what follows the length and returns its units.
func (w *writer) content(f *field) (units int, err error) {
	if f.parts != nil {
		return w.parts(f)
	}
	i := w.rec.Find(f.id)
	if i < 0 {
		return 0, fieldError(f.name, -1, "a value for this form of the field", "none", "the forms of a field are chosen by cases of the link file")
	}
	return w.value(f, i)
}

// value writes node i and notes its place.
func (w *writer) value(f *field, i int) (units int, err error) {
	val, from, ok := w.rec.Value(i), len(w.dst), true
	units = len(val)
	switch f.form {
	case formPacked:
		units, ok, err = w.packed(f, val)
	case formZoned:
		units = w.fill(f, val)
		w.dst = append(w.dst, val...)
		ok = f.class.holds(val)
	case formText:
		ok = w.text(f, val)
		units = len(w.dst) - from
	case formRaw:
		w.dst = append(w.dst, val...)
	case formHex:
		w.dst = hex.AppendEncode(w.dst, val)
		upper(w.dst[from:])
	case formSigned:
		if ok = len(val) > 0 && (val[0] == 'C' || val[0] == 'D'); ok {
			units, ok = w.signed(f, val)
		}
	}
	if err != nil {
		return 0, err
	}
	if !ok || f.fixed && units != f.len {
		return 0, fieldError(f.name, -1, f.want(), f.mask.Masked(strings.ToValidUTF8(string(val), "?")), "")
	}
	w.rec.Span(i, from-w.base, len(w.dst)-from)
	w.left--
	return units, nil
}

// fill writes the zeros that a short number of fixed length needs and returns
// the number of digits with them.
func (w *writer) fill(f *field, val []byte) int {
	n := len(val)
	for f.zeros && n < f.len {
		w.dst = append(w.dst, '0')
		n++
	}
	return n
}

func (w *writer) packed(f *field, val []byte) (units int, ok bool, err error) {
	odd := f.odd
	if f.any {
		if odd.Pad, err = w.padOf(f, len(w.dst), len(val)); err != nil {
			return 0, false, err
		}
	}
	if !f.zeros || len(val) >= f.len {
		w.dst, ok = f.set.AppendBCD(w.dst, val, odd)
		return len(val), ok, nil
	}
	from := len(w.dst)
	units = w.fill(f, val)
	w.dst = append(w.dst, val...)
	w.dst, ok = f.set.AppendBCD(w.dst[:from], w.dst[from:], odd) // packs in place: writing is behind reading
	return units, ok, nil
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
	if n&1 == 0 || len(val) != 1 || !unhex(pad[:], []byte{'0', val[0]}) || pad[0] == f.odd.Pad {
		return 0, fieldError(f.name+".pad", -1, "a nibble other than the usual one, where one is free", "another value", "")
	}
	if !f.odd.Right {
		from += n / 2
	}
	w.rec.Span(i, from-w.base, 1)
	w.left--
	return pad[0], nil
}

// text writes characters, and blanks where the length is fixed.
func (w *writer) text(f *field, val []byte) bool {
	from := len(w.dst)
	if f.class.holds(val) {
		w.dst = append(w.dst, val...)
	} else {
		var err error
		if w.dst, err = f.char.Append(w.dst, val); err != nil || f.class != classANS || !plain(w.dst[from:]) {
			return false
		}
	}
	n := len(w.dst) - from
	if !f.fixed || n >= f.len {
		return true
	}
	for range f.len - n {
		w.dst = append(w.dst, ' ')
	}
	if f.right {
		copy(w.dst[len(w.dst)-n:], w.dst[from:from+n])
		for i := from; i < len(w.dst)-n; i++ {
			w.dst[i] = ' '
		}
	}
	return true
}

func (w *writer) signed(f *field, val []byte) (units int, ok bool) {
	w.dst = append(w.dst, val[0])
	if f.packed {
		w.dst, ok = f.set.AppendBCD(w.dst, val[1:], f.odd)
		return len(val) - 1, ok
	}
	w.dst = append(w.dst, val[1:]...)
	return len(val) - 1, classN.holds(val[1:])
}

// upper turns lower-case hex into upper case.
func upper(b []byte) {
	for i, c := range b {
		if c >= 'a' {
			b[i] = c - 'a' + 'A'
		}
	}
}
