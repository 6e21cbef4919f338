package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

// benchSale is a message of the size that banks send: 340 bytes stored.
func benchSale(n uint64) *pay.Intent {
	in := sale(strconv.FormatUint(n*0x9e3779b97f4a7c15, 16)) // serials come in no order
	in.Block = true
	in.Req.Biller = "32401"
	in.Req.Bills = []pay.Bill{{ID: strconv.FormatUint(n, 10), Month: "202610", Amount: 100}}
	in.Req.More = []pay.Field{{ID: pay.FTerminal, Val: "60120001"}, {ID: pay.FPAN, Val: "6222021234567890123"}}
	return in
}

// BenchmarkPayments is payments a second with two durable points and a host
// that takes 2 ms, 1,000 in flight.
func BenchmarkPayments(b *testing.B) {
	b.Run("inflight=1000", func(b *testing.B) { payments(b, 1000, 2*time.Millisecond) })
	b.Run("inflight=200", func(b *testing.B) { payments(b, 200, 2*time.Millisecond) })
	b.Run("inflight=1", func(b *testing.B) { payments(b, 1, 0) })
}

func payments(b *testing.B, inflight int, host time.Duration) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(3, runtime.NumCPU()))) // cores and a writer that blocks
	dir := b.TempDir()
	j, stop := start(b, dir, newOptions(b, dir))
	var next atomic.Uint64
	var wg sync.WaitGroup
	took := make([]time.Duration, b.N)
	ctx := context.Background()
	before := cpu(b)
	b.ResetTimer()
	for range inflight {
		wg.Go(func() {
			for n := next.Add(1); n <= uint64(b.N); n = next.Add(1) {
				from := time.Now()
				e, seen, err := j.Begin(ctx, benchSale(n))
				if err != nil || seen != pay.SeenNew {
					b.Error(seen, err)
					return
				}
				if host > 0 {
					time.Sleep(host)
				}
				if err := j.Append(ctx, e.ID, 1, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone, Host: "20261124000000000001"}); err != nil {
					b.Error(err)
					return
				}
				took[n-1] = time.Since(from)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/pay")
	s := j.Stats()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pay/s")
	b.ReportMetric(float64(s.Rows)/float64(s.Batches), "rows/commit")
	quantile(b, took)
	stop()
}

// cpu returns what this process has used, which other work on the machine
// disturbs less than time.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func quantile(b *testing.B, took []time.Duration) {
	sorted := slices.Sorted(slices.Values(took))
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50-ms", 0.5}, {"p99-ms", 0.99}} {
		k := int(float64(len(sorted)-1) * q.at)
		b.ReportMetric(float64(sorted[k])/1e6, q.name)
	}
}

// BenchmarkRestart is the time to open a log of a million rows, half a million
// payments unless QIANZHI_JOURNAL_PAYMENTS says otherwise, as a process finds it that was killed.
func BenchmarkRestart(b *testing.B) {
	payments := 500_000
	if n, err := strconv.Atoi(os.Getenv("QIANZHI_JOURNAL_PAYMENTS")); err == nil {
		payments = n
	}
	dir := b.TempDir()
	o := newOptions(b, dir)
	fill(b, dir, o, payments)
	b.ResetTimer()
	for b.Loop() {
		j, err := journal.Open(context.Background(), New(dir), o, today)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if n := j.Stats().Keys; n != payments {
			b.Fatalf("%d keys", n)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := j.Run(ctx); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	if info, err := os.Stat(filepath.Join(dir, today.String()+".db")); err == nil {
		b.ReportMetric(float64(info.Size())/float64(2*payments), "B/row")
	}
}

// BenchmarkVerify proves a log of 200,000 rows, BenchmarkLines projects it.
func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	o := newOptions(b, dir)
	fill(b, dir, o, 100_000)
	j, stop := start(b, dir, o)
	defer stop()
	b.ResetTimer()
	for b.Loop() {
		if _, err := j.Verify(context.Background(), today); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLines projects a day of 100,000 payments.
func BenchmarkLines(b *testing.B) {
	dir := b.TempDir()
	o := newOptions(b, dir)
	fill(b, dir, o, 100_000)
	j, stop := start(b, dir, o)
	defer stop()
	ctx := context.Background()
	if err := j.Cut(ctx, today.Add(1)); err != nil {
		b.Fatal(err)
	}
	freeze, err := j.Freeze(ctx, today)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		n := 0
		if err := j.Lines(ctx, today, freeze, func(*pay.Entry) bool { n++; return true }); err != nil || n != 100_000 {
			b.Fatal(n, err)
		}
	}
}

// fill writes n finished payments.
func fill(b *testing.B, dir string, o journal.Options, n int) {
	j, stop := start(b, dir, o)
	var next atomic.Uint64
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			for i := next.Add(1); i <= uint64(n); i = next.Add(1) {
				e, _, err := j.Begin(context.Background(), benchSale(i))
				if err == nil {
					err = j.Append(context.Background(), e.ID, 1, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	stop()
}
