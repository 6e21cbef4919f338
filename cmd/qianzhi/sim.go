package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/peer"
)

func simCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "sim",
		Short: "模拟银行、银联中心或营销系统, 可按脚本出错",
		Long: "按链路文件模拟对方: bank 发报文, posp 与 mis 监听并应答。\n" +
			"故障可按交易、次数、流水或户号触发, 用来在上线前演练超时、断线与重复。",
	}
	c.AddCommand(simBankCommand(), simHostCommand("posp", "模拟银联中心: 凡扣款都同意, 记得每一笔", 0),
		simHostCommand("mis", "模拟营销系统: 有用户与账单, 销账后不再欠费", 1000))
	return c
}

const faultHelp = "故障规则为 条件:故障, 可重复, 先符合者为准。\n" +
	"条件(可用逗号并列): *、交易操作、every=N、first=N、serial=流水、account=户号。\n" +
	"故障: slow=时间(晚处理) late=时间(处理后晚答) silence(处理后不答) cut(答一半断开) duplicate(同一包答两次)\n" +
	"joined(与下一应答合为一包) trickle(逐字节) bad-seal(MAC 或签名错) half-char(半个汉字) garbage(乱码) decline(拒绝)。"

// maxTerminals is how many terminals may be signed on to a simulated host.
const maxTerminals = 10000

func simHostCommand(name, short string, customers int) *cobra.Command {
	var link, listen string
	var keys, faults []string
	c := &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    short + "。\n" + faultHelp,
		Example: "  qianzhi sim " + name + " --link bank-fixed --listen 127.0.0.1:7100 --fault pay,every=10:late=40s --fault query:cut",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			script, err := peer.ParseScript(faults)
			if err != nil {
				return fmt.Errorf("--fault: %w", err)
			}
			l, d, err := assemble(link, keys, maxTerminals)
			switch {
			case l != nil && l.Transport != "tcp":
				return fmt.Errorf("%s: 只能模拟 tcp 链路的应答端", l.ID)
			case err != nil:
				return err
			}
			ln, err := net.Listen("tcp", listen)
			if err != nil {
				return err
			}
			notes := &notes{out: cmd.OutOrStdout()}
			notes.line(fmt.Sprintf("%s 在 %s 应答链路 %s", name, ln.Addr(), l.ID))
			if customers > 0 {
				notes.line(fmt.Sprintf("用户 %s 至 %s, 各欠 301.50 元", peer.Account(0), peer.Account(customers-1)))
			}
			h := &peer.Host{Dialect: d, Handler: peer.NewLedger(customers), Script: script, Now: time.Now, Pause: pause, Note: notes.line}
			return h.Serve(cmd.Context(), ln)
		},
	}
	f := c.Flags()
	f.StringVar(&link, "link", "", "链路文件, 或随附链路的名字 (必需)")
	f.StringVar(&listen, "listen", "127.0.0.1:0", "监听地址")
	f.StringArrayVar(&keys, "key", nil, "链路角色的密钥 角色=文件, 可重复")
	f.StringArrayVar(&faults, "fault", nil, "故障规则, 可重复")
	if customers > 0 {
		f.IntVar(&customers, "customers", customers, "用户数")
	}
	require(c, "link")
	return c
}

func require(c *cobra.Command, flags ...string) {
	for _, name := range flags {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was defined above
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// notes writes lines from many goroutines.
type notes struct {
	mu  sync.Mutex
	out io.Writer
}

func (n *notes) line(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintln(n.out, s)
}
