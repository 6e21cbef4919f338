package statement

import (
	"fmt"
	"strings"

	"qianzhi/gateway/pay"
)

// Document is the specification as people read it, column by column.
func (s *Spec) Document() string {
	var b strings.Builder
	form := "定长(字节)"
	if s.Delimiter != "" {
		form = fmt.Sprintf("以 %q 分隔", s.Delimiter)
	}
	fmt.Fprintf(&b, "# %s (%s)\n\n文件名 `%s`, 编码 %s, %s, 金额单位 %s, 每行至多 %d 字节。\n", s.Title, s.ID, s.Name, s.Encoding, form, s.Amount, s.MaxLine)
	for i := range s.prog.recs {
		r := &s.prog.recs[i]
		fmt.Fprintf(&b, "\n## %s\n\n", s.place(r))
		if r.l == nil {
			continue
		}
		b.WriteString("| 序 | 起 | 长 | 栏 | 含义 | 格式 |\n|---|---|---|---|---|---|\n")
		for k := range r.l.cols {
			c := &r.l.cols[k]
			at, width := "", ""
			if s.Delimiter == "" {
				at = fmt.Sprint(c.at + 1)
			}
			if c.Width > 0 {
				width = fmt.Sprint(c.Width)
			}
			fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", k+1, at, width, c.Name, c.meaning(), c.written())
		}
	}
	for _, l := range []struct {
		name string
		list []Status
	}{{"状态", s.Status}, {"方向", s.Direction}} {
		for i, st := range l.list {
			if i == 0 {
				fmt.Fprintf(&b, "\n## %s\n\n", l.name)
			}
			fmt.Fprintf(&b, "- `%s` %s\n", st.Wire, st.Effect)
		}
	}
	return b.String()
}

func (s *Spec) place(r *rec) string {
	role := map[string]string{"header": "头记录", "trailer": "尾记录", "line": "明细", "skip": "略过的行"}[r.Role]
	switch {
	case r.at > 0:
		return fmt.Sprintf("%s: 第 %d 行", role, r.at)
	case r.at < 0:
		return fmt.Sprintf("%s: 倒数第 %d 行", role, -r.at)
	case len(r.prefix) > 0:
		return fmt.Sprintf("%s: 以 %q 开头", role, r.Prefix)
	}
	return role
}

// meaning is what a column says.
func (c *column) meaning() string {
	if t := c.Total; t != nil {
		of := map[string]string{"count": "笔数", "sum": "金额合计", "net": "净额", "hash": t.Field + " 的散列合计", "lines": "行数"}[t.Of]
		if t.Direction == "in" || t.Direction == "out" {
			of += " " + t.Direction
		}
		return of + " (" + t.Effect + ")"
	}
	if id, ok := pay.ParseField(c.Name); ok {
		return id.Info().Chinese
	}
	if c.orig > 0 {
		return "原交易的标识"
	}
	switch c.Name {
	case colStatus:
		return "状态"
	case colDirection:
		return "方向"
	case colKey:
		return "银行侧唯一标识"
	}
	return "不用"
}

// written is how a column is written.
func (c *column) written() string {
	parts := []string{c.Type}
	if c.Type == kindAmount {
		parts = append(parts, c.Unit)
	}
	if c.Format != "" {
		parts = append(parts, c.Format)
	}
	if c.Width > 0 && c.right {
		parts = append(parts, fmt.Sprintf("右对齐补 %q", c.Pad))
	}
	if c.Optional {
		parts = append(parts, "可缺")
	}
	if c.Const != "" {
		parts = append(parts, "固定 "+c.Const)
	}
	return strings.Join(parts, " ")
}
