package app

import (
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile/desk"
)

// Automatic is the standing order of channels: what is done after a run without
// asking, and the limits of that and of the plans that people make.
type Automatic struct {
	Levels     []string `yaml:"levels"` // L1, LR, L3P, L3V; empty: everything is planned only
	Item       yuan     `yaml:"item"`
	Sum        yuan     `yaml:"sum"`
	Count      int      `yaml:"count"`
	Trial      int      `yaml:"trial"`       // days from a channel's first report in which everything is planned only
	Until      pay.Day  `yaml:"until"`       // last day, needed with L3P and L3V
	Unreceived bool     `yaml:"no_receipts"` // needed with L3V
	set        bool
}

// usually is the order that nobody has given: limits, and nothing done.
func usually() Automatic {
	l := desk.Usual()
	return Automatic{Item: yuan(l.Item), Sum: yuan(l.Sum), Count: l.Count, Trial: 14, set: true}
}

func (a *Automatic) unset() bool { return !a.set }

// UnmarshalYAML lays what is written over what is usual.
func (a *Automatic) UnmarshalYAML(n *yaml.Node) error {
	type plain Automatic
	p := plain(usually())
	if err := conf.Decode(n, &p); err != nil {
		return err
	}
	*a = Automatic(p)
	return nil
}

// check reports the first setting that cannot work.
func (a *Automatic) check() error {
	for i, l := range a.Levels {
		if !slices.Contains(desk.Levels(), l) || slices.Contains(a.Levels[:i], l) {
			return fmt.Errorf("levels: want each of %v at most once, got %q", desk.Levels(), l)
		}
	}
	o := a.order(&ChannelOptions{})
	switch {
	case a.Trial < 0 || a.Trial > 366:
		return errors.New("trial: want 0 to 366 days")
	case o.Moves() && a.Until == 0:
		return errors.New("until: the last day of the order is needed with L3P and L3V")
	case slices.Contains(a.Levels, desk.LevelReturn) && !a.Unreceived:
		return errors.New("no_receipts: must be true with L3V: nothing is taken back for which a receipt or an invoice was issued or supply restored")
	}
	if a.Until != 0 {
		if _, err := pay.ParseDay(a.Until.String()); err != nil {
			return fmt.Errorf("until: want YYYYMMDD: %w", err)
		}
	}
	return o.Limits.Check()
}

// order is the standing order of a channel.
func (a *Automatic) order(ch *ChannelOptions) *desk.StandingOrder {
	return &desk.StandingOrder{Channel: ch.ID, Levels: a.Levels, Trial: a.Trial, Until: a.Until,
		Limits: desk.Limits{Item: pay.Amount(a.Item), Sum: pay.Amount(a.Sum), Count: a.Count, Biller: ch.Word == "biller"}}
}

// Standing returns the standing order of a channel; one that is not configured
// has the usual one.
func (c *Config) Standing(channel string) *desk.StandingOrder {
	for i := range c.Reconcile.Channels {
		if ch := &c.Reconcile.Channels[i]; ch.ID == channel {
			if ch.Auto != nil {
				return ch.Auto.order(ch)
			}
			return c.Reconcile.Auto.order(ch)
		}
	}
	a := usually()
	return a.order(&ChannelOptions{ID: channel})
}

// yuan is an amount written in yuan with two decimals, kept in fen.
type yuan pay.Amount

// UnmarshalText reads an amount in yuan.
func (y *yuan) UnmarshalText(b []byte) error {
	a, err := pay.ParseYuan(string(b))
	if err != nil {
		return errors.New(`want yuan with two decimals, for example "500.00"`)
	}
	*y = yuan(a)
	return nil
}

// standing checks the standing orders of all channels.
func (p *Plan) standing() error {
	r := &p.Config.Reconcile
	if err := r.Auto.check(); err != nil {
		return p.wrong(err, "reconcile", "automatic")
	}
	for i := range r.Channels {
		if w := r.Channels[i].Word; w != "" && w != "bank" && w != "biller" {
			return p.wrong(fmt.Errorf("authority: want bank or biller, got %q", w), "reconcile", "channels", i)
		}
		if a := r.Channels[i].Auto; a != nil {
			if err := a.check(); err != nil {
				return p.wrong(err, "reconcile", "channels", i, "automatic")
			}
		}
	}
	return nil
}
