package reconcile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"qianzhi/gateway/pay"
)

// Told is one payment of a version: who counts its money.
type Told struct {
	Sides string // J, M, B, C of the parties that count it, - of those that do not; * behind where their amounts differ
	Line  *Line  // of the first party that tells of it
	Item  *Item  // nil: they agree
}

// ErrNoVerdict reports that a version compares nothing: a source was missing or
// refused.
var ErrNoVerdict = errors.New("该版本没有逐笔结论")

// Combined yields every payment of a version in its folder: those of the
// journal in its order, then those that only others tell of. Open reads a
// journal that came as a file of its own; yield returns false to end it.
func Combined(dir string, open func(path string) (Table, error), yield func(*Told) bool) error {
	v, err := ReadSummary(dir)
	if err != nil {
		return err
	}
	if v.Exit > Unbalanced.Exit() {
		return ErrNoVerdict
	}
	b, err := os.ReadFile(filepath.Join(dir, "items.jsonl"))
	if err != nil {
		return err
	}
	items, err := ReadRecords(b)
	if err != nil {
		return err
	}
	has := [parties]bool{Journal: true}
	for p := MIS; p < parties; p++ {
		_, has[p] = v.Totals[p.ID()]
	}
	byRow := map[int][]*Item{}
	for i := range items {
		if l := items[i].Lines[Journal]; l != nil {
			byRow[l.Row] = append(byRow[l.Row], &items[i])
		}
	}
	more := true
	say := func(t *Told) bool {
		more = more && yield(t)
		return more
	}
	err = v.eachLine(dir, open, func(l *Line) bool {
		if its := byRow[l.Row]; len(its) > 0 {
			return say(&Told{Sides: sidesOf(its, has), Line: l, Item: its[0]})
		}
		return say(&Told{Sides: agreed(l, has), Line: l})
	})
	for i := 0; i < len(items) && err == nil; i++ {
		if it := &items[i]; it.Lines[Journal] == nil {
			say(&Told{Sides: sidesOf([]*Item{it}, has), Line: it.Any(), Item: it})
		}
	}
	return err
}

// agreed are the sides of a payment about which there is nothing to say.
func agreed(l *Line, has [parties]bool) string {
	return sides(has, func(p Party) bool { return l.counts(Journal) && !l.Without.Has(p) }, "")
}

// sidesOf are those of a payment with items: a party counts it that does in any
// of them. One that has no part in the item agrees with the journal.
func sidesOf(its []*Item, has [parties]bool) string {
	mark := ""
	for _, it := range its {
		if strings.HasPrefix(it.Code, "AM-") {
			mark = "*"
		}
	}
	return sides(has, func(p Party) bool {
		spoken := false
		for _, it := range its {
			if it.Lines[p].counts(p) {
				return true
			}
			spoken = spoken || p == Journal || it.card() == (p == Card)
		}
		own := its[0].Lines[Journal]
		return !spoken && own.counts(Journal) && !own.Without.Has(p)
	}, mark)
}

func sides(has [parties]bool, counts func(Party) bool, mark string) string {
	var b []byte
	for p := Journal; p < parties; p++ {
		switch {
		case !has[p]:
		case counts(p):
			b = append(b, p.letter())
		default:
			b = append(b, '-')
		}
	}
	return string(b) + mark
}

// eachLine yields the journal's lines as the version read them.
func (s *Summary) eachLine(dir string, open func(path string) (Table, error), yield func(*Line) bool) error {
	day, err := pay.ParseDay(s.Day)
	if err != nil {
		return err
	}
	own, err := openSpool(filepath.Join(dir, journalFile), day)
	if err == nil {
		defer own.Close()
		return own.each(yield)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, in := range s.Inputs {
		if in.Party == Journal.String() && in.Kept != "" {
			t, err := open(filepath.Join(dir, "inputs", in.Kept))
			if err != nil {
				return err
			}
			if c, ok := t.(interface{ Close() error }); ok {
				defer c.Close()
			}
			return eachOf(t, yield)
		}
	}
	return errors.New("the version keeps no lines of the journal") // its run ended before
}
