package link

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Speaker turns business messages into frames of a Dialect at the asking end,
// and replies back. It is safe for concurrent use.
type Speaker struct {
	d       *protocol.Dialect
	now     func() time.Time
	calls   atomic.Uint64
	records sync.Pool
}

// NewSpeaker builds a speaker.
func NewSpeaker(d *protocol.Dialect, now func() time.Time) *Speaker {
	return &Speaker{d: d, now: now}
}

// Asked is a request as it leaves.
type Asked struct {
	Frame   protocol.Frame
	Key     string // what the reply carries; of a link without correlation a number that no other call has
	Message int    // number in the mapping
	Request *pay.Request
}

// Ask builds the frame of a request. The error is a *pay.Fault: nothing was
// sent.
func (s *Speaker) Ask(req *pay.Request) (*Asked, error) {
	rec := s.record()
	defer s.records.Put(rec)
	f, msg, err := s.d.AppendRequest(s.numbered(req), rec, s.now())
	if err != nil {
		return nil, &pay.Fault{Code: pay.CodeFormat, Err: err}
	}
	a := &Asked{Frame: f, Message: msg, Request: req}
	if len(s.d.RequestKey) == 0 {
		a.Key = strconv.FormatUint(s.calls.Add(1), 36)
	} else {
		a.Key = protocol.Key(s.d.RequestKey, &f, rec)
	}
	return a, nil
}

// Test builds the n-th line test, for a Beat.
func (s *Speaker) Test(n uint64) (string, protocol.Frame, error) {
	a, err := s.Ask(&pay.Request{Op: pay.Echo, Ref: pay.Ref{Kind: pay.Echo.Kind(), Serial: fmt.Sprintf("%06d", n%1_000_000)}})
	if err != nil {
		return "", protocol.Frame{}, err
	}
	return a.Key, a.Frame, nil
}

// Tests reports whether the link has a line test.
func (s *Speaker) Tests() bool {
	return slices.ContainsFunc(s.d.Map.Messages, func(m protocol.Message) bool { return m.Op == pay.Echo })
}

// Echoed reports whether the reply to every message names the request's serial.
func (s *Speaker) Echoed() bool {
	return !slices.ContainsFunc(s.d.Map.Messages, func(m protocol.Message) bool {
		return !slices.ContainsFunc(m.Reply.Moves, func(mv protocol.Move) bool { return mv.Field == pay.FSerial })
	})
}

// numbered gives the call a number of its own, for dialects that correlate by
// one: two banks may use the same serial at the same time.
func (s *Speaker) numbered(req *pay.Request) *pay.Request {
	r := *req
	id := strconv.FormatUint(s.calls.Add(1), 36)
	r.More = append(slices.Clip(r.More), pay.Field{ID: pay.FCorrelation, Val: id})
	return &r
}

// Open reads a reply frame before it is known which request it answers. The
// record of the answer is lent; Read and Late take it back. Beside the error of a
// reply that is not authentic there is the key that it claims.
func (s *Speaker) Open(f protocol.Frame) (*Answer, error) {
	rec := s.record()
	err := s.d.OpenReply(&f, rec)
	var e *protocol.Error
	if err != nil && !(errors.As(err, &e) && e.Class == protocol.ClassAuth) {
		s.records.Put(rec)
		return nil, err
	}
	a := &Answer{Frame: f, Record: rec}
	if len(s.d.ReplyKey) > 0 {
		a.Key = protocol.Key(s.d.ReplyKey, &f, rec)
	}
	if err != nil {
		a.Record = nil
		s.records.Put(rec)
	}
	return a, err
}

// ErrEcho reports a reply that names another payment than the request did.
var ErrEcho = errors.New("reply names another serial")

// Read reads the answer to a request. The error is a *pay.Fault: what is not
// understood is in doubt.
func (s *Speaker) Read(a *Asked, ans *Answer) (pay.Reply, error) {
	defer s.records.Put(ans.Record)
	rep, err := s.d.Map.Reply(a.Message, &ans.Frame, ans.Record, s.now())
	if err == nil {
		err = echoes(a.Request, &rep)
	}
	if err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: err}
	}
	return rep, nil
}

// echoes compares the serial that comes back, where the link sends it. That
// the amount is right is looked at where payments are.
func echoes(req *pay.Request, rep *pay.Reply) error {
	if back := pay.Find(rep.More, pay.FSerial); back != "" && back != req.Ref.Serial {
		return ErrEcho
	}
	return nil
}

// Late reads an answer that came after its caller had given up. Which message
// it answers is found by the constants of the replies; false: it was not
// understood.
func (s *Speaker) Late(ans *Answer) (pay.Op, pay.Reply, bool) {
	defer s.records.Put(ans.Record)
	for msg := range s.d.Map.Messages {
		if rep, err := s.d.Map.Reply(msg, &ans.Frame, ans.Record, s.now()); err == nil {
			return s.d.Map.Messages[msg].Op, rep, true
		}
	}
	return pay.OpNone, pay.Reply{}, false
}

func (s *Speaker) record() *protocol.Record {
	if r, ok := s.records.Get().(*protocol.Record); ok {
		return r
	}
	return new(protocol.Record)
}
