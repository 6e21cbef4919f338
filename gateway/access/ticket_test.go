package access

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTickets: a ticket stands for its user until it expires, is taken back, or
// the user is locked or changes the password.
func TestTickets(t *testing.T) {
	o := newOffice(t)
	boss := o.boss()
	li := o.hire(boss, "li", "B001", Operator)
	tickets := Tickets{Users: o.Directory, Dir: filepath.Join(t.TempDir(), "tickets"), Life: 30 * time.Minute}
	issue := func() string {
		t.Helper()
		token, err := tickets.Issue(li)
		o.must(err)
		p, err := tickets.Redeem(token, "cli")
		o.must(err)
		if p.Name() != "li" || !p.May(Operate) {
			t.Fatalf("got %+v", p)
		}
		return token
	}
	gone := func(what, token string) {
		t.Helper()
		if _, err := tickets.Redeem(token, "cli"); !errors.Is(err, ErrNoSession) {
			t.Errorf("%s: %v", what, err)
		}
	}
	gone("none", "")
	gone("forged", "x")
	a := issue()
	info, err := os.Stat(tickets.file(a))
	o.must(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	o.pass(31 * time.Minute)
	gone("expired", a)
	b := issue()
	o.must(tickets.End(b))
	gone("taken back", b)
	c := issue()
	o.must(o.Lock(context.Background(), boss, "li", "离岗"))
	gone("locked", c)
	o.must(o.Unlock(context.Background(), boss, "li", "回岗"))
	gone("once locked", c)
	d := issue()
	o.must(o.SetPassword(context.Background(), li, "li", "Another-Horse-9", ""))
	gone("another password", d)
	if _, err := tickets.Issue(Local(1000, "cli")); !errors.Is(err, ErrNoSession) {
		t.Errorf("a ticket for nobody: %v", err)
	}
}
