package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/night"
	"qianzhi/conf"
	"qianzhi/gateway/pay"
)

func reconSpec() *cobra.Command {
	c := &cobra.Command{Use: "spec", Short: "对账文件规格: 列出, 显示, 说明, 试读"}
	c.AddCommand(specList(), specText(), specTest())
	return c
}

func specList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "列出随程序提供的规格",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			names, err := fs.Glob(conf.Files, "statements/*.yaml")
			if err != nil {
				return err
			}
			for _, n := range names {
				s, err := night.Spec(strings.TrimSuffix(path.Base(n), ".yaml"))
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-22s %s  %s\n", s.ID, s.Name, s.Title)
			}
			return nil
		},
	}
}

func specText() *cobra.Command {
	var doc bool
	c := &cobra.Command{
		Use:   "show 规格",
		Short: "显示规格; --doc 逐栏说明",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := night.Spec(args[0])
			if err != nil {
				return err
			}
			if doc {
				fmt.Fprint(cmd.OutOrStdout(), s.Document())
				return nil
			}
			b, err := os.ReadFile(args[0])
			if err != nil {
				if b, err = conf.Files.ReadFile("statements/" + s.ID + ".yaml"); err != nil {
					return err
				}
			}
			_, err = cmd.OutOrStdout().Write(b)
			return err
		},
	}
	c.Flags().BoolVar(&doc, "doc", false, "逐栏说明")
	return c
}

func specTest() *cobra.Command {
	var spec, day, format string
	var keys []string
	c := &cobra.Command{
		Use:   "test 文件",
		Short: "按规格试读一个文件, 指出不符的行、字节与栏",
		Long:  "按规格试读一个文件: 编码, 每行每栏, 头尾控制数, 账务日期, 校验和, 签名。不符即整个文件拒收, 退出码 4。",
		Example: "  qianzhi recon spec test DZ_20261120.txt --spec bank-lines\n" +
			"  qianzhi recon spec test 0002_20120331_00_315810_001.bil --spec utility-bil",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := night.Spec(spec)
			if err != nil {
				return err
			}
			d, ok := s.DayOf(args[0], pay.Day(20260101))
			if day != "" {
				if d, err = pay.ParseDay(day); err != nil {
					return fmt.Errorf("--day: %w", err)
				}
			} else if !ok {
				return fmt.Errorf("文件名不合 %s, 请用 --day 给出账务日期", s.Name)
			}
			ring, err := readKeys(keys)
			if err != nil {
				return err
			}
			found, err := s.Test(args[0], d, ring)
			if format == "json" {
				out := map[string]any{"file": args[0], "day": d.String(), "ok": err == nil, "text": found}
				if err != nil {
					out["text"] = err.Error()
				}
				if e := json.NewEncoder(cmd.OutOrStdout()).Encode(out); e != nil {
					return e
				}
			} else if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "采用 %s 账务日 %s: %s\n", args[0], d, found)
			}
			if err != nil {
				return &exitError{code: 4, err: fmt.Errorf("拒收 %s: %w", args[0], err)}
			}
			return nil
		},
	}
	c.Flags().StringVar(&spec, "spec", "bank-lines", "规格: 文件或标识")
	c.Flags().StringVar(&day, "day", "", "账务日期 YYYYMMDD, 缺省取自文件名")
	c.Flags().StringArrayVar(&keys, "key", nil, "角色=密钥文件, 用于验签")
	c.Flags().StringVarP(&format, "output", "o", "text", "text 或 json")
	return c
}
