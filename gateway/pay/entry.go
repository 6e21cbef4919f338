package pay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ID names a payment for ever: the accounting day stamped at Begin and the row
// of its first event in that day's file.
type ID struct {
	Day Day
	Row uint64
}

// Serial is our key towards every host: day, node and row as 8+2+10 digits.
func (id ID) Serial(node uint8) string {
	return fmt.Sprintf("%08d%02d%010d", uint32(id.Day), node, id.Row)
}

// ParseSerial reads what Serial wrote, for the same node.
func ParseSerial(s string, node uint8) (ID, bool) {
	if len(s) != 20 || s[8:10] != fmt.Sprintf("%02d", node) {
		return ID{}, false
	}
	day, err := ParseDay(s[:8])
	if err != nil {
		return ID{}, false
	}
	row, err := strconv.ParseUint(s[10:], 10, 64)
	return ID{Day: day, Row: row}, err == nil && row > 0
}

// IsZero reports whether the id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// LegKind is a style of external effect.
type LegKind uint8

// The legs a product may have.
const (
	LegNone   LegKind = iota
	LegPost           // 销账: posting at the marketing MIS
	LegCharge         // 扣款: charge at the bank's POSP
	LegCard           // 卡表: sale at the card-meter system
)

// LegState is what is known of one leg.
type LegState uint8

// The states of a leg.
const (
	LegIdle    LegState = iota // 未发
	LegSent                    // marker durable, bytes may have left
	LegDone                    // confirmed by the host
	LegRefused                 // definitely refused, no effect
	LegUnknown                 // may or may not have happened
	LegUndone                  // had or may have had effect, undone and acknowledged
)

// Effect reports whether the leg has or may have changed the host's books.
func (s LegState) Effect() bool { return s == LegSent || s == LegDone || s == LegUnknown }

// Leg is one external effect of a payment.
type Leg struct {
	Kind  LegKind
	State LegState
	Code  Code
	Host  string // the host's own serial
}

// EventKind says what a journal row records.
type EventKind uint8

// The kinds of journal rows. The first group belongs to a payment, the second
// stands alone.
const (
	EvNone     EventKind = iota
	EvReceived           // intent and the first leg's marker, one row
	EvMarker             // a further leg's or a repeat's marker
	EvResult             // a leg's outcome
	EvState              // a change of the payment's state alone
	EvWanted             // reverse wanted while a leg is under way; with Host: a 撤销 or 退货 of that serial acts on the payment
	EvAttempt            // the resolver tried and learned nothing
	EvCarried            // the payment as it stood at the cut, in the new file
	EvReverse            // a 冲正 received; its original's id or a tombstone
	EvQuery              // a message that moves no money
	EvSession            // sign-on, sign-off
	EvRejected           // a frame refused before Begin
	EvAdmin              // an administrative act
	EvCut                // last row of a day's file
	EvFreeze             // the row as of which a day is reconciled
	EvFirst              // first row of a day's file: the previous file's last hash
)

// Event is one row of the journal. N and At are assigned by the journal.
type Event struct {
	Kind    EventKind
	N       uint32 // number within the payment, from 1
	At      time.Time
	State   State // the payment's state after the event; NoState leaves it
	Leg     uint8 // index into the payment's legs
	LegIs   LegState
	Code    Code
	Attempt uint16 // of the resolver, counted since the last change of state
	Host    string // the host's serial
	Due     time.Time
	Note    string
}

// Entry is a payment as the journal knows it: the fold of its events.
type Entry struct {
	ID       ID
	Req      *Request
	State    State
	Legs     []Leg
	N        uint32 // number of the last event
	At       time.Time
	Changed  time.Time // of the last event
	Marked   time.Time // of the last leg marker: bytes may have left since then
	Code     Code      // why the payment is in its state
	Attempt  uint16
	Due      time.Time
	Wanted   bool   // a reversal waits for the leg under way
	Original ID     // of a 冲正, 撤销 or 退货: the payment it undoes; zero when a tombstone was laid
	Child    string // our serial of the last 撤销 or 退货 that acts on the payment; of a 退货, of the one before it
	Note     string
}

// Errors of a journal that its callers tell apart.
var (
	ErrMoved      = errors.New("payment has moved on")      // another event came first; read the entry again
	ErrUnwritable = errors.New("journal cannot be written") // proved not durable
)

// ErrTransition reports an event that the state machine does not allow.
var ErrTransition = errors.New("transition not allowed")

// Check reports whether ev may follow, without changing the entry.
func (e *Entry) Check(ev *Event) error {
	if ev.State != NoState && !e.State.May(ev.State) && ev.State != e.State {
		return fmt.Errorf("%w: %s to %s", ErrTransition, e.State, ev.State)
	}
	if ev.LegIs != LegIdle && int(ev.Leg) >= len(e.Legs) {
		return fmt.Errorf("%w: no leg %d", ErrTransition, ev.Leg)
	}
	return nil
}

// Apply folds ev into the entry. It returns the error of Check and then leaves
// the entry as it was.
func (e *Entry) Apply(ev *Event) error {
	if err := e.Check(ev); err != nil {
		return err
	}
	e.N, e.Changed = ev.N, ev.At
	if ev.Kind == EvMarker {
		e.Marked = ev.At
	}
	if ev.State != NoState {
		e.State, e.Code = ev.State, ev.Code
	}
	if ev.LegIs != LegIdle {
		leg := &e.Legs[ev.Leg]
		leg.State, leg.Code = ev.LegIs, ev.Code
		if ev.Host != "" {
			leg.Host = ev.Host
		}
	}
	e.Attempt, e.Due = ev.Attempt, ev.Due
	switch {
	case ev.Kind == EvWanted && ev.Host != "":
		e.Child = ev.Host
	case ev.Kind == EvWanted:
		e.Wanted = true
	}
	if ev.Note != "" {
		e.Note = ev.Note
	}
	return nil
}

// Leg returns the first leg that is in the state, -1 when there is none.
func (e *Entry) Leg(s LegState) int {
	for i := range e.Legs {
		if e.Legs[i].State == s {
			return i
		}
	}
	return -1
}

// Effect reports whether a leg other than the given one has or may have
// changed its host's books.
func (e *Entry) Effect(except int) bool {
	for i := range e.Legs {
		if i != except && e.Legs[i].State.Effect() {
			return true
		}
	}
	return false
}

// Returned reports whether a 撤销 or 退货 undid the payment, alone or as the last of
// several, and not a 冲正: what it noted last says so.
func (e *Entry) Returned() bool {
	return e.State == Revd && e.Child != "" && strings.HasSuffix(e.Note, " "+e.Child)
}

// Cancelled reports whether a 撤销 undid the payment.
func (e *Entry) Cancelled() bool {
	return e.Returned() && strings.HasPrefix(e.Note, Cancel.Chinese()+" ")
}

// Undoes reports whether the payment is a 撤销 or 退货, the child of another.
func (e *Entry) Undoes() bool { return e.Req.Op == Cancel || e.Req.Op == Refund }

// Repairs reports whether the payment is the posting of another once more.
func (e *Entry) Repairs() bool { return e.Req.Op == Pay && !e.Original.IsZero() }

// Taken reports whether the money of the payment is already with its sender, so
// that nothing about it may be refused finally.
func (e *Entry) Taken() bool { return e.Req.Via.Funds == Taken && !e.Undoes() }

// Clone returns a copy that shares only the request, which is immutable.
func (e *Entry) Clone() Entry {
	c := *e
	c.Legs = append([]Leg(nil), e.Legs...)
	return c
}

// Intent is what Begin makes durable.
type Intent struct {
	Req   *Request
	Legs  []LegKind // of the product, in order; empty for a 冲正
	Block bool      // refuse when an unknown payment of the same debt is open
	Known bool      // only look up: the message may not start anything
	Of    ID        // of a 撤销 or 退货: the payment it undoes
	// Refuse is why a new payment is refused: it is written as failed, so that
	// whoever repeats it hears the same. CodeUnknown refuses nothing.
	Refuse Code
}

// Seen is what Begin found under the key.
type Seen uint8

// The findings of Begin.
const (
	SeenNew       Seen = iota // written and marked; the caller acts
	SeenSame                  // same key, same content
	SeenOther                 // same key, other content
	SeenTombstone             // reversed before it arrived
	SeenBlocked               // written as failed: an unknown payment of the same debt, the entry, is in its way
	SeenNothing               // Known was set and the key is new
	SeenExpired               // the sender's date is older than what is kept
)

// Note is a row that belongs to no payment: a query, a session message, a
// rejected frame, an administrative act.
type Note struct {
	Kind   EventKind
	Link   string
	Peer   string
	Op     Op
	Code   Code
	Count  uint32 // more than 1 for aggregated rejects
	Length uint32 // of the frame in bytes
	Digest [32]byte
	Head   []byte // at most 16 bytes, sealed
	Text   string
	Req    *Request // nil for frames that could not be read
}
