package markup

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// kvCodec reads and writes flat name=value text, such as a query string.
// Pairs may come in any order. The first separator that fits ends a value, so a
// value may begin but not end like one.
type kvCodec struct {
	tree
	charset text.Charset
	sep     []byte
	assign  []byte
	escape  escaping
	quote   quoting
	end     bool
	narrow  bool // no byte that matters can be the second one of a character
}

type escaping uint8

const (
	escapeNone      escaping = iota
	escapePercent            // %XX; a plus sign is refused, because readers disagree on it
	escapeForm               // %XX; a plus sign is a blank
	escapeBackslash          // before what would end the value
)

type quoting uint8

const (
	quoteNone quoting = iota
	quoteNeeded
	quoteAlways
)

func newKV(t tree, s *Spec) (protocol.Codec, error) {
	if s.Root != "" || s.Namespaces != nil || s.Depth != 0 {
		return nil, errors.New("root, namespaces and depth are not for kv")
	}
	c := &kvCodec{tree: t, sep: []byte{'&'}, assign: []byte{'='}, end: s.End}
	var err error
	if c.charset, err = s.charset(); err != nil {
		return nil, err
	}
	var ok bool
	if c.escape, ok = map[string]escaping{"": escapeNone, "none": escapeNone, "percent": escapePercent, "form": escapeForm, "backslash": escapeBackslash}[s.Escape]; !ok {
		return nil, fmt.Errorf("escape: want none, percent, form or backslash, got %q", s.Escape)
	}
	if c.quote, ok = map[string]quoting{"": quoteNone, "none": quoteNone, "needed": quoteNeeded, "always": quoteAlways}[s.Quote]; !ok {
		return nil, fmt.Errorf("quote: want none, needed or always, got %q", s.Quote)
	}
	if err := c.marks(s); err != nil {
		return nil, err
	}
	for i := range c.root.kids {
		k := &c.root.kids[i]
		if !k.value() || len(k.kids) > 0 {
			return nil, fmt.Errorf("%s: kv has no nesting", k.path)
		}
		if strings.Contains(k.name, string(c.sep)) || strings.Contains(k.name, string(c.assign)) {
			return nil, fmt.Errorf("%s: a name with the separator", k.path)
		}
		if k.key, err = c.charset.Append(nil, []byte(k.name)); err != nil {
			return nil, fmt.Errorf("%s: a name that %v cannot write", k.path, c.charset)
		}
	}
	return c, nil
}

// marks checks and sets what stands between pairs, and between name and value.
func (c *kvCodec) marks(s *Spec) error {
	for _, o := range []struct {
		name, val string
		to        *[]byte
	}{{"separator", s.Separator, &c.sep}, {"assign", s.Assign, &c.assign}} {
		if o.val == "" {
			continue
		}
		if *o.to = []byte(o.val); len(o.val) > 4 || strings.ContainsFunc(o.val, func(r rune) bool { return r >= 0x7F || r >= '0' && r <= '9' || strings.ContainsRune("%+\"\\", r) }) {
			return fmt.Errorf("%s: want 1 to 4 ASCII characters that stand in no value, got %q", o.name, o.val)
		}
	}
	switch {
	case bytes.Contains(c.sep, c.assign) || bytes.Contains(c.assign, c.sep) || c.assign[0] >= 0x40:
		return errors.New("assign: want a mark that is neither a letter nor the separator")
	case (c.escape == escapePercent || c.escape == escapeForm) && unreserved(c.sep[0]):
		return fmt.Errorf("separator: %q is not escaped in a value", c.sep)
	case c.quote != quoteNone && c.escape != escapeNone:
		return errors.New("quote: not together with escape")
	}
	c.narrow = c.sep[0] < 0x30 && c.escape != escapeBackslash
	return nil
}

// Index reads a body into rec.
func (c *kvCodec) Index(f protocol.Frame, rec *protocol.Record) error {
	rec.Reset(c.layout)
	b := f.Body
	if len(b) > c.max {
		return fail("", c.max, fmt.Sprintf("at most %d bytes", c.max), fmt.Sprintf("%d", len(b)), "")
	}
	var seen set
	last := -1
	for at := 0; at < len(b) || at > 0 && !c.end; {
		eq := c.assigned(b[at:])
		if eq < 0 {
			return fail("", at, fmt.Sprintf("a name and %q", c.assign), fmt.Sprintf("%d bytes", c.split(b[at:])), "")
		}
		key := b[at : at+eq]
		i := c.root.find(key, last+1)
		path := ""
		switch {
		case i < 0 && !c.extra:
			return fail("", at, "a name of the spec", fmt.Sprintf("%.32q", key), "extra: ignore passes over such names")
		case i >= 0 && !seen.add(i):
			return fail(c.root.kids[i].path, at, "each name once", "a second one", "")
		case i >= 0:
			path, last = c.root.kids[i].path, i
		}
		v, err := c.extent(path, b, at+eq+len(c.assign))
		if err == nil && i >= 0 {
			err = c.value(&c.root.kids[i], b, v, rec)
		}
		if err != nil {
			return err
		}
		if at = v.end; at == len(b) {
			if c.end {
				return fail("", at, fmt.Sprintf("%q behind the last pair", c.sep), "the end of the body", "")
			}
			break
		}
		at += len(c.sep)
	}
	if m := c.root.missing(&seen); m != nil {
		return fail(m.path, len(b), "the required "+m.name, "none", "")
	}
	return nil
}

// assigned returns the length of the name that starts b, -1 when there is none.
func (c *kvCodec) assigned(b []byte) int {
	i := bytes.Index(b, c.assign)
	if i < 0 || c.split(b[:i]) < i {
		return -1
	}
	return i
}

// span is where a value stands: without its quotes, and where the pair ends.
type span struct {
	from, to, end int
	quoted        bool
}

// extent finds the value that begins at from.
func (c *kvCodec) extent(path string, b []byte, from int) (span, error) {
	if c.quote != quoteNone && from < len(b) && b[from] == '"' {
		return c.inQuotes(path, b, from+1)
	}
	v := span{from: from, to: from + c.split(b[from:])}
	v.end = v.to
	switch {
	case c.quote == quoteAlways, c.quote == quoteNeeded && bytes.IndexByte(b[from:v.to], '"') >= 0:
		return v, fail(path, from, "a value in double quotes", fmt.Sprintf("%d bytes", v.to-from), "quotes inside are doubled")
	case v.to == len(b) && c.runs(b[from:v.to]):
		return v, fail(path, from, "a value that does not end as a separator begins", fmt.Sprintf("%d bytes", v.to-from), "")
	}
	return v, nil
}

// inQuotes finds the end of the value that begins at from, behind a quote.
func (c *kvCodec) inQuotes(path string, b []byte, from int) (span, error) {
	v := span{from: from, to: from, quoted: true}
	for {
		i := bytes.IndexByte(b[v.to:], '"')
		if i < 0 {
			return v, fail(path, len(b), "the closing quote", "the end of the body", "")
		}
		v.to += i
		if v.end = v.to + 1; v.end == len(b) || b[v.end] != '"' {
			break
		}
		v.to += 2
	}
	if v.end < len(b) && !bytes.HasPrefix(b[v.end:], c.sep) {
		return v, fail(path, v.end, fmt.Sprintf("%q behind the closing quote", c.sep), fmt.Sprintf("%d more bytes", len(b)-v.end), "")
	}
	return v, nil
}

// split returns the length of the value that starts b. In GBK a separator can
// look like the second byte of a character.
func (c *kvCodec) split(b []byte) int {
	for i := 0; i < len(b); {
		switch {
		case b[i] == c.sep[0] && (len(c.sep) == 1 || bytes.HasPrefix(b[i:], c.sep)):
			return i
		case b[i] == '\\' && c.escape == escapeBackslash:
			i += 2
		case b[i] < 0x80 || c.narrow:
			i++
		default:
			i += max(1, c.charset.Char(b[i:]))
		}
	}
	return len(b)
}

// runs reports whether the end of a value would be taken for the beginning of
// the separator behind it. The value has no whole separator.
func (c *kvCodec) runs(val []byte) bool {
	for n := min(len(val), len(c.sep)-1); n > 0; n-- { // the value's last n bytes and the separator's first ones
		tail := val[len(val)-n:]
		if bytes.HasPrefix(c.sep, tail) && bytes.HasPrefix(c.sep, c.sep[n:]) && c.begins(val, len(val)-n) {
			return true
		}
	}
	return false
}

// begins reports whether a character begins at byte at, which looks like ASCII.
func (c *kvCodec) begins(b []byte, at int) bool {
	i := 0
	for i < at {
		switch {
		case b[i] == '\\' && c.escape == escapeBackslash:
			i += 2
		case b[i] < 0x80 || c.narrow:
			i++
		default:
			i += max(1, c.charset.Char(b[i:]))
		}
	}
	return i == at
}

func (c *kvCodec) value(n *node, b []byte, v span, rec *protocol.Record) error {
	arena := rec.Grow()
	old, at := len(arena), -1
	whole := b[v.from:v.to]
	wire := whole
	if c.escape != escapeNone || v.quoted && bytes.IndexByte(wire, '"') >= 0 {
		if arena, at = c.unescape(arena, wire); at >= 0 {
			return fail(n.path, v.from+at, c.wantEscape(), shown(n.mask, wire), "")
		}
		wire = arena[old:]
	}
	if i := c.control(wire); i >= 0 {
		return fail(n.path, v.from+c.escaped(whole, i), "no control characters", shown(n.mask, whole), "")
	}
	scratch := len(arena)
	arena, err := c.charset.Read(arena, wire)
	if err != nil {
		return fail(n.path, v.from+c.escaped(whole, int(err.(text.BadChar))), "a character of "+c.charset.String(), shown(n.mask, whole), "")
	}
	arena = append(arena[:old], arena[scratch:]...)
	val := arena[old:]
	switch {
	case len(val) == 0 && n.required:
		return fail(n.path, v.from, "a value", "none", "")
	case len(val) == 0 && n.kind != str: // there is no empty number
		return nil
	case !n.kind.fits(val):
		return fail(n.path, v.from, wants[n.kind], shown(n.mask, val), "numbers have no plus signs, exponents and zeros in front")
	}
	i := rec.Keep(arena, n.id, -1)
	if i < 0 {
		return fail(n.path, v.from, "fewer fields in one message", "", "")
	}
	rec.Span(i, v.from, v.to-v.from)
	return nil
}

func (c *kvCodec) wantEscape() string {
	if c.escape == escapeBackslash {
		return "a mark behind the backslash"
	}
	return "%XX for this character; a plus sign is a blank with escape: form"
}

// control returns the offset of the first control character that a value may
// not have, -1 for none. White space may be escaped as %XX.
func (c *kvCodec) control(val []byte) int {
	coded := c.escape == escapePercent || c.escape == escapeForm
	for i, ch := range val {
		if ch < ' ' && (!coded || ch != '\t' && ch != '\n' && ch != '\r') {
			return i
		}
	}
	return -1
}

// escaped returns where byte n of what the wire stands for is on the wire.
func (c *kvCodec) escaped(wire []byte, n int) int {
	i := 0
	for n > 0 && i < len(wire) {
		took, of := 1, 1
		switch ch := wire[i]; {
		case c.escape == escapeBackslash && ch >= 0x80: // its second byte may look like one
			took = max(1, c.charset.Char(wire[i:]))
			of = took
		case ch == '%' && (c.escape == escapePercent || c.escape == escapeForm):
			took = 3
		case ch == '\\' && c.escape == escapeBackslash, ch == '"' && c.quote != quoteNone:
			took = 2
		}
		if of > n {
			return i + n
		}
		i, n = i+took, n-of
	}
	return min(i, len(wire))
}

// unescape appends the bytes that the wire stands for, or returns the offset
// of the first that is no escape.
func (c *kvCodec) unescape(dst, wire []byte) ([]byte, int) {
	for i := 0; i < len(wire); i++ {
		ch := wire[i]
		switch {
		case c.quote != quoteNone:
			if ch == '"' { // the first of two
				i++
			}
		case c.escape == escapeBackslash:
			size := 1
			if ch == '\\' {
				if i++; i == len(wire) || !mark(wire[i]) {
					return dst, i - 1
				}
				ch = wire[i]
			} else if ch >= 0x80 {
				size = max(1, c.charset.Char(wire[i:]))
			}
			dst = append(dst, wire[i:i+size-1]...)
			i += size - 1
			ch = wire[i]
		case ch == '%':
			if i+2 >= len(wire) || nibble(wire[i+1]) > 15 || nibble(wire[i+2]) > 15 {
				return dst, i
			}
			ch = nibble(wire[i+1])<<4 | nibble(wire[i+2])
			i += 2
		case ch == '+' && c.escape == escapeForm:
			ch = ' '
		case ch == '+' || ch <= ' ':
			return dst, i
		}
		dst = append(dst, ch)
	}
	return dst, -1
}

// mark reports whether a backslash may stand before the byte.
func mark(ch byte) bool {
	return ch >= ' ' && ch < 0x7F && (ch|0x20 < 'a' || ch|0x20 > 'z') && (ch < '0' || ch > '9')
}

// nibble returns the value of a hex digit, more than 15 for another byte.
func nibble(ch byte) byte {
	switch {
	case ch >= '0' && ch <= '9':
		return ch - '0'
	case ch|0x20 >= 'a' && ch|0x20 <= 'f':
		return ch | 0x20 - 'a' + 10
	}
	return 0xFF
}
