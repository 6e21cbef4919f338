package sniff

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"qianzhi/conf"
	"qianzhi/protocol"
	"qianzhi/protocol/frame"
)

// Guess is one way to read a stream.
type Guess struct {
	Score    int // the higher, the surer
	What     string
	Reasons  []string
	Snippet  string // lines of a link file, "" when no link file can help
	Messages int
}

// most messages that are cut for a guess, and guesses that are shown.
const (
	maxMessages = 200
	maxGuesses  = 5
)

// Guesses ranks the ways to read a stream, the surest first.
func Guesses(s *Stream, known []Known) []Guess {
	if g := foreign(s.Bytes); g != nil {
		return []Guess{*g}
	}
	if g := web(s.Bytes, known); g != nil {
		return []Guess{*g}
	}
	var out []Guess
	for _, c := range candidates() {
		if g := c.try(s.Bytes, known); g != nil {
			out = append(out, *g)
		}
	}
	slices.SortStableFunc(out, func(a, b Guess) int { return cmp.Compare(b.Score, a.Score) })
	return out[:min(len(out), maxGuesses)]
}

// candidate is a framing that is tried.
type candidate struct {
	what    string
	options string // as a link file has it
	bonus   int    // for framings that leave nothing to chance
	end     bool   // cut at end bytes, so an exact fit proves little
	blank   int    // bytes of a length filled up with blanks: one must be there
	exact   bool   // only a stream that ends where a message ends
}

// limit is the max of the framings that are tried and proposed.
const limit = "max: 65536"

func candidates() []candidate {
	out := []candidate{
		{"46 字节报文头(银联主机), 长度在前", `{length: {kind: ascii, bytes: 4, counts: header}, header: {bytes: 46, length: {at: 2, kind: ascii, bytes: 4, counts: header}}, ` + limit + `}`, 12, false, 0, false},
		{"STX/ETX", `{start: "02", end: "03", ` + limit + `}`, 4, true, 0, false},
		{"按行, CRLF 结尾", `{end: 'text:\r\n', ` + limit + `}`, 1, true, 0, false},
		{"按行, LF 结尾", `{end: 'text:\n', ` + limit + `}`, 0, true, 0, false},
		{"按空行, 两个 CRLF 结尾", `{end: 'text:\r\n\r\n', ` + limit + `}`, 3, true, 0, false},
		{"没有帧头, 一次连接一个报文", `{length: {kind: none}, ` + limit + `}`, -25, true, 0, false},
	}
	for _, pre := range []struct{ what, length string }{{"2 字节二进制", "kind: binary, bytes: 2"}, {"4 位 ASCII ", "kind: ascii, bytes: 4"},
		{"2 字节 BCD ", "kind: bcd, bytes: 2"}} {
		out = append(out,
			candidate{pre.what + "长度, TPDU 与 6 字节报文头(POS 终端)", "{length: {" + pre.length + ", counts: header}, tpdu: {}, header: {bytes: 6}, " + limit + "}", 8, false, 0, false},
			candidate{pre.what + "长度, TPDU", "{length: {" + pre.length + ", counts: header}, tpdu: {}, " + limit + "}", 4, false, 0, false})
	}
	for _, n := range []string{"kind: ascii, bytes: 3", "kind: ascii, bytes: 4", "kind: ascii, bytes: 6", "kind: binary, bytes: 2", "kind: bcd, bytes: 2"} {
		out = append(out, candidate{"STX, 长度(" + n + "), 正文, ETX", `{start: "02", length: {` + n + `, counts: body}, end: "03", ` + limit + "}", 6, false, 0, false})
	}
	out = append(out, inside()...)
	for _, counts := range []struct{ what, key string }{{"只计正文", "body"}, {"含长度自身", "self"}} {
		for _, n := range []int{2, 3, 4, 5, 6, 7, 8, 9, 10} {
			out = append(out, candidate{fmt.Sprintf("%d 位 ASCII 长度, %s", n, counts.what),
				fmt.Sprintf("{length: {kind: ascii, bytes: %d, counts: %s}, %s}", n, counts.key, limit), 2, false, 0, false})
			if n < 4 {
				continue
			}
			for _, pad := range []struct{ what, key string }{{"右补空格", `{side: right, with: " "}`}, {"左补空格", `{with: " "}`}} {
				out = append(out, candidate{fmt.Sprintf("%d 位 ASCII 长度%s, %s", n, pad.what, counts.what),
					fmt.Sprintf("{length: {kind: ascii, bytes: %d, counts: %s, read: %s, write: %s}, %s}", n, counts.key, pad.key, pad.key, limit), 0, false, n, false})
			}
		}
		for _, n := range []int{2, 3, 4, 8} {
			if n < 5 {
				out = append(out, candidate{fmt.Sprintf("%d 字节 BCD 长度, %s", n, counts.what), fmt.Sprintf("{length: {kind: bcd, bytes: %d, counts: %s}, %s}", n, counts.key, limit), 0, false, 0, false})
			}
			out = append(out,
				candidate{fmt.Sprintf("%d 字节二进制长度, 高字节在前, %s", n, counts.what), fmt.Sprintf("{length: {kind: binary, bytes: %d, counts: %s}, %s}", n, counts.key, limit), 1, false, 0, false},
				candidate{fmt.Sprintf("%d 字节二进制长度, 低字节在前, %s", n, counts.what), fmt.Sprintf("{length: {kind: binary, bytes: %d, order: little, counts: %s}, %s}", n, counts.key, limit), 0, false, 0, false})
		}
	}
	return out
}

// inside are lengths of ASCII digits that stand within a message, behind a
// header of its own.
func inside() (out []candidate) {
	for _, counts := range []struct{ what, key string }{{"计其后", "body"}, {"计其后与自身", "self"}, {"计全部", "all"}} {
		for _, n := range []int{4, 5, 6, 8} {
			for at := 1; at <= 32; at++ {
				out = append(out, candidate{fmt.Sprintf("第 %d 字节起的 %d 位 ASCII 长度, %s", at, n, counts.what),
					fmt.Sprintf("{length: {kind: ascii, bytes: %d, at: %d, counts: %s}, %s}", n, at, counts.key, limit), n - 10, false, 0, true})
			}
		}
	}
	return out
}

// framer builds the candidate's framing, nil if it cannot be built.
func (c *candidate) framer() protocol.Framer {
	var n yaml.Node
	var o frame.Options
	if yaml.Unmarshal([]byte(c.options), &n) != nil || conf.Decode(n.Content[0], &o) != nil {
		return nil
	}
	f, err := frame.New(o)
	if err != nil {
		return nil
	}
	return f
}

// try cuts the stream with the candidate and weighs what comes out.
func (c *candidate) try(b []byte, known []Known) *Guess {
	f := c.framer()
	if f == nil || c.blank > 0 && !bytes.ContainsRune(b[:min(c.blank, len(b))], ' ') {
		return nil
	}
	frames, idle, rest, err := cut(f, b)
	if len(frames) == 0 {
		return nil
	}
	g := &Guess{What: c.what, Messages: len(frames), Score: c.bonus}
	switch {
	case err != nil:
		return nil // the next message does not begin where this one ends
	case rest > 0 && c.exact:
		return nil
	case rest == 0 && !c.end:
		g.because(30, "%d 个报文正好用完 %d 字节", len(frames), len(b))
	case rest == 0:
		g.because(10, "分出 %d 个报文", len(frames))
	default:
		g.because(5, "分出 %d 个报文, 最后 %d 字节不完整", len(frames), rest)
	}
	g.Score += 4 * min(len(frames)-1, 5)
	if idle > 0 {
		g.because(-10, "其中 %d 个空帧", idle)
	}
	g.Score += tpdu(frames, g)
	g.body(frames, known, "frame: "+c.options)
	return g
}

func (g *Guess) because(score int, format string, a ...any) {
	g.Score += score
	g.Reasons = append(g.Reasons, fmt.Sprintf(format, a...))
}

// cut returns the messages of a stream, how many keep-alives stand between
// them, and how many bytes are left over.
func cut(f protocol.Framer, b []byte) (frames []protocol.Frame, idle, rest int, err error) {
	for len(b) > 0 && len(frames) < maxMessages {
		m, n, err := f.Next(b)
		if err != nil {
			return frames, idle, len(b), err
		}
		if n == 0 {
			return frames, idle, len(b), nil
		}
		if b = b[n:]; len(m.Body) > 0 {
			frames = append(frames, m)
		} else if idle++; idle == maxMessages {
			return frames, idle, len(b), nil
		}
	}
	if len(frames) == maxMessages {
		return frames, idle, 0, nil
	}
	return frames, idle, len(b), nil
}

// tpdu weighs the routing bytes, which begin with 60.
func tpdu(frames []protocol.Frame, g *Guess) int {
	val := frames[0].Get(protocol.HeadTPDU)
	switch {
	case val == "":
		return 0
	case val[:2] == "60":
		g.because(15, "其后 5 字节 %s 是以 60 开头的 TPDU", val)
		return 0
	}
	return -40
}

// body weighs what the bodies look like and finishes the snippet.
func (g *Guess) body(frames []protocol.Frame, known []Known, snippet string) {
	bodies := make([][]byte, len(frames))
	for i := range frames {
		bodies[i] = frames[i].Body
	}
	what, same := look(bodies[0]), 1
	for _, b := range bodies[1:] {
		if next := look(b); next.codec == what.codec {
			same++
			if what.encoding == "ascii" {
				what.encoding = next.encoding
			}
		}
	}
	if what.codec != "" && same == len(bodies) {
		g.because(what.score, "正文是 %s", describe(what))
		g.What += "; " + describe(what)
		snippet += codecLines(what)
	} else if what.codec == "" {
		g.because(-5, "正文以 %s 开头, 看不出格式", protocol.Hex(bodies[0], 8))
	}
	if k := reads(known, frames); k != nil {
		g.because(40, "%s 的字段表读得通全部 %d 个报文(%s)", k.File, len(frames), k.side())
		snippet = "extends: " + k.File + "\nid: my-link\n" + firstLine(snippet)
	}
	g.Snippet = snippet
}

func firstLine(s string) string {
	line, _, _ := bytes.Cut([]byte(s), []byte("\n"))
	return string(line)
}

func describe(w looks) string {
	name := map[string]string{"xml": "XML", "json": "JSON", "fml": "FML32 打印格式", "kv": "名=值", "iso8583": "ISO 8583", "delimited": "分隔字段", "fixed": "定长文本"}[w.codec]
	if w.detail != "" {
		name += " (" + w.detail + ")"
	}
	switch w.encoding {
	case "":
		return name
	case "ascii":
		return name + ", 只有 ASCII, 看不出中文编码"
	}
	return name + ", " + w.encoding
}

// codecLines begins the codec's part of the link file.
func codecLines(w looks) string {
	enc := w.encoding
	if enc == "ascii" {
		enc = "gbk # 样本中没有中文"
	}
	switch w.codec {
	case "iso8583":
		return "\niso8583: # " + w.detail + "; 以 pos-cup.yaml 为样"
	case "json":
		return "\njson:\n  request: {fields: []}\n  reply: {fields: []}"
	case "kv":
		if w.detail != "" {
			return fmt.Sprintf("\nkv:\n  request:\n    encoding: %s\n    %s", enc, strings.Replace(w.detail, ", ", "\n    ", 1))
		}
		return fmt.Sprintf("\nkv:\n  request:\n    encoding: %s", enc)
	case "delimited":
		return fmt.Sprintf("\ndelimited:\n  request:\n    separator: %s\n    encoding: %s", w.detail, enc)
	}
	return fmt.Sprintf("\n%s:\n  request:\n    encoding: %s", w.codec, enc)
}
