package spec

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
)

// document returns the outermost node of a file.
func document(name string, b []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, conf.InFile(name, err)
	}
	if len(doc.Content) != 1 {
		return nil, conf.InFile(name, errors.New("empty"))
	}
	w := written{open: map[*yaml.Node]bool{}, left: maxValues}
	if err := w.check(doc.Content[0]); err != nil {
		return nil, conf.InFile(name, err)
	}
	m := merger{done: map[*yaml.Node]bool{}}
	if err := m.merge(doc.Content[0]); err != nil {
		return nil, conf.InFile(name, err)
	}
	return doc.Content[0], nil
}

// maxValues bounds the values of a file, those that aliases stand for included.
const maxValues = 1 << 18

// written walks over all values of a document.
type written struct {
	open map[*yaml.Node]bool // around the value at hand
	left int
}

// check refuses a document that would never end, or not soon, if its aliases
// were written out.
func (w *written) check(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		if w.open[n.Alias] {
			return &conf.Located{Line: n.Line, Key: n.Value, Err: errors.New("an alias within what it stands for")}
		}
		n = n.Alias
	}
	if w.left--; w.left < 0 {
		return &conf.Located{Line: n.Line, Err: fmt.Errorf("more than %d values", maxValues)}
	}
	if len(n.Content) == 0 {
		return nil
	}
	w.open[n] = true
	defer delete(w.open, n)
	for _, c := range n.Content {
		if err := w.check(c); err != nil {
			return err
		}
	}
	return nil
}

// merger writes out the merge keys of YAML ("<<: *name", or a list of names),
// so that nothing behind it has to know them.
type merger struct{ done map[*yaml.Node]bool }

func (m *merger) merge(n *yaml.Node) error {
	if n = target(n); m.done[n] {
		return nil
	}
	m.done[n] = true
	for _, c := range n.Content {
		if err := m.merge(c); err != nil {
			return err
		}
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	own, has, from := []*yaml.Node(nil), map[string]bool{}, []*yaml.Node(nil)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Tag != "!!merge":
			own, has[k.Value] = append(own, k, v), true
		case target(v).Kind == yaml.SequenceNode:
			from = append(from, target(v).Content...)
		default:
			from = append(from, v)
		}
	}
	for _, f := range from { // what stands in the mapping goes before, then the first that is named
		if f = target(f); f.Kind != yaml.MappingNode {
			return &conf.Located{Line: f.Line, Key: "<<", Err: errors.New("want the name of a mapping (<<: *name), or a list of such")}
		}
		for i := 0; i+1 < len(f.Content); i += 2 {
			if k := f.Content[i]; !has[k.Value] {
				own, has[k.Value] = append(own, k, f.Content[i+1]), true
			}
		}
	}
	n.Content = own
	return nil
}
