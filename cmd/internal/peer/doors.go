package peer

import (
	"context"
	"net"
	"net/http"
	"time"

	"qianzhi/adapters/soap"
	"qianzhi/adapters/tuxedo"
	"qianzhi/protocol/spec"
)

// ServeSOAP answers a web service, SOAP 1.1 or 1.2, until ctx ends: an HTTP
// link whose messages are told apart by their action.
func (h *Host) ServeSOAP(ctx context.Context, ln net.Listener, l *spec.Link) error {
	hs, err := l.Headers()
	if err != nil {
		return err
	}
	srv := &http.Server{BaseContext: func(net.Listener) context.Context { return ctx }, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		MaxHeaderBytes: 64 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("SOAPAction", soap.Action(r.Header)) // without the quotes it travels in
			h.web(w, r, l.HTTP.ContentType, hs)
		})}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}

// ServeGate answers as the socket gateway of a Tuxedo-style monitor does, until
// ctx ends.
func (h *Host) ServeGate(ctx context.Context, ln net.Listener, head tuxedo.Envelope, buffer tuxedo.Buffer) error {
	d := *h.Dialect
	g := tuxedo.Gate{Framer: d.Request.Framer, Head: head, Buffer: buffer}
	d.Request.Framer, d.Reply.Framer = g, g
	own := Host{Dialect: &d, Handler: h.Handler, Script: h.Script, Now: h.Now, Pause: h.Pause, Note: h.Note, Replies: h.Replies}
	return own.Serve(ctx, ln)
}
