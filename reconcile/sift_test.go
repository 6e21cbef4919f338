package reconcile

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

// world draws a day with every state and overlay planted.
func world(t *rapid.T) (lines [parties][]Line, has [parties]bool) {
	has = rapid.SampledFrom([][parties]bool{{false, true, true}, {false, false, true}, {false, true}, {false, true, true, true}}).Draw(t, "parties")
	n := rapid.IntRange(0, 60).Draw(t, "payments")
	plenty := rapid.SampledFrom([]int{2, 10, 100}).Draw(t, "one in so many is odd")
	for i := 1; i <= n; i++ {
		odd := rapid.IntRange(1, plenty).Draw(t, "odd") == 1
		j := line(i, Success, pay.Amount(100+i%3))
		j.Terminal, j.Day = "T1", 20261120
		e := rapid.SampledFrom([]Effect{Success, Success, Success, Failed, Reversed}).Draw(t, "effect")
		told := map[Effect]map[Party]Effect{Success: {MIS: Posted, Bank: Charged, Card: Charged}}[e]
		j.Effect = e
		if odd {
			j.Effect = rapid.SampledFrom([]Effect{None, Success, Failed, Open, Pending, Reversed}).Draw(t, "state")
		}
		if j.Effect != None {
			lines[Journal] = append(lines[Journal], j)
			if odd && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				k := j
				k.Effect = rapid.SampledFrom([]Effect{Success, Failed, Open, Reversed}).Draw(t, "of it")
				k.Amount += pay.Amount(rapid.IntRange(0, 1).Draw(t, "more"))
				lines[Journal] = append(lines[Journal], k)
			}
		}
		for p := MIS; p < parties; p++ {
			l := j
			l.Effect, l.Terminal = told[p], ""
			if p == Bank {
				l.Terminal, l.Serial = "T1", ""
			}
			if l.Effect == 0 && rapid.IntRange(0, 3).Draw(t, "undone") == 0 {
				l.Effect = Undone
			}
			if odd {
				l.Effect = rapid.SampledFrom([]Effect{Absent, effective(p), Undone}).Draw(t, "told")
			}
			if l.Effect == 0 || !has[p] {
				continue
			}
			twice := 1
			if odd {
				twice = spoil(t, &l)
			}
			for range twice {
				lines[p] = append(lines[p], l)
			}
		}
	}
	return lines, has
}

// spoil plants an overlay and returns how often the line stands in the file.
func spoil(t *rapid.T, l *Line) int {
	switch rapid.IntRange(0, 12).Draw(t, "overlay") {
	case 0:
		l.Amount++
	case 1:
		l.Account = "0599"
	case 2:
		if l.Terminal != "" {
			l.Terminal = "T2"
		}
	case 3:
		l.Day = 20261121
	case 4:
		return 2
	case 5:
		l.Mark = 5
		return 2
	case 6:
		l.Out = true
	case 7:
		l.Key, l.Serial = "", ""
	}
	return 1
}

// TestSiftIsExact holds the fingerprints against the plain matcher: what they
// leave to be judged gives the same items and totals as all lines do, in
// whatever order the lines come, in buckets and in parts on disk.
func TestSiftIsExact(t *testing.T) {
	mx := matrix(t)
	rapid.Check(t, func(t *rapid.T) {
		lines, has := world(t)
		if unseen(&lines, has) {
			t.Skip("told twice by all")
		}
		tell := HasSerial | HasKey | HasAccount | HasDay | HasDirection
		var tables [parties]Table
		on := Ties{}
		shuffled := lines
		for p := range lines {
			shuffled[p] = append([]Line{}, lines[p]...)
			rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
			rng.Shuffle(len(shuffled[p]), func(a, b int) { shuffled[p][a], shuffled[p][b] = shuffled[p][b], shuffled[p][a] })
			if p == int(Journal) || has[p] {
				tables[p] = &Lines{List: shuffled[p], Tell: tell | map[Party]Fields{Journal: HasTerminal, Bank: HasTerminal}[Party(p)]}
			}
			if has[p] {
				on[p-1] = ruleFor(Party(p), tell|HasTerminal, tables[p].Declares()).On
			}
		}
		plain := Judge{Matrix: mx, Has: has, Day: 20261120, On: on}
		want, wantAgain := plain.Items(&lines)
		for _, limit := range []float64{0, -1, 2} { // as it comes, all in parts, never in parts
			s := Sift{Tables: tables, Hash: NewHasher(), Workers: 2, Dir: "", Voids: mx.voids, limit: limit, buckets: 64}
			found, err := s.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			judge := plain
			got, again := judge.Items(&found.Lines)
			if len(want) != len(got) || len(want) > 0 && !reflect.DeepEqual(bare(got), bare(want)) {
				t.Fatalf("limit %g: got %d items, want %d\n%s\n%s", limit, len(got), len(want), show(got), show(want))
			}
			if again != wantAgain {
				t.Fatalf("repetitions: got %+v, want %+v", again, wantAgain)
			}
			for p := range lines {
				if (p == int(Journal) || has[p]) && found.Totals[p] != total(lines[p], Party(p)) {
					t.Fatalf("%s: got %+v, want %+v", Party(p), found.Totals[p], total(lines[p], Party(p)))
				}
			}
		}
	})
}

// unseen reports the one thing that sums cannot see: lines that journal and
// others all tell more than once, alike.
func unseen(lines *[parties][]Line, has [parties]bool) bool {
	n := map[string]int{}
	for i := range lines[Journal] {
		n[lines[Journal][i].Serial]++
	}
	for _, l := range lines[Journal] {
		if n[l.Serial] < 2 || l.Effect != Success {
			continue
		}
		for p := MIS; p < parties; p++ {
			k := 0
			for _, o := range lines[p] {
				if o.Serial == l.Serial || o.Key == l.Key {
					k++
				}
			}
			if has[p] && k > 1 {
				return true
			}
		}
	}
	return false
}

func total(lines []Line, p Party) (t Total) {
	for i := range lines {
		if lines[i].Effect == Absent {
			continue
		}
		t.Lines++
		if lines[i].counts(p) {
			t.Count++
			t.Sum += lines[i].net(p)
		}
	}
	return t
}

// bare leaves out where lines stand.
func bare(items []Item) []Item {
	out := make([]Item, len(items))
	for i, it := range items {
		for p, l := range it.Lines {
			if l != nil {
				c := *l
				c.At, c.Mark = 0, 0
				it.Lines[p] = &c
			}
		}
		out[i] = it
	}
	return out
}

func show(items []Item) (s string) {
	for _, it := range items {
		s += fmt.Sprintf("%s %s %s;", it.Code, it.Sides(), it.Any().Serial)
	}
	return s
}

func TestTagsNeverCallDifferentLinesEqual(t *testing.T) {
	var table pairTable
	table.insert(7, 1<<63, 1)
	if table.cancel(7, 1<<62) || table.cancel(8, 1<<63) {
		t.Error("cancelled by another line")
	}
	if !table.cancel(7, 1<<63) || table.cancel(7, 1<<63) || !table.gone(7) {
		t.Error("a line cancels once")
	}
}

func TestHasher(t *testing.T) {
	h := NewHasher()
	seen := map[uint64]string{}
	for n := range 40 {
		for _, c := range "01" {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(c)
			}
			for i := -1; i < n; i++ {
				if i >= 0 {
					b[i] ^= 1
				}
				x, y := h.Text(SlotKey, b)
				if was, ok := seen[x]; ok && was != string(b) || x == y {
					t.Fatalf("%q and %q share a hash", was, b)
				}
				seen[x] = string(b)
				if i >= 0 {
					b[i] ^= 1
				}
			}
		}
	}
}
