package markup

import (
	"fmt"

	"qianzhi/protocol"
)

// xmlReader puts what the scanner finds into a record.
type xmlReader struct {
	xmlScanner
	rec   *protocol.Record
	extra bool
	depth int
}

// Index reads a body into rec.
func (c *xmlCodec) Index(f protocol.Frame, rec *protocol.Record) error {
	rec.Reset(c.layout)
	if len(f.Body) > c.max {
		return fail("", c.max, fmt.Sprintf("at most %d bytes", c.max), fmt.Sprintf("%d", len(f.Body)), "")
	}
	r := xmlReader{xmlScanner: xmlScanner{body: f.Body, charset: c.charset}, rec: rec, extra: c.extra, depth: c.depth}
	if err := r.prologue(); err != nil {
		return err
	}
	t, err := r.tag("")
	if err != nil {
		return err
	}
	if string(t.local) != string(c.root.local) || string(t.space) != string(c.root.space) {
		return fail("", t.from, "the element "+c.root.name, fmt.Sprintf("%.32q", t.name), "its namespace counts too")
	}
	if err := r.inside(&c.root, &t, -1); err != nil {
		return err
	}
	if err := r.between(""); err != nil {
		return err
	}
	if r.at < len(r.body) {
		return r.fail("", "the end of the body", "")
	}
	return nil
}

// inside reads attributes and content of the element whose tag was read.
func (r *xmlReader) inside(n *node, t *tag, parent int) error {
	var seen set
	if t.others {
		if err := r.attributes(n, t, parent, &seen); err != nil {
			return err
		}
	}
	if v := n.content(); v != nil {
		if err := r.value(v, t, parent); err != nil {
			return err
		}
	} else if !t.empty {
		if err := r.children(n, parent, &seen); err != nil {
			return err
		}
	}
	if m := n.missing(&seen); m != nil {
		return fail(m.path, r.at, "the required "+m.name, "none", "")
	}
	r.bound = t.bound
	if t.empty {
		return nil
	}
	return r.closing(t, n.path)
}

// attributes reads those that are no namespaces.
func (r *xmlReader) attributes(n *node, t *tag, parent int, seen *set) error {
	end := r.at
	r.at = t.attrs
	defer func() { r.at = end }()
	for hint := 0; ; {
		r.space()
		if ch := r.body[r.at]; ch == '/' || ch == '>' {
			return nil
		}
		from := r.at
		name, val, err := r.attribute(n.path)
		if err != nil {
			return err
		}
		if _, isSpace := namespace(name); isSpace {
			continue
		}
		prefix, local := split(name)
		var space []byte
		if len(prefix) > 0 {
			if space, err = r.resolve(prefix, n.path, from); err != nil {
				return err
			}
		}
		i := n.match(local, space, true, hint)
		if i < 0 && r.extra {
			continue
		}
		if i < 0 {
			return fail(n.path, from, "an attribute of the spec", fmt.Sprintf("%.32q", name), "extra: ignore passes over such names")
		}
		if !seen.add(i) {
			return fail(n.kids[i].path, from, "each attribute once", "a second one", "")
		}
		hint = i + 1
		after := r.at
		r.at = val[0]
		text, err := r.chars(r.rec.Grow(), val[1], n.kids[i].path, true)
		if err != nil {
			return err
		}
		if err := r.keep(&n.kids[i], text, parent, val[0], val[1]); err != nil {
			return err
		}
		r.at = after
	}
}

// value reads the text of an element.
func (r *xmlReader) value(n *node, t *tag, parent int) error {
	from := r.at
	text := r.rec.Grow()
	if !t.empty {
		var err error
		if text, err = r.text(text, n.path); err != nil {
			return err
		}
	}
	return r.keep(n, text, parent, from, r.at)
}

// keep makes what was appended to the arena the value of n. An empty element
// is an empty string, but no number.
func (r *xmlReader) keep(n *node, arena []byte, parent, from, to int) error {
	val := arena[len(r.rec.Grow()):]
	if len(val) == 0 && n.required {
		return fail(n.path, from, "a value", "none", "")
	}
	if n.kind != str {
		if len(val) == 0 {
			return nil
		}
		if !n.kind.fits(val) {
			return fail(n.path, from, wants[n.kind], shown(n.mask, val), "numbers have no plus signs, exponents and zeros in front")
		}
	}
	i := r.rec.Keep(arena, n.id, parent)
	if i < 0 {
		return fail(n.path, from, "fewer fields in one message", "", "")
	}
	r.rec.Span(i, from, to-from)
	return nil
}

// children reads the elements within n. Entries of a loop must stand together.
func (r *xmlReader) children(n *node, parent int, seen *set) error {
	last, entries := -1, 0
	for {
		if err := r.between(n.path); err != nil {
			return err
		}
		if r.at+1 < len(r.body) && r.body[r.at] == '<' && r.body[r.at+1] == '/' {
			return nil
		}
		t, err := r.tag(n.path)
		if err != nil {
			return err
		}
		hint := last + 1
		if last >= 0 && n.kids[last].kind == group {
			hint = last
		}
		i := n.match(t.local, t.space, false, hint)
		if i < 0 {
			if err := r.pass(n, &t); err != nil {
				return err
			}
			continue
		}
		k := &n.kids[i]
		if k.kind != group || i != last {
			if !seen.add(i) {
				return fail(k.path, t.from, "each element once, entries of a loop together", "another one", "")
			}
			entries = 0
		}
		last = i
		if k.kind == group {
			err = r.entry(k, &t, parent, entries)
			entries++
		} else {
			err = r.inside(k, &t, parent)
		}
		if err != nil {
			return err
		}
	}
}

func (r *xmlReader) entry(n *node, t *tag, parent, i int) error {
	if i >= n.max {
		return fail(n.path, t.from, fmt.Sprintf("at most %d entries", n.max), "more", "")
	}
	g := r.rec.Put(n.id, parent, nil)
	if g < 0 {
		return fail(n.path, t.from, "fewer fields in one message", "", "")
	}
	if err := r.inside(n, t, g); err != nil {
		return entry(err, n, i)
	}
	r.rec.Span(g, t.from, r.at-t.from)
	return nil
}

// pass refuses an element that the spec does not have, or passes over it.
func (r *xmlReader) pass(n *node, t *tag) error {
	if !r.extra {
		return fail(n.path, t.from, "an element of the spec", fmt.Sprintf("%.32q", t.name), "extra: ignore passes over such elements; namespaces count too")
	}
	return r.skip(n, t, 0)
}

// skip passes over the rest of an element, which is held to the same grammar.
func (r *xmlReader) skip(n *node, t *tag, depth int) error {
	if depth >= r.depth {
		return fail(n.path, t.from, fmt.Sprintf("at most %d levels", r.depth), "more", "")
	}
	for !t.empty {
		if _, err := r.text(nil, n.path); err != nil {
			return err
		}
		if r.at+1 < len(r.body) && r.body[r.at] == '<' && r.body[r.at+1] == '/' {
			if err := r.closing(t, n.path); err != nil {
				return err
			}
			break
		}
		inner, err := r.tag(n.path)
		if err != nil {
			return err
		}
		if err := r.skip(n, &inner, depth+1); err != nil {
			return err
		}
	}
	r.bound = t.bound
	return nil
}
