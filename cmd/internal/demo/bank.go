package demo

import (
	"context"
	"fmt"
	"time"

	"qianzhi/adapters/mis"
	"qianzhi/cmd/internal/app"
	"qianzhi/cmd/internal/load"
	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

// bank is the far side of the three links.
type bank struct {
	links []load.Link
	fixed *protocol.Dialect
	addr  string // of the fixed link
	date  pay.Day
}

func newBank(h *home, a *app.App, date pay.Day) (*bank, error) {
	keys, err := h.bankSide()
	if err != nil {
		return nil, err
	}
	b := &bank{date: date, addr: a.Addr("fixed")}
	sides := map[string]*spec.Link{}
	dialects := map[string]*protocol.Dialect{}
	for id, file := range map[string]string{"pos": "pos-cup.yaml", "fixed": "bank-fixed.yaml", "http": "bank-http.yaml"} {
		if sides[id], err = h.link(file); err != nil {
			return nil, err
		}
		dialects[id], err = sides[id].Assemble(spec.Parts{Keys: keys, Sessions: secure.NewSessions(100000), Now: time.Now})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	b.fixed = dialects["fixed"]
	b.links = []load.Link{
		{ID: "pos", Signed: true, Style: posStyle, Open: func(int) (load.Client, error) { return peer.Dial(dialects["pos"], a.Addr("pos")), nil }},
		{ID: "fixed", Style: b.hostStyle("1"), Open: func(int) (load.Client, error) { return peer.Dial(b.fixed, b.addr), nil }},
		{ID: "http", Signed: true, NoSignOn: true, Style: b.hostStyle("9"), Open: func(int) (load.Client, error) {
			return peer.NewWeb(dialects["http"], sides["http"], a.Addr("http"))
		}},
	}
	return b, nil
}

// posStyle is a terminal: trace number within a batch.
func posStyle(worker int, serial uint64, req *pay.Request) {
	req.Ref.Serial = fmt.Sprintf("%06d", serial)
	req.More = []pay.Field{{ID: pay.FTerminal, Val: fmt.Sprintf("6012%04d", worker+1)}, {ID: pay.FMerchant, Val: "301051249000001"},
		{ID: pay.FBatch, Val: "000001"}, {ID: pay.FSenderTime, Val: time.Now().Format("150405")}}
}

// hostStyle is a bank's host: serial within the bank's date.
func (b *bank) hostStyle(prefix string) load.Style {
	return func(worker int, serial uint64, req *pay.Request) {
		req.Ref.Serial = fmt.Sprintf("%s%03d%08d", prefix, worker+1, serial)
		req.Day = b.date
		req.More = []pay.Field{{ID: pay.FSenderTime, Val: time.Now().Format("150405")}, {ID: pay.FBranch, Val: "512001"}, {ID: pay.FOperator, Val: "KIOSK001"}}
	}
}

// across is the payment that is open while the day is cut.
type across struct {
	b   *bank
	req *pay.Request
}

func (b *bank) across(c mis.Customer) *across {
	req := &pay.Request{Op: pay.Pay, Account: c.Account, Bills: c.Bills}
	b.hostStyle("8")(0, 1, req)
	for _, bill := range c.Bills {
		req.Amount += bill.Amount
	}
	return &across{b: b, req: req}
}

// first sends the payment and returns when it was answered.
func (a *across) first(ctx context.Context, keep func(load.Ack) error) (*load.Result, error) {
	return load.One(ctx, peer.Dial(a.b.fixed, a.b.addr), "fixed", a.req, keep)
}

// again repeats the payment after the cut; it must be answered with what
// happened before it, on the day it was stamped with.
func (a *across) again(ctx context.Context, res *load.Result, day pay.Day) error {
	c := peer.Dial(a.b.fixed, a.b.addr)
	defer c.Close()
	rep, err := c.Do(ctx, a.req, peer.Sound)
	if err != nil {
		return err
	}
	if got := pay.Find(rep.More, pay.FDay); rep.Verdict != pay.Approved || got != day.String() || len(res.Acks) != 1 || res.Acks[0].Day != day {
		return fmt.Errorf("日切后重发: %s/%s 账务日期 %s, 应为 approved 账务日期 %s", rep.Verdict, rep.Code, got, day)
	}
	res.Classes[load.Replayed]++
	return nil
}
