package sql

import (
	"bytes"
	"os"
	"testing"

	"qianzhi/adapters/adaptertest"
	"qianzhi/gateway/pay"
)

// contract holds the adapter to the one contract; what goes wrong befalls the
// database's answer to the commit.
func (s server) contract(t *testing.T) {
	_, _, sold := s.meter(t)
	text, err := os.ReadFile("testdata/meter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	adaptertest.Run(t, adaptertest.Subject{
		Target: s.addr, Count: sold,
		New: func(addr string, _ func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
			return New(Options{Name: "meter", Source: s.source + "dbname=contract " + hostPort(addr), Script: script(t, string(text)),
				Dialect: dialect(t, "links/mis-sql.yaml"), Conns: 4, Now: now})
		},
		Hits: func(reply []byte) bool { return bytes.Contains(reply, []byte("COMMIT\x00")) },
		Skip: map[string]string{
			"late answer":      "a session that was given up is closed, its answer has nowhere to go",
			"wrong MAC":        "the wire protocol has no proof of its own; TLS is the driver's",
			"duplicate answer": "each answer of a session is numbered by its place, a second one is garbage",
			"out of order":     "a session has one call at a time",
		},
	})
}
