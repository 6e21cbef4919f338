package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
	"qianzhi/protocol/spec"
)

func checkCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "check",
		Short:   "按 serve 的方式装载全部配置, 不启动任何东西",
		Long:    "按 serve 的方式装载配置、链路文件、密钥、路由与对账规格, 不启动任何东西。\n有错时指出文件、行与键。退出码: 0 正确, 2 有错。",
		Example: "  qianzhi check --config run/demo/qianzhi.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := setUp(file)
			if err != nil {
				return err
			}
			if _, err := app.Prepare(c, log); err != nil {
				return err
			}
			schema, err := spec.NewSchema()
			if err != nil {
				return err
			}
			for _, l := range c.Links {
				if err := schema.Check(c.Path(l.File), os.ReadFile); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "配置正确: %d 条链路, %d 个对方系统, %d 条路由, %d 个对账渠道\n",
				len(c.Links), len(c.Hosts), len(c.Routes), len(c.Reconcile.Channels))
			return nil
		},
	}
	config(c, &file)
	return c
}
