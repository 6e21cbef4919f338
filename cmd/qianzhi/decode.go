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

	"qianzhi/cmd/internal/inspect"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// wireFlags are what decode and encode have in common.
type wireFlags struct {
	link, side, hex, file, output string
	bare, unmask                  bool
	repeat                        int
}

func (o *wireFlags) common(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.link, "link", "", "链路文件 (必需)")
	f.StringVar(&o.side, "side", "request", "request 或 reply")
	f.StringVar(&o.file, "file", "", "输入文件, - 为标准输入")
	f.BoolVar(&o.bare, "bare", false, "报文不带帧头, 从正文开始")
	if err := c.MarkFlagRequired("link"); err != nil {
		panic(err) // the flag was defined above
	}
}

func decodeCommand() *cobra.Command {
	var o wireFlags
	c := &cobra.Command{
		Use:   "decode",
		Short: "按链路文件解开一条报文",
		Long: "按链路文件解开一条报文(含帧头), 逐字段列出值与字节位置(从输入的第一个字节算起); 敏感字段默认屏蔽。\n" +
			"不符合时指出类别、字段、位置与应有的内容, 退出码 1。",
		Example: "  qianzhi decode --link conf/links/pos-cup.yaml --hex 0057600601...\n" +
			"  qianzhi decode --link conf/links/bank-fixed.yaml --side reply --file reply.bin -o table\n" +
			"  qianzhi decode --link conf/links/pos-cup.yaml --hex 0057600601... --unmask | qianzhi encode --link conf/links/pos-cup.yaml --file -",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.decode(cmd) },
	}
	o.common(c)
	f := c.Flags()
	f.StringVar(&o.hex, "hex", "", "十六进制报文, 可含空白")
	f.BoolVar(&o.unmask, "unmask", false, "不屏蔽敏感字段")
	f.StringVarP(&o.output, "output", "o", "json", "json 或 table")
	f.IntVar(&o.repeat, "repeat", 0, "重复解码 N 次并报告每次用时")
	return c
}

// dialect assembles the link without its keys.
func (o *wireFlags) dialect() (*protocol.Dialect, error) {
	if o.side != "request" && o.side != "reply" {
		return nil, fmt.Errorf("--side: 应为 request 或 reply, 而不是 %q", o.side)
	}
	l, err := spec.Load(o.link, os.ReadFile)
	if err != nil {
		return nil, err
	}
	return l.Assemble(spec.Parts{})
}

func (o *wireFlags) options() inspect.Options {
	return inspect.Options{Reply: o.side == "reply", Bare: o.bare, Unmask: o.unmask}
}

// maxInput bounds what is read from a file or the standard input, in bytes.
const maxInput = 16 << 20

func (o *wireFlags) input(in io.Reader) ([]byte, error) {
	switch {
	case (o.hex == "") == (o.file == ""):
		return nil, errors.New("需要 --hex 或 --file 之一")
	case o.hex != "":
		return hex.DecodeString(strings.Join(strings.Fields(o.hex), ""))
	case o.file != "-":
		f, err := os.Open(o.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, maxInput))
}

func (o *wireFlags) decode(cmd *cobra.Command) error {
	if o.output != "json" && o.output != "table" {
		return fmt.Errorf("-o: 应为 json 或 table, 而不是 %q", o.output)
	}
	d, err := o.dialect()
	if err != nil {
		return err
	}
	msg, err := o.input(cmd.InOrStdin())
	if err != nil {
		return err
	}
	m, err := inspect.Decode(d, msg, o.options())
	out := cmd.OutOrStdout()
	if fault := inspect.FaultOf(err); fault != nil {
		if o.output == "table" {
			fmt.Fprintln(out, fault.Line())
			return &exitError{code: 1}
		}
		if werr := writeJSON(out, map[string]any{"error": fault}); werr != nil {
			return werr
		}
		return &exitError{code: 1}
	}
	switch {
	case err != nil:
		return err
	case o.output == "table":
		err = m.Table(out)
	default:
		err = writeJSON(out, m)
	}
	if err == nil && o.repeat > 0 {
		err = o.time(out, d, msg)
	}
	return err
}

func writeJSON(out io.Writer, v any) error {
	j := json.NewEncoder(out)
	j.SetEscapeHTML(false)
	j.SetIndent("", " ")
	return j.Encode(v)
}

// time measures what the gateway does with the message: cut, index, validate.
func (o *wireFlags) time(out io.Writer, d *protocol.Dialect, msg []byte) error {
	side := &d.Request
	if o.side == "reply" {
		side = &d.Reply
	}
	rec := new(protocol.Record)
	start := time.Now()
	for range o.repeat {
		f := protocol.Frame{Body: msg}
		if !o.bare {
			var err error
			if f, _, err = side.Framer.Next(msg); err != nil {
				return err
			}
		}
		if err := side.Codec.Index(f, rec); err != nil {
			return err
		}
	}
	spent := time.Since(start)
	fmt.Fprintf(out, "解码 %d 次, 每次 %.0f 纳秒\n", o.repeat, float64(spent.Nanoseconds())/float64(o.repeat))
	return nil
}
