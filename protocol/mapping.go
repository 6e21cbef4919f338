package protocol

import (
	"slices"
	"time"

	"qianzhi/gateway/pay"
)

// Slot addresses a wire value: a field of a layout, or a head value.
type Slot struct {
	ID   uint16
	Head Head // when set, ID is not used
	Name string
}

// Const is a value that a message must carry; it tells messages apart on the
// way in and is written on the way out.
type Const struct {
	Slot Slot
	Val  string
}

// Move ties one wire value to one field of the business message, both ways.
type Move struct {
	Slot     Slot
	Field    pay.FieldID
	Const    string // of a loop: written where Field is none, not looked at when it is read
	Conv     Conv
	Optional bool
}

// Loop ties a repeated group to the bills of a message.
type Loop struct {
	Group uint16
	Moves []Move
}

// Copy carries a value of the request into the reply unchanged.
type Copy struct{ From, To Slot }

// Rules is one direction of one message.
type Rules struct {
	Consts []Const
	Moves  []Move
	Bills  *Loop
	Echo   []Copy // replies only

	order []uint16 // of all constants, copies and moves, by slot; nil: as they stand
}

// Arrange has values written in the order of the layout.
func (r *Rules) Arrange() {
	slots := make([]Slot, 0, len(r.Consts)+len(r.Echo)+len(r.Moves))
	for i := range r.Consts {
		slots = append(slots, r.Consts[i].Slot)
	}
	for i := range r.Echo {
		slots = append(slots, r.Echo[i].To)
	}
	for i := range r.Moves {
		slots = append(slots, r.Moves[i].Slot)
	}
	r.order = make([]uint16, len(slots))
	for i := range r.order {
		r.order[i] = uint16(i)
	}
	slices.SortStableFunc(r.order, func(a, b uint16) int { return int(slots[a].ID) - int(slots[b].ID) })
}

// Message is one transaction of a link: a request and its reply.
type Message struct {
	Name    string
	Op      pay.Op
	Of      pay.Kind // of the original it names; zero: a payment
	Request Rules
	Reply   Rules
}

// original returns the kind of the original that the message names.
func (m *Message) original() pay.Kind {
	if m.Of == pay.KindOther {
		return pay.KindPay
	}
	return m.Of
}

// CodeRow ties a business code to the wire. The first row of a code is what is
// written; the first row of a wire value is what is read.
type CodeRow struct {
	Code    pay.Code
	Wire    string
	Verdict pay.Verdict
	Text    string
}

// SerialScope says for how long a sender's serial does not repeat.
type SerialScope string

// The scopes a link must choose from.
const (
	ScopeSenderDate SerialScope = "sender-date" // unique within the sender's date
	ScopeBatch      SerialScope = "batch"       // unique within the sender's batch
	ScopeNone       SerialScope = "none"        // never repeats within the kept days
)

// Identity says how the idempotency key is built from a message.
type Identity struct {
	Institution string
	SerialScope SerialScope
	Scope       []pay.FieldID // beside date or batch, for example terminal and merchant
}

// Mapping ties the records of one link to business messages. It is immutable
// and safe for concurrent use.
type Mapping struct {
	Messages []Message
	Codes    []CodeRow
	Identity Identity
	Biller   string // when the wire does not name one
	Relay    bool   // tracks, PIN block and the like go on to a host; else they are dropped when a message is read
}

func (r *Record) slot(f *Frame, s Slot) (string, int, bool) {
	if s.Head != HeadNone {
		v := f.Get(s.Head)
		return v, -1, v != ""
	}
	i := r.Find(s.ID)
	if i < 0 {
		return "", -1, false
	}
	return string(r.Value(i)), int(r.nodes[i].From), true
}

func (r *Record) set(f *Frame, s Slot, val string) {
	if s.Head != HeadNone {
		f.Set(s.Head, val)
		return
	}
	if r.Find(s.ID) < 0 {
		r.PutString(s.ID, -1, val)
	}
}

// echo copies a value of the request.
func (r *Record) echo(f *Frame, e *Copy, c *Exchange) {
	if e.From.Head != HeadNone || e.To.Head != HeadNone {
		if v, _, ok := c.Record.slot(c.Frame, e.From); ok {
			r.set(f, e.To, v)
		}
		return
	}
	if i := c.Record.Find(e.From.ID); i >= 0 && r.Find(e.To.ID) < 0 {
		r.Put(e.To.ID, -1, c.Record.Value(i))
	}
}

func (r *Record) holds(f *Frame, consts []Const) bool {
	for i := range consts {
		c := &consts[i]
		if c.Slot.Head != HeadNone {
			if f.Get(c.Slot.Head) != c.Val {
				return false
			}
			continue
		}
		n := r.Find(c.Slot.ID)
		if n < 0 || string(r.Value(n)) != c.Val {
			return false
		}
	}
	return true
}

// Identify returns the number of the first message whose constants the request
// record carries, or an *Error of class mapping.
func (m *Mapping) Identify(f *Frame, rec *Record) (int, error) {
	for i := range m.Messages {
		if rec.holds(f, m.Messages[i].Request.Consts) {
			return i, nil
		}
	}
	return -1, &Error{Class: ClassMapping, Offset: -1, Want: "a known transaction", Got: "none that fits",
		Hint: "compare the constants under request.when of the link file"}
}

// Request builds the business message that message msg carries. The returned
// request does not alias rec. now resolves dates without a year.
func (m *Mapping) Request(msg int, f *Frame, rec *Record, now time.Time) (*pay.Request, error) {
	def := &m.Messages[msg]
	var room struct { // one piece of memory for what most requests have
		req  pay.Request
		more [8]pay.Field
	}
	req := &room.req
	req.Op, req.Biller, req.More = def.Op, m.Biller, room.more[:0]
	b := builder{req: req, now: now, text: string(rec.arena), relay: m.Relay}
	if err := b.moves(&def.Request, f, rec); err != nil {
		return nil, err
	}
	if len(req.More) == 0 {
		req.More = nil
	}
	return req, m.identify(req, &b, def.original())
}

// Code returns the wire value and text written for a reply.
func (m *Mapping) Code(rep *pay.Reply) (wire, text string, ok bool) {
	best := -1
	for i := range m.Codes {
		row := &m.Codes[i]
		if row.Code != rep.Code {
			continue
		}
		if row.Verdict == rep.Verdict {
			return row.Wire, row.Text, true
		}
		if best < 0 {
			best = i
		}
	}
	if best < 0 || m.Codes[best].Verdict != rep.Verdict {
		return m.general(rep.Verdict)
	}
	return m.Codes[best].Wire, m.Codes[best].Text, true
}

// general finds the row for a verdict whose exact code the link does not list.
func (m *Mapping) general(v pay.Verdict) (wire, text string, ok bool) {
	want := [...]pay.Code{pay.Unknown: pay.CodeUnknown, pay.Approved: pay.CodeOK, pay.Declined: pay.CodeRefused}[v]
	for i := range m.Codes {
		if m.Codes[i].Code == want && m.Codes[i].Verdict == v {
			return m.Codes[i].Wire, m.Codes[i].Text, true
		}
	}
	return "", "", false
}

// Meaning returns what a host's response code means; a code that is not listed
// is in doubt.
func (m *Mapping) Meaning(wire string) (pay.Verdict, pay.Code) {
	for i := range m.Codes {
		if m.Codes[i].Wire == wire {
			return m.Codes[i].Verdict, m.Codes[i].Code
		}
	}
	return pay.Unknown, pay.CodeUnknown
}

// AppendReply fills rec and f.Head with the reply to message msg. ask and
// asked are the request's record and frame, for the values that are echoed.
// rec must have been reset to the reply's layout.
func (m *Mapping) AppendReply(msg int, c *Exchange, rep *pay.Reply, rec *Record, f *Frame) error {
	rules := &m.Messages[msg].Reply
	w := writer{m: m, req: c.Request, rep: rep, now: c.Now}
	return w.write(rules, rec, f, c)
}

// AppendRequest fills rec and f.Head with a business message; it is the
// client's side. The first message of the operation, and of the original's kind
// where it names one, is used.
func (m *Mapping) AppendRequest(req *pay.Request, now time.Time, rec *Record, f *Frame) (int, error) {
	for i := range m.Messages {
		if m.Messages[i].Op != req.Op || req.Original != nil && req.Original.Kind != m.Messages[i].original() && m.other(req.Op, req.Original.Kind) {
			continue
		}
		w := writer{m: m, req: req, now: now}
		return i, w.write(&m.Messages[i].Request, rec, f, nil)
	}
	return -1, &Error{Class: ClassMapping, Offset: -1, Want: "a message for " + req.Op.String(), Got: "none in the link file"}
}

// other reports whether the link has a message of the operation for originals of
// the kind.
func (m *Mapping) other(op pay.Op, of pay.Kind) bool {
	for i := range m.Messages {
		if m.Messages[i].Op == op && m.Messages[i].original() == of {
			return true
		}
	}
	return false
}

// Reply reads the reply to message msg; it is the client's side. The reply
// does not alias rec.
func (m *Mapping) Reply(msg int, f *Frame, rec *Record, now time.Time) (pay.Reply, error) {
	rules := &m.Messages[msg].Reply
	if !rec.holds(f, rules.Consts) {
		return pay.Reply{}, &Error{Class: ClassMapping, Offset: -1, Want: "the reply to " + m.Messages[msg].Name,
			Got: "another message"}
	}
	tmp := &pay.Request{}
	b := builder{req: tmp, now: now, text: string(rec.arena), lenient: true, relay: m.Relay}
	if err := b.moves(rules, f, rec); err != nil {
		return pay.Reply{}, err
	}
	rep := pay.Reply{Amount: tmp.Amount, Bills: tmp.Bills, More: tmp.More}
	rep.Serial = pay.Find(tmp.More, pay.FReference)
	if tmp.Ref.Serial != "" { // the asker's own, for telling which request is answered
		rep.More = append(rep.More, pay.Field{ID: pay.FSerial, Val: tmp.Ref.Serial})
	}
	if rep.Verdict, rep.Code = m.Meaning(b.code); b.doubt {
		rep.Verdict, rep.Code = pay.Unknown, pay.CodeUnknown
	}
	return rep, nil
}

// Exchange is a request in hand: what is needed to answer it.
type Exchange struct {
	Frame   *Frame
	Record  *Record
	Request *pay.Request
	Now     time.Time
}
