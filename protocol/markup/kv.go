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
// Pairs may come in any order.
type kvCodec struct {
	tree
	charset text.Charset
	sep     byte
	assign  byte
	escape  escaping
	end     bool
}

type escaping uint8

const (
	escapeNone    escaping = iota
	escapePercent          // %XX; a plus sign is refused, because readers disagree on it
	escapeForm             // %XX; a plus sign is a blank
)

func newKV(t tree, s *Spec) (protocol.Codec, error) {
	if s.Root != "" || s.Namespaces != nil || s.Depth != 0 {
		return nil, errors.New("root, namespaces and depth are not for kv")
	}
	c := &kvCodec{tree: t, sep: '&', assign: '=', end: s.End}
	var err error
	if c.charset, err = s.charset(); err != nil {
		return nil, err
	}
	switch s.Escape {
	case "", "none":
	case "percent":
		c.escape = escapePercent
	case "form":
		c.escape = escapeForm
	default:
		return nil, fmt.Errorf("escape: want none, percent or form, got %q", s.Escape)
	}
	for _, o := range []struct {
		name, val string
		to        *byte
	}{{"separator", s.Separator, &c.sep}, {"assign", s.Assign, &c.assign}} {
		if o.val == "" {
			continue
		}
		if *o.to = o.val[0]; len(o.val) > 1 || *o.to >= 0x7F || *o.to >= '0' && *o.to <= '9' || *o.to == '%' || *o.to == '+' {
			return nil, fmt.Errorf("%s: want one ASCII character that stands in no value, got %q", o.name, o.val)
		}
	}
	if c.sep == c.assign || c.assign >= 0x40 {
		return nil, errors.New("assign: want a mark that is neither a letter nor the separator")
	}
	for i := range c.root.kids {
		k := &c.root.kids[i]
		if !k.value() || len(k.kids) > 0 {
			return nil, fmt.Errorf("%s: kv has no nesting", k.path)
		}
		if strings.IndexByte(k.name, c.sep) >= 0 || strings.IndexByte(k.name, c.assign) >= 0 {
			return nil, fmt.Errorf("%s: a name with the separator", k.path)
		}
		if k.key, err = c.charset.Append(nil, []byte(k.name)); err != nil {
			return nil, fmt.Errorf("%s: a name that %v cannot write", k.path, c.charset)
		}
	}
	return c, nil
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
		to := at + c.split(b[at:])
		eq := bytes.IndexByte(b[at:to], c.assign)
		if eq < 0 {
			return fail("", at, fmt.Sprintf("a name and %q", c.assign), fmt.Sprintf("%d bytes", to-at), "")
		}
		key, from := b[at:at+eq], at+eq+1
		i := c.root.find(key, last+1)
		switch {
		case i < 0 && !c.extra:
			return fail("", at, "a name of the spec", fmt.Sprintf("%.32q", key), "extra: ignore passes over such names")
		case i >= 0 && !seen.add(i):
			return fail(c.root.kids[i].path, at, "each name once", "a second one", "")
		case i >= 0:
			last = i
			if err := c.value(&c.root.kids[i], b, from, to, rec); err != nil {
				return err
			}
		}
		if at = to; at == len(b) {
			if c.end {
				return fail("", at, fmt.Sprintf("%q behind the last pair", c.sep), "the end of the body", "")
			}
			break
		}
		at++
	}
	if m := c.root.missing(&seen); m != nil {
		return fail(m.path, len(b), "the required "+m.name, "none", "")
	}
	return nil
}

// split returns the length of the value that starts b. In GBK a separator can
// look like the second byte of a character.
func (c *kvCodec) split(b []byte) int {
	for i := 0; i < len(b); {
		switch {
		case b[i] == c.sep:
			return i
		case b[i] < 0x80 || c.sep < 0x30:
			i++
		default:
			i += max(1, c.charset.Char(b[i:]))
		}
	}
	return len(b)
}

func (c *kvCodec) value(n *node, b []byte, from, to int, rec *protocol.Record) error {
	arena := rec.Grow()
	old, at := len(arena), -1
	wire := b[from:to]
	if c.escape != escapeNone {
		if arena, at = c.unescape(arena, wire); at >= 0 {
			return fail(n.path, from+at, "%XX for this character", shown(n.mask, wire), "a plus sign is a blank with escape: form")
		}
		wire = arena[old:]
	}
	if i := c.control(wire); i >= 0 {
		return fail(n.path, from+c.escaped(b[from:to], i), "no control characters", shown(n.mask, b[from:to]), "")
	}
	scratch := len(arena)
	arena, err := c.charset.Read(arena, wire)
	if err != nil {
		return fail(n.path, from+c.escaped(b[from:to], int(err.(text.BadChar))), "a character of "+c.charset.String(), shown(n.mask, b[from:to]), "")
	}
	arena = append(arena[:old], arena[scratch:]...)
	val := arena[old:]
	switch {
	case len(val) == 0 && n.required:
		return fail(n.path, from, "a value", "none", "")
	case len(val) == 0 && n.kind != str: // there is no empty number
		return nil
	case !n.kind.fits(val):
		return fail(n.path, from, wants[n.kind], shown(n.mask, val), "numbers have no plus signs, exponents and zeros in front")
	}
	i := rec.Keep(arena, n.id, -1)
	if i < 0 {
		return fail(n.path, from, "fewer fields in one message", "", "")
	}
	rec.Span(i, from, to-from)
	return nil
}

// control returns the offset of the first control character that a value may
// not have, -1 for none. White space may be escaped.
func (c *kvCodec) control(val []byte) int {
	for i, ch := range val {
		if ch < ' ' && (c.escape == escapeNone || ch != '\t' && ch != '\n' && ch != '\r') {
			return i
		}
	}
	return -1
}

// escaped returns where byte n of what the wire stands for is on the wire.
func (c *kvCodec) escaped(wire []byte, n int) int {
	i := 0
	for ; n > 0; n-- {
		if c.escape != escapeNone && wire[i] == '%' {
			i += 2
		}
		i++
	}
	return i
}

// unescape appends the bytes that the wire stands for, or returns the offset
// of the first that is no escape.
func (c *kvCodec) unescape(dst, wire []byte) ([]byte, int) {
	for i := 0; i < len(wire); i++ {
		ch := wire[i]
		switch {
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

// Append writes the record, pairs in the order of the spec.
func (c *kvCodec) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	if rec.Layout() != c.layout {
		return dst, fail("", -1, "a record of this layout", "another one", "")
	}
	start := len(dst)
	out := dst
	for i := range c.root.kids {
		n := &c.root.kids[i]
		at := rec.Find(n.id)
		if at >= 0 && n.kind != str && len(rec.Value(at)) == 0 {
			at = -1
		}
		if n.required && (at < 0 || len(rec.Value(at)) == 0) {
			return dst, fail(n.path, len(out)-start, "a value", "none", "")
		}
		if at < 0 {
			continue
		}
		if len(out) > start && !c.end {
			out = append(out, c.sep)
		}
		out = append(append(out, n.key...), c.assign)
		from := len(out)
		var err error
		if out, err = c.append(out, n, rec.Value(at)); err != nil {
			err.(*protocol.Error).Offset = from - start
			return dst, err
		}
		rec.Span(at, from-start, len(out)-from)
		if c.end {
			out = append(out, c.sep)
		}
	}
	if n := len(out) - start; n > c.max {
		return dst, fail("", -1, fmt.Sprintf("at most %d bytes", c.max), fmt.Sprintf("%d", n), "")
	}
	return out, nil
}

func (c *kvCodec) append(dst []byte, n *node, val []byte) ([]byte, error) {
	from, digits := len(dst), val
	if n.kind == number || n.kind == decimal {
		var sign []byte
		sign, digits = plain(val)
		dst = append(dst, sign...)
	}
	if !n.kind.fits(digits) || n.kind != str && len(dst) > from && digits[0] == '-' {
		return dst, fail(n.path, -1, wants[n.kind], shown(n.mask, val), "")
	}
	at := len(dst)
	dst, err := c.charset.Append(dst, digits)
	if err != nil {
		return dst, fail(n.path, -1, "characters of "+c.charset.String(), shown(n.mask, val), "")
	}
	if c.control(dst[at:]) >= 0 || c.escape == escapeNone && c.split(dst[at:]) < len(dst)-at {
		return dst, fail(n.path, -1, "text without separator and control characters", shown(n.mask, val), "escape: percent allows the separator")
	}
	if c.escape != escapeNone {
		dst = percent(dst, at)
	}
	return dst, nil
}

// percent escapes what dst holds from byte from on.
func percent(dst []byte, from int) []byte {
	const hex = "0123456789ABCDEF"
	i, more := len(dst), 0
	for _, ch := range dst[from:] {
		if !unreserved(ch) {
			more += 2
		}
	}
	for range more {
		dst = append(dst, 0)
	}
	to := len(dst)
	for i--; i >= from; i-- {
		if ch := dst[i]; unreserved(ch) {
			to--
			dst[to] = ch
		} else {
			to -= 3
			dst[to], dst[to+1], dst[to+2] = '%', hex[ch>>4], hex[ch&15]
		}
	}
	return dst
}

func unreserved(ch byte) bool {
	return ch|0x20 >= 'a' && ch|0x20 <= 'z' || ch >= '0' && ch <= '9' || ch == '-' || ch == '_' || ch == '.' || ch == '~'
}
