package posp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"qianzhi/gateway/pay"
)

const settled = pay.Day(20260131)

// confirmed are charges of the day as the journal has them.
func confirmed(doubts int, all ...Charge) Charges {
	return func(_ context.Context, _ pay.Day, yield func(Charge) error) (int, error) {
		for _, c := range all {
			if err := yield(c); err != nil {
				return 0, err
			}
		}
		return doubts, nil
	}
}

func sale(row string, amount pay.Amount) Charge {
	return Charge{Serial: serial(row), Of: serial(row), Amount: amount}
}

// says answers a 批结算 so and everything else with an approval.
func says(word string) func(*pay.Request) (pay.Reply, bool) {
	return func(r *pay.Request) (pay.Reply, bool) {
		rep, _ := approve(r)
		if r.Op == pay.Settle {
			rep.Amount, rep.Serial = 0, ""
			rep.More = []pay.Field{{ID: pay.FBalanced, Val: word}}
		}
		return rep, true
	}
}

func steps(t *testing.T, all []Batch, err error, want ...Step) {
	t.Helper()
	var got []Step
	for _, b := range all {
		got = append(got, b.Step)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("batches are %v, %v, want %v", got, err, want)
	}
}

// TestSettle sends each terminal its own totals, once.
func TestSettle(t *testing.T) {
	in(t, func(t *testing.T, c *centre, k *desk, a *Adapter) {
		c.reply = says("1")
		kept := Folder(t.TempDir())
		gone := sale("0004", 500)
		gone.Void = true
		charges := confirmed(0, sale("0002", 30150), gone, sale("0003", 700), Charge{Serial: serial("0005"), Of: serial("0004"), Amount: 500, Credit: true})
		all, err := a.Settle(t.Context(), settled, charges, kept)
		steps(t, all, err, Balanced, Balanced)
		got := c.ops(pay.Settle)
		if len(got) != 2 {
			t.Fatalf("%d settlements", len(got))
		}
		for i, want := range []string{"000000030650 002 000000000500 001", "000000000700 001 000000000000 000"} {
			r := got[i]
			said := fmt.Sprintf("%s %s %s %s", value(r, pay.FDebitSum), value(r, pay.FDebitCount), value(r, pay.FCreditSum), value(r, pay.FCreditCount))
			if said != want || value(r, pay.FBatch) != batchOf(settled, 0) || value(r, pay.FTerminal) != a.units[i].Terminal.Terminal {
				t.Errorf("terminal %s batch %s says %s, want %s", value(r, pay.FTerminal), value(r, pay.FBatch), said, want)
			}
		}
		all, err = k.adapter().Settle(t.Context(), settled, charges, kept)
		steps(t, all, err, Balanced, Balanced)
		if n := len(c.ops(pay.Settle)); n != 2 {
			t.Errorf("settled again after a restart: %d messages", n)
		}
	})
}

// TestUnbalancedBatchIsUploaded, eight charges a message, without what was
// undone, and the end is told.
func TestUnbalancedBatchIsUploaded(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		c.reply = says("2")
		var list []Charge
		sum := pay.Amount(0)
		for row := 2; row <= 24; row += 2 { // all of the first terminal
			s := sale(fmt.Sprintf("%04d", row), pay.Amount(row))
			if s.Void = row == 4; !s.Void {
				sum += s.Amount
			}
			list = append(list, s)
		}
		list[0].Card = "6225000000000014"
		list = append(list, Charge{Serial: serial("0005"), Of: serial("0004"), Amount: 4, Credit: true, Void: true}, // the 撤销
			Charge{Serial: serial("0007"), Of: serial("0006"), Card: "6225000000000022", Amount: 3, Credit: true})
		all, err := a.Settle(t.Context(), settled, confirmed(0, list...), Folder(t.TempDir()))
		steps(t, all, err, Uploaded, Uploaded)
		if all[0].Uploaded != 12 || all[1].Uploaded != 0 {
			t.Errorf("uploaded %d and %d, want 12 and 0", all[0].Uploaded, all[1].Uploaded)
		}
		refunds := 0
		for _, r := range c.ops(pay.BatchUpload) {
			if r.Original == nil {
				continue
			}
			refunds++
			if n, _ := parse(serial("0007")); r.Original.Kind != pay.KindRefund || r.Original.Serial != n.trace || r.Ref.Serial != n.trace || r.Amount != 3 || value(r, pay.FPAN) != "6225000000000022" {
				t.Errorf("uploaded refund %+v", r)
			}
		}
		if refunds != 1 {
			t.Errorf("%d refunds uploaded", refunds)
		}
		var got pay.Amount
		up := slices.DeleteFunc(c.ops(pay.BatchUpload), func(r *pay.Request) bool { return r.Original != nil })
		for _, r := range up {
			for _, b := range r.Bills {
				got += b.Amount
			}
		}
		if card := up[0].Bills[0].Card; card != "00006225000000000014" {
			t.Errorf("card %s", card)
		}
		if len(up) != 2 || len(up[0].Bills) != 8 || len(up[1].Bills) != 3 || value(up[1], pay.FUploadCount) != "03" || got != sum {
			t.Errorf("%d uploads of %d fen, want 2 of %d", len(up), got, sum)
		}
		if n := len(c.ops(pay.UploadEnd)); n != 2 {
			t.Errorf("%d ends, want one for each terminal", n)
		}
	})
}

// TestDoubtfulDayIsNotSettled: nothing is sent while a charge is not decided.
func TestDoubtfulDayIsNotSettled(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		c.reply = says("1")
		if _, err := a.Settle(t.Context(), settled, confirmed(1, sale("0002", 1)), Folder(t.TempDir())); !errors.Is(err, ErrDoubt) {
			t.Errorf("got %v", err)
		}
		if len(c.ops(pay.Settle)) != 0 {
			t.Error("settled all the same")
		}
	})
}

// TestSilenceIsAskedAgain, under the number of the first time, and one terminal's
// silence does not keep the other from settling.
func TestSilenceIsAskedAgain(t *testing.T) {
	in(t, func(t *testing.T, c *centre, k *desk, a *Adapter) {
		kept, charges := Folder(t.TempDir()), confirmed(0, sale("0002", 1), sale("0003", 2))
		c.reply = func(r *pay.Request) (pay.Reply, bool) {
			if value(r, pay.FTerminal) == "60120001" {
				return pay.Reply{}, false
			}
			return says("1")(r)
		}
		if _, err := a.Settle(t.Context(), settled, charges, kept); err == nil {
			t.Error("silence counts as an answer")
		}
		c.set(func() { c.reply = says("2") })
		all, err := k.adapter().Settle(t.Context(), settled, charges, kept) // the process was stopped meanwhile
		steps(t, all, err, Uploaded, Balanced)
		asked := map[string]int{}
		for _, r := range c.ops(pay.Settle) {
			asked[value(r, pay.FTerminal)+r.Ref.Serial]++
		}
		if len(asked) != 2 || asked["60120001"+settleTrace(settled)] != 2 || asked["60120002"+settleTrace(settled)] != 1 {
			t.Errorf("asked %v", asked)
		}
	})
}

// TestUploadIsTakenUp after a stop: the batch is not compared again.
func TestUploadIsTakenUp(t *testing.T) {
	in(t, func(t *testing.T, c *centre, k *desk, a *Adapter) {
		kept, charges := Folder(t.TempDir()), confirmed(0, sale("0002", 1))
		c.reply = func(r *pay.Request) (pay.Reply, bool) {
			if r.Op == pay.UploadEnd {
				return pay.Answer(pay.Declined, pay.CodeRefused), true
			}
			return says("2")(r)
		}
		if _, err := a.Settle(t.Context(), settled, charges, kept); err == nil {
			t.Error("a refused end is no error")
		}
		c.set(func() { c.reply = says("2") })
		all, err := k.adapter().Settle(t.Context(), settled, charges, kept)
		steps(t, all, err, Uploaded, Uploaded)
		if n := len(c.ops(pay.Settle)); n != 2 {
			t.Errorf("compared %d times, want once for each terminal", n)
		}
	})
}

// TestWordsThatAreNone: an answer that says neither is asked for again.
func TestWordsThatAreNone(t *testing.T) {
	in(t, func(t *testing.T, c *centre, _ *desk, a *Adapter) {
		c.reply = says("7")
		if _, err := a.Settle(t.Context(), settled, confirmed(0), Folder(t.TempDir())); err == nil || !strings.Contains(err.Error(), `"7"`) {
			t.Errorf("got %v", err)
		}
		if len(c.ops(pay.UploadEnd)) != 0 {
			t.Error("uploaded on nobody's word")
		}
	})
}

// TestFolder reads the last step of each batch, and goes on behind a line that a
// stop cut off.
func TestFolder(t *testing.T) {
	f := Folder(t.TempDir() + "/posp")
	keep := func(b Batch) {
		t.Helper()
		if err := f.Keep(b); err != nil {
			t.Fatal(err)
		}
	}
	one, two := Batch{Day: settled, Terminal: "60120001", Batch: "100000", Debit: 5, Debits: 1, Step: Asked}, Batch{Day: settled, Terminal: "60120002", Batch: "100000", Step: Asked}
	keep(one)
	keep(two)
	file, err := os.OpenFile(f.name(settled), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"day":20260131,"term`); err != nil {
		t.Fatal(err)
	}
	file.Close()
	one.Step = Balanced
	keep(one)
	got, err := f.Batches(settled)
	if err != nil || !slices.Equal(got, []Batch{one, two}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if none, err := f.Batches(settled.Add(1)); len(none) != 0 || err != nil {
		t.Errorf("another day: %v, %v", none, err)
	}
	if err := os.WriteFile(f.name(settled), []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Batches(settled); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a spoiled line: %v", err)
	}
}

// TestBatchesAreSmall: what one terminal can charge in a batch fits three digits,
// and no number of a day comes twice.
func TestBatchesAreSmall(t *testing.T) {
	const rowsOfCharge = 2 // received, result
	if batchRows/rowsOfCharge > 999 {
		t.Error("a batch may hold more charges than its settlement can count")
	}
	seen := map[string]uint64{}
	for row := uint64(1); row < 3_000_000; row += 7 {
		k := batchOf(settled, row) + traceOf(settled, row)
		if was, there := seen[k]; there {
			t.Fatalf("rows %d and %d are both %s", was, row, k)
		}
		seen[k] = row
	}
}
