package secure

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"qianzhi/protocol"
)

// cpu is the processor time of this process, nanoseconds: other work on the
// machine does not count.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkSessionExchange opens a request of 512 bytes under session keys and
// seals a reply, on all cores, through the envelope that a link uses. Its
// cpu-ns/op and exchanges/s are what make bench-gm compares.
func BenchmarkSessionExchange(b *testing.B) {
	out, in, _ := sessionEnds(b, 4)
	body := bytes.Repeat([]byte("x"), 512)
	sealed := seal(b, out, string(body))
	if _, err := in.Open(nil, &protocol.Frame{Body: sealed}); err != nil { // the ticket is proved once
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	start, began := time.Now(), cpu(b)
	b.RunParallel(func(p *testing.PB) {
		var opened []byte // a record keeps it, message after message
		for p.Next() {
			var err error
			if opened, err = in.Open(opened[:0], &protocol.Frame{Body: sealed}); err != nil {
				b.Error(err)
				return
			}
			if _, err := out.Seal(nil, &protocol.Frame{Body: body}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpu(b)-began)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "exchanges/s")
}
