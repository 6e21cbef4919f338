package text

import (
	"encoding/binary"
	"fmt"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Charset is how characters are written on a wire. The other side of every
// conversion is UTF-8.
type Charset uint8

// The charsets. GBK is the part of GB18030 with one and two bytes; the euro
// sign is A2 E3 in both, never the single byte 80 of some Windows versions.
const (
	ASCII   Charset = iota // one byte, 00 to 7F
	UTF8                   // one to four bytes
	GBK                    // one or two bytes
	GB18030                // one, two or four bytes
	charsets
)

var charsetNames = [charsets]string{"ascii", "utf-8", "gbk", "gb18030"}

// String returns the name used in link files.
func (c Charset) String() string {
	if c < charsets {
		return charsetNames[c]
	}
	return "charset?"
}

// ParseCharset finds the charset with the given name: ascii, utf-8, gbk or
// gb18030.
func ParseCharset(name string) (Charset, bool) {
	for i := range charsetNames {
		if charsetNames[i] == name {
			return Charset(i), true
		}
	}
	return ASCII, false
}

// BadChar is the error of a conversion: the offset, in bytes of the source, of
// the first sequence that is no character of the source or target charset.
type BadChar int

// Error names the offset.
func (b BadChar) Error() string { return fmt.Sprintf("no character at byte %d", int(b)) }

// Read appends the UTF-8 form of the wire bytes to dst. It is strict: a byte
// sequence that is not a character, or not the only way to write it, is a
// BadChar and never becomes U+FFFD. What was appended before the error is
// returned with it.
func (c Charset) Read(dst, wire []byte) ([]byte, error) {
	for i := 0; i < len(wire); {
		n := asciiRun(wire[i:])
		dst = append(dst, wire[i:i+n]...)
		if i += n; i == len(wire) {
			break
		}
		r, size := c.decode(wire[i:])
		if size == 0 {
			return dst, BadChar(i)
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst, nil
}

// Append appends the wire form of UTF-8 text to dst. Text that is not valid
// UTF-8, or has a character that the charset lacks, is a BadChar.
func (c Charset) Append(dst, text []byte) ([]byte, error) {
	for i := 0; i < len(text); {
		n := asciiRun(text[i:])
		dst = append(dst, text[i:i+n]...)
		if i += n; i == len(text) {
			break
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return dst, BadChar(i)
		}
		var ok bool
		if dst, ok = c.encode(dst, r); !ok {
			return dst, BadChar(i)
		}
		i += size
	}
	return dst, nil
}

// Char returns the size in bytes of the first character on the wire, 0 when
// there is none. It never looks behind the character.
func (c Charset) Char(wire []byte) int {
	if len(wire) == 0 {
		return 0
	}
	if wire[0] < utf8.RuneSelf {
		return 1
	}
	_, size := c.decode(wire)
	return size
}

// AppendCut appends text for people to read, at most width bytes of it: it
// stops before the first character that does not fit whole. What the charset
// lacks, invalid UTF-8 and control characters become question marks, so that a
// text never makes a message fail.
func (c Charset) AppendCut(dst, text []byte, width int) []byte {
	end := len(dst) + width
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		at, ok := len(dst), r >= ' ' && r < 0x7F
		switch {
		case ok:
			dst = append(dst, byte(r))
		case r > 0x7F && (r != utf8.RuneError || size > 1):
			dst, ok = c.encode(dst, r)
		}
		if !ok {
			dst = append(dst, '?')
		}
		if len(dst) > end {
			return dst[:at]
		}
		i += size
	}
	return dst
}

// asciiRun returns the length of the leading run of ASCII.
func asciiRun(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if binary.LittleEndian.Uint64(b[i:])&0x8080808080808080 != 0 {
			break
		}
	}
	for i < len(b) && b[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// decode reads the first character, which is not ASCII; size 0 is an error.
func (c Charset) decode(b []byte) (r rune, size int) {
	switch c {
	case UTF8:
		r, size = utf8.DecodeRune(b)
		if r == utf8.RuneError && size <= 1 {
			return 0, 0
		}
		return r, size
	case GBK, GB18030:
		return c.decodeGB(b)
	}
	return 0, 0
}

func (c Charset) decodeGB(b []byte) (rune, int) {
	if len(b) < 2 || b[0] == 0x80 || b[0] == 0xFF {
		return 0, 0
	}
	lead, trail := int(b[0]-0x81), b[1]
	if trail >= 0x40 && trail != 0x7F && trail != 0xFF {
		if trail > 0x7F {
			trail--
		}
		r := tables().rune[lead*190+int(trail-0x40)]
		if r == 0 {
			return 0, 0
		}
		return rune(r), 2
	}
	if c == GBK || len(b) < 4 || trail < '0' || trail > '9' || b[2] < 0x81 || b[2] == 0xFF || b[3] < '0' || b[3] > '9' {
		return 0, 0
	}
	p := ((lead*10+int(trail-'0'))*126+int(b[2]-0x81))*10 + int(b[3]-'0')
	switch {
	case p < fourBytes:
		if r := tables().rune[twoBytes+p]; r != 0 {
			return rune(r), 4
		}
	case p >= beyond && p <= beyond+0xFFFFF:
		return rune(p-beyond) + 0x10000, 4
	}
	return 0, 0
}

// encode appends a character that is not ASCII.
func (c Charset) encode(dst []byte, r rune) ([]byte, bool) {
	if c == UTF8 {
		return utf8.AppendRune(dst, r), true
	}
	if c == ASCII {
		return dst, false
	}
	p := beyond + int(r) - 0x10000
	if r <= 0xFFFF {
		q := int(tables().point[r])
		if q < twoBytes {
			trail := byte(q%190) + 0x40
			if trail >= 0x7F {
				trail++
			}
			return append(dst, byte(q/190)+0x81, trail), true
		}
		if q == noPoint {
			return dst, false
		}
		p = q - twoBytes
	}
	if c == GBK {
		return dst, false
	}
	return append(dst, byte(p/12600)+0x81, byte(p/1260%10)+'0', byte(p/10%126)+0x81, byte(p%10)+'0'), true
}

// The code points of GB18030 are numbered in one line: first the two-byte
// ones, then the four-byte ones of the basic plane. The four-byte ones of the
// other planes start at beyond and need no table.
const (
	twoBytes  = 126 * 190
	fourBytes = 39420
	beyond    = 189000
	noPoint   = 0xFFFF
)

type gbTables struct {
	rune  [twoBytes + fourBytes]uint16 // 0: not a character
	point [1 << 16]uint16              // the inverse; noPoint: not there
}

// tables builds both directions from the decoder of x/text on first use. Its
// own encoder is not used because it is not the exact inverse: when two codes
// mean one character only the first is accepted here, so that reading and
// writing give the same bytes.
var tables = sync.OnceValue(func() *gbTables {
	t := new(gbTables)
	for i := range t.point {
		t.point[i] = noPoint
	}
	dec := simplifiedchinese.GB18030.NewDecoder()
	var out [8]byte
	for p := range t.rune {
		var code [4]byte
		n := 2
		if p < twoBytes {
			code[0], code[1] = byte(p/190)+0x81, byte(p%190)+0x40
			if code[1] >= 0x7F {
				code[1]++
			}
		} else {
			q := p - twoBytes
			n, code = 4, [4]byte{byte(q/12600) + 0x81, byte(q/1260%10) + '0', byte(q/10%126) + 0x81, byte(q%10) + '0'}
		}
		r := private(code[0], code[1])
		if r == 0 || n == 4 {
			if w, _, err := dec.Transform(out[:], code[:n], true); err == nil {
				r, _ = utf8.DecodeRune(out[:w])
			}
		}
		if r == 0 || r == utf8.RuneError && n == 2 || t.point[r] != noPoint {
			continue
		}
		t.rune[p], t.point[r] = uint16(r), uint16(p)
	}
	return t
})

// private maps the three user-defined areas of the standard to Unicode's
// private use area. Banks keep rare characters of personal names there.
func private(lead, trail byte) rune {
	switch {
	case lead >= 0xAA && lead <= 0xAF && trail >= 0xA1 && trail <= 0xFE:
		return 0xE000 + rune(lead-0xAA)*94 + rune(trail-0xA1)
	case lead >= 0xF8 && lead <= 0xFE && trail >= 0xA1 && trail <= 0xFE:
		return 0xE234 + rune(lead-0xF8)*94 + rune(trail-0xA1)
	case lead >= 0xA1 && lead <= 0xA7 && trail >= 0x40 && trail <= 0xA0 && trail != 0x7F:
		if trail > 0x7F {
			trail--
		}
		return 0xE4C6 + rune(lead-0xA1)*96 + rune(trail-0x40)
	}
	return 0
}
