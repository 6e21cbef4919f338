package pay

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMayCountsTheWholeMachine(t *testing.T) {
	legal := 0
	for s := Recv; s <= Adjd; s++ {
		for u := Recv; u <= Adjd; u++ {
			if s.May(u) {
				legal++
			}
			if s.May(u) && (s == Succ || s == Fail || s == Revd || s == Reco || s == Adjd) && (u == Jrnl || u == Sent || u == Unkn) {
				t.Errorf("%s to %s would re-send from a final state", s, u)
			}
			if s.May(u) && u == Adjd && s != Susp {
				t.Errorf("%s to ADJD: only SUSP may be adjusted", s)
			}
		}
	}
	if legal != 34 {
		t.Errorf("legal transitions: got %d, want 34", legal)
	}
	if NoState.May(Recv) || State(200).May(Recv) || Succ.May(NoState) {
		t.Error("a state outside the table may go somewhere")
	}
}

func TestEveryStateReachesReco(t *testing.T) {
	reach := map[State]bool{Reco: true}
	for range 11 {
		for s := Recv; s <= Adjd; s++ {
			for u := Recv; u <= Adjd; u++ {
				if s.May(u) && reach[u] {
					reach[s] = true
				}
			}
		}
	}
	for s := Recv; s <= Adjd; s++ {
		if !reach[s] {
			t.Errorf("%s never reaches RECO", s)
		}
	}
}

func TestAmounts(t *testing.T) {
	for _, c := range []struct {
		in   string
		f    func(string) (Amount, error)
		want Amount
		ok   bool
	}{
		{"000000010000", ParseFen, 10000, true}, {"999999999999", ParseFen, MaxAmount, true},
		{"1000000000000", ParseFen, 0, false}, {"", ParseFen, 0, false}, {"-1", ParseFen, 0, false},
		{"+1", ParseFen, 0, false}, {"1.0", ParseFen, 0, false}, {" 1", ParseFen, 0, false},
		{"100.00", ParseYuan, 10000, true}, {"0.01", ParseYuan, 1, true}, {"100", ParseYuan, 10000, true},
		{"1.5", ParseYuan, 0, false}, {"1.505", ParseYuan, 0, false}, {".50", ParseYuan, 0, false}, {"1.-5", ParseYuan, 0, false},
		{"9999999999.99", ParseYuan, MaxAmount, true}, {"10000000000.00", ParseYuan, 0, false},
		{"1230", ParseLi, 123, true}, {"1231", ParseLi, 0, false}, {"0", ParseLi, 0, true},
	} {
		got, err := c.f(c.in)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: got %d, %v; want %d, ok=%v", c.in, got, err, c.want, c.ok)
		}
	}
}

func TestAmountRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Amount(rapid.Int64Range(0, int64(MaxAmount)).Draw(t, "a"))
		got, err := ParseYuan(a.Yuan())
		if err != nil || got != a {
			t.Fatalf("%d written %q read %d, %v", a, a.Yuan(), got, err)
		}
	})
	if got := Amount(-5).Yuan(); got != "-0.05" {
		t.Errorf("minus five fen: got %q", got)
	}
}

func TestDays(t *testing.T) {
	for _, bad := range []string{"", "2026112", "20261131", "20260229", "2026-1-1", "00000000", "2026112a"} {
		if d, err := ParseDay(bad); err == nil {
			t.Errorf("%q: got %s, want an error", bad, d)
		}
	}
	d, err := ParseDay("20240229")
	if err != nil || d.Add(1) != 20240301 || d.Add(-29) != 20240131 || d.Sub(20240131) != 29 {
		t.Errorf("leap day: %s %v +1=%s -29=%s", d, err, d.Add(1), d.Add(-29))
	}
	east := time.FixedZone("CST", 8*3600)
	if got := DayOf(time.Date(2026, 11, 23, 16, 0, 0, 0, time.UTC).In(east)); got != 20261124 {
		t.Errorf("midnight in Beijing: got %s, want 20261124", got)
	}
}

func TestRefEncodingIsInjective(t *testing.T) {
	part := rapid.StringMatching(`[0-9A-Z|]{0,4}`)
	gen := rapid.Custom(func(t *rapid.T) Ref {
		return Ref{part.Draw(t, "i"), Kind(rapid.IntRange(0, 5).Draw(t, "k")), part.Draw(t, "s"), part.Draw(t, "n")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		if (string(a.Append(nil)) == string(b.Append(nil))) != (a == b) {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

func TestTablesAreComplete(t *testing.T) {
	for _, id := range Fields() {
		got, ok := ParseField(id.String())
		if id.String() == "" || id.Info().Chinese == "" || !ok || got != id {
			t.Errorf("field %d %q: not found by its name", id, id)
		}
	}
	for c := CodeUnknown; c < codes; c++ {
		got, ok := ParseCode(c.String())
		if !ok || got != c || c.Chinese() == "" || c.English() == "" {
			t.Errorf("code %d %q: incomplete", c, c)
		}
	}
	for o := Query; o.String() != "op?"; o++ {
		if got, ok := ParseOp(o.String()); !ok || got != o {
			t.Errorf("op %d %q: not found by its name", o, o)
		}
	}
}

func TestMasksHide(t *testing.T) {
	for _, c := range []struct {
		m        Mask
		in, want string
	}{
		{Account, "0512000088", "0512****88"}, {Account, "051200", "******"}, {Account, "051200008812", "0512******12"},
		{Card, "6225000000000014", "622500******0014"}, {Card, "62250000", "********"},
		{Name, "欧阳修", "欧**"}, {Name, "王五", "王*"}, {Name, "王", "*"}, {Contact, "13800138000", "*******8000"},
		{Never, "1234", "***"}, {Mask(99), "1234", "***"},
	} {
		if got := c.m.Masked(c.in); got != c.want {
			t.Errorf("mask %d of %q: got %q, want %q", c.m, c.in, got, c.want)
		}
	}
	if FNone.Info().Mask != Never || FieldID(9999).Info().Mask != Never {
		t.Error("an unknown field does not mask as Never")
	}
}

func TestApplyRefusesAndKeeps(t *testing.T) {
	e := Entry{State: Fail, Legs: []Leg{{Kind: LegPost, State: LegRefused}}, N: 2}
	before := e.Clone()
	if err := e.Apply(&Event{N: 3, State: Sent}); err == nil {
		t.Fatal("FAIL to SENT was allowed")
	}
	if err := e.Apply(&Event{N: 3, LegIs: LegDone, Leg: 1}); err == nil {
		t.Fatal("an event for a leg that does not exist was allowed")
	}
	if e.State != before.State || e.N != before.N || e.Legs[0] != before.Legs[0] {
		t.Errorf("a refused event changed the entry: %+v", e)
	}
}

func TestMaskNames(t *testing.T) {
	for m := Public; m <= Never; m++ {
		if got, ok := ParseMask(m.String()); !ok || got != m {
			t.Errorf("%s is read as %s, %v", m, got, ok)
		}
	}
	if m, ok := ParseMask(""); !ok || m != Public {
		t.Errorf("no name is %s, %v", m, ok)
	}
	if m, ok := ParseMask("Card"); ok || m != Never {
		t.Errorf("an unknown name is %s, %v: masks fail closed", m, ok)
	}
	if s := Mask(200).String(); s != "never" {
		t.Errorf("an unlisted class is %q", s)
	}
}
