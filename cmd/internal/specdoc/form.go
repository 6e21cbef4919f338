package specdoc

import (
	"fmt"
	"strings"

	"qianzhi/protocol/delimited"
	"qianzhi/protocol/markup"
)

// forms are the rows that say how a body is written; one for both directions
// where they do not differ.
func (b *book) forms() [][]string {
	request, reply := b.form(false), b.form(true)
	if request == reply {
		return [][]string{{b.say("报文格式", "Message format"), request}}
	}
	return [][]string{{b.say("请求格式", "Format of requests"), request}, {b.say("应答格式", "Format of replies"), reply}}
}

// form says how the body of a direction is written.
func (b *book) form(reply bool) string {
	l := b.link
	switch {
	case l.ISO8583 != nil:
		return "ISO 8583, " + or(l.ISO8583.Charset, "gb18030")
	case l.Fixed != nil:
		return b.say("定长字段, ", "fixed-length fields, ") + side(l.Fixed, reply).Encoding +
			b.say("; 数字右对齐左补 0, 其他左对齐右补空格, 另注的除外", "; numbers are filled up with zeros on the left, others with blanks on the right, unless noted")
	case l.Delimited != nil:
		return b.lines(side(l.Delimited, reply))
	case l.JSON != nil:
		return "JSON, utf-8"
	case l.XML != nil:
		return b.xml(side(l.XML, reply))
	case l.FML != nil:
		return b.say("Tuxedo FML32 打印格式, ", "printed FML32 of Tuxedo, ") + side(l.FML, reply).Encoding
	}
	return b.pairs(side(l.KV, reply))
}

func (b *book) lines(s *delimited.Spec) string {
	parts := []string{fmt.Sprintf(b.say("以 %q 分隔的字段, %s", "fields between %q, %s"), s.Separator, s.Encoding), b.quotes(s.Quote)}
	if s.End {
		parts = append(parts, b.say("最后一个字段之后也有分隔符", "one also follows the last field"))
	}
	if s.Line != "" {
		parts = append(parts, fmt.Sprintf(b.say("循环各笔各占一行, 以 %s 结尾", "entries of loops on lines of their own, which end with %s"), strings.ToUpper(s.Line)))
	}
	if s.Last {
		parts = append(parts, b.say("末行也有行尾", "so does the last line"))
	}
	return joined(parts)
}

func (b *book) xml(s *markup.Spec) string {
	parts := []string{"XML, " + or(s.Encoding, "utf-8"), b.say("根元素 ", "outermost element ") + s.Root}
	for _, ns := range s.Namespaces {
		prefix := b.say("无前缀", "no prefix")
		if ns.Prefix != "" {
			prefix = ns.Prefix + ":"
		}
		parts = append(parts, fmt.Sprintf(b.say("命名空间 %s = %s", "namespace %s = %s"), prefix, ns.URI))
	}
	return joined(append(parts, b.say("路径以 . 相连, @ 为属性", "paths with points, @ is an attribute")))
}

func (b *book) pairs(s *markup.Spec) string {
	parts := []string{fmt.Sprintf(b.say("名=值, %s; 各对以 %q 分隔, 名与值之间 %q", "name=value, %s; %q between pairs, %q between name and value"),
		or(s.Encoding, "utf-8"), or(s.Separator, "&"), or(s.Assign, "=")), b.quotes(s.Quote)}
	parts = append(parts, map[string]string{"percent": b.say("值以 %XX 转义", "values are escaped as %XX"),
		"form":      b.say("值以 %XX 转义, 空格可写作 +", "values are escaped as %XX, a blank may be +"),
		"backslash": b.say("值中的分隔符与 \\ 之前加 \\", "a backslash stands before separators and backslashes in values")}[s.Escape])
	if s.End {
		parts = append(parts, b.say("最后一对之后也有分隔符", "a separator also follows the last pair"))
	}
	return joined(parts)
}

func (b *book) quotes(when string) string {
	return map[string]string{"needed": b.say("值中有分隔符或双引号时以双引号括起, 内部双引号写两个", "a value with separators or double quotes stands in double quotes, those inside twice"),
		"always": b.say("每个值以双引号括起, 内部双引号写两个", "each value stands in double quotes, those inside twice")}[when]
}

// joined joins what there is.
func joined(parts []string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, "; ")
}
