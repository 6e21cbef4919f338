package protocol

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"qianzhi/gateway/pay"
)

// builder moves wire values into a business message.
type builder struct {
	req     *pay.Request
	now     time.Time
	text    string // the whole arena as one string; values are slices of it
	lenient bool   // replies: a declined one carries less
	relay   bool   // secrets of the card are kept in memory

	code, originalSerial, originalDate, originalBatch string
	senderDate, batch                                 string
	doubt                                             bool // the response code is not in its value list
}

func (b *builder) moves(rules *Rules, f *Frame, rec *Record) error {
	for i := range rules.Moves {
		mv := &rules.Moves[i]
		val, at, ok := b.value(mv.Slot, f, rec)
		if !ok {
			if mv.Optional || b.lenient {
				continue
			}
			return &Error{Class: ClassMapping, Path: mv.Slot.Name, Offset: -1, Want: mv.Field.String(), Got: "nothing"}
		}
		if err := b.set(mv, val); err != nil {
			return &Error{Class: ClassMapping, Path: mv.Slot.Name, Offset: at, Want: mv.Conv.Want(mv.Field), Got: mv.Field.Info().Mask.Masked(val)}
		}
	}
	if rules.Bills == nil {
		return nil
	}
	return b.bills(rules.Bills, rec)
}

func (b *builder) value(s Slot, f *Frame, rec *Record) (string, int, bool) {
	if s.Head != HeadNone {
		v := f.Get(s.Head)
		return v, -1, v != ""
	}
	i := rec.Find(s.ID)
	if i < 0 {
		return "", -1, false
	}
	n := &rec.nodes[i] // a value that is there but empty says nothing
	return b.text[n.At : n.At+n.Len], int(n.From), n.Len > 0
}

func (b *builder) set(mv *Move, raw string) error {
	r := b.req
	if mv.Field == pay.FAmount && mv.Conv.Unit != UnitNone {
		var err error
		r.Amount, err = mv.Conv.amount(raw)
		return err
	}
	val, err := mv.Conv.In(raw, b.now)
	switch {
	case err != nil && b.lenient && mv.Field == pay.FCode:
		b.doubt = true // a host may have any code
		return nil
	case err != nil:
		return err
	}
	switch mv.Field {
	case pay.FAmount:
		r.Amount, err = pay.ParseFen(val)
		return err
	case pay.FBiller:
		r.Biller = val
	case pay.FAccount:
		r.Account = val
	case pay.FSerial:
		r.Ref.Serial = val
	case pay.FCode:
		b.code = val
	case pay.FOriginalSerial:
		b.originalSerial = val
	case pay.FOriginalDate:
		b.originalDate = val
	case pay.FOriginalBatch:
		b.originalBatch = val
	case pay.FSenderDate:
		b.senderDate = val
		r.Day, err = pay.ParseDay(val)
		return err
	default:
		if mv.Field == pay.FBatch {
			b.batch = val
		}
		if mv.Field.Info().Mask != pay.Never || mv.Field == pay.FWorkKeys || b.relay {
			r.More = append(r.More, pay.Field{ID: mv.Field, Val: val})
		}
	}
	return nil
}

func (b *builder) bills(l *Loop, rec *Record) error {
	for i := range rec.nodes {
		if rec.nodes[i].ID != l.Group || !rec.layout.Fields[l.Group].Group {
			continue
		}
		var bill pay.Bill
		for j := range l.Moves {
			mv := &l.Moves[j]
			if mv.Field == pay.FNone {
				continue
			}
			c := rec.Child(i, mv.Slot.ID)
			if c < 0 || rec.nodes[c].Len == 0 {
				if mv.Optional {
					continue
				}
				return &Error{Class: ClassMapping, Path: mv.Slot.Name, Offset: int(rec.nodes[i].From), Want: mv.Field.String(), Got: "nothing"}
			}
			n := &rec.nodes[c]
			if err := b.bill(&bill, mv, b.text[n.At:n.At+n.Len]); err != nil {
				return &Error{Class: ClassMapping, Path: mv.Slot.Name, Offset: int(n.From), Want: mv.Conv.Want(mv.Field), Got: "other text"}
			}
		}
		b.req.Bills = append(b.req.Bills, bill)
	}
	return nil
}

func (b *builder) bill(bill *pay.Bill, mv *Move, raw string) error {
	val, err := mv.Conv.In(raw, b.now)
	if err != nil {
		return err
	}
	switch mv.Field {
	case pay.FBillID:
		bill.ID = val
	case pay.FBillMonth:
		bill.Month = val
	case pay.FBillAmount:
		bill.Amount, err = pay.ParseFen(val)
	case pay.FBillPrincipal:
		bill.Principal, err = pay.ParseFen(val)
	case pay.FBillPenalty:
		bill.Penalty, err = pay.ParseFen(val)
	case pay.FBillCard:
		bill.Card = val
	}
	return err
}

// identify completes the idempotency key and the original's key. A message
// that moves money must carry every part of its key: without one, two payments
// could share it.
func (m *Mapping) identify(req *pay.Request, b *builder, of pay.Kind) error {
	id := &m.Identity
	if lacks := m.lacks(req, b); lacks != pay.FNone && req.Op.Money() {
		return &Error{Class: ClassMapping, Path: lacks.String(), Offset: -1, Want: "a value, it is part of the message's key", Got: "nothing"}
	}
	req.Ref.Institution, req.Ref.Kind = id.Institution, req.Op.Kind()
	req.Ref.Scope = m.scope(req, b.senderDate, b.batch)
	if b.originalSerial == "" {
		return nil
	}
	date, batch := b.originalDate, b.originalBatch
	if date == "" {
		date = b.senderDate
	}
	if batch == "" {
		batch = b.batch
	}
	scope := req.Ref.Scope
	if date != b.senderDate || batch != b.batch {
		scope = m.scope(req, date, batch)
	}
	req.Original = &pay.Ref{Institution: id.Institution, Kind: of, Scope: scope, Serial: b.originalSerial}
	return nil
}

// lacks returns the first part of the key that the message does not carry.
func (m *Mapping) lacks(req *pay.Request, b *builder) pay.FieldID {
	switch {
	case req.Ref.Serial == "":
		return pay.FSerial
	case m.Identity.SerialScope == ScopeSenderDate && b.senderDate == "":
		return pay.FSenderDate
	case m.Identity.SerialScope == ScopeBatch && b.batch == "":
		return pay.FBatch
	}
	for _, id := range m.Identity.Scope {
		if pay.Find(req.More, id) == "" {
			return id
		}
	}
	return pay.FNone
}

// scope joins the parts that make a serial unique. The parts are separated by
// a character that no wire carries inside them.
func (m *Mapping) scope(req *pay.Request, date, batch string) string {
	var first string
	switch m.Identity.SerialScope {
	case ScopeSenderDate:
		first = date
	case ScopeBatch:
		first = batch
	}
	size := len(first)
	for _, id := range m.Identity.Scope {
		size += 1 + len(pay.Find(req.More, id))
	}
	var s strings.Builder
	s.Grow(size)
	s.WriteString(first)
	for _, id := range m.Identity.Scope {
		s.WriteByte('\x1f')
		s.WriteString(pay.Find(req.More, id))
	}
	return s.String()
}

// writer moves a business message into wire values.
type writer struct {
	m   *Mapping
	req *pay.Request
	rep *pay.Reply // nil for requests
	now time.Time
}

// write fills rec and f.Head: constants before what is echoed before what is
// moved where they share a slot, and for the rest in the order of the slots, in
// which a codec writes them fastest. c is the request that is answered.
func (w *writer) write(rules *Rules, rec *Record, f *Frame, c *Exchange) error {
	for k := range len(rules.Consts) + len(rules.Echo) + len(rules.Moves) {
		i := k
		if rules.order != nil {
			i = int(rules.order[k])
		}
		echo := i - len(rules.Consts)
		move := echo - len(rules.Echo)
		switch {
		case echo < 0:
			rec.set(f, rules.Consts[i].Slot, rules.Consts[i].Val)
		case move < 0:
			rec.echo(f, &rules.Echo[echo], c)
		default:
			if err := w.move(&rules.Moves[move], rec, f); err != nil {
				return err
			}
		}
	}
	if rules.Bills != nil {
		w.bills(rules.Bills, rec)
	}
	return nil
}

func (w *writer) move(mv *Move, rec *Record, f *Frame) error {
	if mv.Slot.Head == HeadNone && w.direct(mv, rec) {
		return nil
	}
	val, ok := w.value(mv.Field)
	if !ok {
		if mv.Optional || w.rep != nil {
			return nil
		}
		return &Error{Class: ClassMapping, Path: mv.Slot.Name, Offset: -1, Want: mv.Field.String(), Got: "nothing"}
	}
	out, err := w.out(mv, val)
	if err != nil {
		return &Error{Class: ClassMapping, Path: mv.Slot.Name, Offset: -1, Want: mv.Conv.Want(mv.Field), Got: mv.Field.Info().Mask.Masked(val)}
	}
	rec.set(f, mv.Slot, out)
	return nil
}

// direct writes digits that are made for the message straight into the record.
// It reports false when the value is another one.
func (w *writer) direct(mv *Move, rec *Record) bool {
	if rec.Find(mv.Slot.ID) >= 0 || mv.Conv.Dict != nil || mv.Conv.Tail > 0 {
		return false
	}
	dst, ok := rec.Grow(), false
	switch {
	case mv.Field == pay.FAmount && mv.Conv.Unit <= UnitFen:
		var a pay.Amount
		a, ok = w.amount()
		dst = strconv.AppendInt(dst, int64(a), 10)
	case mv.Field == pay.FLocalTime && mv.Conv.Date == "" && w.rep != nil:
		dst, ok = appendTime(dst, w.now), true
	case mv.Conv.Date != "":
		var val string
		if val, ok = w.value(mv.Field); ok {
			dst, ok = w.stamp(dst, mv, val)
		}
	}
	return ok && rec.Keep(dst, mv.Slot.ID, -1) >= 0
}

// out is Conv.Out for a value of the message at hand.
func (w *writer) out(mv *Move, val string) (string, error) {
	if mv.Conv.Date == "" {
		return mv.Conv.Out(val)
	}
	out, ok := w.stamp(nil, mv, val)
	if !ok {
		return "", errConv
	}
	return string(out), nil
}

// stamp appends a date, or a time, in its layout. One with both takes the other
// from the field beside it, or else from the clock.
func (w *writer) stamp(dst []byte, mv *Move, val string) ([]byte, bool) {
	m, ok := momentOf(mv.Conv.Take, val)
	if !ok {
		return dst, false
	}
	m.in = w.now.Location()
	if joint(mv.Conv.Date) {
		w.complete(&m, mv.Field)
	}
	return m.append(dst, mv.Conv.Date)
}

// complete adds the time to a date, or the date to a time.
func (w *writer) complete(m *moment, id pay.FieldID) {
	beside := besideOf(id)
	val, ok := "", false
	if beside != pay.FNone {
		val, ok = w.value(beside)
	}
	switch {
	case m.date == "" && ok:
		m.date = val
	case m.date == "":
		m.date = dayDigits(pay.DayOf(w.now))
	case m.clock != "":
	case ok:
		if with, fits := momentOf(TakeTime, val); fits {
			m.clock = with.clock
		}
	case beside != pay.FNone:
		m.clock = string(appendTime(nil, w.now))
	default:
		m.clock = midnight
	}
}

// besideOf is the time that belongs to a date, and the date that belongs to a time.
func besideOf(id pay.FieldID) pay.FieldID {
	switch id {
	case pay.FSenderDate:
		return pay.FSenderTime
	case pay.FSenderTime:
		return pay.FSenderDate
	case pay.FLocalDate:
		return pay.FLocalTime
	case pay.FLocalTime:
		return pay.FLocalDate
	}
	return pay.FNone
}

// amount is that of the reply, or else that of the request.
func (w *writer) amount() (a pay.Amount, ok bool) {
	if w.rep != nil && (w.rep.Amount != 0 || w.rep.Verdict == pay.Approved) {
		return w.rep.Amount, true
	}
	if w.req == nil {
		return 0, false
	}
	return w.req.Amount, w.req.Amount != 0 || w.rep == nil
}

// value finds a field in the reply first and in the request second.
func (w *writer) value(id pay.FieldID) (string, bool) {
	switch id {
	case pay.FLocalDate, pay.FLocalTime:
		if v, ok := w.asked(id); ok && w.rep == nil {
			return v, true // a message about an earlier one repeats its time
		}
	}
	switch id {
	case pay.FLocalDate:
		return dayDigits(pay.DayOf(w.now)), true
	case pay.FLocalTime:
		return string(appendTime(nil, w.now)), true
	}
	if w.rep != nil {
		if v, ok := w.answer(id); ok {
			return v, true
		}
	}
	return w.asked(id)
}

func (w *writer) answer(id pay.FieldID) (string, bool) {
	switch id {
	case pay.FCode, pay.FText:
		wire, text, ok := w.m.Code(w.rep)
		if id == pay.FText {
			return text, true
		}
		return wire, ok
	case pay.FAmount:
		return fen(w.rep.Amount), w.rep.Amount != 0 || w.rep.Verdict == pay.Approved
	case pay.FReference:
		return w.rep.Serial, w.rep.Serial != ""
	}
	v := pay.Find(w.rep.More, id)
	return v, v != ""
}

func (w *writer) asked(id pay.FieldID) (string, bool) {
	r := w.req
	if r == nil {
		return "", false
	}
	var v string
	switch id {
	case pay.FBiller:
		v = r.Biller
	case pay.FAccount:
		v = r.Account
	case pay.FAmount:
		return fen(r.Amount), r.Amount != 0 || w.rep == nil
	case pay.FSerial:
		v = r.Ref.Serial
	case pay.FSenderDate:
		if r.Day != 0 {
			v = r.Day.String()
		}
	case pay.FOriginalSerial:
		if r.Original != nil {
			v = r.Original.Serial
		}
	default:
		v = pay.Find(r.More, id)
	}
	return v, v != ""
}

func (w *writer) bills(l *Loop, rec *Record) {
	var bills []pay.Bill
	switch {
	case w.rep != nil:
		bills = w.rep.Bills
	case w.req != nil:
		bills = w.req.Bills
	}
	if most := rec.layout.Fields[l.Group].Max; w.rep != nil && most > 0 && len(bills) > most {
		bills = oldest(bills, most)
	}
	for i := range bills {
		g := rec.Put(l.Group, -1, nil)
		for j := range l.Moves {
			mv := &l.Moves[j]
			out, err := mv.Const, error(nil)
			if mv.Field != pay.FNone {
				out, err = mv.Conv.Out(billValue(&bills[i], mv.Field))
			}
			if err == nil {
				rec.PutString(mv.Slot.ID, g, out)
			}
		}
	}
}

// oldest returns the n bills of the earliest months: those a customer pays
// first. The sum in the reply is that of all.
func oldest(bills []pay.Bill, n int) []pay.Bill {
	out := slices.Clone(bills)
	slices.SortStableFunc(out, func(a, b pay.Bill) int { return strings.Compare(a.Month, b.Month) })
	return out[:n]
}

func billValue(b *pay.Bill, id pay.FieldID) string {
	switch id {
	case pay.FBillID:
		return b.ID
	case pay.FBillMonth:
		return b.Month
	case pay.FBillAmount:
		return fen(b.Amount)
	case pay.FBillPrincipal:
		return fen(b.Principal)
	case pay.FBillPenalty:
		return fen(b.Penalty)
	case pay.FBillCard:
		return b.Card
	}
	return ""
}
