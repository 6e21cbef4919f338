package iso8583

import "qianzhi/protocol/text"

// op is the short form of a field that is common and simple: one value, or
// digits cut into parts, of fixed length or behind a length of two or three
// digits, without cases. It holds all that reading and writing it takes. An op
// never refuses: what it cannot take as it stands is left to the field, which
// takes it or says why not.
type op struct {
	kind     opKind
	head     headKind
	before   uint8  // bytes of the length
	bit      uint8  // number of the field less one
	half     uint8  // 1 for digits two to a byte
	pad      uint8  // the free nibble of an odd number of them
	any      bool   // another one may stand beside the value
	class    class  // of characters
	id       uint16 // of opParts: of the first one
	min, max int16  // units; equal when fixed
	set      *text.Set
	parts    []cut   // of opParts
	_        [8]byte // 64 bytes: their address needs no multiplication
	field    *field
}

// cut is a part of digits that stand two to a byte.
type cut struct {
	id       uint16
	at, len  uint16 // digits
	from, to uint16 // bytes of the whole value
}

// cuts lists the parts of a field.
func cuts(f *field) []cut {
	out, at := make([]cut, len(f.parts.sub)), 0
	for i := range out {
		sub := &f.parts.sub[i]
		out[i] = cut{id: sub.id, at: uint16(at), len: uint16(sub.len), from: uint16(at / 2), to: uint16((at + sub.len + 1) / 2)}
		at += sub.len
	}
	return out
}

// opKind is what an op does with a value.
type opKind uint8

const (
	opField  opKind = iota // leaves it to the field
	opDigits               // two to a byte, the first one in the high half
	opRun                  // the same, of fixed length and in whole bytes
	opParts                // opDigits, cut into parts
	opChars                // characters of the class
	opText                 // the same, filled up with blanks to a fixed length
	opRaw                  // bytes
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
func compileOp(f *field) op {
	none := op{id: noField, field: f}
	head, ok := f.prefix.head(f.fixed)
	if !ok || len(f.cases) > 0 || f.tail || f.len > 999 {
		return none
	}
	o := op{id: f.id, head: head, before: uint8(f.prefix.size), min: int16(f.min), max: int16(f.len),
		pad: f.odd.Pad, any: f.any, class: f.class, set: f.set, field: f}
	if f.fixed {
		o.min = o.max
	}
	switch {
	case f.form == formPacked && (!f.odd.Right || f.fixed && f.len&1 == 0):
		o.kind, o.half = opDigits, 1
		switch {
		case f.parts != nil && len(f.parts.sub) == 0:
			return none
		case f.parts != nil:
			o.kind, o.parts = opParts, cuts(f)
			o.id = o.parts[0].id
		case f.fixed && f.len&1 == 0 && f.class == classN:
			o.kind = opRun
		}
	case f.parts != nil, f.class == classA: // letters alone are rare, and digits are taken for read
		return none
	case f.form == formZoned, f.form == formText && !f.fixed:
		o.kind = opChars
	case f.form == formText && !f.right:
		o.kind, o.min = opText, 0
	case f.form == formRaw:
		o.kind = opRaw
	default:
		return none
	}
	return o
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
