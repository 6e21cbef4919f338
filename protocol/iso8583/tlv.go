package iso8583

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// element is one tag, length and value.
type element struct {
	part     int // index of the part, -1 for one that is kept as other
	from, to int // of the value, counted from the element's start
}

// step reads the element that b begins with. why is empty when it is whole.
func (p *parts) step(b []byte) (e element, why string) {
	if p.kind == ber {
		return p.stepBER(b)
	}
	if len(b) < p.tag+p.size.size {
		return e, "an element that is whole"
	}
	if !p.spells(b[:p.tag]) {
		return e, fmt.Sprintf("a tag of %d %s", p.tag, p.tagUnits())
	}
	n, ok := p.size.read(b[p.tag : p.tag+p.size.size])
	if !ok {
		return e, "a number as length"
	}
	e.part, e.from = p.find(number(b[:p.tag])), p.tag+p.size.size
	if e.to = e.from + n; n > len(b)-e.from {
		return e, "as many bytes as the length says"
	}
	return e, ""
}

// spells reports whether b can be a tag.
func (p *parts) spells(b []byte) bool {
	for _, c := range b {
		if p.tags == codeASCII && (c <= ' ' || c >= 0x7F) || p.tags == codeBCD && (c>>4 > 9 || c&15 > 9) {
			return false
		}
	}
	return true
}

// tagUnits says what a tag is made of.
func (p *parts) tagUnits() string {
	return [...]string{codeBCD: "bytes of digits", codeASCII: "printable characters", codeBinary: "bytes"}[p.tags]
}

// tagOf returns the bytes of the tag that a part is named by, nil when the name
// is none.
func (p *parts) tagOf(name string) []byte {
	if p.tags == codeASCII {
		return []byte(name)
	}
	b, err := hex.DecodeString(name)
	if err != nil || strings.ToUpper(name) != name {
		return nil
	}
	return b
}

// stepBER reads a BER element. Filling zeros and lengths that are longer than
// needed are legal but would be lost: these elements are kept whole.
func (p *parts) stepBER(b []byte) (e element, why string) {
	if b[0] == 0 {
		return element{part: -1, to: 1}, ""
	}
	t := tagSize(b)
	if t == 0 {
		return e, "a tag of at most 4 bytes"
	}
	e.part = p.find(number(b[:t]))
	if len(b) == t {
		return e, "a length"
	}
	n, used := int(b[t]), 1
	if n >= 0x80 {
		used += n & 0x7F
		if n == 0x80 || used > 5 {
			return e, "a length of 1 to 4 bytes"
		}
		if len(b) < t+used {
			return e, "a length that is whole"
		}
		n = int(number(b[t+1 : t+used]))
		if n < 0x80 || b[t+1] == 0 {
			e.part = -1
		}
	}
	e.from = t + used
	if n > len(b)-e.from {
		return e, "as many bytes as the length says"
	}
	e.to = e.from + n
	return e, ""
}

// tagSize returns the size of the BER tag that b begins with, 0 when it is not
// whole or longer than four bytes.
func tagSize(b []byte) int {
	if b[0]&0x1F != 0x1F {
		return 1
	}
	for i := 1; i < len(b) && i < 4; i++ {
		if b[i]&0x80 == 0 {
			return i + 1
		}
	}
	return 0
}

// scans reports whether b is made of whole elements.
func (p *parts) scans(b []byte) bool {
	for len(b) > 0 {
		e, why := p.step(b)
		if why != "" {
			return false
		}
		b = b[e.to:]
	}
	return true
}

func (r *reader) tagged(f *field) error {
	p, from := f.parts, r.at
	if p.loose && !p.scans(r.b[from:]) {
		r.at = len(r.b)
		return r.keep(p, from)
	}
	for r.at < len(r.b) {
		at, b := r.at, r.b[r.at:]
		e, why := p.step(b)
		if why != "" {
			return fieldError(p.path(f, b), at, why, fmt.Sprintf("%d bytes left", len(b)), "a length inside the field is wrong")
		}
		sub, raw := &p.other, b[:e.to]
		if e.part >= 0 {
			sub, raw = &p.sub[e.part], raw[e.from:]
		}
		if err := r.element(sub, raw, at+e.to); err != nil {
			return err
		}
	}
	return nil
}

// element reads the value of an element, or one that is kept whole, up to to.
func (r *reader) element(sub *field, raw []byte, to int) error {
	if len(sub.cases) > 0 {
		sub = sub.formOf(r.usage(sub))
	}
	units, ok := sub.units(raw)
	if !ok || units < sub.min || units > sub.len {
		return fieldError(sub.name, r.at, sub.want(), fmt.Sprintf("%d bytes", len(raw)), "")
	}
	at := r.at
	if r.at = to; sub.parts == nil {
		return r.value(sub, raw, to-len(raw), units, -1)
	}
	for id := sub.from; id < sub.to; id++ {
		if r.first[id] != 0 {
			return fieldError(sub.name, at, "each element that has parts once", "a second one", "")
		}
	}
	return r.parts(sub, to-len(raw), units)
}

// path names the element that b begins with, as far as its tag can be read.
func (p *parts) path(f *field, b []byte) string {
	switch n := min(p.tag, len(b)); {
	case p.kind == ber && tagSize(b) > 0:
		return fmt.Sprintf("%s.%X", f.name, b[:tagSize(b)])
	case p.kind == tagged && n == p.tag && p.spells(b[:n]):
		return f.name + "." + p.tagName(b[:n])
	}
	return f.name
}

// tagName is the name of a part with the tag.
func (p *parts) tagName(tag []byte) string {
	if p.tags == codeASCII {
		return string(tag)
	}
	return fmt.Sprintf("%X", tag)
}
