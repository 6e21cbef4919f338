package markup

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// xmlScanner reads the parts of XML: tags, attributes, text. Every byte that
// means something to XML is below 40, where no charset of GB18030 has second
// bytes of characters, except those of "]]>" and in words.
type xmlScanner struct {
	body    []byte
	at      int
	charset text.Charset
	binds   [16]binding // namespaces in force, innermost last
	bound   int
}

// binding ties a prefix to a namespace from some element inwards.
type binding struct{ prefix, uri []byte }

// tag is an opening tag.
type tag struct {
	from   int    // of its "<"
	name   []byte // as written
	local  []byte
	space  []byte
	attrs  int  // where attributes start
	others bool // there are attributes beside namespaces
	empty  bool // it closes itself
	bound  int  // bindings in force outside
}

func (r *xmlScanner) fail(path, want, hint string) error {
	got := "the end of the body"
	if r.at < len(r.body) {
		got = protocol.Hex(r.body[r.at:r.at+1], 1)
		if ch := r.body[r.at]; ch > ' ' && ch < 0x7F {
			got = fmt.Sprintf("%q", ch)
		}
	}
	return fail(path, r.at, want, got, hint)
}

func (r *xmlScanner) accept(s string) bool {
	if len(r.body)-r.at < len(s) || string(r.body[r.at:r.at+len(s)]) != s {
		return false
	}
	r.at += len(s)
	return true
}

func (r *xmlScanner) space() bool {
	from := r.at
	for r.at < len(r.body) {
		switch r.body[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
			continue
		}
		break
	}
	return r.at > from
}

// between passes over white space and comments.
func (r *xmlScanner) between(path string) error {
	for {
		r.space()
		if more, err := r.comment(path); !more || err != nil {
			return err
		}
	}
}

// comment passes over a comment and reports whether there was one.
func (r *xmlScanner) comment(path string) (bool, error) {
	if !r.accept("<!--") {
		return false, nil
	}
	i := bytes.Index(r.body[r.at:], []byte("--"))
	if i < 0 {
		r.at = len(r.body)
		return false, r.fail(path, "the end of the comment", "")
	}
	r.at += i + 2
	if !r.accept(">") {
		return false, r.fail(path, `">" behind "--"`, "")
	}
	return true, nil
}

// prologue reads what stands before the root element. The encoding that the
// declaration names must be the link's; without one the link's is taken.
func (r *xmlScanner) prologue() error {
	if r.charset == text.UTF8 {
		r.accept("\xEF\xBB\xBF")
	}
	if r.accept("<?xml") {
		for r.space() && r.at < len(r.body) && r.body[r.at] != '?' {
			from := r.at
			name, val, err := r.attribute("")
			if err != nil {
				return err
			}
			v := r.body[val[0]:val[1]]
			switch {
			case string(name) == "version" && string(v) == "1.0", string(name) == "standalone":
			case string(name) == "encoding" && r.encoding(v):
			default:
				return fail("", from, "version 1.0 and encoding "+xmlEncodings[r.charset], fmt.Sprintf("%.32q", v), "")
			}
		}
		if !r.accept("?>") {
			return r.fail("", "the end of the declaration", "")
		}
	}
	return r.between("")
}

func (r *xmlScanner) encoding(name []byte) bool {
	return strings.EqualFold(string(name), xmlEncodings[r.charset]) || r.charset != text.UTF8 && strings.EqualFold(string(name), "gb2312")
}

// name reads a name as written.
func (r *xmlScanner) name(path string) ([]byte, error) {
	from := r.at
	for r.at < len(r.body) {
		switch ch := r.body[r.at]; {
		case ch >= utf8.RuneSelf:
			n := r.charset.Char(r.body[r.at:])
			if n == 0 {
				return nil, r.fail(path, "a character of "+r.charset.String(), "")
			}
			r.at += n
			continue
		case ch|0x20 >= 'a' && ch|0x20 <= 'z' || ch == '_' || ch == ':',
			r.at > from && (ch >= '0' && ch <= '9' || ch == '-' || ch == '.'):
			r.at++
			continue
		}
		break
	}
	if r.at == from {
		return nil, r.fail(path, "a name", "document types, entities and processing instructions are refused")
	}
	return r.body[from:r.at], nil
}

// attribute reads name, "=" and the bounds of the value between its quotes.
func (r *xmlScanner) attribute(path string) (name []byte, val [2]int, err error) {
	if name, err = r.name(path); err != nil {
		return nil, val, err
	}
	r.space()
	if !r.accept("=") {
		return nil, val, r.fail(path, `"="`, "")
	}
	r.space()
	if r.at == len(r.body) || r.body[r.at] != '"' && r.body[r.at] != '\'' {
		return nil, val, r.fail(path, "a value in quotes", "")
	}
	quote := r.body[r.at]
	r.at++
	val[0] = r.at
	for r.at < len(r.body) && r.body[r.at] != quote && r.body[r.at] != '<' {
		r.at++
	}
	val[1] = r.at
	if r.at == len(r.body) || r.body[r.at] == '<' {
		return nil, val, r.fail(path, "the closing quote", "")
	}
	r.at++
	return name, val, nil
}

// tag reads an opening tag up to its end and resolves its name. Attributes
// are only looked at for namespaces.
func (r *xmlScanner) tag(path string) (t tag, err error) {
	t.from, t.bound = r.at, r.bound
	if !r.accept("<") {
		return t, r.fail(path, "an element", "")
	}
	if t.name, err = r.name(path); err != nil {
		return t, err
	}
	t.attrs = r.at
	for {
		spaced := r.space()
		if t.empty = r.accept("/>"); t.empty || r.accept(">") {
			break
		}
		if !spaced {
			return t, r.fail(path, `">" or a space`, "")
		}
		from := r.at
		name, val, err := r.attribute(path)
		if err != nil {
			return t, err
		}
		prefix, isSpace := namespace(name)
		if !isSpace {
			t.others = true
			continue
		}
		if err := r.bind(prefix, r.body[val[0]:val[1]], t.bound, from); err != nil {
			return t, err
		}
	}
	prefix, local := split(t.name)
	t.local = local
	t.space, err = r.resolve(prefix, path, t.from+1)
	return t, err
}

// namespace tells xmlns and xmlns:prefix from other attributes.
func namespace(name []byte) (prefix []byte, ok bool) {
	if string(name) == "xmlns" {
		return nil, true
	}
	return bytes.CutPrefix(name, []byte("xmlns:"))
}

// split cuts a name at its colon.
func split(name []byte) (prefix, local []byte) {
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return nil, name
}

func (r *xmlScanner) bind(prefix, uri []byte, outside, at int) error {
	for i := outside; i < r.bound; i++ {
		if bytes.Equal(r.binds[i].prefix, prefix) {
			return fail("", at, "each prefix once", "a second one", "")
		}
	}
	switch {
	case r.bound == len(r.binds):
		return fail("", at, fmt.Sprintf("at most %d namespaces", len(r.binds)), "more", "")
	case bytes.IndexByte(uri, '&') >= 0 || len(prefix) > 0 && len(uri) == 0:
		return fail("", at, "a plain namespace", "another", "")
	}
	r.binds[r.bound] = binding{prefix, uri}
	r.bound++
	return nil
}

// resolve returns the namespace of a prefix, nil for none.
func (r *xmlScanner) resolve(prefix []byte, path string, at int) ([]byte, error) {
	for i := r.bound - 1; i >= 0; i-- {
		if bytes.Equal(r.binds[i].prefix, prefix) {
			return r.binds[i].uri, nil
		}
	}
	if len(prefix) == 0 || string(prefix) == "xml" {
		return nil, nil
	}
	return nil, fail(path, at, "a prefix that is bound to a namespace", fmt.Sprintf("%.32q", prefix), "")
}

// closing reads the closing tag.
func (r *xmlScanner) closing(t *tag, path string) error {
	if !r.accept("</") {
		return r.fail(path, "the closing tag", "")
	}
	from := r.at
	name, err := r.name(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(name, t.name) {
		return fail(path, from, fmt.Sprintf("the closing tag of %.32q", t.name), fmt.Sprintf("%.32q", name), "")
	}
	if r.space(); !r.accept(">") {
		return r.fail(path, `">"`, "")
	}
	return nil
}

// text appends the content of an element that has no elements, up to the next
// tag.
func (r *xmlScanner) text(dst []byte, path string) ([]byte, error) {
	for {
		var err error
		if dst, err = r.chars(dst, len(r.body), path, false); err != nil {
			return dst, err
		}
		if r.accept("<![CDATA[") {
			if dst, err = r.cdata(dst, path); err != nil {
				return dst, err
			}
			continue
		}
		if more, err := r.comment(path); !more || err != nil {
			return dst, err
		}
	}
}

// chars appends text up to a "<" or byte end. In attributes white space
// becomes blanks, as XML has it; elsewhere line ends become line feeds.
func (r *xmlScanner) chars(dst []byte, end int, path string, attr bool) ([]byte, error) {
	for r.at < end && r.body[r.at] != '<' {
		if r.body[r.at] == '&' {
			ch, size := entity(r.body[r.at:end])
			if size == 0 {
				return dst, r.fail(path, "an entity of XML or a character reference", "entities of a document type are refused")
			}
			dst = utf8.AppendRune(dst, ch)
			r.at += size
			continue
		}
		from := r.at
		for r.at < end && r.body[r.at] >= ' ' && r.body[r.at] != '<' && r.body[r.at] != '&' {
			r.at++
		}
		var err error
		if dst, err = r.charset.Read(dst, r.body[from:r.at]); err != nil {
			r.at = from + int(err.(text.BadChar))
			return dst, r.fail(path, "a character of "+r.charset.String(), "")
		}
		if r.at < end && r.body[r.at] < ' ' {
			ch, err := r.white(path)
			if err != nil {
				return dst, err
			}
			if attr {
				ch = ' '
			}
			dst = append(dst, ch)
		}
	}
	return dst, nil
}

// white reads a control character that XML allows.
func (r *xmlScanner) white(path string) (byte, error) {
	ch := r.body[r.at]
	switch ch {
	case '\t', '\n':
	case '\r':
		ch = '\n'
		if r.at+1 < len(r.body) && r.body[r.at+1] == '\n' {
			r.at++
		}
	default:
		return 0, r.fail(path, "no control characters", "")
	}
	r.at++
	return ch, nil
}

// cdata appends the rest of a CDATA section. In GBK a "]" can be the second
// byte of a character, so it goes character by character.
func (r *xmlScanner) cdata(dst []byte, path string) ([]byte, error) {
	for r.at < len(r.body) {
		if r.accept("]]>") {
			return dst, nil
		}
		if r.body[r.at] < ' ' {
			ch, err := r.white(path)
			if err != nil {
				return dst, err
			}
			dst = append(dst, ch)
			continue
		}
		n := r.charset.Char(r.body[r.at:])
		if n == 0 {
			return dst, r.fail(path, "a character of "+r.charset.String(), "")
		}
		dst, _ = r.charset.Read(dst, r.body[r.at:r.at+n])
		r.at += n
	}
	return dst, r.fail(path, "the end of the CDATA section", "")
}

// entity reads the reference at the start of b; size 0 is an error.
func entity(b []byte) (ch rune, size int) {
	end := bytes.IndexByte(b[:min(len(b), 12)], ';')
	if end < 0 {
		return 0, 0
	}
	switch name := string(b[1:end]); name {
	case "lt":
		return '<', end + 1
	case "gt":
		return '>', end + 1
	case "amp":
		return '&', end + 1
	case "quot":
		return '"', end + 1
	case "apos":
		return '\'', end + 1
	}
	if len(b) < 4 || b[1] != '#' {
		return 0, 0
	}
	digits, base := b[2:end], rune(10)
	if len(digits) > 0 && digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	for _, d := range digits {
		v := rune(base)
		switch {
		case d >= '0' && d <= '9':
			v = rune(d - '0')
		case d|0x20 >= 'a' && d|0x20 <= 'f':
			v = rune(d|0x20-'a') + 10
		}
		if v >= base {
			return 0, 0
		}
		if ch = ch*base + v; ch > utf8.MaxRune {
			return 0, 0
		}
	}
	if len(digits) == 0 || !utf8.ValidRune(ch) || ch < ' ' && ch != '\t' && ch != '\n' && ch != '\r' {
		return 0, 0
	}
	return ch, end + 1
}
