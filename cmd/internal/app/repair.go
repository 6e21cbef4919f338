package app

import (
	"context"
	"fmt"
	"path/filepath"

	"qianzhi/gateway"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile/desk"
)

// fixes are the gateway's part of what people decide about a day.
var fixes = map[desk.Action]gateway.Fix{desk.Post: gateway.FixPost, desk.Return: gateway.FixReturn, desk.Reverse: gateway.FixReverse,
	desk.Succeed: gateway.FixSucceed, desk.Fail: gateway.FixFail, desk.Undone: gateway.FixUndone}

// Apply does what two people have decided about an item of a day, as the day's
// own files say it.
func (a *App) Apply(ctx context.Context, day pay.Day, channel, item string) (string, error) {
	if filepath.Base(channel) != channel {
		return "", fmt.Errorf("渠道 %q 无效", channel)
	}
	t, err := desk.Lay(filepath.Join(a.plan.Config.Reports(), day.String(), channel))
	if err != nil {
		return "", err
	}
	w, err := t.Work(item)
	if err != nil {
		return "", err
	}
	if err := a.mandated(&w, channel); err != nil {
		return "", err
	}
	id, ours := pay.ParseSerial(w.Serial, a.plan.Config.Node.ID)
	fix, known := fixes[w.Action]
	if !ours || !known {
		return "", fmt.Errorf("%s %s: 不由本机执行", w.Action.Chinese(), w.Serial)
	}
	state, err := a.engine.Repair(ctx, id, fix, w.Key, w.Why)
	if err != nil {
		return "", err
	}
	return w.Action.Chinese() + " " + w.Serial + " " + state.Chinese(), nil
}

// Apply does what people have decided about an item of a day.
func (c control) Apply(ctx context.Context, day pay.Day, channel, item string) (string, error) {
	return c.a.Apply(ctx, day, channel, item)
}
