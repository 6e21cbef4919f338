package fml

import (
	"errors"
	"fmt"
	"slices"

	"qianzhi/protocol"
)

// A buffer within a buffer is printed as its name and a tab, then its own
// lines, each behind a tab, then an empty line.

// nested compiles a field that is a buffer. One that repeats is a group of the
// record; the fields of one that does not are fields of the message.
func (k *compiler) nested(f *Field, x *field) error {
	switch {
	case k.in != nil:
		return errors.New("a buffer within a buffer within a buffer")
	case x.loop >= 0:
		return errors.New("a buffer repeats by its own max, not within a loop")
	case len(f.Fields) == 0 || f.Max < 0 || f.Mask != "":
		return errors.New("a buffer has fields, and max where it repeats; its fields have masks")
	case f.Required && f.Max > 0:
		return errors.New("required: for a buffer that does not repeat")
	}
	x.max, x.repeats = max(f.Max, 1), f.Max > 0
	if x.repeats {
		k.layout = append(k.layout, protocol.FieldSpec{Name: x.name, Title: f.Title, Group: true, Max: f.Max})
	}
	x.inner = &codec{charset: k.c.charset, extra: k.c.extra, max: k.c.max}
	sub := compiler{c: x.inner, table: k.table, layout: k.layout, in: x}
	err := sub.fields(f.Fields, -1)
	if k.layout = sub.layout; err != nil {
		return err
	}
	return x.inner.arrange()
}

// inside returns where the lines of the buffer that begin at at end, and where
// the empty line behind them does.
func inside(path string, b []byte, at int) (end, behind int, err error) {
	for at < len(b) && b[at] == '\t' {
		n := slices.Index(b[at:], '\n')
		if n < 0 {
			return 0, 0, fail(path, len(b), "a line feed behind the last value", "the end of the body", "")
		}
		at += n + 1
	}
	if at == len(b) || b[at] != '\n' {
		return 0, 0, fail(path, at, "an empty line behind the fields of a buffer", "another", "each of them begins with a tab")
	}
	return at, at + 1, nil
}

// buffers takes the occurrences of a buffer into the record.
func (c *codec) buffers(i int, b []byte, s *scratch, rec *protocol.Record) error {
	x, in := &c.fields[i], c.fields[i].inner
	if x.required && s.chains[i].n == 0 {
		return fail(x.path, len(b), "the required field", "none", "")
	}
	for e := 0; s.chains[i].n > 0; e++ {
		p, group, before := s.take(i), -1, len(rec.Nodes())
		if x.repeats {
			if group = rec.Put(x.id, -1, nil); group < 0 {
				return fail(x.path, p.from, "fewer fields in one message", "", "")
			}
		}
		err := in.read1(b[:p.to], p.from, rec, group)
		switch {
		case err != nil && x.repeats:
			return inEntry(err, x.path, e)
		case err != nil:
			return err
		case x.required && len(rec.Nodes()) == before:
			return fail(x.path, p.from, "a value", "none", "")
		}
	}
	return nil
}

// read1 reads the fields of one buffer from at to the end of b.
func (c *codec) read1(b []byte, at int, rec *protocol.Record, group int) error {
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	s.reset()
	if err := c.lines(b, at, 1, s); err != nil {
		return err
	}
	for i := range c.fields {
		if err := c.occurrence(i, b, s, rec, group); err != nil {
			return err
		}
	}
	return nil
}

// buffers writes the occurrences of a buffer.
func (w *writer) buffers(x *field) error {
	if !x.repeats {
		if !slices.ContainsFunc(x.inner.fields, func(f field) bool { return w.rec.Find(f.id) >= 0 }) {
			if x.required {
				return fail(x.path, len(w.dst)-w.start, "a value", "none", "")
			}
			return nil
		}
		return w.buffer(x, -1)
	}
	if groups(w.rec, x.id) > x.max {
		return fail(x.path, -1, fmt.Sprintf("at most %d entries", x.max), "more", "")
	}
	e := 0
	for g := next(w.rec, x.id, 0); g >= 0; g = next(w.rec, x.id, g+1) {
		if err := w.buffer(x, g); err != nil {
			return inEntry(err, x.path, e)
		}
		e++
	}
	return nil
}

// buffer writes one of them, of a group or of the message for -1.
func (w *writer) buffer(x *field, group int) error {
	w.dst = append(append(w.dst, x.name...), '\t', '\n')
	for _, i := range x.inner.byID {
		f := &x.inner.fields[i]
		at := w.rec.Find(f.id)
		if group >= 0 {
			at = w.rec.Child(group, f.id)
		}
		mark := len(w.dst)
		w.dst = append(w.dst, '\t')
		if err := w.line(f, at, false); err != nil {
			return err
		}
		if len(w.dst) == mark+1 {
			w.dst = w.dst[:mark]
		}
	}
	w.dst = append(w.dst, '\n')
	return nil
}
