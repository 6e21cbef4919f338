package iso8583

import "qianzhi/protocol/text"

// op is the short form of a field that is common and simple: one value, or
// digits cut into parts, of fixed length or behind a length of two or three
// digits, without cases. It holds all that reading and writing it takes, two
// ops to a cache line. An op never refuses: what it cannot take as it stands is
// left to the field, which takes it or says why not.
type op struct {
	kind     opKind
	head     headKind
	half     uint8 // 1 where two characters share a byte
	shift    uint8 // opShort: drops what a word of eight characters has behind the value
	pad      uint8 // the free nibble of an odd number of digits
	class    class // of characters
	id       uint16
	min, max int16 // units; equal when fixed
	size     int16 // bytes, when fixed
	set      *text.Set
	field    *field
}

// opKind is what an op does with a value.
type opKind uint8

const (
	opField  opKind = iota // leaves it to the field
	opPacked               // digits two to a byte, the first one in the high half
	opShort                // the same, an even number up to eight
	opChars                // characters of the class
	opText                 // the same, filled up with blanks
	opRaw                  // bytes
	opDigits               // digits that are cut into parts
)

// headKind is the length before a value.
type headKind uint8

const (
	headNone headKind = iota
	headBCD1          // one byte, two digits
	headBCD2          // two bytes, four digits
	headASCII2
	headASCII3
)

// headSize returns the bytes of the length.
var headSize = [...]uint8{headNone: 0, headBCD1: 1, headBCD2: 2, headASCII2: 2, headASCII3: 3}

// compileOp chooses the op of a field.
func compileOp(f *field) op {
	if len(f.cases) > 0 || f.tail || f.group != nil || f.len > 999 {
		return op{field: f}
	}
	o := op{id: f.id, min: int16(f.min), max: int16(f.len), pad: f.odd.Pad, class: f.class, set: f.set, field: f}
	if f.fixed {
		o.min, o.size = o.max, int16(f.size)
	}
	var ok bool
	if o.head, ok = f.prefix.head(f.fixed); !ok {
		return op{field: f}
	}
	switch {
	case f.form == formPacked && (!f.odd.Right || f.fixed && f.len&1 == 0):
		o.half, o.kind = 1, opPacked
	case f.form == formZoned, f.form == formText && !f.fixed:
		o.kind = opChars
	case f.form == formText && !f.right:
		o.kind = opText
	case f.form == formRaw:
		o.kind = opRaw
	}
	switch {
	case f.parts != nil && o.kind != opField:
		o.kind = opDigits
	case o.kind == opPacked && f.fixed && f.len&1 == 0 && f.len <= 8:
		o.kind, o.shift = opShort, uint8(64-8*f.len)
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
	case p.coding == codeASCII && p.size == 2:
		return headASCII2, true
	case p.coding == codeASCII && p.size == 3:
		return headASCII3, true
	}
	return headNone, false
}

// read returns the number that b begins with, which has the size of the length.
func (h headKind) read(b []byte) (n int, ok bool) {
	switch h {
	case headBCD1:
		c := b[0]
		return int(c) - int(c>>4)*6, c&15 <= 9 && c <= 0x99
	case headBCD2:
		c, d := b[0], b[1]
		return (int(c)-int(c>>4)*6)*100 + int(d) - int(d>>4)*6, c&15 <= 9 && c <= 0x99 && d&15 <= 9 && d <= 0x99
	case headASCII2:
		c, d := b[0]-'0', b[1]-'0'
		return int(c)*10 + int(d), c <= 9 && d <= 9
	case headASCII3:
		c, d, e := b[0]-'0', b[1]-'0', b[2]-'0'
		return int(c)*100 + int(d)*10 + int(e), c <= 9 && d <= 9 && e <= 9
	}
	return 0, false
}

// put writes a number below 1000 over b, which has the size of the length.
func (h headKind) put(b []byte, n uint) {
	two := n % 100
	switch h {
	case headBCD1:
		b[0] = byte(two + two/10*6)
	case headBCD2:
		b[0], b[1] = byte(n/100), byte(two+two/10*6)
	case headASCII2:
		b[0], b[1] = byte('0'+two/10), byte('0'+two%10)
	case headASCII3:
		b[0], b[1], b[2] = byte('0'+n/100), byte('0'+two/10), byte('0'+two%10)
	}
}
