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
	if n := &o.Length; n.Kind != "" && n.Kind != "none" {
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
	add("报文正文", "Body", "", b.say("见各交易", "see the transactions"))
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

func (b *book) security() {
	a, e := &b.link.Auth, &b.link.Envelope
	b.chapter("安全", "Security")
	switch {
	case a.MAC != nil:
		m := a.MAC
		b.para(fmt.Sprintf("域 %s 为 %s 报文鉴别码, 覆盖正文第一个字节至该域之前; 工作密钥在签到应答中下发, 以主密钥加密。报文类型 %s 不带 MAC。",
			m.Field, m.Algorithm, strings.Join(m.Without, "、")),
			fmt.Sprintf("Field %s is a %s message authentication code over the body up to that field. Work keys come with the reply to the sign-on, encrypted under the master key. Message types %s carry none.",
				m.Field, m.Algorithm, strings.Join(m.Without, ", ")))
	case a.Signature != nil:
		s := a.Signature
		b.para(fmt.Sprintf("请求与应答各以发出方的 SM2 私钥签名。签名数据: %s, 以换行连接; 格式 %s, %s 编码, 用户标识 %s。时间与本机相差不超过 %s, 随机数不得重复。",
			strings.Join(s.Signed, "、"), s.Format, s.Encoding, s.UserID, s.Window),
			fmt.Sprintf("Requests and replies are signed with the SM2 key of who sends them. Signed are %s, joined by line feeds; format %s, encoding %s, user id %s. The clock may be off by %s; a nonce is used once.",
				strings.Join(s.Signed, ", "), s.Format, s.Encoding, s.UserID, s.Window))
	case e.Seal == nil:
		b.para("报文不带签名与 MAC: 须由专线与地址限制保证来源。", "Messages carry neither signature nor MAC: the line and its addresses must vouch for the sender.")
	}
	if s := e.Seal; s != nil {
		b.para(fmt.Sprintf("正文之后附 SM2 签名(用户标识 %s), 一并以 SM4-GCM 加密: 随机数 12 字节、密文、校验 16 字节。", s.UserID),
			fmt.Sprintf("An SM2 signature (user id %s) follows the body; both are encrypted with SM4-GCM: nonce 12 bytes, ciphertext, tag 16 bytes.", s.UserID))
	}
}
