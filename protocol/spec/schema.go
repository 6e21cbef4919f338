package spec

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"qianzhi/conf"
)

// Schema is the JSON Schema of link files, which editors use too.
type Schema struct{ compiled *jsonschema.Schema }

// schemaName is its name among the files that ship.
const schemaName = "links/schema.json"

// NewSchema compiles the schema that ships with the program.
func NewSchema() (*Schema, error) {
	b, err := conf.Files.ReadFile(schemaName)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", schemaName, err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaName, doc); err != nil {
		return nil, fmt.Errorf("%s: %w", schemaName, err)
	}
	s := new(Schema)
	s.compiled, err = c.Compile(schemaName)
	return s, err
}

// Check holds a link file, and the files that it extends, to the schema. They
// are read through open, as Load does. An error names file, line and the path
// of the value.
func (s *Schema) Check(name string, open func(name string) ([]byte, error)) error {
	for range maxExtends + 1 {
		b, err := open(name)
		if err != nil {
			return err
		}
		n, err := document(name, b)
		if err != nil {
			return err
		}
		if err := s.fits(n); err != nil {
			return conf.InFile(name, err)
		}
		on := lookup(n, "extends")
		if on == nil {
			return nil
		}
		if filepath.IsAbs(on.Value) {
			name = on.Value
		} else {
			name = filepath.Join(filepath.Dir(name), on.Value)
		}
	}
	return fmt.Errorf("%s: more than %d files stand on one another", name, maxExtends)
}

// fits holds one document to the schema.
func (s *Schema) fits(n *yaml.Node) error {
	err := s.compiled.Validate(asJSON(n))
	var bad *jsonschema.ValidationError
	if !errors.As(err, &bad) {
		return err
	}
	at, named := bad.InstanceLocation, false
	for {
		if !named {
			at, named = place(bad, at)
		}
		if len(bad.Causes) == 0 {
			break
		}
		bad = slices.MaxFunc(bad.Causes, func(a, b *jsonschema.ValidationError) int { return depth(a) - depth(b) }) // of alternatives
	}
	line := n.Line
	for i := 0; i < len(at); i++ {
		k, value := member(n, at[i])
		if value == nil && named && i == len(at)-1 { // it stands deeper
			at = append(at[:i:i], seek(n, at[i])...)
			k, value = member(n, at[i])
		}
		if value == nil {
			break
		}
		line, n = k.Line, value
	}
	text := bad.ErrorKind.LocalizedString(message.NewPrinter(language.English))
	return &conf.Located{Line: line, Key: strings.Join(at, "."), Err: errors.New(text)}
}

// place returns where in the document an error is, no less far than what it is
// a cause of, and whether that is a key which is wrong itself. The location of
// errors about names is not to be relied on.
func place(e *jsonschema.ValidationError, at []string) ([]string, bool) {
	if k, ok := e.ErrorKind.(*kind.PropertyNames); ok {
		return append(slices.Clone(at), k.Property), true
	}
	if len(e.InstanceLocation) > len(at) {
		at = e.InstanceLocation
	}
	if k, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
		return append(slices.Clone(at), k.Properties[0]), true
	}
	return at, false
}

// depth is how far into the document an error, or the furthest of its causes,
// reaches.
func depth(e *jsonschema.ValidationError) int {
	most := len(e.InstanceLocation)
	for _, c := range e.Causes {
		most = max(most, depth(c))
	}
	return most
}

// member returns the value of a key and the node of the key itself, or the
// element with that number as both.
func member(n *yaml.Node, key string) (named, value *yaml.Node) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if i, err := strconv.Atoi(key); n.Kind == yaml.SequenceNode && err == nil && i < len(n.Content) {
		return n.Content[i], n.Content[i]
	}
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// seek returns the path to the first key of the name below a node, the name
// alone when there is none.
func seek(n *yaml.Node, name string) []string {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if _, value := member(n, name); n.Kind == yaml.MappingNode && value == nil {
		for i := 0; i+1 < len(n.Content); i += 2 {
			path := seek(n.Content[i+1], name)
			if _, value := member(n.Content[i+1], path[0]); value != nil {
				return append([]string{n.Content[i].Value}, path...)
			}
		}
	}
	return []string{name}
}

// asJSON turns a node into what the validator takes: texts stay texts, whatever
// they look like.
func asJSON(n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return asJSON(n.Alias)
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = asJSON(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			out[i] = asJSON(c)
		}
		return out
	}
	var v any
	switch n.ShortTag() {
	case "!!int", "!!float", "!!bool", "!!null":
		if n.Decode(&v) == nil {
			return v
		}
	}
	return n.Value
}
