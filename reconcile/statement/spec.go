// Package statement reads and writes check files by specification: a bank's or
// a utility's list of one day's payments, with the totals that prove it whole.
// A row that does not fit refuses the file.
package statement

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/text"
)

// Spec is a statement file: how one party's check file is written.
type Spec struct {
	ID        string     `yaml:"id"`
	Title     string     `yaml:"title"`
	Name      string     `yaml:"name"`      // file name, see Pattern
	Encoding  string     `yaml:"encoding"`  // utf-8, utf-8-bom, gbk, gb18030, or auto: UTF-8, else GB18030
	Delimiter string     `yaml:"delimiter"` // between columns, 1 to 8 characters; none: columns of fixed width in bytes
	Trailing  bool       `yaml:"trailing"`  // a delimiter stands after the last column too
	Quoted    bool       `yaml:"quoted"`    // columns may stand in double quotes
	LineEnd   string     `yaml:"line_end"`  // any (LF or CRLF, read), lf, crlf, or none: records follow one another
	Header    []Field    `yaml:"header"`    // of the first line
	Columns   int        `yaml:"columns"`   // lines of column names after the header, to be skipped
	Fields    []Field    `yaml:"fields"`    // of each line
	Trailer   []Field    `yaml:"trailer"`   // of the last line
	Records   []Rec      `yaml:"records"`   // further kinds of lines: groups with their own totals, lines to be skipped
	Amount    string     `yaml:"amount"`    // unit of all amounts: fen, yuan or li
	Status    []Status   `yaml:"status"`    // every value the status column may have; no such column: all lines count
	Direction []Status   `yaml:"direction"` // every value of the direction column
	Key       []string   `yaml:"key"`       // fields that make a line unique at the bank
	Original  []string   `yaml:"original"`  // of a void's line: the columns that hold its original's key, in the order of key; without key, its reference
	Extra     bool       `yaml:"extra"`     // more columns than listed may follow
	MaxLine   int        `yaml:"max_line"`  // bytes
	Empty     string     `yaml:"empty"`     // a file without lines: never (default), zero (its totals say so) or attested
	Marker    string     `yaml:"marker"`    // file whose presence says that the statement is complete; {name} is the statement's
	Unproved  bool       `yaml:"unproved"`  // the file claims nothing of itself: no totals, checksum or signature
	Checksum  *Checksum  `yaml:"checksum"`
	Signature *Signature `yaml:"signature"`

	set     text.Charset
	prog    *program
	pattern *pattern
}

// Rec is a kind of line other than the plain ones.
type Rec struct {
	Role   string  `yaml:"role"`   // header, trailer, line or skip
	Level  int     `yaml:"level"`  // 1 the file, 2 a group, 3 a group within a group
	At     string  `yaml:"at"`     // first, second, last or last-1
	Prefix string  `yaml:"prefix"` // the line begins with it
	Length int     `yaml:"length"` // the line has so many bytes
	Fields []Field `yaml:"fields"`
}

// Field is one column. A plain text in its place is its name; count and sum
// are the totals of the lines that count.
type Field struct {
	Name      string `yaml:"name"`      // business field, status, direction, or a text of no meaning
	Width     int    `yaml:"width"`     // bytes
	Type      string `yaml:"type"`      // text, digits, amount, date or time; what the name implies by default
	Unit      string `yaml:"unit"`      // of an amount, where it is not the file's
	Format    string `yaml:"format"`    // of a date or time, such as YYYYMMDD, MMDD, HHMMSS, YYYY-MM-DD HH:MM:SS; a day with a time tells both
	Pad       string `yaml:"pad"`       // one character that fills the width, a blank by default
	Align     string `yaml:"align"`     // left or right; amounts right by default
	Strip     string `yaml:"strip"`     // text before the value that is none of it
	Zeros     bool   `yaml:"zeros"`     // leading zeros are none of the value
	Sign      bool   `yaml:"sign"`      // an amount may be negative: money that goes back
	Thousands string `yaml:"thousands"` // an amount may have it before every three digits: , or '
	Const     string `yaml:"const"`     // the only value allowed
	Optional  bool   `yaml:"optional"`  // the column may be missing from the line
	Required  bool   `yaml:"required"`  // the value may not be empty
	Total     *Total `yaml:"total"`
}

// Total is a claim over the lines of the file or group.
type Total struct {
	Of        string `yaml:"of"`        // count, sum, net, hash or lines (of every kind)
	Effect    string `yaml:"effect"`    // of the lines: effective (default), undone, none, void or any
	Direction string `yaml:"direction"` // in, out or any (default)
	Field     string `yaml:"field"`     // digits that a hash total adds up
	Digits    int    `yaml:"digits"`    // of a hash total, the upper ones are dropped
}

// Status ties a value of the status or direction column to its meaning.
type Status struct {
	Wire   string `yaml:"wire"`
	Effect string `yaml:"effect"` // effective, undone, none, or void: the line takes back the one that original names; of a direction: in, out or void
}

// Checksum says where a hash over the file stands.
type Checksum struct {
	File string `yaml:"file"` // {name} is the statement's
	Kind string `yaml:"kind"` // md5, sha1, sha256 or sm3, in hex
}

// Signature says where an SM2 signature over the file stands. It is verified
// before anything in the file is believed.
type Signature struct {
	File     string `yaml:"file"`
	Key      string `yaml:"key"`      // role
	User     string `yaml:"user"`     // SM2 user id, the standard's default when empty
	Form     string `yaml:"form"`     // asn1 or raw
	Encoding string `yaml:"encoding"` // base64, hex or binary
	Unsigned bool   `yaml:"unsigned"` // a file without one is accepted with a warning
}

// UnmarshalYAML reads a field given by its name alone, too.
func (f *Field) UnmarshalYAML(n *yaml.Node) error {
	type plain Field
	if n.Kind != yaml.ScalarNode {
		return conf.Decode(n, (*plain)(f))
	}
	f.Name = n.Value
	return nil
}

// maxDelimiter is the longest delimiter, bytes.
const maxDelimiter = 8

// The columns that mean something beyond being part of a key.
const (
	colReference = "reference" // our serial
	colHost      = "host_serial"
	colAccount   = "account"
	colAmount    = "amount"
	colStatus    = "status"
	colDirection = "direction"
	colDay       = "day"
	colTime      = "sender_time"
	colChannel   = "channel"
	colTerminal  = "terminal"
	colCount     = "count"
	colSum       = "sum"
	colKey       = "key" // the whole key in one column
)

// Parse reads a statement specification. Errors name file, line and key.
func Parse(name string, b []byte) (*Spec, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, conf.InFile(name, err)
	}
	if len(doc.Content) != 1 {
		return nil, conf.InFile(name, errors.New("empty"))
	}
	s := new(Spec)
	if err := conf.Decode(doc.Content[0], s); err != nil {
		return nil, conf.InFile(name, err)
	}
	if err := s.Check(); err != nil {
		return nil, conf.InFile(name, err)
	}
	return s, nil
}

// Check reports the first setting that cannot work, and makes the
// specification ready to use.
func (s *Spec) Check() (err error) {
	if err := s.checkFile(); err != nil {
		return err
	}
	if s.pattern, err = newPattern(s.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if s.prog, err = compile(s); err != nil {
		return err
	}
	return s.prog.check()
}

func (s *Spec) checkFile() error {
	switch s.Encoding {
	case "utf-8", "utf-8-bom", "auto":
		s.set = text.UTF8
	case "gbk":
		s.set = text.GBK
	case "gb18030":
		s.set = text.GB18030
	default:
		return fmt.Errorf("encoding: want utf-8, utf-8-bom, gbk, gb18030 or auto, got %q", s.Encoding)
	}
	for _, c := range []struct {
		key, got, want string
	}{{"amount", s.Amount, "fen yuan li"}, {"line_end", s.LineEnd, " any lf crlf none"}, {"empty", s.Empty, " never zero attested"}} {
		if !among(c.got, c.want) {
			return fmt.Errorf("%s: want one of %s, got %q", c.key, strings.TrimSpace(c.want), c.got)
		}
	}
	switch {
	case len(s.Delimiter) > maxDelimiter || strings.ContainsFunc(s.Delimiter, func(c rune) bool { return c >= 0x80 || c == '\r' || c == '\n' || c == '"' }):
		return fmt.Errorf("delimiter: want 1 to %d characters of ASCII, no line end or quote", maxDelimiter)
	case s.MaxLine <= 0 || s.MaxLine > 1<<16:
		return errors.New("max_line: want 1 to 65536")
	case s.LineEnd == "none" && s.Delimiter != "":
		return errors.New("line_end: none needs columns of fixed width")
	case s.Quoted && s.Delimiter == "":
		return errors.New("quoted: needs a delimiter")
	case s.Checksum != nil && (!among(s.Checksum.Kind, "md5 sha1 sha256 sm3") || s.Checksum.File == ""):
		return errors.New("checksum: want file and kind: md5, sha1, sha256 or sm3")
	case s.Signature != nil && (!among(s.Signature.Form, "asn1 raw") || !among(s.Signature.Encoding, "base64 hex binary") ||
		s.Signature.File == "" || s.Signature.Key == ""):
		return errors.New("signature: want file, key, form: asn1 or raw, and encoding: base64, hex or binary")
	}
	for _, st := range s.Status {
		if !among(st.Effect, "effective undone none void success failed open pending reversed") {
			return fmt.Errorf("status: want effective, undone, none or void (a journal: success, failed, open, pending or reversed), got %q", st.Effect)
		}
	}
	for _, st := range s.Direction {
		if !among(st.Effect, "in out void") {
			return fmt.Errorf("direction: want in, out or void, got %q", st.Effect)
		}
	}
	return nil
}

// among reports whether a word stands in a list; a list that begins with a
// blank has the empty word.
func among(word, list string) bool {
	for _, w := range strings.Split(list, " ") {
		if w == word {
			return true
		}
	}
	return false
}

// Directed reports whether lines tell in which direction their money went.
func (s *Spec) Directed() bool { return s.prog.hasDir }

// Keys returns the business fields that make a line unique at the bank.
func (s *Spec) Keys() []pay.FieldID {
	ids := make([]pay.FieldID, len(s.Key))
	for i, k := range s.Key {
		ids[i], _ = pay.ParseField(k) // Check has seen to it
	}
	return ids
}
