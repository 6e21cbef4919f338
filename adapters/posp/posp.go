// Package posp is the gateway's end of a link to a card centre (银联 POSP): it
// plays terminals there. It signs them on, numbers their messages, keeps each of
// them to one message at a time, and lets none charge again while a reversal of
// its last charge is owed.
package posp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"qianzhi/gateway/pay"
)

// Caller sends one message over the link. The error is a *pay.Fault.
type Caller interface {
	Do(ctx context.Context, req *pay.Request) (pay.Reply, error)
}

// Terminal is one of ours as the centre has it on file.
type Terminal struct {
	Terminal string `yaml:"terminal"` // 终端号, field 41
	Merchant string `yaml:"merchant"` // 商户号, field 42
}

// Options are the parts and limits of the link.
type Options struct {
	Name      string
	Link      Caller
	Terminals []Terminal
	// Accept takes the work keys of a sign-on reply; nil when the link has none.
	Accept func(req *pay.Request, rep *pay.Reply) error
	// PIN puts the PIN block of a charge under the key of our terminal: from is
	// the payment as its sender sent it, to the message that goes out, changed in
	// place. Nil: PIN blocks go on as they came.
	PIN  func(from, to *pay.Request) error
	Late func(op pay.Op, serial string, rep pay.Reply) // answers that nobody waits for any more, under our serial
	Wait time.Duration                                 // for the answer to a message about a batch
	Owed time.Duration                                 // a reversal is waited for at most this long
	Echo time.Duration                                 // between line tests, 0: none
	Now  func() time.Time
	Log  *slog.Logger
}

// Check reports the first option that cannot work.
func (o *Options) Check() error {
	if len(o.Terminals) == 0 {
		return errors.New("terminals: at least one is needed")
	}
	for i, t := range o.Terminals {
		if t.Terminal == "" || slices.Index(o.Terminals, t) != i {
			return fmt.Errorf("terminals[%d]: %q is empty or stands twice", i, t.Terminal)
		}
	}
	if o.Owed <= 0 || o.Wait <= 0 || o.Echo < 0 {
		return errors.New("owed: must be positive, and so must wait")
	}
	return nil
}

// Adapter is a gateway adapter. It is safe for concurrent use.
type Adapter struct {
	o        Options
	units    []*unit
	settling chan struct{} // held by whoever settles batches
}

// unit is one terminal. Whoever holds its token may send.
type unit struct {
	Terminal
	token chan struct{}

	// Owned by the holder of the token.
	signed bool
	own    int // messages that are about no payment

	mu   sync.Mutex
	owes string    // our serial of the charge that may have happened
	till time.Time // until when its reversal is waited for
	free chan struct{}
	sent map[string]string // trace: our serial, of the last messages
	last []string
}

// New builds an adapter; nothing is sent until the first call.
func New(o Options) (*Adapter, error) {
	if err := o.Check(); err != nil {
		return nil, fmt.Errorf("posp: %w", err)
	}
	a := &Adapter{o: o, settling: make(chan struct{}, 1)}
	for _, t := range o.Terminals {
		u := &unit{Terminal: t, token: make(chan struct{}, 1), free: make(chan struct{}), sent: map[string]string{}}
		u.token <- struct{}{}
		a.units = append(a.units, u)
	}
	return a, nil
}

// Do sends one message of the gateway as the terminal that its payment belongs
// to. The error is a *pay.Fault.
func (a *Adapter) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	about := req.Ref.Serial
	if req.Original != nil && (req.Op == pay.Reverse || req.Op == pay.Status) {
		about = req.Original.Serial
	}
	n, orig, err := a.numbers(about, req)
	if err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeFormat, Err: err}
	}
	u := a.units[orig.row%uint64(len(a.units))]
	if err := a.take(ctx, u, req, about); err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnreachable, Err: err}
	}
	defer func() { u.token <- struct{}{} }()
	if err := a.signOn(ctx, u); err != nil {
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnreachable, Err: err}
	}
	msg := u.message(req, n, orig)
	if a.o.PIN != nil && req.Op == pay.Pay {
		if err := a.o.PIN(req, msg); err != nil {
			return pay.Reply{}, &pay.Fault{Code: pay.CodeFormat, Err: fmt.Errorf("PIN block: %w", err)}
		}
	}
	u.remember(n.trace, about)
	rep, err := a.o.Link.Do(ctx, msg)
	u.learn(a.o.Now().Add(a.o.Owed), req, about, rep, err)
	return rep, err
}

// take waits for the terminal to be free, and for a charge or a settlement until
// no reversal is owed for the charge before it.
func (a *Adapter) take(ctx context.Context, u *unit, req *pay.Request, about string) error {
	for {
		select {
		case <-u.token:
		case <-ctx.Done():
			return ctx.Err()
		}
		if req.Op != pay.Pay && req.Op != pay.Settle {
			return nil
		}
		free, wait := u.owing(a.o.Now(), about)
		if free == nil {
			return nil
		}
		u.token <- struct{}{}
		timer := time.NewTimer(wait)
		select {
		case <-free:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("terminal %s owes a reversal: %w", u.Terminal.Terminal, ctx.Err())
		}
		timer.Stop()
	}
}

// owing returns what to wait for before the terminal may charge, nil when it
// may.
func (u *unit) owing(now time.Time, about string) (<-chan struct{}, time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.owes == "" || u.owes == about || !now.Before(u.till) {
		return nil, 0
	}
	return u.free, u.till.Sub(now)
}

// learn keeps the terminal's state after an answer, or its absence.
func (u *unit) learn(till time.Time, req *pay.Request, about string, rep pay.Reply, err error) {
	if err == nil && rep.Verdict == pay.Declined && (rep.Code == pay.CodeSignOn || rep.Code == pay.CodeAuth) {
		u.signed = false
	}
	var f *pay.Fault
	unsent := errors.As(err, &f) && !f.Sent
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case req.Op == pay.Pay && !unsent && (err != nil || rep.Verdict == pay.Unknown):
		u.owes, u.till = about, till
	case u.owes == about && err == nil && rep.Verdict != pay.Unknown:
		u.owes = ""
		close(u.free)
		u.free = make(chan struct{})
	}
}

// number is how the centre knows a message. It follows from our serial alone,
// so that a reversal after a restart carries the numbers of its charge.
type number struct {
	row   uint64
	trace string // six digits
	batch string // six digits, see batchOf
	date  string // YYYYMMDD
}

// traces are the numbers that are given within a batch. Each day begins
// dayStride numbers after the day before, so that an answer that is late beyond
// the cut is not taken for that to a message of the new day.
const (
	traces    = 999_999
	dayStride = 333_331
)

// batchRows are the rows of the journal whose payments share a batch. A payment
// has two or more of them, so that no batch of a terminal holds more charges than
// the three digits of a 批结算 can count.
const batchRows = 1998

// batchOf numbers the batches of a day: one digit of the date, five for the part
// of the day.
func batchOf(day pay.Day, row uint64) string {
	return fmt.Sprintf("%d%05d", days(day)%10, row/batchRows%100_000)
}

// days counts days, so that neighbouring days differ by one over the end of a
// year.
func days(day pay.Day) uint64 { return uint64(day.Sub(pay.Day(19700101))) }

// settleTrace is the trace of a 批结算: that of row 0, which no payment has.
func settleTrace(day pay.Day) string { return traceOf(day, 0) }

func traceOf(day pay.Day, row uint64) string {
	return fmt.Sprintf("%06d", (row+days(day)*dayStride)%traces+1)
}

// numbers returns the numbers of a message and of the payment it belongs to,
// whose terminal speaks.
func (a *Adapter) numbers(about string, req *pay.Request) (n, orig number, err error) {
	if n, err = parse(about); err != nil || req.Original == nil {
		return n, n, err
	}
	orig, err = parse(req.Original.Serial)
	return n, orig, err
}

// Numbers returns the batch and the trace under which the centre knows the
// message with our serial, six digits each.
func Numbers(serial string) (batch, trace string, err error) {
	n, err := parse(serial)
	return n.batch, n.trace, err
}

func parse(serial string) (number, error) {
	if len(serial) != 20 {
		return number{}, fmt.Errorf("serial: want 20 digits, got %d characters", len(serial))
	}
	day, err := pay.ParseDay(serial[:8])
	if err != nil {
		return number{}, errors.New("serial: begins with no date")
	}
	row, err := strconv.ParseUint(serial[10:], 10, 64)
	if err != nil || row == 0 {
		return number{}, errors.New("serial: not one of ours")
	}
	return number{row: row, trace: traceOf(day, row), batch: batchOf(day, row), date: serial[:8]}, nil
}

// message dresses a request as one of the terminal's.
func (u *unit) message(req *pay.Request, n, orig number) *pay.Request {
	msg := *req
	msg.Ref.Serial = n.trace
	msg.More = nil
	for _, f := range req.More {
		switch f.ID {
		case pay.FTerminal, pay.FMerchant, pay.FBatch, pay.FOriginalBatch, pay.FOriginalDate: // the sender's own
		default:
			msg.More = append(msg.More, f)
		}
	}
	msg.More = append(msg.More, u.fields(n.batch)...)
	if req.Original != nil {
		to := *req.Original
		to.Serial = orig.trace
		msg.Original = &to
		msg.More = append(msg.More, pay.Field{ID: pay.FOriginalBatch, Val: orig.batch}, pay.Field{ID: pay.FOriginalDate, Val: orig.date})
	}
	return &msg
}

func (u *unit) fields(batch string) []pay.Field {
	return []pay.Field{{ID: pay.FTerminal, Val: u.Terminal.Terminal}, {ID: pay.FMerchant, Val: u.Merchant}, {ID: pay.FBatch, Val: batch}}
}

// signOn signs the terminal on, unless it is. The caller holds the token.
func (a *Adapter) signOn(ctx context.Context, u *unit) error {
	if u.signed || a.o.Accept == nil {
		return nil
	}
	req := a.own(u, pay.SignOn)
	rep, err := a.o.Link.Do(ctx, req)
	switch {
	case err != nil:
		return fmt.Errorf("sign-on of terminal %s: %w", u.Terminal.Terminal, err)
	case rep.Verdict != pay.Approved:
		return fmt.Errorf("sign-on of terminal %s: refused as %s", u.Terminal.Terminal, rep.Code)
	}
	if err := a.o.Accept(req, &rep); err != nil {
		return fmt.Errorf("sign-on of terminal %s: %w", u.Terminal.Terminal, err)
	}
	u.signed = true
	return nil
}

// own is a message about no payment. Such messages have a batch of their own,
// so that their traces meet no payment's.
func (a *Adapter) own(u *unit, op pay.Op) *pay.Request {
	return &pay.Request{Op: op, Ref: pay.Ref{Kind: op.Kind(), Serial: u.next()}, More: u.fields("000000")}
}

// next is the trace of a message that is about no payment.
func (u *unit) next() string {
	u.own++
	return fmt.Sprintf("%06d", u.own%traces+1)
}

// maxRemembered is how many messages of a terminal are known by their traces
// for late answers.
const maxRemembered = 1024

func (u *unit) remember(trace, serial string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, there := u.sent[trace]; !there {
		u.last = append(u.last, trace)
	}
	u.sent[trace] = serial
	if len(u.last) > maxRemembered {
		delete(u.sent, u.last[0])
		u.last = u.last[1:]
	}
}

// LateAnswer takes a reply that the link could give to nobody and passes it on
// under our serial, where the message is still remembered.
func (a *Adapter) LateAnswer(op pay.Op, rep pay.Reply) {
	terminal, trace := pay.Find(rep.More, pay.FTerminal), pay.Find(rep.More, pay.FSerial)
	for _, u := range a.units {
		if u.Terminal.Terminal != terminal {
			continue
		}
		u.mu.Lock()
		serial := u.sent[trace]
		u.mu.Unlock()
		if serial != "" {
			a.o.Late(op, serial, rep)
			return
		}
	}
	a.o.Log.Error("late answer to an unknown message", "event", "QZ411", "host", a.o.Name, "terminal", terminal, "trace", trace)
}

// Run tests the line of the first terminal until ctx ends.
func (a *Adapter) Run(ctx context.Context) error {
	if a.o.Echo == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(a.o.Echo)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := a.echo(ctx); err != nil && ctx.Err() == nil {
				a.o.Log.Warn("line test failed", "event", "QZ402", "host", a.o.Name, "err", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *Adapter) echo(ctx context.Context) error {
	u := a.units[0]
	ctx, cancel := context.WithTimeout(ctx, a.o.Echo)
	defer cancel()
	select {
	case <-u.token:
	case <-ctx.Done():
		return nil // the line is busy, that is test enough
	}
	defer func() { u.token <- struct{}{} }()
	_, err := a.o.Link.Do(ctx, a.own(u, pay.Echo))
	return err
}
