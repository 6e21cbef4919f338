package sniff

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"mime"
	"net/http"

	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// Known is a link whose fields a stream may have.
type Known struct {
	File    string
	dialect *protocol.Dialect
	reply   bool // which side read the stream
}

// Shipped loads the links that ship, in the order of their names. Those that
// extend another are recognised as that one.
func Shipped(files fs.FS) ([]Known, error) {
	names, err := fs.Glob(files, "links/*.yaml")
	if err != nil {
		return nil, err
	}
	var out []Known
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if bytes.Contains(text, []byte("\nextends:")) {
			continue
		}
		l, err := spec.Load(name, func(name string) ([]byte, error) { return fs.ReadFile(files, name) })
		if err != nil {
			return nil, err
		}
		d, err := l.Assemble(spec.Parts{})
		if err != nil {
			return nil, err
		}
		out = append(out, Known{File: name[len("links/"):], dialect: d})
	}
	return out, nil
}

func (k *Known) side() string {
	if k.reply {
		return "应答"
	}
	return "请求"
}

// reads returns the first link one of whose sides reads every message, nil when
// there is none.
func reads(known []Known, frames []protocol.Frame) *Known {
	rec := new(protocol.Record)
	for _, k := range known {
		for _, k.reply = range []bool{false, true} {
			side := &k.dialect.Request
			if k.reply {
				side = &k.dialect.Reply
			}
			all, values := true, 0
			for i := range frames {
				if all = side.Codec.Index(frames[i], rec) == nil; !all {
					break
				}
				values += said(rec)
			}
			if all && values >= 3 && values >= len(frames) { // links that pass over what they do not list read much
				return &k
			}
		}
	}
	return nil
}

// said counts the values of a record.
func said(rec *protocol.Record) (values int) {
	for _, n := range rec.Nodes() {
		if n.Len > 0 {
			values++
		}
	}
	return values
}

// foreign recognises streams that are no gateway's business.
func foreign(b []byte) *Guess {
	if len(b) < 4 {
		return nil
	}
	switch magic := binary.BigEndian.Uint32(b); {
	case magic == 0x91039858 || magic == 0x73903842:
		return &Guess{Score: 100, What: "Tuxedo 的域或工作站端口, 不是 SOCKET 前置",
			Reasons: []string{"前 4 字节是 Tuxedo 的标志 " + protocol.Hex(b[:4], 4) + ", 其后内容不公开: 请向对方索取 SOCKET 前置或 SALT 网关的端口"}}
	case b[0] == 0x16 && b[1] == 1 && b[2] == 1:
		return &Guess{Score: 100, What: "国密 TLCP 握手", Reasons: []string{"前 3 字节 160101: 抓包中看不到报文, 请在加密之内抓取"}}
	case b[0] == 0x16 && b[1] == 3:
		return &Guess{Score: 100, What: "TLS 握手", Reasons: []string{"前 2 字节 1603: 抓包中看不到报文, 请在加密之内抓取"}}
	}
	return nil
}

// web reads HTTP requests or replies and judges their bodies.
func web(b []byte, known []Known) *Guess {
	request := false
	for _, m := range []string{"GET ", "POST ", "PUT ", "HTTP/1."} {
		if bytes.HasPrefix(b, []byte(m)) {
			request = m != "HTTP/1."
			return bodies(b, request, known)
		}
	}
	return nil
}

func bodies(b []byte, request bool, known []Known) *Guess {
	r := bufio.NewReader(bytes.NewReader(b))
	var frames []protocol.Frame
	var kind string
	count := 0
	for ; count < maxMessages; count++ {
		head, body := message(r, request)
		if head == nil {
			break
		}
		kind = head.Get("Content-Type")
		if len(body) > 0 {
			frames = append(frames, protocol.Frame{Body: body})
		}
	}
	g := &Guess{Score: 60, What: "HTTP", Messages: count}
	g.because(0, "以 HTTP 开头, 读出 %d 个报文", count)
	g.Snippet = "transport: http"
	if len(frames) == 0 {
		return g
	}
	if name, _, err := mime.ParseMediaType(kind); err == nil {
		g.because(0, "Content-Type 是 %s", name)
	}
	g.body(frames, known, "transport: http\nframe: {length: {kind: none}, "+limit+"}\nhttp: {content_type: "+kind+"}")
	return g
}

// message reads one HTTP message, nil at the end or where it breaks off.
func message(r *bufio.Reader, request bool) (http.Header, []byte) {
	if request {
		m, err := http.ReadRequest(r)
		if err != nil {
			return nil, nil
		}
		body, _ := io.ReadAll(io.LimitReader(m.Body, maxStream)) // what there is of it
		return m.Header, body
	}
	m, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, nil
	}
	body, _ := io.ReadAll(io.LimitReader(m.Body, maxStream)) // what there is of it
	return m.Header, body
}
