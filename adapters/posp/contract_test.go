package posp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"qianzhi/adapters/adaptertest"
	"qianzhi/adapters/socket"
	"qianzhi/gateway/pay"
)

// whole is the adapter with its link.
type whole struct {
	*Adapter
	link *socket.Adapter
}

func (w *whole) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- w.link.Run(ctx) }()
	return errors.Join(w.Adapter.Run(ctx), <-done)
}

func TestContract(t *testing.T) {
	var books atomic.Pointer[adaptertest.Books]
	adaptertest.Run(t, adaptertest.Subject{
		Serve: func(ctx context.Context, ln net.Listener, b *adaptertest.Books) error {
			books.Store(b)
			return adaptertest.Serve(ctx, ln, dialect(t), b)
		},
		New: func(addr string, late func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
			d := dialect(t)
			w := &whole{}
			var err error
			w.link, err = socket.New(socket.Options{Name: "posp", Dial: socket.Dialer(addr, time.Second), Dialect: d, Conns: 1, Queue: 10, MaxIn: 1 << 16,
				Backoff: time.Millisecond, Ceiling: 10 * time.Millisecond, Now: time.Now, Log: slog.New(slog.DiscardHandler),
				Late: func(op pay.Op, rep pay.Reply) { w.LateAnswer(op, rep) }})
			if err != nil {
				return nil, err
			}
			w.Adapter, err = New(Options{Name: "posp", Link: w.link, Terminals: []Terminal{{"60120001", "301051249000001"}, {"60120002", "301051249000001"}},
				Accept: d.Request.Auth.(interface {
					Accept(*pay.Request, *pay.Reply) error
				}).Accept, Owed: time.Millisecond, Wait: time.Second, Now: time.Now, Log: slog.New(slog.DiscardHandler),
				Late: func(op pay.Op, _ string, rep pay.Reply) { late(op, rep) }})
			return w, err
		},
		Count: func(serial string) int { // the centre knows a message by its trace
			_, trace, err := Numbers(serial)
			if err != nil {
				t.Error(err)
			}
			return books.Load().Count(trace)
		},
		Hits: func(b []byte) bool { return len(b) > 14 && b[13] == 0x02 && b[14] == 0x10 }, // length, TPDU, header: no sign-on
		Dress: func(req *pay.Request) {
			req.More = append(req.More, pay.Field{ID: pay.FPAN, Val: "6225000000000014"}, pay.Field{ID: pay.FPIN, Val: "\x01\x02\x03\x04\x05\x06\x07\x08"})
		},
	})
}
