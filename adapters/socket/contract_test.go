package socket

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"qianzhi/adapters/adaptertest"
	"qianzhi/adapters/link"
	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

func TestContract(t *testing.T) {
	key, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	dialect := func() *protocol.Dialect {
		l, err := spec.Load("links/mis.yaml", conf.Files.ReadFile)
		if err != nil {
			t.Fatal(err)
		}
		d, err := l.Assemble(spec.Parts{Keys: secure.Keys{Ring: secure.Ring{"k": {Private: key, SM4: make([]byte, 16)}},
			Roles: map[string]string{"gateway": "k", "mis": "k", "session": "k"}}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for mode, name := range []string{link.Shared: "shared", link.Pooled: "pooled", link.Short: "short"} {
		t.Run(name, func(t *testing.T) {
			adaptertest.Run(t, adaptertest.Subject{
				Serve: func(ctx context.Context, ln net.Listener, books *adaptertest.Books) error {
					return adaptertest.Serve(ctx, ln, dialect(), books)
				},
				New: func(addr string, late func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
					return New(Options{Name: "mis", Dial: Dialer(addr, time.Second), Dialect: dialect(), Mode: link.Mode(mode), Conns: 2, Queue: 16, MaxIn: 1 << 16,
						Backoff: time.Millisecond, Ceiling: 10 * time.Millisecond, Late: late, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
				},
			})
		})
	}
}
