package iso8583

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"qianzhi/protocol"
)

// usage is the compiled form of Case.
type usage struct {
	when []condition
	as   field
}

type condition struct {
	id   uint16
	late bool // the value stands behind the field
	vals [][]byte
}

// holds reports whether the values of a whole record ask for the usage.
func (u *usage) holds(rec *protocol.Record) bool {
	for i := range u.when {
		if !u.when[i].holds(rec) {
			return false
		}
	}
	return true
}

// open reports whether it is for values behind the field to say if the usage is
// asked for.
func (u *usage) open(rec *protocol.Record) bool {
	late := false
	for i := range u.when {
		if c := &u.when[i]; c.late {
			late = true
		} else if !c.holds(rec) {
			return false
		}
	}
	return late
}

func (c *condition) holds(rec *protocol.Record) bool {
	val, ok := rec.Get(c.id)
	return ok && (len(c.vals) == 0 || slices.ContainsFunc(c.vals, func(v []byte) bool { return bytes.Equal(v, val) }))
}

// usage returns the number of the case that the record's other values ask for,
// or that of none of them.
func (f *field) usage(rec *protocol.Record) int {
	for i := range f.cases {
		if f.cases[i].holds(rec) {
			return i
		}
	}
	return len(f.cases)
}

// formOf returns the form of a case, or the field's own.
func (f *field) formOf(usage int) *field {
	if usage < len(f.cases) {
		return &f.cases[usage].as
	}
	return f
}

// usage returns which form of a field stands where the reader is. Values behind
// the field are looked up when only they can say.
func (r *reader) usage(f *field) int {
	rec := r.known()
	for i := range f.cases {
		if u := &f.cases[i]; u.open(rec) {
			return r.ahead(f)
		} else if u.holds(rec) {
			return i
		}
	}
	return len(f.cases)
}

// ahead reads the fields behind the present one that its cases ask about, and
// forgets them again. Those between are passed over by their lengths. What is
// wrong with them is found when they are read in their turn.
func (r *reader) ahead(f *field) int {
	at, arena, nodes := r.at, len(r.arena), len(r.nodes)
	bit, left := f.bit, r.maps
	for n := left.first(); n != 0 && n <= f.late.last(); n = left.first() {
		left.remove(n)
		next := r.codec.op(n).field
		if n < bit {
			continue
		}
		if next == nil || f.late.has(n) && r.field(next) != nil || !f.late.has(n) && !r.pass(next) {
			break
		}
	}
	usage := f.usage(r.known())
	for i := nodes; i < len(r.nodes); i++ {
		if id := r.nodes[i].ID; int(r.first[id]) == i+1 {
			r.first[id] = 0
		}
	}
	r.at, r.arena, r.nodes = at, r.arena[:arena], r.nodes[:nodes]
	return usage
}

// pass moves behind a field.
func (r *reader) pass(f *field) bool {
	size, left := f.size, r.b[r.at:]
	if !f.fixed {
		if len(left) < f.prefix.size {
			return false
		}
		n, ok := f.prefix.read(left[:f.prefix.size])
		if size = f.prefix.size + f.extentOf(n); !ok {
			return false
		}
	}
	if len(left) < size {
		return false
	}
	r.at += size
	return true
}

// extentOf is how many bytes follow a prefix that says n.
func (f *field) extentOf(n int) int {
	switch f.prefix.counts {
	case countBytes:
		return n
	case countNibbles:
		return (n + 1) / 2
	}
	return f.wire(n)
}

// passedAs reports whether both forms of a field end at the same byte.
func (f *field) passedAs(o *field) bool {
	if f.fixed || o.fixed {
		return f.fixed == o.fixed && f.size == o.size
	}
	return f.prefix.coding == o.prefix.coding && f.prefix.size == o.prefix.size &&
		f.prefix.limit == o.prefix.limit && f.extentOf(2) == o.extentOf(2) && f.extentOf(3) == o.extentOf(3)
}

// conditions compiles the values that choose a case. Names of fields behind the
// present one are looked up when these are compiled.
func (c *compiler) conditions(when map[string][]string, part bool) ([]condition, error) {
	if len(when) == 0 {
		return nil, errors.New("when: missing")
	}
	var out []condition
	for _, name := range slices.Sorted(maps.Keys(when)) {
		var cond condition
		for _, v := range when[name] {
			cond.vals = append(cond.vals, []byte(v))
		}
		out = append(out, cond)
	}
	for i, name := range slices.Sorted(maps.Keys(when)) {
		c.asked = append(c.asked, asked{bit: c.bit, part: part, name: name, by: &out[i]})
	}
	return out, nil
}

// asked is a condition that waits for its field.
type asked struct {
	bit  int  // of the field that has the case
	part bool // of a part of it
	name string
	by   *condition
}

// answer completes all conditions.
func (c *compiler) answer(out *codec) error {
	for _, a := range c.asked {
		id, ok := c.ids[a.name]
		if !ok || int(c.owner[id]) == a.bit {
			return fmt.Errorf("fields: %d: cases: when: %q is no value of another field", a.bit, a.name)
		}
		switch a.by.id, a.by.late = id, int(c.owner[id]) > a.bit; {
		case a.by.late && a.part:
			return fmt.Errorf("fields: %d: cases: when: a value behind the field cannot choose a part of it, but %q stands there", a.bit, a.name)
		case a.by.late:
			out.op(a.bit).field.late.add(int(c.owner[id]))
		}
	}
	for n := 2; n <= maxBit; n++ {
		if f := out.op(n).field; f != nil {
			if err := out.passable(f); err != nil {
				return fmt.Errorf("fields: %d: cases: %w", n, err)
			}
		}
	}
	return nil
}

// passable checks that fields that are chosen by values behind them can be
// passed over, and that these values have one form.
func (c *codec) passable(f *field) error {
	for n := f.bit; n <= f.late.last(); n++ {
		next := c.op(n).field
		switch {
		case next == nil || len(next.cases) == 0:
		case f.late.has(n):
			return fmt.Errorf("when: field %d is behind this one and has cases of its own", n)
		case slices.ContainsFunc(next.cases, func(u usage) bool { return !next.passedAs(&u.as) }):
			return fmt.Errorf("when: a value behind the field can choose only if all forms of field %d have the same length, or the same kind of length", n)
		}
	}
	return nil
}
