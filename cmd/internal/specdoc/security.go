package specdoc

import (
	"fmt"
	"strings"

	"qianzhi/protocol/secure"
)

// proved reports whether messages carry a proof beside or in the body.
func (b *book) proved() bool {
	a := &b.link.Auth
	return a.MAC != nil || a.Signature != nil || a.Hidden != nil
}

// sealed reports whether bodies are wrapped.
func (b *book) sealed() bool {
	e := &b.link.Envelope
	return e.Seal != nil || e.Session != nil || e.Cipher != nil
}

func (b *book) security() {
	a := &b.link.Auth
	b.chapter("安全", "Security")
	switch {
	case a.MAC != nil:
		b.mac(a.MAC)
	case a.Signature != nil:
		b.signature(a.Signature)
	case !b.sealed():
		b.para("报文不带签名与 MAC: 须由专线与地址限制保证来源。", "Messages carry neither signature nor MAC: the line and its addresses must vouch for the sender.")
	}
	if h := a.Hidden; h != nil {
		b.para(fmt.Sprintf("以下各域逐个加密 (SM4-%s): %s。", strings.ToUpper(h.Cipher.Mode), strings.Join(h.Fields, "、")),
			fmt.Sprintf("Each of these fields is encrypted by itself (SM4-%s): %s.", strings.ToUpper(h.Cipher.Mode), strings.Join(h.Fields, ", ")))
	}
	b.envelope()
}

func (b *book) mac(m *secure.MACOptions) {
	b.para(fmt.Sprintf("域 %s 为 %s 报文鉴别码, 覆盖正文第一个字节至该域之前; 工作密钥在签到应答中下发, 以主密钥加密。报文类型 %s 不带 MAC。",
		m.Field, m.Algorithm, strings.Join(m.Without, "、")),
		fmt.Sprintf("Field %s is a %s message authentication code over the body up to that field. Work keys come with the reply to the sign-on, encrypted under the master key. Message types %s carry none.",
			m.Field, m.Algorithm, strings.Join(m.Without, ", ")))
}

func (b *book) signature(s *secure.SignatureOptions) {
	how := b.say("各以发出方的 SM2 私钥签名", "are signed with the SM2 key of who sends them")
	form := fmt.Sprintf(b.say("格式 %s, %s 编码, 用户标识 %s", "format %s, encoding %s, user id %s"), s.Format, s.Encoding, s.UserID)
	if s.Algorithm == "hmac-sm3" || s.Algorithm == "sm3" {
		how = b.say("各带 ", "carry a digest, ") + strings.ToUpper(s.Algorithm) + b.say(" 摘要, 用双方共享的密钥", ", with a secret that both share")
		form = fmt.Sprintf(b.say("%s 编码", "encoding %s"), s.Encoding)
	}
	join := map[string][2]string{"": {"以换行连接", "joined by line feeds"}, "lf": {"以换行连接", "joined by line feeds"}, "amp": {"以 & 连接", "joined by &"}, "none": {"直接相连", "one after another"}}[s.Join]
	b.para(fmt.Sprintf("请求与应答%s。签名数据: %s, %s; %s。", how, strings.Join(s.Signed, "、"), join[0], form),
		fmt.Sprintf("Requests and replies %s. Signed are %s, %s; %s.", how, strings.Join(s.Signed, ", "), join[1], form))
	if s.Field != "" {
		b.para(fmt.Sprintf("签名置于域 %s; 计算 body 时该域以 %q 代之。", s.Field, s.Blank),
			fmt.Sprintf("The signature stands in field %s; in body, %q is signed in its place.", s.Field, s.Blank))
	}
	if s.Window > 0 {
		b.para(fmt.Sprintf("时间与本机相差不超过 %s, 随机数不得重复。", s.Window), fmt.Sprintf("The clock may be off by %s; a nonce is used once.", s.Window))
	}
}

func (b *book) envelope() {
	e := &b.link.Envelope
	switch {
	case e.Seal != nil:
		b.para(fmt.Sprintf("正文之后附 SM2 签名(用户标识 %s), 一并以 SM4-GCM 加密: 随机数 12 字节、密文、校验 16 字节。", e.Seal.UserID),
			fmt.Sprintf("An SM2 signature (user id %s) follows the body; both are encrypted with SM4-GCM: nonce 12 bytes, ciphertext, tag 16 bytes.", e.Seal.UserID))
	case e.Session != nil:
		b.para(fmt.Sprintf("发出方每 %s 生成会话密钥, 以接收方 SM2 公钥加密并签名(用户标识 %s), 置于每个报文之前; 正文附 HMAC-SM3, 一并以 SM4-GCM 加密。", e.Session.Life, e.Session.UserID),
			fmt.Sprintf("Every %s the sender draws session keys, encrypts them for the receiver with SM2 and signs them (user id %s); they precede every message. An HMAC-SM3 follows the body; both are encrypted with SM4-GCM.", e.Session.Life, e.Session.UserID))
	case e.Cipher != nil:
		b.cipher(e.Cipher)
	}
	if o := e.Outer; o != nil {
		b.para(fmt.Sprintf("密文置于外层报文的域 %s。", o.Data), fmt.Sprintf("The encrypted body stands in field %s of an outer document.", o.Data))
		if o.Signature != nil {
			b.signature(o.Signature)
		}
	}
}

func (b *book) cipher(c *secure.CipherOptions) {
	mode := strings.ToUpper(c.Mode)
	key, clef := "双方共享的密钥", "a key that both share"
	if c.Wrap != "" {
		key, clef = "每个报文随机的密钥, 以接收方 SM2 公钥加密 ("+c.Wrap+")", "a key of each message's own, encrypted with the receiver's SM2 key ("+c.Wrap+")"
	}
	b.para(fmt.Sprintf("正文以 SM4-%s 加密, 用%s。", mode, key), fmt.Sprintf("The body is encrypted with SM4-%s under %s.", mode, clef))
}
