package access

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const good = "Correct-Horse-7"

// tape remembers acts, and fails while told to.
type tape struct {
	mu   sync.Mutex
	acts []Act
	err  error
}

func (r *tape) Record(_ context.Context, a Act) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.acts = append(r.acts, a)
	}
	return r.err
}

func (r *tape) last() Act {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.acts) == 0 {
		return Act{}
	}
	return r.acts[len(r.acts)-1]
}

// office is a directory with a clock of its own.
type office struct {
	*Directory
	t    *testing.T
	tape tape
	mu   sync.Mutex
	at   time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, at: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)}
	var err error
	o.Directory, err = New(Options{File: filepath.Join(t.TempDir(), "users.json"), Audit: &o.tape, Now: o.now, Cost: Cost{64, 1, 1}, Age: 90 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.at
}

func (o *office) pass(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.at = o.at.Add(d)
}

func (o *office) code(name string) string {
	o.t.Helper()
	u, found, err := o.find(name)
	if err != nil || !found {
		o.t.Fatalf("%s: found %v, %v", name, found, err)
	}
	c, err := Code(u.TOTP, o.now())
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

// login logs in with the right code of the next step, so that none repeats.
func (o *office) login(name, password string) (Principal, error) {
	o.t.Helper()
	o.pass(stepSeconds * time.Second)
	return o.Login(context.Background(), name, password, o.code(name), "test")
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// boss makes the first administrator and logs in.
func (o *office) boss() Principal {
	o.t.Helper()
	_, err := o.First(context.Background(), Local(1000, "cli"), "zhang", "A001", good)
	o.must(err)
	p, err := o.login("zhang", good)
	o.must(err)
	return p
}

// hire adds a user who has changed the first password.
func (o *office) hire(by Principal, name, person string, role Role) Principal {
	o.t.Helper()
	ctx := context.Background()
	_, err := o.Add(ctx, by, name, person, role, "First-Password-1")
	o.must(err)
	p, err := o.login(name, "First-Password-1")
	o.must(err)
	o.must(o.SetPassword(ctx, p, name, good, ""))
	p, err = o.login(name, good)
	o.must(err)
	return p
}

func TestFirstAdministrator(t *testing.T) {
	o := newOffice(t)
	p := o.boss()
	if p.Name() != "zhang" || p.Person() != "A001" || p.Role() != Administrator || p.Fresh() || !p.May(Users) || p.May(Operate) {
		t.Errorf("got %+v", p)
	}
	if _, err := o.First(context.Background(), Local(1000, "cli"), "wang", "A002", good); !errors.Is(err, ErrNotFirst) {
		t.Errorf("a second first user: %v", err)
	}
	if info, err := os.Stat(o.o.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestLoginNeedsAllThree(t *testing.T) {
	o := newOffice(t)
	o.boss()
	ctx := context.Background()
	o.pass(time.Minute)
	for what, c := range map[string][3]string{"password": {"zhang", "Wrong-Horse-7", o.code("zhang")}, "code": {"zhang", good, "000000"},
		"name": {"zhao", good, o.code("zhang")}, "form": {"ZHANG'--", good, o.code("zhang")}, "empty code": {"zhang", good, ""}} {
		if _, err := o.Login(ctx, c[0], c[1], c[2], "test"); !errors.Is(err, ErrLogin) || err.Error() != ErrLogin.Error() {
			t.Errorf("wrong %s: got %v", what, err)
		}
		if a := o.tape.last(); a.What != "login" || a.Failed == "" {
			t.Errorf("wrong %s: recorded %+v", what, a)
		}
	}
	if _, err := o.Login(ctx, "zhang", good, o.code("zhang"), "test"); err != nil {
		t.Fatal(err)
	}
}

func TestCodeServesOnce(t *testing.T) {
	o := newOffice(t)
	o.boss()
	o.pass(time.Minute)
	code := o.code("zhang")
	var wg sync.WaitGroup
	var mu sync.Mutex
	in := 0
	for range 8 {
		wg.Go(func() {
			if _, err := o.Login(context.Background(), "zhang", good, code, "test"); err == nil {
				mu.Lock()
				in++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if in != 1 {
		t.Errorf("one code let in %d times", in)
	}
}

func TestLockOut(t *testing.T) {
	o := newOffice(t)
	o.boss()
	ctx := context.Background()
	fail := func() { _, _ = o.Login(ctx, "zhang", "Wrong-Horse-7", "000000", "test") }
	for range freeFailures - 1 {
		fail()
	}
	if _, err := o.login("zhang", good); err != nil {
		t.Fatalf("locked out too early: %v", err)
	}
	total := time.Duration(0)
	for n := freeFailures; n < freeFailures+9; n++ {
		for range map[bool]int{true: freeFailures, false: 1}[n == freeFailures] {
			fail()
		}
		w := wait(n)
		total += w
		o.pass(w - time.Minute)
		if _, err := o.Login(ctx, "zhang", good, o.code("zhang"), "test"); !errors.Is(err, ErrLogin) {
			t.Fatalf("let in %s after failure %d", w-time.Minute, n)
		}
		o.pass(time.Minute)
	}
	if total < 4*time.Hour || wait(1000) != longestWait {
		t.Errorf("nine failures cost %s, a thousand wait %s", total, wait(1000))
	}
	if _, err := o.login("zhang", good); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestRightsOfManagement(t *testing.T) {
	o := newOffice(t)
	ctx := context.Background()
	boss := o.boss()
	op := o.hire(boss, "li", "B001", Operator)
	for what, err := range map[string]error{
		"add":    func() error { _, err := o.Add(ctx, op, "sun", "B009", Reviewer, good); return err }(),
		"role":   o.SetRole(ctx, op, "li", Administrator, "want it"),
		"lock":   o.Lock(ctx, op, "zhang", "x"),
		"remove": o.Remove(ctx, op, "zhang", "x"),
		"passwd": o.SetPassword(ctx, op, "zhang", "Other-Password-1", "x"),
		"oracle": o.SetPassword(ctx, op, "zhang", good, "x"),
		"nobody": o.Lock(ctx, Local(0, "cli"), "li", "x"),
		"forged": o.Lock(ctx, Recorded("zhang", "A001"), "li", "x"),
	} {
		if !errors.Is(err, ErrRight) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	for what, err := range map[string]error{"demote": o.SetRole(ctx, boss, "zhang", Operator, "x"), "lock": o.Lock(ctx, boss, "zhang", "x"),
		"remove": o.Remove(ctx, boss, "zhang", "x")} {
		if !errors.Is(err, ErrLast) {
			t.Errorf("%s the last administrator: %v", what, err)
		}
	}
	if err := o.Lock(ctx, boss, "li", ""); !errors.Is(err, ErrReason) {
		t.Errorf("without a reason: %v", err)
	}
	o.must(o.Lock(ctx, boss, "li", "离岗"))
	if _, err := o.login("li", good); !errors.Is(err, ErrLogin) {
		t.Errorf("locked user: %v", err)
	}
	if err := o.SetPassword(ctx, op, "li", "Other-Password-1", ""); !errors.Is(err, ErrRight) {
		t.Errorf("locked user changes the password: %v", err)
	}
	o.must(o.Unlock(ctx, boss, "li", "回岗"))
	if _, err := o.login("li", good); err != nil {
		t.Errorf("unlocked user: %v", err)
	}
	o.must(o.SetRole(ctx, boss, "li", Auditor, "转岗"))
	o.must(o.Remove(ctx, boss, "li", "离职"))
	if a := o.tape.last(); a.What != "user.remove" || a.By != "zhang" || a.On != "li" || a.Reason != "离职" {
		t.Errorf("recorded %+v", a)
	}
}

// TestFirstPasswordIsNobodys shows that an account whose password somebody else
// knows may do nothing but change it.
func TestFirstPasswordIsNobodys(t *testing.T) {
	o := newOffice(t)
	ctx := context.Background()
	boss := o.boss()
	_, err := o.Add(ctx, boss, "qian", "B002", Administrator, "First-Password-1")
	o.must(err)
	p, err := o.login("qian", "First-Password-1")
	o.must(err)
	if !p.Fresh() || p.May(View) || !errors.Is(o.Lock(ctx, p, "zhang", "x"), ErrRight) {
		t.Errorf("fresh user may act: %+v", p)
	}
	if err := o.SetPassword(ctx, p, "qian", "First-Password-1", ""); err == nil {
		t.Error("the same password is no change")
	}
	o.must(o.SetPassword(ctx, p, "qian", good, ""))
	p, err = o.login("qian", good)
	o.must(err)
	if p.Fresh() || !p.May(Users) {
		t.Errorf("got %+v", p)
	}
	_, err = o.SetTOTP(ctx, boss, "qian", "手机遗失")
	o.must(err)
	if p, err = o.login("qian", good); err != nil || !p.Fresh() {
		t.Errorf("after a reset by somebody else: %+v, %v", p, err)
	}
	o.must(o.SetPassword(ctx, boss, "zhang", "Another-Horse-8", ""))
	o.pass(91 * 24 * time.Hour)
	if p, err = o.login("zhang", "Another-Horse-8"); err != nil || !p.Fresh() {
		t.Errorf("old password: %+v, %v", p, err)
	}
}

func TestPersonsHaveOneAccount(t *testing.T) {
	o := newOffice(t)
	ctx := context.Background()
	boss := o.boss()
	for _, c := range [][2]string{{"zhang2", "a001"}, {"zhang", "B001"}, {"z.h-a_ng", "B001"}} {
		if _, err := o.Add(ctx, boss, c[0], c[1], Operator, good); err == nil {
			t.Errorf("%s with staff number %s was added", c[0], c[1])
		}
	}
	for _, c := range [][2]string{{"Li", "B1"}, {"l", "B1"}, {"li li", "B1"}, {"li", ""}, {"li", "B-1"}, {strings.Repeat("l", 33), "B1"}} {
		if _, err := o.Add(ctx, boss, c[0], c[1], Operator, good); err == nil {
			t.Errorf("name %q with staff number %q was added", c[0], c[1])
		}
	}
}

func TestPoorPasswordsAreRefused(t *testing.T) {
	u := &User{Name: "zhang", Person: "A001"}
	for _, p := range []string{"", "Short-1", "alllowercaseletters", "Only-Letters-Here"[:11], "My-ZHANG-Password-1", "Number-a001-here", strings.Repeat("Aa1-", 40), "Bad\xff-Password-1"} {
		if goodPassword(p, u) == nil {
			t.Errorf("%q is accepted", p)
		}
	}
	if err := goodPassword("正确的马-Battery-9", u); err != nil {
		t.Error(err)
	}
}

// TestNothingWithoutRecord shows that what cannot be recorded is not done.
func TestNothingWithoutRecord(t *testing.T) {
	o := newOffice(t)
	boss := o.boss()
	ctx := context.Background()
	broken := errors.New("journal is full")
	o.tape.mu.Lock()
	o.tape.err = broken
	o.tape.mu.Unlock()
	if _, err := o.Add(ctx, boss, "li", "B001", Operator, good); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, found, err := o.find("li"); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if _, err := o.login("zhang", good); !errors.Is(err, broken) {
		t.Errorf("login without a record: %v", err)
	}
}

func TestFileIsChecked(t *testing.T) {
	o := newOffice(t)
	o.boss()
	text, err := os.ReadFile(o.o.File)
	o.must(err)
	o.must(os.Chmod(o.o.File, 0o640))
	reopen := func() error {
		_, err := New(o.o)
		return err
	}
	if err := reopen(); err == nil || !strings.Contains(err.Error(), "mode 640") {
		t.Errorf("group-readable: %v", err)
	}
	o.must(os.Chmod(o.o.File, 0o600))
	for _, bad := range []string{"", "{}", `{"version":2,"users":[]}`, string(text) + "{}", strings.Replace(string(text), `"role"`, `"rolle"`, 1),
		strings.Replace(string(text), "administrator", "root", 1), strings.Replace(string(text), "argon2id", "argon2i", 1),
		strings.Replace(string(text), "m=64", "m=99999999", 1)} {
		o.must(os.WriteFile(o.o.File, []byte(bad), 0o600))
		if reopen() == nil {
			t.Errorf("accepted %.60q", bad)
		}
	}
}

// TestTwoProcesses changes one file through two directories at once.
func TestTwoProcesses(t *testing.T) {
	o := newOffice(t)
	boss := o.boss()
	other, err := New(o.o)
	o.must(err)
	var wg sync.WaitGroup
	for i := range 10 {
		for k, d := range []*Directory{o.Directory, other} {
			wg.Go(func() {
				if _, err := d.Add(context.Background(), boss, fmt.Sprintf("u%d-%d", i, k), fmt.Sprintf("P%d%d", i, k), Operator, good); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, d := range []*Directory{o.Directory, other} {
		if us, err := d.List(); err != nil || len(us) != 21 {
			t.Errorf("%d users, %v", len(us), err)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	o := newOffice(t)
	o.boss()
	u, _, err := o.find("zhang")
	o.must(err)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, u); strings.Contains(s, "argon2id") || strings.Contains(s, string(u.TOTP)) {
			t.Errorf("%s shows a secret: %s", format, s)
		}
	}
	for _, a := range o.tape.acts {
		if text, err := a.Text(); err != nil || strings.Contains(text, good) || strings.Contains(text, string(u.TOTP)) {
			t.Errorf("%s, %v", text, err)
		}
	}
}
