// Package sql asks a counterparty through its database: statements and stored
// procedures as data, over database/sql. It is the ODBC door that card-meter
// systems and older marketing systems offer.
//
// A link file describes the messages as for any other host, parameters as the
// request's fields and result columns as the reply's; a script says which
// statements each message is. All statements of one call are one transaction. A
// call whose rollback was confirmed had no effect; a commit that failed, or a
// deadline that passed, leaves the outcome unknown.
package sql

import (
	db "database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Script is what the messages of a link are in SQL, as its file describes them.
type Script struct {
	Driver    string    `yaml:"driver"`     // one of postgres, sqlite, odbc
	Isolation string    `yaml:"isolation"`  // one of read-committed, repeatable-read, serializable; empty: the database's default, as odbc always has
	RollsBack bool      `yaml:"rolls_back"` // a transaction that is rolled back has no effect at all; false: an error after the first statement leaves the outcome unknown
	Messages  []Message `yaml:"messages"`
}

// Message is the transaction that one message of the link file is.
type Message struct {
	Name    string `yaml:"message"` // as the link file names it
	Dedupes bool   `yaml:"dedupes"` // the statements themselves post one serial once; else the first step of a message that moves money has to look for it
	Steps   []Step `yaml:"steps"`
}

// Step is one statement. Parameters are written :name, after the fields of the
// request.
type Step struct {
	SQL     string `yaml:"sql"`
	Each    string `yaml:"each"`    // run once for each entry of this loop of the request
	Read    string `yaml:"read"`    // row: the columns of its only row are fields of the reply; the name of a loop: each row is an entry; empty: no rows are read
	Done    bool   `yaml:"done"`    // a row is the whole answer: what follows is left out
	Refuse  bool   `yaml:"refuse"`  // a row is the whole answer, and everything is rolled back
	Affects *int64 `yaml:"affects"` // rows it has to change
	Else    string `yaml:"else"`    // response code of the link file when no row came or another number was changed; everything is rolled back
}

// Parse reads a script. Errors name file, line and key.
func Parse(name string, b []byte) (*Script, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, conf.InFile(name, err)
	}
	if len(doc.Content) != 1 {
		return nil, conf.InFile(name, errors.New("empty"))
	}
	s := new(Script)
	err := conf.Decode(doc.Content[0], s)
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return nil, conf.InFile(name, err)
	}
	return s, nil
}

// driver is how database/sql knows a database and how it writes parameters.
type driver struct {
	name     string
	numbered bool // $1, $2 and so on; else ? for each
}

var drivers = map[string]driver{"postgres": {"pgx", true}, "sqlite": {"sqlite3", false}, "odbc": {"odbc", false}}

var isolations = map[string]db.IsolationLevel{"": db.LevelDefault, "read-committed": db.LevelReadCommitted,
	"repeatable-read": db.LevelRepeatableRead, "serializable": db.LevelSerializable}

// Check reports the first setting that cannot work, whatever the link file.
func (s *Script) Check() error {
	if _, ok := drivers[s.Driver]; !ok {
		return fmt.Errorf("driver: want postgres, sqlite or odbc, got %q", s.Driver)
	}
	if _, ok := isolations[s.Isolation]; !ok {
		return fmt.Errorf("isolation: want read-committed, repeatable-read or serializable, got %q", s.Isolation)
	}
	if s.Driver == "odbc" && s.Isolation != "" {
		return errors.New("isolation: odbc has that of the data source")
	}
	if len(s.Messages) == 0 {
		return errors.New("messages: none")
	}
	seen := map[string]bool{}
	for i := range s.Messages {
		m := &s.Messages[i]
		if m.Name == "" || seen[m.Name] {
			return fmt.Errorf("messages[%d]: %q: a name is needed and stands once", i, m.Name)
		}
		seen[m.Name] = true
		if len(m.Steps) == 0 {
			return fmt.Errorf("messages: %s: no steps", m.Name)
		}
		for j := range m.Steps {
			if err := m.Steps[j].check(); err != nil {
				return fmt.Errorf("messages: %s: step %d: %w", m.Name, j+1, err)
			}
		}
	}
	return nil
}

func (s *Step) check() error {
	switch {
	case s.Done && s.Refuse:
		return errors.New("done: not together with refuse")
	case (s.Done || s.Refuse) && s.Read != "row":
		return errors.New("done and refuse need read: row")
	case s.Affects != nil && (s.Read != "" || *s.Affects < 0 || s.Else == ""):
		return errors.New("affects: needs else, and is not together with read")
	case s.Else != "" && (s.Done || s.Refuse || s.Affects == nil && s.Read != "row"):
		return errors.New("else: needs affects or read: row, and neither done nor refuse")
	case s.Each != "" && s.Read != "":
		return errors.New("each: not together with read")
	}
	return nil
}

// step is a compiled Step.
type step struct {
	Step
	text   string // as the driver wants it
	params []uint16
	each   int // number of the request's loop, -1: none
	loop   int // number of the reply's loop, -1: none
}

// compile ties the script to a link's dialect; the result has the steps of each
// message by its number in the mapping.
func (s *Script) compile(d *protocol.Dialect) ([][]step, error) {
	out := make([][]step, len(d.Map.Messages))
	for i := range s.Messages {
		m := &s.Messages[i]
		at := slices.IndexFunc(d.Map.Messages, func(o protocol.Message) bool { return o.Name == m.Name })
		if at < 0 {
			return nil, fmt.Errorf("messages: %s: the link file %s has no such message", m.Name, d.ID)
		}
		for j := range m.Steps {
			st, err := compileStep(m.Steps[j], d, drivers[s.Driver].numbered)
			if err != nil {
				return nil, fmt.Errorf("messages: %s: step %d: %w", m.Name, j+1, err)
			}
			out[at] = append(out[at], st)
		}
		if d.Map.Messages[at].Op.Money() && !m.Dedupes && !looks(out[at], d, &d.Map.Messages[at]) {
			return nil, fmt.Errorf("messages: %s: it moves money: its first step has to look for the serial (done: true), or dedupes: true has to promise that it posts one serial once", m.Name)
		}
	}
	for i := range d.Map.Messages {
		if out[i] == nil {
			return nil, fmt.Errorf("messages: none is called %s, which the link file %s has", d.Map.Messages[i].Name, d.ID)
		}
	}
	return out, nil
}

func compileStep(s Step, d *protocol.Dialect, numbered bool) (step, error) {
	st := step{Step: s, each: -1, loop: -1}
	text, names, err := named(s.SQL, numbered)
	if err != nil {
		return st, fmt.Errorf("sql: %w", err)
	}
	st.text = text
	req, rep := d.Request.Codec.Layout(), d.Reply.Codec.Layout()
	if s.Each != "" {
		if st.each = group(req, s.Each); st.each < 0 {
			return st, fmt.Errorf("each: %q is no loop of the request", s.Each)
		}
	}
	if s.Read != "" && s.Read != "row" {
		if st.loop = group(rep, s.Read); st.loop < 0 {
			return st, fmt.Errorf("read: want row or a loop of the reply, got %q", s.Read)
		}
	}
	for _, name := range names {
		id, ok := req.Lookup(name)
		if !ok || req.Fields[id].Group {
			return st, fmt.Errorf("sql: :%s is no field of the request", name)
		}
		if in := loopOf(req, name); in != "" && in != s.Each {
			return st, fmt.Errorf("sql: :%s is a field of the loop %s, which needs each: %s", name, in, in)
		}
		st.params = append(st.params, id)
	}
	if s.Else != "" && !slices.ContainsFunc(d.Map.Codes, func(r protocol.CodeRow) bool { return r.Wire == s.Else }) {
		return st, fmt.Errorf("else: the link file has no code %q", s.Else)
	}
	return st, nil
}

func group(l *protocol.Layout, name string) int {
	id, ok := l.Lookup(name)
	if !ok || !l.Fields[id].Group {
		return -1
	}
	return int(id)
}

// loopOf returns the loop that a field belongs to, "" for one at the top.
func loopOf(l *protocol.Layout, name string) string {
	for i := range l.Fields {
		if g := &l.Fields[i]; g.Group && strings.HasPrefix(name, g.Name+".") {
			return g.Name
		}
	}
	return ""
}

// looks reports whether the first step ends the call when the serial is known.
func looks(steps []step, d *protocol.Dialect, m *protocol.Message) bool {
	if !steps[0].Done {
		return false
	}
	for _, mv := range m.Request.Moves {
		if mv.Field == pay.FSerial || mv.Field == pay.FOriginalSerial {
			if slices.Contains(steps[0].params, mv.Slot.ID) {
				return true
			}
		}
	}
	return false
}
