package reconcile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"sort"

	"qianzhi/gateway/pay"
)

// keySearch is how far back the journal is searched for a line that has no
// payment today, in days.
const keySearch = 35

// Record is an item as files keep it, one to a line of JSON.
type Record struct {
	ID       string     `json:"id"`
	Code     string     `json:"code"`
	Name     string     `json:"name"`
	Grade    Grade      `json:"grade"`
	Auto     string     `json:"auto"`
	Op       string     `json:"op"`
	Note     string     `json:"note,omitempty"`
	Sides    string     `json:"sides"`
	Fen      pay.Amount `json:"fen"`
	Funds    pay.Amount `json:"funds"`
	Due      pay.Day    `json:"due,omitempty"`
	From     pay.Day    `json:"from,omitempty"`
	Turned   bool       `json:"turned,omitempty"`
	Serial   string     `json:"serial,omitempty"`
	Key      string     `json:"key,omitempty"`
	Evidence string     `json:"evidence"`
	Journal  *Line      `json:"journal,omitempty"`
	MIS      *Line      `json:"mis,omitempty"`
	Bank     *Line      `json:"bank,omitempty"`
	Card     *Line      `json:"card,omitempty"`
	Before   []*Line    `json:"before,omitempty"` // journal, MIS, bank, card
}

// Record writes the item down.
func (i *Item) Record() Record {
	r := Record{ID: i.ID(), Code: i.Code, Name: i.Name, Grade: i.Grade, Auto: i.Auto, Op: i.Op, Note: i.Note, Sides: i.Sides(), Fen: i.Size(),
		Funds: i.Funds, Due: i.Due, From: i.From, Turned: i.Turned, Serial: i.Serial(), Key: i.Key(), Evidence: i.Evidence(),
		Journal: i.Lines[Journal], MIS: i.Lines[MIS], Bank: i.Lines[Bank], Card: i.Lines[Card]}
	if i.Before != [parties]*Line{} {
		r.Before = i.Before[:]
	}
	return r
}

// Item reads what Record wrote.
func (r *Record) Item() Item {
	i := Item{Code: r.Code, Name: r.Name, Grade: r.Grade, Auto: r.Auto, Op: r.Op, Note: r.Note, Funds: r.Funds, Due: r.Due, From: r.From,
		Turned: r.Turned, Lines: [parties]*Line{r.Journal, r.MIS, r.Bank, r.Card}}
	copy(i.Before[:], r.Before)
	return i
}

// AppendRecords writes items, one to a line.
func AppendRecords(b []byte, items []Item) ([]byte, error) {
	for i := range items {
		line, err := json.Marshal(items[i].Record())
		if err != nil {
			return nil, err
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}

// ReadRecords reads what AppendRecords wrote.
func ReadRecords(b []byte) ([]Item, error) {
	var items []Item
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, 1<<20)
	for n := 1; s.Scan(); n++ {
		var r Record
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		items = append(items, r.Item())
	}
	return items, s.Err()
}

// pool is what earlier days left open, by the names of its payments.
type pool struct {
	items []Item
	by    map[string]int
	used  map[int]bool
}

func newPool(items []Item) *pool {
	p := &pool{items: items, by: map[string]int{}, used: map[int]bool{}}
	for i := range items {
		if items[i].kind() != "" {
			continue // a repetition is no payment of its own
		}
		for _, n := range namesOf(&items[i].Lines) {
			p.by[n] = i
		}
		for _, n := range namesOf(&items[i].Before) {
			p.by[n] = i
		}
	}
	return p
}

func namesOf(lines *[parties]*Line) (names []string) {
	for _, l := range lines {
		if l != nil && l.Serial != "" {
			names = append(names, serialName(l.Serial))
		}
		if l != nil && l.Key != "" {
			names = append(names, keyName(l.Key))
		}
	}
	return names
}

// merge finds the open item that today's lines continue, and what all days
// together tell of the payment. A party that tells of it again today starts
// anew.
func (p *pool) merge(today *[parties]*Line) (old *Item, all [parties]*Line) {
	for _, n := range namesOf(today) {
		i, ok := p.by[n]
		if !ok || p.used[i] {
			continue
		}
		old, all = &p.items[i], *today
		for q := range all {
			for _, l := range []*Line{old.Lines[q], old.Before[q]} {
				if all[q] == nil {
					all[q] = l
				}
			}
		}
		p.used[i] = true
		return old, all
	}
	return nil, all
}

// left are the items with nothing new today. What waited until today turns
// uneven.
func (p *pool) left(day pay.Day) []Item {
	var out []Item
	for i := range p.items {
		it := p.items[i]
		if p.used[i] || it.From < day.Add(-keySearch) {
			continue
		}
		if it.Turned = it.Grade == Pended && it.Due <= day; it.Turned {
			it.Grade = Uneven
			it.Note = "到期未到对方账务"
		}
		out = append(out, it)
	}
	sort.SliceStable(out, func(a, b int) bool { return before(&out[a], &out[b]) })
	return out
}

// open are the items that the next day starts with.
func open(r *Result) []Item {
	var out []Item
	for i := range r.Items {
		it := r.Items[i]
		if it.Grade != Pended && it.Grade != Uneven {
			continue
		}
		if it.From == 0 {
			it.From = r.Day
		}
		out = append(out, it)
	}
	for i := range r.Carried {
		it := r.Carried[i]
		it.Turned = false
		out = append(out, it)
	}
	return out
}
