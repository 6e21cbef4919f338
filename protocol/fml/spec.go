// Package fml reads and writes the printed form of Tuxedo's FML32 buffers: a
// line for each occurrence of a field, name, tab and value, in the order of
// the field ids. The binary image of a buffer is not offered: it is
// undocumented and differs between hosts.
//
// Reading is strict where the monitors' own readers are not: numbers are held
// to their type's range, flags that change or delete occurrences are refused,
// and so is a name that the spec does not have. Writing escapes every byte
// that is not printable ASCII, so that no byte of a Chinese character can be
// taken for something else. A loop is a set of fields whose n-th occurrences
// belong together.
package fml

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// Spec is one direction of a link as its file describes it.
type Spec struct {
	Encoding string  `yaml:"encoding"`   // of string fields: one of gb18030, gbk, utf-8, ascii
	Table    string  `yaml:"table"`      // field table, source or header (mkfldhdr32), or
	File     string  `yaml:"table_file"` // the file that holds it, relative to the link file
	Extra    string  `yaml:"extra"`      // fields not listed: one of refuse (default), ignore
	MaxBytes int     `yaml:"max_bytes"`  // of a body, 0: 1 MiB
	Blank    bool    `yaml:"blank"`      // an empty line ends the buffer when writing; reading takes both
	Fields   []Field `yaml:"fields"`     // the values of a message; loops hold fields that repeat together
}

// Field is a field of the table, or, when Loop is set, a group of fields that
// repeat together. A field whose type is fml32 is a buffer of its own, with
// fields and, where it repeats, max.
type Field struct {
	Name     string `yaml:"name"`     // in the table
	Title    string `yaml:"title"`    // what the interface document calls it
	Mask     string `yaml:"mask"`     // one of public, account, card, name, address, contact, never; empty: public
	Required bool   `yaml:"required"` // must have a value

	Loop   string  `yaml:"loop"`   // name of the group
	Max    int     `yaml:"max"`    // most entries
	Fields []Field `yaml:"fields"` // of one entry of the loop
}

// field is a compiled field.
type field struct {
	name     string // in the table
	path     string
	fid      ID
	id       uint16 // in the layout
	mask     pay.Mask
	required bool
	loop     int    // index of its loop, -1 at the top
	max      int    // occurrences
	inner    *codec // of a buffer
	repeats  bool   // that buffer does
}

type loop struct {
	name string
	id   uint16
	max  int
	from int // its fields
	to   int
}

type codec struct {
	layout  *protocol.Layout
	charset text.Charset
	extra   bool
	blank   bool
	max     int
	fields  []field // in the order of the spec, a loop's together
	loops   []loop
	byName  []int // fields by name
	byID    []int // fields by id, which is how they are written
	scratch sync.Pool
}

// Layout returns the fields of the spec.
func (c *codec) Layout() *protocol.Layout { return c.layout }

// New checks the spec and compiles it.
func New(s *Spec) (protocol.Codec, error) {
	c := &codec{max: s.MaxBytes, blank: s.Blank}
	if c.max == 0 {
		c.max = 1 << 20
	}
	var ok bool
	if c.charset, ok = text.ParseCharset(s.Encoding); !ok {
		return nil, fmt.Errorf("encoding: want gb18030, gbk, utf-8 or ascii, got %q", s.Encoding)
	}
	switch s.Extra {
	case "", "refuse":
	case "ignore":
		c.extra = true
	default:
		return nil, fmt.Errorf("extra: want refuse or ignore, got %q", s.Extra)
	}
	if s.File != "" {
		return nil, errors.New("table_file: is read with a link file, not without one")
	}
	table, err := ParseTable(s.Table)
	if err != nil {
		return nil, err
	}
	k := &compiler{c: c, table: table}
	if err := k.fields(s.Fields, -1); err != nil {
		return nil, err
	}
	c.layout = protocol.NewLayout(k.layout)
	return c, c.arrange()
}

// arrange puts the fields in the orders of reading and writing.
func (c *codec) arrange() error {
	c.byName, c.byID = order(c.fields, func(a, b *field) int { return strings.Compare(a.name, b.name) }),
		order(c.fields, func(a, b *field) int { return int(int64(a.fid) - int64(b.fid)) })
	for i := 1; i < len(c.byName); i++ {
		if f := &c.fields[c.byName[i]]; f.name == c.fields[c.byName[i-1]].name {
			return fmt.Errorf("%s: stands twice", f.name)
		}
	}
	c.scratch.New = func() any { return &scratch{chains: make([]chain, len(c.fields))} }
	return nil
}

// order returns the numbers of the fields in the order of the comparison.
func order(fields []field, compare func(a, b *field) int) []int {
	out := make([]int, len(fields))
	for i := range out {
		out[i] = i
	}
	slices.SortFunc(out, func(a, b int) int { return compare(&fields[a], &fields[b]) })
	return out
}

// compiler builds the layout while it walks the spec.
type compiler struct {
	c      *codec
	table  *Table
	layout []protocol.FieldSpec
	in     *field // the buffer whose fields these are, nil for the message
}

func (k *compiler) fields(fields []Field, in int) error {
	for i := range fields {
		f := &fields[i]
		name := f.Name
		if f.Loop != "" {
			name = f.Loop
		}
		err := error(nil)
		if f.Loop != "" {
			err = k.loop(f, in)
		} else {
			err = k.field(f, in)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (k *compiler) field(f *Field, in int) error {
	fid, ok := k.table.Lookup(f.Name)
	if !ok {
		return errors.New("not in the field table")
	}
	if (f.Max != 0 || f.Fields != nil) && fid.Type() != Buffer {
		return errors.New("max and fields belong to a loop or a buffer")
	}
	x := field{name: f.Name, path: f.Name, fid: fid, id: uint16(len(k.layout)), required: f.Required, loop: in, max: 1}
	if in >= 0 {
		l := &k.c.loops[in]
		x.path, x.max = l.name+"."+f.Name, l.max
	}
	if k.in != nil {
		x.path = k.in.name + "." + f.Name
	}
	if fid.Type() == Buffer {
		err := k.nested(f, &x)
		k.c.fields = append(k.c.fields, x)
		return err
	}
	if x.mask, ok = pay.ParseMask(f.Mask); !ok {
		return fmt.Errorf("mask: unknown class %q", f.Mask)
	}
	k.layout = append(k.layout, protocol.FieldSpec{Name: x.path, Title: f.Title, Mask: x.mask, Bytes: fid.Type() == Carray})
	k.c.fields = append(k.c.fields, x)
	return nil
}

func (k *compiler) loop(f *Field, in int) error {
	switch {
	case in >= 0 || k.in != nil:
		return errors.New("a loop within a loop or a buffer")
	case f.Name != "" || f.Mask != "" || f.Required:
		return errors.New("a loop has only title, max and fields")
	case f.Max <= 0:
		return errors.New("max: want the most entries")
	case len(f.Fields) == 0:
		return errors.New("fields: none")
	}
	for i := range k.layout {
		if k.layout[i].Name == f.Loop {
			return errors.New("stands twice")
		}
	}
	n := len(k.c.loops)
	k.c.loops = append(k.c.loops, loop{name: f.Loop, id: uint16(len(k.layout)), max: f.Max, from: len(k.c.fields)})
	k.layout = append(k.layout, protocol.FieldSpec{Name: f.Loop, Title: f.Title, Group: true, Max: f.Max})
	err := k.fields(f.Fields, n)
	k.c.loops[n].to = len(k.c.fields)
	return err
}
