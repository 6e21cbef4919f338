// Package notify tells others what the journal records: a utility that a
// customer who was cut off owes nothing any more (复电), receipts, alerts. It
// follows the journal from a durable position and keeps what is to be told in
// an outbox; the position and the new notices are one commit. A notice is
// delivered at least once, always under the same key, by which its receiver
// tells repeats.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"qianzhi/gateway/pay"
)

// Position is a place in the journal: a row of a day's log.
type Position struct {
	Log pay.Day
	Row uint64
}

// Source is the journal as it is followed.
type Source interface {
	// Changes yields, in order, the rows behind a position, each with its
	// payment as it stands, nil for a row that changes none. It ends with the
	// last row that is durable, or when yield returns false.
	Changes(ctx context.Context, from Position, yield func(Position, *pay.Entry) bool) error
}

// Notice is what is told.
type Notice struct {
	Key     string    `json:"key"`               // the same in every delivery
	Kind    string    `json:"kind"`              // as the configuration names it
	Serial  string    `json:"serial,omitempty"`  // ours, of the payment
	Day     string    `json:"day,omitempty"`     // accounting day, YYYYMMDD
	Biller  string    `json:"biller,omitempty"`  // 供电单位
	Account string    `json:"account,omitempty"` // 户号
	Amount  int64     `json:"amount,omitempty"`  // fen
	At      time.Time `json:"at"`                // of the event
	Text    string    `json:"text,omitempty"`    // for people
	Event   string    `json:"event,omitempty"`   // of an alert: what happened
	Level   string    `json:"level,omitempty"`   // and how urgent it is
	Channel string    `json:"channel,omitempty"` // and of which 渠道 it tells
}

// Decision is what a judge says of a notice that is about to be told.
type Decision uint8

// The decisions.
const (
	Later Decision = iota // it cannot be said yet
	Tell
	Drop // it is not true, or not any more
)

// Sender delivers one notice once. Anything but a nil error is tried again.
type Sender interface {
	Send(ctx context.Context, key string, body []byte) error
}

// Target is one receiver of notices of one kind.
type Target struct {
	ID   string
	Kind string
	// Pick says whether a payment concerns the target; it looks at nothing else.
	Pick func(e *pay.Entry) bool
	// Judge is asked before each delivery, with the payment as it was picked.
	// An error is Later. Nil: Tell.
	Judge   func(ctx context.Context, n *Notice) (Decision, error)
	Sender  Sender
	Timeout time.Duration   // of one delivery
	Gaps    []time.Duration // between tries, the last one repeats
	Expire  time.Duration   // after the event: who has not been reached by then is given up, which is logged as an alarm
}

// Check reports the first setting that cannot work.
func (t *Target) Check() error {
	if t.ID == "" || t.Kind == "" || t.Sender == nil || t.Timeout <= 0 || len(t.Gaps) == 0 || t.Expire <= 0 {
		return errors.New("id: kind, sender, timeout, gaps and expire are needed as well")
	}
	for _, g := range t.Gaps {
		if g <= 0 {
			return errors.New("gaps: must be positive")
		}
	}
	return nil
}

// Options are the parts of a Notifier.
type Options struct {
	File    string // of the outbox
	Node    uint8  // part of our serials
	Source  Source
	Start   Position // where a new outbox begins
	Targets []Target
	Poll    time.Duration // between looks at the journal
	Now     func() time.Time
	Log     *slog.Logger
}

// Notifier follows and delivers. It is safe for concurrent use.
type Notifier struct {
	o   Options
	box *outbox
}

// Open opens or creates the outbox; nothing is followed until Run.
func Open(ctx context.Context, o Options) (*Notifier, error) {
	if o.Poll <= 0 || o.Source == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("notify: source and a positive poll are needed")
	}
	seen := map[string]bool{}
	for i := range o.Targets {
		t := &o.Targets[i]
		if err := t.Check(); err != nil {
			return nil, fmt.Errorf("notify: target %s: %w", t.ID, err)
		}
		if seen[t.ID] {
			return nil, fmt.Errorf("notify: target %s stands twice", t.ID)
		}
		seen[t.ID] = true
	}
	box, err := openOutbox(ctx, o.File, o.Start)
	if err != nil {
		return nil, err
	}
	return &Notifier{o: o, box: box}, nil
}

// Close closes the outbox.
func (n *Notifier) Close() error { return n.box.close() }

// batch is how many rows of the journal are one commit of the outbox.
const batch = 1024

// Follow puts what the journal has recorded since the last call into the
// outbox.
func (n *Notifier) Follow(ctx context.Context) error {
	for {
		from, err := n.box.position(ctx)
		if err != nil {
			return err
		}
		at, rows := from, 0
		var found []letter
		err = n.o.Source.Changes(ctx, from, func(p Position, e *pay.Entry) bool {
			if at = p; e != nil {
				found = append(found, n.letters(e)...)
			}
			rows++
			return rows < batch
		})
		if err != nil {
			return fmt.Errorf("notify: following the journal: %w", err)
		}
		if rows == 0 {
			return nil
		}
		if err := n.box.advance(ctx, at, found); err != nil {
			return err
		}
	}
}

// letters are the notices about a payment.
func (n *Notifier) letters(e *pay.Entry) []letter {
	var out []letter
	for i := range n.o.Targets {
		t := &n.o.Targets[i]
		if t.Pick == nil || !t.Pick(e) {
			continue
		}
		serial := e.ID.Serial(n.o.Node)
		out = append(out, letter{target: t.ID, next: n.o.Now(), Notice: Notice{Key: t.Kind + "-" + serial, Kind: t.Kind, Serial: serial, Day: e.ID.Day.String(),
			Biller: e.Req.Biller, Account: e.Req.Account, Amount: int64(e.Req.Amount), At: e.Changed}})
	}
	return out
}

// Tell puts a notice that is about no payment, such as an alert, into the outbox
// of one target. A key that is there already changes nothing.
func (n *Notifier) Tell(ctx context.Context, target string, what Notice) error {
	for i := range n.o.Targets {
		if t := &n.o.Targets[i]; t.ID == target && what.Key != "" {
			return n.box.put(ctx, []letter{{target: t.ID, next: n.o.Now(), Notice: what}})
		}
	}
	return fmt.Errorf("notify: %q for %q: a key and a target are needed", what.Key, target)
}

// Stats counts the notices of every target.
type Stats struct {
	Target                       string
	Waiting, Told, Dropped, Lost int
}

// Stats returns the counts in the order of the targets.
func (n *Notifier) Stats(ctx context.Context) ([]Stats, error) {
	out := make([]Stats, len(n.o.Targets))
	for i := range out {
		out[i].Target = n.o.Targets[i].ID
		if err := n.box.count(ctx, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
