package spec

import (
	"errors"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
)

// located gives an error of a codec, of framing or of a check the line that it
// is about. Such errors begin with the way through the file: "fixed: request:
// bodies[0]: amount: len: want ...". One that has a line already is left alone.
func (l *Link) located(err error) error {
	var at *conf.Located
	if l.root == nil || errors.As(err, &at) && at.Line > 0 {
		return err
	}
	var w walker
	w.to(l.root, 0)
	for _, word := range strings.Split(err.Error(), ": ") {
		w.word(word)
	}
	if w.line == 0 {
		return err
	}
	return &conf.Located{Line: w.line, Err: err}
}

// walker follows the words of an error into a file. line is that of the last
// node on the way that has one.
type walker struct {
	at   *yaml.Node
	line int
}

func (w *walker) to(n *yaml.Node, line int) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	w.at = n
	if line > 0 {
		w.line = line
	}
}

// word takes the steps that a word of the error tells: a key, keys with points
// between them, the name of an entry of a list, or a list and a number.
func (w *walker) word(word string) {
	name, number, indexed := strings.Cut(strings.TrimSuffix(word, "]"), "[")
	if !w.step(name) {
		for _, part := range strings.Split(name, ".") {
			if !w.step(part) {
				return
			}
		}
	}
	if i, err := strconv.Atoi(number); indexed && err == nil && w.at.Kind == yaml.SequenceNode && i >= 0 && i < len(w.at.Content) {
		w.enter(w.at.Content[i], w.at.Content[i])
	}
}

// enter goes to a value whose key, or which itself, is at.
func (w *walker) enter(at, value *yaml.Node) {
	w.to(value, at.Line)
}

// step goes to the member or the entry of a name. Entries are also looked for
// in the lists of fields below.
func (w *walker) step(name string) bool {
	if k, v := member(w.at, name); v != nil && w.at.Kind == yaml.MappingNode {
		w.enter(k, v)
		return true
	}
	if w.at.Kind == yaml.SequenceNode {
		return w.entry(w.at, name)
	}
	for _, list := range []string{"header", "fields", "loop", "cases", "messages", "codes"} {
		if _, v := member(w.at, list); v != nil && v.Kind == yaml.SequenceNode && w.entry(v, name) {
			return true
		}
	}
	if _, as := member(w.at, "as"); as != nil {
		if n := lookup(as, "name"); n != nil && lastOf(name) == n.Value {
			w.enter(n, as)
			return true
		}
	}
	return false
}

// entry goes to the entry of a list that has a name, with or without the path
// that leads to it.
func (w *walker) entry(list *yaml.Node, name string) bool {
	for _, n := range list.Content {
		for n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		for _, key := range []string{"name", "loop"} {
			if k, v := member(n, key); v != nil && n.Kind == yaml.MappingNode && v.Kind == yaml.ScalarNode && (v.Value == name || strings.HasSuffix(name, "."+v.Value)) {
				w.enter(k, n)
				return true
			}
		}
		if as := lookup(n, "as"); as != nil {
			if v := lookup(as, "name"); v != nil && v.Value == lastOf(name) {
				w.enter(v, as)
				return true
			}
		}
	}
	return false
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
