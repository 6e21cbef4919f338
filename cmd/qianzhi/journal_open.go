package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/books"
)

func journalOpen() *cobra.Command {
	var file, output string
	c := &cobra.Command{
		Use:   "open",
		Short: "列出未决与挂账的缴费: 原因、责任人、期限、尝试次数",
		Long: "列出未决与挂账的缴费, 期限近的在前: 处于什么状态、为什么、谁来处理、何时到期、当前状态下已尝试几次。\n" +
			"未决的由前置自动查询或冲正, 挂账的由责任人处理。尝试次数记在流水中, 重启后接着数。",
		Example: "  qianzhi journal open --config qianzhi.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := openBooks(cmd.Context(), file)
			if err != nil {
				return err
			}
			defer b.Close()
			list, err := b.Waiting(cmd.Context())
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			if err := books.WaitingTable(cmd.OutOrStdout(), list); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d 笔\n", len(list))
			return err
		},
	}
	config(c, &file)
	c.Flags().StringVarP(&output, "output", "o", "table", "table 或 json")
	return c
}
