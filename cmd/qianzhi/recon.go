package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
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
	c.AddCommand(show)
	return c
}

func orAny(s string) string {
	if s == "" {
		return "*"
	}
	return s
}
