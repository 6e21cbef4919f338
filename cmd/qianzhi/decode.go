package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

func decodeCommand() *cobra.Command {
	var o decodeOptions
	c := &cobra.Command{
		Use:     "decode",
		Short:   "按链路文件解开一条报文",
		Long:    "按链路文件解开一条报文(含帧头), 逐字段列出值与字节位置; 敏感字段默认屏蔽。\n不符合时以 JSON 指出类别、字段、位置与应有的内容, 退出码 1。",
		Example: "  qianzhi decode --link conf/links/pos-cup.yaml --hex 0057600601...\n  qianzhi decode --link conf/links/bank-fixed.yaml --side reply --file reply.bin",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.OutOrStdout()) },
	}
	f := c.Flags()
	f.StringVar(&o.link, "link", "", "链路文件 (必需)")
	f.StringVar(&o.side, "side", "request", "request 或 reply")
	f.StringVar(&o.hex, "hex", "", "十六进制报文, 可含空白")
	f.StringVar(&o.file, "file", "", "二进制报文文件, - 为标准输入")
	f.BoolVar(&o.unmask, "unmask", false, "不屏蔽敏感字段")
	f.BoolVar(&o.bare, "bare", false, "报文不带帧头, 从正文开始")
	if err := c.MarkFlagRequired("link"); err != nil {
		panic(err) // the flag was defined above
	}
	return c
}

type decodeOptions struct {
	link, side, hex, file string
	unmask, bare          bool
}

type decodedField struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
	Hex   string `json:"hex,omitempty"`
	At    [2]int `json:"at"`
}

func (o *decodeOptions) run(out io.Writer) error {
	b, err := os.ReadFile(o.link)
	if err != nil {
		return err
	}
	l, err := spec.Parse(o.link, b)
	if err != nil {
		return err
	}
	d, err := l.Assemble(spec.Parts{})
	if err != nil {
		return fmt.Errorf("%s: %w", o.link, err)
	}
	msg, err := o.message()
	if err != nil {
		return err
	}
	res, err := o.decode(d, msg)
	if err != nil {
		var e *protocol.Error
		if !errors.As(err, &e) {
			return err
		}
		res = map[string]any{"error": map[string]any{"class": e.Class, "path": e.Path, "offset": e.Offset, "want": e.Want, "got": e.Got, "hint": e.Hint}}
	}
	j := json.NewEncoder(out)
	j.SetEscapeHTML(false)
	j.SetIndent("", " ")
	if werr := j.Encode(res); werr != nil {
		return werr
	}
	if err != nil {
		return &exitError{code: 1}
	}
	return nil
}

func (o *decodeOptions) message() ([]byte, error) {
	switch {
	case (o.hex == "") == (o.file == ""):
		return nil, errors.New("需要 --hex 或 --file 之一")
	case o.hex != "":
		return hex.DecodeString(strings.Join(strings.Fields(o.hex), ""))
	case o.file == "-":
		return io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	}
	return os.ReadFile(o.file)
}

func (o *decodeOptions) decode(d *protocol.Dialect, msg []byte) (map[string]any, error) {
	side := &d.Request
	if o.side == "reply" {
		side = &d.Reply
	}
	f := protocol.Frame{Body: msg}
	if !o.bare {
		var n int
		var err error
		if f, n, err = side.Framer.Next(msg); err != nil {
			return nil, err
		}
		if n != len(msg) {
			return nil, &protocol.Error{Class: protocol.ClassFrame, Offset: n, Want: "one whole frame",
				Got: fmt.Sprintf("%d of %d bytes", n, len(msg)), Hint: "use --bare for a message without its framing"}
		}
	}
	rec := new(protocol.Record)
	if err := side.Codec.Index(f, rec); err != nil {
		return nil, err
	}
	head := map[string]string{}
	for _, h := range f.Head {
		head[h.Head.String()] = h.Val
	}
	res := map[string]any{"link": d.ID, "header": head, "fields": o.fields(f.Body, rec)}
	if msg, err := d.Map.Identify(&f, rec); err == nil && o.side != "reply" {
		res["type"] = d.Map.Messages[msg].Name
		req, err := d.Map.Request(msg, &f, rec, time.Now())
		if err != nil {
			return nil, err
		}
		res["request"] = o.business(req)
	}
	return res, nil
}

func (o *decodeOptions) fields(body []byte, rec *protocol.Record) []decodedField {
	layout := rec.Layout()
	out := make([]decodedField, 0, len(rec.Nodes()))
	for i, n := range rec.Nodes() {
		spec := &layout.Fields[n.ID]
		f := decodedField{ID: spec.Name, Name: spec.Title, At: [2]int{int(n.From), int(n.Size)}}
		v := rec.Value(i)
		switch {
		case spec.Bytes:
			f.Value = fmt.Sprintf("%X", v)
		default:
			f.Value = string(v)
		}
		if open := o.unmask || spec.Mask == pay.Public; open {
			f.Hex = fmt.Sprintf("%X", body[n.From:n.From+n.Size])
		} else {
			f.Value = spec.Mask.Masked(f.Value)
		}
		out = append(out, f)
	}
	return out
}

func (o *decodeOptions) business(req *pay.Request) map[string]any {
	show := func(m pay.Mask, s string) string {
		if o.unmask {
			return s
		}
		return m.Masked(s)
	}
	res := map[string]any{"op": req.Op.String(), "account": show(pay.Account, req.Account), "amount": req.Amount, "serial": req.Ref.Serial,
		"scope": strings.Split(req.Ref.Scope, "\x1f"), "institution": req.Ref.Institution}
	for _, f := range req.More {
		res[f.ID.String()] = show(f.ID.Info().Mask, f.Val)
	}
	if req.Original != nil {
		res["original_serial"] = req.Original.Serial
	}
	if len(req.Bills) > 0 {
		res["bills"] = req.Bills
	}
	return res
}
