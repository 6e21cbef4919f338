package sql

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// control are the statements that begin or end transactions, which is the
// adapter's work.
var control = []string{"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE"}

// named turns :name into the driver's parameters and returns the names in the
// order of the parameters; a name that stands twice is two parameters. Texts,
// quoted names and comments pass. The statement is one and has no parameters of
// other kinds.
func named(sql string, numbered bool) (text string, names []string, err error) {
	sql = strings.TrimSuffix(strings.TrimSpace(sql), ";")
	first, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	for _, word := range control {
		if strings.EqualFold(first, word) {
			return "", nil, fmt.Errorf("%s: a call is one transaction, which begins and ends by itself", word)
		}
	}
	if sql == "" {
		return "", nil, errors.New("missing")
	}
	var b strings.Builder
	for i := 0; i < len(sql); {
		n, err := quoted(sql[i:])
		switch c := sql[i]; {
		case err != nil:
			return "", nil, fmt.Errorf("at %d: %w", i, err)
		case n > 0:
			b.WriteString(sql[i : i+n])
		case c == ';' || c == '?' || c == '$':
			return "", nil, fmt.Errorf("at %d: %q: want one statement with parameters as :name", i, c)
		case strings.HasPrefix(sql[i:], "::"):
			b.WriteString("::")
			n = 2
		case c == ':' && ident(sql[i+1:]) > 0:
			n = 1 + ident(sql[i+1:])
			names = append(names, sql[i+1:i+n])
			b.WriteString(mark(len(names), numbered))
		default:
			b.WriteByte(c)
			n = 1
		}
		i += n
	}
	return b.String(), names, nil
}

func mark(n int, numbered bool) string {
	if numbered {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// quoted returns the size of the text, quoted name or comment that s begins
// with, 0 when it begins with none.
func quoted(s string) (int, error) {
	for _, q := range [][2]string{{"'", "'"}, {`"`, `"`}, {"--", "\n"}, {"/*", "*/"}} {
		if !strings.HasPrefix(s, q[0]) {
			continue
		}
		end := strings.Index(s[len(q[0]):], q[1])
		if end < 0 && q[1] == "\n" {
			return len(s), nil
		}
		if end < 0 {
			return 0, fmt.Errorf("%s without %s", q[0], q[1])
		}
		return len(q[0]) + end + len(q[1]), nil
	}
	return 0, nil
}

// ident returns the size of the name that s begins with. A dot within it leads
// into a loop.
func ident(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 0x80 || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || n > 0 && (s[n] >= '0' && s[n] <= '9' || s[n] == '.' && n+1 < len(s) && ident(s[n+1:]) > 0)) {
		n++
	}
	return n
}
