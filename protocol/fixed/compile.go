package fixed

import (
	"errors"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

func (k *compiler) body(c *codec, s *Body) (body, error) {
	b := body{when: s.When, header: slices.Clone(c.header)}
	if len(s.When) > 0 && !c.picks {
		return b, errors.New("when: needs pick")
	}
	var err error
	if s.OnlyIf != nil {
		if b.onlyIf, err = k.known(c.header, s.OnlyIf.Field); err != nil {
			return b, fmt.Errorf("only_if: %w", err)
		}
		if b.values = s.OnlyIf.Values; len(b.values) == 0 {
			return b, errors.New("only_if: values: none")
		}
	}
	if b.cells, err = k.cells(s.Fields, "", b.header); err != nil {
		return b, err
	}
	optional := false
	for i := range b.cells {
		switch x := &b.cells[i]; {
		case x.loop != nil && i+1 < len(b.cells) && !x.loop.counted && x.loop.times == 0:
			return b, fmt.Errorf("%s: a loop to the end must be the last field", x.name)
		case optional && x.loop != nil && x.loop.times > 0:
			return b, fmt.Errorf("%s: a loop with room for %d entries is never absent", x.name, x.loop.times)
		case optional && !x.optional && x.loop == nil:
			return b, fmt.Errorf("%s: what follows an optional field must be optional", x.name)
		default:
			optional = optional || x.optional
		}
	}
	return b, nil
}

// cells compiles the fields of one scope. outer are the cells before it that
// belong to the same scope: a body's header.
func (k *compiler) cells(fields []Field, prefix string, outer []cell) ([]cell, error) {
	out := make([]cell, 0, len(fields))
	for i := range fields {
		f := &fields[i]
		name := f.Name
		if f.Loop != "" {
			name = f.Loop
		}
		if name == "" {
			return nil, fmt.Errorf("field %d: want a name or a loop", i+1)
		}
		if find(outer, name) != nil || find(out, name) != nil {
			return nil, fmt.Errorf("%s: stands twice", name)
		}
		var x cell
		var err error
		if f.Loop != "" {
			x, err = k.loop(f, prefix, outer, out)
		} else {
			x, err = k.cell(f, prefix)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, x)
	}
	return out, nil
}

func find(cells []cell, name string) *cell {
	for i := range cells {
		if cells[i].name == name {
			return &cells[i]
		}
	}
	return nil
}

func (k *compiler) cell(f *Field, prefix string) (cell, error) {
	x := cell{name: f.Name, required: f.Required, optional: f.Optional}
	if f.Count != "" || f.Times != 0 || f.Rest || f.Max != 0 || f.Fields != nil {
		return x, errors.New("count, times, rest, max and fields belong to a loop")
	}
	if f.Len <= 0 {
		return x, fmt.Errorf("len: want at least 1 byte, got %d", f.Len)
	}
	if f.Optional && prefix != "" {
		return x, errors.New("optional: only at the end of a body")
	}
	var ok bool
	if x.mask, ok = pay.ParseMask(f.Mask); !ok {
		return x, fmt.Errorf("mask: unknown class %q", f.Mask)
	}
	var err error
	x.col, err = text.NewColumn(text.ColumnOptions{Charset: k.charset, Type: f.Type, Len: f.Len, Pad: f.Pad, Align: f.Align,
		Sign: f.Sign, Decimals: f.Decimals, Blank: f.Blank, Cut: f.cut(x.mask)})
	if err != nil {
		return x, err
	}
	x.id, err = k.define(protocol.FieldSpec{Name: prefix + f.Name, Title: f.Title, Mask: x.mask, Bytes: x.col.Shape() == text.ShapeRaw})
	return x, err
}

// define gives the field its number. Bodies may share a field; then it must be
// the same kind of value in all of them.
func (k *compiler) define(f protocol.FieldSpec) (uint16, error) {
	if id, ok := k.ids[f.Name]; ok {
		have := k.fields[id]
		if have.Mask != f.Mask || have.Group != f.Group || have.Bytes != f.Bytes {
			return 0, errors.New("differs in mask or kind from the field of this name in another body")
		}
		return id, nil
	}
	id := uint16(len(k.fields))
	k.ids[f.Name] = id
	k.fields = append(k.fields, f)
	return id, nil
}

func (k *compiler) loop(f *Field, prefix string, outer, before []cell) (cell, error) {
	x := cell{name: f.Loop, loop: &loop{times: f.Times, max: f.Max}}
	l := x.loop
	var err error
	switch {
	case f.Name != "" || f.Len != 0 || f.Type != "" || f.Mask != "" || f.Required || f.Optional:
		return x, errors.New("a loop has only title, count, times, rest, max and fields")
	case f.Rest && (f.Count != "" || f.Times != 0), !f.Rest && f.Count == "" && f.Times == 0:
		return x, errors.New("want count, times or both, or rest alone")
	case f.Rest && prefix != "":
		return x, errors.New("rest: only at the end of a body")
	case f.Times < 0 || f.Max < 0 || f.Times == 0 && f.Max == 0:
		return x, errors.New("max: want the most entries")
	case l.times > 0 && (l.max == 0 || l.max > l.times):
		l.max = l.times
	}
	if x.id, err = k.define(protocol.FieldSpec{Name: prefix + f.Loop, Title: f.Title, Group: true, Max: l.max}); err != nil {
		return x, err
	}
	if l.cells, err = k.cells(f.Fields, prefix+f.Loop+".", nil); err != nil {
		return x, err
	}
	if len(l.cells) == 0 {
		return x, errors.New("fields: none")
	}
	l.constant = width(l.cells)
	if l.times > 0 {
		if l.constant == 0 {
			return x, errors.New("times: the entries differ in length")
		}
		l.spare = spare(nil, l.cells)
	}
	if f.Count == "" {
		return x, nil
	}
	n := find(outer, f.Count)
	if n == nil {
		n = find(before, f.Count)
	}
	if n == nil || n.loop != nil {
		return x, fmt.Errorf("count: no field %q before the loop", f.Count)
	}
	if n.counts || !n.col.Plain() || n.mask != pay.Public {
		return x, fmt.Errorf("count: %s must be of type n without sign, public and count one loop", f.Count)
	}
	n.counts, n.group, n.required = true, x.id, true
	l.counted, l.count, l.counter = true, n.id, n.name
	return x, nil
}

// width returns the bytes that the cells take, 0 when it depends on a count.
func width(cells []cell) int {
	n := 0
	for i := range cells {
		l := cells[i].loop
		switch {
		case l == nil:
			n += cells[i].col.Width()
		case l.times == 0:
			return 0
		default:
			n += l.times * l.constant
		}
	}
	return n
}

// spare appends the cells as they are written without values.
func spare(dst []byte, cells []cell) []byte {
	for i := range cells {
		if l := cells[i].loop; l != nil {
			for range l.times {
				dst = append(dst, l.spare...)
			}
			continue
		}
		dst = cells[i].col.AppendNone(dst)
	}
	return dst
}
