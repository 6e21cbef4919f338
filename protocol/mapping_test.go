package protocol

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"qianzhi/gateway/pay"
)

// The layout of the tests: a message type, some values, a loop of bills.
var names = []string{"type", "serial", "date", "batch", "terminal", "account", "amount", "original", "original_batch", "bills", "bills.id", "bills.amount", "pin", "code"}

func slotOf(name string) Slot {
	for i, n := range names {
		if n == name {
			return Slot{ID: uint16(i), Name: n}
		}
	}
	panic(name)
}

func testLayout() *Layout {
	fields := make([]FieldSpec, len(names))
	for i, n := range names {
		fields[i] = FieldSpec{Name: n, Group: n == "bills"}
		if n == "pin" {
			fields[i].Mask = pay.Never
		}
	}
	return NewLayout(fields)
}

func move(name string, f pay.FieldID, optional bool) Move {
	mv := Move{Slot: slotOf(name), Field: f, Optional: optional}
	if f == pay.FAmount || f == pay.FBillAmount {
		mv.Conv.Unit = UnitFen
	}
	return mv
}

func testMapping(scope SerialScope) *Mapping {
	bills := &Loop{Group: slotOf("bills").ID, Moves: []Move{move("bills.id", pay.FBillID, false), move("bills.amount", pay.FBillAmount, true)}}
	key := []Move{move("serial", pay.FSerial, false), move("date", pay.FSenderDate, true), move("batch", pay.FBatch, true), move("terminal", pay.FTerminal, true)}
	return &Mapping{Biller: "0512", Identity: Identity{Institution: "301", SerialScope: scope, Scope: []pay.FieldID{pay.FTerminal}},
		Codes: []CodeRow{{Code: pay.CodeOK, Wire: "00", Verdict: pay.Approved, Text: "成功"}, {Code: pay.CodeUnknown, Wire: "98", Verdict: pay.Unknown, Text: "未知"},
			{Code: pay.CodeRefused, Wire: "29", Verdict: pay.Declined, Text: "拒绝"}, {Code: pay.CodeAmount, Wire: "64", Verdict: pay.Declined, Text: "金额"},
			{Code: pay.CodeReversed, Wire: "R1", Verdict: pay.Approved}, {Code: pay.CodeReversed, Wire: "R2", Verdict: pay.Declined}},
		Messages: []Message{
			{Name: "pay", Op: pay.Pay, Request: Rules{Consts: []Const{{slotOf("type"), "P"}}, Bills: bills,
				Moves: append([]Move{move("account", pay.FAccount, false), move("amount", pay.FAmount, false)}, key...)},
				Reply: Rules{Consts: []Const{{slotOf("type"), "p"}}, Moves: []Move{move("code", pay.FCode, false), move("amount", pay.FAmount, false)}, Bills: bills,
					Echo: []Copy{{slotOf("serial"), slotOf("serial")}}}},
			{Name: "reverse", Op: pay.Reverse, Request: Rules{Consts: []Const{{slotOf("type"), "R"}},
				Moves: append([]Move{move("original", pay.FOriginalSerial, false), move("original_batch", pay.FOriginalBatch, true)}, key...)}},
		}}
}

// record lays values into a record, "bills" opening an entry of the loop.
func record(l *Layout, pairs ...string) *Record {
	r := new(Record)
	r.Reset(l)
	group := -1
	for i := 0; i+1 < len(pairs); i += 2 {
		parent := -1
		if strings.HasPrefix(pairs[i], "bills.") {
			parent = group
		}
		n := r.PutString(slotOf(pairs[i]).ID, parent, pairs[i+1])
		if pairs[i] == "bills" {
			group = n
		}
	}
	return r
}

func request(t *testing.T, m *Mapping, pairs ...string) (*pay.Request, error) {
	t.Helper()
	rec := record(testLayout(), pairs...)
	f := &Frame{}
	msg, err := m.Identify(f, rec)
	if err != nil {
		return nil, err
	}
	return m.Request(msg, f, rec, at("20261120"))
}

func TestRequestIsBuilt(t *testing.T) {
	got, err := request(t, testMapping(ScopeSenderDate), "type", "P", "serial", "000123", "date", "20261119", "terminal", "T1", "account", "0512000001", "amount", "000000010050",
		"bills", "", "bills.id", "B1", "bills.amount", "10000", "bills", "", "bills.id", "B2")
	if err != nil {
		t.Fatal(err)
	}
	want := &pay.Request{Op: pay.Pay, Biller: "0512", Account: "0512000001", Amount: 10050, Day: 20261119, Bills: []pay.Bill{{ID: "B1", Amount: 10000}, {ID: "B2"}},
		Ref: pay.Ref{Institution: "301", Kind: pay.KindPay, Scope: got.Ref.Scope, Serial: "000123"}, More: []pay.Field{{ID: pay.FTerminal, Val: "T1"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRequestErrorsAreLocated(t *testing.T) {
	m := testMapping(ScopeSenderDate)
	for _, c := range []struct {
		name, path string
		pairs      []string
	}{
		{"no such transaction", "", []string{"type", "X"}},
		{"no account", "account", []string{"type", "P", "serial", "1", "date", "20261119", "amount", "1"}},
		{"empty account", "account", []string{"type", "P", "serial", "1", "date", "20261119", "account", "", "amount", "1"}},
		{"amount", "amount", []string{"type", "P", "serial", "1", "date", "20261119", "account", "1", "amount", "1.5"}},
		{"bill", "bills.amount", []string{"type", "P", "serial", "1", "date", "20261119", "account", "1", "amount", "1", "bills", "", "bills.id", "B", "bills.amount", "x"}},
		{"bill without id", "bills.id", []string{"type", "P", "serial", "1", "date", "20261119", "account", "1", "amount", "1", "bills", ""}},
		{"no serial", "serial", []string{"type", "P", "date", "20261119", "account", "1", "amount", "1", "terminal", "T"}},
		{"no date in the key", "sender_date", []string{"type", "P", "serial", "1", "account", "1", "amount", "1", "terminal", "T"}},
		{"no terminal in the key", "terminal", []string{"type", "P", "serial", "1", "date", "20261119", "account", "1", "amount", "1"}},
		{"date", "date", []string{"type", "P", "serial", "1", "date", "20261332", "account", "1", "amount", "1"}},
	} {
		_, err := request(t, m, c.pairs...)
		var e *Error
		if !errors.As(err, &e) || e.Class != ClassMapping || e.Path != c.path {
			t.Errorf("%s: got %v, want it at %q", c.name, err, c.path)
		}
	}
}

// TestIdentity changes one part of a message at a time: two messages are the
// same exactly when institution, kind, scope and serial are.
func TestIdentity(t *testing.T) {
	base := []string{"type", "P", "serial", "000123", "date", "20261119", "batch", "000007", "terminal", "T1", "account", "1", "amount", "1"}
	change := func(name, val string) []string {
		out := append([]string(nil), base...)
		for i := 0; i < len(out); i += 2 {
			if out[i] == name {
				out[i+1] = val
			}
		}
		return out
	}
	for _, c := range []struct {
		scope SerialScope
		field string
		same  bool
	}{
		{ScopeSenderDate, "serial", false}, {ScopeSenderDate, "terminal", false}, {ScopeSenderDate, "date", false}, {ScopeSenderDate, "batch", true},
		{ScopeSenderDate, "account", true}, {ScopeSenderDate, "amount", true}, {ScopeBatch, "batch", false}, {ScopeBatch, "date", true},
		{ScopeNone, "batch", true}, {ScopeNone, "date", true}, {ScopeNone, "terminal", false},
	} {
		m := testMapping(c.scope)
		a, err := request(t, m, base...)
		if err != nil {
			t.Fatal(err)
		}
		b, err := request(t, m, change(c.field, map[bool]string{true: "20261118", false: "2"}[c.field == "date"])...)
		if err != nil {
			t.Fatal(err)
		}
		if (a.Ref == b.Ref) != c.same {
			t.Errorf("%s, other %s: same is %v, want %v", c.scope, c.field, a.Ref == b.Ref, c.same)
		}
	}
}

// TestReversalNamesItsSale holds that the key under Original is the sale's own
// key, also where the reversal repeats its serial.
func TestReversalNamesItsSale(t *testing.T) {
	m := testMapping(ScopeBatch)
	sale, err := request(t, m, "type", "P", "serial", "000123", "batch", "000007", "terminal", "T1", "account", "1", "amount", "1")
	if err != nil {
		t.Fatal(err)
	}
	for _, pairs := range [][]string{
		{"type", "R", "serial", "000123", "batch", "000007", "terminal", "T1", "original", "000123"},
		{"type", "R", "serial", "000200", "batch", "000008", "terminal", "T1", "original", "000123", "original_batch", "000007"},
	} {
		rev, err := request(t, m, pairs...)
		if err != nil || rev.Original == nil || *rev.Original != sale.Ref || rev.Ref == sale.Ref {
			t.Errorf("got %+v, %v; want original %+v", rev, err, sale.Ref)
		}
	}
}

func TestCodesBothWays(t *testing.T) {
	m := testMapping(ScopeNone)
	for _, c := range []struct {
		rep  pay.Reply
		wire string
	}{
		{pay.Answer(pay.Approved, pay.CodeOK), "00"}, {pay.Answer(pay.Declined, pay.CodeAmount), "64"}, {pay.Answer(pay.Unknown, pay.CodeUnknown), "98"},
		{pay.Answer(pay.Unknown, pay.CodeParked), "98"}, // not listed: the general row of its verdict
		{pay.Answer(pay.Declined, pay.CodeNoCustomer), "29"}, {pay.Answer(pay.Approved, pay.CodeNoEffect), "00"},
		{pay.Answer(pay.Approved, pay.CodeReversed), "R1"}, {pay.Answer(pay.Declined, pay.CodeReversed), "R2"},
		{pay.Answer(pay.Unknown, pay.CodeAmount), "98"}, // a code never drags its usual verdict along
	} {
		if wire, _, ok := m.Code(&c.rep); !ok || wire != c.wire {
			t.Errorf("%s/%s is written %q, want %q", c.rep.Verdict, c.rep.Code, wire, c.wire)
		}
	}
	if v, c := m.Meaning("77"); v != pay.Unknown || c != pay.CodeUnknown {
		t.Errorf("an unlisted code means %s/%s, want unknown", v, c)
	}
}

func TestReplyThereAndBack(t *testing.T) {
	m, l := testMapping(ScopeNone), testLayout()
	ask := record(l, "type", "P", "serial", "000123", "account", "1", "amount", "10050")
	rep := pay.Reply{Verdict: pay.Approved, Code: pay.CodeOK, Amount: 10050, Bills: []pay.Bill{{ID: "B1", Amount: 50}, {ID: "B2", Amount: 10000}}}
	out, f := new(Record), Frame{}
	out.Reset(l)
	if err := m.AppendReply(0, &Exchange{Frame: &Frame{}, Record: ask, Request: &pay.Request{}, Now: time.Now()}, &rep, out, &f); err != nil {
		t.Fatal(err)
	}
	if v, _ := out.Get(slotOf("serial").ID); string(v) != "000123" {
		t.Errorf("serial was not echoed: %q", v)
	}
	got, err := m.Reply(0, &f, out, time.Now())
	if err != nil || !reflect.DeepEqual(got, rep) {
		t.Errorf("got %+v, %v; want %+v", got, err, rep)
	}
	if _, err := m.Reply(0, &f, record(l, "type", "q"), time.Now()); err == nil {
		t.Error("the reply to another message was taken")
	}
}

// A response code that its value list does not have is in doubt, whatever the
// table says of the same characters or of no code; the rest of the reply counts.
func TestUnlistedCodeIsUnknown(t *testing.T) {
	m, l := testMapping(ScopeNone), testLayout()
	m.Codes = append(m.Codes, CodeRow{Code: pay.CodeOK, Wire: "", Verdict: pay.Approved})
	code := &m.Messages[0].Reply.Moves[0]
	code.Conv.Dict = [][2]string{{"SUCC", "00"}, {"FAIL", "29"}}
	for wire, want := range map[string]pay.Reply{
		"SUCC": pay.Answer(pay.Approved, pay.CodeOK), "FAIL": pay.Answer(pay.Declined, pay.CodeRefused),
		"WAIT": pay.Answer(pay.Unknown, pay.CodeUnknown), "00": pay.Answer(pay.Unknown, pay.CodeUnknown), "succ": pay.Answer(pay.Unknown, pay.CodeUnknown),
	} {
		want.Amount = 10050
		got, err := m.Reply(0, &Frame{}, record(l, "type", "p", "code", wire, "amount", "10050"), time.Now())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v; want %+v", wire, got, err, want)
		}
	}
	account := &m.Messages[0].Request.Moves[0]
	account.Conv.Dict = [][2]string{{"1", "0512000001"}}
	_, err := request(t, m, "type", "P", "serial", "1", "terminal", "T", "account", "2", "amount", "1")
	var e *Error
	if !errors.As(err, &e) || e.Path != "account" || e.Class != ClassMapping {
		t.Errorf("an account that is not listed: %v", err)
	}
}

// TestRefusalWithoutRequest answers a message that could not be believed: there
// is no business message to take values from.
func TestRefusalWithoutRequest(t *testing.T) {
	m, l := testMapping(ScopeNone), testLayout()
	rep := pay.Answer(pay.Declined, pay.CodeRefused)
	out, f := new(Record), Frame{}
	out.Reset(l)
	if err := m.AppendReply(0, &Exchange{Frame: &Frame{}, Record: record(l, "type", "P", "serial", "1"), Now: time.Now()}, &rep, out, &f); err != nil {
		t.Fatal(err)
	}
	if v, _ := out.Get(slotOf("code").ID); string(v) != "29" {
		t.Errorf("code %q", v)
	}
}

func TestRecordKeepsItsMemory(t *testing.T) {
	l := testLayout()
	r := record(l, "type", "P", "bills", "", "bills.id", "B1", "bills", "", "bills.id", "B2", "account", "A")
	groups := []int{}
	for i, n := range r.Nodes() {
		if l.Fields[n.ID].Group {
			groups = append(groups, i)
		}
	}
	for i, want := range []string{"B1", "B2"} {
		c := r.Child(groups[i], slotOf("bills.id").ID)
		if c < 0 || string(r.Value(c)) != want {
			t.Errorf("entry %d has id %d", i, c)
		}
	}
	if r.Child(groups[1], slotOf("account").ID) >= 0 {
		t.Error("a field behind the loop was taken for one of its entry")
	}
	r.Reset(l)
	if _, ok := r.Get(slotOf("type").ID); ok || len(r.Nodes()) != 0 {
		t.Error("a value outlived Reset")
	}
	for range MaxNodes {
		r.PutString(0, -1, "")
	}
	if n := r.PutString(0, -1, "x"); n != -1 {
		t.Errorf("node %d beyond the limit", n)
	}
}

func TestRedact(t *testing.T) {
	r := record(testLayout(), "account", "0512", "pin", "SECRET")
	r.Span(0, 0, 4)
	r.Span(1, 4, 6)
	body := []byte("0512SECRETtail")
	r.Redact(body)
	if !bytes.Equal(body, []byte("0512******tail")) {
		t.Errorf("got %q", body)
	}
	r.Span(1, 12, 6) // a span beyond the body is no reason to fail
	r.Redact(body)
}

func TestErrorSaysWhere(t *testing.T) {
	e := &Error{Class: ClassField, Path: "55.9F02", Offset: 17, Want: "6 bytes", Got: "4", Hint: "cut"}
	if got, want := e.Error(), "field 55.9F02 at 17: want 6 bytes, got 4 (cut)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Hex([]byte{1, 2, 3}, 2); got != "0102…" {
		t.Errorf("got %q", got)
	}
	for h := HeadNone + 1; h < heads; h++ {
		if got, ok := ParseHead(h.String()); !ok || got != h {
			t.Errorf("head value %d is named %q, which is %d", h, h.String(), got)
		}
	}
}

// TestOneFieldWithDateAndTime reads both halves of a moment out of one wire
// field, and writes them into it, whichever of them the message has.
func TestOneFieldWithDateAndTime(t *testing.T) {
	const layout = "YYYY-MM-DDThh:mm:ssZ"
	stamped := func(f pay.FieldID, take Take, optional bool) Move {
		return Move{Slot: slotOf("date"), Field: f, Conv: Conv{Date: layout, Take: take}, Optional: optional}
	}
	m := testMapping(ScopeSenderDate)
	m.Identity.Scope = nil
	moves := []Move{move("serial", pay.FSerial, false), move("account", pay.FAccount, false), move("amount", pay.FAmount, false),
		stamped(pay.FSenderDate, TakeDate, false), stamped(pay.FSenderTime, TakeTime, true)}
	m.Messages = m.Messages[:1]
	m.Messages[0].Request.Moves, m.Messages[0].Request.Bills = moves, nil
	m.Messages[0].Reply.Moves = []Move{move("code", pay.FCode, false), stamped(pay.FLocalTime, TakeTime, false)}
	got, err := request(t, m, "type", "P", "serial", "1", "account", "A", "amount", "1", "date", "2026-11-19T23:30:00Z")
	if err != nil || got.Day != 20261119 || pay.Find(got.More, pay.FSenderTime) != "233000" {
		t.Fatalf("got %+v, %v", got, err)
	}
	now := time.Date(2026, 11, 20, 8, 9, 10, 0, time.FixedZone("", 8*3600))
	for _, c := range []struct {
		clock, want string
	}{{"233000", "2026-11-19T23:30:00+08:00"}, {"", "2026-11-19T08:09:10+08:00"}} {
		req := *got
		if req.More = nil; c.clock != "" {
			req.More = []pay.Field{{ID: pay.FSenderTime, Val: c.clock}}
		}
		rec, f := new(Record), &Frame{}
		rec.Reset(testLayout())
		if _, err := m.AppendRequest(&req, now, rec, f); err != nil {
			t.Fatal(err)
		}
		if val, _ := rec.Get(slotOf("date").ID); string(val) != c.want {
			t.Errorf("with the time %q: %q, want %q", c.clock, val, c.want)
		}
		asked, out := rec, new(Record)
		out.Reset(testLayout())
		rep := pay.Answer(pay.Approved, pay.CodeOK)
		if err := m.AppendReply(0, &Exchange{Frame: f, Record: asked, Request: &req, Now: now}, &rep, out, f); err != nil {
			t.Fatal(err)
		}
		if val, _ := out.Get(slotOf("date").ID); string(val) != "2026-11-20T08:09:10+08:00" {
			t.Errorf("reply: %q", val)
		}
	}
}
