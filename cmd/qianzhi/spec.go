package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

func specCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "spec",
		Short: "链路文件: 列出、检查、生成接口文档、从抓包猜测",
		Long: "接入一家银行就是写一个链路文件(YAML), 不写程序。写法逐项见 conf/links/README.md。\n" +
			"参数 FILE 可以是文件, 也可以是随附链路的名字(如 bank-fixed)。",
		Example: "  qianzhi spec sniff trace.pcap\n  qianzhi spec check my-bank.yaml\n  qianzhi spec doc my-bank.yaml --format html > my-bank.html",
	}
	c.AddCommand(specListCommand(), specCheckCommand(), specShowCommand(), specSchemaCommand(), specDocCommand(), specSniffCommand())
	return c
}

// openLink reads a link file; a bare name is one that ships.
func openLink(name string) ([]byte, error) {
	if !shippedName(name) {
		return os.ReadFile(name)
	}
	return conf.Files.ReadFile(name)
}

// linkName turns a bare name into that of the file that ships.
func linkName(arg string) string {
	if strings.ContainsAny(arg, `/\.`) {
		return arg
	}
	return shippedDir + arg + ".yaml"
}

// shippedDir marks the names of files within the program. What such a file
// extends is there as well.
const shippedDir = "links/"

func shippedName(name string) bool {
	_, err := fs.Stat(conf.Files, name)
	return strings.HasPrefix(name, shippedDir) && err == nil
}

func specListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "列出随附的链路",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			names, err := fs.Glob(conf.Files, shippedDir+"*.yaml")
			if err != nil {
				return err
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(t, "链路\t传输\t格式\t资金\t操作\t名称")
			for _, name := range names {
				l, err := spec.Load(name, conf.Files.ReadFile)
				if err != nil {
					return err
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Transport, l.Codecs.Name(), l.Funds, strings.Join(l.Allow, ","), l.Title)
			}
			return t.Flush()
		},
	}
}

func specCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE...",
		Short:   "检查链路文件",
		Long:    "装载并编译链路文件, 有错时指出文件、行与键; 能用但欠妥之处给出提示。退出码: 0 正确, 2 有错。",
		Example: "  qianzhi spec check my-bank.yaml\n  qianzhi spec check conf/links/*.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			schema, err := spec.NewSchema()
			if err != nil {
				return err
			}
			for _, arg := range args {
				l, err := spec.Load(linkName(arg), openLink)
				if err != nil {
					return err
				}
				d, err := l.Assemble(spec.Parts{})
				if err != nil {
					return err
				}
				if _, err := l.Headers(); err != nil {
					return conf.InFile(arg, err)
				}
				if err := schema.Check(linkName(arg), openLink); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: 正确, %s, %d 个交易, %d 行应答码\n", arg, l.Codecs.Name(), len(l.Messages), len(l.Codes))
				hints(cmd.OutOrStdout(), l, d)
			}
			return nil
		},
	}
}

// hints says what will work and is probably not meant.
func hints(out io.Writer, l *spec.Link, d *protocol.Dialect) {
	for _, name := range l.Allow {
		if !slices.ContainsFunc(l.Messages, func(m spec.Message) bool { return m.Op == name }) {
			fmt.Fprintf(out, "  提示: allow 中的 %s 没有交易\n", name)
		}
	}
	for _, c := range []pay.Code{pay.CodeOK, pay.CodeUnknown, pay.CodeRefused} {
		if rep := pay.Answer(c.Verdict(), c); !sayable(d, &rep) {
			fmt.Fprintf(out, "  提示: codes 没有 %s, 此类结论无从表达\n", c)
		}
	}
	for i, m := range l.Messages {
		if _, err := spec.NewExample(d, i); err != nil {
			fmt.Fprintf(out, "  提示: %s 造不出示例报文: %v\n", m.Name, err)
		}
	}
}

func sayable(d *protocol.Dialect, rep *pay.Reply) bool {
	wire, _, ok := d.Map.Code(rep)
	return ok && wire != ""
}
