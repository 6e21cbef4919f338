// Package night reconciles a day on files alone, without a daemon, and holds
// the drill that proves every decision with a day made for it.
package night

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/secure"
	"qianzhi/reconcile"
	"qianzhi/reconcile/report"
	"qianzhi/reconcile/statement"
)

// Files is a day as files.
type Files struct {
	Day     pay.Day
	Channel string
	Out     string                     // folder of the reports
	Names   map[reconcile.Party]string // files; a party without one takes no part
	Specs   map[reconcile.Party]string // specification files or the ids of shipped ones; those of usual are the default
	Cuts    map[reconcile.Party]int    // minutes
	Keys    secure.Keys
}

// usual are the specifications that a party's file is read by.
func usual(p reconcile.Party) string {
	return [...]string{"journal-lines", "mis-lines", "bank-lines", "mis-lines"}[p]
}

// Matrix returns the decision tables that ship.
func Matrix() (*reconcile.Matrix, error) {
	b, err := conf.Files.ReadFile("recon-matrix.json")
	if err != nil {
		return nil, err
	}
	return reconcile.ParseMatrix(b)
}

// Spec reads a specification: a file, or a shipped one by its id.
func Spec(name string) (*statement.Spec, error) {
	b, err := os.ReadFile(name)
	if err != nil && !strings.ContainsAny(name, `/\.`) {
		if b, err = conf.Files.ReadFile(path.Join("statements", name+".yaml")); err != nil {
			return nil, fmt.Errorf("没有规格 %q: 应为文件, 或 qianzhi recon spec list 所列之一", name)
		}
	}
	if err != nil {
		return nil, err
	}
	return statement.Parse(name, b)
}

// Run reconciles the day. The clock of the report is that of the newest file,
// so that the same files give the same bytes.
func (f *Files) Run(ctx context.Context) (*reconcile.Result, error) {
	mx, err := Matrix()
	if err != nil {
		return nil, err
	}
	if f.Names[reconcile.Journal] == "" {
		return nil, errors.New("--journal: 缺少本机流水文件")
	}
	c := reconcile.Channel{ID: f.Channel}
	at := time.Unix(0, 0)
	for _, p := range []reconcile.Party{reconcile.Journal, reconcile.MIS, reconcile.Bank, reconcile.Card} {
		name := f.Names[p]
		if name == "" {
			continue
		}
		s := f.Specs[p]
		if s == "" {
			s = usual(p)
		}
		spec, err := Spec(s)
		if err != nil {
			return nil, err
		}
		in := &statement.Inbox{Spec: spec, Name: name, Party: p, Keys: f.Keys}
		*map[reconcile.Party]*reconcile.Source{reconcile.Journal: &c.Journal, reconcile.MIS: &c.MIS, reconcile.Bank: &c.Bank, reconcile.Card: &c.Card}[p] = in
		c.Cuts[p] = f.Cuts[p]
		if st, err := os.Stat(name); err == nil && st.ModTime().After(at) {
			at = st.ModTime()
		}
	}
	if c.MIS == nil && c.Bank == nil && c.Card == nil {
		return nil, errors.New("--mis, --bank 或 --card: 至少要有对方的一个文件")
	}
	r := reconcile.New(reconcile.Options{Dir: f.Out, Matrix: mx, Channels: []reconcile.Channel{c}, Report: report.Files,
		Now: func() time.Time { return at }, Log: slog.New(slog.DiscardHandler)})
	all, err := r.Run(ctx, f.Day)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Report returns the folder of a result's version.
func (f *Files) Report(r *reconcile.Result) string {
	return filepath.Join(f.Out, r.Day.String(), r.Channel, fmt.Sprintf("r%d", r.Version))
}
