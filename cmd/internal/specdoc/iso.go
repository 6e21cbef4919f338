package specdoc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"qianzhi/protocol/iso8583"
)

// described is one field, part or tag of the table with its path.
type described struct {
	path  string
	field *iso8583.Field
	group bool
}

// flat lists a field and all that may stand below it; forms of a field that
// depend on others come after its own.
func flat(f *iso8583.Field, path string) []described {
	out := []described{{path, f, f.Loop != nil}}
	for _, list := range [][]iso8583.Field{f.Fields, f.Loop} {
		for i := range list {
			out = append(out, flat(&list[i], path+"."+list[i].Name)...)
		}
	}
	for i := range f.Cases {
		as := &f.Cases[i].As
		below := path
		if as.Name != "" {
			below += "." + as.Name
		}
		out = append(out, flat(as, below)...)
	}
	return out
}

func (t *lister) iso(s *iso8583.Spec) {
	t.add("", "MTI", "n", "4", true, t.say("报文类型", "message type"))
	must := t.must(s)
	for i := range s.Fields {
		f := &s.Fields[i]
		if !t.uses.has(f.Name) && !slices.Contains(must, f.Name) {
			continue
		}
		seen, list := map[string]bool{}, flat(f, f.Name)
		counts := t.counters(list)
		for _, d := range list {
			if d.path != f.Name && !t.uses.has(d.path) && counts[d.path] == "" || seen[d.path] {
				continue
			}
			seen[d.path] = true
			t.isoRow(&d, slices.Contains(must, d.path))
			if loop := counts[d.path]; loop != "" {
				row := t.rows[len(t.rows)-1]
				row[4], row[6] = t.uses.need(loop, false), t.say("循环次数", "times of the loop")
			}
		}
	}
}

// counters are the parts that hold how often the loops in use repeat, and
// which.
func (t *lister) counters(list []described) map[string]string {
	out := map[string]string{}
	for i := range list {
		if d := &list[i]; d.group && d.field.Count != "" && t.uses.has(d.path) {
			out[d.path[:strings.LastIndexByte(d.path, '.')+1]+d.field.Count] = d.path
		}
	}
	return out
}

// must are the bits that the message type has to carry.
func (t *lister) must(s *iso8583.Spec) []string {
	var out []string
	for i := range s.Messages {
		if !slices.Contains(s.Messages[i].MTI, t.value["MTI"]) {
			continue
		}
		for _, bit := range s.Messages[i].Must {
			out = append(out, strconv.Itoa(bit))
		}
	}
	return out
}

func (t *lister) isoRow(d *described, must bool) {
	bit := d.path
	if strings.Contains(bit, ".") {
		bit = ""
	}
	kind, size := isoFormat(d.field)
	if d.group {
		kind, size = t.say("循环", "loop"), t.times(d.field.Count, 0, d.field.Max)
	}
	t.add(bit, d.path, kind, size, must, d.field.Title)
}

// isoFormat writes type and length as such documents do: n12, LLL n..322.
func isoFormat(f *iso8583.Field) (kind, size string) {
	kind = or(f.Type, "parts")
	if f.Code != "" {
		kind += " " + f.Code
	}
	switch {
	case f.Var == "" || f.Var == "rest":
		size = strconv.Itoa(f.Len)
	default:
		size = fmt.Sprintf("%s, ..%d", f.Var, f.Len)
	}
	return kind, size
}

// appendix is the whole table of an ISO 8583 link: transactions show only what
// they use.
func (b *book) appendix() {
	s := b.link.ISO8583
	if s == nil {
		return
	}
	b.chapter("域表", "Field table")
	b.para("MTI "+or(s.MTI, "bcd")+", 位图 "+or(s.Bitmap.Form, "64")+" "+or(s.Bitmap.Code, "binary")+
		"; n、z 缺省为 "+or(s.Digits, "bcd")+", 变长前缀缺省为 "+or(s.Length, "bcd")+", ans 为 "+or(s.Charset, "gb18030")+"。",
		"MTI "+or(s.MTI, "bcd")+", map "+or(s.Bitmap.Form, "64")+" "+or(s.Bitmap.Code, "binary")+"; n and z are "+or(s.Digits, "bcd")+
			" by default, length prefixes "+or(s.Length, "bcd")+", ans is "+or(s.Charset, "gb18030")+".")
	var rows [][]string
	for i := range s.Fields {
		for _, d := range flat(&s.Fields[i], s.Fields[i].Name) {
			kind, size := isoFormat(d.field)
			if d.group {
				kind, size = b.say("循环", "loop"), strconv.Itoa(d.field.Max)
			}
			rows = append(rows, []string{d.path, kind, size, d.field.Title})
		}
	}
	b.table([]string{b.say("域", "Field"), b.say("类型", "Type"), b.say("长度", "Length"), b.say("名称", "Title")}, rows)
}
