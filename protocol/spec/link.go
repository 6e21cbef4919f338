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
	root      *yaml.Node     // what it was read from, with what it extends
	ID        string         `yaml:"id"`          // required: its name in configuration, logs and reports
	Title     string         `yaml:"title"`       // name of the interface document
	Transport string         `yaml:"transport"`   // required: one of tcp, http
	Mode      string         `yaml:"mode"`        // transport tcp: one of persistent (default), one-shot; one-shot: one message per connection, closed after the reply; without length and end bytes the message ends when its sender shuts down its side
	Frame     frame.Options  `yaml:"frame"`       // required: how messages are cut from the stream
	Answer    *frame.Options `yaml:"reply_frame"` // the same for replies, when they differ
	HTTP      HTTP           `yaml:"http"`        // transport http: content type and headers
	Codecs    `yaml:",inline"`
	Auth      Auth        `yaml:"auth"`        // how it is proved who sent a message
	Envelope  Envelope    `yaml:"envelope"`    // how bodies are encrypted
	Identity  Identity    `yaml:"identity"`    // required: what makes a message the same message
	Relay     bool        `yaml:"relay"`       // tracks, PIN block and other secrets of the card that messages map go on to a host, in memory only; else they are dropped when a message is read
	Funds     string      `yaml:"funds"`       // required: one of taken, untaken; has the sender taken the customer's money before it sends
	Authority string      `yaml:"authority"`   // required: one of bank, biller; whose word decides a correction
	Allow     []string    `yaml:"allow"`       // required: operations the sender may ask for
	Limits    Limits      `yaml:"limits"`      // required: what a sender can make the gateway do
	Timeouts  Timeouts    `yaml:"timeouts"`    // required: how long an answer may take
	Key       Correlation `yaml:"correlation"` // shared connections: which reply answers which request
	Codes     []Code      `yaml:"codes"`       // the response codes, both ways
	Messages  []Message   `yaml:"messages"`    // required: the transactions
}

// HTTP names the headers and the content type of an HTTP link.
type HTTP struct {
	Headers     Pairs  `yaml:"headers"`      // head value: name of the header
	ContentType string `yaml:"content_type"` // of requests and replies
}

// Codecs holds the layout of the messages; exactly one is set.
type Codecs struct {
	ISO8583   *iso8583.Spec         `yaml:"iso8583"`   // ISO 8583; one table serves both directions
	Fixed     *Pair[fixed.Spec]     `yaml:"fixed"`     // fields of fixed widths
	Delimited *Pair[delimited.Spec] `yaml:"delimited"` // fields kept apart by a separator
	JSON      *Pair[markup.Spec]    `yaml:"json"`      // JSON objects
	XML       *Pair[markup.Spec]    `yaml:"xml"`       // XML elements
	KV        *Pair[markup.Spec]    `yaml:"kv"`        // name=value pairs
	FML       *Pair[fml.Spec]       `yaml:"fml"`       // printed FML32 buffers of Tuxedo
}

// Name returns the key of the layout that is set, "" when none is.
func (c *Codecs) Name() string {
	for name, set := range map[string]bool{"iso8583": c.ISO8583 != nil, "fixed": c.Fixed != nil, "delimited": c.Delimited != nil,
		"json": c.JSON != nil, "xml": c.XML != nil, "kv": c.KV != nil, "fml": c.FML != nil} {
		if set {
			return name
		}
	}
	return ""
}

// Pair is a layout for each direction.
type Pair[S any] struct {
	Request S `yaml:"request"` // from the sender
	Reply   S `yaml:"reply"`   // to the sender
}

// Auth says how messages are proved and by which roles.
type Auth struct {
	Signature *secure.SignatureOptions `yaml:"signature"` // SM2 signature or SM3 digest with a shared secret, beside the body or in a field of it
	MAC       *secure.MACOptions       `yaml:"mac"`       // message authentication code with keys agreed at sign-on, in a field; not together with signature
	Hidden    *secure.HiddenOptions    `yaml:"hidden"`    // fields that are encrypted one by one
	Sender    string                   `yaml:"sender"`    // role that signs requests
	Answerer  string                   `yaml:"answerer"`  // role that signs replies
}

// Envelope says how bodies are wrapped and by which roles; at most one of seal,
// session and cipher. The signature of auth is of the body within: sign, then
// encrypt. Encrypt, then sign is the signature of outer.
type Envelope struct {
	Seal     *secure.SealOptions    `yaml:"seal"`     // SM2 signature and SM4-GCM around the body
	Session  *secure.SessionOptions `yaml:"session"`  // HMAC-SM3 and SM4-GCM under keys that the sender draws now and then and sends by SM2
	Cipher   *secure.CipherOptions  `yaml:"cipher"`   // SM4 in a mode of the bank's choice, by itself or in a digital envelope
	Outer    *Outer                 `yaml:"outer"`    // with cipher: a document that carries the encrypted body in a field
	Sender   string                 `yaml:"sender"`   // role that signs requests and receives replies
	Answerer string                 `yaml:"answerer"` // role that signs replies and receives requests
}

// Outer is a document around the encrypted body; exactly one of json, xml and
// kv is set.
type Outer struct {
	JSON      *Pair[markup.Spec]       `yaml:"json"`      // JSON objects
	XML       *Pair[markup.Spec]       `yaml:"xml"`       // XML elements
	KV        *Pair[markup.Spec]       `yaml:"kv"`        // name=value pairs
	Data      string                   `yaml:"data"`      // required: field that holds the encrypted body
	Key       string                   `yaml:"key"`       // field that holds the key of a digital envelope; empty: it stands in front of the data
	Set       Pairs                    `yaml:"set"`       // field: constant; written, and demanded when read
	Signature *secure.SignatureOptions `yaml:"signature"` // of this document, by the sender or answerer of the envelope: encrypt, then sign
}

// Identity says how the idempotency key of a message is built.
type Identity struct {
	Institution string   `yaml:"institution"`  // the bank, shared by all of its links
	SerialScope string   `yaml:"serial_scope"` // how long a serial is unique: one of sender-date (within the sender's date), batch (within its batch), none (it never repeats)
	Scope       []string `yaml:"scope"`        // business fields that serials are unique within, for example terminal and merchant
	Biller      string   `yaml:"biller"`       // the utility, when the wire names none
}

// Limits bound what a sender can make the gateway do.
type Limits struct {
	MaxAmount string `yaml:"max_amount"`  // of one payment, in yuan with two decimals
	InFlight  int    `yaml:"in_flight"`   // messages being answered at once
	Refusals  int    `yaml:"refusals"`    // messages being refused at once beyond that
	Conns     int    `yaml:"connections"` // open at once
	Ordered   bool   `yaml:"ordered"`     // the sender expects replies in order
	Terminals int    `yaml:"terminals"`   // signed on at once
}

// Timeouts of one message, from the inside out.
type Timeouts struct {
	Channel  time.Duration `yaml:"channel"`  // the gateway answers within
	Terminal time.Duration `yaml:"terminal"` // the sender gives up after; longer than channel
}

// Correlation names the wire values that tell which request a reply on a
// shared connection answers.
type Correlation struct {
	Request []string `yaml:"request"` // wire fields of the request
	Reply   []string `yaml:"reply"`   // wire fields of the reply, in the same order
}

// Code is one row of the response-code table.
type Code struct {
	Code    string `yaml:"code"`    // the gateway's code
	Wire    string `yaml:"wire"`    // the response code of the interface
	Verdict string `yaml:"verdict"` // one of approved, declined, unknown; empty: as the code means
	Text    string `yaml:"text"`    // written beside the code; empty: the gateway's own text
}

// Message is one transaction.
type Message struct {
	Name    string    `yaml:"name"`    // what the interface document calls it
	Op      string    `yaml:"op"`      // the operation it asks for
	Of      string    `yaml:"of"`      // what the original is that it names: one of pay (default), cancel, refund
	Request Direction `yaml:"request"` // how it is told apart, and where its values stand
	Reply   Direction `yaml:"reply"`   // the same of its reply
}

// Direction is how a request or a reply is recognised, written and read.
type Direction struct {
	When  Pairs  `yaml:"when"`  // wire field: constant; tells messages apart on the way in, is written on the way out
	Map   Moves  `yaml:"map"`   // business field: wire field
	Maybe Moves  `yaml:"maybe"` // the same, may be absent
	Echo  Echoes `yaml:"echo"`  // replies: wire fields taken from the request; {reply field: request field} where their names differ
	Bills *Loop  `yaml:"bills"` // the repeated group that holds bills
}

// Echo is a wire field of a reply that is taken from the request.
type Echo struct{ To, From string }

// Echoes are the wire fields that a reply takes from its request.
type Echoes []Echo

// UnmarshalYAML accepts names, and "reply field: request field".
func (e *Echoes) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.SequenceNode {
		return &conf.Located{Line: n.Line, Key: "echo", Err: errors.New("want a list of fields")}
	}
	for _, one := range n.Content {
		if one.Kind == yaml.ScalarNode {
			*e = append(*e, Echo{one.Value, one.Value})
			continue
		}
		if err := eachPair(one, func(k, v *yaml.Node) error {
			if v.Kind != yaml.ScalarNode {
				return &conf.Located{Line: v.Line, Key: k.Value, Err: errors.New("want a field of the request")}
			}
			*e = append(*e, Echo{k.Value, v.Value})
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Loop ties a repeated group of the wire to bills.
type Loop struct {
	Group string `yaml:"group"` // the loop
	Map   Moves  `yaml:"map"`   // bill field: wire field of the group
	Maybe Moves  `yaml:"maybe"` // the same, may be absent
	Set   Pairs  `yaml:"set"`   // wire field of the group: constant; written, not looked at when read
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
	At    string            `yaml:"at"`    // the wire field, or @name for a value beside the body
	Unit  string            `yaml:"unit"`  // amounts: one of fen (default), yuan, li
	Date  string            `yaml:"date"`  // how a date, a time or a month is written, in letters: YYYYMMDD, MMDD, YYYY-MM-DD, hhmmss, YYYY-MM-DDThh:mm:ssZ (f: fraction of a second; Z at the end: zone as +08:00, z as +0800; one letter: a number without leading zeros, YYYY/M/D h:mm or hmmss), or unix, unix-ms (since 1970); date and time may name the same wire field
	Tail  int               `yaml:"tail"`  // write only the last n characters
	Dict  map[string]string `yaml:"dict"`  // wire value: business value; another value is refused, but as the code of a reply it is unknown
	Other string            `yaml:"other"` // with dict: business value of every wire value that is not listed; only read. Not for codes, amounts, dates and what makes a payment the same payment
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
		if err := do(k, target(n.Content[i+1])); err != nil {
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

func decode(name string, n *yaml.Node) (*Link, error) {
	l := &Link{name: name, root: n}
	if err := conf.Decode(n, l); err != nil {
		return nil, conf.InFile(name, err)
	}
	if err := l.Check(); err != nil {
		return nil, conf.InFile(name, l.located(err))
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
	case l.Mode != "" && l.Mode != "persistent" && (l.Mode != "one-shot" || l.Transport != "tcp"):
		return fmt.Errorf("mode: want persistent, or one-shot with transport tcp, got %q", l.Mode)
	case l.Transport == "http" && (l.Frame.Answers() || l.Answer != nil && l.Answer.Answers()):
		return errors.New("keep_alive: answer is for transport tcp")
	case (l.Frame.Length.At != nil || l.Answer != nil && l.Answer.Length.At != nil) && (l.Auth != Auth{} || l.Envelope != Envelope{}):
		return errors.New("frame.length.at: what is filled in when a message is written cannot be signed or encrypted before")
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
	if err := l.checkProofs(); err != nil {
		return err
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

// OneShot reports whether a connection carries one message.
func (l *Link) OneShot() bool { return l.Mode == "one-shot" }

// Endless reports whether nothing in a message says where it ends: its stream
// has to.
func (l *Link) Endless() bool {
	return (l.Frame.Length.Kind == "" || l.Frame.Length.Kind == "none") && l.Frame.End == ""
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
