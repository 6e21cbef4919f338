package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Event is what is told of.
type Event string

// The events.
const (
	FileRejected   Event = "file-rejected"   // a party's file does not fit
	RunFinished    Event = "run-finished"    // whatever came of it
	VerdictChanged Event = "verdict-changed" // from the version before, or for the first time
	Signed         Event = "signed"          // signed or countersigned
	Overdue        Event = "overdue"         // a file has not come in time
	Alarm          Event = "alarm"           // a rung of the ladder
)

// Message is one event of a channel's day.
type Message struct {
	ID      string          `json:"id"` // the same however often the message is sent
	Event   Event           `json:"event"`
	Level   Level           `json:"level"`
	At      string          `json:"at"`
	Node    string          `json:"node"`
	Day     string          `json:"day"`
	Channel string          `json:"channel"`
	Exit    int             `json:"exit"` // status of the verdict
	Text    string          `json:"text"` // the report's first line, and of an alarm why
	Result  json.RawMessage `json:"result,omitempty"`
}

// Level is how urgent a message is.
type Level string

// The levels, from the least urgent.
const (
	Info   Level = "info"
	Remind Level = "remind"
	Warn   Level = "warn"
	Page   Level = "page"
)

// rank orders levels; an unknown one has none.
func (l Level) rank() int {
	return map[Level]int{Info: 1, Remind: 2, Warn: 3, Page: 4}[l]
}

// sink takes messages to somebody.
type sink interface {
	// name is for the log.
	name() string
	// wants reports whether a message is for it.
	wants(m *Message) bool
	// send tries once. An error that is final is not tried again.
	send(ctx context.Context, m *Message) error
}

// final marks an error that a repeat does not help.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// waiting is how many messages wait for one receiver; beyond that they are
// dropped, and logged.
const waiting = 256

// Sender takes messages to hooks, webhook and mailbox, each at its own pace.
type Sender struct {
	log   *slog.Logger
	lines []line
	gaps  []time.Duration // between tries
}

type line struct {
	sink
	queue chan *Message
}

// NewSender builds a sender to what the options name.
func NewSender(o Options, log *slog.Logger) *Sender {
	s := &Sender{log: log, gaps: []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}}
	for _, to := range o.sinks(log) {
		s.lines = append(s.lines, line{to, make(chan *Message, waiting)})
	}
	return s
}

// Send queues a message and never waits.
func (s *Sender) Send(m Message) {
	for _, l := range s.lines {
		if !l.wants(&m) {
			continue
		}
		select {
		case l.queue <- &m:
		default:
			s.log.Error("message dropped, too many are waiting", "event", "QZ107", "to", l.name(), "message", m.ID, "text", m.Text)
		}
	}
}

// Run sends what is queued until the context ends. What is still waiting then
// is logged.
func (s *Sender) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, l := range s.lines {
		all.Go(func() { s.work(ctx, l) })
	}
	<-ctx.Done()
	all.Wait()
	return nil
}

func (s *Sender) work(ctx context.Context, l line) {
	for {
		select {
		case <-ctx.Done():
			for {
				select {
				case m := <-l.queue:
					s.lost(l, m, ctx.Err(), 0)
				default:
					return
				}
			}
		case m := <-l.queue:
			s.deliver(ctx, l, m)
		}
	}
}

// deliver tries until a message is taken.
func (s *Sender) deliver(ctx context.Context, l line, m *Message) {
	for n := 0; ; n++ {
		err := l.send(ctx, m)
		if err == nil {
			s.log.Info("message sent", "event", "QZ106", "to", l.name(), "message", m.ID, "tries", n+1)
			return
		}
		var f final
		if errors.As(err, &f) || n == len(s.gaps) || ctx.Err() != nil {
			s.lost(l, m, err, n+1)
			return
		}
		s.log.Warn("message not taken, trying again", "event", "QZ108", "to", l.name(), "message", m.ID, "in", s.gaps[n].String(), "err", err)
		timer := time.NewTimer(s.gaps[n])
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			s.lost(l, m, fmt.Errorf("%w; stopping", err), n+1)
			return
		}
	}
}

func (s *Sender) lost(l line, m *Message, err error, tries int) {
	s.log.Error("message not delivered", "event", "QZ107", "to", l.name(), "message", m.ID, "text", m.Text, "tries", tries, "err", err)
}
