package main

import (
	"cmp"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/control"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/pay"
)

// daemon finds the running daemon of a configuration.
func daemon(file string) (*control.Client, error) {
	c, err := app.Load(file)
	if err != nil {
		return nil, err
	}
	return control.New(c.Socket()), nil
}

func statusCommand() *cobra.Command {
	var file, output string
	c := &cobra.Command{
		Use:     "status",
		Short:   "运行中的守护进程一览",
		Long:    "运行中的守护进程一览: 账务日期与日切状态、工作日、未决笔数、各链路与对方系统、不正常之处。\n有致命问题(不能受理缴费)时退出码为 1。",
		Example: "  qianzhi status --config /etc/qianzhi/qianzhi.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := daemon(file)
			if err != nil {
				return err
			}
			st, err := d.Status(cmd.Context())
			if err != nil {
				return err
			}
			if output == "json" {
				err = writeJSON(cmd.OutOrStdout(), st)
			} else {
				err = showStatus(cmd, &st)
			}
			if err != nil {
				return err
			}
			for _, p := range st.Problems {
				if p.Fatal {
					return &exitError{code: 1}
				}
			}
			return nil
		},
	}
	config(c, &file)
	c.Flags().StringVarP(&output, "output", "o", "text", "text 或 json")
	return c
}

// dayLine says in which phase the day is and whether banks work on it.
func dayLine(st *admin.Status) string {
	phase, kind := "交易中", "工作日"
	if st.Cutting != 0 {
		phase = fmt.Sprintf("日切中 → %s", st.Cutting)
	}
	if !st.Workday {
		kind = "休息日"
	}
	if st.Holiday != "" {
		kind = "节假日 " + st.Holiday
	}
	return fmt.Sprintf("%s  %s  下一工作日 %s  下次日切 %s", phase, kind, st.Next, st.CutAt.Format("2006-01-02 15:04"))
}

func showStatus(cmd *cobra.Command, st *admin.Status) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "账务日期 %s  未决 %d 笔\n%s\n", st.Day, st.Unknown, dayLine(st))
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "链路\t地址\t连接\t成功\t拒绝\t未知\t拒收\t忙")
	for _, l := range st.Links {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", l.ID, cmp.Or(l.Addr, "拨 "+l.Dial), l.Conns, l.Approved, l.Declined, l.Unknown, l.Rejected, l.Busy)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range st.Links {
		if l.ReplyAddr != "" {
			fmt.Fprintf(out, "链路 %s 应答 %s 连接 %d 丢弃 %d\n", l.ID, l.ReplyAddr, l.ReplyConns, l.Dropped)
		}
	}
	for _, h := range st.Hosts {
		fmt.Fprintf(out, "对方 %s 连接 %d\n", h.ID, h.Conns)
	}
	for _, p := range st.Problems {
		word := "注意"
		if p.Fatal {
			word = "故障"
		}
		fmt.Fprintf(out, "%s %s: %s\n", word, p.Part, p.Text)
	}
	return nil
}

func dayCommand() *cobra.Command {
	c := &cobra.Command{Use: "day", Short: "账务日期", Example: "  qianzhi day cut --config /etc/qianzhi/qianzhi.yaml --to 20261126"}
	var file, to string
	cut := &cobra.Command{
		Use:   "cut",
		Short: "人工日切: 结束当前账务日期",
		Long:  "人工日切: 结束当前账务日期, 此后的缴费记入 --to。在途缴费保持原账务日期。只能向后切。",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			next, err := pay.ParseDay(to)
			if err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			d, err := daemon(file)
			if err != nil {
				return err
			}
			st, err := d.Cut(cmd.Context(), next)
			if err != nil {
				return &exitError{code: 1, err: err}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "账务日期 %s\n", st.Day)
			return nil
		},
	}
	config(cut, &file)
	cut.Flags().StringVar(&to, "to", "", "下一账务日期 YYYYMMDD (必需)")
	if err := cut.MarkFlagRequired("to"); err != nil {
		panic(err) // the flag was defined above
	}
	c.AddCommand(cut, settleCommand())
	return c
}
