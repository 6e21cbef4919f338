package protocol

import (
	"time"

	"qianzhi/gateway/pay"
)

// Head is a value that travels beside the body: a TPDU, a sub-header, an HTTP
// header. Link files address it as "@name".
type Head uint16

// The head values.
const (
	HeadNone      Head = iota
	HeadTPDU           // 5 bytes, ISO 8583 terminal routing
	HeadSub            // fixed bytes between length and body
	HeadMethod         // HTTP method
	HeadPath           // HTTP path
	HeadStatus         // HTTP status, decimal
	HeadSignature      // detached signature
	HeadTimestamp      // sender's time
	HeadNonce          // once-only value
	HeadKeyID          // who signed
	HeadType           // content type
	heads
)

var headNames = [heads]string{"", "tpdu", "header", "method", "path", "status", "signature",
	"timestamp", "nonce", "key_id", "content_type"}

// String returns the name used in link files, without the "@".
func (h Head) String() string {
	if h < heads {
		return headNames[h]
	}
	return "head?"
}

// ParseHead finds the head value with the given name.
func ParseHead(name string) (Head, bool) {
	for i := HeadNone + 1; i < heads; i++ {
		if headNames[i] == name {
			return i, true
		}
	}
	return HeadNone, false
}

// HeadValue is one value beside the body.
type HeadValue struct {
	Head Head
	Val  string
}

// Frame is one whole message cut from a stream. Body aliases the buffer it was
// cut from; who keeps the frame copies it first.
type Frame struct {
	Head []HeadValue
	Body []byte
}

// Get returns the head value, "" when absent.
func (f *Frame) Get(h Head) string {
	for i := range f.Head {
		if f.Head[i].Head == h {
			return f.Head[i].Val
		}
	}
	return ""
}

// Set replaces or adds a head value.
func (f *Frame) Set(h Head, val string) {
	for i := range f.Head {
		if f.Head[i].Head == h {
			f.Head[i].Val = val
			return
		}
	}
	f.Head = append(f.Head, HeadValue{h, val})
}

// Inbound is one frame as a listener hands it over. Its bytes belong to whoever
// answers it.
type Inbound struct {
	Frame Frame
	Peer  string    // remote address
	At    time.Time // when its last byte was read
}

// Framer cuts a byte stream into frames and writes frames. Next returns the
// first whole frame of buf and how many bytes it used; zero bytes used and no
// error means that more bytes are needed. A frame with a nil Body and a
// positive count is a keep-alive. Any error means the stream cannot be
// followed further. Append never keeps f.
type Framer interface {
	Next(buf []byte) (Frame, int, error)
	Append(dst []byte, f Frame) ([]byte, error)
}

// Codec turns a body into a record and back. Both leave in rec the span of
// each field on the wire. Index resets rec first, refuses leftover bytes and
// returns an *Error. The record's values do not alias the body.
type Codec interface {
	Layout() *Layout
	Index(f Frame, rec *Record) error
	Append(dst []byte, rec *Record) ([]byte, error)
}

// Envelope wraps the whole body, for example in encryption. Open returns the
// inner body appended to dst; Seal the outer one. Both may set head values.
type Envelope interface {
	Open(dst []byte, f *Frame) ([]byte, error)
	Seal(dst []byte, f *Frame) ([]byte, error)
}

// Auth proves who sent a message. Verify gets the opened frame and its record;
// the key is chosen from the record. Sign gets the body in f.Body and returns
// the signed body appended to dst, which may be longer, or sets a head value.
type Auth interface {
	Verify(f Frame, rec *Record) error
	Sign(dst []byte, f *Frame, rec *Record) ([]byte, error)
}

// Reserver is an Auth that writes its proof into a field of the body: before
// the record is written it puts a placeholder there.
type Reserver interface {
	Reserve(rec *Record)
}

// Issuer is an Auth that hands out keys: after an approved sign-on it adds the
// new keys to the reply.
type Issuer interface {
	Issue(req *pay.Request, rep *pay.Reply) error
}
