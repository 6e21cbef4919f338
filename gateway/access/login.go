package access

import (
	"context"
	"errors"
	"time"
)

// ErrLogin is all that somebody learns whose login was refused. Whether the
// account is there, is locked or has to wait stands in the journal.
var ErrLogin = errors.New("用户名、密码或动态码不正确, 或账号暂不可用")

// lock-out: after some failures each further one doubles the wait.
const (
	freeFailures = 5
	firstWait    = time.Minute
	longestWait  = time.Hour
)

// wait is how long an account refuses logins after its n-th failure in a row.
func wait(n int) time.Duration {
	if n < freeFailures {
		return 0
	}
	w := firstWait
	for range n - freeFailures {
		if w = 2 * w; w >= longestWait {
			return longestWait
		}
	}
	return w
}

// Login establishes who somebody is: password first, then the code of the
// moment, each compared in constant time and both checked whatever the first
// one says. Success and failure are recorded. The error is ErrLogin, or that
// the answer could not be recorded.
func (d *Directory) Login(ctx context.Context, name, password, code, door string) (Principal, error) {
	if len(password) > 4*maxPassword || !names.MatchString(name) {
		name = "?" // nobody has it
	}
	u, found, err := d.find(name)
	if err != nil {
		return Principal{}, err
	}
	now := d.o.Now()
	act := Act{By: name, Person: u.Person, Door: door, What: "login", On: name}
	if found && (u.Locked != "" || now.Before(u.Until)) {
		act.Failed = "locked"
		return Principal{}, d.refused(ctx, act)
	}
	right, err := d.try(ctx, &u, password)
	if err != nil {
		return Principal{}, err
	}
	at, fits := accept(u.TOTP, code, now, u.Step)
	if !found {
		act.Failed = "unknown user"
		return Principal{}, d.refused(ctx, act)
	}
	if !right || !fits {
		return Principal{}, d.failed(ctx, u.Name, act)
	}
	return d.admitted(ctx, u, at, act)
}

// refused records a refusal that changes nothing.
func (d *Directory) refused(ctx context.Context, act Act) error {
	return errors.Join(ErrLogin, d.o.Audit.Record(ctx, act))
}

// try checks a password; a few at once, because each takes memory.
func (d *Directory) try(ctx context.Context, u *User, password string) (bool, error) {
	select {
	case d.hashing <- struct{}{}:
		defer func() { <-d.hashing }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	stored := u.Password
	if stored == "" {
		var err error
		if stored, err = d.decoy(); err != nil {
			return false, err
		}
	}
	return matches(stored, password), nil
}

// failed counts a failure.
func (d *Directory) failed(ctx context.Context, name string, act Act) error {
	err := d.change(ctx, func(us []User) ([]User, Act, error) {
		act.Failed = "wrong password or code"
		i := index(us, name)
		if i < 0 {
			return us, act, nil
		}
		us[i].Failures++
		if w := wait(us[i].Failures); w > 0 {
			us[i].Until = d.o.Now().Add(w)
			act.Failed += ", locked for " + w.String()
		}
		return us, act, nil
	})
	return errors.Join(ErrLogin, err)
}

// admitted notes the code as used, so that it serves once however many try it
// at the same time.
func (d *Directory) admitted(ctx context.Context, was User, at int64, act Act) (p Principal, err error) {
	err = d.change(ctx, func(us []User) ([]User, Act, error) {
		i := index(us, was.Name)
		if i < 0 || us[i].Step >= at || us[i].Password != was.Password || us[i].TOTP != was.TOTP || us[i].Locked != "" ||
			d.o.Now().Before(us[i].Until) {
			return nil, act, ErrLogin
		}
		us[i].Step, us[i].Failures, us[i].Until = at, 0, time.Time{}
		p = d.principal(&us[i], act.Door)
		return us, act, nil
	})
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

func (d *Directory) principal(u *User, door string) Principal {
	old := d.o.Age > 0 && d.o.Now().Sub(u.Set) > d.o.Age
	return Principal{name: u.Name, person: u.Person, role: u.Role, fresh: u.Fresh || old, door: door}
}
