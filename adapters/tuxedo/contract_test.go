package tuxedo

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"qianzhi/adapters/adaptertest"
	"qianzhi/adapters/link"
	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

var helper = Envelope{Kind: 1, Service: 15, Corr: 8, Errno: 4, Urcode: 8}

func dialTo(addr string) func(context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
}

func dialect(t *testing.T, file string) *protocol.Dialect {
	t.Helper()
	l, err := spec.Load(file, conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func options(addr string, d *protocol.Dialect, late func(pay.Op, pay.Reply)) Options {
	return Options{Name: "mis", Dial: dialTo(addr), Dialect: d, Buffer: FML32, Echo: []string{"serial", "amount"}, Envelope: helper, Conns: 2, Queue: 16, MaxIn: 1 << 16,
		Backoff: time.Millisecond, Ceiling: 10 * time.Millisecond, Late: late, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

const unproved = "XATMI has no proof of its own; a link's MAC is tested with the socket adapter"

func TestContract(t *testing.T) {
	skip := map[string]string{"wrong MAC": unproved}
	t.Run("FML32 with an envelope", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Subject{Skip: skip,
			Serve: func(ctx context.Context, ln net.Listener, books *adaptertest.Books) error {
				return adaptertest.Serve(ctx, ln, far(t), books)
			},
			New: func(addr string, late func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
				return New(options(addr, dialect(t, "links/mis-tuxedo.yaml"), late))
			},
		})
	})
	t.Run("STRING, one call on a connection at a time", func(t *testing.T) {
		file := "links/kiosk-socket.yaml" // has neither envelope nor correlation
		adaptertest.Run(t, adaptertest.Subject{Skip: skip,
			Serve: func(ctx context.Context, ln net.Listener, books *adaptertest.Books) error {
				return adaptertest.Serve(ctx, ln, dialect(t, file), books)
			},
			New: func(addr string, late func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
				o := options(addr, dialect(t, file), late)
				o.Envelope, o.Buffer, o.Mode, o.Echo = Envelope{}, STRING, link.Pooled, []string{"amount"}
				return New(o)
			},
			Dress: func(req *pay.Request) { req.More = append(req.More, pay.Field{ID: pay.FTerminal, Val: "60120001"}) },
		})
	})
	t.Run("HTTP", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Subject{Skip: skip,
			Serve: func(ctx context.Context, ln net.Listener, books *adaptertest.Books) error {
				w := &adaptertest.Web{Dialect: dialect(t, "links/mis-tuxedo.yaml"), Books: books, Kind: "text/plain", Look: service}
				return w.Serve(ctx, ln)
			},
			New: func(addr string, late func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
				o := options(addr, dialect(t, "links/mis-tuxedo.yaml"), late)
				o.Envelope, o.Buffer, o.URL = Envelope{}, STRING, "http://mis.example/rest"
				return New(o)
			},
		})
	})
}

// far is the monitor's end of the link.
func far(t *testing.T) *protocol.Dialect {
	d := dialect(t, "links/mis-tuxedo.yaml")
	g := Gate{Framer: d.Request.Framer, Head: helper, Buffer: FML32}
	d.Request.Framer, d.Reply.Framer = g, g
	return d
}

func service(r *http.Request, f *protocol.Frame) {
	f.Set(protocol.HeadSub, strings.TrimPrefix(r.URL.Path, "/rest/"))
}

// restDialect is the link of a REST gateway: the fields of the buffer as JSON.
func restDialect(t *testing.T) *protocol.Dialect {
	t.Helper()
	text := `
id: mis-rest
transport: http
frame: {length: {kind: none}, max: 65536}
http: {content_type: application/json}
json:
  request:
    fields: [{name: BANK_SERIAL}, {name: CONS_NO}, {name: TRADE_AMT, type: number}]
  reply:
    extra: ignore
    fields: [{name: RET_CODE}, {name: BANK_SERIAL}, {name: TRADE_AMT, type: number}, {name: MIS_SERIAL}]
identity: {institution: gateway, serial_scope: none}
funds: untaken
authority: biller
allow: [pay]
limits: {max_amount: "9999999999.99", in_flight: 512, refusals: 0, connections: 16}
timeouts: {channel: 30s, terminal: 60s}
codes: [{code: ok, wire: OK}, {code: unknown, wire: UNKNOWN}, {code: no-customer, wire: CUSTOMER}, {code: refused, wire: REFUSED}]
messages:
  - name: 缴费
    op: pay
    request: {when: {"@header": MIS_PAY}, map: {serial: BANK_SERIAL, account: CONS_NO, amount: TRADE_AMT}}
    reply: {map: {code: RET_CODE, serial: BANK_SERIAL, amount: TRADE_AMT, reference: MIS_SERIAL}}
`
	l, err := spec.Parse("mis-rest.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Assemble(spec.Parts{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
