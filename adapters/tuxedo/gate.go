package tuxedo

import (
	"errors"
	"strings"

	"qianzhi/protocol"
)

// Gate is the framer of a monitor's socket gateway, the answering end: it takes
// the head off requests, whose service becomes the head value "header", and
// puts one with tperrno 0 on replies. Use it for both directions.
type Gate struct {
	protocol.Framer
	Head   Envelope
	Buffer Buffer
}

// Next cuts the first request. The correlation number travels as the head value
// "tpdu", which goes back with the reply.
func (g Gate) Next(buf []byte) (protocol.Frame, int, error) {
	f, n, err := g.Framer.Next(buf)
	if err != nil || n == 0 || len(f.Body) == 0 {
		return f, n, err
	}
	at := g.Head.Kind + g.Head.Service
	if len(f.Body) < at+g.Head.Corr {
		return f, n, errors.New("envelope: too short")
	}
	f.Set(protocol.HeadSub, strings.TrimRight(string(f.Body[g.Head.Kind:at]), " "))
	f.Set(protocol.HeadTPDU, string(f.Body[at:at+g.Head.Corr]))
	f.Body = f.Body[at+g.Head.Corr:]
	return f, n, nil
}

// Append writes a reply.
func (g Gate) Append(dst []byte, f protocol.Frame) ([]byte, error) {
	digits := strings.Repeat("0", g.Head.Errno+g.Head.Urcode)
	body := g.Head.seal(g.Buffer, f.Get(protocol.HeadSub), f.Get(protocol.HeadTPDU)+digits, f.Body)
	return g.Framer.Append(dst, protocol.Frame{Body: body})
}
