package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/inspect"
	"qianzhi/protocol"
)

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
	fault := inspect.FaultOf(err)
	if err != nil && fault == nil {
		return err
	}
	if err := o.show(out, m, fault); err != nil {
		return err
	}
	switch {
	case fault != nil:
		return &exitError{code: 1}
	case o.repeat > 0:
		return o.time(out, d, msg)
	}
	return nil
}

// show prints the message as far as it could be read, and what is wrong.
func (o *wireFlags) show(out io.Writer, m *inspect.Message, fault *inspect.Fault) error {
	if o.output == "json" {
		if m == nil {
			return writeJSON(out, map[string]any{"error": fault})
		}
		return writeJSON(out, m)
	}
	if m != nil {
		if err := m.Table(out); err != nil {
			return err
		}
	}
	if fault != nil {
		fmt.Fprintln(out, fault.Line())
	}
	return nil
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
