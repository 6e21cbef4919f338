package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/books"
	"qianzhi/gateway/admin"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

func actsCommand() *cobra.Command {
	var file, day, output string
	c := &cobra.Command{
		Use:   "acts",
		Short: "管理操作的记录: 谁、何时、做了什么、为什么; 先校验再列出",
		Long: "管理操作的记录: 用户变更、登录、日切、重跑对账等, 与缴费在同一条哈希链上。\n" +
			"先沿哈希链与签名校验各日流水再列出, 不完好时指出第一处。退出码: 0 完好, 1 不完好。",
		Example: "  qianzhi acts --config qianzhi.yaml\n  qianzhi acts --config qianzhi.yaml --day 20261124 -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := openBooks(cmd.Context(), file)
			if err != nil {
				return err
			}
			defer b.Close()
			days := b.Days()
			if day != "" {
				d, err := pay.ParseDay(day)
				if err != nil {
					return fmt.Errorf("--day: %w", err)
				}
				days = []pay.Day{d}
			}
			return showActs(cmd, b, days, output)
		},
	}
	config(c, &file)
	c.Flags().StringVar(&day, "day", "", "账务日期 YYYYMMDD; 缺省为全部")
	c.Flags().StringVarP(&output, "output", "o", "text", "text 或 json")
	return c
}

func showActs(cmd *cobra.Command, b *books.Books, days []pay.Day, output string) error {
	auditor, err := books.Auditor(b.Config)
	if err != nil {
		return err
	}
	all := []admin.Done{}
	for _, d := range days {
		p, err := auditor.Verify(cmd.Context(), d)
		var broken *journal.Broken
		switch {
		case errors.As(err, &broken):
			return &exitError{code: 1, err: fmt.Errorf("%s 不完好: 第 %d 行: %s", d, broken.Row, broken.Why)}
		case err != nil:
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), proved(p))
		list, err := app.Acts(cmd.Context(), b.Archive, d)
		if err != nil {
			return err
		}
		all = append(all, list...)
	}
	if output == "json" {
		return writeJSON(cmd.OutOrStdout(), all)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "时间\t行\t谁\t工号\t入口\t操作\t对象\t原因\t未成")
	for _, a := range all {
		fmt.Fprintf(t, "%s\t%s-%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.At.Format("2006-01-02 15:04:05"), a.Day, a.Row, a.By, a.Person, a.Door, a.What, a.On,
			a.Reason, a.Failed)
	}
	return t.Flush()
}
