package iso8583

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"qianzhi/gateway/pay"
)

type partsKind uint8

const (
	positional partsKind = iota
	digitwise            // positional within digits
	tagged               // tag, length, value
	ber                  // the same as chip cards do it
	mapped               // behind a bitmap of its own
)

// parts is the compiled form of Parts.
type parts struct {
	kind  partsKind
	sub   []field
	keys  []uint32 // tagged, ber: tag of each sub; mapped: its bit
	rest  bool     // other is in use
	loose bool
	other field
	tag   int    // tagged: bytes of the tag; mapped: bytes of the map
	tags  coding // tagged: of the tag
	size  prefix // tagged: the length
	first uint16 // layout id that owner begins with
	owner []int16
}

// group is a loop: a run of parts that repeats to the end, or as often as an
// earlier part says.
type group struct {
	sub     []field
	size    int // bytes of one turn, 0 when it varies
	max     int
	counter *field // holds the number of turns, nil: to the end
}

// parts compiles what a value is made of.
func (c *compiler) parts(f *field, d *Field, path string) error {
	p := &parts{tag: d.Parts.Tag, rest: d.Parts.Rest, loose: d.Parts.Loose}
	in := nested{}
	switch d.Parts.Kind {
	case "positional":
		if in.positional = f.form == formNone; !in.positional {
			p.kind, in.digits = digitwise, true
		}
	case "tlv":
		p.kind, in.tagged, p.rest = tagged, true, true
		if err := p.compileTLV(d.Parts); err != nil {
			return err
		}
	case "ber":
		p.kind, in.tagged, p.rest = ber, true, true
	case "bitmap":
		if p.kind, p.tag = mapped, d.Parts.Map; p.tag < 1 || p.tag > 16 {
			return fmt.Errorf("parts.map: want 1 to 16 bytes, got %d", p.tag)
		}
	default:
		return fmt.Errorf("parts.kind: want positional, tlv, ber or bitmap, got %q", d.Parts.Kind)
	}
	switch {
	case d.Type != "" && (d.Type != "n" || p.kind != digitwise):
		return errors.New("type: a value with parts has none, or n when they are positional digits")
	case len(d.Fields) == 0 && !p.rest:
		return errors.New("fields: none")
	case d.Parts.Loose && !in.tagged, d.Parts.Rest && p.kind > digitwise:
		return errors.New("parts: rest is for positional, loose for tlv and ber")
	}
	f.parts, p.first = p, uint16(len(c.fields))
	for i := range d.Fields {
		if err := c.part(f, &d.Fields[i], path, in); err != nil {
			return fmt.Errorf("%s: %w", d.Fields[i].Name, err)
		}
	}
	if !p.rest {
		return nil
	}
	p.other = field{name: path + ".other", mask: f.mask, form: formRaw, len: maxLen}
	if p.kind == digitwise {
		p.other.form, p.other.class = formZoned, classN
	}
	var err error
	p.other.id, err = c.id(p.other.name, "其他", f.mask, false, p.kind != digitwise)
	p.owner = append(p.owner, otherPart)
	return err
}

func (p *parts) compileTLV(d *Parts) error {
	coding, err := parseCoding(d.Code, codeASCII)
	if err != nil {
		return fmt.Errorf("parts.code: %w", err)
	}
	if p.tags, err = parseCoding(d.Tags, codeASCII); err != nil {
		return fmt.Errorf("parts.tag_code: %w", err)
	}
	if p.tag < 1 || p.tag > 4 || d.Size < 1 || d.Size > 6 || coding != codeASCII && d.Size > 3 {
		return errors.New("parts: want tag 1 to 4, size 1 to 6, or to 3 if not ascii")
	}
	p.size = prefix{coding: coding, size: d.Size, limit: maxLen + 1}
	return nil
}

// part compiles one part and what names it on the wire.
func (c *compiler) part(f *field, d *Field, path string, in nested) error {
	p := f.parts
	name := path + "." + d.Name
	var key uint32
	switch p.kind {
	case tagged:
		tag := p.tagOf(d.Name)
		if len(tag) != p.tag || !p.spells(tag) {
			return fmt.Errorf("want a tag of %d %s", p.tag, p.tagUnits())
		}
		key = number(tag)
	case ber:
		b, err := hex.DecodeString(d.Name)
		if err != nil || len(b) == 0 || len(b) != tagSize(b) || strings.ToUpper(d.Name) != d.Name {
			return errors.New("want a tag in upper-case hex")
		}
		key = number(b)
	case mapped:
		n := bitOf(d.Name)
		if n < 1 || n > 8*p.tag || len(p.keys) > 0 && int(p.keys[len(p.keys)-1]) >= n {
			return errors.New("want the numbers of bits in order")
		}
		key = uint32(n)
	}
	if in.tagged && p.find(key) >= 0 {
		return errors.New("stands twice")
	}
	if n := len(p.sub); n > 0 && (p.sub[n-1].group != nil && p.sub[n-1].group.counter == nil || p.sub[n-1].tail) {
		return errors.New("the part before goes to the end: nothing follows it")
	}
	if len(d.Loop) > 0 {
		if p.kind != positional {
			return errors.New("loop: for positional parts only")
		}
		return c.loop(p, d, name, f.mask)
	}
	first := len(c.fields)
	sub, err := c.field(d, name, f.mask, in)
	if err != nil {
		return err
	}
	for id := first; id < len(c.fields); id++ {
		if k := len(p.sub); c.pads[uint16(id)] {
			p.owner = append(p.owner, noPart)
		} else {
			p.owner = append(p.owner, int16(k))
		}
	}
	sub.from, sub.to = uint16(first), uint16(len(c.fields))
	for i := range sub.cases {
		sub.cases[i].as.from, sub.cases[i].as.to = sub.from, sub.to
	}
	p.sub, p.keys = append(p.sub, *sub), append(p.keys, key)
	return nil
}

// which returns the part that a layout id belongs to.
func (p *parts) which(id uint16) int {
	if i := int(id) - int(p.first); i >= 0 && i < len(p.owner) {
		return int(p.owner[i])
	}
	return noPart
}

// noPart and otherPart stand beside the indices of parts.
const (
	noPart    = -2
	otherPart = -1
)

func (c *compiler) loop(p *parts, d *Field, path string, inherited pay.Mask) error {
	if d.Max < 1 || d.Type != "" || d.Parts != nil || d.Len != 0 {
		return errors.New("loop: max is needed, and neither type, len nor parts")
	}
	mask, err := parseMask(d.Mask, inherited)
	if err != nil {
		return err
	}
	out := field{name: path, mask: mask, fixed: true, group: &group{max: d.Max}}
	if err := p.counter(d.Count, &out); err != nil {
		return err
	}
	if out.id, err = c.id(path, d.Title, mask, true, false); err != nil {
		return err
	}
	c.fields[out.id].Max = d.Max
	for i := range d.Loop {
		sub, err := c.field(&d.Loop[i], path+"."+d.Loop[i].Name, mask, nested{loop: true})
		if err != nil {
			return fmt.Errorf("%s: %w", d.Loop[i].Name, err)
		}
		out.group.sub = append(out.group.sub, *sub)
		out.group.size += sub.size
		out.fixed = out.fixed && sub.fixed
	}
	if !out.fixed {
		out.group.size = 0
	}
	if out.size = out.group.size; out.group.counter != nil {
		out.group.counter.counts = &out.id
	}
	p.sub, p.keys = append(p.sub, out), append(p.keys, 0)
	return nil
}

// counter finds the part that holds the number of turns of a loop.
func (p *parts) counter(name string, loop *field) error {
	if name == "" {
		return nil
	}
	for k := range p.sub {
		n := &p.sub[k]
		if !strings.HasSuffix(n.name, "."+name) {
			continue
		}
		if n.counts != nil || !n.fixed || n.class != classN || n.form != formPacked && n.form != formZoned || n.any || len(n.cases) > 0 || n.len > 9 {
			return fmt.Errorf("count: %s must be of type n and at most 9 digits, without any_pad and cases, and count one loop", name)
		}
		loop.group.counter = n
		return nil
	}
	return fmt.Errorf("count: no part %q before the loop", name)
}

// number joins up to four bytes.
func number(b []byte) (v uint32) {
	for _, c := range b {
		v = v<<8 | uint32(c)
	}
	return v
}

// find returns which part has the key, -1 when none has.
func (p *parts) find(key uint32) int {
	for i, k := range p.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// parts reads the parts of the value from from to where the reader stands.
func (r *reader) parts(f *field, from, units int) error {
	p := f.parts
	if from == r.at {
		if p.rest {
			return r.keep(p, from)
		}
		return fieldError(f.name, from, "at least one part", "none", "")
	}
	if p.kind == digitwise {
		return r.digits(f, from, units)
	}
	// The parts are read by the same reader, which ends where the value does.
	whole := r.b
	r.b, r.at = r.b[:r.at], from
	var err error
	switch p.kind {
	case tagged, ber:
		err = r.tagged(f)
	case mapped:
		err = r.mapped(f)
	default:
		err = r.positional(f)
	}
	r.b = whole
	return err
}

// keep keeps what is left from from on as other.
func (r *reader) keep(p *parts, from int) error {
	raw := r.b[from:r.at]
	return r.value(&p.other, raw, from, len(raw), -1)
}

func (r *reader) positional(f *field) error {
	p := f.parts
	for i := range p.sub {
		sub, left := &p.sub[i], len(r.b)-r.at
		counted := sub.group != nil && sub.group.counter != nil
		if !counted && (left == 0 || sub.fixed && left < sub.size) {
			break
		}
		read := r.field
		if sub.group != nil {
			read = r.loop
		}
		if err := read(sub); err != nil {
			return err
		}
	}
	from := r.at
	r.at = len(r.b)
	switch {
	case from == r.at:
		return nil
	case p.rest:
		return r.keep(p, from)
	}
	return fieldError(f.name, from, "the end of the field or a whole part", fmt.Sprintf("%d bytes more", r.at-from), "")
}

// loop reads turns to the end of the value, or as many as were announced.
func (r *reader) loop(f *field) error {
	turns, err := r.turns(f.group)
	if err != nil {
		return err
	}
	for turn := 0; turn < turns || turns < 0 && len(r.b)-r.at >= max(1, f.group.size); turn++ {
		if turn == f.group.max {
			return fieldError(f.name, r.at, fmt.Sprintf("at most %d turns", f.group.max), "more", "")
		}
		g, from := len(r.nodes), r.at
		if err := r.put(r.arena, f, r.at, f.size, -1); err != nil {
			return err
		}
		for i := range f.group.sub {
			if err := r.child(&f.group.sub[i], g); err != nil {
				return err
			}
		}
		r.nodes[g].Size = uint32(r.at - from)
	}
	return nil
}

// turns returns how many turns were announced, -1 when none were: the loop goes
// to the end.
func (r *reader) turns(l *group) (int, error) {
	if l.counter == nil {
		return -1, nil
	}
	rec := r.known()
	i, n := rec.Find(l.counter.id), 0
	if i < 0 {
		return 0, nil // the value ended before
	}
	for _, c := range rec.Value(i) {
		n = n*10 + int(c-'0')
	}
	if n > l.max {
		return 0, fieldError(l.counter.name, int(r.nodes[i].From), fmt.Sprintf("at most %d turns", l.max), fmt.Sprintf("%d", n), "")
	}
	return n, nil
}

// child reads a part of the turn at node g.
func (r *reader) child(f *field, g int) error {
	units, size := f.len, f.size
	if !f.fixed {
		var err error
		if units, size, err = r.length(f); err != nil {
			return err
		}
	}
	from := r.at
	if len(r.b)-from < size {
		return f.short(from, size, len(r.b)-from)
	}
	r.at += size
	return r.value(f, r.b[from:r.at], from, units, g)
}

// digits unpacks all digits once; the parts are slices of them.
func (r *reader) digits(f *field, from, units int) error {
	p, raw, at, skip := f.parts, r.b[from:r.at], len(r.arena), 0
	arena, ok, pad := r.arena, true, f.odd.Pad
	if f.form == formPacked {
		arena, pad, ok = f.set.ReadBCD(arena, raw, units, f.odd)
		if f.odd.Right {
			skip = units & 1
		}
	} else {
		arena, ok = append(arena, raw...), f.class.holds(raw)
	}
	if !ok {
		return f.unfit(raw, from)
	}
	done := 0
	for i := range p.sub {
		sub := &p.sub[i]
		if done+sub.len > units {
			break
		}
		place, size := f.place(from, skip+done, sub.len)
		if err := r.put(arena[:at+done+sub.len], sub, place, size, -1); err != nil {
			return err
		}
		done += sub.len
	}
	if done < units {
		if !p.rest {
			return fieldError(f.name, from, "the end of the field or a whole part", fmt.Sprintf("%d digits more", units-done), "")
		}
		place, size := f.place(from, skip+done, units-done)
		if err := r.put(arena, &p.other, place, size, -1); err != nil {
			return err
		}
	}
	if pad != f.odd.Pad {
		return r.keepPad(f, raw, from, pad)
	}
	return nil
}

// place returns offset and bytes of n digits, or nibbles, of a value of digits
// that stands at from.
func (f *field) place(from, first, n int) (at, size int) {
	if f.form == formPacked {
		return from + first/2, (first+n+1)/2 - first/2
	}
	return from + first, n
}

func (r *reader) mapped(f *field) error {
	p, from := f.parts, r.at
	if len(r.b)-from < p.tag {
		return f.short(from, p.tag, len(r.b)-from)
	}
	set, next := r.b[from:from+p.tag], 0
	r.at += p.tag
	for n := 1; n <= 8*p.tag; n++ {
		if set[(n-1)/8]>>(7-(n-1)%8)&1 == 0 {
			continue
		}
		for next < len(p.keys) && int(p.keys[next]) < n {
			next++
		}
		if next == len(p.keys) || int(p.keys[next]) != n {
			return fieldError(fmt.Sprintf("%s.%d", f.name, n), from, "only bits of parts in the link file", "another", "")
		}
		if err := r.field(&p.sub[next]); err != nil {
			return err
		}
	}
	if r.at != len(r.b) {
		return fieldError(f.name, r.at, "the end of the field", fmt.Sprintf("%d bytes more", len(r.b)-r.at), "")
	}
	return nil
}
