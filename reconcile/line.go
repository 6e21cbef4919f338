// Package reconcile decides every night whether the gateway, the bank and the
// marketing MIS tell the same story of an accounting day, to the fen. What the
// decision is for each combination stands in a matrix that is data.
package reconcile

import (
	"errors"
	"slices"

	"qianzhi/gateway/pay"
)

// Party is one of the sides that tell of a payment.
type Party uint8

// The parties. Card is the card-meter system, where there is one.
const (
	Journal Party = iota
	MIS
	Bank
	Card
	parties
)

// pairs are what is compared: the journal with each other party.
const pairs = int(parties) - 1

// pair is the index of the journal's comparison with p.
func (p Party) pair() int { return int(p) - 1 }

// String returns the term of the reports.
func (p Party) String() string {
	return [...]string{"本机流水", "营销MIS", "银行", "卡表"}[p]
}

// letter is the party in one letter.
func (p Party) letter() byte { return "JMBC"[p] }

// ID is the party's name in data and on the command line.
func (p Party) ID() string { return [...]string{"journal", "mis", "bank", "card"}[p] }

// Effect is what one party's books say, in the letters of the matrix.
type Effect byte

// The effects of the journal's side, then of the others. Posted and Charged
// are the MIS's and the bank's word for the same thing.
const (
	Absent   Effect = 'A' // no line; for the journal None
	None     Effect = 'N' // 无流水
	Success  Effect = 'S' // 成功
	Failed   Effect = 'F' // 失败
	Open     Effect = 'U' // 未决
	Pending  Effect = 'P' // 待冲正
	Reversed Effect = 'R' // 已冲正
	Posted   Effect = 'P' // 已销账, in the MIS's column
	Charged  Effect = 'C' // 已扣款
	Undone   Effect = 'V' // 已返销, 已冲退
)

// MarshalText implements encoding.TextMarshaler.
func (e Effect) MarshalText() ([]byte, error) { return []byte{byte(e)}, nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Effect) UnmarshalText(b []byte) error {
	if len(b) != 1 {
		return errors.New("effect: want one letter")
	}
	*e = Effect(b[0])
	return nil
}

// OfState returns the journal's effect of a payment in state s at the freeze.
func OfState(s pay.State) Effect {
	switch s {
	case pay.Succ, pay.Reco, pay.Adjd:
		return Success
	case pay.Fail:
		return Failed
	case pay.Revp:
		return Pending
	case pay.Revd:
		return Reversed
	}
	return Open
}

// effective returns the letter of a line that counts in a party's books.
func effective(p Party) Effect {
	switch p {
	case Journal:
		return Success
	case MIS:
		return Posted
	}
	return Charged
}

// Line is one payment as one party tells it.
type Line struct {
	Key      string     `json:"key,omitempty"`    // the bank's key; equal on both sides of journal and bank
	Serial   string     `json:"serial,omitempty"` // ours; equal on both sides of journal and MIS
	Host     string     `json:"host,omitempty"`   // the party's own serial
	Account  string     `json:"account"`
	Terminal string     `json:"terminal,omitempty"`
	Amount   pay.Amount `json:"fen"`
	Out      bool       `json:"out,omitempty"` // money that goes back to the customer
	Day      pay.Day    `json:"day,omitempty"`
	Effect   Effect     `json:"effect"`
	Without  Without    `json:"without,omitempty"` // the journal's: who has no part in the payment
	Link     string     `json:"link,omitempty"`
	Time     string     `json:"time,omitempty"` // HH:MM:SS where the party tells it
	Row      int        `json:"row"`            // in the party's file, from 1; in the journal's day, the payment's row
	At       int64      `json:"-"`              // where the table finds it again
	Mark     uint64     `json:"-"`              // of the row's bytes: equal for rows that are equal byte for byte
}

// Without is a set of parties that have no part in a payment: no leg of it went
// to them.
type Without uint8

// Has reports whether the party is one of them.
func (w Without) Has(p Party) bool { return w&(1<<p) != 0 }

// net returns the money that the line leaves in its party's books.
func (l *Line) net(p Party) pay.Amount {
	switch {
	case l == nil || l.Effect != effective(p):
		return 0
	case l.Out:
		return -l.Amount
	}
	return l.Amount
}

// counts reports whether the line is one that moves money, be it 0.
func (l *Line) counts(p Party) bool { return l != nil && l.Effect == effective(p) }

// Fields is a set of what the lines of a table tell.
type Fields uint16

// What may be compared. Amount and effect are always told.
const (
	HasSerial Fields = 1 << iota
	HasKey
	HasAccount
	HasTerminal
	HasDay
	HasDirection
	HasLink
	HasTime
)

// compared are the fields that enter the fingerprint where both sides of a
// pair declare them. Amount and effect enter always, the key through the join.
const compared = HasAccount | HasTerminal | HasDay | HasDirection | HasLink

// Table is one party's lines of a day, in any order, read as often as needed.
type Table interface {
	// Declares says what the lines tell.
	Declares() Fields
	// Scan prints every line whose effect is not Absent.
	Scan(s *Scan) error
	// Line reads one line again, in full.
	Line(at int64) (Line, error)
}

// Scan is one reading of a table. Row and Want are called on up to Workers
// goroutines, each with its own number.
type Scan struct {
	Hash    *Hasher
	Workers int
	Links   []string                        // a line that names another link is left out
	Want    func(worker int, p *Print) bool // by the keys alone; nil wants all
	Row     func(worker int, p *Print)      // the print is the caller's afterwards

	rules [pairs]Rule
	on    []int  // of rules: those that compare
	all   Fields // that any of them compares
	apart bool   // they compare different fields
}

// Compare makes the scan print lines for the comparison with a party.
func (s *Scan) Compare(p Party, r Rule) {
	s.rules[p.pair()] = r
	s.on, s.all, s.apart = nil, 0, false
	for i := range s.rules {
		if s.rules[i].On != 0 {
			s.on = append(s.on, i)
			s.all |= s.rules[i].Fields
		}
	}
	for _, i := range s.on {
		s.apart = s.apart || s.rules[i].Fields != s.all
	}
}

// Takes reports whether a line of the link is of the scan's channel. A line
// that names none is of every channel.
func (s *Scan) Takes(link string) bool {
	return len(s.Links) == 0 || link == "" || slices.Contains(s.Links, link)
}

// Rule says how the journal is compared with one party.
type Rule struct {
	On     Fields // HasSerial or HasKey; 0: not compared
	Fields Fields // of those that both declare
}

// Print is what the first reading knows of a line.
type Print struct {
	Pair    [pairs]Pair
	Amount  pay.Amount
	At      int64
	Effect  Effect
	Without Without
	Out     bool
}

// Pair is a line's part in one comparison. Key is the join key's fingerprint,
// zero for a line without one; X and Y are two fingerprints of everything that
// is compared.
type Pair struct{ Key, X, Y uint64 }

// Lines is a table in memory; a line's place is its index.
type Lines struct {
	List []Line
	Tell Fields
}

// Declares implements Table.
func (t *Lines) Declares() Fields { return t.Tell }

// Line implements Table.
func (t *Lines) Line(at int64) (Line, error) {
	l := t.List[at]
	l.At = at
	return l, nil
}

// Scan implements Table.
func (t *Lines) Scan(s *Scan) error {
	var p Print
	for i := range t.List {
		l := &t.List[i]
		if l.Effect == Absent || !s.Takes(l.Link) {
			continue
		}
		if !s.Keys(&p, l.Serial, l.Key) || s.Want != nil && !s.Want(0, &p) {
			continue
		}
		p.Amount, p.Effect, p.Without, p.Out, p.At = l.Amount, l.Effect, l.Without, l.Out, int64(i)
		s.rest(&p, l)
		s.Row(0, &p)
	}
	return nil
}
