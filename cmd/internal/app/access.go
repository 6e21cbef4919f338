package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"qianzhi/gateway/access"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/transport"
)

// Admin is the daemon's own door.
type Admin struct {
	Socket   string        `yaml:"socket"`       // under node.data; only the daemon's user can open it; empty: no such door
	Listen   string        `yaml:"listen"`       // address for health, metrics and people; empty: none
	Idle     time.Duration `yaml:"idle"`         // of a session; 15m by default
	Absolute time.Duration `yaml:"absolute"`     // from login to the next; 8h by default
	PerUser  int           `yaml:"per_user"`     // sessions of a user at once; 2 by default
	Age      time.Duration `yaml:"password_age"` // before it has to be changed, 0: any

	TLS transport.Options `yaml:"tls"` // of listen; without it that is a loopback address
}

// maxSessions bounds the sessions of all users.
const maxSessions = 256

// Check reports the first setting that cannot work and fills in what is left
// out.
func (a *Admin) Check() error {
	if a.Idle == 0 {
		a.Idle = 15 * time.Minute
	}
	if a.Absolute == 0 {
		a.Absolute = max(8*time.Hour, a.Idle)
	}
	if a.PerUser == 0 {
		a.PerUser = 2
	}
	if a.TLS.On() && a.TLS.CA == "" && a.TLS.Client == "" {
		a.TLS.Client = "none" // people prove themselves by password and code
	}
	if err := a.TLS.Check(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	switch {
	case a.TLS.Mode == transport.ModeTLCP:
		return fmt.Errorf("tls: browsers want mode tls")
	case a.Listen != "" && !a.TLS.On() && !admin.Loopback(a.Listen):
		return fmt.Errorf("listen: %s is not a loopback address, which needs admin.tls", a.Listen)
	case a.Idle < time.Minute || a.Absolute < a.Idle:
		return fmt.Errorf("idle: want 1m or more, and absolute at least as long")
	case a.PerUser < 1 || a.PerUser > maxSessions:
		return fmt.Errorf("per_user: want 1 to %d", maxSessions)
	case a.Age < 0:
		return fmt.Errorf("password_age: must not be negative")
	}
	return nil
}

// UserFile returns the path of the users' file.
func (c *Config) UserFile() string { return c.data("users.json") }

// Users opens the directory of users.
func (c *Config) Users(audit access.Audit) (*access.Directory, error) {
	return access.New(access.Options{File: c.UserFile(), Audit: audit, Now: time.Now, Age: c.Admin.Age})
}

// trail writes acts into the journal, where the chain holds them.
type trail struct{ j *journal.Journal }

// Record returns when the act is durable.
func (t trail) Record(ctx context.Context, a access.Act) error {
	text, err := a.Text()
	if err != nil {
		return err
	}
	return t.j.Note(ctx, &pay.Note{Kind: pay.EvAdmin, Text: text}, true)
}

// Acts lists what people did on a day, and what the journal noted of itself.
func Acts(ctx context.Context, a *journal.Archive, day pay.Day) ([]admin.Done, error) {
	list := []admin.Done{}
	err := a.Notes(ctx, day, pay.EvAdmin, func(n *journal.Noted) bool {
		act, ok := access.ParseAct(n.Note.Text)
		if !ok {
			act = access.Act{By: "-", What: "note", Reason: n.Note.Text}
		}
		list = append(list, admin.Done{Day: n.Log, Row: n.Row, At: n.At, Act: act})
		return true
	})
	return list, err
}

// acts reads the journal beside its writer.
func (a *App) acts(ctx context.Context, day pay.Day) ([]admin.Done, error) {
	if !a.journal.Has(day) {
		return nil, fmt.Errorf("没有 %s 的流水", day)
	}
	o := a.journalOptions()
	ar, err := journal.OpenArchive(ctx, sqlite.New(o.Dir), o)
	if err != nil {
		return nil, err
	}
	defer ar.Close()
	return Acts(ctx, ar, day)
}

// openAdmin opens the daemon's own door, before the banks' doors so that a
// start that hangs can be looked at.
func (a *App) openAdmin(context.Context) error {
	c := a.plan.Config
	if c.Admin.Socket == "" {
		return nil
	}
	users, err := c.Users(trail{a.journal})
	if err != nil {
		return err
	}
	sessions, err := access.NewSessions(users, access.Limits{Idle: c.Admin.Idle, Absolute: c.Admin.Absolute, PerUser: c.Admin.PerUser, All: maxSessions})
	if err != nil {
		return err
	}
	var secure *tls.Config
	if c.Admin.TLS.On() {
		if secure, err = c.Admin.TLS.ServerConfig(c.Path); err != nil {
			return fmt.Errorf("admin: tls: %w", err)
		}
	}
	s, err := admin.New(admin.Options{Socket: c.Socket(), Listen: c.Admin.Listen, TLS: secure, Control: control{a}, Audit: trail{a.journal}, Users: users,
		Sessions: sessions, Acts: a.acts, Status: a.Status, Waiting: a.waiting, Samples: a.samples, Log: a.log})
	if err != nil {
		return err
	}
	a.admin = s
	a.stack.push(task{name: "admin", run: s.Run})
	return nil
}
