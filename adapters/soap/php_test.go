package soap

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"qianzhi/gateway/pay"
)

// php starts PHP's own web server with the SOAP service in testdata.
func php(t *testing.T) string {
	t.Helper()
	if err := exec.Command("php", "-r", "exit(class_exists('SoapServer') ? 0 : 1);").Run(); err != nil {
		if os.Getenv("CI") == "1" {
			t.Fatalf("php with its soap extension is needed (.ci/deps): %v", err)
		}
		t.Skipf("needs php with its soap extension (.ci/deps): %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	cmd := exec.Command("php", "-S", addr, "testdata/server.php")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return addr
}

// A SOAP server that is not ours, with its own reading of the WSDL.
func TestForeignServer(t *testing.T) {
	addr := php(t)
	wsdl, err := os.ReadFile("testdata/mis.wsdl")
	if err != nil {
		t.Fatal(err)
	}
	with := func(password string) *Adapter {
		return asking(t, nil, func(o *Options) {
			o.Dial, o.WSDL, o.Security = dialTo(addr), wsdl, Security{User: "qianzhi", Password: password}
		})
	}
	a := with("secret")
	query := sale()
	query.Op, query.Bills = pay.Query, nil
	var rep pay.Reply
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 500 { // until it listens
		if rep, err = do(t, a, query); err == nil {
			break
		}
		var f *pay.Fault
		if errors.As(err, &f) && f.Sent {
			t.Fatal(err)
		}
		<-tick.C
	}
	if err != nil || rep.Verdict != pay.Approved || rep.Amount != 30150 || len(rep.Bills) != 2 || rep.Bills[0].Penalty != 1000 || pay.Find(rep.More, pay.FName) != "张三" {
		t.Errorf("query: %+v, %v", rep, err)
	}
	if rep, err := do(t, a, sale()); err != nil || rep.Verdict != pay.Approved || rep.Serial != "PHP2" {
		t.Errorf("pay: %+v, %v", rep, err)
	}
	bad := sale()
	bad.Account = "0512999999"
	if _, err := do(t, a, bad); !faulted(err, "数据库忙") {
		t.Errorf("a fault: %v", err)
	}
	if _, err := do(t, with("wrong"), sale()); !faulted(err, "用户名或口令错误") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := a.Do(context.Background(), &pay.Request{Op: pay.Refund}); faulted(err, "") || err == nil {
		t.Errorf("an operation the link does not have: %v", err)
	}
}

func faulted(err error, text string) bool {
	var f *pay.Fault
	return errors.As(err, &f) && f.Sent && strings.Contains(err.Error(), text)
}
