package iso8583

import (
	"fmt"

	"qianzhi/protocol"
)

// parts writes the parts of a field and returns the units of the whole.
func (w *writer) parts(f *field) (units int, err error) {
	p, from := f.parts, len(w.dst)
	switch p.kind {
	case digitwise:
		return w.digits(f)
	case tagged, ber:
		err = w.tagged(f)
	case mapped:
		err = w.mapped(f)
	default:
		err = w.positional(f)
	}
	return len(w.dst) - from, err
}

// has reports whether the record holds the field or a part of it.
func (f *field) has(rec *protocol.Record) bool {
	if len(f.cases) > 0 {
		f = f.pick(rec)
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

// positional writes parts up to the last one that is there. A text that is
// missing before it is written as blanks.
func (w *writer) positional(f *field) error {
	p, end := f.parts, 0
	for k := range p.sub {
		if p.sub[k].has(w.rec) {
			end = k + 1
		}
	}
	for k := range p.sub[:end] {
		if err := w.part(&p.sub[k]); err != nil {
			return err
		}
	}
	rest := -1
	if p.rest {
		rest = w.rec.Find(p.other.id)
	}
	if rest < 0 {
		return nil
	}
	n := len(w.rec.Value(rest))
	if n == 0 && end > 0 || n > 0 && end < len(p.sub) && (!p.sub[end].fixed || n >= p.sub[end].size) {
		return p.noRest()
	}
	_, err := w.value(&p.other, rest)
	return err
}

func (w *writer) part(sub *field) error {
	switch {
	case sub.group != nil:
		return w.loop(sub)
	case sub.form == formText && sub.fixed && !sub.has(w.rec):
		for range sub.size {
			w.dst = append(w.dst, ' ')
		}
		return nil
	}
	return w.field(sub)
}

// noRest is the error of a rest that would be read as something else.
func (p *parts) noRest() error {
	return fieldError(p.other.name, -1, "what remains after the parts before it", "more or nothing", "")
}

func (w *writer) loop(f *field) error {
	nodes, turns := w.rec.Nodes(), 0
	for g := range nodes {
		if nodes[g].ID != f.id || nodes[g].Parent != 0 {
			continue
		}
		if turns++; turns > f.group.max {
			return fieldError(f.name, -1, fmt.Sprintf("at most %d turns", f.group.max), "more", "")
		}
		at := len(w.dst)
		for i := range f.group.sub {
			sub := &f.group.sub[i]
			child := w.rec.Child(g, sub.id)
			if child < 0 {
				return fieldError(sub.name, -1, sub.want(), "none", "")
			}
			if _, err := w.value(sub, child); err != nil {
				return err
			}
		}
		w.rec.Span(g, at-w.base, len(w.dst)-at)
		w.left--
	}
	return nil
}

// digits gathers the digits of all parts behind dst and packs them in place:
// writing stays behind reading.
func (w *writer) digits(f *field) (units int, err error) {
	p, from, whole := f.parts, len(w.dst), 0
	for whole < len(p.sub) && w.rec.Find(p.sub[whole].id) >= 0 {
		units += p.sub[whole].len
		whole++
	}
	rest := -1
	if p.rest {
		rest = w.rec.Find(p.other.id)
	}
	if rest >= 0 {
		n := len(w.rec.Value(rest))
		if n == 0 && whole > 0 || whole < len(p.sub) && n >= p.sub[whole].len {
			return 0, p.noRest()
		}
		units += n
	}
	odd, skip := f.odd, 0
	if f.form == formPacked && odd.Right {
		skip = units & 1
	}
	for k := range whole {
		w.digitPart(f, &p.sub[k], w.rec.Find(p.sub[k].id), from, skip)
	}
	if rest >= 0 {
		w.digitPart(f, &p.other, rest, from, skip)
	}
	ok := len(w.dst)-from == units
	if f.form != formPacked {
		ok = ok && f.class.holds(w.dst[from:])
	} else if ok {
		if f.any {
			if odd.Pad, err = w.padOf(f, from, units); err != nil {
				return 0, err
			}
		}
		w.dst, ok = f.set.AppendBCD(w.dst[:from], w.dst[from:], odd)
	}
	if !ok {
		return 0, fieldError(f.name, -1, "parts of digits, none longer than its place", "others", "")
	}
	return units, nil
}

// digitPart writes node i as digits of the value that begins at from.
func (w *writer) digitPart(f, sub *field, i, from, skip int) {
	n, at := &w.nodes[i], len(w.dst)
	val := w.arena[n.At : n.At+n.Len]
	w.dst = append(sub.fill(w.dst, val), val...)
	place, size := f.place(from-w.base, skip+at-from, len(w.dst)-at)
	n.From, n.Size = uint32(place), uint32(size)
	w.left--
}

// tagged writes elements in the order of the record.
func (w *writer) tagged(f *field) error {
	p := f.parts
	nodes, written, bare := w.rec.Nodes(), 0, false
	for i := range nodes {
		k := p.which(nodes[i].ID)
		if k == noPart || nodes[i].Parent != 0 {
			continue
		}
		if k == otherPart {
			bare = bare || !p.keeps(w.rec.Value(i))
		}
		if err := w.element(p, k, i); err != nil {
			return err
		}
		written++
	}
	if bare && (written > 1 || !p.alone(w.rec.Value(w.rec.Find(p.other.id)))) {
		return fieldError(p.other.name, -1, "one whole element with a tag that is not in the link file", "other bytes", "")
	}
	return nil
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

// noPart and otherPart stand beside the indices of parts.
const (
	noPart    = -2
	otherPart = -1
)

// which returns the part that a layout id belongs to.
func (p *parts) which(id uint16) int {
	if id == p.other.id {
		return otherPart
	}
	for k := range p.sub {
		if p.sub[k].id == id {
			return k
		}
	}
	return noPart
}

// element writes node i as part k.
func (w *writer) element(p *parts, k, i int) error {
	if k == otherPart {
		_, err := w.value(&p.other, i)
		return err
	}
	sub, at := &p.sub[k], len(w.dst)
	w.tag(p.keys[k], p.tag)
	// The length of the value is known when it was written: it goes behind the
	// tag afterwards, and the value moves if the length is a long one.
	size := p.size.size
	if p.kind == ber {
		size = 1
	}
	for range size {
		w.dst = append(w.dst, 0)
	}
	from := len(w.dst)
	units, err := w.value(sub, i)
	if err != nil {
		return err
	}
	n := len(w.dst) - from
	if again, ok := sub.units(w.dst[from:]); !ok || again != units || units < sub.min || units > sub.len {
		return fieldError(sub.name, -1, sub.want(), fmt.Sprintf("%d", units), "")
	}
	if p.kind == tagged {
		if !p.size.put(w.dst[from-size:from], n) {
			return fieldError(sub.name, at-w.base, p.size.String(), fmt.Sprintf("%d", n), "")
		}
		return nil
	}
	w.berLength(from, n)
	w.rec.Span(i, len(w.dst)-n-w.base, n)
	return nil
}

func (w *writer) tag(key uint32, chars int) {
	size := chars
	for n := 4; size == 0; n-- { // BER: as many bytes as the number needs
		if n == 1 || key>>(8*(n-1)) != 0 {
			size = n
		}
	}
	for shift := 8 * (size - 1); shift >= 0; shift -= 8 {
		w.dst = append(w.dst, byte(key>>shift))
	}
}

// berLength writes the length n of the value that begins at from, before which
// one byte is free.
func (w *writer) berLength(from, n int) {
	if n < 0x80 {
		w.dst[from-1] = byte(n)
		return
	}
	extra := 1
	for n>>(8*extra) != 0 {
		extra++
	}
	var more [4]byte
	w.dst = append(w.dst, more[:extra]...)
	copy(w.dst[from+extra:], w.dst[from:from+n])
	w.dst[from-1] = 0x80 | byte(extra)
	for j := range extra {
		w.dst[from+j] = byte(n >> (8 * (extra - 1 - j)))
	}
}

func (w *writer) mapped(f *field) error {
	p, from := f.parts, len(w.dst)
	for range p.tag {
		w.dst = append(w.dst, 0)
	}
	for k := range p.sub {
		if !p.sub[k].has(w.rec) {
			continue
		}
		n := int(p.keys[k]) - 1
		w.dst[from+n/8] |= 0x80 >> (n % 8)
		if err := w.field(&p.sub[k]); err != nil {
			return err
		}
	}
	return nil
}
