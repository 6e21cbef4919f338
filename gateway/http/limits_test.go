package http

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/limit"
)

func TestOnlyTheListConnects(t *testing.T) {
	url, stop := serve(t, &desk{}, func(o *Options) { o.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	defer stop()
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("not closed: %v", err)
	}
}

func TestRateIsRefusedProperly(t *testing.T) {
	now := time.Unix(1e9, 0)
	url, stop := serve(t, &desk{}, func(o *Options) {
		o.Rate, o.Now = limit.Rate{Events: 3, Per: time.Minute}, func() time.Time { return now }
	})
	defer stop()
	got := map[string]int{}
	for range 5 {
		_, body := post(t, client(t), url, "x")
		got[strings.Fields(body)[0]]++
	}
	if got["busy"] != 2 {
		t.Errorf("got %v", got)
	}
}

// TestSlowHeads holds all places of one address with heads that never end; they
// are closed, and another client is answered meanwhile.
func TestSlowHeads(t *testing.T) {
	url, stop := serve(t, &desk{}, func(o *Options) { o.Conns, o.Header = 10, 200*time.Millisecond })
	defer stop()
	var wg sync.WaitGroup
	for range 9 {
		nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := nc.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadAll(nc); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Error("a head without end is still open")
			}
		})
	}
	if res, body := post(t, client(t), url, "x"); res.StatusCode != 200 || !strings.HasPrefix(body, "/") {
		t.Errorf("meanwhile: %s %s", res.Status, body)
	}
	wg.Wait()
}
