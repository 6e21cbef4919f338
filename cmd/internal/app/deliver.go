package app

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// Delivery is a check file of ours that a bank or the MIS gets after the cut.
type Delivery struct {
	Spec string `yaml:"spec"` // statement specification
	Dir  string `yaml:"dir"`  // under node.data, or absolute
	Key  string `yaml:"key"`  // SM2 key that signs, where the specification has a signature
}

// redeliver is how many days back a check file that is missing is made up for.
const redeliver = 7

// delivery checks that a file can be written as configured.
func (p *Plan) delivery(d Delivery) error {
	if d.Spec == "" || d.Dir == "" {
		return errors.New("spec: dir is needed as well")
	}
	if err := p.statement(d.Spec); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	s := p.specs[d.Spec]
	if _, err := s.Write(pay.Day(20260101), nil); errors.Is(err, statement.ErrGroups) {
		return fmt.Errorf("spec: %w", err)
	}
	if strings.ContainsAny(s.File(pay.Day(20260101)), "*?[") {
		return fmt.Errorf("spec: the name %q leaves something open, it cannot be written", s.Name)
	}
	if s.Signature != nil && p.ring[d.Key].Private == nil {
		return fmt.Errorf("key: want a private key, got %q", d.Key)
	}
	return nil
}

// deliver sees to it that the day's check files of ours are there. One that is
// stays as it is for ever.
func (a *App) deliver(ctx context.Context, day pay.Day) {
	for i, ch := range a.plan.Config.Reconcile.Channels {
		for _, d := range ch.Deliver {
			name, err := a.deliverOne(ctx, &a.plan.Config.Reconcile.Channels[i], d, day)
			if err != nil {
				a.log.Error("our check file is not delivered", "event", "QZ141", "day", day.String(), "channel", ch.ID, "file", name, "err", err)
			}
		}
	}
}

// redeliver makes up for check files that are missing.
func (a *App) redeliver(ctx context.Context) {
	today := a.journal.Day()
	for n := redeliver; n > 0; n-- {
		if day := today.Add(-n); a.journal.Has(day) {
			a.deliver(ctx, day)
		}
	}
}

func (a *App) deliverOne(ctx context.Context, ch *ChannelOptions, d Delivery, day pay.Day) (string, error) {
	s := a.plan.specs[d.Spec]
	return a.deliverFile(d, day, ch.ID, func() ([]byte, error) { return a.ownFile(ctx, ch, s, day) })
}

// deliverFile puts a file and what belongs to it where its receiver looks,
// unless it is there.
func (a *App) deliverFile(d Delivery, day pay.Day, of string, write func() ([]byte, error)) (string, error) {
	s := a.plan.specs[d.Spec]
	name := filepath.Join(a.plan.Config.outbox(d.Dir), s.File(day))
	b, err := os.ReadFile(name)
	made := errors.Is(err, fs.ErrNotExist)
	if made {
		if b, err = write(); err != nil {
			return name, err
		}
		err = os.MkdirAll(filepath.Dir(name), 0o750)
		for _, old := range (&source{spec: s}).companions(name) { // of a file that a kill kept from being
			err = errors.Join(err, remove(old))
		}
		if err == nil {
			err = a.companions(s, d, name, b)
		}
		if err == nil {
			err = create(name, b)
		}
	} else if err == nil {
		err = a.companions(s, d, name, b) // a kill may have come between
	}
	if err == nil && s.Marker != "" {
		err = create(beside(s.Marker, name), nil)
	}
	if err == nil && made {
		sum := sha256.Sum256(b)
		a.log.Info("our check file is delivered", "event", "QZ140", "day", day.String(), "channel", of, "file", name, "sha256", hex.EncodeToString(sum[:]))
	}
	return name, err
}

// outdated says in the log which check files of a day no longer tell what the
// journal does, because payments were decided after them. They are not changed.
func (a *App) outdated(ctx context.Context, day pay.Day) {
	for i, ch := range a.plan.Config.Reconcile.Channels {
		for _, d := range ch.Deliver {
			s := a.plan.specs[d.Spec]
			name := filepath.Join(a.plan.Config.outbox(d.Dir), s.File(day))
			have, err := os.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // deliver has said so
			}
			now, err2 := a.ownFile(ctx, &a.plan.Config.Reconcile.Channels[i], s, day)
			if err := errors.Join(err, err2); err != nil {
				a.log.Error("our check file cannot be compared", "event", "QZ141", "day", day.String(), "channel", ch.ID, "file", name, "err", err)
			} else if !bytes.Equal(have, now) {
				a.log.Warn("the journal has moved on since our check file, which is not changed", "event", "QZ142", "day", day.String(), "channel", ch.ID, "file", name)
			}
		}
	}
}

// outbox resolves the folder of a delivery.
func (c *Config) outbox(dir string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	return c.data(dir)
}

// ownFile writes a channel's day from the journal.
func (a *App) ownFile(ctx context.Context, ch *ChannelOptions, s *statement.Spec, day pay.Day) ([]byte, error) {
	freeze, err := a.journal.Freeze(ctx, day)
	if err != nil {
		return nil, err
	}
	keys := s.Keys()
	if bank := a.plan.specs[ch.Bank]; len(keys) == 0 && bank != nil {
		keys = bank.Keys()
	}
	return a.listed(ctx, s, keys, day, freeze, scope{links: ofLinks(ch.Links)})
}

// listed writes the payments of a scope as they stood at a row.
func (a *App) listed(ctx context.Context, s *statement.Spec, keys []pay.FieldID, day pay.Day, freeze uint64, of scope) ([]byte, error) {
	var rows []statement.Row
	var failed error
	read := func(yield func(*pay.Entry) bool) error { return a.journal.Lines(ctx, day, freeze, yield) }
	err := reconcile.Listed(read, func(e *pay.Entry, effect reconcile.Effect) bool {
		var in bool
		if in, failed = a.has(ctx, of, e); !in {
			return failed == nil
		}
		if r, listed := a.row(s, keys, e, effect); listed {
			rows = append(rows, r)
		}
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	return s.Write(day, rows)
}

// row is a payment's line, if the specification has one for its state. Money that
// went back by itself is listed only where lines have a direction.
func (a *App) row(s *statement.Spec, keys []pay.FieldID, e *pay.Entry, effect reconcile.Effect) (statement.Row, bool) {
	if e.Undoes() && !s.Directed() {
		return statement.Row{}, false
	}
	word, listed := stateIn(s, effect)
	if !listed {
		return statement.Row{}, false
	}
	r := statement.Row{Effect: effect, Word: word, Amount: e.Req.Amount, Out: e.Undoes(), Values: map[string]string{}}
	fields := s.Fields
	for _, rec := range s.Records {
		if rec.Role == "line" {
			fields = append(fields[:len(fields):len(fields)], rec.Fields...)
		}
	}
	for i := range fields {
		r.Values[fields[i].Name] = a.value(&fields[i], keys, e)
	}
	return r, true
}

// stateIn is the specification's word for a state of the journal. What it has
// no word for is not listed; without a status column only successes are.
func stateIn(s *statement.Spec, e reconcile.Effect) (word string, listed bool) {
	words := map[reconcile.Effect][]string{reconcile.Success: {"success", "effective"}, reconcile.Failed: {"failed", "none"}, reconcile.Open: {"open"},
		reconcile.Pending: {"pending"}, reconcile.Reversed: {"reversed", "undone"}}[e]
	if len(s.Status) == 0 {
		return words[len(words)-1], e == reconcile.Success
	}
	for _, w := range words {
		for _, st := range s.Status {
			if st.Effect == w {
				return w, true
			}
		}
	}
	return "", false
}

// value is what a column tells of a payment.
func (a *App) value(f *statement.Field, keys []pay.FieldID, e *pay.Entry) string {
	switch f.Name {
	case "reference":
		return e.ID.Serial(a.plan.Config.Node.ID)
	case "host_serial":
		return hostOf(e, pay.LegPost)
	case "key":
		return reconcile.Key(keys, func(id pay.FieldID) string { return fieldOf(e, id) })
	case "sender_time":
		if v := fieldOf(e, pay.FSenderTime); v != "" {
			return v
		}
		return e.At.Format("15:04:05")
	case "sender_date":
		if d := e.Req.Day; d != 0 && f.Format != "" {
			t := d.String()
			return strings.NewReplacer("YYYY", t[:4], "YY", t[2:4], "MM", t[4:6], "DD", t[6:]).Replace(f.Format)
		}
	case "bank_serial":
		if v := hostOf(e, pay.LegCharge); v != "" {
			return v
		}
	}
	id, ok := pay.ParseField(f.Name)
	if !ok {
		return ""
	}
	return fieldOf(e, id)
}

// hostOf is a host's own serial.
func hostOf(e *pay.Entry, kind pay.LegKind) string {
	for i := range e.Legs {
		if e.Legs[i].Kind == kind {
			return e.Legs[i].Host
		}
	}
	return ""
}

// fieldOf is a value of the payment's message.
func fieldOf(e *pay.Entry, id pay.FieldID) string {
	switch id {
	case pay.FAccount:
		return e.Req.Account
	case pay.FBiller:
		return e.Req.Biller
	case pay.FSerial:
		return e.Req.Ref.Serial
	case pay.FChannel:
		return e.Req.Via.Link
	case pay.FSenderDate:
		if e.Req.Day == 0 {
			return ""
		}
		return e.Req.Day.String()
	}
	return pay.Find(e.Req.More, id)
}

// companions writes checksum and signature, before the file they speak of.
func (a *App) companions(s *statement.Spec, d Delivery, name string, b []byte) error {
	if c := s.Checksum; c != nil {
		h := map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sm3": gm.NewSM3}[c.Kind]()
		h.Write(b)
		if err := create(beside(c.File, name), []byte(hex.EncodeToString(h.Sum(nil))+"  "+filepath.Base(name)+"\n")); err != nil {
			return err
		}
	}
	g := s.Signature
	if g == nil {
		return nil
	}
	key, user := a.plan.ring[d.Key].Private, g.User
	if user == "" {
		user = "1234567812345678"
	}
	sign := key.Sign
	if g.Form == "raw" {
		sign = key.SignRaw
	}
	sig, err := sign([]byte(user), b)
	if err != nil {
		return err
	}
	switch g.Encoding {
	case "hex":
		sig = []byte(hex.EncodeToString(sig))
	case "base64":
		sig = []byte(base64.StdEncoding.EncodeToString(sig))
	}
	return create(beside(g.File, name), sig)
}

// create writes a file that appears whole and is never replaced; one that is
// there already is left as it is.
func create(name string, b []byte) error {
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	tmp := name + ".part"
	if err := errors.Join(remove(tmp), replace(tmp, b), os.Chmod(tmp, 0o440)); err != nil {
		return err
	}
	err := os.Link(tmp, name) // fails where a file is, as a rename would not
	if err = errors.Join(err, os.Remove(tmp)); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// remove deletes a file that may be there.
func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
