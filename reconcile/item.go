package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"qianzhi/gateway/pay"
)

// Item is one payment about which the parties do not simply agree.
type Item struct {
	Code  string
	Name  string
	Grade Grade
	Auto  string
	Op    string // what a person does about it
	Note  string // what else is known: a lasting window, another day's journal
	Lines [parties]*Line
	// Funds is the bank's money less the MIS's books, in fen: positive is 长款,
	// negative 短款. It is the money of the item, whatever its code.
	Funds  pay.Amount
	Due    pay.Day        // of what waits for a neighbouring day's file: the day whose run decides
	From   pay.Day        // the accounting day that the item was first seen on; 0: this one
	Before [parties]*Line // what earlier days' files told of the payment; in no total of today
	Turned bool           // carried, and due today
}

// J returns the journal's line.
func (i *Item) J() *Line { return i.Lines[Journal] }

// Size is the money by which items are ordered: the largest amount involved.
func (i *Item) Size() pay.Amount {
	if i.Funds != 0 {
		return max(i.Funds, -i.Funds)
	}
	var a pay.Amount
	for _, l := range i.Lines {
		if l != nil {
			a = max(a, l.Amount)
		}
	}
	return a
}

// Any returns a line of the item, the journal's first.
func (i *Item) Any() *Line {
	for _, l := range i.Lines {
		if l != nil {
			return l
		}
	}
	return &Line{}
}

// Serial returns our serial, wherever it stands.
func (i *Item) Serial() string {
	for _, l := range i.Lines {
		if l != nil && l.Serial != "" {
			return l.Serial
		}
	}
	return ""
}

// Key returns the bank's key, wherever it stands.
func (i *Item) Key() string {
	for _, p := range []Party{Bank, Journal, MIS, Card} {
		if l := i.Lines[p]; l != nil && l.Key != "" {
			return l.Key
		}
	}
	return ""
}

// Sides names who tells of the payment: J, M, B, C or - in this order.
func (i *Item) Sides() string {
	b := []byte("----")
	for p, l := range i.Lines {
		if l != nil {
			b[p] = Party(p).letter()
		}
	}
	if i.Lines[Card] == nil {
		b = b[:Card]
	}
	return string(b)
}

// ID is the item's identity, whatever its code is: the same in every version of
// a run and in the runs of later days.
func (i *Item) ID() string {
	sum := sha256.Sum256([]byte(i.Sides() + "\x00" + i.Serial() + "\x00" + i.Key() + "\x00" + i.kind()))
	return hex.EncodeToString(sum[:6])
}

// kind keeps a duplicate's item from being that of its payment.
func (i *Item) kind() string {
	if len(i.Code) > 2 && i.Code[:2] == "DU" {
		return i.Code
	}
	return ""
}

// Evidence is a hash over what the parties tell: a decision about the item
// holds as long as it does not change.
func (i *Item) Evidence() string {
	var told [parties]*Line
	for p, l := range i.Lines {
		if l != nil {
			c := *l
			c.Row = 0 // lines may stand in any order
			told[p] = &c
		}
	}
	b, err := json.Marshal(told)
	if err != nil {
		panic("a line that cannot be written: " + err.Error()) // it has no such members
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// gap is what the item adds to a party's total beyond the journal's.
func (i *Item) gap(p Party) pay.Amount { return i.Lines[p].net(p) - i.Lines[Journal].net(Journal) }

// urgent reports what comes before all money: our own fault, and a customer's
// money on another customer's account.
func (i *Item) urgent() bool { return i.Code == "DU-3" || i.Code == "ID-1" }

// before puts what cannot wait first, then the most money.
func before(a, b *Item) bool {
	if ua, ub := a.urgent(), b.urgent(); ua != ub {
		return ua
	}
	if a.Size() != b.Size() {
		return a.Size() > b.Size()
	}
	for _, c := range [][2]string{{a.Key(), b.Key()}, {a.Serial(), b.Serial()}, {a.Code, b.Code}} {
		if c[0] != c[1] {
			return c[0] < c[1]
		}
	}
	for p := range a.Lines {
		x, y := a.Lines[p], b.Lines[p]
		switch {
		case (x == nil) != (y == nil):
			return y == nil
		case x != nil && x.less(y):
			return true
		case x != nil && y.less(x):
			return false
		}
	}
	return false
}

// less orders lines by all that they tell, the place in the file last.
func (l *Line) less(o *Line) bool {
	for _, c := range [][2]string{{l.Account, o.Account}, {l.Host, o.Host}, {l.Time, o.Time}, {l.Terminal, o.Terminal}, {l.Link, o.Link}} {
		if c[0] != c[1] {
			return c[0] < c[1]
		}
	}
	switch {
	case l.Amount != o.Amount:
		return l.Amount < o.Amount
	case l.Effect != o.Effect:
		return l.Effect < o.Effect
	case l.Out != o.Out:
		return o.Out
	case l.Day != o.Day:
		return l.Day < o.Day
	}
	return l.Row < o.Row
}
