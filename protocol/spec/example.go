package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Example is a worked message of a link: a request and the reply that approves
// it, with a value in every field that the link maps and the value fits.
type Example struct {
	Request pay.Request
	Reply   pay.Reply
}

// ExampleTime is when examples are written.
func ExampleTime() time.Time { return time.Date(2026, 1, 31, 9, 8, 7, 0, time.UTC) }

// samples are values of business fields, the fullest first. The first one that
// the wire brings back unchanged is used.
var samples = map[pay.FieldID][]string{
	pay.FBiller:         {"0512"},
	pay.FAccount:        {"0512000123"},
	pay.FAmount:         {"30150"},
	pay.FSerial:         {"100100000042", "000042"},
	pay.FSenderDate:     {"20260131"},
	pay.FOriginalSerial: {"100100000041", "000041", "100100000042", "000042"},
	pay.FOriginalDate:   {"20260131"},
	pay.FOriginalBatch:  {"000001"},
	pay.FTerminal:       {"60120001"},
	pay.FMerchant:       {"301051249000001"},
	pay.FBatch:          {"000001"},
	pay.FOperator:       {"000001", "001", "01"},
	pay.FBranch:         {"512001"},
	pay.FSenderTime:     {"090807"},
	pay.FChannel:        {"01"},
	pay.FName:           {"张三"},
	pay.FAddress:        {"苏州市姑苏区人民路1号"},
	pay.FPhone:          {"13800000000"},
	pay.FIDNumber:       {"320500200001010018"},
	pay.FPAN:            {"6225000000000014"},
	pay.FCardTail:       {"0014"},
	pay.FReference:      {"20260131000000000042", "000000000042"},
	pay.FAuthCode:       {"123456"},
	pay.FBankSerial:     {"100100000042"},
	pay.FHostSerial:     {"YX202601310000000042"},
	pay.FHostDate:       {"20260131"},
	pay.FQuerySerial:    {"100100000040"},
	pay.FBalance:        {"0"},
	pay.FCurrency:       {"156"},
	pay.FOwedCount:      {"2"},
	pay.FOriginalAmount: {"30150"},
	pay.FState:          {"success"},
	pay.FDay:            {"20260131"},
	pay.FPurchaseCount:  {"12"},
	pay.FReason:         {"98"},
	pay.FCorrelation:    {"100100000042"},
	pay.FCardData:       {"A0B1C2D3"},
	pay.FWriteResult:    {"ok", "1"},

	pay.FDebitSum:           {"000000030150"},
	pay.FDebitCount:         {"001"},
	pay.FCreditSum:          {"000000000000"},
	pay.FCreditCount:        {"000", "0", "00000000"},
	pay.FBalanced:           {"1"},
	pay.FForeignDebitSum:    {"000000000000"},
	pay.FForeignDebitCount:  {"000"},
	pay.FForeignCreditSum:   {"000000000000"},
	pay.FForeignCreditCount: {"000"},
	pay.FForeignBalanced:    {"1"},
	pay.FUploadCount:        {"02", "0002"},
	pay.FEntryMode:          {"021"},
	pay.FCardSequence:       {"001"},
	pay.FPINFormat:          {"2600000000000000"},
	pay.FPage:               {"1"},
	pay.FPages:              {"1"},
	pay.FAdvance:            {"500"},
	pay.FOutcome:            {"approved"},
	pay.FPayCode:            {"134567890123456789"},
	pay.FDetails:            {"20261120|26112001000000042|YX000000000001|pos|0512000001|30150|P"},
}

func sampleBills() []pay.Bill {
	return []pay.Bill{
		{ID: "YS202511000001", Month: "202511", Amount: 20000, Principal: 19000, Penalty: 1000},
		{ID: "YS202512000001", Month: "202512", Amount: 10150, Principal: 10150},
	}
}

// Only returns the dialect with one message of its mapping, so that a message
// is written that is not the first of its operation.
func Only(d *protocol.Dialect, msg int) *protocol.Dialect {
	m, one := *d.Map, *d
	m.Messages, one.Map = d.Map.Messages[msg:msg+1], &m
	return &one
}

// NewExample builds the example of a message of the dialect, which needs no
// keys. It fails when a field that must be there has no sample that fits.
func NewExample(d *protocol.Dialect, msg int) (*Example, error) {
	x := &sampler{d: Only(d, msg), now: ExampleTime()}
	x.d.Request.Auth, x.d.Request.Envelope = nil, nil
	x.d.Reply.Auth, x.d.Reply.Envelope = nil, nil
	x.rules = &x.d.Map.Messages[0]
	x.try(&x.rules.Request)
	if err := x.settle(x.request); err != nil {
		return nil, fmt.Errorf("%s: request: %w", x.rules.Name, err)
	}
	out := &Example{Request: *x.ask()}
	x.try(&x.rules.Reply)
	if err := x.settle(func() (map[pay.FieldID]string, error) { return x.reply(&out.Request) }); err != nil {
		return nil, fmt.Errorf("%s: reply: %w", x.rules.Name, err)
	}
	out.Reply = x.answer()
	return out, nil
}

// sampler looks for the sample of each field that the wire brings back.
type sampler struct {
	d     *protocol.Dialect
	now   time.Time
	rules *protocol.Message
	moves []protocol.Move
	bills bool
	tried []int // by move: number of the sample in use, -1 for none
}

// try starts with the first sample of each field.
func (x *sampler) try(r *protocol.Rules) {
	x.moves, x.bills, x.tried = r.Moves, r.Bills != nil, make([]int, len(r.Moves))
	for i := range r.Moves {
		if len(x.choices(i)) == 0 {
			x.tried[i] = -1
		}
	}
}

func (x *sampler) choices(i int) []string {
	mv := &x.moves[i]
	if mv.Conv.Dict != nil {
		return []string{mv.Conv.Dict[0][1]}
	}
	return samples[mv.Field]
}

func (x *sampler) value(i int) (string, bool) {
	if x.tried[i] < 0 {
		return "", false
	}
	return x.choices(i)[x.tried[i]], true
}

// next gives up the sample in use of a move.
func (x *sampler) next(i int) error {
	if x.tried[i]++; x.tried[i] < len(x.choices(i)) {
		return nil
	}
	x.tried[i] = -1
	if x.moves[i].Optional {
		return nil
	}
	return fmt.Errorf("no sample of %s fits %s", x.moves[i].Field, x.moves[i].Slot.Name)
}

// settle goes over the wire until every value comes back as it was sent.
func (x *sampler) settle(exchange func() (map[pay.FieldID]string, error)) error {
	for {
		got, err := exchange()
		if err != nil {
			if i := x.blamed(err); i < 0 || x.next(i) != nil {
				return err
			}
			continue
		}
		settled := true
		for i := range x.moves {
			if val, ok := x.value(i); ok && got[x.moves[i].Field] != val {
				settled = false
				if err := x.next(i); err != nil {
					return err
				}
			}
		}
		if settled {
			return nil
		}
	}
}

// blamed returns the move whose sample an error is about, -1 when there is
// none. An error of a field with parts may be about any of them, most likely
// one with another sample to try.
func (x *sampler) blamed(err error) int {
	var e *protocol.Error
	if !errors.As(err, &e) || e.Path == "" {
		return -1
	}
	best := -1
	for i := range x.moves {
		name := x.moves[i].Slot.Name
		if x.tried[i] < 0 || name != e.Path && !strings.HasPrefix(name, e.Path+".") {
			continue
		}
		if best < 0 || x.tried[i]+1 < len(x.choices(i)) {
			best = i
		}
	}
	return best
}

func (x *sampler) ask() *pay.Request {
	req := &pay.Request{Op: x.rules.Op, Ref: pay.Ref{Kind: x.rules.Op.Kind()}}
	for i := range x.moves {
		val, ok := x.value(i)
		if !ok {
			continue
		}
		switch x.moves[i].Field {
		case pay.FBiller:
			req.Biller = val
		case pay.FAccount:
			req.Account = val
		case pay.FAmount:
			req.Amount, _ = pay.ParseFen(val) // a sample
		case pay.FSerial:
			req.Ref.Serial = val
		case pay.FSenderDate:
			req.Day, _ = pay.ParseDay(val) // a sample
		case pay.FOriginalSerial:
			req.Original = &pay.Ref{Kind: x.rules.Of, Serial: val}
		default:
			req.More = append(req.More, pay.Field{ID: x.moves[i].Field, Val: val})
		}
	}
	if x.bills {
		req.Bills = sampleBills()
	}
	if x.bills && x.rules.Op == pay.BatchUpload { // payments by their trace numbers
		req.Bills[0].ID, req.Bills[1].ID = "000041", "000042"
		req.Bills[0].Card, req.Bills[1].Card = "00006225000000000014", "00006225000000000022"
	}
	return req
}

// request sends the request and returns what arrives.
func (x *sampler) request() (map[pay.FieldID]string, error) {
	rec := new(protocol.Record)
	f, _, err := x.d.AppendRequest(x.ask(), rec, x.now)
	if err != nil {
		return nil, err
	}
	if err := x.d.Request.Codec.Index(f, rec); err != nil {
		return nil, err
	}
	return x.arrived(&x.rules.Request, &f, rec), nil
}

func (x *sampler) answer() pay.Reply {
	rep := pay.Answer(pay.Approved, pay.CodeOK)
	for i := range x.moves {
		val, ok := x.value(i)
		switch id := x.moves[i].Field; {
		case !ok:
		case id == pay.FAmount:
			rep.Amount, _ = pay.ParseFen(val) // a sample
		case id == pay.FReference:
			rep.Serial = val
		default:
			rep.More = append(rep.More, pay.Field{ID: id, Val: val})
		}
	}
	if x.bills {
		rep.Bills = sampleBills()
	}
	return rep
}

// reply sends the reply to req and returns what arrives.
func (x *sampler) reply(req *pay.Request) (map[pay.FieldID]string, error) {
	rec := new(protocol.Record)
	f, _, err := x.d.AppendRequest(req, rec, x.now)
	if err != nil {
		return nil, err
	}
	asked, err := x.d.ReadRequest(&f, rec, x.now)
	if err != nil {
		return nil, err
	}
	rep, out := x.answer(), new(protocol.Record)
	if f, err = x.d.AppendReply(asked, &rep, out); err != nil {
		return nil, err
	}
	if err := x.d.OpenReply(&f, out); err != nil {
		return nil, err
	}
	return x.arrived(&x.rules.Reply, &f, out), nil
}

// arrived reads the mapped values of a record, amounts in fen, dates as
// YYYYMMDD.
func (x *sampler) arrived(r *protocol.Rules, f *protocol.Frame, rec *protocol.Record) map[pay.FieldID]string {
	out := map[pay.FieldID]string{}
	for i := range r.Moves {
		mv := &r.Moves[i]
		raw := f.Get(mv.Slot.Head)
		if mv.Slot.Head == protocol.HeadNone {
			b, _ := rec.Get(mv.Slot.ID)
			raw = string(b)
		}
		if val, err := mv.Conv.In(raw, x.now); err == nil {
			out[mv.Field] = plain(mv.Field, val)
		}
	}
	return out
}

// plain drops the zeros in front of an amount or a count.
func plain(id pay.FieldID, val string) string {
	if n, err := strconv.ParseInt(val, 10, 64); err == nil && (amounts[id] || id == pay.FOwedCount || id == pay.FPurchaseCount) {
		return strconv.FormatInt(n, 10)
	}
	return val
}
