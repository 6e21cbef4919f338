package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/load"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile/report"
)

// Options steer a demo.
type Options struct {
	Dir      string
	Seed     uint64
	Messages int
	Workers  int  // connections per link
	Dedupe   bool // the embedded MIS posts one serial once
	Products bool // play kiosks, a card centre and a card-meter system as well
	Exit     bool // stop when done instead of serving on
	JSON     bool // the last line is one JSON object
	Terminal bool // draw a progress bar
	Out      io.Writer
}

// ErrFailed reports that something was not as it must be; it was printed.
var ErrFailed = errors.New("演示未通过")

// Summary is the result as the last line of -o json prints it.
type Summary struct {
	Messages    int            `json:"messages"`
	Approved    int            `json:"approved"`
	Declined    int            `json:"declined"`
	Unknown     int            `json:"unknown"`
	Replayed    int            `json:"replayed"`
	Refused     int            `json:"refused"`
	Rejected    int            `json:"rejected"`
	Differences map[string]int `json:"differences"`
	Planted     map[string]int `json:"planted"`
	MISFen      pay.Amount     `json:"mis_fen"`
	JournalFen  pay.Amount     `json:"journal_fen"`
	Seconds     float64        `json:"seconds"`
	Verdict     string         `json:"verdict"`
}

// run is one demo under way.
type run struct {
	o         Options
	h         *home
	app       *app.App
	proxy     *peer.Proxy
	bank      *bank
	customers []mis.Customer
	day       pay.Day
	acks      *os.File
	posted    pay.Amount // by the kiosks' payments and the debit file
	heard     *receivers
	bad       []string
	started   time.Time
}

func (r *run) say(format string, a ...any) {
	fmt.Fprintf(r.o.Out, "%6.2fs  %s\n", time.Since(r.started).Seconds(), fmt.Sprintf(format, a...))
}

func (r *run) wrong(format string, a ...any) { r.bad = append(r.bad, fmt.Sprintf(format, a...)) }

// Run plays the demo and, unless told to exit, serves until ctx ends.
func Run(ctx context.Context, o Options) error {
	r := &run{o: o, started: time.Now()}
	h, err := prepare(&o)
	if err != nil {
		return err
	}
	r.h = h
	r.say("配置与一次性密钥写入 %s", o.Dir)
	if err := r.start(ctx); err != nil {
		return err
	}
	defer func() {
		if r.app != nil {
			_ = r.app.Close() // the demo's own error, if any, says more
		}
	}()
	sum, err := r.play(ctx)
	if err != nil {
		return err
	}
	stay := !o.Exit && sum.Verdict == "ok"
	r.print(sum, stay)
	if stay {
		r.serve(ctx)
	}
	err = r.app.Close()
	r.app = nil
	if sum.Verdict != "ok" {
		return ErrFailed
	}
	return err
}

// start runs the same daemon as serve, with the MIS behind a proxy that can
// hold its answers back.
func (r *run) start(ctx context.Context) error {
	c, err := app.Load(r.h.file())
	if err != nil {
		return err
	}
	if r.proxy, err = peer.NewProxy(r.h.ports["mis"]); err != nil {
		return err
	}
	c.Hosts[0].Dial = r.proxy.Addr()
	logFile, err := os.OpenFile(filepath.Join(r.o.Dir, "daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	plan, err := app.Prepare(c, app.NewLog(logFile, slog.LevelInfo))
	if err != nil {
		return err
	}
	if r.app, err = plan.Start(ctx); err != nil {
		return err
	}
	r.app.Attach("demo proxy", r.proxy.Run)
	if err := r.openServers(); err != nil {
		return err
	}
	if r.customers, err = r.app.Ledger().Seed(ctx, rand.New(rand.NewPCG(r.o.Seed, 0)), max(1000, r.o.Messages/2)); err != nil {
		return err
	}
	r.say("守护进程已启动, 内置营销系统 %d 户", len(r.customers))
	r.day = r.app.Journal().Day()
	if r.bank, err = newBank(r.h, r.app, r.day); err != nil {
		return err
	}
	r.acks, err = os.OpenFile(filepath.Join(r.o.Dir, "acks.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return err
}

// play is the bank's day: messages, the cut, the check file, the night run.
func (r *run) play(ctx context.Context) (*Summary, error) {
	if r.o.Products {
		if err := r.playProducts(ctx); err != nil {
			return nil, err
		}
	}
	res, err := r.messages(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.calm(ctx); err != nil {
		return nil, err
	}
	if err := r.totals(ctx, res.Acks); err != nil {
		return nil, err
	}
	planted, err := r.checkFile(ctx, res.Acks)
	if err != nil {
		return nil, err
	}
	results, err := r.app.Reconcile(ctx, r.day)
	if err != nil {
		return nil, err
	}
	s := &Summary{Messages: res.Messages, Approved: res.Classes[load.Approved], Declined: res.Classes[load.Declined],
		Unknown: res.Classes[load.Unknown], Replayed: res.Classes[load.Replayed], Refused: res.Classes[load.Refused],
		Rejected: res.Classes[load.Rejected], Planted: planted, Differences: map[string]int{}}
	for _, one := range results {
		r.say("对账 %s %s: %s", r.day, one.Channel, one.Verdict)
		fmt.Fprint(r.o.Out, report.Text(one))
		for code, n := range one.Codes() {
			s.Differences[code] += n
		}
	}
	return s, r.judge(ctx, s, res)
}

// messages plays the load with the day cut in its middle.
func (r *run) messages(ctx context.Context) (*load.Result, error) {
	r.say("经三条链路并发发送 %d 条报文 (种子 %d)", r.o.Messages, r.o.Seed)
	last := len(r.customers) - 1 - len(roles)
	half := make(chan struct{})
	bar := r.bar()
	cutDone := make(chan error, 1)
	var extra *load.Result
	go func() {
		<-half
		var err error
		extra, err = r.cutUnderLoad(ctx, r.customers[last])
		cutDone <- err
	}()
	res, err := load.Run(ctx, load.Options{Seed: r.o.Seed, Messages: r.o.Messages - 2, Workers: r.o.Workers, Links: r.bank.links,
		Customers: r.customers[:last], Timeout: 40 * time.Second, OnAck: r.keep, OnStep: func(n int) {
			bar(n)
			if n == r.o.Messages/2 {
				close(half)
			}
		}})
	if err != nil {
		return nil, err
	}
	if err := <-cutDone; err != nil {
		return nil, err
	}
	for class, n := range extra.Classes {
		res.Classes[class] += n
		res.Messages += n
	}
	res.Acks = append(res.Acks, extra.Acks...)
	r.bad = append(r.bad, res.Wrong...)
	if res.Failures > len(res.Wrong) {
		r.wrong("另有 %d 条应答不符", res.Failures-len(res.Wrong))
	}
	r.say("报文 %d 条完成, 日切 %s -> %s 在途完成", res.Messages, r.day, r.app.Journal().Day())
	return res, nil
}

// keep writes an acknowledgement down before it counts, so that whoever kills
// the process can compare.
func (r *run) keep(a load.Ack) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = r.acks.Write(append(b, '\n'))
	return err
}

// bar returns what draws progress: a bar on a terminal, nothing elsewhere,
// where each stage prints its line.
func (r *run) bar() func(int) {
	if !r.o.Terminal {
		return func(int) {}
	}
	b := progressbar.NewOptions(r.o.Messages, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("报文"),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	return func(int) { _ = b.Add(1) }
}

// cutUnderLoad opens a payment, cuts the day while the MIS holds its answer
// back, lets it end, and repeats it after the cut.
func (r *run) cutUnderLoad(ctx context.Context, c mis.Customer) (*load.Result, error) {
	r.proxy.Hold()
	defer r.proxy.Release()
	across := r.bank.across(c)
	type reply struct {
		res *load.Result
		err error
	}
	got := make(chan reply, 1)
	go func() {
		res, err := across.first(ctx, r.keep)
		got <- reply{res, err}
	}()
	if err := r.until(ctx, 10*time.Second, func() bool { return r.isOpen(ctx, c.Account) }); err != nil {
		return nil, fmt.Errorf("跨日切的缴费没有进入在途: %w", err)
	}
	if err := r.app.Cut(ctx, r.day.Add(1)); err != nil {
		return nil, err
	}
	if !r.isOpen(ctx, c.Account) {
		r.wrong("日切时没有在途缴费")
	}
	r.proxy.Release()
	first := <-got
	if first.err != nil {
		return nil, first.err
	}
	return first.res, across.again(ctx, first.res, r.day)
}

func (r *run) isOpen(ctx context.Context, account string) (open bool) {
	err := r.app.Journal().OpenEntries(ctx, func(e pay.Entry) bool {
		open = open || e.Req.Account == account
		return !open
	})
	return open && err == nil
}

func (r *run) until(ctx context.Context, within time.Duration, cond func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// calm waits until nothing is in doubt.
func (r *run) calm(ctx context.Context) error {
	err := r.until(ctx, 30*time.Second, func() bool {
		n := 0
		failed := r.app.Journal().OpenEntries(ctx, func(pay.Entry) bool { n++; return true })
		return n == 0 && failed == nil
	})
	if err != nil {
		return fmt.Errorf("仍有未决缴费: %w", err)
	}
	return nil
}

// judge holds books and report against what must be.
func (r *run) judge(ctx context.Context, s *Summary, res *load.Result) error {
	for _, d := range []pay.Day{r.day, r.day.Add(1)} {
		_, sum, err := r.app.Ledger().Net(ctx, d)
		if err != nil {
			return err
		}
		s.MISFen += sum
	}
	for _, d := range []pay.Day{r.day, r.day.Add(1)} {
		err := r.app.Journal().Lines(ctx, d, ^uint64(0), func(e *pay.Entry) bool {
			if n := len(e.Legs); n > 0 && e.Legs[n-1].Kind == pay.LegPost && e.State == pay.Succ {
				s.JournalFen += e.Req.Amount
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	var acked pay.Amount
	for _, a := range res.Acks {
		if !a.Reversed {
			acked += a.Amount
		}
	}
	if s.MISFen != s.JournalFen || acked+r.posted != s.JournalFen {
		r.wrong("金额不一致: 营销 %s, 流水 %s, 已应答 %s", s.MISFen.Yuan(), s.JournalFen.Yuan(), (acked + r.posted).Yuan())
	}
	if s.Messages != r.o.Messages {
		r.wrong("报文 %d 条, 应为 %d", s.Messages, r.o.Messages)
	}
	if fmt.Sprint(s.Differences) != fmt.Sprint(s.Planted) {
		r.wrong("差异 %v, 预设 %v", s.Differences, s.Planted)
	}
	s.Seconds = float64(time.Since(r.started).Milliseconds()) / 1000
	s.Verdict = "ok"
	if len(r.bad) > 0 {
		s.Verdict = "failed"
	}
	return nil
}

// print ends with the JSON line, if it was asked for; what is said of serving
// on comes before it.
func (r *run) print(s *Summary, stay bool) {
	for _, b := range r.bad {
		r.say("不符: %s", b)
	}
	r.say("报文 %d: 成功 %d, 拒绝 %d, 未知 %d, 重发 %d, 拒收重号 %d, 拒收伪造与乱码 %d", s.Messages, s.Approved, s.Declined, s.Unknown, s.Replayed, s.Refused, s.Rejected)
	r.say("流水 %s 元 = 营销 %s 元; 差异 %v, 预设 %v", s.JournalFen.Yuan(), s.MISFen.Yuan(), s.Differences, s.Planted)
	word := "通过"
	if s.Verdict != "ok" {
		word = "未通过"
	}
	r.say("演示%s", word)
	if stay {
		r.say("继续服务: POS %s, 定长 %s, HTTP %s; 报告 %s; Ctrl-C 结束", r.app.Addr("pos"), r.app.Addr("fixed"), r.app.Addr("http"),
			filepath.Join(r.o.Dir, "data", "recon", r.day.String()))
	}
	if r.o.JSON {
		b, err := json.Marshal(s)
		if err == nil {
			fmt.Fprintln(r.o.Out, string(b))
		}
	}
}

// serve leaves the daemon running for whoever wants to try it.
func (r *run) serve(ctx context.Context) {
	select {
	case <-ctx.Done():
	case err := <-r.app.Failed():
		r.say("异常: %v", err)
	}
}
