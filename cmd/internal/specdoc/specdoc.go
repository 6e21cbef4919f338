// Package specdoc writes the interface document of a link: framing, security,
// transactions with their fields, response codes, and a worked example of every
// transaction. It says what the link file says and nothing else, so that the
// document and the program cannot differ.
package specdoc

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// Options choose language and format.
type Options struct {
	English bool
	HTML    bool
}

// Write writes the document of a link. The same link gives the same bytes.
func Write(w io.Writer, l *spec.Link, o Options) error {
	d, err := l.Assemble(spec.Parts{})
	if err != nil {
		return err
	}
	b := &book{link: l, dialect: d, english: o.English}
	b.overview()
	b.framing()
	b.security()
	if err := b.transactions(); err != nil {
		return err
	}
	b.codes()
	b.appendix()
	if o.HTML {
		return b.html(w)
	}
	return b.markdown(w)
}

// book is the document while it is written.
type book struct {
	link    *spec.Link
	dialect *protocol.Dialect
	english bool
	parts   []part
	section int
}

// part is one block of the document: a heading, a paragraph, a table or code.
type part struct {
	level int // of a heading
	text  string
	code  string
	head  []string // of a table
	rows  [][]string
}

// say picks the language.
func (b *book) say(chinese, english string) string {
	if b.english {
		return english
	}
	return chinese
}

// chapter begins a numbered section.
func (b *book) chapter(chinese, english string) {
	b.section++
	b.parts = append(b.parts, part{level: 2, text: fmt.Sprintf("%d %s", b.section, b.say(chinese, english))})
}

func (b *book) heading(level int, text string) {
	b.parts = append(b.parts, part{level: level, text: text})
}
func (b *book) para(chinese, english string) {
	b.parts = append(b.parts, part{text: b.say(chinese, english)})
}
func (b *book) table(head []string, rows [][]string) {
	b.parts = append(b.parts, part{head: head, rows: rows})
}
func (b *book) listing(text string) { b.parts = append(b.parts, part{code: text}) }

func (b *book) overview() {
	l := b.link
	title := l.Title
	if title == "" {
		title = l.ID
	}
	b.heading(1, title)
	b.para("本文由链路文件 "+l.ID+" 生成, 与程序所用的是同一份定义。", "Written from the link file "+l.ID+", which the program itself runs on.")
	b.chapter("概述", "Overview")
	rows := [][]string{
		{b.say("链路", "Link"), l.ID},
		{b.say("传输", "Transport"), map[string]string{"tcp": "TCP", "http": "HTTP"}[l.Transport]},
	}
	rows = append(rows, b.forms()...)
	rows = append(rows, [][]string{
		{b.say("机构编号", "Institution"), l.Identity.Institution},
		{b.say("流水号唯一范围", "A serial is unique within"), b.scope()},
		{b.say("资金", "Funds"), b.funds()},
		{b.say("单笔限额(元)", "Most for one payment, yuan"), l.Limits.MaxAmount},
		{b.say("应答时限", "Answered within"), l.Timeouts.Channel.String()},
		{b.say("发起方等待时间", "The sender waits"), l.Timeouts.Terminal.String()},
		{b.say("最大连接数", "Most connections"), strconv.Itoa(l.Limits.Conns)},
		{b.say("开放的交易", "Operations allowed"), strings.Join(l.Allow, ", ")},
	}...)
	b.table([]string{b.say("项目", "Item"), b.say("内容", "Content")}, rows)
}

func (b *book) scope() string {
	id := &b.link.Identity
	out := map[protocol.SerialScope]string{
		protocol.ScopeSenderDate: b.say("发起方日期", "the sender's date"),
		protocol.ScopeBatch:      b.say("批次", "the batch"),
		protocol.ScopeNone:       b.say("永不重复", "never repeats"),
	}[protocol.SerialScope(id.SerialScope)]
	for _, name := range id.Scope {
		out += ", " + b.field(name)
	}
	return out
}

// field names a business field in the language of the document.
func (b *book) field(name string) string {
	if id, ok := pay.ParseField(name); ok && !b.english {
		return id.Info().Chinese
	}
	return strings.ReplaceAll(name, "_", " ")
}

func (b *book) funds() string {
	if b.link.Taken() == pay.Taken {
		return b.say("发起方已扣款: 无法入账的转挂账, 不作最终拒绝", "taken before sending: what cannot be posted is parked, never finally refused")
	}
	return b.say("发起方未扣款", "not taken before sending")
}

func (b *book) codes() {
	b.chapter("应答码", "Response codes")
	b.para("未列出的应答码一律按结果未知处理: 用查询结果交易核实, 不得当作失败。",
		"A code that is not listed means that the outcome is unknown: ask for the status, never take it for a failure.")
	meaning := map[string]string{"approved": b.say("成功", "approved"), "declined": b.say("失败", "declined"), "unknown": b.say("未知", "unknown")}
	var rows [][]string
	seen := map[string]bool{}
	for _, c := range b.dialect.Map.Codes {
		if seen[c.Wire] {
			continue
		}
		seen[c.Wire] = true
		text := c.Text
		if b.english {
			text = c.Code.English()
		}
		rows = append(rows, []string{c.Wire, meaning[c.Verdict.String()], text})
	}
	b.table([]string{b.say("应答码", "Code"), b.say("结论", "Outcome"), b.say("说明", "Meaning")}, rows)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
