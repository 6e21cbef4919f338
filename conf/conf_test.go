package conf

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type section struct {
	Name  string            `yaml:"name"`
	Size  int               `yaml:"size"`
	List  []item            `yaml:"list"`
	Words map[string]string `yaml:"words"`
}

type item struct {
	ID string `yaml:"id"`
}

func (s *section) Check() error {
	if s.Size < 0 {
		return errors.New("size: must not be negative")
	}
	return nil
}

func TestTextsStayAsTheyAre(t *testing.T) {
	// Codes that a loose reader turns into numbers, booleans, floats or dates.
	for _, code := range []string{"00", "05", "A0", "a0", "0x60", "1_0", "NO", "yes", "1e3", "0123", "2026-11-20", "~", ".5"} {
		var s section
		doc := "words: {k: \"" + code + "\", \"" + code + "\": v}\nname: \"" + code + "\"\n"
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(doc), &n); err != nil {
			t.Fatal(err)
		}
		if err := Decode(n.Content[0], &s); err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		if s.Name != code || s.Words["k"] != code || s.Words[code] != "v" {
			t.Errorf("%s became %+v", code, s)
		}
	}
	for _, code := range []string{"00", "05", "A0", "a0", "0x60", "1_0", "NO", "1e3", "0123", "2026-11-20"} { // without quotes as well
		var s section
		var n yaml.Node
		if err := yaml.Unmarshal([]byte("words: {"+code+": "+code+"}\nname: "+code+"\n"), &n); err != nil {
			t.Fatal(err)
		}
		if err := Decode(n.Content[0], &s); err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		if s.Name != code || s.Words[code] != code {
			t.Errorf("unquoted %s became %+v", code, s)
		}
	}
}

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("q.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestErrorsNameFileLineAndKey(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "node:\n  name: x\n  nam: y\n", "q.yaml:3: node: nam: unknown key"},
		{"unknown key in a list", "node:\n  list:\n    - id: a\n    - {id: b, di: c}\n", "q.yaml:4: node: di: unknown key"},
		{"key twice", "node:\n  name: x\n  name: y\n", "q.yaml:3"},
		{"wrong type", "node:\n  name: x\n  size: many\n", "q.yaml:3: node:"},
		{"check", "node:\n  name: x\n  size: -1\n", "q.yaml:3: node: size: must not be negative"},
		{"unknown section", "node:\n  name: x\nother: {}\n", "q.yaml:3: other: unknown section"},
	} {
		f, err := Parse("q.yaml", []byte(c.text))
		if err == nil {
			if err = f.Section("node", &section{}); err == nil {
				err = f.Unused()
			}
		}
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	for _, text := range []string{"", "- a\n", "a: {}\na: {}\n", "a: [\n"} {
		if _, err := Parse("q.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "q.yaml") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestWrongLeadsToTheLine(t *testing.T) {
	f := parse(t, "a:\n  list:\n    - id: x\n    - id: y\n      file: z\n")
	for _, c := range []struct {
		path []any
		err  string
		want string
	}{
		{[]any{"a", "list", 1, "file"}, "gone", "q.yaml:5: a.list[1].file: gone"},
		{[]any{"a", "list", 1}, "file: gone", "q.yaml:5: a.list[1]: file: gone"},
		{[]any{"a", "list", 0}, "odd", "q.yaml:3: a.list[0]: odd"},
		{[]any{"b", "c"}, "missing", "q.yaml:1: b.c: missing"},
	} {
		if got := f.Wrong(errors.New(c.err), c.path...).Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	inner := InFile("links/x.yaml", &Located{Line: 77, Key: "frame", Err: errors.New("bad")})
	if got, want := f.Wrong(inner, "a", "list", 0).Error(), "q.yaml:3: a.list[0]: links/x.yaml:77: frame: bad"; got != want {
		t.Errorf("got %q, want %q: a line of another file is not one of this", got, want)
	}
}

func TestEnvironmentLiesOverScalars(t *testing.T) {
	t.Setenv("QIANZHI_NODE_NAME", "00")
	t.Setenv("QIANZHI_NODE_SIZE", "7")
	f := parse(t, "node:\n  name: x\n  size: 1\n  list: [{id: a}]\n")
	var s section
	if err := f.Section("node", &s); err != nil {
		t.Fatal(err)
	}
	if want := (section{Name: "00", Size: 7, List: []item{{"a"}}}); !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

func TestShippedFilesAreThere(t *testing.T) {
	for _, name := range []string{"qianzhi.yaml", "recon-matrix.json", "links/pos-cup.yaml", "links/bank-fixed.yaml", "links/bank-http.yaml", "links/mis.yaml",
		"statements/bank-lines.yaml", "statements/mis-lines.yaml"} {
		if _, err := Files.ReadFile(name); err != nil {
			t.Error(err)
		}
	}
}
