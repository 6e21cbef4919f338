package access

import "fmt"

// Role is what a user is for. A user has exactly one: who operates does not
// review, who administers does neither, and who audits changes nothing.
type Role uint8

// The roles. The zero value may do nothing.
const (
	NoRole        Role = iota
	Operator           // day to day: cut, reconcile, propose, sign
	Reviewer           // the second person: countersign, approve
	Auditor            // looks at everything that was done
	Administrator      // users and keys, no business
)

// Right is one kind of thing that a user may do.
type Right uint8

// The rights.
const (
	View    Right = iota // state, reports, masked payments
	Operate              // cut the day, reconcile, propose, sign
	Approve              // countersign and approve what another person proposed
	Inspect              // read and prove administrative acts
	Users                // add, change, lock and remove users
	Keys                 // make, rotate and seal keys
)

type roleInfo struct {
	name, chinese string
	may           []Right
}

// roles is the whole table of who may do what.
var roles = [...]roleInfo{
	NoRole:        {"none", "无", nil},
	Operator:      {"operator", "操作员", []Right{View, Operate}},
	Reviewer:      {"reviewer", "复核员", []Right{View, Approve}},
	Auditor:       {"auditor", "审计员", []Right{View, Inspect}},
	Administrator: {"administrator", "管理员", []Right{View, Users, Keys}},
}

func (r Role) info() roleInfo {
	if int(r) < len(roles) {
		return roles[r]
	}
	return roles[NoRole]
}

// May reports whether the role has a right.
func (r Role) May(want Right) bool {
	for _, has := range r.info().may {
		if has == want {
			return true
		}
	}
	return false
}

// String returns the name used in files and on the command line.
func (r Role) String() string { return r.info().name }

// Chinese returns the name for operators.
func (r Role) Chinese() string { return r.info().chinese }

// ParseRole finds the role with the given name.
func ParseRole(name string) (Role, error) {
	for i := range roles {
		if Role(i) != NoRole && roles[i].name == name {
			return Role(i), nil
		}
	}
	return NoRole, fmt.Errorf("unknown role %q, want operator, reviewer, auditor or administrator", name)
}

// MarshalText writes the name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a name; one that is unknown is an error.
func (r *Role) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRole(string(b))
	return err
}
