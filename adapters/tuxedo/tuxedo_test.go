package tuxedo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"qianzhi/adapters/link"
	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

const serial = "20261120010000000001"

func sale() *pay.Request {
	return &pay.Request{Op: pay.Pay, Day: 20261120, Account: "0512000001", Amount: 10050, Ref: pay.Ref{Kind: pay.KindPay, Serial: serial},
		More: []pay.Field{{ID: pay.FChannel, Val: "pos"}}}
}

// running runs an adapter until the test ends.
func running(t *testing.T, o Options) *Adapter {
	t.Helper()
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

func do(t *testing.T, a *Adapter, req *pay.Request, within time.Duration) (pay.Reply, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return a.Do(ctx, req)
}

// monitor answers every message of a stream with what reply makes of it; nil
// is silence.
func monitor(t *testing.T, reply func(request []byte) []byte) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					var n [4]byte
					if _, err := io.ReadFull(c, n[:]); err != nil {
						return
					}
					b := make([]byte, binary.BigEndian.Uint32(n[:]))
					if _, err := io.ReadFull(c, b); err != nil {
						return
					}
					if out := reply(b); out != nil {
						c.Write(out)
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func framed(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// outcome sorts what a call ended with.
func outcome(rep pay.Reply, err error) string {
	var f *pay.Fault
	switch {
	case errors.As(err, &f) && f.Sent:
		return "unknown"
	case errors.As(err, &f):
		return "not sent"
	case err != nil:
		return "no fault: " + err.Error()
	}
	return rep.Verdict.String()
}

const (
	yes = "RET_CODE\tOK\nBANK_SERIAL\t" + serial + "\nTRADE_AMT\t10050\nMIS_SERIAL\tT1\n"
	no  = "RET_CODE\tCUSTOMER\nRET_MSG\t\\ce\\de\\b4\\cb\\d3\\c3\\bb\\a7\n"
)

// TestClasses is section 2 of what a monitor can say: only what comes before a
// service is called proves that nothing was done.
func TestClasses(t *testing.T) {
	for name, c := range map[string]struct{ errno, urcode, body, want string }{
		"success":                      {"0000", "00000000", yes, "approved"},
		"success that refuses":         {"0000", "00000000", no, "declined"},
		"success with an unheard code": {"0000", "00000000", strings.Replace(yes, "OK", "E9", 1), "unknown"},
		"success without data":         {"0000", "00000000", "", "unknown"},
		"success, not understood":      {"0000", "00000000", "AMT\tabc\n", "unknown"},
		"another serial":               {"0000", "00000000", strings.Replace(yes, serial, "20261120010000000002", 1), "unknown"},
		"no serial":                    {"0000", "00000000", "RET_CODE\tOK\nTRADE_AMT\t10050\n", "unknown"},
		"another amount":               {"0000", "00000000", strings.Replace(yes, "10050", "10051", 1), "unknown"},
		"amount out of range":          {"0000", "00000000", strings.Replace(yes, "10050", "99999999999999999999", 1), "unknown"},
		"TPESVCFAIL that refuses":      {"0011", "00002001", no, "declined"},
		"TPESVCFAIL that approves":     {"0011", "00000000", yes, "unknown"},
		"TPESVCFAIL without data":      {"0011", "00002001", "", "unknown"},
		"TPENOENT":                     {"0006", "00000000", "", "not sent"},
		"TPELIMIT":                     {"0005", "00000000", "", "not sent"},
		"TPEPERM":                      {"0008", "00000000", "", "not sent"},
		"TPEBLOCK":                     {"0003", "00000000", "", "not sent"},
		"TPEINVAL of a payment":        {"0004", "00000000", "", "unknown"},
		"TPEITYPE of a payment":        {"0017", "00000000", "", "unknown"},
		"TPETIME":                      {"0013", "00000000", "", "unknown"},
		"TPESVCERR":                    {"0010", "00000000", "", "unknown"},
		"TPESYSTEM":                    {"0012", "00000000", yes, "unknown"},
		"TPEOS":                        {"0007", "00000000", "", "unknown"},
		"an unheard tperrno":           {"0099", "00000000", yes, "unknown"},
		"tperrno no number":            {"00x0", "00000000", yes, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := monitor(t, func(b []byte) []byte {
				if string(b[:16]) != "TMIS_PAY        " {
					t.Errorf("head %q", b[:16])
				}
				return framed(string(b[:24]) + c.errno + c.urcode + c.body)
			})
			a := running(t, options(addr, dialect(t, "links/mis-tuxedo.yaml"), func(pay.Op, pay.Reply) {}))
			within := 10 * time.Second
			if c.want == "unknown" && strings.Contains(c.errno, "x") {
				within = 200 * time.Millisecond // the reply belongs to nobody
			}
			rep, err := do(t, a, sale(), within)
			if got := outcome(rep, err); got != c.want {
				t.Errorf("got %s (%+v, %v), want %s", got, rep, err, c.want)
			}
		})
	}
}

// What is checked before a service is called is promised, or no money moves.
func TestTypeErrors(t *testing.T) {
	addr := monitor(t, func(b []byte) []byte { return framed(string(b[:24]) + "0017" + "00000000") })
	o := options(addr, dialect(t, "links/mis-tuxedo.yaml"), func(pay.Op, pay.Reply) {})
	query := sale()
	query.Op = pay.Query
	if got := outcome(do(t, running(t, o), query, 10*time.Second)); got != "not sent" {
		t.Errorf("a query: %s", got)
	}
	o.Checks = true
	if got := outcome(do(t, running(t, o), sale(), 10*time.Second)); got != "not sent" {
		t.Errorf("a payment, promised: %s", got)
	}
}

// A failing service is silence on a socket gateway; its late answer comes with
// the operation it answers.
func TestSilenceAndLateAnswer(t *testing.T) {
	held := make(chan []byte, 1)
	late := make(chan string, 1)
	addr := monitor(t, func(b []byte) []byte {
		if strings.Contains(string(b[:16]), "STATUS") {
			return append(framed(string(<-held)), framed(string(b[:24])+"000000000000"+strings.Replace(yes, serial, "20261120010000000009", 1))...)
		}
		held <- append(bytes.Clone(b[:24]), "000000000000"+yes...)
		return nil
	})
	o := options(addr, dialect(t, "links/mis-tuxedo.yaml"), func(op pay.Op, rep pay.Reply) {
		late <- fmt.Sprint(op, rep.Verdict, rep.Serial, pay.Find(rep.More, pay.FSerial))
	})
	o.Conns = 1
	a := running(t, o)
	if got := outcome(do(t, a, sale(), 200*time.Millisecond)); got != "unknown" {
		t.Errorf("silence: %s", got)
	}
	status := &pay.Request{Op: pay.Status, Ref: pay.Ref{Kind: pay.KindOther, Serial: "20261120010000000009"}, Original: &pay.Ref{Kind: pay.KindPay, Serial: serial}}
	if rep, err := do(t, a, status, 10*time.Second); err != nil || rep.Verdict != pay.Approved {
		t.Errorf("status: %+v, %v", rep, err)
	}
	if got := <-late; got != fmt.Sprint(pay.Pay, pay.Approved, "T1", serial) {
		t.Errorf("late: %s", got)
	}
}

// A reply of another service is none, whatever its correlation number.
func TestReplyOfAnotherService(t *testing.T) {
	addr := monitor(t, func(b []byte) []byte {
		return framed("T" + fmt.Sprintf("%-15s", "MIS_QUERY") + string(b[16:24]) + "000000000000" + yes)
	})
	a := running(t, options(addr, dialect(t, "links/mis-tuxedo.yaml"), func(pay.Op, pay.Reply) {}))
	if got := outcome(do(t, a, sale(), 10*time.Second)); got != "unknown" {
		t.Error(got)
	}
}

func TestForeignPortsAreNamed(t *testing.T) {
	for first, want := range map[string]string{"\x91\x03\x98\x58\x00\x00\x00\x04": "workstation port", "HTTP/1.1 400 Bad Request\r\n\r\n": "HTTP server", "\x15\x03\x01\x00\x02\x02\x46": "TLS"} {
		addr := monitor(t, func([]byte) []byte { return []byte(first) })
		a := running(t, options(addr, dialect(t, "links/mis-tuxedo.yaml"), func(pay.Op, pay.Reply) {}))
		if rep, err := do(t, a, sale(), 10*time.Second); outcome(rep, err) != "unknown" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", first, err, want)
		}
	}
}

// The REST gateways say tperrno in a status, or in a member of the reply.
func TestREST(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"success":             {200, `{"RET_CODE":"OK","BANK_SERIAL":"` + serial + `","TRADE_AMT":10050,"MIS_SERIAL":"T1"}`, "approved"},
		"member 0":            {200, `{"error_code":0,"RET_CODE":"OK","BANK_SERIAL":"` + serial + `","TRADE_AMT":10050}`, "approved"},
		"member TPENOENT":     {200, `{"error_code":6,"error_message":"x"}`, "not sent"},
		"member TPETIME":      {200, `{"error_code":"13"}`, "unknown"},
		"member after it ran": {200, `{"error_code":12,"RET_CODE":"OK","BANK_SERIAL":"` + serial + `","TRADE_AMT":10050}`, "unknown"},
		"member no number":    {200, `{"error_code":"none"}`, "unknown"},
		"refusal":             {200, `{"error_code":11,"RET_CODE":"CUSTOMER"}`, "declined"},
		"no JSON":             {200, "\xd5\xc5", "unknown"},
		"listed status":       {404, "", "not sent"},
		"unlisted status":     {500, `{"RET_CODE":"OK","BANK_SERIAL":"` + serial + `","TRADE_AMT":10050}`, "unknown"},
		"fraction":            {200, `{"RET_CODE":"OK","BANK_SERIAL":"` + serial + `","TRADE_AMT":10050.5}`, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/rest/MIS_PAY" || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("asked %s, %s", r.URL.Path, r.Header.Get("Content-Type"))
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer srv.Close()
			o := options(srv.Listener.Addr().String(), restDialect(t), func(pay.Op, pay.Reply) {})
			o.Envelope, o.URL, o.Member, o.Statuses = Envelope{}, "http://mis.example/rest/", "error_code", map[int]Errno{404: TPENOENT}
			rep, err := do(t, running(t, o), sale(), 10*time.Second)
			if got := outcome(rep, err); got != c.want {
				t.Errorf("got %s (%+v, %v), want %s", got, rep, err, c.want)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	d := dialect(t, "links/mis-tuxedo.yaml")
	for want, change := range map[string]func(*Options){
		"buffer":            func(o *Options) { o.Buffer = "VIEW" },
		"not for HTTP":      func(o *Options) { o.URL = "http://x/" },
		"need an envelope":  func(o *Options) { o.Envelope = Envelope{} },
		"envelope: want":    func(o *Options) { o.Envelope.Corr = 1 },
		"longer than":       func(o *Options) { o.Envelope.Service = 7 },
		"serial or amount":  func(o *Options) { o.Echo = []string{"account"} },
		"url":               func(o *Options) { o.Envelope, o.URL = Envelope{}, "tcp://x" },
		"names the service": func(o *Options) { o.Dialect = dialect(t, "links/kiosk-socket.yaml") },
	} {
		o := options("127.0.0.1:1", d, func(pay.Op, pay.Reply) {})
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	for _, name := range []string{"", ".TMIB", "A B", strings.Repeat("A", 128), "付款"} {
		if checkService(name) == nil {
			t.Errorf("took %q", name)
		}
	}
}

func TestNULInString(t *testing.T) {
	o := options("127.0.0.1:1", dialect(t, "links/mis-tuxedo.yaml"), func(pay.Op, pay.Reply) {})
	o.Buffer, o.Mode = STRING, link.Short
	d := *o.Dialect
	d.Request.Envelope = nuls{}
	o.Dialect = &d
	a := running(t, o)
	if got := outcome(do(t, a, sale(), 10*time.Second)); got != "not sent" {
		t.Error(got)
	}
}

// nuls ends every body with a NUL.
type nuls struct{}

func (nuls) Open(dst []byte, f *protocol.Frame) ([]byte, error) { return append(dst, f.Body...), nil }
func (nuls) Seal(dst []byte, f *protocol.Frame) ([]byte, error) {
	return append(append(dst, f.Body...), 0), nil
}
