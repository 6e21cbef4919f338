package reconcile

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"qianzhi/gateway/pay"
)

// planted is a day with defects whose codes are known.
type planted struct {
	lines [parties][]Line
	want  map[string]string // code by serial
	gap   [parties]pay.Amount
	worst Verdict
}

// plant draws a day of up to 300 payments, one in ten of them a row of the
// matrix or an overlay drawn at random.
func plant(rng *rand.Rand, mx *Matrix) *planted {
	d := &planted{want: map[string]string{}}
	n := 60 + rng.IntN(240)
	odd := rng.IntN(min(20, n/10))
	for i := 1; i <= n; i++ {
		row := [3]Effect{Success, Posted, Charged}
		kind := 0
		if i <= odd {
			kind = 1 + rng.IntN(8)
			if kind == 7 {
				row[1] = Absent
			}
			if kind == 1 {
				for row[0] = Effect("NSFUPR"[rng.IntN(6)]); ; {
					row[1], row[2] = Effect("APV"[rng.IntN(3)]), Effect("ACV"[rng.IntN(3)])
					if row != [3]Effect{None, Absent, Absent} {
						break
					}
				}
			}
		}
		d.add(rng, mx, i, row, kind)
	}
	for p := range d.lines {
		rng.Shuffle(len(d.lines[p]), func(a, b int) { d.lines[p][a], d.lines[p][b] = d.lines[p][b], d.lines[p][a] })
	}
	return d
}

func (d *planted) add(rng *rand.Rand, mx *Matrix, i int, row [3]Effect, kind int) {
	amount := pay.Amount(1 + rng.IntN(100_000))
	var own [3]*Line
	for p, e := range row {
		if e == Absent || e == None {
			continue
		}
		l := line(i, e, amount)
		l.Time, l.Mark = "23:45:00", uint64(rng.Uint32())+1
		d.lines[p] = append(d.lines[p], l)
		own[p] = &d.lines[p][len(d.lines[p])-1]
	}
	serial := fmt.Sprintf("S%06d", i)
	grade := Uneven
	d.sold(i, amount, own[0], kind)
	switch kind {
	case 0:
		return
	case 1:
		r := mx.Decide(row[0], row[1], row[2])
		if grade = r.Grade; grade != Flat {
			d.want[serial] = r.Code
		}
	case 2:
		own[2].Amount += pay.Amount(1 + rng.IntN(50))
		d.want[serial] = "AM-3"
	case 3:
		p, code := MIS, "DU-1"
		if rng.IntN(2) == 0 {
			p, code = Bank, "DU-2"
		}
		l := *own[p]
		l.Mark++
		d.lines[p] = append(d.lines[p], l)
		d.want[serial] = code
	case 4:
		d.lines[Bank] = append(d.lines[Bank], *own[2])
		d.want[serial], grade = "DU-4", Warned
	case 5:
		own[1+rng.IntN(2)].Account = "0599999999"
		d.want[serial] = "ID-1"
	case 6:
		own[2].Day, own[0].Day = 20261121, 20261120
		d.want[serial], grade = "XD", Pended
	case 7:
		own[0].Without |= 1 << MIS // nothing is posted
		grade = Flat
	case 8:
		d.want[serial], grade = "CM-1", Pended
	}
	if grade == Uneven {
		d.worst = Unbalanced
	}
}

// sold has the card system tell of every third payment that is in order; it has
// no part in the others. One that it should tell of is missing in kind 8.
func (d *planted) sold(i int, amount pay.Amount, own *Line, kind int) {
	switch {
	case kind == 0 && i%3 == 0:
		d.lines[Card] = append(d.lines[Card], line(i, effective(Card), amount))
	case kind != 8 && own != nil:
		own.Without |= 1 << Card
	}
}

// TestRandomDays: of a thousand days every defect is found, nothing else is, and
// verdict and bridge are right.
func TestRandomDays(t *testing.T) {
	mx := matrix(t)
	dir := t.TempDir()
	for seed := range uint64(1000) {
		d := plant(rand.New(rand.NewPCG(seed, 7)), mx)
		r := New(Options{Dir: dir, Matrix: mx, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		x := &run{Runner: r, c: &Channel{ID: "R"}, res: &Result{Day: 20261120, Channel: "R", Has: [parties]bool{false, true, true, true},
			Inputs: []Input{{Count: len(d.lines[Journal])}}}}
		tell := HasSerial | HasKey | HasAccount | HasTime
		for p, more := range map[Party]Fields{Journal: HasDay, MIS: 0, Bank: HasDay, Card: 0} {
			x.tables[p] = &Lines{List: d.lines[p], Tell: tell | more}
		}
		for i := range d.lines[Bank] { // whoever declares a day tells it
			if l := &d.lines[Bank][i]; l.Day == 0 {
				l.Day = 20261120
			}
		}
		for i := range d.lines[Journal] {
			d.lines[Journal][i].Day = 20261120
		}
		if err := x.judge(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for i := range x.res.Items {
			it := &x.res.Items[i]
			if got[it.Serial()] != "" {
				t.Errorf("seed %d: %s has two items", seed, it.Serial())
			}
			got[it.Serial()] = it.Code
		}
		if !reflect.DeepEqual(got, d.want) {
			t.Fatalf("seed %d: got %v, want %v", seed, got, d.want)
		}
		if x.res.Verdict != d.worst {
			t.Fatalf("seed %d: verdict %s (%s), want %s", seed, x.res.Verdict, x.res.Why, d.worst)
		}
		for p := MIS; p <= Card; p++ {
			sum := pay.Amount(0)
			for i := range d.lines[p] {
				sum += d.lines[p][i].net(p)
			}
			for i := range d.lines[Journal] {
				if l := &d.lines[Journal][i]; !l.Without.Has(p) {
					sum -= l.net(Journal)
				}
			}
			for i := range x.res.Items { // what counts once
				if it := &x.res.Items[i]; it.Code == "DU-4" && it.Lines[p] != nil {
					sum -= it.Lines[p].Amount
				}
			}
			if total, items := x.res.Gap(p); total != sum || items != sum {
				t.Fatalf("seed %d: %s: gap %d, items %d, want %d", seed, p, total, items, sum)
			}
		}
	}
}
