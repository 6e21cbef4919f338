package spec

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

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
// by key; lists of entries that have a name (fields, messages), a code and a
// wire value (codes) or values for which they are used (bodies, cases) are
// merged entry by entry, and an entry with "remove: true" is taken out; every
// other value, and one tagged !replace, replaces that of the base. Entries that
// the base does not have follow its own, or the one that "after" names, but new
// codes come first, because the first row of a code is the one that is written.
// The base is checked by itself first, so an error in it is named in it.
func Load(name string, open func(name string) ([]byte, error)) (*Link, error) {
	n, err := load(name, open, maxExtends)
	if err != nil {
		return nil, err
	}
	return decode(name, n)
}

// load returns a document with what it extends. What stands in another file has
// no lines.
func load(name string, open func(string) ([]byte, error), depth int) (*yaml.Node, error) {
	b, err := open(name)
	if err != nil {
		return nil, err
	}
	n, err := document(name, b)
	if err == nil {
		err = tables(n, name, open)
	}
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
	if err == nil {
		_, err = decode(from, base)
	}
	if err != nil {
		return nil, conf.InFile(name, &conf.Located{Line: on.Line, Key: "extends", Err: err})
	}
	unlined(base)
	merged, err := merge(base, n)
	if err != nil {
		return nil, conf.InFile(name, err)
	}
	return merged, nil
}

// unlined takes the lines from a document, so that no error gives one for that
// of another file.
func unlined(n *yaml.Node) {
	n.Line = 0
	for _, c := range n.Content {
		unlined(c)
	}
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

// target is what an alias stands for, or the node itself.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// merge lays a variant over its base. Nodes are shared, never changed. What stands
// for another node in its file is laid over like that node.
func merge(base, over *yaml.Node) (*yaml.Node, error) {
	base, over = target(base), target(over)
	switch {
	case over.Tag == replaceTag:
		whole := *over
		whole.Tag = ""
		return &whole, nil
	case base.Kind == yaml.MappingNode && over.Kind == yaml.MappingNode:
		return mergeMaps(base, over)
	case base.Kind == yaml.SequenceNode && over.Kind == yaml.SequenceNode && identified(base) && identified(over):
		return mergeLists(base, over)
	}
	return over, nil
}

func mergeMaps(base, over *yaml.Node) (*yaml.Node, error) {
	out := *over
	out.Content = nil
	for i := 0; i+1 < len(base.Content); i += 2 {
		k, v := base.Content[i], base.Content[i+1]
		if named, changed := member(over, k.Value); changed != nil {
			var err error
			if v, err = merge(v, changed); err != nil {
				return nil, err
			}
			k = named
		}
		out.Content = append(out.Content, k, v)
	}
	for i := 0; i+1 < len(over.Content); i += 2 {
		if k := over.Content[i]; lookup(base, k.Value) == nil {
			out.Content = append(out.Content, k, over.Content[i+1])
		}
	}
	return &out, nil
}

// identity is what names an entry of a list, "" when nothing does: a name, a
// code with its wire value, the message types of a rule, or the values for which
// a body or a case is used.
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
	if types := lookup(n, "mti"); types != nil {
		return "mti\x00" + spelled(types)
	}
	for _, key := range []string{"when", "only_if", "fields", "as"} {
		if lookup(n, key) != nil || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			return "when\x00" + spelled(lookup(n, "when")) + "\x00" + spelled(lookup(n, "only_if"))
		}
	}
	return ""
}

// spelled is a node as one text, whatever the order of its keys.
func spelled(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	if n.Kind == yaml.AliasNode {
		return spelled(n.Alias)
	}
	var parts []string
	step := 1
	if n.Kind == yaml.MappingNode {
		step = 2
	}
	for i := 0; i+step <= len(n.Content); i += step {
		part := spelled(n.Content[i])
		if step == 2 {
			part += "=" + spelled(n.Content[i+1])
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return n.Value + "\x01" + strings.Join(parts, "\x02") + "\x03"
}

// identified reports whether each entry of a list has a name of its own.
func identified(list *yaml.Node) bool {
	seen := map[string]bool{}
	for _, n := range list.Content {
		id := identity(n)
		if id == "" || seen[id] {
			return false
		}
		seen[id] = true
	}
	return len(list.Content) > 0
}

func mergeLists(base, over *yaml.Node) (*yaml.Node, error) {
	out := *over
	out.Content = nil
	used := map[string]bool{}
	var placed []*yaml.Node // entries of the variant that stand where it says, or at an end
	for _, n := range base.Content {
		id := identity(n)
		changed := find(over, id)
		if used[id] = changed != nil; changed == nil {
			out.Content = append(out.Content, n)
			continue
		}
		if removed(changed) {
			continue
		}
		after := take(changed, "after")
		merged, err := merge(n, changed)
		if err != nil {
			return nil, err
		}
		if after != nil {
			merged.Content = append(merged.Content, scalar("after"), after)
			placed = append(placed, merged)
			continue
		}
		out.Content = append(out.Content, merged)
	}
	for _, n := range over.Content {
		if !used[identity(n)] && !removed(n) {
			placed = append(placed, n)
		}
	}
	return &out, insert(&out, placed, lookup(base.Content[0], "code") != nil)
}

func scalar(name string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name}
}

// insert puts entries into a list: behind the one that they name, or else at its
// beginning, or end, in their order.
func insert(list *yaml.Node, entries []*yaml.Node, first bool) error {
	at, behind := 0, map[string]int{} // how many were put in
	for _, n := range entries {
		after := take(n, "after")
		switch {
		case after != nil:
			i := slices.IndexFunc(list.Content, func(o *yaml.Node) bool { return called(o, after.Value) })
			if i < 0 {
				return &conf.Located{Line: after.Line, Key: "after", Err: fmt.Errorf("no entry %q", after.Value)}
			}
			behind[after.Value]++
			list.Content = slices.Insert(list.Content, i+behind[after.Value], n)
		case first:
			list.Content = slices.Insert(list.Content, at, n)
			at++
		default:
			list.Content = append(list.Content, n)
		}
	}
	return nil
}

// called reports whether an entry of a list has a name.
func called(n *yaml.Node, name string) bool {
	for _, key := range []string{"name", "loop"} {
		if v := lookup(n, key); v != nil && v.Value == name {
			return true
		}
	}
	return false
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
