package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"qianzhi/cmd/internal/peer"
	"qianzhi/gateway/pay"
)

// purse are the flags of a simulated e-wallet.
type purse struct {
	agrees   time.Duration
	tellTo   string
	tellLink string
	forged   bool
}

func (p *purse) flags(f *pflag.FlagSet) {
	f.DurationVar(&p.agrees, "agrees", 0, "扣款后顾客多久确认, 此前查询答处理中; 0 为立即")
	f.StringVar(&p.tellTo, "tell-to", "", "确认后向此地址发结果通知, 未应答成功则重发")
	f.StringVar(&p.tellLink, "tell-link", "wallet-notify", "结果通知的链路文件")
	f.BoolVar(&p.forged, "forge", false, "结果通知的签名是错的")
}

// wallet puts the wallet in front of a ledger. What it tells is signed with the
// keys of its own link.
func (p *purse) wallet(ctx context.Context, l *peer.Ledger, keys []string, note func(string)) (peer.Handler, error) {
	w := &peer.Wallet{Ledger: l, Agrees: p.agrees, Note: note, Pause: func(_ context.Context, d time.Duration) error { return peer.Wait(ctx, d) }}
	if p.tellTo == "" {
		return w, nil
	}
	if p.agrees == 0 {
		return nil, errors.New("--tell-to: 需要 --agrees")
	}
	link, d, err := assemble(p.tellLink, keys, 1)
	if err != nil {
		return nil, fmt.Errorf("--tell-link: %w", err)
	}
	client, err := dial(link, d, p.tellTo)
	if err != nil {
		return nil, err
	}
	fault := peer.Sound
	if p.forged {
		fault = peer.BadSeal
	}
	var one sync.Mutex
	w.Tell = func(ctx context.Context, req *pay.Request) error {
		one.Lock()
		defer one.Unlock()
		rep, err := client.Do(ctx, req, fault)
		if err != nil {
			return err
		}
		note(fmt.Sprintf("结果通知 %s: %s/%s", req.Original.Serial, rep.Verdict, rep.Code))
		if rep.Verdict == pay.Unknown {
			return fmt.Errorf("应答 %s", rep.Code)
		}
		return nil
	}
	return w, nil
}
