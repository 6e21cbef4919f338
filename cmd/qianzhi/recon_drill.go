package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/night"
)

func reconDrill() *cobra.Command {
	var dir, format string
	c := &cobra.Command{
		Use:   "drill",
		Short: "演练: 造出含全部差异的三天, 必须全部报出且无误报",
		Long: "造出三天的流水、营销与银行文件: 矩阵 53 行, 金额 11 种, 重复, 串户, 终端不符, 跨日与到期; 对账后逐笔核对。\n" +
			"退出码 0 仅当无漏报也无误报。",
		Example: "  qianzhi recon drill\n  qianzhi recon drill -o json --dir drill",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				tmp, err := os.MkdirTemp("", "qianzhi-drill-")
				if err != nil {
					return err
				}
				defer os.RemoveAll(tmp)
				dir = tmp
			} else if err := os.MkdirAll(dir, 0o750); err != nil {
				return err
			}
			score, err := night.NewDrill(dir, func(text string, a ...any) { fmt.Fprintf(cmd.OutOrStdout(), text+"\n", a...) }).Run(cmd.Context())
			if err != nil {
				return err
			}
			if format == "json" {
				if err := json.NewEncoder(cmd.OutOrStdout()).Encode(score); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "矩阵 %d 行, 金额 %d 种, 漏报 %d, 误报 %d\n", score.Rows, score.AmountCases, score.Missed, score.False)
			}
			return exitOf(min(1, score.Missed+score.False), false)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "保留文件与报告的目录, 缺省为临时目录")
	c.Flags().StringVarP(&format, "output", "o", "text", "text 或 json")
	return c
}
