package main

import (
	"context"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/books"
)

func journalCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "journal",
		Short: "流水: 查找、待处理、查看、校验、导出导入、备份恢复、清理",
		Long:  "流水只增不改, 每个账务日一个文件。除 prune 与 restore 外, 各命令都可以在守护进程运行时使用, 不影响它。",
		Example: "  qianzhi journal find --config run/demo/qianzhi.yaml --account 0512000001\n" +
			"  qianzhi journal show --config run/demo/qianzhi.yaml 20261124-15\n" +
			"  qianzhi journal verify --config run/demo/qianzhi.yaml",
	}
	c.AddCommand(journalFind(), journalOpen(), journalShow(), journalVerify(), journalExport(), journalImport(), journalBackup(), journalRestore(), journalPrune())
	return c
}

// openBooks opens the journal of a configuration for reading.
func openBooks(ctx context.Context, file string) (*books.Books, error) {
	c, err := app.Load(file)
	if err != nil {
		return nil, err
	}
	return books.Open(ctx, c)
}
