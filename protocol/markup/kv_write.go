package markup

import (
	"bytes"
	"fmt"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

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
			out = append(out, c.sep...)
		}
		out = append(append(out, n.key...), c.assign...)
		from := len(out)
		var err error
		if out, err = c.append(out, n, rec.Value(at)); err != nil {
			err.(*protocol.Error).Offset = from - start
			return dst, err
		}
		if len(out) > from && c.quote != quoteNone && out[from] == '"' {
			rec.Span(at, from+1-start, len(out)-from-2)
		} else {
			rec.Span(at, from-start, len(out)-from)
		}
		if c.end {
			out = append(out, c.sep...)
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
	if c.control(dst[at:]) >= 0 {
		return dst, fail(n.path, -1, "text without control characters", shown(n.mask, val), "")
	}
	switch torn := c.torn(dst[from:]); {
	case c.escape == escapePercent || c.escape == escapeForm:
		dst = percent(dst, at)
	case c.escape == escapeBackslash:
		dst = c.backslash(dst, at)
	case c.quote == quoteAlways, c.quote == quoteNeeded && (torn || bytes.IndexByte(dst[from:], '"') >= 0):
		dst = text.Quote(dst, from)
	case torn:
		return dst, fail(n.path, -1, "text without the separator", shown(n.mask, val), "escape and quote allow it")
	}
	return dst, nil
}

// torn reports whether a reader would find another end for the value than the
// one before the separator behind it.
func (c *kvCodec) torn(val []byte) bool {
	return c.escape == escapeNone && (c.split(val) < len(val) || c.runs(val))
}

// backslash puts one before each backslash, and before each character that a
// separator begins with, of what dst holds from byte from on.
func (c *kvCodec) backslash(dst []byte, from int) []byte {
	for i := from; i < len(dst); {
		switch ch := dst[i]; {
		case ch == '\\' || ch == c.sep[0]:
			dst = append(dst, 0)
			copy(dst[i+1:], dst[i:])
			dst[i] = '\\'
			i += 2
		case ch < 0x80:
			i++
		default:
			i += max(1, c.charset.Char(dst[i:]))
		}
	}
	return dst
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
