package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/control"
	"qianzhi/gateway/access"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile/alert"
	"qianzhi/reconcile/desk"
)

const deskLogin = `先 eval "$(qianzhi user login --config qianzhi.yaml 用户)", 此后 30 分钟内不必再输密码; 或用 --as 写明办理人, 密码与动态码从终端读入,
或从环境变量 QIANZHI_AS_PASSWORD, QIANZHI_AS_CODE 读入。
每一步先记入流水, 记不下则不做。退出码: 0 已办, 1 不允许或不符, 6 他人正在办理, 7 该日已复核, 8 执行未成。`

// deskFlags are those of a decision about a channel's day.
type deskFlags struct {
	file, day, channel, as string
	due, plan              string
	order                  desk.Order
}

// deskCommand is a command by which somebody decides. args are the arguments
// that read puts into the order.
func deskCommand(use, short, long, example string, kind desk.Kind, args int, read func(o *desk.Order, args []string), flags func(*cobra.Command, *deskFlags)) *cobra.Command {
	o := &deskFlags{order: desk.Order{Kind: kind}}
	c := &cobra.Command{Use: use, Short: short, Long: strings.TrimSpace(long + "\n" + deskLogin), Example: example,
		Args: func(cmd *cobra.Command, given []string) error {
			if o.plan != "" {
				return cobra.NoArgs(cmd, given)
			}
			return cobra.ExactArgs(args)(cmd, given)
		},
		RunE: func(cmd *cobra.Command, given []string) error {
			if read != nil && o.plan == "" {
				read(&o.order, given)
			}
			return o.run(cmd)
		}}
	config(c, &o.file)
	c.Flags().StringVar(&o.day, "day", "", "账务日期 YYYYMMDD, 缺省为最近一天")
	c.Flags().StringVar(&o.channel, "channel", "", "渠道, 只有一个时可省")
	c.Flags().StringVar(&o.as, "as", "", "办理人的用户名; 已 qianzhi user login 时可省")
	if flags != nil {
		flags(c, o)
	}
	return c
}

func (o *deskFlags) text(c *cobra.Command, usage string) {
	c.Flags().StringVar(&o.order.Text, "text", "", usage)
}

func (o *deskFlags) whole(c *cobra.Command) {
	c.Flags().StringVar(&o.plan, "plan", "", "代替编号: 一次办理 qianzhi recon plan 所列的整个计划, 写其散列")
}

func (o *deskFlags) until(c *cobra.Command, usage string) {
	c.Flags().StringVar(&o.due, "due", "", usage)
}

func deskCommands() []*cobra.Command {
	item := func(o *desk.Order, args []string) { o.Item = args[0] }
	return []*cobra.Command{
		deskCommand("note 编号", "给一笔差异写明责任人、期限与说明", "签核不平的一天之前, 每笔待办须有备注。编号见 qianzhi recon open, 可只写前几位。",
			"  qianzhi recon note 3f2a --config qianzhi.yaml --owner 王五 --due 20261126 --text 已致电电力核实", desk.Note, 1, item,
			func(c *cobra.Command, o *deskFlags) {
				c.Flags().StringVar(&o.order.Owner, "owner", "", "责任人 (必需)")
				o.until(c, "期限 YYYYMMDD (必需)")
				o.text(c, "说明 (必需)")
			}),
		deskCommand("propose 编号 操作", "提议如何处理一笔差异", proposeLong(), "  qianzhi recon propose 3f2a refund --config qianzhi.yaml --text 客户未再缴费", desk.Propose, 2,
			func(o *desk.Order, args []string) { o.Item, o.Action = args[0], desk.Action(args[1]) },
			func(c *cobra.Command, o *deskFlags) {
				o.whole(c)
				o.text(c, "理由 (必需)")
				o.until(c, "挂账的期限 YYYYMMDD")
				c.Flags().StringVar(&o.order.Document, "document", "", "凭证或批文编号")
			}),
		deskCommand("approve 编号", "批准一项提议(第二人, 须为复核员)", "", "  qianzhi recon approve 3f2a --config qianzhi.yaml", desk.Approve, 1, item,
			func(c *cobra.Command, o *deskFlags) { o.whole(c); o.text(c, "说明") }),
		deskCommand("reject 编号", "驳回一项提议(第二人, 须为复核员)", "", "  qianzhi recon reject 3f2a --config qianzhi.yaml --text 凭证不全", desk.Reject, 1, item,
			func(c *cobra.Command, o *deskFlags) { o.text(c, "理由 (必需)") }),
		deskCommand("apply 编号", "执行一项已批准的操作(不由批准人执行)", "补销账、返销、冲正与状态补记由守护进程执行, 每项自身也是一笔有流水的交易; 退款、追款等由人在外办理, 此处记下凭证。",
			"  qianzhi recon apply 3f2a --config qianzhi.yaml", desk.Apply, 1, item,
			func(c *cobra.Command, o *deskFlags) { o.whole(c); o.text(c, "凭证编号或说明") }),
		deskCommand("sign", "签核一天的对账结果", "签名覆盖版本、清单散列、结论与未结笔数金额; 之后有新版本则签名失效。不平时每笔待办须先有备注, 并写明原因。",
			"  qianzhi recon sign --config qianzhi.yaml", desk.Sign, 0, nil,
			func(c *cobra.Command, o *deskFlags) { o.text(c, "不平的原因") }),
		deskCommand("countersign", "复核签名, 关闭一天(第二人, 须为复核员)", "关闭后不再重跑, 也不再处理该日差异。", "  qianzhi recon countersign --config qianzhi.yaml", desk.Countersign, 0, nil, nil),
		deskCommand("reopen", "重开已关闭的一天: 一人申请, 另一人(复核员)再执行一次即重开", "", "  qianzhi recon reopen --config qianzhi.yaml --text 银行补送文件", desk.Reopen, 0, nil,
			func(c *cobra.Command, o *deskFlags) { o.text(c, "原因 (必需)") }),
		reconCash(), reconVerify(), reconPlan(), reconStanding(), reconAck(),
	}
}

func proposeLong() string {
	var b strings.Builder
	b.WriteString("操作须与该笔的证据相符, 没有任何操作会再次扣客户的卡:\n")
	for _, a := range desk.Actions() {
		fmt.Fprintf(&b, "  %-8s %s\n", a, a.Chinese())
	}
	return b.String()
}

// run logs in whoever decides, has the desk decide, and shows where it stands.
func (o *deskFlags) run(cmd *cobra.Command) error {
	if o.due != "" {
		var err error
		if o.order.Due, err = pay.ParseDay(o.due); err != nil {
			return fmt.Errorf("--due: %w", err)
		}
	}
	home, day, err := o.home()
	if err != nil {
		return err
	}
	d, who, err := o.open(cmd)
	if err != nil {
		return &exitError{code: 1, err: err}
	}
	t, err := o.decide(cmd, d, who, day, filepath.Base(home))
	switch {
	case errors.Is(err, desk.ErrClosed):
		return &exitError{code: 7, err: err}
	case errors.Is(err, desk.ErrBusy):
		return &exitError{code: 6, err: err}
	case err != nil:
		return &exitError{code: 1, err: err}
	}
	if err := showTable(cmd, t); err != nil {
		return err
	}
	if o.order.Kind == desk.Apply && t.Unfinished() > 0 {
		return &exitError{code: 8}
	}
	return nil
}

// home is the folder of the one channel that is meant.
func (o *deskFlags) home() (string, pay.Day, error) {
	r := reports{file: o.file, day: o.day, channel: o.channel}
	homes, err := r.latest()
	if err != nil {
		return "", 0, err
	}
	if len(homes) != 1 {
		return "", 0, fmt.Errorf("--channel: 该日有 %d 个渠道, 请写明", len(homes))
	}
	day, err := pay.ParseDay(filepath.Base(filepath.Dir(homes[0])))
	return homes[0], day, err
}

// decide has the desk take the order, for every step of a plan where one is
// named.
func (o *deskFlags) decide(cmd *cobra.Command, d *desk.Desk, who access.Principal, day pay.Day, channel string) (*desk.Table, error) {
	if o.plan == "" {
		return d.Do(cmd.Context(), who, day, channel, o.order)
	}
	t, err := desk.Lay(d.Home(day, channel))
	if err != nil {
		return nil, err
	}
	c, err := app.Load(o.file)
	if err != nil {
		return nil, err
	}
	p := t.Plan(c.Standing(channel).Limits)
	if p.Hash != o.plan {
		return nil, fmt.Errorf("计划已变, 现为 %s (qianzhi recon plan)", p.Hash)
	}
	for _, s := range p.Steps {
		order := o.order
		order.Item, order.Action = s.Item.ID(), s.Action
		if order.Text == "" {
			order.Text = "计划 " + p.Hash
		}
		if t, err = d.Do(cmd.Context(), who, day, channel, order); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Item.ID(), err)
		}
	}
	return t, nil
}

// open opens the desk and logs in whoever decides.
func (o *deskFlags) open(cmd *cobra.Command) (*desk.Desk, access.Principal, error) {
	c, audit, users, err := people(o.file)
	if err != nil {
		return nil, access.Principal{}, err
	}
	cal, err := c.Days()
	if err != nil {
		return nil, access.Principal{}, err
	}
	who, err := whoActs(cmd, c, users, o.as)
	now := func() time.Time { return time.Now().In(cal.Location()) }
	return &desk.Desk{Root: c.Reports(), Audit: audit, Now: now, Hands: control.New(c.Socket())}, who, err
}

func reconAck() *cobra.Command {
	o := &deskFlags{}
	c := &cobra.Command{
		Use: "ack", Short: "确认已知晓一个渠道当日的告警, 不再重复", Args: cobra.NoArgs,
		Long:    "只对已发出的原因有效, 有新的原因仍会告警。\n" + deskLogin,
		Example: "  qianzhi recon ack --config qianzhi.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, day, err := o.home()
			if err != nil {
				return err
			}
			d, who, err := o.open(cmd)
			if err == nil {
				err = d.Audit.Record(cmd.Context(), who.Act("recon.ack", day.String()+" "+filepath.Base(home), ""))
			}
			if err == nil {
				err = alert.Acknowledge(d.Root, day, filepath.Base(home), who.Name(), time.Now())
			}
			if err != nil {
				return &exitError{code: 1, err: err}
			}
			return nil
		},
	}
	config(c, &o.file)
	c.Flags().StringVar(&o.day, "day", "", "账务日期 YYYYMMDD, 缺省为最近一天")
	c.Flags().StringVar(&o.channel, "channel", "", "渠道, 只有一个时可省")
	c.Flags().StringVar(&o.as, "as", "", "办理人的用户名; 已 qianzhi user login 时可省")
	return c
}

func reconPlan() *cobra.Command {
	var r reports
	c := &cobra.Command{
		Use: "plan", Short: "列出判定表允许程序提出的操作、被限额拦下的, 以及计划的散列", Args: cobra.NoArgs,
		Long: "计划只含: 补记我方状态, 补销账, 返销, 重发欠下的冲正; 后三种在配置 reconcile.automatic 的限额以内(缺省单笔 500.00, 每日 10 笔、合计 2,000.00),\n" +
			"返销须隔一个银行文件再次确认。常设指令(qianzhi recon standing)所许的不经提议即已自动执行。\n" +
			"recon 目录中有名为 STOP 的文件时不作计划。提议、批准、执行都可用 --plan 散列 一次办理整个计划, 证据一变散列即变。",
		Example: "  qianzhi recon plan --config qianzhi.yaml\n  qianzhi recon propose --config qianzhi.yaml --plan 散列",
		RunE: func(cmd *cobra.Command, _ []string) error {
			homes, err := r.latest()
			if err != nil {
				return err
			}
			limits, err := r.limits()
			if err != nil {
				return err
			}
			for _, h := range homes {
				t, err := desk.Lay(h)
				if err != nil {
					return err
				}
				showPlan(cmd, t, t.Plan(limits(filepath.Base(h))))
			}
			return nil
		},
	}
	r.flags(c, "账务日期 YYYYMMDD, 缺省为最近一天")
	return c
}

func showPlan(cmd *cobra.Command, t *desk.Table, p desk.Plan) {
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s %s r%d 计划 %d 项, 拦下 %d 项, 散列 %s\n", t.Summary.Day, t.Summary.Channel, t.Summary.Version, len(p.Steps), len(p.Stops), p.Hash)
	for _, s := range p.Steps {
		fmt.Fprintf(w, "%s %s %s %s: %s (%s)\n", s.Item.ID(), s.Item.Code, s.Item.Name, s.Item.Size().Yuan(), s.Action.Chinese(), t.Standing(s.Item))
	}
	for _, s := range p.Stops {
		fmt.Fprintf(w, "%s %s %s %s: 不作, %s\n", s.Item.ID(), s.Item.Code, s.Item.Name, s.Item.Size().Yuan(), s.Why)
	}
}

// showTable shows where a day stands.
func showTable(cmd *cobra.Command, t *desk.Table) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	s := &t.Summary
	fmt.Fprintf(w, "%s %s r%d %s 待办 %d 待核 %d  签核 %s\n", s.Day, s.Channel, s.Version, s.Word, s.Todo, s.Pended, signature(t))
	for i := range t.Open {
		it := &t.Open[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", it.ID(), it.Code, it.Name, it.Size().Yuan(), t.Standing(it))
	}
	for _, c := range t.Counts() {
		fmt.Fprintf(w, "%s\t清点 %s\t假币 %s\t差 %s\t投入未入账 %s\n", c.Terminal, c.Counted().Yuan(), c.False().Yuan(), c.Gap().Yuan(), c.Unposted().Yuan())
	}
	return w.Flush()
}

// signature says who signed what.
func signature(t *desk.Table) string {
	text := t.Stage.String()
	switch {
	case t.Void:
		return fmt.Sprintf("%s (r%d 上 %s 的签名已失效)", text, t.Signed.Version, t.Signed.By)
	case t.Signed != nil && t.Countersigned != nil:
		text += fmt.Sprintf(" 签 %s %s 复核 %s %s", t.Signed.By, t.Signed.At, t.Countersigned.By, t.Countersigned.At)
	case t.Signed != nil:
		text += fmt.Sprintf(" %s %s", t.Signed.By, t.Signed.At)
	}
	if t.Asked != nil {
		text += fmt.Sprintf(" (%s 申请重开: %s)", t.Asked.By, t.Asked.Text)
	}
	return text
}

func reconVerify() *cobra.Command {
	var r reports
	c := &cobra.Command{
		Use: "verify", Short: "证明报告、输入、决定与签名未被改动; 不需要守护进程, 可在别的机器上做", Args: cobra.NoArgs,
		Long:    "逐个版本比对清单与文件, 沿哈希链核对决定, 核对每个签名所对的版本。退出码: 0 完好, 1 不完好。",
		Example: "  qianzhi recon verify --config qianzhi.yaml --day 20261120\n  qianzhi recon verify --dir recon --day 20261120",
		RunE: func(cmd *cobra.Command, _ []string) error {
			homes, err := r.latest()
			if err != nil {
				return err
			}
			for _, h := range homes {
				name := filepath.Base(filepath.Dir(h)) + " " + filepath.Base(h)
				p, err := desk.Verify(h)
				if err != nil {
					return &exitError{code: 1, err: fmt.Errorf("%s 不完好: %w", name, err)}
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s 完好: %d 个版本 %d 个文件, %d 条决定, %d 个签名\n", name, p.Versions, p.Files, p.Entries, p.Signatures)
			}
			return nil
		},
	}
	r.flags(c, "账务日期 YYYYMMDD, 缺省为最近一天")
	return c
}

// reconCash records the count of a terminal's cash from a file, because it has
// many parts.
func reconCash() *cobra.Command {
	var name string
	var o *deskFlags
	c := deskCommand("cash", "记下一台终端的现金清点: 面额张数, 两人具名, 假币", `清点写成一个 JSON 文件, 金额为分, notes 为面额(元)与张数:
  {"terminal":"T0022","names":["王五","赵六"],"opening":0,"inserted":120000,"returned":0,"posted":120000,
   "notes":{"100":11,"50":1},"counterfeit":[{"number":"AB12345678","yuan":50,"called":"09:10","result":"厂商已收走"}]}
已点 + 假币 = 期初 + 投入 - 退回与找零, 不等即为钞箱长款或短款, 不与银行的混在一起。`, "  qianzhi recon cash --config qianzhi.yaml --file t0022.json",
		desk.Cash, 0, nil, func(c *cobra.Command, f *deskFlags) {
			o = f
			c.Flags().StringVar(&name, "file", "", "清点文件 (必需)")
			must(c.MarkFlagRequired("file"))
		})
	c.PreRunE = func(*cobra.Command, []string) error {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		o.order.Count, err = desk.ParseCount(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	return c
}
