// Package soap asks a counterparty over HTTP: a web service with SOAP 1.1 or
// 1.2, or plain XML or JSON by POST.
//
// A SOAP message is a message of the markup codec whose root is the envelope,
// so that header, operation and parameters are paths of the link file; what is
// added here is the action of the operation, the user name token, and the
// reading of faults. The action is the head value "header" of a message, which
// the link file sets for each operation ("@header": urn:mis:pay), its path the
// head value "path".
package soap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"qianzhi/adapters/link"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// Version is how messages are wrapped.
type Version string

// The versions.
const (
	Plain  Version = "plain" // the body as it is
	SOAP11 Version = "1.1"   // text/xml and a SOAPAction header
	SOAP12 Version = "1.2"   // application/soap+xml with the action in it
)

// Header ties a head value of the Dialect to the name of an HTTP header.
type Header struct {
	Head protocol.Head
	Name string
}

// Options are the parts and limits of one counterparty.
type Options struct {
	Name     string
	URL      string // http or https; TLS is the business of Dial
	Dial     func(ctx context.Context) (net.Conn, error)
	Dialect  *protocol.Dialect
	Version  Version
	Kind     string   // content type of requests, with its charset
	Headers  []Header // both ways
	Security Security // the user name token, if any
	// WSDL is the service's description, against which the link is checked; nil:
	// it is not.
	WSDL []byte
	// Refusals are faults, by their code or "HTTP" and a status, that are known
	// to come before anything is done. All other faults leave the outcome open.
	Refusals map[string]pay.Code
	Conns    int                     // calls under way at once
	MaxIn    int                     // bytes of one reply
	Linger   time.Duration           // a call that was given up is kept this long for its late answer, 0: a minute
	Late     func(pay.Op, pay.Reply) // replies that nobody waits for any more; pay.FSerial is among More
	Now      func() time.Time
	Log      *slog.Logger
}

// Adapter is a gateway adapter over HTTP. It is safe for concurrent use; Do
// works while Run runs.
type Adapter struct {
	o     Options
	web   *link.Web
	speak *link.Speaker
}

// New builds an adapter; nothing is dialled until Do.
func New(o Options) (*Adapter, error) {
	if o.Version != Plain && o.Version != SOAP11 && o.Version != SOAP12 {
		return nil, fmt.Errorf("soap: version: want plain, 1.1 or 1.2, got %q", o.Version)
	}
	if !ascii(o.Security.User + o.Security.Password) {
		return nil, errors.New("soap: security: user and password: want printable ASCII")
	}
	if o.Kind == "" || o.Late == nil || o.Now == nil {
		return nil, errors.New("soap: content_type: missing")
	}
	for fault, code := range o.Refusals {
		if code.Verdict() == pay.Approved {
			return nil, fmt.Errorf("soap: refusals: %s: a fault is no approval", fault)
		}
	}
	if o.WSDL != nil {
		if err := CheckWSDL(o.WSDL, o.Dialect); err != nil {
			return nil, fmt.Errorf("soap: wsdl: %w", err)
		}
	}
	d := *o.Dialect
	if o.Security.User != "" {
		if o.Version == Plain {
			return nil, errors.New("soap: security: needs version 1.1 or 1.2")
		}
		d.Request.Codec = &secured{Codec: d.Request.Codec, token: o.Security, now: o.Now}
	}
	speak := link.NewSpeaker(&d, o.Now)
	web, err := link.NewWeb(link.WebOptions{Name: o.Name, URL: o.URL, Dial: o.Dial, Single: !speak.Echoed(), Conns: o.Conns, MaxIn: o.MaxIn, Linger: o.Linger, Log: o.Log})
	if err != nil {
		return nil, fmt.Errorf("soap: %w", err)
	}
	return &Adapter{o: o, web: web, speak: speak}, nil
}

// Run waits for late answers until ctx ends.
func (a *Adapter) Run(ctx context.Context) error { return a.web.Run(ctx) }

// Up returns 1, or 0 when the last dial failed.
func (a *Adapter) Up() int { return a.web.Up() }

// Do sends one request and waits for its reply or the end of ctx. The error is
// a *pay.Fault.
func (a *Adapter) Do(ctx context.Context, req *pay.Request) (pay.Reply, error) {
	asked, err := a.speak.Ask(req)
	if err != nil {
		return pay.Reply{}, err
	}
	got, err := a.web.Post(ctx, asked.Frame.Get(protocol.HeadPath), a.header(&asked.Frame), asked.Frame.Body, func(p *link.Posted) { a.late(asked, p) })
	if err != nil {
		return pay.Reply{}, err
	}
	return a.read(asked, got)
}

// header builds the HTTP header of a message.
func (a *Adapter) header(f *protocol.Frame) http.Header {
	h := http.Header{"Content-Type": {a.o.Kind}}
	for _, x := range a.o.Headers {
		if v := f.Get(x.Head); v != "" {
			h.Set(x.Name, v)
		}
	}
	action := f.Get(protocol.HeadSub)
	switch a.o.Version {
	case SOAP11:
		h["SOAPAction"] = []string{`"` + action + `"`} // as the standard and old servers spell it
	case SOAP12:
		if action != "" {
			h.Set("Content-Type", a.o.Kind+`; action="`+action+`"`)
		}
	}
	return h
}

// read reads what was posted back. What is neither understood nor known to
// come before anything is done leaves the outcome open.
func (a *Adapter) read(asked *link.Asked, got *link.Posted) (pay.Reply, error) {
	if got.Status == http.StatusOK {
		rep, err := a.open(asked, got)
		if err == nil || a.o.Version == Plain {
			return rep, err
		}
		if f, ok := ReadFault(got.Body); ok {
			return a.fault(f)
		}
		return rep, err
	}
	if f, ok := ReadFault(got.Body); ok && a.o.Version != Plain {
		return a.fault(f)
	}
	return a.fault(Fault{Code: "HTTP" + strconv.Itoa(got.Status), Text: http.StatusText(got.Status)})
}

func (a *Adapter) open(asked *link.Asked, got *link.Posted) (pay.Reply, error) {
	in := protocol.Frame{Body: got.Body}
	in.Set(protocol.HeadStatus, strconv.Itoa(got.Status))
	for _, x := range a.o.Headers {
		if v := got.Header.Get(x.Name); v != "" {
			in.Set(x.Head, v)
		}
	}
	ans, err := a.speak.Open(in)
	if err != nil {
		a.o.Log.Error("reply not believed", "event", "QZ410", "link", a.o.Name, "err", err)
		return pay.Reply{}, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: err}
	}
	return a.speak.Read(asked, ans)
}

// fault says what a fault means. Nobody signs a fault: on a link whose replies
// are proved it decides nothing.
func (a *Adapter) fault(f Fault) (pay.Reply, error) {
	proved := a.o.Dialect.Reply.Auth != nil || a.o.Dialect.Reply.Envelope != nil
	if code, ok := a.o.Refusals[f.Code]; ok && !proved {
		return pay.Answer(code.Verdict(), code), nil
	}
	return pay.Reply{}, &pay.Fault{Code: pay.CodeUnknown, Sent: true, Err: f}
}

// late passes on a reply that came after its caller had given up.
func (a *Adapter) late(asked *link.Asked, got *link.Posted) {
	rep, err := a.read(asked, got)
	if err != nil {
		a.o.Log.Error("late reply not understood", "event", "QZ411", "host", a.o.Name, "err", err)
		return
	}
	if pay.Find(rep.More, pay.FSerial) == "" {
		rep.More = append(rep.More, pay.Field{ID: pay.FSerial, Val: asked.Request.Ref.Serial})
	}
	a.o.Late(asked.Request.Op, rep)
}

// Action returns the action of a SOAP request, for the answering end.
func Action(h http.Header) string {
	if v := h.Get("SOAPAction"); v != "" {
		return strings.Trim(v, `"`)
	}
	_, after, _ := strings.Cut(h.Get("Content-Type"), "action=")
	action, _, _ := strings.Cut(after, ";")
	return strings.Trim(action, `"`)
}
