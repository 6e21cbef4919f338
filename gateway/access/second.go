package access

import (
	"errors"
	"strings"
)

// The reasons why somebody is not the second person.
var (
	ErrSamePerson = errors.New("须由另一人办理")
	ErrNotSecond  = errors.New("第二人须为复核员")
	ErrNobody     = errors.New("两人都须是已登录的用户")
)

// SecondPerson is the one rule for everything that two people must do: approval
// of a reconciliation plan, countersignature, release of a parked payment. The
// two must be different people, not merely different accounts, and the second
// must hold the right to approve. Whatever cannot be established is refused.
//
// Both must be principals of the moment, as Login or Sessions give them; who
// acted earlier is given back by Recorded.
func SecondPerson(first, second Principal) error {
	a, b := first.identity(), second.identity()
	switch {
	case a == (identity{}) || b == (identity{}) || a.name == "" || b.name == "" || a.person == "" || b.person == "":
		return ErrNobody
	case a.name == b.name || a.person == b.person:
		return ErrSamePerson
	case !second.May(Approve):
		return ErrNotSecond
	}
	return nil
}

// identity is what makes two principals the same person: either part is enough.
type identity struct{ name, person string }

func (p Principal) identity() identity {
	return identity{fold(p.name), fold(p.person)}
}

// fold takes away what people write differently and mean the same: width, case,
// and signs between the letters and digits.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '！' && r <= '～' { // full-width forms of ASCII
			r -= 0xfee0
		}
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		if r < 0x80 || r == '\u3000' {
			return -1
		}
		return r
	}, s)
}
