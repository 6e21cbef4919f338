package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
)

// rules is the part of JSON Schema that schema.json uses.
type rules struct {
	Ref           string            `json:"$ref"`
	Type          string            `json:"type"`
	Enum          []string          `json:"enum"`
	Pattern       string            `json:"pattern"`
	Properties    map[string]*rules `json:"properties"`
	Others        json.RawMessage   `json:"additionalProperties"`
	PropertyNames *rules            `json:"propertyNames"`
	Items         *rules            `json:"items"`
	AnyOf         []*rules          `json:"anyOf"`
	OneOf         []*rules          `json:"oneOf"`
	Required      []string          `json:"required"`
	Defs          map[string]*rules `json:"$defs"`
	Description   string            `json:"description"`
	Title         string            `json:"title"`
	Schema        string            `json:"$schema"`
}

// validator holds documents to the schema and notes the values that come from
// a list.
type validator struct {
	root   *rules
	listed map[string]*yaml.Node // by place in the schema
}

func newValidator(t *testing.T) *validator {
	t.Helper()
	b, err := conf.Files.ReadFile("links/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	v := &validator{root: new(rules), listed: map[string]*yaml.Node{}}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields() // a word that this validator does not know proves nothing
	if err := dec.Decode(v.root); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *validator) check(r *rules, n *yaml.Node, at string) error {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if name, ok := strings.CutPrefix(r.Ref, "#/$defs/"); ok {
		return v.check(v.root.Defs[name], n, name)
	}
	if r.Type != "" && r.Type != kindOf(n) {
		return fmt.Errorf("line %d: %s: want %s, got %s %q", n.Line, at, r.Type, kindOf(n), n.Value)
	}
	if r.Enum != nil {
		v.listed[at] = n
		if !slices.Contains(r.Enum, n.Value) {
			return fmt.Errorf("line %d: %s: %q is none of %v", n.Line, at, n.Value, r.Enum)
		}
	}
	if r.Pattern != "" && !regexp.MustCompile(r.Pattern).MatchString(n.Value) {
		return fmt.Errorf("line %d: %s: %q is not like %s", n.Line, at, n.Value, r.Pattern)
	}
	if r.Items != nil {
		for _, c := range n.Content {
			if err := v.check(r.Items, c, at+"[]"); err != nil {
				return err
			}
		}
	}
	return errors.Join(v.members(r, n, at), v.combined(r, n, at))
}

func (v *validator) members(r *rules, n *yaml.Node, at string) error {
	for _, name := range r.Required {
		if lookup(n, name) == nil {
			return fmt.Errorf("line %d: %s: no %s", n.Line, at, name)
		}
	}
	if r.Properties == nil && r.Others == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if r.PropertyNames != nil && !slices.Contains(r.PropertyNames.Enum, k.Value) {
			return fmt.Errorf("line %d: %s: no such name %q", k.Line, at, k.Value)
		}
		member := r.Properties[k.Value]
		if member == nil {
			if string(r.Others) == "false" {
				return fmt.Errorf("line %d: %s: unknown key %q", k.Line, at, k.Value)
			}
			member = new(rules)
			if err := json.Unmarshal(r.Others, member); err != nil {
				return err
			}
		}
		if err := v.check(member, val, at+"."+k.Value); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) combined(r *rules, n *yaml.Node, at string) error {
	var last error
	fits := func(list []*rules) (count int) {
		for _, one := range list {
			if err := v.check(one, n, at); err != nil {
				last = err
			} else {
				count++
			}
		}
		return count
	}
	if r.AnyOf != nil && fits(r.AnyOf) == 0 {
		return last
	}
	if got := fits(r.OneOf); r.OneOf != nil && got != 1 {
		return fmt.Errorf("%s: %d of the alternatives fit, want one (%w)", at, got, last)
	}
	return nil
}

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "object"
	case yaml.SequenceNode:
		return "array"
	}
	return map[string]string{"!!int": "integer", "!!bool": "boolean", "!!float": "number", "!!null": "null"}[n.ShortTag()] +
		map[bool]string{true: "string"}[n.ShortTag() == "!!str"]
}

// documents reads every complete link file as YAML.
func documents(t *testing.T) map[string]*yaml.Node {
	t.Helper()
	out := map[string]*yaml.Node{}
	add := func(names []string, err error, read func(string) ([]byte, error)) {
		for _, name := range names {
			b, rerr := read(name)
			n, derr := document(name, b)
			if err = errors.Join(err, rerr, derr); err != nil {
				t.Fatal(err)
			}
			if lookup(n, "id") != nil { // the others are tables for codec tests
				out[name] = n
			}
		}
	}
	names, err := fs.Glob(conf.Files, "links/*.yaml")
	add(names, err, conf.Files.ReadFile)
	names, err = filepath.Glob("../../testdata/links/*.yaml")
	add(names, err, os.ReadFile)
	return out
}

func TestLinksFitTheSchema(t *testing.T) {
	v := newValidator(t)
	for name, n := range documents(t) {
		if err := v.check(v.root, n, "link"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaAndProgramAgree breaks every value that the schema takes from a
// list, and every mapping by a key that no one has: both must be refused by the
// program as well.
func TestSchemaAndProgramAgree(t *testing.T) {
	broken := 0
	for name, n := range documents(t) {
		if n.Content[0].Value == "extends" {
			continue // it is no whole link
		}
		v := newValidator(t)
		if err := v.check(v.root, n, "link"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for at, val := range v.listed {
			old := val.Value
			val.Value = "no-such-value"
			if err := build(name, n); err == nil {
				t.Errorf("%s: line %d: %s: the program takes no-such-value for %q", name, val.Line, at, old)
			}
			val.Value = old
			broken++
		}
		if err := build(name, n); err != nil {
			t.Fatal(err)
		}
	}
	if broken < 150 {
		t.Errorf("only %d values were tried", broken)
	}
}

func build(name string, n *yaml.Node) error {
	if err := tables(n, name, conf.Files.ReadFile); err != nil {
		return err
	}
	l, err := decode(name, n)
	if err == nil {
		_, err = l.Assemble(Parts{})
	}
	return err
}

func TestSchemaRefusesUnknownKeys(t *testing.T) {
	v := newValidator(t)
	for _, text := range []string{
		"extends: a.yaml\nfoo: 1\n",
		"extends: a.yaml\nframe: {foo: 1}\n",
		"extends: a.yaml\nfixed: {request: {header: [{name: a, foo: 1}]}}\n",
		"extends: a.yaml\nmessages: [{name: a, request: {map: {moon: a}}}]\n",
		"extends: a.yaml\nmessages: [{name: a, request: {map: {amount: {at: a, foo: 1}}}}]\n",
		"extends: a.yaml\nhttp: {headers: {moon: X-Moon}}\n",
		"extends: a.yaml\ntimeouts: {channel: 30}\n",
		"id: x\n",
	} {
		n, err := document("x.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := v.check(v.root, n, "link"); err == nil {
			t.Errorf("accepted:\n%s", text)
		}
	}
}
