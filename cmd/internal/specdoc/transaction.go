package specdoc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"qianzhi/cmd/internal/inspect"
	"qianzhi/protocol"
	"qianzhi/protocol/delimited"
	"qianzhi/protocol/fixed"
	"qianzhi/protocol/spec"
)

func (b *book) transactions() error {
	b.chapter("交易", "Transactions")
	var rows [][]string
	for i := range b.link.Messages {
		m := &b.link.Messages[i]
		rows = append(rows, []string{m.Name, m.Op, constants(m.Request.When), constants(m.Reply.When)})
	}
	b.table([]string{b.say("交易", "Transaction"), b.say("操作", "Operation"), b.say("请求标识", "Request has"), b.say("应答标识", "Reply has")}, rows)
	b.para("必填一栏: M 必填, O 可选, C 成功应答必填。"+b.places(false), "Need: M mandatory, O optional, C mandatory when approved. "+b.places(true))
	for i := range b.link.Messages {
		if err := b.transaction(i); err != nil {
			return err
		}
	}
	return nil
}

// places says what the column of places counts.
func (b *book) places(english bool) string {
	var zh, en string
	switch {
	case b.link.Fixed != nil:
		zh, en = "位置为正文内的字节偏移, 从 0 起; +n 为循环每笔之内的偏移。长度以字节计。", "Places are byte offsets in the body, from 0; +n is within an entry of the loop. Lengths are bytes."
	case b.link.Delimited != nil:
		zh, en = "位置为第几个字段, 从 1 起; +n 为循环每笔之内的次序。长度以字节计。", "Places count fields from 1; +n is within an entry of the loop. Lengths are bytes."
	case b.link.ISO8583 != nil:
		zh, en = "位置为位图的位。", "Places are bits of the map."
	}
	if english {
		return en
	}
	return zh
}

func constants(when spec.Pairs) string {
	out := make([]string, len(when))
	for i, w := range when {
		out[i] = w.Key + " = " + w.Val
	}
	return strings.Join(out, ", ")
}

func (b *book) transaction(i int) error {
	m := &b.link.Messages[i]
	b.heading(3, fmt.Sprintf("%d.%d %s", b.section, i+1, m.Name))
	b.heading(4, b.say("请求", "Request"))
	b.table(b.columns(), b.fields(m, false))
	b.heading(4, b.say("应答", "Reply"))
	b.table(b.columns(), b.fields(m, true))
	if b.conditional() {
		b.para("上表为成功应答; 应答码不是 "+b.approval()+" 时只有报文头。", "The table is of a reply that approves; with another code than "+b.approval()+" there is only the header.")
	}
	x, err := spec.NewExample(b.dialect, i)
	if err != nil {
		return err
	}
	return b.example(i, x)
}

// conditional reports whether what replies carry depends on the code.
func (b *book) conditional() bool {
	switch l := b.link; {
	case l.Fixed != nil:
		return slices.ContainsFunc(l.Fixed.Reply.Bodies, func(x fixed.Body) bool { return x.OnlyIf != nil })
	case l.Delimited != nil:
		return slices.ContainsFunc(l.Delimited.Reply.Bodies, func(x delimited.Body) bool { return x.OnlyIf != nil })
	}
	return false
}

// example writes the bytes of a request and of the reply that approves it.
func (b *book) example(i int, x *spec.Example) error {
	d, rec := spec.Only(b.dialect, i), new(protocol.Record)
	f, _, err := d.AppendRequest(&x.Request, rec, spec.ExampleTime())
	if err != nil {
		return err
	}
	if err := b.bytes(b.say("请求示例", "Example of a request"), d, &d.Request, f, false); err != nil {
		return err
	}
	asked, err := d.ReadRequest(&f, rec, spec.ExampleTime())
	if err != nil {
		return err
	}
	if f, err = d.AppendReply(asked, &x.Reply, new(protocol.Record)); err != nil {
		return err
	}
	return b.bytes(b.say("成功应答示例", "Example of the reply that approves it"), d, &d.Reply, f, true)
}

func (b *book) bytes(title string, d *protocol.Dialect, side *protocol.Side, f protocol.Frame, reply bool) error {
	wire, err := side.Framer.Append(nil, f)
	if err != nil {
		return err
	}
	m, err := inspect.Decode(d, wire, inspect.Options{Reply: reply, Unmask: true})
	if err != nil {
		return err
	}
	b.heading(4, title)
	if b.proved() || b.sealed() {
		b.para("示例不含 MAC、签名与加密, 它们取决于密钥。", "The example is without MAC, signature and encryption, which depend on keys.")
	}
	b.listing(dump(wire))
	if b.link.JSON != nil || b.link.XML != nil && utf8.Valid(f.Body) {
		b.listing(string(f.Body) + "\n")
	}
	var rows [][]string
	for _, field := range m.Fields {
		if !field.Group {
			rows = append(rows, []string{strconv.Itoa(field.At[0]), strconv.Itoa(field.At[1]), field.ID, field.Value, field.Name})
		}
	}
	b.table([]string{b.say("字节", "Byte"), b.say("长度", "Length"), b.say("域", "Field"), b.say("值", "Value"), b.say("名称", "Title")}, rows)
	return nil
}

// dump writes bytes sixteen to a line with offset and printable ASCII.
func dump(p []byte) string {
	var out strings.Builder
	for at := 0; at < len(p); at += 16 {
		line := p[at:min(at+16, len(p))]
		fmt.Fprintf(&out, "%04d  %-48s %s\n", at, fmt.Sprintf("% X", line), printable(line))
	}
	return out.String()
}

func printable(p []byte) string {
	out := []byte(string(p))
	for i, c := range out {
		if c < ' ' || c > '~' {
			out[i] = '.'
		}
	}
	return string(out)
}
