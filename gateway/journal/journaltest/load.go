package journaltest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"qianzhi/gateway/pay"
)

var loadTests = map[string]func(*testing.T, *Bench){
	"group commit": testGroupCommit,
	"checkpoints":  testCheckpoints,
}

// eventually waits for a condition that another goroutine brings about. It is
// the one place that looks at the real clock, and only to give up.
func (b *Bench) eventually(cond func() bool) {
	b.T.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			b.T.Fatal("it did not come about in 20 s")
		}
		<-tick.C
	}
}

// testGroupCommit has 200 payers share commits.
func testGroupCommit(t *testing.T, b *Bench) {
	const payers, each = 200, 5
	var wg sync.WaitGroup
	for p := range payers {
		wg.Go(func() {
			for i := range each {
				e, seen, err := b.Begin(t.Context(), intent(sale(fmt.Sprintf("%d-%d", p, i))))
				if err == nil && seen == pay.SeenNew {
					err = b.Append(t.Context(), e.ID, e.N, succeeded)
				}
				if err != nil || seen != pay.SeenNew {
					t.Errorf("payment: %d %v", seen, err)
				}
			}
		})
	}
	wg.Wait()
	s := b.Stats()
	if s.Rows != 2*payers*each || s.Pending != 0 || s.Held != 0 || s.Keys != payers*each {
		t.Errorf("stats %+v", s)
	}
	if s.Batches > s.Rows/3 {
		t.Errorf("%d commits for %d rows: they are not shared", s.Batches, s.Rows)
	}
	b.verify()
}

// testCheckpoints writes past the distance between two signed checkpoints.
func testCheckpoints(t *testing.T, b *Bench) {
	for range 5000 {
		if err := b.Note(t.Context(), &pay.Note{Kind: pay.EvAdmin}, false); err != nil {
			t.Fatal(err)
		}
	}
	b.new("1")
	b.eventually(func() bool {
		proof, err := b.Verify(t.Context(), Today)
		if err != nil {
			t.Fatal(err)
		}
		return proof.Checkpoints > 0
	})
	b.Restart()
	b.begin(intent(sale("1")), pay.SeenSame)
}
