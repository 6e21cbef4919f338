package spec

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/delimited"
	"qianzhi/protocol/fixed"
	"qianzhi/protocol/fml"
	"qianzhi/protocol/frame"
	"qianzhi/protocol/iso8583"
	"qianzhi/protocol/markup"
	"qianzhi/protocol/secure"
)

// Parts are what a Dialect needs beside its file.
type Parts struct {
	Keys     secure.Keys
	Sessions *secure.Sessions // of this end of the link
	Now      func() time.Time
}

// Assemble builds the Dialect of a link for one end. Without keys (nil ring)
// it builds everything but proofs and envelopes, for tools that only read.
func (l *Link) Assemble(p Parts) (*protocol.Dialect, error) {
	d := &protocol.Dialect{ID: l.ID}
	steps := []func(*protocol.Dialect) error{l.framers, l.codecs, l.mapping}
	if p.Keys.Ring != nil {
		steps = append(steps, func(d *protocol.Dialect) error { return l.proofs(d, p) })
	}
	for _, step := range steps {
		if err := step(d); err != nil {
			return nil, conf.InFile(l.name, l.located(err))
		}
	}
	return d, nil
}

func (l *Link) mapping(d *protocol.Dialect) error {
	c := compiler{request: d.Request.Codec.Layout(), reply: d.Reply.Codec.Layout()}
	d.Map = c.mapping(l)
	for _, name := range l.Key.Request {
		d.RequestKey = append(d.RequestKey, c.slot(c.request, name, 0))
	}
	for _, name := range l.Key.Reply {
		d.ReplyKey = append(d.ReplyKey, c.slot(c.reply, name, 0))
	}
	if m := l.Auth.MAC; m != nil {
		for _, name := range append([]string{m.Field, m.Type}, m.Terminal...) {
			c.slot(c.request, name, 0)
			c.slot(c.reply, name, 0)
		}
	}
	return c.err
}

func (l *Link) framers(d *protocol.Dialect) (err error) {
	if d.Request.Framer, err = frame.New(l.Frame); err != nil {
		return fmt.Errorf("frame: %w", err)
	}
	o := l.Frame
	if l.Answer != nil {
		o = *l.Answer
	}
	if d.Reply.Framer, err = frame.New(o); err != nil {
		return fmt.Errorf("reply_frame: %w", err)
	}
	d.Request.KeepAlive, d.Reply.KeepAlive = l.Frame.Answers(), o.Answers()
	return nil
}

func (l *Link) codecs(d *protocol.Dialect) error {
	if err := l.build(d); err != nil {
		return fmt.Errorf("%s: %w", l.Codecs.Name(), err)
	}
	return nil
}

func (l *Link) build(d *protocol.Dialect) (err error) {
	switch {
	case l.ISO8583 != nil:
		d.Request.Codec, err = iso8583.New(l.ISO8583)
		d.Reply.Codec = d.Request.Codec
		return err
	case l.Fixed != nil:
		return pair(d, l.Fixed, fixed.New)
	case l.Delimited != nil:
		return pair(d, l.Delimited, delimited.New)
	case l.JSON != nil:
		return pair(d, l.JSON, named("json"))
	case l.XML != nil:
		return pair(d, l.XML, named("xml"))
	case l.FML != nil:
		return pair(d, l.FML, fml.New)
	}
	return pair(d, l.KV, named("kv"))
}

// pair builds the codecs of both directions.
func pair[S any](d *protocol.Dialect, p *Pair[S], build func(*S) (protocol.Codec, error)) (err error) {
	if d.Request.Codec, err = build(&p.Request); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	if d.Reply.Codec, err = build(&p.Reply); err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	return nil
}

// named builds a markup codec whose format is the key it stands under.
func named(format string) func(*markup.Spec) (protocol.Codec, error) {
	return func(s *markup.Spec) (protocol.Codec, error) {
		if s.Format != "" && s.Format != format {
			return nil, fmt.Errorf("format: %q under the key %s", s.Format, format)
		}
		own := *s // links are shared; two may assemble one at a time
		own.Format = format
		return markup.New(&own)
	}
}

// compiler turns names into numbers; the first error sticks.
type compiler struct {
	request, reply *protocol.Layout
	scope          []pay.FieldID // of the identity
	err            error
}

func (c *compiler) fail(line int, key, format string, a ...any) {
	if c.err == nil {
		c.err = &conf.Located{Line: line, Key: key, Err: fmt.Errorf(format, a...)}
	}
}

func (c *compiler) mapping(l *Link) *protocol.Mapping {
	m := &protocol.Mapping{Biller: l.Identity.Biller, Relay: l.Relay, Identity: protocol.Identity{
		Institution: l.Identity.Institution, SerialScope: protocol.SerialScope(l.Identity.SerialScope)}}
	for _, name := range l.Identity.Scope {
		id, ok := pay.ParseField(name)
		if !ok {
			c.fail(0, "identity.scope", "unknown field %q", name)
		}
		m.Identity.Scope = append(m.Identity.Scope, id)
	}
	c.scope = m.Identity.Scope
	for i := range l.Codes {
		m.Codes = append(m.Codes, c.code(&l.Codes[i]))
	}
	for i := range l.Messages {
		m.Messages = append(m.Messages, c.message(&l.Messages[i]))
	}
	return m
}

func (c *compiler) code(row *Code) protocol.CodeRow {
	code, ok := pay.ParseCode(row.Code)
	if !ok {
		c.fail(0, "codes", "unknown code %q", row.Code)
	}
	out := protocol.CodeRow{Code: code, Wire: row.Wire, Verdict: code.Verdict(), Text: row.Text}
	switch row.Verdict {
	case "":
	case "approved":
		out.Verdict = pay.Approved
	case "declined":
		out.Verdict = pay.Declined
	case "unknown":
		out.Verdict = pay.Unknown
	default:
		c.fail(0, "codes", "verdict: want approved, declined or unknown, got %q", row.Verdict)
	}
	if out.Text == "" {
		out.Text = code.Chinese()
	}
	return out
}

// originals are the kinds of message that another one may name.
var originals = map[string]pay.Kind{"": pay.KindPay, "pay": pay.KindPay, "cancel": pay.KindCancel, "refund": pay.KindRefund}

func (c *compiler) message(msg *Message) protocol.Message {
	op, ok := pay.ParseOp(msg.Op)
	if !ok {
		c.fail(0, "messages", "%s: unknown op %q", msg.Name, msg.Op)
	}
	of, ok := originals[msg.Of]
	if !ok {
		c.fail(0, "messages", "%s: of: want pay, cancel or refund, got %q", msg.Name, msg.Of)
	}
	out := protocol.Message{Name: msg.Name, Op: op, Of: of, Request: c.rules(&msg.Request, c.request), Reply: c.rules(&msg.Reply, c.reply)}
	for _, e := range msg.Reply.Echo {
		out.Reply.Echo = append(out.Reply.Echo, protocol.Copy{From: c.slot(c.request, e.From, 0), To: c.slot(c.reply, e.To, 0)})
	}
	out.Request.Arrange()
	out.Reply.Arrange()
	return out
}

func (c *compiler) rules(d *Direction, l *protocol.Layout) protocol.Rules {
	var r protocol.Rules
	for _, w := range d.When {
		r.Consts = append(r.Consts, protocol.Const{Slot: c.slot(l, w.Key, w.Line), Val: w.Val})
	}
	r.Moves = append(c.moves(d.Map, l, "", false), c.moves(d.Maybe, l, "", true)...)
	if d.Bills != nil {
		g := c.slot(l, d.Bills.Group, 0)
		moves := append(c.moves(d.Bills.Map, l, d.Bills.Group+".", false), c.moves(d.Bills.Maybe, l, d.Bills.Group+".", true)...)
		for _, w := range d.Bills.Set {
			moves = append(moves, protocol.Move{Slot: c.slot(l, d.Bills.Group+"."+w.Key, w.Line), Const: w.Val})
		}
		slices.SortStableFunc(moves, func(a, b protocol.Move) int { return int(a.Slot.ID) - int(b.Slot.ID) })
		r.Bills = &protocol.Loop{Group: g.ID, Moves: moves}
	}
	return r
}

func (c *compiler) moves(ms Moves, l *protocol.Layout, prefix string, optional bool) []protocol.Move {
	var out []protocol.Move
	for i := range ms {
		mv := &ms[i]
		id, ok := pay.ParseField(mv.Field)
		if !ok {
			c.fail(mv.Line, mv.Field, "unknown business field")
			continue
		}
		at := mv.At
		if prefix != "" {
			at = prefix + at
		}
		out = append(out, protocol.Move{Slot: c.slot(l, at, mv.Line), Field: id, Conv: c.conv(mv, id), Optional: optional})
	}
	return out
}

var amounts = map[pay.FieldID]bool{pay.FAmount: true, pay.FBillAmount: true, pay.FBillPrincipal: true, pay.FBillPenalty: true,
	pay.FBalance: true, pay.FOriginalAmount: true}

func (c *compiler) conv(mv *Move, id pay.FieldID) protocol.Conv {
	conv := protocol.Conv{Date: mv.Date, Take: takes[id], Tail: mv.Tail}
	if mv.Date != "" {
		c.date(mv, id)
	}
	switch {
	case mv.Unit == "yuan":
		conv.Unit = protocol.UnitYuan
	case mv.Unit == "li":
		conv.Unit = protocol.UnitLi
	case mv.Unit == "fen", mv.Unit == "" && amounts[id]:
		conv.Unit = protocol.UnitFen
	case mv.Unit != "":
		c.fail(mv.Line, mv.Field, "unit: want fen, yuan or li, got %q", mv.Unit)
	}
	for wire, val := range mv.Dict {
		conv.Dict = append(conv.Dict, [2]string{wire, val})
	}
	sort.Slice(conv.Dict, func(i, j int) bool { return conv.Dict[i][0] < conv.Dict[j][0] })
	if conv.Other = mv.Other; mv.Other != "" {
		c.other(mv, id)
	}
	return conv
}

// takes says what of a moment a field is; dates are the rest of datable.
var takes = map[pay.FieldID]protocol.Take{pay.FSenderTime: protocol.TakeTime, pay.FLocalTime: protocol.TakeTime, pay.FBillMonth: protocol.TakeMonth}

// datable are the fields that date is for.
var datable = map[pay.FieldID]bool{pay.FSenderDate: true, pay.FOriginalDate: true, pay.FHostDate: true, pay.FLocalDate: true, pay.FDay: true,
	pay.FSenderTime: true, pay.FLocalTime: true, pay.FBillMonth: true}

// date checks how a date, a time or a month is written.
func (c *compiler) date(mv *Move, id pay.FieldID) {
	if !datable[id] {
		c.fail(mv.Line, mv.Field, "date: this field is no date, time or month")
	} else if err := protocol.CheckLayout(mv.Date, takes[id]); err != nil {
		c.fail(mv.Line, mv.Field, "%v", err)
	}
}

// exact are the fields of which nothing may stand for a value that is not
// understood: what a payment is, and what became of it.
var exact = map[pay.FieldID]bool{pay.FCode: true, pay.FBiller: true, pay.FAccount: true, pay.FSerial: true, pay.FSenderDate: true, pay.FBatch: true,
	pay.FOriginalSerial: true, pay.FOriginalDate: true, pay.FOriginalBatch: true, pay.FBillID: true, pay.FBillMonth: true}

// other checks the business value of wire values that are not listed.
func (c *compiler) other(mv *Move, id pay.FieldID) {
	switch {
	case mv.Dict == nil:
		c.fail(mv.Line, mv.Field, "other: needs dict")
	case exact[id] || amounts[id] || mv.Unit != "" || mv.Date != "" || slices.Contains(c.scope, id):
		c.fail(mv.Line, mv.Field, "other: this field must be understood")
	}
}

func (c *compiler) slot(l *protocol.Layout, name string, line int) protocol.Slot {
	if len(name) > 1 && name[0] == '@' {
		h, ok := protocol.ParseHead(name[1:])
		if !ok {
			c.fail(line, name, "unknown head value")
		}
		return protocol.Slot{Head: h, Name: name}
	}
	id, ok := l.Lookup(name)
	if !ok {
		c.fail(line, name, "no such field in the layout")
	}
	return protocol.Slot{ID: id, Name: name}
}

// Header ties a head value to an HTTP header.
type Header struct {
	Head protocol.Head
	Name string
}

// Headers returns the HTTP headers of the link in the order of its file.
func (l *Link) Headers() ([]Header, error) {
	var out []Header
	for _, e := range l.HTTP.Headers {
		h, ok := protocol.ParseHead(e.Key)
		if !ok {
			return nil, &conf.Located{Line: e.Line, Key: e.Key, Err: errors.New("unknown head value")}
		}
		out = append(out, Header{h, e.Val})
	}
	return out, nil
}
