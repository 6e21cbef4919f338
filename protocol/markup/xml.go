package markup

import (
	"errors"
	"fmt"
	"strings"

	"qianzhi/protocol"
	"qianzhi/protocol/text"
)

// xmlCodec reads and writes XML 1.0 without a document type.
//
// A name of the spec that starts with "@" is an attribute. Prefixes in the
// spec stand for the namespaces of its list; a message may bind other prefixes
// to them, or a default. Names without a prefix are in the namespace listed
// with an empty prefix, or in none; attributes without one are in none.
// Entries of a loop must stand together. Comments and white space between
// elements are passed over; processing instructions, document types and
// entities other than the five of XML are refused.
type xmlCodec struct {
	tree
	charset text.Charset
	open    []byte // what stands before the content of the root element
}

var xmlEncodings = [...]string{text.UTF8: "UTF-8", text.GBK: "GBK", text.GB18030: "GB18030"}

func newXML(t tree, s *Spec) (protocol.Codec, error) {
	if s.Separator != "" || s.Assign != "" || s.Quote != "" || s.Escape != "" || s.End {
		return nil, errors.New("separator, assign, quote, escape and end are not for xml")
	}
	if s.Root == "" {
		return nil, errors.New("root: want the name of the outermost element")
	}
	c := &xmlCodec{tree: t}
	var err error
	if c.charset, err = s.charset(); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, ns := range s.Namespaces {
		if seen[ns.Prefix] || ns.URI == "" || strings.ContainsAny(ns.URI, "<>&\"") || strings.HasPrefix(ns.Prefix, "xml") {
			return nil, fmt.Errorf("namespaces: %q: want each prefix once, and a plain uri", ns.Prefix)
		}
		seen[ns.Prefix] = true
	}
	c.root.name = s.Root
	if err := c.names(&c.root, s.Namespaces); err != nil {
		return nil, err
	}
	if c.root.attr {
		return nil, fmt.Errorf("root: %q is an attribute", s.Root)
	}
	head := `<?xml version="1.0" encoding="` + xmlEncodings[c.charset] + `"?><` + s.Root
	for _, ns := range s.Namespaces {
		if ns.Prefix != "" {
			ns.Prefix = ":" + ns.Prefix
		}
		head += " xmlns" + ns.Prefix + `="` + ns.URI + `"`
	}
	c.open, err = c.charset.Append(nil, []byte(head))
	return c, err
}

// names works out the wire form of each name below n and of n itself.
func (c *xmlCodec) names(n *node, spaces []Namespace) error {
	var name string
	name, n.attr = strings.CutPrefix(n.name, "@")
	prefix, local, qualified := strings.Cut(name, ":")
	if !qualified {
		prefix, local = "", name
	}
	if qualified && !xmlName(prefix) || !xmlName(local) || name == "xmlns" || prefix == "xmlns" {
		return fmt.Errorf("%s: %q is no name of XML", n.path, n.name)
	}
	space := ""
	for _, ns := range spaces {
		if ns.Prefix == prefix && (qualified || !n.attr) {
			space = ns.URI
		}
	}
	if qualified && space == "" {
		return fmt.Errorf("%s: prefix %q is not among the namespaces", n.path, prefix)
	}
	for _, part := range []struct {
		to   *[]byte
		from string
	}{{&n.key, name}, {&n.local, local}, {&n.space, space}} {
		var err error
		if *part.to, err = c.charset.Append(nil, []byte(part.from)); err != nil {
			return fmt.Errorf("%s: a name that %v cannot write", n.path, c.charset)
		}
	}
	if n.attr && (!n.value() || len(n.kids) > 0) {
		return fmt.Errorf("%s: an attribute has only a value", n.path)
	}
	for i := range n.kids {
		k := &n.kids[i]
		if err := c.names(k, spaces); err != nil {
			return err
		}
		if n.content() != nil && !k.attr {
			return fmt.Errorf("%s: a value can have attributes, not elements", n.path)
		}
		for j := range i {
			if o := &n.kids[j]; o.attr == k.attr && string(o.local) == string(k.local) && string(o.space) == string(k.space) {
				return fmt.Errorf("%s: the same name as %s", k.path, o.path)
			}
		}
	}
	return nil
}

// content is what the text between the tags of n is the value of, nil when there
// are elements.
func (n *node) content() *node {
	if n.value() {
		return n
	}
	return n.own
}

// xmlName reports whether s is a name that the scanner reads, without a colon.
func xmlName(s string) bool {
	r := xmlScanner{body: []byte(s), charset: text.UTF8}
	name, err := r.name("")
	return err == nil && string(name) == s && !strings.Contains(s, ":")
}

// match returns the number of the kid with the resolved name, -1 when there
// is none. It looks at kid number hint first.
func (n *node) match(local, space []byte, attr bool, hint int) int {
	is := func(k *node) bool {
		return k.attr == attr && string(k.local) == string(local) && string(k.space) == string(space)
	}
	if hint < len(n.kids) && is(&n.kids[hint]) {
		return hint
	}
	for i := range n.kids {
		if is(&n.kids[i]) {
			return i
		}
	}
	return -1
}
