package soap

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"qianzhi/adapters/adaptertest"
	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/gm"
	"qianzhi/protocol/secure"
	"qianzhi/protocol/spec"
)

func dialTo(addr string) func(context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
}

// loaded is a shipped link, changed before it is assembled.
func loaded(t *testing.T, file string, keys secure.Keys, change func(*spec.Link)) *protocol.Dialect {
	t.Helper()
	l, err := spec.Load(file, conf.Files.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(l)
	}
	d, err := l.Assemble(spec.Parts{Keys: keys, Sessions: secure.NewSessions(4), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// inGBK makes a link one of SOAP 1.2 in GBK.
func inGBK(l *spec.Link) {
	l.XML.Request.Encoding, l.XML.Reply.Encoding = "gbk", "gbk"
	l.XML.Request.Namespaces[0].URI, l.XML.Reply.Namespaces[0].URI = ns12, ns12
}

func action(r *http.Request, f *protocol.Frame) { f.Set(protocol.HeadSub, Action(r.Header)) }

func options(addr string, d *protocol.Dialect, late func(pay.Op, pay.Reply)) Options {
	return Options{Name: "mis", URL: "http://mis.example/ws", Dial: dialTo(addr), Dialect: d, Version: SOAP11, Kind: "text/xml; charset=utf-8", Conns: 4, MaxIn: 1 << 16,
		Late: late, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

func TestContract(t *testing.T) {
	plain := "nothing proves the replies of this link; the signed one has the case"
	t.Run("soap 1.1", func(t *testing.T) {
		d := loaded(t, "links/mis-soap.yaml", secure.Keys{}, nil)
		adaptertest.Run(t, adaptertest.Subject{
			Serve: func(ctx context.Context, ln net.Listener, books *adaptertest.Books) error {
				w := &adaptertest.Web{Dialect: d, Books: books, Kind: "text/xml; charset=utf-8", Look: action}
				return w.Serve(ctx, ln)
			},
			New: func(addr string, late func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
				return New(options(addr, d, late))
			},
			Skip: map[string]string{"wrong MAC": plain},
		})
	})
	t.Run("soap 1.2 in GBK with a token", func(t *testing.T) {
		d := loaded(t, "links/mis-soap.yaml", secure.Keys{}, inGBK)
		adaptertest.Run(t, adaptertest.Subject{
			Serve: func(ctx context.Context, ln net.Listener, books *adaptertest.Books) error {
				w := &adaptertest.Web{Dialect: d, Books: books, Kind: "application/soap+xml; charset=gbk", Look: action}
				return w.Serve(ctx, ln)
			},
			New: func(addr string, late func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
				o := options(addr, d, late)
				o.Version, o.Kind = SOAP12, "application/soap+xml; charset=gbk"
				o.Security = Security{User: "qianzhi", Password: "<secret>", Digest: true}
				return New(o)
			},
			Skip: map[string]string{"wrong MAC": plain},
		})
	})
	t.Run("plain JSON signed with SM2", func(t *testing.T) {
		key, err := gm.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys := secure.Keys{Ring: secure.Ring{"k": {Private: key}}, Roles: map[string]string{"bank": "k", "gateway": "k"}}
		heads := map[protocol.Head]string{protocol.HeadTimestamp: "X-QZ-Timestamp", protocol.HeadNonce: "X-QZ-Nonce", protocol.HeadSignature: "X-QZ-Signature"}
		adaptertest.Run(t, adaptertest.Subject{
			Serve: func(ctx context.Context, ln net.Listener, books *adaptertest.Books) error {
				w := &adaptertest.Web{Dialect: loaded(t, "links/bank-http.yaml", keys, nil), Books: books, Kind: "application/json", Heads: heads}
				return w.Serve(ctx, ln)
			},
			New: func(addr string, late func(pay.Op, pay.Reply)) (adaptertest.Adapter, error) {
				o := options(addr, loaded(t, "links/bank-http.yaml", keys, nil), late)
				o.Version, o.Kind = Plain, "application/json"
				for h, name := range heads {
					o.Headers = append(o.Headers, Header{h, name})
				}
				return New(o)
			},
			Tamper: func(b []byte) { // still a good message, of another outcome
				if i := bytes.Index(b, []byte(`"0000"`)); i > 0 {
					b[i+4] = '1'
				}
			},
		})
	})
}
