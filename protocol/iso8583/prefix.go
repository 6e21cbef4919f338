package iso8583

import (
	"fmt"

	"qianzhi/protocol/text"
)

// coding is how the number of a length prefix is written.
type coding uint8

const (
	codeBCD coding = iota
	codeASCII
	codeBinary
)

func parseCoding(s string, absent coding) (coding, error) {
	switch s {
	case "":
		return absent, nil
	case "bcd":
		return codeBCD, nil
	case "ascii":
		return codeASCII, nil
	case "binary":
		return codeBinary, nil
	}
	return 0, fmt.Errorf("length: want bcd, ascii or binary, got %q", s)
}

// counting is what a length counts.
type counting uint8

const (
	countUnits counting = iota // digits, characters, bytes: what len of the field counts
	countBytes
	countNibbles
)

// prefix is a length before a value.
type prefix struct {
	coding coding
	counts counting
	size   int // bytes
	limit  int // numbers are below
}

// compile reads L to LLLLLL, the code and what is counted.
func (p *prefix) compile(ls, code, counts string, most int) error {
	if len(ls) < 1 || len(ls) > 6 || ls != "LLLLLL"[:len(ls)] {
		return fmt.Errorf("var: want L to LLLLLL, got %q", ls)
	}
	var err error
	if p.coding, err = parseCoding(code, codeBCD); err != nil {
		return err
	}
	switch counts {
	case "", "units":
	case "bytes":
		p.counts = countBytes
	case "nibbles":
		p.counts = countNibbles
	default:
		return fmt.Errorf("counts: want units, bytes or nibbles, got %q", counts)
	}
	p.size, p.limit = (len(ls)+1)/2, 1
	switch p.coding {
	case codeASCII:
		p.size = len(ls)
		fallthrough
	case codeBCD:
		for range ls {
			p.limit *= 10
		}
	case codeBinary:
		p.limit = 1 << (8 * p.size)
	}
	if p.counts == countUnits && most >= p.limit {
		return fmt.Errorf("len: %d does not fit %s", most, ls)
	}
	return nil
}

// read returns the number in b, which has the size of the prefix. The limit of
// the number of digits is checked by the field's own.
func (p *prefix) read(b []byte) (n int, ok bool) {
	switch p.coding {
	case codeBCD:
		for _, c := range b {
			hi, lo := c>>4, c&15
			if hi > 9 || lo > 9 {
				return 0, false
			}
			n = n*100 + int(hi)*10 + int(lo)
		}
	case codeASCII:
		for _, c := range b {
			if c-'0' > 9 {
				return 0, false
			}
			n = n*10 + int(c-'0')
		}
	default:
		for _, c := range b {
			n = n<<8 | int(c)
		}
	}
	return n, n < p.limit
}

// put writes n over b, which has the size of the prefix.
func (p *prefix) put(b []byte, n int) bool {
	if n >= p.limit {
		return false
	}
	switch p.coding {
	case codeBCD:
		for i := len(b) - 1; i >= 0; i-- {
			two := uint(n) % 100
			b[i] = byte(two + two/10*6)
			n = int(uint(n) / 100)
		}
	case codeASCII:
		text.AppendUint(b[:0], uint64(n), len(b))
	default:
		text.AppendBinary(b[:0], uint64(n), len(b), false)
	}
	return true
}

// String says in words what the wire holds.
func (p *prefix) String() string {
	return fmt.Sprintf("a length of %d bytes %s", p.size, [...]string{"BCD", "ASCII", "binary"}[p.coding])
}
