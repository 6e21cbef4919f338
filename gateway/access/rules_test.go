package access

import (
	"context"
	"encoding/base32"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

// TestTOTPVectors are those of RFC 6238, appendix B, cut to six digits.
func TestTOTPVectors(t *testing.T) {
	secret := Secret(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte("12345678901234567890")))
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got, err := Code(secret, time.Unix(at, 0)); err != nil || got != want {
			t.Errorf("at %d: got %s, %v, want %s", at, got, err, want)
		}
	}
}

func TestCodesOfNeighbouringSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret, err := newTOTP()
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1e9, 4e9).Draw(t, "now"), 0)
		off := rapid.Int64Range(-4, 4).Draw(t, "steps")
		code, err := Code(secret, now.Add(time.Duration(off)*stepSeconds*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		at, ok := accept(secret, code, now, 0)
		if inside := off >= -skew && off <= skew; inside && (!ok || at != step(now)+off) {
			t.Fatalf("code of step %+d: accepted %v at %d", off, ok, at-step(now))
		}
		if _, again := accept(secret, code, now, step(now)+skew); again {
			t.Fatal("a code of a used step is accepted")
		}
	})
}

func TestPasswordHashes(t *testing.T) {
	cost := Cost{64, 1, 1}
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "password"), rapid.String().Draw(t, "other")
		h, err := cost.hash(a)
		if err != nil {
			t.Fatal(err)
		}
		if !matches(h, a) || a != b && matches(h, b) {
			t.Fatalf("hash of %q", a)
		}
		if again, _ := cost.hash(a); again == h {
			t.Fatal("two hashes share a salt")
		}
	})
	if usual.check() != nil || usual.Memory < 64<<10 {
		t.Errorf("usual cost %+v", usual)
	}
}

// TestRoles pins the table: nobody both acts and approves, and who administers
// touches no business.
func TestRoles(t *testing.T) {
	want := map[Role]string{NoRole: "", Operator: "VO", Reviewer: "VA", Auditor: "VI", Administrator: "VUK"}
	for r, rights := range want {
		got := ""
		for i, letter := range map[Right]string{View: "V", Operate: "O", Approve: "A", Inspect: "I", Users: "U", Keys: "K"} {
			if r.May(i) != strings.Contains(rights, letter) {
				t.Errorf("%s: right %s is %v", r, letter, r.May(i))
			}
			got += letter
		}
		if parsed, err := ParseRole(r.String()); r != NoRole && (err != nil || parsed != r) {
			t.Errorf("%s: %v", r, err)
		}
	}
	if Role(99).May(View) || Role(99).String() != "none" {
		t.Error("an unknown role is something")
	}
}

// disguise writes an identity otherwise: case, width, signs between.
func disguise(t *rapid.T, s string) string {
	var b strings.Builder
	for _, r := range s {
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0:
			r = unicode.ToUpper(r)
		case 1:
			r = unicode.ToLower(r)
		case 2:
			r += 0xfee0 // full width
		case 3:
			b.WriteString(rapid.SampledFrom([]string{"-", ".", " ", "_", "\u3000"}).Draw(t, "sign"))
		}
		b.WriteRune(r)
	}
	return b.String()
}

func TestSecondPerson(t *testing.T) {
	name := rapid.StringMatching(`[a-z][a-z0-9]{1,8}`)
	person := rapid.StringMatching(`[A-Za-z0-9]{1,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a := Principal{name: name.Draw(t, "name"), person: person.Draw(t, "person"), role: Operator}
		b := Principal{name: name.Draw(t, "other name"), person: person.Draw(t, "other person"),
			role: Role(rapid.IntRange(0, int(Administrator)).Draw(t, "role")), fresh: rapid.Bool().Draw(t, "fresh")}
		different := fold(a.name) != fold(b.name) && fold(a.person) != fold(b.person)
		err := SecondPerson(a, b)
		if ok := different && b.role == Reviewer && !b.fresh; ok != (err == nil) {
			t.Fatalf("%+v then %+v: %v", a, b, err)
		}
		// However an identity is written, the same person is never the second one.
		c := Principal{name: "someone.else", person: disguise(t, a.person), role: Reviewer}
		if err := SecondPerson(a, c); !errors.Is(err, ErrSamePerson) {
			t.Fatalf("staff number %q as %q: %v", a.person, c.person, err)
		}
		c = Principal{name: disguise(t, a.name), person: "staff0000000000", role: Reviewer}
		if err := SecondPerson(a, c); !errors.Is(err, ErrSamePerson) {
			t.Fatalf("name %q as %q: %v", a.name, c.name, err)
		}
	})
}

func TestSecondPersonFailsClosed(t *testing.T) {
	reviewer := Principal{name: "he", person: "R1", role: Reviewer}
	for what, first := range map[string]Principal{"nobody": {}, "os user": Local(0, "socket"), "no staff number": {name: "li", role: Operator},
		"no name": {person: "B1", role: Operator}, "signs only": {name: "--", person: "..", role: Operator}} {
		if err := SecondPerson(first, reviewer); !errors.Is(err, ErrNobody) {
			t.Errorf("first is %s: %v", what, err)
		}
		if err := SecondPerson(reviewer, first); err == nil {
			t.Errorf("second is %s", what)
		}
	}
	if err := SecondPerson(Recorded("li", "B1"), Recorded("he", "R1")); !errors.Is(err, ErrNotSecond) {
		t.Errorf("a record approves: %v", err)
	}
	if err := SecondPerson(Recorded("li", "B1"), reviewer); err != nil {
		t.Error(err)
	}
}

func TestActsTravel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 100, 100)
		a := Act{By: "zhang", Person: text.Draw(t, "person"), Role: "administrator", Door: "cli", What: "user.add", On: text.Draw(t, "on"),
			Reason: text.Draw(t, "reason"), Failed: text.Draw(t, "failed")}
		line, err := a.Text()
		if err != nil || strings.ContainsAny(line, "\r\n") {
			t.Fatalf("%q, %v", line, err)
		}
		back, ok := ParseAct(line)
		for _, s := range []*string{&a.Person, &a.On, &a.Reason, &a.Failed} {
			*s = strings.ToValidUTF8(*s, "\ufffd")
		}
		if !ok || back != a {
			t.Fatalf("%+v became %+v", a, back)
		}
	})
	long := Act{By: "z", What: "w", Reason: strings.Repeat("长", 10_000)}
	if line, err := long.Text(); err != nil || len(line) > 2*maxText {
		t.Errorf("%d bytes, %v", len(line), err)
	}
	for _, s := range []string{"", "流水曾不可写, 已恢复", "act {}", `act {"by":"z"}`, `act {"by":"z","what":"w","more":1}`} {
		if _, ok := ParseAct(s); ok {
			t.Errorf("%q is an act", s)
		}
	}
}

func TestSessions(t *testing.T) {
	o := newOffice(t)
	ctx := context.Background()
	boss := o.boss()
	s, err := NewSessions(o.Directory, Limits{Idle: 15 * time.Minute, Absolute: time.Hour, PerUser: 2, All: 3})
	o.must(err)
	open := func(p Principal) string {
		t.Helper()
		token, csrf, err := s.Open(p)
		if err != nil || len(token) < 40 || token == csrf {
			t.Fatalf("%q %q %v", token, csrf, err)
		}
		return token
	}
	alive := func(token string) bool { _, _, err := s.Get(token); return err == nil }
	first := open(boss)
	if p, _, err := s.Get(first); err != nil || p.Name() != "zhang" || !p.May(Users) {
		t.Fatalf("%+v, %v", p, err)
	}
	if alive("") || alive("x") || alive(first+"x") {
		t.Error("a token that was never given is known")
	}
	o.pass(time.Minute)
	second := open(boss)
	o.pass(time.Minute)
	third := open(boss)
	if alive(first) || !alive(second) || !alive(third) {
		t.Error("the oldest session does not give way")
	}
	o.pass(14 * time.Minute)
	if !alive(second) {
		t.Error("ended before its idle limit")
	}
	o.pass(2 * time.Minute)
	if alive(third) || !alive(second) {
		t.Error("idle limit")
	}
	for range 4 {
		o.pass(14 * time.Minute)
		_ = alive(second)
	}
	if alive(second) || s.Len() != 0 {
		t.Error("absolute limit")
	}

	li := o.hire(boss, "li", "B001", Operator)
	token := open(li)
	o.must(o.SetRole(ctx, boss, "li", Reviewer, "转岗"))
	if p, _, err := s.Get(token); err != nil || p.Role() != Reviewer || p.May(Operate) {
		t.Errorf("after a change of role: %+v, %v", p, err)
	}
	o.must(o.Lock(ctx, boss, "li", "x"))
	if alive(token) {
		t.Error("session of a locked user")
	}
	o.must(o.Unlock(ctx, boss, "li", "x"))
	if alive(token) {
		t.Error("the session came back")
	}
	token = open(li)
	o.must(o.SetPassword(ctx, boss, "li", "Other-Password-1", "x"))
	if alive(token) {
		t.Error("session after a new password")
	}
	token = open(li)
	o.must(o.Remove(ctx, boss, "li", "x"))
	if alive(token) {
		t.Error("session of a removed user")
	}
	token = open(boss)
	s.End(token)
	if alive(token) {
		t.Error("session after its end")
	}
}

func FuzzUsers(f *testing.F) {
	f.Add([]byte(`{"version":1,"users":[{"name":"li","person":"B1","role":"operator","password":"$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","totp":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","set":"2026-11-25T09:00:00Z"}]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		us, err := parseUsers(b)
		if err != nil {
			return
		}
		for _, u := range us {
			if u.check() != nil || u.Role == NoRole {
				t.Fatalf("%+v was accepted", u)
			}
		}
	})
}
