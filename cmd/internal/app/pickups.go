package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"qianzhi/adapters/files"
	"qianzhi/gateway/pay"
)

// PickupOptions is a file that is fetched for each closed accounting day and
// put into the inbox of the reconciliation.
type PickupOptions struct {
	ID         string `yaml:"id"`
	FileServer `yaml:",inline"`
	File       string        `yaml:"file"`    // its name on the server and in the inbox; {day} stands for YYYYMMDD
	Marker     string        `yaml:"marker"`  // file that says it is complete, with {day}; empty: none
	Trailer    string        `yaml:"trailer"` // what its last line looks like, a regular expression; a group in it is the number of lines before it
	Stable     time.Duration `yaml:"stable"`  // it must not change for so long, 0: not looked at
	Every      time.Duration `yaml:"every"`   // between looks
	Max        int64         `yaml:"max"`     // bytes
	Until      clock         `yaml:"until"`   // the last look, on the morning after its day
}

// pickup is one such file as it is looked for.
type pickup struct {
	o     PickupOptions
	fetch files.Fetcher
	ends  *regexp.Regexp
	inbox string
}

// dayMark stands for the accounting day in names.
const dayMark = "{day}"

// pickups checks the files to be fetched and builds their fetchers.
func (p *Plan) pickups() error {
	for i := range p.Config.Pickups {
		k, err := p.pickup(p.Config.Pickups[i])
		if err != nil {
			return p.wrong(err, "pickups", i)
		}
		p.picks = append(p.picks, k)
	}
	return nil
}

func (p *Plan) pickup(o PickupOptions) (*pickup, error) {
	if o.Kind == "local" {
		o.Dir = p.Config.Path(o.Dir)
	}
	if err := o.Options.Check(); err != nil {
		return nil, err
	}
	if o.ID == "" || !strings.Contains(o.File, dayMark) || o.Marker != "" && !strings.Contains(o.Marker, dayMark) {
		return nil, errors.New("file: with {day} and an id is needed, and {day} in a marker")
	}
	k := &pickup{o: o, inbox: p.Config.data(p.Config.Reconcile.Inbox)}
	var err error
	if k.ends, err = regexp.Compile(o.Trailer); err != nil || o.Trailer == "" {
		k.ends = nil
	}
	if err == nil {
		err = p.credentials(&k.o.FileServer)
	}
	if err != nil {
		return nil, err
	}
	k.fetch = files.Fetcher{Open: k.o.Options.Open, Keep: &files.Archive{Dir: p.Config.data("fetched", o.ID), Now: p.now}, Now: p.now, Pause: pause}
	return k, k.want(p.cal.Day(p.now()), time.Time{}).Check()
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *pickup) want(day pay.Day, until time.Time) *files.Want {
	name := func(s string) string { return strings.ReplaceAll(s, dayMark, day.String()) }
	return &files.Want{Name: name(k.o.File), Marker: name(k.o.Marker), Stable: k.o.Stable, Trailer: k.ends, Max: k.o.Max, Every: k.o.Every, Until: until}
}

// take fetches the file of a day until the time is up. A file that is in the
// inbox is not fetched again.
func (k *pickup) take(ctx context.Context, day pay.Day, until time.Time) (files.Got, error) {
	w := k.want(day, until)
	to := filepath.Join(k.inbox, w.Name)
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return files.Got{Outcome: files.Whole}, err
	}
	got := k.fetch.Fetch(ctx, w)
	if got.Outcome < files.Empty {
		return got, nil
	}
	return got, place(got.Path, to)
}

// place puts a copy of a file where others look for it, whole or not at all.
func place(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".arriving-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}

// openPickups fetches files until the daemon stops.
func (a *App) openPickups(context.Context) error {
	for _, k := range a.plan.picks {
		a.stack.push(task{name: "pickup " + k.o.ID, run: func(ctx context.Context) error { return a.pickUp(ctx, k) }})
	}
	return nil
}

// pickUp fetches the file of each day once the day is closed.
func (a *App) pickUp(ctx context.Context, k *pickup) error {
	for done := pay.Day(0); ctx.Err() == nil; {
		if day := a.journal.Day().Add(-1); day != done {
			got, err := k.take(ctx, day, k.o.Until.On(day.Add(1), a.plan.cal.Location()))
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil || got.Outcome < files.Empty:
				a.log.Error("file not fetched", "event", "QZ430", "pickup", k.o.ID, "day", day.String(), "outcome", got.Outcome.Chinese(), "why", got.Why, "looks", got.Looks, "err", err)
			default:
				a.log.Info("file fetched", "event", "QZ431", "pickup", k.o.ID, "day", day.String(), "outcome", got.Outcome.Chinese(), "size", got.Size, "sm3", fmt.Sprintf("%x", got.SM3))
			}
			done = day
		}
		_ = pause(ctx, k.o.Every) // an end shows in the condition
	}
	return nil
}
