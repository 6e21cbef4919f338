// Package statement reads and writes check files by specification: a bank's or
// a utility's list of one day's payments, with the totals that prove it whole.
// A row that does not fit refuses the file.
package statement

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/encoding/simplifiedchinese"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/reconcile"
)

// Spec is a statement file: how one party's check file is written.
type Spec struct {
	ID        string   `yaml:"id"`
	Title     string   `yaml:"title"`
	Name      string   `yaml:"name"`      // file name, with {day}
	Encoding  string   `yaml:"encoding"`  // utf-8, gbk or gb18030
	Delimiter string   `yaml:"delimiter"` // one character
	Header    []string `yaml:"header"`    // of the first line: day, count, sum, and texts such as batch
	Fields    []string `yaml:"fields"`    // of each line, see the names in this package
	Amount    string   `yaml:"amount"`    // fen or yuan
	Status    []Status `yaml:"status"`    // every value the status column may have
	Key       []string `yaml:"key"`       // fields that make a line unique at the bank
	MaxLine   int      `yaml:"max_line"`  // bytes
}

// Status ties a value of the status column to its effect.
type Status struct {
	Wire   string `yaml:"wire"`
	Effect string `yaml:"effect"` // effective, undone or none
}

// The columns that mean something beyond being part of a key.
const (
	colReference = "reference" // our serial
	colHost      = "host_serial"
	colAccount   = "account"
	colAmount    = "amount"
	colStatus    = "status"
	colDay       = "day"
	colTime      = "sender_time"
	colChannel   = "channel"
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

// Check reports the first setting that cannot work.
func (s *Spec) Check() error {
	has := map[string]bool{}
	for _, f := range s.Fields {
		if _, known := pay.ParseField(f); !known && f != colStatus {
			return fmt.Errorf("fields: unknown field %q", f)
		}
		if has[f] {
			return fmt.Errorf("fields: %q stands twice", f)
		}
		has[f] = true
	}
	for _, f := range append([]string{colAccount, colAmount, colStatus}, s.Key...) {
		if !has[f] {
			return fmt.Errorf("fields: %q is needed", f)
		}
	}
	switch {
	case !strings.Contains(s.Name, "{day}"):
		return errors.New("name: must contain {day}")
	case s.Encoding != "utf-8" && s.Encoding != "gbk" && s.Encoding != "gb18030":
		return fmt.Errorf("encoding: want utf-8, gbk or gb18030, got %q", s.Encoding)
	case len(s.Delimiter) != 1:
		return errors.New("delimiter: want one character")
	case s.Amount != "fen" && s.Amount != "yuan":
		return fmt.Errorf("amount: want fen or yuan, got %q", s.Amount)
	case len(s.Header) == 0:
		return errors.New("header: a file without totals proves nothing")
	case s.MaxLine <= 0:
		return errors.New("max_line: must be positive")
	}
	for _, st := range s.Status {
		if st.Effect != "effective" && st.Effect != "undone" && st.Effect != "none" {
			return fmt.Errorf("status: want effective, undone or none, got %q", st.Effect)
		}
	}
	return nil
}

// File returns the file's name for a day.
func (s *Spec) File(day pay.Day) string { return strings.ReplaceAll(s.Name, "{day}", day.String()) }

// Effect letters by party.
func effectOf(word string, p reconcile.Party) reconcile.Effect {
	switch {
	case word == "undone":
		return reconcile.Undone
	case word == "none":
		return reconcile.Absent
	case p == reconcile.MIS:
		return reconcile.Posted
	}
	return reconcile.Charged
}

func wordOf(e reconcile.Effect) string {
	switch e {
	case reconcile.Undone:
		return "undone"
	case reconcile.Posted, reconcile.Charged:
		return "effective"
	}
	return "none"
}

func refuse(line, offset int, field, want, got string) error {
	return &protocol.Error{Class: protocol.ClassField, Path: fmt.Sprintf("第%d行 %s", line, field), Offset: offset, Want: want, Got: got}
}

// decode turns the file's encoding into UTF-8; a byte that does not fit is an
// error.
func (s *Spec) decode(line int, offset int, b []byte) (string, error) {
	if s.Encoding == "utf-8" {
		if !bytes.Equal(bytes.ToValidUTF8(b, nil), b) {
			return "", refuse(line, offset, "", "UTF-8", "other bytes")
		}
		return string(b), nil
	}
	enc := simplifiedchinese.GB18030
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil || bytes.ContainsRune(out, '\uFFFD') {
		return "", refuse(line, offset, "", strings.ToUpper(s.Encoding), "other bytes")
	}
	return string(out), nil
}

func (s *Spec) encode(text string) ([]byte, error) {
	if s.Encoding == "utf-8" {
		return []byte(text), nil
	}
	enc := simplifiedchinese.GB18030
	if s.Encoding == "gbk" {
		return simplifiedchinese.GBK.NewEncoder().Bytes([]byte(text))
	}
	return enc.NewEncoder().Bytes([]byte(text))
}

func (s *Spec) parseAmount(v string) (pay.Amount, error) {
	if s.Amount == "yuan" {
		return pay.ParseYuan(v)
	}
	return pay.ParseFen(v)
}

func (s *Spec) writeAmount(a pay.Amount) string {
	if s.Amount == "yuan" {
		return a.Yuan()
	}
	return strconv.FormatInt(int64(a), 10)
}
