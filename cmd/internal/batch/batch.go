// Package batch takes debit files of utilities (批扣): every row becomes one
// payment under a key of its own, whatever stops the process in between, and
// the result goes back as a file when every payment is final. A row that does
// not fit refuses its file, with line, byte and field; then nothing of it is
// begun.
package batch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"qianzhi/adapters/files"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile/statement"
)

// Payments is the engine as rows are given to it. A payment that is given again
// is answered from what became of it.
type Payments interface {
	Do(ctx context.Context, req *pay.Request) pay.Reply
}

// Books tells how a payment stands.
type Books interface {
	Find(ctx context.Context, ref pay.Ref) (pay.Entry, bool, error)
	Day() pay.Day
}

// Options are the parts of a Batch.
type Options struct {
	ID          string          // the link that payments of the files name
	Institution string          // of their keys
	Biller      string          // 供电单位, where the lines name none
	Spec        *statement.Spec // of the debit files
	Serial      []string        // columns that make a row unique in its file; none: its line
	Result      *statement.Spec // of the result files
	From, To    string          // a result's name is its debit file's with From replaced by To; both empty: as the specification says
	Refusal     string          // name of the text that says why a file was refused, {name} is the file's; empty: none is sent
	Words       []Word          // how the result calls outcomes
	Workers     int             // rows under way at once
	DupDays     int             // an older file is refused: its rows would not be known again
	Every       time.Duration   // between looks
	Max         int64           // bytes of a file
	Want        files.Want      // how a file is known to be complete; Name and Marker are filled in, {name} in Marker is the file's

	Dir      string // where the state of files is kept
	Store    func(ctx context.Context) (files.Store, error)
	Fetch    files.Fetcher
	Send     files.Deliverer
	Payments Payments
	Books    Books
	Record   func(ctx context.Context, what, on, why string) error // an act, durable when it returns
	Now      func() time.Time
	Log      *slog.Logger
}

// Word is what a result file calls an outcome.
type Word struct {
	Code pay.Code // of the payment
	Wire string   // in the status column
}

// Check reports the first setting that cannot work.
func (o *Options) Check() error {
	switch {
	case o.ID == "" || o.Institution == "":
		return errors.New("id: institution is needed as well")
	case o.Workers < 1 || o.Workers > maxWorkers || o.Every <= 0 || o.Max <= 0:
		return fmt.Errorf("workers: want 1 to %d; every and max must be positive", maxWorkers)
	case !o.Spec.Has("account") || !o.Spec.Has("amount"):
		return errors.New("spec: lines need account and amount")
	case !o.Result.Has("status"):
		return errors.New("result: lines need a status")
	case (o.From == "") != (o.To == "") || o.From != "" && o.From == o.To:
		return errors.New("rename: want two different texts")
	case o.From == "" && strings.ContainsAny(o.Result.File(20260101), "*?["):
		return errors.New("rename: the result's name leaves something open; say how it follows from the debit file's")
	case o.From != "" && !strings.Contains(o.Spec.Name, o.From):
		return fmt.Errorf("rename: %q does not stand in %s", o.From, o.Spec.Name)
	case o.Refusal != "" && !strings.Contains(o.Refusal, "{name}"):
		return errors.New("refusal: want {name} in it")
	}
	for _, c := range o.Serial {
		if !o.Spec.Has(c) {
			return fmt.Errorf("serial: lines have no column %q", c)
		}
	}
	if _, err := o.Result.Write(20260101, nil); errors.Is(err, statement.ErrGroups) {
		return fmt.Errorf("result: %w", err)
	}
	return o.words()
}

// words checks how outcomes are called.
func (o *Options) words() error {
	good, bad := false, false
	for _, s := range o.Result.Status {
		good, bad = good || s.Effect == "effective", bad || s.Effect == "none"
	}
	if !good || !bad {
		return errors.New("result: its status needs a word for effective and one for none")
	}
	for _, w := range o.Words {
		found := false
		for _, s := range o.Result.Status {
			found = found || s.Wire == w.Wire && (s.Effect == "effective") == (w.Code == pay.CodeOK)
		}
		if !found {
			return fmt.Errorf("words: the result's status has no %q for %s", w.Wire, w.Code)
		}
	}
	return nil
}

// maxWorkers bounds the rows under way at once.
const maxWorkers = 64

// Batch is one utility's debit files. Run owns it.
type Batch struct{ o Options }

// New builds a Batch; nothing is looked for until Run.
func New(o Options) (*Batch, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	return &Batch{o}, nil
}

// Run looks for files and works on them until ctx ends. What stays wrong is
// logged once.
func (b *Batch) Run(ctx context.Context) error {
	for last := ""; ctx.Err() == nil; {
		err := b.Once(ctx)
		switch {
		case err == nil:
			last = ""
		case ctx.Err() == nil && err.Error() != last:
			last = err.Error()
			b.o.Log.Error("debit files stand still", "event", "QZ460", "batch", b.o.ID, "err", err)
		}
		_ = b.o.Fetch.Pause(ctx, b.o.Every) // an end shows in the condition
	}
	return nil
}

// Once takes in what is new and moves every file on as far as it goes.
func (b *Batch) Once(ctx context.Context) error {
	err := b.arrivals(ctx)
	all, err2 := b.states()
	err = errors.Join(err, err2)
	for _, s := range all {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if e := b.advance(ctx, s); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.Name, e))
		}
	}
	return err
}

// arrivals fetches files that have not been seen before.
func (b *Batch) arrivals(ctx context.Context) error {
	store, err := b.o.Store(ctx)
	if err != nil {
		return err
	}
	list, err := store.List()
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	for _, at := range list {
		if _, ok := b.day(at.Name); !ok || strings.HasSuffix(at.Name, ".part") {
			continue
		}
		s, err := b.load(at.Name)
		switch {
		case err == nil && s.Size == at.Size && s.Time.Equal(at.Time):
			continue
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if err := b.take(ctx, s, at); err != nil {
			return err
		}
	}
	return nil
}

// day is the one in a file's name; ok is false for other files.
func (b *Batch) day(name string) (pay.Day, bool) { return b.o.Spec.DayOf(name, b.o.Books.Day()) }

// take fetches a file once. One of a name that was seen before with other
// content is never taken.
func (b *Batch) take(ctx context.Context, known *state, at files.Info) error {
	w := b.o.Want
	w.Name, w.Max, w.Every = at.Name, b.o.Max, b.o.Every
	w.Marker = strings.ReplaceAll(w.Marker, "{name}", at.Name)
	got := b.o.Fetch.Fetch(ctx, &w)
	sum := fmt.Sprintf("%x", got.SM3)
	switch {
	case got.Outcome < files.Empty:
		b.o.Log.Info("debit file not complete yet", "event", "QZ461", "batch", b.o.ID, "file", at.Name, "why", got.Why)
		return nil
	case known == nil:
		known = &state{Name: at.Name, SM3: sum, Copy: got.Path, Step: arrived}
	case known.SM3 != sum && known.Other != sum:
		b.o.Log.Error("debit file of a known name has other content", "event", "QZ462", "batch", b.o.ID, "file", at.Name, "sm3", sum)
		if err := b.o.Record(ctx, "批扣同名异文件", at.Name, "不受理, SM3 "+sum+", 先前 "+known.SM3); err != nil {
			return err
		}
		known.Other = sum
	}
	known.Size, known.Time = at.Size, at.Time
	return b.keep(known)
}

// advance takes a file one or more steps on.
func (b *Batch) advance(ctx context.Context, s *state) error {
	for {
		was := s.Step
		var err error
		switch s.Step {
		case arrived:
			err = b.accept(ctx, s)
		case accepted:
			err = b.charge(ctx, s)
		case refused, done:
			err = b.answer(ctx, s)
		}
		if err != nil || s.Step == was {
			return err
		}
	}
}

// result is the name of a file's result.
func (b *Batch) result(name string, day pay.Day) string {
	if b.o.From == "" {
		return b.o.Result.File(day)
	}
	return strings.Replace(filepath.Base(name), b.o.From, b.o.To, 1)
}
