package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"qianzhi/adapters/notify"
	"qianzhi/adapters/socket"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/journal/sqlite"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/frame"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/transport"
	"qianzhi/reconcile/alert"
)

// NoticeOptions is one receiver of notices.
type NoticeOptions struct {
	ID      string          `yaml:"id"`
	Kind    string          `yaml:"kind"`     // reconnect (复电): a customer who was cut off owes nothing any more; receipt: a payment has succeeded; alert: what alerts tell of a day
	Billers []string        `yaml:"billers"`  // 供电单位 whose payments it hears of, empty: all
	Host    string          `yaml:"host"`     // reconnect: who is asked whether anything is owed
	Field   string          `yaml:"field"`    // reconnect: of its answer, says whether supply is cut; empty: it does not tell
	Values  []string        `yaml:"values"`   // reconnect: of that field for a customer who is cut off
	Events  []alert.Event   `yaml:"events"`   // alert: these, empty: all
	URL     string          `yaml:"url"`      // where notices are posted, or
	Socket  NoticeSocket    `yaml:"socket"`   // where they are sent
	SignKey string          `yaml:"sign_key"` // name of the SM2 key whose signature of the body is the header X-Signature, base64 DER; empty: none
	Timeout time.Duration   `yaml:"timeout"`  // of one delivery
	Gaps    []time.Duration `yaml:"gaps"`     // between tries, the last one repeats
	Expire  time.Duration   `yaml:"expire"`   // after the event, then it is given up
}

// NoticeSocket is a receiver that takes each notice as one frame on a connection
// of its own and acknowledges it with one.
type NoticeSocket struct {
	Dial  string            `yaml:"dial"`  // host:port
	Frame frame.Options     `yaml:"frame"` // both ways, as in link files
	Ack   string            `yaml:"ack"`   // text that an acknowledgement contains
	TLS   transport.Options `yaml:"tls"`
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
	var err error
	if t.Sender, err = p.noteSender(o); err != nil {
		return t, err
	}
	switch o.Kind {
	case "receipt":
		return t, nil
	case noteAlert:
		t.Pick = nil
		return t, alert.Known(o.Events)
	case "reconnect":
	default:
		return t, fmt.Errorf("kind: want reconnect, receipt or alert, got %q", o.Kind)
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

// noteAlert is the kind of notices that are about no payment.
const noteAlert = "alert"

// noteSender is the way to a receiver.
func (p *Plan) noteSender(o *NoticeOptions) (notify.Sender, error) {
	if o.Socket.Dial != "" {
		return p.noteSocket(o)
	}
	if u, err := url.Parse(o.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("url: want http or https, or socket with dial, got %q", o.URL)
	}
	var sign func([]byte) (string, string, error)
	if o.SignKey != "" {
		key := p.ring[o.SignKey].Private
		if key == nil {
			return nil, fmt.Errorf("sign_key: no private SM2 key %q", o.SignKey)
		}
		sign = func(body []byte) (string, string, error) {
			sig, err := key.Sign([]byte(gm.DefaultID), body)
			return "X-Signature", base64.StdEncoding.EncodeToString(sig), err
		}
	}
	return notify.NewWebhook(o.URL, &http.Transport{MaxIdleConns: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: o.Timeout, MaxResponseHeaderBytes: 16 << 10}, sign), nil
}

func (p *Plan) noteSocket(o *NoticeOptions) (notify.Sender, error) {
	switch {
	case o.URL != "":
		return nil, errors.New("socket: want url or socket, not both")
	case o.SignKey != "":
		return nil, errors.New("sign_key: a frame has no header for a signature; use tls")
	case o.Socket.Ack == "":
		return nil, errors.New("socket: ack: what an acknowledgement contains is needed")
	}
	if err := errors.Join(address(o.Socket.Dial), o.Socket.TLS.Check()); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	framer, err := frame.New(o.Socket.Frame)
	if err != nil {
		return nil, fmt.Errorf("socket: frame: %w", err)
	}
	var wrap transport.Wrap
	if o.Socket.TLS.On() {
		if wrap, err = o.Socket.TLS.Dial(p.Config.Path); err != nil {
			return nil, fmt.Errorf("socket: tls: %w", err)
		}
	}
	return &notify.Socket{Dial: secureDial(socket.Dialer(o.Socket.Dial, o.Timeout), wrap, o.Timeout), Framer: framer, Ack: o.Socket.Ack}, nil
}

// alarm tells of what happens to a day: at once and in memory to hooks, webhook
// and mailbox, and at least once to those notices that want alerts.
func (a *App) alarm(m alert.Message) {
	a.sender.Send(m)
	if a.notices == nil {
		return
	}
	for i := range a.plan.Config.Notices {
		o := &a.plan.Config.Notices[i]
		if o.Kind != noteAlert || len(o.Events) > 0 && !slices.Contains(o.Events, m.Event) {
			continue
		}
		n := notify.Notice{Kind: noteAlert, Key: noteAlert + "-" + m.ID, Day: m.Day, At: a.plan.now(), Text: m.Text, Event: string(m.Event), Level: string(m.Level), Channel: m.Channel}
		if err := a.notices.Tell(context.Background(), o.ID, n); err != nil {
			a.log.Error("alert is in no outbox", "event", "QZ422", "target", o.ID, "message", m.ID, "err", err)
		}
	}
}

// noteSamples are the figures of the notices.
func (a *App) noteSamples() (out []admin.Sample) {
	if a.notices == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	stats, err := a.notices.Stats(ctx)
	if err != nil {
		a.log.Error("notices not counted", "event", "QZ420", "err", err)
	}
	for _, s := range stats {
		out = append(out, admin.Sample{Name: "qianzhi_notices_waiting", Help: "notices that their receiver has not acknowledged", Value: float64(s.Waiting),
			Labels: [][2]string{{"target", s.Target}}})
		for fate, n := range map[string]int{"told": s.Told, "dropped": s.Dropped, "lost": s.Lost} {
			out = append(out, admin.Sample{Name: "qianzhi_notices_ended_total", Help: "notices acknowledged, not true any more, or given up", Counter: true, Value: float64(n),
				Labels: [][2]string{{"target", s.Target}, {"fate", fate}}})
		}
	}
	return out
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
	a.notices = n
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
