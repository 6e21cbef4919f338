package alert_test

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"qianzhi/gateway/pay"
	"qianzhi/reconcile/alert"
)

// ear is a process manager's socket.
func ear(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c, name
}

func TestSupervisorHears(t *testing.T) {
	c, name := ear(t)
	if err := (alert.Supervisor{Socket: name}).Tell("READY=1"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil || string(b[:n]) != "READY=1" {
		t.Errorf("heard %q, %v", b[:n], err)
	}
	if err := (alert.Supervisor{}).Tell("READY=1"); err != nil {
		t.Errorf("nobody listens: %v", err)
	}
	if err := (alert.Supervisor{Socket: name + ".gone"}).Tell("READY=1"); err == nil {
		t.Error("a socket that is gone took the word")
	}
}

func TestSupervisorAsks(t *testing.T) {
	for _, c := range []struct {
		socket, micros string
		want           time.Duration
	}{{"s", "30000000", 15 * time.Second}, {"s", "180000000", time.Minute}, {"", "30000000", time.Minute}, {"s", "", time.Minute}, {"s", "-1", time.Minute},
		{"s", "1", 100 * time.Millisecond}} {
		if got := (alert.Supervisor{Socket: c.socket}).Every(c.micros, time.Minute); got != c.want {
			t.Errorf("%q %q: %s, want %s", c.socket, c.micros, got, c.want)
		}
	}
}

func TestClock(t *testing.T) {
	var c alert.Clock
	for _, bad := range []string{"", "24:00", "2:5x", "7", "07:60", "-1:00"} {
		if err := c.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q taken as %s", bad, c)
		}
	}
	if err := c.UnmarshalText([]byte("07:05")); err != nil || c.String() != "07:05" {
		t.Errorf("got %s, %v", c, err)
	}
	if at := c.On(pay.Day(20261125), time.FixedZone("", 8*3600)); at.Format(time.RFC3339) != "2026-11-25T07:05:00+08:00" {
		t.Errorf("on the day it is %s", at)
	}
}
