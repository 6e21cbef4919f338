package iso8583

import (
	"fmt"
	"math/bits"
	"slices"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// parts writes the parts of a field and returns the units of the whole.
func (w *writer) parts(dst []byte, f *field) (out []byte, units int, err error) {
	from := len(dst)
	switch f.parts.kind {
	case digitwise:
		return w.digits(dst, f)
	case tagged, ber:
		dst, err = w.tagged(dst, f.parts)
	case mapped:
		dst, err = w.mapped(dst, f.parts)
	default:
		dst, err = w.positional(dst, f)
	}
	return dst, len(dst) - from, err
}

// has reports whether the record holds the field or a part of it.
func (f *field) has(rec *protocol.Record) bool {
	if len(f.cases) > 0 {
		f = f.formOf(f.usage(rec))
	}
	if f.parts == nil {
		return rec.Find(f.id) >= 0
	}
	for i := range f.parts.sub {
		if f.parts.sub[i].has(rec) {
			return true
		}
	}
	return f.parts.rest && rec.Find(f.parts.other.id) >= 0
}

// positional writes parts up to the last one that is there, all of them where
// the length is fixed. A text that is missing is written as blanks.
func (w *writer) positional(dst []byte, f *field) ([]byte, error) {
	p, end := f.parts, 0
	for k := range p.sub {
		if p.sub[k].has(w.rec) {
			end = k + 1
		}
	}
	if f.fixed {
		end = len(p.sub)
	}
	var err error
	for k := range p.sub[:end] {
		switch sub := &p.sub[k]; {
		case sub.group != nil:
			dst, err = w.loop(dst, sub)
		case sub.counts != nil:
			dst, err = w.count(dst, sub)
		case sub.form == formText && sub.fixed && !sub.has(w.rec):
			dst, _ = sub.appendText(dst, nil)
		default:
			dst, err = w.field(dst, sub)
		}
		if err != nil {
			return nil, err
		}
	}
	if !p.rest {
		return dst, nil
	}
	rest := w.rec.Find(p.other.id)
	if rest < 0 {
		return dst, nil
	}
	n := len(w.rec.Value(rest))
	if n == 0 && end > 0 || n > 0 && end < len(p.sub) && (!p.sub[end].fixed || n >= p.sub[end].size) {
		return nil, p.noRest()
	}
	dst, _, err = w.value(dst, &p.other, rest)
	return dst, err
}

// noRest is the error of a rest that would be read as something else.
func (p *parts) noRest() error {
	return fieldError(p.other.name, -1, "what remains after the parts before it", "more or nothing", "")
}

// count writes how many turns the loop has, whatever the record says.
func (w *writer) count(dst []byte, f *field) ([]byte, error) {
	turns := 0
	for i := range w.nodes {
		if w.nodes[i].ID == *f.counts && w.nodes[i].Parent == 0 {
			turns++
		}
	}
	from := len(dst)
	dst, ok := text.AppendUint(dst, uint64(turns), f.len)
	if ok && f.form == formPacked {
		dst, ok = f.set.AppendBCD(dst[:from], dst[from:], f.odd)
	}
	if !ok {
		return nil, fieldError(f.name, -1, f.want(), fmt.Sprintf("%d turns", turns), "")
	}
	if i := w.find(f.id); i >= 0 {
		w.rec.Span(i, from-w.base, len(dst)-from)
		w.left--
	}
	return dst, nil
}

// child writes a part of a turn, which stands at node i.
func (w *writer) child(dst []byte, f *field, i int) ([]byte, error) {
	at := len(dst)
	if !f.fixed {
		dst = append(dst, "\x00\x00\x00\x00\x00\x00"[:f.prefix.size]...)
	}
	dst, units, err := w.value(dst, f, i)
	switch {
	case err != nil:
		return nil, err
	case f.fixed:
		return dst, nil
	case units < f.min || units > f.len:
		return nil, fieldError(f.name, -1, f.want(), fmt.Sprintf("%d", units), "")
	}
	return dst, f.putLength(dst[at:], units)
}

func (w *writer) loop(dst []byte, f *field) ([]byte, error) {
	turns, err := 0, error(nil)
	for g := range w.nodes {
		if w.nodes[g].ID != f.id || w.nodes[g].Parent != 0 {
			continue
		}
		if turns++; turns > f.group.max {
			return nil, fieldError(f.name, -1, fmt.Sprintf("at most %d turns", f.group.max), "more", "")
		}
		at := len(dst)
		for i := range f.group.sub {
			sub := &f.group.sub[i]
			child := w.rec.Child(g, sub.id)
			if child < 0 {
				return nil, fieldError(sub.name, -1, sub.want(), "none", "")
			}
			if dst, err = w.child(dst, sub, child); err != nil {
				return nil, err
			}
		}
		w.rec.Span(g, at-w.base, len(dst)-at)
		w.left--
	}
	return dst, nil
}

// digits gathers the digits of all parts behind dst and packs them in place:
// writing stays behind reading.
func (w *writer) digits(dst []byte, f *field) (out []byte, units int, err error) {
	p, from, whole, rest := f.parts, len(dst), 0, -1
	for whole < len(p.sub) && w.rec.Find(p.sub[whole].id) >= 0 {
		units += p.sub[whole].len
		whole++
	}
	if p.rest {
		rest = w.rec.Find(p.other.id)
	}
	if rest >= 0 {
		n := len(w.rec.Value(rest))
		if n == 0 && whole > 0 || whole < len(p.sub) && n >= p.sub[whole].len {
			return nil, 0, p.noRest()
		}
		units += n
	}
	odd, skip := f.odd, 0
	if f.form == formPacked && odd.Right {
		skip = units & 1
	}
	for k := range whole {
		dst = w.digitPart(dst, f, &p.sub[k], w.find(p.sub[k].id), from, skip)
	}
	if rest >= 0 {
		dst = w.digitPart(dst, f, &p.other, rest, from, skip)
	}
	ok := len(dst)-from == units
	if f.form != formPacked {
		ok = ok && f.class.holds(dst[from:])
	} else if ok {
		if f.any {
			if odd.Pad, err = w.padOf(f, from, units); err != nil {
				return nil, 0, err
			}
		}
		dst, ok = f.set.AppendBCD(dst[:from], dst[from:], odd)
	}
	if !ok {
		return nil, 0, fieldError(f.name, -1, "parts of digits, none longer than its place", "others", "")
	}
	return dst, units, nil
}

// digitPart writes node i as digits of the value that begins at from.
func (w *writer) digitPart(dst []byte, f, sub *field, i, from, skip int) []byte {
	n, at := &w.nodes[i], len(dst)
	val := w.arena[n.At : n.At+n.Len]
	dst = append(sub.fill(dst, val), val...)
	place, size := f.place(from-w.base, skip+at-from, len(dst)-at)
	n.From, n.Size = uint32(place), uint32(size)
	w.left--
	return dst
}

// tagged writes elements in the order of the record.
func (w *writer) tagged(dst []byte, p *parts) ([]byte, error) {
	written, bare, err := 0, false, error(nil)
	for i := range w.nodes {
		k := p.which(w.nodes[i].ID)
		if k == noPart || w.nodes[i].Parent != 0 {
			continue
		}
		switch {
		case k == otherPart:
			bare = bare || !p.keeps(w.rec.Value(i))
		case p.sub[k].whole() && w.begun(p, k, i): // it was written with its first value
			continue
		}
		if dst, err = w.element(dst, p, k, i); err != nil {
			return nil, err
		}
		written++
	}
	if bare && (written > 1 || !p.alone(w.rec.Value(w.rec.Find(p.other.id)))) {
		return nil, fieldError(p.other.name, -1, "one whole element with a tag that is not in the link file", "other bytes", "")
	}
	return dst, nil
}

// keeps reports whether b is one element that is kept as other.
func (p *parts) keeps(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	e, why := p.step(b)
	return why == "" && e.part < 0 && e.to == len(b)
}

// alone reports whether b may be a whole value that is kept as other.
func (p *parts) alone(b []byte) bool { return len(b) == 0 || p.loose && !p.scans(b) }

// whole reports whether an element is written with all of its values at once,
// because one of its forms has parts.
func (f *field) whole() bool {
	return f.parts != nil || slices.ContainsFunc(f.cases, func(u usage) bool { return u.as.parts != nil })
}

// begun reports whether a value of part k stands before node i.
func (w *writer) begun(p *parts, k, i int) bool {
	for i--; i >= 0; i-- { // as a rule the one before it
		if p.which(w.nodes[i].ID) == k {
			return true
		}
	}
	return false
}

// element writes node i as part k. The length is known when the value was
// written: it is filled in afterwards, and the value moves if BER needs more
// than one byte.
func (w *writer) element(dst []byte, p *parts, k, i int) ([]byte, error) {
	if k == otherPart {
		dst, _, err := w.value(dst, &p.other, i)
		return dst, err
	}
	sub, size := &p.sub[k], p.size.size
	if p.kind == ber {
		size = 1
	}
	if len(sub.cases) > 0 {
		sub = sub.formOf(sub.usage(w.rec))
	}
	dst = append(appendTag(dst, p.keys[k], p.tag), "\x00\x00\x00\x00\x00\x00"[:size]...)
	from := len(dst)
	var units int
	var err error
	switch {
	case sub.parts != nil:
		dst, units, err = w.parts(dst, sub)
	case w.nodes[i].ID != sub.id:
		err = fieldError(sub.name, -1, "a value of this form", "another", "the forms of a field are chosen by cases of the link file")
	default:
		dst, units, err = w.value(dst, sub, i)
	}
	if err != nil {
		return nil, err
	}
	n := len(dst) - from
	if again, ok := sub.units(dst[from:]); !ok || again != units || units < sub.min || units > sub.len {
		return nil, fieldError(sub.name, -1, sub.want(), fmt.Sprintf("%d", units), "")
	}
	if p.kind == ber {
		return w.berLength(dst, sub, from), nil
	}
	if !p.size.put(dst[from-size:from], n) {
		return nil, fieldError(sub.name, -1, p.size.String(), fmt.Sprintf("%d", n), "")
	}
	return dst, nil
}

// appendTag writes a tag of so many characters, or for 0 of as many bytes as
// the number needs.
func appendTag(dst []byte, key uint32, chars int) []byte {
	if chars == 0 {
		chars = max(1, (bits.Len32(key)+7)/8)
	}
	for shift := 8 * (chars - 1); shift >= 0; shift -= 8 {
		dst = append(dst, byte(key>>shift))
	}
	return dst
}

// berLength writes the length of the value of sub that goes from from to the
// end, before which one byte is free.
func (w *writer) berLength(dst []byte, sub *field, from int) []byte {
	n := len(dst) - from
	if n < 0x80 {
		dst[from-1] = byte(n)
		return dst
	}
	extra := (bits.Len(uint(n)) + 7) / 8
	dst[from-1] = 0x80 | byte(extra)
	dst = append(dst, "\x00\x00\x00\x00"[:extra]...)
	copy(dst[from+extra:], dst[from:from+n])
	text.AppendBinary(dst[:from], uint64(n), extra, false)
	for i := range w.nodes { // what stands within has moved too
		at := &w.nodes[i]
		if at.ID >= sub.from && at.ID < sub.to && int(at.From) >= from-w.base && int(at.From) <= from-w.base+n {
			at.From += uint32(extra)
		}
	}
	return dst
}

func (w *writer) mapped(dst []byte, p *parts) ([]byte, error) {
	from, err := len(dst), error(nil)
	for range p.tag {
		dst = append(dst, 0)
	}
	for k := range p.sub {
		if !p.sub[k].has(w.rec) {
			continue
		}
		n := int(p.keys[k]) - 1
		dst[from+n/8] |= 0x80 >> (n % 8)
		if dst, err = w.field(dst, &p.sub[k]); err != nil {
			return nil, err
		}
	}
	return dst, nil
}
