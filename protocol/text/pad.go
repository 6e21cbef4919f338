package text

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Shape says which values a column holds.
type Shape uint8

// The shapes, with their names in link files.
const (
	ShapeDigits       Shape = iota // n: digits, with a sign when the column has one
	ShapeText                      // x: any characters but controls
	ShapeLetters                   // a: letters of ASCII
	ShapeAlphanumeric              // an: letters and digits of ASCII
	ShapePrintable                 // ans: printable ASCII
	ShapeDecimal                   // d: digits, a point and a fixed number of decimals
	ShapeRaw                       // b: bytes as they are
	shapes
)

var shapeNames = [shapes]string{"n", "x", "a", "an", "ans", "d", "b"}

var shapeWants = [shapes]string{"digits", "text", "letters", "letters and digits", "printable ASCII", "a decimal number", "bytes"}

// Sign says where a number shows its sign.
type Sign uint8

// The signs.
const (
	SignNone   Sign = iota // no sign; negative numbers do not fit
	SignMinus              // a minus before negative numbers
	SignAlways             // plus or minus before every number
)

// Cut says what happens to text that is longer than its column.
type Cut uint8

// The ways to cut. Keys are plain ASCII, so the default never shortens one.
const (
	CutWide   Cut = iota // cut when it has characters beyond ASCII, else refuse
	CutAlways            // cut at a character border
	CutNever             // refuse
)

// ColumnOptions is a column as a link file describes it.
type ColumnOptions struct {
	Charset  Charset
	Type     string // name of a shape
	Len      int    // bytes on the wire, 0: as long as the value
	Max      int    // most bytes on the wire when Len is 0, 0: no limit
	Pad      string // one ASCII character; empty: "0" for numbers, else blank
	Align    string // left or right; empty: right for numbers, else left
	Sign     string // none, minus or always; empty: none
	Decimals int    // of shape d
	Blank    bool   // an all-blank number means no value
	Cut      Cut
}

// Column is a cell of a record: its width in bytes, which values it holds and
// how shorter ones are padded. It is immutable.
type Column struct {
	charset  Charset
	shape    Shape
	width    int
	max      int
	pad      byte
	left     bool // the value stands left
	sign     Sign
	decimals int
	blank    bool
	cut      Cut
}

// Misfit is the error of a column: where in the cell or value, in bytes, and
// what should stand there.
type Misfit struct {
	Offset int
	Want   string
	Hint   string
}

// Error says what was wanted at which offset of the cell.
func (m *Misfit) Error() string { return fmt.Sprintf("byte %d: want %s", m.Offset, m.Want) }

// NewColumn checks the options and builds the column.
func NewColumn(o ColumnOptions) (Column, error) {
	c := Column{charset: o.Charset, width: o.Len, max: o.Max, decimals: o.Decimals, blank: o.Blank, cut: o.Cut, shape: shapes}
	for i := range shapeNames {
		if shapeNames[i] == o.Type {
			c.shape = Shape(i)
		}
	}
	if c.shape == shapes {
		return c, fmt.Errorf("type: want n, x, a, an, ans, d or b, got %q", o.Type)
	}
	c.pad, c.left = ' ', !c.numeric()
	if c.numeric() {
		c.pad = '0'
	}
	if len(o.Pad) > 1 || len(o.Pad) == 1 && o.Pad[0] >= utf8.RuneSelf {
		return c, fmt.Errorf("pad: want one ASCII character, got %q", o.Pad)
	}
	if o.Pad != "" {
		c.pad = o.Pad[0]
	}
	switch o.Align {
	case "":
	case "left", "right":
		c.left = o.Align == "left"
	default:
		return c, fmt.Errorf("align: want left or right, got %q", o.Align)
	}
	switch o.Sign {
	case "", "none":
	case "minus":
		c.sign = SignMinus
	case "always":
		c.sign = SignAlways
	default:
		return c, fmt.Errorf("sign: want none, minus or always, got %q", o.Sign)
	}
	return c, c.check()
}

func (c *Column) numeric() bool { return c.shape == ShapeDigits || c.shape == ShapeDecimal }

func (c *Column) check() error {
	digit := c.pad >= '0' && c.pad <= '9' || c.pad == '+' || c.pad == '-' || c.pad == '.'
	switch {
	case c.pad == 0x7F:
		return errors.New("pad: 7F is no padding")
	case c.width < 0 || c.max < 0:
		return errors.New("len: want a positive number of bytes")
	case c.shape == ShapeRaw && c.width == 0:
		return errors.New("len: type b needs one")
	case c.sign != SignNone && !c.numeric():
		return errors.New("sign: only numbers have one")
	case c.decimals < 0 || c.shape != ShapeDecimal && c.decimals > 0 || c.shape == ShapeDecimal && c.decimals == 0:
		return errors.New("decimals: want a positive number with type d, and none elsewhere")
	case c.numeric() && digit && (c.pad != '0' || c.left):
		return fmt.Errorf("pad: %q beside a number would change it", c.pad)
	case c.numeric() && c.width > 0 && c.width < len(c.zero()):
		return fmt.Errorf("len: %d is too short for sign and decimals", c.width)
	case c.blank && (!c.Zeros() || c.width == 0):
		return errors.New("blank: only for numbers that are padded with zeros; other fields of padding have no value anyway")
	}
	return nil
}

// Width returns the bytes of the cell on the wire, 0 when it varies.
func (c *Column) Width() int { return c.width }

// Shape returns which values the column holds.
func (c *Column) Shape() Shape { return c.shape }

// Plain reports whether the column holds digits without a sign.
func (c *Column) Plain() bool { return c.shape == ShapeDigits && c.sign == SignNone }

// Zeros reports whether the column holds a number padded with zeros.
func (c *Column) Zeros() bool { return c.numeric() && c.pad == '0' }

// Read appends the value of a cell to dst as UTF-8 without padding. Nothing
// appended means that the cell holds no value. A number in a zero-padded cell
// keeps its zeros, because dates and codes look like numbers. Append gives the
// same cell for every value that Read returns. The error is a *Misfit.
func (c *Column) Read(dst, cell []byte) ([]byte, error) {
	switch {
	case c.width == 0 && c.max > 0 && len(cell) > c.max:
		return dst, &Misfit{Want: fmt.Sprintf("at most %d bytes", c.max)}
	case c.shape == ShapeRaw:
		return append(dst, cell...), nil
	case c.shape == ShapeText:
		return c.readText(dst, cell)
	case c.blank && count(cell, ' ') == len(cell):
		return dst, nil
	}
	lo, hi := c.trim(cell)
	if lo == hi {
		return dst, nil
	}
	from, at := lo, lo
	if c.sign != SignNone && (cell[at] == '-' || c.sign == SignAlways && cell[at] == '+') {
		at++
		if cell[lo] == '+' {
			from++
		}
	} else if c.sign == SignAlways {
		return dst, &Misfit{Offset: at, Want: "a plus or minus sign"}
	}
	if i := c.misplaced(cell[at:hi]); i >= 0 {
		m := &Misfit{Offset: at + i, Want: c.want()}
		if c.Zeros() && at+i < hi && cell[at+i] == ' ' {
			m.Hint = `for numbers padded with blanks set pad: " ", for blank ones blank: true`
		}
		return dst, m
	}
	return append(dst, cell[from:hi]...), nil
}

func (c *Column) readText(dst, cell []byte) ([]byte, error) {
	for i, b := range cell {
		if (b < ' ' || b == 0x7F) && b != c.pad {
			return dst, &Misfit{Offset: i, Want: "text without control characters", Hint: "the pad character is set by pad"}
		}
	}
	at := len(dst)
	dst, err := c.charset.Read(dst, cell)
	if err != nil {
		return dst[:at], &Misfit{Offset: int(err.(BadChar)), Want: "a character of " + c.charset.String()}
	}
	// Trimmed as UTF-8: the last byte of a four-byte character can look like a
	// padding digit on the wire.
	lo, hi := c.trim(dst[at:])
	if c.pad < ' ' && count(dst[at+lo:at+hi], c.pad) > 0 {
		return dst[:at], &Misfit{Offset: lo + bytes.IndexByte(cell[lo:], c.pad), Want: "padding on one side only"}
	}
	return append(dst[:at], dst[at+lo:at+hi]...), nil
}

// trim returns the bounds of the value between the padding.
func (c *Column) trim(b []byte) (lo, hi int) {
	hi = len(b)
	if c.width == 0 || c.Zeros() {
		return 0, hi
	}
	if c.left {
		for hi > 0 && b[hi-1] == c.pad {
			hi--
		}
		return 0, hi
	}
	for lo < hi && b[lo] == c.pad {
		lo++
	}
	return lo, hi
}

// misplaced returns the offset of the first byte that the shape does not
// allow, len(b) when something is missing at the end, -1 when all is well.
func (c *Column) misplaced(b []byte) int {
	if !c.numeric() {
		for i, ch := range b {
			if !allowed(c.shape, ch) {
				return i
			}
		}
		return -1
	}
	point := -1
	if c.shape == ShapeDecimal {
		point = len(b) - c.decimals - 1
	}
	for i, ch := range b {
		if i == point && ch == '.' && i > 0 {
			continue
		}
		if i == point || ch < '0' || ch > '9' {
			return i
		}
	}
	if len(b) == 0 || c.shape == ShapeDecimal && point < 1 {
		return len(b)
	}
	return -1
}

func allowed(s Shape, ch byte) bool {
	letter := ch|0x20 >= 'a' && ch|0x20 <= 'z'
	switch s {
	case ShapeLetters:
		return letter
	case ShapeAlphanumeric:
		return letter || ch >= '0' && ch <= '9'
	}
	return ch >= ' ' && ch < 0x7F
}

func (c *Column) want() string {
	if c.shape == ShapeDecimal {
		return fmt.Sprintf("a number with %d decimals", c.decimals)
	}
	return shapeWants[c.shape]
}

// Append appends the cell that holds the value, which is UTF-8. A value that
// does not fit is a *Misfit with the offset in the value, unless it is text
// that may be cut. An empty value is written as AppendNone does.
func (c *Column) Append(dst, val []byte) ([]byte, error) {
	at := len(dst)
	switch {
	case len(val) == 0:
		return c.AppendNone(dst), nil
	case c.shape == ShapeRaw:
		if len(val) != c.width {
			return dst, &Misfit{Want: fmt.Sprintf("%d bytes", c.width)}
		}
		return append(dst, val...), nil
	case c.numeric():
		return c.appendNumber(dst, val)
	case c.shape == ShapeText:
		var err error
		if dst, err = c.appendText(dst, val); err != nil {
			return dst[:at], err
		}
	default:
		if i := c.misplaced(val); i >= 0 {
			return dst, &Misfit{Offset: i, Want: c.want()}
		}
		dst = append(dst, val...)
	}
	if n := len(dst) - at; c.limit() > 0 && n > c.limit() {
		return dst[:at], &Misfit{Offset: c.limit(), Want: fmt.Sprintf("at most %d bytes", c.limit())}
	}
	return c.padded(dst, at), nil
}

func (c *Column) limit() int { return max(c.width, c.max) }

func (c *Column) appendText(dst, val []byte) ([]byte, error) {
	at, bad, want := len(dst), -1, "text without control characters"
	for i, b := range val {
		if b < ' ' || b == 0x7F {
			bad = i
			break
		}
	}
	if bad < 0 {
		out, err := c.charset.Append(dst, val)
		if err == nil && (c.limit() == 0 || len(out)-at <= c.limit()) {
			return out, nil
		}
		dst = out[:at]
		if err != nil {
			bad, want = int(err.(BadChar)), "characters of "+c.charset.String()
		} else {
			bad, want = c.limit(), fmt.Sprintf("at most %d bytes", c.limit())
		}
	}
	if c.cut == CutAlways || c.cut == CutWide && asciiRun(val) < len(val) {
		room := c.limit()
		if room == 0 {
			room = 4 * len(val)
		}
		return c.charset.AppendCut(dst, val, room), nil
	}
	return dst, &Misfit{Offset: bad, Want: want, Hint: "texts for people may be shortened with cut: true"}
}

// padded fills the cell that starts at byte at of dst up to its width.
func (c *Column) padded(dst []byte, at int) []byte {
	n := len(dst) - at
	fill := c.width - n
	if fill <= 0 {
		return dst
	}
	dst = repeat(dst, c.pad, fill)
	if !c.left {
		copy(dst[at+fill:], dst[at:at+n])
		for i := range fill {
			dst[at+i] = c.pad
		}
	}
	return dst
}

// appendNumber writes sign, zeros, digits and decimals in this order; padding
// other than zeros goes around all of it.
func (c *Column) appendNumber(dst, val []byte) ([]byte, error) {
	at, digits := len(dst), val
	neg := c.sign != SignNone && val[0] == '-'
	if neg {
		digits = val[1:]
	}
	whole, fraction := len(digits), 0
	for i, ch := range digits {
		if ch == '.' && c.shape == ShapeDecimal && i > 0 {
			whole, fraction = i, len(digits)-i-1
			break
		}
	}
	for i, ch := range digits {
		if i != whole && (ch < '0' || ch > '9') {
			return dst, &Misfit{Offset: len(val) - len(digits) + i, Want: c.want()}
		}
	}
	if whole == 0 || fraction > c.decimals || whole < len(digits) && fraction == 0 {
		return dst, &Misfit{Offset: len(val), Want: c.want()}
	}
	switch {
	case neg:
		dst = append(dst, '-')
	case c.sign == SignAlways:
		dst = append(dst, '+')
	}
	size := len(dst) - at + len(digits)
	if c.shape == ShapeDecimal {
		size = len(dst) - at + whole + 1 + c.decimals
	}
	if c.limit() > 0 && size > c.limit() {
		return dst[:at], &Misfit{Want: fmt.Sprintf("at most %d bytes", c.limit())}
	}
	if c.pad == '0' {
		dst = repeat(dst, '0', c.width-size)
	}
	dst = append(dst, digits...)
	if c.shape == ShapeDecimal {
		if fraction == 0 {
			dst = append(dst, '.')
		}
		dst = repeat(dst, '0', c.decimals-fraction)
	}
	return c.padded(dst, at), nil
}

// AppendNone appends the cell of a field that has no value: zeros for a number
// that is padded with them, else padding, and zero bytes for raw fields.
func (c *Column) AppendNone(dst []byte) []byte {
	switch {
	case c.shape == ShapeRaw:
		return repeat(dst, 0, c.width)
	case c.blank:
		return repeat(dst, ' ', c.width)
	case c.Zeros() && c.width > 0:
		dst, _ = c.appendNumber(dst, []byte("0")) // check made sure that it fits
		return dst
	}
	return repeat(dst, c.pad, c.width)
}

// zero is the shortest number of the column.
func (c *Column) zero() []byte {
	short := *c
	short.width, short.max = 0, 0
	b, _ := short.appendNumber(nil, []byte("0"))
	return b
}

func count(b []byte, ch byte) int {
	n := 0
	for _, x := range b {
		if x == ch {
			n++
		}
	}
	return n
}

func repeat(dst []byte, ch byte, n int) []byte {
	for range n {
		dst = append(dst, ch)
	}
	return dst
}
