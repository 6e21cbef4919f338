package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"qianzhi/cmd/internal/peer"
)

func simCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "sim",
		Short: "模拟银行、银联中心或营销系统, 可按脚本出错",
		Long: "按链路文件模拟对方: bank 发报文, posp、mis、card 与 wallet 监听并应答, 各有自己的账。\n" +
			"故障可按交易、次数、流水或户号触发, 用来在上线前演练超时、断线与重复。",
	}
	c.AddCommand(simBankCommand(), simHostCommand("posp", "模拟银联中心: 凡扣款都同意, 记得每一笔", 0),
		simHostCommand("mis", "模拟营销系统: 有用户与账单, 销账后不再欠费", 1000),
		simHostCommand("wallet", "模拟电子钱包: 扣款等顾客确认, 可查询, 确认后发结果通知", 0),
		simHostCommand("card", "模拟卡表系统: 售电, 给写卡数据, 记写卡结果", 0))
	return c
}

const faultHelp = "故障规则为 条件:故障, 可重复, 先符合者为准。\n" +
	"条件(可用逗号并列): *、交易操作、every=N、first=N、serial=流水、account=户号。\n" +
	"故障: slow=时间(晚处理) late=时间(处理后晚答) silence(处理后不答) cut(答一半断开) duplicate(同一包答两次)\n" +
	"joined(与下一应答合为一包) trickle(逐字节) bad-seal(MAC 或签名错) half-char(半个汉字) garbage(乱码) decline(拒绝)\n" +
	"contradict(处理后答同意, 接着又答拒绝) recant(处理后先答拒绝, 接着答同意) wrong-amount(应答金额多一分) stale(答的是上一笔的应答)。"

// maxTerminals is how many terminals may be signed on to a simulated host.
const maxTerminals = 10000

// simHost is a simulated host: what it is, where it listens and how it errs.
type simHost struct {
	name                                     string
	customers                                int
	link, listen, book, replyTo, replyListen string
	keys, faults                             []string
	scan                                     purse
	promises                                 peer.Promises
}

func simHostCommand(name, short string, customers int) *cobra.Command {
	o := simHost{name: name, customers: customers}
	c := &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    short + "。\n" + faultHelp,
		Example: "  qianzhi sim " + name + " --link bank-fixed --listen 127.0.0.1:7100 --fault pay,every=10:late=40s --fault query:cut",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := c.Flags()
	f.StringVar(&o.link, "link", "", "链路文件, 或随附链路的名字 (必需)")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "监听地址")
	f.StringVar(&o.replyTo, "reply-to", "", "应答走另一条连接: 连接此地址发应答")
	f.StringVar(&o.replyListen, "reply-listen", "", "应答走另一条连接: 在此地址等对方来连接")
	f.StringArrayVar(&o.keys, "key", nil, "链路角色的密钥 角色=文件, 可重复")
	f.StringArrayVar(&o.faults, "fault", nil, "故障规则, 可重复")
	f.BoolVar(&o.promises.Dedupe, "dedupe", true, "同一流水只生效一次, 重发答同样结果")
	f.BoolVar(&o.promises.Status, "status", true, "应答按流水的结果查询")
	f.StringVar(&o.book, "book", "", "每次记账追加一行 JSON 到这个文件")
	if customers > 0 {
		f.IntVar(&o.customers, "customers", customers, "用户数")
	}
	if name == "wallet" {
		o.scan.flags(f)
	}
	require(c, "link")
	return c
}

func (o *simHost) run(cmd *cobra.Command) error {
	script, err := peer.ParseScript(o.faults)
	if err != nil {
		return fmt.Errorf("--fault: %w", err)
	}
	l, d, err := assemble(o.link, o.keys, maxTerminals)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	notes := &notes{out: cmd.OutOrStdout()}
	notes.line(fmt.Sprintf("%s 在 %s 应答链路 %s", o.name, ln.Addr(), l.ID))
	if o.customers > 0 {
		notes.line(fmt.Sprintf("用户 %s 至 %s, 各欠 301.50 元", peer.Account(0), peer.Account(o.customers-1)))
	}
	books, err := openBook(o.book)
	if err != nil {
		return err
	}
	o.promises.Booked = books.add
	h := &peer.Host{Dialect: d, Script: script, Now: time.Now, Pause: peer.Wait, Note: notes.line, Once: l.OneShot(), Endless: l.OneShot() && l.Endless()}
	if h.Handler, err = o.handler(cmd, notes.line); err != nil {
		return err
	}
	if h.Replies, err = line(cmd.Context(), o.replyTo, o.replyListen, "应答", notes.line); err != nil {
		return err
	}
	if l.Transport == "http" {
		return errors.Join(h.ServeWeb(cmd.Context(), ln, l), books.close())
	}
	return errors.Join(h.Serve(cmd.Context(), ln), books.close())
}

// handler is the ledger behind the host.
func (o *simHost) handler(cmd *cobra.Command, note func(string)) (peer.Handler, error) {
	ledger := peer.NewLedger(o.customers, o.promises)
	switch o.name {
	case "card":
		return peer.NewMeters(o.promises), nil
	case "wallet":
		return o.scan.wallet(cmd.Context(), ledger, o.keys, note)
	}
	return ledger, nil
}

// book is a file with one line for each change of a simulated host's books.
type book struct {
	f   *os.File
	err error
}

// openBook opens the file for appending; without a name it takes nothing.
func openBook(name string) (*book, error) {
	if name == "" {
		return &book{}, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &book{f: f}, err
}

// add is called under the ledger's lock, one at a time.
func (b *book) add(e peer.Booking) {
	if b.f != nil {
		b.err = errors.Join(b.err, json.NewEncoder(b.f).Encode(e))
	}
}

func (b *book) close() error {
	if b.f == nil {
		return nil
	}
	return errors.Join(b.err, b.f.Close())
}

func require(c *cobra.Command, flags ...string) {
	for _, name := range flags {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // the flag was defined above
		}
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
