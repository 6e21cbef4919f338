package iso8583

import "qianzhi/protocol"

// op is the short form of a field that is common and simple: one value, or
// digits cut into parts, of fixed length or behind a length of two or three
// digits. It holds all that reading and writing it takes. An op never refuses:
// what it cannot take as it stands is left to the field, which takes it or says
// why not.
type op struct {
	kind     opKind
	head     headKind
	manner   manner
	before   uint8           // bytes of the length
	bit      uint8           // number of the field less one
	half     uint8           // 1 for digits two to a byte
	zeros    bool            // a short value is filled up with zeros on the left
	pad      uint8           // the free nibble of an odd number of them
	any      bool            // another one may stand beside the value
	id       uint16          // of opParts: of the first one
	min, max int16           // units; equal when fixed
	least    int16           // units that are written
	parts    []protocol.Node // of opParts: their places, counted from where the value begins
	forms    []op            // one for each case of the field, and the last one for none of them
	field    *field
}

// cut compiles the parts of a value of digits.
func (o *op) cut(f *field) {
	at := 0
	for i := range f.parts.sub {
		sub := &f.parts.sub[i]
		from, size := f.place(0, at, sub.len)
		o.parts = append(o.parts, protocol.Node{})
		node(&o.parts[i], sub.id, at, sub.len, from, size)
		at += sub.len
	}
	o.kind, o.id, o.least, o.zeros = opParts, o.parts[0].ID, o.min, false
}

// opKind is what an op does with a value.
type opKind uint8

const (
	opField opKind = iota // leaves it to the field
	opForms               // leaves it to that of its forms that is asked for
	opValue               // makes it one value
	opText                // the same without the blanks that fill it up
	opParts               // cuts its digits into parts
)

// headKind is the length before a value.
type headKind uint8

const (
	headNone  headKind = iota
	headBCD1           // one byte, two digits
	headBCD2           // two bytes, four digits
	headASCII          // digits, one to three
)

// noField is the number of no field.
const noField = 1<<16 - 1

// compileOp chooses the op of a field.
func compileOp(f *field, bit int) op {
	none := op{id: noField, bit: uint8(bit), field: f}
	if len(f.cases) > 0 {
		none.kind, none.forms = opForms, make([]op, len(f.cases)+1)
		for i := range f.cases {
			none.forms[i] = compileOp(&f.cases[i].as, bit)
		}
		alone := *f
		alone.cases = nil
		none.forms[len(f.cases)] = compileOp(&alone, bit)
		return none
	}
	head, ok := f.prefix.head(f.fixed)
	if !ok || f.tail || f.len > 999 {
		return none
	}
	o := op{kind: opValue, id: f.id, head: head, manner: manner(f.class), before: uint8(f.prefix.size), bit: uint8(bit),
		pad: f.odd.Pad, any: f.any, zeros: f.zeros, min: int16(f.min), max: int16(f.len), field: f}
	if f.fixed {
		o.min = o.max
	}
	o.least = o.min
	switch {
	case f.parts != nil && len(f.parts.sub) == 0, f.class == classA: // letters alone are rare, and digits are taken for read
		return none
	case f.form == formPacked:
		if ok = o.packed(f); !ok {
			return none
		}
	case f.form == formZoned, f.form == formText && !f.fixed:
	case f.form == formText && !f.right:
		o.kind, o.least = opText, 0
	case f.form == formRaw:
		o.manner = plainBytes
	default:
		return none
	}
	if o.zeros {
		o.least = 0
	}
	if f.parts != nil {
		o.cut(f)
	}
	return o
}

// packed completes the op of digits two to a byte. It reports false when there
// is none.
func (o *op) packed(f *field) bool {
	o.half, o.manner = 1, packedN
	if f.class != classN {
		o.manner = packedZ
	}
	if f.odd.Right && (!f.fixed || f.len&1 != 0) {
		o.manner = packedR
		return o.pad == 0 && f.class == classN && f.parts == nil
	}
	o.zeros = f.zeros && f.odd.Right
	return true
}

// head returns the kind of a length that an op can read.
func (p *prefix) head(fixed bool) (headKind, bool) {
	switch {
	case fixed:
		return headNone, true
	case p.counts != countUnits || p.coding == codeBinary:
	case p.coding == codeBCD && p.size <= 2:
		return [...]headKind{1: headBCD1, 2: headBCD2}[p.size], true
	case p.coding == codeASCII && p.size <= 3:
		return headASCII, true
	}
	return headNone, false
}

// fromBCD holds the number of two digits in a byte, toBCD the byte of a number.
// A byte that is no two digits gives more than any op may have, also as a part
// of a longer number.
var fromBCD, toBCD = newBCD()

func newBCD() (from [256]uint16, to [100]byte) {
	for c := range from {
		from[c] = 1000
	}
	for n := range to {
		to[n] = byte(n + n/10*6)
		from[to[n]] = uint16(n)
	}
	return from, to
}
