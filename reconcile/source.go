package reconcile

import (
	"context"
	"time"

	"qianzhi/gateway/pay"
)

// SourceState says whether a party's lines can be believed.
type SourceState uint8

// The states of a source.
const (
	Expected SourceState = iota // 应到未到
	Accepted                    // 采用
	Rejected                    // 拒收
	Arriving                    // 到达中: it still changes, or its marker file is missing
	Empty                       // 空且有凭
	Overdue                     // 逾限
	Replaced                    // 已换版: another file than the version before had
)

// String returns the term of the reports.
func (s SourceState) String() string {
	return [...]string{"未到", "采用", "拒收", "到达中", "空且有凭", "逾限", "已换版"}[s]
}

// usable reports whether there are lines to be judged.
func (s SourceState) usable() bool { return s == Accepted || s == Empty || s == Replaced }

// Source fetches one party's lines of one day. A file that has not come is an
// Input in state Expected, one that does not fit is Rejected with the reason;
// an error is trouble of our own.
type Source interface {
	Fetch(ctx context.Context, day pay.Day) (Input, error)
}

// Input is one party's file of one day: a file to be opened, or lines.
type Input struct {
	Party    Party
	Name     string
	State    SourceState
	Why      string // of a rejection: line, byte and field
	Path     string // of the file as it arrived; a byte copy is read and kept
	Open     func(path string) (Opened, error)
	Lines    []Line // instead of a file
	Raw      []byte // their bytes, kept with the report
	Limit    time.Time
	Attested string // who vouches for an empty file
	Sum      string // SHA-256 of the file
	Count    int    // lines
	Checks   string // what was proved of it, for the report
	Warning  string // accepted all the same
	table    Table
	kept     string // the copy's name among the inputs
}

// Opened is a file that was found good.
type Opened struct {
	Table   Table
	Count   int
	Empty   bool
	Checks  string
	Warning string
}

// declared returns what is known to be told by lines that came without a table.
func declared(lines []Line) Fields {
	var f Fields
	for i := range lines {
		l := &lines[i]
		for _, c := range []struct {
			has bool
			f   Fields
		}{{l.Serial != "", HasSerial}, {l.Key != "", HasKey}, {l.Account != "", HasAccount}, {l.Terminal != "", HasTerminal},
			{l.Day != 0, HasDay}, {l.Link != "", HasLink}, {l.Time != "", HasTime}} {
			if c.has {
				f |= c.f
			}
		}
	}
	return f
}

// Refusal is a file that does not fit: whose it is, and the line, byte and
// field of what is wrong.
type Refusal struct {
	Party Party
	Err   error
}

// Error says what is wrong.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the located error.
func (r *Refusal) Unwrap() error { return r.Err }
