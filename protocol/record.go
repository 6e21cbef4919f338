package protocol

import "qianzhi/gateway/pay"

// FieldSpec describes one field of a layout.
type FieldSpec struct {
	Name  string // path within the message: "4", "60.1", "bills.amount"
	Title string // what the interface document calls it
	Mask  pay.Mask
	Group bool // a loop: its nodes have children and no value
	Max   int  // of a loop: most turns, 0 for no bound
	Bytes bool // the value is raw bytes, shown as hex
}

// Layout is the list of fields that a codec knows; a node's ID is an index
// into it. It is built once and never changes.
type Layout struct {
	Fields []FieldSpec
	byName map[string]uint16
}

// NewLayout indexes the fields by name. Names must be unique.
func NewLayout(fields []FieldSpec) *Layout {
	l := &Layout{Fields: fields, byName: make(map[string]uint16, len(fields))}
	for i, f := range fields {
		l.byName[f.Name] = uint16(i)
	}
	return l
}

// Lookup finds a field by its path. It is for compiling, not for the hot path.
func (l *Layout) Lookup(name string) (uint16, bool) {
	id, ok := l.byName[name]
	return id, ok
}

// Node is one field of a record.
type Node struct {
	ID     uint16 // index into the layout
	Parent uint16 // 1 + index of the enclosing group's node, 0 at the top
	At     uint32 // of the value in the arena
	Len    uint32
	From   uint32 // of the field's value on the wire, counted from the body's start
	Size   uint32 // on the wire, in bytes
}

// Record is one message as a flat list of fields in the order of the wire.
// Values sit in one arena, text as UTF-8 without padding, raw fields as they
// are. A record is reused: Reset keeps its memory. It is owned by one
// goroutine.
type Record struct {
	layout *Layout
	arena  []byte
	nodes  []Node
	first  []uint16 // by field: 1 + index of the first node at the top
	opened []byte   // the body out of its envelope
}

// Reset empties the record for messages of the layout.
func (r *Record) Reset(l *Layout) {
	r.layout, r.arena, r.nodes = l, r.arena[:0], r.nodes[:0]
	if cap(r.first) < len(l.Fields) {
		r.first = make([]uint16, len(l.Fields))
		return
	}
	r.first = r.first[:len(l.Fields)]
	clear(r.first)
}

// Layout returns the layout the record was last reset to.
func (r *Record) Layout() *Layout { return r.layout }

// Nodes returns the fields in order; the slice is valid until the next Put.
func (r *Record) Nodes() []Node { return r.nodes }

// Arena returns all values; nodes point into it.
func (r *Record) Arena() []byte { return r.arena }

// MaxNodes keeps node numbers within 16 bits.
const MaxNodes = 1<<16 - 2

// Put adds a field with its value and returns the node's number, or -1 when
// the record is full. Parent is the number of the enclosing group, or -1.
func (r *Record) Put(id uint16, parent int, val []byte) int {
	at := len(r.arena)
	r.arena = append(r.arena, val...)
	return r.node(id, parent, at)
}

// PutString is Put for a string.
func (r *Record) PutString(id uint16, parent int, val string) int {
	at := len(r.arena)
	r.arena = append(r.arena, val...)
	return r.node(id, parent, at)
}

// Grow lends the arena to a codec that appends a value itself; Keep makes what
// was appended the value of a field.
func (r *Record) Grow() []byte { return r.arena }

// Keep takes back the arena from Grow; the bytes past the old length become
// the value of the field.
func (r *Record) Keep(arena []byte, id uint16, parent int) int {
	at := len(r.arena)
	r.arena = arena
	return r.node(id, parent, at)
}

func (r *Record) node(id uint16, parent, at int) int {
	i := len(r.nodes)
	if i >= MaxNodes {
		return -1
	}
	r.nodes = append(r.nodes, Node{})
	n := &r.nodes[i] // set in place: a copy of small parts stalls the processor
	n.ID, n.Parent, n.At, n.Len = id, uint16(parent+1), uint32(at), uint32(len(r.arena)-at)
	if parent < 0 && r.first[id] == 0 {
		r.first[id] = uint16(i + 1)
	}
	return i
}

// Lend hands out the record's memory to a codec that fills it in one pass:
// values are appended to the arena, fields to the nodes, in the order of the
// wire; first gets 1 + the number of a field's first node at the top. Return
// takes it back; in between the record is not used.
func (r *Record) Lend() (arena []byte, nodes []Node, first []uint16) {
	return r.arena, r.nodes, r.first
}

// Return takes back what Lend handed out, with what was appended. There are at
// most MaxNodes nodes.
func (r *Record) Return(arena []byte, nodes []Node) { r.arena, r.nodes = arena, nodes }

// Span notes where the node's value stands on the wire.
func (r *Record) Span(i, from, size int) {
	r.nodes[i].From, r.nodes[i].Size = uint32(from), uint32(size)
}

// Find returns the number of the first node of the field at the top, -1 when
// absent.
func (r *Record) Find(id uint16) int { return int(r.first[id]) - 1 }

// Value returns the node's value, which aliases the arena.
func (r *Record) Value(i int) []byte {
	n := &r.nodes[i]
	return r.arena[n.At : n.At+n.Len : n.At+n.Len]
}

// Get returns the value of a field at the top, nil and false when absent.
func (r *Record) Get(id uint16) ([]byte, bool) {
	i := r.Find(id)
	if i < 0 {
		return nil, false
	}
	return r.Value(i), true
}

// Child returns the number of the field within group node g, -1 when absent.
// The children of a group follow it directly.
func (r *Record) Child(g int, id uint16) int {
	for i := g + 1; i < len(r.nodes); i++ {
		if int(r.nodes[i].Parent) <= g {
			return -1
		}
		if int(r.nodes[i].Parent) == g+1 && r.nodes[i].ID == id {
			return i
		}
	}
	return -1
}

// Redact overwrites in body every field that must never be stored.
func (r *Record) Redact(body []byte) {
	for i := range r.nodes {
		n := &r.nodes[i]
		if r.layout.Fields[n.ID].Mask != pay.Never {
			continue
		}
		for j := int(n.From); j < int(n.From+n.Size) && j < len(body); j++ {
			body[j] = '*'
		}
	}
}
