// Package markup reads and writes messages whose fields carry names: JSON, XML
// and key=value text.
//
// Field names are paths: "head.serial" is the member serial of the object, or
// the child of the element, head; a loop is an array of objects, or a repeated
// element. Reading is strict: a name that the spec does not have, or has twice,
// is refused with its offset, and so is everything that two readers could
// understand in two ways. Numbers stay digit text; none is ever a float.
//
// These formats leave white space, order and escapes to the writer, so what
// was read is not always written back byte for byte. What holds is that
// Append writes one form only, and that reading that form gives the same
// record.
package markup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// Spec is one direction of a link as its file describes it.
type Spec struct {
	Format   string  `yaml:"format"`    // the key it stands under: one of json, xml, kv
	Extra    string  `yaml:"extra"`     // names not listed: one of refuse (default), ignore
	Depth    int     `yaml:"depth"`     // levels of nesting, 0: 16
	MaxBytes int     `yaml:"max_bytes"` // of a body, 0: 1 MiB
	Fields   []Field `yaml:"fields"`    // in the order in which they are written

	Encoding   string      `yaml:"encoding"`   // xml, kv: one of utf-8 (default), gbk, gb18030
	Root       string      `yaml:"root"`       // xml: name of the outermost element
	Namespaces []Namespace `yaml:"namespaces"` // xml: prefixes of the names below

	Separator string `yaml:"separator"` // kv: between pairs, 1 to 4 ASCII characters such as & or \r\n; empty: &
	Assign    string `yaml:"assign"`    // kv: between name and value, 1 to 4 ASCII characters such as : or =>; empty: =
	Quote     string `yaml:"quote"`     // kv: double quotes around values, doubled inside: one of none (default), needed, always
	Escape    string `yaml:"escape"`    // kv: one of none (default), percent (%XX), form (%XX; a plus sign is a blank), backslash (before a separator or backslash in a value)
	End       bool   `yaml:"end"`       // kv: a separator also follows the last pair
}

// Namespace binds a prefix of the spec's names to a namespace of XML. The
// message may use another prefix for it.
type Namespace struct {
	Prefix string `yaml:"prefix"` // empty: elements without a prefix
	URI    string `yaml:"uri"`    // the namespace
}

// Field is a value, or, when Loop is set, a group of fields that repeats.
type Field struct {
	Name     string `yaml:"name"`     // path; in a loop of json or xml a point alone is the entry itself: a value of the array, the text of the element
	Title    string `yaml:"title"`    // what the interface document calls it
	Type     string `yaml:"type"`     // one of string (default), number (whole), decimal, bool
	Mask     string `yaml:"mask"`     // one of public, account, card, name, address, contact, never; empty: public
	Required bool   `yaml:"required"` // must have a value; a loop: written even when empty

	Loop   string  `yaml:"loop"`   // path of the group
	Max    int     `yaml:"max"`    // most entries
	Fields []Field `yaml:"fields"` // of one entry of the loop
}

type kind uint8

const (
	object kind = iota // names below, no value
	group              // a loop
	str                // the rest are values
	number
	decimal
	boolean
)

// node is one name of the compiled tree.
type node struct {
	name     string // last part of the path, as in the spec
	key      []byte // the name on the wire
	path     string
	kind     kind
	id       uint16 // group and values
	mask     pay.Mask
	required bool
	attr     bool   // xml: an attribute
	local    []byte // xml: the name without its prefix
	space    []byte // xml: namespace, empty for none
	max      int
	kids     []node
	own      *node // of a loop: the value that an entry itself is
}

func (n *node) value() bool { return n.kind >= str }

// most names within one object, so that a set of them fits in words.
const maxKids = 256

// set remembers which names of an object were seen.
type set [maxKids / 64]uint64

// add returns false when i is in the set already.
func (s *set) add(i int) bool {
	bit := uint64(1) << (i % 64)
	old := s[i/64]
	s[i/64] |= bit
	return old&bit == 0
}

func (s *set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// tree is what the codecs of all formats have in common.
type tree struct {
	layout *protocol.Layout
	root   node
	extra  bool // names that are not listed are passed over
	depth  int
	max    int // bytes
}

// Layout returns the fields of the spec.
func (t *tree) Layout() *protocol.Layout { return t.layout }

// New checks the spec and compiles it.
func New(s *Spec) (protocol.Codec, error) {
	t := tree{depth: s.Depth, max: s.MaxBytes}
	if t.depth == 0 {
		t.depth = 16
	}
	if t.max == 0 {
		t.max = 1 << 20
	}
	switch s.Extra {
	case "", "refuse":
	case "ignore":
		t.extra = true
	default:
		return nil, fmt.Errorf("extra: want refuse or ignore, got %q", s.Extra)
	}
	k := compiler{names: map[string]bool{}}
	if err := k.fields(&t.root, s.Fields, ""); err != nil {
		return nil, err
	}
	if d := t.root.deep(); d > t.depth {
		return nil, fmt.Errorf("depth: the fields need %d", d)
	}
	t.layout = protocol.NewLayout(k.layout)
	switch s.Format {
	case "json":
		return newJSON(t, s)
	case "xml":
		return newXML(t, s)
	case "kv":
		return newKV(t, s)
	}
	return nil, fmt.Errorf("format: want json, xml or kv, got %q", s.Format)
}

// compiler builds tree and layout from the spec.
type compiler struct {
	layout []protocol.FieldSpec
	names  map[string]bool
}

func (k *compiler) fields(at *node, fields []Field, prefix string) error {
	for i := range fields {
		f := &fields[i]
		path := f.Name
		if f.Loop != "" {
			path = f.Loop
		}
		if path == "" {
			return fmt.Errorf("field %d: want a name or a loop", i+1)
		}
		if err := k.field(at, f, path, prefix); err != nil {
			return fmt.Errorf("%s: %w", prefix+path, err)
		}
	}
	return nil
}

func (k *compiler) field(at *node, f *Field, path, prefix string) error {
	if f.Name == "." && at.kind == group && at.own == nil {
		at.own = &node{name: at.name, path: prefix + "."}
		return k.value(at.own, f)
	}
	n, err := at.make(path, prefix)
	if err != nil {
		return err
	}
	if n.required = f.Required; f.Loop == "" {
		return k.value(n, f)
	}
	switch {
	case f.Name != "" || f.Type != "" || f.Mask != "":
		return errors.New("a loop has only title, required, max and fields")
	case len(n.kids) > 0:
		return errors.New("a field below it stands before the loop or twice")
	case f.Max <= 0:
		return errors.New("max: want the most entries")
	case len(f.Fields) == 0:
		return errors.New("fields: none")
	}
	n.kind, n.max = group, f.Max
	if err := k.define(n, protocol.FieldSpec{Name: n.path, Title: f.Title, Group: true, Max: f.Max}); err != nil {
		return err
	}
	return k.fields(n, f.Fields, n.path+".")
}

// value compiles a field that is no loop.
func (k *compiler) value(n *node, f *Field) error {
	if f.Max != 0 || f.Fields != nil {
		return errors.New("max and fields belong to a loop")
	}
	n.required = f.Required
	var ok bool
	if n.kind, ok = parseType(f.Type); !ok {
		return fmt.Errorf("type: want string, number, decimal or bool, got %q", f.Type)
	}
	if n.mask, ok = pay.ParseMask(f.Mask); !ok {
		return fmt.Errorf("mask: unknown class %q", f.Mask)
	}
	return k.define(n, protocol.FieldSpec{Name: n.path, Title: f.Title, Mask: n.mask})
}

func (k *compiler) define(n *node, f protocol.FieldSpec) error {
	if k.names[f.Name] {
		return errors.New("stands twice")
	}
	if len(k.layout) >= 1<<16-1 {
		return errors.New("too many fields")
	}
	k.names[f.Name] = true
	n.id = uint16(len(k.layout))
	k.layout = append(k.layout, f)
	return nil
}

// make returns the node at the path below n and makes the objects on the way.
func (n *node) make(path, prefix string) (*node, error) {
	for {
		name, rest, more := strings.Cut(path, ".")
		if name == "" || strings.ContainsAny(name, " \t\r\n\"\\<>&'/") {
			return nil, fmt.Errorf("%q is no name", name)
		}
		prefix += name
		i := slices.IndexFunc(n.kids, func(k node) bool { return k.name == name })
		if i < 0 {
			if len(n.kids) == maxKids {
				return nil, fmt.Errorf("more than %d names in one object", maxKids)
			}
			i = len(n.kids)
			n.kids = append(n.kids, node{name: name, key: []byte(name), path: prefix})
		}
		n = &n.kids[i]
		if !more {
			return n, nil
		}
		if n.kind == group {
			return nil, fmt.Errorf("%s is a loop", prefix)
		}
		path, prefix = rest, prefix+"."
	}
}

// deep returns the levels of nesting below and with n.
func (n *node) deep() int {
	d := 0
	for i := range n.kids {
		d = max(d, n.kids[i].deep())
	}
	if n.kind == group {
		d++
	}
	return d + 1
}

// find returns the number of the kid with the wire name, -1 when there is
// none. It looks at kid number hint first, where a writer that keeps the
// spec's order puts it.
func (n *node) find(key []byte, hint int) int {
	if hint < len(n.kids) && string(n.kids[hint].key) == string(key) {
		return hint
	}
	for i := range n.kids {
		if string(n.kids[i].key) == string(key) {
			return i
		}
	}
	return -1
}

// missing returns the first required value below n that is neither in the
// record nor in an absent loop, nil when there is none. seen are the kids of n
// that were there.
func (n *node) missing(seen *set) *node {
	for i := range n.kids {
		if seen.has(i) {
			continue
		}
		k := &n.kids[i]
		if k.required {
			return k
		}
		if k.kind == object {
			if m := k.missing(&set{}); m != nil {
				return m
			}
		}
	}
	return nil
}

func parseType(name string) (kind, bool) {
	switch name {
	case "", "string":
		return str, true
	case "number":
		return number, true
	case "decimal":
		return decimal, true
	case "bool":
		return boolean, true
	}
	return 0, false
}

// charset is the encoding of xml and kv.
func (s *Spec) charset() (text.Charset, error) {
	if s.Encoding == "" {
		return text.UTF8, nil
	}
	c, ok := text.ParseCharset(s.Encoding)
	if !ok || c == text.ASCII {
		return c, fmt.Errorf("encoding: want utf-8, gbk or gb18030, got %q", s.Encoding)
	}
	return c, nil
}
