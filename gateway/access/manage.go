package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The refusals of a change.
var (
	ErrRight    = errors.New("无此权限")
	ErrNoUser   = errors.New("没有这个用户")
	ErrLast     = errors.New("这是最后一个可用的管理员")
	ErrReason   = errors.New("需要原因")
	ErrNotFirst = errors.New("已有用户: 须由管理员办理")
)

// First makes the first user, an administrator, where there is none yet. The
// operating system's user who may write the file is who does it.
func (d *Directory) First(ctx context.Context, by Principal, name, person, password string) (User, error) {
	u, err := d.newUser(name, person, Administrator, password)
	if err != nil {
		return User{}, err
	}
	u.Fresh = false // who typed it owns it
	return u, d.change(ctx, func(us []User) ([]User, Act, error) {
		if len(us) > 0 {
			return nil, Act{}, ErrNotFirst
		}
		return []User{u}, by.Act("user.first", name, "person "+person), nil
	})
}

// Add makes a user. The user has to change the password before anything else:
// until then somebody else knows it. What is returned carries the TOTP secret,
// to be shown once.
func (d *Directory) Add(ctx context.Context, by Principal, name, person string, role Role, password string) (User, error) {
	u, err := d.newUser(name, person, role, password)
	if err != nil {
		return User{}, err
	}
	return u, d.manage(ctx, by, func(us []User) ([]User, Act, error) {
		return append(us, u), by.Act("user.add", name, fmt.Sprintf("person %s role %s", person, role)), nil
	})
}

func (d *Directory) newUser(name, person string, role Role, password string) (User, error) {
	u := User{Name: name, Person: person, Role: role, Fresh: true, Set: d.o.Now()}
	if err := goodPassword(password, &u); err != nil {
		return User{}, err
	}
	var err1, err2 error
	u.Password, err1 = d.o.Cost.hash(password)
	u.TOTP, err2 = newTOTP()
	if err := errors.Join(err1, err2); err != nil {
		return User{}, err
	}
	return u, u.check()
}

// SetPassword changes a password: one's own, or as an administrator somebody
// else's, who then has to change it again.
func (d *Directory) SetPassword(ctx context.Context, by Principal, name, password, reason string) error {
	if by.name != name && !by.May(Users) {
		return ErrRight // before the old password is looked at: the answer would tell it
	}
	u, found, err := d.find(name)
	switch {
	case err != nil:
		return err
	case !found:
		return ErrNoUser
	}
	if err := goodPassword(password, &u); err != nil {
		return err
	}
	if same, err := d.try(ctx, &u, password); err != nil || same {
		return errors.Join(err, errors.New("新密码与旧密码相同"))
	}
	hash, err := d.o.Cost.hash(password)
	if err != nil {
		return err
	}
	return d.edit(ctx, by, "user.passwd", name, reason, func(u *User) error {
		u.Password, u.Set, u.Fresh = hash, d.o.Now(), by.name != name
		return nil
	})
}

// SetTOTP gives a new secret for codes: to oneself, or as an administrator to
// somebody else, who then has to change the password. It is returned once.
func (d *Directory) SetTOTP(ctx context.Context, by Principal, name, reason string) (u User, err error) {
	secret, err := newTOTP()
	if err != nil {
		return User{}, err
	}
	return u, d.edit(ctx, by, "user.totp", name, reason, func(now *User) error {
		now.TOTP, now.Step = secret, 0
		now.Fresh = now.Fresh || by.name != name
		u = *now
		return nil
	})
}

// SetRole gives a user another role.
func (d *Directory) SetRole(ctx context.Context, by Principal, name string, role Role, reason string) error {
	return d.edit(ctx, by, "user.role", name, role.String()+": "+reason, func(u *User) error {
		u.Role = role
		return needs(reason)
	})
}

// Lock refuses a user's logins and ends the sessions.
func (d *Directory) Lock(ctx context.Context, by Principal, name, reason string) error {
	return d.edit(ctx, by, "user.lock", name, reason, func(u *User) error {
		u.Locked = reason
		return needs(reason)
	})
}

// Unlock lets a user log in again, also one that failed too often.
func (d *Directory) Unlock(ctx context.Context, by Principal, name, reason string) error {
	return d.edit(ctx, by, "user.unlock", name, reason, func(u *User) error {
		u.Locked, u.Failures, u.Until = "", 0, time.Time{}
		return needs(reason)
	})
}

// Remove takes a user out.
func (d *Directory) Remove(ctx context.Context, by Principal, name, reason string) error {
	return d.manage(ctx, by, func(us []User) ([]User, Act, error) {
		i := index(us, name)
		if i < 0 {
			return nil, Act{}, ErrNoUser
		}
		return slices.Delete(us, i, i+1), by.Act("user.remove", name, reason), needs(reason)
	})
}

func needs(reason string) error {
	if reason == "" {
		return ErrReason
	}
	return nil
}

// edit changes one user. Everybody may change the own password and code;
// everything else needs an administrator.
func (d *Directory) edit(ctx context.Context, by Principal, what, name, reason string, do func(*User) error) error {
	change := func(us []User) ([]User, Act, error) {
		i := index(us, name)
		if i < 0 {
			return nil, Act{}, ErrNoUser
		}
		return us, by.Act(what, name, reason), do(&us[i])
	}
	if own := by.name == name && (what == "user.passwd" || what == "user.totp"); !own {
		return d.manage(ctx, by, change)
	}
	return d.change(ctx, func(us []User) ([]User, Act, error) {
		if i := index(us, by.name); i < 0 || us[i].Locked != "" {
			return nil, Act{}, ErrRight
		}
		return change(us)
	})
}

// manage makes a change for which one has to be an administrator at the moment
// of the change, and after which there still is one.
func (d *Directory) manage(ctx context.Context, by Principal, edit func([]User) ([]User, Act, error)) error {
	return d.change(ctx, func(us []User) ([]User, Act, error) {
		i := index(us, by.name)
		if i < 0 || us[i].Locked != "" || by.fresh || !us[i].Role.May(Users) || !by.May(Users) {
			return nil, Act{}, ErrRight
		}
		us, act, err := edit(us)
		if err == nil && !slices.ContainsFunc(us, func(u User) bool { return u.Role.May(Users) && u.Locked == "" }) {
			err = ErrLast
		}
		return us, act, err
	})
}
