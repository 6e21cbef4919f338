package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/gateway/pay"
)

func reconCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "recon",
		Short:   "对账结果",
		Example: "  qianzhi recon show --config run/demo/qianzhi.yaml\n  tail -F run/demo/data/recon/live.log",
	}
	var file, day, channel string
	show := &cobra.Command{
		Use:   "show",
		Short: "显示对账报告, 缺省为最近一天的全部渠道",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := app.Load(file)
			if err != nil {
				return err
			}
			names, err := filepath.Glob(filepath.Join(c.Reports(), orAny(day), orAny(channel), "latest", "report.txt"))
			if err != nil {
				return err
			}
			if len(names) == 0 {
				return errors.New("没有对账报告")
			}
			sort.Strings(names)
			newest := filepath.Dir(filepath.Dir(filepath.Dir(names[len(names)-1])))
			for _, n := range names {
				if day == "" && filepath.Dir(filepath.Dir(filepath.Dir(n))) != newest {
					continue
				}
				b, err := os.ReadFile(n)
				if err != nil {
					return err
				}
				fmt.Fprint(cmd.OutOrStdout(), string(b))
			}
			return nil
		},
	}
	config(show, &file)
	show.Flags().StringVar(&day, "day", "", "账务日期 YYYYMMDD")
	show.Flags().StringVar(&channel, "channel", "", "渠道")
	c.AddCommand(show, reconRun())
	return c
}

func reconRun() *cobra.Command {
	var file, day string
	c := &cobra.Command{
		Use:   "run",
		Short: "请运行中的守护进程对一天的账",
		Long:  "请运行中的守护进程对一天的账, 显示每个渠道的结论与报告位置。\n退出码: 0 平, 1 不平, 2 故障, 3 未齐, 4 拒收或存疑; 多个渠道取最大者。",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := pay.ParseDay(day)
			if err != nil {
				return fmt.Errorf("--day: %w", err)
			}
			client, err := daemon(file)
			if err != nil {
				return err
			}
			runs, err := client.Reconcile(cmd.Context(), d)
			if err != nil {
				return err
			}
			worst := 0
			for _, r := range runs {
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s r%d %s %s\n", r.Verdict, r.Channel, r.Version, r.Report, r.Why)
				worst = max(worst, r.Exit)
			}
			if worst > 0 {
				return &exitError{code: worst}
			}
			return nil
		},
	}
	config(c, &file)
	c.Flags().StringVar(&day, "day", "", "账务日期 YYYYMMDD (必需)")
	if err := c.MarkFlagRequired("day"); err != nil {
		panic(err) // the flag was defined above
	}
	return c
}

func orAny(s string) string {
	if s == "" {
		return "*"
	}
	return s
}
