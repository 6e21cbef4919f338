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
		for len(b) > 1 && p.read.with != '0' && p.read.right && b[len(b)-1] == p.read.with {
			b = b[:len(b)-1]
		}
		for len(b) > 1 && p.read.with != '0' && !p.read.right && b[0] == p.read.with {
			b = b[1:]
		}
		return text.ReadUint(b)
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
