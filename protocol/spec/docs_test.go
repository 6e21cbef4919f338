package spec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/frame"
)

var update = flag.Bool("update", false, "rewrite conf/links/README.md and conf/links/schema.json")

// The spec language is documented once, in the comments of the structs that
// read it; these files are made from them.
const (
	readme     = "../../conf/links/README.md"
	schemaFile = "../../conf/links/schema.json"
	begin      = "<!-- from here on written by go test ./protocol/spec -update -->\n"
)

func TestDocumentsAreUpToDate(t *testing.T) {
	b := newBook(t)
	b.visit("spec", "Link")
	schema := b.schema()
	old, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(old), begin)
	if !ok {
		t.Fatalf("%s: no line %q", readme, begin)
	}
	for name, want := range map[string]string{readme: head + begin + b.tables(), schemaFile: schema} {
		have, _ := os.ReadFile(name) // absent is out of date
		switch {
		case string(have) == want:
		case !*update:
			t.Errorf("%s is out of date: go test ./protocol/spec -update", name)
		default:
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// book collects the structs that a link file is read into.
type book struct {
	t     *testing.T
	types map[string]*ast.TypeSpec // "frame.Options"
	docs  map[string]string
	order []string
	keys  map[string][]key
}

// key is one key of a struct.
type key struct {
	name, doc string
	required  bool
	enum      []string
	value     value
}

// value says what a key holds.
type value struct {
	kind string // text, number, switch, time, list, map, struct, moves, pairs
	of   string // struct, or element of list and map
}

func newBook(t *testing.T) *book {
	t.Helper()
	b := &book{t: t, types: map[string]*ast.TypeSpec{}, docs: map[string]string{}, keys: map[string][]key{}}
	for _, pkg := range []string{"spec", "frame", "iso8583", "fixed", "delimited", "markup", "fml", "secure"} {
		files, err := filepath.Glob("../" + pkg + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.TYPE || strings.HasSuffix(name, "_test.go") {
					continue
				}
				for _, s := range g.Specs {
					ts := s.(*ast.TypeSpec)
					b.types[pkg+"."+ts.Name.Name] = ts
					b.docs[pkg+"."+ts.Name.Name] = oneLine(g.Doc)
				}
			}
		}
	}
	return b
}

func oneLine(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	return strings.Join(strings.Fields(g.Text()), " ")
}

// visit notes the keys of a struct and of the structs that they hold.
func (b *book) visit(pkg, name string) {
	id := pkg + "." + name
	if _, done := b.keys[id]; done {
		return
	}
	st, ok := b.types[id].Type.(*ast.StructType)
	if !ok {
		b.t.Fatalf("%s is no struct", id)
	}
	b.order = append(b.order, id)
	b.keys[id] = nil
	b.keys[id] = b.fields(pkg, st)
	for _, k := range b.keys[id] {
		if k.doc == "" {
			b.t.Errorf("%s: key %s has no comment", id, k.name)
		}
	}
}

func (b *book) fields(pkg string, st *ast.StructType) []key {
	var out []key
	for _, f := range st.Fields.List {
		if f.Tag == nil {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(f.Tag.Value, "`yaml:\""), "\"`"), ",")
		if rest == "inline" {
			out = append(out, b.fields(pkg, b.types[pkg+"."+f.Type.(*ast.Ident).Name].Type.(*ast.StructType))...)
			continue
		}
		doc := oneLine(f.Doc)
		if doc == "" {
			doc = oneLine(f.Comment)
		}
		doc, required := strings.CutPrefix(doc, "required")
		doc = strings.TrimPrefix(doc, ": ")
		out = append(out, key{name: name, doc: doc, required: required, enum: oneOf(doc), value: b.value(pkg, f.Type)})
	}
	return out
}

// choice is one word of a list, with a remark in brackets.
const choice = `[A-Za-z0-9-]+(?:\.[0-9]+)?(?: \([^)]*\))?`

var list = regexp.MustCompile(`one of (` + choice + `(?:, ` + choice + `)+)`)

// oneOf reads the lists of values in a comment: "one of a, b (default), c".
func oneOf(doc string) []string {
	var out []string
	for _, m := range list.FindAllStringSubmatch(doc, -1) {
		for _, item := range strings.Split(regexp.MustCompile(` \([^)]*\)`).ReplaceAllString(m[1], ""), ", ") {
			if !slices.Contains(out, item) {
				out = append(out, item)
			}
		}
	}
	return out
}

func (b *book) value(pkg string, x ast.Expr) value {
	switch x := x.(type) {
	case *ast.StarExpr:
		return b.value(pkg, x.X)
	case *ast.ArrayType:
		return value{"list", b.named(pkg, x.Elt)}
	case *ast.MapType:
		return value{"map", b.named(pkg, x.Value)}
	case *ast.IndexExpr:
		return value{"pair", b.named(pkg, x.Index)}
	}
	switch name := b.named(pkg, x); name {
	case "text", "number", "switch", "time", "pairs", "moves", "echoes":
		return value{kind: name}
	default:
		return value{"struct", name}
	}
}

// named returns the word for a plain type, or the name of a struct, which it
// visits.
func (b *book) named(pkg string, x ast.Expr) string {
	switch x := x.(type) {
	case *ast.ArrayType:
		return b.named(pkg, x.Elt)
	case *ast.SelectorExpr:
		pkg = x.X.(*ast.Ident).Name
		if pkg == "time" {
			return "time"
		}
		b.visit(pkg, x.Sel.Name)
		return pkg + "." + x.Sel.Name
	case *ast.Ident:
		switch x.Name {
		case "string":
			return "text"
		case "int":
			return "number"
		case "bool":
			return "switch"
		case "Pairs":
			return "pairs"
		case "Moves":
			b.visit("spec", "Move")
			return "moves"
		case "Echoes":
			return "echoes"
		}
		b.visit(pkg, x.Name)
		return pkg + "." + x.Name
	}
	b.t.Fatalf("type %T in a spec", x)
	return ""
}

// closed are the keys whose values are a list of this program and not of a
// comment.
func closed(id, name string) []string {
	var out []string
	switch id + "." + name {
	case "spec.Link.allow", "spec.Message.op":
		for i := 1; ; i++ {
			op := pay.Op(i).String()
			if _, ok := pay.ParseOp(op); !ok {
				return out
			}
			out = append(out, op)
		}
	case "spec.Code.code":
		for _, c := range pay.Codes() {
			out = append(out, c.String())
		}
	case "spec.Identity.scope":
		return fieldNames()
	}
	return out
}

func fieldNames() []string {
	var out []string
	for _, f := range pay.Fields() {
		out = append(out, f.String())
	}
	return out
}

func headNames() []string {
	var out []string
	for h := protocol.HeadNone + 1; ; h++ {
		if _, ok := protocol.ParseHead(h.String()); !ok {
			return out
		}
		out = append(out, h.String())
	}
}

// listed are the structs whose entries have names, so that a variant can take
// them out.
func listed(id string) bool {
	return slices.Contains([]string{"iso8583.Field", "fixed.Field", "delimited.Field", "markup.Field", "fml.Field", "spec.Message", "spec.Code",
		"fixed.Body", "delimited.Body", "iso8583.Case", "iso8583.Message"}, id)
}

type object = map[string]any

// schema writes the JSON Schema of a link file.
func (b *book) schema() string {
	defs := object{}
	for _, id := range b.order {
		defs[id] = b.object(id)
	}
	root := defs["spec.Link"].(object)
	delete(defs, "spec.Link")
	var required, codecs []string
	for _, k := range b.keys["spec.Link"] {
		if k.required {
			required = append(required, k.name)
		}
		if k.value.kind == "pair" || k.name == "iso8583" {
			codecs = append(codecs, k.name)
		}
	}
	var one []object
	for _, c := range codecs {
		one = append(one, object{"required": []string{c}})
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "link file of qianzhi"
	root["$defs"] = defs
	root["properties"].(object)["extends"] = object{"type": "string", "description": "the link file that this one differs from, relative to it"}
	root["anyOf"] = []object{{"required": []string{"extends"}}, {"required": required, "oneOf": one}}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(root); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

func (b *book) object(id string) object {
	props := object{}
	for _, k := range b.keys[id] {
		s := b.valueSchema(id, &k)
		s["description"] = k.doc
		props[k.name] = s
	}
	if listed(id) {
		props["remove"] = object{"type": "boolean", "description": "in a file with extends: take this entry of the base out"}
		props["after"] = object{"type": "string", "description": "in a file with extends: the new entry follows the one of this name"}
	}
	return object{"type": "object", "additionalProperties": false, "description": b.docs[id], "properties": props}
}

func (b *book) valueSchema(id string, k *key) object {
	enum := k.enum
	if names := closed(id, k.name); names != nil {
		enum = names
	}
	switch k.value.kind {
	case "list":
		return object{"type": "array", "items": element(k.value.of, enum)}
	case "map":
		return object{"type": "object", "additionalProperties": b.mapped(k.value.of)}
	case "pair":
		return object{"type": "object", "additionalProperties": false,
			"properties": object{"request": element(k.value.of, nil), "reply": element(k.value.of, nil)}}
	case "pairs":
		s := object{"type": "object", "additionalProperties": element("text", nil)}
		if id == "spec.HTTP" {
			s["propertyNames"] = object{"enum": headNames()}
		}
		return s
	case "echoes":
		return object{"type": "array", "items": object{"anyOf": []object{element("text", nil), {"type": "object", "additionalProperties": element("text", nil)}}}}
	case "moves":
		return object{"type": "object", "propertyNames": object{"enum": fieldNames()},
			"additionalProperties": object{"anyOf": []object{element("text", nil), element("spec.Move", nil)}}}
	case "struct":
		return element(k.value.of, nil)
	}
	return element(k.value.kind, enum)
}

// mapped is the value of a map: in cases of ISO 8583 fields it is a list.
func (b *book) mapped(of string) object {
	if of == "text" {
		return object{"anyOf": []object{element("text", nil), {"type": "array", "items": element("text", nil)}}}
	}
	return element(of, nil)
}

func element(of string, enum []string) object {
	s := object{}
	switch of {
	case "text":
		s["type"] = "string"
	case "number":
		s["type"] = "integer"
	case "switch":
		s["type"] = "boolean"
	case "time":
		s["type"], s["pattern"] = "string", `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	default:
		s["$ref"] = "#/$defs/" + of
	}
	if enum != nil {
		s["enum"] = enum
	}
	return s
}

// tables writes the reference of the README.
func (b *book) tables() string {
	var out strings.Builder
	for _, id := range b.order {
		fmt.Fprintf(&out, "\n### %s\n\n%s\n\n| key | value | meaning |\n|---|---|---|\n", id, b.docs[id])
		for _, k := range b.keys[id] {
			doc := strings.ReplaceAll(k.doc, "|", `\|`)
			if k.required {
				doc = strings.TrimSuffix("**required** "+doc, " ")
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", k.name, shown(k.value), doc)
		}
	}
	out.WriteString("\n### Operations\n\nFor `allow` and `op`: ")
	out.WriteString("`" + strings.Join(closed("spec.Message", "op"), "`, `") + "`.\n")
	out.WriteString("\n### Codes\n\n| code | meant as | 中文 | English |\n|---|---|---|---|\n")
	for _, c := range pay.Codes() {
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", c, c.Verdict(), c.Chinese(), c.English())
	}
	out.WriteString("\n### Business fields\n\n| field | 中文 | mask |\n|---|---|---|\n")
	for _, f := range pay.Fields() {
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", f, f.Info().Chinese, f.Info().Mask)
	}
	out.WriteString("\n### Values beside the body\n\nAddressed as `@name`: `" + strings.Join(headNames(), "`, `") + "`.\n")
	return out.String()
}

func shown(v value) string {
	words := map[string]string{"text": "text", "number": "whole number", "switch": "true or false", "time": "time, such as 30s",
		"pairs": "texts by name", "echoes": "list of text, or of text by name", "moves": "[moves](#specmove) by business field"}
	link := func(of string) string {
		if w, ok := words[of]; ok {
			return w
		}
		return "[" + of + "](#" + strings.ToLower(strings.ReplaceAll(of, ".", "")) + ")"
	}
	switch v.kind {
	case "list":
		return "list of " + link(v.of)
	case "map":
		return link(v.of) + " by name"
	case "pair":
		return "`request` and `reply`, each " + link(v.of)
	case "struct":
		return link(v.of)
	}
	return words[v.kind]
}

// TestReadmeExamples builds the links and the framings that the README shows.
func TestReadmeExamples(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	whole, variants := 0, 0
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		files := shelf{"links/shown.yaml": m[1]}
		l, err := Load("links/shown.yaml", files.open)
		if err == nil {
			_, err = l.Assemble(Parts{})
		}
		if err != nil {
			t.Errorf("%v\n%s", err, m[1])
		}
		if strings.Contains(m[1], "extends:") {
			variants++
		} else {
			whole++
		}
	}
	if whole == 0 || variants == 0 {
		t.Errorf("%d whole links and %d variants are shown", whole, variants)
	}
	rows := regexp.MustCompile("(?m)^\\| [a-z0-9-]+ \\| .* \\| `(\\{.*\\})` \\| `(.*)` \\|$").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 12 {
		t.Errorf("%d framings are shown", len(rows))
	}
	for _, m := range rows {
		framing(t, m[1], m[2])
	}
}

func framing(t *testing.T, options, wire string) {
	t.Helper()
	var o frame.Options
	n, err := document("README.md", []byte(options))
	if err == nil {
		err = conf.Decode(n, &o)
	}
	if err != nil {
		t.Errorf("%s: %v", options, err)
		return
	}
	want := []byte(wire)
	if digits, ok := strings.CutPrefix(wire, "hex:"); ok {
		if want, err = hex.DecodeString(strings.ReplaceAll(digits, " ", "")); err != nil {
			t.Fatal(err)
		}
	}
	f, err := frame.New(o)
	if err != nil {
		t.Errorf("%s: %v", options, err)
		return
	}
	got, err := f.Append(nil, protocol.Frame{Body: []byte("hello")})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: writes %X, %v; the README shows %X", options, got, err, want)
	}
}
