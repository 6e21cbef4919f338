package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"qianzhi/adapters/files"
	"qianzhi/gateway/pay"
)

// FileServer is where files are fetched from or sent to, with what it wants to
// see read from files of its own.
type FileServer struct {
	files.Options `yaml:",inline"`
	Password      string `yaml:"password_file"` // its first line
	Key           string `yaml:"key_file"`      // sftp: private key, PEM
	CA            string `yaml:"ca_file"`       // ftps: who signed the server's certificate, PEM
}

// DispatchOptions is a file of ours that is sent to a server for each closed
// accounting day, from the folder in which it is made.
type DispatchOptions struct {
	ID         string `yaml:"id"`
	FileServer `yaml:",inline"`
	From       string        `yaml:"from"`   // folder of the file, under node.data or absolute
	File       string        `yaml:"file"`   // its name here and on the server; {day} stands for YYYYMMDD
	Marker     string        `yaml:"marker"` // empty file that follows it, with {day}; empty: none
	Every      time.Duration `yaml:"every"`  // between tries
	Until      clock         `yaml:"until"`  // the last try, on the morning after its day
}

// dispatch is one such file as it is sent.
type dispatch struct {
	o    DispatchOptions
	send files.Deliverer
}

// dispatches checks the files to be sent and builds their deliverers.
func (p *Plan) dispatches() error {
	for i, o := range p.Config.Dispatches {
		d, err := p.dispatch(o)
		if err != nil {
			return p.wrong(err, "dispatches", i)
		}
		p.sends = append(p.sends, d)
	}
	return nil
}

func (p *Plan) dispatch(o DispatchOptions) (*dispatch, error) {
	if o.Kind == "local" {
		o.Dir = p.Config.Path(o.Dir)
	}
	if err := o.Options.Check(); err != nil {
		return nil, err
	}
	switch {
	case o.ID == "" || o.From == "" || !strings.Contains(o.File, dayMark) || o.Marker != "" && !strings.Contains(o.Marker, dayMark):
		return nil, errors.New("file: with {day}, an id and from are needed, and {day} in a marker")
	case o.Every <= 0:
		return nil, errors.New("every: must be positive")
	}
	d := &dispatch{o: o}
	if err := p.credentials(&d.o.FileServer); err != nil {
		return nil, err
	}
	d.send = files.Deliverer{Open: d.o.Options.Open, Now: p.now, Pause: pause}
	return d, nil
}

// credentials reads what a file server wants to see from files.
func (p *Plan) credentials(s *FileServer) (err error) {
	if s.Password != "" {
		s.Options.Password, err = p.firstLine(s.Password)
	}
	for _, f := range []struct {
		name string
		to   *[]byte
	}{{s.Key, &s.Options.Key}, {s.CA, &s.Options.CA}} {
		if err == nil && f.name != "" {
			*f.to, err = os.ReadFile(p.Config.Path(f.name))
		}
	}
	return err
}

// openDispatches sends files until the daemon stops.
func (a *App) openDispatches(context.Context) error {
	for _, d := range a.plan.sends {
		a.stack.push(task{name: "dispatch " + d.o.ID, run: func(ctx context.Context) error { return a.dispatch(ctx, d) }})
	}
	return nil
}

// dispatch sends the file of each day once it is there. One that is at the
// server already with the same bytes counts as sent, so a restart sends nothing
// twice.
func (a *App) dispatch(ctx context.Context, d *dispatch) error {
	for done := pay.Day(0); ctx.Err() == nil; {
		if day := a.journal.Day().Add(-1); day != done {
			until := d.o.Until.On(day.Add(1), a.plan.cal.Location())
			tries, err := a.dispatchOne(ctx, d, day, until)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, fs.ErrNotExist) && a.plan.now().Before(until): // it is still being made
			case err != nil:
				a.log.Error("file not sent", "event", "QZ432", "dispatch", d.o.ID, "day", day.String(), "tries", tries, "err", err)
				done = day
			default:
				a.log.Info("file sent", "event", "QZ433", "dispatch", d.o.ID, "day", day.String(), "tries", tries)
				done = day
			}
		}
		_ = pause(ctx, d.o.Every) // an end shows in the condition
	}
	return nil
}

func (a *App) dispatchOne(ctx context.Context, d *dispatch, day pay.Day, until time.Time) (int, error) {
	name := func(s string) string { return strings.ReplaceAll(s, dayMark, day.String()) }
	b, err := os.ReadFile(filepath.Join(a.plan.Config.outbox(d.o.From), name(d.o.File)))
	if err != nil {
		return 0, fmt.Errorf("nothing to send: %w", err)
	}
	return d.send.Deliver(ctx, &files.Parcel{Name: name(d.o.File), Data: b, Marker: name(d.o.Marker), Every: d.o.Every, Until: until})
}
