package fml

import (
	"fmt"
	"strconv"
	"strings"
)

// Type is the type of a field. It stands above the number in a field's id.
type Type uint8

// The types of FML32, with their numbers.
const (
	Short   Type = 0
	Long    Type = 1
	Char    Type = 2
	Float   Type = 3
	Double  Type = 4
	String  Type = 5
	Carray  Type = 6
	Buffer  Type = 10 // of FML32, within another one
	unknown Type = 0xFF
)

// shift is where the type stands in a 32-bit id, above the number.
const shift = 25

// String returns the name used in field tables.
func (t Type) String() string {
	switch t {
	case Short:
		return "short"
	case Long:
		return "long"
	case Char:
		return "char"
	case Float:
		return "float"
	case Double:
		return "double"
	case String:
		return "string"
	case Carray:
		return "carray"
	case Buffer:
		return "fml32"
	}
	return "type " + strconv.Itoa(int(t))
}

func parseType(name string) Type {
	for t := Short; t <= Buffer; t++ {
		if t.String() == name {
			return t
		}
	}
	return unknown
}

// ID is the number of a field with its type, as buffers carry it.
type ID uint32

// Type returns the type within the id.
func (id ID) Type() Type { return Type(id >> shift) }

// Table is the field table of an application: names and ids.
type Table struct {
	ids   map[string]ID
	names map[ID]string
}

// Lookup finds a field by its name.
func (t *Table) Lookup(name string) (ID, bool) {
	id, ok := t.ids[name]
	return id, ok
}

// ParseTable reads a field table in either form that is passed around: the
// source, with lines of name, number and type that count from the last *base,
// or the header that mkfldhdr32 makes of it. Errors name the line.
func ParseTable(s string) (*Table, error) {
	t := &Table{ids: map[string]ID{}, names: map[ID]string{}}
	base := uint64(0)
	for i, line := range strings.Split(s, "\n") {
		f := strings.Fields(line)
		var err error
		switch {
		case len(f) == 0 || f[0][0] == '$' || f[0] == "#" || strings.HasPrefix(f[0], "/*") || f[0][0] == '#' && f[0] != "#define":
		case f[0] == "*base":
			if len(f) < 2 {
				err = fmt.Errorf("*base: want a number")
			} else if base, err = strconv.ParseUint(f[1], 10, 32); err != nil {
				err = fmt.Errorf("*base: want a number, got %q", f[1])
			}
		case f[0] == "#define":
			err = t.define(f)
		default:
			err = t.line(f, base)
		}
		if err != nil {
			return nil, fmt.Errorf("table line %d: %w", i+1, err)
		}
	}
	return t, nil
}

// line reads: name number type [flags [comment]].
func (t *Table) line(f []string, base uint64) error {
	if len(f) < 3 {
		return fmt.Errorf("want name, number and type")
	}
	n, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil {
		return fmt.Errorf("%s: want a number, got %q", f[0], f[1])
	}
	typ := parseType(f[2])
	if typ == unknown {
		return fmt.Errorf("%s: type %q is not supported", f[0], f[2])
	}
	if n += base; n == 0 || n >= 1<<shift {
		return fmt.Errorf("%s: number %d: want 1 to %d", f[0], n, 1<<shift-1)
	}
	return t.add(f[0], ID(typ)<<shift|ID(n))
}

// define reads: #define name ((FLDID32)id) /* comment */. Other definitions
// are passed over.
func (t *Table) define(f []string) error {
	if len(f) < 3 {
		return nil
	}
	id, ok := parseID(f[2])
	if !ok {
		return nil
	}
	if parseType(id.Type().String()) == unknown || id&(1<<shift-1) == 0 {
		return fmt.Errorf("%s: id %d has %v", f[1], id, id.Type())
	}
	return t.add(f[1], id)
}

// parseID reads an id as headers and unnamed fields of a buffer have it.
func parseID(s string) (ID, bool) {
	for _, prefix := range []string{"((FLDID32)", "((BFLDID32)"} {
		if digits, ok := strings.CutPrefix(s, prefix); ok {
			s, ok = strings.CutSuffix(digits, ")")
			if !ok {
				return 0, false
			}
			break
		}
	}
	id, err := strconv.ParseUint(s, 10, 32)
	return ID(id), err == nil && s[0] != '+'
}

func (t *Table) add(name string, id ID) error {
	if len(name) > 256 || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" || name[0] >= '0' && name[0] <= '9' {
		return fmt.Errorf("%q is no field name", name)
	}
	if have, ok := t.ids[name]; ok && have != id {
		return fmt.Errorf("%s: has two ids, %d and %d", name, have, id)
	}
	if have, ok := t.names[id]; ok && have != name {
		return fmt.Errorf("%s: has the id of %s", name, have)
	}
	t.ids[name], t.names[id] = id, name
	return nil
}
