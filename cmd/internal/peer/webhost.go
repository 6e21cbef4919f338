package peer

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"

	"qianzhi/protocol"
	"qianzhi/protocol/spec"
)

// maxWeb bounds the body of one request to a simulated web host.
const maxWeb = 1 << 20

// ServeWeb answers the requests of an HTTP link until ctx ends.
func (h *Host) ServeWeb(ctx context.Context, ln net.Listener, l *spec.Link) error {
	hs, err := l.Headers()
	if err != nil {
		return err
	}
	srv := &http.Server{BaseContext: func(net.Listener) context.Context { return ctx },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.web(w, r, l.HTTP.ContentType, hs) })}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}

// web answers one request.
func (h *Host) web(w http.ResponseWriter, r *http.Request, kind string, hs []spec.Header) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWeb))
	if err != nil {
		h.Note(err.Error())
		return
	}
	in := protocol.Frame{Body: body}
	in.Set(protocol.HeadPath, r.URL.Path)
	for _, x := range hs {
		if v := r.Header.Get(x.Name); v != "" {
			in.Set(x.Head, v)
		}
	}
	replies, t := h.reply(r.Context(), in)
	switch {
	case t.Fault == Silence:
		<-r.Context().Done()
		return
	case len(replies) == 0:
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	f := replies[0]
	out := http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {kind}},
		ContentLength: int64(len(f.Body)), Body: io.NopCloser(bytes.NewReader(f.Body)), Close: true}
	for _, x := range hs {
		if v := f.Get(x.Head); v != "" {
			out.Header.Set(x.Name, v)
		}
	}
	if err := raw(w, &out, t.Fault); err != nil {
		h.Note(err.Error())
	}
}

// raw writes a response with what the fault does to its bytes and closes the
// connection.
func raw(w http.ResponseWriter, out *http.Response, fault Fault) error {
	var b bytes.Buffer
	if err := out.Write(&b); err != nil {
		return err
	}
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	defer nc.Close()
	pieces, _ := fault.wire(b.Bytes())
	for _, p := range pieces {
		if _, err := nc.Write(p); err != nil {
			return err
		}
	}
	return nil
}
