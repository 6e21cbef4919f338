package sqlite

import (
	"context"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	key, _ := gm.GenerateKey()
	o := journal.Options{Dir: dir, Node: 1, DupDays: 2, MaxPending: 1000, KEK: make([]byte, 16), IndexKey: make([]byte, 16), Signer: key, Now: time.Now}
	ctx := context.Background()
	open := func() (*journal.Journal, func()) {
		j, err := journal.Open(ctx, New(dir), o, 20261124)
		if err != nil {
			t.Fatal(err)
		}
		rctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- j.Run(rctx) }()
		return j, func() {
			cancel()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	j, stop := open()
	req := &pay.Request{Ref: pay.Ref{Institution: "b", Kind: pay.KindPay, Serial: "1"}, Op: pay.Pay, Account: "123", Amount: 100, Via: &pay.Via{Link: "x"}}
	e, seen, err := j.Begin(ctx, &pay.Intent{Req: req, Legs: []pay.LegKind{pay.LegPost}})
	t.Log(e, seen, err)
	e, seen, err = j.Begin(ctx, &pay.Intent{Req: req, Legs: []pay.LegKind{pay.LegPost}})
	t.Log(e, seen, err)
	if err := j.Cut(ctx, 20261125); err != nil {
		t.Fatal(err)
	}
	stop()
	j, stop = open()
	t.Log(j.Day())
	n := 0
	j.OpenEntries(ctx, func(e pay.Entry) bool { n++; t.Log(e); return true })
	if err := j.Append(ctx, e.ID, 1, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone, Host: "h"}); err != nil {
		t.Fatal(err)
	}
	f, err := j.Freeze(ctx, 20261124)
	t.Log(f, err)
	err = j.Lines(ctx, 20261124, f, func(e *pay.Entry) bool { t.Log(*e); return true })
	t.Log(err, j.Stats())
	e, err = j.Get(ctx, e.ID)
	t.Log(e, err)
	stop()
}
