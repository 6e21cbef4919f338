package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/books"
	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

func journalBackup() *cobra.Command {
	var file, to string
	c := &cobra.Command{
		Use:   "backup",
		Short: "联机备份全部流水到一个空目录, 并校验",
		Long:  "联机备份全部流水到一个空目录: 运行中的一天取一致的快照, 守护进程不停顿; 每天的副本都沿哈希链校验, 清单 backup.json 最后写。\n密钥不在备份中, 须另行保管。",
		Example: "  qianzhi journal backup --config qianzhi.yaml --to /backup/$(date +%Y%m%d)\n" +
			"  qianzhi journal verify --dir /backup/20261124 --node 1 --public-key journal.pub",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := openBooks(cmd.Context(), file)
			if err != nil {
				return err
			}
			defer b.Close()
			if err := b.Backup(cmd.Context(), to, tell(cmd)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "备份完成: %s\n", to)
			return nil
		},
	}
	config(c, &file)
	c.Flags().StringVar(&to, "to", "", "空目录 (必需)")
	must(c.MarkFlagRequired("to"))
	return c
}

// tell prints each day as it is done.
func tell(cmd *cobra.Command) func(pay.Day, journal.Proof) {
	return func(_ pay.Day, p journal.Proof) { fmt.Fprintln(cmd.OutOrStdout(), proved(p)) }
}

// closedBooks reads the configuration for a command that the daemon must not
// run beside.
func closedBooks(file string) (*books.Books, error) {
	c, err := app.Load(file)
	if err != nil {
		return nil, err
	}
	return books.New(c)
}

func journalRestore() *cobra.Command {
	var file, from string
	c := &cobra.Command{
		Use:   "restore",
		Short: "从备份恢复流水到空的流水目录, 并校验",
		Long: "从备份恢复流水到配置的流水目录, 该目录必须为空; 恢复后逐日校验。\n" +
			"备份之后的缴费已丢失, 须以银行与营销系统的对账文件补齐; 其行号不再使用, 因为对方可能已经见过。",
		Example: "  qianzhi journal restore --config qianzhi.yaml --from /backup/20261124",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := closedBooks(file)
			if err != nil {
				return err
			}
			if err := b.Restore(cmd.Context(), from, tell(cmd)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "恢复完成: %s\n", b.Options.Dir)
			return nil
		},
	}
	config(c, &file)
	c.Flags().StringVar(&from, "from", "", "备份目录 (必需)")
	must(c.MarkFlagRequired("from"))
	return c
}

func journalPrune() *cobra.Command {
	var file, before, reason string
	c := &cobra.Command{
		Use:   "prune",
		Short: "清理满六个月的整日流水",
		Long: "清理早于某日的整日流水, 至少保留六个月。有未决缴费或校验不完好的日子一天也不清理; \n" +
			"清理前把各日的行数与链尾记入当前流水。守护进程须已停止。",
		Example: "  qianzhi journal prune --config qianzhi.yaml --before 20260101 --reason '按保管期限清理, 已归档'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			day, err := pay.ParseDay(before)
			if err != nil {
				return fmt.Errorf("--before: %w", err)
			}
			b, err := closedBooks(file)
			if err != nil {
				return err
			}
			gone, err := b.Prune(cmd.Context(), day, reason)
			for _, d := range gone {
				fmt.Fprintf(cmd.OutOrStdout(), "%s 已清理\n", d)
			}
			if err == nil && len(gone) == 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "没有早于 %s 的流水\n", day)
			}
			return err
		},
	}
	config(c, &file)
	c.Flags().StringVar(&before, "before", "", "清理早于此日的流水, YYYYMMDD (必需)")
	c.Flags().StringVar(&reason, "reason", "", "原因 (必需)")
	must(c.MarkFlagRequired("before"))
	must(c.MarkFlagRequired("reason"))
	return c
}
