package specdoc

import (
	"fmt"
	"slices"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol/spec"
)

// use is what a transaction does with one wire field.
type use struct {
	need    string // M, O or C
	content string
}

// uses tells for every wire field that a direction of a transaction names what
// it holds.
type uses struct {
	by map[string]use
}

func (u *uses) put(path, need, content string) {
	if old, ok := u.by[path]; ok {
		if content == "" || old.content == content {
			return
		}
		if old.content != "" {
			content = old.content + "; " + content
		}
		need = old.need
	}
	u.by[path] = use{need, content}
}

// has reports whether the field or something below it is used.
func (u *uses) has(path string) bool {
	if _, ok := u.by[path]; ok {
		return true
	}
	for p := range u.by {
		if strings.HasPrefix(p, path+".") {
			return true
		}
	}
	return false
}

// need says whether a field must be there: as the transaction says, or, for one
// that it does not name, as the field and its parts do.
func (u *uses) need(path string, required bool) string {
	if n := u.by[path].need; n != "" {
		return n
	}
	if required {
		return "M"
	}
	for p, below := range u.by {
		if strings.HasPrefix(p, path+".") && below.need == "M" {
			return "M"
		}
	}
	return "O"
}

func (b *book) uses(m *spec.Message, reply bool) *uses {
	u := &uses{by: map[string]use{}}
	dir, must := &m.Request, "M"
	if reply {
		dir, must = &m.Reply, "C"
	}
	for _, w := range dir.When {
		u.put(w.Key, "M", "= "+w.Val)
	}
	for _, e := range dir.Echo {
		said := b.say("同请求", "as in the request")
		if e.From != e.To {
			said += " " + e.From
		}
		u.put(e.To, "M", said)
	}
	b.moves(u, dir.Map, "", must)
	b.moves(u, dir.Maybe, "", "O")
	if dir.Bills != nil {
		u.put(dir.Bills.Group, "O", b.say("账单, 逐笔重复", "bills, repeated"))
		b.moves(u, dir.Bills.Map, dir.Bills.Group+".", "M")
		b.moves(u, dir.Bills.Maybe, dir.Bills.Group+".", "O")
	}
	return u
}

func (b *book) moves(u *uses, ms spec.Moves, prefix, need string) {
	for i := range ms {
		mv := &ms[i]
		n := need
		if mv.Field == pay.FCode.String() {
			n = "M"
		}
		u.put(prefix+mv.At, n, b.content(mv))
	}
}

// content says which business value stands in a field and how it is written.
func (b *book) content(mv *spec.Move) string {
	parts := []string{b.field(mv.Field)}
	switch {
	case mv.Unit == "yuan":
		parts = append(parts, b.say("元, 两位小数", "yuan, two decimals"))
	case mv.Unit == "li":
		parts = append(parts, b.say("厘", "li, 1/1000 yuan"))
	case mv.Unit == "fen", strings.Contains(mv.Field, "amount"), mv.Field == "bill_principal", mv.Field == "bill_penalty", mv.Field == "balance":
		parts = append(parts, b.say("分", "fen"))
	}
	if mv.Date != "" {
		parts = append(parts, mv.Date)
	}
	if mv.Tail > 0 {
		parts = append(parts, fmt.Sprintf(b.say("末 %d 位", "last %d characters"), mv.Tail))
	}
	var dict []string
	for wire, val := range mv.Dict {
		dict = append(dict, wire+" = "+val)
	}
	slices.Sort(dict)
	if mv.Other != "" {
		dict = append(dict, fmt.Sprintf(b.say("其他值 = %s", "any other value = %s"), mv.Other))
	}
	return strings.Join(append(parts, dict...), ", ")
}
