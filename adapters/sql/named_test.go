package sql

import (
	"slices"
	"strings"
	"testing"
)

func TestNamed(t *testing.T) {
	for _, c := range []struct {
		sql, want string
		numbered  bool
		names     []string
	}{
		{"SELECT :a, :b, :a", "SELECT $1, $2, $3", true, []string{"a", "b", "a"}},
		{"SELECT :a, :b;", "SELECT ?, ?", false, []string{"a", "b"}},
		{"SELECT ':a', \":b\", x::text -- :c\n, /* :d */ :e", "SELECT ':a', \":b\", x::text -- :c\n, /* :d */ $1", true, []string{"e"}},
		{"SELECT 'it''s :a' || :b.c", "SELECT 'it''s :a' || ?", false, []string{"b.c"}},
		{"CALL post(:serial,:bills.id)", "CALL post($1,$2)", true, []string{"serial", "bills.id"}},
		{"SELECT :户号", "SELECT ?", false, []string{"户号"}},
		{"SELECT 1 -- :a", "SELECT 1 -- :a", true, nil},
	} {
		text, names, err := named(c.sql, c.numbered)
		if err != nil || text != c.want || !slices.Equal(names, c.names) {
			t.Errorf("%s: got %q %v, %v", c.sql, text, names, err)
		}
	}
}

func TestNamedRefuses(t *testing.T) {
	for sql, want := range map[string]string{
		"": "missing", "  ;": "missing", "SELECT 1; DELETE FROM payment": "at 8", "SELECT ?": "at 7", "SELECT $1": "at 7",
		"SELECT 'x": "at 7", "SELECT /* x": "at 7", "commit": "COMMIT", "Rollback TO x": "ROLLBACK", "BEGIN": "BEGIN",
	} {
		if _, _, err := named(sql, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", sql, err, want)
		}
	}
}

func FuzzNamed(f *testing.F) {
	for _, s := range []string{"SELECT :a", "':a' \":b\" --c\n/*d*/ ::e :f.g", "a:b:", "'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		text, names, err := named(sql, false)
		if err != nil {
			return
		}
		if again, more, err := named(strings.ReplaceAll(text, "?", " 1 "), false); !strings.ContainsAny(sql, "'\"?/-") && (err != nil || len(more) > 0) {
			t.Errorf("%q became %q with %v left: %v", sql, again, more, err)
		}
		if n := strings.Count(text, "?") - strings.Count(sql, "?"); n != len(names) {
			t.Errorf("%q: %d parameters for %d names", sql, n, len(names))
		}
	})
}
