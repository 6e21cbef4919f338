package markup

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

type xmlWriter struct {
	dst     []byte
	start   int
	rec     *protocol.Record
	charset text.Charset
}

// Append writes the record with a declaration and without white space,
// elements in the order of the spec. Elements without content are left out,
// except the root and empty strings. Characters that the encoding lacks become
// references.
func (c *xmlCodec) Append(dst []byte, rec *protocol.Record) ([]byte, error) {
	if rec.Layout() != c.layout {
		return dst, fail("", -1, "a record of this layout", "another one", "")
	}
	w := xmlWriter{dst: append(dst, c.open...), start: len(dst), rec: rec, charset: c.charset}
	if _, err := w.content(&c.root, -1, -1); err != nil {
		return dst, err
	}
	w.close(&c.root)
	if n := len(w.dst) - w.start; n > c.max {
		return dst, fail("", -1, fmt.Sprintf("at most %d bytes", c.max), fmt.Sprintf("%d", n), "")
	}
	return w.dst, nil
}

func (w *xmlWriter) close(n *node) {
	w.dst = append(append(append(w.dst, '<', '/'), n.key...), '>')
}

// content writes attributes, the end of the opening tag, text and elements of
// n, and reports whether there were any. val is the record's node with the
// text, -1 for none.
func (w *xmlWriter) content(n *node, parent, val int) (bool, error) {
	wrote := val >= 0
	for i := range n.kids {
		if k := &n.kids[i]; k.attr {
			did, err := w.attribute(k, parent)
			if err != nil {
				return false, err
			}
			wrote = wrote || did
		}
	}
	w.dst = append(w.dst, '>')
	if val >= 0 {
		if err := w.value(n.content(), val, false); err != nil {
			return false, err
		}
	}
	for i := range n.kids {
		k := &n.kids[i]
		var did bool
		var err error
		switch {
		case k.attr:
		case k.kind == group:
			did, err = w.loop(k, parent)
		default:
			did, err = w.element(k, parent)
		}
		if err != nil {
			return false, err
		}
		wrote = wrote || did
	}
	return wrote, nil
}

func (w *xmlWriter) element(n *node, parent int) (bool, error) {
	at, val := len(w.dst), -1
	if n.value() {
		val = lookup(w.rec, n.id, parent)
		if val >= 0 && n.kind != str && len(w.rec.Value(val)) == 0 { // there is no empty number
			val = -1
		}
		switch {
		case n.required && (val < 0 || len(w.rec.Value(val)) == 0):
			return false, fail(n.path, at-w.start, "a value", "none", "")
		case val < 0 && !w.described(n, parent):
			return false, nil
		}
	}
	w.dst = append(append(w.dst, '<'), n.key...)
	wrote, err := w.content(n, parent, val)
	if err != nil || !wrote {
		w.dst = w.dst[:at]
		return false, err
	}
	w.close(n)
	return true, nil
}

// described reports whether the record has an attribute of n.
func (w *xmlWriter) described(n *node, parent int) bool {
	for i := range n.kids {
		if lookup(w.rec, n.kids[i].id, parent) >= 0 {
			return true
		}
	}
	return false
}

func (w *xmlWriter) loop(n *node, parent int) (bool, error) {
	i := 0
	for g := next(w.rec, n.id, parent, 0); g >= 0; g = next(w.rec, n.id, parent, g+1) {
		if i >= n.max {
			return false, fail(n.path, len(w.dst)-w.start, fmt.Sprintf("at most %d entries", n.max), "more", "")
		}
		from, val := len(w.dst), -1
		w.dst = append(append(w.dst, '<'), n.key...)
		if n.own != nil {
			val = w.rec.Child(g, n.own.id)
			if empty := val < 0 || len(w.rec.Value(val)) == 0; empty && n.own.required {
				return false, entry(fail(n.own.path, from-w.start, "a value", "none", ""), n, i)
			} else if empty && n.own.kind != str {
				val = -1
			}
		}
		if _, err := w.content(n, g, val); err != nil {
			return false, entry(err, n, i)
		}
		w.close(n)
		w.rec.Span(g, from-w.start, len(w.dst)-from)
		i++
	}
	if n.required && i == 0 {
		return false, fail(n.path, len(w.dst)-w.start, "an entry", "none", "")
	}
	return i > 0, nil
}

func (w *xmlWriter) attribute(n *node, parent int) (bool, error) {
	val := lookup(w.rec, n.id, parent)
	if val >= 0 && n.kind != str && len(w.rec.Value(val)) == 0 {
		val = -1
	}
	if val < 0 || n.required && len(w.rec.Value(val)) == 0 {
		if n.required {
			return false, fail(n.path, len(w.dst)-w.start, "a value", "none", "")
		}
		return false, nil
	}
	w.dst = append(append(append(w.dst, ' '), n.key...), '=', '"')
	if err := w.value(n, val, true); err != nil {
		return false, err
	}
	w.dst = append(w.dst, '"')
	return true, nil
}

// value writes the text of a node of the record and notes its span.
func (w *xmlWriter) value(n *node, i int, attr bool) error {
	val, from := w.rec.Value(i), len(w.dst)
	if n.kind == number || n.kind == decimal {
		var sign []byte
		sign, val = plain(val)
		w.dst = append(w.dst, sign...)
	}
	if !n.kind.fits(val) || n.kind != str && len(w.dst) > from && val[0] == '-' {
		return fail(n.path, from-w.start, wants[n.kind], shown(n.mask, w.rec.Value(i)), "")
	}
	for at := 0; at < len(val); {
		run := at
		for run < len(val) && val[run] >= ' ' && val[run] < utf8.RuneSelf && val[run] != '<' && val[run] != '>' && val[run] != '&' && val[run] != '"' {
			run++
		}
		w.dst = append(w.dst, val[at:run]...)
		if at = run; at == len(val) {
			break
		}
		ch, size := utf8.DecodeRune(val[at:])
		if ch == utf8.RuneError && size == 1 || ch < ' ' && ch != '\t' && ch != '\n' && ch != '\r' {
			return fail(n.path, len(w.dst)-w.start, "valid UTF-8 without control characters", shown(n.mask, val), "")
		}
		w.char(val[at:at+size], ch, attr)
		at += size
	}
	w.rec.Span(i, from-w.start, len(w.dst)-from)
	return nil
}

// char writes one character in its one form.
func (w *xmlWriter) char(b []byte, ch rune, attr bool) {
	switch {
	case ch == '<':
		w.dst = append(w.dst, "&lt;"...)
	case ch == '>':
		w.dst = append(w.dst, "&gt;"...)
	case ch == '&':
		w.dst = append(w.dst, "&amp;"...)
	case ch == '"' && attr:
		w.dst = append(w.dst, "&quot;"...)
	case ch == '\r' || attr && ch < ' ':
		w.reference(ch)
	default:
		dst, err := w.charset.Append(w.dst, b)
		if w.dst = dst; err != nil {
			w.reference(ch)
		}
	}
}

func (w *xmlWriter) reference(ch rune) {
	w.dst = append(strconv.AppendInt(append(w.dst, '&', '#'), int64(ch), 10), ';')
}
