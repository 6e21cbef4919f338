package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"qianzhi/adapters/notify"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// NoticeOptions is one receiver of notices.
type NoticeOptions struct {
	ID      string          `yaml:"id"`
	Kind    string          `yaml:"kind"`     // reconnect (复电): a customer who was cut off owes nothing any more; receipt: a payment has succeeded
	Billers []string        `yaml:"billers"`  // 供电单位 whose payments it hears of, empty: all
	Host    string          `yaml:"host"`     // reconnect: who is asked whether anything is owed
	Field   string          `yaml:"field"`    // reconnect: of its answer, says whether supply is cut; empty: it does not tell
	Values  []string        `yaml:"values"`   // reconnect: of that field for a customer who is cut off
	URL     string          `yaml:"url"`      // where notices are posted
	SignKey string          `yaml:"sign_key"` // name of the SM2 key whose signature of the body is the header X-Signature, base64 DER; empty: none
	Timeout time.Duration   `yaml:"timeout"`  // of one delivery
	Gaps    []time.Duration `yaml:"gaps"`     // between tries, the last one repeats
	Expire  time.Duration   `yaml:"expire"`   // after the event, then it is given up
}

// notePoll is the time between looks at the journal and at what is due.
const notePoll = time.Second

// noticing checks the receivers.
func (p *Plan) noticing() error {
	for i := range p.Config.Notices {
		t, err := p.target(&p.Config.Notices[i], nil)
		if err == nil {
			err = t.Check()
		}
		if err != nil {
			return p.wrong(err, "notices", i)
		}
	}
	return nil
}

// target builds a receiver.
func (p *Plan) target(o *NoticeOptions, books notify.Books) (notify.Target, error) {
	t := notify.Target{ID: o.ID, Kind: o.Kind, Pick: notify.Posted(o.Billers...), Timeout: o.Timeout, Gaps: o.Gaps, Expire: o.Expire}
	if u, err := url.Parse(o.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return t, fmt.Errorf("url: want http or https, got %q", o.URL)
	}
	var sign func([]byte) (string, string, error)
	if o.SignKey != "" {
		key := p.ring[o.SignKey].Private
		if key == nil {
			return t, fmt.Errorf("sign_key: no private SM2 key %q", o.SignKey)
		}
		sign = func(body []byte) (string, string, error) {
			sig, err := key.Sign([]byte(gm.DefaultID), body)
			return "X-Signature", base64.StdEncoding.EncodeToString(sig), err
		}
	}
	t.Sender = notify.NewWebhook(o.URL, &http.Transport{MaxIdleConns: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: o.Timeout, MaxResponseHeaderBytes: 16 << 10}, sign)
	switch o.Kind {
	case "receipt":
		return t, nil
	case "reconnect":
	default:
		return t, fmt.Errorf("kind: want reconnect or receipt, got %q", o.Kind)
	}
	h := p.hosts[o.Host]
	if h == nil {
		return t, fmt.Errorf("host: no host %q", o.Host)
	}
	field, known := pay.ParseField(o.Field)
	if o.Field != "" && (!known || len(o.Values) == 0) {
		return t, fmt.Errorf("field: want a business field and its values, got %q", o.Field)
	}
	r := &notify.Reconnect{Node: p.Config.Node.ID, Books: books, MIS: h.Adapter, Field: field, Values: o.Values}
	t.Judge = r.Judge
	return t, nil
}

// openNotices follows the journal for those who want to hear of payments. A
// fresh outbox begins with the running day.
func (a *App) openNotices(ctx context.Context) error {
	c := a.plan.Config
	if len(c.Notices) == 0 {
		return nil
	}
	o := notify.Options{File: c.data("notices.db"), Node: c.Node.ID, Source: &changes{store: sqlite.New(c.data("journal")), j: a.journal},
		Start: notify.Position{Log: a.journal.Day()}, Poll: notePoll, Now: a.plan.now, Log: a.log}
	for i := range c.Notices {
		t, err := a.plan.target(&c.Notices[i], a.journal)
		if err != nil {
			return a.plan.wrong(err, "notices", i)
		}
		o.Targets = append(o.Targets, t)
	}
	n, err := notify.Open(ctx, o)
	if err != nil {
		return err
	}
	a.stack.push(task{name: "outbox of notices", stop: n.Close})
	a.stack.push(task{name: "notices", run: n.Run})
	return nil
}

// changes is the journal as notices follow it: the committed rows of its logs,
// read beside the writer.
type changes struct {
	store journal.Store
	j     interface {
		Get(ctx context.Context, id pay.ID) (pay.Entry, error)
	}
}

// Changes yields the rows behind a position. Of these only payments that
// succeed are of interest; the entry is as it stands now.
func (c *changes) Changes(ctx context.Context, from notify.Position, yield func(notify.Position, *pay.Entry) bool) error {
	days, err := c.store.Days(ctx) // first: a log that is not the last has all its rows
	if err != nil {
		return err
	}
	for _, day := range days {
		if day < from.Log {
			continue
		}
		after := uint64(0)
		if day == from.Log {
			after = from.Row
		}
		more, err := c.log(ctx, day, after, yield)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// log yields the rows of one log; more is false when there is no wish for
// more.
func (c *changes) log(ctx context.Context, day pay.Day, after uint64, yield func(notify.Position, *pay.Entry) bool) (more bool, err error) {
	rd, err := c.store.Reader(ctx, day)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rd.Close()) }()
	more = true
	var failed error
	err = rd.Read(ctx, journal.Range{From: after + 1, Narrow: true}, func(r *journal.Row) bool {
		var e *pay.Entry
		if r.State == pay.Succ && r.Pay != 0 {
			var now pay.Entry
			now, failed = c.j.Get(ctx, pay.ID{Day: r.Day, Row: r.Pay})
			if failed == nil {
				e = &now
			}
		}
		more = failed == nil && yield(notify.Position{Log: day, Row: r.Seq}, e)
		return more
	})
	return more, errors.Join(err, failed)
}
