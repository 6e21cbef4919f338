package secure

import (
	"bytes"
	"crypto/subtle"
	"testing"

	"qianzhi/protocol"
)

// FuzzSessionOpen changes a sealed message: nothing but the message itself opens,
// and everything else is refused in one way. Each process of the fuzzer has keys
// of its own, so the input is the change: bytes to combine by XOR from a place
// on, and where to cut.
func FuzzSessionOpen(f *testing.F) {
	out, in, _ := sessionEnds(f, 2)
	body := "<Pay><Amount>1.00</Amount></Pay>"
	whole := seal(f, out, body)
	f.Add(0, []byte{}, len(whole))
	f.Add(0, []byte{0xff, 0xff}, len(whole))
	f.Add(2, []byte("\x00\x00\x00\x00\x00\x00\x00\x01"), len(whole))
	f.Add(len(whole)-1, []byte("1more"), 2*len(whole))
	f.Fuzz(func(t *testing.T, at int, change []byte, cut int) {
		sealed := bytes.Clone(whole)
		if at >= 0 && at <= len(sealed) {
			n := subtle.XORBytes(sealed[at:], sealed[at:], change)
			sealed = append(sealed, change[n:]...)
		}
		if cut >= 0 && cut < len(sealed) {
			sealed = sealed[:cut]
		}
		got, err := in.Open(nil, &protocol.Frame{Body: bytes.Clone(sealed)})
		if same := bytes.Equal(sealed, whole); same != (err == nil) || same && string(got) != body {
			t.Fatalf("got %q, %v", got, err)
		}
		if err != nil && (class(err) != "auth" || len(got) > 0) {
			t.Fatalf("refused as %v with %d bytes", err, len(got))
		}
	})
}
