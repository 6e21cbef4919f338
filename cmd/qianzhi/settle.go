package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"qianzhi/gateway/pay"
)

func settleCommand() *cobra.Command {
	var file, on string
	c := &cobra.Command{
		Use:   "settle",
		Short: "与银联中心批结算一个已日切的账务日期",
		Long: "把本机各终端的批次与银联中心结算(0500)。不平的批次上送明细(0320)并发结束报文。\n" +
			"已结算的批次不再结算; 没有应答的下次再发。有批次不平时退出码为 1。",
		Example: "  qianzhi day settle --config /etc/qianzhi/qianzhi.yaml --day 20261125",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			day, err := pay.ParseDay(on)
			if err != nil {
				return fmt.Errorf("--day: %w", err)
			}
			d, err := daemon(file)
			if err != nil {
				return err
			}
			batches, err := d.Settle(cmd.Context(), day)
			if err != nil {
				return &exitError{code: 1, err: err}
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(t, "对方\t终端\t批次\t借记\t金额\t贷记\t金额\t结果")
			for _, b := range batches {
				fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\n", b.Host, b.Terminal, b.Batch, b.Debits, b.Debit.Yuan(), b.Credits, b.Credit.Yuan(), b.Outcome)
				if !b.Balanced {
					err = &exitError{code: 1, err: errors.New("有批次不平")}
				}
			}
			return errors.Join(t.Flush(), err)
		},
	}
	config(c, &file)
	c.Flags().StringVar(&on, "day", "", "账务日期 YYYYMMDD (必需)")
	require(c, "day")
	return c
}
