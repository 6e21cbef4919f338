package markup

import (
	"fmt"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

func fail(path string, at int, want, got, hint string) *protocol.Error {
	return &protocol.Error{Class: protocol.ClassField, Path: path, Offset: at, Want: want, Got: got, Hint: hint}
}

// shown is what of a value an error may show.
func shown(m pay.Mask, v []byte) string {
	if m != pay.Public {
		return fmt.Sprintf("%d bytes", len(v))
	}
	if len(v) > 48 {
		return fmt.Sprintf("%q…", v[:48])
	}
	return fmt.Sprintf("%q", v)
}

// entry writes the number of a loop's entry into the path of an error that
// came out of it: body.bills.amount becomes body.bills[2].amount.
func entry(err error, loop *node, i int) error {
	e := err.(*protocol.Error)
	if len(e.Path) >= len(loop.path) {
		e.Path = fmt.Sprintf("%s[%d]%s", loop.path, i, e.Path[len(loop.path):])
	}
	return e
}

var wants = [...]string{object: "an object", group: "an array", str: "a string", number: "a whole number",
	decimal: "a number without exponent", boolean: "true or false"}

// fits reports whether the text is a value of the kind. Numbers have no plus
// sign and no zeros in front.
func (k kind) fits(v []byte) bool {
	switch k {
	case number, decimal:
		whole, all := digits(v)
		return whole > 0 && all == len(v) && (k == decimal || whole == all)
	case boolean:
		return string(v) == "true" || string(v) == "false"
	}
	return true
}

// digits measures the number at the start of v: the bytes of its sign and
// whole part, and with its fraction. whole is 0 when there is no number.
func digits(v []byte) (whole, all int) {
	i := 0
	if i < len(v) && v[i] == '-' {
		i++
	}
	first := i
	for i < len(v) && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	if i == first || v[first] == '0' && i > first+1 {
		return 0, 0
	}
	whole, all = i, i
	if i < len(v) && v[i] == '.' {
		for i++; i < len(v) && v[i] >= '0' && v[i] <= '9'; i++ {
			all = i + 1
		}
	}
	return whole, all
}

// plain drops the zeros in front of the digits of a number, which fixed-length
// peers have.
func plain(v []byte) (sign, digits []byte) {
	if len(v) > 0 && v[0] == '-' {
		sign, v = v[:1], v[1:]
	}
	for len(v) > 1 && v[0] == '0' && v[1] >= '0' && v[1] <= '9' {
		v = v[1:]
	}
	return sign, v
}

// lookup returns the node's value in the record, -1 when absent. parent is the
// enclosing loop's entry, -1 at the top.
func lookup(rec *protocol.Record, id uint16, parent int) int {
	if parent < 0 {
		return rec.Find(id)
	}
	return rec.Child(parent, id)
}

// next returns the first entry of a loop at or after record node i, -1 when
// there is none in the scope of the parent.
func next(rec *protocol.Record, id uint16, parent, i int) int {
	nodes := rec.Nodes()
	for i = max(i, parent+1); i < len(nodes); i++ {
		at := int(nodes[i].Parent) - 1
		if at < parent {
			return -1
		}
		if at == parent && nodes[i].ID == id {
			return i
		}
	}
	return -1
}
