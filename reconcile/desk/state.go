package desk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"qianzhi/reconcile"
)

// Stage is how far the sign-off of a day has come.
type Stage uint8

// The stages.
const (
	Matched  Stage = iota // 未签
	Prepared              // 已签, waits for the second person
	Closed                // 已复核: nothing changes any more
)

// String returns the word of reports.
func (s Stage) String() string { return [...]string{"未签", "已签", "已复核"}[s] }

// Table is a day's channel as it lies before those who decide: the latest
// version, its open items and the decisions so far.
type Table struct {
	Home     string // folder of the versions
	Summary  reconcile.Summary
	Manifest string // SHA-256 of the latest version's MANIFEST.sha256
	Open     []reconcile.Item
	Fixable  []reconcile.Item // 补平: only our own record lags
	Entries  []Entry

	Stage         Stage
	Void          bool // a signature stands under an earlier version
	Signed        *Entry
	Countersigned *Entry
	Asked         *Entry // somebody asked for the closed day to be opened
	Items         map[string]*Decision
}

// Decision is where an item has come to.
type Decision struct {
	Note, Proposal, Approval, Begun, Ended *Entry
}

// Lay reads a channel's day. home is the folder of its versions.
func Lay(home string) (*Table, error) {
	t := &Table{Home: home, Items: map[string]*Decision{}}
	latest := filepath.Join(home, "latest")
	b, err := os.ReadFile(filepath.Join(latest, "result.json"))
	if err != nil {
		return nil, fmt.Errorf("尚无对账结果: %w", err)
	}
	if err := json.Unmarshal(b, &t.Summary); err != nil {
		return nil, fmt.Errorf("%s: %w", latest, err)
	}
	if t.Manifest, err = manifestSum(latest); err != nil {
		return nil, err
	}
	if b, err = os.ReadFile(filepath.Join(latest, "open.jsonl")); err != nil {
		return nil, err
	}
	if t.Open, err = reconcile.ReadRecords(b); err != nil {
		return nil, fmt.Errorf("%s: %w", latest, err)
	}
	if b, err = os.ReadFile(filepath.Join(latest, "items.jsonl")); err != nil {
		return nil, err
	}
	items, err := reconcile.ReadRecords(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", latest, err)
	}
	for i := range items {
		if items[i].Grade == reconcile.Fixable {
			t.Fixable = append(t.Fixable, items[i])
		}
	}
	if t.Entries, err = Read(home); err != nil {
		return nil, err
	}
	for i := range t.Entries {
		t.fold(&t.Entries[i])
	}
	if t.Signed != nil && (t.Signed.Version != t.Summary.Version || t.Signed.Manifest != t.Manifest) {
		t.Stage, t.Void = Matched, true
	}
	return t, nil
}

func manifestSum(dir string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "MANIFEST.sha256"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

func (t *Table) fold(e *Entry) {
	d := t.Items[e.Item]
	if d == nil && e.Item != "" {
		d = &Decision{}
		t.Items[e.Item] = d
	}
	switch e.Kind {
	case Note:
		d.Note = e
	case Propose:
		*d = Decision{Note: d.Note, Proposal: e}
	case Approve:
		d.Approval = e
	case Reject:
		*d = Decision{Note: d.Note}
	case Apply:
		d.Begun, d.Ended = e, nil
	case Applied:
		d.Ended = e
	case Sign:
		t.Stage, t.Signed, t.Countersigned, t.Asked = Prepared, e, nil, nil
	case Countersign:
		t.Stage, t.Countersigned = Closed, e
	case Reopen:
		if t.Asked == nil {
			t.Asked = e
			return
		}
		t.Stage, t.Signed, t.Countersigned, t.Asked = Matched, nil, nil, nil
	}
}

// parties are those who tell of the channel's payments.
func (t *Table) parties() []reconcile.Party {
	ps := []reconcile.Party{reconcile.Journal}
	for name, p := range map[string]reconcile.Party{"mis": reconcile.MIS, "bank": reconcile.Bank, "card": reconcile.Card} {
		if _, has := t.Summary.Totals[name]; has {
			ps = append(ps, p)
		}
	}
	return ps
}

// Case finds an open item by its identity or the beginning of it.
func (t *Table) Case(id string) (*Case, error) {
	var found *reconcile.Item
	for _, items := range [][]reconcile.Item{t.Open, t.Fixable} {
		for i := range items {
			if have := items[i].ID(); len(id) >= 4 && len(id) <= len(have) && have[:len(id)] == id {
				if found != nil {
					return nil, fmt.Errorf("%s 不止一笔, 请写全", id)
				}
				found = &items[i]
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("本日没有未结的 %q (编号见 qianzhi recon open)", id)
	}
	return &Case{Item: found, Parties: t.parties()}, nil
}

// decision returns what was decided about an item under the evidence that it
// has now.
func (t *Table) decision(it *reconcile.Item) (d Decision, changed bool) {
	have := t.Items[it.ID()]
	if have == nil {
		return d, false
	}
	now := it.Evidence()
	d = *have
	if d.Note != nil && d.Note.Evidence != now {
		d.Note, changed = nil, true
	}
	for _, e := range []*Entry{d.Proposal, d.Begun} {
		if e != nil && e.Evidence != now {
			d, changed = Decision{Note: d.Note}, true
			break
		}
	}
	return d, changed
}

// Unfinished counts the open items about which an action was begun and is not
// known to be done.
func (t *Table) Unfinished() (n int) {
	for _, items := range [][]reconcile.Item{t.Open, t.Fixable} {
		for i := range items {
			if d, _ := t.decision(&items[i]); d.Begun != nil && (d.Ended == nil || d.Ended.Failed != "") {
				n++
			}
		}
	}
	return n
}

// way says by whom an action was done, if not by people.
func (e *Entry) way() string {
	if e.Order != "" {
		return "自动"
	}
	return ""
}

// Standing says in words how far an item has come.
func (t *Table) Standing(it *reconcile.Item) string {
	d, changed := t.decision(it)
	switch {
	case d.Ended != nil && d.Ended.Failed != "":
		return d.Ended.way() + "执行未成: " + d.Ended.Failed
	case d.Ended != nil:
		return d.Ended.way() + "已执行 " + d.Ended.Action.Chinese() + ", 待下次对账核实"
	case d.Begun != nil:
		return d.Begun.way() + "执行中 " + d.Begun.Action.Chinese()
	case d.Approval != nil:
		return "已批准 " + d.Proposal.Action.Chinese()
	case d.Proposal != nil:
		return "已提议 " + d.Proposal.Action.Chinese() + ", 待批准"
	case d.Note != nil:
		return "已备注 " + d.Note.Owner + " 限 " + d.Note.Due.String()
	case changed:
		return "证据已变, 原决定不再适用"
	}
	return "未处理"
}
