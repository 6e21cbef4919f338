package iso8583

import (
	"errors"
	"fmt"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/text"
)

// form is how a value stands on the wire.
type form uint8

const (
	formNone   form = iota // no value of its own
	formPacked             // two characters to a byte
	formZoned              // one digit or track character to a byte
	formSigned             // C or D, then packed or zoned digits; only these are counted
	formText               // characters
	formRaw                // bytes
	formHex                // bytes as hex characters
)

// field is the compiled form of Field.
type field struct {
	id     uint16
	name   string // path, for errors
	mask   pay.Mask
	form   form
	class  class // of zoned and text values
	fixed  bool
	tail   bool // goes to the end of the enclosing value
	right  bool // text: blanks on the left
	zeros  bool // a short value is filled up with zeros on the left
	packed bool // of a signed value: digits two to a byte
	any    bool // another free nibble than the usual one is kept under pad
	pad    uint16
	len    int // units
	min    int
	size   int // bytes on the wire when fixed
	odd    text.Odd
	set    *text.Set
	char   text.Charset
	hex    *hexCase // of formHex
	prefix prefix
	from   uint16 // of a part: its layout ids, and those of all it is made of
	to     uint16 // behind them
	parts  *parts
	group  *group
	counts *uint16 // the loop whose turns it holds the number of
	cases  []usage
	bit    int      // of a field with cases
	late   fieldSet // fields behind it that choose among them
}

// nested says what encloses a field that is being compiled.
type nested struct {
	tagged     bool // the enclosing field gives the length
	digits     bool // the enclosing field is digits
	positional bool // bytes, one part after the other
	loop       bool
}

// field compiles a description under the given path.
func (c *compiler) field(d *Field, path string, inherited pay.Mask, in nested) (*field, error) {
	mask, err := parseMask(d.Mask, inherited)
	if err != nil {
		return nil, err
	}
	f := &field{name: path, mask: mask, len: d.Len, min: d.Min, fixed: d.Var == "" && !in.tagged, char: c.charset}
	if err := f.compileType(d, c.spec); err != nil {
		return nil, err
	}
	if err := f.compileSize(d, c.spec, in); err != nil {
		return nil, err
	}
	switch {
	case d.Parts != nil:
		if err = c.parts(f, d, path); err != nil {
			return nil, err
		}
	case f.form == formNone:
		return nil, errors.New("type: missing")
	default:
		if f.id, err = c.id(path, d.Title, mask, false, f.form == formRaw || f.form == formHex); err != nil {
			return nil, err
		}
	}
	if d.AnyPad {
		if f.any = f.form == formPacked; !f.any {
			return nil, errors.New("any_pad: for bcd only")
		}
		var shared bool // by the cases of a field
		if f.pad, shared = c.ids[path+".pad"]; !shared {
			if f.pad, err = c.id(path+".pad", d.Title, mask, false, false); err != nil {
				return nil, err
			}
			c.pads[f.pad] = true
		}
	}
	return f, c.usages(f, d, path, mask, in)
}

func (c *compiler) usages(f *field, d *Field, path string, mask pay.Mask, in nested) error {
	f.bit = c.bit
	for i := range d.Cases {
		u := usage{}
		var err error
		if u.when, err = c.conditions(d.Cases[i].When, strings.Contains(path, ".")); err != nil {
			return fmt.Errorf("cases: %w", err)
		}
		as := &d.Cases[i].As
		if len(as.Cases) > 0 {
			return errors.New("cases: a case has no cases")
		}
		name := path
		if as.Name != "" {
			name += "." + as.Name
		}
		compiled, err := c.field(as, name, mask, in)
		if err != nil {
			return fmt.Errorf("cases: %s: %w", name, err)
		}
		u.as = *compiled
		f.cases = append(f.cases, u)
	}
	return nil
}

// compileType sets form, alphabet and padding.
func (f *field) compileType(d *Field, s *Spec) error {
	code := d.Code
	switch d.Type {
	case "n", "z", "x":
		if code == "" {
			code = s.Digits
		}
		if code != "" && code != "bcd" && code != "ascii" {
			return fmt.Errorf("code: want bcd or ascii, got %q", code)
		}
		f.compileDigits(d, code != "ascii")
	case "a", "an", "ans":
		f.form, f.class = formText, map[string]class{"a": classA, "an": classAN, "ans": classANS}[d.Type]
		f.right = d.Align == "right"
	case "b":
		if err := f.compileBytes(d, s); err != nil {
			return err
		}
	case "":
	default:
		return fmt.Errorf("type: want n, z, x, a, an, ans or b, got %q", d.Type)
	}
	switch {
	case d.Align != "" && d.Align != "left" && d.Align != "right":
		return fmt.Errorf("align: want left or right, got %q", d.Align)
	case d.Pad != "" && d.Pad != "0" && d.Pad != "F":
		return fmt.Errorf("pad: want 0 or F, got %q", d.Pad)
	case d.Pad != "" && f.form != formPacked && f.form != formSigned:
		return errors.New("pad: for bcd only")
	}
	return nil
}

func (f *field) compileBytes(d *Field, s *Spec) (err error) {
	f.form = formRaw
	switch d.Code {
	case "", "binary":
	case "hex":
		f.form = formHex
		f.hex, err = parseCase(s.Hex)
	default:
		err = fmt.Errorf("code: want binary or hex, got %q", d.Code)
	}
	return err
}

func (f *field) compileDigits(d *Field, packed bool) {
	f.set, f.class = text.Decimal(), classN
	if d.Type == "z" {
		f.set, f.class = text.Track(), classZ
	}
	f.zeros = d.Type == "n" && f.fixed
	f.odd.Right = d.Align == "right" || d.Align == "" && f.zeros
	if d.Pad == "F" {
		f.odd.Pad = 15
	}
	switch f.packed = packed; {
	case d.Type == "x":
		f.form = formSigned
	case packed:
		f.form = formPacked
	default:
		f.form = formZoned
	}
}

// maxLen bounds every length a description may ask for.
const maxLen = 999999

// compileSize sets lengths and prefix.
func (f *field) compileSize(d *Field, s *Spec, in nested) error {
	if d.Len < 1 && !in.tagged || d.Len < 0 || d.Len > maxLen || d.Min < 0 || d.Min > d.Len {
		return fmt.Errorf("len: want 0 <= min <= len and len from 1 to %d", maxLen)
	}
	if in.digits && (d.Type != "n" || d.Var != "" || d.Parts != nil) {
		return errors.New("parts of a value of digits are n of fixed length")
	}
	if in.loop && (d.Var == "rest" || d.Parts != nil || d.AnyPad) {
		return errors.New("parts of a loop have a length, and neither parts nor any_pad")
	}
	if (in.loop || in.digits) && len(d.Cases) > 0 {
		return errors.New("cases: not for parts of a loop or of digits")
	}
	if in.tagged {
		if d.Var != "" {
			return errors.New("var: the length stands after the tag")
		}
		if d.Len == 0 {
			f.len = maxLen
		}
		f.prefix.counts = countBytes
		return nil
	}
	f.size = f.wire(d.Len)
	if f.fixed {
		if d.Min != 0 || d.Counts != "" || d.Length != "" {
			return errors.New("min, counts and length need var")
		}
		return nil
	}
	if f.tail = d.Var == "rest"; f.tail {
		if !in.positional || d.Counts != "" || d.Length != "" {
			return errors.New("var: rest is for the last of positional parts, without length and counts")
		}
		f.prefix.counts, f.min = countBytes, max(1, d.Min)
		return nil
	}
	code := d.Length
	if code == "" {
		code = s.Length
	}
	return f.prefix.compile(d.Var, code, d.Counts, d.Len)
}

// wire returns how many bytes a value of n units takes.
func (f *field) wire(n int) int {
	switch f.form {
	case formPacked:
		return (n + 1) / 2
	case formSigned:
		if f.packed {
			return 1 + (n+1)/2
		}
		return 1 + n
	case formHex:
		return 2 * n
	}
	return n
}
