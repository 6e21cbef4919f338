package iso8583

import (
	"encoding/binary"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// drawer fills a record with values that the table allows.
type drawer struct {
	t   *rapid.T
	c   *codec
	rec *protocol.Record
}

// draw makes a message: type, a choice of fields, and values.
func draw(t *rapid.T, c *codec) *protocol.Record {
	d := drawer{t: t, c: c, rec: new(protocol.Record)}
	d.rec.Reset(c.layout)
	mti := []byte(d.digits(4))
	var must, not fieldSet
	if len(c.rules) > 0 && rapid.Bool().Draw(t, "listed type") {
		i := rapid.IntRange(0, len(c.rules)-1).Draw(t, "type")
		mti, must, not = binary.BigEndian.AppendUint32(nil, c.types[i]), c.rules[i].must, c.rules[i].not
	} else if rapid.Bool().Draw(t, "sale") {
		mti = []byte("0200")
	}
	for i := range c.rules {
		if c.types[i] == binary.BigEndian.Uint32(mti) {
			must, not = c.rules[i].must, c.rules[i].not
		}
	}
	d.rec.Put(c.mti.id, -1, mti)
	dense := rapid.IntRange(1, 4).Draw(t, "one field in")
	var late []int // what is chosen by fields behind it is drawn when these are there
	for n := 2; n <= maxBit; n++ {
		var this fieldSet
		this.add(n)
		if c.op(n).field == nil || this.without(not) != this || this.without(must) == this && rapid.IntRange(1, dense).Draw(t, "skip") > 1 {
			continue
		}
		if c.op(n).field.late.first() != 0 {
			late = append(late, n)
			continue
		}
		d.field(c.op(n).field)
	}
	for _, n := range late {
		d.field(c.op(n).field)
	}
	bits := bitsOf(c, d.rec)
	slices.Sort(bits)
	return ordered(c, d.rec, bits)
}

// ordered is the record with its fields in another order, 0 being the message
// type.
func ordered(c *codec, rec *protocol.Record, bits []int) *protocol.Record {
	out := new(protocol.Record)
	out.Reset(c.layout)
	for _, n := range bits {
		for i, node := range rec.Nodes() {
			if numberOf(c, node.ID) == n {
				parent := -1
				if node.Parent > 0 { // loops are read in one piece: the group is the last one put
					for parent = len(out.Nodes()) - 1; out.Nodes()[parent].Parent > 0; {
						parent--
					}
				}
				out.Put(node.ID, parent, rec.Value(i))
			}
		}
	}
	return out
}

// field draws one field, inside the length that its container leaves.
func (d *drawer) field(f *field) {
	if len(f.cases) > 0 {
		f = f.formOf(f.usage(d.rec))
	}
	if f.parts == nil {
		d.value(f, -1)
		return
	}
	switch p := f.parts; p.kind {
	case digitwise:
		d.digitParts(f)
	case positional:
		d.positional(f)
	case mapped:
		chosen := rapid.IntRange(1, 1<<len(p.sub)-1).Draw(d.t, "parts")
		for k := range p.sub {
			if chosen>>k&1 != 0 {
				d.field(&p.sub[k])
			}
		}
	default:
		d.elements(p)
	}
}

func (d *drawer) positional(f *field) {
	p, n := f.parts, len(f.parts.sub)
	if !f.fixed {
		n = rapid.IntRange(1, n).Draw(d.t, "parts")
	}
	announced := 0
	for k := range p.sub[:n] {
		sub := &p.sub[k]
		switch {
		case sub.counts != nil: // a loop that is not drawn has no turns
			if loop := slices.IndexFunc(p.sub[:n], func(f field) bool { return f.id == *sub.counts }); loop >= 0 {
				announced = rapid.IntRange(0, p.sub[loop].group.max).Draw(d.t, "announced")
			}
			d.rec.PutString(sub.id, -1, fmt.Sprintf("%0*d", sub.len, announced))
		case sub.group == nil:
			d.field(sub)
		case sub.group.counter != nil:
			d.turns(sub, announced)
		default:
			d.turns(sub, rapid.IntRange(1, sub.group.max).Draw(d.t, "turns"))
		}
	}
	if p.rest && (n == len(p.sub) || p.sub[n].fixed && p.sub[n].size > 1) && rapid.Bool().Draw(d.t, "rest") && !p.sub[n-1].tail {
		most := 5
		if n < len(p.sub) {
			most = min(most, p.sub[n].size-1)
		}
		d.rec.Put(p.other.id, -1, d.bytes(rapid.IntRange(1, most).Draw(d.t, "size")))
	}
}

func (d *drawer) turns(loop *field, n int) {
	for range n {
		g := d.rec.Put(loop.id, -1, nil)
		for i := range loop.group.sub {
			d.value(&loop.group.sub[i], g)
		}
	}
}

func (d *drawer) digitParts(f *field) {
	p, n, units := f.parts, len(f.parts.sub), 0
	if !f.fixed {
		n = rapid.IntRange(0, n).Draw(d.t, "parts")
	}
	for k := range p.sub[:n] {
		d.value(&p.sub[k], -1)
		units += p.sub[k].len
	}
	if p.rest {
		most := f.len - units
		if n < len(p.sub) {
			most = p.sub[n].len - 1
		}
		if size := rapid.IntRange(0, most).Draw(d.t, "rest"); size > 0 || n == 0 {
			d.rec.PutString(p.other.id, -1, d.digits(size))
			units += size
		}
	} else if n == 0 {
		d.value(&p.sub[0], -1)
		units += p.sub[0].len
	}
	d.pad(f, units)
}

func (d *drawer) elements(p *parts) {
	if p.loose && rapid.Bool().Draw(d.t, "loose") {
		d.rec.PutString(p.other.id, -1, "no tag")
		return
	}
	had := map[int]bool{}
	for range rapid.IntRange(1, 5).Draw(d.t, "elements") {
		if k := rapid.IntRange(-1, len(p.sub)-1).Draw(d.t, "element"); k >= 0 {
			if sub := &p.sub[k]; !sub.whole() {
				d.value(sub, -1)
			} else if !had[k] {
				d.field(sub)
				had[k] = true
			}
			continue
		}
		val := d.bytes(rapid.IntRange(0, 9).Draw(d.t, "size"))
		unknown := []byte{0xDF, 0x81, 0x7F, byte(len(val))}
		if p.kind == tagged {
			size := make([]byte, p.size.size)
			p.size.put(size, len(val))
			unknown = append([]byte(map[coding]string{codeASCII: "????", codeBCD: "\x99\x99\x99\x99", codeBinary: "\xEE\xEE\xEE\xEE"}[p.tags])[:p.tag], size...)
		}
		d.rec.Put(p.other.id, -1, append(unknown, val...))
	}
}

// value draws one value of the field's type.
func (d *drawer) value(f *field, parent int) {
	n := f.len
	if !f.fixed {
		most := 40
		if rapid.IntRange(0, 9).Draw(d.t, "long") == 0 {
			most = 150
		}
		n = rapid.IntRange(f.min, max(f.min, min(f.len, most))).Draw(d.t, "units")
	}
	if f.prefix.counts != countUnits && (f.form == formPacked || f.form == formSigned) && f.odd.Pad != 15 && n&1 != 0 {
		if n--; n < f.min {
			n += 2
		}
	}
	var val []byte
	switch f.form {
	case formPacked, formZoned:
		val = []byte(d.digits(n))
		if f.class == classZ && n > 2 {
			val[n/2] = '='
		}
	case formSigned:
		val = []byte(rapid.SampledFrom([]string{"C", "D"}).Draw(d.t, "sign") + d.digits(n))
	case formText:
		val = d.text(f, n)
	default:
		val = d.bytes(n)
	}
	d.rec.Put(f.id, parent, val)
	d.pad(f, n)
}

func (d *drawer) pad(f *field, units int) {
	if f.any && units&1 != 0 && rapid.Bool().Draw(d.t, "other pad") {
		d.rec.PutString(f.pad, -1, rapid.SampledFrom([]string{"1", "9", "A", "E"}).Draw(d.t, "pad"))
	}
}

// text draws characters that take n bytes on the wire, or up to n where blanks
// fill up.
func (d *drawer) text(f *field, n int) []byte {
	alphabet := map[class]string{classA: "abYZ", classAN: "aZ09", classANS: "aZ0-. 张"}[f.class]
	var out []byte
	for size := 0; ; {
		r := rapid.SampledFrom([]rune(alphabet)).Draw(d.t, "character")
		if r == ' ' && f.fixed || r >= 0x80 && f.char == text.ASCII {
			continue // filling would be cut off
		}
		if size++; r >= 0x80 { // two bytes in GBK and GB18030
			size++
		}
		if size > n {
			if !f.fixed && len(out) < f.min {
				return append(out, "zz"...)[:f.min]
			}
			return out
		}
		out = append(out, string(r)...)
		if f.fixed && rapid.IntRange(0, 9).Draw(d.t, "stop") == 0 {
			return out
		}
	}
}

func (d *drawer) digits(n int) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), n, n, -1).Draw(d.t, "digits")
}

func (d *drawer) bytes(n int) []byte {
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(d.t, "bytes")
}
