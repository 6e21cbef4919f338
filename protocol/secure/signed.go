package secure

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"qianzhi/protocol"
)

// place is where a value of the proof stands: in a field of the body, or beside
// it.
type place struct {
	inBody  bool
	escaped bool // the body writes values with percent signs
	id      uint16
	name    string
	head    protocol.Head
}

func newPlace(l *protocol.Layout, field string, head protocol.Head) (place, error) {
	if field == "" {
		return place{head: head}, nil
	}
	id, ok := l.Lookup(field)
	if !ok || l.Fields[id].Group {
		return place{}, fmt.Errorf("no field %q in the layout", field)
	}
	return place{inBody: true, id: id, name: field}, nil
}

// get returns the value, "" when absent.
func (p *place) get(f *protocol.Frame, rec *protocol.Record) string {
	if !p.inBody {
		return f.Get(p.head)
	}
	v, _ := rec.Get(p.id)
	return string(v)
}

// set sets a value beside the body; one in the body was put by reserve.
func (p *place) set(f *protocol.Frame, val string) {
	if !p.inBody {
		f.Set(p.head, val)
	}
}

// reserve puts a value into the body that is to be written, unless it is there.
func (p *place) reserve(rec *protocol.Record, val string) {
	if p.inBody && rec.Find(p.id) < 0 {
		rec.PutString(p.id, -1, val)
	}
}

// splice appends the body with val in the place of the field, and moves the
// spans behind it.
func (p *place) splice(dst, body []byte, rec *protocol.Record, val []byte) ([]byte, error) {
	i := rec.Find(p.id)
	if i < 0 {
		return nil, &protocol.Error{Class: protocol.ClassAuth, Path: p.name, Offset: -1, Want: "room for the signature", Got: "none"}
	}
	if p.escaped {
		val = []byte(url.QueryEscape(string(val)))
	}
	nodes := rec.Nodes()
	from, size := nodes[i].From, nodes[i].Size
	dst = append(append(append(dst, body[:from]...), val...), body[from+size:]...)
	nodes[i].Size = uint32(len(val))
	for j := range nodes {
		n := &nodes[j]
		switch {
		case n.From > from:
			n.From += uint32(len(val)) - size
		case n.From <= from && n.From+n.Size >= from+size && j != i: // a group around it
			n.Size += uint32(len(val)) - size
		}
	}
	return dst, nil
}

// places are where the values of a signature stand, and what it covers.
type places struct {
	signature, timestamp, nonce place
	parts                       []part
	pairs                       []pair
}

// part is one part of what is signed.
type part struct {
	name  string
	field place
}

// pair is a field that name=value is signed of.
type pair struct {
	id   uint16
	name string
}

func newPlaces(o *SignatureOptions, l *protocol.Layout) (p places, err error) {
	if p.signature, err = newPlace(l, o.Field, protocol.HeadSignature); err != nil {
		return p, fmt.Errorf("field: %w", err)
	}
	if p.timestamp, err = newPlace(l, o.Timestamp, protocol.HeadTimestamp); err != nil {
		return p, fmt.Errorf("timestamp: %w", err)
	}
	if p.nonce, err = newPlace(l, o.Nonce, protocol.HeadNonce); err != nil {
		return p, fmt.Errorf("nonce: %w", err)
	}
	for _, name := range o.Signed {
		it := part{name: name}
		if field, ok := strings.CutPrefix(name, "field:"); ok {
			it.name = "field"
			if it.field, err = newPlace(l, field, 0); err != nil {
				return p, fmt.Errorf("signed: %w", err)
			}
		}
		if name == "pairs" {
			if p.pairs, err = newPairs(o, l); err != nil {
				return p, err
			}
		}
		p.parts = append(p.parts, it)
	}
	return p, nil
}

// newPairs sorts the fields of the layout by name. Loops are refused: a signature
// that left their entries out would prove nothing about them.
func newPairs(o *SignatureOptions, l *protocol.Layout) ([]pair, error) {
	for _, name := range o.Pairs.Skip {
		if _, ok := l.Lookup(name); !ok {
			return nil, fmt.Errorf("pairs.skip: no field %q in the layout", name)
		}
	}
	var out []pair
	for id, f := range l.Fields {
		switch {
		case f.Name == o.Field || slices.Contains(o.Pairs.Skip, f.Name):
		case f.Group:
			return nil, fmt.Errorf("signed: pairs cannot cover the loop %q; sign the body", f.Name)
		default:
			out = append(out, pair{uint16(id), f.Name})
		}
	}
	slices.SortFunc(out, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

// ambiguous reports whether the record could stand for another one under the
// same signature: fields behind one that is signed up to itself, or a value that
// reads as two pairs.
func (s *Signature) ambiguous(rec *protocol.Record) bool {
	for i := range s.at.parts {
		switch name := s.at.parts[i].name; {
		case name == "before" && behind(rec, s.at.signature.id), name == "pairs" && s.forked(rec):
			return true
		}
	}
	return false
}

// behind reports whether anything stands behind the field in the body.
func behind(rec *protocol.Record, id uint16) bool {
	i := rec.Find(id)
	if i < 0 {
		return false
	}
	nodes := rec.Nodes()
	for j := range nodes {
		if nodes[j].From+nodes[j].Size > nodes[i].From+nodes[i].Size {
			return nodes[j].From > nodes[i].From
		}
	}
	return false
}

// forked reports whether a value contains &name= of another field.
func (s *Signature) forked(rec *protocol.Record) bool {
	for i := range s.at.pairs {
		v, _ := rec.Get(s.at.pairs[i].id)
		if bytes.IndexByte(v, '&') < 0 {
			continue
		}
		for j := range s.at.pairs {
			if bytes.Contains(v, []byte("&"+s.at.pairs[j].name+"=")) {
				return true
			}
		}
		if s.o.Pairs.KeyName != "" && bytes.Contains(v, []byte("&"+s.o.Pairs.KeyName+"=")) {
			return true
		}
	}
	return false
}

// message is what is signed.
func (s *Signature) message(f *protocol.Frame, rec *protocol.Record) []byte {
	join := map[string]string{"": "\n", "lf": "\n", "amp": "&"}[s.o.Join]
	msg := make([]byte, 0, len(f.Body)+128)
	for i := range s.at.parts {
		if i > 0 {
			msg = append(msg, join...)
		}
		msg = s.part(msg, &s.at.parts[i], f, rec)
	}
	return msg
}

func (s *Signature) part(msg []byte, p *part, f *protocol.Frame, rec *protocol.Record) []byte {
	switch p.name {
	case "timestamp":
		return append(msg, s.at.timestamp.get(f, rec)...)
	case "nonce":
		return append(msg, s.at.nonce.get(f, rec)...)
	case "path":
		return append(msg, f.Get(protocol.HeadPath)...)
	case "field":
		return append(msg, p.field.get(f, rec)...)
	case "pairs":
		return s.appendPairs(msg, rec)
	}
	if !s.at.signature.inBody || rec.Find(s.at.signature.id) < 0 {
		return append(msg, f.Body...)
	}
	n := rec.Nodes()[rec.Find(s.at.signature.id)]
	msg = append(msg, f.Body[:n.From]...)
	if p.name == "before" {
		return msg
	}
	return append(append(msg, s.o.Blank...), f.Body[n.From+n.Size:]...)
}

func (s *Signature) appendPairs(msg []byte, rec *protocol.Record) []byte {
	start := len(msg)
	for i := range s.at.pairs {
		p := &s.at.pairs[i]
		v, _ := rec.Get(p.id)
		if len(v) == 0 {
			continue
		}
		if len(msg) > start {
			msg = append(msg, '&')
		}
		msg = append(append(append(msg, p.name...), '='), v...)
	}
	if s.o.Pairs.KeyName != "" {
		if len(msg) > start {
			msg = append(msg, '&')
		}
		msg = append(append(append(msg, s.o.Pairs.KeyName...), '='), s.secret...)
	}
	return msg
}
