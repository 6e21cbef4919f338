package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"qianzhi/adapters/link"
	"qianzhi/adapters/posp"
	"qianzhi/adapters/soap"
	"qianzhi/adapters/socket"
	"qianzhi/adapters/sql"
	"qianzhi/adapters/tuxedo"
	"qianzhi/gateway"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/transport"
)

// Way is how a host is asked; all of it may be left out.
type Way struct {
	Kind      string        `yaml:"kind"`      // socket (default), soap, tuxedo or sql
	Mode      string        `yaml:"mode"`      // of streams: shared (default), pooled or short
	Linger    time.Duration `yaml:"linger"`    // for the late answers of calls given up, 0: a minute
	Heartbeat Heartbeat     `yaml:"heartbeat"` // of streams
	Breaker   Breaker       `yaml:"breaker"`
	SOAP      SOAP          `yaml:"soap"`
	Tuxedo    Tuxedo        `yaml:"tuxedo"`
	SQL       SQL           `yaml:"sql"`
}

// Heartbeat is the line test of a quiet connection.
type Heartbeat struct {
	Every  time.Duration `yaml:"every"`  // of silence, 0: none
	Within time.Duration `yaml:"within"` // for its answer, 0: 5s
}

// Breaker spares a host that does not answer.
type Breaker struct {
	Failures int           `yaml:"failures"` // in a row until it opens, 0: no breaker
	Rest     time.Duration `yaml:"rest"`     // until the next try, 0: 10s
}

// SOAP is a web service.
type SOAP struct {
	Version  string            `yaml:"version"`       // 1.1 (default), 1.2 or plain: XML or JSON by POST
	URL      string            `yaml:"url"`           // empty: http://dial/
	WSDL     string            `yaml:"wsdl"`          // file to check the link against, empty: none
	User     string            `yaml:"user"`          // of the user name token, empty: no token
	Password string            `yaml:"password_file"` // its first line
	Digest   bool              `yaml:"digest"`        // the password leaves digested
	Refusals map[string]string `yaml:"refusals"`      // fault code, or HTTP and status: code of ours; known to come before anything is done
}

// Tuxedo is an XATMI monitor behind a socket or REST gateway.
type Tuxedo struct {
	Buffer   string          `yaml:"buffer"`   // STRING, CARRAY or FML32 (default)
	Envelope tuxedo.Envelope `yaml:"envelope"` // of a stream
	Echo     []string        `yaml:"echo"`     // what the reply to an approved payment has to repeat: serial, amount
	Checks   bool            `yaml:"checks"`   // TPEINVAL and TPEITYPE come before a service is called
	URL      string          `yaml:"url"`      // of a REST gateway, empty: a stream
	Statuses map[int]int     `yaml:"statuses"` // HTTP status: tperrno
	Member   string          `yaml:"member"`   // of a JSON reply that holds tperrno
}

// SQL is a database.
type SQL struct {
	Script string `yaml:"script"`      // what the link's messages are in SQL
	Source string `yaml:"source"`      // data source name; {data} is the data folder
	File   string `yaml:"source_file"` // or the file that holds it
}

// Check reports the first setting that cannot work and fills in what is left
// out.
func (w *Way) Check() error {
	if w.Kind == "" {
		w.Kind = "socket"
	}
	if w.SOAP.Version == "" {
		w.SOAP.Version = string(soap.SOAP11)
	}
	if w.Tuxedo.Buffer == "" {
		w.Tuxedo.Buffer = string(tuxedo.FML32)
	}
	if w.Heartbeat.Within == 0 {
		w.Heartbeat.Within = 5 * time.Second
	}
	if w.Breaker.Rest == 0 {
		w.Breaker.Rest = 10 * time.Second
	}
	_, mode := link.ParseMode(w.Mode)
	switch {
	case w.Kind != "socket" && w.Kind != "soap" && w.Kind != "tuxedo" && w.Kind != "sql":
		return fmt.Errorf("kind: want socket, soap, tuxedo or sql, got %q", w.Kind)
	case !mode:
		return fmt.Errorf("mode: want shared, pooled or short, got %q", w.Mode)
	case w.Linger < 0 || w.Heartbeat.Every < 0 || w.Heartbeat.Within < 0 || w.Breaker.Failures < 0 || w.Breaker.Rest < 0:
		return errors.New("linger: must not be negative, nor heartbeat and breaker")
	case w.Kind == "sql" && (w.SQL.Script == "" || (w.SQL.Source == "") == (w.SQL.File == "")):
		return errors.New("sql: want script, and either source or source_file")
	}
	return nil
}

// endpoint is the near end of a host's link.
type endpoint interface {
	gateway.Adapter
	Run(ctx context.Context) error
	Up() int
}

// adapter builds the way to a host: its link, at a card centre the terminals
// that speak over it, and the breaker in front.
func (p *Plan) adapter(o HostOptions, d *door) (gateway.Adapter, error) {
	if len(o.Terminals) > 0 && o.Kind != "socket" {
		return nil, errors.New("terminals: need kind: socket")
	}
	dial, err := p.dialer(&o)
	if err != nil {
		return nil, err
	}
	var end gateway.Adapter
	switch o.Kind {
	case "soap":
		end, err = p.soap(&o, d, dial)
	case "tuxedo":
		end, err = p.tuxedo(&o, d, dial)
	case "sql":
		end, err = p.sql(&o, d)
	default:
		end, err = p.socket(&o, d, dial)
	}
	if err != nil || o.Breaker.Failures == 0 {
		return end, err
	}
	return link.NewBreaker(link.BreakerOptions{Name: o.ID, Next: end, Failures: o.Breaker.Failures, Rest: o.Breaker.Rest, Now: p.now, Log: p.log})
}

func (p *Plan) dialer(o *HostOptions) (func(context.Context) (net.Conn, error), error) {
	var wrap transport.Wrap
	if o.TLS.On() {
		var err error
		if wrap, err = o.TLS.Dial(p.Config.Path); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
	}
	return secureDial(socket.Dialer(o.Dial, o.Connect), wrap, o.Connect), nil
}

// maxReply bounds one reply of a host, in bytes.
const maxReply = 4 << 20

func (p *Plan) socket(o *HostOptions, d *door, dial func(context.Context) (net.Conn, error)) (gateway.Adapter, error) {
	mode, _ := link.ParseMode(o.Mode)
	if d.link.OneShot() {
		mode = link.Short
	}
	so := socket.Options{Name: o.ID, Dial: dial, Dialect: d.dialect, Mode: mode, Endless: d.link.OneShot() && d.link.Endless(), Conns: o.Conns, Queue: o.Queue,
		MaxIn: maxReply, Backoff: o.Backoff, Ceiling: o.Ceiling, Linger: o.Linger, Beat: o.Heartbeat.Every, Within: o.Heartbeat.Within,
		Late: p.late(o.ID), Now: p.now, Log: p.log}
	var adapter *posp.Adapter
	if len(o.Terminals) > 0 {
		so.Late = func(op pay.Op, rep pay.Reply) { adapter.LateAnswer(op, rep) }
	}
	s, err := socket.New(so)
	if err != nil {
		return nil, err
	}
	p.ends = append(p.ends, s)
	if len(o.Terminals) == 0 {
		return s, nil
	}
	po := posp.Options{Name: o.ID, Link: s, Terminals: o.Terminals, Owed: o.LateWindow, Wait: o.Timeout, Echo: o.Echo, Now: p.now, Log: p.log,
		Late: func(op pay.Op, serial string, rep pay.Reply) { p.tell(o.ID, op, serial, rep) }}
	if keys, ok := d.dialect.Request.Auth.(acceptor); ok {
		po.Accept = keys.Accept
	}
	if o.PIN == "translate" {
		po.PIN = p.translatePIN(d)
	}
	if adapter, err = posp.New(po); err != nil {
		return nil, err
	}
	p.posps = append(p.posps, centre{adapter, o.ID, o.Settle})
	return adapter, nil
}

func (p *Plan) soap(o *HostOptions, d *door, dial func(context.Context) (net.Conn, error)) (gateway.Adapter, error) {
	so := soap.Options{Name: o.ID, URL: o.SOAP.URL, Dial: dial, Dialect: d.dialect, Version: soap.Version(o.SOAP.Version), Kind: d.link.HTTP.ContentType,
		Refusals: map[string]pay.Code{}, Conns: o.Conns, MaxIn: maxReply, Linger: o.Linger, Late: p.late(o.ID), Now: p.now, Log: p.log}
	if so.URL == "" {
		so.URL = "http://" + o.Dial + "/"
	}
	heads, err := d.link.Headers()
	if err != nil {
		return nil, err
	}
	for _, h := range heads {
		so.Headers = append(so.Headers, soap.Header{Head: h.Head, Name: h.Name})
	}
	for fault, name := range o.SOAP.Refusals {
		code, ok := pay.ParseCode(name)
		if !ok {
			return nil, fmt.Errorf("soap: refusals: unknown code %q", name)
		}
		so.Refusals[fault] = code
	}
	if o.SOAP.WSDL != "" {
		if so.WSDL, err = os.ReadFile(p.Config.Path(o.SOAP.WSDL)); err != nil {
			return nil, err
		}
	}
	if o.SOAP.User != "" {
		so.Security = soap.Security{User: o.SOAP.User, Digest: o.SOAP.Digest}
		if so.Security.Password, err = p.firstLine(o.SOAP.Password); err != nil {
			return nil, fmt.Errorf("soap: password_file: %w", err)
		}
	}
	a, err := soap.New(so)
	if err == nil {
		p.ends = append(p.ends, a)
	}
	return a, err
}

func (p *Plan) tuxedo(o *HostOptions, d *door, dial func(context.Context) (net.Conn, error)) (gateway.Adapter, error) {
	mode, _ := link.ParseMode(o.Mode)
	to := tuxedo.Options{Name: o.ID, Dial: dial, Dialect: d.dialect, Buffer: tuxedo.Buffer(o.Tuxedo.Buffer), Checks: o.Tuxedo.Checks, Echo: o.Tuxedo.Echo,
		Mode: mode, Envelope: o.Tuxedo.Envelope, Queue: o.Queue, Backoff: o.Backoff, Ceiling: o.Ceiling, Beat: o.Heartbeat.Every, Within: o.Heartbeat.Within,
		URL: o.Tuxedo.URL, Statuses: map[int]tuxedo.Errno{}, Member: o.Tuxedo.Member,
		Conns: o.Conns, MaxIn: maxReply, Linger: o.Linger, Late: p.late(o.ID), Now: p.now, Log: p.log}
	for status, errno := range o.Tuxedo.Statuses {
		to.Statuses[status] = tuxedo.Errno(errno)
	}
	a, err := tuxedo.New(to)
	if err == nil {
		p.ends = append(p.ends, a)
	}
	return a, err
}

func (p *Plan) sql(o *HostOptions, d *door) (gateway.Adapter, error) {
	b, err := os.ReadFile(p.Config.Path(o.SQL.Script))
	if err != nil {
		return nil, fmt.Errorf("sql: %w", err)
	}
	script, err := sql.Parse(o.SQL.Script, b)
	if err != nil {
		return nil, err
	}
	source := strings.ReplaceAll(o.SQL.Source, "{data}", p.Config.data())
	if source == "" {
		if source, err = p.firstLine(o.SQL.File); err != nil {
			return nil, fmt.Errorf("sql: source_file: %w", err)
		}
	}
	a, err := sql.New(sql.Options{Name: o.ID, Source: source, Script: script, Dialect: d.dialect, Conns: o.Conns, Idle: time.Minute, Now: p.now})
	if err == nil {
		p.ends = append(p.ends, database{a})
	}
	return a, err
}

// database is a host that is connected to when it is asked.
type database struct{ *sql.Adapter }

// Up counts a database without connections as one: it has no reason for any.
func (d database) Up() int { return max(1, d.Adapter.Up()) }

// firstLine reads a secret from a file.
func (p *Plan) firstLine(name string) (string, error) {
	b, err := os.ReadFile(p.Config.Path(name))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
