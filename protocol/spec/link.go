// Package spec reads the YAML of a link and assembles its Dialect. It opens no
// files. What a link file may say stands in the structs of this package and of
// the codecs; nothing in Go knows a bank.
package spec

import (
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/delimited"
	"qianzhi/protocol/fixed"
	"qianzhi/protocol/fml"
	"qianzhi/protocol/frame"
	"qianzhi/protocol/iso8583"
	"qianzhi/protocol/markup"
	"qianzhi/protocol/secure"
)

// Link is a link file: the interface document of one bank or host as data.
type Link struct {
	name      string         // of the file, for errors
	ID        string         `yaml:"id"`
	Title     string         `yaml:"title"`
	Transport string         `yaml:"transport"` // tcp or http
	Frame     frame.Options  `yaml:"frame"`
	Answer    *frame.Options `yaml:"reply_frame"` // when replies are framed differently
	HTTP      HTTP           `yaml:"http"`
	Codecs    `yaml:",inline"`
	Auth      Auth        `yaml:"auth"`
	Envelope  Envelope    `yaml:"envelope"`
	Identity  Identity    `yaml:"identity"`
	Funds     string      `yaml:"funds"`     // taken or untaken: has the sender taken the customer's money
	Authority string      `yaml:"authority"` // bank or biller: whose word decides a correction
	Allow     []string    `yaml:"allow"`     // operations
	Limits    Limits      `yaml:"limits"`
	Timeouts  Timeouts    `yaml:"timeouts"`
	Key       Correlation `yaml:"correlation"`
	Codes     []Code      `yaml:"codes"`
	Messages  []Message   `yaml:"messages"`
}

// HTTP names the headers and the content type of an HTTP link.
type HTTP struct {
	Headers     Pairs  `yaml:"headers"` // head value: header name
	ContentType string `yaml:"content_type"`
}

// Codecs holds the layout of the messages; exactly one is set.
type Codecs struct {
	ISO8583   *iso8583.Spec         `yaml:"iso8583"` // serves both directions
	Fixed     *Pair[fixed.Spec]     `yaml:"fixed"`
	Delimited *Pair[delimited.Spec] `yaml:"delimited"`
	JSON      *Pair[markup.Spec]    `yaml:"json"`
	XML       *Pair[markup.Spec]    `yaml:"xml"`
	KV        *Pair[markup.Spec]    `yaml:"kv"`
	FML       *Pair[fml.Spec]       `yaml:"fml"`
}

// Pair is a layout for each direction.
type Pair[S any] struct {
	Request S `yaml:"request"`
	Reply   S `yaml:"reply"`
}

// Auth says how messages are proved and by which roles.
type Auth struct {
	Signature *secure.SignatureOptions `yaml:"signature"`
	MAC       *secure.MACOptions       `yaml:"mac"`
	Sender    string                   `yaml:"sender"`   // role that signs requests
	Answerer  string                   `yaml:"answerer"` // role that signs replies
}

// Envelope says how bodies are wrapped and by which roles.
type Envelope struct {
	Seal     *secure.SealOptions `yaml:"seal"`
	Sender   string              `yaml:"sender"`
	Answerer string              `yaml:"answerer"`
}

// Identity says how the idempotency key of a message is built.
type Identity struct {
	Institution string   `yaml:"institution"`  // shared by all links of one bank
	SerialScope string   `yaml:"serial_scope"` // sender-date, batch or none
	Scope       []string `yaml:"scope"`        // business fields, for example terminal, merchant
	Biller      string   `yaml:"biller"`       // when the wire names none
}

// Limits bound what a sender can make the gateway do.
type Limits struct {
	MaxAmount string `yaml:"max_amount"` // of one payment, in yuan with two decimals
	InFlight  int    `yaml:"in_flight"`  // messages being answered at once
	Refusals  int    `yaml:"refusals"`   // messages being refused at once beyond that
	Conns     int    `yaml:"connections"`
	Ordered   bool   `yaml:"ordered"`   // the sender expects replies in order
	Terminals int    `yaml:"terminals"` // signed on at once
}

// Timeouts of one message, from the inside out.
type Timeouts struct {
	Channel  time.Duration `yaml:"channel"`  // the gateway answers within
	Terminal time.Duration `yaml:"terminal"` // the sender gives up after
}

// Correlation names the wire values that tell which request a reply on a
// shared connection answers.
type Correlation struct {
	Request []string `yaml:"request"`
	Reply   []string `yaml:"reply"`
}

// Code is one row of the response-code table.
type Code struct {
	Code    string `yaml:"code"`
	Wire    string `yaml:"wire"`
	Verdict string `yaml:"verdict"` // approved, declined or unknown; empty: as the code means
	Text    string `yaml:"text"`    // empty: the gateway's own text
}

// Message is one transaction.
type Message struct {
	Name    string    `yaml:"name"`
	Op      string    `yaml:"op"`
	Request Direction `yaml:"request"`
	Reply   Direction `yaml:"reply"`
}

// Direction is how a request or a reply is recognised, written and read.
type Direction struct {
	When  Pairs    `yaml:"when"`  // wire field: constant
	Map   Moves    `yaml:"map"`   // business field: wire field
	Maybe Moves    `yaml:"maybe"` // the same, may be absent
	Echo  []string `yaml:"echo"`  // replies: wire fields taken from the request
	Bills *Loop    `yaml:"bills"`
}

// Loop ties a repeated group of the wire to bills.
type Loop struct {
	Group string `yaml:"group"`
	Map   Moves  `yaml:"map"`
	Maybe Moves  `yaml:"maybe"`
}

// Entry is a key and a value with the line they stand on.
type Entry struct {
	Key, Val string
	Line     int
}

// Pairs is a mapping of texts in the order of the file.
type Pairs []Entry

// UnmarshalYAML keeps order and lines, and texts such as 00 as they are.
func (p *Pairs) UnmarshalYAML(n *yaml.Node) error {
	return eachPair(n, func(k, v *yaml.Node) error {
		if v.Kind != yaml.ScalarNode {
			return &conf.Located{Line: v.Line, Key: k.Value, Err: errors.New("want a text")}
		}
		*p = append(*p, Entry{k.Value, v.Value, k.Line})
		return nil
	})
}

// Move is where a business field stands on the wire and how it is written.
type Move struct {
	Field string
	Line  int
	At    string            `yaml:"at"`
	Unit  string            `yaml:"unit"` // amounts: fen (default), yuan, li
	Date  string            `yaml:"date"` // dates: YYYYMMDD, YYMMDD, MMDD, YYYY-MM-DD
	Tail  int               `yaml:"tail"` // write only the last n characters
	Dict  map[string]string `yaml:"dict"` // wire value: business value
}

// Moves is a mapping from business fields to places on the wire.
type Moves []Move

// UnmarshalYAML accepts "amount: \"4\"" and "amount: {at: \"4\", unit: yuan}".
func (m *Moves) UnmarshalYAML(n *yaml.Node) error {
	return eachPair(n, func(k, v *yaml.Node) error {
		mv := Move{}
		if v.Kind == yaml.ScalarNode {
			mv.At = v.Value
		} else if err := conf.Decode(v, &mv); err != nil {
			return err
		}
		mv.Field, mv.Line = k.Value, k.Line
		*m = append(*m, mv)
		return nil
	})
}

func eachPair(n *yaml.Node, do func(k, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return &conf.Located{Line: n.Line, Err: errors.New("want a mapping")}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if seen[k.Value] {
			return &conf.Located{Line: k.Line, Key: k.Value, Err: errors.New("key stands twice")}
		}
		seen[k.Value] = true
		if err := do(k, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Parse reads a link file that extends no other. Errors name file, line and
// key.
func Parse(name string, b []byte) (*Link, error) {
	n, err := document(name, b)
	if err != nil {
		return nil, err
	}
	return decode(name, n)
}

// document returns the outermost node of a file.
func document(name string, b []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, conf.InFile(name, err)
	}
	if len(doc.Content) != 1 {
		return nil, conf.InFile(name, errors.New("empty"))
	}
	return doc.Content[0], nil
}

func decode(name string, n *yaml.Node) (*Link, error) {
	l := &Link{name: name}
	if err := conf.Decode(n, l); err != nil {
		return nil, conf.InFile(name, err)
	}
	if err := l.Check(); err != nil {
		return nil, conf.InFile(name, err)
	}
	return l, nil
}

// Check reports the first setting that cannot work or is missing.
func (l *Link) Check() error {
	codecs := 0
	for _, has := range []bool{l.ISO8583 != nil, l.Fixed != nil, l.Delimited != nil, l.JSON != nil, l.XML != nil, l.KV != nil, l.FML != nil} {
		if has {
			codecs++
		}
	}
	switch {
	case l.ID == "":
		return errors.New("id: missing")
	case l.Transport != "tcp" && l.Transport != "http":
		return fmt.Errorf("transport: want tcp or http, got %q", l.Transport)
	case codecs != 1:
		return fmt.Errorf("want exactly one of iso8583, fixed, delimited, json, xml, kv, fml, got %d", codecs)
	case l.Identity.Institution == "":
		return errors.New("identity.institution: missing")
	case l.Funds != "taken" && l.Funds != "untaken":
		return fmt.Errorf("funds: want taken or untaken, got %q", l.Funds)
	case l.Authority != "bank" && l.Authority != "biller":
		return fmt.Errorf("authority: want bank or biller, got %q", l.Authority)
	case l.Timeouts.Channel <= 0 || l.Timeouts.Terminal <= l.Timeouts.Channel:
		return errors.New("timeouts: want 0 < channel < terminal")
	case l.Limits.InFlight <= 0 || l.Limits.Conns <= 0 || l.Limits.Refusals < 0:
		return errors.New("limits: in_flight and connections must be positive")
	case len(l.Messages) == 0:
		return errors.New("messages: none")
	}
	switch protocol.SerialScope(l.Identity.SerialScope) {
	case protocol.ScopeSenderDate, protocol.ScopeBatch, protocol.ScopeNone:
	default:
		return fmt.Errorf("identity.serial_scope: want sender-date, batch or none, got %q", l.Identity.SerialScope)
	}
	if _, err := pay.ParseYuan(l.Limits.MaxAmount); err != nil {
		return errors.New("limits.max_amount: want yuan with two decimals")
	}
	_, err := l.Ops()
	return err
}

// Ops returns the allowed operations.
func (l *Link) Ops() ([]pay.Op, error) {
	ops := make([]pay.Op, 0, len(l.Allow))
	for _, name := range l.Allow {
		op, ok := pay.ParseOp(name)
		if !ok {
			return nil, fmt.Errorf("allow: unknown operation %q", name)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// Taken returns the link's funds promise.
func (l *Link) Taken() pay.Funds {
	if l.Funds == "taken" {
		return pay.Taken
	}
	return pay.Untaken
}

// MaxAmount returns the limit of one payment. Check has validated it.
func (l *Link) MaxAmount() pay.Amount {
	a, _ := pay.ParseYuan(l.Limits.MaxAmount)
	return a
}
