package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"qianzhi/gateway/pay"
)

// journalFile is the journal's day as the run read it, among its inputs.
const journalFile = "inputs/journal.txt"

// journal settles our own side first. It reports false when that ends the run.
func (x *run) journal(ctx context.Context) bool {
	res := x.res
	if x.c.Journal != nil {
		in, err := x.stage(ctx, Journal, x.c.Journal)
		if err != nil {
			res.Verdict, res.Why = Broken, "流水读取失败: "+err.Error()
			return false
		}
		if !in.State.usable() {
			res.Verdict, res.Why = Broken, fmt.Sprintf("流水 %s %s: %s", in.Name, in.State, in.Why)
			return false
		}
		return true
	}
	freeze, err := x.o.Books.Freeze(ctx, res.Day)
	if err != nil {
		res.Verdict, res.Why = Incomplete, "未日切或流水不可用: "+err.Error()
		return false
	}
	res.Freeze = freeze
	x.spool, err = newSpool(filepath.Join(x.dir, journalFile), res.Day, func(yield func(*Line) bool) error {
		return x.told(ctx, res.Day, yield)
	})
	if err != nil {
		res.Verdict, res.Why = Broken, "流水读取失败: "+err.Error()
		return false
	}
	x.tables[Journal] = x.spool
	x.parts = append(x.parts, "journal "+x.spool.sum)
	x.live(slog.LevelInfo, "QZ110", fmt.Sprintf("流水冻结 %d条 冻结行=%d", x.spool.n, freeze), res, "")
	return true
}

// told yields the channel's lines of a day from the books.
func (x *run) told(ctx context.Context, day pay.Day, yield func(*Line) bool) error {
	read := func(yield func(*pay.Entry) bool) error { return x.o.Books.Lines(ctx, day, x.res.Freeze, yield) }
	return Listed(read, func(e *pay.Entry, effect Effect) bool {
		if !x.c.has(e) {
			return true
		}
		l := x.line(x.c, e, effect)
		return yield(&l)
	})
}

// has reports whether a payment is one of the channel's.
func (c *Channel) has(e *pay.Entry) bool {
	for _, l := range c.Links {
		if e.Req.Via != nil && e.Req.Via.Link == l {
			return true
		}
	}
	return false
}

func (r *Runner) line(c *Channel, e *pay.Entry, effect Effect) Line {
	l := Line{Serial: e.ID.Serial(r.o.Node), Account: e.Req.Account, Amount: e.Req.Amount, Out: e.Undoes(), Day: e.ID.Day, Effect: effect,
		Link: e.Req.Via.Link, Terminal: pay.Find(e.Req.More, pay.FTerminal), Time: e.At.Format("15:04:05"), Row: int(e.ID.Row)}
	posted, sold := false, false
	for i := range e.Legs {
		posted, sold = posted || e.Legs[i].Kind == pay.LegPost, sold || e.Legs[i].Kind == pay.LegCard
		if e.Legs[i].Kind == pay.LegPost {
			l.Host = e.Legs[i].Host
		}
	}
	if effect != Failed && effect != Reversed { // they add nothing anywhere
		l.Without = c.without(posted, sold)
	}
	l.Key = Key(c.Key, func(id pay.FieldID) string { return field(e, id) })
	return l
}

// without are the parties of a channel that no leg of a payment went to. A bank
// takes part in all of its links' payments.
func (c *Channel) without(posted, sold bool) (w Without) {
	if c.MIS != nil && !posted {
		w |= 1 << MIS
	}
	if c.Card != nil && !sold {
		w |= 1 << Card
	}
	return w
}

// endedAs is the journal's effect of a payment; one that was adjusted counts as
// what it was adjusted to.
func endedAs(e *pay.Entry) Effect {
	if e.State == pay.Adjd && e.Code == pay.CodeReversed {
		return Reversed
	}
	return OfState(e.State)
}

// Key joins the values of the fields that make a bank's line unique.
func Key(ids []pay.FieldID, value func(pay.FieldID) string) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = value(id)
	}
	return strings.Join(parts, "/")
}

func field(e *pay.Entry, id pay.FieldID) string {
	switch id {
	case pay.FSerial:
		return e.Req.Ref.Serial
	case pay.FSenderDate:
		if e.Req.Day == 0 {
			return ""
		}
		return e.Req.Day.String()
	case pay.FChannel:
		return e.Req.Via.Link
	case pay.FBankSerial:
		for i := range e.Legs {
			if e.Legs[i].Kind == pay.LegCharge {
				return e.Legs[i].Host // as the centre's answer to our charge calls it
			}
		}
	}
	return pay.Find(e.Req.More, id)
}

// neighbours looks for the payments of lines that have none today in the
// journal of the day before, of the day after, and further back.
func (x *run) neighbours(ctx context.Context, lines *[parties][]Line, on Ties) (func(*Line) (pay.Day, *Line), error) {
	type place struct {
		day  pay.Day
		line *Line
	}
	wanted, found := map[string]bool{}, map[string]place{}
	for _, g := range join(lines, on) {
		if g.main[Journal] == nil {
			for _, n := range namesOf(&g.main) {
				wanted[n] = true
			}
		}
	}
	days := []pay.Day{x.res.Day.Add(-1), x.res.Day.Add(1)}
	for d := 2; d <= keySearch; d++ {
		days = append(days, x.res.Day.Add(-d))
	}
	for _, d := range days {
		if len(wanted) == 0 {
			break
		}
		err := x.dayLines(ctx, d, func(l *Line) bool {
			for _, n := range namesOf(&[parties]*Line{l}) {
				if wanted[n] {
					c := *l
					found[n] = place{d, &c}
					delete(wanted, n)
				}
			}
			return len(wanted) > 0
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return func(l *Line) (pay.Day, *Line) {
		for _, n := range namesOf(&[parties]*Line{l}) {
			if p, ok := found[n]; ok {
				return p.day, p.line
			}
		}
		return 0, nil
	}, nil
}

// dayLines yields the channel's journal of another day: as its own run read it,
// or else from the books.
func (x *run) dayLines(ctx context.Context, d pay.Day, yield func(*Line) bool) error {
	latest := filepath.Join(x.home(d, x.c.ID), "latest")
	if x.c.Journal != nil {
		return x.fileLines(ctx, d, latest, yield)
	}
	s, err := openSpool(filepath.Join(latest, journalFile), d)
	switch {
	case err == nil:
		defer s.Close()
		return s.each(yield)
	case x.o.Books == nil:
		return err
	}
	return x.told(ctx, d, yield)
}

// fileLines reads the journal's file that an earlier run kept.
func (x *run) fileLines(ctx context.Context, d pay.Day, latest string, yield func(*Line) bool) error {
	v, err := readVersion(latest)
	if err != nil {
		return err
	}
	in, err := x.c.Journal.Fetch(ctx, d)
	if err != nil || in.Open == nil || v.names[Journal.String()] == "" {
		return err
	}
	o, err := in.Open(filepath.Join(latest, "inputs", v.names[Journal.String()]))
	if err != nil {
		return err
	}
	if c, ok := o.Table.(interface{ Close() error }); ok {
		defer c.Close()
	}
	return eachOf(o.Table, yield)
}

// eachOf yields a table's lines.
func eachOf(t Table, yield func(*Line) bool) error {
	var places []int64
	s := Scan{Hash: NewHasher(), Workers: 1, Row: func(_ int, p *Print) { places = append(places, p.At) }}
	on := HasSerial
	if t.Declares()&HasSerial == 0 {
		on = HasKey
	}
	s.Compare(MIS, Rule{On: on})
	if err := t.Scan(&s); err != nil {
		return err
	}
	for _, at := range places {
		l, err := t.Line(at)
		if err != nil || !yield(&l) {
			return err
		}
	}
	return nil
}
