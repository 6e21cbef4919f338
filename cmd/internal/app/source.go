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

	"qianzhi/adapters/mis"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

// source is one party's check file in the inbox. The embedded MIS writes its
// own file when it is asked for it, as a real one does after its cut.
type source struct {
	spec   *statement.Spec
	dir    string
	party  reconcile.Party
	ledger *mis.Ledger
	query  *query // instead of a file that arrives; nil: it does
	keys   secure.Keys
	limit  func(pay.Day) time.Time // when the day's file is overdue
}

// named are the keys of the ring by the roles that a channel names.
func (p *Plan) named(roles map[string]string) secure.Keys {
	return secure.Keys{Ring: p.ring, Roles: roles}
}

// Fetch finds the file of the day. A missing file and a wrong file are two
// different things.
func (s *source) Fetch(ctx context.Context, day pay.Day) (reconcile.Input, error) {
	switch {
	case s.query != nil:
		if err := s.query.fetch(ctx, filepath.Join(s.dir, s.spec.File(day)), day); err != nil {
			return reconcile.Input{}, err
		}
	case s.ledger != nil:
		if err := s.export(ctx, filepath.Join(s.dir, s.spec.File(day)), day); err != nil {
			return reconcile.Input{}, err
		}
	}
	from := statement.Inbox{Spec: s.spec, Dir: s.dir, Party: s.party, Keys: s.keys, Limit: s.limit}
	in, err := from.Fetch(ctx, day)
	if err == nil && s.query != nil {
		in.Open = s.query.remark(in.Open)
	}
	return in, err
}

// mark tells one state of the day's files from another: what there is, how long
// and how old. It is empty while there is nothing to take, because the file or
// the marker that declares it whole is missing, or because the source makes its
// file by itself.
func (s *source) mark(day pay.Day) (string, error) {
	if s.makes() {
		return "", nil
	}
	found, err := s.spec.Find(s.dir, day)
	if err != nil {
		return "", err
	}
	var mark strings.Builder
	for _, name := range found {
		if s.spec.Marker != "" {
			if _, err := os.Stat(beside(s.spec.Marker, name)); errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		for _, f := range append(s.companions(name), name, name+".attest") {
			info, err := os.Stat(f)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&mark, "%s %d %d\n", filepath.Base(f), info.Size(), info.ModTime().UnixNano())
		}
	}
	return mark.String(), nil
}

// arrived is when the day's file was last written; zero: there is none.
func (s *source) arrived(day pay.Day) (at time.Time, err error) {
	found, err := s.spec.Find(s.dir, day)
	for _, name := range found {
		info, err := os.Stat(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return at, err
		}
		if err == nil && info.ModTime().After(at) {
			at = info.ModTime()
		}
	}
	return at, err
}

// makes reports whether the file comes when it is asked for and not by itself.
func (s *source) makes() bool { return s.ledger != nil || s.query != nil }

// unanswered reports a list that is asked for and has not come.
func (s *source) unanswered(day pay.Day) bool {
	if s.query == nil || s.query.failed {
		return s.query != nil
	}
	found, err := s.spec.Find(s.dir, day)
	return err == nil && len(found) == 0
}

// companions are the files that belong to a check file.
func (s *source) companions(name string) (all []string) {
	if s.spec.Marker != "" {
		all = append(all, beside(s.spec.Marker, name))
	}
	if s.spec.Checksum != nil {
		all = append(all, beside(s.spec.Checksum.File, name))
	}
	if s.spec.Signature != nil {
		all = append(all, beside(s.spec.Signature.File, name))
	}
	return all
}

// beside names a file that belongs to a check file, as the specification does.
func beside(pattern, name string) string {
	base := filepath.Base(name)
	return filepath.Join(filepath.Dir(name), strings.NewReplacer("{name}", base, "{stem}", strings.TrimSuffix(base, filepath.Ext(base))).Replace(pattern))
}

func (s *source) export(ctx context.Context, name string, day pay.Day) error {
	var rows []statement.Row
	err := s.ledger.Day(ctx, day, func(p mis.Posted) bool {
		r := statement.Row{Effect: reconcile.Posted, Amount: p.Amount, Values: map[string]string{
			"reference": p.Serial, "host_serial": p.Host, "channel": p.Channel, "account": p.Account}}
		if r.Out = p.Back; p.Returned {
			r.Effect = reconcile.Undone
		}
		rows = append(rows, r)
		return true
	})
	if err != nil {
		return err
	}
	b, err := s.spec.Write(day, rows)
	if err != nil {
		return fmt.Errorf("mis check file: %w", err)
	}
	return replace(name, b)
}

// replace writes a file so that a reader sees the old or the new one, whole.
func replace(name string, b []byte) error {
	tmp := name + ".part"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}
