package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/inspect"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
)

type sendFlags struct {
	link, to, op, serial, date, account, amount string
	original, originalDate, expect, fault       string
	fields, bills, keys                         []string
	signOn, unmask                              bool
	timeout                                     time.Duration
}

func sendCommand() *cobra.Command {
	var o sendFlags
	c := &cobra.Command{
		Use:   "send",
		Short: "以银行或终端的身份发一条业务报文并等候应答",
		Long: "按链路文件写出一条业务报文, 签名或计算 MAC, 发往 --to, 显示应答的业务内容。\n" +
			"--expect 给出应有的结论(approved、declined、unknown)或码(如 no-customer), 不符时退出码为 1。",
		Example: "  qianzhi send --link run/demo/links/bank-fixed.yaml --to 127.0.0.1:7002 --op query --account 0512000001 --expect approved\n" +
			"  qianzhi send --link run/demo/links/pos-cup.yaml --to 127.0.0.1:7001 --key master=run/demo/keys/terminal-master.sm4 \\\n" +
			"    --sign-on --field terminal=60120001 --field merchant=301051249000001 --field batch=000001 --op echo",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := c.Flags()
	f.StringVar(&o.link, "link", "", "链路文件 (必需)")
	f.StringVar(&o.to, "to", "", "对方地址 主机:端口 (必需)")
	f.StringVar(&o.op, "op", "", "业务操作, 如 query、pay、reverse、status、echo、sign-on (必需)")
	f.StringVar(&o.serial, "serial", "", "流水号; 缺省取当前时间")
	f.StringVar(&o.date, "date", "", "发起方日期 YYYYMMDD; 缺省为今天")
	f.StringVar(&o.account, "account", "", "户号")
	f.StringVar(&o.amount, "amount", "", "金额, 元, 两位小数")
	f.StringVar(&o.original, "original", "", "原流水号")
	f.StringVar(&o.originalDate, "original-date", "", "原日期; 缺省同 --date")
	f.StringArrayVar(&o.fields, "field", nil, "其他业务字段 名=值, 可重复")
	f.StringArrayVar(&o.bills, "bill", nil, "账单 应收标识:年月:金额(元), 可重复")
	f.StringArrayVar(&o.keys, "key", nil, "链路角色的密钥 角色=文件, 可重复")
	f.BoolVar(&o.signOn, "sign-on", false, "先签到")
	f.BoolVar(&o.unmask, "unmask", false, "不屏蔽敏感字段")
	f.StringVar(&o.fault, "fault", "", "故意出错: bad-seal(MAC 或签名错)、garbage(乱码)、half-char(半个汉字)、cut(发一半断开)、duplicate(同一包发两次)、trickle(逐字节发)")
	f.StringVar(&o.expect, "expect", "", "应有的结论或码")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "等候应答的时间")
	for _, name := range []string{"link", "to", "op"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was defined above
		}
	}
	return c
}

func (o *sendFlags) run(cmd *cobra.Command) error {
	req, err := o.request()
	if err != nil {
		return err
	}
	fault, ok := peer.ParseFault(cmp.Or(o.fault, peer.Sound.String()))
	if !ok || !fault.OfBytes() {
		return fmt.Errorf("--fault: 不能是 %q", o.fault)
	}
	c, err := o.open()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if o.signOn {
		on := *req
		on.Op = pay.SignOn
		if rep, err := c.Do(ctx, &on, peer.Sound); err != nil || rep.Verdict != pay.Approved {
			return fmt.Errorf("签到: %s/%s %w", rep.Verdict, rep.Code, orNil(err))
		}
	}
	rep, err := c.Do(ctx, req, fault)
	if err != nil {
		return &exitError{code: 1, err: fmt.Errorf("没有可信的应答: %w", err)}
	}
	if err := writeJSON(cmd.OutOrStdout(), map[string]any{"request": inspect.OfRequest(req, o.unmask), "reply": inspect.OfReply(req.Op, &rep, o.unmask)}); err != nil {
		return err
	}
	if o.expect != "" && o.expect != rep.Verdict.String() && o.expect != rep.Code.String() {
		return &exitError{code: 1, err: fmt.Errorf("应为 %s, 实为 %s/%s", o.expect, rep.Verdict, rep.Code)}
	}
	return nil
}

var errRefused = errors.New("被拒绝")

func orNil(err error) error {
	if err == nil {
		return errRefused
	}
	return err
}

func (o *sendFlags) open() (peer.Client, error) {
	l, d, err := assemble(o.link, o.keys, 1)
	if err != nil {
		return nil, err
	}
	return dial(l, d, o.to)
}
