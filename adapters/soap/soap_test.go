package soap

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
	"qianzhi/protocol/secure"
)

// asking runs an adapter against an HTTP handler.
func asking(t *testing.T, h http.HandlerFunc, change func(*Options)) *Adapter {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	o := options(srv.Listener.Addr().String(), loaded(t, "links/mis-soap.yaml", secure.Keys{}, nil), func(pay.Op, pay.Reply) {})
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a
}

func sale() *pay.Request {
	return &pay.Request{Op: pay.Pay, Day: 20261120, Account: "0512000001", Amount: 10050, Ref: pay.Ref{Kind: pay.KindPay, Serial: "20261120010000000001"},
		Bills: []pay.Bill{{ID: "B1"}, {ID: "B2"}}, More: []pay.Field{{ID: pay.FChannel, Val: "pos"}}}
}

func do(t *testing.T, a *Adapter, req *pay.Request) (pay.Reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return a.Do(ctx, req)
}

func envelope(body string) string {
	return `<?xml version='1.0' encoding="utf-8"?><S:Envelope xmlns:S="` + ns11 + `"><S:Header><x:Trace xmlns:x="urn:x">7</x:Trace></S:Header><S:Body>` + body + `</S:Body></S:Envelope>`
}

const paid = `<PayResponse xmlns="urn:qianzhi:mis"><code>OK</code><serial>%s</serial><amount>10050</amount><host_serial>YX1</host_serial><unheard>of</unheard></PayResponse>`

// What a foreign server writes its own way is read; what leaves is as the
// standards have it.
func TestEnvelope(t *testing.T) {
	var got struct {
		Body struct {
			Pay struct {
				Account string   `xml:"account"`
				Amount  string   `xml:"amount"`
				Bills   []string `xml:"bill>id"`
			} `xml:"urn:qianzhi:mis PayRequest"`
		} `xml:"http://schemas.xmlsoap.org/soap/envelope/ Body"`
	}
	var action, kind string
	a := asking(t, func(w http.ResponseWriter, r *http.Request) {
		action, kind = r.Header.Get("SOAPAction"), r.Header.Get("Content-Type")
		if err := xml.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, envelope(fmt.Sprintf(paid, "20261120010000000001")))
	}, nil)
	rep, err := do(t, a, sale())
	if err != nil || rep.Verdict != pay.Approved || rep.Amount != 10050 || rep.Serial != "YX1" {
		t.Errorf("got %+v, %v", rep, err)
	}
	if p := got.Body.Pay; action != `"urn:qianzhi:mis:Pay"` || kind != "text/xml; charset=utf-8" || p.Account != "0512000001" || p.Amount != "10050" || len(p.Bills) != 2 {
		t.Errorf("the server saw %s, %s, %+v", action, kind, p)
	}
}

// Whatever is no good answer leaves the outcome open, unless the link says
// that it comes before anything is done.
func TestNoAnswer(t *testing.T) {
	fault11 := envelope(`<S:Fault><faultcode>S:Server</faultcode><faultstring>数据库忙</faultstring></S:Fault>`)
	fault12 := `<e:Envelope xmlns:e="` + ns12 + `"><e:Body><e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>m:NoCustomer</e:Value></e:Subcode></e:Code><e:Reason><e:Text xml:lang="zh">无此用户</e:Text></e:Reason></e:Fault></e:Body></e:Envelope>`
	for name, c := range map[string]struct {
		status   int
		body     string
		refusals map[string]pay.Code
		refused  pay.Code // CodeUnknown: in doubt
		says     string
	}{
		"fault 1.1":          {500, fault11, nil, 0, "数据库忙"},
		"fault in a 200":     {200, fault11, nil, 0, "数据库忙"},
		"fault 1.2":          {400, fault12, nil, 0, "NoCustomer"},
		"known refusal":      {400, fault12, map[string]pay.Code{"NoCustomer": pay.CodeNoCustomer}, pay.CodeNoCustomer, ""},
		"another refusal":    {500, fault11, map[string]pay.Code{"NoCustomer": pay.CodeNoCustomer}, 0, "数据库忙"},
		"status":             {503, "busy", nil, 0, "HTTP503"},
		"known status":       {429, "busy", map[string]pay.Code{"HTTP429": pay.CodeLimit}, pay.CodeLimit, ""},
		"redirect":           {302, "", nil, 0, "HTTP302"},
		"empty":              {200, "", nil, 0, ""},
		"html":               {200, "<html>login</html>", nil, 0, ""},
		"answer to another":  {200, envelope(fmt.Sprintf(paid, "20261120010000000002")), nil, 0, "serial"},
		"unlisted code":      {200, envelope(strings.Replace(fmt.Sprintf(paid, "20261120010000000001"), "OK", "E77", 1)), nil, 0, ""},
		"too large":          {200, envelope(strings.Repeat(" ", 1<<16)), nil, 0, "larger"},
		"entity":             {200, `<!DOCTYPE x [<!ENTITY a "aaaa">]>` + envelope("&a;"), nil, 0, ""},
		"reply of a query":   {200, envelope(`<m:QueryResponse xmlns:m="urn:qianzhi:mis"><m:code>OK</m:code></m:QueryResponse>`), nil, 0, ""},
		"another name space": {200, envelope(strings.Replace(fmt.Sprintf(paid, "20261120010000000001"), "qianzhi", "other", 1)), nil, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := asking(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/ws" {
					t.Errorf("path %s: a redirect was followed", r.URL.Path)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}, func(o *Options) { o.Refusals = c.refusals })
			rep, err := do(t, a, sale())
			if c.refused != pay.CodeUnknown {
				if err != nil || rep.Verdict != pay.Declined || rep.Code != c.refused {
					t.Errorf("got %+v, %v", rep, err)
				}
				return
			}
			var f *pay.Fault
			if errors.As(err, &f) {
				if !f.Sent || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want it to say %q", err, c.says)
				}
			} else if err != nil || rep.Verdict != pay.Unknown {
				t.Errorf("got %+v, %v", rep, err)
			}
		})
	}
}

// A fault decides nothing where replies are signed.
func TestFaultIsNotProved(t *testing.T) {
	a := asking(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, func(o *Options) {
		d := *o.Dialect
		d.Reply.Auth = trusting{}
		o.Dialect, o.Refusals = &d, map[string]pay.Code{"HTTP429": pay.CodeLimit}
	})
	if rep, err := do(t, a, sale()); err == nil {
		t.Errorf("got %+v", rep)
	}
}

type trusting struct{ protocol.Auth }

func TestUserNameToken(t *testing.T) {
	for _, digested := range []bool{false, true} {
		var got struct {
			Security struct {
				Must  string `xml:"http://schemas.xmlsoap.org/soap/envelope/ mustUnderstand,attr"`
				Token struct {
					User     string `xml:"Username"`
					Password struct {
						Type string `xml:"Type,attr"`
						Text string `xml:",chardata"`
					} `xml:"Password"`
					Nonce   string `xml:"Nonce"`
					Created string `xml:"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd Created"`
				} `xml:"UsernameToken"`
			} `xml:"Header>Security"`
		}
		a := asking(t, func(w http.ResponseWriter, r *http.Request) {
			if err := xml.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			fmt.Fprint(w, envelope(fmt.Sprintf(paid, "20261120010000000001")))
		}, func(o *Options) { o.Security = Security{User: "qz&1", Password: "a<b", Digest: digested} })
		if rep, err := do(t, a, sale()); err != nil || rep.Verdict != pay.Approved {
			t.Fatalf("got %+v, %v", rep, err)
		}
		s := got.Security.Token
		want := "a<b"
		if digested {
			nonce, err := base64.StdEncoding.DecodeString(s.Nonce)
			if err != nil || len(nonce) != 16 {
				t.Error(s.Nonce, err)
			}
			want = digest(nonce, s.Created, "a<b")
		}
		if s.User != "qz&1" || s.Password.Text != want || got.Security.Must != "1" || strings.HasSuffix(s.Password.Type, "Digest") != digested {
			t.Errorf("got %+v", got)
		}
	}
}

// The example of a digest that implementations share (WSS4J).
func TestDigestOfThePublicExample(t *testing.T) {
	nonce, err := base64.StdEncoding.DecodeString("LKqI6G/AikKCQrN0zqZFlg==")
	if err != nil {
		t.Fatal(err)
	}
	if got := digest(nonce, "2010-09-16T07:50:45Z", "userpassword"); got != "tuOSpGlFlIXsozq4HFNeeGeFLEI=" {
		t.Errorf("got %s", got)
	}
}

func TestWSDL(t *testing.T) {
	good, err := os.ReadFile("testdata/mis.wsdl")
	if err != nil {
		t.Fatal(err)
	}
	d := loaded(t, "links/mis-soap.yaml", secure.Keys{}, nil)
	if err := CheckWSDL(good, d); err != nil {
		t.Error(err)
	}
	for want, edit := range map[string][2]string{
		"缴费: no operation has the action":                {`soapAction="urn:qianzhi:mis:Pay"`, `soapAction="urn:qianzhi:mis:pay"`},
		`缴费: request: soap:Body.m:PayRequest`:            {`<wsdl:part name="in" element="m:PayRequest"/>`, `<wsdl:part name="in" element="m:Pay"/>`},
		`"PayRequest" has no such element`:               {`<xs:element name="channel"`, `<xs:element name="kanal"`},
		`缴费: reply: the description has no such message`: {`<wsdl:message name="PayOut">`, `<wsdl:message name="PaidOut">`},
		"EOF": {"</wsdl:definitions>", ""},
	} {
		bad := strings.Replace(string(good), edit[0], edit[1], 1)
		if bad == string(good) {
			t.Fatalf("nothing to replace: %s", edit[0])
		}
		if err := CheckWSDL([]byte(bad), d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	d := loaded(t, "links/mis-soap.yaml", secure.Keys{}, nil)
	for name, change := range map[string]func(*Options){
		"version":  func(o *Options) { o.Version = "2" },
		"url":      func(o *Options) { o.URL = "ftp://x" },
		"approval": func(o *Options) { o.Refusals = map[string]pay.Code{"Server": pay.CodeOK} },
		"token":    func(o *Options) { o.Version, o.Security.User = Plain, "u" },
		"ascii":    func(o *Options) { o.Security = Security{User: "用户", Password: "p"} },
		"wsdl":     func(o *Options) { o.WSDL = []byte("<a/>") },
	} {
		o := options("127.0.0.1:1", d, func(pay.Op, pay.Reply) {})
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
