// Package fixed reads and writes messages whose fields have fixed widths in
// bytes: a header, and a body chosen by a value of the header.
//
// A layout is compiled once into lists of cells; Index and Append walk them
// without maps and without allocating. Whatever Index accepts, Append writes
// back byte for byte: a cell that could be written in two ways for one value
// is refused instead. Reading trims the padding of texts; numbers padded with
// zeros keep them, because dates and codes look like numbers. A cell without a
// value has no node.
package fixed

import (
	"errors"
	"fmt"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// Spec is one direction of a link as its file describes it.
type Spec struct {
	Encoding string  `yaml:"encoding"` // one of gb18030, gbk, utf-8, ascii
	Header   []Field `yaml:"header"`   // before every body; no loops
	Pick     string  `yaml:"pick"`     // header field whose value chooses the body
	Bodies   []Body  `yaml:"bodies"`   // the first that fits is used; none: the header is all
}

// Body is what follows the header for some of its values.
type Body struct {
	When   []string `yaml:"when"`    // values of the pick field; none: any value
	OnlyIf *OnlyIf  `yaml:"only_if"` // a further condition
	Fields []Field  `yaml:"fields"`  // of the body
}

// OnlyIf restricts a body to some values of a second header field, such as the
// response code of success.
type OnlyIf struct {
	Field  string   `yaml:"field"`  // of the header
	Values []string `yaml:"values"` // any of them
}

// Field is a cell, or, when Loop is set, a group of fields that repeats.
type Field struct {
	Name     string `yaml:"name"`     // by which messages and loops refer to it
	Title    string `yaml:"title"`    // what the interface document calls it
	Mask     string `yaml:"mask"`     // one of public, account, card, name, address, contact, never; empty: public
	Len      int    `yaml:"len"`      // bytes
	Type     string `yaml:"type"`     // one of n (digits), x (text), a (letters), an (letters and digits), ans (printable), d (decimal), b (bytes)
	Pad      string `yaml:"pad"`      // empty: "0" for numbers, else blank
	Align    string `yaml:"align"`    // one of left, right; empty: right for numbers, else left
	Sign     string `yaml:"sign"`     // one of none (default), minus (before a negative number), always
	Decimals int    `yaml:"decimals"` // of type d: digits behind the point
	Blank    bool   `yaml:"blank"`    // an all-blank number means no value
	Cut      *bool  `yaml:"cut"`      // may a text that is too long be cut; absent: names, addresses and texts beyond ASCII are
	Required bool   `yaml:"required"` // must have a value
	Optional bool   `yaml:"optional"` // the body may end before this field

	Loop   string  `yaml:"loop"`   // name of the group
	Count  string  `yaml:"count"`  // field before the loop that holds the number of entries
	Times  int     `yaml:"times"`  // the loop always takes the room of so many entries
	Rest   bool    `yaml:"rest"`   // the loop goes on to the end of the body
	Max    int     `yaml:"max"`    // most entries
	Fields []Field `yaml:"fields"` // of one entry of the loop
}

// cut is what happens to a text that is too long. Unless the file says so,
// names and addresses are cut, and so is whatever has characters beyond ASCII,
// because keys have none and a reply must not fail for a long text.
func (f *Field) cut(m pay.Mask) text.Cut {
	switch {
	case f.Cut != nil && !*f.Cut:
		return text.CutNever
	case f.Cut != nil || m == pay.Name || m == pay.Address:
		return text.CutAlways
	}
	return text.CutWide
}

// cell is one compiled field: a column, or a loop.
type cell struct {
	name     string // last part of the path
	id       uint16
	mask     pay.Mask
	col      text.Column
	required bool
	optional bool
	counts   bool   // holds the number of entries of group
	group    uint16 // see counts
	loop     *loop
}

// loop is a compiled group.
type loop struct {
	counted  bool
	count    uint16 // field with the number of entries, when counted
	counter  string // its name
	times    int    // room for so many entries, 0: as many as there are
	max      int
	cells    []cell
	spare    []byte // an entry without values, fills the room that is left
	constant int    // bytes of an entry, 0 when it varies
}

// body is a compiled Body. Its header cells differ from those of other bodies
// in which of them count entries.
type body struct {
	when   []string
	onlyIf uint16
	values []string // of onlyIf; nil: no such condition
	header []cell
	cells  []cell
}

type codec struct {
	layout *protocol.Layout
	header []cell // as Index reads it, before the body is known
	picks  bool
	pick   uint16
	bodies []body
}

// Layout returns the fields of all bodies.
func (c *codec) Layout() *protocol.Layout { return c.layout }

// compiler builds the layout while it walks the spec.
type compiler struct {
	charset text.Charset
	fields  []protocol.FieldSpec
	ids     map[string]uint16
}

// New checks the spec and compiles it.
func New(s *Spec) (protocol.Codec, error) {
	charset, ok := text.ParseCharset(s.Encoding)
	if !ok {
		return nil, fmt.Errorf("encoding: want gb18030, gbk, utf-8 or ascii, got %q", s.Encoding)
	}
	k := &compiler{charset: charset, ids: map[string]uint16{}}
	c := new(codec)
	var err error
	if c.header, err = k.cells(s.Header, "", nil); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for i := range c.header {
		if c.header[i].loop != nil || c.header[i].optional {
			return nil, fmt.Errorf("header: %s: loops and optional fields belong into bodies", c.header[i].name)
		}
	}
	if c.picks = s.Pick != ""; c.picks {
		if c.pick, err = k.known(c.header, s.Pick); err != nil {
			return nil, fmt.Errorf("pick: %w", err)
		}
	}
	bodies := s.Bodies
	if len(bodies) == 0 {
		bodies = []Body{{}}
	}
	for i := range bodies {
		b, err := k.body(c, &bodies[i])
		if err != nil {
			return nil, fmt.Errorf("bodies[%d]: %w", i, err)
		}
		c.bodies = append(c.bodies, b)
	}
	if len(k.fields) >= 1<<16-1 {
		return nil, errors.New("too many fields")
	}
	c.layout = protocol.NewLayout(k.fields)
	return c, nil
}

func (k *compiler) known(header []cell, name string) (uint16, error) {
	for i := range header {
		if header[i].name == name {
			return header[i].id, nil
		}
	}
	return 0, fmt.Errorf("no header field %q", name)
}
