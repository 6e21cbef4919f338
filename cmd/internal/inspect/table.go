package inspect

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table writes the message for a terminal: one line a field.
func (m *Message) Table(w io.Writer) error {
	fmt.Fprintf(w, "链路 %s  报文 %s\n", m.Link, or(m.Type, "(映射中没有)"))
	for _, name := range headNames(m.Header) {
		fmt.Fprintf(w, "帧头 %s %s\n", name, m.Header[name])
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "位置\t长度\t域\t值\t十六进制\t名称")
	for _, f := range m.Fields {
		fmt.Fprintf(t, "%d\t%d\t%s\t%s\t%s\t%s\n", f.At[0], f.At[1], f.ID, f.Value, cut(f.Hex), f.Name)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, b := range []*Business{m.Request, m.Reply} {
		if b != nil {
			fmt.Fprintln(w, b.line())
		}
	}
	return nil
}

// Line writes the fault in one line.
func (f *Fault) Line() string {
	s := fmt.Sprintf("%s %s 第%d字节: 应为 %s, 实为 %s", f.Class, f.Path, f.Offset, f.Want, or(f.Got, "无"))
	if f.Hint != "" {
		s += " (" + f.Hint + ")"
	}
	return s
}

func (b *Business) line() string {
	parts := []string{"业务", b.Op}
	add := func(name, val string) {
		if val != "" {
			parts = append(parts, name+"="+val)
		}
	}
	add("结论", b.Verdict)
	add("码", b.Code)
	add("流水", b.Serial)
	add("原流水", b.Original)
	add("户号", b.Account)
	if b.Fen != 0 {
		add("金额", b.Fen.Yuan())
	}
	for _, bill := range b.Bills {
		add("账单", bill.ID+":"+bill.Fen.Yuan())
	}
	names := make([]string, 0, len(b.More))
	for n := range b.More {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		add(n, b.More[n])
	}
	return strings.Join(parts, " ")
}

// maxHex is how many hex digits of a field a table shows.
const maxHex = 40

func cut(s string) string {
	if len(s) > maxHex {
		return s[:maxHex] + "..."
	}
	return s
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
