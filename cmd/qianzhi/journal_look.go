package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/books"
	"qianzhi/cmd/internal/keyfile"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

func journalShow() *cobra.Command {
	var file, output string
	c := &cobra.Command{
		Use:   "show 编号",
		Short: "一笔缴费的全部经过: 每个事件、每条腿、每次尝试与收到的报文",
		Long:  "一笔缴费的全部经过。编号是 find 列出的 日期-行号, 或我方 20 位流水号。\n收到的报文按链路文件逐字段显示, 敏感字段屏蔽; 磁道与密码从不存储。",
		Example: "  qianzhi journal show --config qianzhi.yaml 20261124-15\n" +
			"  qianzhi journal show --config qianzhi.yaml 20261124010000000015 -o json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := openBooks(cmd.Context(), file)
			if err != nil {
				return err
			}
			defer b.Close()
			id, err := books.ParseID(args[0], b.Options.Node)
			if err != nil {
				return err
			}
			e, steps, err := b.Timeline(cmd.Context(), id)
			if errors.Is(err, journal.ErrUnknown) {
				return &exitError{code: 1, err: fmt.Errorf("没有缴费 %s", args[0])}
			}
			if err != nil {
				return err
			}
			s := books.StoryOf(b.Config, &e, steps)
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), s)
			}
			return s.Text(cmd.OutOrStdout())
		},
	}
	config(c, &file)
	c.Flags().StringVarP(&output, "output", "o", "text", "text 或 json")
	return c
}

type verifyFlags struct {
	file, day, dir, public string
	node                   uint8
}

func journalVerify() *cobra.Command {
	var o verifyFlags
	c := &cobra.Command{
		Use:   "verify",
		Short: "证明流水未被改动、删减或截尾",
		Long: "沿哈希链逐行校验, 并与签名的校验点、前后两日互相核对; 指出第一处不符的行, 尾部被截去也能发现。\n" +
			"只需要公钥: 用 --config, 或用 --dir、--node 与 --public-key。退出码: 0 完好, 1 不完好。",
		Example: "  qianzhi journal verify --config qianzhi.yaml --day 20261124\n" +
			"  qianzhi journal verify --dir /backup/20261124 --node 1 --public-key journal.pub",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := c.Flags()
	f.StringVarP(&o.file, "config", "c", "", "配置文件")
	f.StringVar(&o.day, "day", "", "账务日期 YYYYMMDD; 缺省为全部")
	f.StringVar(&o.dir, "dir", "", "流水目录, 不用配置文件时")
	f.StringVar(&o.public, "public-key", "", "签名公钥, 不用配置文件时")
	f.Uint8Var(&o.node, "node", 1, "节点号, 不用配置文件时")
	return c
}

func (o *verifyFlags) auditor() (*journal.Auditor, error) {
	switch {
	case o.file != "" && o.dir == "" && o.public == "":
		c, err := app.Load(o.file)
		if err != nil {
			return nil, err
		}
		return books.Auditor(c)
	case o.file == "" && o.dir != "" && o.public != "":
		k, err := keyfile.Read(o.public)
		if err != nil {
			return nil, err
		}
		return books.NewAuditor(o.dir, o.node, k.Public)
	}
	return nil, errors.New("需要 --config, 或 --dir 与 --public-key")
}

func (o *verifyFlags) run(cmd *cobra.Command) error {
	a, err := o.auditor()
	if err != nil {
		return err
	}
	if _, err := os.Stat(a.Dir); err != nil {
		return err
	}
	days, err := a.Store.Days(cmd.Context())
	if o.day != "" {
		var d pay.Day
		d, err = pay.ParseDay(o.day)
		days = []pay.Day{d}
	}
	if err == nil && len(days) == 0 {
		err = fmt.Errorf("%s 中没有流水", a.Dir)
	}
	if err != nil {
		return err
	}
	bad := 0
	for _, d := range days {
		p, err := a.Verify(cmd.Context(), d)
		var broken *journal.Broken
		switch {
		case errors.As(err, &broken):
			bad++
			fmt.Fprintf(cmd.OutOrStdout(), "%s 不完好: 第 %d 行: %s\n", d, broken.Row, broken.Why)
		case err != nil:
			return fmt.Errorf("%s: %w", d, err)
		default:
			fmt.Fprintln(cmd.OutOrStdout(), proved(p))
		}
	}
	if bad > 0 {
		return &exitError{code: 1}
	}
	return nil
}

// proved tells a proof in one line.
func proved(p journal.Proof) string {
	word := "未日切"
	if p.Cut {
		word = "已日切"
	}
	return fmt.Sprintf("%s 完好: %d 行, 末行 %d, 校验点 %d 个, 签名至第 %d 行, %s", p.Day, p.Rows, p.Last, p.Checkpoints, p.Signed, word)
}
