package alert

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/mail"
	"net/url"
	"path/filepath"
	"slices"
	"time"
)

// Options say who is told. What is left out is not told.
type Options struct {
	Hooks   string         `yaml:"hooks"` // folder of programs named after events
	Webhook WebhookOptions `yaml:"webhook"`
	Mail    MailOptions    `yaml:"mail"`
	Ladder  Ladder         `yaml:"ladder"`
	Repeat  time.Duration  `yaml:"repeat"` // of an alarm until it is acknowledged
}

// WebhookOptions is a program that takes messages over HTTP.
type WebhookOptions struct {
	URL    string  `yaml:"url"`
	Secret string  `yaml:"secret"` // file; its text keys the HMAC over the body
	Events []Event `yaml:"events"` // left out: all
}

// MailOptions is a relay that takes messages for people.
type MailOptions struct {
	Relay      string   `yaml:"relay"` // host:port
	From       string   `yaml:"from"`
	To         []string `yaml:"to"`
	Supervisor []string `yaml:"supervisor"` // is told of pages as well
	User       string   `yaml:"user"`
	Password   string   `yaml:"password"` // file
	Events     []Event  `yaml:"events"`   // left out: alarms
}

// Check fills in what may be left out and reports the first setting that cannot
// work.
func (o *Options) Check() error {
	if o.Repeat == 0 {
		o.Repeat = time.Hour
	}
	if o.Repeat < time.Minute {
		return errors.New("repeat: want at least 1m")
	}
	if err := o.Webhook.check(); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	if err := o.Mail.check(); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	if err := o.Ladder.check(); err != nil {
		return fmt.Errorf("ladder: %w", err)
	}
	return nil
}

// Known reports the first event that is none.
func Known(events []Event) error {
	for _, e := range events {
		if !slices.Contains([]Event{FileRejected, RunFinished, VerdictChanged, Signed, Overdue, Alarm}, e) {
			return fmt.Errorf("events: unknown event %q", e)
		}
	}
	return nil
}

func (o *WebhookOptions) check() error {
	if o.URL == "" {
		return nil
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("url: want http or https and a host") // the text may hold a secret
	}
	return Known(o.Events)
}

func (o *MailOptions) check() error {
	if o.Relay == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(o.Relay); err != nil {
		return fmt.Errorf("relay: want host:port, got %q", o.Relay)
	}
	if len(o.To) == 0 {
		return errors.New("to: missing")
	}
	if (o.User == "") != (o.Password == "") {
		return errors.New("user: and password go together")
	}
	for _, a := range slices.Concat([]string{o.From}, o.To, o.Supervisor) {
		if got, err := mail.ParseAddress(a); err != nil || got.Address != a {
			return fmt.Errorf("from: %q is no plain address", a)
		}
	}
	return Known(o.Events)
}

// Resolve makes the names of files absolute.
func (o *Options) Resolve(path func(string) string) {
	for _, name := range []*string{&o.Hooks, &o.Webhook.Secret, &o.Mail.Password} {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = path(*name)
		}
	}
}

func (o *Options) sinks(log *slog.Logger) (all []sink) {
	if o.Hooks != "" {
		all = append(all, &hooks{dir: o.Hooks, limit: hookLimit, log: log})
	}
	if o.Webhook.URL != "" {
		all = append(all, newWebhook(o.Webhook))
	}
	if o.Mail.Relay != "" {
		all = append(all, &mailbox{o: o.Mail})
	}
	return all
}
