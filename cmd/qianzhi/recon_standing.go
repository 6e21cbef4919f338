package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile/desk"
)

const standingLong = `常设指令是配置 reconcile.automatic(或渠道自己的 automatic)所写: 对账之后程序不经询问可做哪些级别的操作, 限额与期限。
  L1  按各方文件补记本机状态, 不动资金      LR  重发已欠下的冲正
  L3P 补销账                                L3V 返销
L1、LR 依配置即可; L3P、L3V 另须两人签署该指令, 指令一改散列即变, 须重新签署。新渠道最初 14 日(trial)、签核之后、差异过多、
任一文件未采用, 以及 recon 目录中有名为 STOP 的文件时, 一律不作。每项操作前再查询对方, 与文件不符即停; 每项自身也是一笔有流水的交易。`

func reconStanding() *cobra.Command {
	var file, channel string
	c := &cobra.Command{
		Use: "standing", Short: "显示各渠道的常设指令(自动处理)及其签署; 两人签署或一人撤回", Args: cobra.NoArgs, Long: standingLong,
		Example: "  qianzhi recon standing --config qianzhi.yaml\n  qianzhi recon standing sign --config qianzhi.yaml --channel BANK301 --text 行领导会议纪要 12 号",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := app.Load(file)
			if err != nil {
				return err
			}
			for _, ch := range c.Reconcile.Channels {
				if channel != "" && ch.ID != channel {
					continue
				}
				if err := showStanding(cmd, c, ch.ID); err != nil {
					return err
				}
			}
			return nil
		},
	}
	config(c, &file)
	c.Flags().StringVar(&channel, "channel", "", "渠道, 缺省为全部")
	c.AddCommand(
		standingCommand("sign", "签署一个渠道的常设指令(第一人)", "依据, 例如会议纪要编号", desk.Sign),
		standingCommand("countersign", "复签常设指令(第二人, 须为复核员), 即日生效", "说明", desk.Countersign),
		standingCommand("revoke", "撤回常设指令的签署, 一人即可, 立即生效", "原因 (必需)", desk.Reopen))
	return c
}

func standingCommand(use, short, text string, kind desk.Kind) *cobra.Command {
	o := &deskFlags{}
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs, Long: short + "。\n" + deskLogin,
		Example: "  qianzhi recon standing " + use + " --config qianzhi.yaml --channel BANK301",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, who, err := o.open(cmd)
			if err != nil {
				return &exitError{code: 1, err: err}
			}
			c, err := app.Load(o.file)
			if err != nil {
				return err
			}
			ch, err := oneChannel(c, o.channel)
			if err != nil {
				return err
			}
			_, err = d.Decide(cmd.Context(), who, c.Standing(ch), kind, o.order.Text)
			switch {
			case errors.Is(err, desk.ErrBusy):
				return &exitError{code: 6, err: err}
			case err != nil:
				return &exitError{code: 1, err: err}
			}
			return showStanding(cmd, c, ch)
		},
	}
	config(c, &o.file)
	c.Flags().StringVar(&o.channel, "channel", "", "渠道, 只有一个时可省")
	c.Flags().StringVar(&o.as, "as", "", "办理人的用户名; 已 qianzhi user login 时可省")
	o.text(c, text)
	return c
}

// oneChannel is the channel that is meant.
func oneChannel(c *app.Config, id string) (string, error) {
	var ids []string
	for _, ch := range c.Reconcile.Channels {
		if ch.ID == id {
			return id, nil
		}
		ids = append(ids, ch.ID)
	}
	if id == "" && len(ids) == 1 {
		return ids[0], nil
	}
	return "", fmt.Errorf("--channel: 须为 %s 之一", strings.Join(ids, ", "))
}

// showStanding says what a channel's order is and whether it holds.
func showStanding(cmd *cobra.Command, c *app.Config, channel string) error {
	o := c.Standing(channel)
	cal, err := c.Days()
	if err != nil {
		return err
	}
	d := desk.Desk{Root: c.Reports()}
	m, err := d.Mandate(o, pay.DayOf(time.Now().In(cal.Location())))
	if err != nil {
		return err
	}
	t, err := desk.LayOrder(d.Root, o)
	if err != nil {
		return err
	}
	state := m.Off
	switch {
	case state != "":
		state = "不作: " + state
	case o.Moves() && !m.Signed:
		state = "生效, 但 L3P、L3V 未经两人签署, 不作"
	default:
		state = "生效"
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "%s 指令 %s %s\n  %s\n", channel, o.Hash(), state, o.Text())
	if o.Moves() || len(t.Entries) > 0 {
		fmt.Fprintf(w, "  签署 %s\n", orderSigned(t))
	}
	return nil
}

func orderSigned(t *desk.Table) string {
	switch {
	case t.Asked != nil:
		return fmt.Sprintf("%s 于 %s 撤回: %s", t.Asked.By, t.Asked.At, t.Asked.Text)
	case t.Void:
		return fmt.Sprintf("%s 的签署属另一指令 %s, 已失效", t.Signed.By, t.Signed.Manifest)
	case t.Countersigned != nil:
		return fmt.Sprintf("%s %s, 复签 %s %s", t.Signed.By, t.Signed.At, t.Countersigned.By, t.Countersigned.At)
	case t.Signed != nil:
		return fmt.Sprintf("%s %s, 待复签", t.Signed.By, t.Signed.At)
	}
	return "未签署"
}
