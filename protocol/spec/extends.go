package spec

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
)

// replaceTag marks a value that takes the place of the base's as it is.
const replaceTag = "!replace"

// maxExtends bounds how many files may stand on one another.
const maxExtends = 8

// Load reads a link file and what it extends, through open. A name under
// extends is relative to the file it stands in.
//
// A file that extends another holds only what differs: mappings are merged key
// by key; lists of entries that have a name (fields, messages) or a code and a
// wire value (codes) are merged entry by entry, and an entry with "remove:
// true" is taken out; every other value, and one tagged !replace, replaces that
// of the base. Entries that the base does not have follow its own, but new
// codes come first, because the first row of a code is the one that is written.
// The base is checked by itself first, so an error in it is named in it.
func Load(name string, open func(name string) ([]byte, error)) (*Link, error) {
	n, err := load(name, open, maxExtends)
	if err != nil {
		return nil, err
	}
	return decode(name, n)
}

func load(name string, open func(string) ([]byte, error), depth int) (*yaml.Node, error) {
	b, err := open(name)
	if err != nil {
		return nil, err
	}
	n, err := document(name, b)
	if err != nil {
		return nil, err
	}
	on := take(n, "extends")
	if on == nil {
		return n, nil
	}
	if depth == 0 {
		return nil, conf.InFile(name, &conf.Located{Line: on.Line, Key: "extends", Err: fmt.Errorf("more than %d files stand on one another", maxExtends)})
	}
	if on.Kind != yaml.ScalarNode || on.Value == "" {
		return nil, conf.InFile(name, &conf.Located{Line: on.Line, Key: "extends", Err: errors.New("want the name of a link file")})
	}
	from := on.Value
	if !filepath.IsAbs(from) {
		from = filepath.Join(filepath.Dir(name), from)
	}
	base, err := load(from, open, depth-1)
	if err != nil {
		return nil, conf.InFile(name, &conf.Located{Line: on.Line, Key: "extends", Err: err})
	}
	if _, err := decode(from, base); err != nil {
		return nil, conf.InFile(name, &conf.Located{Line: on.Line, Key: "extends", Err: err})
	}
	return merge(base, n), nil
}

// take removes a key from a mapping and returns its value, nil when absent.
func take(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == key {
			v := n.Content[i+1]
			n.Content = append(n.Content[:i:i], n.Content[i+2:]...)
			return v
		}
	}
	return nil
}

// lookup returns the value of a key in a mapping, nil when absent.
func lookup(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// merge lays a variant over its base. Nodes are shared, never changed.
func merge(base, over *yaml.Node) *yaml.Node {
	switch {
	case over.Tag == replaceTag:
		whole := *over
		whole.Tag = ""
		return &whole
	case base.Kind == yaml.MappingNode && over.Kind == yaml.MappingNode:
		return mergeMaps(base, over)
	case base.Kind == yaml.SequenceNode && over.Kind == yaml.SequenceNode && identified(base) && identified(over):
		return mergeLists(base, over)
	}
	return over
}

func mergeMaps(base, over *yaml.Node) *yaml.Node {
	out := *over
	out.Content = nil
	for i := 0; i+1 < len(base.Content); i += 2 {
		k, v := base.Content[i], base.Content[i+1]
		if changed := lookup(over, k.Value); changed != nil {
			v = merge(v, changed)
		}
		out.Content = append(out.Content, k, v)
	}
	for i := 0; i+1 < len(over.Content); i += 2 {
		if lookup(base, over.Content[i].Value) == nil {
			out.Content = append(out.Content, over.Content[i], over.Content[i+1])
		}
	}
	return &out
}

// identity is what names an entry of a list, "" when nothing does.
func identity(n *yaml.Node) string {
	for _, key := range []string{"name", "loop"} {
		if v := lookup(n, key); v != nil {
			return key + "\x00" + v.Value
		}
	}
	code, wire := lookup(n, "code"), lookup(n, "wire")
	if code != nil && wire != nil {
		return "code\x00" + code.Value + "\x00" + wire.Value
	}
	return ""
}

func identified(list *yaml.Node) bool {
	for _, n := range list.Content {
		if identity(n) == "" {
			return false
		}
	}
	return len(list.Content) > 0
}

func mergeLists(base, over *yaml.Node) *yaml.Node {
	out := *over
	out.Content = nil
	used := map[string]bool{}
	for _, n := range base.Content {
		id := identity(n)
		changed := find(over, id)
		switch {
		case changed == nil:
			out.Content = append(out.Content, n)
		case !removed(changed):
			out.Content = append(out.Content, merge(n, changed))
		}
		used[id] = changed != nil
	}
	var added []*yaml.Node
	for _, n := range over.Content {
		if !used[identity(n)] && !removed(n) {
			added = append(added, n)
		}
	}
	if lookup(base.Content[0], "code") != nil {
		out.Content = append(added, out.Content...)
	} else {
		out.Content = append(out.Content, added...)
	}
	return &out
}

func find(list *yaml.Node, id string) *yaml.Node {
	for _, n := range list.Content {
		if identity(n) == id {
			return n
		}
	}
	return nil
}

func removed(n *yaml.Node) bool {
	v := lookup(n, "remove")
	return v != nil && v.Value == "true"
}

// Merged returns a link file with what it extends laid under it, as one YAML
// text that extends nothing.
func Merged(name string, open func(name string) ([]byte, error)) ([]byte, error) {
	n, err := load(name, open, maxExtends)
	if err != nil {
		return nil, err
	}
	if _, err := decode(name, n); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(expanded(n)); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// expanded writes out what aliases stand for: the anchor may be in a part of the
// base that is gone.
func expanded(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return expanded(n.Alias)
	}
	out := *n
	out.Anchor, out.Content = "", make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out.Content[i] = expanded(c)
	}
	return &out
}
