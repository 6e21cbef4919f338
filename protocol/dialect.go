package protocol

import (
	"errors"
	"time"

	"qianzhi/gateway/pay"
)

// Side is one direction of a link: how requests, or replies, are written.
// Envelope and Auth may be nil.
type Side struct {
	Framer   Framer
	Codec    Codec
	Envelope Envelope
	Auth     Auth

	KeepAlive bool // who receives this direction answers an empty frame with one
}

// Dialect is a whole link as data. It is immutable; its parts are safe for
// concurrent use.
type Dialect struct {
	ID      string
	Request Side
	Reply   Side
	Map     *Mapping

	// RequestKey and ReplyKey are the wire values that tell which request a
	// reply on a shared connection answers, in the same order.
	RequestKey, ReplyKey []Slot
}

// Key joins the values of the slots, with their names' order as the only
// meaning. Two messages with equal keys belong together.
func Key(slots []Slot, f *Frame, rec *Record) string {
	var b []byte
	for _, s := range slots {
		v, _, _ := rec.slot(f, s)
		b = append(append(b, v...), 0)
	}
	return string(b)
}

// open reads one frame: envelope, fields, authenticity. A body out of an envelope
// is the record's, until it is read into again. The replay error of Auth is
// returned with a good record.
func (s *Side) open(f *Frame, rec *Record) error {
	if s.Envelope != nil {
		rec.Reset(s.Codec.Layout()) // what does not open has no fields, not those of the message before
		body, err := s.Envelope.Open(rec.opened[:0], f)
		if err != nil {
			return err
		}
		f.Body, rec.opened = body, body
	}
	if err := s.Codec.Index(*f, rec); err != nil {
		return err
	}
	if s.Auth != nil {
		return s.Auth.Verify(*f, rec)
	}
	return nil
}

// seal writes the record: fields, proof, envelope.
func (s *Side) seal(f *Frame, rec *Record) error {
	if r, ok := s.Auth.(Reserver); ok {
		r.Reserve(rec)
	}
	body, err := s.Codec.Append(nil, rec)
	if err != nil {
		return err
	}
	f.Body = body
	if s.Auth != nil {
		if f.Body, err = s.Auth.Sign(nil, f, rec); err != nil {
			return err
		}
	}
	if s.Envelope != nil {
		f.Body, err = s.Envelope.Seal(nil, f)
	}
	return err
}

// Asked is a request that was read, with all that answering it needs.
type Asked struct {
	Exchange
	Message int   // number in the mapping
	Replay  bool  // authentic, but the nonce was seen before
	Err     error // of Auth, when the record is good but not to be believed
}

// ReadRequest reads a frame at the answering end. rec is overwritten and stays
// in use until the reply was built. On an Auth error both the error and, if the
// transaction could be told, the Asked are returned, so that a refusal can be
// written in the sender's own format.
func (d *Dialect) ReadRequest(f *Frame, rec *Record, now time.Time) (*Asked, error) {
	err := d.Request.open(f, rec)
	replay := errors.Is(err, ErrReplayed)
	authErr := err
	if err != nil && !replay && !isAuth(err) {
		return nil, err
	}
	msg, err := d.Map.Identify(f, rec)
	if err != nil {
		return nil, firstError(authErr, err, replay)
	}
	a := &Asked{Exchange: Exchange{Frame: f, Record: rec, Now: now}, Message: msg, Replay: replay}
	if authErr != nil && !replay {
		a.Err = authErr
		return a, authErr
	}
	a.Request, err = d.Map.Request(msg, f, rec, now)
	if err != nil {
		a.Err = err
	}
	return a, err
}

func isAuth(err error) bool {
	var e *Error
	return errors.Is(err, ErrSignOn) || errors.As(err, &e) && e.Class == ClassAuth
}

func firstError(a, b error, replay bool) error {
	if a != nil && !replay {
		return a
	}
	return b
}

// AppendReply builds the frame that answers a. rec is overwritten.
func (d *Dialect) AppendReply(a *Asked, rep *pay.Reply, rec *Record) (Frame, error) {
	var f Frame
	for _, h := range a.Frame.Head { // routing goes back, what proved the request does not
		if h.Head == HeadTPDU || h.Head == HeadSub {
			f.Head = append(f.Head, h)
		}
	}
	rec.Reset(d.Reply.Codec.Layout())
	if err := d.Map.AppendReply(a.Message, &a.Exchange, rep, rec, &f); err != nil {
		return Frame{}, err
	}
	err := d.Reply.seal(&f, rec)
	return f, err
}

// AppendRequest builds the frame of a request at the asking end and returns
// the number of the message it used. rec is overwritten.
func (d *Dialect) AppendRequest(req *pay.Request, rec *Record, now time.Time) (Frame, int, error) {
	var f Frame
	rec.Reset(d.Request.Codec.Layout())
	msg, err := d.Map.AppendRequest(req, now, rec, &f)
	if err != nil {
		return Frame{}, -1, err
	}
	err = d.Request.seal(&f, rec)
	return f, msg, err
}

// OpenReply reads a reply frame into rec at the asking end, before it is known
// which request it answers.
func (d *Dialect) OpenReply(f *Frame, rec *Record) error { return d.Reply.open(f, rec) }
