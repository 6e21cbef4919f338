package desk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
)

// Order is what somebody wants to do.
type Order struct {
	Kind     Kind
	Item     string // identity of an open item, or its beginning
	Action   Action
	Owner    string
	Due      pay.Day
	Document string
	Text     string
	Count    *Count
}

// The refusals.
var (
	ErrClosed = errors.New("该日已复核, 须两人先重开")
	ErrBusy   = errors.New("他人正在办理, 请稍后再试")
	ErrStage  = errors.New("签核未到这一步")
)

// Desk is where a day is decided. Root is the folder of all reconciliations,
// Audit takes every act before it is written down here.
type Desk struct {
	Root  string
	Audit access.Audit
	Now   func() time.Time
	Hands Hands
}

// Hands do in the gateway what was decided and begun about an item. They look
// for themselves at what that is, see Work. The error says that it has not been
// done, as far as is known.
type Hands interface {
	Repair(ctx context.Context, day pay.Day, channel, item string) (outcome string, err error)
}

// Work is an approved action that has begun and not ended well.
type Work struct {
	Serial string // of the payment
	Action Action
	Key    string // the same however often the action is begun
	Order  string // hash of the standing order that it follows from; empty: two people
	Why    string
}

// Work returns what is to be done about an item, from the decisions alone.
func (t *Table) Work(item string) (Work, error) {
	c, err := t.Case(item)
	if err != nil {
		return Work{}, err
	}
	d, _ := t.decision(c.Item)
	switch {
	case t.Stage == Closed:
		return Work{}, ErrClosed
	case d.Begun == nil || d.Begun.Order == "" && d.Approval == nil || d.Ended != nil && d.Ended.N > d.Begun.N:
		return Work{}, errors.New("该笔没有已批准并开始的操作")
	}
	a := d.Begun.Action
	w := Work{Serial: c.Item.Serial(), Action: a, Key: c.Item.ID() + string(a), Order: d.Begun.Order, Why: d.Begun.Text}
	if w.Order == "" {
		w.Why = fmt.Sprintf("%s 批准 %s", d.Proposal.Text, d.Approval.By)
	}
	return w, a.fits(c)
}

// Home returns the folder of a channel's versions.
func (d *Desk) Home(day pay.Day, channel string) string {
	return filepath.Join(d.Root, day.String(), channel)
}

// Do has somebody decide. What is refused leaves no entry.
func (d *Desk) Do(ctx context.Context, who access.Principal, day pay.Day, channel string, o Order) (*Table, error) {
	home := d.Home(day, channel)
	unlock, err := lock(home)
	if err != nil {
		return nil, err
	}
	defer unlock()
	t, err := Lay(home)
	if err != nil {
		return nil, err
	}
	e, err := t.decide(who, o, pay.DayOf(d.Now()))
	if err != nil {
		return nil, err
	}
	if err := d.enter(ctx, t, who, e); err != nil {
		return nil, err
	}
	if e.Kind == Apply {
		if err := d.carryOut(ctx, t, who, *e); err != nil {
			return nil, err
		}
	}
	return Lay(home)
}

// enter records an act and writes its entry.
func (d *Desk) enter(ctx context.Context, t *Table, who access.Principal, e *Entry) error {
	on := t.Summary.Day + " " + t.Summary.Channel + " " + e.Item
	if err := d.Audit.Record(ctx, who.Act("recon."+string(e.Kind), strings.TrimSpace(on), e.Text)); err != nil {
		return fmt.Errorf("没有留下记录, 因此不执行: %w", err)
	}
	e.N, e.At = len(t.Entries)+1, d.Now().Format(time.RFC3339)
	if e.N > 1 {
		e.Prev = t.Entries[e.N-2].Hash
	}
	e.Version, e.Manifest = t.Summary.Version, t.Manifest
	var err error
	if e.Hash, err = e.sum(); err != nil {
		return err
	}
	if err := write(t.Home, *e); err != nil {
		return err
	}
	t.Entries = append(t.Entries, *e)
	return nil
}

// carryOut does an approved action and writes down how it ended.
func (d *Desk) carryOut(ctx context.Context, t *Table, who access.Principal, begun Entry) error {
	end := &Entry{Kind: Applied, By: who.Name(), Person: who.Person(), Item: begun.Item, Evidence: begun.Evidence, Action: begun.Action, Fen: begun.Fen,
		Document: begun.Document, Order: begun.Order}
	if begun.Action.Gateway() {
		day, err := pay.ParseDay(t.Summary.Day)
		if err != nil {
			return err
		}
		if end.Text, err = d.Hands.Repair(ctx, day, t.Summary.Channel, begun.Item); err != nil {
			end.Failed = err.Error()
		}
	}
	return d.enter(ctx, t, who, end)
}

// lock keeps two people from deciding at once.
func lock(home string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(home, ".desk.lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("尚无对账结果: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(ErrBusy, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}

// IsClosed reports whether a channel's day is countersigned; such a day is not
// reconciled again.
func IsClosed(home string) (bool, error) {
	es, err := Read(home)
	if err != nil || len(es) == 0 {
		return false, err
	}
	t := &Table{Items: map[string]*Decision{}}
	for i := range es {
		t.fold(&es[i])
	}
	return t.Stage == Closed, nil
}

// unhandled returns the open items that count as 不平 and about which nobody
// has said who sees to them by when.
func (t *Table) unhandled() (left []string) {
	for i := range t.Open {
		it := &t.Open[i]
		if it.Grade != reconcile.Uneven {
			continue
		}
		if d, _ := t.decision(it); d.Note == nil && (d.Ended == nil || d.Ended.Failed != "") {
			left = append(left, it.ID())
		}
	}
	return left
}
