package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/adapters/notify"
	"qianzhi/cmd/internal/keyfile"
	"qianzhi/cmd/internal/load"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

// debtors is how many customers stand in the debit file.
const debtors = 10

// receivers take notices, over HTTP and over a socket.
type receivers struct {
	mu       sync.Mutex
	receipts map[string]notify.Notice // by key
	power    map[string]notify.Notice
	bad      []string
	key      *gm.PublicKey
}

// openServers starts what stands outside the gateway: the SFTP server and the
// receivers of notices.
func (r *run) openServers() error {
	key, err := keyfile.Read(filepath.Join(r.h.dir, "keys", "gateway.pub"))
	if err != nil {
		return err
	}
	r.heard = &receivers{receipts: map[string]notify.Notice{}, power: map[string]notify.Notice{}, key: key.Public}
	for name, serve := range map[string]func(context.Context, net.Listener) error{"SFTP": r.h.files.Serve, "HOOK": r.heard.serveHTTP, "POWER": r.heard.serveSocket} {
		ln, err := net.Listen("tcp", r.h.ports[name])
		if err != nil {
			return err
		}
		r.app.Attach("demo "+name, func(ctx context.Context) error { return serve(ctx, ln) })
	}
	return nil
}

// serveHTTP is a webhook that wants signed notices.
func (h *receivers) serveHTTP(ctx context.Context, ln net.Listener) error {
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(io.LimitReader(req.Body, 64<<10))
		sig, err2 := base64.StdEncoding.DecodeString(req.Header.Get("X-Signature"))
		if errors.Join(err, err2) != nil || h.key.Verify([]byte(gm.DefaultID), body, sig) != nil {
			h.wrong("回单通知验签不符")
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.take(h.receipts, body)
	})}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(ln); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// serveSocket is a utility that takes one frame on each connection.
func (h *receivers) serveSocket(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		nc, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := h.frame(nc); err != nil {
			h.wrong(fmt.Sprintf("复电通知: %v", err))
		}
	}
}

// frame takes six digits of length and a notice, and acknowledges it.
func (h *receivers) frame(nc net.Conn) error {
	defer nc.Close()
	head := make([]byte, 6)
	if err := errors.Join(nc.SetDeadline(time.Now().Add(5*time.Second)), full(nc, head)); err != nil {
		return err
	}
	n, err := strconv.Atoi(string(head))
	if err != nil || n > 4096 {
		return fmt.Errorf("length %q", head)
	}
	body := make([]byte, n)
	if err := full(nc, body); err != nil {
		return err
	}
	h.take(h.power, body)
	_, err = io.WriteString(nc, `000014{"ret":"0000"}`)
	return err
}

func full(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	return err
}

func (h *receivers) take(into map[string]notify.Notice, body []byte) {
	var n notify.Notice
	if err := json.Unmarshal(body, &n); err != nil {
		h.wrong(fmt.Sprintf("通知: %v", err))
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	into[n.Key] = n
}

func (h *receivers) wrong(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bad = append(h.bad, text)
}

// count is how many different notices have come, and what was wrong.
func (h *receivers) count() (receipts, power int, bad []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.receipts), len(h.power), h.bad
}

// debit has a utility send a debit file over SFTP and waits for its result and
// for the notices of what was charged.
func (r *run) debit(ctx context.Context, customers []mis.Customer) error {
	day := r.app.Journal().Day()
	rows, sum := "", pay.Amount(0)
	for _, c := range customers {
		fen := pay.Amount(0)
		for _, b := range c.Bills {
			fen += b.Amount
		}
		rows += debitRow(c.Account, fen)
		sum += fen
	}
	const unknown = pay.Amount(100) // of a customer that nobody knows
	text := fmt.Sprintf("202511|%d|%d|B1|\n%s%s", len(customers)+1, sum+unknown, rows, debitRow("051299999999", unknown))
	name := "0001_" + day.String() + "_00_315810_001.set"
	bad := "0001_" + day.String() + "_00_315810_002.set"
	for n, b := range map[string]string{name: text, bad: strings.Replace(text, "         100|", "         1O0|", 1)} {
		if err := errors.Join(r.h.write("server/debit/"+n, []byte(b), 0o600), r.h.write("server/debit/"+n+".ok", nil, 0o600)); err != nil {
			return err
		}
	}
	result, err := r.arrived(ctx, "server/result/1001"+name[4:])
	if err != nil {
		return fmt.Errorf("批扣结果文件没有送回: %w", err)
	}
	refusal, err := r.arrived(ctx, "server/result/"+bad+".err")
	if err != nil {
		return fmt.Errorf("批扣拒收说明没有送回: %w", err)
	}
	if n, want := bytes.Count(result, []byte("|0000|\n")), len(customers); n != want || bytes.Count(result, []byte("|0003|\n")) != 1 || !strings.Contains(string(refusal), "行 amount") {
		r.wrong("批扣: 扣成 %d 笔, 应为 %d\n%s%s", n, want, result, refusal)
	}
	r.posted += sum
	r.say("批扣 (SFTP): %d 笔扣成 %s 元, 1 笔无此用户, 结果文件送回; 另一文件一行不符, 整份拒收", len(customers), sum.Yuan())
	err = r.until(ctx, 20*time.Second, func() bool {
		receipts, power, bad := r.heard.count()
		return receipts >= len(customers) && power >= len(customers) || len(bad) > 0
	})
	receipts, power, wrong := r.heard.count()
	if err != nil || receipts != len(customers) || power != len(customers) || len(wrong) > 0 {
		r.wrong("通知: 回单 %d 条, 复电 %d 条, 应各 %d 条; %v %v", receipts, power, len(customers), wrong, err)
	}
	r.say("通知: 回单 %d 条 (HTTP, SM2 签名), 复电 %d 条 (SOCKET), 均已确认", receipts, power)
	return nil
}

func pad12(a pay.Amount) string { return fmt.Sprintf("%12d", int64(a)) }

// debitRow is a line as statements/utility-debit.yaml describes it.
func debitRow(account string, fen pay.Amount) string {
	return fmt.Sprintf("%21s|6225000000000014|%s|  202511|001|6222999|1|\n", account, pad12(fen))
}

// arrived waits for a file of the demo's folder.
func (r *run) arrived(ctx context.Context, name string) (b []byte, err error) {
	name = filepath.Join(r.h.dir, name)
	waited := r.until(ctx, 20*time.Second, func() bool {
		b, err = os.ReadFile(name)
		return !errors.Is(err, fs.ErrNotExist)
	})
	return b, errors.Join(err, waited)
}

// totals has the bank ask for the closed day over its link: 对总账 with what it
// was told, then with one fen more, then 对明细账, whose file has come over SFTP.
func (r *run) totals(ctx context.Context, acks []load.Ack) error {
	n, sum := 0, pay.Amount(0)
	for i := range acks {
		if a := &acks[i]; a.Day == r.day && !a.Reversed {
			n, sum = n+1, sum+a.Amount
		}
	}
	c := peer.Dial(r.bank.fixed, r.bank.addr)
	defer c.Close()
	serial := uint64(0)
	ask := func(op pay.Op, n int, sum pay.Amount) (pay.Reply, error) {
		req := &pay.Request{Op: op, Amount: sum}
		serial++
		r.bank.hostStyle("7")(1, serial, req)
		req.More = append(req.More, pay.Field{ID: pay.FDay, Val: r.day.String()}, pay.Field{ID: pay.FCreditCount, Val: strconv.Itoa(n)})
		return c.Do(ctx, req, peer.Sound)
	}
	for claim, want := range map[pay.Amount]string{sum: "1", sum + 1: "2"} {
		rep, err := ask(pay.CheckTotals, n, claim)
		if err != nil || rep.Verdict != pay.Approved || pay.Find(rep.More, pay.FBalanced) != want || rep.Amount != sum {
			r.wrong("对总账 %d 笔 %s 元: 应答 %+v %v, 应为 %s", n, claim.Yuan(), rep, err, want)
		}
	}
	rep, err := ask(pay.CheckFile, 0, 0)
	if err != nil {
		return err
	}
	file := pay.Find(rep.More, pay.FFile)
	sent, err := r.arrived(ctx, filepath.Join("server/sent", file))
	if err != nil {
		return fmt.Errorf("我方对账文件没有送达: %w", err)
	}
	own, err := os.ReadFile(filepath.Join(r.h.dir, "data/outbox/asked", file))
	if err != nil || !bytes.Equal(own, sent) || rep.Amount != sum {
		r.wrong("对明细账: 文件 %s %s 元, 送达 %d 字节, 生成 %d 字节, %v", file, rep.Amount.Yuan(), len(sent), len(own), err)
	}
	r.say("对总账 (银行发起): %d 笔 %s 元 平, 多报一分 不平; 对明细账: 文件 %s 已由 SFTP 送达", n, sum.Yuan(), file)
	return nil
}
