package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/protocol"
)

const fixedDoor = "listen: 127.0.0.1:7002"

func TestLinkAddressesAreChecked(t *testing.T) {
	for _, c := range [][2]string{
		{"title: x", "links: title: unknown key"},
		{"keys: {}", "links[1]: listen: want listen or dial"},
		{fixedDoor + "\n    dial: 127.0.0.1:9", "links[1]: dial: want listen or dial, not both"},
		{"listen: 7002", "links[1]: listen: address 7002: missing port"},
		{"listen: :7002", `links[1]: listen: ":7002" names no host`},
		{"dial: bank:http", `links[1]: dial: "bank:http": want a port number`},
		{fixedDoor + "\n    reply_listen: 127.0.0.1:9\n    reply_dial: 127.0.0.1:8", "links[1]: reply_dial: want reply_listen or reply_dial"},
		{fixedDoor + "\n    reply_queue: 9", "links[1]: reply_queue: needs reply_listen or reply_dial"},
		{fixedDoor + "\n    reply_listen: 127.0.0.1:9\n    reply_queue: -1", "links[1]: reply_queue: want 1 to"},
		{fixedDoor + "\n    backoff: 1s", "links[1]: backoff: needs dial or reply_dial"},
		{"dial: 127.0.0.1:9\n    connect: -1s", "links[1]: connect: too short"},
		{"dial: 127.0.0.1:9\n    backoff: 1m", "ceiling: want at least the backoff of 1m0s"},
	} {
		file := install(t, fixedDoor, c[0])
		_, err := Load(file)
		if err == nil || !strings.Contains(err.Error(), c[1]) || !strings.HasPrefix(err.Error(), file+":") {
			t.Errorf("%s: got %v, want %s", c[0], err, c[1])
		}
	}
}

// rewrite changes the text of an installed file.
func rewrite(t *testing.T, file, old, now string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), old) {
		t.Fatalf("%s has no %q, %v", file, old, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, now, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestModesAndAddressesFit(t *testing.T) {
	for _, c := range []struct{ door, link, want string }{
		{"dial: 127.0.0.1:9", "mode: one-shot\nframe:", "links[1]: dial: links/bank-fixed.yaml has mode one-shot"},
		{fixedDoor + "\n    reply_listen: 127.0.0.1:9", "mode: one-shot\nframe:", "links[1]: reply_listen: links/bank-fixed.yaml has mode one-shot"},
		{fixedDoor, "mode: short\nframe:", `mode: want persistent, or one-shot with transport tcp, got "short"`},
		{fixedDoor, "frame: {length: {kind: none}, max: 2048}\nreply_frame:", "links[1]: file: links/bank-fixed.yaml: frame has neither length nor end bytes"},
	} {
		file := install(t, fixedDoor, c.door)
		rewrite(t, strings.TrimSuffix(file, "qianzhi.yaml")+"links/bank-fixed.yaml", "\nframe:", "\n"+c.link)
		conf, err := Load(file)
		if err == nil {
			_, err = Prepare(conf, slog.New(slog.DiscardHandler))
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %s: got %v, want %s", c.door, c.link, err, c.want)
		}
	}
	conf, err := Load(install(t, "listen: 127.0.0.1:7003", "dial: 127.0.0.1:9"))
	if err == nil {
		_, err = Prepare(conf, slog.New(slog.DiscardHandler))
	}
	if err == nil || !strings.Contains(err.Error(), "links[2]: dial: links/bank-http.yaml has transport http") {
		t.Errorf("got %v", err)
	}
}

// begin starts the daemon with one link and neither MIS nor hosts.
func begin(t *testing.T, file string) *App {
	t.Helper()
	p := prepare(t, file)
	p.links, p.mis, p.ends, p.Config.Admin.Socket = p.links[1:2], nil, nil, ""
	a, err := p.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, a) })
	return a
}

// echo asks for a sign of life over one connection and reads the answer from
// another, which may be the same.
func echo(t *testing.T, d *protocol.Dialect, out, in net.Conn) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for _, c := range []net.Conn{out, in} {
		if err := c.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
	}
	rec := new(protocol.Record)
	req := &pay.Request{Op: pay.Echo, Day: 20261126, Ref: pay.Ref{Kind: pay.Echo.Kind(), Serial: "000000000001"}}
	f, msg, err := d.AppendRequest(req, rec, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Request.Framer.Append(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(b); err != nil {
		t.Fatal(err)
	}
	var buf []byte
	for {
		reply, n, err := d.Reply.Framer.Next(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			chunk := make([]byte, 4096)
			got, err := in.Read(chunk)
			if err != nil {
				t.Fatal(err)
			}
			buf = append(buf, chunk[:got]...)
			continue
		}
		if err := d.OpenReply(&reply, rec); err != nil {
			t.Fatal(err)
		}
		rep, err := d.Map.Reply(msg, &reply, rec, time.Now())
		if err != nil || rep.Verdict != pay.Approved {
			t.Fatalf("got %+v, %v", rep, err)
		}
		return
	}
}

func bankListener(t *testing.T) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if err := ln.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return ln
}

func accepted(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestDialledBank has the daemon dial the bank for requests and for replies,
// and say so.
func TestDialledBank(t *testing.T) {
	ask, reply := bankListener(t), bankListener(t)
	a := begin(t, install(t, fixedDoor, fmt.Sprintf("dial: %s\n    reply_dial: %s\n    backoff: 1ms\n    ceiling: 5ms", ask.Addr(), reply.Addr())))
	for range 2 { // the second time after both were lost
		out, in := accepted(t, ask), accepted(t, reply)
		echo(t, a.plan.links[0].dialect, out, in)
		l := a.Status().Links[0]
		if l.Conns != 1 || l.ReplyConns != 1 || l.Dial != ask.Addr().String() || l.ReplyAddr != reply.Addr().String() || l.Addr != "" {
			t.Errorf("status %+v", l)
		}
		out.Close()
		in.Close()
	}
	ask.Close()
	reply.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 20000 {
		if text := fmt.Sprint(a.Status().Problems); strings.Contains(text, "未连接 "+ask.Addr().String()) && strings.Contains(text, "应答连接未建立 ") {
			return
		}
		<-tick.C
	}
	t.Errorf("no problem reported: %+v", a.Status().Problems)
}

func TestOneShotBank(t *testing.T) {
	file := install(t, fixedDoor, "listen: 127.0.0.1:0")
	rewrite(t, strings.TrimSuffix(file, "qianzhi.yaml")+"links/bank-fixed.yaml", "\nframe:", "\nmode: one-shot\nframe:")
	a := begin(t, file)
	for range 2 {
		c, err := net.Dial("tcp", a.Addr("fixed"))
		if err != nil {
			t.Fatal(err)
		}
		echo(t, a.plan.links[0].dialect, c, c)
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("read %d, %v; want the connection closed", n, err)
		}
		c.Close()
	}
}
