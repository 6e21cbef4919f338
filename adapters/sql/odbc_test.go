//go:build odbc

package sql

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qianzhi/gateway/pay"
)

// TestODBC drives the same card-meter system through unixODBC and PostgreSQL's
// own ODBC driver.
func TestODBC(t *testing.T) {
	found, _ := filepath.Glob("/usr/lib/*/odbc/psqlodbcw.so")
	if len(found) == 0 {
		missing(t, "the ODBC driver of PostgreSQL")
	}
	addr, source := postgres(t)
	s := server{addr, source}
	_, _, sold := s.meter(t)
	text, err := os.ReadFile("testdata/meter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(addr)
	odbc := strings.NewReplacer("driver: postgres", "driver: odbc", "isolation: serializable\n", "", "0::numeric", "0::bigint", // a numeric arrives as a float, which is refused
		":amount)", "CAST(:amount AS bigint))").Replace(string(text))
	a := adapter(t, odbc, "links/mis-sql.yaml", "Driver="+found[0]+";Servername="+host+";Port="+port+";Database=testodbc;UserName=meter;SSLmode=disable;BoolsAsChar=0")
	p := sale("O1", "0512000001", 10050)
	for range 2 {
		rep, err := a.Do(t.Context(), p)
		if err != nil || rep.Verdict != pay.Approved || rep.Amount != 10050 {
			t.Fatalf("got %+v, %v", rep, err)
		}
	}
	rep, err := a.Do(t.Context(), &pay.Request{Op: pay.Query, Ref: p.Ref, Account: p.Account})
	if err != nil || pay.Find(rep.More, pay.FName) != "张三" {
		t.Errorf("got %+v, %v", rep, err)
	}
	if _, err := a.Do(t.Context(), sale("O2", "0512000001", 0)); fault(t, err).Sent || sold("O2") != 0 || sold("O1") != 1 {
		t.Errorf("got %v, %d and %d sales", err, sold("O1"), sold("O2"))
	}
}
