package markup

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"qianzhi/protocol"
)

// jsonCodec reads and writes JSON as RFC 8259 has it, in UTF-8.
type jsonCodec struct{ tree }

func newJSON(t tree, s *Spec) (protocol.Codec, error) {
	if s.Root != "" || s.Namespaces != nil || s.Separator != "" || s.Assign != "" || s.Quote != "" || s.Escape != "" || s.End {
		return nil, errors.New("root, namespaces, separator, assign, quote, escape and end are not for json")
	}
	if s.Encoding != "" && s.Encoding != "utf-8" {
		return nil, fmt.Errorf("encoding: json is utf-8, got %q", s.Encoding)
	}
	return &jsonCodec{t}, t.root.valueOnly()
}

// valueOnly refuses a value that has names below it.
func (n *node) valueOnly() error {
	for i := range n.kids {
		if err := n.kids[i].valueOnly(); err != nil {
			return err
		}
	}
	if (n.value() || n.own != nil) && len(n.kids) > 0 {
		return fmt.Errorf("%s: a value cannot have members", n.path)
	}
	return nil
}

// jsonReader scans a body once from start to end.
type jsonReader struct {
	body  []byte
	at    int
	rec   *protocol.Record
	extra bool
	depth int
}

// Index reads a body into rec.
func (c *jsonCodec) Index(f protocol.Frame, rec *protocol.Record) error {
	rec.Reset(c.layout)
	if len(f.Body) > c.max {
		return fail("", c.max, fmt.Sprintf("at most %d bytes", c.max), fmt.Sprintf("%d", len(f.Body)), "")
	}
	r := jsonReader{body: f.Body, rec: rec, extra: c.extra, depth: c.depth}
	r.space()
	if err := r.object(&c.root, -1); err != nil {
		return err
	}
	if r.space(); r.at < len(r.body) {
		return r.fail("", "the end of the body", "")
	}
	return nil
}

// fail reports the byte in hand.
func (r *jsonReader) fail(path, want, hint string) error {
	got := "the end of the body"
	if r.at < len(r.body) {
		got = protocol.Hex(r.body[r.at:r.at+1], 1)
		if ch := r.body[r.at]; ch > ' ' && ch < 0x7F {
			got = fmt.Sprintf("%q", ch)
		}
	}
	return fail(path, r.at, want, got, hint)
}

func (r *jsonReader) space() {
	for r.at < len(r.body) {
		switch r.body[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// accept passes over ch if it is in hand.
func (r *jsonReader) accept(ch byte) bool {
	if r.at < len(r.body) && r.body[r.at] == ch {
		r.at++
		return true
	}
	return false
}

// object reads the members of n.
func (r *jsonReader) object(n *node, parent int) error {
	if !r.accept('{') {
		return r.fail(n.path, wants[object], "")
	}
	var seen set
	hint := 0
	if r.space(); r.accept('}') {
		return r.complete(n, &seen)
	}
	for {
		i, err := r.name(n, hint, &seen)
		if err != nil {
			return err
		}
		if i < 0 {
			err = r.skip(n, 0)
		} else {
			hint = i + 1
			err = r.member(&n.kids[i], parent)
		}
		if err != nil {
			return err
		}
		r.space()
		if r.accept('}') {
			return r.complete(n, &seen)
		}
		if !r.accept(',') {
			return r.fail(n.path, `"," or "}"`, "")
		}
		r.space()
	}
}

func (r *jsonReader) complete(n *node, seen *set) error {
	if m := n.missing(seen); m != nil {
		return fail(m.path, r.at-1, "the required "+wants[m.kind], "none", "")
	}
	return nil
}

// name reads a member's name and colon. It returns the kid's number, -1 for a
// name that is to be passed over.
func (r *jsonReader) name(n *node, hint int, seen *set) (int, error) {
	from := r.at
	if !r.accept('"') {
		return 0, r.fail(n.path, "a name in quotes", "")
	}
	for r.at < len(r.body) && r.body[r.at] >= ' ' && r.body[r.at] < utf8.RuneSelf && r.body[r.at] != '"' && r.body[r.at] != '\\' {
		r.at++
	}
	key := r.body[from+1 : r.at]
	if !r.accept('"') { // escapes or other characters
		r.at = from
		old := r.rec.Grow()
		val, err := r.text(old, n.path)
		if err != nil {
			return 0, err
		}
		key = val[len(old):]
	}
	i := n.find(key, hint)
	if i < 0 && !r.extra {
		return 0, fail(n.path, from, "a name of the spec", fmt.Sprintf("%.32q", key), "extra: ignore passes over such names")
	}
	if i >= 0 && !seen.add(i) {
		return 0, fail(n.kids[i].path, from, "each name once", "a second one", "")
	}
	r.space()
	if !r.accept(':') {
		return 0, r.fail(n.path, `":"`, "")
	}
	r.space()
	return i, nil
}

func (r *jsonReader) member(n *node, parent int) error {
	if r.literal("null") {
		if n.required {
			return fail(n.path, r.at-4, "the required "+wants[n.kind], "null", "")
		}
		if n.kind == object {
			if m := n.missing(&set{}); m != nil {
				return fail(m.path, r.at-4, "the required "+wants[m.kind], "null", "")
			}
		}
		return nil
	}
	switch n.kind {
	case object:
		return r.object(n, parent)
	case group:
		return r.array(n, parent)
	}
	return r.value(n, parent)
}

func (r *jsonReader) literal(word string) bool {
	if len(r.body)-r.at < len(word) || string(r.body[r.at:r.at+len(word)]) != word {
		return false
	}
	r.at += len(word)
	return true
}

func (r *jsonReader) array(n *node, parent int) error {
	if !r.accept('[') {
		return r.fail(n.path, wants[group], "")
	}
	if r.space(); r.accept(']') {
		return nil
	}
	for i := 0; ; i++ {
		if i >= n.max {
			return r.fail(n.path, fmt.Sprintf("at most %d entries", n.max), "")
		}
		from := r.at
		g := r.rec.Put(n.id, parent, nil)
		if g < 0 {
			return r.fail(n.path, "fewer fields in one message", "")
		}
		if err := r.entry(n, g); err != nil {
			return entry(err, n, i)
		}
		r.rec.Span(g, from, r.at-from)
		r.space()
		if r.accept(']') {
			return nil
		}
		if !r.accept(',') {
			return r.fail(n.path, `"," or "]"`, "")
		}
		r.space()
	}
}

// entry reads one entry of an array: an object, or a value.
func (r *jsonReader) entry(n *node, g int) error {
	if n.own != nil {
		return r.value(n.own, g)
	}
	return r.object(n, g)
}

// value reads a scalar into the record. The span of a string is what stands
// between its quotes.
func (r *jsonReader) value(n *node, parent int) error {
	from, size := r.at, 0
	val := r.rec.Grow()
	old := len(val)
	switch {
	case n.kind == str:
		var err error
		if val, err = r.text(val, n.path); err != nil {
			return err
		}
		from, size = from+1, r.at-from-2
	case n.kind == boolean && (r.literal("true") || r.literal("false")):
		size = r.at - from
		val = append(val, r.body[from:r.at]...)
	case n.kind == boolean:
		return r.fail(n.path, wants[n.kind], "")
	default:
		whole, all := digits(r.body[r.at:])
		if whole == 0 || n.kind == number && !r.ends(whole) || !r.ends(all) {
			return r.fail(n.path, wants[n.kind], "numbers stand without quotes, plus signs, exponents and zeros in front")
		}
		r.at, size = r.at+all, all
		val = append(val, r.body[from:r.at]...)
	}
	if n.required && len(val) == old {
		return fail(n.path, from, "a value", "an empty string", "")
	}
	i := r.rec.Keep(val, n.id, parent)
	if i < 0 {
		return r.fail(n.path, "fewer fields in one message", "")
	}
	r.rec.Span(i, from, size)
	return nil
}

// ends reports whether a number of so many bytes ends there.
func (r *jsonReader) ends(size int) bool {
	if r.at+size >= len(r.body) {
		return true
	}
	switch r.body[r.at+size] {
	case ' ', '\t', '\n', '\r', ',', '}', ']':
		return true
	}
	return false
}

// text appends the string in hand to dst.
func (r *jsonReader) text(dst []byte, path string) ([]byte, error) {
	if !r.accept('"') {
		return dst, r.fail(path, wants[str], "strings stand in quotes")
	}
	for r.at < len(r.body) {
		from := r.at
		for r.at < len(r.body) && r.body[r.at] >= ' ' && r.body[r.at] < utf8.RuneSelf && r.body[r.at] != '"' && r.body[r.at] != '\\' {
			r.at++
		}
		dst = append(dst, r.body[from:r.at]...)
		if r.accept('"') {
			return dst, nil
		}
		if r.at == len(r.body) {
			break
		}
		ch, size := utf8.DecodeRune(r.body[r.at:])
		switch {
		case ch == '\\':
			if ch, size = escape(r.body[r.at:]); size == 0 {
				return dst, r.fail(path, "an escape of JSON", "surrogates come in pairs, zero bytes not at all")
			}
			dst = utf8.AppendRune(dst, ch)
		case ch < ' ':
			return dst, r.fail(path, "an escape for a control character", "")
		case ch == utf8.RuneError && size == 1:
			return dst, r.fail(path, "valid UTF-8", "")
		default:
			dst = append(dst, r.body[r.at:r.at+size]...)
		}
		r.at += size
	}
	return dst, r.fail(path, "the closing quote", "")
}

// escape reads the escape at the start of b; size 0 is an error.
func escape(b []byte) (ch rune, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	hi := hex4(b)
	if hi <= 0 || hi >= 0xDC00 && hi <= 0xDFFF {
		return 0, 0
	}
	if hi < 0xD800 || hi > 0xDFFF {
		return hi, 6
	}
	if lo := hex4(b[6:]); lo >= 0xDC00 && lo <= 0xDFFF {
		return (hi-0xD800)<<10 + (lo - 0xDC00) + 0x10000, 12
	}
	return 0, 0
}

// hex4 reads an escape of \u and four hex digits, -1 when it is something else.
func hex4(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	var r rune
	for _, ch := range b[2:6] {
		switch {
		case ch >= '0' && ch <= '9':
			r = r<<4 + rune(ch-'0')
		case ch|0x20 >= 'a' && ch|0x20 <= 'f':
			r = r<<4 + rune(ch|0x20-'a') + 10
		default:
			return -1
		}
	}
	return r
}

// skip passes over a value that the spec does not have. It is held to the
// same grammar.
func (r *jsonReader) skip(n *node, depth int) error {
	if depth >= r.depth {
		return r.fail(n.path, fmt.Sprintf("at most %d levels", r.depth), "")
	}
	switch {
	case r.literal("null"), r.literal("true"), r.literal("false"):
		return nil
	case r.at < len(r.body) && r.body[r.at] == '"':
		_, err := r.text(nil, n.path)
		return err
	case r.accept('{'):
		return r.skipList(n, depth, '}')
	case r.accept('['):
		return r.skipList(n, depth, ']')
	}
	_, all := digits(r.body[r.at:])
	if all == 0 {
		return r.fail(n.path, "a value", "")
	}
	if r.at += all; r.at < len(r.body) && r.body[r.at]|0x20 == 'e' {
		r.at++
		if r.at < len(r.body) && (r.body[r.at] == '+' || r.body[r.at] == '-') {
			r.at++
		}
		from := r.at
		for r.at < len(r.body) && r.body[r.at] >= '0' && r.body[r.at] <= '9' {
			r.at++
		}
		if r.at == from {
			return r.fail(n.path, "digits of an exponent", "")
		}
	}
	return nil
}

func (r *jsonReader) skipList(n *node, depth int, end byte) error {
	if r.space(); r.accept(end) {
		return nil
	}
	for {
		if end == '}' {
			if _, err := r.text(nil, n.path); err != nil {
				return err
			}
			if r.space(); !r.accept(':') {
				return r.fail(n.path, `":"`, "")
			}
			r.space()
		}
		if err := r.skip(n, depth+1); err != nil {
			return err
		}
		r.space()
		if r.accept(end) {
			return nil
		}
		if !r.accept(',') {
			return r.fail(n.path, fmt.Sprintf("%q or %q", ',', end), "")
		}
		r.space()
	}
}
