// Package inspect shows messages to people and takes them back: a message as
// JSON or as a table, with each field's value and place, and JSON as the
// message it came from.
package inspect

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Message is one message as it is shown. Offsets count from the first byte of
// the input.
type Message struct {
	Link    string            `json:"link"`
	Type    string            `json:"type,omitempty"`
	Header  map[string]string `json:"header,omitempty"`
	Fields  []Field           `json:"fields"`
	Request *Business         `json:"request,omitempty"`
	Reply   *Business         `json:"reply,omitempty"`
	Error   *Fault            `json:"error,omitempty"` // of the mapping; the fields are good
	Form    string            `json:"form,omitempty"`  // the message in hex, when its writer chose another form than this program: white space, order, escapes
}

// Field is one field of a message. A group has neither value nor hex; the
// fields of its occurrence follow it.
type Field struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	Value  string `json:"value"` // raw fields as hex
	Hex    string `json:"hex,omitempty"`
	At     [2]int `json:"at"` // offset and length in bytes
	Masked bool   `json:"masked,omitempty"`
	Group  bool   `json:"group,omitempty"`
}

// Fault is what is wrong with a message.
type Fault struct {
	Class  protocol.Class `json:"class"`
	Path   string         `json:"path"`
	Offset int            `json:"offset"` // from the first byte of the input, -1 when unknown
	Want   string         `json:"want"`
	Got    string         `json:"got"`
	Hint   string         `json:"hint"`
}

// Options say how a message is read and shown.
type Options struct {
	Reply  bool // of the answering side
	Bare   bool // the input is a body without framing
	Unmask bool
}

func (o Options) side(d *protocol.Dialect) *protocol.Side {
	if o.Reply {
		return &d.Reply
	}
	return &d.Request
}

// Decode reads one whole message. The error is a *protocol.Error whose offset
// counts from the first byte of msg; one of class mapping comes with the
// message, whose fields are good.
func Decode(d *protocol.Dialect, msg []byte, o Options) (*Message, error) {
	side := o.side(d)
	f := protocol.Frame{Body: msg}
	if !o.Bare {
		var n int
		var err error
		if f, n, err = side.Framer.Next(msg); err != nil {
			return nil, err
		}
		if n != len(msg) || f.Body == nil {
			return nil, &protocol.Error{Class: protocol.ClassFrame, Offset: n, Want: "one whole frame",
				Got: fmt.Sprintf("%d of %d bytes", n, len(msg)), Hint: "a message without its framing is read with --bare"}
		}
	}
	from := start(msg, f.Body)
	rec := new(protocol.Record)
	if err := side.Codec.Index(f, rec); err != nil {
		return nil, shift(err, from)
	}
	m := &Message{Link: d.ID, Header: map[string]string{}, Fields: fields(f.Body, rec, from, o.Unmask)}
	for _, h := range f.Head {
		m.Header[h.Head.String()] = h.Val
	}
	err := shift(m.business(d, &f, rec, o), from)
	m.Error = FaultOf(err)
	if o.Unmask {
		m.keepForm(side, &f, rec, msg, o)
	}
	return m, err
}

// keepForm notes the bytes of a message that would be written in another way.
// rec is written over.
func (m *Message) keepForm(side *protocol.Side, f *protocol.Frame, rec *protocol.Record, msg []byte, o Options) {
	again, err := side.Codec.Append(nil, rec)
	if err == nil && !o.Bare {
		again, err = side.Framer.Append(nil, protocol.Frame{Head: f.Head, Body: again})
	}
	if err != nil || !bytes.Equal(again, msg) {
		m.Form = strings.ToUpper(hex.EncodeToString(msg))
	}
}

// formed returns the message in the form that its writer chose, while its values
// are still those that m shows.
func (m *Message) formed(d *protocol.Dialect, o Options) ([]byte, bool) {
	msg, err := hex.DecodeString(m.Form)
	if err != nil || m.Form == "" {
		return nil, false
	}
	o.Unmask = true
	was, err := Decode(d, msg, o)
	if was == nil || err != nil && was.Error == nil || len(was.Fields) != len(m.Fields) || !maps.Equal(was.Header, m.Header) {
		return nil, false
	}
	for i := range m.Fields {
		a, b := &m.Fields[i], &was.Fields[i]
		if a.ID != b.ID || a.Value != b.Value || a.Group != b.Group {
			return nil, false
		}
	}
	return msg, true
}

// start finds where the body stands in the message.
func start(msg, body []byte) int {
	if at := len(msg) - len(body); bytes.Equal(msg[at:], body) {
		return at
	}
	return max(0, bytes.Index(msg, body))
}

// shift makes an offset within the body one within the message.
func shift(err error, by int) error {
	var e *protocol.Error
	if !errors.As(err, &e) || e.Offset < 0 {
		return err
	}
	moved := *e
	moved.Offset += by
	return &moved
}

// FaultOf returns an error's located form, nil when it has none.
func FaultOf(err error) *Fault {
	var e *protocol.Error
	if !errors.As(err, &e) {
		return nil
	}
	return &Fault{Class: e.Class, Path: e.Path, Offset: e.Offset, Want: e.Want, Got: e.Got, Hint: e.Hint}
}

func fields(body []byte, rec *protocol.Record, from int, unmask bool) []Field {
	layout := rec.Layout()
	out := make([]Field, 0, len(rec.Nodes()))
	for i, n := range rec.Nodes() {
		spec := &layout.Fields[n.ID]
		f := Field{ID: spec.Name, Name: spec.Title, At: [2]int{from + int(n.From), int(n.Size)}, Group: spec.Group}
		v := string(rec.Value(i))
		if spec.Bytes {
			v = strings.ToUpper(hex.EncodeToString([]byte(v)))
		}
		switch {
		case spec.Group:
		case unmask || spec.Mask == pay.Public:
			f.Value, f.Hex = v, strings.ToUpper(hex.EncodeToString(body[n.From:n.From+n.Size]))
		default:
			f.Value, f.Masked = spec.Mask.Masked(v), true
		}
		out = append(out, f)
	}
	return out
}

// business adds what the link's mapping makes of the fields. A message that
// the mapping does not know is shown without.
func (m *Message) business(d *protocol.Dialect, f *protocol.Frame, rec *protocol.Record, o Options) error {
	if o.Reply {
		for i := range d.Map.Messages {
			rep, err := d.Map.Reply(i, f, rec, time.Now())
			if err == nil {
				m.Type, m.Reply = d.Map.Messages[i].Name, OfReply(d.Map.Messages[i].Op, &rep, o.Unmask)
				return nil
			}
		}
		return nil
	}
	msg, err := d.Map.Identify(f, rec)
	if err != nil {
		return nil
	}
	m.Type = d.Map.Messages[msg].Name
	req, err := d.Map.Request(msg, f, rec, time.Now())
	if err != nil {
		return err
	}
	m.Request = OfRequest(req, o.Unmask)
	return nil
}

// Encode writes the message that m shows, framed unless bare.
func (m *Message) Encode(d *protocol.Dialect, o Options) ([]byte, error) {
	if msg, same := m.formed(d, o); same {
		return msg, nil
	}
	side := o.side(d)
	layout := side.Codec.Layout()
	rec := new(protocol.Record)
	rec.Reset(layout)
	var groups []int // enclosing occurrences, outermost first
	for i := range m.Fields {
		f := &m.Fields[i]
		id, ok := layout.Lookup(f.ID)
		if !ok {
			return nil, fmt.Errorf("fields[%d]: %s: no such field in the layout of %s", i, f.ID, d.ID)
		}
		if f.Masked {
			return nil, fmt.Errorf("fields[%d]: %s is masked: decode with --unmask", i, f.ID)
		}
		for len(groups) > 0 && !strings.HasPrefix(f.ID, layout.Fields[rec.Nodes()[groups[len(groups)-1]].ID].Name+".") {
			groups = groups[:len(groups)-1]
		}
		parent := -1
		if len(groups) > 0 {
			parent = groups[len(groups)-1]
		}
		n, err := put(rec, layout, id, parent, f.Value)
		if err != nil {
			return nil, fmt.Errorf("fields[%d]: %s: %w", i, f.ID, err)
		}
		if layout.Fields[id].Group {
			groups = append(groups, n)
		}
	}
	f := protocol.Frame{}
	for _, name := range headNames(m.Header) {
		h, ok := protocol.ParseHead(name)
		if !ok {
			return nil, fmt.Errorf("header: unknown value %q", name)
		}
		f.Set(h, m.Header[name])
	}
	body, err := side.Codec.Append(nil, rec)
	if err != nil || o.Bare {
		return body, err
	}
	f.Body = body
	return side.Framer.Append(nil, f)
}

func headNames(h map[string]string) []string {
	names := make([]string, 0, len(h))
	for n := range h {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func put(rec *protocol.Record, l *protocol.Layout, id uint16, parent int, val string) (int, error) {
	raw := []byte(val)
	if l.Fields[id].Bytes {
		var err error
		if raw, err = hex.DecodeString(val); err != nil {
			return 0, errors.New("want hexadecimal digits, two for each byte")
		}
	}
	n := rec.Put(id, parent, raw)
	if n < 0 {
		return 0, errors.New("too many fields")
	}
	return n, nil
}
