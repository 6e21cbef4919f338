package app

import (
	"errors"
	"time"

	"qianzhi/reconcile/alert"
)

// clock is a time of day.
type clock = alert.Clock

// Reconcile is the night run and the watch for late files after it.
type Reconcile struct {
	Cron     string           `yaml:"cron"` // five fields, in the calendar's zone
	Inbox    string           `yaml:"inbox"`
	Look     time.Duration    `yaml:"look"`  // between looks for files that are late or replaced
	Due      clock            `yaml:"due"`   // when a file is overdue, on the morning after its day
	Until    clock            `yaml:"until"` // when the looks end; later files are taken by hand
	Ahead    time.Duration    `yaml:"ahead"` // between comparisons of the running day, and how old a payment has to be for them; 0: none
	Auto     Automatic        `yaml:"automatic"`
	Channels []ChannelOptions `yaml:"channels"`
}

// maxAhead bounds the time between looks at a day that is not over.
const maxAhead = time.Hour

// Check fills in what may be left out and reports the first setting that cannot
// work.
func (r *Reconcile) Check() error {
	if r.Look == 0 {
		r.Look = 5 * time.Minute
	}
	if r.Due == 0 {
		r.Due = 6 * 60
	}
	if r.Until == 0 {
		r.Until = 12 * 60
	}
	if r.Auto.unset() {
		r.Auto = usually()
	}
	if r.Ahead != 0 && (r.Ahead < time.Minute || r.Ahead > maxAhead) {
		return errors.New("ahead: want 1m to 1h, or 0s for none")
	}
	if r.Look < time.Second || r.Look > time.Hour {
		return errors.New("look: want 1s to 1h")
	}
	return nil
}

// ChannelOptions is a set of links that are reconciled together.
type ChannelOptions struct {
	ID      string     `yaml:"id"`
	Links   []string   `yaml:"links"`
	MIS     string     `yaml:"mis"`        // statement specification, empty: takes no part
	Query   string     `yaml:"mis_query"`  // host that is asked for the list of the MIS, in lines of mis, instead of its file; empty: none
	Totals  string     `yaml:"mis_totals"` // always: its totals are asked for before its list; differ: and the list only if they are not ours; empty: no totals
	Doors   []string   `yaml:"mis_doors"`  // further hosts that are doors of the same system: its totals count what went there as well
	Bank    string     `yaml:"bank"`       // statement specification, empty: takes no part
	Card    string     `yaml:"card"`       // statement specification of the card-meter system, empty: takes no part
	MISDue  clock      `yaml:"mis_due"`    // instead of due
	BankDue clock      `yaml:"bank_due"`   // instead of due
	CardDue clock      `yaml:"card_due"`   // instead of due
	Deliver []Delivery `yaml:"deliver"`    // our own check files
	Auto    *Automatic `yaml:"automatic"`  // instead of reconcile.automatic
	Word    string     `yaml:"authority"`  // bank (the default) or biller: whose books decide the direction of a correction

	Keys map[string]string `yaml:"keys"` // for the roles that the specifications' signatures name
}
