package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/inspect"
)

func encodeCommand() *cobra.Command {
	var o wireFlags
	c := &cobra.Command{
		Use:   "encode",
		Short: "把 decode 的 JSON 还原为报文",
		Long: "读入 decode --unmask 的 JSON, 按链路文件写出报文: 缺省为一行十六进制, -o raw 为原始字节。\n" +
			"只用 header 与 fields 的 id、value; 位置与长度重新计算。",
		Example: "  qianzhi encode --link conf/links/pos-cup.yaml --file message.json\n" +
			"  qianzhi encode --link conf/links/bank-fixed.yaml --file - -o raw < message.json | nc 127.0.0.1 7002",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.encode(cmd) },
	}
	o.common(c)
	c.Flags().StringVarP(&o.output, "output", "o", "hex", "hex 或 raw")
	return c
}

func (o *wireFlags) encode(cmd *cobra.Command) error {
	if o.output != "hex" && o.output != "raw" {
		return fmt.Errorf("-o: 应为 hex 或 raw, 而不是 %q", o.output)
	}
	d, err := o.dialect()
	if err != nil {
		return err
	}
	text, err := o.input(cmd.InOrStdin())
	if err != nil {
		return err
	}
	var m inspect.Message
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("不是 decode 的 JSON: %w", err)
	}
	out := cmd.OutOrStdout()
	b, err := m.Encode(d, o.options())
	if fault := inspect.FaultOf(err); fault != nil {
		if werr := writeJSON(out, map[string]any{"error": fault}); werr != nil {
			return werr
		}
		return &exitError{code: 1}
	}
	if err != nil {
		return err
	}
	if o.output == "raw" {
		_, err = out.Write(b)
		return err
	}
	_, err = fmt.Fprintln(out, strings.ToUpper(hex.EncodeToString(b)))
	return err
}
