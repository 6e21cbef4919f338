package markup

import (
	"fmt"
	"unicode/utf8"

	"qianzhi/protocol"
)

type jsonWriter struct {
	dst   []byte
	start int
	rec   *protocol.Record
}

// Append writes the record without white space, members in the order of the
// spec. Objects without members and loops without entries are left out.
func (c *jsonCodec) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	if rec.Layout() != c.layout {
		return dst, fail("", -1, "a record of this layout", "another one", "")
	}
	w := jsonWriter{dst: dst, start: len(dst), rec: rec}
	if _, err := w.object(&c.root, -1); err != nil {
		return dst, err
	}
	if n := len(w.dst) - w.start; n > c.max {
		return dst, fail("", -1, fmt.Sprintf("at most %d bytes", c.max), fmt.Sprintf("%d", n), "")
	}
	return w.dst, nil
}

// object writes the members of n and reports whether there were any.
func (w *jsonWriter) object(n *node, parent int) (bool, error) {
	w.dst = append(w.dst, '{')
	any := false
	for i := range n.kids {
		k := &n.kids[i]
		at := len(w.dst)
		if any {
			w.dst = append(w.dst, ',')
		}
		w.dst = append(append(append(w.dst, '"'), k.key...), '"', ':')
		var wrote bool
		var err error
		switch k.kind {
		case object:
			wrote, err = w.object(k, parent)
		case group:
			wrote, err = w.array(k, parent)
		default:
			wrote, err = w.value(k, parent)
		}
		if err != nil {
			return false, err
		}
		if !wrote {
			w.dst = w.dst[:at]
		}
		any = any || wrote
	}
	w.dst = append(w.dst, '}')
	return any, nil
}

func (w *jsonWriter) array(n *node, parent int) (bool, error) {
	w.dst = append(w.dst, '[')
	i := 0
	for g := next(w.rec, n.id, parent, 0); g >= 0; g = next(w.rec, n.id, parent, g+1) {
		if i >= n.max {
			return false, fail(n.path, len(w.dst)-w.start, fmt.Sprintf("at most %d entries", n.max), "more", "")
		}
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		from := len(w.dst)
		if err := w.entry(n, g); err != nil {
			return false, entry(err, n, i)
		}
		w.rec.Span(g, from-w.start, len(w.dst)-from)
		i++
	}
	w.dst = append(w.dst, ']')
	return i > 0 || n.required, nil
}

// entry writes one entry of an array: an object, or a value.
func (w *jsonWriter) entry(n *node, g int) error {
	if n.own == nil {
		_, err := w.object(n, g)
		return err
	}
	wrote, err := w.value(n.own, g)
	if err == nil && !wrote {
		err = fail(n.own.path, len(w.dst)-w.start, "a value", "none", "")
	}
	return err
}

func (w *jsonWriter) value(n *node, parent int) (bool, error) {
	i := lookup(w.rec, n.id, parent)
	if i < 0 && !n.required {
		return false, nil
	}
	var val []byte
	if i >= 0 {
		val = w.rec.Value(i)
	}
	if n.required && len(val) == 0 {
		return false, fail(n.path, len(w.dst)-w.start, "a value", "none", "")
	}
	if n.kind == str {
		return true, w.text(n, val, i)
	}
	if len(val) == 0 { // there is no empty number
		return false, nil
	}
	var sign []byte
	if n.kind != boolean {
		sign, val = plain(val)
	}
	if !n.kind.fits(val) || len(sign) > 0 && val[0] == '-' {
		return false, fail(n.path, len(w.dst)-w.start, wants[n.kind], shown(n.mask, val), "")
	}
	w.rec.Span(i, len(w.dst)-w.start, len(sign)+len(val))
	w.dst = append(append(w.dst, sign...), val...)
	return true, nil
}

func (w *jsonWriter) text(n *node, val []byte, i int) error {
	w.dst = append(w.dst, '"')
	from := len(w.dst)
	for at := 0; at < len(val); {
		run := at
		for run < len(val) && val[run] >= ' ' && val[run] < utf8.RuneSelf && val[run] != '"' && val[run] != '\\' {
			run++
		}
		w.dst = append(w.dst, val[at:run]...)
		if at = run; at == len(val) {
			break
		}
		ch, size := utf8.DecodeRune(val[at:])
		if ch == 0 || ch == utf8.RuneError && size == 1 {
			return fail(n.path, len(w.dst)-w.start, "valid UTF-8 without zero bytes", shown(n.mask, val), "")
		}
		w.dst = appendEscaped(w.dst, ch)
		at += size
	}
	w.rec.Span(i, from-w.start, len(w.dst)-from)
	w.dst = append(w.dst, '"')
	return nil
}

// appendEscaped writes a character of a string in its one form.
func appendEscaped(dst []byte, ch rune) []byte {
	const hex = "0123456789abcdef"
	switch ch {
	case '"', '\\':
		return append(dst, '\\', byte(ch))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if ch < ' ' {
		return append(dst, '\\', 'u', '0', '0', hex[ch>>4], hex[ch&15])
	}
	return utf8.AppendRune(dst, ch)
}
