package tcp

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"
)

// BenchmarkOtherLinkUnderFlood measures a link's replies while nobody attacks
// another link and while somebody does, as p50 and p99.
func BenchmarkOtherLinkUnderFlood(b *testing.B) {
	for _, flooded := range []bool{false, true} {
		name := map[bool]string{false: "quiet", true: "flooded"}[flooded]
		b.Run(name, func(b *testing.B) {
			hold := make(chan struct{})
			bad := listen(b, &desk{hold: hold}, Options{InFlight: 4, Refusals: 4, Conns: 20, PerIP: 16, Slow: 200 * time.Millisecond})
			good := listen(b, &desk{}, Options{InFlight: 64, Refusals: 4, Conns: 50})
			stop := make(chan struct{})
			wait := func() {}
			if flooded {
				wait, _ = flood(bad, stop)
			}
			c, err := net.Dial("tcp", good)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			took := make([]time.Duration, 0, b.N)
			for b.Loop() {
				at := time.Now()
				if _, err := c.Write(framed("x")); err != nil {
					b.Fatal(err)
				}
				if got, err := reply(c); got != "re:x" {
					b.Fatal(got, err)
				}
				took = append(took, time.Since(at))
			}
			close(stop)
			close(hold)
			wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
}

// listen starts a listener for a benchmark.
func listen(b *testing.B, d *desk, o Options) string {
	b.Helper()
	o.Addr, o.Handler, o.Request, o.Reply, o.MaxFrame, o.MaxOut, o.Now, o.Log = "127.0.0.1:0", d, short{}, short{}, 1002, 1<<20, time.Now, slog.New(slog.DiscardHandler)
	s, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	b.Cleanup(func() { cancel(); <-done })
	return s.Addr()
}
