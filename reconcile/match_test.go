package reconcile

import (
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"qianzhi/gateway/pay"
)

func matrix(t testing.TB) *Matrix {
	t.Helper()
	b, err := os.ReadFile("../conf/recon-matrix.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMatrix(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func line(n int, e Effect, a pay.Amount) Line {
	return Line{Key: fmt.Sprintf("K%06d", n), Serial: fmt.Sprintf("S%06d", n), Account: fmt.Sprintf("0512%06d", n), Amount: a, Effect: e, Row: n}
}

// TestEveryRowOfTheMatrix brings each of the 53 combinations about with real
// lines and expects the row's code, or silence where the row says flat.
func TestEveryRowOfTheMatrix(t *testing.T) {
	mx := matrix(t)
	seen := 0
	for _, j := range []Effect{None, Success, Failed, Open, Pending, Reversed} {
		for _, m := range []Effect{Absent, Posted, Undone} {
			for _, b := range []Effect{Absent, Charged, Undone} {
				if j == None && m == Absent && b == Absent {
					continue
				}
				seen++
				js, ms, bs := []Line{}, []Line{}, []Line{}
				if j != None {
					js = append(js, line(1, j, 100))
				}
				if m != Absent {
					ms = append(ms, line(1, m, 100))
				}
				if b != Absent {
					l := line(1, b, 100)
					if j == None { // without a journal row nothing ties MIS and bank but their own serials
						l.Serial = "S000001"
					}
					bs = append(bs, l)
				}
				row := mx.Decide(j, m, b)
				items, _, _ := Match(mx, js, ms, bs, nil)
				if j == None && m != Absent && b != Absent {
					if len(items) != 2 {
						t.Errorf("%c%c%c: %d items, want one for each party: no key ties them", j, m, b, len(items))
					}
					continue
				}
				switch {
				case row.Grade == Flat && len(items) != 0:
					t.Errorf("%c%c%c: want flat, got %s", j, m, b, items[0].Code)
				case row.Grade != Flat && (len(items) != 1 || items[0].Code != row.Code || items[0].Grade != row.Grade):
					t.Errorf("%c%c%c: want %s, got %+v", j, m, b, row.Code, items)
				}
			}
		}
	}
	if seen != 53 {
		t.Errorf("%d combinations, want 53", seen)
	}
}

func TestAmountCases(t *testing.T) {
	for _, c := range []struct {
		j, m, b pay.Amount
		want    string
	}{
		{100, 100, 100, ""}, {100, 100, 101, "AM-3"}, {100, 101, 100, "AM-2"}, {101, 100, 100, "AM-1"}, {100, 101, 102, "AM-4"},
		{100, 0, 101, "AM-5"}, {100, 0, 100, "LG-2"}, {100, 101, 0, "AM-6"}, {100, 100, 0, "SH-2"},
	} {
		ms, bs := []Line{}, []Line{} // a party without lines still takes part
		if c.m > 0 {
			ms = append(ms, line(1, Posted, c.m))
		}
		if c.b > 0 {
			bs = append(bs, line(1, Charged, c.b))
		}
		items, _, _ := Match(matrix(t), []Line{line(1, Success, c.j)}, ms, bs, nil)
		got := ""
		if len(items) > 0 {
			got = items[0].Code
		}
		if got != c.want || len(items) > 1 {
			t.Errorf("J=%d M=%d B=%d: got %q of %d items, want %q", c.j, c.m, c.b, got, len(items), c.want)
		}
	}
}

func TestOverlays(t *testing.T) {
	mx := matrix(t)
	ok := []Line{line(1, Success, 100)}
	strange := line(1, Charged, 100)
	strange.Account = "0512999999"
	for _, c := range []struct {
		name    string
		j, m, b []Line
		near    Near
		want    string
		funds   pay.Amount
	}{
		{name: "posted twice", j: ok, m: []Line{line(1, Posted, 100), line(1, Posted, 100)}, b: []Line{line(1, Charged, 100)}, want: "DU-1", funds: -100},
		{name: "charged twice", j: ok, m: []Line{line(1, Posted, 100)}, b: []Line{line(1, Charged, 100), line(1, Charged, 100)}, want: "DU-2", funds: 100},
		{name: "journal twice", j: []Line{line(1, Success, 100), line(1, Success, 100)}, m: []Line{line(1, Posted, 100)}, b: []Line{line(1, Charged, 100)}, want: "DU-3"},
		{name: "other customer", j: ok, m: []Line{line(1, Posted, 100)}, b: []Line{strange}, want: "ID-1"},
		{name: "neighbour's line", j: ok, m: []Line{line(1, Posted, 100)}, b: []Line{line(1, Charged, 100), line(2, Charged, 70)},
			near: Near{"K000002": 20261121}, want: "XD", funds: 70},
	} {
		items, _, _ := Match(mx, c.j, c.m, c.b, c.near)
		if len(items) != 1 || items[0].Code != c.want || items[0].Funds != c.funds {
			t.Errorf("%s: got %+v, want one %s of %d fen", c.name, items, c.want, c.funds)
		}
	}
}

// TestTwoParties leaves one party out: the matrix becomes a table of two.
func TestTwoParties(t *testing.T) {
	mx := matrix(t)
	for _, c := range []struct {
		j    Effect
		x    Effect // of the other party, in the bank's letters
		want Grade
	}{{Success, Charged, ""}, {Success, Absent, Pended}, {Success, Undone, Uneven}, {Failed, Charged, Uneven}, {Failed, Absent, ""},
		{Open, Charged, Fixable}, {Open, Absent, Fixable}, {Pending, Charged, Uneven}, {Reversed, Charged, Uneven}, {Reversed, Undone, ""}} {
		var bs = []Line{}
		if c.x != Absent {
			bs = append(bs, line(1, c.x, 100))
		}
		items, _, _ := Match(mx, []Line{line(1, c.j, 100)}, nil, bs, nil)
		got := Grade("")
		if len(items) > 0 {
			got = items[0].Grade
		}
		if got != c.want {
			t.Errorf("J=%c B=%c: got %q, want %q", c.j, c.x, got, c.want)
		}
	}
}

// TestBridge draws books with any damage and holds the sum of the items
// against the difference of the totals: no fen may be unexplained.
func TestBridge(t *testing.T) {
	mx := matrix(t)
	rapid.Check(t, func(t *rapid.T) {
		effects := func(label string, of ...Effect) Effect { return rapid.SampledFrom(of).Draw(t, label) }
		var js, ms, bs = []Line{}, []Line{}, []Line{}
		n := rapid.IntRange(0, 40).Draw(t, "payments")
		amount := rapid.Int64Range(1, 500)
		for i := range n {
			a := pay.Amount(amount.Draw(t, "amount"))
			if rapid.IntRange(0, 9).Draw(t, "in journal") > 0 {
				js = append(js, line(i, effects("j", Success, Failed, Open, Pending, Reversed), a))
			}
			for range rapid.IntRange(0, 2).Draw(t, "mis lines") {
				ms = append(ms, line(i, effects("m", Posted, Undone), a+pay.Amount(rapid.IntRange(0, 1).Draw(t, "off"))))
			}
			for range rapid.IntRange(0, 2).Draw(t, "bank lines") {
				bs = append(bs, line(i, effects("b", Charged, Undone), a))
			}
		}
		items, agreed, totals := Match(mx, js, ms, bs, nil)
		r := Result{Items: items, Totals: totals, Agreed: agreed, HasMIS: true, HasBank: true}
		for _, p := range []Party{MIS, Bank} {
			if total, of := r.Gap(p); total != of {
				t.Fatalf("%s: gap %d, items %d", p, total, of)
			}
		}
		lines := agreed.Count
		for i := range items {
			if items[i].J != nil && items[i].J.Effect == Success {
				lines++
			}
		}
		if lines != totals[Journal].Count {
			t.Fatalf("%d successes are accounted for, %d are in the journal", lines, totals[Journal].Count)
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	mx := matrix(t)
	rapid.Check(t, func(t *rapid.T) {
		var js, bs = []Line{}, []Line{}
		for i := range rapid.IntRange(1, 20).Draw(t, "n") {
			js = append(js, line(i, Success, pay.Amount(100+i)))
			if rapid.Bool().Draw(t, "at the bank") {
				bs = append(bs, line(i, Charged, pay.Amount(100+i)))
			}
		}
		a, _, _ := Match(mx, js, nil, bs, nil)
		b, _, _ := Match(mx, rapid.Permutation(js).Draw(t, "js"), nil, rapid.Permutation(bs).Draw(t, "bs"), nil)
		if len(a) != len(b) {
			t.Fatalf("%d and %d items", len(a), len(b))
		}
		for i := range a {
			if a[i].Code != b[i].Code || a[i].Any().Key != b[i].Any().Key {
				t.Fatalf("item %d: %s %s and %s %s", i, a[i].Code, a[i].Any().Key, b[i].Code, b[i].Any().Key)
			}
		}
	})
}

func TestMatrixIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no json": "{", "letters": `{"rows":[{"j":"SS","m":"A","b":"A"}]}`, "missing": `{"rows":[{"j":"S","m":"P","b":"C","verdict":"平"}]}`,
		"twice":       `{"rows":[{"j":"S","m":"P","b":"C","verdict":"平"},{"j":"S","m":"P","b":"C","verdict":"平"}]}`,
		"money apart": `{"rows":[{"j":"S","m":"A","b":"C","verdict":"平"}]}`,
	} {
		if _, err := ParseMatrix([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
