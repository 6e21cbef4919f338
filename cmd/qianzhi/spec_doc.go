package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/sniff"
	"qianzhi/cmd/internal/specdoc"
	"qianzhi/conf"
	"qianzhi/protocol/spec"
)

func specShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "显示链路文件并入 extends 之后的全文",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := spec.Merged(linkName(args[0]), openLink)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func specSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "输出链路文件的 JSON Schema, 供编辑器使用",
		Example: "  qianzhi spec schema > schema.json   # 链路文件首行写 # yaml-language-server: $schema=schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := conf.Files.ReadFile("links/schema.json")
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func specDocCommand() *cobra.Command {
	var lang, format string
	c := &cobra.Command{
		Use:   "doc FILE",
		Short: "由链路文件生成交给银行的接口文档",
		Long: "由链路文件生成接口文档: 帧格式、安全、各交易的字段(位置、长度、类型、必填)、应答码,\n" +
			"每个交易附一条请求与成功应答的示例报文。同一文件每次输出相同。",
		Example: "  qianzhi spec doc my-bank.yaml > my-bank.md\n  qianzhi spec doc bank-fixed --lang en --format html > bank-fixed.html",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lang != "zh" && lang != "en" {
				return fmt.Errorf("--lang: 应为 zh 或 en, 而不是 %q", lang)
			}
			if format != "md" && format != "html" {
				return fmt.Errorf("--format: 应为 md 或 html, 而不是 %q", format)
			}
			l, err := spec.Load(linkName(args[0]), openLink)
			if err != nil {
				return err
			}
			return specdoc.Write(cmd.OutOrStdout(), l, specdoc.Options{English: lang == "en", HTML: format == "html"})
		},
	}
	c.Flags().StringVar(&lang, "lang", "zh", "zh 或 en")
	c.Flags().StringVar(&format, "format", "md", "md 或 html")
	return c
}

func specSniffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sniff FILE|HEX",
		Short: "从抓包或报文猜测帧格式、报文头、正文格式与编码",
		Long: "输入为抓包文件(pcap、pcapng)、十六进制文本、报文本身的文件, 或命令行上的十六进制; - 为标准输入。\n" +
			"对每个 TCP 流的每个方向给出可能的读法, 最可信的在前, 附理由与可粘贴的链路文件片段。",
		Example: "  qianzhi spec sniff trace.pcap\n  qianzhi spec sniff 0057600601000061310031110808000020000000C000160000013232...",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := sniffInput(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			streams, err := sniff.Read(b)
			if err != nil {
				return err
			}
			known, err := sniff.Shipped(conf.Files)
			if err != nil {
				return err
			}
			sniff.Write(cmd.OutOrStdout(), streams, known)
			return nil
		},
	}
}

// maxCapture bounds what is read of a capture, in bytes.
const maxCapture = 64 << 20

func sniffInput(in io.Reader, arg string) ([]byte, error) {
	if arg != "-" {
		f, err := os.Open(arg)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENAMETOOLONG) {
			if _, ok := sniff.Hex(arg); ok {
				return []byte(arg), nil
			}
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, maxCapture))
}
