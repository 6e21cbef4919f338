// Package app builds, starts and stops the daemon. It is the only place that
// joins the packages: what serve runs, what check loads and what the demo
// starts are the same value.
package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"qianzhi/adapters/posp"
	"qianzhi/conf"
	"qianzhi/gateway/calendar"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/spec"
	"qianzhi/protocol/transport"
	"qianzhi/reconcile/alert"
)

// Config is the whole configuration file, decoded and checked.
type Config struct {
	file      *conf.File
	Node      Node
	Calendar  calendar.Options
	Journal   Journal
	Keys      []KeyFile
	Links     []LinkOptions
	Hosts     []HostOptions
	MIS       MIS
	Routes    []RouteOptions
	Policy    Policy
	Reconcile Reconcile
	Alerts    alert.Options
	Limits    Limits
	Notices   []NoticeOptions
	Pickups   []PickupOptions

	Dispatches []DispatchOptions
	Batches    []BatchOptions
	Admin      Admin
}

// Node is the process itself.
type Node struct {
	ID       uint8         `yaml:"id"`
	Data     string        `yaml:"data"`      // folder of journal, ledger and reports
	Drain    time.Duration `yaml:"drain"`     // for requests under way at the end
	LogLevel string        `yaml:"log_level"` // debug, info, warn or error
}

// Check reports the first setting that cannot work.
func (n *Node) Check() error {
	var level slog.Level
	switch {
	case n.ID == 0 || n.ID > 99:
		return errors.New("id: want 1 to 99")
	case n.Data == "":
		return errors.New("data: missing")
	case n.Drain <= 0:
		return errors.New("drain: must be positive")
	}
	if err := level.UnmarshalText([]byte(n.LogLevel)); err != nil {
		return fmt.Errorf("log_level: want debug, info, warn or error, got %q", n.LogLevel)
	}
	return nil
}

// Journal is where events go and under which keys.
type Journal struct {
	DupDays    int    `yaml:"dup_days"`
	MaxPending int    `yaml:"max_pending"`
	SealKey    string `yaml:"seal_key"`  // name of an SM4 key
	IndexKey   string `yaml:"index_key"` // name of an SM4 key
	SignKey    string `yaml:"sign_key"`  // name of an SM2 key
}

// Check reports the first setting that cannot work.
func (j *Journal) Check() error {
	switch {
	case j.DupDays < 2:
		return errors.New("dup_days: want at least 2")
	case j.MaxPending <= 0:
		return errors.New("max_pending: must be positive")
	case j.SealKey == "" || j.IndexKey == "" || j.SignKey == "":
		return errors.New("seal_key: index_key and sign_key are needed as well")
	}
	return nil
}

// HostOptions is a counterparty and what it promised.
type HostOptions struct {
	ID         string            `yaml:"id"`
	File       string            `yaml:"file"` // link file
	Dial       string            `yaml:"dial"`
	Keys       map[string]string `yaml:"keys"`
	Conns      int               `yaml:"connections"`
	Queue      int               `yaml:"queue"`
	Connect    time.Duration     `yaml:"connect"`
	Timeout    time.Duration     `yaml:"timeout"`
	LateWindow time.Duration     `yaml:"late_window"`
	Backoff    time.Duration     `yaml:"backoff"`
	Ceiling    time.Duration     `yaml:"ceiling"`
	Status     string            `yaml:"status"`     // by-serial or none
	Dedupe     string            `yaml:"dedupe"`     // yes or no
	UndoTells  string            `yaml:"undo_tells"` // yes or no
	UndoMarks  string            `yaml:"undo_marks"` // yes or no
	UndoDays   int               `yaml:"undo_days"`
	RefundDays int               `yaml:"refund_days"`
	Poll       time.Duration     `yaml:"poll"`      // between queries while the sender waits for a pending answer, 0: none
	Terminals  []posp.Terminal   `yaml:"terminals"` // of ours at a card centre; empty: the host is none
	Echo       time.Duration     `yaml:"echo"`      // a card centre: between line tests, 0: none
	Settle     Settlement        `yaml:"settle"`    // a card centre: when batches are settled
	PIN        string            `yaml:"pin"`       // a card centre: relay (the default) or translate
	TLS        transport.Options `yaml:"tls"`
	Way        `yaml:",inline"`
}

// Check reports the first setting that cannot work.
func (h *HostOptions) Check() error {
	if err := h.Way.Check(); err != nil {
		return err
	}
	if h.Kind == "sql" && h.Queue == 0 {
		h.Queue = h.Conns
	}
	switch {
	case h.ID == "" || h.File == "" || h.Dial == "" && h.Kind != "sql":
		return errors.New("id: file and dial are needed as well")
	case h.Conns <= 0 || h.Queue <= 0 || h.Connect <= 0 || h.Timeout <= 0 || h.LateWindow < h.Timeout:
		return errors.New("timeout: connections, queue, connect and timeout must be positive, late_window at least timeout")
	case h.Status != "by-serial" && h.Status != "none":
		return fmt.Errorf("status: want by-serial or none, got %q", h.Status)
	case h.Dedupe != "yes" && h.Dedupe != "no" || h.UndoMarks != "yes" && h.UndoMarks != "no" || h.UndoTells != "yes" && h.UndoTells != "no":
		return errors.New("dedupe: want yes or no, and so for undo_tells and undo_marks")
	case h.PIN != "" && (h.PIN != "relay" && h.PIN != "translate" || len(h.Terminals) == 0):
		return fmt.Errorf("pin: want relay or translate, at a host with terminals, got %q", h.PIN)
	case h.UndoDays < 0 || h.RefundDays < 0 || h.Poll < 0:
		return errors.New("undo_days: must not be negative, nor refund_days and poll")
	case h.Poll > 0 && h.Status != "by-serial":
		return errors.New("poll: needs status: by-serial")
	}
	if err := h.TLS.Check(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	return h.Settle.Check(len(h.Terminals))
}

// MIS is the embedded marketing system.
type MIS struct {
	Embedded bool              `yaml:"embedded"`
	File     string            `yaml:"file"` // link file of its door
	Listen   string            `yaml:"listen"`
	Keys     map[string]string `yaml:"keys"`
	Dedupe   bool              `yaml:"dedupe"`
	Doors    []MISDoor         `yaml:"doors"` // more ways in
}

// RouteOptions says where payments of some accounts go and which legs they
// have.
type RouteOptions struct {
	ID       string       `yaml:"id"`
	Links    []string     `yaml:"links"`
	Prefix   string       `yaml:"prefix"`
	Biller   string       `yaml:"biller"`
	Ops      []string     `yaml:"ops"`     // pay, card-pay, advance; empty: any
	Product  string       `yaml:"product"` // advance: what is paid beyond the arrears is 预存; empty: nothing may be
	Max      string       `yaml:"max"`     // of one payment in yuan, empty: the link's own limit
	Legs     []LegOptions `yaml:"legs"`
	Ask      string       `yaml:"ask"` // host that answers queries of arrears, empty: that of the posting, else of the card sale
	InFlight int64        `yaml:"in_flight"`
}

// LegOptions is one external effect of a payment and the host it goes to.
type LegOptions struct {
	Leg  string `yaml:"leg"` // post, charge or card
	Host string `yaml:"host"`
}

// Policy is what happens to payments in doubt.
type Policy struct {
	Gaps    []time.Duration `yaml:"gaps"`
	Tries   uint16          `yaml:"tries"`
	ParkFor time.Duration   `yaml:"park_for"`
	Owner   string          `yaml:"owner"`
	Workers int             `yaml:"workers"`
}

// Check reports the first setting that cannot work.
func (p *Policy) Check() error {
	if len(p.Gaps) == 0 || p.Tries == 0 || p.ParkFor <= 0 || p.Owner == "" || p.Workers <= 0 {
		return errors.New("gaps: tries, park_for, owner and workers are needed as well")
	}
	for _, g := range p.Gaps {
		if g <= 0 {
			return errors.New("gaps: must be positive")
		}
	}
	return nil
}

// Load reads and checks a configuration file as serve does. Nothing is
// started.
func Load(name string) (*Config, error) {
	f, err := conf.Open(name)
	if err != nil {
		return nil, err
	}
	c := &Config{file: f}
	for _, s := range []struct {
		name string
		opts any
	}{{"node", &c.Node}, {"calendar", &c.Calendar}, {"journal", &c.Journal}, {"keys", &c.Keys}, {"links", &c.Links}, {"hosts", &c.Hosts},
		{"mis", &c.MIS}, {"routes", &c.Routes}, {"policy", &c.Policy}, {"reconcile", &c.Reconcile}, {"alerts", &c.Alerts}, {"limits", &c.Limits}, {"notices", &c.Notices}, {"pickups", &c.Pickups}, {"dispatches", &c.Dispatches}, {"batches", &c.Batches}, {"admin", &c.Admin}} {
		if err := f.Section(s.name, s.opts); err != nil {
			return nil, err
		}
	}
	if err := f.Unused(); err != nil {
		return nil, err
	}
	c.Alerts.Resolve(c.Path)
	for i := range c.Links {
		if err := c.Links[i].Check(); err != nil {
			return nil, f.Wrong(err, "links", i)
		}
	}
	for i := range c.Hosts {
		if err := c.Hosts[i].Check(); err != nil {
			return nil, f.Wrong(err, "hosts", i)
		}
	}
	return c, nil
}

// Days reads the holidays and builds the calendar.
func (c *Config) Days() (*calendar.Calendar, error) {
	cal, err := calendar.New(c.Calendar)
	if err != nil || c.Calendar.Holidays == "" {
		return cal, err
	}
	name := c.Path(c.Calendar.Holidays)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("holidays: %w", err)
	}
	h, err := calendar.ParseHolidays(name, b)
	if err != nil {
		return nil, fmt.Errorf("holidays: %w", err)
	}
	return cal.With(h), nil
}

// Path resolves a name relative to the configuration file.
func (c *Config) Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.file.Dir(), name)
}

// data resolves a name relative to the data folder.
func (c *Config) data(name ...string) string {
	return filepath.Join(append([]string{c.Path(c.Node.Data)}, name...)...)
}

// link reads a link file.
func (c *Config) link(file string) (*spec.Link, error) {
	return spec.Load(c.Path(file), os.ReadFile)
}

// legKinds are the legs that the engine drives.
var legKinds = map[string]pay.LegKind{"post": pay.LegPost, "charge": pay.LegCharge, "card": pay.LegCard}

// Socket returns the path of the admin socket.
func (c *Config) Socket() string { return c.data(c.Admin.Socket) }

// Reports returns the folder of the reconciliation reports.
func (c *Config) Reports() string { return c.data("recon") }
