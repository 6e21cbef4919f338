package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"qianzhi/adapters/files"
	"qianzhi/conf"
	"qianzhi/gateway/pay"
	"qianzhi/reconcile"
	"qianzhi/reconcile/statement"
)

const today = pay.Day(20251120)

// engine is a gateway in memory: a key takes effect once.
type engine struct {
	mu     sync.Mutex
	by     map[pay.Ref]*pay.Entry
	begun  map[string]int // account: payments that were begun
	answer func(n int, req *pay.Request) (pay.State, pay.Code)
	asked  int
}

func newEngine() *engine {
	return &engine{by: map[pay.Ref]*pay.Entry{}, begun: map[string]int{},
		answer: func(int, *pay.Request) (pay.State, pay.Code) { return pay.Succ, pay.CodeOK }}
}

func (e *engine) Day() pay.Day { return today }

func (e *engine) Find(_ context.Context, ref pay.Ref) (pay.Entry, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.by[ref]; p != nil {
		return *p, true, nil
	}
	return pay.Entry{}, false, nil
}

func (e *engine) Do(_ context.Context, req *pay.Request) pay.Reply {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	p := e.by[req.Ref]
	if p == nil {
		state, code := e.answer(e.asked, req)
		if state == pay.NoState { // not admitted
			return pay.Answer(pay.Unknown, pay.CodeBusy)
		}
		p = &pay.Entry{Req: req, State: state, Code: code}
		e.by[req.Ref] = p
		e.begun[req.Account]++
	}
	rep := pay.Reply{Amount: p.Req.Amount, Serial: "OURS", Code: p.Code}
	switch p.State {
	case pay.Succ:
		rep.Verdict = pay.Approved
	case pay.Fail:
		rep.Verdict = pay.Declined
	case pay.Susp, pay.Adjd:
		rep.Code = pay.CodeParked
	default:
		rep.Code = pay.CodeInProgress
	}
	return rep
}

// bureau is a utility with its folders, and a Batch that works for it.
type bureau struct {
	*Batch
	t       *testing.T
	e       *engine
	o       Options
	in, out string
	acts    []string
	now     time.Time
}

func spec(t *testing.T, name string) *statement.Spec {
	t.Helper()
	b, err := conf.Files.ReadFile("statements/" + name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := statement.Parse(name, b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newBureau(t *testing.T, change func(*Options)) *bureau {
	t.Helper()
	x := &bureau{t: t, e: newEngine(), in: t.TempDir(), out: t.TempDir(), now: time.Date(2025, 11, 20, 9, 0, 0, 0, time.UTC)}
	from, to := files.Options{Kind: "local", Dir: x.in}, files.Options{Kind: "local", Dir: x.out}
	now := func() time.Time { return x.now }
	never := func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	data := t.TempDir()
	x.o = Options{ID: "debit", Institution: "0512", Spec: spec(t, "utility-debit.yaml"), Serial: []string{"account", "bill_month"}, Result: spec(t, "utility-debit-result.yaml"),
		From: "0001_", To: "1001_", Refusal: "{name}.err", Words: []Word{{pay.CodeNothingOwed, "PA10"}}, Workers: 3, DupDays: 3, Every: time.Minute, Max: 1 << 20,
		Dir: filepath.Join(data, "state"), Store: from.Open,
		Fetch:    files.Fetcher{Open: from.Open, Keep: &files.Archive{Dir: filepath.Join(data, "fetched"), Now: now}, Now: now, Pause: never},
		Send:     files.Deliverer{Open: to.Open, Now: now, Pause: never},
		Payments: x.e, Books: x.e, Now: now, Log: slog.New(slog.DiscardHandler),
		Record: func(_ context.Context, what, on, why string) error {
			x.acts = append(x.acts, what+" "+on)
			return nil
		}}
	if change != nil {
		change(&x.o)
	}
	x.restart()
	return x
}

// restart is the next process: nothing is left of the one before but its files.
func (x *bureau) restart() {
	x.t.Helper()
	b, err := New(x.o)
	if err != nil {
		x.t.Fatal(err)
	}
	x.Batch = b
}

func (x *bureau) put(name, text string) {
	x.t.Helper()
	if err := os.WriteFile(filepath.Join(x.in, name), []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
}

func (x *bureau) once() {
	x.t.Helper()
	if err := x.Once(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
}

// got is a file that the utility received, "" when there is none.
func (x *bureau) got(name string) string {
	b, err := os.ReadFile(filepath.Join(x.out, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		x.t.Fatal(err)
	}
	return string(b)
}

const fileName, resultName = "0001_20251120_00_1_1.set", "1001_20251120_00_1_1.set"

// row is a line of a debit file.
func row(account int, fen string) string {
	return fmt.Sprintf("%21s|62220000|%12s|  202511|001|6222999|1|\n", fmt.Sprintf("0512%08d", account), fen)
}

func file(n, sum int, rows ...string) string {
	return fmt.Sprintf("202511|%d|%d|B1|\n%s", n, sum, strings.Join(rows, ""))
}

// status is the last column of each line of a result.
func status(result string) (out []string) {
	for _, l := range strings.Split(strings.TrimSpace(result), "\n")[1:] {
		f := strings.Split(l, "|")
		out = append(out, f[len(f)-2])
	}
	return out
}

// TestEveryRowOnce charges a file with every outcome; what is in doubt holds the
// result back, and nothing is begun twice, whatever stops in between.
func TestEveryRowOnce(t *testing.T) {
	x := newBureau(t, nil)
	x.e.answer = func(_ int, req *pay.Request) (pay.State, pay.Code) {
		switch req.Account[len(req.Account)-1] {
		case '2':
			return pay.Fail, pay.CodeNothingOwed
		case '3':
			return pay.Unkn, pay.CodeUnknown
		case '4':
			return pay.Susp, pay.CodeParked
		case '5':
			return pay.Susp, pay.CodeParked
		}
		return pay.Succ, pay.CodeOK
	}
	x.put("another.txt", "not ours")
	x.put(fileName, file(5, 1500, row(1, "100"), row(2, "200"), row(3, "300"), row(4, "400"), row(5, "500")))
	for range 3 {
		x.once()
		x.restart()
	}
	if got := x.got(resultName); got != "" {
		t.Fatalf("a result while rows are in doubt: %s", got)
	}
	for ref, p := range x.e.by {
		switch ref.Serial[11] {
		case '3':
			p.State = pay.Succ
		case '4': // people found that it was charged
			p.State, p.Code = pay.Adjd, pay.CodeOK
		case '5': // or that it was not
			p.State, p.Code = pay.Adjd, pay.CodeReversed
		}
	}
	for range 3 {
		x.once()
		x.restart()
	}
	got := x.got(resultName)
	if want := "0000 PA10 0000 0000 0002"; strings.Join(status(got), " ") != want || !strings.HasPrefix(got, "202511|5|1500|3|800|2|700|B1|20251120|") {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := x.o.Result.Read([]byte(got), today, reconcile.Bank); err != nil {
		t.Errorf("the result does not read: %v", err)
	}
	for account, n := range x.e.begun {
		if n != 1 {
			t.Errorf("%s was begun %d times", account, n)
		}
	}
	if want := "批扣文件受理 " + fileName + ",批扣结果 " + fileName + ",批扣结果送达 " + fileName; strings.Join(x.acts, ",") != want || len(x.e.begun) != 5 {
		t.Errorf("acts %v, %d payments", x.acts, len(x.e.begun))
	}
}

// TestRequestOfARow carries what the columns say, under the file and the row.
func TestRequestOfARow(t *testing.T) {
	x := newBureau(t, nil)
	x.put(fileName, file(1, 100, row(7, "100")))
	x.once()
	for ref, p := range x.e.by {
		r := p.Req
		if ref != (pay.Ref{Institution: "0512", Kind: pay.KindPay, Scope: fileName, Serial: "051200000007/202511"}) || r.Account != "051200000007" || r.Amount != 100 ||
			r.Day != today || r.Via.Link != "debit" || r.Via.Funds != pay.Untaken || pay.Find(r.More, pay.FPAN) != "62220000" || pay.Find(r.More, pay.FBatch) != "B1" || pay.Find(r.More, pay.FBranch) != "001" {
			t.Errorf("got %+v %+v", ref, r)
		}
	}
}

// TestKilledAnywhere stops after every single answer of the engine and after
// every act; in the end each row was begun once and the result is whole.
func TestKilledAnywhere(t *testing.T) {
	for stop := range 9 {
		x := newBureau(t, func(o *Options) { o.Workers = 1 })
		left := stop
		die := func() bool { left--; return left < 0 }
		live := x.o.Record
		dead := errors.New("killed")
		x.o.Record = func(ctx context.Context, what, on, why string) error {
			if die() {
				return dead
			}
			return live(ctx, what, on, why)
		}
		x.e.answer = func(int, *pay.Request) (pay.State, pay.Code) {
			if die() {
				return pay.NoState, pay.CodeBusy
			}
			return pay.Succ, pay.CodeOK
		}
		x.put(fileName, file(4, 400, row(1, "100"), row(2, "100"), row(3, "100"), row(4, "100")))
		for range 3 {
			x.restart()
			if err := x.Once(t.Context()); err != nil && !errors.Is(err, dead) {
				t.Fatal(err)
			}
			left = 100
		}
		if got := status(x.got(resultName)); strings.Join(got, " ") != "0000 0000 0000 0000" || len(x.e.begun) != 4 {
			t.Errorf("stopped after %d: %v, %v", stop, got, x.e.begun)
		}
	}
}

// TestRefused refuses a whole file for one row, names the place and begins
// nothing.
func TestRefused(t *testing.T) {
	good := row(1, "100")
	for why, c := range map[string][2]string{
		"total":         {fileName, file(1, 101, good)},
		"no amount":     {fileName, file(2, 100, good, row(2, "0"))},
		"letters":       {fileName, file(2, 200, good, row(2, "1O0"))},
		"no customer":   {fileName, file(1, 100, strings.Replace(good, "051200000001", "            ", 1))},
		"the same row":  {fileName, file(2, 200, good, good)},
		"columns":       {fileName, file(1, 100, strings.Replace(good, "|001", "", 1))},
		"too old":       {"0001_20251117_00_1_1.set", file(1, 100, good)},
		"of the future": {"0001_20251122_00_1_1.set", file(1, 100, good)},
		"of no bytes":   {fileName, ""},
	} {
		x := newBureau(t, nil)
		x.put(c[0], c[1])
		x.once()
		x.once()
		said := x.got(c[0] + ".err")
		if !strings.HasPrefix(said, "拒收 "+c[0]+"\n") || x.e.asked != 0 || len(x.acts) != 2 {
			t.Errorf("%s: said %q, %d rows begun, acts %v", why, said, x.e.asked, x.acts)
		}
		if place := map[string]string{"no amount": "第3行 amount", "letters": "第3行 amount", "the same row": "第3行 account", "no customer": "第2行 account"}[why]; !strings.Contains(said, place) {
			t.Errorf("%s: %q does not name %s", why, said, place)
		}
	}
}

// TestOtherContent never takes a second file of a name.
func TestOtherContent(t *testing.T) {
	x := newBureau(t, nil)
	x.put(fileName, file(1, 100, row(1, "100")))
	x.once()
	x.put(fileName, file(2, 300, row(1, "100"), row(2, "200")))
	x.once()
	x.once()
	if x.e.begun["051200000002"] != 0 || len(x.acts) != 4 || !strings.HasPrefix(x.acts[3], "批扣同名异文件") {
		t.Errorf("begun %v, acts %v", x.e.begun, x.acts)
	}
}

// TestRowsThatNobodyKnows leaves a file to people when the journal cannot tell
// whether its rows were charged.
func TestRowsThatNobodyKnows(t *testing.T) {
	x := newBureau(t, nil)
	x.e.answer = func(int, *pay.Request) (pay.State, pay.Code) { return pay.Fail, pay.CodeExpired }
	x.put(fileName, file(1, 100, row(1, "100")))
	if err := x.Once(t.Context()); !errors.Is(err, errKey) || x.got(resultName) != "" {
		t.Errorf("got %v, result %q", err, x.got(resultName))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"institution": func(o *Options) { o.Institution = "" },
		"workers":     func(o *Options) { o.Workers = 0 },
		"serial":      func(o *Options) { o.Serial = []string{"moon"} },
		"rename":      func(o *Options) { o.From, o.To = "", "" },
		"refusal":     func(o *Options) { o.Refusal = "err.txt" },
		"words":       func(o *Options) { o.Words = []Word{{pay.CodeOK, "PA10"}} },
		"result":      func(o *Options) { o.Result = o.Spec },
	} {
		x := newBureau(t, nil)
		change(&x.o)
		if _, err := New(x.o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
