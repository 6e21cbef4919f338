package delimited

import (
	"errors"
	"fmt"
	"slices"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// compiler builds the layout while it walks the spec.
type compiler struct {
	dialect *dialect
	fields  []protocol.FieldSpec
	ids     map[string]uint16
}

func (k *compiler) body(c *codec, s *Body) (body, error) {
	b := body{when: s.When, header: slices.Clone(c.header)}
	if len(s.When) > 0 && !c.picks {
		return b, errors.New("when: needs pick")
	}
	var err error
	if s.OnlyIf != nil {
		if b.onlyIf, err = known(c.header, s.OnlyIf.Field); err != nil {
			return b, fmt.Errorf("only_if: %w", err)
		}
		if b.values = s.OnlyIf.Values; len(b.values) == 0 {
			return b, errors.New("only_if: values: none")
		}
	}
	if b.cells, err = k.cells(s.Fields, "", b.header); err != nil {
		return b, err
	}
	return b, order(b.cells)
}

// order refuses fields where a reader could not tell what comes next.
func order(cells []cell) error {
	optional, lines := false, false
	for i := range cells {
		x := &cells[i]
		onLine := x.loop == nil || !x.loop.lines
		switch {
		case i > 0 && cells[i-1].loop != nil && !cells[i-1].loop.counted && (onLine || cells[i-1].loop.lines):
			return fmt.Errorf("%s: follows a loop to the end", x.name)
		case lines && onLine:
			return fmt.Errorf("%s: only loops of lines may follow a loop of lines", x.name)
		case optional && x.loop == nil && !x.optional, optional && x.loop != nil && onLine && x.loop.counted:
			return fmt.Errorf("%s: what follows an optional field must be optional", x.name)
		}
		optional = optional || x.optional
		lines = lines || !onLine
	}
	return nil
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
	switch {
	case f.Count != "" || f.Rest || f.Lines || f.Fields != nil:
		return x, errors.New("count, rest, lines and fields belong to a loop")
	case f.Len == 0 && (f.Pad != "" || f.Align != ""):
		return x, errors.New("pad and align need len")
	case f.Len != 0 && f.Max != 0:
		return x, errors.New("want len or max, not both")
	case f.Type == "b":
		return x, errors.New("type: raw bytes may hold the separator")
	case f.Optional && prefix != "":
		return x, errors.New("optional: only at the end of a body")
	}
	var ok bool
	if x.mask, ok = pay.ParseMask(f.Mask); !ok {
		return x, fmt.Errorf("mask: unknown class %q", f.Mask)
	}
	cut := f.cut(x.mask)
	x.lossy = cut == text.CutAlways
	var err error
	x.col, err = text.NewColumn(text.ColumnOptions{Charset: k.dialect.charset, Type: f.Type, Len: f.Len, Max: f.Max, Pad: f.Pad,
		Align: f.Align, Sign: f.Sign, Decimals: f.Decimals, Cut: cut})
	if err != nil {
		return x, err
	}
	if none := x.col.AppendNone(nil); k.dialect.torn(none) || len(none) > 0 && none[0] == '"' {
		return x, errors.New("pad: the separator, a quote or a line end")
	}
	x.id, err = k.define(protocol.FieldSpec{Name: prefix + f.Name, Title: f.Title, Mask: x.mask})
	return x, err
}

// define gives the field its number. Bodies may share a field; then it must be
// the same kind of value in all of them.
func (k *compiler) define(f protocol.FieldSpec) (uint16, error) {
	if id, ok := k.ids[f.Name]; ok {
		if have := k.fields[id]; have.Mask != f.Mask || have.Group != f.Group {
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
	x := cell{name: f.Loop, loop: &loop{lines: f.Lines, max: f.Max}}
	l := x.loop
	var err error
	switch {
	case f.Name != "" || f.Len != 0 || f.Type != "" || f.Mask != "" || f.Required || f.Optional:
		return x, errors.New("a loop has only title, count, rest, lines, max and fields")
	case f.Rest == (f.Count != ""):
		return x, errors.New("want count or rest")
	case f.Lines && k.dialect.line == "":
		return x, errors.New("lines: needs line")
	case prefix != "" && (f.Rest || f.Lines):
		return x, errors.New("rest and lines: not within a loop")
	case f.Max <= 0:
		return x, errors.New("max: want the most entries")
	}
	if x.id, err = k.define(protocol.FieldSpec{Name: prefix + f.Loop, Title: f.Title, Group: true, Max: l.max}); err != nil {
		return x, err
	}
	if l.cells, err = k.cells(f.Fields, prefix+f.Loop+".", nil); err != nil {
		return x, err
	}
	if len(l.cells) == 0 || l.cells[0].loop != nil {
		return x, errors.New("fields: want a field first")
	}
	if f.Rest {
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
