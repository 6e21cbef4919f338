package specdoc

import (
	"fmt"
	"strings"

	"qianzhi/protocol/frame"
)

func (b *book) framing() {
	b.chapter("帧格式", "Framing")
	if b.link.Transport == "http" {
		b.para("每个请求是一个 HTTP POST, 正文为报文; 应答在 HTTP 应答的正文中, 状态 200。",
			"Each request is an HTTP POST whose body is the message; the reply is the body of the HTTP reply, status 200.")
		var rows [][]string
		rows = append(rows, []string{"Content-Type", b.link.HTTP.ContentType})
		for _, h := range b.link.HTTP.Headers {
			rows = append(rows, []string{h.Val, "@" + h.Key})
		}
		b.table([]string{b.say("首部", "Header"), b.say("内容", "Content")}, rows)
		return
	}
	switch {
	case b.link.OneShot() && b.link.Endless():
		b.para("短连接: 每个连接一个报文。发送方写完后关闭己方写方向(SHUT_WR), 即为报文结束; 应答写出后连接关闭。各部分依下列次序。",
			"A connection carries one message. Its sender shuts down its own side (SHUT_WR), which ends the message; the connection is closed after the reply. The parts follow one another in this order.")
	case b.link.OneShot():
		b.para("短连接: 每个连接一个报文, 应答写出后连接关闭。各部分依下列次序。",
			"A connection carries one message and is closed after the reply. The parts follow one another in this order.")
	default:
		b.para("各部分依下列次序, 其后是下一个报文。", "The parts follow one another in this order; the next message follows.")
	}
	if b.link.Answer != nil {
		b.heading(3, b.say("请求", "Requests"))
	}
	b.frame(&b.link.Frame)
	if b.link.Answer != nil {
		b.heading(3, b.say("应答", "Replies"))
		b.frame(b.link.Answer)
	}
}

func (b *book) frame(o *frame.Options) {
	var rows [][]string
	add := func(chinese, english, size, content string) {
		rows = append(rows, []string{b.say(chinese, english), size, content})
	}
	if o.Start != "" {
		add("起始字节", "Start bytes", "", o.Start)
	}
	if n := &o.Length; n.Kind != "" && n.Kind != "none" && n.At == nil {
		add("长度", "Length", fmt.Sprint(n.Bytes), b.length(n))
	}
	if o.TPDU != nil {
		content := b.say("路由, 缺省 ", "routing, by default ") + or(o.TPDU.Default, "0000000000")
		if o.TPDU.Swap {
			content += b.say("; 目的与源地址互换", "; destination and source are exchanged")
		}
		add("TPDU", "TPDU", "5", content)
	}
	if h := &o.Header; h.Bytes > 0 {
		add("报文头", "Header", fmt.Sprint(h.Bytes), b.header(h))
	}
	body := b.say("见各交易", "see the transactions")
	if n := &o.Length; n.At != nil {
		body += fmt.Sprintf(b.say("; 第 %d 字节起 %d 字节为长度, %s", "; %[2]d bytes at offset %[1]d are the length, %[3]s"), *n.At, n.Bytes, b.length(n))
	}
	add("报文正文", "Body", "", body)
	if o.End != "" {
		add("结束字节", "End bytes", "", o.End)
	}
	b.table([]string{b.say("部分", "Part"), b.say("字节", "Bytes"), b.say("内容", "Content")}, rows)
	b.para(fmt.Sprintf("TPDU、报文头与正文合计至多 %d 字节。", o.Max), fmt.Sprintf("TPDU, header and body together take at most %d bytes.", o.Max))
}

func (b *book) length(n *frame.Length) string {
	out := map[string]string{
		"ascii":  b.say("ASCII 数字", "ASCII digits"),
		"bcd":    b.say("BCD 数字", "BCD digits"),
		"binary": b.say("二进制, 高字节在前", "binary, high byte first"),
	}[n.Kind]
	if n.Order == "little" {
		out = b.say("二进制, 低字节在前", "binary, low byte first")
	}
	if n.Kind == "ascii" {
		out += b.pad(&n.Write)
	}
	if n.At != nil && n.Counts == "body" {
		return out + "; " + b.say("计其后的字节", "counts what is behind it")
	}
	return out + "; " + b.counts(n.Counts)
}

func (b *book) pad(p *frame.Pad) string {
	with := or(p.With, "0")
	if p.Side == "right" {
		return fmt.Sprintf(b.say(", 左对齐右补 %q", ", filled up with %q on the right"), with)
	}
	return fmt.Sprintf(b.say(", 右对齐左补 %q", ", filled up with %q on the left"), with)
}

func (b *book) counts(what string) string {
	return map[string]string{
		"body":   b.say("只计正文, 不含自身", "counts the body, not itself"),
		"header": b.say("计 TPDU、报文头与正文, 不含自身", "counts TPDU, header and body, not itself"),
		"self":   b.say("计正文与自身", "counts the body and itself"),
		"all":    b.say("计其后全部与自身", "counts all that follows and itself"),
	}[what]
}

func (b *book) header(h *frame.Header) string {
	parts := []string{}
	if h.Default != "" {
		parts = append(parts, b.say("缺省 ", "by default ")+h.Default)
	}
	if n := h.Length; n != nil {
		kind := map[string]string{"ascii": b.say("ASCII 数字", "ASCII digits"), "binary": b.say("二进制", "binary")}[n.Kind]
		parts = append(parts, fmt.Sprintf(b.say("第 %d 字节起 %d 字节为长度(%s), %s", "length at offset %d in %d bytes (%s), %s"),
			n.At, n.Bytes, kind, b.counts(n.Counts)))
	}
	if s := h.Swap; s != nil {
		parts = append(parts, fmt.Sprintf(b.say("第 %d 字节起与第 %d 字节起的 %d 字节互换", "%[3]d bytes at %[1]d and at %[2]d are exchanged"), s.At, s.With, s.Bytes))
	}
	return strings.Join(parts, "; ")
}
