package journaltest

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"qianzhi/gateway/journal"
	"qianzhi/gateway/pay"
	"qianzhi/protocol/gm"
)

var proofTests = map[string]func(*testing.T, *Bench){
	"every column":    testColumns,
	"row taken away":  testTakenAway,
	"rewritten chain": testRewritten,
	"truncated":       testTruncated,
	"another key":     testOtherKey,
	"sealed":          testSealed,
}

// altered is a store that shows rows other than they are stored.
type altered struct {
	journal.Store
	show func(r *journal.Row) (keep bool)
}

// Reader reads through the alteration.
func (a altered) Reader(ctx context.Context, day pay.Day) (journal.Reader, error) {
	r, err := a.Store.Reader(ctx, day)
	return alteredReader{r, a.show}, err
}

type alteredReader struct {
	journal.Reader
	show func(r *journal.Row) bool
}

// Read yields what the alteration leaves.
func (a alteredReader) Read(ctx context.Context, want journal.Range, yield func(*journal.Row) bool) error {
	return a.Reader.Read(ctx, want, func(r *journal.Row) bool { return !a.show(r) || yield(r) })
}

// audit verifies a day as the alteration shows it.
func (b *Bench) audit(day pay.Day, show func(*journal.Row) bool) (journal.Proof, error) {
	a := journal.Auditor{Store: altered{b.Store, show}, Dir: b.Options.Dir, Node: b.Options.Node, Public: b.Options.Signer.Public()}
	return a.Verify(b.T.Context(), day)
}

func testColumns(t *testing.T, b *Bench) {
	e := b.new("1")
	b.add(&e, unknown)
	b.add(&e, succeeded)
	target := uint64(0)
	b.rows(Today, func(r *journal.Row) {
		if r.Kind == pay.EvReceived {
			target = r.Seq
		}
	})
	for name, change := range map[string]func(*journal.Row){
		"day": func(r *journal.Row) { r.Day++ }, "pay": func(r *journal.Row) { r.Pay++ }, "n": func(r *journal.Row) { r.N++ },
		"prev": func(r *journal.Row) { r.Prev++ }, "kind": func(r *journal.Row) { r.Kind++ }, "state": func(r *journal.Row) { r.State++ },
		"at": func(r *journal.Row) { r.At++ }, "ref": func(r *journal.Row) { r.Ref++ }, "about": func(r *journal.Row) { r.About++ },
		"account": func(r *journal.Row) { r.Account++ }, "pan": func(r *journal.Row) { r.PAN++ }, "serial": func(r *journal.Row) { r.Serial++ },
		"tail": func(r *journal.Row) { r.Tail += "0" }, "link": func(r *journal.Row) { r.Link++ },
		"body": func(r *journal.Row) { r.Body[len(r.Body)/2] ^= 1 },
	} {
		_, err := b.audit(Today, func(r *journal.Row) bool {
			if r.Seq == target {
				r.Body = append([]byte(nil), r.Body...)
				change(r)
			}
			return true
		})
		if br := isBroken(err); br == nil || br.Row != target {
			t.Errorf("%s: got %v, want row %d", name, err, target)
		}
	}
	b.verify()
}

func testTakenAway(t *testing.T, b *Bench) {
	e := b.new("1")
	b.add(&e, succeeded)
	b.new("2")
	last := uint64(0)
	b.rows(Today, func(r *journal.Row) { last = r.Seq })
	for gone := uint64(1); gone < last; gone++ {
		_, err := b.audit(Today, func(r *journal.Row) bool { return r.Seq != gone })
		if br := isBroken(err); br == nil || br.Row != gone && br.Row != gone+1 {
			t.Errorf("without row %d: got %v", gone, err)
		}
	}
}

// testRewritten changes a row and gives every link after it the value that
// fits: only the signature tells.
func testRewritten(t *testing.T, b *Bench) {
	e := b.new("1")
	b.add(&e, succeeded)
	b.Restart() // signs
	rechain := forger(b.Options.Node, Today)
	_, err := b.audit(Today, func(r *journal.Row) bool {
		if r.Kind == pay.EvResult {
			r.State = pay.Fail
		}
		r.Link = rechain(r)
		return true
	})
	if br := isBroken(err); br == nil || br.Row > 4 {
		t.Fatalf("got %v", err)
	}
}

func testTruncated(t *testing.T, b *Bench) {
	e := b.new("1")
	b.add(&e, succeeded)
	b.new("2")
	b.Restart()
	proof, err := b.Verify(t.Context(), Today)
	if err != nil || proof.Signed < 5 || proof.Checkpoints == 0 {
		t.Fatalf("proof %+v, %v", proof, err)
	}
	_, err = b.audit(Today, func(r *journal.Row) bool { return r.Seq < proof.Signed })
	if br := isBroken(err); br == nil || br.Row != proof.Signed {
		t.Fatalf("got %v, want row %d", err, proof.Signed)
	}
	b.cut(1)
	if proof, err = b.Verify(t.Context(), Today); err != nil || !proof.Cut || proof.Signed != proof.Last {
		t.Fatalf("proof %+v, %v", proof, err)
	}
	// Without checkpoints the next day still names the end.
	if err := os.Remove(filepath.Join(b.Options.Dir, Today.String()+".sig")); err != nil {
		t.Fatal(err)
	}
	if _, err = b.Verify(t.Context(), Today); err != nil {
		t.Fatal(err)
	}
	if _, err = b.audit(Today, func(r *journal.Row) bool { return r.Kind != pay.EvCut }); isBroken(err) == nil {
		t.Fatalf("got %v", err)
	}
}

func testOtherKey(t *testing.T, b *Bench) {
	b.new("1")
	key, err := gm.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	a := journal.Auditor{Store: b.Store, Dir: b.Options.Dir, Node: b.Options.Node, Public: key.Public()}
	if _, err := a.Verify(t.Context(), Today); isBroken(err) == nil {
		t.Fatalf("got %v", err)
	}
}

// testSealed wants nothing of a person in the stored bytes, and no two bodies
// under one nonce.
func testSealed(t *testing.T, b *Bench) {
	e := b.new("1")
	b.add(&e, succeeded)
	b.Restart()
	b.cut(1)
	nonces := map[string]bool{}
	b.rows(Today, func(r *journal.Row) {
		if r.Kind == pay.EvReceived && r.Tail != "0123" {
			t.Errorf("card tail %q", r.Tail)
		}
		for _, secret := range []string{"3200001", "6222021234567890123", "张三", "raw 1", "MIS1"} {
			if bytes.Contains(r.Body, []byte(secret)) {
				t.Errorf("row %d shows %q", r.Seq, secret)
			}
		}
		if r.Kind < pay.EvCut && len(r.Body) > 20 {
			nonce := string(r.Body[:20])
			if nonces[nonce] {
				t.Errorf("row %d repeats a nonce", r.Seq)
			}
			nonces[nonce] = true
		}
	})
	b.Stop()
	kek := b.Options.KEK
	b.Options.KEK = []byte("another 16 bytes")
	if j, err := journal.Open(t.Context(), b.Store, b.Options, Today); err == nil { // opens: nothing is undecided
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := j.Get(t.Context(), e.ID); err == nil {
			t.Error("read under another key")
		}
		if err := j.Run(ctx); err != nil {
			t.Error(err)
		}
	}
	b.Options.KEK = kek
	b.Start()
}

// forger returns what computes the links of a log from its first row on. It is
// written from the description of the chain, not from its code.
func forger(node uint8, day pay.Day) func(*journal.Row) uint64 {
	sum := gm.SumSM3(binary.BigEndian.AppendUint32(append([]byte("qianzhi journal 1"), node), uint32(day)))
	return func(r *journal.Row) uint64 {
		b := sum[:]
		for _, v := range []uint64{r.Seq, uint64(r.Day), r.Pay, uint64(r.N), r.Prev, uint64(r.Kind), uint64(r.State), uint64(r.At),
			r.Ref, r.About, r.Account, r.PAN, r.Serial, uint64(len(r.Tail)), uint64(len(r.Body))} {
			b = binary.BigEndian.AppendUint64(b, v)
		}
		sum = gm.SumSM3(append(append(b, r.Tail...), r.Body...))
		return binary.BigEndian.Uint64(sum[:8])
	}
}
