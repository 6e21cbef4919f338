package specdoc

import (
	"fmt"
	"slices"
	"strconv"

	"qianzhi/protocol/delimited"
	"qianzhi/protocol/fixed"
	"qianzhi/protocol/fml"
	"qianzhi/protocol/markup"
	"qianzhi/protocol/spec"
)

// fields lists what a direction of a transaction carries.
func (b *book) fields(m *spec.Message, reply bool) [][]string {
	t := &lister{book: b, uses: b.uses(m, reply), value: map[string]string{}}
	for _, w := range m.Request.When {
		t.value[w.Key] = w.Val
	}
	if reply {
		t.value = b.approved(m)
	}
	l := b.link
	switch {
	case l.ISO8583 != nil:
		t.iso(l.ISO8583)
	case l.Fixed != nil:
		t.fixed(side(l.Fixed, reply))
	case l.Delimited != nil:
		t.delimited(side(l.Delimited, reply))
	case l.JSON != nil:
		t.markup(side(l.JSON, reply).Fields, "")
	case l.XML != nil:
		t.markup(side(l.XML, reply).Fields, "")
	case l.KV != nil:
		t.markup(side(l.KV, reply).Fields, "")
	case l.FML != nil:
		t.fml(side(l.FML, reply).Fields, "")
	}
	return t.rows
}

func side[S any](p *spec.Pair[S], reply bool) *S {
	if reply {
		return &p.Reply
	}
	return &p.Request
}

// approved are the constants of a reply that says yes.
func (b *book) approved(m *spec.Message) map[string]string {
	out := map[string]string{}
	for _, w := range m.Reply.When {
		out[w.Key] = w.Val
	}
	for _, mv := range m.Reply.Map {
		if mv.Field == "code" && len(b.dialect.Map.Codes) > 0 {
			out[mv.At] = b.approval()
		}
	}
	return out
}

// approval is the wire value that says yes.
func (b *book) approval() string {
	for _, c := range b.link.Codes {
		if c.Code == "ok" {
			return c.Wire
		}
	}
	return ""
}

func (b *book) columns() []string {
	return []string{b.say("位置", "Place"), b.say("域", "Field"), b.say("类型", "Type"), b.say("长度", "Length"), b.say("必填", "Need"),
		b.say("名称", "Title"), b.say("内容", "Content")}
}

// lister builds the rows of one table.
type lister struct {
	*book
	uses  *uses
	value map[string]string // known values of the message
	rows  [][]string
	at    int // offset or number of the next field
	open  bool
}

func (t *lister) add(place, path, kind, size string, required bool, title string) {
	t.rows = append(t.rows, []string{place, path, kind, size, t.uses.need(path, required), title, t.uses.by[path].content})
}

// place is the offset of the next field; behind a part of unknown size there
// is none.
func (t *lister) place(inLoop bool) string {
	switch {
	case t.open && !inLoop:
		return ""
	case inLoop:
		return "+" + strconv.Itoa(t.at)
	}
	return strconv.Itoa(t.at)
}

func (t *lister) fixed(s *fixed.Spec) {
	t.fixedFields(s.Header, "", false)
	for i := range s.Bodies {
		body := &s.Bodies[i]
		if len(body.When) > 0 && !slices.Contains(body.When, t.value[s.Pick]) ||
			body.OnlyIf != nil && !slices.Contains(body.OnlyIf.Values, t.value[body.OnlyIf.Field]) {
			continue
		}
		t.fixedFields(body.Fields, "", false)
		return
	}
}

func (t *lister) fixedFields(list []fixed.Field, prefix string, inLoop bool) {
	for i := range list {
		f := &list[i]
		if f.Loop == "" {
			t.add(t.place(inLoop), prefix+f.Name, t.cellType(f.Type, f.Decimals, f.Sign)+t.filled(f.Type, f.Align, f.Pad), strconv.Itoa(f.Len), f.Required, f.Title)
			t.at += f.Len
			continue
		}
		t.counts(prefix + f.Count)
		t.add(t.place(inLoop), prefix+f.Loop, t.say("循环", "loop"), t.times(f.Count, f.Times, f.Max), false, f.Title)
		from := t.at
		t.at = 0
		t.fixedFields(f.Fields, prefix+f.Loop+".", true)
		t.at, t.open = from, true
	}
}

// counts notes that a field tells how often a loop repeats, and so must be
// there.
func (t *lister) counts(path string) {
	for _, r := range t.rows {
		if r[1] == path {
			r[4], r[6] = "M", t.say("循环次数", "times of the loop")
		}
	}
}

// times says how often a loop repeats.
func (t *lister) times(count string, times, most int) string {
	switch {
	case count != "":
		return fmt.Sprintf(t.say("%s 次, 至多 %d", "%s times, at most %d"), count, most)
	case times > 0:
		return fmt.Sprintf(t.say("%d 次", "%d times"), times)
	}
	return fmt.Sprintf(t.say("至多 %d 次", "at most %d times"), most)
}

// cellType is the type of a cell with its decimals and sign.
func (t *lister) cellType(kind string, decimals int, sign string) string {
	if kind == "d" {
		kind = fmt.Sprintf("d.%d", decimals)
	}
	return kind + map[string]string{"minus": t.say(", 负数带 -", ", - before negative ones"), "always": t.say(", 带正负号", ", with sign")}[sign]
}

// filled says how a cell is filled up when that is not what its type has.
func (t *lister) filled(kind, align, pad string) string {
	number := kind == "n" || kind == "d"
	usual := map[bool][2]string{true: {"right", "0"}, false: {"left", " "}}[number]
	align, pad = or(align, usual[0]), or(pad, usual[1])
	if align == usual[0] && pad == usual[1] {
		return ""
	}
	if align == "right" {
		return fmt.Sprintf(t.say(", 右对齐左补 %q", ", filled up with %q on the left"), pad)
	}
	return fmt.Sprintf(t.say(", 左对齐右补 %q", ", filled up with %q on the right"), pad)
}

func (t *lister) delimited(s *delimited.Spec) {
	t.at = 1
	t.delimitedFields(s.Header, "", false)
	for i := range s.Bodies {
		body := &s.Bodies[i]
		if len(body.When) > 0 && !slices.Contains(body.When, t.value[s.Pick]) ||
			body.OnlyIf != nil && !slices.Contains(body.OnlyIf.Values, t.value[body.OnlyIf.Field]) {
			continue
		}
		t.delimitedFields(body.Fields, "", false)
		return
	}
}

func (t *lister) delimitedFields(list []delimited.Field, prefix string, inLoop bool) {
	for i := range list {
		f := &list[i]
		if f.Loop != "" {
			t.counts(prefix + f.Count)
			t.add(t.place(inLoop), prefix+f.Loop, t.say("循环", "loop"), t.times(f.Count, 0, f.Max), false, f.Title)
			from := t.at
			t.at = 0
			t.delimitedFields(f.Fields, prefix+f.Loop+".", true)
			t.at, t.open = from, true
			continue
		}
		size, kind := strconv.Itoa(f.Len), t.cellType(f.Type, f.Decimals, f.Sign)
		if f.Len == 0 {
			size = atMost(f.Max)
		} else {
			kind += t.filled(f.Type, f.Align, f.Pad)
		}
		t.add(t.place(inLoop), prefix+f.Name, kind, size, f.Required, f.Title)
		t.at++
	}
}

func atMost(n int) string {
	if n == 0 {
		return ""
	}
	return "≤" + strconv.Itoa(n)
}

// markup lists only what the transaction uses: the spec holds the fields of
// all of them.
func (t *lister) markup(list []markup.Field, prefix string) {
	for i := range list {
		f := &list[i]
		path := prefix + f.Name + f.Loop
		switch {
		case !t.uses.has(path) && !f.Required && f.Fields == nil:
		case f.Loop != "":
			t.add("", path, t.say("循环", "loop"), t.times("", 0, f.Max), false, f.Title)
			t.markup(f.Fields, path+".")
		default:
			t.add("", path, or(f.Type, "string"), "", f.Required, f.Title)
		}
	}
}

func (t *lister) fml(list []fml.Field, prefix string) {
	for i := range list {
		f := &list[i]
		path := prefix + f.Name + f.Loop
		switch {
		case !t.uses.has(path) && !f.Required && f.Fields == nil:
		case f.Loop != "":
			t.add("", path, t.say("多次出现", "occurrences"), t.times("", 0, f.Max), false, f.Title)
			t.fml(f.Fields, path+".")
		case f.Fields != nil:
			t.add("", path, t.fmlType(f.Name), t.times("", 0, max(f.Max, 1)), f.Required, f.Title)
			t.fml(f.Fields, path+".")
		default:
			t.add("", path, t.fmlType(f.Name), "", f.Required, f.Title)
		}
	}
}

func (t *lister) fmlType(name string) string {
	table, err := fml.ParseTable(t.link.FML.Request.Table)
	if err != nil {
		return ""
	}
	id, ok := table.Lookup(name)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s, id %d", id.Type(), id)
}
