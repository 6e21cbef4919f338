package main

import (
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"qianzhi/cmd/internal/demo"
)

func demoCommand() *cobra.Command {
	o := demo.Options{Out: os.Stdout}
	var output string
	c := &cobra.Command{
		Use:   "demo",
		Short: "在本机演示完整业务: 收费、日切、对账",
		Long: "写出配置与一次性密钥, 启动与 serve 相同的守护进程与内置营销系统, 经三条真实链路并发发送报文, 在途日切, " +
			"对总账与明细, 对账并核对到分; 并用到每一种接入: 营销系统的 SOCKET、WebService、Tuxedo 与数据库四扇门, 银联与卡表, " +
			"本地与 SFTP 文件 (对账文件、批扣), HTTP 与 SOCKET 通知。\n每条应答都与预期相同、营销与流水分文不差、差异恰为预设时退出码为 0, 否则为 1。\n此后继续服务直到 Ctrl-C; --exit 则立即结束。",
		Example: "  qianzhi demo\n  qianzhi demo --dir /tmp/demo --seed 7 --exit -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("-o: 应为 text 或 json, 而不是 %q", output)
			}
			if o.Messages < 200 || o.Workers < 1 || o.Workers > 200 {
				return fmt.Errorf("--messages 至少 200, --workers 为 1 至 200")
			}
			o.JSON = output == "json"
			o.Terminal = term.IsTerminal(int(os.Stderr.Fd()))
			if !cmd.Flags().Changed("seed") {
				o.Seed = rand.Uint64()
			}
			return demo.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", "run/demo", "演示目录")
	f.Uint64Var(&o.Seed, "seed", 0, "随机种子; 不给则每次不同")
	f.IntVar(&o.Messages, "messages", 2000, "报文条数")
	f.IntVar(&o.Workers, "workers", 8, "每条链路的并发连接数")
	f.BoolVar(&o.Dedupe, "dedupe", true, "内置营销系统按我方流水号去重")
	f.BoolVar(&o.Products, "products", true, "另演示自助终端现金、POS支付、公共支付、卡表购电与各种结果未知 (约 10 秒)")
	f.BoolVar(&o.Exit, "exit", false, "完成后立即结束")
	f.StringVarP(&output, "output", "o", "text", "text 或 json (最后一行为一个 JSON 对象)")
	return c
}
