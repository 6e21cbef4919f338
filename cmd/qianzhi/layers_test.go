package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "qianzhi/"
	tree     = "../.."
	maxFile  = 500 // lines
	maxFunc  = 70  // lines
	maxIface = 5   // methods
)

// edges says what each package may import from this module; "*" is anything.
// A package that is not listed may not exist.
var edges = map[string]string{
	"gateway/pay":                 "",
	"gateway":                     "gateway/pay protocol",
	"gateway/access":              "gateway/pay",
	"gateway/admin":               "gateway/pay gateway/access gateway/limit",
	"gateway/calendar":            "gateway/pay",
	"gateway/limit":               "",
	"gateway/http":                "protocol protocol/gm gateway/limit",
	"gateway/tcp":                 "protocol protocol/gm protocol/transport gateway/limit",
	"gateway/journal":             "gateway/pay protocol/gm",
	"gateway/journal/sqlite":      "gateway/journal gateway/pay",
	"gateway/journal/postgres":    "gateway/journal gateway/pay",
	"gateway/journal/journaltest": "gateway/journal gateway/pay protocol/gm",
	"protocol":                    "gateway/pay",
	"protocol/text":               "",
	"protocol/gm":                 "",
	"protocol/transport":          "protocol/gm",
	"protocol/frame":              "protocol protocol/text",
	"protocol/iso8583":            "protocol protocol/text gateway/pay",
	"protocol/fixed":              "protocol protocol/text gateway/pay",
	"protocol/delimited":          "protocol protocol/text gateway/pay",
	"protocol/fml":                "protocol protocol/text gateway/pay",
	"protocol/markup":             "protocol protocol/text gateway/pay",
	"protocol/wiretest":           "protocol protocol/text",
	"protocol/secure":             "protocol protocol/gm gateway/pay",
	"protocol/spec": "protocol protocol/frame protocol/iso8583 protocol/fixed protocol/delimited protocol/fml protocol/markup " +
		"protocol/text protocol/secure gateway/pay conf",
	"adapters/link":          "gateway/pay protocol protocol/gm protocol/transport",
	"adapters/mis":           "gateway/pay protocol adapters/link protocol/secure",
	"adapters/socket":        "gateway/pay protocol adapters/link protocol/secure",
	"adapters/soap":          "gateway/pay protocol adapters/link protocol/secure",
	"adapters/sql":           "gateway/pay protocol conf",
	"adapters/tuxedo":        "gateway/pay protocol adapters/link protocol/secure",
	"adapters/posp":          "gateway/pay protocol adapters/link protocol/secure",
	"adapters/files":         "protocol/gm",
	"adapters/notify":        "gateway/pay protocol",
	"adapters/adaptertest":   "gateway/pay protocol adapters/link protocol/secure",
	"reconcile":              "gateway/pay gateway/access",
	"reconcile/statement":    "gateway/pay gateway/access protocol protocol/spec protocol/secure protocol/gm protocol/text reconcile conf",
	"reconcile/report":       "gateway/pay reconcile",
	"reconcile/desk":         "gateway/pay gateway/access reconcile",
	"reconcile/alert":        "gateway/pay reconcile",
	"conf":                   "",
	"cmd/internal/app":       "*",
	"cmd/internal/batch":     "gateway/pay adapters/files reconcile reconcile/statement",
	"cmd/internal/peer":      "*",
	"cmd/internal/load":      "*",
	"cmd/internal/demo":      "*",
	"cmd/internal/books":     "*",
	"cmd/internal/crash":     "*",
	"cmd/internal/powerloss": "*",
	"cmd/internal/control":   "gateway/pay gateway/admin gateway/access",
	"cmd/internal/sim":       "*",
	"cmd/internal/keyfile":   "protocol/gm protocol/secure",
	"cmd/internal/inspect":   "gateway/pay protocol",
	"cmd/internal/specdoc": "gateway/pay protocol protocol/spec protocol/secure protocol/frame protocol/iso8583 protocol/fixed protocol/delimited " +
		"protocol/markup protocol/fml cmd/internal/inspect",
	"cmd/internal/night": "gateway/pay protocol/secure reconcile reconcile/statement reconcile/report conf",
	"cmd/internal/sniff": "protocol protocol/frame protocol/text protocol/spec conf",
	"cmd/qianzhi":        "*",
}

// barred is what the packages marked "*" may still not import.
var barred = map[string]string{
	"cmd/internal/peer": "cmd/internal/app",
	"cmd/internal/load": "cmd/internal/app",
}

// owners are libraries that only one package may import.
var owners = map[string]string{
	"github.com/tjfoc/gmsm":             "protocol/gm",
	"github.com/emmansun/gmsm":          "protocol/gm",
	"github.com/prometheus":             "gateway/admin",
	"github.com/panjf2000/gnet/v2":      "gateway/tcp",
	"github.com/spf13/viper":            "conf",
	"github.com/robfig/cron/v3":         "gateway/calendar",
	"github.com/schollz/progressbar/v3": "cmd/internal/demo",
	"github.com/xuri/excelize/v2":       "reconcile/report",
	"golang.org/x/crypto/argon2":        "gateway/access",
}

type source struct {
	pkg, path string
	test      bool
	lines     int
	file      *ast.File
	set       *token.FileSet
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !strings.HasSuffix(path, ".go") {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "run" || strings.HasPrefix(name, ".") && path != tree {
				return filepath.SkipDir
			}
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, b, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		all = append(all, source{pkg: filepath.ToSlash(filepath.Dir(rel)), path: rel, test: strings.HasSuffix(path, "_test.go"),
			lines: strings.Count(string(b), "\n"), file: f, set: set})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestImportEdges(t *testing.T) {
	for _, s := range sources(t) {
		allowed, known := edges[s.pkg]
		if !known {
			t.Errorf("%s: package %s is not in the table of layers", s.path, s.pkg)
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for lib, owner := range owners {
				if strings.HasPrefix(path, lib) && s.pkg != owner {
					t.Errorf("%s: only %s imports %s", s.path, owner, lib)
				}
			}
			inner, ours := strings.CutPrefix(path, module)
			if !ours || s.test && testMay(s.pkg, inner) {
				continue
			}
			if inner == barred[s.pkg] || allowed != "*" && !contains(allowed, inner) {
				t.Errorf("%s: %s may not import %s", s.path, s.pkg, inner)
			}
		}
	}
}

// testMay lets tests reach for real parts below cmd, never upwards.
func testMay(pkg, inner string) bool {
	return inner == pkg || !strings.HasPrefix(inner, "cmd/")
}

func contains(list, name string) bool {
	for _, f := range strings.Fields(list) {
		if f == name {
			return true
		}
	}
	return false
}

func TestSizes(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxFile && !s.test {
			t.Errorf("%s: %d lines, at most %d", s.path, s.lines, maxFile)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if size := s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1; size > maxFunc && !s.test {
					t.Errorf("%s: %s has %d lines, at most %d", s.path, n.Name.Name, size, maxFunc)
				}
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: init() hides order and state", s.path)
				}
			case *ast.InterfaceType:
				if n.Methods.NumFields() > maxIface {
					t.Errorf("%s:%d: interface of %d methods, at most %d", s.path, s.set.Position(n.Pos()).Line, n.Methods.NumFields(), maxIface)
				}
			}
			return true
		})
	}
}

func TestComments(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		documented[s.pkg] = documented[s.pkg] || s.file.Doc != nil
		for _, d := range s.file.Decls {
			undocumented(t, &s, d)
		}
	}
	for pkg, has := range documented {
		if !has {
			t.Errorf("%s: no package comment", pkg)
		}
	}
}

func undocumented(t *testing.T, s *source, d ast.Decl) {
	t.Helper()
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			t.Errorf("%s: %s has no comment", s.path, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
				t.Errorf("%s: %s has no comment", s.path, ts.Name.Name)
			}
		}
	}
}

// TestSecurityNamesRealTests keeps SECURITY.md from naming tests that are gone.
func TestSecurityNamesRealTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(tree, "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test {
				there[f.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z]+)`").FindAllStringSubmatch(string(text), -1)
	for _, m := range named {
		if !there[m[1]] {
			t.Errorf("SECURITY.md names %s, which is no test", m[1])
		}
	}
	if len(named) < 30 {
		t.Errorf("only %d tests named", len(named))
	}
}

// exportedReceiver leaves out methods of private types, which mostly satisfy
// an interface that says what they do.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if ix, ok := t.(*ast.IndexExpr); ok {
		t = ix.X
	}
	id, ok := t.(*ast.Ident)
	return ok && id.IsExported()
}

// TestNoRealClock keeps code and tests from waiting on the wall clock. Packages
// whose tests run in a bubble of testing/synctest may sleep there, and so may
// benchmarks, which measure time.
func TestNoRealClock(t *testing.T) {
	all := sources(t)
	bubbles := map[string]bool{}
	for _, s := range all {
		for _, imp := range s.file.Imports {
			bubbles[s.pkg] = bubbles[s.pkg] || imp.Path.Value == `"testing/synctest"`
		}
	}
	for _, s := range all {
		bubble := s.test && (bubbles[s.pkg] || strings.HasSuffix(s.path, "bench_test.go"))
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			switch {
			case !ok:
			case x.Name == "time" && sel.Sel.Name == "Sleep" && !bubble:
				t.Errorf("%s:%d: time.Sleep", s.path, s.set.Position(n.Pos()).Line)
			case x.Name == "http" && sel.Sel.Name == "DefaultClient":
				t.Errorf("%s:%d: http.DefaultClient has no time limit", s.path, s.set.Position(n.Pos()).Line)
			}
			return true
		})
	}
}
