package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"qianzhi/adapters/files"
	"qianzhi/cmd/internal/batch"
	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
)

// BatchOptions are a utility's debit files (批扣): fetched as they come, charged
// row by row over the routes that name the batch as a link, and answered with a
// result file.
type BatchOptions struct {
	ID          string        `yaml:"id"`          // the link that its payments name, in routes and channels
	Institution string        `yaml:"institution"` // of their keys
	Biller      string        `yaml:"biller"`      // 供电单位, where the lines name none
	Spec        string        `yaml:"spec"`        // statement specification of the debit files
	Serial      []string      `yaml:"serial"`      // columns that make a row unique in its file; left out: its line
	Result      string        `yaml:"result"`      // statement specification of the result files
	Rename      Rename        `yaml:"rename"`      // how a result's name follows from its file's; left out: as the specification says
	Refusal     string        `yaml:"refusal"`     // text that says why a file was refused, with {name}; left out: none is sent
	Words       []BatchWord   `yaml:"words"`       // how the result calls outcomes; the others as the first of its status with that effect
	From        FileServer    `yaml:"from"`        // where debit files are
	Marker      string        `yaml:"marker"`      // file that says that one is complete, with {name}; left out: none does
	Trailer     string        `yaml:"trailer"`     // what its last line looks like, as for pickups
	Stable      time.Duration `yaml:"stable"`      // it must not change for so long
	To          FileServer    `yaml:"to"`          // where results go
	Every       time.Duration `yaml:"every"`       // between looks
	Max         int64         `yaml:"max"`         // bytes of a file
	Workers     int           `yaml:"workers"`     // rows under way at once; 4 by default
}

// Rename replaces a part of a name.
type Rename struct {
	From string `yaml:"from"`
	To   string `yaml:"to"`
}

// BatchWord is what a result file calls an outcome.
type BatchWord struct {
	Code string `yaml:"code"`
	Wire string `yaml:"wire"`
}

// batches checks the debit files and reads their specifications.
func (p *Plan) batches() error {
	for i := range p.Config.Batches {
		b, err := p.batch(&p.Config.Batches[i])
		if err != nil {
			return p.wrong(err, "batches", i)
		}
		p.debits = append(p.debits, b)
	}
	return nil
}

func (p *Plan) batch(o *BatchOptions) (*batch.Options, error) {
	for _, d := range p.links {
		if d.opts.ID == o.ID {
			return nil, fmt.Errorf("id: a link is called %q as well", o.ID)
		}
	}
	if o.Workers == 0 {
		o.Workers = 4
	}
	for _, f := range []string{o.Spec, o.Result} {
		if f == "" {
			return nil, errors.New("spec: result is needed as well")
		}
		if err := p.statement(f); err != nil {
			return nil, err
		}
	}
	b := &batch.Options{ID: o.ID, Institution: o.Institution, Biller: o.Biller, Spec: p.specs[o.Spec], Serial: o.Serial, Result: p.specs[o.Result],
		From: o.Rename.From, To: o.Rename.To, Refusal: o.Refusal, Workers: o.Workers, DupDays: p.Config.Journal.DupDays, Every: o.Every, Max: o.Max,
		Want: files.Want{Marker: o.Marker, Stable: o.Stable}, Dir: p.Config.data("batches", o.ID), Now: p.now, Log: p.log}
	for _, w := range o.Words {
		code, ok := pay.ParseCode(w.Code)
		if !ok {
			return nil, fmt.Errorf("words: unknown code %q", w.Code)
		}
		b.Words = append(b.Words, batch.Word{Code: code, Wire: w.Wire})
	}
	if o.Trailer != "" {
		var err error
		if b.Want.Trailer, err = regexp.Compile(o.Trailer); err != nil {
			return nil, fmt.Errorf("trailer: %w", err)
		}
	}
	for _, s := range []struct {
		key string
		at  *FileServer
	}{{"from", &o.From}, {"to", &o.To}} {
		if s.at.Kind == "local" {
			s.at.Dir = p.Config.Path(s.at.Dir)
		}
		if err := errors.Join(s.at.Options.Check(), p.credentials(s.at)); err != nil {
			return nil, fmt.Errorf("%s: %w", s.key, err)
		}
	}
	b.Store = o.From.Options.Open
	b.Fetch = files.Fetcher{Open: o.From.Options.Open, Keep: &files.Archive{Dir: p.Config.data("fetched", o.ID), Now: p.now}, Now: p.now, Pause: pause}
	b.Send = files.Deliverer{Open: o.To.Options.Open, Now: p.now, Pause: pause}
	return b, b.Check()
}

// openBatches works on debit files until the daemon stops.
func (a *App) openBatches(context.Context) error {
	for _, o := range a.plan.debits {
		own := *o
		own.Payments, own.Books = a.engine, a.journal
		own.Record = func(ctx context.Context, what, on, why string) error {
			return trail{a.journal}.Record(ctx, access.Act{By: own.ID, Door: "batch", What: what, On: on, Reason: why})
		}
		b, err := batch.New(own)
		if err != nil {
			return err
		}
		a.stack.push(task{name: "batch " + own.ID, run: b.Run})
	}
	return nil
}
