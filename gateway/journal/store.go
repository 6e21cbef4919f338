package journal

import (
	"context"

	"qianzhi/gateway/pay"
)

// Row is one row as it is stored. Numbers that do not apply are zero.
type Row struct {
	Seq   uint64        // number within the log from 1, ascending; gaps are allowed
	Day   pay.Day       // stamped on the payment; of an EvFreeze, the day that is frozen
	Pay   uint64        // row of the payment's first event in that day's log
	N     uint32        // number of the event within the payment
	Prev  uint64        // the payment's previous row in this log
	Kind  pay.EventKind // what the row records
	State pay.State     // of the payment after the event
	At    int64         // nanoseconds since 1970, strictly ascending within a log

	Ref     uint64 // token of the payment's key
	About   uint64 // of a tombstone: token under which the late payment finds it
	Account uint64 // token of the customer number
	PAN     uint64 // token of the card number
	Serial  uint64 // token of the sender's serial
	Tail    string // last four digits of the card

	Link uint64 // first eight bytes of the chain's hash at this row
	Body []byte // sealed, except in rows of the journal's own
}

// Range selects rows of a log in ascending order.
type Range struct {
	From, To uint64  // both included; To 0 means no end
	Day      pay.Day // only rows that carry this day; 0 for all
	Narrow   bool    // leave Account and everything behind it zero
	Match    *Match  // only rows that it selects; nil for all
}

// Match selects rows by what they can be found by. What is zero does not count.
type Match struct {
	Account, PAN, Serial uint64
	Tail                 string
	State                pay.State
	Refs                 []uint64 // one of these
	First                bool     // rows that hold a payment whole: received, reversal, carried
	Carried              bool     // of these, the carried ones
	Older                pay.ID   // rows of payments whose names are before this one
}

// Store keeps one log of rows for each accounting day.
type Store interface {
	// Days returns the days whose logs hold rows, ascending.
	Days(ctx context.Context) ([]pay.Day, error)
	// Writer opens the log of a day for writing, making it when there is none.
	// Everything that an earlier writer of the log left is durable when it
	// returns. A log has one writer at a time; the journal sees to that.
	Writer(ctx context.Context, day pay.Day) (Writer, error)
	// Reader opens the log of a day for reading beside its writer.
	Reader(ctx context.Context, day pay.Day) (Reader, error)
	// Tidy moves committed rows to where they stay. It runs beside the writer.
	Tidy(ctx context.Context, day pay.Day) error
	// Salvage replaces the log of a day by its rows up to last and keeps the
	// damaged one under the name it returns.
	Salvage(ctx context.Context, day pay.Day, last uint64) (string, error)
}

// Writer appends to the log of one day. It serves one goroutine.
type Writer interface {
	// Append makes all rows durable, or none. After an error it is not known
	// which, and the writer is only good for Close.
	Append(ctx context.Context, rows []Row) error
	Close() error
}

// Reader reads the log of one day. It is safe for concurrent use.
type Reader interface {
	// Read yields the committed rows of a range until yield returns false. The
	// row is valid during the call, its Body for ever.
	Read(ctx context.Context, r Range, yield func(*Row) bool) error
	Close() error
}
