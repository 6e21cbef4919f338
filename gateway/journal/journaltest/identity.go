package journaltest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
)

var identityTests = map[string]func(*testing.T, *Bench){
	"repeat":                  testRepeat,
	"repeat after restart":    testRepeatRestart,
	"two terminals":           testTwoTerminals,
	"from another link":       testOtherLink,
	"serials begin anew":      testSerialsAnew,
	"repeat of what moved on": testRepeatMoved,
	"other content":           testOther,
	"only look up":            testKnown,
	"reversal":                testReversal,
	"reversal after days":     testReversalLater,
	"tombstone":               testTombstone,
	"reversal races sale":     testRace,
	"one of many is new":      testOneNew,
	"block":                   testBlock,
	"block ends":              testBlockEnds,
	"refused":                 testRefused,
	"old sender date":         testOldDate,
	"old sender date is gone": testExpired,
	"original in an old log":  testOldOriginal,
	"moved":                   testMoved,
	"forbidden transition":    testForbidden,
	"find":                    testFind,
}

func testRepeat(t *testing.T, b *Bench) {
	first := b.new("1")
	if first.State != pay.Sent || first.Legs[0].State != pay.LegSent || first.Marked.IsZero() || first.N != 1 {
		t.Fatalf("begun as %+v", first)
	}
	again := b.begin(intent(sale("1")), pay.SeenSame)
	if err := same(&first, &again); err != nil {
		t.Fatal(err)
	}
	b.add(&first, succeeded)
	b.cut(1)
	again = b.begin(intent(sale("1")), pay.SeenSame)
	if err := same(&first, &again); err != nil {
		t.Fatal(err)
	}
	b.cut(2) // the last day that remembers
	b.begin(intent(sale("1")), pay.SeenNew)
}

func testRepeatRestart(t *testing.T, b *Bench) {
	first := b.new("1")
	b.add(&first, succeeded)
	yesterday := sale("1")
	yesterday.Day = Today
	b.cut(1)
	b.Restart()
	for _, req := range []*pay.Request{sale("1"), yesterday} {
		again := b.begin(intent(req), pay.SeenSame)
		if err := same(&first, &again); err != nil {
			t.Fatal(err)
		}
	}
	b.cut(1)
	b.Restart()
	b.begin(intent(sale("1")), pay.SeenSame)
	b.verify()
}

func testTwoTerminals(t *testing.T, b *Bench) {
	b.new("1")
	other := sale("1")
	other.Ref.Scope = "T2/000001"
	b.begin(intent(other), pay.SeenNew)
	bank := sale("1")
	bank.Ref.Institution = "0103"
	b.begin(intent(bank), pay.SeenNew)
}

// testOtherLink repeats a payment over another link of its bank: the institution
// is the key's, the link is not.
func testOtherLink(t *testing.T, b *Bench) {
	first := b.new("1")
	other := sale("1")
	other.Via.Link, other.Via.Peer, other.Via.Raw = "http", "10.0.0.9:1", []byte("other bytes")
	for range 2 {
		again := b.begin(intent(other), pay.SeenSame)
		if err := same(&first, &again); err != nil {
			t.Fatal(err)
		}
		b.cut(1)
		b.Restart()
	}
}

// testSerialsAnew has a terminal begin at 000001 again in its next batch.
func testSerialsAnew(t *testing.T, b *Bench) {
	first := b.new("000001")
	b.add(&first, succeeded)
	again := sale("000001")
	again.Ref.Scope = "T1/000002"
	second := b.begin(intent(again), pay.SeenNew)
	if second.ID == first.ID {
		t.Fatal("the same payment")
	}
	b.cut(1)
	b.Restart()
	for req, want := range map[*pay.Request]pay.ID{sale("000001"): first.ID, again: second.ID} {
		if got := b.begin(intent(req), pay.SeenSame); got.ID != want {
			t.Errorf("%s: got %v, want %v", req.Ref.Scope, got.ID, want)
		}
	}
}

// testRepeatMoved repeats a payment after each change of its state: the answer
// comes from the present one, after a cut and a restart as well.
func testRepeatMoved(t *testing.T, b *Bench) {
	e := b.new("1")
	for _, ev := range []pay.Event{unknown, succeeded, reversing, reversed} {
		b.add(&e, ev)
		if got := b.begin(intent(sale("1")), pay.SeenSame); got.State != ev.State || got.ID != e.ID {
			t.Errorf("repeat after %s is told %s", ev.State, got.State)
		}
		if ev.State == pay.Unkn || ev.State == pay.Revp {
			b.cut(1)
			b.Restart()
			if got := b.begin(intent(sale("1")), pay.SeenSame); got.State != ev.State || got.ID.Day != Today {
				t.Errorf("repeat after %s and a cut is told %s of %s", ev.State, got.State, got.ID.Day)
			}
		}
	}
}

func testOther(t *testing.T, b *Bench) {
	first := b.new("1")
	dearer := sale("1")
	dearer.Amount++
	if there := b.begin(intent(dearer), pay.SeenOther); there.ID != first.ID {
		t.Fatalf("got %v, want %v", there.ID, first.ID)
	}
	b.Restart()
	b.begin(intent(dearer), pay.SeenOther)
}

func testKnown(t *testing.T, b *Bench) {
	in := intent(sale("1"))
	in.Known = true
	b.begin(in, pay.SeenNothing)
	b.begin(intent(sale("1")), pay.SeenNew)
	b.begin(in, pay.SeenSame)
}

func testReversal(t *testing.T, b *Bench) {
	first := b.new("1")
	rev := b.begin(intent(reversal(sale("1"))), pay.SeenNew)
	if rev.Original != first.ID || rev.ID == first.ID {
		t.Fatalf("reversal %v of %v, want of %v", rev.ID, rev.Original, first.ID)
	}
	again := b.begin(intent(reversal(sale("1"))), pay.SeenSame)
	if err := same(&rev, &again); err != nil {
		t.Fatal(err)
	}
	b.begin(intent(sale("1")), pay.SeenSame)
	if n := len(b.open()); n != 1 {
		t.Fatalf("%d open payments, want the sale alone", n)
	}
}

func testReversalLater(t *testing.T, b *Bench) {
	first := b.new("1")
	b.add(&first, succeeded)
	b.cut(1)
	b.Restart()
	b.cut(1)
	rev := b.begin(intent(reversal(sale("1"))), pay.SeenNew)
	if rev.Original != first.ID {
		t.Fatalf("got original %v, want %v", rev.Original, first.ID)
	}
	b.add(&first, reversing)
	b.add(&first, reversed)
	if first.State != pay.Revd || first.ID.Day != Today {
		t.Fatalf("got %+v", first)
	}
}

func testTombstone(t *testing.T, b *Bench) {
	rev := b.begin(intent(reversal(sale("1"))), pay.SeenNew)
	if !rev.Original.IsZero() {
		t.Fatalf("original %v of nothing", rev.Original)
	}
	b.begin(intent(sale("1")), pay.SeenTombstone)
	b.cut(1)
	b.Restart()
	there := b.begin(intent(sale("1")), pay.SeenTombstone)
	if there.ID != rev.ID {
		t.Fatalf("refused by %v, want %v", there.ID, rev.ID)
	}
	b.begin(intent(reversal(sale("1"))), pay.SeenSame)
	b.begin(intent(sale("2")), pay.SeenNew)
	if _, ok, err := b.Find(t.Context(), sale("1").Ref); ok || err != nil {
		t.Fatalf("found a payment under a tombstone: %v %v", ok, err)
	}
}

// testRace wants one of two orders: the reversal finds the sale, or the sale
// finds the tombstone.
func testRace(t *testing.T, b *Bench) {
	for i := range 50 {
		req := sale(string(rune('A' + i)))
		var wg sync.WaitGroup
		var rev pay.Entry
		var seen pay.Seen
		var errs [2]error
		wg.Go(func() { _, seen, errs[0] = b.Begin(t.Context(), intent(req)) })
		wg.Go(func() { rev, _, errs[1] = b.Begin(t.Context(), intent(reversal(req))) })
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		if found := !rev.Original.IsZero(); found != (seen == pay.SeenNew) {
			t.Fatalf("sale seen %d, reversal found it: %v", seen, found)
		}
	}
}

func testOneNew(t *testing.T, b *Bench) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[pay.Seen]int{}
	ids := map[pay.ID]bool{}
	for range 100 {
		wg.Go(func() {
			e, s, err := b.Begin(t.Context(), intent(sale("1")))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			seen[s]++
			ids[e.ID] = true
		})
	}
	wg.Wait()
	if seen[pay.SeenNew] != 1 || seen[pay.SeenSame] != 99 || len(ids) != 1 {
		t.Fatalf("seen %v, names %v", seen, ids)
	}
}

func testBlock(t *testing.T, b *Bench) {
	blocked := func(change func(*pay.Request)) *pay.Intent {
		in := intent(sale("1"))
		in.Req.Ref.Serial, in.Block = "2", true
		change(in.Req)
		return in
	}
	first := b.new("1")
	n := 0
	for name, change := range map[string]func(*pay.Request){
		"same bill": func(*pay.Request) {},
		"one bill of two": func(r *pay.Request) {
			r.Amount = 1
			r.Bills = append([]pay.Bill{{ID: "X"}}, r.Bills...)
		},
		"no bills, same amount": func(r *pay.Request) { r.Bills = nil },
		"bills without ids":     func(r *pay.Request) { r.Bills = []pay.Bill{{Month: "202610"}} },
	} {
		in := blocked(change)
		n++
		in.Req.Ref.Serial = fmt.Sprint("blocked ", n)
		if there := b.begin(in, pay.SeenBlocked); there.ID != first.ID {
			t.Fatalf("%s: blocked by %v, want %v", name, there.ID, first.ID)
		}
		// The refusal stands: a copy of the message hears it again.
		if again := b.begin(in, pay.SeenSame); again.State != pay.Fail || again.Code != pay.CodeBlocked || len(again.Legs) != len(in.Legs) || again.Legs[0].State != pay.LegIdle {
			t.Fatalf("%s: the blocked payment is %+v", name, again)
		}
	}
	for i, change := range []func(*pay.Request){
		func(r *pay.Request) { r.Account = "other" },
		func(r *pay.Request) { r.Bills = []pay.Bill{{ID: "X"}} },
		func(r *pay.Request) { r.Bills, r.Amount = nil, 9999 },
		func(r *pay.Request) { r.Biller, r.Bills = "32402", nil },
	} {
		in := blocked(change)
		in.Req.Ref.Serial += string(rune('a' + i))
		b.begin(in, pay.SeenNew)
	}
	unasked := blocked(func(r *pay.Request) { r.Ref.Serial = "3" })
	unasked.Block = false
	b.begin(unasked, pay.SeenNew)
}

func testBlockEnds(t *testing.T, b *Bench) {
	again := func(serial string) *pay.Intent {
		in := intent(sale("1"))
		in.Req.Ref.Serial, in.Block = serial, true
		return in
	}
	first := b.new("1")
	b.add(&first, unknown)
	b.cut(1)
	b.begin(again("2"), pay.SeenBlocked)
	b.Restart()
	b.begin(again("3"), pay.SeenBlocked)
	b.add(&first, reversing)
	b.begin(again("4"), pay.SeenBlocked)
	b.add(&first, parked)
	b.cut(3) // parked payments are carried as well
	b.Restart()
	b.begin(again("5"), pay.SeenBlocked)
	b.add(&first, pay.Event{Kind: pay.EvState, State: pay.Fail, Code: pay.CodeReversed})
	b.begin(again("6"), pay.SeenNew)
	if late := b.begin(again("5"), pay.SeenSame); late.Code != pay.CodeBlocked {
		t.Fatalf("a late copy of the blocked payment is %+v", late)
	}
}

// testRefused writes payments that are refused: nothing is owed for them, and
// whoever repeats them hears the same, after a restart and a cut as well.
func testRefused(t *testing.T, b *Bench) {
	in := intent(sale("1"))
	in.Refuse = pay.CodeNoRoute
	first := b.begin(in, pay.SeenNew)
	check := func(e pay.Entry) {
		t.Helper()
		if e.ID != first.ID || e.State != pay.Fail || e.Code != pay.CodeNoRoute || e.N != 1 {
			t.Fatalf("refused payment is %+v", e)
		}
	}
	check(first)
	check(b.begin(intent(sale("1")), pay.SeenSame))
	b.Restart()
	check(b.begin(intent(sale("1")), pay.SeenSame))
	b.cut(1)
	check(b.begin(intent(sale("1")), pay.SeenSame))
	if open := b.open(); len(open) != 0 {
		t.Fatalf("%d open", len(open))
	}
}

func testOldDate(t *testing.T, b *Bench) {
	first := b.new("1")
	b.add(&first, succeeded)
	for range 5 {
		b.cut(1)
	}
	old := sale("1")
	old.Day = Today
	again := b.begin(intent(old), pay.SeenSame)
	if err := same(&first, &again); err != nil {
		t.Fatal(err)
	}
	old.Day = Today.Add(1) // the sender's midnight came first
	b.begin(intent(old), pay.SeenSame)
	dearer := sale("1")
	dearer.Day, dearer.Amount = Today, 1
	b.begin(intent(dearer), pay.SeenOther)
	b.Restart()
	b.begin(intent(old), pay.SeenSame)
	unseen := sale("2")
	unseen.Day = Today
	b.begin(intent(unseen), pay.SeenNew)
	b.begin(intent(unseen), pay.SeenSame)
}

func testExpired(t *testing.T, b *Bench) {
	b.cut(1)
	old := sale("1")
	old.Day = Today.Add(-5)
	b.begin(intent(old), pay.SeenExpired)
	old.Day = Today.Add(-1) // still within dup_days
	b.begin(intent(old), pay.SeenNew)
	old.Day = Today.Add(-5) // memory knows the key
	b.begin(intent(old), pay.SeenSame)
}

// testOldOriginal wants no tombstone for a payment that an old log holds.
func testOldOriginal(t *testing.T, b *Bench) {
	first := b.new("1")
	b.add(&first, succeeded)
	for range 4 {
		b.cut(1)
	}
	rev := reversal(sale("1"))
	rev.Day = Today
	if e := b.begin(intent(rev), pay.SeenNew); e.Original != first.ID {
		t.Fatalf("got original %v, want %v", e.Original, first.ID)
	}
	b.add(&first, reversing)
	if got := b.get(first.ID); got.State != pay.Revp {
		t.Fatalf("got %+v", got)
	}
	b.begin(intent(sale("1")), pay.SeenSame) // it is in today's log again
}

func testMoved(t *testing.T, b *Bench) {
	e := b.new("1")
	var wg sync.WaitGroup
	var mu sync.Mutex
	moved, done := 0, 0
	for range 20 {
		wg.Go(func() {
			err := b.Append(t.Context(), e.ID, 1, unknown)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				done++
			case errors.Is(err, pay.ErrMoved):
				moved++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if done != 1 || moved != 19 {
		t.Fatalf("%d done, %d moved", done, moved)
	}
	e = b.get(e.ID)
	b.add(&e, pay.Event{Kind: pay.EvWanted}, pay.Event{Kind: pay.EvResult, State: pay.Succ, LegIs: pay.LegDone})
	if e.N != 4 || !e.Wanted || e.State != pay.Succ {
		t.Fatalf("got %+v", e)
	}
	if err := b.Append(t.Context(), e.ID, 3, reversing); !errors.Is(err, pay.ErrMoved) { // decided, not in memory
		t.Fatalf("got %v", err)
	}
	if err := b.Append(t.Context(), pay.ID{Day: Today, Row: 999}, 1, reversing); !errors.Is(err, journal.ErrUnknown) {
		t.Fatalf("got %v", err)
	}
	if err := b.Append(t.Context(), pay.ID{Day: Today.Add(7), Row: 1}, 1, reversing); !errors.Is(err, journal.ErrUnknown) {
		t.Fatalf("got %v", err)
	}
}

func testForbidden(t *testing.T, b *Bench) {
	e := b.new("1")
	for _, ev := range []pay.Event{reversed, {Kind: pay.EvReceived}, {Kind: pay.EvQuery}, {Kind: pay.EvResult, LegIs: pay.LegDone, Leg: 7}} {
		if err := b.Append(t.Context(), e.ID, 1, unknown, ev); !errors.Is(err, pay.ErrTransition) {
			t.Fatalf("%+v: got %v", ev, err)
		}
	}
	b.add(&e, succeeded)
	b.new("2")
	b.Restart()
	if got := b.get(e.ID); got.N != 2 || got.State != pay.Succ {
		t.Fatalf("got %+v", got)
	}
	b.verify()
}

func testFind(t *testing.T, b *Bench) {
	if _, ok, err := b.Find(t.Context(), sale("1").Ref); ok || err != nil {
		t.Fatalf("found %v, %v", ok, err)
	}
	first := b.new("1")
	b.add(&first, unknown)
	for range 2 {
		got, ok, err := b.Find(t.Context(), sale("1").Ref)
		if !ok || err != nil {
			t.Fatalf("found %v, %v", ok, err)
		}
		if err := same(&first, &got); err != nil {
			t.Fatal(err)
		}
		b.add(&first, succeeded)
		b.cut(1)
		b.Restart()
	}
}
