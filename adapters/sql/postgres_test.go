package sql

import (
	"bytes"
	"context"
	db "database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"qianzhi/gateway/pay"
)

// missing ends a test whose real counterpart is not installed: it fails in CI
// and skips elsewhere.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "1" {
		t.Fatalf("%s is not installed; .ci/deps installs it", what)
	}
	t.Skipf("%s is not installed; .ci/deps installs it", what)
}

// postgres starts a server of its own and returns its address and a source with
// the host and port left out.
func postgres(t testing.TB) (addr, source string) {
	t.Helper()
	bin := tool(t, "initdb")
	dir, err := os.MkdirTemp("", "qianzhi-pg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	as := owner(t, dir)
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr, cmd.Env = dir, as, append(os.Environ(), "LC_ALL=C")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = ln.Addr().String()
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	data := filepath.Join(dir, "data")
	run("initdb", "-D", data, "-U", "meter", "-A", "trust", "-E", "UTF8", "-N")
	run("pg_ctl", "-D", data, "-w", "-t", "60", "-l", filepath.Join(dir, "log"), "-o",
		"-h 127.0.0.1 -p "+port+" -c unix_socket_directories='' -c fsync=off", "start")
	t.Cleanup(func() { run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop") })
	return addr, "user=meter sslmode=disable "
}

// tool returns the folder of PostgreSQL's programs.
func tool(t testing.TB, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if at, err := exec.LookPath(name); err == nil {
		found = append(found, at)
	}
	if len(found) == 0 {
		missing(t, "PostgreSQL ("+name+")")
	}
	return filepath.Dir(found[0])
}

// owner gives the folder to a user that may run PostgreSQL, which root may not.
func owner(t testing.TB, dir string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		missing(t, "the user postgres")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func hostPort(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return "host=" + host + " port=" + port
}

// server is a PostgreSQL that the tests below share.
type server struct{ addr, source string }

// meter makes a card-meter system and returns the adapter, reached through a
// wire, and a way to count what was sold.
func (s server) meter(t *testing.T) (*Adapter, *wire, func(serial string) int) {
	t.Helper()
	source := s.source + "dbname=" + strings.ToLower(filepath.Base(t.Name())) + " "
	direct := s.create(t, source)
	schema, err := os.ReadFile("testdata/meter.sql")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := direct.Exec(string(schema)); err != nil {
		t.Fatal(err)
	}
	w := newWire(t, s.addr)
	text, err := os.ReadFile("testdata/meter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	a := adapter(t, string(text), "links/mis-sql.yaml", source+hostPort(w.ln.Addr().String()))
	return a, w, func(serial string) (n int) {
		t.Helper()
		if err := direct.QueryRow(`SELECT count(*) FROM sale WHERE serial = $1`, serial).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// create makes the database of a source.
func (s server) create(t *testing.T, source string) *db.DB {
	t.Helper()
	first, err := db.Open("pgx", s.source+"dbname=postgres "+hostPort(s.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := first.Exec("CREATE DATABASE " + strings.ToLower(filepath.Base(t.Name()))); err != nil {
		t.Fatal(err)
	}
	direct, err := db.Open("pgx", source+hostPort(s.addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { direct.Close() })
	return direct
}

// wire is a proxy that does something to the first packet with a word in it.
type wire struct {
	ln     net.Listener
	target string

	mu   sync.Mutex
	word string // what to wait for, of the client's packets
	then string // drop: it does not arrive; lose: it arrives, the answer does not; hang: neither arrives, nobody closes
	met  chan struct{}
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ln: ln, target: target}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.forward(t.Context(), c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return w
}

func (w *wire) next(word, then string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.word, w.then, w.met = word, then, make(chan struct{})
	return w.met
}

func (w *wire) falls(b []byte) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.word == "" || !bytes.Contains(bytes.ToLower(b), []byte(w.word)) {
		return ""
	}
	w.word = ""
	close(w.met)
	return w.then
}

func (w *wire) forward(ctx context.Context, c net.Conn) {
	s, err := net.Dial("tcp", w.target)
	if err != nil {
		c.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { c.Close(); s.Close() })
	defer stop()
	var mute atomic.Bool // answers are lost
	var wg sync.WaitGroup
	wg.Go(func() {
		defer c.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := s.Read(buf)
			if !mute.Load() {
				c.Write(buf[:n])
			}
			if err != nil {
				return
			}
		}
	})
	defer wg.Wait()
	defer s.Close()
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		switch w.falls(buf[:n]) {
		case "drop":
			return
		case "lose":
			mute.Store(true)
			s.Write(buf[:n])
			s.(*net.TCPConn).CloseWrite()
			wg.Wait() // until the database has done all it was told
			return
		case "hang":
			<-ctx.Done()
			return
		}
		s.Write(buf[:n])
		if err != nil {
			return
		}
	}
}

func TestPostgres(t *testing.T) {
	addr, source := postgres(t)
	s := server{addr, source}
	t.Run("Meter", s.sells)
	t.Run("Hangs", s.hangs)
	t.Run("Callers", s.callers)
	t.Run("Contract", s.contract)
}

func (s server) sells(t *testing.T) {
	a, w, sold := s.meter(t)
	do := func(req *pay.Request, v pay.Verdict, c pay.Code) pay.Reply {
		t.Helper()
		rep, err := a.Do(t.Context(), req)
		if err != nil || rep.Verdict != v || rep.Code != c {
			t.Fatalf("%s: got %+v, %v, want %s/%s", req.Op, rep, err, v, c)
		}
		return rep
	}
	p := sale("S1", "0512000001", 10050)
	if rep := do(p, pay.Approved, pay.CodeOK); rep.Amount != 10050 || !strings.HasPrefix(rep.Serial, "M") {
		t.Errorf("got %+v", rep)
	}
	do(p, pay.Approved, pay.CodeOK) // once more
	if sold("S1") != 1 {
		t.Errorf("sold %d times", sold("S1"))
	}
	do(sale("S1", "0512000001", 10051), pay.Declined, pay.CodeDuplicate)
	do(sale("S2", "0512999999", 1), pay.Declined, pay.CodeNoCustomer)
	if rep := do(&pay.Request{Op: pay.Query, Ref: p.Ref, Account: p.Account}, pay.Approved, pay.CodeOK); pay.Find(rep.More, pay.FName) != "张三" || pay.Find(rep.More, pay.FOwedCount) != "1" {
		t.Errorf("got %+v", rep)
	}
	do(about(pay.Status, p), pay.Approved, pay.CodeOK)
	totals := do(&pay.Request{Op: pay.CheckTotals, Ref: pay.Ref{Serial: "T"}, Day: day, Amount: 10050, More: []pay.Field{{ID: pay.FCreditCount, Val: "1"}}}, pay.Approved, pay.CodeOK)
	if totals.Amount != 10050 || pay.Find(totals.More, pay.FCreditCount) != "1" {
		t.Errorf("got %+v", totals)
	}
	do(about(pay.Status, sale("S9", "", 0)), pay.Declined, pay.CodeOriginal)
	wrong := about(pay.Reverse, p)
	wrong.Amount++
	do(wrong, pay.Declined, pay.CodeAmount)
	do(about(pay.Reverse, p), pay.Approved, pay.CodeOK)
	do(about(pay.Reverse, p), pay.Approved, pay.CodeReversed)

	// a constraint of the database refuses: rolled back, and proved
	_, err := a.Do(t.Context(), sale("S3", "0512000001", 0))
	if f := fault(t, err); f.Sent || sold("S3") != 0 {
		t.Errorf("got %v and %d sales", err, sold("S3"))
	}
	// the commit arrives, its answer does not
	w.next("commit", "lose")
	_, err = a.Do(t.Context(), sale("S4", "0512000001", 100))
	if f := fault(t, err); !f.Sent || sold("S4") != 1 {
		t.Errorf("answer of the commit lost: %v and %d sales", err, sold("S4"))
	}
	do(about(pay.Status, sale("S4", "", 0)), pay.Approved, pay.CodeOK) // a new connection
	// the commit does not arrive
	w.next("commit", "drop")
	_, err = a.Do(t.Context(), sale("S5", "0512000001", 100))
	if f := fault(t, err); !f.Sent || sold("S5") != 0 {
		t.Errorf("commit lost: %v and %d sales", err, sold("S5"))
	}
	// the connection is lost between begin and commit: nothing confirms the rollback
	do(p, pay.Approved, pay.CodeOK)
	w.next("s6", "lose")
	_, err = a.Do(t.Context(), sale("S6", "0512000001", 100))
	if f := fault(t, err); !f.Sent || sold("S6") != 0 {
		t.Errorf("lost in the middle: %v and %d sales", err, sold("S6"))
	}
}

// A database that hangs is waited for until the deadline, and then nothing is
// known.
func (s server) hangs(t *testing.T) {
	a, w, sold := s.meter(t)
	for i, word := range []string{"commit", "h1"} {
		serial := fmt.Sprintf("H%d", i)
		met := w.next(word, "hang")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		go func() {
			<-met
			cancel() // stands for the deadline
		}()
		_, err := a.Do(ctx, sale(serial, "0512000001", 100))
		if f := fault(t, err); !f.Sent || sold(serial) != 0 {
			t.Errorf("hung at %s: %v and %d sales", word, err, sold(serial))
		}
	}
	w.ln.Close()
	_, err := a.Do(t.Context(), sale("H9", "0512000001", 100))
	if f := fault(t, err); f.Sent || f.Code != pay.CodeUnreachable {
		t.Errorf("nobody listens: %v", err)
	}
}

// Many callers sell each serial once. The database may refuse all of them at
// first, as transactions that cannot be put in an order; then they ask again,
// under the same serial.
func (s server) callers(t *testing.T) {
	a, _, sold := s.meter(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			err := errors.New("not asked")
			var rep pay.Reply
			for tries := 0; err != nil && tries < 100; tries++ {
				rep, err = a.Do(t.Context(), sale(fmt.Sprintf("C%d", i%10), "0512000002", 100))
			}
			if err != nil || rep.Verdict != pay.Approved {
				t.Errorf("got %+v, %v", rep, err)
			}
		})
	}
	wg.Wait()
	for i := range 10 {
		if n := sold(fmt.Sprintf("C%d", i)); n != 1 {
			t.Errorf("C%d sold %d times", i, n)
		}
	}
}
