package desk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
)

// Count is the cash of one terminal as two people counted it when they emptied
// it. Amounts are fen; notes are pieces by face value in yuan. What was counted
// and what is counterfeit equals the opening stock and what was inserted, less
// what was returned and given as change.
type Count struct {
	Terminal    string        `json:"terminal"`
	From        string        `json:"from,omitempty"` // the emptying before, as the terminal names it
	To          string        `json:"to,omitempty"`
	Names       [2]string     `json:"names"`
	Opening     pay.Amount    `json:"opening"`
	Inserted    pay.Amount    `json:"inserted"`
	Returned    pay.Amount    `json:"returned"` // and change given
	Posted      pay.Amount    `json:"posted"`   // of it, as the journal has it
	Notes       map[int]int   `json:"notes"`
	Counterfeit []Counterfeit `json:"counterfeit,omitempty"`
}

// Counterfeit is one false note.
type Counterfeit struct {
	Number string `json:"number"`
	Yuan   int    `json:"yuan"`
	Called string `json:"called"` // when the vendor was called
	Result string `json:"result"`
}

// Counted is the sum of the good notes.
func (c *Count) Counted() (sum pay.Amount) {
	for yuan, n := range c.Notes {
		sum += pay.Amount(yuan) * 100 * pay.Amount(n)
	}
	return sum
}

// False is the sum of the counterfeit notes.
func (c *Count) False() (sum pay.Amount) {
	for _, f := range c.Counterfeit {
		sum += pay.Amount(f.Yuan) * 100
	}
	return sum
}

// Gap is what was found beyond what must be there: positive is 钞箱长款,
// negative 钞箱短款. It never mixes with the bank's.
func (c *Count) Gap() pay.Amount {
	return c.Counted() + c.False() - (c.Opening + c.Inserted - c.Returned)
}

// Unposted is money that was inserted and belongs to no payment.
func (c *Count) Unposted() pay.Amount { return c.Inserted - c.Returned - c.Posted }

// yuan are the notes and coins there are.
var yuan = []int{1, 5, 10, 20, 50, 100}

// ParseCount reads a count as people write it, JSON.
func ParseCount(b []byte) (*Count, error) {
	c := new(Count)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, err
	}
	return c, c.check()
}

func (c *Count) check() error {
	if c == nil || c.Terminal == "" || c.Notes == nil {
		return errors.New("须写明终端与各面额张数")
	}
	if c.Names[0] == "" || c.Names[1] == "" || strings.EqualFold(strings.TrimSpace(c.Names[0]), strings.TrimSpace(c.Names[1])) {
		return errors.New("须两人清点并具名")
	}
	for _, y := range slices.Sorted(maps.Keys(c.Notes)) {
		if !slices.Contains(yuan, y) || c.Notes[y] < 0 {
			return fmt.Errorf("面额 %d 元: %d 张不可能", y, c.Notes[y])
		}
	}
	for _, f := range c.Counterfeit {
		if f.Number == "" || !slices.Contains(yuan, f.Yuan) || f.Called == "" || f.Result == "" {
			return errors.New("每张假币须有编号、面额、通知厂商时间与结果")
		}
	}
	if c.Opening < 0 || c.Inserted < 0 || c.Returned < 0 || c.Posted < 0 {
		return errors.New("金额不能为负")
	}
	return nil
}

func (t *Table) cash(who access.Principal, e *Entry) error {
	if !who.May(access.Operate) {
		return access.ErrRight
	}
	return e.Count.check()
}

// Counts returns the latest count of each terminal, in the order of their names.
func (t *Table) Counts() []*Count {
	by := map[string]*Count{}
	for i := range t.Entries {
		if c := t.Entries[i].Count; c != nil {
			by[c.Terminal] = c
		}
	}
	out := make([]*Count, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		out = append(out, by[name])
	}
	return out
}
