// Package delimited reads and writes messages whose fields are kept apart by a
// separator, on one line or, for entries of a loop, on lines of their own.
//
// A field may be quoted, padded to a fixed width, or both. Whatever Index
// accepts, Append writes back byte for byte: quotes stand where the link says,
// and nowhere else. An empty field has no value and no node. In GBK a
// separator such as "|" may look like the second half of a character; it is
// never taken for one. The first separator that fits ends a field: "a|||b" is "a"
// and "|b" with "||", so a field may begin but not end like one.
package delimited

import (
	"errors"
	"fmt"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// Spec is one direction of a link as its file describes it.
type Spec struct {
	Encoding  string  `yaml:"encoding"`  // one of gb18030, gbk, utf-8, ascii
	Separator string  `yaml:"separator"` // 1 to 4 ASCII characters, such as | or |+|; no digit, double quote, ? or line end
	Quote     string  `yaml:"quote"`     // double quotes, doubled inside: one of none (default), needed, always
	End       bool    `yaml:"end"`       // a separator also follows the last field of a line
	Line      string  `yaml:"line"`      // what ends a line: one of lf, crlf; empty: there is one line without an end
	Last      bool    `yaml:"last"`      // the last line has an end too
	Header    []Field `yaml:"header"`    // no loops
	Pick      string  `yaml:"pick"`      // header field whose value chooses the body
	Bodies    []Body  `yaml:"bodies"`    // the first that fits is used; none: the header is all
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

// Field is a value, or, when Loop is set, a group of fields that repeats.
type Field struct {
	Name     string `yaml:"name"`     // by which messages and loops refer to it
	Title    string `yaml:"title"`    // what the interface document calls it
	Mask     string `yaml:"mask"`     // one of public, account, card, name, address, contact, never; empty: public
	Type     string `yaml:"type"`     // one of n (digits), x (text), a (letters), an (letters and digits), ans (printable), d (decimal)
	Len      int    `yaml:"len"`      // bytes of a padded field, 0: as long as its value
	Max      int    `yaml:"max"`      // most bytes of a field without len; a loop: most entries
	Pad      string `yaml:"pad"`      // with len; empty: "0" for numbers, else blank
	Align    string `yaml:"align"`    // with len: one of left, right; empty: right for numbers, else left
	Sign     string `yaml:"sign"`     // one of none (default), minus (before a negative number), always
	Decimals int    `yaml:"decimals"` // of type d: digits behind the point
	Cut      *bool  `yaml:"cut"`      // may a text that is too long be cut; absent: names, addresses and texts beyond ASCII are
	Required bool   `yaml:"required"` // must have a value
	Optional bool   `yaml:"optional"` // the line may end before this field

	Loop   string  `yaml:"loop"`   // name of the group
	Count  string  `yaml:"count"`  // field before the loop that holds the number of entries
	Rest   bool    `yaml:"rest"`   // the loop goes on to the end
	Lines  bool    `yaml:"lines"`  // each entry stands on a line of its own
	Fields []Field `yaml:"fields"` // of one entry of the loop
}

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
	lossy    bool // a separator in the text may be replaced
	required bool
	optional bool
	counts   bool   // holds the number of entries of group
	group    uint16 // see counts
	loop     *loop
}

// loop is a compiled group.
type loop struct {
	counted bool
	count   uint16 // field with the number of entries, when counted
	counter string // its name
	lines   bool
	max     int
	cells   []cell
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

type quoting uint8

const (
	quoteNone quoting = iota
	quoteNeeded
	quoteAlways
)

// dialect is how lines are written.
type dialect struct {
	charset text.Charset
	sep     byte     // the first character of the separator
	whole   string   // the separator
	tails   []string // with any of these at its end a field would run into the separator behind it
	quote   quoting
	end     bool
	line    string // "" for none
	last    bool
}

type codec struct {
	dialect
	layout *protocol.Layout
	header []cell // as Index reads it, before the body is known
	picks  bool
	pick   uint16
	bodies []body
}

// Layout returns the fields of all bodies.
func (c *codec) Layout() *protocol.Layout { return c.layout }

// New checks the spec and compiles it.
func New(s *Spec) (protocol.Codec, error) {
	c := new(codec)
	var err error
	if c.dialect, err = newDialect(s); err != nil {
		return nil, err
	}
	k := &compiler{dialect: &c.dialect, ids: map[string]uint16{}}
	if c.header, err = k.cells(s.Header, "", nil); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if len(c.header) == 0 {
		return nil, errors.New("header: want at least one field")
	}
	for i := range c.header {
		if c.header[i].loop != nil || c.header[i].optional {
			return nil, fmt.Errorf("header: %s: loops and optional fields belong into bodies", c.header[i].name)
		}
	}
	if c.picks = s.Pick != ""; c.picks {
		if c.pick, err = known(c.header, s.Pick); err != nil {
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

func newDialect(s *Spec) (dialect, error) {
	d := dialect{end: s.End, last: s.Last}
	var ok bool
	if d.charset, ok = text.ParseCharset(s.Encoding); !ok {
		return d, fmt.Errorf("encoding: want gb18030, gbk, utf-8 or ascii, got %q", s.Encoding)
	}
	if err := d.separate(s.Separator); err != nil {
		return d, fmt.Errorf("separator: %w", err)
	}
	switch s.Quote {
	case "", "none":
	case "needed":
		d.quote = quoteNeeded
	case "always":
		d.quote = quoteAlways
	default:
		return d, fmt.Errorf("quote: want none, needed or always, got %q", s.Quote)
	}
	switch s.Line {
	case "":
	case "lf":
		d.line = "\n"
	case "crlf":
		d.line = "\r\n"
	default:
		return d, fmt.Errorf("line: want lf or crlf, got %q", s.Line)
	}
	if d.last && d.line == "" {
		return d, errors.New("last: needs line")
	}
	return d, nil
}

// maxSeparator is the most characters of a separator.
const maxSeparator = 4

// separate sets the separator.
func (d *dialect) separate(sep string) error {
	if len(sep) < 1 || len(sep) > maxSeparator {
		return fmt.Errorf("want 1 to %d ASCII characters, got %q", maxSeparator, sep)
	}
	for i := range len(sep) {
		switch ch := sep[i]; {
		case ch >= 0x7F || ch == '"' || ch == '\n' || ch == '\r':
			return fmt.Errorf("want 1 to %d ASCII characters, got %q", maxSeparator, sep)
		case ch >= '0' && ch <= '9':
			return fmt.Errorf("%q stands in values", sep)
		case ch == '?':
			return fmt.Errorf("%q stands for what a text may not hold", sep)
		}
	}
	d.sep, d.whole = sep[0], sep
	for n := 1; n < len(sep); n++ {
		if sep[n:] == sep[:len(sep)-n] {
			d.tails = append(d.tails, sep[:n])
		}
	}
	return nil
}

func known(header []cell, name string) (uint16, error) {
	if x := find(header, name); x != nil {
		return x.id, nil
	}
	return 0, fmt.Errorf("no header field %q", name)
}
