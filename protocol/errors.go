package protocol

import (
	"errors"
	"fmt"
)

// Class says at which step of the way in a message failed.
type Class string

// The classes of an Error.
const (
	ClassFrame   Class = "frame"
	ClassHeader  Class = "header"
	ClassAuth    Class = "auth"
	ClassField   Class = "field"
	ClassMapping Class = "mapping"
)

// Error is a located refusal of bytes. Got is masked or shortened by whoever
// fills it: an Error may be logged and shown.
type Error struct {
	Class  Class
	Path   string // field path such as "55.9F02", empty for the whole frame
	Offset int    // byte offset in the frame's body, -1 when unknown
	Want   string
	Got    string
	Hint   string
}

// Error writes class, path, offset, what was wanted and what was found.
func (e *Error) Error() string {
	s := string(e.Class)
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.Offset >= 0 {
		s += fmt.Sprintf(" at %d", e.Offset)
	}
	s += ": want " + e.Want
	if e.Got != "" {
		s += ", got " + e.Got
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// ErrReplayed is returned by Auth.Verify, wrapped or alone, for an authentic
// message whose nonce was seen before. The record is good: the caller decides
// whether the message is a known repeat.
var ErrReplayed = errors.New("nonce seen before")

// ErrSignOn is returned by Auth.Verify when no key is agreed with the sender,
// who has to sign on first.
var ErrSignOn = errors.New("not signed on")

// Hex writes at most n bytes of b as hex, with an ellipsis when there are more.
// It is for places that hold no customer data, such as length prefixes.
func Hex(b []byte, n int) string {
	if len(b) > n {
		return fmt.Sprintf("%X…", b[:n])
	}
	return fmt.Sprintf("%X", b)
}
