package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/peer"
)

type bankFlags struct {
	far
	link, script string
	keys         []string
	timeout      time.Duration
}

func simBankCommand() *cobra.Command {
	var o bankFlags
	c := &cobra.Command{
		Use:   "bank",
		Short: "模拟银行或终端: 按脚本逐条发报文并核对应答",
		Long: "按脚本逐条发报文并等候应答; 没有脚本时, 链路的每种操作各发一条示例。\n" +
			"脚本每行一条: 操作 名=值...。名: account、amount(元)、serial、date、original、bill(应收标识:年月:元, 可重复)、\n" +
			"fault(bad-seal、garbage、half-char、cut、duplicate、trickle、slow=时间(发到一半停顿)、late=时间(晚读应答))、\n" +
			"expect(结论或码; none 为没有可信的应答)及任一业务字段。\n" +
			"serial=last 与 original=last 指上一笔缴费; # 之后为注释。\n" +
			"--listen 用于由前置来连接的银行, --reply-to 与 --reply-listen 用于请求与应答分走两条连接的银行。\n退出码: 0 全如预期, 1 有不符, 2 用法或配置有误。",
		Example: "  qianzhi sim bank --link bank-fixed --to 127.0.0.1:7002\n  qianzhi sim bank --link my-bank.yaml --to 127.0.0.1:7002 --script day.txt\n\n" +
			"  qianzhi sim bank --link my-bank.yaml --listen :7002 --reply-listen :7003   # 两条连接都由前置来连\n\n  # day.txt\n  query account=0512000001 expect=approved\n  pay account=0512000001 amount=301.50 expect=ok\n" +
			"  pay account=0512000001 amount=301.50 serial=last expect=ok\n  reverse account=0512000001 amount=301.50 original=last expect=approved",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := c.Flags()
	f.StringVar(&o.link, "link", "", "链路文件, 或随附链路的名字 (必需)")
	o.far.flags(f)
	f.StringVar(&o.script, "script", "", "脚本文件, - 为标准输入")
	f.StringArrayVar(&o.keys, "key", nil, "链路角色的密钥 角色=文件, 可重复")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "等候一条应答的时间")
	require(c, "link")
	return c
}

func (o *bankFlags) run(cmd *cobra.Command) error {
	l, d, err := assemble(o.link, o.keys, 1)
	if err != nil {
		return err
	}
	var steps []peer.Step
	if o.script == "" {
		steps, err = peer.Examples(d)
	} else {
		steps, err = o.steps(cmd.InOrStdin())
	}
	if err != nil {
		return err
	}
	note := func(s string) { fmt.Fprintln(cmd.OutOrStdout(), s) }
	c, err := o.client(cmd.Context(), l, d, note)
	if err != nil {
		return err
	}
	defer c.Close()
	b := &peer.Bank{Client: c, Now: time.Now, Timeout: o.timeout, Note: note}
	wrong, err := b.Play(cmd.Context(), steps)
	switch {
	case err != nil:
		return err
	case wrong > 0:
		return &exitError{code: 1, err: fmt.Errorf("%d 条与预期不符", wrong)}
	}
	return nil
}

func (o *bankFlags) steps(in io.Reader) ([]peer.Step, error) {
	if o.script != "-" {
		f, err := os.Open(o.script)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	steps, err := peer.ParseSteps(in)
	if err == nil && len(steps) == 0 {
		err = errors.New("没有报文")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.script, err)
	}
	return steps, nil
}
