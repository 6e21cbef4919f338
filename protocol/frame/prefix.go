package frame

import (
	"fmt"

	"qianzhi/protocol/text"
)

type kind uint8

const (
	none kind = iota
	ascii
	bcd
	binary
)

// prefix is the compiled form of Length.
type prefix struct {
	kind        kind
	size        int // bytes on the wire
	little      bool
	head, self  bool // counts TPDU and header; counts itself
	start       int  // bytes before it that it counts too
	inside      bool // it is a part of the body
	at          int  // and stands so far behind its beginning
	read, write pad
}

type pad struct {
	right bool
	with  byte
}

// String says in words what the wire holds.
func (p *prefix) String() string {
	switch p.kind {
	case ascii:
		return fmt.Sprintf("%d ASCII digits", p.size)
	case bcd:
		return fmt.Sprintf("%d BCD digits", 2*p.size)
	}
	if p.little {
		return fmt.Sprintf("%d bytes, low byte first", p.size)
	}
	return fmt.Sprintf("%d bytes, high byte first", p.size)
}

// extra adds to a number of bytes what the prefix counts of itself.
func (p *prefix) extra(n int) int {
	if p.self {
		n += p.size + p.start
	}
	return n
}

// append writes the prefix of a message.
func (p *prefix) append(dst []byte, head, body int) ([]byte, bool) {
	if p.kind == none {
		return dst, true
	}
	if p.head {
		body += head
	}
	return p.put(dst, uint64(p.extra(body)))
}

// put writes one number.
func (p *prefix) put(dst []byte, v uint64) ([]byte, bool) {
	switch p.kind {
	case ascii:
		return p.putASCII(dst, v)
	case bcd:
		var digits [10]byte
		d, ok := text.AppendUint(digits[:0], v, 2*p.size)
		if !ok {
			return dst, false
		}
		return text.Decimal().AppendPacked(dst, d)
	}
	return text.AppendBinary(dst, v, p.size, p.little)
}

func (p *prefix) putASCII(dst []byte, v uint64) ([]byte, bool) {
	at := len(dst)
	dst, ok := text.AppendUint(dst, v, p.size)
	if !ok {
		return dst, false
	}
	b := dst[at:]
	zeros := 0
	for zeros < len(b)-1 && b[zeros] == '0' {
		zeros++
	}
	if p.write.right {
		n := copy(b, b[zeros:])
		fill(b[n:], p.write.with)
	} else {
		fill(b[:zeros], p.write.with)
	}
	return dst, true
}

func fill(b []byte, c byte) {
	for i := range b {
		b[i] = c
	}
}

// parse reads one number.
func (p *prefix) parse(b []byte) (uint64, bool) {
	switch p.kind {
	case ascii:
		if v, ok := text.ReadUint(p.read.trim(b)); ok {
			return v, true
		}
		return text.ReadUint(p.write.trim(b)) // of the other end of the link
	case bcd:
		var digits [16]byte
		d, ok := text.Decimal().ReadPacked(digits[:0], b)
		if !ok {
			return 0, false
		}
		return text.ReadUint(d)
	}
	return text.ReadBinary(b, p.little)
}

// trim cuts what fills up a number.
func (p *pad) trim(b []byte) []byte {
	if p.with == '0' { // it makes no other number
		return b
	}
	for len(b) > 1 && p.right && b[len(b)-1] == p.with {
		b = b[:len(b)-1]
	}
	for len(b) > 1 && !p.right && b[0] == p.with {
		b = b[1:]
	}
	return b
}

// before is how many bytes of the body a length inside it does not count, less
// those before the body that it does.
func (p *prefix) before() int {
	switch {
	case p.head: // all
		return -p.start
	case p.self:
		return p.at
	}
	return p.at + p.size
}
