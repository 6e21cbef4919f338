package access

import (
	"fmt"
	"log/slog"
	"regexp"
	"time"
)

// Secret is a text that is written to the users' file and nowhere else: every
// way of printing it shows stars.
type Secret string

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret.
func (Secret) GoString() string { return "***" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// User is one account. Its person is the staff number of the human being who
// owns it: an account belongs to one person and a person has one account.
type User struct {
	Name     string    `json:"name"`   // 2 to 32 of a-z 0-9 . _ -, a letter first
	Person   string    `json:"person"` // staff number, 1 to 32 letters and digits
	Role     Role      `json:"role"`
	Password Secret    `json:"password"` // argon2id in PHC format
	TOTP     Secret    `json:"totp"`     // base32, RFC 6238
	Step     int64     `json:"step,omitempty"`
	Fresh    bool      `json:"fresh,omitempty"` // somebody else knows the password: it has to be changed first
	Set      time.Time `json:"set"`             // when the password was set
	Failures int       `json:"failures,omitempty"`
	Until    time.Time `json:"until,omitzero"`   // no login before
	Locked   string    `json:"locked,omitempty"` // why an administrator locked it, empty: not locked
}

var (
	names   = regexp.MustCompile(`^[a-z][a-z0-9._-]{1,31}$`)
	persons = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)
)

// check reports what cannot be in the file.
func (u *User) check() error {
	switch {
	case !names.MatchString(u.Name):
		return fmt.Errorf("name: want 2 to 32 of a-z 0-9 . _ -, a letter first, got %q", u.Name)
	case !persons.MatchString(u.Person):
		return fmt.Errorf("person: want a staff number of 1 to 32 letters and digits, got %q", u.Person)
	case u.Role == NoRole:
		return fmt.Errorf("role: missing")
	}
	if _, _, _, err := parseHash(u.Password); err != nil {
		return fmt.Errorf("password: %w", err)
	}
	if _, err := totpKey(u.TOTP); err != nil {
		return fmt.Errorf("totp: %w", err)
	}
	return nil
}

// Principal is somebody whose identity was established: by Login, by a session,
// or by the operating system. It cannot be made elsewhere.
type Principal struct {
	name, person string
	role         Role
	fresh        bool   // may only change the own password
	door         string // where from: socket, https, cli
}

// Name is the account, or os:UID for a user of the operating system.
func (p Principal) Name() string { return p.name }

// Person is the staff number, empty for a user of the operating system.
func (p Principal) Person() string { return p.person }

// Role is the role of the account; a user of the operating system has none.
func (p Principal) Role() Role { return p.role }

// Fresh reports that the password has to be changed before anything else.
func (p Principal) Fresh() bool { return p.fresh }

// May reports whether the principal may do something now.
func (p Principal) May(r Right) bool { return !p.fresh && p.role.May(r) }

// Local is a user of the operating system, known by uid. It has no rights of its
// own: what the daemon's socket lets it do is decided there.
func Local(uid int, door string) Principal {
	return Principal{name: fmt.Sprintf("os:%d", uid), door: door}
}

// Recorded is who did something earlier, as its record says. It has no rights
// and serves as the first person of SecondPerson only.
func Recorded(name, person string) Principal { return Principal{name: name, person: person} }
