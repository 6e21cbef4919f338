package app

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

// scenarios are the regression scenarios of sockets and of the configuration,
// one test each, named after them; those of the engine are in cmd/internal/sim,
// where a list says which stand elsewhere.
var scenarios = map[string]func(*testing.T, *house){
	"frame arrives in pieces with a pause": func(t *testing.T, h *house) { inPieces(t, h, 10, 40) },
	"header split over 3 packets":          func(t *testing.T, h *house) { inPieces(t, h, 2, 4) },
	"two frames in 1 packet":               twoInOne,
	"zero-length frame echo war":           echoWar,
	"half-open link after pulled cable":    pulledCable,
	"peer closes during write":             closesDuringWrite,
	"one bank stalls":                      stalls,
	"5,000 idle links":                     idleLinks,
}

func TestScenarios(t *testing.T) {
	for name, play := range scenarios {
		t.Run(name, func(t *testing.T) { play(t, newHouse(t)) })
	}
	t.Run("config with inner timeout > outer", innerTimeout)
}

// raw is a connection of a bank without manners.
func (h *house) raw() net.Conn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.app.Addr("fixed"))
	if err == nil {
		err = c.SetDeadline(time.Now().Add(30 * time.Second))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// frame is a message as it goes over the fixed link.
func (h *house) frame(req *pay.Request) []byte {
	h.t.Helper()
	d := h.app.plan.links[1].dialect
	f, _, err := d.AppendRequest(req, new(protocol.Record), time.Now())
	var b []byte
	if err == nil {
		b, err = d.Request.Framer.Append(nil, f)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// replies reads n whole replies and nothing more.
func (h *house) replies(c net.Conn, n int) {
	h.t.Helper()
	d, buf := h.app.plan.links[1].dialect, []byte(nil)
	for n > 0 {
		_, used, err := d.Reply.Framer.Next(buf)
		if err != nil {
			h.t.Fatal(err)
		}
		if used > 0 {
			buf, n = buf[used:], n-1
			continue
		}
		chunk := make([]byte, 4096)
		got, err := c.Read(chunk)
		if err != nil {
			h.t.Fatalf("%d replies are missing: %v", n, err)
		}
		buf = append(buf, chunk[:got]...)
	}
	if len(buf) > 0 {
		h.t.Errorf("%d bytes too many", len(buf))
	}
}

// write sends bytes, which must leave at once.
func (h *house) write(c net.Conn, b []byte) {
	h.t.Helper()
	if _, err := c.Write(b); err != nil {
		h.t.Fatal(err)
	}
}

// inPieces breaks a frame at two places. The pause between pieces is as long as
// a message of somebody else takes, so that each piece is read alone.
func inPieces(t *testing.T, h *house, first, second int) {
	c, b := h.raw(), h.frame(h.request(pay.Echo))
	for _, piece := range [][]byte{b[:first], b[first:second], b[second:]} {
		h.write(c, piece)
		if rep, err := h.ask(h.request(pay.Echo)); err != nil || rep.Verdict != pay.Approved {
			t.Fatal(rep, err)
		}
	}
	h.replies(c, 1)
}

func twoInOne(_ *testing.T, h *house) {
	c := h.raw()
	h.write(c, append(h.frame(h.request(pay.Echo)), h.frame(h.request(pay.Echo))...))
	h.replies(c, 2)
}

// echoWar sends frames without content, as a sign of life: none is answered, so
// that two that both answer cannot keep each other busy.
func echoWar(t *testing.T, h *house) {
	c := h.raw()
	for range 100 {
		if _, err := c.Write([]byte("000000")); err != nil {
			break // it may end the connection
		}
	}
	if err := errors.Join(c.(*net.TCPConn).CloseWrite()); err != nil {
		t.Log(err)
	}
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("%d bytes came back: %q", len(b), b[:min(len(b), 60)])
	}
	h.paid(h.sale(0))
}

// pulledCable leaves a connection that nobody closes in the middle of a message:
// the bank comes again on another and is answered.
func pulledCable(_ *testing.T, h *house) {
	sale := h.sale(0)
	b := h.frame(sale)
	h.write(h.raw(), b[:len(b)/2])
	c := h.raw()
	h.write(c, b)
	h.replies(c, 1)
	h.paid(sale)
}

// closesDuringWrite hangs up as soon as the payment has left, so that the answer
// meets a closed connection: the payment counts once, and its repeat is told.
func closesDuringWrite(t *testing.T, h *house) {
	var sales []*pay.Request
	for i := range 20 {
		sales = append(sales, h.sale(i))
		c := h.raw()
		h.write(c, h.frame(sales[i]))
		if err := errors.Join(c.(*net.TCPConn).SetLinger(0), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range sales {
		h.paid(s)
	}
	if st := h.app.Status(); st.Unknown != 0 || st.Links[1].Panics != 0 {
		t.Errorf("%+v", st)
	}
}

// stalls has one bank send halves of messages and read nothing on many
// connections: another is answered as ever.
func stalls(t *testing.T, h *house) {
	for range 200 {
		c, err := net.Dial("tcp", h.app.Addr("http"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		h.write(c, []byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"))
		if c, err = net.Dial("tcp", h.app.Addr("pos")); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		h.write(c, []byte{0, 40, 0x60})
	}
	start := time.Now()
	for i := range 20 {
		h.paid(h.sale(i))
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("20 payments took %s", took)
	}
}

// idleLinks holds thousands of connections open and pays over one more.
func idleLinks(t *testing.T, h *house) {
	h.stop()
	rewrite(t, strings.TrimSuffix(h.file, "qianzhi.yaml")+"links/bank-fixed.yaml", "connections: 256", "connections: 6000")
	h.start()
	const links = 5000
	var wg sync.WaitGroup
	conns := make([]net.Conn, links)
	for part := range 50 {
		wg.Go(func() {
			for i := part; i < links; i += 50 {
				c, err := net.Dial("tcp", h.app.Addr("fixed"))
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = c
			}
		})
	}
	wg.Wait()
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	h.until("connections", func() bool { return h.app.Status().Links[1].Conns >= links })
	for i := range 20 {
		h.paid(h.sale(i))
	}
	h.write(conns[links/2], h.frame(h.request(pay.Echo)))
	h.replies(conns[links/2], 1)
}

// innerTimeout refuses a configuration in which a host may take longer than the
// bank waits.
func innerTimeout(t *testing.T) {
	c, err := Load(install(t, "timeout: 10s", "timeout: 31s"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "must be longer than") {
		t.Errorf("got %v", err)
	}
}
