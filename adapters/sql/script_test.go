package sql

import (
	"os"
	"strings"
	"testing"
	"time"

	"qianzhi/conf"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// dialect assembles a link file that ships.
func dialect(t testing.TB, file string) *protocol.Dialect {
	t.Helper()
	l, err := spec.Load(file, func(name string) ([]byte, error) {
		if b, err := conf.Files.ReadFile(name); err == nil {
			return b, nil
		}
		return os.ReadFile(name)
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func script(t testing.TB, text string) *Script {
	t.Helper()
	s, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScriptErrorsAreLocated(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "empty"},
		{"driver: oracle\nmessages: []", "driver: want postgres"},
		{"driver: sqlite\nisolation: dirty", "isolation: want"},
		{"driver: odbc\nisolation: serializable", "isolation: odbc"},
		{"driver: sqlite", "messages: none"},
		{"driver: sqlite\nspeed: 1", "test.yaml:2: speed: unknown key"},
		{"driver: sqlite\nmessages: [{message: a}]", "a: no steps"},
		{"driver: sqlite\nmessages: [{steps: [{sql: x}]}]", "a name is needed"},
		{"driver: sqlite\nmessages: [{message: a, steps: [{sql: x, done: true}]}]", "step 1: done and refuse need read: row"},
		{"driver: sqlite\nmessages: [{message: a, steps: [{sql: x, read: row, done: true, refuse: true}]}]", "not together with refuse"},
		{"driver: sqlite\nmessages: [{message: a, steps: [{sql: x, affects: 1}]}]", "affects: needs else"},
		{"driver: sqlite\nmessages: [{message: a, steps: [{sql: x, else: NO}]}]", "else: needs affects"},
		{"driver: sqlite\nmessages: [{message: a, steps: [{sql: x, each: bills, read: row}]}]", "each: not together with read"},
	} {
		if _, err := Parse("test.yaml", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestScriptFitsItsLink(t *testing.T) {
	d := dialect(t, "links/mis-sql.yaml")
	for _, c := range []struct{ text, want string }{
		{"[{message: 退费, steps: [{sql: SELECT 1}]}]", "no such message"},
		{"[{message: 缴费, steps: [{sql: 'SELECT :serial', read: row}]}]", "has to look for the serial"},
		{"[{message: 缴费, steps: [{sql: 'SELECT :account', read: row, done: true}]}]", "has to look for the serial"},
		{"[{message: 缴费, dedupes: true, steps: [{sql: 'SELECT :nobody'}]}]", ":nobody is no field of the request"},
		{"[{message: 缴费, dedupes: true, steps: [{sql: 'SELECT :bills.id'}]}]", ":bills.id is a field of the loop bills"},
		{"[{message: 缴费, dedupes: true, steps: [{sql: 'SELECT 1', each: account}]}]", "no loop of the request"},
		{"[{message: 缴费, dedupes: true, steps: [{sql: 'SELECT 1', read: rows}]}]", "want row or a loop of the reply"},
		{"[{message: 缴费, dedupes: true, steps: [{sql: 'SELECT 1', read: row, else: XX}]}]", "has no code"},
		{"[{message: 缴费, dedupes: true, steps: [{sql: 'SELECT ?'}]}]", "step 1: sql: at 7"},
		{"[{message: 线路测试, steps: [{sql: SELECT 1}]}]", "none is called 查询欠费"},
	} {
		s := script(t, "driver: sqlite\nmessages: "+c.text)
		if _, err := New(Options{Name: "x", Source: ":memory:", Script: s, Dialect: d, Conns: 1, Now: time.Now}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.text, err, c.want)
		}
	}
}
