package reconcile

import (
	"fmt"
	"os"
	"testing"

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

// three ties the MIS by our serial and the bank by its key.
var three = Ties{HasSerial, HasKey}

func items(t testing.TB, j *Judge, journal, mis, bank []Line) []Item {
	j.Matrix = matrix(t)
	j.Has[MIS], j.Has[Bank] = mis != nil, bank != nil
	j.On = three
	out, _ := j.Items(&[parties][]Line{journal, mis, bank})
	return out
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
					bs = append(bs, line(1, b, 100))
				}
				row := mx.Decide(j, m, b)
				got := items(t, &Judge{}, js, ms, bs)
				switch {
				case row.Grade == Flat && len(got) != 0:
					t.Errorf("%c%c%c: want flat, got %s", j, m, b, got[0].Code)
				case row.Grade != Flat && (len(got) != 1 || got[0].Code != row.Code || got[0].Grade != row.Grade):
					t.Errorf("%c%c%c: want %s, got %+v", j, m, b, row.Code, got)
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
		{100, 0, 101, "AM-5"}, {100, 0, 100, "LG-2"}, {100, 101, 0, "AM-6"}, {100, 100, 0, "SH-2"}, {0, 100, 101, "AM-7"}, {0, 100, 100, "LS-1"},
	} {
		js, ms, bs := []Line{}, []Line{}, []Line{} // a party without lines still takes part
		if c.j > 0 {
			js = append(js, line(1, Success, c.j))
		}
		if c.m > 0 {
			ms = append(ms, line(1, Posted, c.m))
		}
		if c.b > 0 {
			bs = append(bs, line(1, Charged, c.b))
		}
		got := items(t, &Judge{}, js, ms, bs)
		code := ""
		if len(got) > 0 {
			code = got[0].Code
		}
		if code != c.want || len(got) > 1 {
			t.Errorf("J=%d M=%d B=%d: got %q of %d items, want %q", c.j, c.m, c.b, code, len(got), c.want)
		}
	}
}

func TestOverlays(t *testing.T) {
	ok, posted, charged := []Line{line(1, Success, 100)}, []Line{line(1, Posted, 100)}, []Line{line(1, Charged, 100)}
	with := func(change func(*Line)) []Line {
		l := line(1, Charged, 100)
		change(&l)
		return []Line{l}
	}
	same := line(1, Charged, 100)
	same.Mark = 7
	at := ok[0]
	at.Terminal, at.Day = "T1", 20261120
	timed := line(2, Charged, 70)
	near := func(l *Line) (pay.Day, *Line) {
		if l.Key == "K000002" {
			own := line(2, Success, 70)
			return 20261121, &own
		}
		return 0, nil
	}
	noon, late := timed, timed
	noon.Time, late.Time = "12:00:00", "23:45:00"
	for _, c := range []struct {
		name    string
		j, m, b []Line
		want    string
		grade   Grade
		funds   pay.Amount
	}{
		{name: "posted twice", j: ok, m: []Line{posted[0], posted[0]}, b: charged, want: "DU-1", grade: Uneven, funds: -100},
		{name: "charged twice", j: ok, m: posted, b: []Line{charged[0], charged[0]}, want: "DU-2", grade: Uneven, funds: 100},
		{name: "one row twice", j: ok, m: posted, b: []Line{same, same}, want: "DU-4", grade: Warned},
		{name: "journal twice", j: []Line{ok[0], ok[0]}, m: posted, b: charged, want: "DU-3", grade: Uneven},
		{name: "other customer", j: ok, m: posted, b: with(func(l *Line) { l.Account = "0512999999" }), want: "ID-1", grade: Uneven},
		{name: "other terminal", j: []Line{at}, m: posted, b: with(func(l *Line) { l.Terminal = "T2" }), want: "ID-2", grade: Warned},
		{name: "other day", j: []Line{at}, m: posted, b: with(func(l *Line) { l.Day = 20261121 }), want: "XD", grade: Pended},
		{name: "neighbour's line", j: ok, m: posted, b: []Line{charged[0], timed}, want: "XD", grade: Pended, funds: 70},
		{name: "neighbour's line near the cut", j: ok, m: posted, b: []Line{charged[0], late}, want: "XD", grade: Pended, funds: 70},
		{name: "neighbour's line at noon", j: ok, m: posted, b: []Line{charged[0], noon}, want: "XD", grade: Uneven, funds: 70},
	} {
		got := items(t, &Judge{Day: 20261120, Near: near, Cuts: [parties]int{0, midnight, midnight}, Window: defaultWindow}, c.j, c.m, c.b)
		if len(got) != 1 || got[0].Code != c.want || got[0].Funds != c.funds || got[0].Grade != c.grade {
			t.Errorf("%s: got %+v, want one %s of %d fen", c.name, got, c.want, c.funds)
		}
	}
}

// TestTwoParties is the table of C6: the journal with one other party.
func TestTwoParties(t *testing.T) {
	mx := matrix(t)
	want := map[Effect][3]Grade{Success: {Flat, Pended, Uneven}, Failed: {Uneven, Flat, Flat}, Open: {Fixable, Fixable, Fixable},
		Pending: {Uneven, Fixable, Fixable}, Reversed: {Uneven, Flat, Flat}, None: {Pended, "", Uneven}}
	for p := MIS; p < parties; p++ {
		for j, grades := range want {
			for i, x := range []Effect{effective(p), Absent, Undone} {
				if got := mx.Pair(p, j, x).Grade; got != grades[i] {
					t.Errorf("%s %c%c: got %s, want %s", p, j, x, got, grades[i])
				}
			}
		}
	}
	for _, c := range []struct {
		m, b []Line
		want string
	}{{nil, []Line{}, "SH-2"}, {[]Line{}, nil, "LG-2"}, {nil, []Line{line(1, Charged, 101)}, "AM-5"}, {[]Line{line(1, Posted, 99)}, nil, "AM-6"}} {
		if got := items(t, &Judge{}, []Line{line(1, Success, 100)}, c.m, c.b); len(got) != 1 || got[0].Code != c.want {
			t.Errorf("got %+v, want %s", got, c.want)
		}
	}
}

// TestCardSystem compares with a third party by its own table; the worst of
// both counts.
func TestCardSystem(t *testing.T) {
	j := Judge{Matrix: matrix(t), Has: [parties]bool{Bank: true, Card: true}, On: Ties{0, HasKey, HasSerial}}
	got, _ := j.Items(&[parties][]Line{{line(1, Success, 100)}, nil, {line(1, Charged, 100)}, nil})
	if len(got) != 1 || got[0].Code != "CM-1" || got[0].Grade != Pended {
		t.Errorf("got %+v", got)
	}
}

// TestTies: the MIS's line and the bank's belong together where a serial, a key
// or, once on each side, customer and amount say so.
func TestTies(t *testing.T) {
	m, b := line(1, Posted, 100), line(1, Charged, 100)
	m.Key, b.Serial = "", ""
	if got := items(t, &Judge{}, []Line{}, []Line{m}, []Line{b}); len(got) != 1 || got[0].Code != "LS-1" {
		t.Errorf("once on each side: %+v", got)
	}
	m2 := m
	m2.Serial = "S9"
	if got := items(t, &Judge{}, []Line{}, []Line{m, m2}, []Line{b}); len(got) != 3 {
		t.Errorf("twice on one side: %d items, want 3", len(got))
	}
	m.Time, b.Time = "10:00:00", "10:11:00"
	if got := items(t, &Judge{}, []Line{}, []Line{m}, []Line{b}); len(got) != 2 {
		t.Errorf("eleven minutes apart: %d items, want 2", len(got))
	}
}

func TestMatrixIsChecked(t *testing.T) {
	b, err := os.ReadFile("../conf/recon-matrix.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`{}`, `{"version":"x","rows":[{"j":"S","m":"P"}]}`, `{"version":"x","rows":[]}`, `x`, string(b[:len(b)/2])} {
		if _, err := ParseMatrix([]byte(bad)); err == nil {
			t.Errorf("%.40s: accepted", bad)
		}
	}
}
