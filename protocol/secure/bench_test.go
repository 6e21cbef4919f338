package secure

import (
	"bytes"
	"testing"

	"qianzhi/protocol"
)

// BenchmarkSession is one exchange: a request of 512 bytes opened, a reply
// sealed.
func BenchmarkSession(b *testing.B) {
	out, in, _ := sessionEnds(b, 4)
	body := bytes.Repeat([]byte("x"), 512)
	sealed, err := out.Seal(nil, &protocol.Frame{Body: body})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.Open(nil, &protocol.Frame{Body: sealed}); err != nil {
			b.Fatal(err)
		}
		if _, err := out.Seal(nil, &protocol.Frame{Body: body}); err != nil {
			b.Fatal(err)
		}
	}
}
