package main

import (
	"cmp"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/app"
)

func serveCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:     "serve",
		Short:   "运行守护进程, 直到 SIGTERM",
		Long:    "运行守护进程。收到 SIGTERM 或 Ctrl-C 后拒绝新报文, 等待在途报文答复后退出; 第二次信号立即退出, 在途缴费下次启动时按未知处理。",
		Example: "  qianzhi serve --config /etc/qianzhi/qianzhi.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := setUp(file)
			if err != nil {
				return err
			}
			plan, err := app.Prepare(c, log)
			if err != nil {
				return err
			}
			a, err := plan.Start(cmd.Context())
			if err != nil {
				return err
			}
			for _, l := range c.Links {
				log.Info("serving", "link", l.ID, "addr", cmp.Or(a.Addr(l.ID), l.Dial))
			}
			var failed error
			select {
			case <-cmd.Context().Done():
				log.Info("stopping", "drain", c.Node.Drain)
			case failed = <-a.Failed():
				log.Error("a part of the daemon ended", "event", "QZ998", "err", failed)
			}
			if err := a.Close(); err != nil {
				return err
			}
			return failed
		},
	}
	config(c, &file)
	return c
}

func config(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "config", "c", "", "配置文件 (必需)")
	if err := c.MarkFlagRequired("config"); err != nil {
		panic(err) // the flag was defined one line above
	}
}

// setUp reads the configuration and builds the logger it asks for.
func setUp(file string) (*app.Config, *slog.Logger, error) {
	c, err := app.Load(file)
	if err != nil {
		return nil, nil, err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Node.LogLevel)); err != nil {
		return nil, nil, err
	}
	return c, app.NewLog(os.Stderr, level), nil
}
