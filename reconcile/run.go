package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"qianzhi/gateway/pay"
)

// Books is the journal's side of a run.
type Books interface {
	// Freeze names the row as of which the day is judged. A day that is not
	// cut yet is an error.
	Freeze(ctx context.Context, day pay.Day) (uint64, error)
	// Lines yields every payment stamped with the day as it stood at the row.
	Lines(ctx context.Context, day pay.Day, freeze uint64, yield func(*pay.Entry) bool) error
}

// Channel is a set of links that are reconciled together. A nil source means
// that the party takes no part.
type Channel struct {
	ID      string
	Links   []string
	Journal Source // instead of the Runner's books
	MIS     Source
	Bank    Source
	Card    Source
	Key     []pay.FieldID // of a journal entry; equals the bank lines' key
	// Cuts are the parties' ends of day as minutes from midnight; 0 is 24:00.
	Cuts [parties]int
	// Window around a cut in which a line may be a neighbouring day's; 0 is
	// half an hour.
	Window time.Duration
}

// defaults of a channel.
const (
	midnight      = 1440
	defaultWindow = 30 * time.Minute
)

// File is one file of a report.
type File struct {
	Name string
	Data []byte
}

// Options are the parts of a Runner.
type Options struct {
	Dir      string // reports: <day>/<channel>/r<n>
	Node     uint8
	Books    Books
	Matrix   *Matrix
	Channels []Channel
	Report   func(*Result) ([]File, error)
	Closed   func(home string) (bool, error)   // reports whether a channel's day is signed off; nil: none is
	Acts     func(home string) (string, error) // says what was done about a channel's day by itself; nil: nothing ever is
	Next     func(pay.Day) pay.Day             // the next day on which files come; nil: the next day
	Ahead    func([]Item) []Item               // of runs over a day that is not over: which items are worth a look; nil: the day is over
	Now      func() time.Time
	Log      *slog.Logger
}

// Runner runs reconciliations, one at a time on its directory.
type Runner struct{ o Options }

// New builds a runner; nothing is touched until Run.
func New(o Options) *Runner {
	if o.Next == nil {
		o.Next = func(d pay.Day) pay.Day { return d.Add(1) }
	}
	return &Runner{o: o}
}

// ErrBusy reports that another run holds the lock; exit status 6.
var ErrBusy = errors.New("另一对账正在进行")

// ErrClosed reports that a channel's day is countersigned; exit status 7.
var ErrClosed = errors.New("该日已复核, 重跑须先重开")

// Run reconciles every channel for the day and returns the results in the
// order of the channels. A result stands for its channel even when others
// failed; the error is trouble that left no result.
func (r *Runner) Run(ctx context.Context, day pay.Day) ([]*Result, error) {
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var all []*Result
	var errs error
	for i := range r.o.Channels {
		res, err := r.channel(ctx, &r.o.Channels[i], day)
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", r.o.Channels[i].ID, err))
			continue
		}
		all = append(all, res)
	}
	return all, errs
}

func (r *Runner) lock() (func(), error) {
	if err := os.MkdirAll(r.o.Dir, 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(r.o.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(ErrBusy, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}

// Done reports whether the day has a report for every channel.
func (r *Runner) Done(day pay.Day) bool {
	for i := range r.o.Channels {
		if r.versions(day, r.o.Channels[i].ID) == 0 {
			return false
		}
	}
	return len(r.o.Channels) > 0
}

func (r *Runner) home(day pay.Day, channel string) string {
	return filepath.Join(r.o.Dir, day.String(), channel)
}

func (r *Runner) versions(day pay.Day, channel string) int {
	names, err := os.ReadDir(r.home(day, channel))
	if err != nil {
		return 0
	}
	n := 0
	for _, e := range names {
		if v, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "r")); err == nil && strings.HasPrefix(e.Name(), "r") {
			n = max(n, v)
		}
	}
	return n
}

// run is one channel's run: the new version grows in a folder beside its place.
type run struct {
	*Runner
	c      *Channel
	res    *Result
	dir    string
	last   *version // the version before, nil for the first
	spool  *spool
	tables [parties]Table
	parts  []string // what the result follows from
	opened []Item   // by earlier days
}

func (r *Runner) channel(ctx context.Context, c *Channel, day pay.Day) (*Result, error) {
	x := &run{Runner: r, c: c}
	x.res = &Result{Day: day, Channel: c.ID, At: r.o.Now(), Rules: r.o.Matrix.Version}
	if x.res.Ahead = r.o.Ahead != nil; x.res.Ahead {
		x.parts = append(x.parts, x.res.At.String()) // payments grow old without any input changing
	}
	x.res.Has = [parties]bool{MIS: c.MIS != nil, Bank: c.Bank != nil, Card: c.Card != nil}
	if r.o.Closed != nil {
		switch closed, err := r.o.Closed(r.home(day, c.ID)); {
		case err != nil:
			return nil, err
		case closed:
			return nil, ErrClosed
		}
	}
	if r.o.Acts != nil {
		var err error
		if x.res.Acts, err = r.o.Acts(r.home(day, c.ID)); err != nil {
			return nil, err
		}
		if x.res.Acts != "" {
			x.parts = append(x.parts, "acts "+x.res.Acts)
		}
	}
	last := r.versions(day, c.ID)
	x.res.Version = last + 1
	if last > 0 {
		v, err := readVersion(filepath.Join(r.home(day, c.ID), "r"+strconv.Itoa(last)))
		if err != nil {
			return nil, err
		}
		x.last = v
	}
	var err error
	if x.dir, err = workIn(r.home(day, c.ID)); err != nil {
		return nil, err
	}
	defer os.RemoveAll(x.dir)
	defer x.close()
	r.live(slog.LevelInfo, "QZ100", "开始", x.res, "")
	if err := x.settle(ctx); err != nil {
		return nil, err
	}
	return x.res, x.publish()
}

// close lets go of the tables' files.
func (x *run) close() {
	for _, t := range x.tables {
		if c, ok := t.(interface{ Close() error }); ok {
			_ = c.Close() // they were only read
		}
	}
}

// settle reads the sources, and judges them when all are settled: no matrix
// over a file that is missing or wrong.
func (x *run) settle(ctx context.Context) error {
	if !x.journal(ctx) {
		return nil
	}
	if err := x.sources(ctx); err != nil {
		return err
	}
	if err := x.carried(); err != nil {
		return err
	}
	var err error
	switch x.res.Verdict {
	case Balanced:
		err = x.judge(ctx)
	case Incomplete:
		err = x.preview(ctx)
	}
	return x.refused(err)
}

// refused makes a verdict of a file that the first reading refused.
func (x *run) refused(err error) error {
	var r *Refusal
	if !errors.As(err, &r) {
		return err
	}
	for i := range x.res.Inputs {
		in := &x.res.Inputs[i]
		if in.Party != r.Party {
			continue
		}
		in.State, in.Why, in.Checks = Rejected, r.Error(), ""
		x.res.Verdict, x.res.Why = Refused, fmt.Sprintf("%s %s: %s", r.Party, filepath.Base(in.Name), in.Why)
		if r.Party == Journal {
			x.res.Verdict, x.res.Why = Broken, "流水文件: "+in.Why
		}
		x.res.Items, x.res.Preview, x.res.Totals, x.res.Apart = nil, nil, [parties]Total{}, [parties]Total{}
		x.live(slog.LevelError, "QZ132", r.Party.String()+" 拒收 "+in.Why, x.res, "")
		return nil
	}
	return err
}

// sift reduces the tables of the given parties to the lines worth judging.
func (x *run) sift(ctx context.Context, with [parties]bool) (*Sifted, Ties, error) {
	s := Sift{Hash: NewHasher(), Dir: x.dir, Voids: x.o.Matrix.voids}
	if x.c.Journal == nil {
		s.Links = x.c.Links
	}
	s.Tables[Journal] = x.tables[Journal]
	var on Ties
	for p := MIS; p < parties; p++ {
		if with[p] {
			s.Tables[p] = x.tables[p]
			on[p.pair()] = ruleFor(p, x.tables[Journal].Declares(), x.tables[p].Declares()).On
		}
	}
	for i := range x.res.Inputs {
		s.Size = max(s.Size, x.res.Inputs[i].Count)
	}
	out, err := s.Run(ctx)
	for i := range x.res.Inputs {
		in := &x.res.Inputs[i]
		if c, ok := in.table.(interface{ Count() int }); ok && c.Count() > 0 {
			in.Count = c.Count() // until then it was an estimate
		}
		if err == nil && with[in.Party] {
			x.live(slog.LevelInfo, "QZ120", fmt.Sprintf("%s %s %d行 %s", in.Party, in.State, in.Count, in.Checks), x.res, "")
		}
	}
	return out, on, err
}

func (x *run) judge(ctx context.Context) error {
	found, on, err := x.sift(ctx, x.res.Has)
	if err != nil {
		return err
	}
	res := x.res
	res.Stats, res.Totals, res.Apart = found.Stats, found.Totals, found.Apart
	j := Judge{Matrix: x.o.Matrix, Has: res.Has, Day: res.Day, Cuts: x.c.Cuts, Window: x.c.Window, Next: x.o.Next, On: on, pool: newPool(x.opened)}
	if j.Window == 0 {
		j.Window = defaultWindow
	}
	for p, cut := range j.Cuts {
		if cut == 0 {
			j.Cuts[p] = midnight
		}
	}
	if j.Near, err = x.neighbours(ctx, &found.Lines, on); err != nil {
		return err
	}
	var again [parties]Total
	if res.Items, again = j.Items(&found.Lines); x.o.Ahead != nil {
		res.Items = x.o.Ahead(res.Items)
		return nil
	}
	for p := range again {
		res.Totals[p].Count -= again[p].Count
		res.Totals[p].Sum -= again[p].Sum
	}
	res.Closed, res.Carried = j.closed, j.pool.left(res.Day)
	res.Agreed = res.Totals[Journal]
	seen := map[*Line]bool{}
	for i := range res.Items {
		if l := res.Items[i].Lines[Journal]; l.counts(Journal) && !seen[l] && res.Items[i].Grade != Warned {
			seen[l] = true
			res.Agreed.Count--
			res.Agreed.Sum -= l.net(Journal)
		}
	}
	if res.sane() {
		res.conclude()
	}
	return nil
}

// preview says how far those agree who are here.
func (x *run) preview(ctx context.Context) error {
	var with [parties]bool
	var p Party
	n := 0
	for q := MIS; q < parties; q++ {
		if x.tables[q] != nil {
			with[q], p = true, q
			n++
		}
	}
	if n != 1 || x.tables[Journal] == nil {
		return nil
	}
	found, on, err := x.sift(ctx, with)
	if err != nil {
		return err
	}
	j := Judge{Matrix: x.o.Matrix, Has: with, Day: x.res.Day, On: on}
	items, _ := j.Items(&found.Lines)
	x.res.Totals = found.Totals
	x.res.Preview = &Preview{With: p, Apart: len(items), Agreed: found.Totals[Journal].Count}
	for i := range items {
		if items[i].Lines[Journal].counts(Journal) {
			x.res.Preview.Agreed--
		}
	}
	return nil
}
