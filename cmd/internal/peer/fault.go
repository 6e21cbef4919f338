package peer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"qianzhi/gateway/pay"
)

// Fault is something done to a message on purpose.
type Fault uint8

// The faults. The first group is about the bytes of a message, whoever sends
// it; the second is about answering.
const (
	Sound     Fault = iota
	BadSeal         // MAC or signature changed
	Garbage         // bytes that are no frame
	HalfChar        // the last Chinese character loses its second half
	Cut             // the connection closes in the middle of the message
	Duplicate       // the message is sent twice, in one packet
	Trickle         // a byte at a time
	Slow            // the request is acted on late; by a sender: its second half leaves late
	Late            // the request is acted on at once, the answer leaves late; by a sender: the answer is read late
	Joined          // the answer waits for the next one and leaves in one packet with it
	Silence         // the request is acted on, the answer is not sent
	Decline         // the request is refused, nothing is done

	// Lies about what was done; over HTTP, which has one answer, only the first is
	// told.
	Contradict  // the request is acted on; the answer says so, a second one refuses it
	Recant      // the request is acted on; the answer refuses it, a second one says so
	WrongAmount // the answer tells one fen more
	Stale       // the answer to the message before leaves in its place
	faults
)

var faultNames = [faults]string{"sound", "bad-seal", "garbage", "half-char", "cut", "duplicate", "trickle",
	"slow", "late", "joined", "silence", "decline", "contradict", "recant", "wrong-amount", "stale"}

// String returns the name used in scripts.
func (f Fault) String() string {
	if f < faults {
		return faultNames[f]
	}
	return "fault?"
}

// ParseFault finds the fault with the given name.
func ParseFault(name string) (Fault, bool) {
	i := slices.Index(faultNames[:], name)
	return Fault(max(i, 0)), i >= 0
}

// OfBytes reports whether a sender can do it to a message of its own.
func (f Fault) OfBytes() bool { return f <= Trickle }

// BySender reports whether a sender can do it to an exchange of its own.
func (f Fault) BySender() bool { return f.OfBytes() || f == Slow || f == Late }

// body changes a body before it is framed.
func (f Fault) body(b []byte) {
	switch {
	case len(b) == 0:
	case f == BadSeal:
		b[len(b)-1] ^= 1
	case f == HalfChar:
		half(b)
	}
}

// half puts a blank in the place of the last byte of the last character beyond
// ASCII, as a sender does that cuts texts without looking.
func half(b []byte) {
	last := -1
	for i := 0; i+1 < len(b); i++ {
		if b[i] >= utf8.RuneSelf { // the byte behind it belongs to it, whatever it is
			i++
			last = i
		}
	}
	if last >= 0 {
		b[last] = ' '
	}
}

// wire turns a framed message into what is written, piece by piece; last is
// true when the connection closes behind it.
func (f Fault) wire(b []byte) (pieces [][]byte, last bool) {
	switch f {
	case Garbage:
		for i := range b {
			b[i] ^= 0xA5
		}
	case Cut:
		return [][]byte{b[:len(b)/2]}, true
	case Duplicate:
		return [][]byte{append(slices.Clone(b), b...)}, false
	case Trickle:
		for i := range b {
			pieces = append(pieces, b[i:i+1])
		}
		return pieces, false
	}
	return [][]byte{b}, false
}

// tells is what a host says that has acted on a request and would answer rep.
func (f Fault) tells(rep pay.Reply) []pay.Reply {
	refusal := pay.Answer(pay.Declined, pay.CodeRefused)
	switch f {
	case Contradict:
		return []pay.Reply{rep, refusal}
	case Recant:
		return []pay.Reply{refusal, rep}
	case WrongAmount:
		rep.Amount++
	}
	return []pay.Reply{rep}
}

// Trouble is a fault with how long it lasts.
type Trouble struct {
	Fault Fault
	For   time.Duration // of Slow and Late
}

// Script says which messages meet with which trouble. It is safe for
// concurrent use.
type Script struct {
	mu    sync.Mutex
	rules []rule
}

// rule is one line of a script.
type rule struct {
	op              pay.Op // OpNone: any
	serial, account string // "": any
	every, first    int    // of the messages that fit, 0: all
	seen            int
	trouble         Trouble
}

// ParseScript reads rules such as "pay:slow=5s", "every=10:cut",
// "query,first=2:silence", "serial=000042:bad-seal" or "*:trickle". The first
// rule that fits a message decides.
func ParseScript(lines []string) (*Script, error) {
	s := new(Script)
	for _, line := range lines {
		when, what, ok := strings.Cut(line, ":")
		if !ok {
			return nil, fmt.Errorf("%q: 应为 条件:故障, 如 pay:slow=5s", line)
		}
		var r rule
		for _, c := range strings.Split(when, ",") {
			if err := r.condition(strings.TrimSpace(c)); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
		var err error
		if r.trouble, err = parseTrouble(strings.TrimSpace(what)); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		s.rules = append(s.rules, r)
	}
	return s, nil
}

func (r *rule) condition(c string) (err error) {
	name, val, has := strings.Cut(c, "=")
	op, isOp := pay.ParseOp(c)
	switch {
	case c == "*":
	case isOp:
		r.op = op
	case has && name == "serial":
		r.serial = val
	case has && name == "account":
		r.account = val
	case has && name == "every":
		r.every, err = positive(val)
	case has && name == "first":
		r.first, err = positive(val)
	default:
		return fmt.Errorf("条件 %q: 应为 *、交易操作、every=、first=、serial= 或 account=", c)
	}
	return err
}

func positive(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q: 应为正整数", s)
	}
	return n, nil
}

func parseTrouble(s string) (Trouble, error) {
	name, val, has := strings.Cut(s, "=")
	f, ok := ParseFault(name)
	if !ok {
		return Trouble{}, fmt.Errorf("故障 %q: 应为 %s 之一", name, strings.Join(faultNames[1:], "、"))
	}
	if timed := f == Slow || f == Late; timed != has {
		return Trouble{}, fmt.Errorf("故障 %q: 只有 slow 与 late 带时间, 如 late=30s", s)
	}
	t := Trouble{Fault: f}
	if has {
		var err error
		if t.For, err = time.ParseDuration(val); err != nil || t.For <= 0 {
			return t, fmt.Errorf("故障 %q: 时间应如 5s", s)
		}
	}
	return t, nil
}

// Next returns what a message meets with.
func (s *Script) Next(req *pay.Request) Trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.rules {
		r := &s.rules[i]
		if r.op != pay.OpNone && r.op != req.Op || r.serial != "" && r.serial != req.Ref.Serial || r.account != "" && r.account != req.Account {
			continue
		}
		r.seen++
		if r.every > 0 && r.seen%r.every != 0 || r.first > 0 && r.seen > r.first {
			continue
		}
		return r.trouble
	}
	return Trouble{}
}
