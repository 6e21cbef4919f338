// Package conf holds the configuration that ships with the program and the one
// way in which configuration is read: strictly, by section, with file, line and
// key in every error.
package conf

import (
	"embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// Files holds the default configuration, the link and statement specifications,
// the statements of SQL hosts, the holidays and the reconciliation matrix.
//
//go:embed qianzhi.yaml links sql statements calendar recon-matrix.json
var Files embed.FS

// EnvPrefix starts the names of environment variables that override scalar
// keys: QIANZHI_JOURNAL_DIR is journal.dir.
const EnvPrefix = "QIANZHI"

// File is one configuration file whose sections are decoded one by one.
type File struct {
	name     string
	root     *yaml.Node
	sections map[string]*yaml.Node
	lines    map[string]int
	asked    map[string]bool
}

// Open reads a configuration file.
func Open(name string) (*File, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return Parse(name, b)
}

// Parse reads configuration from memory; name is used in errors.
func Parse(name string, b []byte) (*File, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: want a mapping of sections", name)
	}
	f := &File{name: name, root: doc.Content[0], sections: map[string]*yaml.Node{}, lines: map[string]int{}, asked: map[string]bool{}}
	for i := 0; i+1 < len(f.root.Content); i += 2 {
		k := f.root.Content[i]
		if f.sections[k.Value] != nil {
			return nil, fmt.Errorf("%s:%d: %s: section stands twice", name, k.Line, k.Value)
		}
		f.sections[k.Value], f.lines[k.Value] = f.root.Content[i+1], k.Line
	}
	return f, f.overlay()
}

// Dir returns the folder that relative paths in the file start from.
func (f *File) Dir() string { return filepath.Dir(f.name) }

// overlay lays the environment over the scalar keys of the file. Lists are not
// reached by it: their elements have ids, not names.
func (f *File) overlay() error {
	v := viper.New()
	v.SetEnvPrefix(EnvPrefix)
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	return walk(f.root, "", func(key string, n *yaml.Node) error {
		if err := v.BindEnv(key); err != nil {
			return err
		}
		if v.IsSet(key) {
			n.Value, n.Tag, n.Style = v.GetString(key), "", 0
		}
		return nil
	})
}

func walk(n *yaml.Node, path string, leaf func(string, *yaml.Node) error) error {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		key := n.Content[i].Value
		if path != "" {
			key = path + "." + key
		}
		var err error
		if n.Content[i+1].Kind == yaml.ScalarNode {
			err = leaf(key, n.Content[i+1])
		} else {
			err = walk(n.Content[i+1], key, leaf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Section decodes one section into opts, a pointer, and calls its Check method
// if it has one. Unknown keys are errors. A section that is missing leaves opts
// as it is, which is then checked all the same.
func (f *File) Section(name string, opts any) error {
	f.asked[name] = true
	if n := f.sections[name]; n != nil {
		if err := Decode(n, opts); err != nil {
			return f.wrap(name, n, err)
		}
	}
	if c, ok := opts.(interface{ Check() error }); ok {
		if err := c.Check(); err != nil {
			return f.wrap(name, f.sections[name], err)
		}
	}
	return nil
}

// wrap names file, line and section. The line is that of the key which the
// error's text begins with, where the section has it.
func (f *File) wrap(section string, n *yaml.Node, err error) error {
	if n == nil {
		return fmt.Errorf("%s: %s: %w", f.name, section, err)
	}
	return fmt.Errorf("%s:%d: %s: %w", f.name, lineOf(n, f.lines[section], err), section, err)
}

func lineOf(n *yaml.Node, line int, err error) int {
	var at *Located
	if errors.As(err, &at) && at.Line > 0 {
		return at.Line
	}
	key, _, _ := strings.Cut(err.Error(), ":")
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i].Line
		}
	}
	return line
}

// Wrong names file, line and key of what an error is about. The path leads
// from the section through keys (string) and list positions (int) as far as
// the file goes; a text at the start of the error that is a key there leads one
// step further.
func (f *File) Wrong(err error, path ...any) error {
	n, line := f.root, 1
	var name strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case string:
			if name.Len() > 0 {
				name.WriteByte('.')
			}
			name.WriteString(step)
			for i := 0; n != nil && i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
				if n.Content[i].Value == step {
					line, n = n.Content[i].Line, n.Content[i+1]
					break
				}
			}
		case int:
			fmt.Fprintf(&name, "[%d]", step)
			if n.Kind == yaml.SequenceNode && step < len(n.Content) {
				n = n.Content[step]
				line = n.Line
			}
		}
	}
	return fmt.Errorf("%s:%d: %s: %w", f.name, lineOf(n, line, err), name.String(), err)
}

// Unused reports the first section that nobody asked for.
func (f *File) Unused() error {
	for i := 0; i+1 < len(f.root.Content); i += 2 {
		if k := f.root.Content[i]; !f.asked[k.Value] {
			return fmt.Errorf("%s:%d: %s: unknown section", f.name, k.Line, k.Value)
		}
	}
	return nil
}

// Located is an error that knows its line.
type Located struct {
	Line int
	Key  string
	Err  error
}

// Error names the key and the cause; the line is added by who knows the file.
func (l *Located) Error() string {
	if l.Key == "" {
		return l.Err.Error()
	}
	return l.Key + ": " + l.Err.Error()
}

// Unwrap returns the cause.
func (l *Located) Unwrap() error { return l.Err }

// InFile adds file and, where the error knows it, line. The result is final:
// what it wraps is about this file and no other.
func InFile(name string, err error) error {
	var at *Located
	if errors.As(err, &at) && at.Line > 0 {
		return fmt.Errorf("%s:%d: %v", name, at.Line, err)
	}
	return fmt.Errorf("%s: %v", name, err)
}

// Decode decodes a node strictly: a key that the target does not have is an
// error with its line.
func Decode(n *yaml.Node, to any) error {
	if err := known(n, reflect.TypeOf(to)); err != nil {
		return err
	}
	if err := n.Decode(to); err != nil {
		var te *yaml.TypeError
		if errors.As(err, &te) && len(te.Errors) > 0 {
			var line int
			text := te.Errors[0]
			if _, scan := fmt.Sscanf(text, "line %d:", &line); scan == nil {
				text = text[strings.Index(text, ":")+2:]
			}
			return &Located{Line: line, Err: errors.New(text)}
		}
		return err
	}
	return nil
}

// known walks node and type together and reports keys without a field.
func known(n *yaml.Node, t reflect.Type) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()) {
		return nil
	}
	switch {
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, c := range n.Content {
			if err := known(c, t.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Map:
		for i := 1; i < len(n.Content); i += 2 {
			if err := known(n.Content[i], t.Elem()); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		return knownFields(n, t)
	}
	return nil
}

func knownFields(n *yaml.Node, t reflect.Type) error {
	types := map[string]reflect.Type{}
	fieldTypes(t, types)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		ft, ok := types[k.Value]
		switch {
		case !ok:
			return &Located{Line: k.Line, Key: k.Value, Err: fmt.Errorf("unknown key; those known here are %s", strings.Join(slices.Sorted(maps.Keys(types)), ", "))}
		case seen[k.Value]:
			return &Located{Line: k.Line, Key: k.Value, Err: errors.New("key stands twice")}
		}
		seen[k.Value] = true
		if err := known(n.Content[i+1], ft); err != nil {
			return err
		}
	}
	return nil
}

// fieldTypes collects the types of a struct's keys, those of inlined structs
// among them.
func fieldTypes(t reflect.Type, types map[string]reflect.Type) {
	for i := range t.NumField() {
		name, rest, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		switch {
		case rest == "inline":
			fieldTypes(t.Field(i).Type, types)
		case name != "" && name != "-":
			types[name] = t.Field(i).Type
		}
	}
}
