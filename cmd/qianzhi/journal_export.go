package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/books"
	"qianzhi/gateway/pay"
)

type exportFlags struct {
	file, day, format, out, reason string
	unmask, full                   bool
}

func journalExport() *cobra.Command {
	var o exportFlags
	c := &cobra.Command{
		Use:   "export",
		Short: "导出一天的缴费为 CSV 或 JSON 行, 或无损导出全部存储行",
		Long: "导出一天的缴费, 每笔一行, 状态为当前; 户号与卡号屏蔽。--unmask 导出原文, 必须用 --reason 说明原因, 并留下记录。\n" +
			"--full 无损导出该日存储的每一行(密文)、签名校验点, 供 import 原样重建; 不需要解密密钥。",
		Example: "  qianzhi journal export --config qianzhi.yaml --day 20261124 --format csv --file 20261124.csv\n" +
			"  qianzhi journal export --config qianzhi.yaml --day 20261124 --unmask --reason '公安调证 2026-118'\n" +
			"  qianzhi journal export --config qianzhi.yaml --day 20261124 --full --format csv --file 20261124.csv",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	config(c, &o.file)
	f := c.Flags()
	f.StringVar(&o.day, "day", "", "账务日期 YYYYMMDD (必需)")
	f.StringVar(&o.format, "format", "jsonl", "csv 或 jsonl")
	f.StringVar(&o.out, "file", "-", "输出文件, - 为标准输出; 不覆盖已有文件")
	f.BoolVar(&o.unmask, "unmask", false, "不屏蔽户号与卡号")
	f.StringVar(&o.reason, "reason", "", "不屏蔽的原因")
	f.BoolVar(&o.full, "full", false, "无损导出全部存储行")
	must(c.MarkFlagRequired("day"))
	return c
}

// must holds what can only fail when a flag's name is misspelt above.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (o *exportFlags) run(cmd *cobra.Command) (err error) {
	day, err := pay.ParseDay(o.day)
	if err != nil {
		return fmt.Errorf("--day: %w", err)
	}
	if o.unmask && o.reason == "" {
		return errors.New("--unmask 必须用 --reason 说明原因")
	}
	b, err := openBooks(cmd.Context(), o.file)
	if err != nil {
		return err
	}
	defer b.Close()
	if o.unmask && !o.full {
		if err := b.Record(cmd.Context(), fmt.Sprintf("导出原文 日=%s 原因=%s 用户=%d", day, o.reason, os.Getuid())); err != nil {
			return err
		}
	}
	w := io.Writer(cmd.OutOrStdout())
	if o.out != "-" {
		f, err1 := os.OpenFile(o.out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err1 != nil {
			return err1
		}
		defer func() { err = errors.Join(err, f.Sync(), f.Close()) }()
		w = f
	}
	n, err := o.write(cmd, b, day, w)
	if err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s 导出 %d 行\n", day, n)
	}
	return err
}

func (o *exportFlags) write(cmd *cobra.Command, b *books.Books, day pay.Day, w io.Writer) (uint64, error) {
	if o.full {
		a, err := books.NewAuditor(b.Options.Dir, b.Options.Node, b.Options.Signer.Public())
		if err != nil {
			return 0, err
		}
		return books.ExportFull(cmd.Context(), a, day, w, o.format)
	}
	out := bufio.NewWriter(w)
	s, err := books.NewSink(out, o.format)
	if err != nil {
		return 0, err
	}
	var failed error
	err = b.Lines(cmd.Context(), day, func(e *pay.Entry) bool {
		failed = s.Put(e, o.unmask)
		return failed == nil
	})
	return uint64(s.Count), errors.Join(failed, err, s.Flush(), out.Flush())
}

func journalImport() *cobra.Command {
	var file, in, dir string
	c := &cobra.Command{
		Use:   "import",
		Short: "用 export --full 的导出重建一天的流水, 并校验",
		Long: "用 export --full 的导出(JSON 行或 CSV)重建一天的流水: 每一行与签名校验点与原来逐字节相同, 写完后沿哈希链校验, 不符则不留下。\n" +
			"目标目录中不得已有该日。缺省目标是配置的流水目录, 可用 --dir 另选。",
		Example: "  qianzhi journal import --config qianzhi.yaml --dir /audit/journal --file 20261124.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := app.Load(file)
			if err != nil {
				return err
			}
			a, err := books.Auditor(c)
			if err != nil {
				return err
			}
			if dir != "" {
				if a, err = books.NewAuditor(dir, a.Node, a.Public); err != nil {
					return err
				}
			}
			f, err := os.Open(in)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := os.MkdirAll(a.Dir, 0o700); err != nil {
				return err
			}
			p, err := books.Import(cmd.Context(), a, f)
			if err != nil {
				return &exitError{code: 1, err: err}
			}
			fmt.Fprintln(cmd.OutOrStdout(), proved(p))
			return nil
		},
	}
	config(c, &file)
	c.Flags().StringVar(&in, "file", "", "导出文件 (必需)")
	c.Flags().StringVar(&dir, "dir", "", "目标目录")
	must(c.MarkFlagRequired("file"))
	return c
}
